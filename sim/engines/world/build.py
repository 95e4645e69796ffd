"""From a scenario to a world an engine can run: modules, profiles, Developer Center, strategy and capacity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim import draws
from sim.cloud import capacity as cap
from sim.cloud import egress as eg
from sim.cloud.center import Command, DeveloperCenter, Plan
from sim.cloud.execution import Execution
from sim.engines.world import record_layout, release_tables, shared_fate
from sim.engines.world.fleet_records import Block, Fleet, build_fleet
from sim.engines.world.plan_settings import build_executions, build_plan, capped_label, with_repeats
from sim.errors import InputError
from sim.messages import CallbackForm
from sim.module import sampling
from sim.module.battery import ordinary_w
from sim.module.machine import Module
from sim.module.parameters import PARAMETERS
from sim.module.profile import Profile
from sim.module.radio import LEVELS
from sim.module.rows import TECHNOLOGIES, CheckIn, ModuleRow, Partition, Power
from sim.network.cells import CARRIERS
from sim.plugins import NO_PLUGINS
from sim.prefetch import prefetch
from sim.scenario import Scenario, fleet_files
from sim.scenario.clocks import MOST_CHANGES, local_clock
from sim.scenario.model import CapacitySection
from sim.scenario.strategy import polling
from sim.scenario.zones import zone_of
from sim.strategy.settings import Settings

NEVER = 365 * 86400.0
SAMPLED_AT_ONCE = 131_072
"""Modules of a block: what sampling needs for them stays small."""


@dataclass(slots=True)
class Capacity:
    """What costs time in the cloud."""

    connections: cap.Connections
    workers: cap.Workers
    downloads: cap.Downloads
    egress: eg.Egress


@dataclass
class World:
    """Everything one replication needs. Modules that the plan's lists leave out are not in it.

    `fleet` and `executions` are records; the objects the Python engine drives are made from them when asked for.
    """

    scenario: Scenario
    fleet: Fleet
    plan: Plan
    executions: NDArray[Any]
    waits: NDArray[Any]
    """What is rare of the executions: for each module, or one for all."""
    ranks: NDArray[np.float64]
    replication: int
    may_retire: bool
    row_type: type[ModuleRow] = ModuleRow
    """What the rows of `modules` are made of: an engine may keep more of a module than its row."""

    @property
    def horizon_s(self) -> float:
        """How long the run is watched, seconds."""
        return self.scenario.horizon

    @property
    def keepalive_s(self) -> float:
        """Keep-alive of a module's connection, seconds."""
        return self.scenario.cloud.keepalive

    @property
    def talk_costs(self) -> dict[str, Any]:
        """Round trips and requests of this kind of cloud, as the drivers' settings name them."""
        behaviour = self.scenario.cloud.behaviour
        polls, shared = behaviour.polls, self.scenario.cloud.capacity.downloads_take_requests
        return {
            "login_round_trips": behaviour.login_round_trips,
            "hello_requests": behaviour.hello_requests,
            "round_trips_there": behaviour.round_trips_there,
            "round_trips_back": behaviour.round_trips_back,
            "reads_document": int(polls is not None and polls.reads_document),
            "tells_attributes": int(polls is not None and polls.tells_attributes),
            "serves_files": int(polls is not None if shared is None else shared),
        }

    @property
    def left_out(self) -> int:
        """Modules of the fleet that are not in the plan."""
        return self.fleet.left_out

    @cached_property
    def modules(self) -> list[Module]:
        """The modules as objects."""
        columns = [(name, coded.names, coded.codes.tolist()) for name, coded in self.fleet.versions.items()]
        rows = record_layout.objects(self.row_type, self.fleet.rows, self.fleet.rare)
        form = CallbackForm(self.scenario.fleet.callbacks)
        for row in rows:
            row.needed_bytes = self.plan.settings.needed_bytes
        return [
            Module(
                name,
                row,
                self.fleet.profiles[row.group],
                {c: of[codes[i]] for c, of, codes in columns if codes[i] >= 0},
                form,
            )
            for i, (name, row) in enumerate(zip(self.fleet.names, rows, strict=True))
        ]

    @cached_property
    def center(self) -> DeveloperCenter:
        """The Developer Center with its executions as objects."""
        executions = record_layout.objects(Execution, self.executions, self.waits)
        return DeveloperCenter(self.plan, executions, ranks=self.ranks, cells=self.capped_places)

    @property
    def capped_places(self) -> int:
        """Places with a count of modules under way of their own: cells, or values of the label that is capped."""
        label = capped_label(self.scenario)
        return len(self.fleet.cells) if label is None else len(self.fleet.label(label).names)

    @cached_property
    def capacity(self) -> Capacity:
        """The cloud's capacity, of Python rows."""
        given = self.scenario.cloud.capacity
        return Capacity(
            cap.Connections(1.0 / given.connections_per_s, [0.0]),
            cap.Workers(given.request_time, [0.0] * given.request_workers, *request_law(given)),
            cap.Downloads(given.downloads, [0]),
            eg.egress(given.egress, self.transfers, CARRIERS * len(self.fleet.cells), air_limit(self.scenario)),
        )

    @property
    def transfers(self) -> int:
        """The most transfers there can be at once."""
        return min(self.scenario.cloud.capacity.downloads, len(self.fleet.rows))


