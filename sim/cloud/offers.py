"""From an offer to the URL: whether a module may be offered its plan now, and what it is told when.

Pure functions over the books `b` and one execution `e`; see docs/strategy.md for the numbered definitions.
"""

from __future__ import annotations

from sim.cloud import books
from sim.cloud import execution as ex
from sim.cloud.books import ACTIVATED, ROLLING_BACK, SUSPENDED, UPGRADING, Books
from sim.cloud.execution import Execution
from sim.messages import MET
from sim.strategy import concurrency, preconditions, retry, windows
from sim.strategy.progress import Progress
from sim.strategy.settings import (
    CONTINUE,
    FROM_CONFIRMED,
    GATE_DOWNLOAD,
    GATE_INSTALL,
    GATE_PUSH,
    KEEP,
    REVOKE,
    STARVE,
    STOP,
    TIMEOUT,
    Settings,
)

ANSWER_TIME_S = 60.0
"""A notice unanswered this long counts as lost and may be sent again on request."""
ASKED, STOPPING = 1, 2
"""What a Cancel on its way means to the cloud: it waits for the answer, or has decided already."""


def running(c: Progress) -> bool:
    """Whether the plan releases and offers."""
    return c.state in (ACTIVATED, UPGRADING)


def paused(c: Progress) -> bool:
    """Whether the plan is suspended."""
    return c.state == SUSPENDED


def holds(b: Books, now: float) -> int:
    """Whether a module that polls now is told to download and not to install (hawkBit: update is \"skip\")."""
    gated = b.r.window_gates == GATE_INSTALL and not windows.is_open(b.windows, now)
    return 1 if b.r.download_only or gated else 0


def refuses_downloads(c: Progress, e: Execution) -> bool:
    """Whether this module's download URL is gone (a starved plan; a rollback's own packages are not)."""
    return c.starving == 1 and not (ex.is_terminal(e.state) or e.reverting)


def offer(b: Books, e: Execution, now: float) -> None:
    """Sends the notice when plan, window, approval, preconditions and caps allow it."""
    if not _may_ask(b, e, now):
        return
    r = b.r
    if r.window_gates in (GATE_PUSH, GATE_DOWNLOAD) and not windows.is_open(b.windows, now):
        return
    if r.overwrite == KEEP and e.busy_until_s > now:
        books.note(b, e.index, now, books.N_HELD_BY_EARLIER_PLAN, 0.0)
        if r.push_interval_s <= 0.0:  # a grid comes by anyway
            books.arm(b, e.busy_until_s, e, books.T_OFFER_AGAIN, 0)
        return
    if r.operator_confirms and not _approved(b, e, now):
        return
    reason = preconditions.unmet_for_cloud(r, e.battery_percent, e.rsrp_dbm, e.free_bytes)
    if reason != MET:
        defer(b, e, reason, now)
    elif _has_room(b, e, now):
        _issue(b, e, now)


def _may_ask(b: Books, e: Execution, now: float) -> bool:
    """Whether an offer is due at all: released, not ended, not out already."""
    c = b.c
    untouched = b.r.polled and paused(c)  # a pause opens no further group; what is released stays on offer
    if not (running(c) or untouched or (c.state == ROLLING_BACK and e.reverting)):
        return False
    if e.state == ex.SCHEDULED or not ex.is_waiting(e.state):
        return False
    if e.acknowledged and (e.state in (ex.NOTIFIED, ex.WAIT_FOR_CONFIRMATION)):
        return False  # the application, or its user, is thinking
    return not (e.state == ex.NOTIFIED and now - e.offered_s < min(_tick_s(b.r), ANSWER_TIME_S))


def _tick_s(r: Settings) -> float:
    return r.push_interval_s if r.push_interval_s > 0.0 else ANSWER_TIME_S


def _approved(b: Books, e: Execution, now: float) -> bool:
    """Whether the operator has approved this module's upgrade; until then it waits."""
    at = e.released_s + e.approval_delay_s
    if now >= at:
        return True
    if e.state != ex.WAIT_FOR_CONFIRMATION:
        e.state = ex.WAIT_FOR_CONFIRMATION
        books.note(b, e.index, now, books.N_AWAITS_APPROVAL, 0.0)
        books.arm(b, at, e, books.T_OFFER_AGAIN, 0)
    return False


def defer(b: Books, e: Execution, reason: int, now: float) -> None:
    """A precondition is unmet: offered again when the module reports anew, or rejected (definition 10)."""
    e.unmet = reason
    e.deferrals += 1
    books.note(b, e.index, now, books.N_DEFERRED, reason)
    if b.r.reject_unmet:
        books.finish(b, e, ex.REJECTED, now)
    else:
        books.to_queue(b, e)


def _has_room(b: Books, e: Execution, now: float) -> bool:
    """Whether the caps on modules under way leave room for this one (definition 4)."""
    r, c = b.r, b.c
    if e.counted:
        return True
    e.held = 0
    if not concurrency.may_offer(r, c):
        books.note(b, e.index, now, books.N_HELD_BY_CAP, 0.0)
        e.held = 1
    elif not _cell_has_room(b, e):
        books.note(b, e.index, now, books.N_HELD_BY_CELL, 0.0)
        e.held = 1
    if e.held:
        e.state = ex.QUEUED
    return not e.held


def capped(r: Settings) -> bool:
    """Whether offers are held back by how many are under way."""
    return concurrency.capped_by_cell(r) or (r.max_in_progress > 0 and r.counts_from_release == 0)


def _cell_has_room(b: Books, e: Execution) -> bool:
    if e.cell < 0 or not concurrency.capped_by_cell(b.r):
        return True
    under_way = int(b.cells[e.cell, concurrency.cell_slot(b.r, e.level)])
    return under_way < concurrency.cell_cap(b.r, e.level)


