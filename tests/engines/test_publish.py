"""Publishing on hawkBit: what is sent is what was simulated, or nothing is."""

from __future__ import annotations

import asyncio
import json

import pytest

from demos import hawkbit as hawkbit_demo
from sim.engines.live.ddi import publish
from sim.engines.live.ddi.control import control_of
from sim.engines.live.ddi.ddi_target import ddi_target
from sim.engines.live.ddi.publication import publication_of
from sim.engines.live.live_target import Limits
from sim.errors import FotasimError, InputError, ScenarioError
from tests.hawkbit_double import HawkbitDouble, group_sizes
from tests.support import scenario

HAWKBIT = ("fleet.size=20", "cloud={kind: ddi, server: hawkbit}", "plan.strategy.preset=hawkbit")


def hawkbit(*overrides):
    return scenario(*HAWKBIT, *overrides)


@pytest.fixture(autouse=True)
def login(monkeypatch):
    monkeypatch.setenv("FOTASIM_DDI_USER", "admin")
    monkeypatch.setenv("FOTASIM_DDI_PASSWORD", "admin")


def published(*plans, how=publish.DEFAULTS, double=None):
    """The double after these plans were published one after the other, the last one's result, and what was told."""
    double, lines = double or HawkbitDouble(), []

    async def act():
        await double.start()
        try:
            return [await publish.publish(plan, double.url, how, lines.append) for plan in plans][-1]
        finally:
            await double.stop()

    return double, asyncio.run(act()), lines


def body_of(double, name="rollouts"):
    return next(given for method, path, given in double.asked if (method, path) == ("POST", f"/{name}"))


QUARTERS = (
    "plan.strategy.rollout.groups=[{name: a, percent: 25, success_threshold_percent: 90, success_action: pause,"
    " error_threshold_percent: 3}, {name: b, percent: 25}, {name: c, percent: 25}, {name: d, percent: 25}]",
)


def test_groups_are_sent_in_percent_of_all_and_shown_as_the_server_cuts_them():
    double, found, lines = published(hawkbit("fleet.size=1000", *QUARTERS))
    body = body_of(double)
    assert [g["targetPercentage"] for g in body["groups"]] == [25, 25, 25, 100]
    assert [g["successAction"]["action"] for g in body["groups"]] == ["PAUSE", *["NEXTGROUP"] * 3]
    assert [g["errorCondition"]["expression"] for g in body["groups"]] == ["3", "100", "100", "100"]
    assert [g["totalTargets"] for g in double.groups[found.rollout]] == [250] * 4
    assert [line for line in lines if "group" in line][:4] == [f"  group {n}: 250 targets" for n in "abcd"]
    assert any("hawkBit's choice" in line for line in lines)
    assert double.rollouts[found.rollout]["status"] == "running"  # devices that ask now find their actions


@pytest.mark.parametrize(
    ("percents", "total"), [((10, 30, 60), 500), ((1, 2, 97), 333), ((33, 33, 34), 10), ((50, 50), 7)]
)
def test_sizes_are_those_of_the_servers_own_rule(percents, total):
    listed = ", ".join(f"{{percent: {p}}}" for p in percents)
    found = publish.prepared(hawkbit(f"fleet.size={total}", f"plan.strategy.rollout.groups=[{listed}]"))
    assert [g.targets for g in found.groups] == group_sizes([*map(float, percents[:-1]), 100.0], total)


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("rollout.groups=[{percent: 25, error_threshold_percent: 2.5}, {}]", "groups.0.error_threshold_percent"),
        ("rollout.groups=[{percent: 25, success_threshold_percent: 0.4}, {}]", "groups.0.success_threshold_percent"),
        ("rollout.groups=[{percent: 0.5}, {}]", "groups.0.percent"),
        ("rollout.groups=[{count: 3}, {}]", "groups.0.count"),
        ("rollout.groups=[{percent: 25, soak: 24h, success_action: pause}, {}]", "rollout.groups.0"),
        ("rollout.maximum_per_minute=5", "rollout.maximum_per_minute"),
        ("abort.criteria=[{failure_type: failed, threshold_percentage: 5}]", "abort.criteria"),
        ("schedule.maintenance_windows=[{start: '02:00', duration: 1h}]", "schedule.maintenance_windows"),
        ("retry.number_of_retries=2", "retry.number_of_retries"),
        ("preconditions.checked_by=cloud", "preconditions.checked_by"),
        ("timeouts.in_progress=12h", "timeouts.in_progress"),
    ],
)  # fmt: skip
def test_what_the_server_cannot_hold_is_refused_before_anything_is_sent(setting, key):
    double = HawkbitDouble()
    with pytest.raises(ScenarioError) as caught:
        published(hawkbit(f"plan.strategy.{setting}"), double=double)
    assert any(key in problem.key for problem in caught.value.problems)
    assert double.asked == []


