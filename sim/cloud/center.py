"""The Developer Center as an object: versions, texts and messages around the rules of one plan.

Messages and the time go in, messages come out; it reads no clock. The virtual engine drives it in virtual time, a
server drives the very same object in real time. The rules are in message_rules.py and plan_rules.py, what costs time in a cloud in
capacity.py.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim import messages as msg
from sim.cloud import execution as ex
from sim.cloud import message_rules, plan_rules
from sim.cloud.execution import Execution
from sim.cloud.plan_states import PlanState
from sim.cloud.rollout_state import (
    DECISION_WIDTH,
    NOTE_OF_STATE,
    NOTE_OF_STATUS,
    NOTE_TEXT,
    DecisionKind,
    MessageKind,
    Note,
    RolloutState,
)
from sim.cloud.state_machines import TABLES
from sim.state_table import refusal
from sim.strategy.progress import Criterion, Group, Progress
from sim.strategy.settings import Settings, WindowGate

Command = tuple[int, msg.ToModule]
"""A message for the module of that index."""

_BARE: dict[int, msg.ToModule] = {
    MessageKind.INSTALL: msg.Install(), MessageKind.CANCEL: msg.Cancel(), MessageKind.REVOKED: msg.Revoked(),
}  # fmt: skip
_UNMET_NAMES = ("", "low battery", "weak signal", "no space")


@dataclass(frozen=True, slots=True)
class PlannedComponent:
    """One component of a plan: what it is and which version replaces which. `source_version` "" accepts any.

    `rollback_version` and `rollback_bytes` describe the previous package, which a rollback sends.
    """

    component: str
    kind: int
    source_version: str
    target_version: str
    size_bytes: int
    url: str = ""
    md5: str = "0" * 32
    crc32: int = 0
    sha256: str = ""
    rollback_version: str = ""
    rollback_bytes: int = 0


@dataclass(slots=True)
class Plan:
    """An upgrade plan: components in order of upgrade, mode and the strategy that releases it."""

    name: str
    components: tuple[PlannedComponent, ...]
    settings: Settings = field(default_factory=Settings)
    silent: bool = True
    groups: tuple[Group, ...] = (Group(),)
    criteria: tuple[Criterion, ...] = ()
    windows: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Something the strategy decided, with the counts it was decided at."""

    time_s: float
    decision: str
    subject: int
    value: float
    targets: int
    released: int
    notified: int
    completed: int
    succeeded: int
    failed: int


Ranks = Sequence[float] | NDArray[np.float64] | None
"""What orders the release within a group; None for as listed."""


