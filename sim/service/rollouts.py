"""All devices and all activated plans of the service: who belongs to which plan, who is told what, and when.

Lives on the event loop. A message of a device changes the pure center at once; it is acknowledged, and the answers are
sent, once the change is committed (journal). After a restart everything is rebuilt from the store.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from math import inf, isnan, nan
from typing import Any

from sqlalchemy import func, select, update

from sim import messages as msg
from sim.cloud import execution as ex
from sim.cloud.center import Command
from sim.cloud.execution import Execution
from sim.cloud.execution_states import ExecutionState
from sim.scenario.lists import targeting
from sim.scenario.zones import zone_of
from sim.service import activated_plan as one
from sim.service.activated_plan import Rollout
from sim.service.clock import SteadyClock
from sim.service.errors import Conflict, NotFound, StoreFailing
from sim.service.known_device import REMEMBERED, Device, parse_mcu_versions
from sim.service.store import catalog
from sim.service.store.database import Database
from sim.service.store.journal import Journal, restore
from sim.service.store.tables import devices, executions, plans
from sim.service.trouble import Trouble

LATEST_WAKE_S = 1.0
"""The loop looks at every plan at least this often."""

COMMIT_PATIENCE_S = 20.0
REST_S = 30.0
"""How long a plan is left alone after an error of ours."""

Send = Callable[[Device, Rollout, msg.ToModule], None]


class Rollouts:
    """Devices and plans in memory; the store follows through the journal."""

    def __init__(
        self, database: Database, journal: Journal, send: Send, *, time_scale: float = 1.0,
        clock: Callable[[], float] | None = None, trouble: Trouble | None = None,
    ) -> None:  # fmt: skip
        self.database, self.journal, self.send = database, journal, send
        self.time_scale, self.trouble = time_scale, trouble or Trouble()
        self.clock: Callable[[], float] = clock or SteadyClock(_latest(database))
        self._resting: dict[int, float] = {}
        self.devices: dict[tuple[int, str], Device] = {}
        self.running: dict[int, Rollout] = {}
        self._by_product: dict[int, list[Rollout]] = {}
        self._by_id: dict[int, Device] = {}
        self._next_device = 1
        self._changed = asyncio.Event()
        self.were_online: list[Device] = []
        """Who was there when the cloud ended; a broker may hold their connections still."""
        self._load()

    # --- restart -------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        """Rebuilds devices and rollouts from the store."""
        with self.database.read() as connection:
            for row in connection.execute(select(devices)).mappings():
                device = _device(row)
                self._remember(device)
                if row["online"]:
                    self.were_online.append(device)
            active = select(plans.c.id).where(plans.c.zero_at.is_not(None)).order_by(plans.c.activated_at)
            for plan_id in connection.execute(active).scalars().all():
                self._restore(connection, plan_id)
        with self.database.write() as connection:
            connection.execute(update(devices).where(devices.c.online).values(online=False))

    def _restore(self, connection: Any, plan_id: int) -> None:
        plan, versions = _stored(connection, plan_id)
        query = select(executions).where(executions.c.plan_id == plan_id).order_by(executions.c.number)
        rows = connection.execute(query).mappings().all()
        members = [self._by_id[row["device_id"]] for row in rows]
        restored = [restore(row["snapshot"]) for row in rows]
        rollout = self._open(plan, versions, members, [execution for execution, _ in restored])
        rollout.center.restore(plan["running"], {e.index: timers for e, timers in restored})
        for device, (execution, _) in zip(members, restored, strict=True):
            if ex.is_in_progress(execution.state):
                device.busy = rollout

    def _open(
        self, plan: dict[str, Any], versions: list[dict[str, Any]], members: list[Device],
        restored: list[Execution] | None = None,
    ) -> Rollout:  # fmt: skip
        rollout = one.build(plan, versions, members, self._log_of(plan["id"]), self.time_scale, restored)
        self.running[rollout.plan_id] = rollout
        self._by_product.setdefault(rollout.product_id, []).append(rollout)
        return rollout

    def _log_of(self, plan_id: int) -> Callable[[int, float, str], None]:
        """The center's log of a plan: a line for the store, and its execution is to be written."""

        def log(number: int, now: float, text: str) -> None:
            rollout = self.running[plan_id]
            device = rollout.devices[number]
            at = rollout.wall(now)
            self.journal.line(plan_id, device.id, at, text)
            self._note(rollout, device)

        return log

    # --- devices -------------------------------------------------------------------------------------------------

    def device(self, product_id: int, key: str) -> Device | None:
        """The device of that key, if there is one."""
        return self.devices.get((product_id, key))

    def create(self, product_id: int, key: str, secret: str) -> Device:
        """A device that bootstrapped for the first time; it joins the running plans of its product."""
        device = Device(self._next_device, product_id, key, secret, self.clock())
        self._remember(device)
        self.journal.device(device)
        for rollout in self._plans_of(device):
            if not rollout.ended and rollout.join(device):
                self._note(rollout, device)
        return device

    def connected(self, device: Device) -> None:
        """The device logged in; it has not said anything yet. `reoffer` says that it takes a connection over."""
        device.online, device.announced, device.seen_at = True, False, self.clock()
        self.journal.device(device)

    def condition(self, device: Device, battery_percent: float, rsrp_dbm: float, free_bytes: float) -> None:
        """Command 0x0034: what the device reports of its supply, signal and space."""
        device.battery_percent, device.rsrp_dbm, device.free_bytes = battery_percent, rsrp_dbm, free_bytes
        self.journal.device(device)
        if device.announced:
            self._hello(device, asks=False)

    def announced(self, device: Device, module_version: str, mcu_versions: dict[str, str], *, asks: bool) -> None:
        """Command 0x0044, or 0x0115 when it asks for its plan: the device's versions."""
        device.module_version = module_version or device.module_version
        device.mcu_versions = mcu_versions or device.mcu_versions
        device.announced = True
        self.journal.device(device)
        again, device.reoffer = device.reoffer, False
        self._hello(device, asks=asks or again)

    def offline(self, device: Device) -> None:
        """The connection of a device is gone."""
        device.online = device.announced = False
        self.journal.device(device)
        for rollout in self._plans_of(device):
            execution = rollout.execution(device)
            if execution is not None and execution.online:
                rollout.center.offline(execution.index)
                self._note(rollout, device)

    def status(self, device: Device, status: int, component: str, version: str) -> None:
        """Command 0x0114, for the plan the device is busy with; `version` is what runs, with statuses 11 and 12."""
        device.reports += 1
        device.seen_at = self.clock()
        self.journal.device(device)
        rollout = self._plan_with(device, component)
        execution = rollout.execution(device) if rollout else None
        if rollout is None or execution is None:
            return
        number = next(i for i, c in enumerate(rollout.center.plan.components) if c.component == component)
        if version:
            device.runs(rollout.center.plan.components[number].kind, component, version)
        now = rollout.now(self.clock())
        commands = rollout.report(device, msg.StatusReport(status, number, version), now)
        self._note(rollout, device)
        self._answer(rollout, commands)
        if execution.terminal and device.busy is rollout:
            device.busy = None
            self._hello(device, asks=False)  # the next plan of the product may have it

    def _hello(self, device: Device, asks: bool) -> None:
        """Tells every plan that has the device, until one takes it; a busy device is its plan's alone."""
        device.seen_at = self.clock()
        if device.busy is not None and not _holds(device.busy, device):
            device.busy = None
        for rollout in [device.busy] if device.busy else self._plans_of(device):
            execution = rollout.execution(device)
            now = rollout.now(self.clock())
            if execution is None or now < 0.0:
                continue
            commands = rollout.center.hello(execution.index, rollout.hello(device, asks), now)
            self._note(rollout, device)
            self._answer(rollout, commands)
            if device.busy:
                return

    def _plan_with(self, device: Device, component: str) -> Rollout | None:
        """The plan a report belongs to: that the device is busy with, else that which offered it the component last."""
        candidates = [device.busy] if device.busy else self._plans_of(device)
        fitting = [
            rollout
            for rollout in candidates
            if rollout.execution(device) and any(c.component == component for c in rollout.center.plan.components)
        ]
        return max(fitting, key=lambda rollout: _offered_at(rollout, device), default=None)

    # --- operator ------------------------------------------------------------------------------------------------

    async def activate(self, plan_id: int) -> None:
        """Makes a saved plan run, now or at its planned start, over the devices that its lists allow."""
        self._writable()
        with self.database.read() as connection:
            plan, versions = _stored(connection, plan_id)
        if plan["state"] != "Saved" or plan_id in self.running:
            raise Conflict(f"plan {plan['name']} is {plan['state']}; only a saved plan can be activated")
        now = self.clock()
        plan["zero_at"] = max(now, _epoch(plan["definition"].get("starts_at"), plan["definition"]) or now)
        _schedule(plan, now, self.time_scale)
        admits = targeting(plan["definition"]["whitelist"], plan["definition"]["blacklist"])
        members = [d for d in self._by_id.values() if d.product_id == plan["product_id"] and admits(d.key)]
        rollout = self._open(plan, versions, members)
        self._answer(rollout, rollout.center.activate(0.0))
        self.journal.plan(plan_id, activated_at=now, zero_at=plan["zero_at"], definition=json.dumps(plan["definition"]))
        for device in rollout.devices:
            self._note(rollout, device)
            if device.announced and device.busy is None:
                self._hello(device, asks=False)
        self.wake()
        await self._done(rollout)

    async def suspend(self, plan_id: int) -> None:
        """Modules not yet upgrading wait, running ones go on."""
        rollout = self._rollout(plan_id, "Activated", "Upgrading")
        self._answer(rollout, rollout.center.suspend(rollout.now(self.clock())))
        await self._done(rollout)

    async def resume(self, plan_id: int) -> None:
        """Goes on after `suspend`."""
        rollout = self._rollout(plan_id, "Suspended")
        self._answer(rollout, rollout.center.resume(rollout.now(self.clock())))
        await self._done(rollout)

    async def terminate(self, plan_id: int) -> None:
        """Ends the plan for good: waiting modules become failed, running ones go on."""
        rollout = self._rollout(plan_id, "Activated", "Upgrading", "Suspended")
        self._answer(rollout, rollout.center.terminate(rollout.now(self.clock())))
        await self._done(rollout)

    async def retry_failed(self, plan_id: int) -> None:
        """The operator's retry of failed modules of a silent plan."""
        rollout = self._rollout(plan_id, "Activated", "Upgrading")
        if not rollout.center.plan.silent:
            raise Conflict("only a silent plan can be retried by the operator")
        failed = [e for e in rollout.center.executions if e.state == ExecutionState.FAILED]
        self._answer(rollout, rollout.center.retry_failed(rollout.now(self.clock())))
        for execution in failed:
            self._note(rollout, rollout.devices[execution.index])
        await self._done(rollout)

    async def cancel(self, plan_id: int, device_key: str) -> None:
        """Cancels one module that has not confirmed yet; Conflict when it has."""
        rollout = self._rollout(plan_id)
        device = self.device(rollout.product_id, device_key)
        execution = rollout.execution(device) if device else None
        if device is None or execution is None:
            raise NotFound(f"there is no device {device_key} in plan {plan_id}")
        commands = rollout.center.cancel(execution.index, rollout.now(self.clock()))
        if commands is None:
            raise Conflict(f"{device_key} is {ex.STATE_NAMES[execution.state]}: only a waiting module can be cancelled")
        if device.busy is rollout:
            device.busy = None
        self._note(rollout, device)
        self._answer(rollout, commands)
        await self._done(rollout)

    async def register(self, product_id: int, keys: Sequence[str]) -> int:
        """Makes devices known before they bootstrap; how many were new."""
        self._writable()
        new = [key for key in dict.fromkeys(keys) if self.device(product_id, key) is None]
        for key in new:
            self.create(product_id, key, secrets.token_hex(16))
        await self._on_disk()
        return len(new)

    def reset_secrets(self, product_id: int, key: str | None = None) -> int:
        """Lets devices of a product (or the one of that key) bootstrap once more; how many had logged in by secret."""
        chosen = [d for d in self._by_id.values() if d.product_id == product_id and key in (None, d.key)]
        if key is not None and not chosen:
            raise NotFound(f"there is no device {key} of this product")
        reset = [device for device in chosen if device.authenticated]
        for device in reset:
            device.authenticated = False
            self.journal.device(device)
        return len(reset)

    # --- time ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Wakes the plans at their deadlines until cancelled."""
        while True:
            self._changed.clear()
            pause = min([LATEST_WAKE_S, *(self._due_in(r) for r in self.running.values())])
            try:
                await asyncio.wait_for(self._changed.wait(), max(pause, 0.001))
            except TimeoutError:
                self.wake()

    def wake(self) -> None:
        """Everything that is due now, in every plan."""
        for rollout in list(self.running.values()):
            now = rollout.now(self.clock())
            if rollout.center.deadline > now or self.journal.failing or self._rests(rollout):
                continue
            try:
                self._answer(rollout, rollout.center.wake(now))
            except Exception as error:  # one plan must not stop the others
                self.trouble.report(f"plan {rollout.name}", error)
                self._resting[rollout.plan_id] = self.clock() + REST_S
            self.journal.rollout(rollout)

    def _rests(self, rollout: Rollout) -> bool:
        """Whether a plan failed a moment ago and is left alone."""
        return self._resting.get(rollout.plan_id, 0.0) > self.clock()

    def _due_in(self, rollout: Rollout) -> float:
        at = rollout.center.deadline
        return inf if at == inf or self._rests(rollout) else rollout.wall(at) - self.clock()

    # --- shared --------------------------------------------------------------------------------------------------

    def _answer(self, rollout: Rollout, commands: Iterable[Command]) -> None:
        """The center's answers: the devices are this plan's from now on, and are told once it is on disk."""
        told = [(rollout.devices[number], message) for number, message in commands]
        if not told:
            return
        for device, _ in told:
            self._claim(rollout, device)
            self._note(rollout, device)

        def send() -> None:
            for device, message in told:
                self.send(device, rollout, message)

        self.journal.then(send)

    def _claim(self, rollout: Rollout, device: Device) -> None:
        """One plan at a time: the others take the device for absent until it is free again."""
        device.busy = rollout
        for other in self._plans_of(device):
            execution = other.execution(device)
            if other is not rollout and execution is not None and execution.online:
                other.center.offline(execution.index)

    def _note(self, rollout: Rollout, device: Device) -> None:
        self.journal.execution(rollout, device, self.clock())

    async def _done(self, rollout: Rollout) -> None:
        self.journal.rollout(rollout)
        self._changed.set()
        await self._on_disk()

    async def _on_disk(self) -> None:
        try:
            await asyncio.wait_for(asyncio.shield(self.journal.committed()), COMMIT_PATIENCE_S)
        except TimeoutError:
            raise StoreFailing(f"done, but not on disk yet: {self.journal.failing or 'the store is slow'}") from None

    def _rollout(self, plan_id: int, *states: str) -> Rollout:
        self._writable()
        rollout = self.running.get(plan_id)
        if rollout is None:
            with self.database.read() as connection:
                plan = catalog.get(connection, plans, plan_id)
            raise Conflict(f"plan {plan['name']} is {plan['state']}")
        if states and rollout.state not in states:
            raise Conflict(f"plan {rollout.name} is {rollout.state}; this needs {' or '.join(states)}")
        return rollout

    def _writable(self) -> None:
        if self.journal.failing:
            raise StoreFailing(self.journal.failing)

    def _plans_of(self, device: Device) -> list[Rollout]:
        return self._by_product.get(device.product_id, [])

    def _remember(self, device: Device) -> None:
        self.devices[device.product_id, device.key] = self._by_id[device.id] = device
        self._next_device = max(self._next_device, device.id + 1)


