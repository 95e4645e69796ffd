"""The capacity search against clouds whose capacity is known by arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.engines.live.latency import Latencies
from sim.errors import FotasimError
from sim.load.capacity.search import Bounds, Measurement, search
from sim.load.capacity.slo import parse

SLO = parse("p99(notify)<2s")
TERM = "p99(notify)<2s"


def queue(capacity):
    """A fluid queue of one server: above the capacity the wait grows with the excess for as long as the load lasts."""

    def probe(load, hold_s):
        return Measurement({TERM: 0.01 + max(0.0, load / capacity - 1.0) * hold_s})

    return probe


@given(capacity=st.floats(2.0, 50_000.0), start=st.floats(1.0, 50_000.0))
def test_the_capacity_of_a_fluid_queue_is_found(capacity, start):
    """At the threshold the wait is 2 s after the confirmation time: load = capacity x (1 + 1.99 / hold)."""
    bounds = Bounds(start=start, low=0.1, precision=0.02, hold_s=200.0, confirm_s=200.0)
    found = search(queue(capacity), SLO, bounds)
    assert found.confirmed
    edge = capacity * (1.0 + 1.99 / 200.0)
    assert edge / 1.021 <= found.capacity < edge


@given(capacity=st.floats(2.0, 5000.0), hold=st.floats(5.0, 100.0))
def test_what_is_confirmed_was_measured_to_hold_and_what_broke_lies_above(capacity, hold):
    found = search(queue(capacity), SLO, Bounds(start=10.0, low=0.1, hold_s=hold, confirm_s=3 * hold))
    kept = [p.load for p in found.points if p.kept and p.phase == "confirm"]
    assert max(kept) == found.capacity
    edge = capacity * (1.0 + 1.99 / (3 * hold))
    assert edge / 1.051 <= found.capacity < edge
    assert all(p.load > found.capacity for p in found.points if p.broken)
    assert found.first_broken.load > found.capacity


def test_a_cloud_that_bears_nothing_is_said_so():
    found = search(queue(1e-9), SLO, Bounds(start=100.0))
    assert found.capacity is None
    assert not found.confirmed
    assert "even a load of 1 " in found.reason


def test_a_cloud_that_bears_everything_is_capped_by_the_bound():
    found = search(queue(1e9), SLO, Bounds(start=100.0, high=1000.0))
    assert (found.capacity, found.confirmed) == (1000.0, True)
    assert "upper bound" in found.reason


def test_a_starved_generator_voids_its_measurements_and_ends_the_search():
    """Above 300 the generator is late: those points, good or bad, are not evidence."""

    def probe(load, hold_s):
        late = ("its timers were late",) if load > 300.0 else ()
        return Measurement(queue(1e6)(load, hold_s).values, void=late)

    found = search(probe, SLO, Bounds(start=100.0))
    assert found.capacity == 200.0
    assert not found.complete
    assert not found.confirmed
    assert "generator was the bottleneck" in found.reason


def test_one_void_measurement_is_repeated():
    tries = []

    def probe(load, hold_s):
        tries.append(load)
        return Measurement(queue(150.0)(load, hold_s).values, void=("a hiccup",) if len(tries) == 1 else ())

    found = search(probe, SLO, Bounds(start=100.0))
    assert tries[:2] == [100.0, 100.0]
    assert found.confirmed


def test_an_interrupt_keeps_what_is_known():
    def probe(load, hold_s):
        if load > 300.0:
            raise KeyboardInterrupt
        return queue(1e6)(load, hold_s)

    found = search(probe, SLO, Bounds(start=100.0))
    assert (found.capacity, found.complete) == (200.0, False)


def test_an_slo_is_read_as_written():
    slo = parse("p99(notify)<2s, error_rate<0.1%, p95(download)<2min, max(url) <= 500ms, error_rate(download)<0.01")
    assert [(o.leg, o.percent, o.limit) for o in slo.objectives] == [
        ("notice", 99.0, 2.0), (None, None, 0.001), ("download", 95.0, 120.0), ("url", 100.0, 0.5),
        ("download", None, 0.01),
    ]  # fmt: skip
    assert slo.patience_s == 120.0


@pytest.mark.parametrize(
    "text", ["", " , ", "p99<2s", "p99(notify)>2s", "p99(dance)<2s", "p999(notify)<2s", "p99(notify)<2 apples",
             "error_rate<0", "error_rate<200%", "p99(notify)<0s", "p99(notify)<2s p95(url)<1s"],
)  # fmt: skip
def test_a_wrong_slo_is_refused_with_an_example(text):
    with pytest.raises(FotasimError, match="SLO"):
        parse(text)


def test_figures_come_from_the_measurements():
    found = Latencies()
    for k in range(1, 1001):
        found.add("notice", k / 1000.0)
    found.fail("download", "503")
    values = parse("p99(notify)<2s, error_rate<0.1%, error_rate(download)<1%, p50(url)<1s").values(found)
    assert values["p99(notify)<2s"] == pytest.approx(0.99, rel=2e-3)
    assert values["error_rate<0.1%"] == pytest.approx(1 / 1001)
    assert values["error_rate(download)<1%"] == 1.0
    assert values["p50(url)<1s"] is None
    assert parse("p50(url)<1s").broken({"p50(url)<1s": None}) == ("p50(url)<1s",)
