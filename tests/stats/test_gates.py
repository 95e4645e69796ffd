"""Gates: what may be written, what is judged, how far it is from the limit, what cannot be told."""

import pytest

from sim import gates
from sim.gates import Figure, State
from sim.metrics import METRICS


@pytest.mark.parametrize(
    ("text", "metric", "bound", "sign", "limit", "by"),
    [
        ("bricked upper <= 1e-4", "bricked", "upper", "<=", 1e-4, ""),
        ("success_rate lower>=95 %", "success_rate", "lower", ">=", 0.95, ""),
        ("duration_p95 < 7d", "duration_p95", "value", "<", 604800.0, ""),
        ("time_to_95 <= 7d", "time_to_95", "value", "<=", 604800.0, ""),
        ("peak_requests_per_s<=600/min", "peak_requests_per_s", "value", "<=", 10.0, ""),
        ("energy_per_success_j <= 1 Wh", "energy_per_success_j", "value", "<=", 3600.0, ""),
        ("wasted_bytes <= 20 MB", "wasted_bytes", "value", "<=", 2e7, ""),
        ("attempts_per_module <= 1.2", "attempts_per_module", "value", "<=", 1.2, ""),
        ("bricked <= 1e-3 by hardware", "bricked", "value", "<=", 1e-3, "hardware"),
    ],
)
def test_expressions(text, metric, bound, sign, limit, by):
    """Metric, bound, comparison, limit with its unit, and slices."""
    gate = gates.parse_expression(text)
    assert (gate.metric, gate.bound, gate.sign, gate.by) == (metric, bound, sign, by)
    assert gate.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("bricked", "is not a gate"), ("bricked uper <= 1", "is not a gate"), ("bricked <= lots", "the limit of bricked"),
        ("bricked <= nan", "the limit of bricked"), ("<= 1", "is not a gate"), ("bricked =< 1", "is not a gate"),
        ("brickd <= 1e-3", "did you mean bricked"), ("bricked <= 1e-3 by component", "not known for each component"),
        # a share in percent without its sign, and the cure
        ("success_rate >= 85", 'write ">= 0.85"'), ("success_rate >= 1.5", "between 0 and 1"), ("bricked <= -1e-3", "between 0 and 1"),
        # what everything meets, and what nothing can
        ("bricked <= 1", "every result meets"), ("success_rate >= 0", "every result meets"), ("success_rate >= 0 %", "every result meets"),
        ("bricked < 0", "no result meets"), ("success_rate > 100 %", "no result meets"),
        ("bricked <= 0", "no number of modules can show never"), ("coverage >= 1", "no number of modules can show always"),
        # bare numbers where the unit is open, and units that are others'
        ("duration_p95 <= 7", "needs a unit, such as 7d"), ("peak_egress_bit_s <= 50", "needs a unit, such as 50 Mbit/s"),
        ("energy_lost_j <= 900", "needs a unit, such as 900 J"), ("wasted_bytes <= 20", "needs a unit, such as 200 MB"),
        ("duration_p95 <= 7 %", "duration"), ("success_rate >= 7d", "the limit of success_rate"), ("silent_losses <= 5 %", "is a number"),
    ],
)  # fmt: skip
def test_what_is_not_a_gate(text, says):
    """A clear error with the cure instead of a guess."""
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        gates.parse_expression(text)


@pytest.mark.parametrize(
    ("text", "figure", "state", "margin"),
    [
        # the whole interval on the right side, on the wrong one, and across the limit
        ("bricked <= 0.02", Figure(0.01, 0.005, 0.015, 1000), State.MET, 0.01),
        ("bricked <= 0.02", Figure(0.03, 0.025, 0.04, 1000), State.NOT_MET, -0.01),
        ("bricked <= 0.02", Figure(0.01, 0.001, 0.03, 1000), State.UNDECIDED, 0.01),
        ("success_rate >= 0.9", Figure(0.95, 0.92, 0.97, 500), State.MET, 0.05),
        ("success_rate >= 0.9", Figure(0.8, 0.75, 0.84, 500), State.NOT_MET, -0.1),
        ("success_rate >= 0.9", Figure(0.91, 0.88, 0.93, 500), State.UNDECIDED, 0.01),
        # the bound named is judged, the doubt is the same
        ("bricked upper <= 0.02", Figure(0.01, 0.005, 0.015, 1000), State.MET, 0.005),
        ("bricked upper <= 0.02", Figure(0.01, 0.001, 0.03, 1000), State.UNDECIDED, -0.01),
        ("bricked lower <= 0.02", Figure(0.03, 0.015, 0.05, 1000), State.MET, 0.005),
        ("bricked lower <= 0.02", Figure(0.03, 0.025, 0.05, 1000), State.NOT_MET, -0.005),
        # nobody exposed, nobody in need, too few to show it
        ("bricked <= 1e-3", Figure(None, total=0), State.TOO_LITTLE, None),
        ("success_rate >= 0.9", Figure(None, total=0, needed=False), State.NOTHING, None),
        ("bricked <= 1e-3", Figure(0.0, 0.0, 0.0324, 112), State.TOO_LITTLE, 1e-3),
        ("bricked <= 1e-3", Figure(0.0, 0.0, 9e-4, 4000), State.MET, 1e-3),
        ("success_rate >= 0.99", Figure(1.0, 0.7, 1.0, 10), State.TOO_LITTLE, 0.01),
        # times: a bound that is not there is no bound; one not reached while watched is not met
        ("duration_p95 <= 7d", Figure(86400.0, 80000.0, None), State.UNDECIDED, 518400.0),
        ("time_to_95 <= 7d", Figure(None, at_least=7 * 86400.0), State.NOT_MET, None),
        ("time_to_95 <= 7d", Figure(None, at_least=6 * 86400.0), State.TOO_LITTLE, None),
        # without an interval the value decides; a bound that is not known is not met
        ("peak_downloads <= 100", Figure(100.0), State.MET, 0.0),
        ("peak_downloads < 100", Figure(100.0), State.NOT_MET, 0.0),
        ("peak_downloads upper <= 100", Figure(50.0), State.TOO_LITTLE, None),
    ],
)  # fmt: skip
def test_states_and_margins(text, figure, state, margin):
    """What a gate comes to, by value."""
    found = gates.judge(gates.parse_expression(text), figure)
    assert found.state == state
    assert found.met is (state is State.MET)
    assert found.margin == (None if margin is None else pytest.approx(margin))


