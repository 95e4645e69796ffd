"""Fault schedules over live rollouts: `python -m benchmarks.chaos [--schedules N] [--modules N] [--setup S] [--seconds S]`.

Every schedule is drawn by its seed and can be played again. Prints a line a schedule and the sums at the end, which
docs/reliability.md states, also after Ctrl-C or SIGTERM; ends with 1 when an invariant did not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.hostile.chaos import SETUPS, Result, play
from tests.service.stores import PostgreSQL

MIXED = ("sqlite", "postgresql", "sqlite", "broker")
"""What the cloud stands on, by seed."""


def main() -> int:
    """Plays the schedules."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # connections that were cut are the point
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schedules", type=int, default=500)
    parser.add_argument("--modules", type=int, default=300)
    parser.add_argument("--setup", choices=[*SETUPS, "mixed"], default="mixed", help="what the cloud stands on")
    parser.add_argument("--faults", type=int, default=6)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further schedule after this time")
    given = parser.parse_args()
    began, cluster, results = time.monotonic(), None, []
    if given.setup in ("postgresql", "mixed"):
        cluster = PostgreSQL()
        cluster.start()
    try:
        for result in _played(given, began + given.seconds, cluster):
            results.append(result)
    except KeyboardInterrupt:
        print("interrupted: what was played until then counts")
    finally:
        if cluster is not None:
            cluster.stop()
    _summary(results, given, time.monotonic() - began)
    return int(any(result.violations for result in results))


def _played(given: argparse.Namespace, until: float, cluster: PostgreSQL | None) -> Iterator[Result]:
    """The results of one schedule after the other, each told on a line."""
    for seed in range(given.first_seed, given.first_seed + given.schedules):
        if time.monotonic() > until:
            return
        setup = MIXED[seed % len(MIXED)] if given.setup == "mixed" else given.setup
        options = {"modules": given.modules, "faults": given.faults, "setup": setup, "cluster": cluster}
        with tempfile.TemporaryDirectory(prefix="fotasim-chaos-") as folder:
            result = asyncio.run(play(Path(folder), seed, **options))
        held = "held" if not result.violations else "; ".join(result.violations)
        print(f"seed {seed}, {setup}: {', '.join(result.faults)}: {held}", flush=True)
        yield result


def _summary(results: list[Result], given: argparse.Namespace, seconds: float) -> None:
    faults = Counter(fault for result in results for fault in result.faults)
    setups = Counter(result.setup for result in results)
    shares = ", ".join(f"{setup} {count}" for setup, count in sorted(setups.items()))
    print(f"{len(results)} schedules of {given.modules} modules ({shares}), {seconds / 3600:.2f} h")
    print("faults: " + ", ".join(f"{fault} {count}" for fault, count in sorted(faults.items())))
    for what in ("acknowledged", "frames", "requests", "half_open", "kills"):
        print(f"{what}: {sum(getattr(result, what) for result in results):,}")
    print(f"largest growth of resident memory over one attack: {max((r.rss_growth for r in results), default=0.0):.1%}")
    print(f"violations: {sum(len(result.violations) for result in results)}")


if __name__ == "__main__":
    raise SystemExit(main())
