"""A real DDI server: 200 modules upgraded in goosebit, each outcome beside the server's own state of that device."""

from __future__ import annotations

import asyncio
import os
from collections import Counter

import pytest

from demos.goosebit_server import PASSWORD, USER, GoosebitServer, Unavailable
from demos.hawkbit import SCENARIO, run
from sim.engines.live.ddi.control import control_of
from sim.engines.live.ddi.goosebit import Goosebit
from sim.engines.live.ddi.target import ddi_target
from sim.engines.live.target import Limits
from sim.scenario import Scenario

SERVER_STATE = {
    ("succeeded", ""): "finished", ("failed", "boot_failure"): "error", ("failed", "power_loss"): "error",
    ("rejected", "low_battery"): "error", ("rejected", "user_refused"): "error", ("failed", "bricked"): "running",
}  # fmt: skip
"""What the server must hold of a device for each outcome: a brick is silence, so its update runs on for ever."""


@pytest.fixture(scope="module")
def goosebit(tmp_path_factory):
    try:
        with GoosebitServer(tmp_path_factory.mktemp("goosebit"), poll_time="00:00:06") as server:
            yield server
    except Unavailable as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def upgraded(goosebit):
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FOTASIM_DDI_USER", USER)
        patched.setenv("FOTASIM_DDI_PASSWORD", PASSWORD)
        given = Scenario.load(SCENARIO).with_({"fleet.size": 200, "cloud.url": goosebit.url})
        return run(given, 60.0), asyncio.run(server_side(goosebit))


async def server_side(server):
    """The server's devices with state, version and log, asked past our own reconciliation."""
    target = ddi_target(server.url, "DEFAULT", "goosebit", Limits())
    control = control_of(target, target.ssl_context(None))
    assert isinstance(control, Goosebit)
    async with control:
        states = await control.states()
        logs = {name: await control.log(name) for name in states}
        return states, logs, await control.counters(None)


def test_every_outcome_is_the_servers_state_of_that_device(upgraded):
    found, (states, _, _) = upgraded
    modules = found.outcome.records.modules
    rows = list(zip(modules["module"], modules["outcome"], modules["cause"], strict=True))
    assert len(rows) == len(states) == 200
    assert {name: SERVER_STATE[outcome, cause] for name, outcome, cause in rows} == states
    kinds = {(outcome, cause) for _, outcome, cause in rows}
    assert kinds == set(SERVER_STATE)  # every way to end has happened


def test_the_reconciliation_agrees_device_by_device(upgraded):
    found, (states, _, _) = upgraded
    assert found.reconciliation.agrees
    cloud = {check.what.split(":")[0]: check.cloud for check in found.reconciliation.checks}
    count = Counter(states.values())
    assert (cloud["success"], cloud["failure"], cloud["under way"]) == (
        count["finished"],
        count["error"],
        count["running"],
    )


def test_broken_downloads_were_resumed_at_the_server(upgraded):
    found, (_, logs, _) = upgraded
    modules = found.outcome.records.modules
    resumed = {name for name, log in logs.items() if "resumed at byte" in log}
    assert resumed
    assert resumed <= set(modules[modules["group"] == "broken-links"]["module"])
    assert set(modules[modules["group"] == "broken-links"]["outcome"]) == {"succeeded"}


def test_the_servers_own_counters_are_checked_against_its_devices(upgraded):
    """goosebit adds to a counter in memory and saves it: under concurrency counts are lost, and we say so."""
    found, (states, _, counters) = upgraded
    count = Counter(states.values())
    lost = [(counters.succeeded, count["finished"]), (counters.failed, count["error"])]
    assert len(found.reconciliation.findings) == sum(counted != real for counted, real in lost)
    for (counted, real), text in zip(
        [pair for pair in lost if pair[0] != pair[1]], found.reconciliation.findings, strict=True
    ):
        assert f"counts {counted:,}" in text
        assert f"device states say {real:,}" in text
        assert counted < real
