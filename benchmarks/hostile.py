"""Garbage frames, hostile requests and half-open connections by the million: `python -m benchmarks.hostile`.

One `fotasim cloud` as a user starts it; honest modules report twice a second and note how long each acknowledgement takes, before
and during each attack. Attackers are processes of their own at a lower priority, as they would not share a
machine with the cloud, and send at a steady rate; where there are several cores the cloud has the first and everybody else the
others. Prints what was sent, restarts, memory, the 99th percentiles, and the processor time that one hostile frame, request or
connection costs the cloud: that figure does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil

from sim.wire.quecthing import commands, frame, login
from tests.hostile.device import Raw, hello, hostile_payloads, uplink
from tests.service.cloud import AUTH, TOKEN, CloudProcess, prepare
from tests.service.modules import RANDOM, FakeModule, Lost

HONEST = 40
REPORT_EVERY_S = 0.5
QUIET_S = 30.0
SOURCES = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")
MAX_HELD = 1600
"""Half-open connections held at once by one attacker, as far as the cloud leaves them."""
WORKERS = 8
Live = dict[str, Any]
Attack = Callable[[Live, int, int, float], Coroutine[Any, Any, int]]
"""Where the cloud is, which worker, how much, how much a second; gives how much it was."""


@dataclass
class Honest:
    """Modules that do what modules do, and how long the cloud takes to acknowledge it."""

    live: dict
    tasks: list[asyncio.Task] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    lost: int = 0

    def start(self) -> None:
        """Connects them; they report until `stop`."""
        self.tasks = [asyncio.ensure_future(self._report(i)) for i in range(HONEST)]

    async def stop(self) -> None:
        """Ends them."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _report(self, number: int) -> None:
        module = FakeModule(self.live, f"8661{number:06d}")
        await asyncio.sleep(number / HONEST * REPORT_EVERY_S)
        await module.connect()
        await module.introduce()
        condition = commands.encode_info_report({"fw": "1.0.0"}, "fw")
        while True:
            before = time.perf_counter()
            try:
                await module.link.publish(module.client_id, commands.INFO_REPORT, condition, 1)
            except Lost:
                self.lost += 1
                await module.connect()
                continue
            self.waits_s.append(time.perf_counter() - before)
            await asyncio.sleep(REPORT_EVERY_S)

    def p99_ms(self, since: int) -> float:
        """The 99th percentile of the waits from that one on."""
        return float(np.percentile(self.waits_s[since:], 99)) * 1000


async def paced(count: int, rate: float, act: Callable[[], Awaitable[int]]) -> int:
    """Calls `act` until it has counted to `count`, at `rate` a second; what it has come to."""
    began, done = time.monotonic(), 0
    while done < count:
        await asyncio.sleep(max(0.0, began + done / rate - time.monotonic()))
        done += await act()
    return done


# --- attackers: each in a process of its own -------------------------------------------------------------------------


async def send_garbage(live: Live, worker: int, count: int, rate: float) -> int:
    """Frames with wrong values, random bytes and honest ones, of a device that has its secret; it is cut off again and again."""
    device, luck, payloads = FakeModule(live, f"hostile{worker}"), random.Random(worker), list(hostile_payloads())
    await device.connect()
    device.link.transport.abort()
    honest = uplink(device.client_id, commands.DATA_UP, b"")

    async def act() -> int:
        sent = 0
        with contextlib.suppress(OSError, TimeoutError):
            async with Raw(live) as raw:
                raw.send(
                    hello(
                        device.client_id, login.login_password(live["product_secret"], device.secret, RANDOM).encode()
                    )
                )
                await raw.packet()
                await raw.packet()
                for number in range(400):
                    command, payload = luck.choice(payloads)
                    if len(payload) > 4000 or luck.random() < 0.3:
                        payload = luck.randbytes(luck.randrange(200))
                    packet = uplink(device.client_id, command, payload, 1 + luck.randrange(frame.MAX_PACKET_ID))
                    raw.send(packet, honest) if number % 20 == 0 else raw.send(packet)
                    sent += 1
                    if sent % 40 == 0:
                        await raw.writer.drain()
                        await asyncio.sleep(0)
        return max(sent, 1)

    return await paced(count, rate, act)


