"""Go / no-go gates: a metric, a comparison and a limit, met, not met or undecided.

A gate may ask for a bound of the metric's interval instead of the estimate, and for each slice of the fleet by itself.
"""

from __future__ import annotations

import itertools
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from sim.metrics import METRICS, QUANTILES_PERCENT, REACH_PERCENT, Metric, Unit, figure, unknown
from sim.units import bit_rate, duration, energy, rate, size

Bound = Literal["value", "lower", "upper"]

SLICES = {
    "group": "group", "hardware": "hardware revision", "coverage_level": "coverage level", "technology": "technology",
    "component": "component",
}  # fmt: skip
"""What a gate may be judged by, and what it is called."""
PER_COMPONENT = (
    "success_rate", "coverage", "on_target", "not_reached", "rejected", "rejected_of_targets", "incompatible",
    "bricked_of_targets", "success_of_touched", "failed", "failed_of_touched",
)  # fmt: skip
"""Metrics that are known for each component of a plan: how modules ended. Attempts, installations, roll-backs, bytes and
times are counted for the module as a whole."""
CONFIDENCE_TAIL = 0.025
"""What an interval at 95 % leaves out on each side."""

SETTLES_AT_MOST = 10_000
"""From so many replications on a number is no advice any more."""
_KNOWN_WITHIN = 0.5
"""A figure at its limit rests on too few cases while it cannot be told from one that lies this part of the limit away; with
more of them it is known to lie close to its limit, which is a finding."""
_SETTLED_WITHIN = 0.1
"""The cases that such a gate is said to need tell its figure from one that lies this part of the limit away."""
_NEVER_ABOVE = (
    ("bricked_of_targets", "took_image", "touched"), ("success_rate", "on_target"),
    tuple(f"duration_p{q}" for q in QUANTILES_PERCENT), tuple(f"time_to_{q}" for q in REACH_PERCENT),
)  # fmt: skip
"""Figures none of which is ever larger than the next one."""

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_GATE = re.compile(r"^\s*(?:(lower|upper)\s*)?(<=|>=|<|>)\s*(\S.*?)\s*$")
_EXPRESSION = re.compile(r"^\s*([a-z][a-z0-9_]*)\s*((?:\s(?:lower|upper)\s*)?[<>].*)$")
_BARE = re.compile(r"[+-]?\d+(?:[._]?\d+)*(?:[eE][+-]?\d+)?")


