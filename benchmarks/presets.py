"""The release of scenarios/bad_release.yaml under six products' strategies, as the table of docs/strategy_presets.md.

python benchmarks/presets.py [--modules N] [--seed S]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from sim.engines.run import simulate
from sim.scenario import Scenario

SCENARIO = Path(__file__).resolve().parents[1] / "scenarios" / "bad_release.yaml"
CRITERION = {"failure_type": "all", "threshold_percentage": 5, "min_number_of_executed": 100}
"""Five per cent of the completed have failed, once a hundred have completed."""
PHASES = [
    {"percent": 10, "success_threshold_percent": 0}, {"percent": 40, "success_threshold_percent": 0, "start_time": "1d"},
    {"start_time": "3d"},
]  # fmt: skip
STRATEGIES: dict[str, dict[str, Any]] = {
    "quectel": {"preset": "quectel"},
    "hawkbit": {"preset": "hawkbit"},
    "aws-iot-jobs, 5 % of 100": {"preset": "aws-iot-jobs", "abort": {"criteria": [CRITERION]}},
    "azure-du, 5 % of 100, rollback": {
        "preset": "azure-du", "abort": {"criteria": [{**CRITERION, "action": "rollback"}]},
        "rollback": [{"component": "fw", "version": "3.0.0", "size": "1 MB"}],
    },
    "mender, three phases, 5 % of 100": {
        "preset": "mender", "abort": {"criteria": [CRITERION]}, "rollout": {"groups": PHASES},
    },
    "canary": {"preset": "canary"},
}  # fmt: skip
COLUMNS = (
    "strategy", "took the image before the stop", "after it", "stopped after", "detection delay", "bricked",
    "on the new image at the end", "p95 duration",
)  # fmt: skip


def figures(strategy: dict[str, Any], modules: int, seed: int) -> dict[str, Any]:
    """What the release does to the fleet under one strategy. Times in hours, None for never."""
    given = [f"fleet.size={modules}", f"seed={seed}", f"plan.strategy={json.dumps(strategy)}"]
    outcome = simulate(Scenario.load(SCENARIO, given))
    (stop,), table = outcome.summary["stopped"], outcome.records.modules
    took = int(table["updating_s"].notna().sum())
    return {
        "before": stop["took_image_before"] if stop else took,
        "after": stop["took_image_after"] if stop else 0,
        "stopped_h": stop["time_s"] / 3600 if stop else None,
        "delay_h": stop["detection_delay_s"] / 3600 if stop and stop["detection_delay_s"] is not None else None,
        "bricked": outcome.summary["causes"].get("bricked", 0),
        "success": outcome.summary["success_rate"],
        "p95_h": hours(outcome.summary["duration_s"]["p95"]),
        "took": took,
    }


def hours(seconds: float | None) -> float | None:
    """Seconds as hours."""
    return None if seconds is None else seconds / 3600


def line(name: str, f: dict[str, Any]) -> str:
    """One line of the table."""
    cells = (
        name, f"{f['before']:,}", f"{f['after']:,}", shown(f["stopped_h"], "never"), shown(f["delay_h"], "–"),
        f"{f['bricked']:,}", f"{100 * f['success']:.1f} %", shown(f["p95_h"], "–"),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def shown(in_hours: float | None, without: str) -> str:
    """Hours with one decimal, days beyond two of them."""
    if in_hours is None:
        return without
    return f"{in_hours:.1f} h" if in_hours < 48 else f"{in_hours / 24:.1f} d"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |")
    print(f"|{'---|' * len(COLUMNS)}")
    for name, strategy in STRATEGIES.items():
        print(line(name, figures(strategy, given.modules, given.seed)), flush=True)


if __name__ == "__main__":
    main()
