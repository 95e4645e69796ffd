"""The uncertain inputs of a scenario: parameters of the model with the range worth sweeping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sim.errors import StudyError
from sim.module.parameters import PARAMETERS, Parameter
from sim.scenario import Scenario
from sim.study.axes import Settings

_LOG_FROM = 20.0
"""Ranges this many times wide are sampled evenly in ratios: half of a linear sample would lie above the middle."""


@dataclass(frozen=True, slots=True)
class Input:
    """One uncertain parameter: its range, its value in the scenario, and how it is sampled."""

    name: str
    low: float
    high: float
    nominal: float
    log: bool
    section: str

    def at(self, unit: float) -> float:
        """The value at a place between 0 and 1 of its range."""
        if self.log:
            return self.low * (self.high / self.low) ** unit
        return self.low + unit * (self.high - self.low)


def uncertain(scenario: Scenario, names: Sequence[str] = ()) -> list[Input]:
    """The inputs to vary: those named, or every failure input whose figure is an estimate. Raises StudyError."""
    unknown = [name for name in names if name not in PARAMETERS]
    if unknown:
        raise StudyError(f"--input {unknown[0]}: not a parameter of the model; docs/model.md lists them")
    chosen = [PARAMETERS[n] for n in names] or [
        p for p in PARAMETERS.values() if p.section == "failures" and p.provenance == "estimated"
    ]
    return [_input(scenario, p) for p in chosen if p.high > p.low]


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
