"""The live engine: owns the clock, the wire and the timers of thousands of modules in one process."""

from __future__ import annotations

import asyncio
import signal
import ssl
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import isnan
from typing import Any
from urllib.parse import urlsplit

from sim import messages as msg
from sim.engines.live.cloud_adapter import Cloud
from sim.engines.live.fetch import Broken, Downloader, ThinDownloader
from sim.engines.live.known_files import KnownFiles
from sim.engines.live.latency import Latencies
from sim.engines.live.live_recorder import LiveRecorder
from sim.engines.live.live_target import Limits
from sim.engines.live.pace import Pace
from sim.engines.live.snapshot import SHOWN_LEGS, Snapshot, Watch
from sim.engines.world.build import World
from sim.errors import FotasimError
from sim.module.link_states import LinkState
from sim.module.machine import Module

WATCH_S = 1.0
POLL_S = 2.0
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
        self.recorder = LiveRecorder(world, lambda: self.clock() - self.zero)
        cap = settings.limits.rate_cap_per_s
        self.known_files = KnownFiles()
        self.connects = Pace(cap)
        self.messages = Pace(cap)
        self.modules = [cloud.module(self, module) for module in world.modules]
        self.cpu_s = 0.0
        self.downloader: Downloader
        self._stop = asyncio.Event()

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
        """Broken for a URL that may not be fetched: only HTTP, only hosts the run may reach."""
        try:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise Broken("the URL is not one of http or https")
            self.settings.limits.check(parts.hostname)
        except (ValueError, FotasimError) as error:
            raise Broken(f"URL refused: {error}") from None

    # --- run ---------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Everything a module needs is there, and the clock begins; to be closed again."""
        settings = self.settings
        await self.cloud.open(self)
        window = RADIO_WINDOW_BYTES if settings.radio else None
        self.downloader = ThinDownloader(settings.sources, self._tls, window, self.check_url)
        self.zero = self.clock()

    async def run(self, watch: Watch | None = None) -> bool:
        """Runs until every module is accounted for or time is up; False when it was stopped before."""
        await self.open()
        with suppress(NotImplementedError, ValueError, RuntimeError):  # not on every loop or thread
            self.loop.add_signal_handler(signal.SIGINT, self._stop.set)
        cpu = time.process_time()
        ramp = self.loop.create_task(self._ramp())
        try:
            return await self._watch(watch)
        finally:
            ramp.cancel()
            with suppress(asyncio.CancelledError):
                await ramp
            await self.close()
            self.cpu_s = time.process_time() - cpu

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
        until, poll_at = self.zero + limit_s, self.zero + POLL_S
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), max(0.0, min(WATCH_S, until - self.clock())))
            if watch is not None:
                watch(self.snapshot())
            if self._stop.is_set():
                return False
            if self.clock() >= until or all(m.done for m in self.modules):
                return True
            if self.clock() >= poll_at:
                poll_at = self.clock() + POLL_S
                if await self.cloud.is_over(self):
                    return True

    async def close(self) -> None:
        """Ends every module and disconnects from the cloud."""
        with suppress(NotImplementedError, ValueError, RuntimeError):
            self.loop.remove_signal_handler(signal.SIGINT)
        self.recorder.end_s = min(self.now(), self.world.horizon_s)
        for module in self.modules:
            module.end()
        await self.cloud.close()

    # --- how it stands -----------------------------------------------------------------------------------------------

    def snapshot(self, count: int | None = None) -> Snapshot:
        """The figures a progress display shows, of the first `count` modules where not all are to run."""
        modules = self.modules[:count]
        recorder = self.recorder
        connections, downloads = recorder.under_way
        states = Counter(_state(m.module) for m in modules)
        return Snapshot(
            self.clock() - self.zero, self.now(), len(modules), sum(m.done for m in modules),
            dict(states), connections, downloads, *self.cloud.traffic, recorder.delivered_bits,
            self.latencies.shown_s(SHOWN_LEGS), *self.latencies.totals(),
        )  # fmt: skip

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
            "lost_by_modelled_radio": recorder.lost, "damaged_messages": recorder.damaged + of_cloud.pop("protocol_errors", 0),
            "broken_downloads": dict(recorder.broken_downloads), "bytes_downloaded": int(recorder.delivered_bits / 8),
            "cpu_s": round(self.cpu_s, 3), **of_cloud,
        }  # fmt: skip


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
