"""A real hawkBit, where its jar is at hand: 1,000 modules in three groups with thresholds, each device beside the server's.

FOTASIM_HAWKBIT_JAR=path/to/hawkbit-update-server.jar pytest -n 0 -m hawkbit
"""

from __future__ import annotations

import asyncio

import pytest

from sim.engines.live.ddi import publish
from sim.engines.live.ddi.control import control_of
from sim.engines.live.ddi.ddi_target import ddi_target
from sim.engines.live.ddi.hawkbit_api import Hawkbit
from sim.engines.live.live_engine import Settings
from sim.engines.live.live_run import run_live
from sim.engines.live.live_target import Limits
from sim.engines.run import simulate
from tests.engines.hawkbit_server import PASSWORD, USER, HawkbitServer, jar
from tests.support import HARMLESS, scenario

TOKEN = "a-gateway-token-of-the-test-0123456789"
SCALE, SLEEP_S = 60.0, 10
GROUPS = (
    "[{name: canary, percent: 10, success_threshold_percent: 80, error_threshold_percent: 20, error_action: pause},"
    " {name: half, percent: 45, success_threshold_percent: 80, error_threshold_percent: 20, error_action: pause},"
    " {name: rest, percent: 45, success_threshold_percent: 80, error_threshold_percent: 20, error_action: pause}]"
)
SUCCEEDS, FAILS = "fleet.failures.boot_failure=0.02", "fleet.failures.boot_failure=1"
pytestmark = [pytest.mark.hawkbit, pytest.mark.timeout(1200)]


def fleet(url: str, failures: str):
    return scenario(
        *HARMLESS, "fleet.size=1000", "fleet.groups.0.power=mains", "fleet.groups.0.check_in=always",
        "fleet.groups.0.rsrp_dbm=-90", "fleet.groups.0.free_space=4 MB", f"cloud={{kind: ddi, server: hawkbit, url: '{url}'}}",
        "plan.strategy.preset=hawkbit", f"plan.strategy.delivery.polling_time={SLEEP_S * SCALE:g}s",
        f"plan.strategy.rollout={{percent_of: total, groups: {GROUPS}}}", failures,
    )  # fmt: skip


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("FOTASIM_DDI_USER", USER)
    monkeypatch.setenv("FOTASIM_DDI_PASSWORD", PASSWORD)
    monkeypatch.setenv("FOTASIM_DDI_GATEWAY_TOKEN", TOKEN)
    with HawkbitServer(jar(), tmp_path, polling_time=f"00:00:{SLEEP_S:02d}") as started:
        asyncio.run(let_in(started.url))
        yield started


def control(url: str) -> Hawkbit:
    target = ddi_target(url, "DEFAULT", "hawkbit", Limits())
    made = control_of(target, target.ssl_context(None))
    assert isinstance(made, Hawkbit)
    return made


async def let_in(url: str) -> None:
    async with control(url) as api:
        await api.allow("authentication.gatewaytoken.enabled", True)
        await api.allow("authentication.gatewaytoken.key", TOKEN)


def lived(given, duration_s: float):
    """Publishes the plan and runs the fleet; the live run and the number of the rollout."""
    rollout = asyncio.run(publish.publish(given, given.cloud.url, publish.How(accept_losses=True))).rollout
    settings = Settings(ramp_per_s=100.0, time_scale=SCALE, radio=True, duration_s=duration_s)
    return run_live(given, given.cloud.url, settings, plan=rollout), rollout


async def server_side(url: str, rollout: int):
    """Every target's state, and the rollout's groups, asked past our own reconciliation."""
    async with control(url) as api:
        groups = await api._ask("GET", f"/rest/v1/rollouts/{rollout}/deploygroups?limit=10&representation=full")
        whole = await api._ask("GET", f"/rest/v1/rollouts/{rollout}")
        return await api.states((), rollout), groups["content"], whole


def test_a_thousand_modules_in_three_groups_end_as_hawkbit_says_and_as_was_predicted(server):
    given = fleet(server.url, SUCCEEDS)
    found, rollout = lived(given, 600.0)
    states, groups, _ = asyncio.run(server_side(server.url, rollout))
    modules = found.outcome.records.modules
    expected = {"succeeded": "finished", "failed": "error"}
    told = {name: expected[outcome] for name, outcome in zip(modules["module"], modules["outcome"], strict=True)}
    assert told == {name: found.state for name, found in states.items()}
    assert found.reconciliation.agrees
    assert found.reconciliation.findings == ()
    assert [group["status"] for group in groups] == ["finished"] * 3
    predicted = simulate(given).records.modules.set_index("module")
    seen = modules.set_index("module").loc[predicted.index]
    assert (predicted["outcome"].astype(str) == seen["outcome"].astype(str)).all()  # draws by key: one by one


def test_a_threshold_that_is_broken_pauses_the_rollout_before_the_second_group(server):
    found, rollout = lived(fleet(server.url, FAILS), 240.0)
    _, groups, whole = asyncio.run(server_side(server.url, rollout))
    outcomes = found.outcome.records.modules["outcome"].astype(str).value_counts().to_dict()
    assert outcomes == {"failed": 100, "pending": 900}
    assert whole["status"] == "paused"
    assert [group["status"] for group in groups][1:] == ["scheduled", "scheduled"]
    assert found.reconciliation.agrees
