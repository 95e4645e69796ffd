"""A capacity probe over native workers: their parts add up, and one that is killed voids the step and says so."""

from __future__ import annotations

import threading

from sim.engines.live.engine import Settings
from sim.load.live import LiveProbe
from sim.load.slo import parse
from sim.load.wave import KINDS, probe_scenario
from tests.live_cloud import served
from tests.support import scenario

SLO = parse("p99(notify)<5s, error_rate<0.1%")
GIVEN = scenario("plan.components.fw.size=5 kB")


def test_workers_share_a_probe_and_one_that_is_killed_voids_it():
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
            victim = probe.crew.hands[0].process
            threading.Timer(1.5, victim.kill).start()
            broken = probe(300.0, 5.0)
            assert any("worker 1 went missing" in fault for fault in broken.void)
            assert set(broken.health) == {"2"}
            assert not victim.is_alive()
        finally:
            probe.close()
    assert all(not hand.process.is_alive() for hand in probe.crew.hands)
