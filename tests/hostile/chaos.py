"""A fault schedule drawn by seed over a live rollout, and the invariants that must hold at its end.

The cloud is a process of its own (kill, terminate, freeze, a disk that is full, a wall clock that jumps), with SQLite, with a
PostgreSQL that crashes, freezes or cuts its connections, or behind a mosquitto that restarts. The modules are the
independent ones of the service's tests, with hostile devices, junk requests and half-open connections beside them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from sim.wire.quecthing import frame, login
from tests.hostile.device import Raw, hello, hostile_payloads, uplink
from tests.service.cloud import AUTH, CloudProcess, prepare, settled
from tests.service.modules import RANDOM, FakeModule, Lost
from tests.service.stores import Mosquitto, PostgreSQL

STRATEGY = {
    "preset": "quectel", "delivery": {"push_interval": "2s"}, "retry": {"number_of_retries": 10}, "timeouts": {"in_progress": "15s"},
}  # fmt: skip
FAULTS = (
    "kill",
    "terminate",
    "freeze",
    "full",
    "slow",
    "drop",
    "lose",
    "double",
    "clock",
    "garbage",
    "requests",
    "half_open",
)
"""Of a cloud with SQLite and its own endpoint."""
SETUPS = {
    "sqlite": FAULTS,
    "postgresql": (*(f for f in FAULTS if f != "full"), "store_crash", "store_freeze", "store_cut"),
    "broker": (*(f for f in FAULTS if f not in ("drop", "half_open")), "broker_restart"),
}
"""Faults by what the cloud stands on. Behind a broker connections are the broker's: nothing there to drop or to leave open."""
WITHIN_S = 240.0
_SHIM = """
import os, time
real, path = time.time, os.environ["FOTASIM_TEST_CLOCK"]
def shifted():
    try:
        with open(path) as file:
            return real() + float(file.read() or 0)
    except OSError:
        return real()
time.time = shifted
from sim.cli import main
main()
"""


class Module(FakeModule):
    """Counts what it sends, whether it is acknowledged or not."""

    sent = 0

    async def status(self, status):
        self.sent += 1
        await super().status(status)


class Cloud(CloudProcess):
    """The command with a wall clock that can be set."""

    def __init__(self, folder: Path, *arguments: str):
        super().__init__(folder / "data", *arguments)
        self.clock = folder / "clock"
        self.clock.write_text("0")
        os.environ["FOTASIM_TEST_CLOCK"] = str(self.clock)

    def command(self) -> list[str]:
        return [sys.executable, "-c", _SHIM]

    def limit_file_size(self, size: int) -> None:
        """Files of the cloud must not grow beyond this: for SQLite a disk that is full."""
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@dataclass
class Result:
    """What a schedule did, and what did not hold at its end."""

    seed: int
    setup: str = "sqlite"
    faults: list[str] = field(default_factory=list)
    frames: int = 0
    requests: int = 0
    half_open: int = 0
    acknowledged: int = 0
    kills: int = 0
    rss_growth: float = 0.0
    violations: list[str] = field(default_factory=list)


@dataclass
class Scene:
    """What a fault needs: the cloud, what it stands on, a client of its API, and luck."""

    luck: random.Random
    cloud: Cloud
    client: httpx.AsyncClient
    live: dict
    result: Result
    cluster: PostgreSQL | None = None
    broker: Mosquitto | None = None


async def play(
    folder: Path, seed: int, *, modules: int = 300, faults: int = 6, setup: str = "sqlite", cluster: PostgreSQL | None = None
) -> Result:  # fmt: skip
    """One rollout under one schedule. `setup` is one of SETUPS; `cluster` is the running one of "postgresql"."""
    luck, result = random.Random(seed), Result(seed, setup)
    broker = Mosquitto(folder) if setup == "broker" else None
    arguments = []
    if broker is not None:
        await asyncio.to_thread(broker.start)
        arguments = ["--broker", broker.url]
    elif setup == "postgresql":
        arguments = ["--db", cluster.new_database()]
    cloud = Cloud(folder, *arguments)
    told = await asyncio.to_thread(cloud.start)
    tasks: list[asyncio.Task] = []
    try:
        async with httpx.AsyncClient(base_url=told["http"], headers=AUTH, timeout=60) as client:
            plan = await prepare(client, size=100_000, strategy=STRATEGY)
            live = {**(await client.get("/api/v1/live")).json(), "broker": broker is not None}
            fleet = [Module(live, f"8661{i:06d}") for i in range(modules)]
            tasks = [asyncio.ensure_future(module.run()) for module in fleet]
            scene = Scene(luck, cloud, client, live, result, cluster, broker)
            for number in range(faults):
                await _progress(fleet, (number + 1) / (faults + 1))
                fault = luck.choice(SETUPS[setup])
                result.faults.append(fault)
                await _STRIKES[fault](scene)
            await client.put("/api/v1/faults", json={})
            await _check(client, plan, fleet, result)
    finally:
        await _end(tasks, cloud, broker, result)
    errors = folder / "data" / "errors.log"
    if errors.exists():  # of every process of the cloud, also of those that were killed
        result.violations.append(f"an error inside: {errors.read_text()[:4000]}")
    return result


