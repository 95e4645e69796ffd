"""A fault schedule drawn by seed over a live rollout, and the invariants that must hold at its end.

The cloud is a process of its own (kill, terminate, freeze, a disk that is full, a wall clock that jumps); the modules are
the independent ones of the service's tests, with hostile devices, junk requests and half-open connections beside them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import signal
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

    def __init__(self, folder: Path):
        super().__init__(folder / "data")
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
    faults: list[str] = field(default_factory=list)
    frames: int = 0
    requests: int = 0
    half_open: int = 0
    acknowledged: int = 0
    kills: int = 0
    rss_growth: float = 0.0
    violations: list[str] = field(default_factory=list)


async def play(folder: Path, seed: int, *, modules: int = 300, faults: int = 6) -> Result:
    """One rollout under one schedule."""
    luck, result = random.Random(seed), Result(seed)
    cloud = Cloud(folder)
    told = await asyncio.to_thread(cloud.start)
    tasks: list[asyncio.Task] = []
    try:
        async with httpx.AsyncClient(base_url=told["http"], headers=AUTH, timeout=60) as client:
            plan = await prepare(client, size=100_000, strategy=STRATEGY)
            live = (await client.get("/api/v1/live")).json()
            fleet = [Module(live, f"8661{i:06d}") for i in range(modules)]
            tasks = [asyncio.ensure_future(module.run()) for module in fleet]
            for number in range(faults):
                await _progress(fleet, (number + 1) / (faults + 1))
                await _strike(luck.choice(FAULTS), luck, cloud, client, live, result)
            await client.put("/api/v1/faults", json={})
            await _check(client, plan, fleet, result)
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                result.violations.append(f"a module ended by {ended!r}")
        if cloud.process.poll() is None:
            await asyncio.to_thread(cloud.kill)
    return result


async def _progress(fleet, share) -> None:
    """Returns when that share of the reports of a rollout was acknowledged, or after a while."""
    wanted, end = share * 6 * len(fleet), time.monotonic() + 20.0
    while sum(len(m.acked) for m in fleet) < wanted and time.monotonic() < end:
        await asyncio.sleep(0.02)


async def _strike(fault, luck, cloud, client, live, result) -> None:
    """One fault, and what ends it."""
    result.faults.append(fault)
    if fault == "kill":
        result.kills += 1
        cloud.kill()
        await asyncio.to_thread(cloud.start)
    elif fault == "terminate":
        status = await asyncio.to_thread(cloud.stop)
        if status != 143:
            result.violations.append(f"SIGTERM ended with {status}")
        await asyncio.to_thread(cloud.start)
    elif fault == "freeze":
        cloud.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(luck.uniform(0.2, 2.0))
        cloud.process.send_signal(signal.SIGCONT)
    elif fault == "full":
        cloud.limit_file_size(4096)
        await asyncio.sleep(luck.uniform(0.2, 2.0))
        cloud.limit_file_size(resource.RLIM_INFINITY)
    elif fault == "clock":
        cloud.clock.write_text(str(luck.choice((-86400, -3600, -60, 60, 3600, 86400))))
    elif fault in ("slow", "drop", "lose", "double"):
        given = {
            "slow": {"slow_s": 0.2},
            "drop": {"drop_connection": 0.05},
            "lose": {"lose_message": 0.1},
            "double": {"double_message": 0.3},
        }
        with contextlib.suppress(httpx.HTTPError):
            await client.put("/api/v1/faults", json={**given[fault], "seed": luck.randrange(2**31)})
    else:
        before = psutil.Process(cloud.process.pid).memory_info().rss
        await {"garbage": _garbage, "requests": _requests, "half_open": _half_open}[fault](luck, client, live, result)
        after = psutil.Process(cloud.process.pid).memory_info().rss
        result.rss_growth = max(result.rss_growth, after / before - 1.0)


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
