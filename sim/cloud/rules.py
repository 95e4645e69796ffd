"""The Developer Center's rules, message by message: what one plan does with what its modules say.

Pure functions over the books of a plan (books.py): matching, offering, confirming, retrying, timers of one module. The
plan as a whole is in rollout.py. Messages to send, timers to arm, log lines and decisions are left in the outboxes.
"""

from __future__ import annotations

from math import isnan

from sim.cloud import books, offers, rollout
from sim.cloud import execution as ex
from sim.cloud.books import Books
from sim.cloud.execution import Execution
from sim.messages import (
    DOWNLOAD_ERROR,
    DOWNLOAD_START,
    DOWNLOADED,
    DOWNLOADING,
    MET,
    PLAN_RECEIVED,
    REFUSED,
    SUBMITTED,
    UPDATE_ERROR,
    UPDATE_SUCCESS,
    UPDATING,
)
from sim.strategy.settings import FAILURE, TIMEOUT

# --- messages ------------------------------------------------------------------------------------------------------


def hello(
    b: Books, index: int, battery_percent: float, rsrp_dbm: float, level: int, free_bytes: float, at_target: int,
    source_ok: int, asks: int, now: float,
) -> None:  # fmt: skip
    """A module connected, or reports its state anew; a request is answered at once.

    `at_target` has bit i set when component i runs its target version, `source_ok` is 0 when a delta package does not
    fit the reported version.
    """
    e = b.es[index]
    e.online = 0 if b.r.polled else 1
    e.battery_percent = battery_percent
    e.rsrp_dbm = rsrp_dbm
    e.level = level
    e.free_bytes = free_bytes
    books.note(b, index, now, books.N_ASKS if asks else books.N_REPORTS, 0.0)
    if e.stop_pending:
        e.stop_pending = 0
        books.send(b, e, books.SEND_CANCEL, e.component)
    if ex.is_terminal(e.state):
        return  # and why it ended stays as it was
    e.unmet = MET
    if ex.is_waiting(e.state) and not e.reverting:
        _match(b, e, at_target, source_ok, now)
    if b.r.polled:
        _answer_poll(b, e, now)
    else:
        _contact(b, e, asks, now)
    rollout.settle(b, now)


def _match(b: Books, e: Execution, at_target: int, source_ok: int, now: float) -> None:
    """Compares the reported versions with the plan's source and target versions."""
    e.at_target = at_target
    e.source_ok = source_ok
    if e.late == 1:
        rollout.join(b, e, now)
    if at_target == (1 << b.c.components) - 1:
        books.finish(b, e, ex.NOT_NEEDED, now)
    elif not source_ok:
        e.reason = ex.INCOMPATIBLE
        books.finish(b, e, ex.NOT_NEEDED, now)


def _contact(b: Books, e: Execution, asks: int, now: float) -> None:
    """What the cloud has for a module that is there: an offer, a retry that is due, an answer it owes."""
    if ex.is_waiting(e.state):
        if e.released or e.reverting:
            books.wait(b, e)
            if asks or rollout.pushes_at_once(b.r):
                offers.offer(b, e, now)
    elif e.canceling == offers.ASKED:
        books.send(b, e, books.SEND_CANCEL, e.component)
    elif e.retry_pending and now >= e.retry_s and not offers.paused(b.c):
        offers.send_url(b, e, now)
    elif e.state == ex.DOWNLOADED:
        offers.install(b, e, now)


def _answer_poll(b: Books, e: Execution, now: float) -> None:
    """What a poll finds (DDI): the action as it stands, again and again until it is closed.

    Such a cloud takes everybody for absent: it has no way to speak unasked.
    """
    e.holds = offers.holds(b, now)
    if ex.is_terminal(e.state) or b.c.starving:
        return
    if e.state == ex.NOTIFIED or (e.state == ex.WAIT_FOR_CONFIRMATION and e.acknowledged):
        books.send(b, e, books.SEND_NOTICE, 0)
    elif ex.is_waiting(e.state):
        if e.released:
            offers.offer(b, e, now)
    elif e.canceling == offers.ASKED:
        books.send(b, e, books.SEND_CANCEL, e.component)
    else:
        books.send(b, e, books.SEND_URL, e.component)


