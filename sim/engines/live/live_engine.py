"""The live engine: owns the clock, the wire and the timers of thousands of modules in one process."""

from __future__ import annotations

import asyncio
import signal
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf, isnan
from typing import Any

from sim import messages as msg
from sim.engines.live import failure_reasons
from sim.engines.live.fetch import Broken, Downloader, ThinDownloader, check_url
from sim.engines.live.known_files import KnownFiles
from sim.engines.live.latency import LEGS, InGroup, Latencies
from sim.engines.live.live_cloud import Cloud
from sim.engines.live.live_module import LiveModule
from sim.engines.live.live_recorder import LiveRecorder
from sim.engines.live.live_target import Limits
from sim.engines.live.pace import Pace
from sim.engines.live.reconciliation import Reconciliation
from sim.engines.live.self_check import Health, SelfCheck
from sim.engines.live.slo import Slo, check_groups
from sim.engines.live.slo_judging import EVERYBODY, broken_so_far, judged
from sim.engines.live.snapshot import SHOWN_LEGS, SHOWN_REASONS, Snapshot, Watch
from sim.engines.world.build import World
from sim.errors import ProtocolError
from sim.module.link_states import LinkState
from sim.module.machine import Module
from sim.records import SPANS

_ENDING = (signal.SIGINT, signal.SIGTERM)
CRASHED = "error inside fotasim"
ABORTED = "broken: "
"""Begins why a run ended that was to end on failure."""
JUDGE_S = 10.0
"""The generator is judged over stretches of this length."""
SHORTEST_LOOK_S = 1.0
"""A shorter stretch at the end is not judged by itself."""
MOST_SURPRISES = 10
LONG_BACK_OFF_S = 60.0
"""From so many real seconds on a module's wait before its next attempt is shown as a long one."""
WATCH_S = 1.0
POLL_S, ANSWER_S = 2.0, 0.2
RADIO_WINDOW_BYTES = 32 * 1024
"""Receive window of a download under the modelled radio: the order of what cellular modules have."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a fleet is run: ramp in modules per second, time scale, source addresses, limits."""

    ramp_per_s: float = 200.0
    time_scale: float = 1.0
    sources: tuple[str, ...] = ()
    radio: bool = False
    """Delay, lose and pace as the modelled radio would; without it the real network alone decides."""
    duration_s: float | None = None
    """Real seconds after which the run ends, whatever is left to do; default: the scenario's horizon."""
    limits: Limits = field(default_factory=Limits)
    ca_file: str | None = None
    username: str | None = None
    """Sent with every CONNECT, for brokers that refuse the SDK's password without one."""
    slo: Slo | None = None
    """What the run is judged by, beside the tolerance for failures."""
    abort_on_failure: bool = False
    """Whether the run ends as soon as an objective is broken beyond doubt."""


_STATUS_NAMES = {
    msg.NO_PLAN: "idle", msg.PLAN_RECEIVED: "notified", msg.SUBMITTED: "confirmed", msg.DOWNLOAD_START: "downloading",
    msg.DOWNLOADING: "downloading", msg.DOWNLOADED: "downloaded", msg.UPDATING: "updating",
}  # fmt: skip


