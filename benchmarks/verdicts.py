"""How often a verdict is wrong: releases of known quality around the limits of their gates, judged after a few campaigns.

`python -m benchmarks.verdicts [--releases 200] [--replications 5] [--seed 1]` prints the table of docs/validation.md. The
true harm of a release is set, not estimated: each module draws by itself and has one attempt, so the chance of a failed first installation
and of a brick is the one the scenario gives. A Go is wrong when a true chance lies above its limit, a No go when both
lie at or below it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator

import numpy as np

from sim.engines.run import simulate
from sim.scenario import Scenario
from sim.scenario.load import check

MODULES = 800
LIMITS = {"first_installation_failed": 0.05, "bricked": 0.01}
QUALITIES = {"good by 2x": 0.5, "a little good": 0.85, "at the limit": 1.0, "a little bad": 1.18, "bad by 2x": 2.0}
"""Each quality, and its true chances as a multiple of the limits."""

_SCENARIO = """\
name: release
horizon: 2d
fleet:
  size: {modules}
  failures: {{never_online: 0, long_offline: 0, link_drop_factor: 0, server_error: 0, checksum_error: 0, image_mismatch: 0,
    flash_error: 0, no_reattach: 0, user_refusal: 0, power_loss_mains_per_h: 0, frailty_variance: 0,
    boot_failure: {boot}, brick: {brick}}}
  groups:
    - {{name: all, share: 1.0, technology: cat1bis, power: mains, components: {{fw: "1.0.0"}}, check_in: always, rsrp_dbm: -80}}
plan:
  name: fw
  components: [{{component: fw, type: firmware, package: full, target_version: "1.1.0", size: 100 kB}}]
  strategy: {{retry: {{number_of_retries: 0}}}}
gates:
  first_installation_failed: "<= {failed}"
  bricked: "<= {bricked}"
"""


def release(multiple: float, seed: int) -> Scenario:
    """A release whose true chances of harm are this multiple of the limits.

    A first installation fails when it bricks or does not boot, so the chance not to boot is that of the rest.
    """
    brick = multiple * LIMITS["bricked"]
    boot = (multiple * LIMITS["first_installation_failed"] - brick) / (1.0 - brick)
    text = _SCENARIO.format(
        modules=MODULES, boot=boot, brick=brick, failed=LIMITS["first_installation_failed"], bricked=LIMITS["bricked"]
    )
    return check(text, "release.yaml", [f"seed={seed}"])


def verdicts(releases: int, replications: int, seed: int) -> Iterator[tuple[str, str]]:
    """(quality, verdict) of every release; qualities take turns."""
    seeds = np.random.default_rng(seed).integers(1, 2**31, releases)
    names = list(QUALITIES)
    for i, own in enumerate(seeds):
        name = names[i % len(names)]
        found = simulate(release(QUALITIES[name], int(own)), replications=replications)
        yield name, str(found.summary["verdict"])


def main() -> None:
    """Prints the table and the two shares of wrong verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases", type=int, default=200)
    parser.add_argument("--replications", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    counts: dict[str, Counter[str]] = {name: Counter() for name in QUALITIES}
    for name, verdict in verdicts(given.releases, given.replications, given.seed):
        counts[name][verdict] += 1
    words = ("go", "marginal", "no-go", "stopped", "invalid")
    print(f"| release | true chances | {' | '.join(words)} |\n|---|---|{'---|' * len(words)}")
    for name, found in counts.items():
        print(f"| {name} | {QUALITIES[name]:g} x limit | {' | '.join(str(found[w]) for w in words)} |")
    bad = sum((counts[name] for name, q in QUALITIES.items() if q > 1.0), Counter[str]())
    fine = sum((counts[name] for name, q in QUALITIES.items() if q <= 1.0), Counter[str]())
    print(f"wrong Go: {bad['go']} of {bad.total()} bad releases ({100 * bad['go'] / max(bad.total(), 1):.1f} %)")
    wrong = fine["no-go"] + fine["stopped"]
    print(f"wrong No go: {wrong} of {fine.total()} releases within limits ({100 * wrong / max(fine.total(), 1):.1f} %)")


if __name__ == "__main__":
    main()
