"""Fault schedules over live rollouts: `python -m benchmarks.chaos [--schedules N] [--modules N] [--seconds S]`.

Every schedule is drawn by its seed and can be played again. Prints a line a schedule and the sums at the end, which
docs/reliability.md states; ends with 1 when an invariant did not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.hostile.chaos import Result, play


def main() -> int:
    """Plays the schedules."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # connections that were cut are the point
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schedules", type=int, default=500)
    parser.add_argument("--modules", type=int, default=300)
    parser.add_argument("--faults", type=int, default=6)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further schedule after this time")
    given = parser.parse_args()
    began, results = time.monotonic(), []
    for seed in range(given.first_seed, given.first_seed + given.schedules):
        if time.monotonic() - began > given.seconds:
            break
        with tempfile.TemporaryDirectory(prefix="fotasim-chaos-") as folder:
            result = asyncio.run(play(Path(folder), seed, modules=given.modules, faults=given.faults))
        results.append(result)
        held = "held" if not result.violations else "; ".join(result.violations)
        print(f"seed {seed}: {', '.join(result.faults)}: {held}", flush=True)
    _summary(results, given.modules, time.monotonic() - began)
    return int(any(result.violations for result in results))


def _summary(results: list[Result], modules: int, seconds: float) -> None:
    faults = Counter(fault for result in results for fault in result.faults)
    print(f"{len(results)} schedules of {modules} modules, {seconds / 3600:.2f} h")
    print("faults: " + ", ".join(f"{fault} {count}" for fault, count in sorted(faults.items())))
    for what in ("acknowledged", "frames", "requests", "half_open", "kills"):
        print(f"{what}: {sum(getattr(result, what) for result in results):,}")
    print(f"largest growth of resident memory over one attack: {max((r.rss_growth for r in results), default=0.0):.1%}")
    print(f"violations: {sum(len(result.violations) for result in results)}")


if __name__ == "__main__":
    raise SystemExit(main())
