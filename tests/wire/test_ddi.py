"""DDI as documented: documents in and out, and the poll machine in virtual time."""

from __future__ import annotations

import json
from contextlib import suppress
from math import inf

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from sim.errors import ProtocolError
from sim.wire.ddi import client as dc
from sim.wire.ddi import documents as doc
from sim.wire.ddi import stages

URL = "https://h:8443/DEFAULT/controller/v1/m1"
BASE = {"config": {"polling": {"sleep": "00:05:00"}}, "_links": {}}
ARTIFACT = {
    "filename": "fw.bin", "size": 1000, "hashes": {"md5": "a" * 32, "sha1": "b" * 40, "sha256": "C" * 64},
    "_links": {"download": {"href": f"{URL}/softwaremodules/3/artifacts/fw.bin"}},
}  # fmt: skip
DEPLOYMENT = {
    "id": "8",
    "deployment": {
        "download": "forced", "update": "forced",
        "chunks": [{"part": "os", "version": "1.1.0", "name": "fw", "artifacts": [ARTIFACT],
                    "metadata": [{"key": "min_battery_percent", "value": "40"}]}],
    },
}  # fmt: skip


def body(tree):
    return json.dumps(tree).encode()


def machine(unit=0.5, authorization="TargetToken t"):
    return dc.Client("https://h:8443/", "DEFAULT", "m1", authorization, {"hw_revision": "A"}, lambda n: unit)


def base(**links):
    return body({**BASE, "_links": {name: {"href": href} for name, href in links.items()}})


def answer(client, now, status=200, data=b"", headers=None):
    """The request due now, and the events of its answer."""
    request = client.request(now)
    assert request is not None
    return request, client.receive(status, headers or {}, data, now)


# --- documents ---------------------------------------------------------------------------------------------------------


def test_a_deployment_is_read_with_its_strongest_checksum():
    found = doc.read_deployment(body(DEPLOYMENT), URL)
    artifact = found.chunks[0].artifacts[0]
    assert (found.action, found.forced, found.hold, found.download_only) == ("8", True, False, False)
    assert (artifact.algorithm, artifact.digest, artifact.size_bytes) == ("sha256", "c" * 64, 1000)
    assert found.chunks[0].metadata == {"min_battery_percent": "40"}
    assert found.chunks[0].size_bytes == 1000


@pytest.mark.parametrize(
    ("download", "update", "window", "forced", "hold", "only"),
    [
        ("forced", "forced", None, True, False, False), ("attempt", "attempt", None, False, False, False),
        ("forced", "skip", "unavailable", True, True, False), ("forced", "forced", "available", True, False, False),
        ("forced", "skip", None, True, True, True),
    ],
)  # fmt: skip
def test_forced_soft_window_and_download_only(download, update, window, forced, hold, only):
    inner = {**DEPLOYMENT["deployment"], "download": download, "update": update, "maintenanceWindow": window}
    found = doc.read_deployment(body({"id": 8, "deployment": inner}), URL)
    assert (found.forced, found.hold, found.download_only) == (forced, hold, only)


def test_what_a_server_holds_back_is_no_deployment():
    assert doc.read_deployment(b"null", URL) is None
    assert doc.read_deployment(body({"id": "1", "deployment": None}), URL) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:05:00", 300.0), ("23:59:59", 86399.0), ("00:00:30", 30.0), ("24:00:00", 86400.0), ("168:00:00", 604800.0),
        ("PT24H", 86400.0), ("PT36H30M", 131400.0), ("P1D", 86400.0), ("P2DT3H", 183600.0), ("P1W", 604800.0),
        ("PT90S", 90.0), ("PT1500M", 90000.0), ("PT30.5S", 30.0),
    ],
)  # fmt: skip
def test_sleep_is_hours_minutes_seconds_or_an_iso_duration(text, seconds):
    assert doc.sleep_s(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT",
        "P1DT",
        "P1Y",
        "P1M",
        "-PT1H",
        "PT-1H",
        "24h",
        "1:2:3",
        "00:60:00",
        "P400D",
        "None",
        "PT1H1H",
        "9" * 9,
    ],
)
def test_a_sleep_that_is_no_duration_is_refused(text):
    with pytest.raises(ProtocolError):
        doc.sleep_s(text)


