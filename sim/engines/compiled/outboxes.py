"""What the cloud leaves behind when it has acted: messages for modules, timers, lines of its log, decisions."""

from __future__ import annotations

from math import inf

from sim.cloud import plan_rules, rollout_state
from sim.engines.compiled import slots, timers
from sim.engines.compiled.array_state import ArrayState
from sim.engines.driver_rules import session_rules


def cloud_next_s(state: ArrayState) -> float:
    """When the cloud wants to act of itself, or inf."""
    return min(plan_rules.deadline(state.rollout.progress), timers.first_s(state.timers))


def send(state: ArrayState, own: int, now: float) -> None:
    """Empties the plan's outboxes: messages leave, timers are armed, log and decisions are kept.

    `own` is the module being run, which finds what is added to its list by itself; NONE for none.
    """
    plan, fills = state.rollout, state.rollout.progress
    for j in range(fills.armed):
        timer = plan.armed[j]
        timers.add(state.timers, timer[0], int(timer[1]), int(timer[2]), int(timer[3]))
    fills.armed = 0
    for j in range(fills.out):
        order = plan.out[j]
        i = int(order[0])
        back = state.rollout.executions[i].reverting
        if session_rules.send(state, i, int(order[1]), int(order[2]), back, now) and i != own:
            slots.line_up(state, i)
    fills.out = 0
    if fills.notes or fills.logged:
        _keep_log(state)
    if state.driver.bound_s > -inf:
        state.driver.bound_s = min(state.driver.bound_s, cloud_next_s(state))


def is_watched(state: ArrayState, i: int) -> bool:
    """Whether the module's events are recorded."""
    return bool(state.watched[min(i, len(state.watched) - 1)])


def _keep_log(state: ArrayState) -> None:
    """Moves lines of the upgrade log and decisions of the plan from the outboxes to the records."""
    plan, fills, driver = state.rollout, state.rollout.progress, state.driver
    for j in range(fills.notes):
        if is_watched(state, int(plan.notes[j, 0])):
            for column in range(4):
                state.notes[driver.notes, column] = plan.notes[j, column]
            driver.notes += 1
    fills.notes = 0
    for j in range(fills.logged):
        for column in range(rollout_state.DECISION_WIDTH):
            state.decisions[driver.decisions, column] = plan.log[j, column]
        driver.decisions += 1
    fills.logged = 0
