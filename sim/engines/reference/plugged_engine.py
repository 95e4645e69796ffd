"""The reference engine with plug-ins: abort criteria and release rules ask as an operator would, check-ins as the module would.

Criteria and rules are asked at activation and then as often as their `every` says, before everything else of that
instant, while the plan runs. A check-in pattern says when a module that goes to sleep is online again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim import draws
from sim.cloud import offer_rules, plan_rules, rollout_state
from sim.cloud.execution import TO_JOIN
from sim.cloud.execution_states import ExecutionState
from sim.cloud.rollout_state import DecisionKind, RolloutState
from sim.draws import Purpose
from sim.engines.driver_rules.driven_row import DrivenRow
from sim.engines.driver_rules.tie_order import OPERATOR
from sim.engines.reference.simpy_engine import SimpyEngine
from sim.engines.world.build import World
from sim.errors import InputError
from sim.module.inputs import Input
from sim.module.rows import CheckIn
from sim.plugins import DRIVING, Counts, Kind, ModuleNow, PlanNow, Plugin, load
from sim.strategy.settings import Action

ACTIONS = ("pause", "cancel", "force-cancel", "rollback")
"""What an abort criterion may give back, besides None."""
_PATTERN_DRAWS = 1 << 31
"""Numbers of the draws for patterns: past those of the check-ins a module has by itself."""
_OWN_CHECK_INS = (CheckIn.PERIODIC, CheckIn.POISSON, CheckIn.SLEEPY)
"""Kinds of check-in whose times a pattern may give: others are always there, or stay as long as a trip."""
_COUNTED = {
    "succeeded": ExecutionState.SUCCEEDED, "failed": ExecutionState.FAILED, "timed_out": ExecutionState.TIMED_OUT,
    "rejected": ExecutionState.REJECTED,
}  # fmt: skip


class PluggedEngine(SimpyEngine):
    """Runs one world whose scenario has plug-ins that are asked during the run."""

    def __init__(self, world: World, *, events: bool | str = False) -> None:
        super().__init__(world, events=events)
        section = world.scenario.plugins
        self._every_s = {entry.name: entry.every for entry in section}
        self._plugins = load(section, DRIVING)  # type: ignore[arg-type]
        self._criteria = [plugin for plugin in self._plugins if plugin.kind is Kind.ABORT_CRITERION]
        self._most: dict[str, int | None] = {}
        self._own_cap = world.plan.settings.max_in_progress
        patterns = [plugin for plugin in self._plugins if plugin.kind is Kind.CHECK_IN]
        if len(patterns) > 1:
            raise InputError(f"plug-in {patterns[1].name}: one check-in pattern a scenario; leave out the other")
        self._pattern = patterns[0] if patterns else None
        self._patterned = [0] * len(self.modules)
        self._columns: dict[str, tuple[tuple[str, ...], NDArray[Any]]] = {}

    def _start(self) -> None:
        super()._start()
        for number, plugin in enumerate(self._criteria):
            self.at(0.0, OPERATOR, partial(self._criterion, plugin, number))
        for plugin in self._plugins:
            if plugin.kind is Kind.RELEASE_RULE:
                self.at(0.0, OPERATOR, partial(self._rule, plugin))

    # --- the plan ----------------------------------------------------------------------------------------------------

    def _criterion(self, plugin: Plugin, number: int, now: float) -> None:
        """Asks an abort criterion; one that has fired is not asked again."""
        wanted = plugin(self._plan(now)) if offer_rules.running(self.rollout.progress) else None
        if wanted is None:
            self.at(now + self._every_s[plugin.name], OPERATOR, partial(self._criterion, plugin, number))
            return
        if not isinstance(wanted, str) or wanted not in ACTIONS:
            raise plugin.refused(wanted, f"None or one of {', '.join(ACTIONS)}")
        if wanted == "rollback" and not self.world.scenario.plan.strategy.rollback:
            raise plugin.refused(wanted, "another action: plan.strategy.rollback names no previous package")
        self._send(self.world.center.steer(partial(_fire, number, Action.of(wanted)), now), now)

    def _rule(self, plugin: Plugin, now: float) -> None:
        """Asks a release rule how many modules may be under way; the least of all rules and of the plan's own cap holds."""
        if offer_rules.running(self.rollout.progress):
            most = plugin(self._plan(now))
            if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 0):
                raise plugin.refused(most, "None or a number of modules")
            self._most[plugin.name] = most
            caps = [cap for cap in (*self._most.values(), self._own_cap or None) if cap is not None]
            cap = (min(caps) or -1) if caps else 0
            if cap != self.rollout.settings.max_in_progress:
                self._send(self.world.center.steer(partial(_limit, cap), now), now)
        self.at(now + self._every_s[plugin.name], OPERATOR, partial(self._rule, plugin))

    def _plan(self, now: float) -> PlanNow:
        progress = self.rollout.progress
        counts = Counts(**{field.name: getattr(progress, field.name) for field in fields(Counts)})
        return PlanNow(now, counts, progress.released, progress.notified, progress.outstanding, self._by)

    def _by(self, label: str) -> dict[str, Counts]:
        """Counts of the plan by `group` or by a label of the fleet."""
        if label not in self._columns:
            self._columns[label] = self._column(label)
        names, codes = self._columns[label]
        executions = self.rollout.executions
        states = np.fromiter((e.state for e in executions), np.int64, len(executions))
        counted = np.fromiter((e.late != TO_JOIN for e in executions), np.bool_, len(executions)) & (codes >= 0)

        def of(mask: NDArray[np.bool_]) -> list[int]:
            return [int(n) for n in np.bincount(codes[mask & counted], minlength=len(names))]

        columns = {name: of(states == state) for name, state in _COUNTED.items()}
        columns["targets"] = of(states != ExecutionState.NOT_NEEDED)
        return {name: Counts(**{key: of[i] for key, of in columns.items()}) for i, name in enumerate(names)}

    def _column(self, label: str) -> tuple[tuple[str, ...], NDArray[Any]]:
        fleet = self.world.fleet
        if label == "group":
            return tuple(group.name for group in self.world.scenario.fleet.groups), fleet.rows["group"].astype(np.int64)
        if not any(group.has_label(label) for group in self.world.scenario.fleet.groups):
            raise KeyError(f"the fleet has no label {label}")
        found = fleet.label(label)
        return found.names, found.codes.astype(np.int64)

    # --- the module --------------------------------------------------------------------------------------------------

    def _is_awake(self, i: int, row: DrivenRow) -> bool:
        awake = super()._is_awake(i, row)
        if self._has_pattern(row) and self._check_in(i, row, max(0.0, row.away_until_s)):
            return False
        return awake

    def receive(self, i: int, input_: int | Input, now: float) -> int:
        """See seam.receive."""
        return self._received(i, now, lambda: super(PluggedEngine, self).receive(i, input_, now))

    def receive_message(self, i: int, message: int, component: int, back: int, now: float) -> int:
        """See seam.receive_message."""
        return self._received(
            i, now, lambda: super(PluggedEngine, self).receive_message(i, message, component, back, now)
        )

    def _received(self, i: int, now: float, receive: Callable[[], int]) -> int:
        """What the module makes of it; where that set a further check-in, the pattern's time takes its place."""
        row = self.modules[i]
        before = row.check_ins
        effects = receive()
        if row.check_ins != before and self._has_pattern(row):
            self._check_in(i, row, now)
        return effects

    def _has_pattern(self, row: DrivenRow) -> bool:
        return self._pattern is not None and self.profiles[row.group].check_in in _OWN_CHECK_INS

    def _check_in(self, i: int, row: DrivenRow, after_s: float) -> bool:
        """Sets the pattern's next time; False where the pattern leaves the one that the group's own check-in gave."""
        plugin, profile, number = self._pattern, self.profiles[row.group], self._patterned[i]
        assert plugin is not None
        unit = draws.uniform(profile.key_0, profile.key_1, row.identity, Purpose.CHECK_IN, _PATTERN_DRAWS + number)
        group = self.world.scenario.fleet.groups[row.group].name
        at = plugin(ModuleNow(self.world.fleet.names[i], group, after_s, number, unit))
        if at is None:
            return False
        if isinstance(at, bool) or not isinstance(at, int | float) or not at > after_s:
            raise plugin.refused(at, f"None or seconds after activation, later than {after_s:g}")
        self._patterned[i] = number + 1
        row.link_at, row.session_end_s = float(at), float(at) + profile.awake_s
        return True


def _fire(number: int, action: Action, rollout: RolloutState, now: float) -> None:
    """A criterion of a plug-in acts: its decision is numbered behind the plan's own."""
    subject = len(rollout.criteria) + number
    rollout_state.record_decision(rollout, now, DecisionKind.CRITERION_FIRED, subject, float(action))
    plan_rules.act(rollout, action, now)


def _limit(most: int, rollout: RolloutState, now: float) -> None:
    """Another cap on modules under way; whoever has room now is released, and offered its plan."""
    rollout.settings.max_in_progress = most
    plan_rules.release(rollout, now)
    if plan_rules.pushes_at_once(rollout.settings):
        plan_rules.push(rollout, now, 1)
