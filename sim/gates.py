"""Go / no-go gates: a metric, a comparison, a limit; met or not."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from sim.units import bit_rate, duration, rate

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_GATE = re.compile(r"^\s*(<=|>=|<|>)\s*(\S.*?)\s*$")


def parse(metric: str, text: str) -> tuple[str, float]:
    """The comparison and the limit of a gate, e.g. ("duration_p95", "<= 7d") -> ("<=", 604800.0).

    Durations are seconds, shares fractions. ValueError says what would be right.
    """
    match = _GATE.match(text)
    if match is None:
        raise ValueError('a gate is a comparison and a limit, such as ">= 0.95"')
    sign, limit = match.groups()
    if metric.startswith("duration"):
        return sign, duration(limit)
    if metric.endswith("bit_s"):
        return sign, bit_rate(limit)
    if metric.endswith("per_s"):
        return sign, rate(limit)
    if limit.endswith("%"):
        return sign, float(limit[:-1]) / 100.0
    return sign, float(limit)


def judge(gates: Mapping[str, str], metrics: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Every gate with its value and whether it is met; a metric without a value (None) does not meet its gate."""
    judged = []
    for metric, text in gates.items():
        sign, limit = parse(metric, text)
        value = metrics.get(metric)
        met = value is not None and _COMPARE[sign](value, limit)
        judged.append({"gate": f"{metric} {text}", "metric": metric, "limit": limit, "value": value, "met": met})
    return judged
