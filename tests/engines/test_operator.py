"""fotasim's operator at hawkBit: soak, starts by the clock and the operator's calendar, against a double of the server."""

from __future__ import annotations

import asyncio

import pytest

from sim.engines.live.ddi import publish
from sim.engines.live.ddi.duties import duties_of
from sim.engines.live.live_engine import Settings
from sim.engines.live.live_run import live
from sim.errors import InputError, ScenarioError
from tests.hawkbit_double import HawkbitDouble
from tests.support import HARMLESS, scenario

SCALE = 600.0
READY = (
    *HARMLESS, "fleet.size=8", "fleet.groups.0.check_in=always", "fleet.groups.0.battery_percent=90",
    "fleet.groups.0.rsrp_dbm=-90", "fleet.groups.0.free_space=4 MB", "plan.strategy.preset=hawkbit",
    "cloud={kind: ddi, server: hawkbit}",
)  # fmt: skip
HALVES = "plan.strategy.rollout.groups=[{{name: a, percent: 50, success_threshold_percent: 100, error_threshold_percent: {0}, {1}}}, {{name: b{2}}}]"


@pytest.fixture(autouse=True)
def login(monkeypatch):
    monkeypatch.setenv("FOTASIM_DDI_USER", "admin")
    monkeypatch.setenv("FOTASIM_DDI_PASSWORD", "admin")


def run(*overrides, seconds=20.0, before=None, published=True, plan=None):
    """The run of a published plan, the double, and each of the operator's requests with its second of the run."""
    given, double = scenario(*READY, *overrides), HawkbitDouble()

    async def act():
        await double.start()
        try:
            if published:
                await publish.publish(given, double.url, tell=str)
            if before is not None:
                before(double)
            return await live(
                given, double.url, Settings(ramp_per_s=100.0, time_scale=SCALE, duration_s=seconds), plan=plan
            )
        finally:
            await double.stop()

    found = asyncio.run(act())
    return found, double, found.outcome.manifest["live"].get("operator", [])


def asked_for(double):
    return [
        path.rsplit("/", 1)[1] for method, path, _ in double.asked if method == "POST" and path.startswith("/rollouts/")
    ]


def test_the_second_group_opens_after_the_soak():
    """The server pauses after the first group; the operator resumes an hour of the run later, six real seconds."""
    found, double, log = run(HALVES.format("50", "soak: 1h", ""), seconds=30.0)
    assert found.outcome.summary["outcomes"]["succeeded"] == 8
    assert asked_for(double) == ["start", "resume"]
    modules = found.outcome.records.modules
    first_done = sorted(modules["reported_s"])[3]
    opened = sorted(modules["notified_s"])[4]
    assert opened - first_done >= 3600.0 - SCALE
    assert [entry["did"] for entry in log] == ["resume"]
    assert 0.0 <= log[0]["at_s"] - first_done - 3600.0 < 4 * SCALE
    assert found.reconciliation.agrees


def test_a_group_does_not_open_before_its_time():
    found, double, log = run(HALVES.format("50", "error_action: pause", ", start_time: 2h"), seconds=30.0)
    assert found.outcome.summary["outcomes"]["succeeded"] == 8
    assert asked_for(double) == ["start", "resume"]
    assert 7200.0 <= log[0]["at_s"] < 7200.0 + 3 * SCALE


def test_a_group_in_error_stays_paused():
    """More than the threshold fail: the server pauses for it, and no soak ends that."""
    found, double, log = run(HALVES.format("10", "soak: 10min", ""), "fleet.failures.boot_failure=1", seconds=8.0)
    assert asked_for(double) == ["start"]
    assert [entry["did"] for entry in log] == ["stays paused"]
    assert double.statuses() == {"error": 4, "scheduled": 4}
    assert found.outcome.summary["outcomes"]["failed"] == 4


def test_an_error_while_it_soaks_keeps_the_next_group_shut():
    """A paused server looks at no threshold; the operator does, before it resumes."""
    ready = []

    def worse(double):
        ready.append(double)

        async def later():
            while not any(g["status"] == "finished" for groups in double.groups.values() for g in groups):
                await asyncio.sleep(0.05)
            for action in [a for a in double.actions if a.status == "finished"][:2]:
                action.status = "error"

        ready.append(asyncio.get_running_loop().create_task(later()))

    _, double, log = run(HALVES.format("20", "soak: 40min", ""), seconds=15.0, before=worse)
    assert asked_for(double) == ["start"]
    assert log[-1]["did"] == "stays paused"
    assert "while it soaked" in log[-1]["why"]


