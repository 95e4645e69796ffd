"""A wrong row of a state table is noticed by a run: a sample; `benchmarks/state_mutations.py` turns every row wrong."""

from __future__ import annotations

import pytest

from benchmarks import state_mutations as mutations
from sim.cloud.execution_states import ExecutionMove, ExecutionState
from sim.cloud.plan_states import PlanMove, PlanState
from sim.messages import DOWNLOAD_ERROR, NO_PLAN, PLAN_RECEIVED, UPDATE_SUCCESS
from sim.module.inputs import Input
from sim.module.link_states import LinkMove, LinkState
from sim.strategy.group_states import GroupMove, GroupState

SAMPLE = (
    ("link", LinkMove.CONNECTED, LinkState.CONNECTING, LinkState.OFFLINE, "plain"),
    ("ota", Input.SETTLE, DOWNLOAD_ERROR, PLAN_RECEIVED, "busy server"),
    ("ota", Input.SETTLE, UPDATE_SUCCESS, PLAN_RECEIVED, "plain"),
    ("ota", Input.BOOT_OLD, NO_PLAN, UPDATE_SUCCESS, "vehicles"),
    ("ota", Input.BOOT_TARGET, NO_PLAN, PLAN_RECEIVED, "told too early"),
    ("execution", ExecutionMove.WITHDRAW, ExecutionState.SUCCEEDED, ExecutionState.SUCCEEDED, "told too early"),
    ("group", GroupMove.FAIL, GroupState.PASSED, GroupState.RUNNING, "group fails after it passed"),
    ("plan", PlanMove.RESUME, PlanState.SUSPENDED, PlanState.ENDED, "stopped and resumed"),
    ("execution", ExecutionMove.SUCCEED_LATE, ExecutionState.TIMED_OUT, ExecutionState.FAILED, "late"),
)
_OBSERVED: dict[str, mutations.Unchanged] = {}


def _observed(scenario):
    if scenario not in _OBSERVED:
        _OBSERVED[scenario] = mutations.observe({scenario: mutations.scenarios()[scenario]})
    return _OBSERVED[scenario]


@pytest.mark.parametrize(("machine", "move", "source", "wrong", "scenario"), SAMPLE)
def test_a_row_that_leads_elsewhere_is_noticed(machine, move, source, wrong, scenario):
    """Other records, or an error: the run walks the table, nothing goes around it."""
    reader = next(r for r in mutations.READERS if r.table.machine.word == machine)
    number = next(i for i, row in enumerate(reader.table.rows) if row.move == move and source in row.sources)
    unchanged = _observed(scenario)
    assert unchanged.readers_of(reader, number) == [scenario]
    assert mutations.noticed_by(reader, number, wrong, unchanged) == scenario
    assert reader.flat(reader.table) == reader.module.NEXT, "the table is put back"


def test_the_right_row_is_not_taken_for_a_wrong_one():
    """The check tells a changed table from an unchanged one: the row's own target leaves the same records."""
    reader = mutations.READERS[0]
    number = next(i for i, row in enumerate(reader.table.rows) if row.move == LinkMove.CONNECTED)
    unchanged = _observed("plain")
    assert mutations.noticed_by(reader, number, reader.table.rows[number].target, unchanged) == ""


def test_only_rows_of_the_device_are_set_aside():
    """Documented by the SDK and asked for by no run: two repetitions, and restarts that the simulation has no cause for."""
    aside = [(r.table.machine.word, row.move) for r in mutations.READERS for row in r.table.rows if not row.in_runs]
    assert {machine for machine, _ in aside} == {"ota"}
    assert sorted(move for _, move in aside) == sorted(
        [Input.CONFIRM, Input.UPDATE, *[Input.BOOT_MCU] * 3, *[Input.BOOT_TARGET] * 3, Input.BOOT_OLD]
    )
