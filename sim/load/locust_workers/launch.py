"""Starts Locust's master and native workers on this machine, waits for them, says how it went; or joins a master."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sim.engines.live.live_cloud import find_target
from sim.engines.live.live_engine import Settings
from sim.engines.live.live_run import loop_factory
from sim.engines.live.snapshot import Snapshot, Watch, from_json
from sim.errors import FotasimError
from sim.load.load_fleet import LoadFleet, share_of
from sim.load.locust_workers.native_worker import Worker
from sim.load.start_curve import Curve
from sim.scenario import Scenario

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
MASTER_PORT = 5557
REPORT, STATISTICS = "load.json", "locust"
LOOK_S = 0.25
PROGRESS, CURVE = "progress.jsonl", "curve.npy"
END_S = 90.0
"""How long a master may take to end: its workers disconnect from the cloud and compare."""
WORKERS_END_S = 30.0


@dataclass(frozen=True, slots=True)
class Start:
    """How a load run is started. Without `headless` Locust's web UI decides on users and ramp.

    With a `curve` modules begin as it says, for a whole fleet, and `ramp_per_s` is the most that begin in a second.
    """

    users: int
    ramp_per_s: float
    duration_s: float | None = None
    workers: int = 1
    headless: bool = False
    web_port: int = 8089
    bind: str = "127.0.0.1"
    port: int = MASTER_PORT
    curve: Curve | None = None
    slo: str | None = None
    """Objectives the run is judged by."""
    abort_on_failure: bool = False
    """Whether the run ends as soon as an objective is broken beyond doubt."""


def join(
    scenario: Scenario, cloud: str, settings: Settings, master: tuple[str, int], *, of: int | None = None,
    most: int | None = None, watch: Watch | None = None, shape: str = "ramp",
) -> None:  # fmt: skip
    """This process becomes a worker of the master at host and port, until the master ends."""

    async def work() -> None:
        target = await find_target(cloud, settings, None, scenario)
        fleet: Any = lambda statistics: LoadFleet(  # noqa: E731
            scenario, target, settings, statistics, most, watch, compare=True, shape=shape
        )
        await Worker(*master, fleet, of=of).run()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        try:
            runner.run(work())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


def share(settings: Settings, most: int, workers: int) -> tuple[Settings, int]:
    """A worker's part of the caps, so that all of them together stay within."""
    return share_of(settings, workers), max(1, most // workers)


def launch(start: Start, worker: Sequence[str], out: Path, watch: Watch | None = None) -> dict[str, Any]:
    """A master and its workers as processes; `worker` is the command of one. Gives the merged report; Locust writes to `out`.

    Ctrl-C stops all load at once, then every worker disconnects from the cloud and reports; the report says that the run
    was interrupted. A second one kills all processes.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:  # a locust.conf that lies about elsewhere is not ours
        processes = _Processes(Path(folder), watch, aborts=start.abort_on_failure)
        with processes.running(_master(start, out, Path(folder)), [worker] * start.workers):
            processes.wait()
        report = Path(folder) / REPORT  # not in `out`, whose disk may be full
        if not report.exists():
            if processes.interrupted_at is not None:  # it took longer than END_S: the signal ended the run
                raise KeyboardInterrupt
            raise FotasimError("Locust's master ended without a report; what it printed says why")
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    interrupted = processes.interrupted_at is not None and (found["ended"] or 0.0) >= processes.interrupted_at
    if interrupted:
        found["complete"] = False
    found["interrupted"], found["aborted"] = interrupted, list(processes.broken)
    return found


class _Processes:
    """A master, its workers, and what the master tells of them. Ctrl-C of a terminal reaches this process alone."""

    def __init__(self, folder: Path, watch: Watch | None, *, aborts: bool) -> None:
        self.interrupted_at: float | None = None
        self.broken: tuple[str, ...] = ()
        """Objectives for whose sake the run was ended early."""
        self._aborts = aborts
        self._last: Snapshot | None = None
        self._dead = 0
        self._folder, self._watch = folder, watch
        self._read_to = 0
        self._began = False

    @contextmanager
    def running(self, master: Sequence[str], workers: Sequence[Sequence[str]]) -> Iterator[None]:
        """The processes; whatever is left of them is killed."""
        self._master = _started(master, cwd=self._folder)
        self._workers: list[subprocess.Popen[bytes]] = []
        try:
            for worker in workers:
                self._workers.append(_started(worker))
            yield
        finally:
            for process in (self._master, *self._workers):
                if process.poll() is None:
                    process.kill()
                process.wait()

    def wait(self) -> None:
        """Until the master has ended, then a little for the workers."""
        try:
            while self._master.poll() is None:
                self._look()
                time.sleep(LOOK_S)
        except KeyboardInterrupt:
            self.interrupted_at = time.time()
            self._master.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._master.wait(END_S)
        self._look()
        for process in self._workers:
            if self._master.returncode is None or self._master.returncode < 0:
                process.send_signal(signal.SIGTERM)  # the master was killed: nobody else would tell them
            try:
                process.wait(WORKERS_END_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def _look(self) -> None:
        """Hands on what the master has told since the last look; ends it when no worker is left to it."""
        for snapshot in self._snapshots():
            self._began, self._last = True, snapshot
            self._show(snapshot)
            if self._aborts and snapshot.broken and not self.broken:
                self.broken = snapshot.broken
                self._master.send_signal(signal.SIGTERM)
        dead = sum(process.poll() is not None for process in self._workers)
        if dead > self._dead and self._last is not None and self._master.poll() is None:
            self._dead = dead
            self._show(self._last)
        failed = [process.returncode for process in self._workers if process.poll() not in (None, 0)]
        if failed and not self._began:
            raise FotasimError(
                f"a worker ended with status {failed[0]} before the load began; what it printed says why"
            )
        if self._workers and len(failed) == len(self._workers) and self._master.poll() is None:
            self._master.send_signal(signal.SIGTERM)

    def _show(self, snapshot: Snapshot) -> None:
        """Hands a snapshot on, with the workers of this machine that have ended: known before their silence is noticed."""
        if self._watch is not None:
            dead = [f"worker process {p.pid} ended with status {p.returncode}" for p in self._workers if p.poll()]
            self._watch(replace(snapshot, faults=(*snapshot.faults, *dead)))

    def _snapshots(self) -> Iterator[Snapshot]:
        path = self._folder / PROGRESS
        if not path.exists():
            return
        with path.open(encoding="utf-8") as lines:
            lines.seek(self._read_to)
            while (line := lines.readline()).endswith("\n"):
                self._read_to = lines.tell()
                yield from_json(line)


def _started(command: Sequence[str], cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """Out of reach of the terminal: its keys are not for this process, and its Ctrl-C is handed on by us."""
    return subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, start_new_session=True)


def _master(start: Start, out: Path, folder: Path) -> list[str]:
    """The command of an unmodified Locust master with our locustfile."""
    command = [
        sys.executable, "-m", "locust", "--master", "-f", str(LOCUSTFILE), "--master-bind-host", start.bind,
        "--master-bind-port", str(start.port), "--expect-workers", str(max(start.workers, 1)),
        "-u", str(start.users), "-r", f"{start.ramp_per_s:g}", "--html", str((out / "locust.html").resolve()),
        "--csv", str((out / STATISTICS).resolve()), "--fotasim-report", str(folder / REPORT),
        "--fotasim-progress", str(folder / PROGRESS), "--fotasim-parent", str(os.getpid()),
    ]  # fmt: skip
    if start.curve is not None:
        start.curve.save(folder / CURVE)
        command += ["--fotasim-curve", str(folder / CURVE)]
    if start.slo is not None:
        command += ["--fotasim-slo", start.slo]
    if start.duration_s is not None:
        command += ["-t", f"{max(1, round(start.duration_s))}s"]
    if start.headless:
        return [*command, "--headless", "--only-summary"]
    return [*command, "--web-host", "127.0.0.1", "--web-port", str(start.web_port)]


__all__ = ["MASTER_PORT", "REPORT", "Start", "join", "launch", "share"]
