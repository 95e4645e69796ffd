"""The seam over arrays: what takes the place of the functions of driver_rules/seam.py in compiled code, name by name."""

from __future__ import annotations

from sim.cloud import message_rules
from sim.cloud.rollout_state import MessageKind
from sim.engines.compiled import cell_access, outboxes, pending
from sim.engines.compiled.array_state import ArrayState, ListedEvent
from sim.engines.driver_rules.driven_row import NONE, UnderWay
from sim.messages import PLAN_RECEIVED
from sim.module import battery, behaviour, states
from sim.module.inputs import Effect, Input

VERSION_FLAGS = 4
"""A line of the log about a status has the value flag + VERSION_FLAGS x component; the flag is that of the report."""

# --- events under way -------------------------------------------------------------------------------------------------


def schedule(state: ArrayState, i: int, at: float, kind: int) -> ListedEvent:
    """A new entry of the module's list."""
    return pending.add(state, state.modules[i], at, kind)


def forget(state: ArrayState, i: int, kind: int) -> None:
    """Drops the first entry of that kind."""
    pending.forget(state, state.modules[i], kind)


def is_waiting(state: ArrayState, i: int, kind: int) -> bool:
    """Whether the module's list has an entry of that kind."""
    return pending.first_of(state, state.modules[i], kind) != NONE


def take_waiting(state: ArrayState, i: int, kind: int) -> ListedEvent:
    """Takes the first entry of that kind off the list. It stays readable until the next one is added."""
    row = state.modules[i]
    entry = state.under_way[pending.first_of(state, row, kind)]
    pending.forget(state, row, kind)
    return entry


def arm(state: ArrayState, i: int, at: float) -> None:
    """Keeps when the timer is due, and that it was armed after what is in the list so far."""
    row = state.modules[i]
    if at != row.armed_at:
        row.armed_at = at
        row.armed_order = row.order
        row.order += 1


# --- the module -------------------------------------------------------------------------------------------------------


def receive(state: ArrayState, i: int, input_: int, now: float) -> int:
    """The module receives an input."""
    row = state.modules[i]
    return behaviour.receive(row, state.profiles[row.group], input_, now)


def receive_message(state: ArrayState, i: int, message: int, component: int, back: int, now: float) -> int:
    """The module receives a message, which is all numbers here."""
    row = state.modules[i]
    input_ = Input.REVOKED
    if message == MessageKind.NOTICE:
        if states.next_status(row.status, Input.NOTICE) < 0:
            return Effect.REFUSED_INPUT
        row.notice_reverts = back
        row.min_battery_percent = state.rollout.settings.min_battery_percent
        row.min_rsrp_dbm = state.rollout.settings.min_rsrp_dbm
        row.needed_bytes = state.driver.needed_back_bytes if back else state.driver.needed_bytes
        input_ = Input.NOTICE
    elif message == MessageKind.URL:
        if states.next_status(row.status, Input.URL) < 0:
            return Effect.REFUSED_INPUT
        sizes = state.components[component]
        row.component = component
        row.kind = sizes.kind
        row.package_bytes = sizes.rollback_bytes if back else sizes.size_bytes
        row.hold = state.rollout.executions[i].holds if state.driver.polled else state.driver.holds
        row.reverting = back
        input_ = Input.URL
    elif message == MessageKind.INSTALL:
        input_ = Input.UPDATE
    elif message == MessageKind.CANCEL:
        input_ = Input.CANCEL
    return behaviour.receive(row, state.profiles[row.group], input_, now)


def record_status(state: ArrayState, i: int, now: float) -> None:
    """A status is recorded as numbers, if the module is watched."""
    if not (state.driver.recording and outboxes.is_watched(state, i)):
        return
    row = state.modules[i]
    event = state.events[state.driver.events]
    state.driver.events += 1
    event.time = now
    event.module = row.index
    event.status = row.published
    event.code = row.event
    event.component = row.component
    event.kind = row.kind
    event.package_bytes = row.package_bytes
    event.offset_bytes = row.offset_bytes
    event.piece_bytes = row.piece_bytes
    event.back = row.notice_reverts if row.published == PLAN_RECEIVED else row.reverting


