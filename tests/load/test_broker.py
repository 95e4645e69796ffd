"""A broker that nobody answers behind: no login waits for a secret that never comes, and what it does is timed."""

from __future__ import annotations

import time

import pytest

from sim.engines.live.live_engine import Settings
from sim.engines.live.slo import parse
from sim.load.capacity.findings import KINDS
from sim.load.capacity.live_probe import LiveProbe
from sim.service.endpoint import Endpoint
from sim.wire.quecthing.client import SecretHandOut
from tests.live_cloud import PRODUCT_KEY, PRODUCT_SECRET, served
from tests.load.test_ddi import in_thread
from tests.support import scenario

SLO = parse("p99(connect)<2s, p99(login)<2s, p99(request)<2s, error_rate<1%")
ASLEEP_SOON = ("fleet.groups.0.check_in={every: 24h, awake: 1s}",)


class BareBroker:
    """Lets everybody in, acknowledges everything, answers nothing."""

    def __init__(self):
        self.logins = []

    async def start(self):
        self.endpoint = Endpoint(self.lets_in, lambda *_: None, lambda *_: None, lambda *_: None)
        await self.endpoint.start(port=0)
        self.url = f"mqtt://127.0.0.1:{self.endpoint.port}"

    async def stop(self):
        await self.endpoint.stop()

    def lets_in(self, client_id, username, password):
        self.logins.append(client_id)
        return True


@pytest.fixture(autouse=True)
def product(monkeypatch):
    monkeypatch.setenv("FOTASIM_PRODUCT_KEY", PRODUCT_KEY)
    monkeypatch.setenv("FOTASIM_PRODUCT_SECRET", PRODUCT_SECRET)


def test_no_login_waits_for_a_secret_that_nobody_hands_out():
    """The question is asked once before the first probe, by one module; it took every login five seconds."""
    broker = BareBroker()
    with in_thread(broker):
        probe = LiveProbe(scenario(*ASLEEP_SOON), broker.url, KINDS["wakeups"], SLO, Settings())
        try:
            first, began = probe(6000.0, 2.0), time.monotonic()
            again = probe(6000.0, 2.0)
            took_s = time.monotonic() - began
        finally:
            probe.close()
    for measured in (first, again):
        assert {leg: (n["count"], n["failures"]) for leg, n in measured.legs.items()} == {
            "connect": (20, 0), "login": (20, 0), "request": (20, 0),
        }  # fmt: skip
        assert measured.legs["login"]["max_s"] < 2.0
        assert measured.evidence["p99(login)<2s"].over == 0
    assert len(broker.logins) == 1 + 2 * 20
    assert took_s < 2.0 + SLO.patience_s + 4.0


def test_a_platform_that_answers_is_waited_for():
    """The module that asked keeps its secret, and is not the only one that gets one."""
    with served(scenario("fleet.size=60")) as cloud:
        url = f"mqtt://127.0.0.1:{cloud.endpoint.port}"
        probe = LiveProbe(scenario(*ASLEEP_SOON), url, KINDS["wakeups"], parse("p99(wake)<2s"), Settings())
        try:
            measured = probe(6000.0, 2.0)
        finally:
            probe.close()
        assert measured.legs["wake"]["count"] == 20
        assert len(cloud.secrets) == 20
        assert len(cloud.logins) == 21


def test_a_released_module_of_a_run_does_not_make_others_wait():
    """Without the question before it, the first that waits in vain settles it for all; one answer settles it the other way."""
    learned = SecretHandOut()
    assert learned.expected
    learned.unanswered()
    assert not learned.expected
    learned.answered()
    learned.unanswered()
    assert learned.expected
