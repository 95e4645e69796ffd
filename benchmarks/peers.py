"""fotasim's clients beside those of others, in one run: MQTT round trips, and HTTP requests beside wrk.

    python benchmarks/peers.py [--clients 300] [--seconds 10] [--repeat 3]

MQTT: as many clients each publish 200 bytes at QoS 1 to a topic of their own on mosquitto, and again as soon as they are back.
HTTP: nginx hands out a file, a new connection for each request, 100 at once. What counts is how much a client does in a second
of its own CPU, user and system; servers have a core of their own where there are two. All take turns --repeat times and the
median is shown, since on a busy host single figures differ by a third. What is not installed is left out, and said: a C compiler
with libmosquitto, aiomqtt, Locust, nginx, wrk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.servers import CLIENT_CORE, mosquitto, nginx, pinned

PAYLOAD = bytes(200)
SETTLE_S = 1.0
AT_ONCE = 100
"""HTTP requests under way."""
SIZES = {"1 kB": 1000, "256 KiB": 256 * 1024}
C_SOURCE = Path(__file__).with_name("mqtt_round_trips.c")
C_BINARY = "FOTASIM_BENCHMARK_C_CLIENT"
PATIENCE_S = 120.0
FORMAT = "{:<36}{:>12}{:>12}{:>26}"
Row = dict[str, float]
"""`count`, what was done within `seconds`, and the `cpu_s` it took."""


def main() -> None:
    """Measures what is installed and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=300, help="paho under gevent stops at 339")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--child", nargs=2, metavar=("NAME", "TARGET"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        name, target = given.child
        print(json.dumps((HTTP if target.startswith("http") else MQTT)[name](target, given.clients, given.seconds)))
        return
    print(
        f"cores {os.cpu_count()}, Python {sys.version.split()[0]}; {given.clients} clients, {given.seconds:g} s, median of {given.repeat}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ[C_BINARY] = _compiled(folder)
        with mosquitto() as port:
            _table("QoS 1 round trips, mosquitto", MQTT, str(port), given)
        for size, length in SIZES.items() if shutil.which("nginx", path="/usr/sbin:/usr/bin") else ():
            with nginx(folder, bytes(length)) as url:
                _table(f"GET of {size}, nginx", HTTP, f"{url}/package.bin", given)


def _compiled(folder: Path) -> str:
    """The C client's program; "" where it cannot be compiled."""
    target, compiler = folder / "mqtt_round_trips", shutil.which("cc")
    if compiler is None:
        return ""
    done = subprocess.run([compiler, "-O2", "-o", target, C_SOURCE, "-lmosquitto"], capture_output=True, check=False)
    return "" if done.returncode else str(target)


def _table(what: str, clients: dict[str, Callable[..., Row]], target: str, given: argparse.Namespace) -> None:
    """Every client in turn, again and again; medians, and the ratio to fotasim's."""
    found: dict[str, list[Row]] = {}
    for _ in range(given.repeat):
        for name in clients:
            if MISSING.get(name, lambda: False)():
                continue
            command = [*pinned(CLIENT_CORE), sys.executable, __file__, "--child", name, target]
            command += ["--clients", str(given.clients), "--seconds", str(given.seconds)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
            if done.returncode:
                raise SystemExit(f"{name}: status {done.returncode}: {done.stderr[-2000:]}")
            found.setdefault(name, []).append(json.loads(done.stdout.splitlines()[-1]))
    print("\n" + FORMAT.format(what, "per second", "per CPU s", "per CPU s, of fotasim's"))
    for name in clients:
        if name not in found:
            print(f"{name:<36} not installed")
            continue
        per_s = median(row["count"] / row["seconds"] for row in found[name])
        per_cpu = {of: median(row["count"] / row["cpu_s"] for row in found[of]) for of in (name, OURS)}
        print(FORMAT.format(name, f"{per_s:,.0f}", f"{per_cpu[name]:,.0f}", f"{per_cpu[name] / per_cpu[OURS]:.2f}"))


class Window:
    """What is counted between two moments, and the CPU time of this process."""

    def __init__(self) -> None:
        self.count = 0

    def begin(self) -> None:
        """From now on."""
        self.count, self._began_s, self._cpu_s = 0, time.perf_counter(), time.process_time()

    def row(self) -> Row:
        """Since `begin`."""
        return {
            "count": self.count, "seconds": time.perf_counter() - self._began_s, "cpu_s": time.process_time() - self._cpu_s,
        }  # fmt: skip


def _on_uvloop(work: Any) -> Row:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


# --- MQTT ------------------------------------------------------------------------------------------------------------


class _Module:
    """A client of ours that sends itself a message, again and again."""

    def __init__(self, number: int, window: Window) -> None:
        self.topic, self._window = b"q/1/d/f%06d/bus" % number, window

    def on_up(self, link: Any) -> None:
        link.publish(self.topic, PAYLOAD, 1)

    def on_down(self, link: Any, code: int) -> None:
        raise SystemExit(f"a connection failed: {code} {link.why}")

    def on_message(self, link: Any, _topic: str, _payload: bytes) -> None:
        self._window.count += 1
        link.publish(self.topic, PAYLOAD, 1)

    def on_acknowledged(self, _link: Any, _packet_id: int) -> None:
        """Nothing to do."""


def _fotasim_mqtt(port: str, clients: int, seconds: float) -> Row:
    async def work() -> Row:
        from sim.engines.live.link import Links

        links, window = Links("127.0.0.1", int(port), username="bench"), Window()
        for number in range(clients):
            links.dial(_Module(number, window), f"f{number:06d}", "0;0000;x;y", f"q/1/d/f{number:06d}/+")
        while sum(link.up for link in links.open) < clients:
            await asyncio.sleep(0.05)
        await asyncio.sleep(SETTLE_S)
        window.begin()
        await asyncio.sleep(seconds)
        row = window.row()
        await links.close()
        return row

    return _on_uvloop(work())


def _aiomqtt(port: str, clients: int, seconds: float) -> Row:
    async def work() -> Row:
        import aiomqtt

        window, there = Window(), []

        async def live(number: int) -> None:
            topic = f"q/1/d/a{number:06d}/bus"
            async with aiomqtt.Client("127.0.0.1", int(port), identifier=f"a{number:06d}", timeout=60) as client:
                await client.subscribe(topic, qos=1)
                there.append(number)
                messages = client.messages
                while True:
                    await client.publish(topic, PAYLOAD, qos=1)
                    await anext(messages)
                    window.count += 1

        tasks = [asyncio.create_task(live(number)) for number in range(clients)]
        while len(there) < clients:
            await asyncio.sleep(0.05)
        await asyncio.sleep(SETTLE_S)
        window.begin()
        await asyncio.sleep(seconds)
        row = window.row()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return row

    return _on_uvloop(work())


def _locust(port: str, clients: int, seconds: float) -> Row:
    """Locust's MqttUser as it comes, every exchange among Locust's statistics."""
    import gevent
    from gevent.event import Event
    from locust import constant, task
    from locust.contrib.mqtt import MqttUser
    from locust.env import Environment

    window, there = Window(), []

    class Peer(MqttUser):
        host, wait_time = "127.0.0.1", constant(0)

        def on_start(self) -> None:
            self.topic, self.came = f"q/1/d/l{id(self):x}/bus", Event()
            self.client.on_message = lambda *_: self.came.set()
            while not self.client.is_connected():
                gevent.sleep(0.05)
            self.client.subscribe(self.topic, 1)
            there.append(self)

        @task
        def exchange(self) -> None:
            self.came.clear()
            self.client.publish(self.topic, PAYLOAD, 1)
            if self.came.wait(30):
                window.count += 1

    Peer.port = int(port)
    runner = Environment(user_classes=[Peer]).create_local_runner()
    runner.start(clients, spawn_rate=100)
    until = time.monotonic() + 60
    while len(there) < clients and time.monotonic() < until:
        gevent.sleep(0.1)
    gevent.sleep(SETTLE_S)
    window.begin()
    gevent.sleep(seconds)
    row = window.row()
    print(json.dumps(row), flush=True)
    os._exit(0)  # its threads wait without end


def _c_client(port: str, clients: int, seconds: float) -> Row:
    command = [os.environ[C_BINARY], port, str(clients), str(seconds)]
    row: Row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {**row, "count": row["trips"]}


# --- HTTP ------------------------------------------------------------------------------------------------------------


def _fotasim_http(url: str, _clients: int, seconds: float) -> Row:
    """A module's downloader, without the module: a Range request for the whole file."""

    async def work() -> Row:
        from sim.engines.live.fetch import Ask, ThinDownloader

        downloader, window = ThinDownloader(), Window()
        ask = Ask(url, 0, await _length(url) - 1, 0)

        async def fetch() -> None:
            while True:
                await downloader.get(ask, lambda: None, lambda _data: 0.0)
                window.count += 1

        tasks = [asyncio.create_task(fetch()) for _ in range(AT_ONCE)]
        await asyncio.sleep(SETTLE_S)
        window.begin()
        await asyncio.sleep(seconds)
        row = window.row()
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return row

    return _on_uvloop(work())


async def _length(url: str) -> int:
    """The size of the file."""
    import aiohttp

    async with aiohttp.ClientSession() as session, session.head(url) as answer:
        return int(answer.headers["Content-Length"])


def _wrk(url: str, _clients: int, seconds: float) -> Row:
    command = ["wrk", "-t", "1", "-c", str(AT_ONCE), "-d", f"{max(1, round(seconds))}s", "-H", "Connection: close", url]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = re.search(r"(\d+) requests in ([\d.]+)s", out)
    if found is None:
        raise SystemExit(f"wrk said something else: {out}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"count": int(found[1]), "seconds": float(found[2]), "cpu_s": cpu_s}


OURS = "fotasim"
MQTT: dict[str, Callable[[str, int, float], Row]] = {
    OURS: _fotasim_mqtt, "libmosquitto (C), one thread": _c_client, "aiomqtt on uvloop": _aiomqtt,
    "Locust's MqttUser (paho, gevent)": _locust,
}  # fmt: skip
HTTP: dict[str, Callable[[str, int, float], Row]] = {OURS: _fotasim_http, "wrk, one thread": _wrk}
MISSING: dict[str, Callable[[], bool]] = {
    "libmosquitto (C), one thread": lambda: not os.environ[C_BINARY], "aiomqtt on uvloop": lambda: find_spec("aiomqtt") is None,
    "Locust's MqttUser (paho, gevent)": lambda: find_spec("locust") is None, "wrk, one thread": lambda: shutil.which("wrk") is None,
}  # fmt: skip


if __name__ == "__main__":
    main()
