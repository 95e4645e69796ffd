"""A native worker beside Locust's own MQTT user, in one run: memory per module, messages per CPU second.

    python benchmarks/load.py [--modules 2000] [--users 300] [--seconds 20]

Both talk to the same kind of MQTT endpoint in this process, under a real Locust. In the first two lines the work is the
same: 200 bytes published at QoS 1 and had back, as often as the process can, every exchange in Locust's statistics. In
the third the native worker's modules live whole upgrades (log in, ask, confirm, download 5 kB, report). Messages are those the endpoint received and sent; CPU and memory are those of the process
that carries the users, so that other work on this machine does not change the figures much.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sim.engines.live.link import Link, Links
from sim.engines.live.run import loop_factory
from sim.load.launch import LOCUSTFILE
from sim.load.protocol import Statistics
from sim.load.worker import Worker
from sim.scenario.load import dump
from sim.service.endpoint import Endpoint
from tests.live_cloud import LiveCloud
from tests.support import HARMLESS, scenario

PEER = """\
import secrets
from locust import constant, task
from locust.contrib.mqtt import MqttUser

class Peer(MqttUser):
    host, port = "127.0.0.1", {port}
    wait_time = constant(0.01)

    def on_start(self):
        self.topic = "bench/" + secrets.token_hex(8)
        while not self.client.is_connected():
            import gevent
            gevent.sleep(0.05)
        self.client.subscribe(self.topic, 1)

    @task
    def exchange(self):
        self.client.publish(self.topic, bytes(200), 1)