def test_relative_and_http_only_links_are_followed():
    artifact = {**ARTIFACT, "_links": {"download-http": {"href": "/x/fw.bin"}}}
    tree = {"id": "8", "deployment": {"chunks": [{"artifacts": [artifact]}]}}
    assert doc.read_deployment(body(tree), URL).chunks[0].artifacts[0].url == "https://h:8443/x/fw.bin"


def damaged(**changes):
    return body({"id": "8", "deployment": {"chunks": [{"artifacts": [{**ARTIFACT, **changes}]}]}})


@pytest.mark.parametrize(
    "data",
    [
        b"", b"<html>", b"[]", b"{}", b'{"id":"8"}', body({"id": "", "deployment": {}}), b"[" * 100_000,
        b" " * (doc.MAX_BODY_BYTES + 1), damaged(size=0), damaged(size=True), damaged(size=1 << 50), damaged(size="9"),
        damaged(hashes={"sha1": "zz"}), damaged(_links={}), damaged(_links={"download": {"href": "file:///etc/passwd"}}),
        damaged(_links={"download": {"href": "http://[x"}}), damaged(filename="x" * 600),
        body({"id": "8", "deployment": {"chunks": [{}] * 21}}), body({"id": "8", "deployment": {"download": "now"}}),
        body({"id": "8", "deployment": {"maintenanceWindow": "open"}}),
    ],
)  # fmt: skip
def test_damaged_deployments_are_refused(data):
    with pytest.raises(ProtocolError):
        doc.read_deployment(data, URL)


@drawn(st.binary(max_size=200))
def test_garbage_is_refused_and_never_crashes(data):
    for read in (
        lambda: doc.read_base(data, URL),
        lambda: doc.read_deployment(data, URL),
        lambda: doc.read_cancel(data),
    ):
        with suppress(ProtocolError):
            read()


def test_feedback_is_written_as_documented():
    found = json.loads(stages.failed("boot_failure", 16, "1.0.0").body(1234))
    assert found == {
        "timestamp": 1234,
        "status": {
            "execution": "closed", "result": {"finished": "failure"}, "code": 1016,
            "details": ["boot_failure", "version 1.0.0 runs"],
        },
    }  # fmt: skip
    progress = json.loads(stages.downloading(500, 1000).body(0))["status"]
    assert progress["execution"] == "resumed"
    assert progress["result"] == {"finished": "none", "progress": {"cnt": 2, "of": 5}}
    assert (
        json.loads(doc.Feedback("closed", details=("x" * 600,) * 99).body(0))["status"]["details"] == ["x" * 512] * 50
    )


# --- the poll machine --------------------------------------------------------------------------------------------------


def test_the_first_poll_registers_and_sends_attributes():
    client = machine()
    assert client.deadline == inf
    client.poll(10.0)
    request, events = answer(client, 10.0, data=base(configData=f"{URL}/configData"))
    assert (request.method, request.url) == ("GET", URL)
    assert dict(request.headers)["Authorization"] == "TargetToken t"
    assert events == [dc.Polled(frozenset({"configData"}))]
    put, _ = answer(client, 10.0)
    assert (put.method, put.url, json.loads(put.body)) == (
        "PUT",
        f"{URL}/configData",
        {"mode": "merge", "data": {"hw_revision": "A"}},
    )
    assert client.deadline == 10.0 + 300.0


@pytest.mark.parametrize(("unit", "share"), [(0.0, 0.9), (0.5, 1.0), (1.0, 1.1)])
def test_polls_are_drawn_around_the_servers_sleep(unit, share):
    client = machine(unit)
    client.poll(0.0)
    answer(client, 0.0, data=base())
    assert client.deadline == pytest.approx(300.0 * share)


def test_an_unchanged_answer_repeats_what_the_server_wants_without_asking_for_it_again():
    client = machine()
    client.poll(0.0)
    answer(client, 0.0, data=base(deploymentBase=f"{URL}/deploymentBase/8?c=1"), headers={"etag": '"e"'})
    _, (offer,) = answer(client, 0.0, data=body(DEPLOYMENT))
    assert offer == dc.Offered(doc.read_deployment(body(DEPLOYMENT), URL), True)
    request, events = answer(client, 300.0, status=304)
    assert dict(request.headers)["If-None-Match"] == '"e"'
    assert events[1:] == [dc.Offered(offer.deployment, False)]
    assert not client.waiting


