"""Expected bricks: the chance before each draw, summed. As many as the bricks in the mean, at a fraction of their noise."""

from __future__ import annotations

from math import sqrt

import pytest

from tests.support import HARMLESS, run

QUIET = (*HARMLESS, "fleet.groups.0.rsrp_dbm=-70", "fleet.groups.0.free_space=16 MB", "horizon=2d",
         "plan.components.0.size=20 kB", "plan.strategy={preset: none}",
         "cloud.capacity={downloads: 100000, egress: 100 Gbit/s, connections_per_s: 100000, request_workers: 1000}")  # fmt: skip
IN_PLACE = ("fleet.groups.0.partition=in-place", "fleet.groups.0.power=mains", "fleet.failures.power_loss_mains_per_h=0.02",
            "fleet.failures.brick_in_place=0.0005")  # fmt: skip
RELEASES = {
    "resumable": ("fleet.failures.brick=0.001",),
    "in place, cut while it writes": IN_PLACE,
    "tried again after other failures": ("fleet.failures.brick=0.001", "fleet.failures.boot_failure=0.4",
                                         "plan.strategy.retry={number_of_retries: 3, retry_interval: 10min}"),
    "late": ("fleet.failures.late_failure=0.01", "fleet.failures.late_failure_median_s=1h", "fleet.failures.late_brick=0.1"),
}  # fmt: skip


@pytest.mark.parametrize("release", RELEASES)
def test_as_many_are_expected_as_are_bricked(release):
    """Brute force at about 1 in 1,000: over 60,000 modules the count lies within 4 standard deviations of the sum of chances."""
    bricked = expected = 0.0
    for seed in range(3):
        found = run(*QUIET, *RELEASES[release], "fleet.size=20000", f"seed={seed}", engine="compiled").records.modules
        bricked += int((found["cause"] == "bricked").sum())
        expected += float(found["expected_bricks"].sum())
    assert 40 < expected < 200
    assert abs(bricked - expected) < 4 * sqrt(expected)


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_one_in_a_million_to_a_per_cent(engine):
    """From 10,000 modules: the mean is known to 2 % at 95 %, of which frailty is all; nobody is bricked, and the count says 0.04 % at most."""
    size = 10_000 if engine == "compiled" else 500
    summary = run(*QUIET, "fleet.failures.brick=1e-6", f"fleet.size={size}", engine=engine).summary
    low, high = summary["intervals"]["expected_bricked"]
    assert low < 1e-6 < high
    assert (high - low) / 2e-6 == pytest.approx(1.96 / sqrt(size), rel=0.1), (
        "the gamma factor of mean 1 has a variance of 1"
    )
    assert summary["metrics"]["bricked"] == 0.0 and summary["intervals"]["bricked"][1] > 300e-6 * 10_000 / size


def test_a_gate_and_a_study_take_it():
    """A limit of 2 in a million is met in one run of 3,000 modules, and one of 5 in 10 million is not."""
    outcome = run(*QUIET, "fleet.failures.brick=1e-6", "fleet.size=3000", 'gates={expected_bricked: "upper <= 2e-6"}')
    assert [gate["state"] for gate in outcome.summary["gates"]] == ["met"]
    outcome = run(*QUIET, "fleet.failures.brick=1e-6", "fleet.size=3000", 'gates={expected_bricked: "<= 5e-7"}')
    assert [gate["state"] for gate in outcome.summary["gates"]] == ["not met"]


def test_an_mcu_that_hangs_is_no_brick():
    """The module beside it lives on."""
    found = run(
        *QUIET, "fleet.failures.brick=0.2", "fleet.size=50", "plan.components.0.type=mcu", engine="simpy"
    ).records.modules  # fmt: skip
    assert (found["expected_bricks"] == 0.0).all() and "bricked" not in set(found["cause"])
