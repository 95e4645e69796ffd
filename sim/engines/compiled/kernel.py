"""The kernel of the compiled engine: the loop that carries modules and cloud through virtual time, over arrays.

Theory of operation
-------------------
*What happens* is not decided here. The rules of driver_rules say what follows from an event, behaviour and message
rules what module and cloud do with it; the reference engine runs the same functions. This file decides *in which
order*, and the order must be the one of tie_order.py: by time; at one instant the operator, the cloud, opportunities
of random access, complete transfers, then modules by number; within a module what was scheduled or armed first.

Five places know what is next: the operator's orders (sorted), the cloud's timers and the plan's own deadline, the
heap of senders, the egress, and the queue of modules. `run_until` looks at all of them and lets the earliest act; the
tests of `order_s`, `cloud_s`, `cell_s` stand in the order of the ties. When a module acts, it is by `run_module`.

*Running ahead.* A queue entry for every event of every module would cost more than the events. But most of a module's
moments are private: they read and write its own row and execution, and whatever order they are taken in, nobody can
tell (private_moments.py says which). So once a module has the floor, it keeps it: private moments are run at once,
although other modules have earlier ones, until the next moment that is shared; only that one goes into the queue. The
rest of the world stays behind, at the time of the queue.

That is right only while nothing from outside can reach the module before the moments it has run ahead to. Two things
can. The cloud may speak unasked (a timer of its own, the plan's clock, the operator): `bound_s` is the earliest time
it may, and nobody runs beyond it; whoever makes the cloud arm a timer lowers the bound (`outboxes.send`). And another
module's message may make the plan act on everybody (criteria, thresholds, caps): where the plan has such rules
`may_run_ahead` is 0, the bound is -inf, and every event waits its turn (engine_state.py decides that once per run). A
stretch of time is a bound too, so that a run can be interrupted and its arrays made larger between events.

*Sleeping.* A module with nothing under way has no slot: of its row there are the lasting fields alone (slots.py), and
its only event is its next check-in. `next_module` gives it a slot when that comes; `line_up` takes it away when the
list is empty, the session over and the status idle. Queue entries cannot be taken out, so one may be stale: a module
awake knows at which time it is queued (`queued_at`), one asleep when it checks in (`link_at`), and an entry of
another time is dropped.

*Room.* Compiled code cannot make an array larger. `full` looks, before each instant, whether what one instant may add
would still find room, and returns which array would not; the Python side doubles it and calls again, which goes on
where it was.
"""

from __future__ import annotations

from math import inf

from sim.cloud import egress, message_rules, plan_rules
from sim.engines.compiled import cell_access, outboxes, pending, private_moments, queue, slots, timers
from sim.engines.compiled.array_state import ArrayState
from sim.engines.compiled.numba_layer.cache_hints import prefetch_row, prefetch_slot
from sim.engines.driver_rules import event_rules, module_rules, transfer_rules
from sim.engines.driver_rules.driven_row import NONE
from sim.module import battery, behaviour
from sim.module.link_states import LinkState

SUSPEND, RESUME, NEXT_GROUP, TERMINATE, RETRY_FAILED, CANCEL = range(6)
"""What an operator does."""

START, RUN, CLOSE, CHARGE = range(4)
FINISHED, FULL_SLOTS, FULL_UNDER_WAY, FULL_QUEUE, FULL_TIMERS, FULL_EVENTS, FULL_DECISIONS = range(7)
"""How a stretch ends: at its end, or because some arrays need more room."""


# --- stretches of time -----------------------------------------------------------------------------------------------


def advance(state: ArrayState, stage: int, until_s: float) -> int:
    """The one entry: a compiler that is asked for one function works for one.

    START before anything else, RUN for every stretch up to `until_s`, CLOSE at the end, reached at `until_s`, CHARGE for
    every block of modules after that.
    """
    if stage == START:
        return start(state)
    if stage == RUN:
        return run_until(state, until_s)
    if stage == CLOSE:
        close(state, until_s)
    else:
        read_charge(state, until_s)
    return FINISHED


def start(state: ArrayState) -> int:
    """Time zero: the plan is activated, modules that are awake are known, the others arm their first check-in.

    Returns FULL_SLOTS when more are awake than there is room for; it goes on from there when it is called again.
    """
    driver = state.driver
    if driver.started == 0:
        plan_rules.activate(state.rollout, 0.0)
        outboxes.send(state, NONE, 0.0)
    while driver.started < len(state.modules):
        i = int(driver.started)
        if driver.slots_used >= len(state.vacant):
            return FULL_SLOTS
        driver.started += 1
        row = state.modules[i]
        if row.link == LinkState.OFFLINE:
            if behaviour.start(row, state.profiles[row.group], 0.0):
                slots.wake(state, i)
                event_rules.start_online(state, i)
                slots.line_up(state, i)
            else:
                slots.wait(state, i, row.link_at)
    return FINISHED


def run_until(state: ArrayState, until_s: float) -> int:
    """Everything before `until_s` happens. Returns FINISHED, or which array needs more room first."""
    while True:
        lacking = full(state)
        if lacking:
            return lacking
        cloud_s, order_s = outboxes.cloud_next_s(state), next_order_s(state)
        unasked_s = min(cloud_s, order_s)
        transfer_s, cell_s = egress.next_at(state.egress), timers.first_s(state.senders)
        shared_s = min(unasked_s, cell_s, transfer_s)
        now = min(shared_s, queue.next_time(state.queue))
        if now >= until_s:
            return FINISHED
        state.driver.bound_s = min(until_s, unasked_s) if state.driver.may_run_ahead else -inf
        i, due = NONE, now < shared_s
        if due:
            i = next_module(state, now)
        elif order_s == now:
            operate(state, now)
        elif cloud_s == now:
            wake_cloud(state, now)
        elif cell_s == now:
            opportunity(state)
        else:
            i = transfer_due(state, now)
        if i != NONE:
            run_module(state, i, due)


