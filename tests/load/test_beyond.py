"""Beyond the capacity, by value: what a fluid queue of known capacity leaves over, and when it is worked off."""

from __future__ import annotations

import numpy as np
import pytest

from sim.load.capacity.beyond import AFTER, Overload, judged
from sim.load.capacity.wake_ups import KINDS, phase_times


def lindley(due_s, service_s, overloaded=lambda _at: 1.0):
    """First come, first served by one server; a job takes longer where `overloaded` says so."""
    free_s, waited = 0.0, np.empty(len(due_s))
    for k, due in enumerate(due_s):
        free_s = max(free_s, due) + service_s * overloaded(free_s - due)
        waited[k] = free_s - due
    return waited


@pytest.mark.parametrize("factor", [1.2, 1.5, 2.0])
@pytest.mark.parametrize("hold_s", [20.0, 60.0])
def test_what_is_left_over_is_worked_off_as_arithmetic_says(factor, hold_s):
    """(f - 1) x H seconds of work are left; at a fifth of the capacity that takes (f - 1) x H / 0.8 until none waits, and
    2 s x 0.8 less of it until none waits 2 s."""
    overload = Overload(1200.0, factor, hold_s)  # twenty a second
    due_s = phase_times(KINDS["releases"], overload.phases)
    found = judged(overload, due_s, lindley(due_s, 0.05), 2.0)
    left_s = (factor - 1.0) * hold_s
    assert found.recovered_s == pytest.approx(max(0.0, (left_s - 2.0) / (1.0 - AFTER)), abs=0.6)
    assert found.p99_s == pytest.approx(left_s, rel=0.05)
    assert found.over_limit == pytest.approx(1.0 - 2.0 / left_s, abs=0.03)
    assert found.served == pytest.approx(1.0, abs=0.03)
    assert not found.collapsed


def test_a_cloud_that_serves_less_under_overload_collapses():
    """Each job takes twice as long as soon as a second of work waits: half is served, and the queue is longer after that."""
    overload = Overload(1200.0, 1.5, 20.0)
    due_s = phase_times(KINDS["releases"], overload.phases)
    found = judged(overload, due_s, lindley(due_s, 0.05, lambda waits_s: 2.0 if waits_s > 1.0 else 1.0), 2.0)
    assert found.collapsed
    assert 0.5 < found.served < 0.7
    assert found.recovered_s > 1.5 * 12.5


def test_one_that_does_not_recover_while_it_is_watched_is_said_so():
    overload = Overload(1200.0, 2.0, 20.0)
    due_s = phase_times(KINDS["releases"], overload.phases)
    found = judged(overload, due_s, np.where(due_s < 10.0, 0.1, 5.0), 2.0)
    assert found.recovered_s is None
    assert found.as_dict()["watched_s"] == 80.0


def test_one_slow_module_long_after_is_no_overload():
    overload = Overload(1200.0, 1.5, 20.0)
    due_s = phase_times(KINDS["releases"], overload.phases)
    waited_s = lindley(due_s, 0.05)
    waited_s[-50] = 9.0
    assert judged(overload, due_s, waited_s, 2.0).recovered_s < 11.0
