"""Outage and recovery, by value: the modules' own law of coming back, with and without jitter, and a gate."""

from __future__ import annotations

import numpy as np
import pytest

from sim.load.capacity.outage import Outage, Watched, added_up, judged, planned, predicted
from tests.support import scenario

WIDE = "cloud.capacity.connections_per_s=100000/s"


def back(outage_s, *overrides, modules=400):
    given = scenario("fleet.groups.0.technology=cat4", "fleet.groups.0.rsrp_dbm=-85", WIDE, *overrides)
    return predicted(given, planned(given, modules, outage_s, 100.0))


def test_without_jitter_modules_of_one_outage_come_back_in_step():
    """They try after 1, 1 + 2 and 1 + 2 + 3 seconds, so all return 1 s after an outage of 5 s; attaching takes some milliseconds."""
    found = back(5.0, "fleet.physics.back_off_jitter_s=0")
    assert found.half_s == found.all_s == pytest.approx(1.0, abs=0.26)
    assert found.peak_logins_per_s == found.peak_attempts_per_s == 400.0


def test_jitter_spreads_the_return():
    """The third wait is 3 s and -0.5 to +1.5 s of jitter, on top of two earlier ones; a wider one spreads them more."""
    step, sdk, wide = (back(5.0, f"fleet.physics.back_off_jitter_s={width}") for width in (0, 2, 10))
    assert step.peak_logins_per_s > sdk.peak_logins_per_s > wide.peak_logins_per_s
    assert step.all_s < sdk.all_s < wide.all_s


def test_a_long_outage_ends_in_the_long_back_off():
    """After seven failures (28 s and jitter) a module waits half an hour: most are back 1,800 s after their seventh, not before."""
    found = back(60.0, "fleet.physics.long_back_off_s=300")
    assert found.half_s == pytest.approx(300.0 + 28.0 - 60.0, abs=8.0)
    assert found.watched_s >= 60.0 + 300.0
    assert found.all_s is not None


def test_a_gate_drains_them_at_its_rate():
    """400 modules in step before a gate of 50 a second: the last is in 8 s later, less than the 10 s a module waits for."""
    found = back(5.0, "fleet.physics.back_off_jitter_s=0", "cloud.capacity.connections_per_s=50/s")
    assert found.peak_logins_per_s == pytest.approx(50.0, abs=1.0)
    assert found.all_s == pytest.approx(1.0 + 8.0, abs=0.5)
    assert found.peak_attempts_per_s == 400.0


def test_who_waits_too_long_at_the_gate_tries_again():
    """At 20 a second 200 get in within 10 s; the others give up, back off and come again while their first try still queues."""
    found = back(5.0, "fleet.physics.back_off_jitter_s=0", "cloud.capacity.connections_per_s=20/s")
    assert found.peak_logins_per_s == pytest.approx(20.0, abs=1.0)
    assert found.half_s == pytest.approx(11.0, abs=0.5)
    assert found.all_s is None or found.all_s > 30.0


def test_workers_add_up_and_what_was_not_reached_is_none():
    one = Watched(*(np.array(values) for values in ([0, 5, 10], [0, 5, 10], [2, 8, 12])))
    two = Watched(*(np.array(values) for values in ([0, 1], [0, 1], [4, 4])))
    seen = added_up([one, two])
    assert seen.online.tolist() == [0, 6, 11]
    found = judged(Outage(12, 5.0, 1.0, 10.0), seen)
    assert (found.half_s, found.all_s) == (0.25, None)
    assert found.peak_attempts_per_s == 16.0
