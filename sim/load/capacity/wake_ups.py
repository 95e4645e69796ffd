"""The fleet of a capacity probe: modules of a scenario's kind that all wake up, each at a moment set beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim import draws
from sim.engines.world.build import World, build
from sim.errors import InputError
from sim.module.parameters import PARAMETERS
from sim.scenario import Scenario
from sim.scenario.load import vary

WAVE_S = 2.0
"""A wave of modules wakes up within this time."""
NEVER_S = 1e8
"""Longer than any probe: the next check-in of a module that woke up, the decision of a user who does not decide."""
NO_CAP = 10**9
"""The Developer Center's cap on modules in progress would hide what its servers sustain."""
NO_RTT_FACTOR = 1e-3
"""Without the modelled radio a probe times the cloud alone."""
_KEEPS = ("frailty_variance",)
"""What is no chance of a failure; neither is a time, which says how long one lasts."""
_OWN_WAITS = ("install_median_s", "boot_s", "mcu_flash_s_per_mb", "mcu_boot_s", "mcu_read_s", "application_delay_s")
"""What a module takes of an upgrade by itself, whatever the cloud does."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is searched for: `per_s` turns a load into wake-ups per second, None for a wave of so many at once.

    `decided` says whether every module takes the upgrade it is offered; else only a share does, and the others go back
    to sleep with the notice. `start` is the first load a search tries, `most` the largest.
    """

    name: str
    unit: str
    per_s: float | None
    start: float
    most: float
    decided: bool = True

    @property
    def span(self) -> str:
        """The span (records.SPANS) that a module of such a load goes through as a whole."""
        return "upgrade" if self.decided else "wake"


KINDS = {
    "releases": Kind("releases", "releases per minute", 1 / 60, 60.0, 100_000.0),
    "wakeups": Kind("wakeups", "wake-ups per 10 minutes", 1 / 600, 1000.0, 1_000_000.0, decided=False),
    "modules": Kind("modules", "modules at once", None, 100.0, 100_000.0),
}


def default_slo(kind: Kind, shortened: bool, *, broker: bool = False) -> str:
    """What a user of such a load waits for, as an SLO: the notice, and the whole upgrade.

    `shortened` says whether the modules' own waits are; then an upgrade takes seconds, else flash and reboot are part of it.
    Of a `broker` nobody need answer behind, wake-ups are judged by what it does itself.
    """
    if broker and not kind.decided:
        return "p99(connect)<2s, p99(login)<2s, p99(request)<2s"
    wake = "p99(wake)<10s" if kind.per_s is None else "p99(wake)<2s"
    if not kind.decided:
        return wake
    return f"{wake}, p99(upgrade)<{'60s' if shortened else '15min'}"


def wake_times(kind: Kind, load: float, hold_s: float, seed: int = 0) -> NDArray[np.float64]:
    """When each module of a probe wakes up, seconds from its begin, ascending, whatever the cloud answers.

    Releases come evenly, as a plan's rate hands them out. Modules that wake up by themselves know nothing of each
    other: each at a moment of its own, uniform over the probe and drawn by key.
    """
    if kind.per_s is None:
        count = max(1, round(load))
        return WAVE_S * np.arange(count) / count
    rate = load * kind.per_s
    count = max(1, round(rate * hold_s))
    if kind.decided:
        return np.arange(count) / rate
    units = draws.uniforms(*draws.key(seed), np.arange(count), draws.Purpose.CHECK_IN_PHASE)
    return np.sort(hold_s * units)


def phase_times(kind: Kind, phases: Sequence[tuple[float, float]], seed: int = 0) -> NDArray[np.float64]:
    """Wake-ups of several loads one after the other, each a load and its seconds; of a kind that has a rate."""
    times, begun_s = [], 0.0
    for number, (load, hold_s) in enumerate(phases):
        times.append(begun_s + wake_times(kind, load, hold_s, seed + number))
        begun_s += hold_s
    return np.concatenate(times)


def takes_upgrade(kind: Kind, count: int, share: float) -> NDArray[np.bool_]:
    """Which of `count` modules take the upgrade: all of them, or a share of those that wake up by themselves."""
    if kind.decided:
        return np.ones(count, dtype=bool)
    so_far = np.floor(share * np.arange(count + 1) + 1e-9)
    takes: NDArray[np.bool_] = so_far[1:] > so_far[:-1]
    return takes


