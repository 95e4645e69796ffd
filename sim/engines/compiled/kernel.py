"""The driver of the compiled engine: modules and cloud in virtual time, as virtual.py drives them, over arrays.

A module's private moments, which touch nothing shared, are run ahead up to its next shared one; only those wait in the
queue: the connection gate, messages the cloud acts on, download slots, the shared egress. How far ahead is bounded by
the next instant at which the cloud may speak to anybody unasked, and by the end of the present stretch.

`s` is the engine's state: `k` the numbers of the driver, `modules` (with what the driver knows of them), `profiles`,
`pool` (events under way to or from a module), `q` the queue, `books` the plan, and the parts of the cloud. A module with
nothing under way is asleep (slots.py): all there is of it are its lasting row and its check-in.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

from sim.cloud import books, capacity, egress, offers, rollout, rules
from sim.cloud import execution as ex
from sim.draws import Purpose, uniform
from sim.engines import tally
from sim.engines.compiled import access, pending, private, queue, slots, timers
from sim.engines.compiled.pending import NONE, NOT_ANSWERED
from sim.messages import (
    PLAN_RECEIVED,
    UPDATE_SUCCESS,
)
from sim.module import battery, behaviour, radio, states
from sim.module.rows import (
    ALWAYS,
    C_CHECKSUM,
    C_LINK_LOST,
    C_SERVER_BUSY,
    C_SERVER_ERROR,
    C_URL_GONE,
    CONNECTING,
    DARK,
    OFFLINE,
    ONLINE,
)
from sim.network import cells

LOGIN_ROUND_TRIPS = 3
FETCH_ROUND_TRIPS = 2
HELLO_REQUESTS = 3

VERSION_FLAGS = 4
"""A line of the log about a status has the value flag + VERSION_FLAGS x component; the flag is Pending's."""

SUSPEND, RESUME, NEXT_GROUP, TERMINATE, RETRY_FAILED, CANCEL = range(6)
"""What an operator does."""

START, RUN, CLOSE, CHARGE = range(4)
FINISHED, FULL_SLOTS, FULL_POOL, FULL_QUEUE, FULL_TIMERS, FULL_EVENTS, FULL_DECISIONS = range(7)
"""How a stretch ends: at its end, or because some arrays need more room."""


@dataclass(slots=True)
class Kernel:
    """The driver's numbers."""

    horizon_s: float = inf
    until_s: float = 0.0
    bound_s: float = 0.0
    """Private moments before this time may be run ahead."""
    keepalive_s: float = 120.0
    may_retire: int = 1
    calm: int = 0
    """Nobody but the plan's clock and a module's own messages can make the cloud speak or end an execution."""
    quiet: int = 0
    """Reports of progress change nothing but the module's own execution."""
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
        start(s)
    elif stage == RUN:
        return run_until(s, until_s)
    elif stage == CLOSE:
        close(s, until_s)
    else:
        read_charge(s, until_s)
    return FINISHED


def start(s: Any) -> None:
    """Time zero: the plan is activated, modules that are always online are known, the others arm their first check-in."""
    rollout.activate(s.books, 0.0)
    send(s, NONE, 0.0)
    for i in range(len(s.modules)):
        m = s.modules[i]
        if behaviour.starts_online(m, s.profiles[m.group]):
            slots.wake(s, i)
            start_online(s, i)
        elif m.link == OFFLINE:
            behaviour.start(m, s.profiles[m.group], 0.0)
            slots.wait(s, i, m.link_at)


def start_online(s: Any, i: int) -> None:
    """A module that is online already is known to the cloud."""
    m = s.modules[i]
    p = s.profiles[m.group]
    behaviour.start_online(m, p, 0.0)
    tally.online(s.tally, 0.0, 1)
    gauge = battery.gauge_percent(m, p, 0.0)
    rules.hello(
        s.books, i, gauge, m.rsrp_dbm, m.level, m.free_bytes, m.at_target, source_fits(s, i, m.at_target), 0, 0.0
    )
    send(s, i, 0.0)
    rearm(s, i, m)
    line_up(s, i)


def source_fits(s: Any, i: int, at_target: int) -> int:
    """Whether the packages fit the versions that a module reports: those of the start, or the targets (as bits)."""
    return int(s.source_bad[min(i, len(s.source_bad) - 1)] & ~at_target == 0)


