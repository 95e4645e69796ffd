"""The Developer Center's rules as a machine: matching, offering, confirming, retrying, monitoring one plan.

Pure: messages and the time go in, messages come out. The virtual engine drives it in virtual time; a server can drive
the very same object in real time. What costs time in a cloud is in capacity.py.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isnan
from typing import Protocol

from sim import messages as msg
from sim.cloud import execution as ex
from sim.cloud.execution import Execution

SAVED, ACTIVATED, UPGRADING, SUSPENDED, TERMINATED, ENDED = range(6)
PLAN_STATES = ("Saved", "Activated", "Upgrading", "Suspended", "Terminated", "Ended")

Command = tuple[int, msg.ToModule]
"""A message for the module of that index."""


class Rules(Protocol):
    """What the center asks a plan's strategy; sim.strategy.Strategy answers."""

    @property
    def min_battery_percent(self) -> float: ...  # noqa: D102
    @property
    def min_rsrp_dbm(self) -> float: ...  # noqa: D102
    @property
    def reject_unmet(self) -> bool: ...  # noqa: D102
    @property
    def need_push(self) -> bool: ...  # noqa: D102
    @property
    def push_interval_s(self) -> float: ...  # noqa: D102
    @property
    def retry_interval_s(self) -> float: ...  # noqa: D102
    @property
    def in_progress_timeout_s(self) -> float: ...  # noqa: D102
    @property
    def offer_timeout_s(self) -> float: ...  # noqa: D102
    @property
    def end_s(self) -> float: ...  # noqa: D102

    def may_push(self, now: float) -> bool: ...  # noqa: D102
    def may_release(self, in_progress: int) -> bool: ...  # noqa: D102
    def unmet(self, battery_percent: float, rsrp_dbm: float, free_bytes: float) -> int: ...  # noqa: D102
    def may_retry(self, failures: int) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class PlannedComponent:
    """One component of a plan: what it is and which version replaces which. `source_version` "" accepts any."""

    component: str
    kind: int
    source_version: str
    target_version: str
    size_bytes: int
    url: str = ""
    md5: str = "0" * 32
    crc32: int = 0
    sha256: str = ""


@dataclass(slots=True)
class Plan:
    """An upgrade plan: components in order of upgrade, mode and the strategy that releases it."""

    name: str
    components: tuple[PlannedComponent, ...]
    rules: Rules
    silent: bool = True
    state: int = SAVED