class State(StrEnum):
    """What a gate came to."""

    MET = "met"
    NOT_MET = "not met"
    UNDECIDED = "undecided"
    """The interval holds the limit."""
    TOO_LITTLE = "too little"
    """So few cases that even the best result could not have met it."""
    NOTHING = "nothing to judge"
    """No module needed the upgrade."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: `bound` says whether the metric itself is judged or the lower or upper end of its 95 % interval."""

    metric: str
    bound: Bound
    sign: str
    limit: float
    text: str
    by: str = ""

    @property
    def at_most(self) -> bool:
        """Whether the limit is an upper one."""
        return self.sign.startswith("<")

    def holds(self, value: float) -> bool:
        """Whether a value lies on the right side of the limit."""
        return _COMPARE[self.sign](value, self.limit)


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric as it was found. `total` is its denominator, None where it is no share; `needed` is False when no module
    needed the upgrade; `at_least` bounds a time that was not reached while the run was watched, in seconds.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    total: int | None = None
    needed: bool = True
    at_least: float | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A gate, what it judged and what that came to.

    `margin` is how far the judged figure lies on the right side of the limit, negative when it does not. `of` names the
    slice, empty for the whole. `replications` is about how many would settle a gate that is not settled, None where no
    number would; `needs` how many cases a share needs at least, None where there are enough.
    """

    gate: str
    metric: str
    bound: str
    sign: str
    limit: float
    value: float | None
    low: float | None
    high: float | None
    judged: float | None
    margin: float | None
    met: bool
    """Whether it is met: by its whole interval, or by the end of it that the gate asks for."""
    state: str
    by: str = ""
    of: str = ""
    total: int | None = None
    needs: int | None = None
    replications: int | None = None

    @property
    def at_most(self) -> bool:
        """Whether the figure is to be small."""
        return self.sign.startswith("<")

    @property
    def worse_end(self) -> float | None:
        """The end of the interval that lies on the wrong side of the figure; None where it is not known."""
        return self.high if self.at_most else self.low

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


# --- reading ---------------------------------------------------------------------------------------------------------


def parse(metric: str, text: str, by: str = "") -> Gate:
    """A gate of a scenario, such as ("duration_p95", "<= 7d") or ("bricked", "upper <= 1e-4").

    Durations are seconds, shares fractions, rates per second, energies joule. ValueError says what would be right.
    """
    if metric not in METRICS:
        raise ValueError(f"{metric} is not a metric; {unknown(metric)}")
    if by == "component" and metric not in PER_COMPONENT:
        raise ValueError(
            f"{metric} is not known for each component; judge it for the whole plan or by hardware, or choose from "
            f"{', '.join(PER_COMPONENT)}"
        )
    return _parsed(METRICS[metric], text, by)


def parse_share(name: str, text: str) -> Gate:
    """A gate on a share that is no metric of fotasim: modules counted over modules counted, as a plug-in does."""
    return _parsed(replace(METRICS["success_rate"], name=name), text, "")


def _parsed(metric: Metric, text: str, by: str) -> Gate:
    match = _GATE.match(text)
    if match is None:
        raise ValueError('a gate is a comparison and a limit, such as ">= 0.95" or "upper <= 1e-4"')
    bound: Bound = "lower" if match[1] == "lower" else "upper" if match[1] == "upper" else "value"
    gate = Gate(metric.name, bound, match[2], _limit(metric, match[3]), _text(metric.name, text, by), by)
    _sensible(metric, gate, match[3])
    return gate


def check_together(gates: Sequence[Gate]) -> None:
    """ValueError for two gates that no result meets both, such as bricked <= 0.1 % and bricked_of_installed >= 1 %."""
    for least, most in itertools.product(gates, gates):
        if least.at_most or not most.at_most or _lenient(least) or _lenient(most):
            continue
        strict = "=" not in least.sign or "=" not in most.sign
        apart = least.limit > most.limit or (strict and least.limit == most.limit)
        if apart and _never_above(figure(least.metric), figure(most.metric)):
            raise ValueError(f'no result meets both "{least.text}" and "{most.text}"; change one, or leave it out')


def _never_above(one: str, other: str) -> bool:
    """Whether the first figure is never larger than the second."""
    chain = next((chain for chain in _NEVER_ABOVE if one in chain and other in chain), ())
    return one == other or (bool(chain) and chain.index(one) < chain.index(other))


def check_slice(by: str, labels: Collection[str]) -> None:
    """ValueError for a property that a fleet with these labels does not have."""
    if by and by not in SLICES and by not in labels:
        named = f" or by a label of the fleet ({', '.join(labels)})" if labels else "; the fleet has no labels"
        raise ValueError(f"a gate is judged by {', '.join(SLICES)}{named}, not by {by!r}")


def slice_words(by: str) -> str:
    """What a slice is called; a label by its own name."""
    return SLICES.get(by, by)


def _text(metric: str, text: str, by: str) -> str:
    return f"{metric} {text.strip()}" + (f" by {by}" if by else "")


def parse_entry(metric: str, given: Any) -> Gate:
    """A gate as a scenario holds it: a text, or a mapping with `limit` and `by`."""
    if isinstance(given, str):
        return parse(metric, given)
    if isinstance(given, Mapping):
        return parse(metric, str(given["limit"]), str(given.get("by") or ""))
    return parse(metric, given.limit, given.by or "")


def parse_expression(text: str) -> Gate:
    """A gate in one string, such as "bricked upper <= 1e-4" or "bricked <= 1e-3 by hardware"."""
    plain, _, by = text.partition(" by ")
    match = _EXPRESSION.match(plain)
    if match is None:
        raise ValueError(f'{text!r} is not a gate: write it like "bricked upper <= 1e-4"')
    return parse(match[1], match[2], by.strip())


def _limit(metric: Metric, text: str) -> float:
    """The limit in the metric's unit; a unit is required where a bare number could mean several things."""
    readers: dict[Unit, tuple[Callable[[object], float], str]] = {
        Unit.DURATION: (duration, "7d"), Unit.BIT_RATE: (bit_rate, "50 Mbit/s"), Unit.RATE: (rate, "500/s"),
        Unit.ENERGY: (energy, "900 J"), Unit.SIZE: (size, "200 MB"),
    }  # fmt: skip
    if metric.unit in readers:
        reader, example = readers[metric.unit]
        if _BARE.fullmatch(text) and float(text) != 0.0:
            raise ValueError(f"the limit of {metric.name} needs a unit, such as {example}; found {text}")
        return reader(text)
    percent = text.endswith("%")
    try:
        number = float(text[:-1]) / 100.0 if percent else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or (percent and metric.unit is not Unit.SHARE):
        example = 'a number or a percentage, such as "0.95" or "95 %"' if metric.unit is Unit.SHARE else "a number"
        raise ValueError(f"the limit of {metric.name} is {example}")
    return number