class DeveloperCenter:
    """One project with one plan over the modules of `executions`, numbered 0 … n-1.

    `ranks` orders modules within their group (default: as listed); `cells` is the number of radio cells they are in.
    `log` gets (module, time, text) for each line of the upgrade log.
    """

    def __init__(
        self, plan: Plan, executions: list[Execution], *, ranks: Ranks = None, cells: int = 0,
        log: Callable[[int, float, str], None] | None = None,
    ) -> None:  # fmt: skip
        self.plan = plan
        self.executions = executions
        self.decisions: list[Decision] = []
        groups, late = ([getattr(e, name) for e in executions] for name in ("group", "late"))
        self.rollout = open_rollout(
            plan, executions, np.array(groups, np.int64), np.array(late, np.int64), ranks, cells
        )
        self.log = log
        self._timers: list[tuple[float, int, int, int]] = []

    @property
    def log(self) -> Callable[[int, float, str], None] | None:
        """Who gets each line of the upgrade log: module, time, text."""
        return self._log

    @log.setter
    def log(self, log: Callable[[int, float, str], None] | None) -> None:
        self._log = log
        self.rollout.progress.noting = int(log is not None)

    # --- operator ------------------------------------------------------------------------------------------------

    def activate(self, now: float) -> list[Command]:
        """Makes the plan run; call `wake` at the same instant once the modules that are online have said hello."""
        plan_rules.activate(self.rollout, now)
        return self._done()

    def suspend(self, now: float) -> list[Command]:
        """Modules not yet upgrading wait; running ones as the in-flight policy says."""
        plan_rules.pause(self.rollout, now)
        return self._done()

    def resume(self, now: float) -> list[Command]:
        """Goes on after `suspend`, with the retries that were due meanwhile."""
        plan_rules.resume(self.rollout, now)
        return self._done()

    def terminate(self, now: float) -> list[Command]:
        """Ends the plan for good."""
        plan_rules.terminate(self.rollout, now)
        return self._done()

    def next_group(self, now: float) -> list[Command]:
        """Opens the next group whatever the last one has come to."""
        plan_rules.next_group(self.rollout, now)
        return self._done()

    def steer(self, rule: Callable[[RolloutState, float], None], now: float) -> list[Command]:
        """Lets a rule that is not the plan's own act on the rollout, and the plan go on from there."""
        rule(self.rollout, now)
        plan_rules.settle(self.rollout, now)
        return self._done()

    def end(self, now: float) -> list[Command]:
        """The plan's end time."""
        plan_rules.end(self.rollout, now)
        return self._done()

    def cancel(self, index: int, now: float) -> list[Command] | None:
        """Cancels one module and returns what the room it makes calls for; None for one that has confirmed: it goes on."""
        done = message_rules.cancel(self.rollout, index, now)
        commands = self._done()
        return commands if done else None

    def cancel_all(self, indexes: Sequence[int], now: float) -> list[Command]:
        """Cancels those of the modules that have not confirmed."""
        for index in indexes:
            message_rules.cancel(self.rollout, index, now)
        return self._done()

    def retry_failed(self, now: float) -> list[Command]:
        """The operator's retry: failed modules of a silent plan that still run the old version, now or on connect."""
        message_rules.retry_failed(self.rollout, now)
        return self._done()

    def monitoring(self) -> tuple[str, dict[str, int], dict[str, int]]:
        """What the console shows: the plan's state, devices by device state, devices by upgrade status."""
        devices = Counter(ex.DEVICE_STATES[e.state] for e in self.executions)
        statuses = Counter(ex.COMPONENT_STATES[e.state] for e in self.executions)
        return PlanState(self.state).word, dict(devices), dict(statuses)

    @property
    def state(self) -> int:
        """The plan's state, a PlanState."""
        return self.rollout.progress.state

    def add(self, execution: Execution) -> int:
        """A module that became known after the plan was made: joins at its first hello. Returns its number."""
        index = len(self.executions)
        execution.index, execution.late = index, ex.TO_JOIN
        execution.group = len(self.rollout.groups) - 1
        self.executions.append(execution)
        if index >= len(self.rollout.waiting):
            _grow(self.rollout, 2 * index + 64)
        return index

    # --- messages ------------------------------------------------------------------------------------------------

    def hello(self, index: int, hello: msg.Hello, now: float) -> list[Command]:
        """A module connected, or reports its state anew; a request is answered at once."""
        at_target, source_ok = self.match(hello.versions)
        message_rules.hello(
            self.rollout, index, hello.battery_percent, hello.rsrp_dbm, hello.level, hello.free_bytes, at_target,
            source_ok, int(hello.asks), now,
        )  # fmt: skip
        return self._done()

    def match(self, versions: dict[str, str]) -> tuple[int, int]:
        """Components that run their target version already, as bits, and whether every delta fits the reported one."""
        at_target, source_ok = 0, 1
        for i, c in enumerate(self.plan.components):
            reported = versions.get(c.component, "")
            if reported == c.target_version:
                at_target |= 1 << i
            elif c.source_version and reported != c.source_version:
                source_ok = 0
        return at_target, source_ok

    def offline(self, index: int) -> None:
        """The cloud learns that a module is gone; an offer it never answered is open again."""
        message_rules.offline(self.rollout, index)

    def status(
        self, index: int, report: msg.StatusReport, now: float, *, last_word: bool = False
    ) -> list[Command]:  # fmt: skip
        """A status report (0x0114); `last_word`: a module that polls refuses for good."""
        on_target = last_word or report.version == self._wanted_version(index, report.component)
        message_rules.status(self.rollout, index, report.status, report.component, int(on_target), now)
        return self._done(report.version)

    def _wanted_version(self, index: int, component: int) -> str:
        c = self.plan.components[component]
        return c.rollback_version if self.executions[index].reverting else c.target_version

    # --- time ----------------------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """When `wake` is wanted next, or inf."""
        plan = plan_rules.deadline(self.rollout.progress)
        return min(plan, self._timers[0][0]) if self._timers else plan

    def wake(self, now: float) -> list[Command]:
        """Whatever is due: timers of modules in order, then the plan's end, groups, releases, pushes."""
        commands: list[Command] = []
        while self._timers and self._timers[0][0] <= now:
            _, index, kind, stamp = heapq.heappop(self._timers)
            message_rules.timer(self.rollout, index, kind, stamp, now)
            commands += self._done()
        if plan_rules.deadline(self.rollout.progress) <= now:
            plan_rules.wake(self.rollout, now)
            commands += self._done()
        return commands

    # --- out of the outboxes -------------------------------------------------------------------------------------

    def _done(self, version: str = "") -> list[Command]:
        """Empties the outboxes: arms timers, writes the log, keeps decisions, returns the messages."""
        b, c = self.rollout, self.rollout.progress
        for i in range(c.armed):
            at, index, kind, stamp = b.armed[i]
            heapq.heappush(self._timers, (float(at), int(index), int(kind), int(stamp)))
        for i in range(c.notes):
            index, at, code, value = b.notes[i]
            if self.log is not None:
                self.log(int(index), float(at), note_text(int(code), value, version))
        self.decisions += [decision_of(b.log[i]) for i in range(c.logged)]
        commands = [self._command(*map(int, b.out[i])) for i in range(c.out)]
        c.armed = c.notes = c.logged = c.out = 0
        if c.refusal:
            raise refusal(c.refusal, TABLES)
        return commands

    def _command(self, index: int, kind: int, component: int) -> Command:
        if kind == MessageKind.NOTICE:
            return index, self._notice(index)
        if kind == MessageKind.URL:
            return index, self._url(index, component)
        return index, _BARE[kind]

    def _notice(self, index: int) -> msg.Notice:
        return notice(self.plan, bool(self.executions[index].reverting))

    def _url(self, index: int, component: int) -> msg.FirmwareUrl:
        return firmware_url(self.plan, component, bool(self.executions[index].reverting))


