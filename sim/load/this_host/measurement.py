"""Measures what a module costs this host: a few hundred of them against a mock cloud on loopback, for some seconds."""

from __future__ import annotations

import asyncio
import json
import multiprocessing as mp
import os
import platform
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.engines.live.latency import Latencies
from sim.engines.live.live_cloud import find_target
from sim.engines.live.live_engine import Settings
from sim.engines.live.live_run import calm_collector, loop_factory
from sim.engines.live.live_target import TOKEN
from sim.errors import FotasimError
from sim.load.capacity.probe_share import is_over
from sim.load.capacity.wake_ups import KINDS, probe_world
from sim.load.load_fleet import LoadFleet
from sim.load.this_host.module_cost import PACKAGE_BYTES, Figures, now_here
from sim.scenario import Scenario

MODULES, WAVE_S = 600, 2.0
SETTLED_S, WATCHED_S = 6.0, 4.0
"""When all modules of the wave download, and how long they are watched doing so."""
UPGRADES = WAKEUPS = 200
SPREAD_S = 2.0
END_S = 20.0
MEASURE_S = 120.0
LARGE_BYTES, LARGE_UPGRADES = 4_000_000, 60
"""What a megabyte costs is the difference to upgrades with this package."""
SCENARIO = """\
name: doctor
horizon: 1h
fleet: {size: 1, groups: [{name: one, share: 1.0, technology: lte-m, rsrp_dbm: -85}]}
plan: {name: doctor, components: [{component: fw, target_version: "1.1.0", size: SIZE B}]}
"""


def measure(tell: Callable[[str], None] = lambda _: None) -> Figures:
    """The figures of this host; takes about 20 seconds. FotasimError when no mock cloud can be started."""
    with tempfile.TemporaryDirectory() as name:
        tell("starting two mock clouds on loopback")
        with _cloud(Path(name) / "small", PACKAGE_BYTES) as small, _cloud(Path(name) / "large", LARGE_BYTES) as large:
            tell(f"{MODULES + UPGRADES + WAKEUPS + LARGE_UPGRADES:,} modules against them")
            return _in_a_worker(small, large)


def _scenario(package_bytes: int) -> str:
    return SCENARIO.replace("SIZE", str(package_bytes))