def test_accepted_losses_are_named_and_the_rest_is_sent():
    how = publish.How(accept_losses=True)
    _, found, lines = published(hawkbit("plan.strategy.rollout.maximum_per_minute=5"), how=how)
    assert [loss.key for loss in found.losses] == ["plan.strategy.rollout.maximum_per_minute"]
    assert any(line.startswith("LOST plan.strategy.rollout.maximum_per_minute") for line in lines)


def test_operator_actions_are_not_dropped_in_silence():
    with pytest.raises(ScenarioError, match=r"plan\.operator"):
        published(hawkbit("plan.operator=[{at: 6h, do: retry-failed}]"))


def test_percentages_of_the_whole_are_sent_where_the_server_cuts_the_same():
    groups = "plan.strategy.rollout={percent_of: total, groups: [{percent: 10}, {percent: 90}]}"
    assert [g.targets for g in publish.prepared(hawkbit(groups)).groups] == [2, 18]
    published(hawkbit(groups))
    with pytest.raises(ScenarioError, match="percent_of"):  # 33.3 and 33.3 of 10: 3, 4, 3 there, 3, 3, 4 here
        published(
            hawkbit(
                "fleet.size=10", "plan.strategy.rollout={percent_of: total, groups: [{percent: 35}, {percent: 35}, {}]}"
            )
        )


def test_a_second_release_for_the_same_fleet_is_published_too():
    first, second = hawkbit(), hawkbit("plan.name=fw-1.2.0", "plan.components.0.target_version=1.2.0")
    double, found, _ = published(first, second)
    assert len(double.targets) == 20
    assert len(double.modules) == len(double.artifacts) == 2
    assert sum(a.rollout == found.rollout for a in double.actions) == 20


def test_the_same_package_is_found_by_its_hash_and_another_one_is_refused():
    double, _, _ = published(hawkbit(), hawkbit("plan.name=again"))
    assert len(double.artifacts) == len(double.sets) == 1
    with pytest.raises(InputError, match="other bytes"):
        published(hawkbit("plan.name=third", "plan.components.0.size=300 kB"), double=double)


def test_a_plan_of_the_same_name_is_refused():
    with pytest.raises(InputError, match=r"a rollout named 'fw-1\.1\.0' exists"):
        published(hawkbit(), hawkbit())


def test_a_rollout_reaches_its_own_fleet_and_nobody_else():
    double, found, _ = published(hawkbit("fleet.size=30"), hawkbit("fleet.size=20", "plan.name=smaller"))
    assert double.rollouts[found.rollout]["totalTargets"] == 20
    assert len(double.targets) == 30


def test_targets_of_somebody_else_are_left_alone():
    double = HawkbitDouble()
    double.targets["m0000003"] = {"controllerId": "m0000003", "name": "pump in hall 7"}
    with pytest.raises(InputError, match="belong to somebody else, such as m0000003"):
        published(hawkbit(), double=double)
    assert double.targets["m0000003"]["name"] == "pump in hall 7"


def test_targets_that_registered_themselves_are_taken_over():
    double = HawkbitDouble()
    double.targets["m0000003"] = {"controllerId": "m0000003", "name": "m0000003"}
    _, found, _ = published(hawkbit(), double=double)
    assert double.rollouts[found.rollout]["totalTargets"] == 20


@pytest.mark.parametrize(
    ("stores", "named"), [({"type": "soft"}, "type"), ({"totalTargets": 21}, "totalTargets")]
)  # fmt: skip
def test_a_rollout_that_is_stored_otherwise_is_not_started(stores, named):
    double = HawkbitDouble()
    double.stores = stores
    with pytest.raises(FotasimError, match=named):
        published(hawkbit(), double=double)
    assert [r["status"] for r in double.rollouts.values()] == ["ready"]


