"""A module that refused keeps its reason, whatever its link does afterwards."""

from __future__ import annotations

import pytest

from tests.support import HARMLESS, run

REFUSES = (
    *HARMLESS, "fleet.groups.0.check_in=always", "horizon=1d", "fleet.size=60", "fleet.failures.user_refusal=1",
    "fleet.failures.frailty_variance=0", "plan.mode=confirm", "plan.user_delay=1s", "plan.strategy.preset=none",
    "plan.strategy.preconditions={on_unmet: reject}",
)  # fmt: skip


@pytest.mark.parametrize("outages", ["[]", "[{at: 5min, lasts: 20min, every: 6h}]"])
@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_an_outage_after_a_refusal_is_not_its_reason(outages: str, engine: str) -> None:
    found = run(*REFUSES, f"cloud.outages={outages}", engine=engine).records.modules
    rejected = found[found["outcome"] == "rejected"]
    assert len(rejected) > 30
    assert set(rejected["cause"].astype(str)) == {"user_refused"}
