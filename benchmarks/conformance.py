"""As many random scenarios as one likes, on both engines: the same records, or the first scenario that tells them apart.

python -m benchmarks.conformance --scenarios 2000 --seed 7
"""

from __future__ import annotations

import argparse
import random

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.conformance.test_engines import both
from tests.strategies import ANY, ANY_POLLED, overrides
from tests.support import scenario


def main() -> None:
    """Runs the scenarios; an AssertionError shows the smallest one that differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenarios", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    asked = parser.parse_args()
    done = [0]

    @seed(asked.seed)
    @settings(max_examples=asked.scenarios, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.one_of(ANY, ANY, ANY_POLLED))
    def same(keys: dict[str, str]) -> None:
        both(scenario(*overrides(keys)))
        done[0] += 1

    same()
    print(f"{done[0]} scenarios from seed {asked.seed}: the same records on both engines")


if __name__ == "__main__":
    main()