def build(scenario: Scenario, replication: int = 0, *, plugins: bool = False) -> World:
    """Samples the fleet of one replication and sets up its plan.

    InputError for a scenario with plug-ins, unless the caller says that it follows them (`plugins`).
    """
    if scenario.plugins and not plugins:
        raise InputError(NO_PLUGINS)
    key = draws.key(scenario.seed, replication)
    plan = build_plan(scenario)
    plan.settings.key_0, plan.settings.key_1 = key
    hardware = _hardware_names(scenario)
    profiles = _profiles(scenario, key, plan.settings)
    size, blocks = _sample(scenario, profiles, hardware)
    fleet = build_fleet(scenario, key, plan.settings, profiles, blocks, size, hardware)
    _clocks_of_single_modules(fleet)
    for name in ("leaves_s", "late_at"):  # whoever leaves after the horizon stays
        fleet.rare[name][fleet.rare[name] >= scenario.horizon] = inf
    release_tables.fill(scenario, fleet)
    shared_fate.fill(scenario, key, fleet)
    if not len(fleet.rows):
        raise InputError("nobody to upgrade: the plan's lists, or its snapshot of the fleet, leave no module")
    executions, waits, ranks = build_executions(scenario, key, fleet)
    plan = with_repeats(plan, executions)
    return World(scenario, fleet, plan, executions, waits, ranks, replication, _nothing_is_undone(scenario))


def _nothing_is_undone(scenario: Scenario) -> bool:
    """Whether nothing more is wanted of a module whose execution is over: no ordinary day, no operator's retry, no rollback, nothing revoked and rolled back."""
    strategy = scenario.plan.strategy
    if scenario.fleet.ordinary_day:
        return False
    retried = any(action.do == "retry-failed" for action in scenario.plan.operator)
    return not (retried or strategy.rollback or strategy.in_flight.on_revoked == "rollback")


def _clocks(scenario: Scenario, zones: Sequence[str]) -> dict[str, Any]:
    """The local clocks of zones as a profile has them."""
    schedule = scenario.plan.strategy.schedule
    activation = schedule.start_time.replace(tzinfo=schedule.zone)
    clocks = [local_clock(zone_of(zone), activation, scenario.horizon) for zone in zones]

    def padded(values: list[float], filler: float) -> tuple[float, ...]:
        return (*values, *[filler] * (MOST_CHANGES - len(values)))

    return {
        "zone_day_start_s": tuple(clock.day_start_s for clock in clocks),
        "zone_changes": tuple(float(len(clock.changes)) for clock in clocks),
        "zone_change_at_s": tuple(padded([at for at, _ in clock.changes], inf) for clock in clocks),
        "zone_shift_s": tuple(padded([shift for _, shift in clock.changes], 0.0) for clock in clocks),
    }