def notice(plan: Plan, back: bool) -> msg.Notice:
    """The notice of a plan, or of its rollback."""
    r = plan.settings
    by_package = r.needed_bytes == max(c.size_bytes for c in plan.components)
    parts = tuple(
        msg.ComponentNotice(
            c.component,
            c.target_version if back else c.source_version,
            c.rollback_version if back else c.target_version,
            r.min_battery_percent, r.min_rsrp_dbm,
            (c.rollback_bytes if back else c.size_bytes) if by_package else r.needed_bytes,
        )
        for c in plan.components
    )  # fmt: skip
    return msg.Notice(parts, plan.silent)


def firmware_url(plan: Plan, component: int, back: bool) -> msg.FirmwareUrl:
    """The URL of one component of a plan, or of its rollback."""
    c = plan.components[component]
    hold = plan.settings.window_gates == WindowGate.INSTALL or bool(plan.settings.download_only)
    size = c.rollback_bytes if back else c.size_bytes
    return msg.FirmwareUrl(
        component, size, c.kind, c.url, c.md5, c.crc32, c.sha256, hold=hold, reverting=back
    )  # fmt: skip


def note_text(code: int, value: float, version: str = "") -> str:
    """A line of the upgrade log in words."""
    if code >= NOTE_OF_STATUS:
        status = code - NOTE_OF_STATUS
        return f"status {status} {msg.STATUS_TEXT[status]} {version}".rstrip()
    if code >= NOTE_OF_STATE:
        return ex.STATE_NAMES[code - NOTE_OF_STATE]
    if code == Note.DEFERRED:
        return f"{NOTE_TEXT[Note(code)]}: {_UNMET_NAMES[int(value)]}"
    return NOTE_TEXT[Note(code)]