def _holds(rollout: Rollout, device: Device) -> bool:
    """Whether a plan has a claim on the device: its offer is out, or its upgrade under way."""
    execution = rollout.execution(device)
    return execution is not None and ExecutionState.NOTIFIED <= execution.state <= ExecutionState.UPDATING


def _offered_at(rollout: Rollout, device: Device) -> tuple[bool, float]:
    """Orders plans by whether the device is not through with them, then by when they offered it something."""
    execution = rollout.execution(device)
    assert execution is not None
    offered = -inf if isnan(execution.offered_s) else rollout.wall(execution.offered_s)
    return not execution.terminal, offered


def check(connection: Any, plan_id: int) -> None:
    """Refused when a stored plan could not run: its strategy does not fit its components, or QuecThing."""
    one.as_scenario(*_stored(connection, plan_id))


def _stored(connection: Any, plan_id: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    plan = catalog.get_plan(connection, plan_id)
    return plan, [catalog.get_version(connection, part["version_id"]) for part in plan["components"]]


def _schedule(plan: dict[str, Any], now: float, time_scale: float) -> None:
    """Writes the planned times into the strategy as a scenario has them: local start, end after activation."""
    definition = plan["definition"]
    strategy = definition["strategy"] = dict(definition["strategy"])
    schedule = strategy["schedule"] = dict(strategy.get("schedule") or {})
    zone = zone_of(definition["time_zone"])
    schedule["time_zone"] = definition["time_zone"]
    schedule["start_time"] = datetime.fromtimestamp(plan["zero_at"], zone).replace(tzinfo=None).isoformat()
    ends = _epoch(definition.get("ends_at"), definition)
    if ends is not None:
        if ends <= now:
            raise Conflict("the plan's end lies in the past")
        schedule["end_time"] = (ends - plan["zero_at"]) * time_scale


def _epoch(text: str | None, definition: dict[str, Any]) -> float | None:
    """A planned time, local to the plan's zone unless it carries an offset, as seconds of the epoch."""
    if not text:
        return None
    given = datetime.fromisoformat(text)
    return (given if given.tzinfo else given.replace(tzinfo=zone_of(definition["time_zone"]))).timestamp()


def _device(row: Any) -> Device:
    def known(name: str) -> float:
        return nan if row[name] is None else float(row[name])

    return Device(
        row["id"], row["product_id"], row["device_key"], row["device_secret"], row["created_at"],
        row["module_version"], parse_mcu_versions(row["mcu_versions"]), known("battery_percent"), known("rsrp_dbm"),
        known("free_bytes"), seen_at=row["seen_at"], reports=row["reports"], authenticated=row["authenticated"],
        identities=deque(row["identities"].split(), maxlen=REMEMBERED),
    )  # fmt: skip


def _latest(database: Database) -> float:
    """The latest moment the store knows of: no later start may lie before it."""
    with database.read() as connection:
        moments = select(func.max(devices.c.seen_at)), select(func.max(executions.c.updated_at))
        return max(float(connection.scalar(moment) or 0.0) for moment in moments)
