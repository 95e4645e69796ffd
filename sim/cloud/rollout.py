"""The plan as a whole: release, groups, criteria, pause, cancel, roll back, end. Pure functions over the books.

At one instant a plan acts in this order: its end, its groups and criteria, releases, pushes.
"""

from __future__ import annotations

import math

import numpy as np

from sim.cloud import books, offers
from sim.cloud import execution as ex
from sim.cloud.books import ACTIVATED, ENDED, ROLLING_BACK, SUSPENDED, TERMINATED, UPGRADING, Books
from sim.cloud.execution import Execution
from sim.messages import MET
from sim.strategy import abort, concurrency, groups, rate, windows
from sim.strategy.progress import GROUP_FAILED, GROUP_PASSED, GROUP_RUNNING, Progress, completed
from sim.strategy.settings import (
    CANCEL,
    CONTINUE,
    FAIL,
    FORCE_CANCEL,
    GATE_DOWNLOAD,
    GATE_PUSH,
    GATE_RELEASE,
    PAUSE,
    ROLLBACK,
    STARVE,
    STOP_ROLLOUT,
    Settings,
)

# --- clocks --------------------------------------------------------------------------------------------------------


def deadline(c: Progress) -> float:
    """When the plan itself wants `wake`, or inf."""
    return min(c.end_at, c.evaluate_at, c.release_at, c.push_at)


def wake(b: Books, now: float) -> None:
    """Whatever of the plan is due."""
    c = b.c
    if now >= c.end_at:
        c.end_at = math.inf
        end(b, now)
    if now >= c.evaluate_at:
        c.evaluate_at = math.inf
        evaluate(b, now)
    if now >= c.release_at:
        c.release_at = math.inf
        release(b, now)
    if now >= c.push_at:
        c.push_at = _next_push_s(b, now)
        push(b, now, 0)
    settle(b, now)


def _next_push_s(b: Books, now: float) -> float:
    """The next tick of the push grid; without a grid, the next opening of a window that holds offers back."""
    r = b.r
    if not r.need_push:
        return math.inf
    if r.push_interval_s > 0.0:
        return now + r.push_interval_s
    return windows.next_opening_s(b.windows, now) if r.window_gates in (GATE_PUSH, GATE_DOWNLOAD) else math.inf


def settle(b: Books, now: float) -> None:
    """After counts have changed: the rate's next step, criteria and groups, room for further releases."""
    c, r = b.c, b.r
    while c.dirty or (c.freed and _refills(r)):
        c.dirty = 0
        if rate.step_due(r, c):
            while rate.step_due(r, c):
                c.rate_step += 1
            books.decide(b, now, books.D_RATE_RAISED, c.rate_step, rate.per_minute(r, c.rate_step))
        if not offers.running(c):
            c.freed = 0
            continue
        if r.max_devices > 0 and not c.exhausted and completed(c) >= r.max_devices:
            c.exhausted = 1
            books.decide(b, now, books.D_DEVICES_REACHED, -1, r.max_devices)
            _close(b, now, ENDED, ex.PLAN_EXPIRED, 0)
            continue
        _evaluate_soon(b, now)
        release(b, now)
        if c.freed and _refills(r):
            c.freed = 0
            push(b, now, 1)
    if c.terminal >= c.members and not c.told_complete and not r.continuous:
        c.told_complete = 1
        books.decide(b, now, books.D_COMPLETED, -1, 0.0)


def _refills(r: Settings) -> bool:
    """Whether room that a cap on offers gets back is filled at once."""
    return pushes_at_once(r) == 1 and offers.capped(r)


def _evaluate_soon(b: Books, now: float) -> None:
    """At once, or at the next point of the evaluation grid."""
    every, c = b.r.evaluation_interval_s, b.c
    if every > 0.0:
        c.evaluate_at = min(c.evaluate_at, c.start_s + (math.floor((now - c.start_s) / every) + 1.0) * every)
    else:
        evaluate(b, now)


def _on_grid(b: Books, at: float) -> float:
    """The first point of the evaluation grid, counted from the start of the plan, that is not before `at`."""
    every, start_s = b.r.evaluation_interval_s, b.c.start_s
    if every <= 0.0 or at == math.inf:
        return at
    return max(at, start_s + math.ceil((at - start_s) / every - 1e-9) * every)


# --- release (definitions 4 and 5) ---------------------------------------------------------------------------------


