"""The same study on a Dask cluster of separate processes: same result, and a killed worker costs only time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from sim.errors import FotasimError
from sim.study.replicate import replicate
from tests.support import scenario

if "CI" not in os.environ:
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'fotasim[cluster]'")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed", "ignore::ResourceWarning")
SMALL = ("fleet.size=60", "horizon=2d")


class Cluster:
    """A scheduler and workers as processes of their own, on the loopback."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self.env = {**os.environ, "PYTHONPATH": str(Path.cwd()), "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self._start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show")
        self.address = self._address()

    def _address(self) -> str:
        """Where the scheduler listens, once its file is there and whole."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                return str(json.loads(self.file.read_text())["address"])
            time.sleep(0.05)
        raise AssertionError("the scheduler did not start")

    def _start(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{program}-{len(self.processes)}.log").open("wb")
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            f"distributed.cli.{program}",
            "--scheduler-file",
            str(self.file),
            *options,
        ]
        process = subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=log, stderr=log)
        log.close()
        self.processes.append(process)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        """One more worker, without a nanny: killed is killed."""
        return self._start("dask_worker", "--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")

    def close(self) -> None:
        """Ends every process."""
        for process in reversed(self.processes):
            process.kill()
            process.wait(timeout=30)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler without workers; tests add their own."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.close()


def test_same_result_on_one_worker_on_two_and_when_one_is_killed(cluster):
    """Local, one worker, two workers, and two of which one is killed in the middle: one table."""
    base = scenario(*SMALL)
    local = replicate(base, 12, workers=1).frame
    cluster.worker()
    one = replicate(base, 12, cluster=cluster.address)
    pd.testing.assert_frame_equal(one.frame, local, check_exact=True)
    victim = cluster.worker()

    def kill(done, _total):
        if done == 4:
            victim.send_signal(signal.SIGKILL)

    two = replicate(base, 12, cluster=cluster.address)
    pd.testing.assert_frame_equal(two.frame, local, check_exact=True)
    killed = replicate(base, 12, cluster=cluster.address, progress=kill)
    assert victim.wait(timeout=30) == -signal.SIGKILL
    assert killed.complete
    pd.testing.assert_frame_equal(killed.frame, local, check_exact=True)


def test_a_scheduler_without_workers_is_told(tmp_path, monkeypatch):
    """Waiting has an end."""
    monkeypatch.setattr("sim.study.pool._CONNECT_S", 2)
    empty = Cluster(tmp_path)
    try:
        with pytest.raises(FotasimError, match="has no workers"):
            replicate(scenario(*SMALL), 2, cluster=empty.address)
    finally:
        empty.close()


def test_nobody_at_the_address(monkeypatch):
    """An error that names the address."""
    monkeypatch.setattr("sim.study.pool._CONNECT_S", 1)
    with pytest.raises(FotasimError, match="no Dask scheduler answers there"):
        replicate(scenario(*SMALL), 2, cluster="tcp://127.0.0.1:9")