"""


@dataclass
class Figures:
    """What one way cost."""

    users: int
    messages: int
    cpu_s: float
    bytes_per_user: float

    @property
    def messages_per_cpu_s(self) -> float:
        """Messages both ways for each second of CPU."""
        return self.messages / self.cpu_s


class Meter:
    """CPU and memory of a process from now on."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._cpu = self._seconds()
        self._rss = process.memory_info().rss
        self.most = self._rss

    def _seconds(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def look(self) -> None:
        """Keeps the largest memory seen."""
        self.most = max(self.most, self._process.memory_info().rss)

    def figures(self, users: int, messages: int) -> Figures:
        """Since it was made."""
        return Figures(users, messages, self._seconds() - self._cpu, (self.most - self._rss) / users)


def main() -> None:
    """Measures both and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", type=int, default=2000, help="modules of the native worker")
    parser.add_argument(
        "--users", type=int, default=300, help="users that exchange messages; paho under gevent stops at 339"
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="how long they do")
    parser.add_argument("--child", type=int, nargs=2, metavar=("ENDPOINT", "MASTER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _echo_worker(*arguments.child)
        return
    print(
        f"cores {os.cpu_count()}, Python {sys.version.split()[0]}, Locust {version('locust')}, paho {version('paho-mqtt')}"
    )
    with tempfile.TemporaryDirectory() as folder:
        echo = asyncio.run(_echo(arguments.users, arguments.seconds, Path(folder), native=True))
        peer = asyncio.run(_echo(arguments.users, arguments.seconds, Path(folder), native=False))
        whole = asyncio.run(_whole(arguments.modules, Path(folder)))
    print(f"{'':<34}{'users':>8}{'KB each':>10}{'messages':>12}{'messages per CPU s':>20}")
    for name, found in (
        ("native worker", echo),
        ("locust.contrib.mqtt", peer),
        ("native worker, whole upgrades", whole),
    ):
        print(
            f"{name:<34}{found.users:>8,}{found.bytes_per_user / 1000:>10.1f}{found.messages:>12,}"
            f"{found.messages_per_cpu_s:>20,.0f}"
        )
    print(
        f"same work: {echo.messages_per_cpu_s / peer.messages_per_cpu_s:.1f} x the messages per core; memory "
        f"{peer.bytes_per_user / echo.bytes_per_user:.1f} x less, whole modules {peer.bytes_per_user / whole.bytes_per_user:.1f} x less"
    )


class EchoUser:
    """Publishes, waits until it has its message back, and again; owner of its link."""

    def __init__(self, fleet: EchoFleet) -> None:
        self._fleet = fleet
        self._sent_at = 0.0
        self.topic = f"bench/{id(self):x}"
        fleet.links.dial(self, f"native-{id(self):x}", "", self.topic)

    def on_up(self, link: Link) -> None:
        """See LinkOwner."""
        self._exchange(link)

    def _exchange(self, link: Link) -> None:
        self._sent_at = time.monotonic()
        link.publish(self.topic.encode(), bytes(200), 1)

    def on_message(self, link: Link, topic: str, payload: bytes) -> None:  # noqa: ARG002
        """See LinkOwner."""
        self._fleet.statistics.add("request", time.monotonic() - self._sent_at)
        self._exchange(link)

    def on_acknowledged(self, link: Link, packet_id: int) -> None:
        """See LinkOwner."""

    def on_down(self, link: Link, code: int) -> None:
        """See LinkOwner."""


class EchoFleet:
    """Users that exchange messages, for a native worker."""

    def __init__(self, statistics: Statistics, port: int) -> None:
        self.statistics, self.count, self._port = statistics, 0, port
        self._users: list[EchoUser] = []

    async def open(self, index: int, of: int) -> None:  # noqa: ARG002 - of the protocol
        """See Fleet."""
        self.links = Links("127.0.0.1", self._port)

    def resize(self, count: int) -> int:
        """See Fleet; it only grows."""
        self._users += [EchoUser(self) for _ in range(count - self.count)]
        self.count = count
        return count

    async def close(self) -> None:
        """See Fleet."""
        await self.links.close()


def _echo_worker(endpoint: int, master: int) -> None:
    """The process of a native worker."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(Worker("127.0.0.1", master, lambda statistics: EchoFleet(statistics, endpoint)).run())


async def _whole(modules: int, folder: Path) -> Figures:
    """A master and one worker; from the worker's first connection until every module has reported its upgrade."""
    given = scenario(
        *HARMLESS, f"fleet.size={modules}", "fleet.groups.0.power=mains", "fleet.groups.0.rsrp_dbm=-85",
        "fleet.groups.0.free_space=10 MB", "fleet.groups.0.check_in=always", "plan.components.fw.size=5 kB",
    )  # fmt: skip
    (folder / "s.yaml").write_text(dump(given), encoding="utf-8")
    cloud = LiveCloud(given)
    await cloud.start()
    port = 15600 + os.getpid() % 1000
    launcher = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sim.cli", "load", str(folder / "s.yaml"), "--cloud", cloud.url, "--headless", "--ramp",
        "400/s", "--port", str(port), "--time-scale", "30", "--out", str(folder / "out"), "--duration", "300s",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not cloud.endpoint.counts.connects:
            await asyncio.sleep(0.02)
        meter = Meter(_worker(launcher.pid))
        counts = cloud.endpoint.counts
        before = counts.received + counts.sent
        while sum(bool(s) and s[-1] == 11 for s in cloud.statuses) < modules and launcher.returncode is None:
            await asyncio.sleep(0.2)
            meter.look()
        return meter.figures(modules, counts.received + counts.sent - before)
    finally:
        launcher.terminate()
        for child in psutil.Process(launcher.pid).children(recursive=True) if launcher.returncode is None else []:
            child.terminate()
        await launcher.wait()
        await cloud.stop()


def _worker(launcher: int) -> psutil.Process:
    """The worker among the launcher's processes."""
    return next(
        p
        for p in psutil.Process(launcher).children(recursive=True)
        if "--master" in p.cmdline() and "sim.cli" in p.cmdline()
    )


async def _echo(users: int, seconds: float, folder: Path, *, native: bool) -> Figures:
    """Memory from before the users until all are there, messages while they are."""
    endpoint = Endpoint(
        lambda *_: True, lambda client, topic, payload: (endpoint.publish(client, topic, payload, 1), None)[1]
    )
    await endpoint.start()
    started = [await _start(command) for command in _commands(users, folder, endpoint.port, native=native)]
    try:
        while not endpoint.counts.connects:
            await asyncio.sleep(0.02)
        process = psutil.Process(started[-1].pid)
        memory = Meter(process)
        while len(endpoint.clients) < users:
            await asyncio.sleep(0.2)
        await asyncio.sleep(3.0)
        memory.look()
        work, before = Meter(process), endpoint.counts.received + endpoint.counts.sent
        await asyncio.sleep(seconds)
        messages = endpoint.counts.received + endpoint.counts.sent - before
        return Figures(users, messages, work.figures(users, messages).cpu_s, memory.figures(users, 0).bytes_per_user)
    finally:
        for process_ in reversed(started):
            with suppress(ProcessLookupError):
                process_.terminate()
            await process_.wait()
        await endpoint.stop()


def _commands(users: int, folder: Path, port: int, *, native: bool) -> list[list[str]]:
    """What carries the users comes last."""
    locust = [sys.executable, "-m", "locust", "--headless", "-u", str(users), "-r", "100"]
    if not native:
        (folder / "peer.py").write_text(PEER.format(port=port), encoding="utf-8")
        return [[*locust, "-f", str(folder / "peer.py")]]
    master = 16600 + os.getpid() % 1000
    return [
        [*locust, "-f", str(LOCUSTFILE), "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(master), "--expect-workers", "1"],
        [sys.executable, __file__, "--child", str(port), str(master)],
    ]  # fmt: skip


async def _start(command: list[str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )


if __name__ == "__main__":
    main()
