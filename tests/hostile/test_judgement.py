"""Messages judged by the plan's and the module's state: the table, and what a device can make of it over the wire."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sim import messages as msg
from sim.cloud.acceptance import STATUSES, TABLE, Acceptance, judge, reason
from sim.cloud.execution import is_terminal
from sim.cloud.execution_states import ExecutionState
from sim.wire.quecthing import commands, ota
from tests.service.cloud import prepare, served, settled
from tests.service.modules import FakeModule


def test_the_table_is_complete_and_its_corners_are_as_documented():
    assert set(TABLE) == set(ExecutionState)
    assert all(len(row) == len(STATUSES) == 10 for row in TABLE.values())
    S = ExecutionState
    expected = {
        (S.SCHEDULED, 2): Acceptance.REFUSE, (S.NOTIFIED, 2): Acceptance.ACCEPT, (S.CONFIRMED, 2): Acceptance.IGNORE,
        (S.NOTIFIED, 4): Acceptance.REFUSE, (S.DOWNLOADED, 5): Acceptance.ACCEPT, (S.UPDATING, 5): Acceptance.IGNORE,
        (S.FAILED, 12): Acceptance.IGNORE, (S.TIMED_OUT, 11): Acceptance.ACCEPT, (S.CONFIRMED, 3): Acceptance.IGNORE,
    }  # fmt: skip
    for (state, status), verdict in expected.items():
        assert judge(state, status, offered=True, cancelling=False) is verdict, (state, status)
    assert judge(S.QUEUED, 2, offered=False, cancelling=False) is Acceptance.REFUSE
    assert judge(S.DOWNLOADING, 3, offered=True, cancelling=True) is Acceptance.ACCEPT  # the answer to a Cancel
    assert all(reason(state, offered=True) for state in S)
    assert all(judge(s, 11, offered=True, cancelling=False) is Acceptance.ACCEPT for s in S if is_terminal(s))


SIGNS = {"+": Acceptance.ACCEPT, "o": Acceptance.IGNORE, "-": Acceptance.REFUSE}
OVER = [state for state in ExecutionState if is_terminal(state)]
STATES = {
    "scheduled, or never offered": [ExecutionState.SCHEDULED], "queued after an offer": [ExecutionState.QUEUED],
    "notified, waiting for the user": [ExecutionState.NOTIFIED, ExecutionState.WAIT_FOR_CONFIRMATION],
    "confirmed, downloading, downloaded": [ExecutionState.CONFIRMED, ExecutionState.DOWNLOADING, ExecutionState.DOWNLOADED],
    "updating": [ExecutionState.UPDATING], "over": OVER,
}  # fmt: skip


def documented():
    """The table of the documentation: verdict by state and status."""
    text = (Path(__file__).parents[2] / "docs" / "threat_model.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    begin = next(i for i, row in enumerate(rows) if row[0] == "state \\ status")
    statuses = [int(cell) for cell in rows[begin][1:]]
    return {
        (state, status): SIGNS[sign]
        for row in rows[begin + 2 : begin + 2 + len(STATES)]
        for state in STATES[row[0]]
        for status, sign in zip(statuses, row[1:], strict=True)
    }


def test_the_documented_table_is_the_one_that_judges():
    table = documented()
    assert set(table) == {(state, status) for state in ExecutionState for status in STATUSES}
    for (state, status), verdict in table.items():
        assert judge(state, status, offered=True, cancelling=False) is verdict, (state, status)
        never = table[ExecutionState.SCHEDULED, status] if state == ExecutionState.QUEUED else verdict
        assert judge(state, status, offered=False, cancelling=False) is never, (state, status)


PATHS = {
    "never offered": ([], ExecutionState.QUEUED), "taken back": ([2], ExecutionState.QUEUED),
    "notified": ([], ExecutionState.NOTIFIED), "confirmed": ([2], ExecutionState.CONFIRMED), "downloading": ([2, 4], ExecutionState.DOWNLOADING),
    "downloaded": ([2, 4, 8], ExecutionState.DOWNLOADED), "updating": ([2, 4, 8, 9], ExecutionState.UPDATING),
    "succeeded": ([2, 4, 8, 9, 11], ExecutionState.SUCCEEDED), "failed": ([2, 4, 8, 9, 12], ExecutionState.FAILED),
}  # fmt: skip
LEADS_TO = {
    4: ExecutionState.DOWNLOADING,
    5: ExecutionState.DOWNLOADING,
    8: ExecutionState.DOWNLOADED,
    9: ExecutionState.UPDATING,
}
"""Where an accepted status leaves an execution that has a URL."""


def test_every_cell_does_what_it_says(tmp_path):
    """A device of its own for each state that is reached by reports, and each status: what is not accepted changes nothing
    and says why; what is accepted says nothing of the kind, and a success ends every upgrade that was offered."""

    async def scene():
        async with served(tmp_path) as (server, client):
            strategy = {"preconditions": {"min_battery_percent": 50}, "retry": {"number_of_retries": 0}}
            plan = await prepare(client, activate=False, strategy=strategy)
            rollouts = server.cloud.rollouts
            devices = {
                (path, status): rollouts.create(1, f"d{number}x{status}", "s") for number, path in enumerate(PATHS) for status in STATUSES
            }  # fmt: skip
            assert (await client.post(f"/api/v1/plans/{plan}/activate")).status_code == 200
            running, said = rollouts.running[plan], []
            kept = running.center.log
            running.center.log = lambda index, at, text: (said.append(text), kept(index, at, text))
            for (path, status), device in devices.items():
                before, state = PATHS[path]
                rollouts.connected(device)
                rollouts.condition(device, 20.0 if path == "never offered" else 90.0, -90.0, 5e7)
                rollouts.announced(device, "1.0.0", {}, asks=True)
                if path == "taken back":
                    rollouts.condition(device, 20.0, -90.0, 5e7)
                for earlier in before:
                    rollouts.status(device, earlier, "fw", "1.1.0" if earlier == 11 else "")
                execution = running.execution(device)
                assert execution.state == state, (path, execution.state)
                rollouts.condition(device, 90.0, -90.0, 5e7)
                said.clear()
                rollouts.status(device, status, "fw", "1.1.0" if status == 11 else "")
                verdict = judge(state, status, offered=path != "never offered", cancelling=False)
                if verdict is Acceptance.ACCEPT:
                    assert not [line for line in said if "ignored" in line or "refused" in line], (path, status)
                    assert status != 11 or execution.state == ExecutionState.SUCCEEDED or is_terminal(state)
                    assert status not in LEADS_TO or execution.state == LEADS_TO[status], (path, status)
                else:
                    assert execution.state == state, (path, status)
                    assert said[0].startswith(f"status {status} {msg.STATUS_TEXT[status]} {verdict.value}: "), (
                        path,
                        status,
                    )
                rollouts.offline(device)

    asyncio.run(asyncio.wait_for(scene(), 300))


async def introduced(live, key, **options):
    """A connected device that has said what it runs, and its cloud's answer if there is one."""
    module = FakeModule(live, key, **options)
    await module.connect()
    await module.introduce()
    return module