def offline(b: Books, index: int) -> None:
    """The cloud learns that a module is gone; an offer it never answered is open again."""
    if b.r.polled:
        return
    e = b.es[index]
    e.online = 0
    books.wait_no_more(b, e)
    if e.state == ex.NOTIFIED or (e.state == ex.WAIT_FOR_CONFIRMATION and e.acknowledged):
        books.to_queue(b, e)


def status(b: Books, index: int, reported: int, component: int, version_is_target: int, now: float) -> None:
    """A status report (0x0114); `version_is_target` says whether 11 or 12 came with the version the plan wants.

    With 3 from a module that polls it says whether that is its last word.
    """
    e = b.es[index]
    value = 0.0 if reported not in (UPDATE_SUCCESS, UPDATE_ERROR) else 1.0 if version_is_target else 2.0
    books.note(b, index, now, books.N_STATUS + reported, value)
    if ex.is_terminal(e.state):
        _after_the_end(b, e, reported, component, version_is_target, now)
    elif reported == PLAN_RECEIVED:
        _received(b, e)
    elif reported == SUBMITTED:
        _confirmed(b, e, now)
    elif reported == REFUSED:
        _refused(b, e, version_is_target, now)
    elif reported in (DOWNLOAD_START, DOWNLOADING):
        offers.begin_download_timers(b, e, now)
        e.state = ex.DOWNLOADING
    elif reported == DOWNLOADED:
        _downloaded(b, e, now)
    elif reported == UPDATING:
        _updating(b, e, now)
    elif reported == UPDATE_SUCCESS:
        _component_done(b, e, component, version_is_target, now)
    elif reported == DOWNLOAD_ERROR and b.r.polled:
        e.state = ex.CONFIRMED
        e.step += 1
    elif reported in (DOWNLOAD_ERROR, UPDATE_ERROR) and not e.retry_pending:
        offers.attempt_failed(b, e, FAILURE, now)
    rollout.settle(b, now)


def _received(b: Books, e: Execution) -> None:
    e.acknowledged = 1
    offers.delivered(b, e)
    if e.state == ex.NOTIFIED and not b.c.silent:
        e.state = ex.WAIT_FOR_CONFIRMATION


def _confirmed(b: Books, e: Execution, now: float) -> None:
    offers.delivered(b, e)
    e.confirmed_s = now if isnan(e.confirmed_s) else e.confirmed_s
    e.state = ex.CONFIRMED
    books.count(b, e, 1)
    books.wait_no_more(b, e)
    books.note(b, e.index, now, books.N_CONFIRMED, 0.0)
    offers.send_url(b, e, now)


def _refused(b: Books, e: Execution, last_word: int, now: float) -> None:
    """An asked cancel was accepted; else, what the cloud does with status 3 being unpublished, "offer again"."""
    if e.canceling == offers.ASKED:
        books.finish(b, e, ex.CANCELED, now)
    elif e.canceling == offers.STOPPING:
        e.canceling = 0
    elif ex.is_waiting(e.state):
        offers.delivered(b, e)
        if b.r.reject_unmet or (b.r.polled and last_word):
            books.finish(b, e, ex.REJECTED, now)
        else:
            e.deferrals += 1
            books.to_queue(b, e)
            if e.online:
                books.wait(b, e)


def _downloaded(b: Books, e: Execution, now: float) -> None:
    e.state = ex.DOWNLOADED
    e.step += 1
    if b.r.download_only:
        e.reported_s = now
        books.finish(b, e, ex.SUCCEEDED, now)
    else:
        offers.install(b, e, now)


def _updating(b: Books, e: Execution, now: float) -> None:
    if e.canceling:
        e.canceling = 0
        books.note(b, e.index, now, books.N_CANCEL_REFUSED, 0.0)
    e.state = ex.UPDATING
    e.step += 1
    books.arm(b, now + b.r.update_timeout_s, e, books.T_STEP, e.step)


def _component_done(b: Books, e: Execution, component: int, version_is_target: int, now: float) -> None:
    """Success counts only when the reported version is the one the plan wants (definition 2)."""
    if not version_is_target:
        offers.attempt_failed(b, e, FAILURE, now)
        return
    e.step += 1
    if e.reverting:
        e.upgraded &= ~(1 << component)
        if e.upgraded == 0:
            e.reason = ex.ROLLED_BACK
            books.finish(b, e, ex.CANCELED, now)
            return
    else:
        e.at_target |= 1 << component
        e.upgraded |= 1 << component
        if b.c.starving and b.c.state != books.ROLLING_BACK:
            books.to_queue(b, e)  # accepted, but not counted: its next hello says that it needs nothing
            return
        if e.at_target == (1 << b.c.components) - 1:
            e.reported_s = now
            books.finish(b, e, ex.SUCCEEDED, now)
            if b.c.state == books.ROLLING_BACK:
                rollout.revert(b, e, now)
            return
    e.failures = 0
    e.timeouts = 0
    offers.send_url(b, e, now)


