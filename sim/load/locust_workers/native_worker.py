"""The native worker: the live engine as a process that an unmodified Locust master takes for one of its workers."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from typing import Any, Protocol
from uuid import uuid4

import psutil
import zmq
import zmq.asyncio

from sim.engines.live.reconciliation import Reconciliation
from sim.engines.live.self_check import SelfCheck
from sim.engines.live.snapshot import Snapshot
from sim.errors import FotasimError, ProtocolError
from sim.load.locust_workers.worker_protocol import READY, RUNNING, SPAWNING, Message, Statistics, decode

HEARTBEAT_S = 1.0
REPORT_S = 3.0
CONNECT_S = 5.0
CONNECT_TRIES = 60
MASTER_SILENT_BEATS = 10
"""It answers every heartbeat; one that leaves so many unanswered is gone, and nobody could stop the load."""
LINGER_MS = 2000
MOST_COMPLAINTS = 5
JUDGE_S = 10.0
"""The generator is judged over stretches of this length."""
UNKNOWN_VERSION = -1
"""What a master accepts from workers that are no Locust."""
logger = logging.getLogger(__name__)


class Fleet(Protocol):
    """What a worker drives."""

    count: int

    async def open(self, index: int, of: int) -> None:
        """A test begins; this worker is number `index` of `of`."""

    def resize(self, count: int) -> int:
        """So many modules are to run; gives how many do."""

    def halt(self) -> None:
        """All load stops at once."""

    async def close(self, *, compare: bool) -> Reconciliation:
        """The test is over; gives client beside cloud where the fleet can and is to compare."""

    def snapshot(self) -> Snapshot:
        """How it stands."""


class Worker:
    """Joins a master, does as it says, reports; `run` ends when the master does."""

    def __init__(self, host: str, port: int, fleet: Callable[[Statistics], Fleet], *, of: int | None = None) -> None:
        self.id = f"{socket.gethostname()}_{uuid4().hex}"
        self.statistics = Statistics(time.time)
        self.state = READY
        self.index = 0
        self._of = of
        self._new_fleet = fleet
        self._fleet: Fleet | None = None
        self._classes: dict[str, int] = {}
        self._spawned_at = 0.0
        self._unheard = 0
        self._orders: asyncio.Queue[Message] = asyncio.Queue()
        self._complaints: list[str] = []
        self._check = SelfCheck()
        self._process = psutil.Process(os.getpid())
        self._address = f"tcp://{f'[{host}]' if ':' in host else host}:{port}"
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, self.id.encode())
        self._socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        self._socket.setsockopt(zmq.IPV6, int(":" in host))

    # --- life --------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the master says quit, or SIGINT or SIGTERM come. FotasimError when no master answers, or it falls silent.

        However it ends, the load stops at once, and the connections end one after the other.
        """
        self._socket.connect(self._address)
        beats: list[asyncio.Task[None]] = []
        try:
            await self._join()
            self._check.start()
            beats = [
                asyncio.ensure_future(work())
                for work in (self._beat, self._report_always, self._listen, self._obey_always)
            ]
            _on_signals(beats[0].cancel)
            await asyncio.wait(beats, return_when=asyncio.FIRST_COMPLETED)
            for task in beats:
                if task.done():
                    task.result()
        except asyncio.CancelledError:
            await self._leave()
            raise
        finally:
            for task in beats:
                task.cancel()
            await asyncio.gather(*beats, return_exceptions=True)
            await self._check.stop()
            await self._close_fleet(compare=False)
            self._socket.close()
            self._context.term()

    async def _leave(self) -> None:
        """Stops the load and tells the master what there is; it goes on without this worker."""
        left = self._fleet is not None
        if self._fleet is not None:
            self._fleet.halt()
        await self._report(final=True, judged=True, left=left)
        await self._send("quit", None)

    async def _join(self) -> None:
        """Says it is ready until the master has acknowledged."""
        for _ in range(CONNECT_TRIES):
            await self._send("client_ready", locust_version())
            with suppress(TimeoutError):
                async with asyncio.timeout(CONNECT_S):
                    while (message := await self._receive()).type != "ack":
                        pass
                self._acknowledged(message)
                return
        raise FotasimError(f"{self._address}: no Locust master answers")

    def _acknowledged(self, message: Message) -> None:
        self.index = int((message.data or {}).get("index", 0))

    async def _listen(self) -> None:
        """Takes in what the master says, however long an order takes; "stop" and "quit" end the load at once."""
        while True:
            message = await self._receive()
            self._unheard = 0
            if message.type in ("stop", "quit") and self._fleet is not None:
                self._fleet.halt()
            if message.type != "heartbeat":
                self._orders.put_nowait(message)

    async def _obey_always(self) -> None:
        """One order after the other, until the master says quit."""
        while (message := await self._orders.get()).type != "quit":
            await self._obey(message)
        await self._report(final=True, judged=True)  # a master that quits listens for half a second more
        await self._close_fleet(compare=False)

    async def _obey(self, message: Message) -> None:
        if message.type == "ack":
            self._acknowledged(message)
        elif message.type == "spawn":
            await self._spawn(message.data)
        elif message.type == "stop":
            await self._stop()
        elif message.type == "reconnect":
            self._socket.disconnect(self._address)
            self._socket.connect(self._address)
        elif message.type not in ("spawning_complete", "update_user_class"):
            logger.warning("the master sent %r, which this worker does not know", message.type)

    # --- what the master asks ----------------------------------------------------------------------------------------

    async def _spawn(self, job: dict[str, Any]) -> None:
        """The users of each class that are to run here; whatever the classes are, each user is a module."""
        await self._send("spawning", None)
        if job["timestamp"] <= self._spawned_at:
            return  # overtaken by a newer one
        self._spawned_at = job["timestamp"]
        self.state = SPAWNING
        classes = {str(name): int(count) for name, count in job["user_classes_count"].items()}
        fleet = self._fleet
        if fleet is None:
            fleet = await self._open(job)
            if fleet is None:
                return
        wanted = sum(classes.values())
        running = fleet.resize(wanted)
        if running < wanted:
            await self._complain(
                f"{wanted} modules are wanted here and the scenario's fleet has {running} for this worker"
            )
        self._classes = _as_many(classes, running)
        self.state = RUNNING
        await self._send("spawning_complete", self._users())

    async def _open(self, job: dict[str, Any]) -> Fleet | None:
        """A fleet for a new test; its error goes to the master."""
        self.statistics.begin()
        self._complaints = []
        workers = self._of or max(int((job.get("parsed_options") or {}).get("expect_workers") or 1), 1)
        fleet = self._new_fleet(self.statistics)
        try:
            await fleet.open(self.index % workers, workers)
        except FotasimError as error:
            await self._complain(str(error))
            self.state = READY
            return None
        if self.index >= workers:
            logger.warning("worker %d of %d takes the place of number %d", self.index, workers, self.index % workers)
        self._fleet = fleet
        self._check.look()
        return fleet

    async def _stop(self) -> None:
        await self._report(judged=True)
        compared = await self._close_fleet(compare=True)
        await self._report(final=True, compared=compared)
        await self._send("client_stopped", None)
        await self._send("client_ready", locust_version())
        self.state = READY

    async def _close_fleet(self, *, compare: bool) -> Reconciliation | None:
        fleet, self._fleet = self._fleet, None
        self._classes = dict.fromkeys(self._classes, 0)
        return None if fleet is None else await fleet.close(compare=compare)

    # --- what the master hears ---------------------------------------------------------------------------------------

    def _users(self) -> dict[str, Any]:
        return {"user_classes_count": self._classes, "user_count": sum(self._classes.values())}

    async def _beat(self) -> None:
        self._process.cpu_percent()
        while True:
            await self._send("heartbeat", {
                "state": self.state, "current_cpu_usage": self._process.cpu_percent(),
                "current_memory_usage": self._process.memory_info().rss,
            })  # fmt: skip
            await asyncio.sleep(HEARTBEAT_S)
            self._unheard += 1
            if self._unheard > MASTER_SILENT_BEATS:
                raise FotasimError(
                    f"{self._address}: the Locust master has left {MASTER_SILENT_BEATS} heartbeats unanswered"
                )

    async def _report_always(self) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            await self._report()

    async def _report(
        self, *, final: bool = False, judged: bool = False, left: bool = False, compared: Reconciliation | None = None
    ) -> None:  # fmt: skip
        """What happened since the last report; `judged`: the generator's health too, however little time went by.

        `left`: it goes while its modules were to run on.
        """
        data = {**self.statistics.report(), **self._users()}
        ours = data["fotasim"]
        ours.update(final=final, left=left, complaints=self._complaints, health=self._health(judged=judged))
        if self._fleet is not None:
            stands = asdict(self._fleet.snapshot())
            ours["faults"] = stands["faults"]
            ours["snapshot"] = {name: stands[name] for name in stands if name not in _MASTER_KNOWS}
        if compared is not None:
            ours["reconciliation"] = compared.as_dict()
        await self._send("stats", data)

    def _health(self, *, judged: bool) -> dict[str, Any] | None:
        """The generator's health once enough time has gone by to judge it."""
        if self._fleet is None or not (judged or self._check.span_s >= JUDGE_S):
            return None
        return self._check.look(sum(self._classes.values())).as_dict()

    async def _complain(self, text: str) -> None:
        """Shows among the exceptions of Locust, and in the report."""
        if text not in self._complaints and len(self._complaints) < MOST_COMPLAINTS:
            self._complaints.append(text)
        await self._send("exception", {"msg": text, "traceback": ""})

    # --- wire --------------------------------------------------------------------------------------------------------

    async def _send(self, kind: str, data: Any) -> None:
        await self._socket.send(Message(kind, data, self.id).encode())

    async def _receive(self) -> Message:
        while True:
            try:
                return decode(await self._socket.recv())
            except ProtocolError as error:
                logger.warning("%s", error)


_MASTER_KNOWS = ("latencies_s", "counts", "failures", "workers", "faults", "histograms")
"""Fields of a snapshot that it gets from the measurements themselves."""


def _on_signals(stop: Callable[[], object]) -> None:
    """The first SIGINT or SIGTERM stops gently, the second one ends the process."""
    loop = asyncio.get_running_loop()

    def once() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        stop()

    with suppress(NotImplementedError, ValueError, RuntimeError):  # not on every loop or thread
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, once)


def _as_many(classes: dict[str, int], running: int) -> dict[str, int]:
    """The classes' counts, cut off where no more modules run."""
    counts = {}
    for name, count in classes.items():
        counts[name] = min(count, running)
        running -= counts[name]
    return counts


def locust_version() -> str | int:
    """What a worker says it is: the installed Locust, whose protocol this is."""
    try:
        return metadata.version("locust")
    except metadata.PackageNotFoundError:
        return UNKNOWN_VERSION


__all__ = ["Fleet", "Worker", "locust_version"]
