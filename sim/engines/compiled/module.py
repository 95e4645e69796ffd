"""One module of a compiled run: an input goes in, what it asks for is carried out, messages go to the cloud and back."""

from __future__ import annotations

from math import inf
from typing import Any

from sim.cloud import capacity, egress, message_rules, plan_rules, rollout_state
from sim.cloud import execution as ex
from sim.cloud.rollout_state import MessageKind
from sim.engines.compiled import cell_access, pending, polling, queue, slots, timers
from sim.engines.compiled.pending import NONE, NOT_ANSWERED
from sim.engines.driver_rules import ddi_requests
from sim.engines.recording import tally
from sim.messages import PLAN_RECEIVED, UPDATE_SUCCESS
from sim.module import battery, behaviour, radio, states
from sim.module.inputs import Effect, Input
from sim.module.link_states import LinkState
from sim.module.rows import CheckIn

LOGIN_ROUND_TRIPS = 3
FETCH_ROUND_TRIPS = 2
HELLO_REQUESTS = 3

VERSION_FLAGS = 4
"""A line of the log about a status has the value flag + VERSION_FLAGS x component; the flag is Pending's."""


def hear(s: Any, i: int, gauge: float, rsrp_dbm: float, level: int, at_target: int, asks: int, now: float) -> None:
    """The cloud hears how a module is, and whether it asks for its plan."""
    source_ok = int(s.source_bad[min(i, len(s.source_bad) - 1)] & ~at_target == 0)
    message_rules.hello(s.rollout, i, gauge, rsrp_dbm, level, s.modules[i].free_bytes, at_target, source_ok, asks, now)


def cloud_next_s(s: Any) -> float:
    """When the cloud wants to act of itself, or inf."""
    return min(plan_rules.deadline(s.rollout.progress), timers.first_s(s.timers))


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


def connected(s: Any, i: int, now: float) -> None:
    """The cloud has let the module in: a session begins."""
    s.modules[i].session += 1
    tally.online(s.tally, now, 1)
    deliver(s, i, Input.CONNECTED, now)


def arrive(s: Any, i: int, message: int, component: int, back: int, now: float) -> None:
    """A message of the cloud has reached its module."""
    m = s.modules[i]
    if message == MessageKind.NOTICE:
        if states.next_status(m.status, Input.NOTICE) < 0:
            return
        s.modules[i].told_back = back
        m.min_battery_percent = s.rollout.settings.min_battery_percent
        m.min_rsrp_dbm = s.rollout.settings.min_rsrp_dbm
        m.needed_bytes = s.k.needed_back_bytes if back else s.k.needed_bytes
        deliver(s, i, Input.NOTICE, now)
    elif message == MessageKind.URL:
        if states.next_status(m.status, Input.URL) < 0:
            return
        c = s.components[component]
        m.component = component
        m.kind = c.kind
        m.package_bytes = c.rollback_bytes if back else c.size_bytes
        m.hold = s.rollout.executions[i].holds if s.k.polled else s.k.holds
        m.reverting = back
        deliver(s, i, Input.URL, now)
    elif message == MessageKind.INSTALL:
        deliver(s, i, Input.UPDATE, now)
    elif message == MessageKind.CANCEL:
        deliver(s, i, Input.CANCEL, now)
    else:
        deliver(s, i, Input.REVOKED, now)


def deliver(s: Any, i: int, given: int, now: float) -> None:
    """Every input of a module goes through here: receive, perform the effects, arm the timer."""
    m = s.modules[i]
    effects = behaviour.receive(m, s.profiles[m.group], given, now)
    if effects:
        perform(s, i, effects, now)
    rearm(s, i)


def rearm(s: Any, i: int) -> None:
    """One timer per module, at its deadline; a finished module is left alone."""
    m = s.modules[i]
    at = inf if is_retired(s, i) else behaviour.deadline(m)
    if at != m.armed_at:
        m.armed_at = at
        m.armed_order = m.order
        m.order += 1


def is_retired(s: Any, i: int) -> bool:
    """The cloud is done with the module, and it has nothing left to say."""
    m = s.modules[i]
    if m.link == LinkState.DARK:
        return True
    if m.status != 0 or m.cached != 0 or not s.k.may_retire:
        return False
    away = m.link == LinkState.OFFLINE or (
        m.link == LinkState.ONLINE and s.profiles[m.group].check_in == CheckIn.ALWAYS
    )
    return away and ex.is_terminal(s.rollout.executions[i].state)