def activate(b: Books, now: float) -> None:
    """Makes the plan run. The first group opens, releases and pushes begin, when it is woken at `now`."""
    c, r = b.c, b.r
    c.state = ACTIVATED
    c.start_s = now
    c.end_at = now + r.end_s
    c.evaluate_at = now
    c.push_at = now if r.push_interval_s > 0.0 and r.need_push else _next_push_s(b, now)
    books.decide(b, now, books.D_ACTIVATED, -1, 0.0)


def release(b: Books, now: float) -> None:
    """Releases whom group, window, rate and cap let go; asks to be woken for the next one the clock holds back."""
    c, r = b.c, b.r
    c.release_at = math.inf
    _release_joined(b, now)
    while _may_release(b) and _next_in_line(b) >= 0:
        at = rate.next_slot_s(r, c, now)
        if r.window_gates == GATE_RELEASE:
            at = max(at, windows.next_open_s(b.windows, at))
            if at > now and at < math.inf:  # the slot may have moved with the window
                at = max(at, rate.next_slot_s(r, c, at))
        if at > now:
            c.release_at = min(c.release_at, at)
            return
        rate.take(c)
        _release(b, _take_next(b), now)


def _release_joined(b: Books, now: float) -> None:
    """Late joiners whom the rate does not hold (definition 5): window and cap hold them like everybody."""
    c, r = b.c, b.r
    if r.rate_applies_to_late or c.group_opened < c.group_count:
        return
    while _may_release(b) and c.joined_next < c.joined:
        at = windows.next_open_s(b.windows, now) if r.window_gates == GATE_RELEASE else now
        if at > now:
            c.release_at = min(c.release_at, at)
            return
        _release(b, _take_joined(b), now)


def _may_release(b: Books) -> bool:
    """Whether the plan releases and has room; a finished module makes room."""
    return offers.running(b.c) and not b.c.exhausted and concurrency.may_release(b.r, b.c)


def _next_in_line(b: Books) -> int:
    """Group that has somebody to release, or the number of groups for a late joiner, or -1 for nobody."""
    c = b.c
    for i in range(c.group_first, c.group_opened):
        if b.groups[i].next < b.groups[i].size:
            return i
    last_open = c.group_opened == c.group_count
    return c.group_count if last_open and c.joined_next < c.joined else -1


def _take_next(b: Books) -> Execution:
    i = _next_in_line(b)
    if i == b.c.group_count:
        return _take_joined(b)
    g = b.groups[i]
    g.next += 1
    return b.es[int(b.order[g.first + g.next - 1])]


def _take_joined(b: Books) -> Execution:
    b.c.joined_next += 1
    return b.es[int(b.joined[b.c.joined_next - 1])]


def _release(b: Books, e: Execution, now: float) -> None:
    """SCHEDULED to QUEUED; a module that is online is offered its plan at once where the cloud pushes at once."""
    if e.released or ex.is_terminal(e.state):
        return
    c, r = b.c, b.r
    e.released = 1
    e.released_s = now
    e.state = ex.QUEUED
    c.released += 1
    c.outstanding += 1
    books.note(b, e.index, now, books.N_RELEASED, 0.0)
    if r.notified_when_released:
        offers.delivered(b, e)
    books.arm(b, now + r.offer_timeout_s, e, books.T_OFFER, 0)
    if r.overwrite == FAIL and e.busy_until_s > now:
        e.reason = ex.BUSY
        books.finish(b, e, ex.FAILED, now)
    elif e.online:
        books.wait(b, e)
        if pushes_at_once(r):
            offers.offer(b, e, now)


def pushes_at_once(r: Settings) -> int:
    """Whether the cloud pushes without a grid."""
    return int(r.need_push and r.push_interval_s <= 0.0)


def join(b: Books, e: Execution, now: float) -> None:
    """A late joiner of a continuous plan that is not over: past the rate, or at the end of the line."""
    c = b.c
    if not (offers.running(c) or offers.paused(c)):
        return
    e.late = 2
    g = b.groups[e.group]
    c.targets += 1
    c.members += 1
    g.targets += 1
    g.members += 1
    stand_in_line(b, e.index, c.joined)
    c.joined += 1
    release(b, now)


def stand_in_line(b: Books, index: int, place: int) -> None:
    """The module is the late joiner number `place`, behind all who were there and who joined before."""
    b.joined[place] = index
    b.rank[index] = len(b.order) + place


