"""fotasim's operator at a hawkBit rollout: what the plan asks for and the server does not do, while the fleet runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from sim.engines.live.ddi.control import MANAGEMENT, Refused, control_of, judged
from sim.engines.live.ddi.ddi_target import PASSWORD, USER, DdiTarget
from sim.engines.live.ddi.duties import REQUESTS, Duties, Wait, duties_of
from sim.engines.live.ddi.hawkbit_api import Hawkbit
from sim.engines.live.json_documents import as_documented
from sim.errors import FotasimError, InputError
from sim.scenario.plan import PlanSection

LOOK_S = 1.0
"""The operator looks at the groups so often, in real time: a passed group is seen so late at most."""
_OVER = ("finished", "stopped", "deleted")


class Operator:
    """Carries out the duties at one rollout. `log` is what it did, for the manifest."""

    def __init__(self, control: Hawkbit, rollout: int, duties: Duties) -> None:
        self._control, self.rollout, self._duties = control, rollout, duties
        self.log: list[dict[str, Any]] = []

    async def close(self) -> None:
        """Logs out."""
        await self._control.__aexit__()

    async def check(self) -> None:
        """InputError where a group that has to wait goes on by itself: the rollout was not published from this plan."""
        groups = await self._control.groups(self.rollout)
        for wait in self._duties.waits:
            action = groups[wait.after].get("successAction") or {} if wait.after < len(groups) else {}
            if action.get("action") != "PAUSE":
                raise InputError(
                    f"rollout {self.rollout} does not pause after group {wait.name}, which the plan's soak or start time "
                    "needs: publish it from this scenario, or leave them out"
                )

    async def run(self, now: Callable[[], float], time_scale: float) -> None:
        """Until all is done or the run ends; `now` is the second of the run, of which `time_scale` pass in a real one."""
        left, waits, passed = list(self._duties.calendar), list(self._duties.waits), dict[int, float]()
        while left or waits:
            while left and left[0][0] <= now():
                at_s, what = left.pop(0)
                await self._do(what, now, f"planned for {at_s:g} s")
            if waits:
                try:
                    with as_documented(MANAGEMENT):
                        waits = await self._after_groups(waits, passed, now)
                except FotasimError as error:
                    self._note(now(), "look", f"the server cannot be asked: {error}")
            next_s = (left[0][0] - now()) / time_scale if left else LOOK_S
            await asyncio.sleep(min(LOOK_S, max(0.0, next_s)))

    async def _after_groups(self, waits: list[Wait], passed: dict[int, float], now: Callable[[], float]) -> list[Wait]:
        """The waits that are not over."""
        rollout = await self._control.status(self.rollout)
        if rollout in _OVER:
            return []
        groups = await self._control.groups(self.rollout)
        left = []
        for wait in waits:
            group = groups[wait.after] if wait.after < len(groups) else {}
            state = str(group.get("status", "")).lower()
            if state == "finished":
                at_s = max(passed.setdefault(wait.after, now()) + wait.soak_s, wait.start_s)
            if state == "error":
                self._note(now(), "stays paused", f"group {wait.name} is in error at the server")
            elif state != "finished" or now() < at_s or rollout != "paused":
                left.append(wait)
            elif _failed(group, wait):
                self._note(now(), "stays paused", f"group {wait.name} passed its error threshold while it soaked")
            elif not await self._do("resume", now, f"after group {wait.name}"):
                left.append(wait)
        return left

    async def _do(self, what: str, now: Callable[[], float], why: str) -> bool:
        """One request; what the server refuses is not tried again, what it does not answer is."""
        try:
            await self._control.operate(self.rollout, REQUESTS[what])
        except Refused as error:
            self._note(now(), what, f"{why}; refused: {error}")
            return True
        except FotasimError as error:
            self._note(now(), what, f"{why}; no answer: {error}")
            return False
        self._note(now(), what, why)
        return True

    def _note(self, at_s: float, did: str, why: str) -> None:
        if not self.log or (self.log[-1]["did"], self.log[-1]["why"]) != (did, why):
            self.log.append({"at_s": round(at_s, 3), "did": did, "why": why})


def _failed(group: Mapping[str, Any], wait: Wait) -> bool:
    """Whether more of the group have failed than its threshold allows."""
    total, counts = int(group.get("totalTargets") or 0), group.get("totalTargetsPerStatus") or {}
    limit = wait.error_threshold_percent
    return limit is not None and total > 0 and 100.0 * int(counts.get("error") or 0) / total > limit


async def operator_of(
    plan: PlanSection, target: DdiTarget, ca_file: str | None, rollout: int | None
) -> Operator | None:
    """The operator this plan needs at a hawkBit (None: none), found before the run begins; `rollout` is what the user named.

    InputError without a login, or where the rollout does not wait as the plan does.
    """
    duties = duties_of(plan)
    if target.server != "hawkbit" or not duties:
        return None
    control = control_of(target, target.ssl_context(ca_file))
    if not isinstance(control, Hawkbit):
        raise InputError(
            "the plan has soak, start times of groups or operator's actions, which fotasim's operator carries out at the "
            f"server: set {USER} and {PASSWORD}"
        )
    try:
        with as_documented(MANAGEMENT):
            found, _ = await judged(control, rollout, plan.name)
            assert found is not None
            operator = Operator(control, found, duties)
            await operator.check()
    except BaseException:
        await control.__aexit__()
        raise
    return operator
