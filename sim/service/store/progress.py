"""How a plan gets on: counts, the device table, one device's details and log. Read from the store, so from what is on disk."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, func, select

from sim.cloud import execution as ex
from sim.service.errors import NotFound
from sim.service.store.tables import devices, executions, log_lines

Row = dict[str, Any]
STAGES = ("Start", "Confirm", "Download", "Upgrading", "Success", "Fail", "Cancelled")
SORTS = {
    "device": executions.c.device_key, "state": executions.c.state, "attempts": executions.c.attempts,
    "updated": executions.c.updated_at, "battery": devices.c.battery_percent, "rsrp": devices.c.rsrp_dbm,
    "version": devices.c.module_version,
}  # fmt: skip
MAX_LOG_LINES = 1000
_EXECUTIONS_WITH_DEVICES = executions.join(devices, executions.c.device_id == devices.c.id)


def counts(connection: Connection, plan_id: int) -> Row:
    """Devices of a plan by stage of Upgrade Monitoring, by device state and by the center's own state."""
    query = select(executions.c.state, func.count()).where(executions.c.plan_id == plan_id)
    rows = connection.execute(query.group_by(executions.c.state)).all()
    found = {int(state): int(number) for state, number in rows}
    stages, states, exact = dict.fromkeys(STAGES, 0), dict.fromkeys(sorted(set(ex.DEVICE_STATES.values())), 0), {}
    for state, number in sorted(found.items()):
        stages[ex.COMPONENT_STATES[state]] += number
        states[ex.DEVICE_STATES[state]] += number
        exact[ex.STATE_NAMES[state]] = number
    failed = states["Upgrade Failed"]
    judged = states["Upgraded"] + failed
    seen = select(func.count()).select_from(_EXECUTIONS_WITH_DEVICES)
    never = connection.scalar(seen.where(executions.c.plan_id == plan_id, devices.c.seen_at.is_(None))) or 0
    return {
        "devices": sum(found.values()), "stages": stages, "device_states": states, "states": exact, "never_seen": never, "judged": judged,
        "success_rate": states["Upgraded"] / judged if judged else None,
    }  # fmt: skip


def table(
    connection: Connection, plan_id: int, *, search: str = "", stage: str = "", sort: str = "device",
    descending: bool = False, page: int = 1, size: int = 50,
) -> tuple[list[Row], int]:  # fmt: skip
    """One page of the devices of a plan, and how many there are in all under the search and stage."""
    where = [executions.c.plan_id == plan_id]
    if search:
        where.append(executions.c.device_key.contains(search, autoescape=True))
    if stage:
        where.append(executions.c.state.in_([s for s, name in ex.COMPONENT_STATES.items() if name == stage]))
    total = connection.scalar(select(func.count()).select_from(executions).where(*where)) or 0
    column = SORTS[sort]
    order = (column.desc() if descending else column.asc()).nulls_last()
    # The page is found among bare numbers first: sorting whole rows takes many times as long.
    source = executions if column.table is executions else _EXECUTIONS_WITH_DEVICES
    chosen = (
        select(executions.c.number)
        .select_from(source)
        .where(*where)
        .order_by(order, executions.c.number)
        .limit(size)
        .offset((page - 1) * size)
        .subquery()
    )
    here = executions.c.plan_id == plan_id, executions.c.number.in_(select(chosen.c.number))
    query = _joined().where(*here).order_by(order, executions.c.number)
    return [_named(dict(r)) for r in connection.execute(query).mappings()], total


def one(connection: Connection, plan_id: int, device_key: str) -> Row:
    """One device in a plan; NotFound when it is not in it."""
    query = _joined().where(executions.c.plan_id == plan_id, executions.c.device_key == device_key)
    found = connection.execute(query).mappings().first()
    if found is None:
        raise NotFound(f"there is no device {device_key} in plan {plan_id}")
    return _named(dict(found))


def log(connection: Connection, plan_id: int, device_id: int) -> list[Row]:
    """The upgrade log of a device in a plan, oldest first, cut to the newest lines."""
    query = (
        select(log_lines.c.at, log_lines.c.text, log_lines.c.times, log_lines.c.last_at)
        .where(log_lines.c.device_id == device_id, log_lines.c.plan_id == plan_id)
        .order_by(log_lines.c.id.desc())
        .limit(MAX_LOG_LINES)
    )
    return [dict(r) for r in connection.execute(query).mappings()][::-1]


def _joined() -> Select[Any]:
    return select(
        executions.c.device_id, executions.c.device_key, executions.c.state.label("number"), executions.c.reason,
        executions.c.attempts, executions.c.failures, executions.c.updated_at, executions.c.snapshot,
        devices.c.online, devices.c.module_version, devices.c.mcu_versions, devices.c.battery_percent,
        devices.c.rsrp_dbm, devices.c.free_bytes, devices.c.seen_at, devices.c.reports,
    ).select_from(_EXECUTIONS_WITH_DEVICES)  # fmt: skip


def _named(row: Row) -> Row:
    number = row.pop("number")
    return {
        **row, "state": ex.STATE_NAMES[number], "stage": ex.COMPONENT_STATES[number],
        "device_state": ex.DEVICE_STATES[number], "reason": ex.REASON_NAMES[row["reason"]],
    }  # fmt: skip
