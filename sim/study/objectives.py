"""What a search wants and what it must keep: objectives and constraints, as the command line writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sim import gates as gate_rules
from sim.errors import StudyError
from sim.stats.campaigns import STUDY_METRICS, estimate
from sim.stats.replicated import Estimate, t_interval

_OF = "@"
_METRIC = r"([a-z_][a-z0-9_]*)(?:@([A-Za-z0-9][A-Za-z0-9._-]*))?"
_TERM = re.compile(rf"(?:([0-9.]+(?:[eE][+-]?\d+)?)\s*\*\s*)?{_METRIC}")
_CONSTRAINT = re.compile(rf"\s*{_METRIC}\s*(<=|>=|<|>)\s*(\S.*)")


def column(metric: str, of: str) -> str:
    """The column of a metric of one scenario in a table of several: `stopped@bad-release`; of one alone the metric."""
    return f"{metric}{_OF}{of}" if of else metric


def part(frame: pd.DataFrame, of: str) -> pd.DataFrame:
    """The columns of one scenario under their plain names; the whole table where there is only one."""
    if not of:
        return frame
    end = column("", of)
    return frame[[name for name in frame.columns if name.endswith(end)]].rename(
        columns=lambda name: name.removesuffix(end)
    )


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric, or a weighted sum of metrics, to be made small (`sign` 1) or large (-1).

    `terms`: weight, metric, and the scenario whose metric it is, empty where the search has one scenario.
    """

    text: str
    terms: tuple[tuple[float, str, str], ...]
    sign: float

    @property
    def metric(self) -> str:
        """The metric where it is one alone, else empty."""
        return self.terms[0][1] if len(self.terms) == 1 and self.terms[0][0] == 1.0 else ""

    def values(self, frame: pd.DataFrame) -> pd.Series[Any]:
        """The objective of every campaign of a table, as it reads (not negated)."""
        total = sum(weight * frame[column(metric, of)] for weight, metric, of in self.terms)
        assert isinstance(total, pd.Series)
        return total

    def estimate(self, frame: pd.DataFrame) -> Estimate:
        """Mean over campaigns with its interval: a metric's own; of a sum Student's, wider by what the interval of each
        rare share is beyond Student's, so that harm that was not seen is never a sum known to the point."""
        if self.metric:
            return estimate(part(frame, self.terms[0][2]), self.metric)
        known = t_interval(self.values(frame))
        below = above = 0.0
        for weight, metric, of in self.terms:
            spread = t_interval(frame[column(metric, of)])
            whole = estimate(part(frame, of), metric)
            below += weight * max(0.0, (whole.value - whole.low) - (spread.value - spread.low))
            above += weight * max(0.0, (whole.high - whole.value) - (spread.high - spread.value))
        return Estimate(known.value, known.low - below, known.high + above)

    def mean(self, frame: pd.DataFrame) -> float:
        """The mean over campaigns; NaN where a campaign has no value of a sum, for what is missing is not small."""
        return self.estimate(frame).value if self.metric else float(self.values(frame).mean(skipna=False))


@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound on a metric's mean; `of` names the scenario, empty where the search has one."""

    text: str
    metric: str
    sign: str
    limit: float
    of: str = ""

    def estimate(self, frame: pd.DataFrame) -> Estimate:
        """The metric over campaigns with its interval."""
        return estimate(part(frame, self.of), self.metric)

    def surely(self, found: Estimate) -> bool:
        """Whether the whole interval keeps the bound."""
        return self.excess(found.high if self.sign.startswith("<") else found.low) <= 0

    def surely_not(self, found: Estimate) -> bool:
        """Whether no part of the interval keeps the bound."""
        return self.excess(found.low if self.sign.startswith("<") else found.high) > 0

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
        terms.append((float(match[1] or 1.0), _known(match[2], text), match[3] or ""))
    return Objective(text.strip(), tuple(terms), sign)


def parse_constraint(text: str) -> Constraint:
    """From `bricked<=1e-4` or `duration_p95 <= 7d`. Raises StudyError."""
    match = _CONSTRAINT.fullmatch(text)
    if match is None:
        raise StudyError(f"--subject-to {text}: write it like bricked<=1e-4 or duration_p95<=7d")
    metric, of, sign, limit = match.groups()
    _known(metric, text)
    try:
        gate = gate_rules.parse(metric, f"{sign} {limit}")
    except ValueError as error:
        raise StudyError(f"--subject-to {text}: {error}") from None
    return Constraint(text.strip(), metric, sign, gate.limit, of or "")


def _known(metric: str, text: str) -> str:
    if metric not in STUDY_METRICS:
        raise StudyError(f"{text}: {metric!r} is not a metric; choose from {', '.join(STUDY_METRICS)}")
    return metric