class LiveEngine:
    """Drives one world against a target. `run` once; Ctrl-C ends it and keeps what is there."""

    def __init__(self, world: World, cloud: Cloud, settings: Settings, latencies: Latencies | None = None) -> None:
        self.world, self.cloud, self.settings = world, cloud, settings
        self.loop = asyncio.get_running_loop()
        self.clock = time.monotonic  # the loop's own time, which uvloop rounds to a millisecond
        self.zero = self.clock()
        self.latencies = latencies or Latencies()
        check_groups(settings.slo, [group.name for group in world.scenario.fleet.groups])
        for name in settings.slo.groups if settings.slo else ():
            self.latencies.of_group(name)
        self.surprises: list[Exception] = []
        """Errors of ours that ended a connection; the first ones."""
        self.notes: list[str] = []
        """What is to be known before the run begins, such as devices that an earlier one left in mid-upgrade."""
        self.ended_by = ""
        """Why the run ended before its time: a signal's name, objectives that were broken, or an error of ours."""
        self.recorder = LiveRecorder(world, lambda: self.clock() - self.zero)
        cap = settings.limits.rate_cap_per_s
        self.known_files = KnownFiles()
        self.connects = Pace(cap)
        self.messages = Pace(cap)
        self.modules = [cloud.module(self, module) for module in world.modules]
        self.cpu_s = 0.0
        self.downloader: Downloader
        self.check = SelfCheck(len(settings.sources))
        self.health: list[Health] = []
        """How the generator stood, stretch by stretch."""
        self.waiting_at_end: Counter[str] = Counter()
        """Steps that had no answer yet when the run ended."""
        self._stop = asyncio.Event()
        self._comparing: asyncio.Task[Reconciliation] | None = None

    # --- clock and timers ------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds of the run: real ones times the time scale."""
        return self.run_s(self.clock())

    def run_s(self, at: float) -> float:
        """The second of the run at a time of the clock."""
        return (at - self.zero) * self.settings.time_scale

    def real(self, at: float) -> float:
        """The loop's time at a second of the run."""
        return self.zero + at / self.settings.time_scale

    def at(self, at: float, action: Callable[[], None]) -> asyncio.TimerHandle:
        """Calls at a second of the run."""
        return self.loop.call_at(self.real(at), action)

    def when(self, at: float, action: Callable[[], None]) -> None:
        """Calls at a time of the loop, or now when it has come."""
        if at <= self.clock():
            action()
        else:
            self.loop.call_at(at, action)

    # --- what modules ask ------------------------------------------------------------------------------------------

    def check_url(self, url: str) -> None:
        """Broken for a URL that may not be fetched, see fetch.check_url."""
        try:
            check_url(url, self.settings.limits)
        except ProtocolError as error:
            raise Broken(failure_reasons.of_protocol(error)) from None

    def latencies_of(self, module: Module) -> Latencies | InGroup:
        """Where a module measures: its group's own latencies too, where an objective is about that group."""
        group = self.latencies.groups.get(self.world.scenario.fleet.groups[module.row.group].name)
        return self.latencies if group is None else InGroup(self.latencies, group)

    @property
    def measured(self) -> dict[str, Latencies]:
        """Latencies of all modules (EVERYBODY), and of each group that an objective is about."""
        return {EVERYBODY: self.latencies, **self.latencies.groups}

    def surprised(self, error: Exception) -> None:
        """Hears of an error that only a fault of ours can cause; a connection ended with it, the run goes on."""
        if len(self.surprises) < MOST_SURPRISES:
            self.surprises.append(error)

    # --- run ---------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Everything a module needs is there, and the clock begins; to be closed again."""
        settings = self.settings
        self.loop.set_exception_handler(self._uncaught)
        await self.cloud.open(self)
        window = RADIO_WINDOW_BYTES if settings.radio else None
        self.downloader = ThinDownloader(settings.sources, self._tls, window, self.check_url)
        self.zero = self.clock()

    async def run(self, watch: Watch | None = None) -> bool:
        """Runs until every module is accounted for or time is up; False when it was stopped before."""
        await self.open()
        with suppress(NotImplementedError, ValueError, RuntimeError):  # not on every loop or thread
            for number in _ENDING:
                self.loop.add_signal_handler(number, self._signalled, number.name)
        self.check.start()
        cpu = time.process_time()
        ramp = self.loop.create_task(self._ramp())
        try:
            return await self._watch(watch)
        finally:
            ramp.cancel()
            with suppress(asyncio.CancelledError):
                await ramp
            self._judge_the_end()
            await self.check.stop()
            self.waiting_at_end = self.settle(self.modules)
            await self.close()
            self.cpu_s = time.process_time() - cpu

    def stop(self, why: str) -> None:
        """Ends the run at the next look; the first reason counts."""
        self.ended_by = self.ended_by or why
        self._stop.set()

    def _signalled(self, name: str) -> None:
        """A signal ends the run; where the run is over already, the wait for the cloud's word on it."""
        self.stop(name)
        if self._comparing is not None:
            self._comparing.cancel()

    async def compared(self) -> Reconciliation:
        """The cloud's word on the run. Nothing that happens meanwhile costs the run's figures."""
        self._comparing = self.loop.create_task(self.cloud.reconcile(self))
        try:
            await asyncio.wait([self._comparing])
            if self._comparing.cancelled():
                return Reconciliation(note=f"not possible: {self.ended_by} came before the cloud had answered")
            return self._comparing.result()
        except Exception as error:
            self.surprised(error)
            return Reconciliation(note=f"not possible: {failure_reasons.of_surprise(error)}")
        finally:
            self._comparing.cancel()

    def release_signals(self) -> None:
        """Signals are somebody else's again."""
        with suppress(NotImplementedError, ValueError, RuntimeError):
            for number in _ENDING:
                self.loop.remove_signal_handler(number)

    def _uncaught(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An error that no connection can be blamed for: the run ends, and what is there is kept."""
        error = context.get("exception")
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self.surprised(error)
            self.stop(CRASHED)
        elif error is None:
            loop.default_exception_handler(context)

    def _tls(self) -> ssl.SSLContext:
        """TLS of downloads: as the cloud's."""
        return self.cloud.ssl_context(self.settings.ca_file)

    async def _ramp(self) -> None:
        """Modules begin one after the other, each at its own moment."""
        for number, module in enumerate(self.modules):
            at = self.zero + number / self.settings.ramp_per_s
            wait_s = at - self.clock()
            if wait_s > 0.0:
                await asyncio.sleep(wait_s)
            elif number % 64 == 63:
                await asyncio.sleep(0)
            module.begin(at)

    async def _watch(self, watch: Watch | None) -> bool:
        limit_s = self.world.horizon_s / self.settings.time_scale
        if self.settings.duration_s is not None:
            limit_s = min(limit_s, self.settings.duration_s)
        until, question = self.zero + limit_s, _Question(self)
        try:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), max(0.0, min(WATCH_S, until - self.clock())))
                self._look()
                if watch is not None:
                    watch(replace(self.snapshot(), left_s=max(0.0, until - self.clock())))
                if self._stop.is_set():
                    return False
                if self.clock() >= until or all(m.done for m in self.modules) or await question.is_over():
                    return True
        finally:
            question.withdraw()

    def _judge_the_end(self) -> None:
        """Judges the rest of a run; a fraction of a second says nothing of how busy the generator was."""
        if not self.health or self.check.span_s >= SHORTEST_LOOK_S:
            self.health.append(self.check.look(self.recorder.under_way[0]))

    def _look(self) -> None:
        """Judges the generator, and the run where it is to end on failure."""
        if self.check.span_s >= JUDGE_S:
            self.health.append(self.check.look(self.recorder.under_way[0]))
        if self.settings.abort_on_failure and (broken := broken_so_far(self.settings.slo, self.measured)):
            self.stop(f"{ABORTED}{', '.join(broken)}")

    async def close(self) -> None:
        """Ends every module and disconnects from the cloud."""
        self.recorder.end_s = min(self.now(), self.world.horizon_s)
        for module in self.modules:
            module.end()
        await self.cloud.close()

    def settle(self, modules: Sequence[LiveModule]) -> Counter[str]:
        """Modules that are about to end: the legs that each still waits for. What is overdue by the SLO has failed."""
        slo = self.settings.slo
        if slo is not None:
            overdue_s = {name: slo.overdue_s(name, self.latencies) for name in (*SPANS, *LEGS)}
            for module in modules:
                module.count_open(lambda name: overdue_s.get(name, inf))
        return Counter(leg for module in modules for leg, _ in module.waiting())

    # --- how it stands -----------------------------------------------------------------------------------------------

    def snapshot(self, count: int | None = None) -> Snapshot:
        """The figures a progress display shows, of the first `count` modules where not all are to run."""
        modules = self.modules[:count]
        recorder = self.recorder
        connections, downloads = recorder.under_way
        states = Counter(self._state(m) for m in modules)
        return Snapshot(
            self.clock() - self.zero, self.now(), len(modules), sum(m.done for m in modules),
            dict(states), connections, downloads, *self.cloud.traffic, recorder.delivered_bits,
            self.latencies.shown_s(SHOWN_LEGS), *self.latencies.totals(), faults=tuple(self.faults),
            reasons=dict(self.latencies.failures_by_reason().most_common(SHOWN_REASONS)), notes=tuple(self.notes),
            histograms=self.latencies.exponential(),
        )  # fmt: skip

    @property
    def faults(self) -> list[str]:
        """Why the measurements cannot be trusted: the generator was the bottleneck, or failed itself."""
        late = dict.fromkeys(fault for health in self.health for fault in health.faults)
        failed = dict.fromkeys(
            f"{failure_reasons.of_surprise(error)}: a connection ended with it" for error in self.surprises
        )
        return [*late, *failed]

    def _state(self, live: LiveModule) -> str:
        """One word for where a module stands; one that waits after a failure is told apart from one that sleeps."""
        row = live.module.row
        if row.link != LinkState.OFFLINE or not row.link_failures:
            return _state(live.module)
        if live.trouble.startswith(failure_reasons.LOGIN_REFUSED):
            return "refused"
        waits_s = (row.link_at - self.now()) / self.settings.time_scale
        return "long back-off" if waits_s > LONG_BACK_OFF_S else "back-off"

    def figures(self) -> dict[str, Any]:
        """What only a live run can tell, for its manifest."""
        recorder = self.recorder
        sent, received = self.cloud.traffic
        of_cloud = self.cloud.figures()
        return {
            "connections_opened": recorder.dials, "refused": {str(k): v for k, v in recorder.refusals.items()},
            "messages_sent": sent, "messages_received": received,
            "statuses_sent": sum(m.sent_statuses for m in self.modules),
            "statuses_acknowledged": sum(m.acknowledged_statuses for m in self.modules),
            "lost_by_modelled_radio": recorder.lost, "sessions_dropped_by_modelled_radio": recorder.dropped,
            "damaged_messages": recorder.damaged + of_cloud.pop("protocol_errors", 0),
            "broken_downloads": dict(recorder.broken_downloads), "bytes_downloaded": int(recorder.delivered_bits / 8),
            "cpu_s": round(self.cpu_s, 3), "ended_by": self.ended_by, "faults": self.faults,
            "waiting_at_end": dict(self.waiting_at_end), "health": [health.as_dict() for health in self.health],
            "failures": _by_step(self.latencies), "slo": [found.plain() for found in judged(self.settings.slo, self.measured)],
            **of_cloud,
        }  # fmt: skip