def _sensible(metric: Metric, gate: Gate, limit: str) -> None:
    """Refuses a limit that everything or nothing meets. ValueError says what would be right."""
    share = metric.unit is Unit.SHARE
    if gate.limit < 0.0 or (share and gate.limit > 1.0):
        cure = f'; for {gate.limit:g} % write "{gate.sign} {gate.limit / 100:g}"' if 1.0 < gate.limit <= 100.0 else ""
        raise ValueError(
            f"{gate.metric} is {'a share between 0 and 1' if share else 'never negative'}; found {limit}{cure}"
        )
    if (gate.sign == ">=" and gate.limit == 0.0) or (share and gate.sign == "<=" and gate.limit == 1.0):
        raise ValueError(f"every result meets {gate.sign} {limit}; choose a limit that can fail, or leave the gate out")
    if (gate.sign == "<" and gate.limit == 0.0) or (share and gate.sign == ">" and gate.limit == 1.0):
        raise ValueError(f"no result meets {gate.sign} {limit}; choose a limit that can be met")
    if not (share and metric.numerator) or _lenient(gate):
        return
    if (gate.sign == "<=" and gate.limit == 0.0) or (gate.sign == ">=" and gate.limit == 1.0):
        never = "never" if gate.limit == 0.0 else "always"
        raise ValueError(
            f"no number of modules can show {never} ({gate.sign} {limit}); allow a share, such as "
            f'"{gate.sign} {"1e-4" if gate.limit == 0.0 else "0.999"}"'
        )


def _lenient(gate: Gate | Judged) -> bool:
    """Whether the bound judged is the better end: such a gate fails only what is shown to be wrong."""
    return gate.bound == ("lower" if gate.at_most else "upper")


# --- judging ---------------------------------------------------------------------------------------------------------


def judge(gate: Gate, found: Figure, of: str = "", replications: int = 1) -> Judged:
    """What a gate comes to: met or not when the whole interval lies on one side of the limit, else not decided.

    A metric without an interval is judged by its value, the better end of an interval (`lower <=`, `upper >=`) by itself.
    """
    judged = {"value": found.value, "lower": found.low, "upper": found.high}[gate.bound]
    if found.value is None:
        judged = None
    margin = None if judged is None else (judged - gate.limit) * (-1.0 if gate.at_most else 1.0)
    state = _state(gate, found, judged)
    needs = cases_needed(gate) if state is State.TOO_LITTLE and found.total is not None else None
    more = _replications(gate, found, state, needs, replications)
    if (
        state is State.UNDECIDED
        and more is None
        and (found.total or math.inf) < (_to_resolve(gate, _KNOWN_WITHIN) or 0)
    ):
        state, needs = State.TOO_LITTLE, _to_resolve(gate, _SETTLED_WITHIN)
        more = _replications(gate, found, state, needs, replications)
    return Judged(
        gate.text, gate.metric, gate.bound, gate.sign, gate.limit, found.value, found.low, found.high, judged, margin,
        state is State.MET, str(state), gate.by, of, found.total, needs, more,
    )  # fmt: skip