async def log_of(client, plan, key):
    return [line["text"] for line in (await client.get(f"/api/v1/plans/{plan}/devices/{key}/log")).json()]


def run(scene):
    """A coroutine function as a test."""

    def test(tmp_path):
        async def limited():
            async with asyncio.timeout(60), served(tmp_path) as (server, client):
                await scene(server, client)

        asyncio.run(limited())

    test.__name__, test.__doc__ = scene.__name__, scene.__doc__
    return test


@run
async def test_a_confirmation_without_an_offer_gets_no_url(server, client):
    """Status 2 of a module that was offered nothing: refused, with a line; no link leaves the cloud."""
    plan = await prepare(client, strategy={"preconditions": {"min_battery_percent": 90}})
    live = (await client.get("/api/v1/live")).json()
    module = await introduced(live, "device01", battery=80.0)
    for status in (msg.SUBMITTED, msg.DOWNLOADED, msg.UPDATE_SUCCESS):
        module.version = "6.6.6"
        await module.status(status)
    assert (await log_of(client, plan, "device01"))[-3:] == [
        "status 2 SUBMITOTA refused: nothing was offered", "status 8 DOWNLOADSUCCESS refused: nothing was offered",
        "status 11 UPDATESUCCESS refused: nothing was offered",
    ]  # fmt: skip
    assert module.link.inbox.empty()
    assert (await settled(client, plan, {"queued": 1}))["devices"] == 1


@run
async def test_thirty_one_confirmations_are_one(server, client):
    """The first gets the URL, the others a line that counts them."""
    plan = await prepare(client)
    live = (await client.get("/api/v1/live")).json()
    module = await introduced(live, "device01")
    assert (await module.link.receive()).command == commands.OTA_NOTICE
    for _ in range(31):
        await module.status(msg.SUBMITTED)
    assert (await module.link.receive()).command == commands.OTA_URL
    assert module.link.inbox.empty()
    device = (await client.get(f"/api/v1/plans/{plan}/devices/device01")).json()
    assert (device["state"], device["attempts"], device["reports"]) == ("confirmed", 1, 31)
    assert (device["log"][-1]["text"], device["log"][-1]["times"]) == (
        "status 2 SUBMITOTA ignored: the upgrade is confirmed already",
        30,
    )


