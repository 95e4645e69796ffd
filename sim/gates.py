"""Go / no-go gates: a metric (or a bound of its interval), a comparison, a limit; met or not, and by how much."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sim.units import bit_rate, duration, energy, rate

Bound = Literal["value", "lower", "upper"]
Interval = tuple[float | None, float | None]

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_GATE = re.compile(r"^\s*(?:(lower|upper)\s*)?(<=|>=|<|>)\s*(\S.*?)\s*$")
_EXPRESSION = re.compile(r"^\s*([a-z][a-z0-9_]*)\s*((?:\s(?:lower|upper)\s*)?[<>].*)$")


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: `bound` says whether the metric itself is judged or the lower or upper end of its 95 % interval."""

    metric: str
    bound: Bound
    sign: str
    limit: float
    text: str


def parse(metric: str, text: str) -> Gate:
    """A gate of a scenario, such as ("duration_p95", "<= 7d") or ("bricked", "upper <= 1e-4").

    Durations are seconds, shares fractions, rates per second, energies joule. ValueError says what would be right.
    """
    match = _GATE.match(text)
    if match is None:
        raise ValueError('a gate is a comparison and a limit, such as ">= 0.95" or "upper <= 1e-4"')
    bound: Bound = "lower" if match[1] == "lower" else "upper" if match[1] == "upper" else "value"
    sign, limit = match[2], match[3]
    return Gate(metric, bound, sign, _limit(metric, limit), f"{metric} {text.strip()}")


def parse_expression(text: str) -> Gate:
    """A gate in one string, such as "bricked upper <= 1e-4"."""
    match = _EXPRESSION.match(text)
    if match is None:
        raise ValueError(f'{text!r} is not a gate: write it like "bricked upper <= 1e-4"')
    return parse(match[1], match[2])


def _limit(metric: str, text: str) -> float:
    if metric.startswith("duration"):
        return duration(text)
    if metric.endswith("bit_s"):
        return bit_rate(text)
    if metric.endswith("per_s"):
        return rate(text)
    if metric.endswith("_j"):
        return energy(text)
    try:
        number = float(text[:-1]) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f'the limit of {metric} is a number or a percentage, such as "0.95" or "95 %"')
    return number


def judge(
    gates: Mapping[str, str], metrics: Mapping[str, float | None], intervals: Mapping[str, Interval] | None = None
) -> list[dict[str, Any]]:
    """Every gate of a scenario with what it judged; see `judge_one`."""
    return [judge_one(parse(metric, text), metrics, intervals or {}) for metric, text in gates.items()]


def judge_one(gate: Gate, metrics: Mapping[str, float | None], intervals: Mapping[str, Interval]) -> dict[str, Any]:
    """A gate with the metric's value, its interval, the figure judged, the margin and whether it is met.

    The margin is how far the judged figure lies on the right side of the limit, negative when it does not. A metric
    without a value, or a bound without an interval, does not meet its gate: what is unknown is not a go.
    """
    value = metrics.get(gate.metric)
    low, high = intervals.get(gate.metric, (None, None))
    judged = {"value": value, "lower": low, "upper": high}[gate.bound]
    if value is None:
        judged = None
    margin = None if judged is None else (judged - gate.limit) * (1.0 if gate.sign.startswith(">") else -1.0)
    return {
        "gate": gate.text, "metric": gate.metric, "bound": gate.bound, "sign": gate.sign, "limit": gate.limit,
        "value": value, "low": low, "high": high, "judged": judged, "margin": margin,
        "met": judged is not None and _COMPARE[gate.sign](judged, gate.limit),
    }  # fmt: skip