def _issue(b: Books, e: Execution, now: float) -> None:
    books.count(b, e, 1)
    e.state = ex.NOTIFIED
    e.offered_s = now
    e.acknowledged = 0
    e.canceling = 0
    e.step += 1
    if b.c.state == ACTIVATED:
        b.c.state = UPGRADING
    books.note(b, e.index, now, books.N_ISSUING, 0.0)
    books.send(b, e, books.SEND_NOTICE, 0)
    books.arm(b, now + b.r.confirm_timeout_s, e, books.T_STEP, e.step)


def delivered(b: Books, e: Execution) -> None:
    """The offer has reached the device (definition 3, `notified`)."""
    if not e.notified and not e.reverting:
        e.notified = 1
        b.c.notified += 1
        b.c.dirty = 1


def send_url(b: Books, e: Execution, now: float) -> None:
    """Begins an attempt: the URL of the first component that is not done; held outside a window that gates it."""
    r = b.r
    if r.window_gates == GATE_DOWNLOAD and not r.polled and not windows.is_open(b.windows, now):
        hold_url(b, e, windows.next_open_s(b.windows, now))
        books.note(b, e.index, now, books.N_HELD_BY_WINDOW, 0.0)
        return
    e.retry_pending = 0
    e.attempts += 1
    e.step += 1
    e.component = _next_component(b, e)
    if r.timer_starts == FROM_CONFIRMED:
        books.arm(b, now + r.in_progress_timeout_s, e, books.T_ATTEMPT, e.attempts)
    if r.polled:
        return  # the deployment it polled names the URL
    books.note(b, e.index, now, books.N_URL, 0.0)
    books.send(b, e, books.SEND_URL, e.component)


def hold_url(b: Books, e: Execution, at: float) -> None:
    """The URL goes out at `at`, or when the module is back after that."""
    e.retry_pending = 1
    e.retry_s = at
    books.arm(b, at, e, books.T_RETRY, e.attempts)


def _next_component(b: Books, e: Execution) -> int:
    """The first component still to do, in order of the plan; when rolling back, the first to undo."""
    done = ~e.upgraded if e.reverting else e.at_target
    for i in range(b.c.components):
        if not (done >> i) & 1:
            return i
    return e.component


def install(b: Books, e: Execution, now: float) -> None:
    """A module that waits with its package is told to install, inside the window that gates it."""
    if b.r.window_gates != GATE_INSTALL or e.state != ex.DOWNLOADED or b.r.polled:
        return
    if not windows.is_open(b.windows, now):
        books.arm(b, windows.next_open_s(b.windows, now), e, books.T_INSTALL, e.step)
    elif e.online:
        books.note(b, e.index, now, books.N_INSTALL, 0.0)
        books.send(b, e, books.SEND_INSTALL, e.component)


def attempt_failed(b: Books, e: Execution, kind: int, now: float) -> None:
    """One attempt is over: the URL is issued again, at once or after the interval, or the module has failed."""
    c, r = b.c, b.r
    if kind == TIMEOUT:
        e.timeouts += 1
    else:
        e.failures += 1
    closed = not (running(c) or paused(c) or (c.state == ROLLING_BACK and e.reverting))
    if closed or not retry.may_retry(r, e, kind):
        books.finish(b, e, ex.TIMED_OUT if kind == TIMEOUT else ex.FAILED, now)
        return
    books.note(b, e.index, now, books.N_RETRYING, 0.0)
    books.count(b, e, 1)
    books.wait_no_more(b, e)
    e.state = ex.CONFIRMED
    interval = retry.interval_s(r, e, kind)
    if interval > 0.0:
        hold_url(b, e, now + interval)
    else:
        e.retry_pending = 1
        e.retry_s = now
        if e.online and not paused(c):
            send_url(b, e, now)


def begin_download_timers(b: Books, e: Execution, now: float) -> None:
    """The first progress report of an attempt starts the clocks that run from there."""
    r = b.r
    if e.state == ex.DOWNLOADING:
        return
    e.step += 1
    books.arm(b, now + r.download_timeout_s, e, books.T_STEP, e.step)
    if r.timer_starts != FROM_CONFIRMED:
        books.arm(b, now + r.in_progress_timeout_s, e, books.T_ATTEMPT, e.attempts)


def treat_in_flight(b: Books, e: Execution, policy: int, now: float, requeue: int) -> None:
    """What becomes of a module in progress when its plan is paused or cancelled (definitions 8 and 9)."""
    if policy in (CONTINUE, STARVE):
        return
    if policy == REVOKE:
        e.reason = ex.REVOKED
        books.finish(b, e, ex.CANCELED, now)
    elif policy == STOP:
        _stop(b, e, now, requeue)
    elif e.retry_pending:  # between two attempts: there is nothing to ask the module
        books.finish(b, e, ex.CANCELED, now)
    else:
        e.canceling = ASKED
        books.note(b, e.index, now, books.N_CANCEL, 0.0)
        if e.online:
            books.send(b, e, books.SEND_CANCEL, e.component)


def _stop(b: Books, e: Execution, now: float, requeue: int) -> None:
    """Cut off: told at once or when it is back; the cloud does not wait for the answer, which refuses no offer."""
    if e.online:
        books.send(b, e, books.SEND_CANCEL, e.component)
    else:
        e.stop_pending = 1
    if requeue:
        books.to_queue(b, e)
        e.retry_pending = 0
        e.canceling = STOPPING
        if e.online:
            books.wait(b, e)
    else:
        e.reason = ex.STOPPED
        books.finish(b, e, ex.CANCELED, now)
