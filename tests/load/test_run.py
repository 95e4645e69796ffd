"""A load run through the command, and what ends one: a killed worker, a starved one, Ctrl-C, a master that vanishes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest
import zmq
import zmq.asyncio
from typer.testing import CliRunner

from sim.cli.common import app
from sim.engines.live.latency import Latencies
from sim.engines.live.live_cloud import find_target
from sim.engines.live.live_engine import Settings
from sim.engines.live.reconciliation import Reconciliation
from sim.engines.live.snapshot import Snapshot
from sim.errors import FotasimError
from sim.load.load_fleet import LoadFleet
from sim.load.locust_workers import native_worker as worker_module
from sim.load.locust_workers.native_worker import Worker
from sim.load.locust_workers.worker_protocol import Message
from sim.scenario.load import dump
from tests.live_cloud import LiveCloud, served
from tests.load.master import LOCUSTFILE, free_port
from tests.support import HARMLESS, scenario

FLEET = scenario(
    *HARMLESS, "fleet.size=30", "fleet.groups.0.power=mains", "fleet.groups.0.rsrp_dbm=-90",
    "fleet.groups.0.free_space=10 MB", "fleet.groups.0.check_in=always",
)  # fmt: skip
PATIENCE_S = 90.0


def until(condition, what):
    """The condition's first true value."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"never came: {what}")


