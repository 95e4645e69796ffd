"""A capacity probe over native workers: their parts add up, and one that is killed voids the step and says so."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import subprocess
import sys
import threading
import time

from sim.engines.live.live_engine import Settings
from sim.engines.live.slo import parse
from sim.load.capacity import worker_pool
from sim.load.capacity.live_probe import LiveProbe
from sim.load.capacity.wake_ups import KINDS, probe_scenario
from sim.load.capacity.worker_pool import PoolWorker, WorkerPool
from tests.live_cloud import served
from tests.support import scenario

SLO = parse("p99(notify)<5s, error_rate<0.1%")
GIVEN = scenario("plan.components.fw.size=5 kB")


def test_workers_share_a_probe_and_one_that_is_killed_voids_it(capsys):
    seen = []
    with served(probe_scenario(GIVEN, 200)) as there:
        probe = LiveProbe(
            GIVEN, there.url, KINDS["releases"], SLO, Settings(time_scale=60.0), workers=2, watch=seen.append
        )
        try:
            whole = probe(1200.0, 2.0)
            assert set(whole.health) == {"1", "2"}
            assert whole.legs["notice"]["count"] == whole.legs["download"]["count"] == whole.figures["modules"] == 40
            assert not any("missing" in fault for fault in whole.void)
            assert max((snapshot.workers, snapshot.modules) for snapshot in seen) == (2, 40)
            victim, before = probe.pool.members[0].process, len(there.logins)
            killer = threading.Thread(target=lambda: (_until(lambda: len(there.logins) > before + 2), victim.kill()))
            killer.start()
            broken = probe(300.0, 5.0)
            killer.join()
            assert any("worker 1 went missing" in fault for fault in broken.void)
            assert set(broken.health) == {"2"}
            assert not victim.is_alive()
            assert "worker 1 went missing" in capsys.readouterr().err
            assert any("worker 1 went missing" in fault for snapshot in seen for fault in snapshot.faults)
        finally:
            probe.close()
    assert all(not member.process.is_alive() for member in probe.pool.members)


def test_a_worker_that_died_or_stands_still_is_named_while_the_probe_runs(monkeypatch, capsys):
    """Both are told before any report comes: one by its end, one by its silence; each once."""
    monkeypatch.setattr(worker_pool, "SILENT_S", 0.05)
    seen, ends = [], []
    pool = WorkerPool(3, seen.append)
    for _ in range(3):
        ours, theirs = mp.Pipe()
        pool.members.append(PoolWorker(_Process(), ours, heard_at=time.monotonic()))
        ends.append(theirs)
    ends[0].close()
    ends[2].send("report")
    assert pool._answers(1.2, runs=True) == [None, None, "report"]
    assert capsys.readouterr().err.splitlines() == [
        "fotasim: worker 1 went missing: this probe is void", "fotasim: worker 2 has told nothing for 0.05 s",
    ]  # fmt: skip
    assert seen[-1].faults == ("worker 1 went missing: this probe is void", "worker 2 has told nothing for 0.05 s")


class _Process:
    """Stands for a process."""

    def kill(self):
        """Nothing is there to be killed."""


STARTER = """\
import sys
from sim.engines.live.live_engine import Settings
from sim.load.capacity.live_probe import LiveProbe
from sim.engines.live.slo import parse
from sim.load.capacity.wake_ups import KINDS
from tests.support import scenario

if __name__ == "__main__":
    slo = parse("p99(notify)<5s")
    probe = LiveProbe(scenario(), sys.argv[1], KINDS["wakeups"], slo, Settings(), workers=2)
    probe(60_000.0, 100.0)
"""


def test_workers_end_with_who_started_them(tmp_path):
    """No load goes on that nobody watches: the starter is killed in mid-wave, and the wave ends with it."""
    (tmp_path / "starter.py").write_text(STARTER)
    with served(probe_scenario(GIVEN, 12_000)) as there:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        starter = subprocess.Popen([sys.executable, str(tmp_path / "starter.py"), there.url], env=environment)
        try:
            _until(lambda: len(there.logins) > 20)
            starter.send_signal(signal.SIGKILL)
            starter.wait(30)
            _until(lambda: not there.endpoint.clients)  # awake for a minute each: never so while the wave goes on
            assert len(there.logins) < 9_000
        finally:
            starter.kill()
            starter.wait(30)


def _until(holds, within_s=90.0):
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
