"""One activated plan: the pure Developer Center over real devices, in real time.

The center counts modules 0 … n-1 and seconds since activation; a rollout translates both. Everything the center needs
beyond its methods (admitting a module later, restoring after a restart) is here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from math import isnan
from typing import Any

import numpy as np

from sim import draws
from sim import messages as msg
from sim.causes import Cause
from sim.cloud import acceptance, message_rules, offer_rules, plan_rules, rollout_state
from sim.cloud.acceptance import Acceptance
from sim.cloud.catalog import File, Version
from sim.cloud.center import Command, DeveloperCenter
from sim.cloud.execution import JOINED, Execution
from sim.cloud.plan_states import PlanState
from sim.engines.world.fleet_records import filtered
from sim.engines.world.plan_settings import build_plan, group_of, release_ranks
from sim.scenario import Scenario
from sim.scenario.beyond_the_cloud import beyond_the_cloud
from sim.scenario.lists import Matcher, targeting
from sim.scenario.strategy import StrategySection
from sim.service.errors import Refused
from sim.service.known_device import Device
from sim.strategy import preconditions
from sim.strategy.progress import Criterion, Group, Progress
from sim.strategy.settings import WindowGate
from sim.wire.quecthing.ota import fraction_in_limits

HORIZON_S = 2 * 365 * 86400.0
"""Maintenance windows are laid out this far ahead."""
SHOWN_DECISIONS = 50
Log = Callable[[int, float, str], None]
Timers = dict[int, tuple[float, int]]


class LiveCenter(DeveloperCenter):
    """The Developer Center with what a server needs beside: its timers and its progress can be stored."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.timers: dict[int, Timers] = {}
        """By module and kind of timer: the last one armed, as time and stamp. Earlier ones are out of date."""
        super().__init__(*args, **options)

    def _done(self, version: str = "") -> list[Command]:
        for i in range(self.rollout.progress.armed):
            at, index, kind, stamp = self.rollout.armed[i]
            self.timers.setdefault(int(index), {})[int(kind)] = float(at), int(stamp)
        return super()._done(version)

    def report(self, index: int, given: msg.StatusReport, now: float) -> list[Command]:
        """A status report of a device that may say anything: judged by its state, the plan's and the limits first."""
        e = self.executions[index]
        offered = not isnan(e.offered_s)
        verdict = acceptance.judge(e.state, given.status, offered=offered, cancelling=bool(e.canceling))
        if verdict is not Acceptance.ACCEPT:
            self._say(index, now, given.status, verdict, acceptance.reason(e.state, offered=offered))
            return []
        if given.status == msg.SUBMITTED:
            return self._confirm(index, given, now)
        return self.status(index, given, now)

    def _confirm(self, index: int, given: msg.StatusReport, now: float) -> list[Command]:
        """Status 2: a plan that is suspended, and a module below the limits by now, get no URL; the offer is open again."""
        rollout, e = self.rollout, self.executions[index]
        if not offer_rules.running(rollout.progress):
            self._say(index, now, given.status, Acceptance.REFUSE, f"the plan is {PlanState(self.state).word.lower()}")
            rollout_state.to_queue(rollout, e)
            if e.online:
                rollout_state.wait(rollout, e)
            return self._done()
        unmet = preconditions.unmet_for_cloud(rollout.settings, e.battery_percent, e.rsrp_dbm, e.free_bytes)
        if unmet != Cause.NONE:
            self._say(index, now, given.status, Acceptance.REFUSE, "the module is below the plan's limits")
            offer_rules.defer(rollout, e, unmet, now)
            return self._done()
        return self.status(index, given, now)

    def _say(self, index: int, now: float, status: int, verdict: Acceptance, why: str) -> None:
        if self.log is not None:
            self.log(index, now, f"status {status} {msg.STATUS_TEXT[status]} {verdict.value}: {why}")

    def progress(self) -> str:
        """The plan's own counts and clocks, as JSON."""
        b = self.rollout
        rows = {"groups": [asdict(g) for g in b.groups], "criteria": [asdict(k) for k in b.criteria]}
        decided = [f"{d.decision} at {d.time_s:.0f} s" for d in self.decisions[-SHOWN_DECISIONS:]]
        return json.dumps({"progress": asdict(b.progress), **rows, "decisions": decided})

    def restore(self, progress: str, timers: dict[int, Timers]) -> None:
        """Goes on where `progress` was taken; nobody is connected, an offer without an answer is open again."""
        given, b = json.loads(progress), self.rollout
        b.progress = Progress(**given["progress"])
        b.progress.waiting = b.progress.out = b.progress.armed = b.progress.notes = b.progress.logged = 0
        self.log = self.log  # it says in the counts whether lines are wanted
        b.groups = [Group(**row) for row in given["groups"]]
        b.criteria = [Criterion(**row) for row in given["criteria"]]
        joined = sorted((e for e in self.executions if e.late == JOINED), key=lambda e: (e.released_s, e.index))
        for place, late in enumerate(joined):
            plan_rules.stand_in_line(b, late.index, place)
        for e in self.executions:
            e.waiting_at = -1
            message_rules.offline(b, e.index)
        for index, armed in timers.items():
            for kind, (at, stamp) in armed.items():
                rollout_state.arm(b, at, self.executions[index], kind, stamp)
                self._done()


