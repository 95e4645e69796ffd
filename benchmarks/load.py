"""A native worker beside Locust's own MQTT user, in one run: memory per module, messages per CPU second.

    python benchmarks/load.py [--modules 2000] [--users 300] [--seconds 20]

Both talk to the same kind of MQTT endpoint in this process. The native worker's modules live whole upgrades (log in,
ask, confirm, download 5 kB, report) under a real Locust master; Locust's users publish 200 bytes at QoS 1 and get them
back, as often as they can. Messages are those the endpoint received and sent; CPU and memory are those of the process
that carries the users, so that other work on this machine does not change the figures much.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

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
    parser.add_argument("--users", type=int, default=300, help="users of locust.contrib.mqtt")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long Locust's users exchange messages")
    arguments = parser.parse_args()
    print(
        f"cores {os.cpu_count()}, Python {sys.version.split()[0]}, Locust {version('locust')}, paho {version('paho-mqtt')}"
    )
    with tempfile.TemporaryDirectory() as folder:
        native = asyncio.run(_native(arguments.modules, Path(folder)))
        peer = asyncio.run(_peer(arguments.users, arguments.seconds, Path(folder)))
    print(f"{'':<28}{'users':>8}{'KB each':>10}{'messages':>12}{'messages per CPU s':>20}")
    for name, found in (("native worker, whole upgrades", native), ("locust.contrib.mqtt", peer)):
        print(
            f"{name:<28}{found.users:>8,}{found.bytes_per_user / 1000:>10.1f}{found.messages:>12,}"
            f"{found.messages_per_cpu_s:>20,.0f}"
        )
    print(
        f"ratio: {native.messages_per_cpu_s / peer.messages_per_cpu_s:.1f} x the messages per core, "
        f"{peer.bytes_per_user / native.bytes_per_user:.1f} x less memory"
    )


async def _native(modules: int, folder: Path) -> Figures:
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


async def _peer(users: int, seconds: float, folder: Path) -> Figures:
    """Locust in one process; memory from before its users, messages while all of them are there."""
    endpoint = Endpoint(
        lambda *_: True, lambda client, topic, payload: (endpoint.publish(client, topic, payload, 1), None)[1]
    )
    await endpoint.start()
    (folder / "peer.py").write_text(PEER.format(port=endpoint.port), encoding="utf-8")
    locust = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "locust", "-f", str(folder / "peer.py"), "--headless", "-u", str(users), "-r", "50",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not endpoint.counts.connects:
            await asyncio.sleep(0.02)
        process = psutil.Process(locust.pid)
        memory = Meter(process)
        while len(endpoint.clients) < users:
            await asyncio.sleep(0.2)
        await asyncio.sleep(5.0)
        memory.look()
        work, before = Meter(process), endpoint.counts.received + endpoint.counts.sent
        await asyncio.sleep(seconds)
        messages = endpoint.counts.received + endpoint.counts.sent - before
        found, held = work.figures(users, messages), memory.figures(users, 0)
        return Figures(users, messages, found.cpu_s, held.bytes_per_user)
    finally:
        locust.terminate()
        await locust.wait()
        await endpoint.stop()


if __name__ == "__main__":
    main()
