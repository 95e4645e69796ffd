"""From a scenario to a world an engine can run: modules, profiles, Developer Center, strategy and capacity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from sim import draws
from sim.cloud import capacity as cap
from sim.cloud import egress as eg
from sim.cloud.center import Command, DeveloperCenter
from sim.engines.cells import settle
from sim.engines.plan import build_executions, build_plan
from sim.errors import FotasimError
from sim.module import fleet
from sim.module.machine import Module
from sim.module.parameters import PARAMETERS
from sim.module.profile import Profile
from sim.module.rows import CHECK_INS, IN_PLACE, POWERS, RESUMABLE, TECHNOLOGIES
from sim.network.cells import CARRIERS
from sim.scenario import Scenario
from sim.scenario.lists import matching, targeting
from sim.scenario.strategy import polling
from sim.strategy.settings import Settings

NEVER = 365 * 86400.0


@dataclass(slots=True)
class Capacity:
    """What costs time in the cloud."""

    connections: cap.Connections
    workers: cap.Workers
    downloads: cap.Downloads
    egress: eg.Egress


@dataclass(slots=True)
class World:
    """Everything one replication needs. Modules that the plan's lists leave out are not in it."""

    scenario: Scenario
    horizon_s: float
    modules: list[Module]
    hardware: list[str]
    cells: list[str]
    center: DeveloperCenter
    settings: Settings
    capacity: Capacity
    replication: int
    left_out: int
    keepalive_s: float
    operator_actions: list[tuple[float, Callable[[float], list[Command] | None]]] = field(default_factory=list)
    may_retire: bool = True


def build(scenario: Scenario, replication: int = 0) -> World:
    """Samples the fleet of one replication and sets up the cloud for it."""
    key = draws.key(scenario.seed, replication)
    plan = build_plan(scenario)
    modules, hardware, cells, left_out = _modules(scenario, key, plan.settings)
    if not modules:
        raise FotasimError("nobody to upgrade: the plan's lists, or its snapshot of the fleet, leave no module")
    executions, ranks = build_executions(scenario, key, modules, hardware)
    for i, module in enumerate(modules):
        module.row.index = i
    center = DeveloperCenter(plan, executions, ranks=list(ranks), cells=len(cells))
    world = World(
        scenario, scenario.horizon, modules, hardware, cells, center, plan.settings,
        _capacity(scenario, len(modules), len(cells)), replication, left_out, scenario.cloud.keepalive,
    )  # fmt: skip
    world.operator_actions = _operator_actions(scenario, world)
    world.may_retire = _nothing_is_undone(scenario)
    return world


def _nothing_is_undone(scenario: Scenario) -> bool:
    """Whether an execution that is over stays so: no operator's retry, no rollback, nothing revoked and rolled back."""
    strategy = scenario.plan.strategy
    retried = any(action.do == "retry-failed" for action in scenario.plan.operator)
    return not (retried or strategy.rollback or strategy.in_flight.on_revoked == "rollback")


def _capacity(scenario: Scenario, modules: int, cells: int) -> Capacity:
    given = scenario.cloud.capacity
    slots = min(given.downloads, modules)
    limit = PARAMETERS["cell_airtime_limit"].default
    air_limit = scenario.fleet.cells.overrides().get("cell_airtime_limit", limit) if scenario.fleet.cells else limit
    return Capacity(
        cap.Connections(1.0 / given.connections_per_s, [0.0]),
        cap.Workers(given.request_time, [0.0] * given.request_workers),
        cap.Downloads(given.downloads, [0]),
        eg.egress(given.egress, slots, CARRIERS * cells, air_limit),
    )