@dataclass(slots=True)
class Rollout:
    """A plan that was activated, with the devices it targets."""

    plan_id: int
    name: str
    product_id: int
    center: LiveCenter
    zero_at: float
    versions: list[dict[str, Any]]
    admits: Matcher
    time_scale: float = 1.0
    devices: list[Device] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)

    def now(self, wall: float) -> float:
        """Seconds of the plan at a time of the wall clock."""
        return (wall - self.zero_at) * self.time_scale

    def wall(self, now: float) -> float:
        """The time of the wall clock at a second of the plan."""
        return self.zero_at + now / self.time_scale

    @property
    def ended(self) -> bool:
        """Terminated, rolled back or past its end; modules under way go on all the same."""
        return self.center.state in (PlanState.TERMINATED, PlanState.ENDED, PlanState.ROLLING_BACK)

    @property
    def state(self) -> str:
        """The plan's state as the console names it."""
        return PlanState(self.center.state).word

    def execution(self, device: Device) -> Execution | None:
        """The device's execution in this plan, None when it is not in it."""
        number = self.numbers.get(device.id)
        return None if number is None else self.center.executions[number]

    def join(self, device: Device) -> bool:
        """Takes a device that became known while the plan runs, when the lists allow it."""
        if device.id in self.numbers or not self.admits(device.key):
            return False
        self.numbers[device.id] = self.center.add(Execution(0))
        self.devices.append(device)
        return True

    def report(self, device: Device, given: msg.StatusReport, now: float) -> list[Command]:
        """A status report of the device: what the plan answers."""
        return self.center.report(self.numbers[device.id], given, now)

    def hello(self, device: Device, asks: bool) -> msg.Hello:
        """What the device last reported, as the center hears it: versions by component of this plan."""
        versions = {c.component: device.version(c.kind, c.component) for c in self.center.plan.components}
        return msg.Hello(device.battery_percent, device.rsrp_dbm, _whole(device.free_bytes), versions, asks)

    def file(self, device: Device, component: int) -> dict[str, Any]:
        """The file of a component for this device: the delta from its running version, else the full package."""
        planned = self.center.plan.components[component]
        files = self.versions[component]["files"]
        listed = tuple(File(str(f["id"]), f["size_bytes"], f["source_version"]) for f in files)
        chosen = Version(planned.target_version, listed).file_for(device.version(planned.kind, planned.component))
        return next((f for f in files if chosen is not None and str(f["id"]) == chosen.name), files[0])


def build(
    plan: dict[str, Any], versions: list[dict[str, Any]], devices: Sequence[Device], log: Log, time_scale: float,
    executions: list[Execution] | None = None,
) -> Rollout:  # fmt: skip
    """The rollout of a stored plan over its devices; `executions` when they are restored, in the devices' order.

    `versions` are those of the plan's components, in order, with their files.
    """
    scenario = as_scenario(plan, versions, restored=executions is not None)
    key = draws.key(plan["id"], 0)
    ranks = release_ranks(scenario, key, np.arange(len(devices)))
    if executions is None:
        on_time = np.zeros(len(devices), dtype=np.int64)
        names = [device.key for device in devices]
        groups = group_of(
            scenario, ranks, on_time, lambda given: filtered(given, ["all"] * len(names), [""] * len(names), names)
        )  # fmt: skip
        executions = [Execution(i, group=int(groups[i]), identity=i) for i in range(len(devices))]
    center = LiveCenter(build_plan(scenario), executions, ranks=list(ranks), log=log)
    definition = plan["definition"]
    return Rollout(
        plan["id"], plan["name"], plan["product_id"], center, plan["zero_at"], versions,
        targeting(definition["whitelist"], definition["blacklist"]), time_scale, list(devices),
        {device.id: number for number, device in enumerate(devices)},
    )  # fmt: skip


def as_scenario(plan: dict[str, Any], versions: list[dict[str, Any]], *, restored: bool = False) -> Scenario:
    """The plan in the vocabulary of a scenario file, so that there is one reading of a strategy.

    Raises Refused. A plan that is `restored` runs already and goes on, whatever a newer cloud would refuse.
    """
    parts = [
        {
            "component": part["identifier"], "type": part["kind"], "target_version": part["target_version"],
            "package": "delta" if _source(version) else "full", "size": max(f["size_bytes"] for f in version["files"]),
            **({"source_version": _source(version)} if _source(version) else {}),
        }
        for part, version in zip(plan["components"], versions, strict=True)
    ]  # fmt: skip
    definition = plan["definition"]
    group = {"name": "all", "share": 1.0, "technology": "lte-m", "components": {p["component"]: "0" for p in parts}}
    given = {
        "name": "plan", "horizon": HORIZON_S, "fleet": {"size": 1, "groups": [group]},
        "plan": {
            "name": plan["name"], "mode": definition["mode"], "components": parts,
            "strategy": definition["strategy"],
        },
    }  # fmt: skip
    try:
        beyond = [] if restored else beyond_the_cloud(StrategySection.model_validate(definition["strategy"]))
        if not beyond:
            made = Scenario.model_validate(given)
    except ValueError as error:
        raise Refused(f"plan {plan['name']}: {error}") from None
    if beyond:
        raise Refused(f"plan {plan['name']}: {'; '.join(str(setting) for setting in beyond)}")
    if made.plan.strategy.rollback:
        raise Refused(f"plan {plan['name']}: the mock cloud keeps no previous package to roll back to")
    settings = build_plan(made).settings
    fraction = fraction_in_limits(settings.min_battery_percent, settings.min_rsrp_dbm)
    if fraction:
        raise Refused(f"plan {plan['name']}: preconditions.{fraction}")
    if settings.download_only or settings.window_gates == WindowGate.INSTALL:
        raise Refused(f"plan {plan['name']}: QuecThing has no command to install later what was downloaded")
    return made


def _source(version: dict[str, Any]) -> str:
    """The one version a delta package upgrades from, "" when every version is served."""
    sources = [f["source_version"] for f in version["files"]]
    return sources[0] if len(sources) == 1 else ""


def _whole(value: float) -> int:
    """Bytes as the center compares them; unknown space is no space problem until it is reported."""
    return 1 << 62 if isnan(value) else int(value)