async def _end(tasks, cloud, broker, result) -> None:
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            result.violations.append(f"a module ended by {ended!r}")
    if cloud.process.poll() is None:
        await asyncio.to_thread(cloud.kill)
    if broker is not None:
        await asyncio.to_thread(broker.stop)


async def _progress(fleet, share) -> None:
    """Returns when that share of the reports of a rollout was acknowledged, or after a while."""
    wanted, end = share * 6 * len(fleet), time.monotonic() + 20.0
    while sum(len(m.acked) for m in fleet) < wanted and time.monotonic() < end:
        await asyncio.sleep(0.02)


# --- faults: each one, and what ends it ------------------------------------------------------------------------------


async def _kill(scene) -> None:
    scene.result.kills += 1
    scene.cloud.kill()
    await asyncio.to_thread(scene.cloud.start)


async def _terminate(scene) -> None:
    try:
        status = await asyncio.to_thread(scene.cloud.stop)
    except subprocess.TimeoutExpired as error:
        scene.cloud.kill()
        status = f"nothing within {error.timeout:g} s"
    if status != 143:
        scene.result.violations.append(f"SIGTERM ended with {status}")
    await asyncio.to_thread(scene.cloud.start)


async def _freeze(scene) -> None:
    await _frozen(scene, [psutil.Process(scene.cloud.process.pid)])


async def _frozen(scene, processes) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGSTOP)
    await _a_while(scene)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)


async def _a_while(scene) -> None:
    await asyncio.sleep(scene.luck.uniform(0.2, 2.0))


async def _full(scene) -> None:
    scene.cloud.limit_file_size(4096)
    await _a_while(scene)
    scene.cloud.limit_file_size(resource.RLIM_INFINITY)


async def _clock(scene) -> None:
    scene.cloud.clock.write_text(str(scene.luck.choice((-86400, -3600, -60, 60, 3600, 86400))))


async def _store_crash(scene) -> None:
    await asyncio.to_thread(scene.cluster.crash)
    await _a_while(scene)
    await asyncio.to_thread(scene.cluster.start)


async def _store_freeze(scene) -> None:
    server = psutil.Process(scene.cluster.server.pid)
    await _frozen(scene, [server, *server.children(recursive=True)])


async def _store_cut(scene) -> None:
    await asyncio.to_thread(scene.cluster.cut)


async def _broker_restart(scene) -> None:
    await asyncio.to_thread(scene.broker.stop)
    await _a_while(scene)
    await asyncio.to_thread(scene.broker.start)


def _injected(**faults):
    """A fault that the cloud makes itself, until another one is injected."""

    async def strike(scene) -> None:
        with contextlib.suppress(httpx.HTTPError):
            await scene.client.put("/api/v1/faults", json={**faults, "seed": scene.luck.randrange(2**31)})

    return strike


def _attack(attack):
    """Something hostile, and what it does to the cloud's memory."""

    async def strike(scene) -> None:
        before = psutil.Process(scene.cloud.process.pid).memory_info().rss
        await attack(scene.luck, scene.client, scene.live, scene.result)
        after = psutil.Process(scene.cloud.process.pid).memory_info().rss
        scene.result.rss_growth = max(scene.result.rss_growth, after / before - 1.0)

    return strike


