"""Whole upgrades over real sockets: modules of the protocol alone against the cloud."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from sim import messages as msg
from sim.service.faults import Faults
from tests.service.cloud import prepare, served, settled
from tests.service.modules import FakeModule


@asynccontextmanager
async def fleet(client, plan, count, **options):
    """Modules that run while the block does."""
    live = (await client.get("/api/v1/live", params={"plan_id": plan})).json()
    modules = [FakeModule(live, f"8661{i:06d}", **options) for i in range(count)]
    tasks = [asyncio.ensure_future(m.run()) for m in modules]
    try:
        yield modules
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled() and task.exception():
                raise task.exception()


def test_modules_are_upgraded(tmp_path):
    """Unknown modules bootstrap, join the running plan, download, report; every acknowledged report is counted."""

    async def scene():
        async with served(tmp_path) as (_, client):
            plan = await prepare(client)
            async with fleet(client, plan, 20) as modules:
                counts = await settled(client, plan, {"succeeded": 20})
                await asyncio.gather(*(asyncio.wait_for(m.done.wait(), 10) for m in modules))
            assert counts["stages"] == {
                "Start": 0,
                "Confirm": 0,
                "Download": 0,
                "Upgrading": 0,
                "Success": 20,
                "Fail": 0,
                "Cancelled": 0,
            }
            listed = (await client.get(f"/api/v1/plans/{plan}/devices")).json()["devices"]
            assert {d["device_key"]: d["reports"] for d in listed} == {m.key: len(m.acked) for m in modules}
            assert all(m.acked == [1, 2, 4, 5, 8, 9, 11] for m in modules)
            assert all(d["module_version"] == "1.1.0" and d["attempts"] == 1 for d in listed)

    asyncio.run(scene())


def test_log_and_details(tmp_path):
    """The upgrade log tells the story in order, with the texts of the Developer Center's console."""

    async def scene():
        async with served(tmp_path) as (_, client):
            plan = await prepare(client)
            async with fleet(client, plan, 1) as (module,):
                await settled(client, plan, {"succeeded": 1})
            details = (await client.get(f"/api/v1/plans/{plan}/devices/{module.key}")).json()
            told = [line["text"] for line in details["log"]]
            story = [
                "device requests its plan", "issuing plan", "confirmed", "Issue the URL to upgrade",
                "status 4 DOWNLOADSTART", "status 8 DOWNLOADSUCCESS", "status 9 UPDATING",
                "status 11 UPDATESUCCESS 1.1.0", "succeeded",
            ]  # fmt: skip
            assert [told.index(text) for text in story] == sorted(told.index(text) for text in story)
            assert details["components"] == [
                {"identifier": "fw", "kind": "firmware", "running_version": "1.1.0", "target_version": "1.1.0",
                 "stage": "Success"}
            ]  # fmt: skip

    asyncio.run(scene())


def test_cancel_before_and_after_confirming(tmp_path):
    """A module that only received its plan can be cancelled, one that has confirmed cannot."""

    async def scene():
        async with served(tmp_path) as (_, client):
            plan = await prepare(client, mode="confirm")
            for hold, status in ((msg.PLAN_RECEIVED, 200), (msg.SUBMITTED, 409)):
                live = (await client.get("/api/v1/live")).json()
                module = FakeModule(live, f"8661cancel{hold}", hold=hold)
                task = asyncio.ensure_future(module.run())
                await asyncio.wait_for(module.held.wait(), 10)
                answer = await client.post(f"/api/v1/plans/{plan}/devices/{module.key}/cancel")
                assert answer.status_code == status, answer.text
                task.cancel()
            await settled(client, plan, {"canceled": 1, "confirmed": 1})

    asyncio.run(scene())


def test_operator_suspends_resumes_terminates(tmp_path):
    """Suspended, the plan offers nothing; resumed, it does; terminated, waiting modules fail."""

    async def scene():
        async with served(tmp_path) as (_, client):
            plan = await prepare(client)
            assert (await client.post(f"/api/v1/plans/{plan}/suspend")).json()["state"] == "Suspended"
            async with fleet(client, plan, 1) as (module,):
                await settled(client, plan, {"scheduled": 1})
                assert module.acked == []
                assert (await client.post(f"/api/v1/plans/{plan}/resume")).json()["state"] == "Upgrading"
                module.link.transport.abort()  # it asks again when it is back
                await settled(client, plan, {"succeeded": 1})
            assert (await client.post(f"/api/v1/plans/{plan}/terminate")).json()["state"] == "Terminated"
            assert (await client.post(f"/api/v1/plans/{plan}/resume")).status_code == 409

    asyncio.run(scene())


