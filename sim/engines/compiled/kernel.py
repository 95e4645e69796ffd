"""The driver of the compiled engine: modules and cloud in virtual time, as simpy_engine.py drives them, over arrays.

A module's private moments, which touch nothing shared, are run ahead up to its next shared one; only those wait in the
queue: the connection gate, messages the cloud acts on, download slots, the shared egress. How far ahead is bounded by
the next instant at which the cloud may speak to anybody unasked, and by the end of the present stretch.

`s` is the engine's state: `k` the numbers of the driver, `modules` (with what the driver knows of them), `profiles`,
`pool` (events under way to or from a module), `q` the queue, `rollout` the plan, and the parts of the cloud. A module with
nothing under way is asleep (slots.py): all there is of it are its lasting row and its check-in.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

from sim.causes import Cause
from sim.cloud import capacity, egress, message_rules, offer_rules, plan_rules
from sim.draws import Purpose, uniform
from sim.engines.compiled import (
    cell_access,
    module,
    pending,
    polling,
    polling_answers,
    private_moments,
    queue,
    slots,
    timers,
)
from sim.engines.compiled.numba_layer.cache_hints import fetch_ahead, fetch_slot_ahead
from sim.engines.compiled.pending import NONE, NOT_ANSWERED
from sim.engines.recording import tally
from sim.module import battery, behaviour, radio
from sim.module.inputs import Input
from sim.module.link_states import LinkState
from sim.network import cells

SUSPEND, RESUME, NEXT_GROUP, TERMINATE, RETRY_FAILED, CANCEL = range(6)
"""What an operator does."""

START, RUN, CLOSE, CHARGE = range(4)
FINISHED, FULL_SLOTS, FULL_POOL, FULL_QUEUE, FULL_TIMERS, FULL_EVENTS, FULL_DECISIONS = range(7)
"""How a stretch ends: at its end, or because some arrays need more room."""


@dataclass(slots=True)
class Kernel:
    """The driver's numbers."""

    horizon_s: float = inf
    bound_s: float = 0.0
    """Private moments before this time may be run ahead."""
    keepalive_s: float = 120.0
    may_retire: int = 1
    calm: int = 0
    """Nobody but the plan's clock and a module's own messages can make the cloud speak or end an execution."""
    quiet: int = 0
    """Reports of progress change nothing but the module's own execution."""
    polled: int = 0
    """The cloud is a DDI server."""
    holds: int = 0
    """Packages wait for an order to be installed."""
    needed_bytes: int = 0
    needed_back_bytes: int = 0
    pool_free: int = NONE
    pool_used: int = 0
    pool_filled: int = 0
    slots_used: int = 1
    """Slots that have been in use so far; the first is the blank one."""
    vacant: int = 0
    started: int = 0
    """Modules that have been looked at for the start."""
    charge_first: int = 0
    """First module whose charge is to be read."""
    recording: int = 0
    orders: int = 0
    events: int = 0
    notes: int = 0
    decisions: int = 0


# --- stretches of time -----------------------------------------------------------------------------------------------


def advance(s: Any, stage: int, until_s: float) -> int:
    """The one entry: a compiler that is asked for one function works for one.

    START before anything else, RUN for every stretch up to `until_s`, CLOSE at the end, reached at `until_s`, CHARGE for
    every block of modules after that.
    """
    if stage == START:
        return start(s)
    if stage == RUN:
        return run_until(s, until_s)
    if stage == CLOSE:
        close(s, until_s)
    else:
        read_charge(s, until_s)
    return FINISHED


def start(s: Any) -> int:
    """Time zero: the plan is activated, modules that are awake are known, the others arm their first check-in.

    Returns FULL_SLOTS when more are awake than there is room for; it goes on from there when it is called again.
    """
    if s.k.started == 0:
        plan_rules.activate(s.rollout, 0.0)
        module.send(s, NONE, 0.0)
    while s.k.started < len(s.modules):
        i = int(s.k.started)
        if s.k.slots_used >= len(s.vacant):
            return FULL_SLOTS
        s.k.started += 1
        m = s.modules[i]
        if m.link == LinkState.OFFLINE:
            if behaviour.start(m, s.profiles[m.group], 0.0):
                slots.wake(s, i)
                start_online(s, i)
            else:
                slots.wait(s, i, m.link_at)
    return FINISHED


def start_online(s: Any, i: int) -> None:
    """A module that is awake already is known to the cloud."""
    m = s.modules[i]
    p = s.profiles[m.group]
    behaviour.start_online(m, p, 0.0)
    tally.online(s.tally, 0.0, 1)
    if s.k.polled:
        polling.start(s, i)
    else:
        module.hear(s, i, battery.gauge_percent(m, p, 0.0), m.rsrp_dbm, m.level, m.at_target, 0, 0.0)
        module.send(s, i, 0.0)
    module.rearm(s, i)
    module.line_up(s, i)


