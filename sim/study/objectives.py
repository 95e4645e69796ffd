"""What a search wants and what it must keep: objectives and constraints, as the command line writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sim import gates as gate_rules
from sim.errors import StudyError
from sim.stats.campaigns import STUDY_METRICS
from sim.stats.replicated import Estimate, t_interval

_TERM = re.compile(r"(?:([0-9.]+(?:[eE][+-]?\d+)?)\s*\*\s*)?([a-z_][a-z0-9_]*)")
_CONSTRAINT = re.compile(r"\s*([a-z_][a-z0-9_]*)\s*(<=|>=|<|>)\s*(\S.*)")


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric, or a weighted sum of metrics, to be made small (`sign` 1) or large (-1)."""

    text: str
    terms: tuple[tuple[float, str], ...]
    sign: float

    def values(self, frame: pd.DataFrame) -> pd.Series[Any]:
        """The objective of every campaign of a table, as it reads (not negated)."""
        total = sum(weight * frame[metric] for weight, metric in self.terms)
        assert isinstance(total, pd.Series)
        return total

    def estimate(self, frame: pd.DataFrame) -> Estimate:
        """Mean over campaigns with Student's interval."""
        if len(self.terms) == 1 and self.terms[0][0] == 1.0:
            from sim.stats.campaigns import estimate

            return estimate(frame, self.terms[0][1])
        return t_interval(self.values(frame))


@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound on a metric's mean."""

    text: str
    metric: str
    sign: str
    limit: float

    def excess(self, value: float) -> float:
        """How far a value lies beyond the limit, in shares of the limit; zero or less when it is kept."""
        away = value - self.limit if self.sign.startswith("<") else self.limit - value
        return away / abs(self.limit) if self.limit else away


def parse_objective(text: str, sign: float) -> Objective:
    """From `duration_p95` or a weighted sum such as `rejected + 20*bricked`. Raises StudyError."""
    terms = []
    for part in text.split("+"):
        match = _TERM.fullmatch(part.strip())
        if match is None:
            raise StudyError(f"objective {text!r}: write a metric or a sum such as rejected + 20*bricked")
        terms.append((float(match[1] or 1.0), _known(match[2], text)))
    return Objective(text.strip(), tuple(terms), sign)


def parse_constraint(text: str) -> Constraint:
    """From `bricked<=1e-4` or `duration_p95 <= 7d`. Raises StudyError."""
    match = _CONSTRAINT.fullmatch(text)
    if match is None:
        raise StudyError(f"--subject-to {text}: write it like bricked<=1e-4 or duration_p95<=7d")
    metric, sign, limit = match.groups()
    _known(metric, text)
    try:
        gate = gate_rules.parse(metric, f"{sign} {limit}")
    except ValueError as error:
        raise StudyError(f"--subject-to {text}: {error}") from None
    return Constraint(text.strip(), metric, sign, gate.limit)


def _known(metric: str, text: str) -> str:
    if metric not in STUDY_METRICS:
        raise StudyError(f"{text}: {metric!r} is not a metric; choose from {', '.join(STUDY_METRICS)}")
    return metric
