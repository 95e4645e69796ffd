"""The compiled engine as a class: lays a world out in arrays, runs it in stretches, hands the arrays to the records."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from sim.cloud import egress as eg
from sim.cloud.execution import Execution
from sim.engines import tally
from sim.engines.compiled import layout
from sim.engines.compiled.bag import Bag
from sim.engines.compiled.compiler import Mirror, entry, machine_code_of, source_key
from sim.engines.compiled.kernel import Kernel
from sim.engines.compiled.pending import Drive, Pending
from sim.engines.compiled.queue import HEAP_ENTRY, POOL_ENTRY, QueueRow, bucket_count
from sim.engines.compiled.timers import TIMER, TimersRow
from sim.engines.world import World
from sim.strategy.progress import Criterion, Group, Progress
from sim.strategy.settings import Settings


@cache
def entries() -> Any:
    """The compiled entry points by name."""
    mirror = Mirror()
    kernel = mirror["sim.engines.compiled.kernel"]
    return entry(kernel.advance.py_func, source_key(Path(__file__).parent))


def rows_of(kind: np.dtype[Any], objects: list[Any]) -> np.ndarray[Any, Any]:
    """Python rows as records."""
    array = np.zeros(len(objects), kind)
    for name in kind.names or ():
        array[name] = [getattr(o, name) for o in objects]
    return array


def single(kind: type, value: Any) -> np.ndarray[Any, Any]:
    array = np.zeros((), layout.record(kind))
    for name in array.dtype.names or ():
        array[name] = getattr(value, name)
    return array


class CompiledEngine:
    """Runs one world from activation to its horizon."""

    def __init__(self, world: World, *, events: bool = False) -> None:
        self.world = world
        n = len(world.modules)
        b = world.center.books
        profiles: list[Any] = []
        seen: dict[int, int] = {}
        for m in world.modules:
            if id(m.profile) not in seen:
                seen[id(m.profile)] = m.row.group
        groups = {m.row.group: m.profile for m in world.modules}
        hw = max(len(p.bricks[0]) for p in groups.values())
        p_array = np.zeros(max(groups) + 1, layout.profile_type(len(world.center.plan.components), hw))
        for g, p in groups.items():
            layout.fill(p_array, g, p)
        self.modules = rows_of(layout.module_type(), [m.row for m in world.modules])
        self.executions = rows_of(layout.record(Execution, layout.EXECUTION), b.es)
        drives = np.zeros(n, layout.record(Drive, layout.DRIVE))
        drives["armed_at"] = drives["queued_at"] = drives["parked_at"] = np.inf
        drives["head"] = drives["transfer"] = -1
        for i, c in enumerate(world.center.plan.components):
            for j, m in enumerate(world.modules):
                v = m.versions.get(c.component, "")
                if c.source_version and v != c.source_version:
                    drives["source_bad"][j] |= 1 << i
        self.tally = tally.tally(world.horizon_s)
        k = Kernel(horizon_s=world.horizon_s, keepalive_s=world.keepalive_s, may_retire=int(world.may_retire))
        from sim.strategy import settings as st
        r = world.settings
        k.holds = int(r.window_gates == st.GATE_INSTALL or r.download_only)
        k.needed_bytes = max(c.size_bytes for c in world.center.plan.components)
        k.needed_back_bytes = max(c.rollback_bytes for c in world.center.plan.components)
        k.calm = int(not b.criteria and all(g.error_threshold_percent == np.inf and g.success_action != st.PAUSE for g in b.groups)
          and r.max_devices == 0 and not (r.need_push and r.push_interval_s <= 0) and r.offer_timeout_s == np.inf and r.overwrite != st.FAIL)
        k.quiet = int(r.download_timeout_s == r.update_timeout_s == np.inf and not k.holds
           and (r.in_progress_timeout_s == np.inf or r.timer_starts == st.FROM_CONFIRMED))
        k.recording = int(events)
        self.k = single(Kernel, k)
        b.c.noting = int(events)
        room = 3 * n + 4096
        buckets = bucket_count(n)
        q = Bag(row=single(QueueRow, QueueRow(width_s=world.horizon_s / buckets, buckets=buckets)),
                heap=np.empty(room, HEAP_ENTRY), buckets=np.full(buckets, -1, np.int32), pool=np.empty(room, POOL_ENTRY))
        books = Bag(r=single(Settings, b.r), c=single(Progress, b.c), es=self.executions,
                    groups=rows_of(layout.record(Group), b.groups), criteria=rows_of(layout.record(Criterion), b.criteria),
                    windows=np.ascontiguousarray(b.windows), order=b.order, rank=b.rank, waiting=b.waiting, joined=b.joined, cells=b.cells,
                    out=b.out, armed=b.armed, notes=b.notes, log=b.log)
        line = eg.Line(world.capacity.egress.line.bit_s, world.capacity.egress.line.air_limit)
        slots = len(world.capacity.egress.transfers)
        line.free = slots
        classes = np.zeros(len(world.capacity.egress.classes), layout.record(eg.Class))
        self.line = single(eg.Line, line)
        eb = Bag(line=self.line, transfers=np.zeros(slots, layout.record(eg.Transfer)), classes=classes,
                 queue=np.zeros(len(classes), np.int64), free=np.arange(slots)[::-1].copy())
        cap = world.scenario.cloud.capacity
        comps = np.zeros(len(world.center.plan.components), np.dtype([("kind", "i8"), ("size_bytes", "i8"), ("rollback_bytes", "i8")]))
        for i, c in enumerate(world.center.plan.components):
            comps[i] = (c.kind, c.size_bytes, c.rollback_bytes)
        t = self.tally
        ev = room * 4 if events else 1
        self.parts = dict(k=self.k, modules=self.modules, profiles=p_array, drives=drives,
            pool=np.empty(room, layout.record(Pending, layout.PENDING)), q=q, books=books,
            connections=Bag(spacing_s=1.0 / cap.connections_per_s, free_at=np.zeros(1)),
            workers=Bag(service_s=float(cap.request_time), free_at=np.zeros(cap.request_workers)),
            downloads=Bag(limit=int(cap.downloads), active=np.zeros(1, np.int64)), egress=eb,
            tally=Bag(**t._asdict()), timers=Bag(row=single(TimersRow, TimersRow()), entries=np.empty(4 * room, TIMER)),
            senders=Bag(row=single(TimersRow, TimersRow()), entries=np.empty(room, TIMER)), sent=np.empty(n, layout.module_type()),
            outcomes=np.empty(n, np.int64), outcome_times=np.empty(n), components=comps,
            events=np.empty(ev, layout.EVENT), notes=np.empty((ev * 4, 4)), decisions=np.empty((4096, 10)))
        self.state = Bag(**self.parts)

    def run(self, progress: Callable[[float], None] | None = None) -> bool:
        e = entries()
        horizon = self.world.horizon_s
        with machine_code_of('advance'):
            e(self.state, 0, 0.0)
        for i in range(1, 201):
            code = e(self.state, 1, horizon if i == 200 else horizon * i / 200)
            assert code == 0, code
        e(self.state, 2, horizon)
        return True