def run_until(s: Any, until_s: float) -> int:
    """Everything before `until_s` happens. Returns FINISHED, or which array needs more room first."""
    while True:
        lacking = full(s)
        if lacking:
            return lacking
        cloud_s, order_s = module.cloud_next_s(s), next_order_s(s)
        unasked_s = min(cloud_s, order_s)
        transfer_s, cell_s = egress.next_at(s.egress), timers.first_s(s.senders)
        shared_s = min(unasked_s, cell_s, transfer_s)
        now = min(shared_s, queue.next_time(s.q))
        if now >= until_s:
            return FINISHED
        s.k.bound_s = min(until_s, unasked_s) if s.k.calm else -inf
        i, due = NONE, now < shared_s
        if due:
            i = next_module(s, now)
        elif order_s == now:
            operate(s, now)
        elif cloud_s == now:
            wake_cloud(s, now)
        elif cell_s == now:
            opportunity(s)
        else:
            i = transfer_due(s, now)
        if i != NONE:
            run_module(s, i, due)


def full(s: Any) -> int:
    """Which array one more instant might overflow, or FINISHED; one instant adds at most two entries per module."""
    k, room = s.k, 2 * len(s.modules) + 64
    if k.slots_used >= len(s.vacant):
        return FULL_SLOTS
    if k.pool_used + room > len(s.pool):
        return FULL_POOL
    if not queue.holds(s.q, room):
        return FULL_QUEUE
    if s.timers.row.count + 2 * room > len(s.timers.entries) or s.senders.row.count + room > len(s.senders.entries):
        return FULL_TIMERS
    if k.recording and (k.notes + 4 * room > len(s.notes) or k.events + room > len(s.events)):
        return FULL_EVENTS
    return FULL_DECISIONS if k.decisions + 256 > len(s.decisions) else FINISHED


def next_order_s(s: Any) -> float:
    """When the operator acts next, or inf."""
    return float(s.orders[s.k.orders].time) if s.k.orders < len(s.orders) else inf


def operate(s: Any, now: float) -> None:
    """The operator's next doing."""
    order, b = s.orders[s.k.orders], s.rollout
    s.k.orders += 1
    what = order.what
    if what == SUSPEND:
        plan_rules.pause(b, now)
    elif what == RESUME:
        plan_rules.resume(b, now)
    elif what == NEXT_GROUP:
        plan_rules.next_group(b, now)
    elif what == TERMINATE:
        plan_rules.terminate(b, now)
    elif what == RETRY_FAILED:
        message_rules.retry_failed(b, now)
    else:
        for j in range(order.first, order.first + order.count):
            message_rules.cancel(b, s.ordered[j], now)
    module.send(s, NONE, now)


def wake_cloud(s: Any, now: float) -> None:
    """Timers of modules in order, then the plan: its end, groups, releases, pushes."""
    while timers.first_s(s.timers) <= now:
        first = s.timers.entries[0]
        who, kind, stamp = int(first.who), int(first.kind), int(first.stamp)
        timers.drop(s.timers)
        message_rules.timer(s.rollout, who, kind, stamp, now)
        module.send(s, NONE, now)
    if plan_rules.deadline(s.rollout.progress) <= now:
        plan_rules.wake(s.rollout, now)
        module.send(s, NONE, now)


def opportunity(s: Any) -> None:
    """The first opportunity of random access is over."""
    for j in range(cell_access.decide(s)):
        module.line_up(s, s.sent[j])


def next_module(s: Any, now: float) -> int:
    """The first module of the queue, or NONE when it has moved."""
    i = queue.next_who(s.q)
    queue.pop(s.q)
    if s.slots[i] <= 0:
        if not slots.is_due(s, i, now):
            return NONE
        slots.wake(s, i)
        s.modules[i].armed_at = now
    else:
        m = s.modules[i]
        if m.queued_at != now:
            if m.parked_at == now:
                m.parked_at = inf
            return NONE
        m.queued_at = inf
    return i


# --- modules ---------------------------------------------------------------------------------------------------------


def run_module(s: Any, i: int, due: bool) -> None:
    """The module's next event, if it is due, and the private ones that follow."""
    m = s.modules[i]
    while True:
        at, listed = m.armed_at, False
        if m.head != NONE:
            entry = s.pool[m.head]
            if entry.time < at or (entry.time == at and entry.order < m.armed_order):
                at, listed = entry.time, True
        if not due and not (at < s.k.bound_s and private_moments.touches_nobody(s, i, listed)):
            module.line_up(s, i)
            return
        due = False
        if listed:
            happen(s, i, at)
        else:
            m.armed_at = inf
            if s.k.polled and polling.keeps_awake(s, i, at):
                module.rearm(s, i)
            else:
                module.deliver(s, i, Input.WAKE, at)


