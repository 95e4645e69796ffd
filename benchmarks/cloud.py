"""How many durable status reports a second the mock cloud sustains on one core: `python benchmarks/cloud.py`.

Modules log in, take a plan, and then report "downloading" (command 0x0114, QoS 2) at a fixed total rate, whether or not
the cloud keeps up. Every report is acknowledged only when it is committed (SQLite, synchronous=FULL). Measured from the
intended send: PUBREC, and over the whole run notice and URL. Cloud and client are pinned to a core each where possible.
"""

# ruff: noqa: D102 - the callbacks are named and described by the session
from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import numpy as np

from sim import messages as msg
from sim.wire.quecthing import commands, frame, login, ota
from sim.wire.session import ClientSession

RANDOM = "0123456789abcdef"
SCENARIO = Path(__file__).parent.parent / "scenarios" / "live_demo.yaml"


class Module(asyncio.Protocol):
    """One module: bootstrap, request, confirm, then status after status."""

    def __init__(self, live: dict, key: str, found: dict[str, list[float]]) -> None:
        self.live, self.found = live, found
        self.client_id = login.client_id(live["product_key"], key)
        self.key = key
        self.loop = asyncio.get_running_loop()
        self.sent: dict[int, float] = {}
        self.asked = self.confirmed = 0.0
        self.downloading = self.loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.session = ClientSession(self, transport.write)
        password = login.bootstrap_password(self.live["product_key"], self.live["product_secret"], self.key, RANDOM)
        self.session.connect(self.client_id, (login.subscription(self.client_id), 1), 0.0, password=password.encode())

    def data_received(self, data: bytes) -> None:
        self.session.receive(data, 0.0)

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.downloading.done():
            self.downloading.cancel()

    def on_connack(self, code: int) -> None:
        assert code == 0, code

    def on_suback(self, _codes: bytes) -> None:
        """The secret follows by itself."""

    def on_message(self, _topic: str, payload: bytes, _qos: int, _packet_id: int) -> bool:
        now = self.loop.time()
        command = frame.decode(payload).command
        if command == commands.CONFIG:
            hello = msg.Hello(80.0, -90.0, 50_000_000, {"fw": "1.0.0"})
            self.publish(commands.STATUS_REPORT, commands.encode_status_report(hello), 1)
            self.publish(commands.INFO_REPORT, commands.encode_info_report(hello.versions, "fw"), 1)
            self.asked = now
            self.publish(commands.OTA_REQUEST, ota.encode_request(hello.versions, "fw"), 2)
        elif command == commands.OTA_NOTICE and self.confirmed == 0.0:
            self.found["notice"].append(now - self.asked)
            self.status(msg.PLAN_RECEIVED)
            self.confirmed = now
            self.status(msg.SUBMITTED)
        elif command == commands.OTA_URL and not self.downloading.done():
            self.found["url"].append(now - self.confirmed)
            self.status(msg.DOWNLOAD_START)
            self.downloading.set_result(None)
        return True

    def on_acknowledged(self, packet_id: int) -> None:
        intended = self.sent.pop(packet_id, None)
        if intended is not None:
            self.found["acknowledged"].append(self.loop.time() - intended)

    def on_unacknowledged(self, packet_id: int) -> None:
        self.sent.pop(packet_id, None)

    def on_silence(self, what: str) -> None:
        raise RuntimeError(what)

    def publish(self, command: int, payload: bytes, qos: int) -> int:
        topic = login.uplink_topic(self.client_id, commands.topic_kind(command)).encode()
        return self.session.publish(topic, frame.encode(1, command, payload), qos, 0.0)

    def status(self, status: int) -> int:
        return self.publish(commands.OTA_STATUS, ota.encode_status(ota.Status(status, "fw")), 2)

    def beat(self, intended: float) -> None:
        """One more "downloading"; its time counts from when it was due."""
        self.sent[self.status(msg.DOWNLOADING)] = intended


async def load(live: dict, count: int, ramp: float, rates: list[float], seconds: float) -> list[dict]:
    """Connects the modules and offers each rate for that long; one row of results for each."""
    found: dict[str, list[float]] = {"notice": [], "url": [], "acknowledged": []}
    where = urlsplit(live["mqtt"])
    loop = asyncio.get_running_loop()
    modules = []
    start = loop.time()
    for i in range(count):
        await asyncio.sleep(max(0.0, start + i / ramp - loop.time()))
        module = Module(live, f"8661{i:08d}", found)
        await loop.create_connection(lambda made=module: made, where.hostname, where.port)
        modules.append(module)
    await asyncio.wait_for(asyncio.gather(*(m.downloading for m in modules)), 120)
    rows = [{"phase": f"connecting at {ramp:g}/s", **_figures("notice", found), **_figures("url", found)}]
    for rate in rates:
        found["acknowledged"].clear()
        start, sent = loop.time(), 0
        while (now := loop.time()) < start + seconds:
            while sent < (now - start) * rate:
                modules[sent % count].beat(start + sent / rate)
                sent += 1
            await asyncio.sleep(0.002)
        took_s = max(loop.time() - start, 1e-9)
        done = len(found["acknowledged"])
        await asyncio.sleep(1.0)
        rows.append(
            {
                "phase": f"offered {rate:g}/s",
                "acknowledged_per_s": round(done / took_s),
                **_figures("acknowledged", found),
            }
        )
    return rows


def _figures(name: str, found: dict[str, list[float]]) -> dict[str, float]:
    values = 1e3 * np.array(found[name] or [np.nan])
    return {
        f"{name}_p50_ms": round(float(np.median(values)), 1),
        f"{name}_p99_ms": round(float(np.quantile(values, 0.99)), 1),
    }


async def live_of(http: str, token: str) -> dict:
    """What the cloud tells a fleet that has its token."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.get(f"{http}/api/v1/live") as answer,
    ):
        return await answer.json()


def pinned(core: int, command: list[str]) -> list[str]:
    """The command on one core, where there are two."""
    return (
        ["taskset", "-c", str(core), *command]
        if (os.cpu_count() or 1) > 1 and Path("/usr/bin/taskset").exists()
        else command
    )


def main() -> None:
    """Runs the benchmark and prints one line for each phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", type=int, default=2000)
    parser.add_argument("--ramp", type=float, default=200.0)
    parser.add_argument("--rates", type=float, nargs="+", default=[1000, 2000, 3000, 4000])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--db", help="another store than SQLite")
    given = parser.parse_args()
    token = secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "sim.cli", "cloud", "--json", "--mqtt", "0", "--http", "0", "--data", folder]
        command += ["--scenario", str(SCENARIO), "--activate", *(["--db", given.db] if given.db else [])]
        cloud = subprocess.Popen(
            pinned(0, command), env={**os.environ, "FOTASIM_TOKEN": token}, stdout=subprocess.PIPE, text=True
        )
        try:
            told = json.loads(cloud.stdout.readline())
            if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
                os.sched_setaffinity(0, {1})
            import uvloop

            async def run() -> list[dict]:
                return await load(
                    await live_of(told["http"], token), given.modules, given.ramp, given.rates, given.seconds
                )

            before = time.process_time()
            for row in uvloop.run(run()):
                print(json.dumps(row))
            print(json.dumps({"client_cpu_s": round(time.process_time() - before, 1), "modules": given.modules}))
        finally:
            cloud.terminate()
            cloud.wait(30)


if __name__ == "__main__":
    main()