def push(b: Books, now: float, only_held: int) -> None:
    """One tick of the push grid: every waiting module that is online is offered its plan, in order of release.

    With `only_held`, only those whom a full house or a full cell held back.
    """
    if not (offers.running(b.c) or b.c.state == ROLLING_BACK):
        return
    present = b.waiting[: b.c.waiting].copy()
    for index in present[np.argsort(b.rank[present])]:
        e = b.es[index]
        if e.unmet == MET and (e.held or not only_held):
            offers.offer(b, e, now)


# --- groups and criteria (definitions 6 and 7) ---------------------------------------------------------------------


def evaluate(b: Books, now: float) -> None:
    """Criteria in order, then groups: error before success. Never while the plan is paused or over."""
    c = b.c
    if not offers.running(c):
        return
    for i in range(len(b.criteria)):
        k = b.criteria[i]
        if abort.fires(k, c):
            k.fired = 1
            books.decide(
                b, now, books.D_CRITERION, i, 100.0 * abort.failures(c, k.failure_type) / abort.whole(c, k.denominator)
            )
            act(b, k.action, now)
            return
    for i in range(c.group_first, c.group_opened):
        _judge(b, i, now)
        if not offers.running(c):
            return
    while c.group_first < c.group_opened - 1 and b.groups[c.group_first].terminal >= b.groups[c.group_first].members:
        c.group_first += 1
    _open_groups(b, now)
    release(b, now)


def _judge(b: Books, i: int, now: float) -> None:
    """Whether a group has failed, or passed."""
    g = b.groups[i]
    if g.state != GROUP_FAILED and groups.failed(g):
        g.state = GROUP_FAILED
        books.decide(b, now, books.D_GROUP_FAILED, i, 100.0 * g.failed / g.targets)
        act(b, g.error_action, now)
    elif g.state == GROUP_RUNNING and groups.passed(g):
        g.state = GROUP_PASSED
        g.passed_s = now
        _decide_group(b, now, books.D_GROUP_PASSED, i)
        if g.success_action == PAUSE and i + 1 == b.c.group_opened < b.c.group_count:
            pause(b, now)


def _open_groups(b: Books, now: float) -> None:
    """Opens every group whose time has come, one after the other."""
    c = b.c
    while c.group_opened < c.group_count and offers.running(c):
        g = b.groups[c.group_opened]
        first = c.group_opened == 0
        at = c.start_s + g.start_s if first else groups.opens_s(b.groups[c.group_opened - 1], g, c.start_s)
        if at > now:
            c.evaluate_at = min(c.evaluate_at, _on_grid(b, at))
            return
        g.state = GROUP_RUNNING
        c.group_opened += 1
        _decide_group(b, now, books.D_GROUP_OPENED, c.group_opened - 1)
        _judge(b, c.group_opened - 1, now)


def _decide_group(b: Books, now: float, decision: int, i: int) -> None:
    """Kept only where there are groups: a plan without them has one that means nothing."""
    if b.c.group_count > 1:
        books.decide(b, now, decision, i, 0.0)


def act(b: Books, action: int, now: float) -> None:
    """What a criterion, a threshold or an end time makes the plan do."""
    if action == PAUSE:
        pause(b, now)
    elif action == CANCEL:
        _cancel(b, now, 0)
    elif action == FORCE_CANCEL:
        _cancel(b, now, 1)
    elif action == ROLLBACK:
        roll_back(b, now)
    elif action == STOP_ROLLOUT:
        stop_rollout(b, now)


# --- pause, cancel, roll back, end (definition 8) -------------------------------------------------------------------


def pause(b: Books, now: float) -> None:
    """Nothing is released, no group opens, no retry starts, nothing is evaluated; timers keep running."""
    c, r = b.c, b.r
    if not offers.running(c):
        return
    c.state = SUSPENDED
    books.decide(b, now, books.D_PAUSED, -1, 0.0)
    c.starving = 1 if r.on_pause == STARVE else 0
    if r.on_pause != CONTINUE:
        for i in range(len(b.es)):
            if ex.is_in_progress(b.es[i].state):
                offers.treat_in_flight(b, b.es[i], r.on_pause, now, 1)


