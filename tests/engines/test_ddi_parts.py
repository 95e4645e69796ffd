"""Parts of DDI runs by themselves: reconciliation, groups as hawkBit takes them, packages, the management API's requests."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256

import pytest
from aiohttp import web

from sim.engines.live.ddi import publish
from sim.engines.live.ddi.control import Group
from sim.engines.live.ddi.deployment_messages import offer_of
from sim.engines.live.ddi.device_states import Counters, Said, reconcile_states
from sim.engines.live.ddi.swu import swu
from sim.engines.world.build import build
from sim.errors import FotasimError, ProtocolError
from sim.wire.ddi.documents import read_deployment
from tests.support import scenario


def offered(limit: str | None, planned: str):
    """The notice of a deployment whose one module carries this limit, for a plan with another."""
    metadata = [] if limit is None else [{"key": "min_battery_percent", "value": limit}]
    artifact = {
        "filename": "f",
        "size": 9,
        "hashes": {"sha256": "c" * 64},
        "_links": {"download-http": {"href": "http://h/f"}},
    }
    chunk = {"part": "bApp", "name": "fw", "version": "2", "artifacts": [artifact], "metadata": metadata}
    body = json.dumps({"id": "8", "deployment": {"download": "forced", "update": "forced", "chunks": [chunk]}}).encode()
    plan = build(scenario(f"plan.strategy.preconditions.min_battery_percent={planned}", "fleet.size=1")).plan
    return offer_of(read_deployment(body, "http://h/8"), plan.components, plan.settings).notice.components[0]


@pytest.mark.parametrize(
    ("limit", "planned", "compared"), [(None, "30.9", 30.9), ("40.5", "30", 40.5), ("40", "30", 40.0)]
)
def test_limits_of_an_offer_keep_their_fraction(limit, planned, compared):
    assert offered(limit, planned).min_battery_percent == compared


@pytest.mark.parametrize("limit", ["nan", "inf", "forty"])
def test_a_limit_that_is_no_number_is_refused(limit):
    with pytest.raises(ProtocolError, match="is not a number"):
        offered(limit, "30")


DONE, FAILED = Said(True, "finished", False, True), Said(True, "error", False, False)


def test_states_that_agree_one_by_one():
    ours = {"a": DONE, "b": FAILED, "c": Said(True, "running", False, False), "d": Said(False, "", False, False)}
    found = reconcile_states(ours, {"a": "finished", "b": "error", "c": "running", "other": "finished"}, None)
    assert found.agrees
    assert found.findings == ()


@pytest.mark.parametrize(
    ("said", "state", "differs"),
    [
        (DONE, "running", "success"), (FAILED, "finished", "failure"), (DONE, "error", "failure"),
        (Said(True, "running", False, False), "registered", "under way"),
        (Said(True, "running", False, False), "finished", "modules upgraded / finished at the server"),
    ],
)  # fmt: skip
def test_a_single_device_that_differs_is_named(said, state, differs):
    found = reconcile_states({"a": DONE, "b": said}, {"a": "finished", "b": state}, None)
    assert not found.agrees
    named = {check.what.split(":")[0]: check.examples for check in found.checks if not check.agrees}
    assert named[differs] == ("b",)


def test_feedback_under_way_may_have_arrived_or_not():
    pending = Said(True, "running", True, True)
    for state in ("running", "finished"):
        assert reconcile_states({"a": pending}, {"a": state}, None).agrees


def test_a_module_the_server_never_saw_is_named():
    found = reconcile_states({"a": DONE}, {}, None)
    assert next(check.examples for check in found.checks if not check.agrees) == ("a",)


def test_counters_that_lost_counts_are_a_finding_and_no_disagreement():
    ours = {f"m{i}": DONE for i in range(300)}
    found = reconcile_states(ours, dict.fromkeys(ours, "finished"), Counters("rollout 1", 59, 0))
    assert found.agrees
    assert found.findings == (
        "the server contradicts itself: rollout 1 counts 59 successes, its own device states say 300 (-241)",
    )
    assert "  finding: " + found.findings[0] in found.lines()
    assert found.as_dict()["findings"] == list(found.findings)


# --- publishing --------------------------------------------------------------------------------------------------------

HALVES = "[{percent: 10, success_threshold_percent: 80, error_threshold_percent: 20}, {percent: 45}, {percent: 45}]"


def test_groups_of_the_whole_become_percent_of_those_left():
    groups = publish.groups_of(scenario(f"plan.strategy.rollout={{percent_of: total, groups: {HALVES}}}"))
    assert [(g.percent, g.success_percent, g.error_percent) for g in groups] == [
        (10.0, 80, 20), (pytest.approx(50.0), 100, 100), (pytest.approx(100.0), 100, 100),
    ]  # fmt: skip


def test_groups_of_those_left_stay_and_counts_are_refused():
    groups = publish.groups_of(scenario("plan.strategy.preset=hawkbit"))
    assert [g.percent for g in groups] == [50.0, 100.0]
    assert publish.groups_of(scenario()) == [Group("all", 100.0, 50, 100)]
    with pytest.raises(FotasimError, match="given in percent"):
        publish.groups_of(scenario("plan.strategy.rollout={groups: [{count: 5}, {}]}"))


def test_a_swu_is_a_cpio_archive_whose_description_comes_first():
    package = swu("1.1.0", b"firmware", "board", ["A", "B"])
    names, offset = {}, 0
    while True:
        head = package[offset : offset + 110]
        assert head[:6] == b"070702"
        length, name_length, total = (int(head[i : i + 8], 16) for i in (54, 94, 102))
        name = package[offset + 110 : offset + 110 + name_length - 1].decode()
        start = (offset + 110 + name_length + 3) // 4 * 4
        if name == "TRAILER!!!":
            break
        names[name] = package[start : start + length]
        assert total == sum(names[name])
        offset = (start + length + 3) // 4 * 4
    assert list(names) == ["sw-description", "image.bin"]
    assert names["image.bin"] == b"firmware"
    assert sha256(b"firmware").hexdigest() in names["sw-description"].decode()
    assert 'hardware-compatibility: [ "A", "B" ]' in names["sw-description"].decode()
    assert len(package) % 512 == 0


@pytest.mark.parametrize("version", ['1"; evil = "', "1 0", "é"])
def test_what_would_need_escaping_does_not_get_into_a_description(version):
    with pytest.raises(FotasimError):
        swu(version, b"", "board", ["A"])


class Management:
    """hawkBit's management API as documented, as far as publishing needs it."""

    def __init__(self):
        self.asked = []
        self.targets = {}
        self.states = {}  # updateStatus, by target
        self.actions = {}  # the last one, by target

    async def handle(self, request):
        path = request.path.removeprefix("/rest/v1")
        if request.headers.get("Authorization") != "Basic YWRtaW46YWRtaW4=":
            return web.Response(status=401)
        multipart = request.content_type.startswith("multipart/")
        given = await request.post() if multipart else json.loads(await request.text() or "null")
        self.asked.append((request.method, path, given))
        if path == "/targets" and request.method == "POST":
            self.targets |= {t["controllerId"]: t for t in given}
            return web.json_response(given, status=201)
        if path == "/targets":
            first = int(request.query["offset"])
            listed = [{"controllerId": n, "updateStatus": self.states.get(n, "pending")} for n in sorted(self.targets)]
            return web.json_response({"content": listed[first : first + int(request.query["limit"])]})
        if path.endswith("/actions"):
            last = self.actions.get(path.split("/")[2])
            return web.json_response({"content": [] if last is None else [last], "total": int(last is not None)})
        if path in ("/softwaremodules", "/distributionsets"):
            return web.json_response([{"id": {"/softwaremodules": 3, "/distributionsets": 4}[path]}], status=201)
        if path == "/rollouts" and request.method == "POST":
            return web.json_response({"id": 5, "status": "creating"}, status=201)
        if path == "/rollouts/5" and request.method == "GET":
            return web.json_response({"id": 5, "status": "ready", "totalTargetsPerStatus": {"finished": 7, "error": 1}})
        return web.json_response({}, status=201 if path.endswith("artifacts") else 200)


