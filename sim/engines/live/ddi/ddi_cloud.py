"""A DDI server as the cloud of a live run: its modules, the requests they made, and its word on them afterwards."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from sim.engines.live.ddi.control import MANAGEMENT, control_of, judged
from sim.engines.live.ddi.ddi_module import DdiModule
from sim.engines.live.ddi.ddi_target import DdiTarget, ddi_target
from sim.engines.live.ddi.device_states import reconcile_states
from sim.engines.live.ddi.identity import Identities
from sim.engines.live.ddi.json_requests import Http
from sim.engines.live.ddi.operator import Operator, operator_of
from sim.engines.live.json_documents import as_documented
from sim.engines.live.reconciliation import Reconciliation
from sim.engines.world.build import World
from sim.errors import FotasimError
from sim.module.machine import Module

if TYPE_CHECKING:
    from sim.engines.live.live_engine import LiveEngine, Settings
    from sim.scenario import Scenario

MAX_BUCKETS = 3600


class DdiSide:
    """See LiveSide. The sans-IO client of its modules is wire/ddi/client.py."""

    async def find(self, url: str, scenario: Scenario | None, settings: Settings, plan: int | None) -> DdiTarget:
        """See LiveSide."""
        del plan
        assert scenario is not None, "only a scenario names this kind of cloud"
        section = scenario.cloud
        return ddi_target(url, section.tenant, section.server or "", settings.limits)

    def cloud(self, target: DdiTarget, world: World, settings: Settings, *, plan: int | None, compare: bool) -> Ddi:
        """See LiveSide. Modules are reconciled with their own word where the server's is not asked for."""
        del settings, compare
        return Ddi(target, world, plan)

    async def states_of(self, target: DdiTarget, ca_file: str | None) -> dict[str, int]:
        """See LiveSide: such a server is asked by name."""
        del target, ca_file
        return {}

    async def succeeded_of(
        self, target: DdiTarget, ca_file: str | None, prefix: str, names: Collection[str]
    ) -> int | None:  # fmt: skip
        """See LiveSide. None as well where the management API is not known, has no login or does not answer."""
        control = control_of(target, target.ssl_context(ca_file))
        if control is None:
            return None
        try:
            async with control:
                with as_documented(MANAGEMENT):
                    return await control.finished(prefix, names)
        except FotasimError:
            return None


class Ddi:
    """See Cloud. `rollout` is the server's rollout that is judged, None for the newest of the plan's name."""

    http: Http
    identities: Identities
    _tls: ssl.SSLContext
    plan: int | None
    can_compare = True

    def __init__(self, target: DdiTarget, world: World, rollout: int | None = None) -> None:
        self.target = target
        self.host, self.port, self.plan = target.host, target.port, rollout
        self.components = world.plan.components
        behaviour = world.scenario.cloud.behaviour
        self.round_trips = behaviour.round_trips_there + behaviour.round_trips_back
        self.refused: Counter[str] = Counter()
        self._plan = world.scenario.plan
        self.operator: Operator | None = None
        self._operating: asyncio.Task[None] | None = None
        self._in_flight = 0
        self._hardware = world.fleet.hardware
        self._requests: dict[str, Counter[int]] = {}

    def hardware(self, number: int) -> str:
        """Name of a hardware revision."""
        return self._hardware[number] if self._hardware else ""

    def asked(self, what: str, second: float) -> None:
        """A module sends a request of this kind in this second of the run."""
        self._requests.setdefault(what, Counter())[int(second)] += 1

    def module(self, engine: LiveEngine, module: Module) -> DdiModule:
        """See Cloud. When a timeforced action is forced is the server's word; the plan's clock may be a scaled one."""
        module.profile.force_at_s = inf
        return DdiModule(engine, module, self)

    def ssl_context(self, ca_file: str | None) -> ssl.SSLContext:
        """See Cloud."""
        return self.target.ssl_context(ca_file)

    async def open(self, engine: LiveEngine) -> None:
        """See Cloud."""
        self._tls = self.ssl_context(engine.settings.ca_file)
        self.identities = Identities(self.target, engine.settings.ca_file)
        self.identities.check([m.module.name for m in engine.modules])
        for module in engine.modules:
            if isinstance(module, DdiModule):
                module.check()
        self.http = Http()
        if self.operator is not None:
            self._operating = asyncio.create_task(self.operator.run(engine.now, engine.settings.time_scale))
            self._operating.add_done_callback(lambda task: _told_if_failed(task, engine))

    async def close(self) -> None:
        """See Cloud."""
        self._in_flight = self.http.under_way
        if self._operating is not None:
            self._operating.cancel()
            await asyncio.gather(self._operating, return_exceptions=True)
        await self.http.close()

    async def attend(self, settings: Settings) -> None:
        """See Cloud. InputError where the plan needs an operator and nobody can be it."""
        self.operator = await operator_of(self._plan, self.target, settings.ca_file, self.plan)
        if self.operator is not None:
            self.plan = self.operator.rollout

    async def free(self) -> None:
        """See Cloud. For each reconciliation the management API is logged in to anew."""
        if self.operator is not None:
            await self.operator.close()

    async def is_over(self, engine: LiveEngine) -> bool:  # noqa: ARG002 - the modules know it themselves
        """See Cloud."""
        return False

    async def reconcile(self, engine: LiveEngine) -> Reconciliation:
        """See Cloud."""
        modules: list[DdiModule] = [m for m in engine.modules if isinstance(m, DdiModule)]
        for module in modules:
            module.settle(engine.world.center.executions[module.module.row.index])
        control = control_of(self.target, self._tls)
        if control is None:
            return Reconciliation(
                note="not possible: the server's management API is not known; set cloud.server and "
                "FOTASIM_DDI_USER, FOTASIM_DDI_PASSWORD"
            )
        said = {m.module.name: m.said() for m in modules}
        try:
            async with control:
                with as_documented(MANAGEMENT):
                    rollout, named = await judged(control, self.plan, self._plan.name)
                    states = await control.states(list(said), rollout)
                    counters = await control.counters(rollout)
        except FotasimError as error:
            return Reconciliation(note=f"not possible: {error}")
        return replace(reconcile_states(said, states, counters), by=named)

    @property
    def traffic(self) -> tuple[int, int]:
        """See Cloud."""
        return self.http.sent, self.http.received

    def figures(self) -> dict[str, Any]:
        """See Cloud: requests by kind, all together and over the time of the run in at most MAX_BUCKETS equal steps."""
        seconds = max((max(counts) for counts in self._requests.values()), default=0) + 1
        width = -(-seconds // MAX_BUCKETS)
        over_time: dict[str, Counter[int]] = {what: Counter() for what in self._requests}
        for what, counts in self._requests.items():
            for second, count in counts.items():
                over_time[what][second // width * width] += count
        return {
            "protocol": "ddi", "refused_requests": dict(self.refused), "requests_in_flight_at_end": self._in_flight,
            **({} if self.operator is None else {"operator": self.operator.log}),
            "requests": {what: counts.total() for what, counts in self._requests.items()},
            "requests_over_time": {
                "bucket_s": width,
                **{what: {str(at): n for at, n in sorted(counts.items())} for what, counts in over_time.items()},
            },
        }  # fmt: skip


def _told_if_failed(operating: asyncio.Task[None], engine: LiveEngine) -> None:
    """An operator that failed for a fault of ours does nothing more: the run is to say so."""
    error = None if operating.cancelled() else operating.exception()
    if isinstance(error, Exception):
        engine.surprised(error)