def full(state: ArrayState) -> int:
    """Which array one more instant might overflow, or FINISHED; one instant adds at most two entries per module."""
    driver, room = state.driver, 2 * len(state.modules) + 64
    if driver.slots_used >= len(state.vacant):
        return FULL_SLOTS
    if driver.under_way_used + room > len(state.under_way):
        return FULL_UNDER_WAY
    if not queue.holds(state.queue, room):
        return FULL_QUEUE
    if state.timers.row.count + 2 * room > len(state.timers.entries) or state.senders.row.count + room > len(
        state.senders.entries
    ):
        return FULL_TIMERS
    if driver.recording and (driver.notes + 4 * room > len(state.notes) or driver.events + room > len(state.events)):
        return FULL_EVENTS
    return FULL_DECISIONS if driver.decisions + 256 > len(state.decisions) else FINISHED


def next_order_s(state: ArrayState) -> float:
    """When the operator acts next, or inf."""
    return float(state.orders[state.driver.orders].time) if state.driver.orders < len(state.orders) else inf


def operate(state: ArrayState, now: float) -> None:
    """The operator's next doing."""
    order, plan = state.orders[state.driver.orders], state.rollout
    state.driver.orders += 1
    what = order.what
    if what == SUSPEND:
        plan_rules.pause(plan, now)
    elif what == RESUME:
        plan_rules.resume(plan, now)
    elif what == NEXT_GROUP:
        plan_rules.next_group(plan, now)
    elif what == TERMINATE:
        plan_rules.terminate(plan, now)
    elif what == RETRY_FAILED:
        message_rules.retry_failed(plan, now)
    else:
        for j in range(order.first, order.first + order.count):
            message_rules.cancel(plan, state.ordered[j], now)
    outboxes.send(state, NONE, now)


def wake_cloud(state: ArrayState, now: float) -> None:
    """Timers of modules in order, then the plan: its end, groups, releases, pushes."""
    while timers.first_s(state.timers) <= now:
        first = state.timers.entries[0]
        who, kind, stamp = int(first.who), int(first.kind), int(first.stamp)
        timers.drop(state.timers)
        message_rules.timer(state.rollout, who, kind, stamp, now)
        outboxes.send(state, NONE, now)
    if plan_rules.deadline(state.rollout.progress) <= now:
        plan_rules.wake(state.rollout, now)
        outboxes.send(state, NONE, now)


def opportunity(state: ArrayState) -> None:
    """The first opportunity of random access is over."""
    for j in range(cell_access.decide(state)):
        slots.line_up(state, state.sent[j])


def next_module(state: ArrayState, now: float) -> int:
    """The first module of the queue, or NONE when it has moved."""
    i = queue.next_who(state.queue)
    queue.pop(state.queue)
    if state.slots[i] <= 0:
        if not slots.is_due(state, i, now):
            return NONE
        slots.wake(state, i)
        state.modules[i].armed_at = now
    else:
        row = state.modules[i]
        if row.queued_at != now:
            if row.parked_at == now:
                row.parked_at = inf
            return NONE
        row.queued_at = inf
    return i


# --- modules ---------------------------------------------------------------------------------------------------------


def run_module(state: ArrayState, i: int, due: bool) -> None:
    """The module's next event, if it is due, and the private ones that follow."""
    row = state.modules[i]
    while True:
        at, listed = row.armed_at, False
        if row.head != NONE:
            entry = state.under_way[row.head]
            if entry.time < at or (entry.time == at and entry.order < row.armed_order):
                at, listed = entry.time, True
        if not due and not (at < state.driver.bound_s and private_moments.touches_nobody(state, i, listed)):
            slots.line_up(state, i)
            return
        due = False
        if listed:
            event_rules.happen(state, i, pending.take(state, row), at)
        else:
            row.armed_at = inf
            module_rules.wake(state, i, at)


# --- downloads -------------------------------------------------------------------------------------------------------


def transfer_due(state: ArrayState, now: float) -> int:
    """The first transfer of the egress is complete; returns its module, which goes on by itself."""
    i = int(state.egress.transfers[egress.next_slot(state.egress)].owner)
    event_rules.transfer_due(state, i, now)
    prefetch_next_owner(state)
    return i


def prefetch_next_owner(state: ArrayState) -> None:
    """The module whose transfer is probably the next to complete: what there is of it will be needed soon."""
    if egress.next_at(state.egress) < inf:
        i = int(state.egress.transfers[egress.next_slot(state.egress)].owner)
        prefetch_row(state.modules, i)
        prefetch_row(state.rollout.executions, i)
        prefetch_slot(state.modules, i)
        prefetch_slot(state.rollout.executions, i)


def close(state: ArrayState, now: float) -> None:
    """The run ends: transfers under way are counted."""
    for i in range(len(state.modules)):
        if state.slots[i] > 0:
            transfer_rules.count_unfinished(state, i, now)


def read_charge(state: ArrayState, now: float) -> None:
    """The charge that some modules have left, per cent."""
    first = state.driver.charge_first
    for j in range(min(len(state.charge), len(state.modules) - first)):
        row = state.modules[first + j]
        state.charge[j] = battery.true_percent(row, state.profiles[row.group], now)