def run_until(s: Any, until_s: float) -> int:
    """Everything before `until_s` happens. Returns FINISHED, or which array needs more room first."""
    k = s.k
    k.until_s = until_s
    while True:
        lacking = full(s)
        if lacking:
            return lacking
        cloud_s = cloud_next_s(s)
        transfer_s = egress.next_at(s.egress)
        cell_s, order_s = timers.first_s(s.senders), next_order_s(s)
        now = min(order_s, cloud_s, cell_s, transfer_s, queue.next_time(s.q))
        if now >= until_s:
            return FINISHED
        if order_s == now:
            operate(s, now)
        elif cloud_s == now:
            wake_cloud(s, now)
        elif cell_s == now:
            opportunity(s)
        elif transfer_s == now:
            transfer_due(s, now)
        else:
            next_module(s, now, min(order_s, cloud_s))


def full(s: Any) -> int:
    """Which array one more instant might overflow, or FINISHED; one instant adds at most two entries per module."""
    k, room = s.k, 2 * len(s.modules) + 64
    if k.slots_used >= len(s.vacant):
        return FULL_SLOTS
    if k.pool_used + room > len(s.pool):
        return FULL_POOL
    if s.q.row.used + room > len(s.q.pool) or s.q.row.sorted + room > len(s.q.heap):
        return FULL_QUEUE
    if s.timers.row.count + 2 * room > len(s.timers.entries) or s.senders.row.count + room > len(s.senders.entries):
        return FULL_TIMERS
    if k.recording and (k.notes + 4 * room > len(s.notes) or k.events + room > len(s.events)):
        return FULL_EVENTS
    return FULL_DECISIONS if k.decisions + 256 > len(s.decisions) else FINISHED


def cloud_next_s(s: Any) -> float:
    """When the cloud wants to act of itself, or inf."""
    return min(rollout.deadline(s.books.c), timers.first_s(s.timers))


def next_order_s(s: Any) -> float:
    """When the operator acts next, or inf."""
    return float(s.orders[s.k.orders].time) if s.k.orders < len(s.orders) else inf


def operate(s: Any, now: float) -> None:
    """The operator's next doing."""
    order, b = s.orders[s.k.orders], s.books
    s.k.orders += 1
    what = order.what
    if what == SUSPEND:
        rollout.pause(b, now)
    elif what == RESUME:
        rollout.resume(b, now)
    elif what == NEXT_GROUP:
        rollout.next_group(b, now)
    elif what == TERMINATE:
        rollout.terminate(b, now)
    elif what == RETRY_FAILED:
        rules.retry_failed(b, now)
    else:
        for j in range(order.first, order.first + order.count):
            rules.cancel(b, s.ordered[j], now)
    send(s, NONE, now)


def wake_cloud(s: Any, now: float) -> None:
    """Timers of modules in order, then the plan: its end, groups, releases, pushes."""
    while timers.first_s(s.timers) <= now:
        first = s.timers.entries[0]
        who, kind, stamp = int(first.who), int(first.kind), int(first.stamp)
        timers.drop(s.timers)
        rules.timer(s.books, who, kind, stamp, now)
        send(s, NONE, now)
    if rollout.deadline(s.books.c) <= now:
        rollout.wake(s.books, now)
        send(s, NONE, now)


def opportunity(s: Any) -> None:
    """The first opportunity of random access is over."""
    for j in range(access.decide(s)):
        line_up(s, s.sent[j])


def next_module(s: Any, now: float, cloud_s: float) -> None:
    """The first module of the queue, unless it has moved."""
    i = queue.next_who(s.q)
    queue.pop(s.q)
    if s.slots[i] <= 0:
        if not slots.is_due(s, i, now):
            return
        slots.wake(s, i)
        s.modules[i].armed_at = now
    else:
        m = s.modules[i]
        if m.queued_at != now:
            if m.parked_at == now:
                m.parked_at = inf
            return
        m.queued_at = inf
    s.k.bound_s = min(s.k.until_s, cloud_s) if s.k.calm else -inf
    run_module(s, i)


def line_up(s: Any, i: int) -> None:
    """Puts a module into the queue at its next event, if it is not there already; with nothing under way it sleeps."""
    m = s.modules[i]
    at = m.armed_at
    if m.head == NONE and slots.may_sleep(s, i):
        queued = at in (m.queued_at, m.parked_at)
        slots.sleep(s, i)
        if at == inf:
            s.slots[i] = slots.FOR_GOOD
        elif not queued:
            slots.wait(s, i, at)
        return
    if m.head != NONE:
        at = min(at, s.pool[m.head].time)
    if at == m.queued_at:
        return
    if m.queued_at < inf:  # the old entry stays behind, and may serve again
        m.parked_at = m.queued_at
    m.queued_at = at
    if at == m.parked_at:
        m.parked_at = inf
    elif at < s.k.horizon_s:
        queue.push(s.q, at, i)
    else:
        m.queued_at = inf


