"""A capacity probe over native workers: their parts add up, and one that is killed voids the step and says so."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager

from sim.engines.live.engine import Settings
from sim.load.live import LiveProbe
from sim.load.slo import parse
from sim.load.wave import KINDS, probe_scenario
from sim.wire.quecthing import login
from tests.live_cloud import PRODUCT_KEY, LiveCloud
from tests.support import scenario

SLO = parse("p99(notify)<5s, error_rate<0.1%")
GIVEN = scenario("plan.components.fw.size=5 kB")
SECONDS = 90.0


class Open(LiveCloud):
    """Takes in any module, and numbers them as they come."""

    def __init__(self):
        super().__init__(probe_scenario(GIVEN, 200))
        self.numbers = _Numbers(self.names)


class _Numbers(dict):
    def __init__(self, names):
        super().__init__()
        self.names = names

    def __missing__(self, client_id):
        self.names[len(self)] = client_id.removeprefix(login.client_id(PRODUCT_KEY, ""))
        self[client_id] = len(self)
        return self[client_id]

    def __contains__(self, client_id):
        return True


@contextmanager
def cloud():
    """A cloud in a thread of its own, so that the probe may have this one."""
    loop, there = asyncio.new_event_loop(), Open()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(_start(there), loop).result(SECONDS)
        yield there
    finally:
        asyncio.run_coroutine_threadsafe(there.stop(), loop).result(SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SECONDS)
        loop.close()


async def _start(there):
    await there.start()


def test_workers_share_a_probe_and_one_that_is_killed_voids_it():
    with cloud() as there:
        probe = LiveProbe(GIVEN, there.url, KINDS["releases"], SLO, Settings(time_scale=60.0), workers=2)
        try:
            whole = probe(1200.0, 2.0)
            assert set(whole.health) == {"1", "2"}
            assert whole.legs["notice"]["count"] == whole.legs["download"]["count"] == whole.figures["modules"] == 40
            assert not any("missing" in fault for fault in whole.void)
            victim = probe.crew.hands[0].process
            threading.Timer(1.5, victim.kill).start()
            broken = probe(300.0, 5.0)
            assert any("worker 1 went missing" in fault for fault in broken.void)
            assert set(broken.health) == {"2"}
            assert not victim.is_alive()
        finally:
            probe.close()
    assert all(not hand.process.is_alive() for hand in probe.crew.hands)
