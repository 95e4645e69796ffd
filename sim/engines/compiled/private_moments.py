"""Which of a module's moments are private: they may be run ahead, whatever others do meanwhile."""

from __future__ import annotations

from math import inf
from typing import Any

from sim.cloud import execution as ex
from sim.cloud.execution import ExecutionState
from sim.engines.compiled import pending
from sim.engines.compiled.pending import NOT_ANSWERED
from sim.messages import DOWNLOAD_START, DOWNLOADED, DOWNLOADING, UPDATING
from sim.module.inputs import Input
from sim.module.link_states import LinkState


def touches_nobody(s: Any, i: int, listed: bool) -> bool:
    """Whether the module's next event touches nothing that others see, whatever order it is taken in."""
    e, m = s.rollout.executions[i], s.modules[i]
    if m.transfer >= 0 or (
        m.link == LinkState.ATTACHING and m.link_at == inf
    ):  # transfers, or tries to access its cell
        return False
    if not listed:
        return is_own_timer(m, e)
    entry = s.pool[m.head]
    if entry.kind == pending.HELLO:
        return is_idle_talk(s, e)
    if entry.kind == pending.STATUS:
        return bool(s.k.quiet and is_progress(entry.code) and (ex.is_terminal(e.state) or is_idle_talk(s, e)))
    if entry.kind == pending.ANSWER:
        return bool(m.transfer != NOT_ANSWERED or entry.number != m.fetch)
    return entry.kind != pending.UNHEARD or not going_matters(e)


def is_own_timer(m: Any, e: Any) -> bool:
    """Whether the module's own timer does nothing but to the module."""
    if m.ota_at <= m.link_at and m.ota_at < m.power_at and m.ota_then == Input.DECIDE:
        return True
    at_gate = m.link_at < m.ota_at and m.link_at < m.power_at and m.link_then == Input.ATTACHED
    return not at_gate and not going_matters(e)


def going_matters(e: Any) -> bool:
    """Whether the module's going offline is felt: an open offer counts against the plan's cap."""
    return bool(e.counted and ex.is_waiting(e.state))


def is_idle_talk(s: Any, e: Any) -> bool:
    """Whether the cloud has nothing to answer to a module that tells how it is."""
    if ex.is_terminal(e.state):
        return not e.stop_pending
    pending_order = (
        e.canceling or e.retry_pending or e.stop_pending or (s.k.holds and e.state == ExecutionState.DOWNLOADED)
    )
    return not (ex.is_waiting(e.state) or e.state == ExecutionState.CONFIRMED or pending_order)


def is_progress(status: int) -> bool:
    """Statuses of an upgrade that goes its way."""
    return status in (DOWNLOAD_START, DOWNLOADING, DOWNLOADED, UPDATING)
