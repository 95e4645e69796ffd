"""Things that go badly wrong in the middle of a rollout: at its end every module is accounted for on both sides."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
from sqlalchemy import event

from sim import messages as msg
from tests.service.cloud import AUTH, CloudProcess, prepare, served, settled
from tests.service.modules import FakeModule

MODULES = 40
STRATEGY = {"preset": "quectel", "delivery": {"push_interval": "2s"}}
"""The push grid is short: who was forgotten by an outage is offered its plan again."""


@asynccontextmanager
async def fleet(live, count=MODULES):
    """Modules that live on through everything; none may die of an error of its own."""
    modules = [FakeModule(live, f"8661{i:06d}") for i in range(count)]
    tasks = [asyncio.ensure_future(m.run()) for m in modules]
    try:
        yield modules
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert result is None or isinstance(result, asyncio.CancelledError), result


def client_of(told) -> httpx.AsyncClient:
    """A client of the API of a cloud process."""
    return httpx.AsyncClient(base_url=told["http"], headers=AUTH, timeout=30)


async def reports(modules, status, count):
    """Returns when `count` modules have had that status acknowledged."""
    while sum(status in m.acked for m in modules) < count:
        await asyncio.sleep(0.01)


async def both_sides_agree(client, plan, modules):
    """All upgraded; for every module the cloud counts at least the reports it acknowledged, and the same outcome."""
    counts = await settled(client, plan, {"succeeded": len(modules)})
    await asyncio.gather(*(asyncio.wait_for(m.done.wait(), 30) for m in modules))
    assert counts["devices"] == len(modules)
    listed = (await client.get(f"/api/v1/plans/{plan}/devices", params={"size": 1000})).json()["devices"]
    kept = {d["device_key"]: d for d in listed}
    for module in modules:
        device = kept[module.key]
        assert (device["state"], device["module_version"], module.version) == ("succeeded", "1.1.0", "1.1.0")
        assert device["reports"] >= len(module.acked), (device, module.acked)
        log = (await client.get(f"/api/v1/plans/{plan}/devices/{module.key}/log")).json()
        heard = sum(line["times"] for line in log if line["text"].startswith("status "))
        assert heard >= len(module.acked), (log, module.acked)


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_cloud_killed_and_restarted(tmp_path, store, request):
    """SIGKILL three times while modules report; each time it goes on from its store, with nothing acknowledged lost."""
    arguments = [] if store == "sqlite" else ["--db", request.getfixturevalue("new_database")]
    cloud = CloudProcess(tmp_path, *arguments)

    async def scene():
        told = cloud.start()
        async with client_of(told) as client:
            plan = await prepare(client, size=200_000, strategy=STRATEGY)
            live = (await client.get("/api/v1/live")).json()
            async with fleet(live) as modules:
                for status in (msg.SUBMITTED, msg.DOWNLOADING, msg.UPDATE_SUCCESS):
                    await asyncio.wait_for(reports(modules, status, 5), 60)
                    before = [(m.key, len(m.acked)) for m in modules]
                    cloud.kill()
                    cloud.start()
                    listed = (await client.get(f"/api/v1/plans/{plan}/devices", params={"size": 1000})).json()
                    kept = {d["device_key"]: d["reports"] for d in listed["devices"]}
                    assert all(kept.get(key, 0) >= count for key, count in before)
                await both_sides_agree(client, plan, modules)
        assert cloud.stop() == 143

    try:
        asyncio.run(scene())
    finally:
        if cloud.process.poll() is None:
            cloud.kill()


def test_every_connection_cut(tmp_path):
    """All modules lose their connections at once, several times."""

    async def scene():
        async with served(tmp_path) as (server, client):
            plan = await prepare(client, size=200_000, strategy=STRATEGY)
            async with fleet((await client.get("/api/v1/live")).json()) as modules:
                for status in (msg.SUBMITTED, msg.DOWNLOADING, msg.DOWNLOADED, msg.UPDATING):
                    await asyncio.wait_for(reports(modules, status, 5), 60)
                    for client_id in list(server.endpoint.clients):
                        server.endpoint.drop(client_id)
                await both_sides_agree(client, plan, modules)

    asyncio.run(scene())


def test_disk_full_for_a_while(tmp_path):
    """The store cannot grow: nothing is acknowledged, modules are cut off; when it can again, all goes on."""
    limit = {"pages": 1 << 30}

    async def scene():
        async with served(tmp_path) as (server, client):

            @event.listens_for(server.cloud.database.engine, "begin")
            def limited(connection):
                connection.exec_driver_sql(f"PRAGMA max_page_count = {limit['pages']}")

            plan = await prepare(client, size=200_000, strategy=STRATEGY)
            async with fleet((await client.get("/api/v1/live")).json()) as modules:
                await asyncio.wait_for(reports(modules, msg.SUBMITTED, 5), 60)
                limit["pages"] = 1
                while not server.cloud.journal.failing:
                    await asyncio.sleep(0.01)
                health = (await client.get("/api/v1/health")).json()
                assert "full" in health["store"]
                acknowledged = sum(len(m.acked) for m in modules)
                assert (await client.post(f"/api/v1/plans/{plan}/suspend")).status_code == 503
                for _ in range(20):
                    await asyncio.sleep(0.02)
                    assert sum(len(m.acked) for m in modules) == acknowledged
                limit["pages"] = 1 << 30
                await both_sides_agree(client, plan, modules)
                assert (await client.get("/api/v1/health")).json()["store"] == ""

    asyncio.run(scene())


def test_behind_a_broker_that_restarts(tmp_path, mosquitto):
    """Mosquitto carries everything; it is stopped and started in the middle, and keeps what the cloud has not stored."""

    async def scene():
        async with served(tmp_path, broker=mosquitto.url) as (_, client):
            plan = await prepare(client, size=200_000, strategy={**STRATEGY, "timeouts": {"in_progress": "10s"}})
            live = {**(await client.get("/api/v1/live")).json(), "broker": True}
            assert live["mqtt"] == mosquitto.url
            async with fleet(live) as modules:
                for status in (msg.SUBMITTED, msg.DOWNLOADED):
                    await asyncio.wait_for(reports(modules, status, 5), 60)
                    await asyncio.to_thread(mosquitto.stop)
                    await asyncio.to_thread(mosquitto.start)
                await both_sides_agree(client, plan, modules)

    asyncio.run(scene())


@pytest.mark.parametrize(
    "fault",
    ["lose_message", "double_message", "wrong_md5", "expired_url", "drop_connection", "download_error", "download_cut"],
)
def test_injected_faults(tmp_path, fault):
    """A fifth of the occasions goes wrong; retries bring every module through, or it is counted as failed."""
    from sim.service.faults import Faults

    async def scene():
        faults = Faults(**{fault: 0.2 if fault != "drop_connection" else 0.05})
        async with served(tmp_path, faults=faults) as (_, client):
            # A URL that is lost on its way is sent again once the attempt has timed out.
            patient = {**STRATEGY, "retry": {"number_of_retries": 10}, "timeouts": {"in_progress": "4s"}}
            plan = await prepare(client, size=50_000, strategy=patient)
            async with fleet((await client.get("/api/v1/live")).json(), 15) as modules:
                await both_sides_agree(client, plan, modules)

    asyncio.run(scene())
