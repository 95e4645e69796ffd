"""Speed of studies and what common random numbers save.

    python benchmarks/study.py [sweep] [tune] [crn] [--modules 20000] [--workers N]

sweep  10 battery limits x 10 campaigns of 20,000 modules of the quickstart           (target: 30 s)
tune   2 thresholds, 60 trials x 5 campaigns of 20,000 modules, finalists included     (target: 90 s)
crn    a battery limit of 30 instead of 25 %: how many times narrower than with independent seeds (target: 3)

Times are of the whole call, processes and tables included, after one campaign that loads and compiles what is needed.
On a busy host `--workers 1` tells the processor time, which the wall clock there does not.
"""

from __future__ import annotations

import argparse
import platform
import time
from importlib import metadata

import numpy as np

from sim.scenario import Scenario
from sim.stats.paired import paired_difference, unpaired_difference
from sim.study.campaign import Job, run_campaign
from sim.study.replicate import replicate
from sim.study.sweep import sweep
from sim.study.tune import tune

BATTERY = "plan.strategy.preconditions.min_battery_percent"
SIGNAL = "plan.strategy.preconditions.min_rsrp_dbm"
CRN_CAMPAIGNS = 20


def _took(started: float, used: float, workers: int | None) -> str:
    wall = f"{time.perf_counter() - started:.1f} s"
    return f"{wall}, {time.process_time() - used:.1f} s of one processor" if workers == 1 else wall


def time_sweep(scenario: Scenario, workers: int | None) -> str:
    """10 points x 10 replications."""
    started, used = time.perf_counter(), time.process_time()
    found = sweep(scenario, [f"{BATTERY}=10:55:10"], replications=10, workers=workers)
    return f"sweep  {len(found.frame)} campaigns of {scenario.fleet.size:,} modules: {_took(started, used, workers)}"


def time_tune(scenario: Scenario, workers: int | None) -> str:
    """60 trials x 5 replications over two thresholds."""
    started, used = time.perf_counter(), time.process_time()
    found = tune(
        scenario, [f"{BATTERY}=5:60", f"{SIGNAL}=-125:-100"], minimise=["duration_p95"], subject_to=["not_reached<=0.15"],
        trials=60, replications=5, workers=workers,
    )  # fmt: skip
    took = _took(started, used, workers)
    assert found.recommended is not None
    return f"tune   60 trials x 5 campaigns of {scenario.fleet.size:,} modules: {took}; {found.recommended.settings}"


def measure_crn(scenario: Scenario, workers: int | None) -> str:
    """Widths of the interval of a 5-point change, paired and with independent seeds."""
    a = replicate(scenario.with_({BATTERY: 25}), CRN_CAMPAIGNS, workers=workers).frame
    b = replicate(scenario.with_({BATTERY: 30}), CRN_CAMPAIGNS, workers=workers).frame
    other = replicate(scenario.with_({BATTERY: 30}, seed=scenario.seed + 1), CRN_CAMPAIGNS, workers=workers).frame
    lines = [f"crn    {scenario.fleet.size:,} modules, {CRN_CAMPAIGNS} campaigns a side, limit 30 instead of 25 %"]
    for metric in ("success_rate", "not_reached", "duration_p50", "duration_p95", "energy_per_success_j"):
        paired = paired_difference(a[metric], b[metric])
        apart = unpaired_difference(a[metric], other[metric])
        lines.append(
            f"       {metric:<21} {paired.estimate.value:+.5g}: {apart.estimate.half_width / paired.estimate.half_width:5.1f} "
            f"times narrower (expected {np.sqrt(paired.variance_reduction):.1f})"
        )
    return "\n".join(lines)


WORK = {"sweep": time_sweep, "tune": time_tune, "crn": measure_crn}


def main() -> None:
    """Runs what is asked for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("work", nargs="*", choices=[*WORK, []], default=list(WORK))
    options.add_argument("--modules", type=int, default=20_000)
    options.add_argument("--workers", type=int, default=None)
    given = options.parse_args()
    scenario = Scenario.load("scenarios/quickstart.yaml", [f"fleet.size={given.modules}"])
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("fotasim", "numba", "numpy", "optuna"))
    print(f"Python {platform.python_version()}, {versions}")
    run_campaign(Job(scenario.with_(fleet__size=100), 0))
    for work in given.work:
        print(WORK[work](scenario, given.workers), flush=True)


if __name__ == "__main__":
    main()
