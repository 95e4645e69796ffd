"""What a module decides on a notice, against values worked out by hand."""

from __future__ import annotations

import pytest

from sim.causes import Cause
from sim.messages import PLAN_RECEIVED, REFUSED, SUBMITTED
from sim.module import behaviour, states
from sim.module.inputs import Effect, Input
from sim.module.link_states import LinkState
from sim.module.profile import Profile
from sim.module.rows import ModuleRow, Power

PROFILE = Profile(power=Power.BATTERY, capacity_j=1e6, gauge_resolution_percent=0.0, user_refusal=0.0)


def offered(**values):
    """A module that has been offered a package: 30 %, -113 dBm and 1,000 bytes are wanted."""
    given = {
        "battery_percent": 80.0, "rsrp_dbm": -100.0, "free_bytes": 5000, "min_battery_percent": 30.0,
        "min_rsrp_dbm": -113.0, "needed_bytes": 1000, "link": LinkState.ONLINE, "status": PLAN_RECEIVED,
    }  # fmt: skip
    return ModuleRow(**{**given, **values})


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({}, Cause.NONE),
        ({"battery_percent": 12.0}, Cause.LOW_BATTERY), ({"battery_percent": 29.9}, Cause.LOW_BATTERY),
        ({"battery_percent": 30.0}, Cause.NONE),
        ({"battery_percent": 30.5, "min_battery_percent": 30.9}, Cause.LOW_BATTERY),
        ({"rsrp_dbm": -113.1}, Cause.WEAK_SIGNAL), ({"rsrp_dbm": -113.0}, Cause.NONE),
        ({"free_bytes": 999}, Cause.NO_SPACE), ({"free_bytes": 1000}, Cause.NONE),
        ({"battery_percent": 12.0, "rsrp_dbm": -130.0, "free_bytes": 0}, Cause.LOW_BATTERY),
    ],
)  # fmt: skip
def test_a_limit_that_is_unmet_is_refused_for_its_cause(values, cause):
    """A value equal to its limit meets it, fractions count, and the battery is looked at first."""
    row = offered(**values)
    effects = behaviour.receive(row, PROFILE, Input.DECIDE, 100.0)
    assert row.cause == cause and effects & Effect.PUBLISH
    assert row.published == (SUBMITTED if cause == Cause.NONE else REFUSED)
    assert row.refusals == (0 if cause == Cause.NONE else 1)


def test_a_module_told_not_to_check_accepts():
    row = offered(battery_percent=1.0)
    behaviour.receive(row, Profile(power=Power.BATTERY, device_checks=0, user_refusal=0.0), Input.DECIDE, 100.0)
    assert (row.status, row.ota_at) == (SUBMITTED, 100.0 + states.URL_TIMEOUT_S)


def test_a_user_who_always_refuses():
    row = offered()
    behaviour.receive(row, Profile(power=Power.BATTERY, capacity_j=1e6, user_refusal=1.0), Input.DECIDE, 100.0)
    assert (row.published, row.cause) == (REFUSED, Cause.USER_REFUSED)


def test_a_decision_waits_until_it_can_be_sent():
    """Offline nothing is decided; on the next connection it is due at once."""
    row = offered(link=LinkState.OFFLINE)
    assert behaviour.receive(row, PROFILE, Input.DECIDE, 100.0) == 0
    assert (row.status, row.decided) == (PLAN_RECEIVED, 1)
    row.link = LinkState.CONNECTING
    behaviour.receive(row, PROFILE, Input.CONNECTED, 200.0)
    assert (row.ota_at, row.ota_then) == (200.0, Input.DECIDE)


def test_without_a_notice_there_is_nothing_to_decide():
    row = ModuleRow(link=LinkState.ONLINE)
    assert behaviour.receive(row, PROFILE, Input.DECIDE, 100.0) == Effect.REFUSED_INPUT