def test_two_plans_of_a_product_follow_one_another(tmp_path):
    """A module busy with one plan is left alone by the other, and taken by it afterwards."""

    async def scene():
        async with served(tmp_path) as (_, client):
            first = await prepare(client)
            plan = (await client.get(f"/api/v1/plans/{first}")).json()
            answer = await client.post(
                "/api/v1/versions", data={"project_id": plan["project_id"], "name": "1.2", "target_version": "1.2.0"},
                files=[("files", ("fw.bin", b"second"))],
            )  # fmt: skip
            choice = {"component_id": plan["components"][0]["component_id"], "version_id": answer.json()["id"]}
            given = {key: plan[key] for key in ("project_id", "product_id", "model_id")}
            second = (await client.post("/api/v1/plans", json={**given, "name": "q", "components": [choice]})).json()[
                "id"
            ]
            await client.post(f"/api/v1/plans/{second}/activate")
            async with fleet(client, first, 3) as modules:
                await settled(client, first, {"succeeded": 3})
                for module in modules:
                    module.done.clear()
                    module.phase = "idle"
            async with fleet(client, first, 0):
                live = (await client.get("/api/v1/live")).json()
                again = [FakeModule(live, m.key, version="1.1.0") for m in modules]
                for module, before in zip(again, modules, strict=True):
                    module.secret = before.secret  # the same device, which has kept it
                tasks = [asyncio.ensure_future(m.run()) for m in again]
                await settled(client, second, {"succeeded": 3})
                await asyncio.gather(*tasks)
            assert {m.version for m in again} == {"1.2.0"}

    asyncio.run(scene())


def test_a_plan_that_ends_lets_its_devices_go(tmp_path):
    """Terminated while its offer was out, it leaves the module to the next plan of the product."""

    async def scene():
        async with served(tmp_path) as (_, client):
            first = await prepare(client, mode="confirm")
            module = FakeModule((await client.get("/api/v1/live")).json(), "86610001", hold=msg.PLAN_RECEIVED)
            task = asyncio.ensure_future(module.run())
            await asyncio.wait_for(module.held.wait(), 10)
            plan = (await client.get(f"/api/v1/plans/{first}")).json()
            given = {key: plan[key] for key in ("project_id", "product_id", "model_id")}
            choice = [{key: c[key] for key in ("component_id", "version_id")} for c in plan["components"]]
            second = await client.post("/api/v1/plans", json={**given, "name": "q", "components": choice})
            await client.post(f"/api/v1/plans/{second.json()['id']}/activate")
            await client.post(f"/api/v1/plans/{first}/terminate")
            task.cancel()
            again = FakeModule(module.live, module.key)
            again.secret = module.secret
            await asyncio.wait_for(again.run(), 30)
            await settled(client, second.json()["id"], {"succeeded": 1})
            await settled(client, first, {"failed": 1})

    asyncio.run(scene())


def test_operator_retries_failed_modules(tmp_path):
    """Out of retries a module has failed; the operator's retry offers it the plan again, and it succeeds."""

    async def scene():
        async with served(tmp_path, faults=Faults(wrong_md5=1.0)) as (server, client):
            plan = await prepare(client, strategy={"retry": {"number_of_retries": 1}})
            async with fleet(client, plan, 3) as modules:
                await settled(client, plan, {"failed": 3})
                assert all(m.md5_errors == 2 for m in modules)
                server.cloud.injector.set(Faults())
                assert (await client.post(f"/api/v1/plans/{plan}/retry")).status_code == 200
                await settled(client, plan, {"succeeded": 3})

    asyncio.run(scene())


def test_refused_logins(tmp_path):
    """Wrong product secret: let in and told 10425 by an exception; wrong device secret: CONNACK refuses."""

    async def scene():
        async with served(tmp_path) as (_, client):
            await prepare(client)
            live = (await client.get("/api/v1/live")).json()
            stranger = FakeModule({**live, "product_secret": "0123456789abcdefX"}, "86610001")
            assert await stranger.connect() is None
            impostor = FakeModule(live, "86610002")
            impostor.secret = "f" * 32
            assert await impostor.connect() is None
            other = FakeModule({**live, "product_key": "nosuchproduct"}, "86610003")
            assert await other.connect() is None
            assert (stranger.refusals[0] in (10424, 10425), impostor.refusals, other.refusals) == (True, [4], [10423])

    asyncio.run(scene())