def decision_of(row: NDArray[np.float64]) -> Decision:
    """A row of the decisions' outbox in words."""
    time_s, decision, subject, value, *counts = (float(x) for x in row)
    return Decision(time_s, DecisionKind(int(decision)).word, int(subject), value, *(int(n) for n in counts))


def open_rollout(
    plan: Plan, executions: Any, member_of: NDArray[Any], late: NDArray[Any], ranks: Ranks,
    cells: int,
) -> RolloutState:  # fmt: skip
    """The state of a rollout that has not begun: groups laid out in order of release, outboxes that fit any one call.

    `executions` are rows or records; `member_of` and `late` are their columns `group` and `late`, shape (n,).
    """
    n, c = len(executions), Progress(state=PlanState.SAVED, components=len(plan.components), silent=int(plan.silent))
    groups = [replace(g) for g in plan.groups]
    c.group_count = len(groups)
    order = release_order(member_of, late, ranks)
    rank = np.zeros(n, dtype=np.int32)
    rank[order] = np.arange(len(order))
    for number, g in enumerate(groups):
        g.size = g.members = g.targets = int(((member_of == number) & (late == 0)).sum())
    for before, g in itertools.pairwise(groups):
        g.first = before.first + before.size
    c.targets = c.members = len(order)
    return RolloutState(
        plan.settings, c, executions, groups, [replace(k) for k in plan.criteria],
        np.array(plan.windows, dtype=np.float64).reshape(-1, 2), order, rank, *_outboxes(n, cells, len(groups)),
    )  # fmt: skip


def release_order(groups: NDArray[np.int64], late: NDArray[Any], ranks: Ranks) -> NDArray[np.int32]:
    """Numbers of the modules in order of release: by group, then by rank (or as listed); late joiners are left out."""
    order = np.arange(len(groups)) if ranks is None else np.argsort(np.asarray(ranks, dtype=np.float64), kind="stable")
    order = order.astype(np.int32)
    if len(groups) and groups.min() < groups.max():
        order = order[np.argsort(groups[order], kind="stable")]
    return np.asarray(order[late[order] == 0] if late.any() else order)


def _outboxes(modules: int, cells: int, groups: int) -> tuple[NDArray[Any], ...]:
    """waiting, joined, cells, out, armed, notes, log: large enough for what one call can leave there."""
    return (
        np.zeros(modules, dtype=np.int32), np.zeros(modules, dtype=np.int32), np.zeros((cells, 3), dtype=np.int64),
        np.zeros((2 * modules + 16, 3), dtype=np.int64), np.zeros((4 * modules + 16, 4)),
        np.zeros((8 * modules + 16, 4)), np.zeros((4 * groups + 64, DECISION_WIDTH)),
    )  # fmt: skip


def _grow(b: RolloutState, modules: int) -> None:
    """Makes room for that many modules; what the rollout holds stays."""
    waiting, joined = b.waiting, b.joined
    b.waiting, b.joined, _, b.out, b.armed, b.notes, _ = _outboxes(modules, 0, 0)
    b.waiting[: len(waiting)], b.joined[: len(joined)] = waiting, joined
    rank = np.arange(modules, dtype=np.int32)
    rank[: len(b.rank)] = b.rank
    b.rank = rank