def _clocks_of_single_modules(fleet: Fleet) -> None:
    """Zones that a fleet file gives single modules come after that of each group."""
    if "time_zone" not in fleet.labels:
        return
    coded = fleet.labels["time_zone"]
    fleet.rare["zone"] = coded.codes + 1
    for group, profile in zip(fleet.scenario.fleet.groups, fleet.profiles, strict=True):
        own = group.time_zone or fleet.scenario.plan.strategy.schedule.time_zone
        for name, values in _clocks(fleet.scenario, [own, *coded.names]).items():
            setattr(profile, name, values)


def request_law(given: CapacitySection) -> tuple[int, float]:
    """The law of the time a request takes, and the log-spread of a lognormal one with that coefficient of variation."""
    sigma = math.sqrt(math.log1p(given.request_time_cv**2))
    return int(cap.RequestTimeLaw.of(given.request_time_law)), sigma


def air_limit(scenario: Scenario) -> float:
    """Share of a cell's downlink that downloads may take together."""
    limit = PARAMETERS["cell_airtime_limit"].default
    cells = scenario.fleet.cells
    return float(cells.overrides().get("cell_airtime_limit", limit)) if cells else limit


def _profiles(scenario: Scenario, key: tuple[int, int], settings: Settings) -> list[Profile]:
    """The profile of each group."""
    profiles = [build_profile(scenario, group, key) for group in scenario.fleet.groups]
    for profile in profiles:
        profile.device_checks = settings.checked_by_device
    return profiles


def _sample(scenario: Scenario, profiles: list[Profile], hardware: tuple[str, ...]) -> tuple[int, Iterator[Block]]:
    """How many modules all groups have, and the modules in blocks, numbered through, sampled when they are asked for."""
    tasks: list[Callable[[], Block]] = []
    size = first = 0
    sizes = fleet_files.group_sizes(scenario)
    for number, (group, count) in enumerate(zip(scenario.fleet.groups, sizes, strict=True)):
        draw = partial(_draw, number, _population(scenario, group), profiles[number], hardware)
        if group.file is not None:
            block = draw(first, 0)
            tasks.append(lambda block=block: block)  # type: ignore[misc]
            size += len(block.members.identities)
            first += 0 if block.members.names else len(block.members.identities)
            continue
        tasks += [
            partial(draw, first + at, min(SAMPLED_AT_ONCE, count - at)) for at in range(0, count, SAMPLED_AT_ONCE)
        ]
        first += count
        size += count
    return size, prefetch(tasks)


def _draw(
    number: int, population: sampling.Population, profile: Profile, hardware: tuple[str, ...], first: int, count: int
) -> Block:
    """`count` modules of a group, or all its file has."""
    return Block(number, sampling.sample(population, profile, first, count, hardware))


def _shares(given: str | dict[str, float]) -> tuple[tuple[str, float], ...]:
    return ((given, 1.0),) if isinstance(given, str) else tuple(given.items())


def _hardware_names(scenario: Scenario) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for group in scenario.fleet.groups:
        names.update(dict.fromkeys(name for name, _ in _shares(group.hardware)))
        known = fleet_files.known_modules(scenario, group)
        if known is not None and known.hardware is not None:
            names.update(dict.fromkeys(known.hardware.names))
    return tuple(names)


