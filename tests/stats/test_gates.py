"""Gates: what may be written, what is judged, how far it is from the limit."""

import pytest

from sim import gates


@pytest.mark.parametrize(
    ("text", "metric", "bound", "sign", "limit"),
    [
        ("bricked upper <= 1e-4", "bricked", "upper", "<=", 1e-4),
        ("success_rate lower>=95 %", "success_rate", "lower", ">=", 0.95),
        ("duration_p95 < 7d", "duration_p95", "value", "<", 604800.0),
        ("peak_requests_per_s<=600/min", "peak_requests_per_s", "value", "<=", 10.0),
        ("energy_per_success_j <= 1 Wh", "energy_per_success_j", "value", "<=", 3600.0),
    ],
)
def test_expressions(text, metric, bound, sign, limit):
    """Metric, bound, comparison and limit with its unit."""
    gate = gates.parse_expression(text)
    assert (gate.metric, gate.bound, gate.sign) == (metric, bound, sign)
    assert gate.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    "text", ["bricked", "bricked uper <= 1", "bricked <= lots", "bricked <= nan", "<= 1", "bricked =< 1"]
)
def test_what_is_not_a_gate(text):
    """A clear error instead of a guess."""
    with pytest.raises(ValueError, match=r"gate|limit"):
        gates.parse_expression(text)


@pytest.mark.parametrize(
    ("text", "met", "margin"),
    [("bricked <= 0.02", True, 0.01), ("bricked upper <= 0.02", False, -0.01), ("bricked lower >= 0.005", False, -0.005),
     ("bricked < 0.01", False, 0.0), ("failed <= 1", False, None), ("pending upper <= 1", False, None)],
)  # fmt: skip
def test_bounds_and_margins(text, met, margin):
    """The bound named is judged; no value or no interval is not a go."""
    judged = gates.judge_one(
        gates.parse_expression(text), {"bricked": 0.01, "failed": None, "pending": 0.5}, {"bricked": (0.0, 0.03)}
    )
    assert judged["met"] is met
    assert judged["margin"] == (None if margin is None else pytest.approx(margin))
