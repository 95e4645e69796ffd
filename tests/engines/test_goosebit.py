"""A real DDI server: 200 modules upgraded in goosebit, each outcome beside the server's own state of that device."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from demos.goosebit_server import PASSWORD, USER, GoosebitServer, Unavailable
from demos.hawkbit import SCENARIO, run
from sim.engines.live.ddi.control import control_of
from sim.engines.live.ddi.ddi_target import ddi_target
from sim.engines.live.ddi.goosebit_api import Goosebit
from sim.engines.live.live_target import Limits
from sim.engines.run import simulate
from sim.scenario import Scenario
from tests.support import missing

SERVER_STATE = {
    ("succeeded", ""): "finished", ("failed", "boot_failure"): "error", ("failed", "power_loss"): "error",
    ("rejected", "low_battery"): "error", ("rejected", "user_refused"): "error", ("failed", "bricked"): "running",
}  # fmt: skip
"""What the server must hold of a device for each outcome: a brick is silence, so its update runs on for ever."""


@pytest.fixture
def goosebit(tmp_path):
    try:
        with GoosebitServer(tmp_path, poll_time="00:00:06") as server:
            yield server
    except Unavailable as error:
        missing(str(error))


def test_two_hundred_modules_end_as_goosebit_says_of_each_device(goosebit, monkeypatch):
    """One run, because it takes a minute; what is shown of it stands in the names below."""
    monkeypatch.setenv("FOTASIM_DDI_USER", USER)
    monkeypatch.setenv("FOTASIM_DDI_PASSWORD", PASSWORD)
    given = Scenario.load(SCENARIO).with_({"fleet.size": 200, "cloud.url": goosebit.url})
    found = run(given, 60.0)
    states, logs, counters = asyncio.run(server_side(goosebit))
    every_outcome_is_the_servers_state_of_that_device(found, states)
    the_reconciliation_agrees_device_by_device(found, states)
    broken_downloads_were_resumed_at_the_server(found, logs)
    the_servers_own_counters_are_checked_against_its_devices(found, states, counters)
    every_outcome_was_predicted(given, found)


async def server_side(server):
    """The server's devices with state and log, and its rollout's counters, asked past our own reconciliation."""
    target = ddi_target(server.url, "DEFAULT", "goosebit", Limits())
    control = control_of(target, target.ssl_context(None))
    assert isinstance(control, Goosebit)
    async with control:
        states = {name: found.state for name, found in (await control.states()).items()}
        logs = {name: await control.log(name) for name in states}
        return states, logs, await control.counters(None)


def every_outcome_is_the_servers_state_of_that_device(found, states):
    modules = found.outcome.records.modules
    rows = list(zip(modules["module"], modules["outcome"], modules["cause"], strict=True))
    assert len(rows) == len(states) == 200
    assert {name: SERVER_STATE[outcome, cause] for name, outcome, cause in rows} == states
    kinds = {(outcome, cause) for _, outcome, cause in rows}
    assert kinds == set(SERVER_STATE)  # every way to end has happened


def every_outcome_was_predicted(given, found):
    """Draws go by key: the same file simulated beforehand named each module's outcome and cause."""
    predicted, seen = (o.records.modules.set_index("module") for o in (simulate(given), found.outcome))
    for column in ("outcome", "cause", "components_done", "bytes_useful"):
        assert predicted[column].astype(str).to_dict() == seen[column].astype(str).to_dict(), column


def the_reconciliation_agrees_device_by_device(found, states):
    assert found.reconciliation.agrees
    cloud = {check.what.split(":")[0]: check.cloud for check in found.reconciliation.checks}
    count = Counter(states.values())
    assert (cloud["success"], cloud["failure"], cloud["under way"]) == (
        count["finished"],
        count["error"],
        count["running"],
    )


def broken_downloads_were_resumed_at_the_server(found, logs):
    modules = found.outcome.records.modules
    broken = modules[modules["group"] == "broken-links"]
    resumed = {name for name, log in logs.items() if "resumed at byte" in log}
    assert resumed
    assert resumed <= set(broken["module"])
    assert set(broken["outcome"]) == {"succeeded"}


def the_servers_own_counters_are_checked_against_its_devices(found, states, counters):
    """goosebit adds to a counter in memory and saves it: under concurrency counts are lost, and we say so."""
    count = Counter(states.values())
    both = [(counters.succeeded, count["finished"]), (counters.failed, count["error"])]
    lost = [(counted, real) for counted, real in both if counted != real]
    assert len(found.reconciliation.findings) == len(lost)
    for (counted, real), text in zip(lost, found.reconciliation.findings, strict=True):
        assert f"counts {counted:,}" in text
        assert f"device states say {real:,}" in text
        assert counted < real