async def send_requests(live: Live, worker: int, count: int, rate: float) -> int:
    """Requests that no cloud should take: JSON that is none, forms that are none, heads that are none, wrong tokens."""
    where, luck = urlsplit(live["http"]), random.Random(worker)
    refused: dict[str, int] = {}

    async def act() -> int:
        reader = writer = None
        sent = 0
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(where.hostname, where.port)
            for _ in range(20):
                writer.write(hostile_request(luck))
                sent += 1
                async with asyncio.timeout(30):
                    head = await reader.readuntil(b"\r\n\r\n")
                status = head.split(b" ")[1].decode()
                refused[status] = refused.get(status, 0) + 1
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
                await reader.readexactly(int(length or 0))
                if b"connection: close" in head.lower():
                    break
        if writer is not None:
            writer.transport.abort()
        return max(sent, 1)

    done = await paced(count, rate, act)
    if set(refused) & {"500", "502"}:
        raise AssertionError(f"an answer of 500: {refused}")
    return done


def hostile_request(luck: random.Random) -> bytes:
    """One request with one thing wrong."""
    method = luck.choice(("GET", "POST", "PUT", "DELETE", "PATCH", "TRACE"))
    path = luck.choice(
        (
            "projects",
            "products",
            "models",
            "versions",
            "plans/9",
            "plans/9/activate",
            "nothing",
            "%00",
            "plans/" + "9" * 400,
        )
    )
    body = luck.choice(
        (b"[" * 5000, b'{"name": NaN}', b'{"name": "\\ud800"}', b"\xff" * 1000, b"{}", b'{"project_id": 1e999}', b"")
    )
    token = luck.choice((TOKEN, TOKEN, "wrong", ""))
    kind = luck.choice(
        (
            "application/json",
            "multipart/form-data; boundary=b",
            "text/plain",
            "multipart/form-data; boundary=" + "x" * 300,
        )
    )
    odd = luck.choice(("", "", "Expect: 100-continue\r\n", "Range: bytes=9-1\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 1\r\n",
                       "Cookie: " + "a" * 4000 + "\r\n", "X: \x01\r\n", "Connection: upgrade\r\nUpgrade: websocket\r\n"))  # fmt: skip
    length = "" if "chunked" in odd else f"Content-Length: {len(body)}\r\n"
    if "chunked" in odd:
        body = luck.choice(
            (b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n", b"zz\r\n", b"-1\r\n\r\n")
        )
    head = f"{method} /api/v1/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\n{length}{odd}\r\n"
    return head.encode("latin-1") + body


async def hold_half_open(live: Live, worker: int, count: int, rate: float) -> int:
    """Connections that say nothing or half of something, to both ports, from four addresses of loopback, held until cut."""
    luck = random.Random(worker)
    ports = [(urlsplit(live[name]).hostname, urlsplit(live[name]).port) for name in ("mqtt", "http")]
    halves = (
        hello("qdx", b"1;0000;x;y"),
        b"POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"[:-2],
    )
    held: list[asyncio.StreamWriter] = []

    async def act() -> int:
        number = luck.randrange(2)
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(*ports[number], local_addr=(luck.choice(SOURCES), 0))
            writer.write(halves[number][: luck.randrange(len(halves[number]))])
            held.append(writer)
            if len(held) > MAX_HELD:
                held.pop(0).transport.abort()
        return 1

    done = await paced(count, rate, act)
    await asyncio.sleep(5.0)
    for writer in held:
        writer.transport.abort()
    return done


@dataclass
class Cost:
    """What the cloud's process spends, and has open, while the block runs."""

    process: psutil.Process
    descriptors: int = 0
    cpu_s: float = 0.0

    async def __aenter__(self) -> Cost:
        self._before = sum(self.process.cpu_times()[:2])
        self._task = asyncio.ensure_future(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        self.cpu_s = sum(self.process.cpu_times()[:2]) - self._before

    async def _look(self) -> None:
        while True:
            self.descriptors = max(self.descriptors, self.process.num_fds())
            await asyncio.sleep(0.5)


def apart(process: psutil.Process) -> None:
    """The cloud has the first core, and this process and its attackers have the others."""
    cores = psutil.Process().cpu_affinity()
    if len(cores) > 1:
        process.cpu_affinity(cores[:1])
        psutil.Process().cpu_affinity(cores[1:])


def ahead(pid: int) -> None:
    """A process and all its threads run before everything else on this machine: other work on it does not count."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setscheduler(int(task.name), os.SCHED_RR, os.sched_param(1))


def attacker(attack: Attack, live: Live, count: int, rate: float, told: Any) -> None:
    """Runs one attack in this process; tells how much it has sent."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(5)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)

    told.put("ready")  # what it costs to start a process is no part of the attack

    async def run() -> int:
        share = count // WORKERS
        return sum(await asyncio.gather(*(attack(live, worker, share, rate / WORKERS) for worker in range(WORKERS))))

    told.put(asyncio.run(run()))


async def under(attack: Attack, live: Live, count: int, rate: float, honest: Honest) -> tuple[int, float]:
    """One attack to its end: what was sent, and the 99th percentile of the honest waits meanwhile, in ms."""
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    process = context.Process(target=attacker, args=(attack, live, count, rate, told))
    process.start()
    await asyncio.to_thread(partial(told.get, timeout=60))
    await asyncio.sleep(2 * REPORT_EVERY_S)
    since = len(honest.waits_s)
    await asyncio.to_thread(process.join)
    if process.exitcode:
        raise SystemExit(f"the attacker ended with {process.exitcode}")
    return await asyncio.to_thread(partial(told.get, timeout=10)), honest.p99_ms(since)


# --- the measurement -------------------------------------------------------------------------------------------------


async def measure(cloud: CloudProcess, told: Live, given: argparse.Namespace) -> dict[str, float]:
    """All figures."""
    async with httpx.AsyncClient(base_url=told["http"], headers=AUTH, timeout=60) as client:
        await prepare(client, size=1000, activate=False)
        live = {**(await client.get("/api/v1/live")).json(), "http": told["http"]}
        honest, process = Honest(live), psutil.Process(cloud.process.pid)
        apart(process)
        if given.ahead:
            ahead(process.pid)
            ahead(os.getpid())
        honest.start()
        await asyncio.sleep(5.0)
        began, since = time.monotonic(), len(honest.waits_s)
        await asyncio.sleep(QUIET_S)
        figures = {
            "descriptors before": process.num_fds(),
            "undisturbed p99, ms": honest.p99_ms(since),
            "rss before, MiB": process.memory_info().rss / 2**20,
        }
        for name, attack, count, rate in (
            ("half-open connections", hold_half_open, given.half_open, given.half_open_per_s),
            ("hostile requests", send_requests, given.requests, given.requests_per_s),
            ("garbage frames", send_garbage, given.frames, given.frames_per_s),
        ):
            before = time.monotonic()
            async with Cost(process) as cost:
                figures[name], figures[f"p99 under {name}, ms"] = await under(attack, live, count, rate, honest)
            figures[f"processor under {name}"] = cost.cpu_s / (time.monotonic() - before)
            figures[f"processor time of one, µs, {name}"] = cost.cpu_s / figures[name] * 1e6
            figures[f"most descriptors under {name}"] = cost.descriptors
            figures[f"rss after {name}, MiB"] = process.memory_info().rss / 2**20
            print(json.dumps({key: round(value, 2) for key, value in figures.items()}), flush=True)
        since = len(honest.waits_s)
        await asyncio.sleep(QUIET_S)
        health = (await client.get("/api/v1/health")).json()
        await honest.stop()
        return figures | {
            "undisturbed p99 afterwards, ms": honest.p99_ms(since), "rss afterwards, MiB": process.memory_info().rss / 2**20,
            "honest reports": len(honest.waits_s), "honest connections lost": honest.lost, "restarts": int(cloud.process.poll() is not None),
            "errors inside": health["errors"], "rejected rows": health["rejected_rows"], "hours": (time.monotonic() - began) / 3600,
        }  # fmt: skip


def main() -> int:
    """Measures and prints; ends with 1 when the cloud ended, erred or grew by a fifth."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, count, rate in (("frames", 1_000_000, 4000), ("requests", 100_000, 400), ("half-open", 40_000, 2000)):
        parser.add_argument(f"--{name}", type=int, default=count)
        parser.add_argument(f"--{name}-per-s", type=float, default=rate)
    parser.add_argument(
        "--ahead",
        action="store_true",
        help="cloud and honest modules at real-time priority, before other work (Linux, root)",
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fotasim-hostile-") as folder:
        cloud = CloudProcess(Path(folder))
        told = cloud.start()
        try:
            figures = asyncio.run(measure(cloud, told, given))
        finally:
            if cloud.process.poll() is None:
                cloud.kill()
    for name, value in figures.items():
        print(f"{name}: {value:,.2f}" if isinstance(value, float) else f"{name}: {value:,}")
    grown = figures["rss afterwards, MiB"] / figures["rss before, MiB"] - 1.0
    print(f"growth of resident memory: {grown:.1%}")
    return int(bool(figures["restarts"] or figures["errors inside"] or figures["rejected rows"] or grown > 0.2))


if __name__ == "__main__":
    raise SystemExit(main())
