"""The state of a compiled run: every array the kernel works on, laid out for one world, and made larger when full."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.cloud import egress as eg
from sim.cloud.center import notice, open_rollout
from sim.cloud.execution import Execution
from sim.cloud.rollout_state import DECISION_WIDTH
from sim.engines.compiled import kernel, queue
from sim.engines.compiled.array_state import DriverNumbers, LinedRow, ListedEvent
from sim.engines.compiled.numba_layer.pointer_table import PointerTable
from sim.engines.compiled.numba_layer.split_rows import SplitRows
from sim.engines.compiled.timers import TIMER, TimersRow
from sim.engines.recording.event_sample import watched
from sim.engines.recording.tally import Tally, tally
from sim.engines.world import record_layout
from sim.engines.world.build import World, air_limit, request_law
from sim.engines.world.fleet_records import source_bad
from sim.module.rows import CheckIn, ModuleRow
from sim.network.cells import CARRIERS
from sim.records import ROWS_AT_ONCE
from sim.scenario.model import CapacitySection
from sim.strategy import settings as st
from sim.strategy.progress import Criterion, Group

COMPONENT = np.dtype([("kind", "i8"), ("size_bytes", "i8"), ("rollback_bytes", "i8")])
ORDER = np.dtype([("time", "f8"), ("what", "i8"), ("first", "i8"), ("count", "i8")])
DOINGS = ("suspend", "resume", "next-group", "terminate", "retry-failed", "cancel")
SPARE = 4096
DECISIONS = 4096
inf = np.inf
DRIVER_FIELDS = tuple(f.name for f in fields(LinedRow) if f.name not in {g.name for g in fields(ModuleRow)})
"""What a module has in its slot beside the fields of its own row."""


def lay_out(world: World, *, events: bool | str) -> tuple[Tally, dict[str, Any]]:
    """Arrays for one world by the names the kernel uses; the tally comes by itself as well.

    The run works on the world's own rows and executions and gives up its ranks: a world is good for one run.
    """
    n = len(world.fleet.rows)
    room = 3 * n + SPARE
    load = tally(world.horizon_s)
    given = world.scenario.cloud.capacity
    parts: dict[str, Any] = {
        "driver": record_layout.single(_driver(world, bool(events))), "profiles": _profiles(world), "source_bad": source_bad(world.fleet),
        **_slots(world), "watched": watched(world, events), "under_way": np.empty(room, record_layout.record(ListedEvent, record_layout.UNDER_WAY)),
        "connections": PointerTable(spacing_s=1.0 / given.connections_per_s, free_at=np.zeros(1)),
        "workers": _workers(given),
        "downloads": PointerTable(limit=int(given.downloads), active=np.zeros(1, np.int64)), "egress": _egress(world),
        "tally": PointerTable(**load._asdict()), "timers": _timers(2 * room), "components": _components(world),
        "charge": np.empty(ROWS_AT_ONCE), "senders": _timers(room), "sent": np.empty(n, np.int64),
        "outcomes": np.empty(n, np.int64), "outcome_times": np.empty(n),
        "events": np.empty(2 * room if events else 1, record_layout.EVENT),
        "notes": np.empty((5 * room if events else 1, 4)), "decisions": np.empty((DECISIONS, DECISION_WIDTH)),
    }  # fmt: skip
    rows, slots = world.fleet, parts["slots"]
    parts["modules"] = SplitRows(slots, rows.rows, parts["awake_modules"], rows.rare)
    executions = SplitRows(slots, world.executions, parts["awake_executions"], world.waits)
    parts["rollout"] = _rollout(world, executions, bool(events))
    world.ranks = world.ranks[:0].copy()
    parts["orders"], parts["ordered"] = _orders(world)
    parts["queue"] = queue_of(parts["modules"], executions, world.horizon_s, n, room)
    return load, parts


def _workers(limits: CapacitySection) -> PointerTable:
    law, sigma = request_law(limits)
    return PointerTable(
        service_s=float(limits.request_time), free_at=np.zeros(limits.request_workers), law=law, sigma=sigma
    )


def _slots(world: World) -> dict[str, NDArray[Any]]:
    """What lasts only while something is under way: a blank slot, and room for those who are online from the start."""
    fleet = world.fleet
    always = np.array([p.check_in == CheckIn.ALWAYS for p in fleet.profiles])[fleet.rows["group"]]
    room = SPARE + int(always.sum()) + len(always) // 64
    module = ModuleRow(needed_bytes=world.plan.settings.needed_bytes)
    return {
        "slots": np.zeros(len(always), np.int32), "vacant": np.empty(room, np.int32),
        "awake_modules": record_layout.joined(
            record_layout.blank(module, record_layout.MODULE, room, record_layout.MODULE_AWAKE), record_layout.blank(LinedRow(), record_layout.DRIVER, room, DRIVER_FIELDS)
        ),
        "awake_executions": record_layout.blank(Execution(0), record_layout.EXECUTION, room, record_layout.EXECUTION_AWAKE),
    }  # fmt: skip


def _orders(world: World) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The operator's doings in order of time, and the modules they name one after the other."""
    actions = sorted((a for a in world.scenario.plan.operator), key=lambda a: a.at)
    orders = np.zeros(len(actions), ORDER)
    named = [
        np.flatnonzero(world.fleet.named(a.modules)) if a.do == "cancel" else np.zeros(0, np.int64) for a in actions
    ]
    ends = np.cumsum([len(part) for part in named], dtype=np.int64)
    for i, action in enumerate(actions):
        orders[i] = (action.at, DOINGS.index(action.do), ends[i] - len(named[i]), len(named[i]))
    return orders, np.concatenate([np.zeros(0, np.int64), *named])


