"""Speed and memory of the SimPy engine on the quickstart: time per module, peak memory at two sizes.

Run: python benchmarks/virtual.py. Each size runs in a process of its own, so that peaks do not mix.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

from sim.engines.run import simulate
from sim.scenario import Scenario

SIZES = (2_000, 10_000, 20_000, 40_000)


def measure(size: int) -> None:
    """Prints seconds and peak KiB of one run as JSON."""
    scenario = Scenario.load("scenarios/quickstart.yaml", [f"fleet.size={size}"])
    started = time.perf_counter()
    outcome = simulate(scenario)
    print(json.dumps({
        "size": size, "wall_s": time.perf_counter() - started, "engine_s": outcome.summary["wall_s"],
        "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }))  # fmt: skip


def main() -> None:
    """Runs every size and prints the table."""
    rows = []
    for size in SIZES:
        done = subprocess.run([sys.executable, __file__, str(size)], capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout))
    print(f"{'modules':>8} {'total s':>8} {'engine s':>9} {'us/module':>10} {'peak MiB':>9} {'KB/module':>10}")
    for before, row in zip([rows[0], *rows], rows, strict=False):
        more = row["size"] - before["size"]
        per_module = 1.024 * (row["peak_kib"] - before["peak_kib"]) / more if more else float("nan")
        print(
            f"{row['size']:>8} {row['wall_s']:>8.1f} {row['engine_s']:>9.1f} {1e6 * row['wall_s'] / row['size']:>10.0f} "
            f"{row['peak_kib'] / 1024:>9.0f} {per_module:>10.1f}"
        )


if __name__ == "__main__":
    measure(int(sys.argv[1])) if len(sys.argv) > 1 else main()