# --- modules ---------------------------------------------------------------------------------------------------------


def run_module(s: Any, i: int) -> None:
    """The module's next event, which is due, and the private ones that follow it."""
    m = s.modules[i]
    due = True
    while True:
        at, listed = m.armed_at, False
        if m.head != NONE:
            entry = s.pool[m.head]
            if entry.time < at or (entry.time == at and entry.order < m.armed_order):
                at, listed = entry.time, True
        if not due and not (at < s.k.bound_s and private.touches_nobody(s, i, m, listed)):
            line_up(s, i)
            return
        due = False
        if listed:
            happen(s, i, m, at)
        else:
            m.armed_at = inf
            deliver(s, i, m, behaviour.WAKE, at)


def happen(s: Any, i: int, m: Any, now: float) -> None:
    """The first entry of the module's list is due."""
    entry = pending.take(s, m)
    kind = entry.kind
    if kind == pending.HELLO:
        rules.hello(
            s.books, i, entry.battery_percent, entry.rsrp_dbm, entry.level, m.free_bytes, entry.number,
            source_fits(s, i, entry.number), 1, now,
        )  # fmt: skip
        send(s, i, now)
    elif kind == pending.STATUS:
        wanted = 2 if s.books.es[i].reverting else 1
        version = entry.flag + VERSION_FLAGS * entry.component
        rules.status(s.books, i, entry.code, entry.component, int(entry.flag == wanted), now)
        if s.books.c.notes:
            s.books.notes[0, 3] = version  # the reported version itself, for the log
        send(s, i, now)
    elif kind == pending.ARRIVAL:
        if m.link == ONLINE and m.session == entry.number:
            arrive(s, i, m, entry.code, entry.component, entry.flag, now)
    elif kind == pending.CONNECTED:
        if m.link == CONNECTING and m.sessions == entry.number:
            m.session += 1
            tally.online(s.tally, now, 1)
            deliver(s, i, m, behaviour.CONNECTED, now)
    elif kind == pending.ANSWER:
        if m.transfer == NOT_ANSWERED and m.fetch == entry.number:
            answer(s, i, m, now)
    elif kind == pending.ACCESS:
        if access.tries(m, entry.number):
            deliver(s, i, m, entry.code, now)
    elif kind == pending.DROP:
        drop(s, i, m, now)
    elif m.session == entry.number:
        rules.offline(s.books, i)


def arrive(s: Any, i: int, m: Any, message: int, component: int, back: int, now: float) -> None:
    """A message of the cloud has reached its module."""
    if message == books.SEND_NOTICE:
        if states.next_status(m.status, states.NOTICE) < 0:
            return
        m.told_back = back
        m.min_battery_percent = int(s.books.r.min_battery_percent)
        m.min_rsrp_dbm = int(s.books.r.min_rsrp_dbm)
        m.needed_bytes = s.k.needed_back_bytes if back else s.k.needed_bytes
        deliver(s, i, m, states.NOTICE, now)
    elif message == books.SEND_URL:
        if states.next_status(m.status, states.URL) < 0:
            return
        c = s.components[component]
        m.component = component
        m.kind = c.kind
        m.package_bytes = c.rollback_bytes if back else c.size_bytes
        m.hold = s.k.holds
        m.reverting = back
        deliver(s, i, m, states.URL, now)
    elif message == books.SEND_INSTALL:
        deliver(s, i, m, states.UPDATE, now)
    elif message == books.SEND_CANCEL:
        deliver(s, i, m, states.CANCEL, now)
    else:
        deliver(s, i, m, behaviour.REVOKED, now)


def deliver(s: Any, i: int, m: Any, given: int, now: float) -> None:
    """Every input of a module goes through here: receive, perform the effects, arm the timer."""
    effects = behaviour.receive(m, s.profiles[m.group], given, now)
    if effects:
        perform(s, i, m, effects, now)
    rearm(s, i, m)


def rearm(s: Any, i: int, m: Any) -> None:
    """One timer per module, at its deadline; a finished module is left alone."""
    at = inf if is_retired(s, i, m) else behaviour.deadline(m)
    if at != m.armed_at:
        m.armed_at = at
        m.armed_order = m.order
        m.order += 1


def is_retired(s: Any, i: int, m: Any) -> bool:
    """The cloud is done with the module, and it has nothing left to say."""
    if m.link == DARK:
        return True
    if m.status != 0 or m.cached != 0 or not s.k.may_retire:
        return False
    away = m.link == OFFLINE or (m.link == ONLINE and s.profiles[m.group].check_in == ALWAYS)
    return away and ex.is_terminal(s.books.es[i].state)