def _driver(world: World, events: bool) -> DriverNumbers:
    r = world.plan.settings
    holds = r.window_gates == st.WindowGate.INSTALL or bool(r.download_only)
    slow_clock = r.in_progress_timeout_s < inf and r.timer_starts != st.TimerStart.CONFIRMED
    return DriverNumbers(
        horizon_s=world.horizon_s, keepalive_s=world.keepalive_s, may_retire=int(world.may_retire),
        may_run_ahead=int(_may_run_ahead(world)), polled=r.polled, holds=int(holds), **world.talk_costs,
        progress_is_private=int(not holds and min(r.download_timeout_s, r.update_timeout_s) == inf and not slow_clock),
        needed_bytes=r.needed_bytes, needed_back_bytes=_needed_back(world), recording=int(events),
    )  # fmt: skip


def _needed_back(world: World) -> int:
    """Space the notice of a rollback asks for."""
    return max(c.needed_bytes for c in notice(world.plan, back=True).components)


def _may_run_ahead(world: World) -> bool:
    """Whether only the plan's clock, a module's own timers and its own messages move its execution.

    Requests of modules that poll share workers and the gate of connections. Criteria, thresholds and caps on finished
    modules act on all modules at the moment another one reports; a cloud that pushes at once speaks whenever a module
    is released.
    """
    plan, r = world.plan, world.plan.settings
    groups = all(g.error_threshold_percent == inf and g.success_action != st.Action.PAUSE for g in plan.groups)
    pushes_at_once = r.need_push and r.push_interval_s <= 0.0
    bounded = r.max_devices > 0 or r.offer_timeout_s < inf or r.overwrite == st.Overwrite.FAIL
    return groups and not (plan.criteria or pushes_at_once or bounded or r.polled or r.withdraw_success)


def _profiles(world: World) -> NDArray[Any]:
    hardware = len(world.fleet.profiles[0].boot_failures[0])
    array = np.zeros(
        len(world.fleet.profiles),
        record_layout.profile_type(len(world.plan.components), hardware, len(world.fleet.profiles[0].zone_day_start_s)),
    )
    for number, profile in enumerate(world.fleet.profiles):
        record_layout.fill(array, number, profile)
    return array


def queue_of(modules: SplitRows, executions: SplitRows, horizon_s: float, entries: int, room: int) -> PointerTable:
    """An empty queue whose entries will speak of these rows; the rest as for `queue.arrays`."""
    made = queue.arrays(horizon_s, entries, room)
    made["row"] = record_layout.single(made["row"])
    return PointerTable(**made, modules=modules, executions=executions)