def test_several_components_are_one_distribution_set():
    components = (
        "plan.components=[{component: mcu, type: mcu, target_version: '2', size: 1 kB},"
        " {component: fw, type: firmware, target_version: '1.1.0', size: 2 kB}]",
        "fleet.groups.0.components={fw: '1.0.0', mcu: '1'}",
    )
    double, found, _ = published(hawkbit(*components))
    made = body_of(double, "distributionsets")[0]
    assert (made["name"], made["version"], made["type"], len(made["modules"])) == ("fw-1.1.0", "2+1.1.0", "os_app", 2)
    assert [double.modules[n]["type"] for n in sorted(double.modules)] == ["application", "os"]
    assert sorted(len(data) for _, data in double.artifacts.values()) == [1000, 2000]
    assert double.rollouts[found.rollout]["distributionSetId"] in double.sets


def test_the_tenants_switch_and_polling_time_are_checked():
    asked = hawkbit("plan.strategy.delivery.confirmation=user")
    with pytest.raises(ScenarioError, match="confirmation"):
        published(asked)
    double = HawkbitDouble()
    double.settings["user.confirmation.flow.enabled"] = True
    _, found, _ = published(asked, double=double)
    assert body_of(double)["confirmationRequired"] is True
    assert {a.status for a in double.actions if a.rollout == found.rollout} == {"wait_for_confirmation", "scheduled"}
    with pytest.raises(ScenarioError, match="this tenant is polled every 00:05:00"):
        published(hawkbit("plan.strategy.delivery.polling_time=1min"))


def test_a_rollout_that_asks_nobody_says_so_whatever_the_tenants_switch():
    double = HawkbitDouble()
    double.settings["user.confirmation.flow.enabled"] = True
    published(hawkbit(), double=double)
    assert body_of(double)["confirmationRequired"] is False
    assert {g["confirmationRequired"] for g in body_of(double)["groups"]} == {False}
    assert "running" in double.statuses()