def perform(s: Any, i: int, effects: int, now: float) -> None:
    """What a module's receiving asks of its driver."""
    m = s.modules[i]
    if effects & Effect.ENTERED:
        entered(s, i, now)
    if effects & Effect.STOP_FETCH:
        stop_fetch(s, i, now)
    if effects & Effect.ACCESS:
        cell_access.join(s, i, m.sessions, now)
    if s.k.polled:
        if effects & Effect.CONNECT:
            polling.ask(s, i, ddi_requests.POLL, NONE, 0, 1, m.sessions, now)
        if effects & Effect.PUBLISH:
            polling.publish(s, i, now)
    else:
        talk(s, i, effects, now)
    if effects & Effect.FETCH:
        tally.requests(s.tally, now, 1)
        m.fetch += 1
        m.transfer = NOT_ANSWERED
        entry = pending.add(s, m, now + FETCH_ROUND_TRIPS * m.rtt_s, pending.ANSWER)
        entry.number = m.fetch
    if effects & Effect.DISCONNECT:
        m.session += 1
        tally.online(s.tally, now, -1)
        message_rules.offline(s.rollout, i)


def talk(s: Any, i: int, effects: int, now: float) -> None:
    """Connecting and reporting over one session that stays open."""
    m = s.modules[i]
    if effects & Effect.CONNECT:
        accepted = capacity.admit(s.connections, now)
        tally.connects(s.tally, accepted)
        entry = pending.add(s, m, accepted + LOGIN_ROUND_TRIPS * m.rtt_s, pending.CONNECTED)
        entry.number = m.sessions
    if effects & Effect.HELLO:
        tally.requests(s.tally, now, HELLO_REQUESTS)
        say_hello(s, i, now)
    if effects & Effect.PUBLISH:
        tally.requests(s.tally, now, 1)
        publish(s, i, now)


def entered(s: Any, i: int, now: float) -> None:
    """A module entered a status."""
    m = s.modules[i]
    if s.k.recording and is_watched(s, i):
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
        event.back = s.modules[i].told_back if m.published == PLAN_RECEIVED else m.reverting
    if m.published == UPDATE_SUCCESS:
        m.kept_bytes = 0.0


def say_hello(s: Any, i: int, now: float) -> None:
    """The module's report on connecting goes to the cloud."""
    m = s.modules[i]
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


def publish(s: Any, i: int, now: float) -> None:
    """The status just entered goes to the cloud."""
    m = s.modules[i]
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
    b, c = s.rollout, s.rollout.progress
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
    if delay_s >= 0.0 and m.link == LinkState.ONLINE:
        entry = pending.add(s, m, leaves + delay_s, pending.ARRIVAL)
        entry.number = m.session
        entry.code = code
        entry.component = component
        entry.flag = s.rollout.executions[i].reverting
        if i != own:
            line_up(s, i)


def is_watched(s: Any, i: int) -> bool:
    """Whether the module's events are recorded."""
    return bool(s.watched[min(i, len(s.watched) - 1)])


def keep_log(s: Any) -> None:
    """Moves lines of the upgrade log and decisions of the plan from the outboxes to the records."""
    b, c, k = s.rollout, s.rollout.progress, s.k
    for j in range(c.notes):
        if is_watched(s, int(b.notes[j, 0])):
            for column in range(4):
                s.notes[k.notes, column] = b.notes[j, column]
            k.notes += 1
    c.notes = 0
    for j in range(c.logged):
        for column in range(rollout_state.DECISION_WIDTH):
            s.decisions[k.decisions, column] = b.log[j, column]
        k.decisions += 1
    c.logged = 0


def stop_fetch(s: Any, i: int, now: float) -> None:
    """The transfer under way, if any, ends here; what arrived is kept only by modules that can resume."""
    m = s.modules[i]
    if m.transfer == NOT_ANSWERED:
        m.transfer = NONE
    if m.transfer == NONE:
        return
    began_s = s.egress.transfers[m.transfer].began_s
    arrived = egress.stop(s.egress, m.transfer, now)
    m.received_bytes += arrived
    m.kept_bytes = m.kept_bytes + arrived if s.profiles[m.group].resume_download else 0.0
    close_fetch(s, i, began_s, arrived, now)


def close_fetch(s: Any, i: int, began_s: float, arrived_bytes: float, now: float) -> None:
    """Gives the download slot back and books the transfer."""
    m = s.modules[i]
    m.transfer = NONE
    pending.forget(s, m, pending.DROP)
    capacity.close_slot(s.downloads)
    tally.transfer(s.tally, began_s, now, 8.0 * arrived_bytes)