@pytest.mark.parametrize(
    ("text", "cases"),
    [("bricked <= 1e-3", 3688), ("bricked <= 1e-4", 36887), ("success_rate >= 0.99", 368), ("bricked upper <= 1 %", 368),
     ("wasted_share <= 0.1", None)],
)  # fmt: skip
def test_cases_needed(text, cases):
    """ln 0.025 / ln(1 - limit): with one case less a flawless result does not meet the gate, with so many it does."""
    from sim.stats.intervals import exact

    gate = gates.parse_expression(text)
    assert gates.cases_needed(gate) == cases
    if cases is not None:
        for total, state in ((cases - 1, State.TOO_LITTLE), (cases, State.MET)):
            hits = 0 if gate.at_most else total
            assert gates.judge(gate, Figure(float(hits > 0), *exact(hits, total), total)).state == state


def test_replications_that_would_settle_it():
    """Intervals shrink with the root of the cases; at the limit itself no number helps; too few needs the cases."""
    gate = gates.parse_expression("bricked <= 0.02")
    assert gates.judge(gate, Figure(0.01, 0.001, 0.04, 1000), replications=3).replications == 27
    # 753 cases tell 2 % from 1 %, 18,824 from 1.8 %.
    at_it = gates.judge(gate, Figure(0.02, 0.01, 0.04, 752))
    assert (at_it.state, at_it.needs, at_it.replications) == (State.TOO_LITTLE, 18_824, 26)
    enough = gates.judge(gate, Figure(0.02, 0.01, 0.035, 753))
    assert (enough.state, enough.needs, enough.replications) == (State.UNDECIDED, None, None)
    few = gates.judge(gates.parse_expression("bricked <= 1e-3"), Figure(0.0, 0.0, 0.0324, 112))
    assert (few.needs, few.replications) == (3688, 33)


@pytest.mark.parametrize(
    ("text", "cases"),
    [("duration_p50 <= 7d", 6), ("duration_p95 <= 7d", 72), ("duration_p99 <= 7d", 368), ("time_to_80 <= 7d", 17),
     ("duration_p95 >= 1h", 2), ("duration_p50 >= 1h", 6)],
)  # fmt: skip
def test_cases_a_quantile_of_times_needs(text, cases):
    """From so many on an order statistic bounds it on the side of the limit; with one less none does, and it is too little."""
    from sim.stats.replicated import quantile_interval

    gate = gates.parse_expression(text)
    assert gates.cases_needed(gate) == cases
    share = int("".join(filter(str.isdigit, gate.metric))) / 100
    for count, there in ((cases, True), (cases - 1, False)):
        found = quantile_interval(range(1, count + 1), share).plain()
        assert (found["high" if gate.at_most else "low"] is not None) is there
        judged = gates.judge(gate, Figure(found["value"], found["low"], found["high"], count))
        assert (judged.state == State.TOO_LITTLE) is (not there), (count, judged.state)


@pytest.mark.parametrize(
    ("given", "refused"),
    [(("bricked <= 0.1 %", "bricked_of_installed >= 1 %"), True), (("success_rate >= 99 %", "success_rate <= 90 %"), True),
     (("success_rate upper <= 90 %", "success_rate >= 99 % by hardware"), True), (("bricked < 1 %", "bricked >= 1 %"), True),
     (("bricked <= 1 %", "bricked >= 1 %"), False), (("bricked lower <= 0.1 %", "bricked >= 1 %"), False),
     (("duration_p50 >= 2 d", "duration_p95 <= 1 d"), True), (("duration_p50 <= 1 d", "duration_p95 >= 2 d"), False),
     (("time_to_99 <= 1 d", "time_to_50 >= 2 d"), True), (("success_rate >= 99 %", "coverage <= 50 %"), True), (("success_rate <= 50 %", "coverage >= 99 %"), False),
     (("bricked_of_targets >= 5 %", "took_image <= 1 %"), True), (("success_rate >= 0.9", "bricked <= 1e-3"), False)],
)  # fmt: skip
def test_gates_that_no_result_meets_together(given, refused):
    """They are refused in either order, with both named; those that some result meets are not."""
    for listed in (given, given[::-1]):
        parsed = [gates.parse_expression(text) for text in listed]
        if not refused:
            gates.check_together(parsed)
            continue
        with pytest.raises(ValueError, match="no result meets both") as error:
            gates.check_together(parsed)
        assert all(text in str(error.value) for text in given)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_can_be_gated(name):
    """Each with a limit in its own unit."""
    limit = {"share": "5 %", "ratio": "1.5", "count": "10", "duration": "7d", "size": "1 MB", "energy": "1 kJ",
             "rate": "5/s", "bit_rate": "1 Mbit/s"}[METRICS[name].unit]  # fmt: skip
    assert gates.parse(name, f"<= {limit}").limit > 0.0
