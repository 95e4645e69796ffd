"""When the modules of a load begin: as they check in, as their plan releases them, or on a ramp. Scenario in, curve out."""

from __future__ import annotations

from math import inf

import numpy as np

from sim.engines.run import simulate
from sim.engines.world.build import World, build
from sim.errors import FotasimError
from sim.load.start_curve import Curve, Times
from sim.module import behaviour
from sim.module.link_states import LinkState
from sim.scenario import Scenario

SHAPES = {
    "ramp": "all of them, as fast as the ramp allows",
    "check-in": "each at its first check-in after the plan is activated",
    "waves": "each when the plan offers it the upgrade, as the simulated run has it: groups, rates, windows, pushes",
}
"""The shapes there are, and when modules begin in each."""


def curve(scenario: Scenario, shape: str, time_scale: float = 1.0) -> Curve:
    """The curve of a scenario's whole fleet in real seconds; a time scale shortens it as it does the modules' waits.

    Modules that never come are not in it. FotasimError for a shape there is none of, and when nobody comes at all.
    """
    if shape not in SHAPES:
        raise FotasimError(f"shape {shape!r}: choose from {', '.join(SHAPES)}")
    if shape == "waves":
        begins_s = offers_s(scenario)
    else:
        world = build(scenario)
        begins_s = check_ins_s(world) if shape == "check-in" else np.zeros(len(world.fleet.rows))
    begins_s = np.sort(begins_s[begins_s < inf]) / time_scale
    if not len(begins_s):
        raise FotasimError(f"shape {shape}: no module of the scenario ever begins")
    return Curve(begins_s)


def check_ins_s(world: World) -> Times:
    """When each module first comes online by itself, seconds after activation, inf for never; arms their first check-ins.

    Modules that are awake at activation are there at 0, as in a simulated run.
    """
    found = np.full(len(world.modules), inf)
    for number, module in enumerate(world.modules):
        row, profile = module.row, module.profile
        if row.link != LinkState.DARK:
            behaviour.start(row, profile, 0.0)
            found[number] = module.deadline
    return found


def offers_s(scenario: Scenario) -> Times:
    """When each module of a simulated run first gets the plan's notice, seconds after activation, inf for never."""
    found = simulate(scenario)
    if not found.records.complete:
        raise KeyboardInterrupt
    notified_s: Times = found.records.modules["notified_s"].to_numpy(np.float64)
    return np.where(np.isnan(notified_s), inf, notified_s)


__all__ = ["SHAPES", "check_ins_s", "curve", "offers_s"]