def test_a_dry_run_prints_the_requests_without_secrets(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from sim.cli.common import app

    monkeypatch.setenv("FOTASIM_DDI_TARGET_TOKEN", "very-secret-{id}")
    path = tmp_path / "s.yaml"
    path.write_text(hawkbit("fleet.size=3").to_yaml(), encoding="utf-8")
    done = CliRunner().invoke(app, ["publish", str(path), "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "very-secret" not in done.output
    requests = json.loads(done.stdout)
    assert [r["path"] for r in requests] == [
        "/rest/v1/targets", "/rest/v1/softwaremodules", "/rest/v1/softwaremodules/<fw>/artifacts",
        "/rest/v1/distributionsets", "/rest/v1/rollouts", "/rest/v1/rollouts/<rollout>/start",
    ]  # fmt: skip
    assert [t["controllerId"] for t in requests[0]["body"]] == ["m0000000", "m0000001", "m0000002"]


@pytest.mark.parametrize(
    ("joins", "selection", "refused"),
    [("2d", "snapshot", True), ("2d", "continuous", False), (None, "snapshot", False)],
)
def test_goosebit_offers_to_those_that_join_later(joins, selection, refused):
    """Where modules join, a snapshot is not what that server does; where none does, it makes no difference."""
    later = () if joins is None else (f"fleet.groups.0.joins={joins}",)
    plan = hawkbit(
        "cloud.server=goosebit", "plan.strategy.preset=goosebit", f"plan.strategy.target_selection={selection}", *later
    )
    keys = [loss.key for loss in publication_of(plan, ["m1"], {"fw": b"1"}, ("A",)).losses]
    assert ("plan.strategy.target_selection" in keys) is refused, keys


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("plan.strategy.rollout.groups=[{percent: 10}, {}]", "rollout.groups"), ("plan.mode=confirm", "plan.mode"),
        ("plan.strategy.delivery.action_type=soft", "action_type"),
    ],
)  # fmt: skip
def test_goosebit_is_refused_what_it_does_not_know(setting, named):
    given = scenario("fleet.size=2", "cloud={kind: ddi, server: goosebit}", "plan.strategy.preset=goosebit", setting)
    with pytest.raises(ScenarioError, match=named):
        published(given)


@pytest.mark.parametrize(
    ("setting", "kind"),
    [("plan.mode=silent", "forced"), ("plan.mode=confirm", "soft"), ("plan.strategy.delivery.action_type=soft", "soft"),
     ("plan.strategy.delivery.action_type=download-only", "downloadonly"),
     ("plan.strategy.delivery={action_type: timeforced, force_time: 24h}", "timeforced")],
)  # fmt: skip
def test_a_rollout_is_published_as_the_plan_hands_it_out(setting, kind):
    double, _, _ = published(hawkbit(setting))
    body = body_of(double)
    assert body["type"] == kind
    assert ("forcetime" in body) == (kind == "timeforced")
    assert "startAt" not in body


def test_a_wrong_login_says_which_variables_to_set(monkeypatch):
    monkeypatch.setenv("FOTASIM_DDI_PASSWORD", "wr0ng")
    with pytest.raises(InputError, match="FOTASIM_DDI_USER and FOTASIM_DDI_PASSWORD") as caught:
        published(hawkbit())
    assert "wr0ng" not in str(caught.value)


def test_the_command_publishes_and_says_what_is_missing(monkeypatch, tmp_path):
    from typer.testing import CliRunner

    from sim.cli.common import app

    monkeypatch.setenv("FOTASIM_DDI_TARGET_TOKEN", "own-{id}")
    path, double = tmp_path / "s.yaml", HawkbitDouble()
    path.write_text(hawkbit("fleet.size=3").to_yaml(), encoding="utf-8")

    async def act():
        await double.start()
        try:
            return await asyncio.to_thread(CliRunner().invoke, app, ["publish", str(path), "--cloud", double.url])
        finally:
            await double.stop()

    done = asyncio.run(act())
    assert done.exit_code == 0, done.output
    assert "runs at http" in done.output
    assert {t["securityToken"] for t in double.targets.values()} == {f"own-m000000{i}" for i in range(3)}
    assert CliRunner().invoke(app, ["publish", str(path)]).exit_code == 2
    path.write_text(scenario().to_yaml(), encoding="utf-8")
    assert CliRunner().invoke(app, ["publish", str(path), "--cloud", "http://127.0.0.1:1"]).exit_code == 2


def control(url):
    target = ddi_target(url, "DEFAULT", "hawkbit", Limits())
    return control_of(target, target.ssl_context(None))


@pytest.mark.parametrize("all_at_once", [True, False])
def test_states_are_those_of_the_rollouts_own_actions(all_at_once, monkeypatch):
    """An older rollout's actions say nothing, whichever of the server's views there is."""
    if not all_at_once:
        monkeypatch.delattr(HawkbitDouble, "_get_actions")
    double = HawkbitDouble()

    async def act():
        await double.start()
        try:
            first = await publish.publish(hawkbit("fleet.size=600"), double.url, tell=str)
            for action in double.actions:
                action.status = "finished"
            second = await publish.publish(
                hawkbit("fleet.size=600", "plan.name=two", "plan.components.0.target_version='2'"), double.url, tell=str
            )
            double.action("m0000001").status = "error"
            double.action("m0000002").status = "canceled"
            async with control(double.url) as api:
                names = list(double.targets)
                return await api.states(names, first.rollout), await api.states(names, second.rollout)
        finally:
            await double.stop()

    first, second = asyncio.run(act())
    assert {found.state for found in first.values()} == {"finished"}
    assert len(first) == len(second) == 600
    assert (second["m0000001"].state, second["m0000002"].state) == ("error", "canceled")
    assert {found.state for name, found in second.items() if name > "m0000002"} == {"running", "registered"}


def test_what_is_told_to_be_left_is_what_was_made(capsys):
    """The rollout, the software modules and the targets of the list are those of the server, and there are no others."""
    plan = hawkbit("fleet.size=5")
    double, _, _ = published(plan)
    hawkbit_demo._tell_what_is_left(plan, double.url)
    head, rollout, targets = capsys.readouterr().out.splitlines()
    assert head == f"left at {double.url}; delete there what is not wanted any more, in this order:"
    [made] = double.rollouts.values()
    [module] = double.modules.values()
    assert f"rollout {made['name']!r}, " in rollout and rollout.endswith(
        f"software modules {module['name']} {module['version']}"
    )
    assert targets.split(" ", 3)[2] == str(len(double.targets)) == "5"
    prefix = targets.partition("name==")[2].removesuffix("*")
    assert prefix and all(target["name"].startswith(prefix) for target in double.targets.values())
