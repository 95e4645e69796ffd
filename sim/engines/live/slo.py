"""Service level objectives as people write them: `p99(wake)<5s, error_rate<0.1%, p95(download)<120s`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from sim.engines.live.latency import LEGS, SESSION, Latencies
from sim.errors import InputError
from sim.records import SPANS
from sim.stats.evidence import Evidence
from sim.stats.slo_result import MOST_FAILURES
from sim.units import duration

ALIASES = {"notify": "notice", "confirm": "url", "get": "download", "status": "report", "ask": "request"}
_TERM = re.compile(
    r"(?P<what>p(?P<percent>\d{1,2}(?:\.\d+)?)|max|error_rate)"
    r"\s*(?:\(\s*(?P<leg>\w+)?\s*(?:(?(leg),)\s*group\s*=\s*(?P<group>[^,()]+?)\s*)?\))?\s*<=?\s*(?P<limit>[\w.%]+)"
)
EXAMPLE = "p99(wake)<5s, error_rate<0.1%"
_BETWEEN = re.compile(r",(?![^()]*\))")
_WAY = ("wake", "connect", "login", "request", "notice")
"""The way to the notice."""
_BEFORE_ANSWERS = ("connect", "login", "request")
"""What a broker does by itself, whether a platform answers behind it or not."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One term. `text` is how it is written. `percent` is None for a share of failures; `limit` in seconds, or a share from 0 to 1."""

    text: str
    leg: str | None
    percent: float | None
    limit: float
    group: str = ""
    """The group of the fleet it is about; "" for all modules."""

    def value(self, found: Latencies) -> float | None:
        """The figure the term is about; None when nothing was measured."""
        if self.percent is not None:
            assert self.leg is not None
            return found.quantile_s(self.leg, self.percent)
        tried, failed = self._tries(found)
        return failed / tried if tried else None

    def evidence(self, found: Latencies) -> Evidence:
        """How many samples there are, and how many did not keep the limit; a try that failed did not."""
        tried, failed = self._tries(found)
        if self.percent is None:
            return Evidence(tried, failed, self.limit)
        assert self.leg is not None
        slow = sum(n for step_us, n in found.counts(self.leg).items() if step_us / 1e6 >= self.limit)
        return Evidence(tried, failed + slow, round(1.0 - self.percent / 100.0, 9))

    def _tries(self, found: Latencies) -> tuple[int, int]:
        """Tries and failures of the term's leg; without a leg of all steps, and of sessions that broke."""
        if self.leg is not None:
            return found.tries(self.leg)
        tried, failed = np.sum([found.tries(leg) for leg in LEGS], axis=0).tolist()
        broken = found.tries(SESSION)[1]
        return tried + broken, failed + broken


