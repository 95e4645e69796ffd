"""What must hold of any plan after any run: its counts recounted from its executions, its log held against its limits."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np

from sim.cloud import execution as ex
from sim.cloud.execution_states import ExecutionState
from sim.engines.reference.simpy_engine import SimpyEngine
from sim.engines.world.build import World, build
from sim.scenario import Scenario
from sim.strategy import concurrency, rate, windows
from sim.strategy.settings import WindowGate

Log = list[tuple[float, int, str]]
ENDS = set(ex.STATE_NAMES[ExecutionState.SUCCEEDED :])


def drive(scenario: Scenario) -> tuple[World, Log]:
    """The world after a run of the SimPy engine, and the upgrade log as (time, module, line)."""
    world, log = build(scenario), []
    engine = SimpyEngine(world)
    world.center.log = lambda index, now, text: log.append((now, index, text))
    assert engine.run()
    return world, log


def final_state(e: ex.Execution) -> int:
    """What an execution came to under the plan; a rollback takes back those that have succeeded."""
    return ExecutionState.SUCCEEDED if e.reverting else e.state


def check_counts(world: World) -> None:
    """Definition 3: progress of plan and groups, caps and queues, recounted from the executions."""
    b = world.center.rollout
    joined = [e for e in b.executions if e.late != 1]
    over = [e for e in joined if ex.is_terminal(e.state) or e.reverting]
    ends = Counter(final_state(e) for e in over)
    c = b.progress
    assert {
        "members": c.members, "targets": c.targets, "terminal": c.terminal, "succeeded": c.succeeded,
        "failed": c.failed, "timed_out": c.timed_out, "rejected": c.rejected, "released": c.released,
        "outstanding": c.outstanding, "notified": c.notified, "in_progress": c.in_progress, "waiting": c.waiting,
    } == {
        "members": len(joined), "targets": len(joined) - ends[ExecutionState.NOT_NEEDED], "terminal": len(over),
        "succeeded": ends[ExecutionState.SUCCEEDED], "failed": ends[ExecutionState.FAILED], "timed_out": ends[ExecutionState.TIMED_OUT],
        "rejected": ends[ExecutionState.REJECTED], "released": sum(e.released for e in joined),
        "outstanding": sum(e.released for e in joined) - sum(e.released for e in over),
        "notified": sum(e.notified for e in joined), "in_progress": sum(e.counted for e in joined),
        "waiting": sum(e.waiting_at >= 0 for e in joined),
    }  # fmt: skip
    for number, g in enumerate(b.groups):
        ends = Counter(final_state(e) for e in over if e.group == number)
        members = sum(e.group == number for e in joined)
        assert (g.members, g.targets, g.terminal) == (
            members,
            members - ends[ExecutionState.NOT_NEEDED],
            sum(ends.values()),
        )
        assert (g.succeeded, g.failed) == (
            ends[ExecutionState.SUCCEEDED], ends[ExecutionState.FAILED] + ends[ExecutionState.TIMED_OUT] + ends[ExecutionState.REJECTED]
        )  # fmt: skip
    if concurrency.capped_by_cell(b.settings):
        under_way = Counter((e.cell, e.counted_level) for e in joined if e.counted and e.cell >= 0)
        assert {at: int(n) for at, n in np.ndenumerate(b.cells) if n} == dict(under_way)


def check_limits(world: World, log: Log) -> None:
    """Definitions 4, 5 and 8: every release within rate, cap and window, and none while the plan was paused."""
    _check_rate(world, log)
    _check_cap(world, log)
    b = world.center.rollout
    for at, _, text in log:
        if text == "released" and b.settings.window_gates == WindowGate.RELEASE:
            assert windows.is_open(b.windows, at)
    pauses = [(d.time_s, d.decision) for d in world.center.decisions if d.decision not in _WITHIN]
    for (since, what), (until, _) in pairwise([*pauses, (math.inf, "")]):
        if what == "paused":
            assert not [line for line in log if since < line[0] < until and line[2] in ("released", "issuing plan")]


_WITHIN = ("rate_raised", "group_passed", "completed", "rollout_stopped")
"""Decisions that do not end a pause."""


def _check_rate(world: World, log: Log) -> None:
    """At most floor(rate) in any minute from activation, the rate being that of the minute's beginning."""
    b = world.center.rollout
    if rate.unlimited(b.settings):
        return
    bypass = {e.index for e in b.executions if e.late and not b.settings.rate_applies_to_late}
    minutes = Counter(int(at // 60) for at, index, text in log if text == "released" and index not in bypass)
    raised = [(d.time_s, d.subject) for d in world.center.decisions if d.decision == "rate_raised"]
    for minute, count in minutes.items():
        step = max((k for at, k in raised if at <= 60.0 * minute), default=0)
        assert count <= math.floor(rate.per_minute(b.settings, step) + 1e-9)


def _check_cap(world: World, log: Log) -> None:
    """Released and not over stays within the cap at every release; an operator's retry is beyond it."""
    b = world.center.rollout
    retried = any(action.do == "retry-failed" for action in world.scenario.plan.operator)
    if b.settings.max_in_progress <= 0 or not b.settings.counts_from_release or retried:
        return
    out: set[int] = set()
    for _, index, text in log:
        if text == "released":
            out.add(index)
            assert len(out) <= b.settings.max_in_progress
        elif text in ENDS:
            out.discard(index)


def took_the_image(world: World) -> dict[int, float]:
    """When each module began to install the plan's image."""
    return {m.row.index: m.row.updating_s for m in world.modules if not math.isnan(m.row.updating_s)}


def first_stop_s(world: World) -> float:
    """When the plan was first stopped by itself; inf for never."""
    stops = ("paused", "canceled", "force_canceled", "rolled_back")
    return min((d.time_s for d in world.center.decisions if d.decision in stops), default=math.inf)


__all__ = ["Any", "check_counts", "check_limits", "drive", "first_stop_s", "took_the_image"]
