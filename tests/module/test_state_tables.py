"""The state tables: what they refuse is named, in both engines, and nothing is changed by it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from sim.cloud import execution_states, plan_states
from sim.cloud.execution_states import ExecutionMove, ExecutionState
from sim.cloud.plan_states import PlanMove, PlanState
from sim.cloud.state_machines import TABLES
from sim.engines.reference.simpy_engine import SimpyEngine
from sim.engines.world.build import build
from sim.errors import IllegalInput
from sim.module import link_states
from sim.module.link_states import LinkMove, LinkState
from sim.module.rows import ModuleRow
from sim.state_table import refusal
from sim.strategy import group_states
from sim.strategy.group_states import GroupMove, GroupState
from sim.strategy.progress import Group, Progress
from tests.support import HARMLESS, scenario


@dataclass
class Thing:
    """Anything with a state."""

    state: int


def test_a_refused_execution_changes_nothing_and_is_named():
    progress, execution = Progress(), Thing(ExecutionState.SUCCEEDED)
    execution_states.enter(progress, execution, ExecutionMove.OFFER)
    assert execution.state == ExecutionState.SUCCEEDED
    assert str(refusal(progress.refusal, TABLES)) == "execution: OFFER in state 8 (SUCCEEDED) is not allowed"


def test_a_refused_plan_and_a_refused_group_are_named():
    progress = Progress(state=PlanState.ENDED)
    plan_states.enter(progress, PlanMove.RESUME)
    assert str(refusal(progress.refusal, TABLES)) == "plan: RESUME in state 5 (ENDED) is not allowed"
    group = Group(state=GroupState.FAILED)
    group_states.enter(progress, group, GroupMove.PASS)
    assert str(refusal(progress.refusal, TABLES)) == "group: PASS in state 3 (FAILED) is not allowed"
    assert (progress.state, group.state) == (PlanState.ENDED, GroupState.FAILED)


def test_a_refused_link_ends_all_moves_and_is_named():
    row = ModuleRow(link=LinkState.DARK)
    link_states.enter(row, LinkMove.ATTACH)
    link_states.enter(row, LinkMove.DIE)
    assert str(link_states.refused("m7", row.link)) == "module m7: link: ATTACH in state 5 (DARK) is not allowed"


def test_every_refused_link_fits_into_the_byte_it_is_kept_in():
    assert min(link_states.NEXT) >= -128


@pytest.mark.parametrize(
    ("module", "table", "named"),
    [
        (execution_states, execution_states.TABLE, "execution: CONFIRM in state"),
        (plan_states, plan_states.TABLE, "plan: OFFER in state 1"), (group_states, group_states.TABLE, "group: PASS"),
    ],
)  # fmt: skip
def test_a_missing_row_stops_the_run_by_name(module, table, named, monkeypatch):
    """Where the rules ask for a move that no row has, the run ends with its name."""
    move = {"execution": ExecutionMove.CONFIRM, "plan": PlanMove.OFFER, "group": GroupMove.PASS}[table.machine.word]
    number = next(i for i, row in enumerate(table.rows) if row.move == move)
    broken = table.with_row(number, sources=())
    monkeypatch.setattr(module, "NEXT", broken.next_states())
    with pytest.raises(IllegalInput, match=named):
        SimpyEngine(build(scenario(*HARMLESS, "fleet.size=5"))).run()


def test_a_missing_row_of_the_link_names_the_module(monkeypatch):
    number = next(i for i, row in enumerate(link_states.TABLE.rows) if row.move == LinkMove.CONNECTED)
    broken = link_states.TABLE.with_row(number, sources=())
    monkeypatch.setattr(link_states, "NEXT", link_states.trapping(broken))
    with pytest.raises(IllegalInput, match=r"module .*: link: CONNECTED in state 2 \(CONNECTING\) is not allowed"):
        SimpyEngine(build(scenario(*HARMLESS, "fleet.size=5"))).run()
