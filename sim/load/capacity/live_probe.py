"""A capacity probe in real time: fresh modules against a real or mock cloud, open loop, with a check of the generator."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sim.cloud_kinds.adapter import SUCCEEDED, LiveSide
from sim.engines.live.live_cloud import LiveTarget, find_target, live_side
from sim.engines.live.live_engine import Settings
from sim.engines.live.live_run import loop_factory
from sim.engines.live.slo import Slo
from sim.engines.live.snapshot import Watch
from sim.errors import FotasimError
from sim.load.capacity import beyond, outage
from sim.load.capacity.beyond import Beyond, Overload
from sim.load.capacity.outage import Outage, Recovery, Watched
from sim.load.capacity.outage_share import run_outage
from sim.load.capacity.probe_share import START_S, Job, device_key, run_share
from sim.load.capacity.search import Measurement, legs_of
from sim.load.capacity.server_counts import lost_updates, more_updates
from sim.load.capacity.wake_ups import Kind
from sim.load.capacity.worker_pool import WorkerPool
from sim.load.locust_workers.worker_reports import Gathered
from sim.scenario import Scenario
from sim.stats.evidence import falls_behind

SETTLE_S = 1.0
MOST_SETTLES = 60
REST_S = 5.0
"""After a void measurement: whatever kept this host busy may pass."""
NOT_COUNTED = "the server's own count is not known, so lost updates would not show"
Report = dict[str, Any]


class LiveProbe:
    """Measures a load on a running cloud. Each probe brings modules of its own, so that every one finds an upgrade.

    One worker is this process; more are processes of their own, and what they measure is merged. A worker that goes
    missing, or that was the bottleneck, voids the measurement. All device keys begin with `prefix`.
    """

    def __init__(
        self, scenario: Scenario, cloud: str, kind: Kind, slo: Slo, settings: Settings, *, plan: int | None = None,
        taking: float = 0.0, workers: int = 1, watch: Watch | None = None,
    ) -> None:  # fmt: skip
        self._job = Job(scenario, cloud, plan, kind, slo, settings, 0.0, 0.0, taking, "")
        self._slo = slo
        self.pool = WorkerPool(workers, watch) if workers > 1 else None
        self._watch = watch
        self.prefix = f"L{secrets.token_hex(2)}"
        self._probes = 0
        self._void = False
        self._runner = asyncio.Runner(loop_factory=loop_factory())

    def close(self) -> None:
        """Ends the workers and the event loop."""
        if self.pool is not None:
            self.pool.close()
        self._runner.close()

    def __call__(self, load: float, hold_s: float) -> Measurement:
        """See Probe."""
        target, before = self._runner.run(self._before())
        reports = self._run(load=load, hold_s=hold_s)
        counted = self._runner.run(self._counted(target, before, reports))
        found = _measurement(self._slo, self._job.kind, reports, counted)
        self._void = bool(found.void)
        known = [report["hands_out_secrets"] for report in reports if report is not None]
        self._job = replace(self._job, hands_out_secrets=next((k for k in known if k is not None), None))
        return found

    @property
    def _side(self) -> LiveSide:
        return live_side(self._job.scenario.cloud.kind)

    def beyond(self, overload: Overload, limit_s: float) -> Beyond:
        """Offers more than the capacity for a while and watches the cloud recover."""
        target, _ = self._runner.run(self._before())
        reports = self._run(load=overload.capacity, hold_s=overload.whole_s, phases=overload.phases)
        gathered = _gathered(reports)
        span = "wake" if self._slo.needs_answers else "login"
        rows = np.array([row for report in reports if report is not None for row in report["spans"][span]]).reshape(
            -1, 2
        )
        due_s = rows[:, 0] - rows[:, 0].min(initial=np.inf)
        self._runner.run(_settled(self._side, target, self._slo.patience_s, self._job.settings.ca_file))
        return beyond.judged(overload, due_s, rows[:, 1], limit_s, tuple(gathered.faults()))

    def outage(self, given: Outage) -> Recovery:
        """Takes every connection away at once, and watches the modules come back."""
        settings = replace(self._job.settings, time_scale=1.0)
        reports = self._run(load=float(given.modules), hold_s=given.whole_s, outage=given, settings=settings)
        parts = [
            Watched(*(np.array(report[name]) for name in ("online", "logins", "attempts")))
            for report in reports if report is not None
        ]  # fmt: skip
        if not parts:
            raise FotasimError("--outage: no worker was left")
        missing = sum(report["missing"] for report in reports if report is not None)
        void = [f"{missing:,} of {given.modules:,} modules were not online before the outage"] if missing else []
        return outage.judged(given, outage.added_up(parts), (*_gathered(reports).faults(), *void))

    async def _before(self) -> tuple[LiveTarget, dict[str, int]]:
        if self._void:
            await asyncio.sleep(REST_S)
        target = await find_target(self._job.cloud, self._job.settings, self._job.plan, self._job.scenario)
        return target, await self._side.states_of(target, self._job.settings.ca_file)

    async def _counted(
        self, target: LiveTarget, before: dict[str, int], reports: Sequence[Report | None]
    ) -> int | None:
        """Successes of this probe as the server counts them, once it has worked off what was queued."""
        ca_file = self._job.settings.ca_file
        after = await _settled(self._side, target, self._slo.patience_s, ca_file)
        if before and after:
            return after[SUCCEEDED] - before[SUCCEEDED]
        names = [
            device_key(self._prefix_now, index, number)
            for index, report in enumerate(reports) if report is not None for number in range(report["user_count"])
        ]  # fmt: skip
        return await self._side.succeeded_of(target, ca_file, self._prefix_now, names)

    @property
    def _prefix_now(self) -> str:
        """Begins the device keys of the newest probe."""
        return f"{self.prefix}{self._probes % 256:02x}"

    def _run(self, **given: Any) -> Sequence[Report | None]:
        """The reports of all shares of a job."""
        self._probes += 1
        job = replace(self._job, prefix=self._prefix_now, **given)
        if self.pool is not None:
            return self.pool.run(job)
        share = run_share if job.outage is None else run_outage
        return [self._runner.run(share(job, _at_once, self._watch))]


async def _at_once() -> float:
    return time.monotonic() + START_S


def _gathered(reports: Sequence[Report | None]) -> Gathered:
    """Latencies and health of all shares; a worker that went missing is among its faults."""
    gathered = Gathered(lambda: 0.0)  # one host, one clock
    for number, report in enumerate(reports, 1):
        gathered.expect(str(number))
        if report is not None:
            gathered.take(str(number), report)
    return gathered


def _measurement(slo: Slo, kind: Kind, reports: Sequence[Report | None], counted: int | None) -> Measurement:
    """What all shares of a probe measured together; `counted` are the successes the server counts among its modules."""
    gathered = _gathered(reports)
    there = [report for report in reports if report is not None]
    found = gathered.merged()
    spans = list(dict.fromkeys(span for report in there for span in report["spans"]))
    faults = [text for span in spans for text in _behind(span, there)] if kind.per_s is not None else []
    hints = [f"{leg}: {reason} ({n:,})" for (leg, reason), n in found.failures.most_common(5)]
    if len(there) == len(reports):
        acknowledged, upgraded = (sum(report[name] for report in there) for name in ("acknowledged", "upgraded"))
        faults += lost_updates(counted, acknowledged)
        hints += more_updates(counted, upgraded)
        hints += [NOT_COUNTED] if counted is None and acknowledged else []
    figures: dict[str, float] = {}
    for report in there:
        for name, value in report["figures"].items():
            figures[name] = figures.get(name, 0.0) + value
    health = {worker: part.health for worker, part in gathered.parts.items() if part.health}
    return Measurement(
        slo.values(found), slo.evidence(found), figures, legs_of(found), tuple(faults), tuple(gathered.faults()), tuple(hints),
        health,
    )  # fmt: skip


def _behind(span: str, reports: Sequence[Report]) -> tuple[str, ...]:
    """Whether a span grew longer all through the hold, over all workers' modules."""
    rows = np.array([row for report in reports for row in report["spans"][span]]).reshape(-1, 2)
    return falls_behind(span, rows[:, 0], rows[:, 1])


async def _settled(side: LiveSide, target: LiveTarget, patience_s: float, ca_file: str | None) -> dict[str, int]:
    """Waits until the cloud has worked off what is still queued, so that the next probe finds it idle."""
    before = await side.states_of(target, ca_file)
    if not before:
        await asyncio.sleep(SETTLE_S + patience_s)
        return {}
    for _ in range(MOST_SETTLES):
        await asyncio.sleep(SETTLE_S)
        after = await side.states_of(target, ca_file)
        if after == before:
            break
        before = after
    return before


__all__ = ["LiveProbe"]