def given(**handling):
    return body({"id": "8", "deployment": {**DEPLOYMENT["deployment"], **handling}})


@pytest.mark.parametrize(
    "handling",
    [{"download": "attempt", "update": "attempt"}, {"update": "skip", "maintenanceWindow": "unavailable"},
     {"update": "forced", "maintenanceWindow": "available"}],
)  # fmt: skip
def test_what_may_turn_into_something_else_is_read_again_with_a_new_c(handling):
    client = machine()
    client.poll(0.0)
    answer(client, 0.0, data=base(deploymentBase=f"{URL}/deploymentBase/8?c=1"))
    answer(client, 0.0, data=given(**handling))
    _, events = answer(client, 300.0, data=base(deploymentBase=f"{URL}/deploymentBase/8?c=2"))
    assert len(events) == 1
    request, (offer,) = answer(client, 300.0, data=body(DEPLOYMENT))
    assert request.url.endswith("?c=2")
    assert offer.changed


def test_a_settled_deployment_is_not_read_again_whatever_its_revision():
    client = machine()
    client.poll(0.0)
    answer(client, 0.0, data=base(deploymentBase=f"{URL}/deploymentBase/8?c=1"))
    answer(client, 0.0, data=body(DEPLOYMENT))
    _, events = answer(client, 300.0, data=base(deploymentBase=f"{URL}/deploymentBase/8?c=2"))
    assert [type(event) for event in events] == [dc.Polled, dc.Offered]
    assert not client.waiting
    answer(client, 600.0, data=base(deploymentBase=f"{URL}/deploymentBase/9?c=2"))
    assert client.waiting  # another action


@pytest.mark.parametrize("lost", ["no answer", "server error"])
@pytest.mark.parametrize(
    ("feedback", "doubtful"), [(stages.succeeded("2"), True), (stages.failed("flash", 13, "1"), True), (stages.installing(), False)]
)  # fmt: skip
def test_gone_on_the_repeat_of_a_final_report_means_already_taken(feedback, doubtful, lost):
    client = machine()
    client.report("8", feedback, 1, "tag")
    client.request(0.0)
    client.failed(0.0) if lost == "no answer" else client.receive(502, {}, b"", 0.0)
    _, events = answer(client, 1000.0, status=410)
    assert events == ([dc.Acknowledged("tag", doubtful=True)] if doubtful else [dc.Closed("8", 410)])


def test_gone_after_a_refusal_was_no_lost_answer():
    client = machine()
    client.report("8", stages.succeeded("2"), 1, "tag")
    client.request(0.0)
    client.receive(429, {}, b"", 0.0)
    _, events = answer(client, 1000.0, status=410)
    assert events == [dc.Closed("8", 410)]


def test_a_cancels_answer_that_comes_after_the_success_is_spent():
    client = machine()
    client.cancel_feedback("11", True, 1, (), "tag")
    _, events = answer(client, 0.0, status=405)
    assert events == [dc.Refused("cancel", 405, "tag")]
    assert not client.waiting


def test_a_changed_version_is_told_at_once():
    client = machine()
    client.poll(0.0)
    answer(client, 0.0, data=base(configData=f"{URL}/configData"))
    answer(client, 0.0)
    client.describe({"sw_version": "2"})
    client.describe({"sw_version": "2"})
    request, _ = answer(client, 0.0)
    assert (request.what, json.loads(request.body)["data"]) == ("configData", {"sw_version": "2"})
    assert not client.waiting