@contextmanager
def _cloud(folder: Path, package_bytes: int) -> Iterator[str]:
    """A mock cloud as a process of its own; its URL. Its token is in this process's environment meanwhile."""
    folder.mkdir()
    (folder / "scenario.yaml").write_text(_scenario(package_bytes), encoding="utf-8")
    before = os.environ.get(TOKEN)
    os.environ[TOKEN] = before or secrets.token_urlsafe(16)
    command = [
        sys.executable, "-m", "sim.cli", "cloud", "--json", "--mqtt", "0", "--http", "0", "--data", str(folder / "cloud"),
        "--scenario", str(folder / "scenario.yaml"), "--activate",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield _url(process)
        finally:
            process.kill()
            if before is None:
                del os.environ[TOKEN]
            else:
                os.environ[TOKEN] = before


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None and process.stderr is not None
    line = process.stdout.readline()
    if not line:
        said = process.stderr.read().strip().splitlines()
        raise FotasimError(f"no mock cloud to measure against: {said[-1] if said else 'it ended at once'}")
    return str(json.loads(line)["http"])


def _in_a_worker(small: str, large: str) -> Figures:
    """Measured in a fresh process, whose memory is that of a worker."""
    context = mp.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(small, large, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        found = ours.recv() if ours.poll(MEASURE_S) else FotasimError("the measurement did not end in time")
    except EOFError:
        found = FotasimError("the process that measured is gone")
    finally:
        process.kill()
        process.join()
        ours.close()
    if isinstance(found, FotasimError):
        raise found
    made: Figures = found
    return made


def _work(small: str, large: str, pipe: Connection) -> None:
    with suppress(OSError), calm_collector(), asyncio.Runner(loop_factory=loop_factory()) as runner:
        try:
            pipe.send(runner.run(_measured(small, large)))
        except FotasimError as error:
            pipe.send(FotasimError(str(error)))


@dataclass(frozen=True, slots=True)
class _Cost:
    """What a load took: CPU seconds, memory of the process and of the kernel at its end."""

    cpu_s: float
    grown_bytes: int
    kernel_bytes: int


async def _measured(url: str, large: str) -> Figures:
    import psutil

    await _run(url, "releases", 5, Settings(time_scale=60.0))  # everything is loaded and warm
    worker_bytes = psutil.Process().memory_info().rss
    held, watched_s = await _held(url)
    upgrade = await _run(url, "releases", UPGRADES, Settings(time_scale=60.0))
    wakeup = await _run(url, "wakeups", WAKEUPS, Settings())
    await _run(large, "releases", 2, Settings(time_scale=60.0), LARGE_BYTES)
    heavy = await _run(large, "releases", LARGE_UPGRADES, Settings(time_scale=60.0), LARGE_BYTES)
    more_s = heavy.cpu_s / LARGE_UPGRADES - upgrade.cpu_s / UPGRADES
    return Figures(
        held.grown_bytes // MODULES, worker_bytes, held.kernel_bytes // MODULES, held.cpu_s / watched_s / MODULES,
        upgrade.cpu_s / UPGRADES, wakeup.cpu_s / WAKEUPS, now_here(), platform.node(),
        max(0.0, more_s / ((LARGE_BYTES - PACKAGE_BYTES) / 1e6)),
    )  # fmt: skip


async def _held(url: str) -> tuple[_Cost, float]:
    """A wave of modules that download at the pace of their radio, watched while all of them do."""
    before = _memory()
    fleet = await _fleet(url, "modules", np.arange(MODULES) * WAVE_S / MODULES, Settings(radio=True))
    try:
        await asyncio.sleep(SETTLED_S)
        since, cpu_s = time.monotonic(), time.process_time()
        await asyncio.sleep(WATCHED_S)
        watched_s, cpu_s = time.monotonic() - since, time.process_time() - cpu_s
        after = _memory()
    finally:
        await fleet.close()
    return _Cost(cpu_s, max(after[0] - before[0], 0), max(after[1] - before[1], 0)), watched_s


async def _run(url: str, kind: str, count: int, settings: Settings, package_bytes: int = PACKAGE_BYTES) -> _Cost:
    """So many modules, evenly over some seconds, until all of them are through."""
    cpu_s = time.process_time()
    fleet = await _fleet(url, kind, np.arange(count) * SPREAD_S / count, settings, package_bytes)
    until = time.monotonic() + SPREAD_S + END_S
    try:
        while time.monotonic() < until and not all(is_over(m, KINDS[kind].decided) for m in fleet.engine.modules):
            await asyncio.sleep(0.1)
        cpu_s = time.process_time() - cpu_s
    finally:
        await fleet.close()
    return _Cost(cpu_s, 0, 0)


async def _fleet(
    url: str, kind: str, woken_s: NDArray[np.float64], settings: Settings, package_bytes: int = PACKAGE_BYTES
) -> LoadFleet:
    """Modules with keys of their own that begin at their moments."""
    target = await find_target(url, settings)
    world = probe_world(Scenario.from_text(_scenario(package_bytes)), KINDS[kind], woken_s, radio=settings.radio)
    fleet = LoadFleet(world.scenario, target, settings, Latencies())
    prefix = f"D{secrets.token_hex(3)}"
    await fleet.open(name=lambda index: f"{prefix}{index:06d}", world=world)
    zero = fleet.engine.clock() + 0.05
    for number, at in enumerate(woken_s.tolist()):
        fleet.engine.loop.call_at(zero + at, fleet.begin, number, zero + at)
    return fleet


def _memory() -> tuple[int, int]:
    """Resident memory of this process, and the kernel's that cannot be reclaimed, half of it for the other end."""
    import psutil

    kernel = 0
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kernel = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("SUnreclaim"))
    return psutil.Process().memory_info().rss, kernel // 2


__all__ = ["measure"]