async def _garbage(luck, _client, live, result) -> None:
    """A device that has its secret and sends what no device should, until it is cut off, several times."""
    device = FakeModule(live, "hostile1")
    payloads = list(hostile_payloads())
    with contextlib.suppress(Lost, OSError, TimeoutError):
        if await device.connect() is None:
            return
        device.link.transport.abort()
        for _ in range(10):
            async with Raw(live) as raw:
                password = login.login_password(live["product_secret"], device.secret, RANDOM).encode()
                raw.send(hello(device.client_id, password))
                for _ in range(100):
                    command, payload = luck.choice(payloads)
                    if luck.random() < 0.3:
                        payload = luck.randbytes(luck.randrange(200))
                    raw.send(uplink(device.client_id, command, payload, 1 + luck.randrange(frame.MAX_PACKET_ID)))
                    result.frames += 1
                await raw.writer.drain()
                await raw.ended()


async def _requests(luck, client, _live, result) -> None:
    """Requests that no cloud should take, with the token and without."""
    bodies = (b"[" * 50_000, b'{"name": NaN}', b'{"name": "\\ud800"}', b"\xff" * 1000, b"{}", b'{"project_id": 1e999}')
    paths = ("projects", "products", "models", "versions", "plans", "plans/1", "plans/9/activate", "faults", "nothing")
    for _ in range(200):
        method, path = luck.choice(("GET", "POST", "PUT", "DELETE")), luck.choice(paths)
        if path == "plans/1" and method == "DELETE":
            continue
        headers = {
            "Content-Type": luck.choice(
                ("application/json", "multipart/form-data; boundary=" + "x" * luck.choice((1, 80, 5000)))
            )
        }
        if luck.random() < 0.3:
            headers["Authorization"] = "Bearer wrong"
        with contextlib.suppress(httpx.HTTPError):
            answer = await client.request(method, f"/api/v1/{path}", content=luck.choice(bodies), headers=headers)
            result.requests += 1
            if answer.status_code == 500:
                result.violations.append(f"{method} {path}: 500 {answer.text[:80]}")


async def _half_open(luck, _client, live, result) -> None:
    """Connections that say nothing, or half of something."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(100):
            with contextlib.suppress(OSError):
                raw = await stack.enter_async_context(Raw(live))
                raw.send(hello("qdx", b"1;0000;x;y")[: luck.randrange(30)])
                result.half_open += 1
        await asyncio.sleep(0.2)


_STRIKES = {
    "kill": _kill, "terminate": _terminate, "freeze": _freeze, "full": _full, "clock": _clock,
    "slow": _injected(slow_s=0.2), "drop": _injected(drop_connection=0.05), "lose": _injected(lose_message=0.1),
    "double": _injected(double_message=0.3), "garbage": _attack(_garbage), "requests": _attack(_requests),
    "half_open": _attack(_half_open), "store_crash": _store_crash, "store_freeze": _store_freeze, "store_cut": _store_cut,
    "broker_restart": _broker_restart,
}  # fmt: skip


async def _check(client, plan, fleet, result) -> None:
    """Everyone accounted for on both sides, nothing acknowledged lost, nothing counted that was not sent."""
    try:
        counts = await settled(client, plan, {"succeeded": len(fleet)}, within_s=WITHIN_S)
        await asyncio.wait_for(asyncio.gather(*(m.done.wait() for m in fleet)), 60)
    except (AssertionError, TimeoutError) as error:
        result.violations.append(f"not everyone came through: {str(error)[:200]}")
        counts = (await client.get(f"/api/v1/plans/{plan}/counts")).json()
    if sum(counts["states"].values()) != counts["devices"]:
        result.violations.append(f"{counts['devices']} devices, {counts['states']}")
    known = {}
    for page in range(1, 3 + len(fleet) // 1000):
        listed = await client.get(f"/api/v1/plans/{plan}/devices", params={"size": 1000, "page": page})
        known.update({d["device_key"]: d for d in listed.json()["devices"]})
    for module in fleet:
        device = known.pop(module.key, None)
        result.acknowledged += len(module.acked)
        if device is None:
            result.violations.append(f"{module.key} is not in the plan")
        elif not len(module.acked) <= device["reports"] <= module.sent:
            result.violations.append(
                f"{module.key}: acknowledged {len(module.acked)}, counted {device['reports']}, sent {module.sent}"
            )
        elif (device["state"] == "succeeded") != (module.version == "1.1.0"):
            result.violations.append(f"{module.key} is {device['state']} and runs {module.version}")
    if set(known) - {"hostile1"}:
        result.violations.append(f"nobody knows {sorted(known)[:3]}")
    health = (await client.get("/api/v1/health")).json()
    if health["errors"] or health["rejected_rows"]:
        result.violations.append(f"errors inside: {health}")