def test_links_to_another_host_are_not_followed():
    client = machine()
    client.poll(0.0)
    _, events = answer(
        client, 0.0, data=base(deploymentBase="https://evil/deploymentBase/8", configData="https://evil/c")
    )
    assert dc.Refused("deploymentBase", 0) in events
    assert not client.waiting


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_a_server_cannot_take_now_is_sent_again_in_order_and_later_each_time(status):
    client = machine(1.0)
    client.report("8", stages.accepted(), 0, "a")
    client.report("8", stages.downloaded(), 0, "b")
    now, waits = 0.0, []
    for _ in range(4):
        request = client.request(now)
        assert client.receive(status, {}, b"", now) == []
        waits.append(client.deadline - now)
        now = client.deadline
    assert waits == [5.0, 10.0, 20.0, 40.0]
    assert [answer(client, now)[1] for _ in "ab"] == [[dc.Acknowledged("a")], [dc.Acknowledged("b")]]
    assert json.loads(request.body)["status"]["details"] == ["accepted"]


def test_the_wait_is_drawn_between_half_and_all_and_bounded():
    for unit, share in ((0.0, 0.5), (1.0, 1.0)):
        client = machine(unit)
        client.poll(0.0)
        now = 0.0
        for _ in range(30):
            client.request(now)
            client.failed(now)
            wait, now = client.deadline - now, client.deadline
        assert wait == pytest.approx(dc.LONGEST_BACK_OFF_S * share)


@pytest.mark.parametrize(("unit", "expected"), [(0.0, [300.0, 450.0, 450.0]), (1.0, [600.0, 900.0, 900.0])])
def test_a_poll_is_not_repeated_sooner_than_the_server_wants_polls(unit, expected):
    client = machine(unit)
    client.poll(0.0)
    answer(client, 0.0, data=base())
    now, waits = client.deadline, []
    for _ in range(3):
        client.request(now)
        client.failed(now)
        waits.append(client.deadline - now)
        now = client.deadline
    assert waits == expected


def test_retry_after_is_respected():
    client = machine(1.0)
    client.poll(0.0)
    answer(client, 0.0, status=429, headers={"retry-after": "120"})
    assert client.deadline == 125.0


def test_refused_credentials_are_told_and_tried_rarely():
    client = machine(1.0)
    client.poll(0.0)
    _, events = answer(client, 0.0, status=401)
    assert events == [dc.Refused("poll", 401)]
    assert client.deadline == 80.0


def test_a_gone_action_takes_its_queued_feedback_with_it():
    client = machine()
    for feedback in (stages.installing(), stages.succeeded("1")):
        client.report("8", feedback, 0)
    client.report("9", stages.accepted(), 0, "other")
    _, events = answer(client, 0.0, status=410)
    assert events == [dc.Closed("8", 410)]
    assert answer(client, 0.0)[1] == [dc.Acknowledged("other")]
    assert not client.waiting


def test_a_cancel_is_read_and_answered():
    client = machine()
    client.poll(0.0)
    answer(client, 0.0, data=base(cancelAction=f"{URL}/cancelAction/11"))
    _, events = answer(client, 0.0, data=body({"id": "11", "cancelAction": {"stopId": "8"}}))
    assert events == [dc.CancelAsked("11", "8")]
    client.cancel_feedback("11", True, 5)
    request, _ = answer(client, 0.0)
    status = json.loads(request.body)["status"]
    assert request.url == f"{URL}/cancelAction/11/feedback"
    assert (status["execution"], status["result"]["finished"]) == ("closed", "success")
    client.cancel_feedback("11", False, 5)
    status = json.loads(answer(client, 0.0)[0].body)["status"]
    assert (status["execution"], status["result"]["finished"]) == ("rejected", "none")


def test_a_sleeping_device_polls_no_more_but_keeps_its_feedback():
    client = machine()
    client.poll(0.0)
    client.request(0.0)
    client.pause()
    client.receive(200, {}, base(), 0.0)
    assert client.deadline == inf
    client.report("8", stages.accepted(), 0, "a")
    assert answer(client, 0.0)[1] == [dc.Acknowledged("a")]
    client.request(0.0)
    assert client.deadline == inf


def test_a_request_cut_off_is_sent_again():
    client = machine()
    client.report("8", stages.accepted(), 0, "a")
    first = client.request(0.0)
    client.abandon()
    assert client.request(0.0) is first


def test_a_broken_answer_costs_a_sleep_not_a_storm():
    client = machine()
    client.poll(0.0)
    client.request(0.0)
    with pytest.raises(ProtocolError):
        client.receive(200, {}, b"<html>", 0.0)
    assert client.deadline == dc.FIRST_SLEEP_S