def begin_access(state: ArrayState, i: int, now: float) -> None:
    """The module waits for an opportunity of its cell."""
    cell_access.join(state, i, state.modules[i].sessions, now)


def describe_hello(state: ArrayState, i: int, event: UnderWay, now: float) -> None:
    """How the module is now."""
    row = state.modules[i]
    event.battery_percent = battery.gauge_percent(row, state.profiles[row.group], now)
    event.rsrp_dbm = row.rsrp_dbm
    event.level = row.level
    event.number = row.at_target


def describe_status(state: ArrayState, i: int, event: UnderWay) -> None:
    """The status, and which version of the component runs: the target (1), a previous one on order (2), another (0)."""
    row = state.modules[i]
    event.code = row.published
    event.component = row.component
    on_target = (row.at_target >> row.component) & 1
    event.flag = 1 if on_target else 2 if row.reverting else 0


# --- the cloud --------------------------------------------------------------------------------------------------------


def cloud_knows(state: ArrayState, i: int) -> None:
    """The cloud hears how the module is; it does not ask for a plan."""
    row = state.modules[i]
    gauge_percent = battery.gauge_percent(row, state.profiles[row.group], 0.0)
    _hear(state, i, gauge_percent, row.rsrp_dbm, row.level, row.at_target, 0, 0.0)
    outboxes.send(state, i, 0.0)


def cloud_hello(state: ArrayState, i: int, event: UnderWay, now: float) -> None:
    """The cloud hears how the module was when it said so, and that it asks for its plan."""
    _hear(state, i, event.battery_percent, event.rsrp_dbm, event.level, event.number, 1, now)
    outboxes.send(state, i, now)


def cloud_status(state: ArrayState, i: int, event: UnderWay, now: float) -> None:
    """The cloud takes a report."""
    wanted = 2 if state.rollout.executions[i].reverting else 1
    version = event.flag + VERSION_FLAGS * event.component
    message_rules.status(state.rollout, i, event.code, event.component, 1 if event.flag == wanted else 0, now)
    _note_version(state, version)
    outboxes.send(state, i, now)


def cloud_polled(state: ArrayState, i: int, now: float) -> tuple[int, int]:
    """The server hears how the module is now; what it would send is what the module finds."""
    row = state.modules[i]
    gauge_percent = battery.gauge_percent(row, state.profiles[row.group], now)
    _hear(state, i, gauge_percent, row.rsrp_dbm, row.level, row.at_target, 1, now)
    code, component = NONE, 0
    if state.rollout.progress.out:
        code, component = int(state.rollout.out[0, 1]), int(state.rollout.out[0, 2])
    state.rollout.progress.out = 0
    outboxes.send(state, i, now)
    return code, component


def cloud_feedback(
    state: ArrayState, i: int, status: int, component: int, on_target: int, last_word: int, now: float
) -> None:  # fmt: skip
    """The server takes a feedback; what it wants of the module waits for the next poll."""
    message_rules.status(state.rollout, i, status, component, 1 if on_target or last_word else 0, now)
    _note_version(state, on_target + VERSION_FLAGS * component)
    state.rollout.progress.out = 0
    outboxes.send(state, i, now)


def _hear(
    state: ArrayState, i: int, gauge_percent: float, rsrp_dbm: float, level: int, at_target: int, asks: int, now: float
) -> None:  # fmt: skip
    """The cloud hears how a module is, and whether it asks for its plan."""
    source_ok = 1 if state.source_bad[min(i, len(state.source_bad) - 1)] & ~at_target == 0 else 0
    free_bytes = state.modules[i].free_bytes
    message_rules.hello(state.rollout, i, gauge_percent, rsrp_dbm, level, free_bytes, at_target, source_ok, asks, now)


def _note_version(state: ArrayState, version: int) -> None:
    """The log's first line is about the report: it is to tell the reported version itself."""
    if state.rollout.progress.notes:
        state.rollout.notes[0, 3] = version