def perform(s: Any, i: int, m: Any, effects: int, now: float) -> None:
    """What a module's receiving asks of its driver."""
    if effects & behaviour.ENTERED:
        entered(s, m, now)
    if effects & behaviour.STOP_FETCH:
        stop_fetch(s, m, now)
    if effects & behaviour.ACCESS:
        access.join(s, i, m.sessions, now)
    if effects & behaviour.CONNECT:
        accepted = capacity.admit(s.connections, now)
        tally.connects(s.tally, accepted)
        entry = pending.add(s, m, accepted + LOGIN_ROUND_TRIPS * m.rtt_s, pending.CONNECTED)
        entry.number = m.sessions
    if effects & behaviour.HELLO:
        tally.requests(s.tally, now, HELLO_REQUESTS)
        say_hello(s, m, now)
    if effects & behaviour.PUBLISH:
        tally.requests(s.tally, now, 1)
        publish(s, m, now)
    if effects & behaviour.FETCH:
        tally.requests(s.tally, now, 1)
        m.fetch += 1
        m.transfer = NOT_ANSWERED
        entry = pending.add(s, m, now + FETCH_ROUND_TRIPS * m.rtt_s, pending.ANSWER)
        entry.number = m.fetch
    if effects & behaviour.DISCONNECT:
        m.session += 1
        tally.online(s.tally, now, -1)
        rules.offline(s.books, i)


def entered(s: Any, m: Any, now: float) -> None:
    """A module entered a status."""
    if s.k.recording and is_watched(s, m.index):
        event = s.events[s.k.events]
        s.k.events += 1
        event.time = now
        event.module = m.index
        event.status = m.published
        event.code = m.event
        event.component = m.component
        event.kind = m.kind
        event.package_bytes = m.package_bytes
        event.offset_bytes = m.offset_bytes
        event.piece_bytes = m.piece_bytes
        event.back = m.told_back if m.published == PLAN_RECEIVED else m.reverting
    if m.published == UPDATE_SUCCESS:
        m.kept_bytes = 0.0


# --- messages --------------------------------------------------------------------------------------------------------


def say_hello(s: Any, m: Any, now: float) -> None:
    """The module's report on connecting goes to the cloud."""
    p = s.profiles[m.group]
    gauge = battery.gauge_percent(m, p, now)
    delay_s = radio.uplink_s(m, p)
    if delay_s >= 0.0:
        m.heard_at = max(now + delay_s, m.heard_at)
        entry = pending.add(s, m, m.heard_at, pending.HELLO)
        entry.battery_percent = gauge
        entry.rsrp_dbm = m.rsrp_dbm
        entry.level = m.level
        entry.number = m.at_target


def publish(s: Any, m: Any, now: float) -> None:
    """The status just entered goes to the cloud."""
    delay_s = radio.uplink_s(m, s.profiles[m.group])
    if delay_s >= 0.0:
        m.heard_at = max(now + delay_s, m.heard_at)
        entry = pending.add(s, m, m.heard_at, pending.STATUS)
        entry.code = m.published
        entry.component = m.component
        on_target = (m.at_target >> m.component) & 1
        entry.flag = 1 if on_target else 2 if m.reverting else 0


def send(s: Any, own: int, now: float) -> None:
    """Empties the plan's outboxes: messages take a request worker, then the downlink; timers are armed.

    `own` is the module being run, which finds what is added to its list by itself.
    """
    b, c = s.books, s.books.c
    for j in range(c.armed):
        timer = b.armed[j]
        timers.add(s.timers, timer[0], int(timer[1]), int(timer[2]), int(timer[3]))
    c.armed = 0
    for j in range(c.out):
        order = b.out[j]
        message(s, int(order[0]), int(order[1]), int(order[2]), own, now)
    c.out = 0
    if c.notes or c.logged:
        keep_log(s)
    if s.k.bound_s > -inf:
        s.k.bound_s = min(s.k.bound_s, cloud_next_s(s))


def message(s: Any, i: int, code: int, component: int, own: int, now: float) -> None:
    """One message of the cloud to a module."""
    beats_per_s = s.downloads.active[0] / states.PROGRESS_INTERVAL_S
    leaves = capacity.answered_at(s.workers, now, beats_per_s, s.workers.service_s)
    m = s.modules[i]
    delay_s = radio.downlink_s(m, s.profiles[m.group])
    if delay_s >= 0.0 and m.link == ONLINE:
        entry = pending.add(s, m, leaves + delay_s, pending.ARRIVAL)
        entry.number = m.session
        entry.code = code
        entry.component = component
        entry.flag = s.books.es[i].reverting
        if i != own:
            line_up(s, i)