async def with_management(act, made=None):
    made = made or Management()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        return made, await act(f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


def test_a_plan_is_published_to_hawkbit_with_groups_and_thresholds(monkeypatch):
    monkeypatch.setenv("FOTASIM_DDI_USER", "admin")
    monkeypatch.setenv("FOTASIM_DDI_PASSWORD", "admin")
    given = scenario(
        "fleet.size=1200", "cloud={kind: ddi, server: hawkbit}", "plan.strategy.preset=hawkbit",
    )  # fmt: skip

    async def act(url):
        return await publish.publish(given, url, {"fw": b"image"}, token="t-{id}")

    made, rollout = asyncio.run(with_management(act))
    assert rollout == 5
    assert len(made.targets) == 1200
    assert made.targets["m0000007"]["securityToken"] == "t-m0000007"
    body = next(given for method, path, given in made.asked if (method, path) == ("POST", "/rollouts"))
    assert body["distributionSetId"] == 4
    assert [(g["targetPercentage"], g["successCondition"]["expression"], g["errorCondition"]["expression"]) for g in body["groups"]] == [
        (50.0, "50", "50"), (100.0, "50", "50"),
    ]  # fmt: skip
    assert [path for method, path, _ in made.asked if method == "POST"][-1] == "/rollouts/5/start"


def test_hawkbits_states_and_counters_are_read_page_by_page(monkeypatch):
    from sim.engines.live.ddi.control import control_of
    from sim.engines.live.ddi.ddi_target import ddi_target
    from sim.engines.live.live_target import Limits

    monkeypatch.setenv("FOTASIM_DDI_USER", "admin")
    monkeypatch.setenv("FOTASIM_DDI_PASSWORD", "admin")

    async def act(url):
        target = ddi_target(url, "DEFAULT", "hawkbit", Limits())
        async with control_of(target, target.ssl_context(None)) as control:
            await control.register([f"m{i}" for i in range(1001)], "")
            return await control.states(), await control.counters(5)

    _, (states, counters) = asyncio.run(with_management(act))
    assert len(states) == 1001
    assert set(states.values()) == {"running"}
    assert (counters.succeeded, counters.failed) == (7, 1)


def test_a_target_whose_action_was_canceled_is_in_sync_and_not_finished(monkeypatch):
    """hawkBit sets a target back to what it had and calls it in_sync when its cancel is accepted; its last action tells."""
    from sim.engines.live.ddi.control import control_of
    from sim.engines.live.ddi.ddi_target import ddi_target
    from sim.engines.live.live_target import Limits

    monkeypatch.setenv("FOTASIM_DDI_USER", "admin")
    monkeypatch.setenv("FOTASIM_DDI_PASSWORD", "admin")
    canceled, running = Said(True, "canceled", False, False), Said(True, "running", False, False)
    ours = {"new": canceled, "old": canceled, "lost": running, "done": DONE, "never": Said(False, "", False, False)}
    made = Management()
    made.states = dict.fromkeys(ours, "in_sync")
    made.actions = {
        "new": {"id": 1, "type": "cancel", "status": "finished", "detailStatus": "canceled"},
        "old": {"id": 2, "type": "cancel", "status": "finished"},  # servers of before detailStatus
        "lost": {"id": 3, "type": "update", "status": "finished", "detailStatus": "finished"},
        "done": {"id": 4, "type": "update", "status": "finished", "detailStatus": "finished"},
    }  # fmt: skip

    async def act(url):
        target = ddi_target(url, "DEFAULT", "hawkbit", Limits())
        async with control_of(target, target.ssl_context(None)) as control:
            await control.register(list(ours), "")
            return await control.states([name for name, said in ours.items() if said is not DONE])

    _, states = asyncio.run(with_management(act, made))
    assert states == {
        "new": "canceled", "old": "canceled", "lost": "finished", "done": "finished", "never": "registered"
    }  # fmt: skip
    found = reconcile_states(ours, states, None)
    differ = {check.what.split(":")[0]: check.examples for check in found.checks if not check.agrees}
    assert set(differ) == {"success", "under way", "modules upgraded / finished at the server"}
    assert set(differ.values()) == {("lost",)}  # the one that really differs, and it alone
    assert [path for _, path, _ in made.asked if path.endswith("/actions")] == [
        f"/targets/{n}/actions" for n in ("lost", "never", "new", "old")
    ]


@pytest.mark.parametrize(
    ("setting", "kind"),
    [("plan.mode=silent", "forced"), ("plan.mode=confirm", "soft"), ("plan.strategy.delivery.action_type=soft", "soft"),
     ("plan.strategy.delivery.action_type=download-only", "downloadonly"),
     ("plan.strategy.delivery={action_type: timeforced, force_time: 24h}", "timeforced")],
)  # fmt: skip
def test_a_rollout_is_published_as_the_plan_hands_it_out(monkeypatch, setting, kind):
    monkeypatch.setenv("FOTASIM_DDI_USER", "admin")
    monkeypatch.setenv("FOTASIM_DDI_PASSWORD", "admin")
    given = scenario("fleet.size=1", "cloud={kind: ddi, server: hawkbit}", setting)
    made, _ = asyncio.run(with_management(lambda url: publish.publish(given, url, {"fw": b"image"})))
    body = next(given for method, path, given in made.asked if (method, path) == ("POST", "/rollouts"))
    assert body["type"] == kind
    assert ("forcetime" in body) == (kind == "timeforced")


def test_a_wrong_login_says_which_variables_to_set(monkeypatch):
    monkeypatch.setenv("FOTASIM_DDI_USER", "admin")
    monkeypatch.setenv("FOTASIM_DDI_PASSWORD", "wr0ng")
    given = scenario("fleet.size=1", "cloud={kind: ddi, server: hawkbit}")
    with pytest.raises(FotasimError, match="FOTASIM_DDI_USER and FOTASIM_DDI_PASSWORD") as caught:
        asyncio.run(with_management(lambda url: publish.publish(given, url, {"fw": b"image"})))
    assert "wr0ng" not in str(caught.value)


def test_the_command_publishes_and_says_what_is_missing(monkeypatch, tmp_path):
    from typer.testing import CliRunner

    from sim.cli.common import app

    monkeypatch.setenv("FOTASIM_DDI_USER", "admin")
    monkeypatch.setenv("FOTASIM_DDI_PASSWORD", "admin")
    monkeypatch.setenv("FOTASIM_DDI_TARGET_TOKEN", "own-{id}")
    path = tmp_path / "s.yaml"
    path.write_text(scenario("fleet.size=3", "cloud={kind: ddi, server: hawkbit}").to_yaml(), encoding="utf-8")

    async def act(url):
        return await asyncio.to_thread(CliRunner().invoke, app, ["publish", str(path), "--cloud", url])

    made, done = asyncio.run(with_management(act))
    assert done.exit_code == 0, done.output
    assert "rollout 5 started" in done.output
    assert {t["securityToken"] for t in made.targets.values()} == {f"own-m000000{i}" for i in range(3)}
    assert CliRunner().invoke(app, ["publish", str(path)]).exit_code == 2
    path.write_text(scenario().to_yaml(), encoding="utf-8")
    assert CliRunner().invoke(app, ["publish", str(path), "--cloud", "http://127.0.0.1:1"]).exit_code == 2
