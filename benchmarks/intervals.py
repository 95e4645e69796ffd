"""How often 95 % intervals of the study hold a truth that is known: 200 repeated studies of each kind.

    python benchmarks/intervals.py [--studies 200] [--workers 2] [--kind paired]

Kinds: the success rate over 20 campaigns, as pages state it and by bootstrap; the same until its interval is narrow (looked at after
20, 30, 40 … campaigns); a paired difference of two settings, of 2.5 modules and of one module a campaign; a rare share, five events
expected in the whole study. Every study has a seed of its own; the answers follow from the scenario without simulation.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import pandas as pd
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sim.scenario import Scenario
from sim.stats.campaigns import bootstrap, estimate
from sim.stats.paired import not_a_point, paired_difference
from sim.study.campaign import Job, table
from sim.study.pool import Pool, collect
from sim.study.replicate import FIRST_LOOK, STEP
from tests.study.known import dark_share

DARK, DARKER, LITTLE_DARKER, BRICK = 0.10, 0.15, 0.12, 0.005
NARROW = 0.0177
CAMPAIGNS, MOST = 20, 60
SMALL = ("fleet.size=50", "horizon=1d", "fleet.groups.all.check_in={every: 6h}")


class Studies:
    """The studies of one seed, sharing campaigns where they may."""

    def __init__(self, pool: Pool, seed: int) -> None:
        self._pool = pool
        self._seed = seed
        self._dark = table([])

    def _frame(self, scenario: Scenario, count: int, first: int = 0):  # noqa: ANN202 - a pandas table
        found, _ = collect(self._pool, [Job(scenario, r) for r in range(first, first + count)])
        return table([c for c in found if c is not None])

    def _first(self, count: int):  # noqa: ANN202 - a pandas table
        """The first campaigns with DARK, run when first asked for."""
        if len(self._dark) < count:
            more = self._frame(dark_share(DARK, f"seed={self._seed}", *SMALL), count - len(self._dark), len(self._dark))
            self._dark = pd.concat([self._dark, more], ignore_index=True) if len(self._dark) else more
        return self._dark.head(count)

    def fixed(self) -> bool:
        """Success over 20 campaigns: its mean is 1 - DARK."""
        found = estimate(self._first(CAMPAIGNS), "success_rate")
        return found.low <= 1 - DARK <= found.high

    def bootstrapped(self) -> bool:
        """The same campaigns with bootstrap bounds."""
        found = bootstrap(self._first(CAMPAIGNS), "success_rate")
        return found.low <= 1 - DARK <= found.high

    def until_narrow(self) -> bool:
        """The same, stopped at the first look at which the half-width is at most NARROW."""
        for looked in range(FIRST_LOOK, MOST + 1, STEP):
            found = estimate(self._first(looked), "success_rate")
            if found.half_width <= NARROW:
                break
        return found.low <= 1 - DARK <= found.high

    def paired(self) -> bool:
        """Success with DARKER instead of DARK on common random numbers: the mean difference is DARK - DARKER."""
        return self._difference_holds(DARKER)

    def paired_small(self) -> bool:
        """The same with LITTLE_DARKER, which is one module a campaign."""
        return self._difference_holds(LITTLE_DARKER)

    def _difference_holds(self, darker: float) -> bool:
        first, other = self._first(CAMPAIGNS), self._frame(dark_share(darker, f"seed={self._seed}", *SMALL), CAMPAIGNS)
        found = not_a_point(
            paired_difference(first["success_rate"], other["success_rate"]), int(first["modules"].sum())
        )
        return found.estimate.low <= DARK - darker <= found.estimate.high

    def rare(self) -> bool:
        """Bricks with a chance of BRICK each: five among the 1,000 modules of a study on average."""
        chance = (f"fleet.failures.brick={BRICK}", "fleet.failures.frailty_variance=0")
        found = estimate(self._frame(dark_share(0.0, f"seed={self._seed}", *chance, *SMALL), CAMPAIGNS), "bricked")
        return found.low <= BRICK <= found.high


KINDS = ("fixed", "bootstrapped", "until_narrow", "paired", "paired_small", "rare")


def main() -> None:
    """Runs every kind and prints its coverage with an exact interval of its own."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--studies", type=int, default=200)
    options.add_argument("--workers", type=int, default=None)
    options.add_argument("--kind", action="append", choices=KINDS, help="only these")
    given = options.parse_args()
    hits = dict.fromkeys(given.kind or KINDS, 0)
    started = time.perf_counter()
    with Pool(given.workers) as pool:
        for seed in range(1, given.studies + 1):
            studies = Studies(pool, seed)
            for kind in hits:
                hits[kind] += getattr(studies, kind)()
            if seed % 20 == 0:
                print(
                    f"{seed} of {given.studies} studies, {time.perf_counter() - started:.0f} s",
                    file=sys.stderr,
                    flush=True,
                )
    for kind, count in hits.items():
        exact = stats.binomtest(count, given.studies).proportion_ci()
        print(
            f"{kind:<13} {count:>4} of {given.studies}: {100 * count / given.studies:.1f} % "
            f"(known to {100 * exact.low:.1f} to {100 * exact.high:.1f} %)"
        )


if __name__ == "__main__":
    main()