def happen(s: Any, i: int, now: float) -> None:
    """The first entry of the module's list is due."""
    m = s.modules[i]
    entry = pending.take(s, m)
    kind = entry.kind
    if kind >= pending.SERVED:
        polling_answers.happen_polled(s, i, kind, entry, now)
    elif kind == pending.HELLO:
        module.hear(s, i, entry.battery_percent, entry.rsrp_dbm, entry.level, entry.number, 1, now)
        module.send(s, i, now)
    elif kind == pending.STATUS:
        wanted = 2 if s.rollout.executions[i].reverting else 1
        version = entry.flag + module.VERSION_FLAGS * entry.component
        message_rules.status(s.rollout, i, entry.code, entry.component, int(entry.flag == wanted), now)
        if s.rollout.progress.notes:
            s.rollout.notes[0, 3] = version  # the reported version itself, for the log
        module.send(s, i, now)
    elif kind == pending.ARRIVAL:
        if m.link == LinkState.ONLINE and m.session == entry.number:
            module.arrive(s, i, entry.code, entry.component, entry.flag, now)
    elif kind == pending.CONNECTED:
        if m.link == LinkState.CONNECTING and m.sessions == entry.number:
            module.connected(s, i, now)
    elif kind == pending.ANSWER:
        if m.transfer == NOT_ANSWERED and m.fetch == entry.number:
            answer(s, i, now)
    elif kind == pending.ACCESS:
        if cell_access.tries(m, entry.number):
            module.deliver(s, i, entry.code, now)
    elif kind == pending.DROP:
        drop(s, i, now)
    elif m.session == entry.number:
        message_rules.offline(s.rollout, i)


# --- downloads -------------------------------------------------------------------------------------------------------


def answer(s: Any, i: int, now: float) -> None:
    """The answer to a GET: a slot and bytes, or an error."""
    m = s.modules[i]
    cause = refusal(s, i)
    if cause != 0:
        m.transfer = NONE
        m.cause = cause
        module.deliver(s, i, Input.BROKEN, now)
        return
    p = s.profiles[m.group]
    tally.downloads(s.tally, s.downloads.active[0])
    wanted = m.piece_bytes - m.kept_bytes
    carrier, share = cells.carrier(m.cell, p.technology), cells.download_share(m, p)
    m.transfer = egress.start(s.egress, i, carrier, share, wanted, m.goodput_bit_s, now)
    pending.add(s, m, now + radio.drop_after_s(m, p), pending.DROP)
    module.deliver(s, i, Input.HEADER, now)


def refusal(s: Any, i: int) -> int:
    """Why the cloud does not serve this download, or 0 and a slot is taken."""
    m = s.modules[i]
    p = s.profiles[m.group]
    if offer_rules.refuses_downloads(s.rollout.progress, s.rollout.executions[i]):
        return Cause.URL_GONE
    dice = uniform(p.key_0, p.key_1, m.index, Purpose.SERVER_ERROR, m.transfers)
    if dice < p.server_error:
        return Cause.SERVER_ERROR
    return 0 if capacity.open_slot(s.downloads) else Cause.SERVER_BUSY


def drop(s: Any, i: int, now: float) -> None:
    """The session breaks under the transfer; the cloud notices only when its keep-alive runs out."""
    m = s.modules[i]
    m.cause = Cause.LINK_LOST
    tally.online(s.tally, now, -1)
    entry = pending.add(s, m, now + 1.5 * s.k.keepalive_s, pending.UNHEARD)
    entry.number = m.session
    module.deliver(s, i, Input.LINK_LOST, now)


def transfer_due(s: Any, now: float) -> int:
    """The first transfer of the egress is complete; returns its module, which goes on by itself."""
    slot = egress.next_slot(s.egress)
    transfer = s.egress.transfers[slot]
    i = int(transfer.owner)
    egress.finish(s.egress, slot, now)
    fetch_next_owner(s)
    m = s.modules[i]
    p = s.profiles[m.group]
    arrived = m.piece_bytes - m.kept_bytes
    module.close_fetch(s, i, transfer.began_s, arrived, now)
    m.received_bytes += arrived
    dice = uniform(p.key_0, p.key_1, m.index, Purpose.CHECKSUM, m.transfers)
    if dice < p.checksum_error:
        m.cause = Cause.CHECKSUM
        m.kept_bytes = 0.0
        module.deliver(s, i, Input.BROKEN, now)
    else:
        module.deliver(s, i, Input.DONE, now)
    return i


def fetch_next_owner(s: Any) -> None:
    """The module whose transfer is probably the next to complete: what there is of it will be needed soon."""
    if egress.next_at(s.egress) < inf:
        i = int(s.egress.transfers[egress.next_slot(s.egress)].owner)
        fetch_ahead(s.modules, i)
        fetch_ahead(s.rollout.executions, i)
        fetch_slot_ahead(s.modules, i)
        fetch_slot_ahead(s.rollout.executions, i)


def close(s: Any, now: float) -> None:
    """The run ends: transfers under way are booked."""
    for i in range(len(s.modules)):
        if s.slots[i] > 0 and s.modules[i].transfer >= 0:
            tally.transfer(s.tally, s.egress.transfers[s.modules[i].transfer].began_s, now, 0.0)


def read_charge(s: Any, now: float) -> None:
    """The charge that some modules have left, per cent."""
    first = s.k.charge_first
    for j in range(min(len(s.charge), len(s.modules) - first)):
        m = s.modules[first + j]
        s.charge[j] = battery.true_percent(m, s.profiles[m.group], now)
