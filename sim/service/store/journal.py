"""Group commit: what the rollouts change is written every few milliseconds, and acknowledged only once it is on disk.

While one batch is committed in a thread, the next one gathers. When the store cannot be written (disk full), nothing is
lost and nothing is acknowledged: the batch is kept and tried again, and `failing` says why.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from functools import partial
from math import isnan
from typing import Any

from sqlalchemy import Connection, Table, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, InternalError, OperationalError, StatementError

from sim.cloud.execution import Execution
from sim.service.activated_plan import Rollout, Timers
from sim.service.errors import StoreFailing
from sim.service.known_device import Device, show_mcu_versions
from sim.service.store.database import Database
from sim.service.store.tables import devices, executions, log_lines, plans
from sim.service.trouble import Trouble

GATHER_S = 0.003
RETRY_S = 0.5
MAX_LINES = 2000
"""Of one device's log in one plan, since the start."""
Row = dict[str, Any]


@dataclass(slots=True)
class Batch:
    """Rows to write in one transaction; the callbacks run once it is committed."""

    devices: list[Row] = field(default_factory=list)
    executions: list[Row] = field(default_factory=list)
    lines: list[Row] = field(default_factory=list)
    repeats: list[Row] = field(default_factory=list)
    plans: list[Row] = field(default_factory=list)


class Journal:
    """What changed since the last commit. Used from the event loop only; `run` commits it."""

    def __init__(self, database: Database, trouble: Trouble | None = None) -> None:
        self.database, self.trouble = database, trouble or Trouble()
        self.failing = ""
        self.commits = 0
        self.rejected = 0
        """Rows the store refused by themselves, whatever else was in their batch."""
        self.on_rejected: Callable[[int], object] = lambda _device_id: None
        """Told the device whose row was refused."""
        self._executions: dict[tuple[int, int], tuple[Rollout, Device, float]] = {}
        self._rollouts: dict[int, Rollout] = {}
        self._devices: dict[int, Device] = {}
        self._lines: dict[int, Row] = {}
        self._repeats: dict[int, Row] = {}
        self._plans: dict[int, Row] = {}
        self._last_line: dict[tuple[int, int], Row] = {}
        self._line_counts: Counter[tuple[int, int]] = Counter()
        self._callbacks: list[Callable[[], None]] = []
        self._batch_done: asyncio.Future[None] | None = None
        self._work = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "journal")
        with database.read() as connection:
            self._next_line = (connection.scalar(select(func.max(log_lines.c.id))) or 0) + 1

    # --- changes -------------------------------------------------------------------------------------------------

    def execution(self, rollout: Rollout, device: Device, at: float) -> None:
        """The device's execution changed at `at` (seconds of the epoch), and the plan's counts perhaps with it."""
        self._executions[rollout.plan_id, device.id] = (rollout, device, at)
        self.rollout(rollout)

    def rollout(self, changed: Rollout) -> None:
        """State, counts or clocks of a plan changed."""
        self._rollouts[changed.plan_id] = changed
        self._work.set()

    def device(self, changed: Device) -> None:
        """A device is new, or reported something."""
        self._devices[changed.id] = changed
        self._work.set()

    def plan(self, plan_id: int, **values: Any) -> None:
        """Columns of a plan changed."""
        self._plans.setdefault(plan_id, {}).update(values)
        self._work.set()

    def line(self, plan_id: int, device_id: int, at: float, text: str) -> None:
        """A line of the upgrade log; the same line again only counts up."""
        if self._line_counts[plan_id, device_id] >= MAX_LINES:
            text = "further lines are not kept"
        last = self._last_line.get((plan_id, device_id))
        if last is not None and last["text"] == text:
            last["times"] += 1
            last["last_at"] = at
            if last["id"] not in self._lines:
                self._repeats[last["id"]] = last
        else:
            number = self._next_line
            row = {
                "id": number, "plan_id": plan_id, "device_id": device_id, "at": at, "text": text[:300],
                "times": 1, "last_at": at,
            }  # fmt: skip
            self._next_line += 1
            self._line_counts[plan_id, device_id] += 1
            self._lines[number] = self._last_line[plan_id, device_id] = row
        self._work.set()

    def then(self, callback: Callable[[], None]) -> None:
        """Calls back when everything noted so far is committed."""
        self._callbacks.append(callback)
        self._work.set()

    def committed(self) -> asyncio.Future[None]:
        """Done when everything noted so far is committed; all of one batch share it, so shield it from cancelling."""
        if self._batch_done is None:
            self._batch_done = asyncio.get_running_loop().create_future()
            self.then(partial(_settle, self._batch_done))
        return self._batch_done

    # --- commits -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Commits batch after batch until cancelled; a failing store is tried again and again."""
        loop = asyncio.get_running_loop()
        while True:
            await self._work.wait()
            await asyncio.sleep(GATHER_S)
            self._work.clear()
            batch, callbacks = self._take()
            while True:
                try:
                    refused = await loop.run_in_executor(self._thread, self._commit, batch)
                    break
                except Exception as error:
                    self.failing = str(error) if isinstance(error, StoreFailing) else self._unforeseen(error)
                    await asyncio.sleep(RETRY_S)
            self.failing = ""
            self.commits += 1
            self.rejected += len(refused)
            for device_id in {int(row.get("device_id") or row.get("id") or 0) for row in refused}:
                self.on_rejected(device_id)
            for callback in callbacks:
                self._call(callback)

    def _unforeseen(self, error: Exception) -> str:
        reference = self.trouble.report("a commit", error) if not self.failing else ""
        return self.failing or f"the store cannot be written: {type(error).__name__}, reference {reference}"

    def _call(self, callback: Callable[[], None]) -> None:
        """What waits for a commit must not keep others from theirs."""
        try:
            callback()
        except Exception as error:
            self.trouble.report("a message to a module", error)

    def close(self) -> None:
        """Waits for a commit under way."""
        self._thread.shutdown()

    def flush(self) -> None:
        """Commits what is left, at an orderly stop. Raises StoreFailing."""
        batch, callbacks = self._take()
        self._commit(batch)
        for callback in callbacks:
            self._call(callback)

    def _take(self) -> tuple[Batch, list[Callable[[], None]]]:
        """Everything gathered, as rows of this moment: the objects go on changing while it is written."""
        for changed in self._rollouts.values():
            self.plan(changed.plan_id, state=changed.state, running=changed.center.progress())
        batch = Batch(
            [_device_row(device) for device in self._devices.values()],
            [_execution_row(*values) for values in self._executions.values()],
            [dict(row) for row in self._lines.values()],
            [{"line_id": r["id"], "times": r["times"], "last_at": r["last_at"]} for r in self._repeats.values()],
            [{"plan_id": plan_id, **values} for plan_id, values in self._plans.items()],
        )
        callbacks = self._callbacks
        self._callbacks, self._batch_done = [], None
        for gathered in (self._devices, self._executions, self._rollouts, self._lines, self._repeats, self._plans):
            gathered.clear()
        return batch, callbacks

    def _commit(self, batch: Batch) -> list[Row]:
        """Writes a batch; the rows that the store refuses, when it takes the others. Raises StoreFailing.

        Every statement sets values, so a batch whose commit ended without an answer can be written again.
        """
        try:
            with self.database.write() as connection:
                for write, rows in _writes(batch):
                    write(connection, rows)
            return []
        except _REFUSALS as error:
            self.trouble.report("a row that the store refuses", error)
        refused = []
        with self.database.write() as connection:
            for write, rows in _writes(batch):
                refused += [row for row in rows if not _taken(connection, write, row)]
        return refused