def _modules(
    scenario: Scenario, key: tuple[int, int], settings: Settings
) -> tuple[list[Module], list[str], list[str], int]:
    """All modules the lists allow, the hardware revision of each, the names of all cells; how many were left out."""
    sampled = _sample(scenario, key, settings)
    cells = settle(scenario.fleet.cells, key, (members for _, members in sampled))
    modules: list[Module] = []
    revisions: list[str] = []
    left_out = 0
    targeted = targeting(scenario.plan.whitelist, scenario.plan.blacklist)
    for profile, members in sampled:
        for i, row in enumerate(members.rows):
            name = members.names[i] if members.names else f"m{row.index:07d}"
            if not targeted(name) or (row.joins_s > 0.0 and not settings.continuous):
                left_out += 1  # not in the plan: by its lists, or not there yet when the snapshot is taken
                continue
            row.needed_bytes = settings.needed_bytes
            row.at_target = _at_target(scenario, members.versions[i])
            modules.append(Module(name, row, profile, members.versions[i]))
            revisions.append(members.hardware[i])
    if len({m.name for m in modules}) < len(modules):
        raise FotasimError("two groups of the fleet hold modules of the same name")
    return modules, revisions, cells, left_out


def _sample(scenario: Scenario, key: tuple[int, int], settings: Settings) -> list[tuple[Profile, fleet.Members]]:
    """Profile and modules of each group, numbered through."""
    sampled = []
    first = 0
    names = _hardware_names(scenario)
    for number, (group, count) in enumerate(_group_sizes(scenario)):
        profile = build_profile(scenario, group, key, names)
        profile.device_checks = settings.checked_by_device
        members = fleet.sample(_population(scenario, group), profile, number, first, count, names)
        sampled.append((profile, members))
        first += len(members.rows)
    return sampled


def _at_target(scenario: Scenario, versions: dict[str, str]) -> int:
    """Bit i is set when the module runs the target version of the plan's component i already."""
    planned = scenario.plan.components
    return sum(1 << i for i, c in enumerate(planned) if versions.get(c.component) == c.target_version)


def _group_sizes(scenario: Scenario) -> list[tuple[Any, int]]:
    """Largest-remainder split of the fleet's size by share; groups from files bring their own count."""
    shared = [g for g in scenario.fleet.groups if g.file is None]
    exact = [(g.share or 0.0) * scenario.fleet.size for g in shared]
    counts = [int(x + 1e-9) for x in exact]
    rest = scenario.fleet.size - sum(counts) if shared else 0
    for i in sorted(range(len(shared)), key=lambda i: counts[i] - exact[i])[:rest]:
        counts[i] += 1
    by_name = dict(zip((g.name for g in shared), counts, strict=True))
    return [(g, by_name.get(g.name, 0)) for g in scenario.fleet.groups]


def _shares(given: str | dict[str, float]) -> tuple[tuple[str, float], ...]:
    return ((given, 1.0),) if isinstance(given, str) else tuple(given.items())


def _hardware_names(scenario: Scenario) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for group in scenario.fleet.groups:
        names.update(dict.fromkeys(name for name, _ in _shares(group.hardware)))
        if group.file is not None and "hardware" in group.columns:
            table = fleet.read_file(group.file, {str(ours): theirs for ours, theirs in group.columns.items()})
            names.update(dict.fromkeys(str(v) for v in table["hardware"].unique()))
    return tuple(names)


def _population(scenario: Scenario, group: Any) -> fleet.Population:
    return fleet.Population(
        rsrp_dbm=group.rsrp_dbm,
        battery_percent=group.battery_percent,
        free_bytes=group.free_space,
        user_delay_s=scenario.plan.user_delay,
        versions={name: _shares(given) for name, given in group.components.items()},
        hardware=_shares(group.hardware),
        joins_s=group.joins,
        file=group.file,
        columns=group.columns,
    )