@dataclass(slots=True)
class DeveloperCenter:
    """One project with one running plan over `size` modules, numbered 0 … size-1."""

    plan: Plan
    executions: list[Execution]
    log: Callable[[int, float, str], None] | None = None
    in_progress: int = 0
    deferrals: dict[int, int] = field(default_factory=dict)
    _waiting: dict[int, Execution] = field(default_factory=dict)
    _timers: list[tuple[float, int, int, int]] = field(default_factory=list)

    # --- operator ------------------------------------------------------------------------------------------------

    def activate(self, now: float) -> None:
        """Makes the plan run; modules already known to be online are offered at the next push."""
        self.plan.state = ACTIVATED
        if self.plan.rules.offer_timeout_s < inf:
            for e in self.executions:
                self._arm(now + self.plan.rules.offer_timeout_s, e, _OFFER_TIMEOUT)

    def suspend(self) -> None:
        """Modules not yet upgrading wait, running ones go on."""
        if self.plan.state in (ACTIVATED, UPGRADING):
            self.plan.state = SUSPENDED

    def resume(self, now: float) -> list[Command]:
        """Goes on after `suspend`, with the retries that were due meanwhile."""
        if self.plan.state != SUSPENDED:
            return []
        self.plan.state = UPGRADING
        due = [e for e in self.executions if e.retry_pending and e.online]
        return [command for e in due for command in self._send_url(e, now)]

    def terminate(self, now: float) -> None:
        """Ends the plan for good: waiting modules become failed, running ones go on."""
        self._close(now, TERMINATED, ex.PLAN_TERMINATED)

    def end(self, now: float) -> None:
        """The plan's end time: waiting modules never start, running ones go on."""
        self._close(now, ENDED, ex.PLAN_EXPIRED)

    def cancel(self, index: int, now: float) -> bool:
        """Cancels one module; a module that has confirmed cannot be stopped (False)."""
        e = self.executions[index]
        if e.state not in ex.WAITING:
            return False
        self._finish(e, ex.CANCELED, now)
        return True

    def retry_failed(self, now: float) -> list[Command]:
        """The operator's retry: failed modules of a silent plan that still run the old version, now or on connect."""
        commands: list[Command] = []
        if not self.plan.silent or self.plan.state not in (ACTIVATED, UPGRADING):
            return commands
        for e in self.executions:
            if e.state == ex.FAILED and e.source_ok:
                e.state, e.failures, e.reason = ex.QUEUED, 0, ex.NO_REASON
                if e.online:
                    self._waiting[e.index] = e
                    commands += self._offer(e, now)
        return commands

    def monitoring(self) -> tuple[str, dict[str, int], dict[str, int]]:
        """What the console shows: the plan's state, devices by device state, devices by upgrade status."""
        devices = Counter(ex.DEVICE_STATES[e.state] for e in self.executions)
        statuses = Counter(ex.COMPONENT_STATES[e.state] for e in self.executions)
        return PLAN_STATES[self.plan.state], dict(devices), dict(statuses)

    # --- messages ------------------------------------------------------------------------------------------------

    def hello(self, index: int, hello: msg.Hello, now: float) -> list[Command]:
        """A module connected, or reports its state anew; a request is answered at once."""
        e = self.executions[index]
        e.online = True
        e.battery_percent, e.rsrp_dbm, e.free_bytes = hello.battery_percent, hello.rsrp_dbm, hello.free_bytes
        self._note(index, now, "device requests its plan" if hello.asks else "device reports its state")
        if e.terminal:
            return []  # and why it ended stays as it was
        e.unmet = msg.MET
        self._match(e, hello.versions, now)
        if e.state in ex.WAITING:
            self._waiting[index] = e
            return self._offer(e, now) if hello.asks else []
        if e.retry_pending and not self._paused:
            return self._send_url(e, now)
        return []

    def offline(self, index: int) -> None:
        """The cloud learns that a module is gone; an offer it never answered is open again."""
        e = self.executions[index]
        e.online = False
        self._waiting.pop(index, None)
        if e.state == ex.NOTIFIED:
            self._to_queue(e)

    def status(self, index: int, report: msg.StatusReport, now: float) -> list[Command]:
        """A status report (0x0114)."""
        e = self.executions[index]
        self._note(index, now, f"status {report.status} {msg.STATUS_TEXT[report.status]} {report.version}".rstrip())
        if e.terminal and not (e.state in (ex.FAILED, ex.TIMED_OUT) and report.status == msg.UPDATE_SUCCESS):
            return []
        if report.status == msg.PLAN_RECEIVED:
            e.acknowledged = True
        elif report.status == msg.SUBMITTED:
            return self._confirmed(e, now)
        elif report.status == msg.REFUSED:
            return self._refused(e, now)
        elif report.status in (msg.DOWNLOAD_START, msg.DOWNLOADING):
            e.state = ex.DOWNLOADING
        elif report.status == msg.DOWNLOADED:
            e.state = ex.DOWNLOADED
        elif report.status == msg.UPDATING:
            e.state = ex.UPDATING
        elif report.status == msg.UPDATE_SUCCESS:
            return self._component_done(e, report, now)
        elif report.status in (msg.DOWNLOAD_ERROR, msg.UPDATE_ERROR):
            return self._failed(e, now)
        return []

    # --- time ----------------------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """When `wake` is wanted next, or inf."""
        return self._timers[0][0] if self._timers else inf

    def wake(self, now: float) -> list[Command]:
        """Timers that are due: retries after an interval, timeouts."""
        commands: list[Command] = []
        while self._timers and self._timers[0][0] <= now:
            _, index, kind, attempt = heapq.heappop(self._timers)
            e = self.executions[index]
            if kind == _RETRY and e.retry_pending and e.attempts == attempt:
                commands += self._send_url(e, now) if e.online and not self._paused else []
            elif (kind == _IN_PROGRESS_TIMEOUT and e.state in ex.IN_PROGRESS and e.attempts == attempt) or (
                kind == _OFFER_TIMEOUT and e.state in ex.WAITING
            ):
                self._finish(e, ex.TIMED_OUT, now)
        return commands

    def push(self, now: float) -> list[Command]:
        """One tick of the push grid: every waiting module that is online is offered its plan."""
        if not self.plan.rules.need_push or self._paused or not self.plan.rules.may_push(now):
            return []
        commands: list[Command] = []
        for e in sorted(self._waiting.values(), key=lambda e: e.rank):
            if e.unmet == msg.MET:
                commands += self._offer(e, now)
        return commands

    # --- rules ---------------------------------------------------------------------------------------------------

    @property
    def _paused(self) -> bool:
        return self.plan.state not in (ACTIVATED, UPGRADING)

    def _match(self, e: Execution, versions: dict[str, str], now: float) -> None:
        """Compares the reported versions with the plan's source and target versions."""
        if e.state not in ex.WAITING:
            return
        e.at_target, e.source_ok = 0, True
        for i, c in enumerate(self.plan.components):
            reported = versions.get(c.component, "")
            if reported == c.target_version:
                e.at_target |= 1 << i
            elif c.source_version and reported != c.source_version:
                e.source_ok = False
        if e.at_target == (1 << len(self.plan.components)) - 1:
            self._finish(e, ex.NOT_NEEDED, now)
        elif not e.source_ok:
            e.reason = ex.INCOMPATIBLE
            self._finish(e, ex.NOT_NEEDED, now)

    def _offer(self, e: Execution, now: float) -> list[Command]:
        """Sends the notice when plan, window, preconditions and the cap on modules under way allow it."""
        rules = self.plan.rules
        if e.terminal or self._paused or not rules.may_push(now):
            return []
        if e.state == ex.NOTIFIED and e.acknowledged:
            return []  # the application, or its user, is thinking
        if e.state == ex.NOTIFIED and now - e.offered_s < min(rules.push_interval_s, _ANSWER_TIME_S):
            return []
        reason = rules.unmet(e.battery_percent, e.rsrp_dbm, e.free_bytes)
        if reason != msg.MET:
            self._defer(e, reason, now)
            return []
        if not e.counted and not rules.may_release(self.in_progress):
            e.state = ex.QUEUED
            return []
        self._count(e, True)
        e.state, e.offered_s, e.acknowledged = ex.NOTIFIED, now, False
        self.plan.state = UPGRADING
        self._note(e.index, now, "issuing plan")
        return [(e.index, self._notice())]

    def _notice(self) -> msg.Notice:
        rules = self.plan.rules
        parts = tuple(
            msg.ComponentNotice(
                c.component, c.source_version, c.target_version,
                int(rules.min_battery_percent), int(rules.min_rsrp_dbm), c.size_bytes,
            )
            for c in self.plan.components
        )  # fmt: skip
        return msg.Notice(parts, self.plan.silent)

    def _defer(self, e: Execution, reason: int, now: float) -> None:
        e.unmet = reason
        e.deferrals += 1
        self.deferrals[reason] = self.deferrals.get(reason, 0) + 1
        self._note(e.index, now, f"deferred: {_UNMET_NAMES[reason]}")
        if self.plan.rules.reject_unmet:
            self._finish(e, ex.REJECTED, now)
        else:
            self._to_queue(e)

    def _confirmed(self, e: Execution, now: float) -> list[Command]:
        e.confirmed_s = now if isnan(e.confirmed_s) else e.confirmed_s
        e.state = ex.CONFIRMED
        self._count(e, True)
        self._waiting.pop(e.index, None)
        self._note(e.index, now, "confirmed")
        return self._send_url(e, now)

    def _refused(self, e: Execution, now: float) -> list[Command]:
        """What the cloud does with status 3 is not published; it is taken as "offer again", or as a rejection."""
        if self.plan.rules.reject_unmet:
            self._finish(e, ex.REJECTED, now)
        else:
            e.deferrals += 1
            self._to_queue(e)
            if e.online:
                self._waiting[e.index] = e
        return []

    def _send_url(self, e: Execution, now: float) -> list[Command]:
        e.retry_pending = False
        e.attempts += 1
        while e.at_target & (1 << e.component):
            e.component += 1
        c = self.plan.components[e.component]
        self._arm(now + self.plan.rules.in_progress_timeout_s, e, _IN_PROGRESS_TIMEOUT)
        self._note(e.index, now, "Issue the URL to upgrade")
        url = msg.FirmwareUrl(e.component, c.size_bytes, c.kind, c.url, c.md5, c.crc32, c.sha256)
        return [(e.index, url)]

    def _component_done(self, e: Execution, report: msg.StatusReport, now: float) -> list[Command]:
        """Success counts only when the reported version is the target's."""
        target = self.plan.components[report.component].target_version
        if report.version != target:
            return [] if e.terminal else self._failed(e, now)
        e.at_target |= 1 << report.component
        if e.at_target == (1 << len(self.plan.components)) - 1:
            if not e.terminal:
                e.reported_s = now
                self._finish(e, ex.SUCCEEDED, now)
            return []
        if e.terminal:
            return []
        e.failures = 0
        return self._send_url(e, now)

    def _failed(self, e: Execution, now: float) -> list[Command]:
        """One attempt failed: the URL is issued again, at once or after the interval, or the module has failed."""
        e.failures += 1
        closed = self.plan.state in (TERMINATED, ENDED)
        if closed or not self.plan.rules.may_retry(e.failures):
            self._finish(e, ex.FAILED, now)
            return []
        self._note(e.index, now, "Upgrade failed and system is retrying")
        self._count(e, True)
        self._waiting.pop(e.index, None)
        e.state, e.retry_pending = ex.CONFIRMED, True
        if self.plan.rules.retry_interval_s > 0.0:
            self._arm(now + self.plan.rules.retry_interval_s, e, _RETRY)
            return []
        return [] if self._paused or not e.online else self._send_url(e, now)

    def _close(self, now: float, state: int, reason: int) -> None:
        if self.plan.state in (TERMINATED, ENDED):
            return
        self.plan.state = state
        for e in self.executions:
            if e.state in ex.WAITING:
                e.reason = reason
                self._finish(e, ex.FAILED, now)

    def _to_queue(self, e: Execution) -> None:
        self._count(e, False)
        e.state = ex.QUEUED

    def _finish(self, e: Execution, state: int, now: float) -> None:
        self._count(e, False)
        self._waiting.pop(e.index, None)
        e.state, e.retry_pending, e.ended_s = state, False, now
        self._note(e.index, now, ex.STATE_NAMES[state])

    def _count(self, e: Execution, counted: bool) -> None:
        if counted != e.counted:
            e.counted = counted
            self.in_progress += 1 if counted else -1

    def _arm(self, at: float, e: Execution, kind: int) -> None:
        if at < inf:
            heapq.heappush(self._timers, (at, e.index, kind, e.attempts))

    def _note(self, index: int, now: float, text: str) -> None:
        if self.log is not None:
            self.log(index, now, text)


_RETRY, _IN_PROGRESS_TIMEOUT, _OFFER_TIMEOUT = range(3)
_ANSWER_TIME_S = 60.0
"""A notice unanswered this long counts as lost and may be sent again on request."""
_UNMET_NAMES = ("", "low battery", "weak signal", "no space")