def _population(scenario: Scenario, group: Any) -> sampling.Population:
    return sampling.Population(
        rsrp_dbm=group.rsrp_dbm,
        battery_percent=group.battery_percent,
        free_bytes=group.free_space,
        user_delay_s=scenario.plan.user_delay if scenario.plan.confirmed_by_user else None,
        versions={name: _shares(given) for name, given in group.components.items()},
        hardware=_shares(group.hardware),
        joins_s=group.joins,
        leaves_s=group.leaves,
        known=fleet_files.known_modules(scenario, group),
    )


def build_profile(scenario: Scenario, group: Any, key: tuple[int, int]) -> Profile:
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
        power=Power.of(group.power),
        mobile=int(group.mobile if group.mobile is not None else group.power == "vehicle"),
        partition=Partition.IN_PLACE if group.partition == "in-place" else Partition.RESUMABLE,
        resume_download=int(group.resume_download if resume is None else resume),
        mcu_buffer_bytes=group.mcu_buffer or 0,
        capacity_j=battery.capacity,
        recharge_every_s=recharge.every if recharge else 0.0,
        recharge_to_percent=recharge.to if recharge else 100.0,
        recharge_from_percent=recharge.down_to if recharge else 5.0,
        check_in=CheckIn.of(check_in.kind),
        check_in_every_s=poll_s if always and poll_s > 0.0 else check_in.every,
        check_in_jitter_s=check_in.jitter,
        check_in_at_s=float("nan") if check_in.phase_s is None else check_in.phase_s,
        check_in_spread_s=check_in.spread,
        awake_s=NEVER if always else check_in.awake,
        edrx_s=check_in.edrx,
        online_s=check_in.online,
        trip_probability=check_in.probability,
        **_clocks(scenario, [group.time_zone or scenario.plan.strategy.schedule.time_zone]),
        confirm_mode=int(scenario.plan.confirmed_by_user),
        force_at_s=delivery.force_time if delivery.action_type == "timeforced" else inf,
        poll_jitter=poll_jitter if always else 0.0,
        components=len(scenario.plan.components),
        peaks=len(check_in.peaks_s),
        peaks_s=check_in.peaks_s,
        **_polls(scenario),
        delta=tuple(int(c.package == "delta") for c in scenario.plan.components),
    )
    profile.ordinary_w = tuple(ordinary_w(profile, level) for level in range(LEVELS))
    profile.may_fail_late = release_tables.may_fail_late(scenario, profile)
    return profile


def _polls(scenario: Scenario) -> dict[str, Any]:
    """How often a cloud that is polled wants to be asked."""
    polls, delivery = scenario.cloud.behaviour.polls, scenario.plan.strategy.delivery
    if polls is None:
        return {}
    sleep_s, jitter = polling(delivery.polling_time) if delivery.polling_time else (polls.sleep_s, 0.0)
    schedule = scenario.plan.strategy.schedule
    gated = schedule.window_gates == "install" and bool(schedule.maintenance_windows)
    return {
        "sleep_s": sleep_s, "sleep_jitter": jitter or polls.sleep_jitter, "registration_s": polls.registration_s,
        "confirms_first": int(polls.asks_first and delivery.confirmation == "user"),
        "window_sleep_s": polls.window_sleep_s if gated else 0.0,
    }  # fmt: skip


def operator_actions(world: World) -> list[tuple[float, Callable[[float], list[Command] | None]]]:
    """The operator's doings as calls on the center, by time."""
    center = world.center

    def cancel(names: list[str]) -> Callable[[float], list[Command] | None]:
        return lambda now: center.cancel_all(np.flatnonzero(world.fleet.named(names)).tolist(), now)

    calls: dict[str, Callable[[float], list[Command] | None]] = {
        "suspend": center.suspend,
        "resume": center.resume,
        "next-group": center.next_group,
        "terminate": center.terminate,
        "retry-failed": center.retry_failed,
    }
    return [
        (action.at, cancel(action.modules) if action.do == "cancel" else calls[action.do])
        for action in world.scenario.plan.operator
    ]


__all__ = ["Capacity", "World", "build", "build_profile", "operator_actions"]