def build_profile(scenario: Scenario, group: Any, key: tuple[int, int], hardware: tuple[str, ...]) -> Profile:
    """Settings and parameters of one group: defaults, overridden by the fleet, overridden by the group."""
    values = {name: row.default for name, row in PARAMETERS.items()}
    cells = scenario.fleet.cells
    for section in (scenario.fleet.failures, scenario.fleet.physics, group.failures, group.physics, cells):
        values.update(section.overrides() if section is not None else {})
    check_in, battery = group.check_in, group.battery
    always = check_in.kind == "always"
    delivery, resume = scenario.plan.strategy.delivery, scenario.plan.strategy.retry.resume_download
    poll_s, poll_jitter = polling(delivery.polling_time) if delivery.polling_time else (0.0, 0.0)
    recharge = battery.recharge
    profile = Profile(
        **values,
        key_0=key[0],
        key_1=key[1],
        technology=TECHNOLOGIES.index(group.technology),
        random_access=int(cells is not None and cells.random_access),
        power=POWERS.index(group.power),
        mobile=int(group.mobile if group.mobile is not None else group.power == "vehicle"),
        partition=IN_PLACE if group.partition == "in-place" else RESUMABLE,
        resume_download=int(group.resume_download if resume is None else resume),
        mcu_buffer_bytes=group.mcu_buffer or 0,
        capacity_j=battery.capacity,
        recharge_every_s=recharge.every if recharge else 0.0,
        recharge_to_percent=recharge.to if recharge else 100.0,
        recharge_from_percent=recharge.down_to if recharge else 5.0,
        check_in=CHECK_INS.index(check_in.kind),
        check_in_every_s=poll_s if always and poll_s > 0.0 else check_in.every,
        check_in_jitter_s=check_in.jitter,
        check_in_at_s=float("nan") if check_in.phase_s is None else check_in.phase_s,
        check_in_spread_s=check_in.spread,
        awake_s=NEVER if always else check_in.awake,
        edrx_s=check_in.edrx,
        online_s=check_in.online,
        trip_probability=check_in.probability,
        day_start_s=scenario.plan.strategy.schedule.start_of_day_s,
        confirm_mode=int(scenario.plan.confirmed_by_user),
        force_at_s=delivery.force_time if delivery.action_type == "timeforced" else inf,
        poll_jitter=poll_jitter if always else 0.0,
        components=len(scenario.plan.components),
        peaks=len(check_in.peaks_s),
        peaks_s=check_in.peaks_s,
        delta=tuple(int(c.package == "delta") for c in scenario.plan.components),
    )
    in_place = profile.partition == IN_PLACE
    profile.boot_failures = _defects(scenario, hardware, "boot_failure", profile.boot_failure)
    profile.bricks = _defects(scenario, hardware, "brick", profile.brick_in_place if in_place else profile.brick)
    return profile


def _defects(scenario: Scenario, hardware: tuple[str, ...], what: str, healthy: float) -> tuple[tuple[float, ...], ...]:
    """Chance by component and hardware revision; a defect of the release replaces the healthy figure."""
    table = []
    for component in scenario.plan.components:
        chances = dict.fromkeys(hardware, healthy)
        for defect in component.defects:
            value = getattr(defect, what)
            if value is not None:
                chances.update({name: value for name in hardware if defect.hardware in (None, name)})
        table.append(tuple(chances.values()))
    return tuple(table)


def _operator_actions(scenario: Scenario, world: World) -> list[tuple[float, Callable[[float], list[Command] | None]]]:
    """The operator's doings as calls on the center, by time."""
    center = world.center

    def cancel(names: list[str]) -> Callable[[float], None]:
        named = matching(names)

        def act(now: float) -> None:
            for module in world.modules:
                if named(module.name):
                    center.cancel(module.row.index, now)

        return act

    calls: dict[str, Callable[[float], list[Command] | None]] = {
        "suspend": center.suspend,
        "resume": center.resume,
        "terminate": center.terminate,
        "retry-failed": center.retry_failed,
    }
    return [
        (action.at, cancel(action.modules) if action.do == "cancel" else calls[action.do])
        for action in scenario.plan.operator
    ]


__all__ = ["Capacity", "World", "build", "build_profile"]