def _timers(room: int) -> PointerTable:
    return PointerTable(row=record_layout.single(TimersRow()), entries=np.empty(room, TIMER))


def _rollout(world: World, executions: SplitRows, events: bool) -> PointerTable:
    given = world.executions
    b = open_rollout(world.plan, given, given["group"], given["late"], world.ranks, world.capped_places)
    b.progress.noting = int(events)
    return PointerTable(
        settings=record_layout.single(b.settings), progress=record_layout.single(b.progress), executions=executions, groups=record_layout.records(Group, {}, b.groups),
        criteria=record_layout.records(Criterion, {}, b.criteria), windows=np.ascontiguousarray(b.windows), order=b.order,
        rank=b.rank, waiting=b.waiting, joined=b.joined, cells=b.cells, out=b.out, armed=b.armed, notes=b.notes,
        log=b.log,
    )  # fmt: skip


def _egress(world: World) -> PointerTable:
    slots = world.transfers
    classes = eg.RATE_CLASSES + CARRIERS * len(world.fleet.cells)
    line = eg.Line(world.scenario.cloud.capacity.egress, air_limit(world.scenario), free=slots)
    return PointerTable(
        line=record_layout.single(line), transfers=record_layout.blank(eg.Transfer(), {}, slots),
        classes=record_layout.blank(eg.Class(), {}, classes), queue=np.zeros(classes, np.int64),
        free=np.arange(slots)[::-1].copy(),
    )  # fmt: skip


def _components(world: World) -> NDArray[Any]:
    return np.array([(c.kind, c.size_bytes, c.rollback_bytes) for c in world.plan.components], COMPONENT)


def grown(parts: dict[str, Any], which: int) -> None:
    """Doubles the arrays that have filled up, one of the kernel's FULL_…; what they hold stays."""
    driver, rollout, q = parts["driver"], parts["rollout"], parts["queue"]
    if which == kernel.FULL_SLOTS:
        for name in ("vacant", "awake_modules", "awake_executions"):
            parts[name] = _doubled(parts[name], int(driver["slots_used"]))
        parts["modules"] = parts["modules"].with_room(parts["awake_modules"])
        parts["rollout"] = rollout.replaced(executions=rollout.executions.with_room(parts["awake_executions"]))
        parts["queue"] = q.replaced(modules=parts["modules"], executions=parts["rollout"].executions)
    elif which == kernel.FULL_QUEUE:
        fills = {"heap": q.row["sorted"], "pool": q.row["pool_used"], "links": q.row["chunks_used"]}
        larger = {name: _doubled(getattr(q, name), int(fill)) for name, fill in fills.items()}
        parts["queue"] = q.replaced(**larger, far=_doubled(q.far, queue.CHUNK * int(q.row["chunks_used"])))
    elif which == kernel.FULL_TIMERS:
        for name in ("timers", "senders"):
            heap = parts[name]
            parts[name] = heap.replaced(entries=_doubled(heap.entries, int(heap.row["count"])))
    else:
        for name, fill in _FILLS[which].items():
            parts[name] = _doubled(parts[name], int(driver[fill]))


def given_up(parts: dict[str, Any]) -> None:
    """Gives back what only a run that goes on needs: the queue, and what is under way."""
    q = parts["queue"]
    parts["queue"] = q.replaced(**{name: getattr(q, name)[:0].copy() for name in ("heap", "pool", "far", "links")})
    for name in ("timers", "senders"):
        parts[name] = parts[name].replaced(entries=parts[name].entries[:0].copy())
    for name in ("under_way", "sent", "outcomes", "outcome_times"):
        parts[name] = parts[name][:0].copy()


_FILLS = {
    kernel.FULL_UNDER_WAY: {"under_way": "under_way_used"}, kernel.FULL_EVENTS: {"events": "events", "notes": "notes"},
    kernel.FULL_DECISIONS: {"decisions": "decisions"},
}  # fmt: skip
"""Arrays that grow by themselves, and what of the kernel's numbers says how full they are."""


def _doubled(array: NDArray[Any], fill: int) -> NDArray[Any]:
    larger = np.empty((2 * len(array), *array.shape[1:]), array.dtype)
    larger[:fill] = array[:fill]
    return larger
