"""When the modules of a load begin: as they check in, as their plan releases them, or on a course of their own.

Scenario in, curve out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import inf
from pathlib import Path

import numpy as np

from sim.engines.run import simulate
from sim.engines.world.build import World, build
from sim.errors import InputError
from sim.load.start_curve import Curve, Times
from sim.module import behaviour
from sim.module.link_states import LinkState
from sim.scenario import Scenario
from sim.scenario.fleet_files import fleet_size

SHAPES = {
    "ramp": "all of them, as fast as the ramp allows",
    "check-in": "each at its first check-in after the plan is activated",
    "waves": "each when the plan offers it the upgrade, as the simulated run has it: groups, rates, windows, pushes",
    "step": "in equal steps over --duration, those of a step at once",
    "spike": "half of them evenly over --duration, the other half within a second in its middle",
    "soak": "evenly over --duration",
    "replay": "at the times of a file (--arrivals)",
}
"""The shapes there are, and when modules begin in each."""


TIMED = ("step", "spike", "soak")
"""Shapes over a given time; real seconds whatever the time scale."""
SPIKE_S = 1.0


@dataclass(frozen=True, slots=True)
class Course:
    """What shapes of their own need: over how many real seconds, in how many steps, the file of arrival times."""

    span_s: float | None = None
    steps: int = 5
    arrivals: Path | None = None


def curve(scenario: Scenario, shape: str, time_scale: float = 1.0, course: Course = Course()) -> Curve:
    """The curve of a scenario's whole fleet in real seconds; a time scale shortens it as it does the modules' waits.

    Modules that never come are not in it. InputError for a shape there is none of, and when nobody comes at all.
    """
    if shape not in SHAPES:
        raise InputError(f"shape {shape!r}: choose from {', '.join(SHAPES)}")
    if shape in TIMED:
        return Curve(_timed(shape, fleet_size(scenario), course))
    if shape == "replay":
        begins_s = arrivals_s(course.arrivals)
    elif shape == "waves":
        begins_s = offers_s(scenario)
    else:
        world = build(scenario)
        begins_s = check_ins_s(world) if shape == "check-in" else np.zeros(len(world.fleet.rows))
    begins_s = np.sort(begins_s[begins_s < inf]) / time_scale
    if not len(begins_s):
        raise InputError(f"shape {shape}: no module of the scenario ever begins")
    return Curve(begins_s)


def _timed(shape: str, modules: int, course: Course) -> Times:
    """When so many modules begin over the span of a course, in order."""
    if course.span_s is None:
        raise InputError(f"shape {shape}: --duration is needed, the time over which modules begin")
    if shape == "step":
        return np.floor(np.arange(modules) * course.steps / modules) * course.span_s / course.steps
    crowd = modules // 2 if shape == "spike" else 0
    even = np.arange(modules - crowd) / (modules - crowd) * course.span_s
    at_once = course.span_s / 2.0 + np.arange(crowd) / max(crowd, 1) * SPIKE_S
    return np.sort(np.concatenate([even, at_once]))


def arrivals_s(path: Path | None) -> Times:
    """Arrival times of a file, one a line: seconds after the start, or dates with times, which count from the earliest.

    Empty lines and what follows a # are passed over. InputError names file, line and value of anything else.
    """
    if path is None:
        raise InputError("shape replay: --arrivals FILE is needed, an arrival time in each line")
    lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    told = [(number, text) for number, text in enumerate(lines, 1) if text]
    dates = [_date(text) for _, text in told]
    if told and all(date is not None for date in dates):
        stamps = [date.timestamp() for date in dates if date is not None]
        return np.array(stamps) - min(stamps)
    return np.array([_seconds(path, number, text) for number, text in told], dtype=np.float64)


def _date(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if "-" in text[1:] else None
    except ValueError:
        return None


def _seconds(path: Path, number: int, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds < inf:
        raise InputError(
            f"{path}:{number}: {text[:40]!r} is no arrival time; write seconds after the start such as 12.5, or in every line a "
            "date with its time such as 2026-03-01T04:00:00"
        )
    return seconds


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


__all__ = ["SHAPES", "TIMED", "Course", "arrivals_s", "check_ins_s", "curve", "offers_s"]
