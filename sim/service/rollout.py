"""One activated plan: the pure Developer Center over real devices, in real time.

The center counts modules 0 … n-1 and seconds since activation; a rollout translates both. Everything the center needs
beyond its methods (admitting a module later, restoring after a restart) is here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isnan
from typing import Any

from sim import draws
from sim import messages as msg
from sim.cloud import center as rules
from sim.cloud import execution as ex
from sim.cloud.catalog import File, Version
from sim.cloud.center import DeveloperCenter, Plan, PlannedComponent
from sim.cloud.execution import Execution
from sim.engines.world import build_strategy
from sim.errors import FotasimError
from sim.scenario import Scenario
from sim.scenario.lists import Matcher, targeting
from sim.service.errors import Refused
from sim.service.fleet import Device

KINDS = {"firmware": msg.FIRMWARE, "mcu": msg.MCU}
HORIZON_S = 2 * 365 * 86400.0
"""Maintenance windows are laid out this far ahead."""
PUSH_AT_ONCE_S = 60.0
"""A plan without a push interval is looked at this often."""


@dataclass(slots=True)
class Rollout:
    """A plan that was activated, with the devices it targets."""

    plan_id: int
    name: str
    product_id: int
    center: DeveloperCenter
    zero_at: float
    versions: list[dict[str, Any]]
    admits: Matcher
    time_scale: float = 1.0
    devices: list[Device] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    next_push_s: float = 0.0

    def now(self, wall: float) -> float:
        """Seconds of the plan at a time of the wall clock."""
        return (wall - self.zero_at) * self.time_scale

    def wall(self, now: float) -> float:
        """The time of the wall clock at a second of the plan."""
        return self.zero_at + now / self.time_scale

    @property
    def components(self) -> tuple[PlannedComponent, ...]:
        """What the plan upgrades, in order."""
        return self.center.plan.components

    @property
    def ended(self) -> bool:
        """Terminated or past its end; modules under way go on all the same."""
        return self.center.plan.state in (rules.TERMINATED, rules.ENDED)

    @property
    def state(self) -> str:
        """The plan's state as the console names it."""
        return rules.PLAN_STATES[self.center.plan.state]

    def execution(self, device: Device) -> Execution | None:
        """The device's execution in this plan, None when it is not in it."""
        number = self.numbers.get(device.id)
        return None if number is None else self.center.executions[number]

    def admit(self, device: Device) -> bool:
        """Takes a device into the plan when its lists allow it (a new one while the plan runs too)."""
        if device.id in self.numbers or not self.admits(device.key):
            return False
        number = len(self.devices)
        rank = draws.uniform(*draws.key(self.plan_id, 0), number, draws.Purpose.RELEASE_ORDER, 0)
        self.attach(device, Execution(number, rank=rank))
        return True

    def attach(self, device: Device, execution: Execution) -> None:
        """Puts an execution, new or restored, at the end of the plan's list."""
        self.numbers[device.id] = execution.index
        self.devices.append(device)
        self.center.executions.append(execution)

    def hello(self, device: Device, asks: bool) -> msg.Hello:
        """What the device last reported, as the center hears it: versions by component of this plan."""
        versions = {c.component: device.version(c.kind, c.component) for c in self.components}
        return msg.Hello(device.battery_percent, device.rsrp_dbm, _whole(device.free_bytes), versions, asks)

    def file(self, device: Device, component: int) -> dict[str, Any]:
        """The file of a component for this device: the delta from its running version, else the full package."""
        planned = self.components[component]
        files = self.versions[component]["files"]
        listed = tuple(File(str(f["id"]), f["size_bytes"], f["source_version"]) for f in files)
        chosen = Version(planned.target_version, listed).file_for(device.version(planned.kind, planned.component))
        return next((f for f in files if chosen is not None and str(f["id"]) == chosen.name), files[0])

    def settle(self) -> None:
        """After a restart: what the center derives from its executions, and what the outage left open.

        Nobody is connected; an offer without an answer is open again; a confirmed module that perhaps never got its
        URL gets it when it is back. Timeouts begin anew.
        """
        center = self.center
        center.in_progress = sum(e.counted for e in center.executions)
        for e in center.executions:
            e.online = False
            if e.state == ex.NOTIFIED:
                center.offline(e.index)
            elif e.state == ex.CONFIRMED:
                e.retry_pending = True

    def deadline(self) -> float:
        """Second of the plan at which it wants to be woken, inf when never."""
        pushes = self.center.plan.rules.need_push and not self.ended
        ends = inf if self.ended else self.center.plan.rules.end_s
        return min(self.center.deadline, self.next_push_s if pushes else inf, ends)

    def wake(self, now: float) -> list[rules.Command]:
        """Everything that is due: end of the plan, timers, the push grid."""
        commands: list[rules.Command] = []
        if now >= self.center.plan.rules.end_s and not self.ended:
            self.center.end(now)
        if self.center.deadline <= now:
            commands += self.center.wake(now)
        if now >= self.next_push_s and not self.ended:
            commands += self.center.push(now)
            interval = self.center.plan.rules.push_interval_s or PUSH_AT_ONCE_S
            self.next_push_s += interval * (1 + (now - self.next_push_s) // interval)
        return commands


def build(
    plan: dict[str, Any], versions: list[dict[str, Any]], log: Callable[[int, float, str], None], time_scale: float
) -> Rollout:
    """The rollout of a stored plan, without devices yet. `versions` in the order of its components, with files."""
    scenario = as_scenario(plan, versions)
    center = DeveloperCenter(_plan(plan, versions, scenario), [], log)
    definition = plan["definition"]
    return Rollout(
        plan["id"], plan["name"], plan["product_id"], center, plan["zero_at"], versions,
        targeting(definition["whitelist"], definition["blacklist"]), time_scale,
    )  # fmt: skip


def as_scenario(plan: dict[str, Any], versions: list[dict[str, Any]]) -> Scenario:
    """The plan in the vocabulary of a scenario file, so that there is one reading of a strategy. Raises Refused."""
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
        return Scenario.model_validate(given)
    except ValueError as error:
        raise Refused(f"plan {plan['name']}: {error}") from None


def _plan(plan: dict[str, Any], versions: list[dict[str, Any]], scenario: Scenario) -> Plan:
    components = []
    for part, version in zip(scenario.plan.components, versions, strict=True):
        full = next((f for f in version["files"] if not f["source_version"]), version["files"][0])
        components.append(
            PlannedComponent(
                part.component, KINDS[part.type], part.source_version or "", part.target_version, part.total_size,
                "", full["md5"], full["crc32"], full["sha256"],
            )
        )  # fmt: skip
    try:
        strategy = build_strategy(scenario)
    except FotasimError as error:
        raise Refused(f"plan {plan['name']}: {error}") from None
    return Plan(plan["name"], tuple(components), strategy, silent=scenario.plan.mode == "silent")


def _source(version: dict[str, Any]) -> str:
    """The one version a delta package upgrades from, "" when every version is served."""
    sources = [f["source_version"] for f in version["files"]]
    return sources[0] if len(sources) == 1 else ""


def _whole(value: float) -> int:
    """Bytes as the center compares them; unknown space is no space problem until it is reported."""
    return 1 << 62 if isnan(value) else int(value)
