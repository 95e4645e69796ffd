"""Who is awake: a module with something under way has a slot for it, all others sleep until their next check-in."""

from __future__ import annotations

from math import inf
from typing import Any

from sim.cloud import execution as ex
from sim.cloud.execution import ExecutionState
from sim.engines.compiled import queue
from sim.module.link_states import LinkState

NONE = -1
ASLEEP, FOR_GOOD = 0, -1
"""In place of a slot: the module sleeps until its next check-in, or for the rest of the run."""


def wake(s: Any, i: int) -> None:
    """Gives a module a slot, in which nothing has happened yet."""
    k = s.k
    if k.vacant > 0:
        k.vacant -= 1
        at = int(s.vacant[k.vacant])
    else:
        at = int(k.slots_used)
        k.slots_used += 1
    s.slots[i] = at
    s.awake_modules[at] = s.awake_modules[0]
    s.awake_executions[at] = s.awake_executions[0]


def sleep(s: Any, i: int) -> None:
    """Takes the slot away."""
    s.vacant[s.k.vacant] = s.slots[i]
    s.k.vacant += 1
    s.slots[i] = ASLEEP


def may_sleep(s: Any, i: int) -> bool:
    """Whether nothing is under way with a module whose list is empty: what its slot holds will be written anew."""
    if s.k.polled:  # what a module knows of its action outlasts its sessions
        return False
    m, e = s.modules[i], s.rollout.executions[i]
    done = s.k.may_retire and ex.is_terminal(e.state)
    if m.transfer != NONE or (e.online and not done) or e.state == ExecutionState.NOTIFIED:
        return False
    if m.link == LinkState.DARK:
        return True
    idle = m.link == LinkState.OFFLINE and m.status == 0 and m.cached == 0 and m.kept_bytes == 0.0
    return bool(idle and m.ota_at == inf and m.power_at == inf)


def wait(s: Any, i: int, at: float) -> None:
    """A module that sleeps is due at its next check-in."""
    if at < s.k.horizon_s:
        queue.push(s.q, at, i)


def is_due(s: Any, i: int, now: float) -> bool:
    """Whether a module that sleeps was to be woken now; entries of its earlier plans stay in the queue."""
    return bool(s.slots[i] == ASLEEP and s.modules[i].link_at == now and s.modules[i].link == LinkState.OFFLINE)
