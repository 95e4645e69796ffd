"""A cloud with one plan in the hands of a test: its strategy as a file would write it, its modules walked by hand.

No engine, no radio: what the test says arrives at once, and time is what `until` says. Modules are number 0 … n-1, in
order of release as listed, and online (without asking) unless told otherwise.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np

from sim import messages as msg
from sim.cloud import execution as ex
from sim.cloud import offer_rules
from sim.cloud.center import DeveloperCenter
from sim.cloud.execution import Execution
from sim.engines.world.plan_settings import build_plan, group_of
from sim.messages import (
    DOWNLOAD_ERROR,
    DOWNLOAD_START,
    DOWNLOADED,
    DOWNLOADING,
    PLAN_RECEIVED,
    REFUSED,
    SUBMITTED,
    UPDATE_ERROR,
    UPDATE_SUCCESS,
    UPDATING,
)
from sim.scenario import Scenario
from tests.support import scenario

OLD, NEW, BEFORE = "1.0.0", "1.1.0", "0.9.0"
ROLLBACK = [{"component": "fw", "version": BEFORE, "size": 1000}]
"""The previous package, for strategies that roll back."""
STEPS = (PLAN_RECEIVED, SUBMITTED, DOWNLOAD_START, DOWNLOADING, DOWNLOADED, UPDATING, UPDATE_SUCCESS)


def strategy(**given: Any) -> Scenario:
    """A scenario whose plan has this strategy; no preset unless named."""
    return scenario(f"plan.strategy={json.dumps({'preset': 'none', **given})}", "horizon=30d")


class Cloud:
    """A plan fw 1.1.0 over `modules` modules, activated at `start` with everybody but `away` and `late` online."""

    def __init__(
        self, modules: int, *, away: Any = (), late: Any = (), cells: Any = (), busy: Any = (), approval_s: float = 0.0,
        start: float = 0.0, mode: str = "silent", **given: Any,
    ) -> None:  # fmt: skip
        made = strategy(rollout={"order": "listed", **given.pop("rollout", {})}, **given)
        plan = build_plan(made)
        plan.silent = mode == "silent"
        self.now = start
        self.sent: list[tuple[float, int, Any]] = []
        self.log: list[tuple[float, int, str]] = []
        self.away = set(away) | set(late)
        ranks = np.arange(modules, dtype=np.float64)
        is_late = np.array([int(i in set(late)) for i in range(modules)])
        names = [f"m{i:07d}" for i in range(modules)]
        groups = group_of(made, ranks, is_late, lambda given: np.isin(names, given.modules))
        cell = list(cells) or [-1] * modules
        ends = dict(busy)
        executions = [
            Execution(i, group=int(groups[i]), cell=cell[i], late=int(is_late[i]), busy_until_s=ends.get(i, 0.0),
                      approval_delay_s=approval_s)
            for i in range(modules)
        ]  # fmt: skip
        self.center = DeveloperCenter(
            plan, executions, ranks=list(ranks), cells=max(cell) + 1,
            log=lambda index, now, text: self.log.append((now, index, text)),
        )  # fmt: skip
        self._keep(self.center.activate(start))
        for i in range(modules):
            if i not in self.away:
                self.hello(i, asks=False)
        self.until(start)

    # --- time and operator ---------------------------------------------------------------------------------------

    def until(self, at: float) -> Cloud:
        """Lets time go on to `at`, and whatever the center wants to do meanwhile."""
        while self.center.deadline <= at:
            self.now = max(self.now, self.center.deadline)
            self._keep(self.center.wake(self.now))
        self.now = at
        return self

    def operator(self, what: str) -> Cloud:
        """suspend, resume, terminate, end, retry_failed …, now."""
        self._keep(getattr(self.center, what)(self.now))
        return self.until(self.now)

    # --- modules -------------------------------------------------------------------------------------------------

    def refuses_downloads(self, index: int) -> bool:
        """Whether the URL of this module is gone."""
        return offer_rules.refuses_downloads(self.center.rollout.progress, self.center.executions[index])

    def hello(
        self, index: int, *, asks: bool = True, battery: float = 80.0, rsrp: float = -90.0, level: int = 0,
        free: int = 5_000_000, version: str = OLD,
    ) -> list[Any]:  # fmt: skip
        """The module reports its state; returns what it is told."""
        self.away.discard(index)
        return self._keep(
            self.center.hello(index, msg.Hello(battery, rsrp, free, {"fw": version}, asks, level), self.now)
        )

    def offline(self, index: int) -> None:
        """The cloud learns that the module is gone."""
        self.away.add(index)
        self.center.offline(index)

    def status(self, index: int, *statuses: int, version: str = "") -> list[Any]:
        """Reports, one after the other; returns what the module is told. Success comes with the new version."""
        told: list[Any] = []
        for status in statuses:
            known = {UPDATE_SUCCESS: NEW, UPDATE_ERROR: OLD}.get(status, "")
            told += self._keep(self.center.status(index, msg.StatusReport(status, 0, version or known), self.now))
        return told

    def walk(self, index: int, upto: int = UPDATE_SUCCESS) -> list[Any]:
        """Reports from the notice up to this status."""
        return self.status(index, *STEPS[: STEPS.index(upto) + 1])

    def succeed(self, *indices: int) -> Cloud:
        """These modules take the update."""
        for i in indices:
            self.walk(i)
        return self.until(self.now)

    def fail(self, *indices: int, status: int = UPDATE_ERROR) -> Cloud:
        """These modules confirm, then fail."""
        for i in indices:
            self.status(i, PLAN_RECEIVED, SUBMITTED, status)
        return self.until(self.now)

    # --- what is seen --------------------------------------------------------------------------------------------

    def state(self, index: int) -> str:
        """State of an execution."""
        return ex.STATE_NAMES[self.center.executions[index].state]

    def states(self) -> dict[str, int]:
        """How many executions are in which state."""
        return dict(Counter(ex.STATE_NAMES[e.state] for e in self.center.executions))

    def plan(self) -> str:
        """State of the plan."""
        return self.center.monitoring()[0]

    def monitoring_counts(self) -> dict[str, int]:
        """Devices by the Developer Center's device state."""
        return self.center.monitoring()[1]

    @property
    def counts(self) -> Any:
        """The plan's progress."""
        return self.center.rollout.progress

    def released(self) -> list[tuple[float, int]]:
        """(time, module) of every release."""
        return [(at, index) for at, index, text in self.log if text == "released"]

    def lines(self, text: str, index: int | None = None) -> list[float]:
        """Times at which a line stands in the upgrade log."""
        return [at for at, i, line in self.log if line == text and index in (None, i)]

    def told(self, kind: type, index: int | None = None) -> list[tuple[float, int]]:
        """(time, module) of every message of a kind."""
        return [(at, i) for at, i, message in self.sent if isinstance(message, kind) and index in (None, i)]

    def decided(self, *names: str) -> list[tuple[float, str]]:
        """(time, decision) of what the plan decided; of some kinds only where named."""
        return [(d.time_s, d.decision) for d in self.center.decisions if not names or d.decision in names]

    def _keep(self, commands: Any) -> list[Any]:
        self.sent += [(self.now, index, message) for index, message in commands or ()]
        return [message for _, message in commands or ()]


__all__ = ["BEFORE", "DOWNLOAD_ERROR", "NEW", "OLD", "REFUSED", "ROLLBACK", "Cloud", "strategy"]
