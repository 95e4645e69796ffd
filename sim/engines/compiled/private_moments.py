"""Which of a module's moments are private: they may be run ahead, whatever others do meanwhile."""

from __future__ import annotations

from math import inf

from sim.cloud import execution as ex
from sim.cloud.execution import Execution
from sim.cloud.execution_states import ExecutionState
from sim.engines.compiled.array_state import ArrayState, LinedRow
from sim.engines.driver_rules.driven_row import NOT_ANSWERED, Kind
from sim.messages import DOWNLOAD_START, DOWNLOADED, DOWNLOADING, UPDATING
from sim.module.inputs import Input
from sim.module.link_states import LinkState


def touches_nobody(state: ArrayState, i: int, listed: bool) -> bool:
    """Whether the module's next event touches nothing that others see, whatever order it is taken in."""
    execution, row = state.rollout.executions[i], state.modules[i]
    if row.transfer >= 0 or (
        row.link == LinkState.ATTACHING and row.link_at == inf
    ):  # transfers, or tries to access its cell
        return False
    if not listed:
        return is_own_timer(row, execution)
    entry = state.under_way[row.head]
    if entry.kind == Kind.HELLO:
        return is_idle_talk(state, execution)
    if entry.kind == Kind.STATUS:
        return bool(
            state.driver.progress_is_private
            and is_progress(entry.code)
            and (ex.is_terminal(execution.state) or is_idle_talk(state, execution))
        )
    if entry.kind == Kind.ANSWER:
        return bool(row.transfer != NOT_ANSWERED or entry.number != row.fetch)
    return entry.kind != Kind.UNHEARD or not going_matters(execution)


def is_own_timer(row: LinedRow, execution: Execution) -> bool:
    """Whether the module's own timer does nothing but to the module."""
    first = row.ota_at <= row.link_at and row.ota_at < row.power_at and row.ota_at < row.late_at
    if first and row.ota_then == Input.DECIDE:
        return True
    at_gate = row.link_at < row.ota_at and row.link_at < row.power_at and row.link_then == Input.ATTACHED
    return not at_gate and not going_matters(execution)


def going_matters(execution: Execution) -> bool:
    """Whether the module's going offline is felt: an open offer counts against the plan's cap."""
    return bool(execution.counted and ex.is_waiting(execution.state))


def is_idle_talk(state: ArrayState, execution: Execution) -> bool:
    """Whether the cloud has nothing to answer to a module that tells how it is."""
    if ex.is_terminal(execution.state):
        return not execution.stop_pending
    has_order = (
        execution.canceling
        or execution.retry_pending
        or execution.stop_pending
        or (state.driver.holds and execution.state == ExecutionState.DOWNLOADED)
    )
    return not (ex.is_waiting(execution.state) or execution.state == ExecutionState.CONFIRMED or has_order)


def is_progress(status: int) -> bool:
    """Statuses of an upgrade that goes its way."""
    return status in (DOWNLOAD_START, DOWNLOADING, DOWNLOADED, UPDATING)