def by_the_better_end(gate: Judged) -> bool:
    """Whether a gate is met by the better end of its interval, as it asks, and not by the worse one."""
    worse = gate.worse_end
    return gate.met and _lenient(gate) and (worse is None or not _COMPARE[gate.sign](worse, gate.limit))


def upset_by(gate: Judged, share: float) -> bool:
    """Whether a gate on a share that is met would not be if this further share (0-1) of its cases went wrong."""
    worse = gate.worse_end
    judged = gate.judged if worse is None or by_the_better_end(gate) else worse
    return judged is not None and not _COMPARE[gate.sign](judged + (share if gate.at_most else -share), gate.limit)


def _state(gate: Gate, found: Figure, judged: float | None) -> State:
    if found.value is None:
        if not found.needed:
            return State.NOTHING
        late = found.at_least is not None and gate.at_most and found.at_least >= gate.limit
        return State.NOT_MET if late else State.TOO_LITTLE
    if _lenient(gate) and judged is not None:
        return State.MET if gate.holds(judged) else State.NOT_MET
    too_few = found.total is not None and found.total < (cases_needed(gate) or 0)
    if found.low is None and found.high is None:
        if gate.bound != "value" or too_few:
            return State.TOO_LITTLE
        return State.MET if gate.holds(found.value) else State.NOT_MET
    low = -math.inf if found.low is None else found.low
    high = math.inf if found.high is None else found.high
    worse, better = (high, low) if gate.at_most else (low, high)
    if gate.holds(worse):
        return State.MET
    if not gate.holds(better):
        return State.NOT_MET
    return State.TOO_LITTLE if too_few else State.UNDECIDED


def cases_needed(gate: Gate) -> int | None:
    """How many cases a gate needs so that the best result meets it; None where cases are not counted.

    A share: the exact bound (Clopper and Pearson 1934) of 0 in n is 1 - 0.025^(1/n), so n = ln 0.025 / ln(1 - limit): with
    one tail of 5 % this is the rule of three. A quantile q of times: the largest of n bounds it when q^n <= 0.025.
    """
    if gate.metric.startswith(("duration_p", "time_to_")):
        within = int(re.sub(r"\D", "", gate.metric)) / 100.0
        return math.ceil(math.log(CONFIDENCE_TAIL) / math.log(within if gate.at_most else 1.0 - within) - 1e-9)
    away = _away(gate)
    return None if away is None else math.ceil(math.log(CONFIDENCE_TAIL) / math.log1p(-away) - 1e-9)


def _away(gate: Gate) -> float | None:
    """How far the limit of a count over a count lies from the flawless share; what is no metric of fotasim is a plug-in's share."""
    metric = METRICS.get(gate.metric)
    away = gate.limit if gate.at_most else 1.0 - gate.limit
    share = metric is None or (metric.unit is Unit.SHARE and bool(metric.numerator))
    return away if share and 0.0 < away < 1.0 else None


def _to_resolve(gate: Gate, part: float) -> int | None:
    """How many cases tell a share at its limit from one that lies this part of the limit away, by the normal approximation."""
    away = _away(gate)
    return None if away is None else math.ceil((1.96 / part) ** 2 * (1.0 - away) / away)


def _replications(gate: Gate, found: Figure, state: State, needs: int | None, now: int) -> int | None:
    """About how many replications would settle it: intervals shrink with the root of the cases."""
    if state is State.TOO_LITTLE and needs is not None and found.total:
        return max(now + 1, math.ceil(now * needs / found.total))
    if state is not State.UNDECIDED or found.value is None:
        return None
    away = abs(found.value - gate.limit)
    edge = found.high if found.value < gate.limit else found.low
    if away == 0.0 or edge is None:
        return None
    more = max(now + 1, math.ceil(now * (abs(edge - found.value) / away) ** 2))
    return more if more <= SETTLES_AT_MOST else None
