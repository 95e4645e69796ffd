"""The uncertain inputs of a scenario: parameters of the model with the range worth sweeping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sim.errors import StudyError
from sim.module.parameters import PARAMETERS, Parameter
from sim.scenario import Scenario
from sim.study.axes import Settings, parse_axis

_LOG_FROM = 20.0
"""Ranges this many times wide are sampled evenly in ratios: half of a linear sample would lie above the middle."""


_HEALTHY = {"boot_failure": 0.05}
"""Upper ends for a healthy release: a bad one is a scenario of its own (the plan's defects), not an uncertainty."""


@dataclass(frozen=True, slots=True)
class Input:
    """One uncertain parameter: its range, its value in the scenario, and how it is sampled."""

    name: str
    low: float
    high: float
    nominal: float
    log: bool
    section: str

    @property
    def text(self) -> str:
        """As the command line writes it: `uncertain` makes the same input of it."""
        return f"{self.name}={self.low!r}:{self.high!r}"

    def at(self, unit: float) -> float:
        """The value at a place between 0 and 1 of its range."""
        if self.log:
            return math.exp(math.log(self.low) + unit * math.log(self.high / self.low))
        return self.low + unit * (self.high - self.low)


def uncertain(scenario: Scenario, names: Sequence[str] = ()) -> list[Input]:
    """The inputs to vary, as `name` or `name=low:high`, or every failure input whose figure is an estimate."""
    chosen = [_named(text) for text in names] or [
        _healthy(p) for p in PARAMETERS.values() if p.section == "failures" and p.provenance == "estimated"
    ]
    return [_input(scenario, p) for p in chosen if p.high > p.low]


def _healthy(parameter: Parameter) -> Parameter:
    """A parameter over the range of a healthy release: a bad one is modelled by the plan's defects."""
    return replace(parameter, high=_HEALTHY.get(parameter.name, parameter.high))


def _named(text: str) -> Parameter:
    """A parameter by name, or as `name=low:high` with a range of one's own."""
    name, equals, given = text.partition("=")
    known = PARAMETERS.get(name.strip())
    if known is None:
        raise StudyError(f"--input {text}: {name!r} is not a parameter of the model; docs/parameters.md lists them")
    if not equals:
        return _healthy(known)
    axis = parse_axis(f"{known.name}={given}")
    if axis.levels or not known.minimum <= axis.low < axis.high <= known.maximum:
        raise StudyError(f"--input {text}: write name=low:high within {known.minimum:g} to {known.maximum:g}")
    return replace(known, low=axis.low, high=axis.high)


def _input(scenario: Scenario, parameter: Parameter) -> Input:
    fleet = getattr(scenario.fleet, parameter.section).overrides()
    nominal = float(fleet.get(parameter.name, parameter.default))
    low, high = min(parameter.low, nominal), max(parameter.high, nominal)
    log = low > 0 and math.log(high / low) > math.log(_LOG_FROM)
    return Input(parameter.name, low, high, nominal, log, parameter.section)


def settings(scenario: Scenario, values: dict[Input, float]) -> Settings:
    """The scenario's keys for values of inputs: fleet-wide, and in every group that has a value of its own."""
    found: Settings = {}
    for given, value in values.items():
        found[f"fleet.{given.section}.{given.name}"] = value
        for group in scenario.fleet.groups:
            if given.name in getattr(group, given.section).overrides():
                found[f"fleet.groups.{group.name}.{given.section}.{given.name}"] = value
    return found
