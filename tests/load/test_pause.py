"""A cloud whose process stands still, or forgets what it acknowledged: the probe says so, whatever the SLO asks for."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from sim.engines.live.live_engine import Settings
from sim.engines.live.slo import completed, parse
from sim.load.capacity.live_probe import LiveProbe
from sim.load.capacity.server_counts import lost_updates, more_updates
from sim.load.capacity.wake_ups import KINDS, probe_scenario
from sim.scenario.load import dump
from sim.stats.evidence import Answer
from sim.wire.quecthing import commands
from tests.live_cloud import served
from tests.service.cloud import TOKEN, CloudProcess
from tests.support import scenario

PAUSE_S = 5.0
SLO, _ = completed(parse("p99(notify)<2s, error_rate<1%"), parse("p99(wake)<2s"), "wake")


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    """`fotasim cloud` with an active plan, as a process of its own."""
    monkeypatch.setenv("FOTASIM_TOKEN", TOKEN)
    file = tmp_path / "scenario.yaml"
    file.write_text(dump(scenario("plan.mode=confirm")), encoding="utf-8")
    process = CloudProcess(tmp_path / "cloud", "--scenario", str(file), "--activate")
    process.url = process.start()["http"]
    yield process
    process.process.send_signal(signal.SIGCONT)
    process.stop()


def test_a_pause_of_the_process_shows_at_its_full_length(cloud):
    """Stopped for 5 s of 12, once the first modules are there: whoever is due then waits for its end."""
    there = threading.Event()

    def watch(snapshot):
        if snapshot.connections:
            there.set()

    def pause():
        assert there.wait(60.0)
        cloud.process.send_signal(signal.SIGSTOP)
        time.sleep(PAUSE_S)
        cloud.process.send_signal(signal.SIGCONT)

    probe = LiveProbe(scenario("plan.mode=confirm"), cloud.url, KINDS["wakeups"], SLO, Settings(), watch=watch)
    pausing = threading.Thread(target=pause)
    try:
        pausing.start()
        measured = probe(6000.0, 12.0)  # ten a second
    finally:
        pausing.join()
        probe.close()
    wake = measured.evidence["p99(wake)<2s"]
    assert wake.tried == 120
    assert wake.answer() is Answer.BROKEN
    assert PAUSE_S - 1.0 < measured.legs["wake"]["max_s"] < PAUSE_S + 3.0


@pytest.mark.parametrize(
    ("counted", "acknowledged", "lost"), [(276, 300, True), (300, 300, False), (305, 300, False), (None, 300, False), (0, 0, False)]
)  # fmt: skip
def test_a_lost_update_is_a_fault_of_the_cloud(counted, acknowledged, lost):
    """24 of 300 acknowledged successes that the cloud does not count break the probe."""
    faults = lost_updates(counted, acknowledged)
    assert bool(faults) is lost
    if lost:
        assert faults == ["the cloud lost updates: it acknowledged 300 successes of this probe and counts 276"]


def test_others_at_work_on_the_cloud_are_a_hint():
    assert more_updates(12, 10) == ["the cloud counts 12 successes more than before, and 10 modules upgraded"]
    assert more_updates(10, 10) == more_updates(None, 10) == []


def test_upgrades_that_never_end_are_failures():
    """A server that lets everybody in at once, and hands no URL to every third module: 65 % are no capacity."""
    given, slo = scenario("plan.components.fw.size=5 kB"), parse("p99(notify)<5s, error_rate(upgrade)<1%")
    with served(probe_scenario(given, 400)) as there:
        whole = there.publish
        there.publish = lambda client_id, command, payload: (
            (command == commands.OTA_URL and there.numbers[client_id] % 3 == 0) or whole(client_id, command, payload)
        )
        probe = LiveProbe(given, there.url, KINDS["releases"], slo, Settings(time_scale=60.0))
        try:
            measured = probe(1200.0, 15.0)
        finally:
            probe.close()
    found = measured.evidence["error_rate(upgrade)<1%"]
    assert found.over > 20, measured
    assert found.answer() is Answer.BROKEN