@run
async def test_a_suspended_plan_takes_no_confirmation_and_no_failure(server, client):
    """Status 2 waits for the plan to go on and is offered anew; status 12 of what was never confirmed changes nothing."""
    plan = await prepare(client)
    live = (await client.get("/api/v1/live")).json()
    module = await introduced(live, "device01")
    assert (await module.link.receive()).command == commands.OTA_NOTICE
    assert (await client.post(f"/api/v1/plans/{plan}/suspend")).status_code == 200
    await module.status(msg.SUBMITTED)
    await module.status(msg.UPDATE_ERROR)
    assert (await log_of(client, plan, "device01"))[-2:] == [
        "status 2 SUBMITOTA refused: the plan is suspended", "status 12 UPDATEERROR ignored: the offer was taken back",
    ]  # fmt: skip
    assert module.link.inbox.empty()
    await settled(client, plan, {"queued": 1})
    assert (await client.post(f"/api/v1/plans/{plan}/resume")).status_code == 200
    await module.link.publish(module.client_id, commands.OTA_REQUEST, ota.encode_request({"fw": "1.0.0"}, "fw"), 2)
    assert (await module.link.receive()).command == commands.OTA_NOTICE
    await module.status(msg.SUBMITTED)
    assert (await module.link.receive()).command == commands.OTA_URL


@run
async def test_a_running_modules_failure_in_a_suspended_plan_waits_for_its_retry(server, client):
    """Status 12 of a module under way counts; the URL goes out again when the plan goes on, not before."""
    plan = await prepare(client)
    live = (await client.get("/api/v1/live")).json()
    module = await introduced(live, "device01")
    await module.link.receive()
    await module.status(msg.SUBMITTED)
    assert (await module.link.receive()).command == commands.OTA_URL
    await client.post(f"/api/v1/plans/{plan}/suspend")
    await module.status(msg.UPDATE_ERROR)
    device = (await client.get(f"/api/v1/plans/{plan}/devices/device01")).json()
    assert (device["state"], device["failures"]) == ("confirmed", 1) and module.link.inbox.empty()
    await client.post(f"/api/v1/plans/{plan}/resume")
    assert (await module.link.receive()).command == commands.OTA_URL


@run
async def test_below_the_limits_by_now_there_is_no_url(server, client):
    """The battery was enough when the plan was offered and is not when it is confirmed."""
    plan = await prepare(client, strategy={"preconditions": {"min_battery_percent": 50}})
    live = (await client.get("/api/v1/live")).json()
    module = await introduced(live, "device01", battery=80.0)
    assert (await module.link.receive()).command == commands.OTA_NOTICE
    worse = msg.Hello(20.0, -90.0, 50_000_000, {"fw": "1.0.0"})
    await module.link.publish(module.client_id, commands.STATUS_REPORT, commands.encode_status_report(worse), 1)
    await module.status(msg.SUBMITTED)
    lines = await log_of(client, plan, "device01")
    assert "status 2 SUBMITOTA refused: the module is below the plan's limits" in lines
    assert module.link.inbox.empty() and (await settled(client, plan, {"queued": 1}))


@run
async def test_a_takeover_is_an_offline_and_an_online(server, client):
    """The offer that went to the older connection goes out again at once; both have to be true: one is gone, one is there."""
    plan = await prepare(client)
    live = (await client.get("/api/v1/live")).json()
    first = await introduced(live, "device01")
    assert (await first.link.receive()).command == commands.OTA_NOTICE
    second = FakeModule(live, "device01")
    second.secret = first.secret
    await second.connect()  # the first connection still stands
    hello = msg.Hello(80.0, -90.0, 50_000_000, {"fw": "1.0.0"})
    send = second.link.publish
    await send(second.client_id, commands.STATUS_REPORT, commands.encode_status_report(hello), 1)
    await send(second.client_id, commands.INFO_REPORT, commands.encode_info_report(hello.versions, "fw"), 1)
    async with asyncio.timeout(10):  # without asking, and long before the next push of the ten-minute grid
        assert (await second.link.receive()).command == commands.OTA_NOTICE
    with pytest.raises(Exception):  # noqa: B017
        while True:
            await first.link.receive()
    assert server.cloud.rollouts.device(1, "device01").online
    assert server.endpoint.counts.connects == 2
    assert (await settled(client, plan, {"notified": 1}))["devices"] == 1
