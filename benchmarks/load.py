"""A native worker beside Locust's own MQTT user, in one run: memory per module, messages per CPU second.

    python benchmarks/load.py [--modules 2000] [--users 300] [--seconds 20]

All talk to the same kind of MQTT endpoint in this process, under a real Locust. In the first two lines the work is the
same: 200 bytes published at QoS 1 and had back, as often as the process can, every exchange in Locust's statistics. In
the last two it is the same again: modules that live whole upgrades (log in, ask, confirm, download 5 kB, report), in a
native worker and as `ModuleUser` on gevent. Messages are those the endpoint received and sent, downloads not among
them; CPU and memory are those of the process that carries the users, so that other work on this machine does not change
the figures much.

Nothing is waited for without end: users that do not come for a while are told, with the reason if it is known, and the
figures are those of the users that are there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sim.engines.live.link import Link, Links
from sim.engines.live.live_run import loop_factory
from sim.engines.live.reconciliation import Reconciliation
from sim.engines.live.snapshot import Snapshot
from sim.load.locust_workers.launch import LOCUSTFILE
from sim.load.locust_workers.native_worker import Worker
from sim.load.locust_workers.worker_protocol import Statistics
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


MODULE = """\
from sim.load import ModuleUser

class Tracker(ModuleUser):
    scenario, time_scale = {scenario!r}, 30.0
"""
STALLED_S = 20.0
"""So long nobody new came, or nothing happened: it is not waited any longer."""
PAHO_UNDER_GEVENT = (
    "paho under gevent waits with select, which ends at file descriptor 1,024; each of its clients has three"
)
FORMAT = "{:<34}{:>8}{:>10}{:>12}{:>20}"


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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        echo = asyncio.run(_echo(arguments.users, arguments.seconds, folder, native=True))
        peer = asyncio.run(_echo(arguments.users, arguments.seconds, folder, native=False))
        whole = asyncio.run(_whole(arguments.modules, folder, native=True))
        blocking = asyncio.run(_whole(min(arguments.modules, arguments.users), folder, native=False))
    print(FORMAT.format("", "users", "KB each", "messages", "messages per CPU s"))
    for name, found in (
        ("native worker", echo), ("locust.contrib.mqtt", peer), ("native worker, whole upgrades", whole),
        ("ModuleUser, whole upgrades", blocking),
    ):  # fmt: skip
        print(FORMAT.format(
            name, f"{found.users:,}", f"{found.bytes_per_user / 1000:.1f}", f"{found.messages:,}",
            f"{found.messages_per_cpu_s:,.0f}",
        ))  # fmt: skip
    for what, ours, theirs in (("exchanges", echo, peer), ("whole upgrades", whole, blocking)):
        print(
            f"{what}: {ours.messages_per_cpu_s / theirs.messages_per_cpu_s:.1f} x the messages per core, "
            f"{theirs.bytes_per_user / ours.bytes_per_user:.1f} x less memory"
        )
    print(
        f"a module with its whole behaviour beside a bare MQTT user: {peer.bytes_per_user / whole.bytes_per_user:.1f} x less memory"
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

    def halt(self) -> None:
        """See Fleet."""

    async def close(self, *, compare: bool) -> Reconciliation:  # noqa: ARG002 - of the protocol
        """See Fleet."""
        await self.links.close()
        return Reconciliation()

    def snapshot(self) -> Snapshot:
        """See Fleet."""
        return Snapshot(0.0, 0.0, self.count, 0, {}, self.count, 0, self.links.sent, self.links.received, 0.0, {})


def _echo_worker(endpoint: int, master: int) -> None:
    """The process of a native worker."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(Worker("127.0.0.1", master, lambda statistics: EchoFleet(statistics, endpoint)).run())


async def _whole(modules: int, folder: Path, *, native: bool) -> Figures:
    """From the first connection until every module has reported its upgrade, or nothing more happens."""
    given = scenario(
        *HARMLESS, f"fleet.size={modules}", "fleet.groups.0.power=mains", "fleet.groups.0.rsrp_dbm=-85",
        "fleet.groups.0.free_space=10 MB", "fleet.groups.0.check_in=always", "plan.components.fw.size=5 kB",
    )  # fmt: skip
    (folder / "s.yaml").write_text(dump(given), encoding="utf-8")
    cloud = LiveCloud(given)
    await cloud.start()
    launcher = await _start(_whole_command(modules, folder, cloud.url, native=native), folder)
    try:
        counts = cloud.endpoint.counts
        await _until(lambda: counts.connects > 0, lambda: 0, launcher, 6 * STALLED_S)
        process = _worker(launcher.pid) if native else psutil.Process(launcher.pid)
        meter, before = Meter(process), counts.received + counts.sent

        def done() -> int:
            meter.look()
            return sum(bool(s) and s[-1] == 11 for s in cloud.statuses)

        if not await _until(lambda: done() >= modules, lambda: counts.received, launcher):
            print(f"only {done():,} of {modules:,} modules were upgraded")
        return meter.figures(modules, counts.received + counts.sent - before)
    finally:
        await _end([launcher])
        await cloud.stop()