def test_the_operators_calendar_is_carried_out():
    plan = "plan.operator=[{at: 20min, do: suspend}, {at: 40min, do: resume}, {at: 60min, do: terminate}]"
    _, double, log = run(
        "plan.strategy.rollout.groups=[{}]", "plan.mode=confirm", "plan.user_delay=48h", plan, seconds=12.0
    )
    assert asked_for(double) == ["start", "pause", "resume", "stop"]
    assert [entry["did"] for entry in log] == ["suspend", "resume", "terminate"]
    assert double.statuses() == {"canceled": 8}  # the devices gave up when they were told
    for entry, planned_s in zip(log, (1200.0, 2400.0, 3600.0), strict=True):
        assert 0.0 <= entry["at_s"] - planned_s < SCALE


def test_the_next_group_is_opened_when_the_plan_says_so():
    found, double, _ = run(
        "plan.strategy.rollout.groups=[{percent: 50}, {}]", "fleet.failures.boot_failure=0",
        "plan.operator=[{at: 1s, do: next-group}]", seconds=12.0,
    )  # fmt: skip
    assert asked_for(double)[:2] == ["start", "triggerNextGroup"]
    assert found.outcome.summary["outcomes"]["succeeded"] == 8


def test_what_the_server_refuses_is_on_record_and_ends_nothing():
    """resume of a rollout that runs."""
    found, _, log = run("plan.strategy.rollout.groups=[{}]", "plan.operator=[{at: 1s, do: resume}]", seconds=12.0)
    assert "refused" in log[0]["why"]
    assert found.outcome.summary["outcomes"]["succeeded"] == 8


def test_without_a_login_a_plan_with_duties_does_not_start(monkeypatch):
    monkeypatch.delenv("FOTASIM_DDI_USER")
    with pytest.raises(InputError, match="FOTASIM_DDI_USER"):
        run(HALVES.format("50", "soak: 1h", ""), published=False)


def test_a_rollout_that_does_not_wait_is_not_this_plan():
    def goes_on(double):
        for groups in double.groups.values():
            groups[0]["successAction"] = {"action": "NEXTGROUP"}

    with pytest.raises(InputError, match="does not pause after group a"):
        run(HALVES.format("50", "soak: 1h", ""), before=goes_on)


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        (
            HALVES.format("50", "soak: 1h, success_action: pause", ""),
            "rollout.groups.0",
        ),  # who resumes: the plan, not the soak
        ("plan.strategy.rollout.groups=[{start_time: 1h}]", "rollout.groups.0"),  # nothing is before the first one
        ("plan.operator=[{at: 1h, do: retry-failed}]", "plan.operator"),
        ("plan.operator=[{at: 1h, do: cancel, modules: [m0000001]}]", "plan.operator"),
    ],
)
def test_what_the_operator_cannot_do_is_refused(setting, key):
    with pytest.raises(ScenarioError) as caught:
        run(setting)
    assert any(key in problem.key for problem in caught.value.problems)


def test_suspend_and_resume_are_not_mixed_with_soak():
    given = scenario(
        *READY, HALVES.format("50", "soak: 1h", ""), "plan.operator=[{at: 1h, do: suspend}, {at: 2h, do: terminate}]"
    )
    assert [what for _, what in duties_of(given.plan).calendar] == ["terminate"]
    assert any(loss.key == "plan.operator" and "suspend" in loss.value for loss in publish.prepared(given).losses)


def test_soak_of_the_last_group_asks_for_nothing():
    given = scenario(*READY, "plan.strategy.rollout.groups=[{percent: 50}, {soak: 24h}]")
    assert publish.prepared(given).losses == []
    assert not duties_of(given.plan)


# --- which rollout is judged -------------------------------------------------------------------------------------------


def another(double):
    """Somebody else's rollout, made after ours."""
    double.rollouts[999] = {"id": 999, "name": "somebody else's", "status": "running"}
    double.groups[999] = []


def test_the_rollout_of_the_plans_name_is_judged_and_named():
    found, _, _ = run("plan.strategy.rollout.groups=[{}]", before=another)
    assert found.reconciliation.by.endswith(f"{scenario(*READY).plan.name!r}")
    assert found.reconciliation.agrees
    assert found.reconciliation.by in found.reconciliation.lines()[0]


def test_without_a_rollout_of_this_name_nothing_is_judged_by_chance():
    def renamed(double):
        for rollout in double.rollouts.values():
            rollout["name"] = "nightly"
        another(double)

    found, _, _ = run("plan.strategy.rollout.groups=[{}]", before=renamed)
    assert found.reconciliation.checks == ()
    assert "has no rollout named" in found.reconciliation.note
    assert '999 "somebody else\'s"' in found.reconciliation.note
    assert "--plan NUMBER" in found.reconciliation.note


@pytest.mark.parametrize(("held", "under_way"), [(set(), 0), ({"deploymentBase"}, 8)])
def test_requests_under_way_at_the_end_are_counted(held, under_way):
    """Each of the eight modules waits for its deployment, which the server never sends."""

    def hold(double):
        double.held = held

    found, _, _ = run("plan.strategy.rollout.groups=[{}]", before=hold, seconds=20.0 if not held else 5.0)
    assert found.outcome.manifest["live"]["requests_in_flight_at_end"] == under_way
