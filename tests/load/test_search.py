"""The capacity search against clouds whose capacity is known by arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from sim.engines.live.latency import Latencies
from sim.engines.live.slo import completed, parse
from sim.errors import InputError
from sim.load.capacity.search import Bounds, Measurement, search
from sim.stats.evidence import Answer, Evidence, bounds, falls_behind, fewest, growth
from sim.units import show_share

SLO = parse("p99(notify)<2s")
TERM = "p99(notify)<2s"


PLENTY = 1_000_000


def waits(seconds, samples=PLENTY, term=TERM, **also):
    """A measurement in which all waited equally long."""
    over = samples if seconds >= 2.0 else 0
    return Measurement({term: seconds}, {term: Evidence(samples, over, 0.01)}, **also)


def queue(capacity):
    """A fluid queue of one server: above the capacity the wait grows with the excess for as long as the load lasts."""

    def probe(load, hold_s):
        return waits(0.01 + max(0.0, load / capacity - 1.0) * hold_s)

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
    assert "the largest load tried: the cloud may sustain more" in found.reason


def test_a_starved_generator_voids_its_measurements_and_ends_the_search():
    """Above 300 the generator is late: those points, good or bad, are not evidence."""

    def probe(load, hold_s):
        late = ("its timers were late",) if load > 300.0 else ()
        return waits(0.01, void=late)

    found = search(probe, SLO, Bounds(start=100.0))
    assert found.capacity == 200.0
    assert not found.complete
    assert not found.confirmed
    assert "generator was the bottleneck" in found.reason


def test_one_void_measurement_is_repeated():
    tries = []

    def probe(load, hold_s):
        tries.append(load)
        seconds = queue(150.0)(load, hold_s).values[TERM]
        return waits(seconds, void=("a hiccup",) if len(tries) == 1 else ())

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
    with pytest.raises(InputError, match="SLO"):
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


# --- evidence ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("allowed", "samples"), [(0.01, 299), (0.05, 59), (0.001, 2995), (0.5, 5), (0.0, 1)])
def test_a_percentile_needs_samples(allowed, samples):
    """(1 - allowed) ** n <= 0.05 for the first time."""
    assert fewest(allowed) == samples
    assert Evidence(samples, 0, allowed).answer() is Answer.KEPT
    assert Evidence(samples - 1, 0, allowed).answer() is Answer.UNDECIDED


@pytest.mark.parametrize(
    ("over", "tried", "allowed", "answer"),
    [
        (0, 20, 0.01, Answer.UNDECIDED),  # a p99 of twenty samples is their maximum
        (3, 20, 0.01, Answer.BROKEN),  # 15 %, at least 4.2 %
        (1, 20, 0.01, Answer.UNDECIDED),
        (35, 100, 0.01, Answer.BROKEN),
        (0, 0, 0.01, Answer.UNDECIDED),
        (1, 10_000, 0.0, Answer.BROKEN),  # a maximum
        (0, 3, 0.0, Answer.KEPT),
        (100, 10_000, 0.01, Answer.UNDECIDED),  # exactly on the limit
        (80, 10_000, 0.01, Answer.KEPT),
        (120, 10_000, 0.01, Answer.BROKEN),
    ],
)  # fmt: skip
def test_the_evidence_decides_or_does_not(over, tried, allowed, answer):
    assert Evidence(tried, over, allowed).answer() is answer


@given(over=st.integers(0, 60), more=st.integers(0, 3000))
def test_the_bounds_are_clopper_and_pearsons(over, more):
    """With the lower bound as the truth as many are over in 5 % of cases, with the upper one as few."""
    tried = over + more
    low, high = bounds(over, tried)
    if over:
        assert binom.sf(over - 1, tried, low) == pytest.approx(0.05, rel=1e-6)
    if more:
        assert binom.cdf(over, tried, high) == pytest.approx(0.05, rel=1e-6)
    assert low <= over / max(tried, 1) <= high


def test_what_does_not_come_to_its_end_does_not_keep_a_percentile():
    """98 upgrades in a second and two that never came: 2 % are over 10 s, whatever the quantile of the others."""
    found = Latencies()
    for _ in range(98):
        found.add("upgrade", 1.0)
    for _ in range(2):
        found.fail("upgrade", "the upgrade failed")
    slo = parse("p99(upgrade)<10s")
    assert slo.values(found)["p99(upgrade)<10s"] == pytest.approx(1.0, rel=1e-3)
    assert slo.evidence(found)["p99(upgrade)<10s"] == Evidence(100, 2, 0.01)


@pytest.mark.parametrize(
    ("text", "added"),
    [
        ("p99(notify)<2s", ("p99(wake)<2s", "error_rate(upgrade)<1%")),
        ("p99(notify)<2s, error_rate<0.1%", ("p99(wake)<2s",)),
        ("p99(connect)<2s, p95(notify)<3s, error_rate<1%", ("p95(wake)<5s",)),
        ("p99(connect)<2s, p99(login)<1s, error_rate<1%", ()),  # a plan that offers nothing
        ("p99(wake)<4s, p99(notify)<2s, error_rate(upgrade)<5%", ()),
        ("p95(download)<60s", ("p99(wake)<9s", "error_rate(upgrade)<1%")),
        ("error_rate(download)<5%", ("p99(wake)<9s", "error_rate(upgrade)<1%")),
        ("max(notify)<2s, error_rate<1%", ("max(wake)<2s",)),
    ],
)  # fmt: skip
def test_an_slo_gets_what_its_intent_needs(text, added):
    """p99(notify)<2s alone called a cloud confirmed that stood still 5 s of every 17: it lets nobody in, and nobody asks."""
    slo, terms = completed(parse(text), parse("p99(wake)<9s, p99(upgrade)<60s"), "upgrade")
    assert terms == added
    assert [o.text for o in slo.objectives] == [*(o.text for o in parse(text).objectives), *added]
    assert completed(slo, parse("p99(wake)<9s"), "upgrade") == (slo, ())


# --- verdicts ----------------------------------------------------------------------------------------------------------


def few(rate, seconds=0.01):
    """A cloud that answers fast; so many samples as modules come."""
    return lambda load, hold_s: waits(seconds, int(rate * load * hold_s))


def test_too_few_samples_are_no_confirmation():
    """Five a minute for ten times a minute are 50 samples; a p99 takes 299."""
    found = search(few(1 / 60), SLO, Bounds(start=5.0, high=5.0))
    assert (found.capacity, found.confirmed, found.undecided) == (None, False, True)
    assert "50 samples, at least 528 are needed" in found.reason
    assert found.answer_to(5.0) is Answer.UNDECIDED


def test_a_load_is_held_until_the_evidence_is_enough():
    """Ten looks of 99.5 % each: a p99 takes 528 samples then, and 100 a minute give them in six holds of a minute."""
    found = search(few(1 / 60), SLO, Bounds(start=100.0, high=100.0))
    assert found.confirmed
    assert [p.answer for p in found.points if p.phase == "confirm"] == 5 * ["undecided"] + ["kept"]
    assert "held for 360 s" in found.reason


def test_what_fails_at_any_load_ends_the_search_with_that_finding():
    """35 of 100 upgrades fail, at 60 as at 1: not a question of capacity, and certainly not five a minute."""
    term = "error_rate(upgrade)<1%"
    slo, tried = parse("p99(notify)<2s, error_rate(upgrade)<1%"), []

    def probe(load, hold_s):
        tried.append(load)
        many = int(100 * load)
        return Measurement(
            {TERM: 0.01, term: 0.35}, {TERM: Evidence(many, 0, 0.01), term: Evidence(many, int(0.35 * many), 0.01)}
        )

    found = search(probe, slo, Bounds(start=60.0))
    assert found.capacity is None
    assert not found.undecided
    assert tried == [60.0, 7.5]
    assert f"{term} does not depend on the load: 262 of 750 (35 %) do not keep it already at 7.5" in found.reason


def test_what_breaks_every_long_hold_ends_the_search_with_that_finding():
    """A quarter of the upgrades hangs: ten seconds do not show it, a minute does, at any load."""
    term, loads = "error_rate(upgrade)<1%", []

    def probe(load, hold_s):
        loads.append(load)
        tried = round(load * hold_s / 60.0)
        hanging = tried // 4 if hold_s >= 60.0 else 0
        return Measurement({term: hanging / tried}, {term: Evidence(tried, hanging, 0.01)})

    found = search(probe, parse(term), Bounds(start=600.0, high=600.0, hold_s=10.0, confirm_s=60.0))
    assert (found.capacity, found.confirmed, found.undecided) == (None, False, False)
    assert f"{term} does not depend on the load" in found.reason
    assert min(loads) > 10.0  # it does not go down to a single module


def test_failures_that_come_with_the_load_are_a_matter_of_capacity():
    term = "error_rate<0.1%"
    slo = parse(term)

    def probe(load, hold_s):
        share = max(0.0, 1.0 - 40.0 / load)
        return Measurement({term: share}, {term: Evidence(10_000, int(10_000 * share), 0.001)})

    found = search(probe, slo, Bounds(start=500.0))
    assert found.confirmed
    assert found.capacity == pytest.approx(40.0, rel=0.06)


def test_a_fault_breaks_a_load_whatever_the_objectives_say():
    """Above 100 the cloud loses updates; every objective is kept."""
    found = search(
        lambda load, hold_s: waits(0.01, faults=("the cloud lost updates",) if load > 100.0 else ()),
        SLO,
        Bounds(start=60.0),
    )
    assert found.confirmed
    assert 100.0 / 1.06 <= found.capacity <= 100.0
    assert found.first_broken.broken == ("the cloud lost updates",)
    assert found.answer_to(300.0) is Answer.BROKEN


def test_the_bound_of_the_search_is_named_only_when_nothing_broke_above():
    broke = search(queue(150.0), SLO, Bounds(start=100.0, high=200.0))
    assert "may sustain more" not in broke.reason
    held = search(queue(1e6), SLO, Bounds(start=100.0, high=200.0))
    assert "may sustain more" in held.reason


def test_an_overload_that_the_objective_does_not_see_yet_shows_in_the_trend():
    """519 a minute at 107.7 requests a second where 100 are served: 7.1 % are left over, and nobody waits 2 s within 20 s."""
    due_s = np.arange(0.0, 20.0, 60.0 / 519.0)
    waited_s = 0.02 + due_s * (1.0 - 100.0 / 107.7)
    assert waited_s.max() < 2.0
    slope, rises = growth(due_s, waited_s)
    assert (slope, rises) == (pytest.approx(0.0715, rel=1e-2), 28)
    assert (
        "the server falls behind: the latency of wake grew by 1.1 s within 14.9 s"
        in falls_behind("wake", due_s, waited_s)[0]
    )


@pytest.mark.parametrize("where_s", [1.0, 10.0, 18.0])
def test_one_stall_is_no_trend(where_s):
    """A pause of two seconds: who is due within it waits for its end."""
    due_s = np.arange(0.0, 20.0, 0.02)
    waited_s = np.where((due_s > where_s) & (due_s < where_s + 2.0), where_s + 2.0 - due_s, 0.01)
    assert falls_behind("wake", due_s, waited_s) == ()


def test_a_second_is_too_short_for_a_trend():
    """A tenth of a second a second, as in an overload of a tenth, for a second: nobody knows yet."""
    due_s = np.arange(0.0, 1.5, 0.002)
    assert falls_behind("wake", due_s, 0.02 + 0.2 * due_s) == ()
    assert falls_behind("wake", 10.0 * due_s, 0.02 + 2.0 * due_s) != ()
    assert falls_behind("wake", np.array([]), np.array([])) == ()


def test_a_server_that_keeps_up_has_no_trend():
    """An M/M/1 queue at 80 % load: of 200 runs hardly any looks as if it fell behind (7 of 1,000 by chance alone)."""
    generator = np.random.default_rng(7)
    flagged = 0
    for _ in range(200):
        due_s = np.cumsum(generator.exponential(1.0, 2000)) / 80.0
        service_s, free_s, waited_s = generator.exponential(0.01, 2000), 0.0, np.empty(2000)
        for k in range(2000):
            free_s = max(free_s, due_s[k]) + service_s[k]
            waited_s[k] = free_s - due_s[k]
        flagged += bool(falls_behind("wake", due_s, waited_s))
    assert flagged <= 2


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100 %"), (0.996, "100 %"), (0.35, "35 %"), (0.00123, "0.12 %"), (0.0, "0 %")]
)
def test_a_share_is_never_shown_as_a_power_of_ten(share, text):
    assert show_share(share) == text