def _whole_command(modules: int, folder: Path, url: str, *, native: bool) -> list[str]:
    if not native:
        (folder / "module.py").write_text(MODULE.format(scenario=str(folder / "s.yaml")), encoding="utf-8")
        return [
            sys.executable, "-m", "locust", "-f", str(folder / "module.py"), "--headless", "-u", str(modules), "-r", "100",
            "--host", url,
        ]  # fmt: skip
    port = 15600 + os.getpid() % 1000
    return [
        sys.executable, "-m", "sim.cli", "load", str(folder / "s.yaml"), "--cloud", url, "--headless", "--ramp", "400/s",
        "--port", str(port), "--time-scale", "30", "--out", str(folder / "out"), "--duration", "300s",
    ]  # fmt: skip


def _worker(launcher: int) -> psutil.Process:
    """The worker among the launcher's processes."""
    return next(p for p in psutil.Process(launcher).children(recursive=True) if "--of" in p.cmdline())


async def _until(
    reached: Callable[[], bool],
    sign: Callable[[], int],
    process: asyncio.subprocess.Process,
    stalled_s: float = STALLED_S,
) -> bool:
    """Whether it came to that. Not if the process ends, or no sign of life changes for a while."""
    last, since = sign(), time.monotonic()
    while not reached():
        if process.returncode is not None or time.monotonic() - since > stalled_s:
            return False
        await asyncio.sleep(0.1)
        if sign() != last:
            last, since = sign(), time.monotonic()
    return True


async def _echo(users: int, seconds: float, folder: Path, *, native: bool) -> Figures:
    """Memory from before the users until all are there, messages while they are."""
    endpoint = Endpoint(
        lambda *_: True, lambda client, topic, payload: (endpoint.publish(client, topic, payload, 1), None)[1]
    )
    await endpoint.start()
    started = [await _start(command, folder) for command in _commands(users, folder, endpoint.port, native=native)]
    try:
        await _until(lambda: endpoint.counts.connects > 0, lambda: 0, started[-1], 6 * STALLED_S)
        process = psutil.Process(started[-1].pid)
        memory = Meter(process)
        if not await _until(lambda: len(endpoint.clients) >= users, lambda: len(endpoint.clients), started[-1]):
            reason = "" if native else f": {PAHO_UNDER_GEVENT}; its figures are those of a client at its end"
            print(f"only {len(endpoint.clients):,} of {users:,} users came{reason}")
            users = max(1, len(endpoint.clients))
        await asyncio.sleep(3.0)
        memory.look()
        work, before = Meter(process), endpoint.counts.received + endpoint.counts.sent
        await asyncio.sleep(seconds)
        messages = endpoint.counts.received + endpoint.counts.sent - before
        return Figures(users, messages, work.figures(users, messages).cpu_s, memory.figures(users, 0).bytes_per_user)
    finally:
        await _end(started)
        await endpoint.stop()


async def _end(started: list[asyncio.subprocess.Process]) -> None:
    """All processes and their children are gone."""
    for process in reversed(started):
        children = psutil.Process(process.pid).children(recursive=True) if process.returncode is None else []
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STALLED_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()


def _commands(users: int, folder: Path, port: int, *, native: bool) -> list[list[str]]:
    """What carries the users comes last."""
    locust = [sys.executable, "-m", "locust", "--headless", "-u", str(users), "-r", "100"]
    if not native:
        (folder / "peer.py").write_text(PEER.format(port=port), encoding="utf-8")
        return [[*locust, "-f", str(folder / "peer.py")]]
    master = 16600 + os.getpid() % 1000
    return [
        [*locust, "-f", str(LOCUSTFILE), "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(master), "--expect-workers", "1"],
        [sys.executable, str(Path(__file__).resolve()), "--child", str(port), str(master)],
    ]  # fmt: skip


async def _start(command: list[str], folder: Path) -> asyncio.subprocess.Process:
    """Quiet, and away from this folder's locust.conf; the package is found all the same."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    return await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, cwd=folder, env=environment
    )


if __name__ == "__main__":
    main()