def probe_world(
    scenario: Scenario, kind: Kind, woken_s: NDArray[np.float64], *, taking: float = 0.0, radio: bool = False,
    horizon_s: float | None = None, shortened: float = 1.0,
) -> World:  # fmt: skip
    """The modules of a probe, each with its moment to wake up, and its decision on the notice.

    `shortened` divides the modules' own waits, for virtual time; a live run divides its whole clock. A module that is upgraded
    goes on polling a server that is polled: that is load, too.
    """
    given = probe_scenario(scenario, len(woken_s), kind, radio=radio)
    given = vary(given, _shortened(given, shortened))
    world = build(given if horizon_s is None else vary(given, {"horizon": seconds_text(horizon_s)}))
    world.may_retire = world.may_retire and scenario.cloud.behaviour.polls is None
    rows = world.fleet.rows
    if kind.decided:
        rows["away_until_s"] = woken_s + 1e-3  # at 0 they would be online already
    else:
        rows["phase"] = np.maximum(woken_s, 1e-3) / (2.0 * NEVER_S)
        world.fleet.rare["user_delay_s"] = np.where(takes_upgrade(kind, len(woken_s), taking), 0.0, NEVER_S)
    return world


def probe_scenario(scenario: Scenario, size: int, kind: Kind = KINDS["releases"], *, radio: bool = False) -> Scenario:
    """The scenario with so many modules that fail for no reason of their own, and a plan that offers at once.

    What is left of the scenario is what loads a cloud: technologies, package, downloads in pieces, reports, and for
    wake-ups the time a module stays awake. With `radio` the coverage stays too, and with it the time a download takes.
    """
    if any(group.file is not None for group in scenario.fleet.groups):
        raise InputError("a capacity search makes modules as it needs them: groups from a file cannot be searched with")
    harmless = {
        row.name: 0.0
        for row in PARAMETERS.values()
        if row.section == "failures" and row.unit != "s" and row.name not in _KEEPS
    }
    settings: dict[str, Any] = {
        "fleet.size": size, "fleet.failures": harmless, "fleet.cells": None, "plan.whitelist": [], "plan.blacklist": [],
        "plan.mode": "silent" if kind.decided else "confirm", "plan.operator": [],
        "plan.strategy": {"preset": "quectel", "rollout": {"max_in_progress": NO_CAP}}, "plan.earlier_plan": None, "gates": {},
    }  # fmt: skip
    if not radio:
        settings["fleet.physics.rtt_factor"] = NO_RTT_FACTOR
    for number, given in enumerate(scenario.fleet.groups):
        group = f"fleet.groups.{number}"
        settings |= {
            f"{group}.power": "mains", f"{group}.battery_percent": 100, f"{group}.free_space": "1 GB",
            f"{group}.check_in": _check_in(given.check_in, kind), f"{group}.failures": {}, f"{group}.joins": None,
        }  # fmt: skip
        if not radio:
            settings |= {f"{group}.rsrp_dbm": -80, f"{group}.physics.rtt_factor": NO_RTT_FACTOR}
    return vary(scenario, settings)


def seconds_text(seconds: float) -> str:
    """A time as a scenario takes it, with its unit."""
    return f"{seconds!r}s"


def _shortened(scenario: Scenario, by: float) -> dict[str, Any]:
    """Settings that divide the modules' own waits, of the fleet and of each group that has its own."""
    if by == 1.0:
        return {}
    of_fleet: dict[str, Any] = dict(scenario.fleet.physics)
    found: dict[str, Any] = {
        f"fleet.physics.{name}": _divided(_or_default(of_fleet, name), name, by) for name in _OWN_WAITS
    }
    for number, group in enumerate(scenario.fleet.groups):
        own: dict[str, Any] = dict(group.physics)
        waits = [name for name in _OWN_WAITS if own[name] is not None]
        found |= {f"fleet.groups.{number}.physics.{name}": _divided(own[name], name, by) for name in waits}
    return found


def _divided(value: float, name: str, by: float) -> float | str:
    """A physical input divided; one that is a time has its unit."""
    return seconds_text(value / by) if PARAMETERS[name].unit == "s" else value / by


def _or_default(given: dict[str, Any], name: str) -> float:
    value: float = PARAMETERS[name].default if given[name] is None else given[name]
    return value


def _check_in(given: Any, kind: Kind) -> Any:
    """Modules that take the upgrade stay; those that wake up by themselves stay awake as their group does."""
    if kind.decided:
        return "always"
    stays = given.kind in ("always", "diurnal")
    awake = seconds_text(NEVER_S if stays else given.awake)
    return {"kind": "periodic", "every": seconds_text(2.0 * NEVER_S), "awake": awake}


__all__ = [
    "KINDS",
    "Kind",
    "default_slo",
    "phase_times",
    "probe_scenario",
    "probe_world",
    "seconds_text",
    "takes_upgrade",
    "wake_times",
]