def is_watched(s: Any, i: int) -> bool:
    """Whether the module's events are recorded."""
    return bool(s.watched[min(i, len(s.watched) - 1)])


def keep_log(s: Any) -> None:
    """Moves lines of the upgrade log and decisions of the plan from the outboxes to the records."""
    b, c, k = s.books, s.books.c, s.k
    for j in range(c.notes):
        if is_watched(s, int(b.notes[j, 0])):
            for column in range(4):
                s.notes[k.notes, column] = b.notes[j, column]
            k.notes += 1
    c.notes = 0
    for j in range(c.logged):
        for column in range(books.DECISION_WIDTH):
            s.decisions[k.decisions, column] = b.log[j, column]
        k.decisions += 1
    c.logged = 0


# --- downloads -------------------------------------------------------------------------------------------------------


def answer(s: Any, i: int, m: Any, now: float) -> None:
    """The answer to a GET: a slot and bytes, or an error."""
    cause = refusal(s, i, m)
    if cause != 0:
        m.transfer = NONE
        m.cause = cause
        deliver(s, i, m, states.BROKEN, now)
        return
    p = s.profiles[m.group]
    tally.downloads(s.tally, s.downloads.active[0])
    wanted = m.piece_bytes - m.kept_bytes
    carrier, share = cells.carrier(m.cell, p.technology), cells.download_share(m, p)
    m.transfer = egress.start(s.egress, i, carrier, share, wanted, m.goodput_bit_s, now)
    pending.add(s, m, now + radio.drop_after_s(m, p), pending.DROP)
    deliver(s, i, m, states.HEADER, now)


def refusal(s: Any, i: int, m: Any) -> int:
    """Why the cloud does not serve this download, or 0 and a slot is taken."""
    p = s.profiles[m.group]
    if offers.refuses_downloads(s.books.c, s.books.es[i]):
        return C_URL_GONE
    dice = uniform(p.key_0, p.key_1, m.index, Purpose.SERVER_ERROR, m.transfers)
    if dice < p.server_error:
        return C_SERVER_ERROR
    return 0 if capacity.open_slot(s.downloads) else C_SERVER_BUSY


def drop(s: Any, i: int, m: Any, now: float) -> None:
    """The session breaks under the transfer; the cloud notices only when its keep-alive runs out."""
    m.cause = C_LINK_LOST
    tally.online(s.tally, now, -1)
    entry = pending.add(s, m, now + 1.5 * s.k.keepalive_s, pending.UNHEARD)
    entry.number = m.session
    deliver(s, i, m, behaviour.LINK_LOST, now)


def transfer_due(s: Any, now: float) -> None:
    """The first transfer of the egress is complete."""
    slot = egress.next_slot(s.egress)
    transfer = s.egress.transfers[slot]
    i = transfer.owner
    egress.finish(s.egress, slot, now)
    m = s.modules[i]
    p = s.profiles[m.group]
    arrived = m.piece_bytes - m.kept_bytes
    close_fetch(s, m, transfer.began_s, arrived, now)
    m.received_bytes += arrived
    dice = uniform(p.key_0, p.key_1, m.index, Purpose.CHECKSUM, m.transfers)
    s.k.bound_s = -inf
    if dice < p.checksum_error:
        m.cause = C_CHECKSUM
        m.kept_bytes = 0.0
        deliver(s, i, m, states.BROKEN, now)
    else:
        deliver(s, i, m, states.DONE, now)
    line_up(s, i)


def stop_fetch(s: Any, m: Any, now: float) -> None:
    """The transfer under way, if any, ends here; what arrived is kept only by modules that can resume."""
    if m.transfer == NOT_ANSWERED:
        m.transfer = NONE
    if m.transfer == NONE:
        return
    began_s = s.egress.transfers[m.transfer].began_s
    arrived = egress.stop(s.egress, m.transfer, now)
    m.received_bytes += arrived
    m.kept_bytes = m.kept_bytes + arrived if s.profiles[m.group].resume_download else 0.0
    close_fetch(s, m, began_s, arrived, now)


def close_fetch(s: Any, m: Any, began_s: float, arrived_bytes: float, now: float) -> None:
    """Gives the download slot back and books the transfer."""
    m.transfer = NONE
    pending.forget(s, m, pending.DROP)
    capacity.close_slot(s.downloads)
    tally.transfer(s.tally, began_s, now, 8.0 * arrived_bytes)


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