@dataclass(frozen=True, slots=True)
class Slo:
    """All terms; each must be kept."""

    objectives: tuple[Objective, ...]

    def values(self, found: Latencies) -> dict[str, float | None]:
        """Each term's figure."""
        return {objective.text: objective.value(found) for objective in self.objectives}

    def evidence(self, found: Latencies) -> dict[str, Evidence]:
        """What each term rests on."""
        return {objective.text: objective.evidence(found) for objective in self.objectives}

    def longest_s(self, leg: str) -> float:
        """The longest latency any term allows a leg; inf where none is about it."""
        return max((o.limit for o in self.objectives if o.percent is not None and o.leg == leg), default=inf)

    def overdue_s(self, name: str, found: Latencies) -> float:
        """How long a wait may be open when the run ends; one that is older did not keep what was asked for its leg or span.

        The longest limit of a latency. Where failures alone are limited, what 99 % of those that ended took: an answer that
        never comes is a failure, too. inf where nothing is asked for, or nothing has ended to tell by. A healthy answer on its way
        is taken for one in at most 1 % of those that are on their way, which are few.
        """
        about = [o for o in self.objectives if o.leg == name]
        if not about or any(o.percent is not None for o in about):
            return self.longest_s(name)
        return found.quantile_s(name, 99.0) or inf

    def by_chance(self, name: str, tries: int) -> int:
        """How many of so many tries may be overdue although nothing is wrong: the slowest 1 %, where no latency is limited."""
        return 0 if self.longest_s(name) < inf else int(0.01 * tries)

    @property
    def needs_answers(self) -> bool:
        """Whether any term is about more than what a broker alone does: connect, login, the request taken in."""
        timed = {o.leg for o in self.objectives if o.percent is not None}
        return not timed or not {o.leg for o in self.objectives if o.leg is not None} <= set(_BEFORE_ANSWERS)

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of the fleet that terms are about."""
        return tuple(dict.fromkeys(o.group for o in self.objectives if o.group))

    @property
    def tightest_s(self) -> float:
        """The shortest latency any term asks for."""
        return min((o.limit for o in self.objectives if o.percent is not None), default=0.0)

    @property
    def patience_s(self) -> float:
        """The longest latency any term allows."""
        return max((o.limit for o in self.objectives if o.percent is not None), default=0.0)


def parse(text: str) -> Slo:
    """The terms of an SLO; InputError says what would be right."""
    terms = [part.strip() for part in _BETWEEN.split(text)]
    if not any(terms):
        raise InputError(f"SLO: nothing is asked for; write for example {EXAMPLE!r}")
    objectives = tuple(_objective(term) for term in terms)
    texts = [objective.text for objective in objectives]
    if len(set(texts)) < len(texts):
        raise InputError(f"SLO: {next(t for t in texts if texts.count(t) > 1)!r} is asked for twice")
    return Slo(objectives)


def check_groups(slo: Slo | None, there: Sequence[str]) -> None:
    """InputError for an objective about a group that the fleet has not."""
    for name in () if slo is None else slo.groups:
        if name not in there:
            raise InputError(f"SLO: no group {name!r}; the fleet has {', '.join(there)}")


def completed(slo: Slo, default: Slo, span: str) -> tuple[Slo, tuple[str, ...]]:
    """The SLO with what it leaves out of its own intent, and the terms that were added.

    A term on the notice is about what the module waits for: the same limit then holds for the span `wake`, because a cloud
    that stands still lets nobody in, and measures no notice meanwhile. An SLO with no term on the way to the notice gets the
    one of `default`; one on connect, login or request alone stays as it is, for plans that offer nothing. And at most
    MOST_FAILURES of `span` may fail, unless the SLO speaks of failures as a whole; of all steps where no answer is waited for.
    """
    added: list[Objective] = []
    percentiles = [o for o in slo.objectives if o.percent is not None]
    notices = [o for o in percentiles if o.leg == "notice"]
    way = {o.leg for o in percentiles} & set(_WAY)
    if not way:
        added += [o for o in default.objectives if o.leg == "wake"]
    elif notices and "wake" not in way:
        limit_s = sum(max(o.limit for o in percentiles if o.leg == leg) for leg in way)
        percent = max(o.percent for o in notices if o.percent is not None)
        name = "max" if percent == 100.0 else f"p{percent:g}"
        added.append(Objective(f"{name}(wake)<{limit_s:g}s", "wake", percent, limit_s))
    if not any(o.percent is None and o.leg in (None, span) for o in slo.objectives):
        of, leg = ("error_rate", None) if not slo.needs_answers else (f"error_rate({span})", span)
        added.append(Objective(f"{of}<{100.0 * MOST_FAILURES:g}%", leg, None, MOST_FAILURES))
    return Slo((*slo.objectives, *added)), tuple(o.text for o in added)


def _objective(term: str) -> Objective:
    found = _TERM.fullmatch(term)
    if found is None:
        raise InputError(f"SLO: {term!r} is not understood; write for example {EXAMPLE!r}")
    leg = found["leg"]
    if leg is not None:
        leg = ALIASES.get(leg, leg)
        if leg not in LEGS and leg not in SPANS and (leg != SESSION or found["what"] != "error_rate"):
            raise InputError(f"SLO: {term!r}: no leg {leg!r}; there are {', '.join((*SPANS, *LEGS))}")
    text, group = term.replace(" ", "") if not found["group"] else term, found["group"] or ""
    if found["what"] == "error_rate":
        return Objective(text, leg, None, _share(term, found["limit"]), group)
    if leg is None:
        raise InputError(f"SLO: {term!r}: of which leg? Write for example p99(wake)<5s")
    percent = 100.0 if found["what"] == "max" else float(found["percent"])
    if percent == 0.0:
        raise InputError(f"SLO: {term!r}: every run keeps a p0; a percentile above 0 is needed, such as p99")
    return Objective(text, leg, percent, _seconds(term, found["limit"]), group)


def _share(term: str, limit: str) -> float:
    try:
        share = float(limit.removesuffix("%")) / (100.0 if limit.endswith("%") else 1.0)
    except ValueError:
        share = -1.0
    if not 0.0 < share < 1.0:
        raise InputError(f"SLO: {term!r}: a share below 100 % is needed, such as 0.1% or 0.001")
    return share


def _seconds(term: str, limit: str) -> float:
    try:
        seconds = duration(limit)
    except ValueError as error:
        raise InputError(f"SLO: {term!r}: {error}") from None
    if seconds <= 0.0:
        raise InputError(f"SLO: {term!r}: a time greater than zero is needed")
    return seconds


__all__ = ["MOST_FAILURES", "Objective", "Slo", "check_groups", "completed", "parse"]
