"""Who is awake, and in the queue: a module with something under way has a slot for it, all others sleep until their next check-in."""

from __future__ import annotations

from math import inf

from sim.cloud import execution as ex
from sim.cloud.execution_states import ExecutionState
from sim.engines.compiled import queue
from sim.engines.compiled.array_state import ArrayState
from sim.engines.driver_rules.driven_row import NONE
from sim.module.link_states import LinkState

ASLEEP, FOR_GOOD = 0, -1
"""In place of a slot: the module sleeps until its next check-in, or for the rest of the run."""


def wake(state: ArrayState, i: int) -> None:
    """Gives a module a slot, in which nothing has happened yet."""
    driver = state.driver
    if driver.vacant > 0:
        driver.vacant -= 1
        at = int(state.vacant[driver.vacant])
    else:
        at = int(driver.slots_used)
        driver.slots_used += 1
    state.slots[i] = at
    state.awake_modules[at] = state.awake_modules[0]
    state.awake_executions[at] = state.awake_executions[0]


def sleep(state: ArrayState, i: int) -> None:
    """Takes the slot away."""
    state.vacant[state.driver.vacant] = state.slots[i]
    state.driver.vacant += 1
    state.slots[i] = ASLEEP


def may_sleep(state: ArrayState, i: int) -> bool:
    """Whether nothing is under way with a module whose list is empty: what its slot holds will be written anew."""
    if state.driver.polled:  # what a module knows of its action outlasts its sessions
        return False
    row, execution = state.modules[i], state.rollout.executions[i]
    done = state.driver.may_retire and ex.is_terminal(execution.state)
    if row.transfer != NONE or (execution.online and not done) or execution.state == ExecutionState.NOTIFIED:
        return False
    if row.link == LinkState.DARK:
        return True
    idle = row.link == LinkState.OFFLINE and row.status == 0 and row.cached == 0 and row.kept_bytes == 0.0
    return bool(idle and row.ota_at == inf and row.power_at == inf and row.late_at == inf)


def wait(state: ArrayState, i: int, at: float) -> None:
    """A module that sleeps is due at its next check-in."""
    if at < state.driver.horizon_s:
        queue.push(state.queue, at, i)


def is_due(state: ArrayState, i: int, now: float) -> bool:
    """Whether a module that sleeps was to be woken now; entries of its earlier plans stay in the queue."""
    return bool(
        state.slots[i] == ASLEEP and state.modules[i].link_at == now and state.modules[i].link == LinkState.OFFLINE
    )


def line_up(state: ArrayState, i: int) -> None:
    """Puts a module into the queue at its next event, if it is not there already; with nothing under way it sleeps."""
    row = state.modules[i]
    at = row.armed_at
    if row.head == NONE and may_sleep(state, i):
        queued = at in (row.queued_at, row.parked_at)
        sleep(state, i)
        if at == inf:
            state.slots[i] = FOR_GOOD
        elif not queued:
            wait(state, i, at)
        return
    if row.head != NONE:
        at = min(at, state.under_way[row.head].time)
    if at == row.queued_at:
        return
    if row.queued_at < inf:  # the old entry stays behind, and may serve again
        row.parked_at = row.queued_at
    row.queued_at = at
    if at == row.parked_at:
        row.parked_at = inf
    elif at < state.driver.horizon_s:
        queue.push(state.queue, at, i)
    else:
        row.queued_at = inf