_REFUSALS = (DataError, IntegrityError, StatementError, ValueError, TypeError, ArithmeticError)
"""What is the fault of a row, not of the store."""
Write = Callable[[Connection, list[Row]], None]


def _writes(batch: Batch) -> list[tuple[Write, list[Row]]]:
    """The statements of a batch with their rows, in the order in which they refer to each other."""
    return [
        (partial(_upsert, devices), batch.devices), (partial(_upsert, executions), batch.executions),
        (partial(_upsert, log_lines), batch.lines), (_repeat, batch.repeats), (_change_plans, batch.plans),
    ]  # fmt: skip


def _taken(connection: Connection, write: Write, row: Row) -> bool:
    """Writes one row by itself; False when the store refuses it."""
    try:
        with connection.begin_nested():
            write(connection, [row])
    except (OperationalError, InterfaceError, InternalError):
        raise  # the store's fault, not the row's
    except _REFUSALS:
        return False
    return True


def _repeat(connection: Connection, rows: list[Row]) -> None:
    if rows:
        repeated = update(log_lines).where(log_lines.c.id == bindparam("line_id"))
        connection.execute(repeated.values(times=bindparam("times"), last_at=bindparam("last_at")), rows)


def _change_plans(connection: Connection, rows: list[Row]) -> None:
    for row in rows:
        values = {key: value for key, value in row.items() if key != "plan_id"}
        connection.execute(update(plans).where(plans.c.id == row["plan_id"]).values(**values))


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _upsert(table: Table, connection: Connection, rows: list[Row]) -> None:
    """Inserts rows, or replaces those that exist."""
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    keys = [column.name for column in table.primary_key]
    changed = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def _device_row(device: Device) -> Row:
    return {
        "id": device.id, "product_id": device.product_id, "device_key": device.key, "device_secret": device.secret,
        "created_at": device.created_at, "seen_at": device.seen_at, "online": device.online,
        "module_version": device.module_version, "mcu_versions": show_mcu_versions(device.mcu_versions),
        "battery_percent": _known(device.battery_percent), "rsrp_dbm": _known(device.rsrp_dbm),
        "free_bytes": _known(device.free_bytes), "reports": device.reports, "authenticated": device.authenticated,
        "identities": " ".join(device.identities),
    }  # fmt: skip


def _execution_row(rollout: Rollout, device: Device, at: float) -> Row:
    execution = rollout.center.executions[rollout.numbers[device.id]]
    return {
        "plan_id": rollout.plan_id, "number": execution.index, "device_id": device.id, "device_key": device.key,
        "state": execution.state, "reason": execution.reason, "attempts": execution.attempts,
        "failures": execution.failures + execution.timeouts, "updated_at": at,
        "snapshot": snapshot(execution, rollout.center.timers.get(execution.index, {})),
    }  # fmt: skip


def snapshot(execution: Execution, timers: Timers) -> str:
    """What of an execution is not as it began, and its timers, as JSON (nan written as NaN)."""
    changed: Row = {"index": execution.index}
    for name, default in _DEFAULTS:
        value = getattr(execution, name)
        if value is not default and value != default:
            changed[name] = value
    if timers:
        changed["timers"] = timers
    return json.dumps(changed)


def restore(text: str) -> tuple[Execution, Timers]:
    """The execution of a snapshot and its timers."""
    given = json.loads(text)
    timers = {int(kind): (at, stamp) for kind, (at, stamp) in given.pop("timers", {}).items()}
    return Execution(**{name: given[name] for name in given if name in _NAMES}), timers


_NAMES = frozenset(f.name for f in fields(Execution))
_DEFAULTS = tuple((f.name, f.default) for f in fields(Execution) if f.name != "index")


def _known(value: float) -> float | None:
    return None if isnan(value) else value