@contextlib.contextmanager
def command(*arguments):
    """`fotasim load` as a user starts it; it and its children are gone afterwards."""
    started = subprocess.Popen(
        [sys.executable, "-m", "sim.cli", "load", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    family = []
    try:
        yield started, family
    finally:
        for process in [*family, psutil.Process(started.pid)] if started.poll() is None else family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        started.communicate()


def children(started):
    return psutil.Process(started.pid).children(recursive=True)


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def starve(process):
    """Most of the time the process gets no processor: what a worker on an overloaded machine sees.

    Between two pauses it has long enough for a heartbeat, on a busy host, too: three that fail make it a lost worker.
    """
    for _ in range(6):
        process.suspend()
        time.sleep(0.7)
        process.resume()
        time.sleep(0.5)


def test_a_run_tells_of_a_killed_and_of_a_starved_worker_and_stops_at_ctrl_c(tmp_path):
    """Through the command: three workers, one dies, one is starved, one is well; then Ctrl-C."""
    (tmp_path / "s.yaml").write_text(dump(FLEET))
    progress, port = tmp_path / "progress.jsonl", free_port()
    with served(FLEET) as cloud:
        options = (
            "--cloud", cloud.url, "--headless", "--workers", "3", "--ramp", "30/s", "--time-scale", "20", "--port",
            str(free_port()), "--out", str(tmp_path / "out"), "--progress", str(progress), "--prometheus", str(port),
        )  # fmt: skip
        with command(str(tmp_path / "s.yaml"), *options) as (started, family):
            until(lambda: started.poll() is not None or len(set(cloud.logins)) == 30, "every module")
            assert started.poll() is None, started.communicate()[1]
            family.extend(children(started))
            workers = [p for p in family if "--of" in p.cmdline()]
            until(lambda: (told := lines_of(progress)) and told[-1]["modules"] == 30, "a report of every worker")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                metrics = answer.read().decode()
            killed_at = time.monotonic()
            workers[0].kill()
            until(lambda: any("ended with status -9" in f for f in lines_of(progress)[-1]["faults"]), "the dead worker")
            print(f"a killed worker was told after {time.monotonic() - killed_at:.2f} s")
            starve(workers[1])
            started.send_signal(signal.SIGINT)
            out, err = started.communicate(timeout=PATIENCE_S)
            left = [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    report = json.loads((tmp_path / "out" / "load.json").read_text())
    assert started.returncode == 130, err
    assert left == []
    assert {"fotasim_workers 3.0", "fotasim_modules 30.0"} <= set(metrics.splitlines())
    assert 'fotasim_leg_measurements_total{leg="notice"}' in metrics
    assert (report["void"], report["complete"], report["interrupted"]) == (True, False, True)
    missing = [name for name, worker in report["workers"].items() if not worker["final"]]
    starved = [name for name, worker in report["workers"].items() if worker["faults"]]
    assert len(missing) == 1
    assert set(starved) - set(missing)
    assert f"worker {missing[0]} went missing with 10 modules" in err
    assert "timers were late" in err
    assert "WENT MISSING" in out
    assert "INTERRUPTED" in out
    checks = {check["what"]: check for check in report["reconciliation"]["checks"]}
    assert all(check["differ"] == 0 for check in checks.values())
    assert checks["modules that connected / devices in the plan"]["client"] == 20  # without the killed one's
    assert any(missing[0] in text for text in report["reconciliation"]["findings"])


def test_a_cloud_that_cannot_be_reached_is_told_before_anything_starts(tmp_path):
    (tmp_path / "s.yaml").write_text(dump(FLEET))
    options = ("--cloud", f"http://127.0.0.1:{free_port()}", "--headless", "--out", str(tmp_path / "out"))
    done = CliRunner().invoke(app, ["load", str(tmp_path / "s.yaml"), *options])
    assert isinstance(done.exception, FotasimError)
    assert "cannot be asked" in str(done.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"), [(("--users", "31"), "--modules 31"), (("--shape", "star"), "check-in"), ((), "--cloud")]
)
def test_wrong_use_of_load_is_told(arguments, words, tmp_path):
    (tmp_path / "s.yaml").write_text(dump(FLEET))
    cloud = ("--cloud", "http://127.0.0.1:9", "--dry-run") if arguments else ()
    done = CliRunner().invoke(app, ["load", str(tmp_path / "s.yaml"), *cloud, *arguments])
    assert (done.exit_code, words in done.output) == (2, True)


class Halting:
    """A fleet that notes what it is told."""

    def __init__(self, statistics):
        self.count, self.told = 0, []

    async def open(self, index, of):
        self.told.append("open")

    def resize(self, count):
        self.count = count
        return count

    def halt(self):
        self.told.append("halt")

    async def close(self, *, compare):
        self.told.append(f"close {compare}")
        return Reconciliation()

    def snapshot(self):
        return Snapshot(0.0, 0.0, self.count, 0, {}, 0, 0, 0, 0, 0.0, {})


async def silent_master(router):
    """Takes a worker in, gives it a module, and says no more."""
    name, _ = await router.recv_multipart()
    await router.send_multipart([name, Message("ack", {"index": 0}, "m").encode()])
    job = {"timestamp": 1.0, "user_classes_count": {"Module": 1}, "parsed_options": {}}
    await router.send_multipart([name, Message("spawn", job, "m").encode()])


def test_a_load_whose_master_vanishes_stops(monkeypatch):
    """Nobody could stop it any more."""
    monkeypatch.setattr(worker_module, "HEARTBEAT_S", 0.02)
    made = []

    async def run():
        context = zmq.asyncio.Context()
        router = context.socket(zmq.ROUTER)
        router.setsockopt(zmq.LINGER, 0)
        port = router.bind_to_random_port("tcp://127.0.0.1")
        try:
            work = Worker("127.0.0.1", port, lambda s: made.append(Halting(s)) or made[0])
            await asyncio.gather(work.run(), silent_master(router))
        finally:
            router.close()
            context.term()

    with pytest.raises(FotasimError, match="unanswered"):
        asyncio.run(asyncio.wait_for(run(), 60))
    assert made[0].told[0] == "open"
    assert made[0].told[-1] == "close False"


def test_a_master_ends_with_the_command_that_started_it(tmp_path):
    """The command is killed, so that it can tell nobody."""
    master = [
        sys.executable, "-m", "locust", "--master", "-f", str(LOCUSTFILE), "--master-bind-host", "127.0.0.1",
        "--master-bind-port", str(free_port()), "--headless", "--expect-workers", "1", "--fotasim-parent",
    ]  # fmt: skip
    code = (
        "import os, subprocess, sys, time\n"
        "p = subprocess.Popen([*sys.argv[1:], str(os.getpid())], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)\n"
        "print(p.pid, flush=True)\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, *master], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    child = psutil.Process(int(parent.stdout.readline()))
    try:
        until(lambda: child.net_connections("tcp"), "the master's port")
        parent.kill()
        until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "its end")
    finally:
        parent.kill()
        parent.communicate()
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


def test_a_halted_fleet_sends_nothing_and_begins_nothing():
    """What is on its way is acknowledged; then the cloud sees no message, no login and no download any more."""
    given = scenario(
        *HARMLESS, "fleet.size=40", "fleet.groups.0.power=mains", "fleet.groups.0.rsrp_dbm=-90",
        "fleet.groups.0.free_space=10 MB", "fleet.groups.0.check_in=always",
    )  # fmt: skip

    async def run():
        cloud, found = LiveCloud(given), Latencies()
        await cloud.start()
        target = await find_target(cloud.url, Settings())
        fleet = LoadFleet(given, target, Settings(time_scale=50.0), found)
        await fleet.open()
        fleet.resize(40)

        def seen():
            return (sum(map(len, cloud.statuses)), len(cloud.logins), len(cloud.ranges), cloud.endpoint.counts.received)

        while seen()[0] < 40:  # in the middle of it: all have begun, or are about to
            await asyncio.sleep(0.01)
        fleet.halt()
        while fleet.engine.cloud.links.in_flight:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)
        before = seen()
        await asyncio.sleep(1.0)
        after = seen()
        unfinished = sum(not module.done for module in fleet.engine.modules)
        await fleet.close()
        await cloud.stop()
        return before, after, unfinished

    before, after, unfinished = asyncio.run(asyncio.wait_for(run(), 60))
    assert unfinished > 0
    assert before == after


class Forgetful(LiveCloud):
    """Counts one success less than it has acknowledged."""

    async def _devices(self, request):
        answer = await super()._devices(request)
        told = json.loads(answer.text)
        done = [device for device in told["devices"] if device["state"] == "succeeded"]
        if done:
            done[0]["state"] = "updating"
        answer.text = json.dumps(told)
        return answer


@pytest.mark.parametrize(("kind", "agrees"), [(LiveCloud, True), (Forgetful, False)])
def test_client_and_cloud_are_compared_after_a_load(kind, agrees, monkeypatch):
    monkeypatch.setattr("sim.load.load_fleet.RECONCILE_S", 1.5)
    given = scenario(*HARMLESS, "fleet.size=6", "fleet.groups.0.power=mains", "fleet.groups.0.rsrp_dbm=-90",
                     "fleet.groups.0.free_space=10 MB", "fleet.groups.0.check_in=always")  # fmt: skip

    async def run():
        cloud = kind(given)
        await cloud.start()
        target = await find_target(cloud.url, Settings())
        fleet = LoadFleet(given, target, Settings(time_scale=1000.0), Latencies(), compare=True)
        await fleet.open()
        fleet.resize(6)
        while not all(module.done for module in fleet.engine.modules):
            await asyncio.sleep(0.05)
        found = await fleet.close()
        await cloud.stop()
        return found

    found = asyncio.run(asyncio.wait_for(run(), 60))
    assert found.agrees is agrees
    successes = next(check for check in found.checks if check.what.startswith("successes"))
    assert (successes.client, successes.cloud) == (6, 6 if agrees else 5)
    assert len(successes.examples) == (0 if agrees else 1)