def resume(b: Books, now: float) -> None:
    """Goes on after a pause: retries that came due, and the group after one that had failed."""
    c = b.c
    if c.state != SUSPENDED:
        return
    c.state = UPGRADING
    c.starving = 0
    books.decide(b, now, books.D_RESUMED, -1, 0.0)
    for i in range(c.group_opened):
        if b.groups[i].state == GROUP_FAILED:
            b.groups[i].resumed = 1
    for i in range(len(b.es)):
        e = b.es[i]
        if e.retry_pending and e.online and now >= e.retry_s:
            offers.send_url(b, e, now)
    _evaluate_soon(b, now)
    release(b, now)
    if pushes_at_once(b.r):
        push(b, now, 0)
    settle(b, now)


def next_group(b: Books, now: float) -> None:
    """The operator opens the next group whatever the last one has come to (hawkBit, staged rollouts by hand)."""
    c = b.c
    if 0 < c.group_opened < c.group_count and (offers.running(c) or offers.paused(c)):
        b.groups[c.group_opened - 1].resumed = 1
        resume(b, now)
        _open_groups(b, now)
        release(b, now)
        settle(b, now)


def terminate(b: Books, now: float) -> None:
    """The operator ends the plan for good."""
    if b.c.state in (TERMINATED, ENDED):
        return
    books.decide(b, now, books.D_TERMINATED, -1, 0.0)
    _close(b, now, TERMINATED, ex.PLAN_TERMINATED, 0)


def end(b: Books, now: float) -> None:
    """The plan's end time, as `end_behavior` says."""
    c, r = b.c, b.r
    if c.state in (TERMINATED, ENDED, ROLLING_BACK):  # a rollback is a plan of its own
        return
    if r.end_behavior == STOP_ROLLOUT:
        stop_rollout(b, now)
        return
    books.decide(b, now, books.D_ENDED, -1, 0.0)
    _close(b, now, ENDED, ex.PLAN_EXPIRED, 1 if r.end_behavior == FORCE_CANCEL else 0)


def stop_rollout(b: Books, now: float) -> None:
    """Scheduled modules are cancelled; offers already out stay valid."""
    b.c.exhausted = 1
    books.decide(b, now, books.D_ROLLOUT_STOPPED, -1, 0.0)
    for i in range(len(b.es)):
        e = b.es[i]
        if e.state == ex.SCHEDULED:
            e.reason = ex.PLAN_EXPIRED
            books.finish(b, e, ex.CANCELED, now)


def _cancel(b: Books, now: float, force: int) -> None:
    books.decide(b, now, books.D_FORCE_CANCELED if force else books.D_CANCELED, -1, 0.0)
    _close(b, now, TERMINATED, ex.PLAN_ABORTED, force)


def _close(b: Books, now: float, state: int, reason: int, force: int) -> None:
    """Waiting modules and pending retries end; modules in progress as the in-flight policy says."""
    c, r = b.c, b.r
    c.state = state
    c.starving = 1 if (r.on_force_cancel if force else r.on_cancel) == STARVE else 0
    for i in range(len(b.es)):
        e = b.es[i]
        if ex.is_waiting(e.state) or e.retry_pending:
            e.reason = reason
            become_failed = r.waiting_become_failed and e.late != 1
            books.finish(b, e, ex.FAILED if become_failed else ex.CANCELED, now)
        elif ex.is_in_progress(e.state):
            offers.treat_in_flight(b, e, r.on_force_cancel if force else r.on_cancel, now, 0)
    c.dirty = 0


def roll_back(b: Books, now: float) -> None:
    """Cancels the plan and sends the previous package to every module that has the new one."""
    books.decide(b, now, books.D_ROLLED_BACK, -1, 0.0)
    _close(b, now, ROLLING_BACK, ex.PLAN_ABORTED, 0)
    b.c.push_at = min(b.c.push_at, _next_push_s(b, now))
    for i in range(len(b.es)):
        if b.es[i].upgraded and b.es[i].state == ex.SUCCEEDED:
            revert(b, b.es[i], now)


def revert(b: Books, e: Execution, now: float) -> None:
    """Queues a module that runs the new version for the previous one."""
    e.reverting = 1
    e.state = ex.QUEUED
    e.failures = 0
    e.timeouts = 0
    e.reason = ex.NO_REASON
    e.unmet = MET
    e.acknowledged = 0
    books.note(b, e.index, now, books.N_REVERTING, 0.0)
    if e.online:
        books.wait(b, e)
        if pushes_at_once(b.r):
            offers.offer(b, e, now)
