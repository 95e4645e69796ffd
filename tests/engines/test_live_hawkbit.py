"""Fleets against a double that answers as hawkBit 1.0.4 was seen to: lost answers, 410, 405, revisions, second releases."""

from __future__ import annotations

import asyncio

import pytest

from sim.engines.live.ddi import publish
from sim.engines.live.live_engine import Settings
from sim.engines.live.live_run import live
from tests.hawkbit_double import HawkbitDouble
from tests.support import HARMLESS, scenario

READY = (
    *HARMLESS, "fleet.size=8", "fleet.groups.0.check_in=always", "fleet.groups.0.battery_percent=90",
    "fleet.groups.0.rsrp_dbm=-90", "fleet.groups.0.free_space=4 MB", "plan.strategy.preset=hawkbit",
    "plan.strategy.rollout.groups=[{}]", "cloud={kind: ddi, server: hawkbit}",
)  # fmt: skip


@pytest.fixture(autouse=True)
def login(monkeypatch):
    monkeypatch.setenv("FOTASIM_DDI_USER", "admin")
    monkeypatch.setenv("FOTASIM_DDI_PASSWORD", "admin")


def run(*overrides, seconds=20.0, before=None, set_up=None):
    """A published plan run by its fleet; `before` acts on the double between the two."""
    given, double = scenario(*READY, *overrides), HawkbitDouble()
    if set_up is not None:
        set_up(double)

    async def act():
        await double.start()
        try:
            found = await publish.publish(given, double.url, tell=str)
            if before is not None:
                before(double)
            settings = Settings(ramp_per_s=100.0, time_scale=600.0, duration_s=seconds)
            return await live(given, double.url, settings, plan=found.rollout)
        finally:
            await double.stop()

    return asyncio.run(act()), double


def outcomes(found):
    return {name: count for name, count in found.outcome.summary["outcomes"].items() if count}


def test_a_final_report_whose_answer_got_lost_is_taken_and_not_canceled():
    found, double = run(set_up=lambda d: d.lose.add("closed"), seconds=40.0)
    assert outcomes(found) == {"succeeded": 8}
    assert double.statuses() == {"finished": 8}
    assert found.reconciliation.agrees


def test_failures_stay_failures_when_their_answer_got_lost():
    found, double = run("fleet.failures.boot_failure=1", set_up=lambda d: d.lose.add("closed"), seconds=40.0)
    assert outcomes(found) == {"failed": 8}
    assert double.statuses() == {"error": 8}
    assert found.reconciliation.agrees


def test_a_deployment_is_read_once_though_its_revision_changes_with_every_feedback():
    found, double = run()
    assert outcomes(found) == {"succeeded": 8}
    assert double.requests["deploymentBase"] == 8


def test_a_run_ends_with_the_new_version_told():
    found, double = run()
    assert {name: told["sw_version"] for name, told in double.attributes.items()} == dict.fromkeys(
        double.targets, "1.1.0"
    )
    assert found.outcome.summary["complete"]


def test_a_package_that_fits_no_component_is_an_outcome_of_its_module():
    def other(double):
        for action in double.actions[:1]:
            action.chunks = [*action.chunks, *action.chunks]

    found, double = run(before=other, seconds=10.0)
    assert outcomes(found) == {"succeeded": 7, "failed": 1}
    assert double.statuses() == {"finished": 7, "error": 1}


def test_an_action_taken_away_before_its_module_comes_is_no_disagreement():
    found, _ = run(before=lambda d: d.force_quit("m0000003"), seconds=5.0)
    assert outcomes(found)["succeeded"] == 7
    assert found.reconciliation.agrees
    assert any("have not heard" in line for line in found.reconciliation.findings)


def test_modules_that_never_come_online_are_no_disagreement():
    found, double = run("fleet.failures.never_online=1", seconds=2.0)
    assert double.statuses() == {"running": 8}
    assert found.reconciliation.agrees


def test_undecided_users_are_no_disagreement():
    found, _ = run("plan.mode=confirm", "plan.user_delay=48h", seconds=4.0)
    assert outcomes(found) == {"pending": 8}
    assert found.reconciliation.agrees
