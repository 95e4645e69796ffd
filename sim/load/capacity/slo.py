"""Service level objectives as people write them: `p99(notify)<2s, error_rate<0.1%, p95(download)<120s`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sim.engines.live.latency import LEGS, Latencies
from sim.errors import FotasimError
from sim.units import duration

ALIASES = {"notify": "notice", "confirm": "url", "get": "download", "status": "report", "ask": "request"}
_TERM = re.compile(
    r"(?P<what>p(?P<percent>\d{1,2}(?:\.\d+)?)|max|error_rate)\s*(?:\(\s*(?P<leg>\w+)\s*\))?\s*<=?\s*(?P<limit>[\w.%]+)"
)
EXAMPLE = "p99(notify)<2s, error_rate<0.1%"


@dataclass(frozen=True, slots=True)
class Objective:
    """One term. `percent` is None for a share of failures; `limit` in seconds, or a share from 0 to 1."""

    text: str
    leg: str | None
    percent: float | None
    limit: float

    def value(self, found: Latencies) -> float | None:
        """The figure the term is about; None when nothing was measured."""
        if self.percent is not None:
            assert self.leg is not None
            return found.quantile_s(self.leg, self.percent)
        legs = list(LEGS) if self.leg is None else [self.leg]
        failed = sum(sum(found.failed(leg).values()) for leg in (*legs, *(["session"] if self.leg is None else [])))
        tried = failed + sum(found.count(leg) for leg in legs)
        return failed / tried if tried else None

    def kept(self, value: float | None) -> bool:
        """Whether the figure keeps the term; one that was not measured proves nothing and does not."""
        return value is not None and value < self.limit


@dataclass(frozen=True, slots=True)
class Slo:
    """All terms; each must be kept."""

    objectives: tuple[Objective, ...]

    def values(self, found: Latencies) -> dict[str, float | None]:
        """Each term's figure."""
        return {objective.text: objective.value(found) for objective in self.objectives}

    def broken(self, values: dict[str, float | None]) -> tuple[str, ...]:
        """Terms that are not kept."""
        return tuple(o.text for o in self.objectives if not o.kept(values[o.text]))

    @property
    def tightest_s(self) -> float:
        """The shortest latency any term asks for."""
        return min((o.limit for o in self.objectives if o.percent is not None), default=0.0)

    @property
    def patience_s(self) -> float:
        """The longest latency any term allows."""
        return max((o.limit for o in self.objectives if o.percent is not None), default=0.0)


def parse(text: str) -> Slo:
    """The terms of an SLO; FotasimError says what would be right."""
    terms = [part.strip() for part in text.split(",")]
    if not any(terms):
        raise FotasimError(f"SLO: nothing is asked for; write for example {EXAMPLE!r}")
    return Slo(tuple(_objective(term) for term in terms))


def _objective(term: str) -> Objective:
    found = _TERM.fullmatch(term)
    if found is None:
        raise FotasimError(f"SLO: {term!r} is not understood; write for example {EXAMPLE!r}")
    leg = found["leg"]
    if leg is not None:
        leg = ALIASES.get(leg, leg)
        if leg not in LEGS:
            raise FotasimError(f"SLO: {term!r}: no leg {leg!r}; there are {', '.join(LEGS)}")
    text = term.replace(" ", "")
    if found["what"] == "error_rate":
        return Objective(text, leg, None, _share(term, found["limit"]))
    if leg is None:
        raise FotasimError(f"SLO: {term!r}: of which leg? Write for example p99(notify)<2s")
    percent = 100.0 if found["what"] == "max" else float(found["percent"])
    return Objective(text, leg, percent, _seconds(term, found["limit"]))


def _share(term: str, limit: str) -> float:
    try:
        share = float(limit.removesuffix("%")) / (100.0 if limit.endswith("%") else 1.0)
    except ValueError:
        share = -1.0
    if not 0.0 < share <= 1.0:
        raise FotasimError(f"SLO: {term!r}: a share such as 0.1% or 0.001 is needed")
    return share


def _seconds(term: str, limit: str) -> float:
    try:
        seconds = duration(limit)
    except ValueError as error:
        raise FotasimError(f"SLO: {term!r}: {error}") from None
    if seconds <= 0.0:
        raise FotasimError(f"SLO: {term!r}: a time greater than zero is needed")
    return seconds


__all__ = ["Objective", "Slo", "parse"]
