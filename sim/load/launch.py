"""Starts Locust's master and native workers on this machine, waits for them, says how it went; or joins a master."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.engines.live.engine import Settings, Watch
from sim.engines.live.run import loop_factory
from sim.errors import FotasimError
from sim.load.fleet import LoadFleet, find_target, share_of
from sim.load.worker import Worker
from sim.scenario import Scenario

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
MASTER_PORT = 5557
REPORT, STATISTICS = "load.json", "locust"
END_S = 30.0


@dataclass(frozen=True, slots=True)
class Start:
    """How a load run is started. Without `headless` Locust's web UI decides on users and ramp."""

    users: int
    ramp_per_s: float
    duration_s: float | None = None
    workers: int = 1
    headless: bool = False
    web_port: int = 8089
    bind: str = "127.0.0.1"
    port: int = MASTER_PORT
    progress: Path | None = None


def join(
    scenario: Scenario, cloud: str, settings: Settings, master: tuple[str, int], *, of: int | None = None,
    most: int | None = None, watch: Watch | None = None,
) -> None:  # fmt: skip
    """This process becomes a worker of the master at host and port, until the master ends."""

    async def work() -> None:
        target = await find_target(cloud, settings)
        fleet: Any = lambda statistics: LoadFleet(scenario, target, settings, statistics, most, watch)  # noqa: E731
        await Worker(*master, fleet, of=of).run()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(work())


def share(settings: Settings, most: int, workers: int) -> tuple[Settings, int]:
    """A worker's part of the caps, so that all of them together stay within."""
    return share_of(settings, workers), max(1, most // workers)


def launch(start: Start, worker: Sequence[str], out: Path) -> dict[str, Any]:
    """A master and its workers as processes; `worker` is the command of one. Gives the merged report.

    Ctrl-C ends the run gently: the master tells the workers, each ends its modules one after the other. A second one
    kills all of them.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as elsewhere:  # a locust.conf that lies about is not ours
        processes = [subprocess.Popen(_master(start, out), cwd=elsewhere)]
        try:
            processes += [subprocess.Popen(worker) for _ in range(start.workers)]
            _wait(processes)
        finally:
            for process in processes:
                if process.poll() is None:
                    process.kill()
                process.wait()
    path = out / REPORT
    if not path.exists():
        raise FotasimError("Locust's master ended without a report; what it printed says why")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _wait(processes: list[subprocess.Popen[bytes]]) -> None:
    """Until the master has ended, then a little for the workers."""
    try:
        processes[0].wait()
    except KeyboardInterrupt:  # the terminal has told the master too; elsewhere we do
        processes[0].send_signal(signal.SIGTERM)
        processes[0].wait(END_S)
    for process in processes[1:]:
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _master(start: Start, out: Path) -> list[str]:
    """The command of an unmodified Locust master with our locustfile."""
    command = [
        sys.executable, "-m", "locust", "--master", "-f", str(LOCUSTFILE), "--master-bind-host", start.bind,
        "--master-bind-port", str(start.port), "--expect-workers", str(max(start.workers, 1)),
        "-u", str(start.users), "-r", f"{start.ramp_per_s:g}", "--html", str((out / "locust.html").resolve()),
        "--csv", str((out / STATISTICS).resolve()), "--fotasim-report", str((out / REPORT).resolve()),
    ]  # fmt: skip
    if start.progress is not None:
        command += ["--fotasim-progress", str(start.progress.resolve())]
    if start.duration_s is not None:
        command += ["-t", f"{max(1, round(start.duration_s))}s"]
    if start.headless:
        return [*command, "--headless", "--only-summary"]
    return [*command, "--web-host", "127.0.0.1", "--web-port", str(start.web_port)]


__all__ = ["MASTER_PORT", "REPORT", "Start", "join", "launch", "share"]