class _Question:
    """Asks the cloud every POLL_S whether it expects anything more.

    One that does not answer holds up neither the end of the run, nor a signal, nor what is shown of it.
    """

    def __init__(self, engine: LiveEngine) -> None:
        self._engine = engine
        self._at = engine.clock() + POLL_S
        self._asked: asyncio.Task[bool] | None = None

    async def is_over(self) -> bool:
        """The answer, if it is there or comes within moments; else False."""
        engine = self._engine
        if self._asked is None:
            if engine.clock() < self._at:
                return False
            self._asked = engine.loop.create_task(engine.cloud.is_over(engine))
        await asyncio.wait([self._asked], timeout=ANSWER_S)
        if not self._asked.done():
            return False
        asked, self._asked, self._at = self._asked, None, engine.clock() + POLL_S
        error = asked.exception()
        if isinstance(error, Exception):  # ours: the run does without the answer
            engine.surprised(error)
        return error is None and asked.result()

    def withdraw(self) -> None:
        """The answer is waited for no longer."""
        if self._asked is not None:
            self._asked.cancel()


def _by_step(found: Latencies) -> dict[str, dict[str, int]]:
    """Failures by step and reason."""
    table: dict[str, dict[str, int]] = {}
    for (step, reason), n in found.failures.items():
        table.setdefault(step, {})[reason] = n
    return table


def _state(module: Module) -> str:
    """One word for where a module stands."""
    row = module.row
    if row.link == LinkState.DARK:
        return "dark"
    if row.status == msg.NO_PLAN and not isnan(row.upgraded_s):
        return "upgraded"
    if row.link == LinkState.FLASHING:
        return "updating"
    if row.link in (LinkState.ATTACHING, LinkState.CONNECTING):
        return "connecting"
    return "offline" if row.link == LinkState.OFFLINE else _STATUS_NAMES.get(row.status, "idle")


__all__ = ["LiveEngine", "Settings"]
