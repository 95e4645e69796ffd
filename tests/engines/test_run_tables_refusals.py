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


DEVICE = ("fleet.failures.user_refusal=0", "fleet.physics={device_min_battery_percent: 80}", "fleet.groups.0.battery_percent=50",
          "plan.mode=silent", "plan.strategy.preconditions={min_battery_percent: 0, on_unmet: reject, checked_by: device}")  # fmt: skip


@pytest.mark.parametrize("outages", ["[]", "[{at: 5min, lasts: 20min, every: 6h}]"])
@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_limit_of_the_firmware_stays_the_reason_in_an_outage(outages: str, engine: str) -> None:
    found = run(*REFUSES, *DEVICE, f"cloud.outages={outages}", engine=engine).records.modules
    rejected = found[found["outcome"] == "rejected"]
    assert len(rejected) > 30
    assert set(rejected["cause"].astype(str)) == {"low_battery"}


@pytest.mark.parametrize("outages", ["[]", "[{at: 5min, lasts: 20min, every: 6h}]", "[{at: 5min, lasts: 2d}]"])
@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_failed_attempt_stays_the_reason_in_and_after_an_outage(outages: str, engine: str) -> None:
    """200 kB at some 10 kbit/s take minutes, the device allows 20 s: that is why the plan gave it up, not the link."""
    found = run(
        *HARMLESS, "fleet.groups.0.technology=nb-iot", "fleet.groups.0.check_in=always", "horizon=1d", "fleet.size=40",
        "fleet.groups.0.rsrp_dbm=-85", "fleet.failures.message_loss_nb_iot=0", "fleet.physics.download_limit_s=20",
        f"cloud.outages={outages}", engine=engine,
    ).records.modules  # fmt: skip
    failed = found[found["outcome"] == "failed"]
    assert len(failed) > 30
    assert set(failed["cause"].astype(str)) == {"download_too_long"}
