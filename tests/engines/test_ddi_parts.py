"""Parts of DDI runs by themselves: reconciliation, groups as hawkBit takes them, packages, the management API's requests."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from sim.engines.live.ddi.deployment_messages import offer_of
from sim.engines.live.ddi.device_states import Counters, DeviceState, Said, reconcile_states
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
RUNNING, SILENT = Said(True, "running", False, False), Said(True, "", False, False)


def there(**states):
    return {name: DeviceState(*given.split("@")) for name, given in states.items()}


def test_states_that_agree_one_by_one():
    ours = {"a": DONE, "b": FAILED, "c": RUNNING, "d": Said(False, "", False, False)}
    found = reconcile_states(ours, there(a="finished", b="error", c="running", other="finished"), None)
    assert found.agrees
    assert found.findings == ()


@pytest.mark.parametrize(
    ("said", "state", "differs"),
    [
        (DONE, "running", "success"), (FAILED, "finished", "failure"), (DONE, "error", "failure"), (DONE, "canceled", "success"),
        (RUNNING, "registered", "under way"), (RUNNING, "finished", "modules upgraded / finished at the server"),
        (SILENT, "error", "failure"), (Said(True, "canceled", False, False), "running", "canceled"),
    ],
)  # fmt: skip
def test_a_single_device_that_differs_is_named(said, state, differs):
    found = reconcile_states({"a": DONE, "b": said}, there(a="finished", b=state), None)
    assert not found.agrees
    named = {check.what.split(":")[0]: check.examples for check in found.checks if not check.agrees}
    assert named[differs] == ("b",)


@pytest.mark.parametrize(
    ("said", "state"),
    [
        (Said(False, "", False, False), "running"),  # never online: assigned is not under way
        (SILENT, "running"),  # it has the offer and its user has not decided
        (SILENT, "canceled"),  # force-quit before the offer
        (RUNNING, "canceled"),  # taken away while it slept
        (Said(True, "running", False, False, "7"), "running@9"),  # replaced: it still speaks of the other action
        (Said(True, "finished", False, True, "7"), "running@9"),  # what it has finished was an earlier one
    ],
)  # fmt: skip
def test_what_a_server_does_by_itself_is_no_disagreement(said, state):
    assert reconcile_states({"a": DONE, "b": said}, there(a="finished", b=state), None).agrees


def test_actions_taken_away_unheard_are_counted():
    found = reconcile_states(
        {"a": SILENT, "b": RUNNING, "c": DONE}, there(a="canceled", b="canceled", c="finished"), None
    )
    assert found.findings == ("2 actions are canceled at the server and their modules have not heard of it",)


def test_feedback_under_way_may_have_arrived_or_not():
    pending = Said(True, "running", True, True)
    for state in ("running", "finished"):
        assert reconcile_states({"a": pending}, there(a=state), None).agrees


def test_a_module_the_server_never_saw_is_named():
    found = reconcile_states({"a": RUNNING}, {}, None)
    assert found.checks[0].examples == ("a",)


def test_counters_that_lost_counts_are_a_finding_and_no_disagreement():
    ours = {f"m{i}": DONE for i in range(300)}
    found = reconcile_states(ours, dict.fromkeys(ours, DeviceState("finished")), Counters("rollout 1", 59, 0))
    assert found.agrees
    assert found.findings == (
        "the server contradicts itself: rollout 1 counts 59 successes, its own device states say 300 (-241)",
    )
    assert "  finding: " + found.findings[0] in found.lines()
    assert found.as_dict()["findings"] == list(found.findings)


# --- packages and the management API ---------------------------------------------------------------------------------


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
