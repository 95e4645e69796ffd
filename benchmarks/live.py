"""The MQTT layer against a real broker, with aiomqtt measured beside it; whole upgrade cycles; ratios of one run.

    python benchmarks/live.py mqtt   [--modules 20000] [--peers 2000] [--round-trips 200000]
    python benchmarks/live.py cycles [--modules 4000]

Needs mosquitto, and nginx for the cycles. Where there are two cores the client has one of them and the servers the
other. Every measurement runs in a process of its own; figures are per process and core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.servers import CLIENT_CORE, SERVER_CORE, mosquitto, nginx, pinned

PAYLOAD = bytes(200)
PACKAGE_BYTES = 256 * 1024
ACTIVE = 1000
"""Modules that exchange messages at once in the round trips."""
SPARE_FILES = 250


def main() -> None:
    """Runs what was asked for and prints the table."""
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(_CHILDREN[arguments.child](arguments)))
        return
    print(
        f"cores {os.cpu_count()}, Python {sys.version.split()[0]}, uvloop {version('uvloop')}, aiomqtt {version('aiomqtt')}"
    )
    if arguments.what in ("mqtt", "all"):
        _mqtt(arguments)
    if arguments.what in ("cycles", "all"):
        _cycles(arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("mqtt", "cycles", "all"), nargs="?", default="all")
    parser.add_argument("--modules", type=int, default=20_000, help="modules held at once by our layer")
    parser.add_argument("--peers", type=int, default=2_000, help="clients of aiomqtt")
    parser.add_argument("--round-trips", type=int, default=200_000)
    parser.add_argument("--cycles", type=int, default=4_000, help="modules upgraded in the cycles")
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    return parser.parse_args()


# --- MQTT layer --------------------------------------------------------------------------------------------------------


def _mqtt(arguments: argparse.Namespace) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    modules = arguments.modules
    if limit != resource.RLIM_INFINITY and modules > limit - SPARE_FILES:
        modules = limit - SPARE_FILES
        print(f"{arguments.modules:,} modules wanted; this host allows {limit:,} open files: {modules:,} are held")
    trips = arguments.round_trips
    with mosquitto() as port:
        rows = {
            "fotasim, uvloop": _child("ours", port, modules, trips, "uvloop"),
            "fotasim, asyncio": _child("ours", port, min(modules, 5_000), trips // 2, "asyncio"),
            "aiomqtt": _child("aiomqtt", port, arguments.peers, trips // 10, "uvloop"),
        }
    print("\nclient             modules   KB each  connects/s  per CPU s  QoS 1 round trips/s  per CPU s")
    for name, row in rows.items():
        print(
            f"{name:<17}{row['modules']:>9,}{row['kb']:>10.1f}{row['connects_per_s']:>12,.0f}"
            f"{row['connects_per_cpu_s']:>11,.0f}{row['trips_per_s']:>21,.0f}{row['trips_per_cpu_s']:>11,.0f}"
        )
    ours, peer = rows["fotasim, uvloop"], rows["aiomqtt"]
    ratios = {name: ours[name] / peer[name] for name in ours if name.endswith("_s")}
    print(
        f"against aiomqtt: {peer['kb'] / ours['kb']:.1f} x less memory; connects {ratios['connects_per_s']:.1f} x "
        f"({ratios['connects_per_cpu_s']:.1f} x per CPU second); round trips {ratios['trips_per_s']:.1f} x "
        f"({ratios['trips_per_cpu_s']:.1f} x per CPU second)"
    )


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


class _Module:
    """A module that sends itself a message through the broker, again and again."""

    def __init__(self, bench: _Ours, number: int) -> None:
        self.bench, self.link = bench, None
        self.topic = b"q/1/d/qdb%06d/bus" % number

    def on_up(self, link: Any) -> None:
        self.link = link
        self.bench.came()

    def on_down(self, _link: Any, code: int) -> None:
        raise SystemExit(f"a connection failed: {code}")

    def on_message(self, link: Any, _topic: str, _payload: bytes) -> None:
        self.bench.trips -= 1
        if self.bench.trips > 0:
            link.publish(self.topic, PAYLOAD, 1)
        elif self.bench.trips == 0:
            self.bench.all_done.set()

    def on_acknowledged(self, _link: Any, _packet_id: int) -> None:
        """Nothing to do."""


class _Ours:
    def __init__(self, count: int, trips: int) -> None:
        self.missing, self.trips = count, trips
        self.all_up, self.all_done = asyncio.Event(), asyncio.Event()

    def came(self) -> None:
        self.missing -= 1
        if self.missing == 0:
            self.all_up.set()

    async def run(self, port: int, count: int) -> dict[str, float]:
        from sim.engines.live.host_limits import sources_for
        from sim.engines.live.link import Links

        links = Links("127.0.0.1", port, username="bench", sources=sources_for(count, "127.0.0.1", ()))
        modules = [_Module(self, i) for i in range(count)]
        before, started, cpu = _rss_bytes(), time.perf_counter(), time.process_time()
        for number, module in enumerate(modules):
            name = f"qdb{number:06d}"
            links.dial(module, name, "0;0000;x;y", f"q/1/d/{name}/+")
            if number % 500 == 499:
                await asyncio.sleep(0)
        await self.all_up.wait()
        connected = time.perf_counter() - started, time.process_time() - cpu
        kb = (_rss_bytes() - before) / 1024 / count
        trips, started, cpu = self.trips, time.perf_counter(), time.process_time()
        for module in modules[:ACTIVE]:
            module.link.publish(module.topic, PAYLOAD, 1)
        await self.all_done.wait()
        elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
        await links.close()
        return _row(count, kb, connected, trips, elapsed, cpu)


def _row(
    count: int, kb: float, connected: tuple[float, float], trips: int, elapsed: float, cpu: float
) -> dict[str, float]:
    return {
        "modules": count, "kb": kb, "connects_per_s": count / connected[0], "connects_per_cpu_s": count / connected[1],
        "trips_per_s": trips / elapsed, "trips_per_cpu_s": trips / cpu,
    }  # fmt: skip


def _ours(arguments: argparse.Namespace) -> dict[str, float]:
    async def run() -> dict[str, float]:
        return await _Ours(arguments.modules, arguments.round_trips).run(arguments.port, arguments.modules)

    return asyncio.Runner(loop_factory=_loop(arguments)).run(run())


def _aiomqtt(arguments: argparse.Namespace) -> dict[str, float]:
    return asyncio.Runner(loop_factory=_loop(arguments)).run(
        _aiomqtt_run(arguments.port, arguments.modules, arguments.round_trips)
    )


async def _aiomqtt_run(port: int, count: int, trips: int) -> dict[str, float]:
    import aiomqtt

    turn = asyncio.Semaphore(200)
    before, started, cpu = _rss_bytes(), time.perf_counter(), time.process_time()
    clients = [
        aiomqtt.Client("127.0.0.1", port, identifier=f"qdp{i:06d}", username="bench", password="0;0000;x;y", timeout=60)
        for i in range(count)
    ]

    async def connect(number: int) -> None:
        async with turn:
            await clients[number].__aenter__()
            await clients[number].subscribe(f"q/1/d/qdp{number:06d}/+", qos=1)

    await asyncio.gather(*(connect(i) for i in range(count)))
    connected = time.perf_counter() - started, time.process_time() - cpu
    kb = (_rss_bytes() - before) / 1024 / count
    active = min(ACTIVE, count)

    async def exchange(number: int, times: int) -> None:
        client, topic = clients[number], f"q/1/d/qdp{number:06d}/bus"
        messages = client.messages
        for _ in range(times):
            await client.publish(topic, PAYLOAD, qos=1)
            await anext(messages)

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(exchange(i, trips // active) for i in range(active)))
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    return _row(count, kb, connected, trips // active * active, elapsed, cpu)


# --- whole cycles ------------------------------------------------------------------------------------------------------


def _scenario(modules: int) -> Any:
    from tests.support import HARMLESS, scenario

    return scenario(
        *HARMLESS, f"fleet.size={modules}", "fleet.groups.0.check_in={always: {every: 1d}}",
        "fleet.groups.0.power=mains", "fleet.groups.0.rsrp_dbm=-80", "plan.components.0.size=256 KiB",
        "plan.strategy.rollout.max_in_progress=100000",
    )  # fmt: skip


def _cycles(arguments: argparse.Namespace) -> None:
    """Bootstrap, request, notice, seven acknowledged statuses, 256 KiB with MD5, reconnect, report: per second."""
    from tests.live_cloud import package_bytes

    with tempfile.TemporaryDirectory() as folder, nginx(Path(folder), package_bytes(PACKAGE_BYTES)) as files:
        server = _start("cloud", files, arguments.cycles, 0, "uvloop", SERVER_CORE)
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            row = _child("fleet", 0, arguments.cycles, 0, "uvloop", url)
        finally:
            server.terminate()
            server.wait()
    print(f"\nwhole upgrade cycles, {PACKAGE_BYTES // 1024} KiB each, physics and records on")
    print(
        f"{row['succeeded']:,} of {row['modules']:,} upgraded, {row['per_s']:,.0f} per second, "
        f"{row['per_cpu_s']:,.0f} per CPU second of the client, {row['kb']:.0f} KB a module, "
        f"client and cloud {'agree' if row['agrees'] else 'DO NOT AGREE'}"
    )


def _fleet(arguments: argparse.Namespace) -> dict[str, Any]:
    from sim.engines.live.live_engine import Settings
    from sim.engines.live.live_run import run_live

    _raise_file_limit()
    before = _rss_bytes()
    settings = Settings(ramp_per_s=100_000.0, time_scale=600.0, duration_s=120.0)
    found = run_live(_scenario(arguments.modules), arguments.url, settings)
    summary, cpu = found.outcome.summary, found.outcome.manifest["live"]["cpu_s"]
    done = summary["outcomes"]["succeeded"]
    return {
        "modules": arguments.modules, "succeeded": done, "per_s": done / summary["wall_s"], "per_cpu_s": done / cpu,
        "kb": (_rss_bytes() - before) / 1024 / arguments.modules, "agrees": found.reconciliation.agrees,
    }  # fmt: skip


def _cloud(arguments: argparse.Namespace) -> dict[str, Any]:
    """The small cloud of the tests; the bytes come from nginx."""
    from dataclasses import replace

    from tests.live_cloud import LiveCloud, package_bytes

    async def run() -> dict[str, Any]:
        cloud = LiveCloud(_scenario(arguments.modules), time_scale=600.0)
        cloud.center.log = None
        await cloud.start()
        assert cloud.packages == [package_bytes(PACKAGE_BYTES)]
        cloud.center.plan.components = tuple(
            replace(c, url=f"{arguments.url}/package.bin") for c in cloud.center.plan.components
        )
        print(cloud.url, flush=True)
        await asyncio.sleep(300)
        return {}

    return asyncio.Runner(loop_factory=_loop(arguments)).run(run())


# --- processes ---------------------------------------------------------------------------------------------------------

_CHILDREN = {"ours": _ours, "aiomqtt": _aiomqtt, "fleet": _fleet, "cloud": _cloud}


def _raise_file_limit() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _loop(arguments: argparse.Namespace) -> Any:
    _raise_file_limit()
    return uvloop.new_event_loop if arguments.loop == "uvloop" else None


def _start(
    child: str, url: str, modules: int, trips: int, loop: str, core: int, port: int = 0
) -> subprocess.Popen[str]:
    command = [
        *pinned(core), sys.executable, __file__, "--child", child, "--port", str(port), "--url", url,
        "--modules", str(modules), "--round-trips", str(trips), "--loop", loop,
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _child(child: str, port: int, modules: int, trips: int, loop: str, url: str = "") -> Any:
    process = _start(child, url, modules, trips, loop, CLIENT_CORE, port)
    out, _ = process.communicate(timeout=400)
    if process.returncode:
        raise SystemExit(f"{child} failed with status {process.returncode}")
    return json.loads(out.splitlines()[-1])


if __name__ == "__main__":
    main()