def _after_the_end(b: Books, e: Execution, reported: int, component: int, version_is_target: int, now: float) -> None:
    """A report for an execution that is over: refused when it was revoked, a late success when it timed out."""
    if reported != UPDATE_SUCCESS or not version_is_target:
        return
    if e.reason == ex.REVOKED:
        books.note(b, e.index, now, books.N_REVOKED, 0.0)
        if b.r.roll_back_revoked:
            books.send(b, e, books.SEND_REVOKED, component)
            return
    if e.reason in (ex.REVOKED, ex.STOPPED) and b.c.state == books.ROLLING_BACK:
        e.upgraded |= 1 << component  # was in progress when the plan was rolled back, and came through
        rollout.revert(b, e, now)
    if e.state not in (ex.FAILED, ex.TIMED_OUT):
        return
    e.at_target |= 1 << component
    e.upgraded |= 1 << component
    if e.at_target == (1 << b.c.components) - 1 and e.state == ex.TIMED_OUT:
        books.note(b, e.index, now, books.N_LATE_SUCCESS, 0.0)
        if b.r.accept_late:
            books.count_late_success(b, e, now)


# --- operator ------------------------------------------------------------------------------------------------------


def cancel(b: Books, index: int, now: float) -> int:
    """Cancels one module; one that has confirmed cannot be stopped (0)."""
    e = b.es[index]
    if not ex.is_waiting(e.state):
        return 0
    books.finish(b, e, ex.CANCELED, now)
    rollout.settle(b, now)
    return 1


def retry_failed(b: Books, now: float) -> None:
    """The operator's retry: failed modules of a silent plan that still run the old version, now or on connect."""
    if not b.c.silent or not offers.running(b.c):
        return
    for i in range(len(b.es)):
        e = b.es[i]
        if e.state == ex.FAILED and e.source_ok:
            books.reopen(b, e)
            if e.online:
                books.wait(b, e)
                offers.offer(b, e, now)


# --- timers --------------------------------------------------------------------------------------------------------


def timer(b: Books, index: int, kind: int, stamp: int, now: float) -> None:
    """A timer armed for one execution is due; one that is out of date does nothing."""
    e = b.es[index]
    if kind == books.T_RETRY:
        if e.retry_pending and e.attempts == stamp and now >= e.retry_s and e.online and not offers.paused(b.c):
            offers.send_url(b, e, now)
    elif kind == books.T_ATTEMPT:
        if ex.is_in_progress(e.state) and e.attempts == stamp and not e.retry_pending:
            offers.attempt_failed(b, e, TIMEOUT, now)
    elif kind == books.T_STEP:
        if e.step == stamp and not ex.is_terminal(e.state) and not e.retry_pending:
            _step_timed_out(b, e, now)
    elif kind == books.T_OFFER:
        if ex.is_waiting(e.state) and not e.reverting:
            books.finish(b, e, ex.TIMED_OUT, now)
    elif kind == books.T_INSTALL:
        if e.step == stamp:
            offers.install(b, e, now)
    elif ex.is_waiting(e.state):
        _free_again(b, e, now)
    rollout.settle(b, now)


def _free_again(b: Books, e: Execution, now: float) -> None:
    """Approved by the operator, or through with the earlier plan: offered at once, or at the next tick or request."""
    if e.state == ex.WAIT_FOR_CONFIRMATION and not e.acknowledged:
        e.state = ex.QUEUED
    if e.online and rollout.pushes_at_once(b.r):
        offers.offer(b, e, now)


def _step_timed_out(b: Books, e: Execution, now: float) -> None:
    """A step took too long: an unanswered offer is over, an attempt is tried again if the strategy says so."""
    if ex.is_waiting(e.state):
        books.finish(b, e, ex.TIMED_OUT, now)
    else:
        offers.attempt_failed(b, e, TIMEOUT, now)
