"""The same cases on the double of hawkBit, always, and on a real one where its jar is at hand.

FOTASIM_HAWKBIT_JAR=path/to/hawkbit-update-server.jar pytest -n 0 -m hawkbit
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from sim.engines.live.ddi import publish
from sim.engines.live.ddi.control import control_of
from sim.engines.live.ddi.ddi_target import ddi_target
from sim.engines.live.ddi.hawkbit_api import CONFIRMATION_SWITCH, Hawkbit
from sim.engines.live.live_engine import Settings
from sim.engines.live.live_run import live
from sim.engines.live.live_target import Limits
from sim.errors import ScenarioError
from tests.engines.hawkbit_server import PASSWORD, USER, HawkbitServer, jar
from tests.hawkbit_double import HawkbitDouble
from tests.support import HARMLESS, scenario

TOKEN = "a-gateway-token-of-the-test-0123456789"
SCALE = 600.0
READY = (
    *HARMLESS, "fleet.size=8", "fleet.groups.0.check_in=always", "fleet.groups.0.battery_percent=90",
    "fleet.groups.0.rsrp_dbm=-90", "fleet.groups.0.free_space=4 MB", "plan.strategy.preset=hawkbit",
)  # fmt: skip
EVERYBODY = "plan.strategy.rollout.groups=[{}]"
pytestmark = pytest.mark.timeout(900)


@dataclass
class Server:
    """Where it is, how often it is polled, and the longest a run on it may take."""

    polling_time: str
    seconds: float
    folder: object = None
    url: str = ""

    def plan(self, *overrides):
        """A scenario for this server."""
        return scenario(
            *READY, f"cloud={{kind: ddi, server: hawkbit, url: '{self.url}'}}",
            f"plan.strategy.delivery.polling_time='{self.polling_time}'", *overrides,
        )  # fmt: skip

    def control(self):
        """Its management API."""
        target = ddi_target(self.url, "DEFAULT", "hawkbit", Limits())
        made = control_of(target, target.ssl_context(None))
        assert isinstance(made, Hawkbit)
        return made

    async def run(self, given, seconds=None):
        """Publishes a plan and runs its fleet; the run and the rollout's number."""
        found = await publish.publish(given, self.url, tell=str)
        settings = Settings(ramp_per_s=100.0, time_scale=SCALE, duration_s=seconds or self.seconds)
        return await live(given, self.url, settings), found.rollout


@pytest.fixture(params=["double", pytest.param("jar", marks=pytest.mark.hawkbit)])
def server(request, monkeypatch, tmp_path):
    """A server of its own for each case."""
    monkeypatch.setenv("FOTASIM_DDI_USER", USER)
    monkeypatch.setenv("FOTASIM_DDI_PASSWORD", PASSWORD)
    monkeypatch.setenv("FOTASIM_DDI_GATEWAY_TOKEN", TOKEN)
    if request.param == "double":
        yield Server("00:05:00", 30.0)
        return
    with HawkbitServer(jar(), tmp_path, polling_time="00:00:05") as started:
        yield Server("00:00:05", 240.0, url=started.url)


def on(server, case):
    """Runs a case with devices let in; the double lives in the same loop."""

    async def act():
        double = None if server.url else HawkbitDouble()
        if double is not None:
            await double.start()
            server.url = double.url
        try:
            async with server.control() as api:
                await api.allow("authentication.gatewaytoken.enabled", True)
                await api.allow("authentication.gatewaytoken.key", TOKEN)
            return await case()
        finally:
            if double is not None:
                await double.stop()

    return asyncio.run(act())


def outcomes(found):
    return {name: count for name, count in found.outcome.summary["outcomes"].items() if count}


@pytest.mark.parametrize(
    ("percents", "sizes"), [((10, 30, 60), [5, 15, 30]), ((33, 33, 34), [17, 16, 17]), ((1, 99), [1, 49])]
)
def test_groups_are_cut_as_was_shown(server, percents, sizes):
    async def case():
        listed = ", ".join(f"{{percent: {p}}}" for p in percents)
        given = server.plan("fleet.size=50", f"plan.strategy.rollout.groups=[{listed}]")
        shown = [group.targets for group in publish.prepared(given).groups]
        found = await publish.publish(given, server.url, tell=str)
        async with server.control() as api:
            return shown, [group["totalTargets"] for group in await api.groups(found.rollout)]

    shown, stored = on(server, case)
    assert shown == stored == sizes


def test_everybody_succeeds_and_both_sides_agree(server):
    async def case():
        return await server.run(server.plan(EVERYBODY))

    found, _ = on(server, case)
    assert outcomes(found) == {"succeeded": 8}
    assert found.reconciliation.agrees
    assert found.reconciliation.findings == ()


def test_a_group_in_error_pauses_the_rollout_before_the_next(server):
    async def case():
        groups = "plan.strategy.rollout.groups=[{percent: 50, error_threshold_percent: 20}, {}]"
        found, rollout = await server.run(server.plan(groups, "fleet.failures.boot_failure=1"), server.seconds / 4)
        async with server.control() as api:
            return found, await api.status(rollout), [g["status"].lower() for g in await api.groups(rollout)]

    found, status, groups = on(server, case)
    assert outcomes(found)["failed"] == 4
    assert (status, groups) == ("paused", ["error", "scheduled"])
    assert found.reconciliation.agrees


def test_the_operator_resumes_after_the_soak(server):
    async def case():
        groups = "plan.strategy.rollout.groups=[{name: a, percent: 50, soak: 1h}, {name: b}]"
        return await server.run(server.plan(groups))

    found, _ = on(server, case)
    assert outcomes(found) == {"succeeded": 8}
    assert [entry["did"] for entry in found.outcome.manifest["live"]["operator"]] == ["resume"]


def test_a_second_release_for_the_same_fleet(server):
    async def case():
        await server.run(server.plan(EVERYBODY))
        later = server.plan(EVERYBODY, "plan.name=later", "plan.components.0.target_version='1.2.0'")
        return await server.run(later)

    found, rollout = on(server, case)
    assert outcomes(found) == {"succeeded": 8}
    assert found.reconciliation.by == f"rollout {rollout} 'later'"
    assert found.reconciliation.agrees


def test_modules_that_never_come_are_no_disagreement(server):
    async def case():
        return await server.run(server.plan(EVERYBODY, "fleet.failures.never_online=1"), 5.0)

    found, _ = on(server, case)
    assert found.reconciliation.agrees


def test_a_confirmation_needs_the_tenants_switch_and_is_then_asked(server):
    async def case():
        given = server.plan(EVERYBODY, "plan.strategy.delivery.confirmation=user", "plan.user_delay=1min")
        with pytest.raises(ScenarioError, match="is off, so nobody is asked"):
            await publish.publish(given, server.url, tell=str)
        async with server.control() as api:
            await api.allow(CONFIRMATION_SWITCH, True)
        return await server.run(given)

    found, _ = on(server, case)
    assert outcomes(found) == {"succeeded": 8}
    assert found.reconciliation.agrees


def test_download_only_ends_with_the_download(server):
    async def case():
        return await server.run(server.plan(EVERYBODY, "plan.strategy.delivery.action_type=download-only"))

    found, _ = on(server, case)
    assert found.reconciliation.agrees
    assert found.outcome.records.modules["downloaded_s"].notna().all()
    assert found.outcome.records.modules["updating_s"].isna().all()
