"""The fleet of a capacity probe: modules of a scenario's kind that all wake up, each at a moment set beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.errors import FotasimError
from sim.module.parameters import PARAMETERS
from sim.scenario import Scenario
from sim.scenario.load import vary

WAVE_S = 2.0
"""A wave of modules wakes up within this time."""
_KEEPS = ("long_offline_return_s", "frailty_variance")


@dataclass(frozen=True, slots=True)
class Kind:
    """What is searched for: `per_s` turns a load into wake-ups per second, None for a wave of so many at once."""

    name: str
    unit: str
    per_s: float | None


KINDS = {
    "releases": Kind("releases", "releases per minute", 1 / 60),
    "wakeups": Kind("wakeups", "wake-ups per 10 minutes", 1 / 600),
    "modules": Kind("modules", "modules at once", None),
}


def wake_times(kind: Kind, load: float, hold_s: float) -> list[float]:
    """When each module of a probe wakes up, seconds from its begin: evenly, whatever the cloud answers."""
    if kind.per_s is None:
        count = max(1, round(load))
        return [WAVE_S * k / count for k in range(count)]
    rate = load * kind.per_s
    return [k / rate for k in range(max(1, round(rate * hold_s)))]


def probe_scenario(scenario: Scenario, size: int, *, radio: bool = False) -> Scenario:
    """The scenario with so many modules that fail for no reason of their own, and a plan that offers at once.

    What is left of the scenario is what loads a cloud: technologies, package, downloads in pieces, reports. With
    `radio` the coverage stays too, and with it the time a download takes.
    """
    if any(group.file is not None for group in scenario.fleet.groups):
        raise FotasimError(
            "a capacity search makes modules as it needs them: groups from a file cannot be searched with"
        )
    harmless = {row.name: 0.0 for row in PARAMETERS.values() if row.section == "failures" and row.name not in _KEEPS}
    settings: dict[str, Any] = {
        "fleet.size": size, "fleet.failures": harmless, "fleet.cells": None, "plan.whitelist": [], "plan.blacklist": [],
        "plan.mode": "silent", "plan.operator": [], "plan.strategy": {"preset": "quectel"}, "gates": {},
    }  # fmt: skip
    for number in range(len(scenario.fleet.groups)):
        group = f"fleet.groups.{number}"
        settings |= {
            f"{group}.power": "mains", f"{group}.battery_percent": 100, f"{group}.free_space": "1 GB",
            f"{group}.check_in": "always", f"{group}.failures": {}, f"{group}.joins": None,
        }  # fmt: skip
        if not radio:
            settings[f"{group}.rsrp_dbm"] = -80
    return vary(scenario, settings)


__all__ = ["KINDS", "Kind", "probe_scenario", "wake_times"]
