"""The upgrade example of the Developer Center, where it says more than the flow itself: versions, devices, forms."""

from __future__ import annotations

import asyncio
import re

import httpx

from tests.service.cloud import TOKEN, prepare, served, settled
from tests.service.modules import FakeModule


async def console(client):
    """A session of the console."""
    opened = httpx.AsyncClient(base_url=client.base_url, timeout=30)
    assert (await opened.post("/login", data={"token": TOKEN})).status_code == 303
    return opened


async def secret_of(opened, path):
    """The secret in the forms of a page."""
    return re.search(r'name="secret" value="(\w+)"', (await opened.get(path)).text)[1]


def test_a_version_without_a_product_is_valid_in_all_projects(tmp_path):
    """One with a product is not; the editor offers the former everywhere."""

    async def scene():
        async with served(tmp_path) as (_, client):
            await prepare(client, activate=False)
            made = []
            for product in ("", "1"):
                fields = {"project_id": "1", "name": f"v{product}", "target_version": "2.0.0", "product_id": product}
                answer = await client.post("/api/v1/versions", data=fields, files=[("files", ("a.bin", b"x"))])
                made.append(answer.json()["id"])
            project = (await client.post("/api/v1/projects", json={"name": "other"})).json()["id"]
            product = (await client.post("/api/v1/products", json={"project_id": project, "name": "o"})).json()["id"]
            part = {"identifier": "fw", "name": "Firmware"}
            given = {"project_id": project, "name": "m", "device_model": "BG95", "components": [part]}
            model = (await client.post("/api/v1/models", json=given)).json()
            statuses = []
            for number, version in enumerate(made):
                choice = {"component_id": model["components"][0]["id"], "version_id": version}
                plan = {"project_id": project, "product_id": product, "model_id": model["id"], "name": f"x{number}"}
                statuses.append((await client.post("/api/v1/plans", json={**plan, "components": [choice]})).status_code)
            assert statuses == [201, 422]
            opened = await console(client)
            text = (await opened.get(f"/projects/{project}/plans/new")).text
            assert f'value="{made[0]}"' in text and f'value="{made[1]}"' not in text
            await opened.aclose()

    asyncio.run(scene())


def test_activation_asks_once_more(tmp_path):
    """The first click shows what will happen, the second does it; so for all that cannot be undone."""

    async def scene():
        async with served(tmp_path) as (_, client):
            plan = await prepare(client, activate=False)
            opened = await console(client)
            secret = await secret_of(opened, f"/plans/{plan}")
            asked = await opened.post(f"/plans/{plan}/activate", data={"secret": secret})
            assert asked.status_code == 200 and "neither edited nor deleted" in asked.text
            assert (await client.get(f"/api/v1/plans/{plan}")).json()["state"] == "Saved"
            done = await opened.post(f"/plans/{plan}/activate", data={"secret": secret, "confirmed": "yes"})
            assert done.status_code == 303
            assert (await client.get(f"/api/v1/plans/{plan}")).json()["state"] == "Activated"
            assert (await opened.post(f"/plans/{plan}/terminate", data={"secret": secret})).status_code == 200
            assert (await client.get(f"/api/v1/plans/{plan}")).json()["state"] == "Activated"
            await opened.aclose()

    asyncio.run(scene())


def test_devices_registered_beforehand_count_before_they_are_seen(tmp_path):
    """They are in the plan, said to be never seen, and bootstrap like any other; wrong keys are told in words."""

    async def scene():
        async with served(tmp_path) as (_, client):
            plan = await prepare(client)
            answer = await client.post(
                "/api/v1/products/1/devices", json={"device_keys": ["8661000001", "8661000002", "8661000001"]}
            )
            assert (answer.status_code, answer.json()) == (201, {"count": 2})
            wrong = await client.post("/api/v1/products/1/devices", json={"device_keys": ["a b"]})
            assert wrong.status_code == 422 and "4 to 16 letters, digits, - and _ are allowed" in wrong.text
            assert (
                await client.post("/api/v1/products/9/devices", json={"device_keys": ["8661000009"]})
            ).status_code == 404
            module = FakeModule((await client.get("/api/v1/live")).json(), "8661000001")
            await module.run()
            counts = await settled(client, plan, {"succeeded": 1})
            assert (counts["devices"], counts["never_seen"], counts["judged"], counts["success_rate"]) == (2, 1, 1, 1.0)
            opened = await console(client)
            secret = await secret_of(opened, "/projects/1/products")
            form = {"secret": secret, "product_id": "1", "device_keys": "8661000003\r\n8661000004"}
            assert (await opened.post("/projects/1/devices", data=form)).status_code == 303
            assert (await client.get(f"/api/v1/plans/{plan}/counts")).json()["devices"] == 4
            await opened.aclose()

    asyncio.run(scene())


def test_a_cancelled_device_is_shown_as_cancelled(tmp_path):
    """Not as failed: it is no part of the success rate, and the device table can be narrowed to it."""

    async def scene():
        async with served(tmp_path) as (_, client):
            plan = await prepare(client)
            await client.post("/api/v1/products/1/devices", json={"device_keys": ["8661000001"]})
            done = await client.post(f"/api/v1/plans/{plan}/devices/8661000001/cancel")
            assert (done.json()["stage"], done.json()["device_state"]) == ("Cancelled", "Cancelled")
            counts = (await client.get(f"/api/v1/plans/{plan}/counts")).json()
            assert (counts["stages"]["Cancelled"], counts["stages"]["Fail"], counts["judged"]) == (1, 0, 0)
            listed = await client.get(f"/api/v1/plans/{plan}/devices", params={"stage": "Cancelled"})
            assert listed.json()["total"] == 1

    asyncio.run(scene())


def test_an_error_in_a_form_says_what_is_allowed(tmp_path):
    """In words, never a pattern."""

    async def scene():
        async with served(tmp_path) as (_, client):
            await prepare(client, activate=False)
            opened = await console(client)
            secret = await secret_of(opened, "/projects/1/products")
            for path, fields, words in [
                ("/projects/1/products", {"name": "x", "product_key": "a-b"}, "product key: 1 to 32 letters and digits are allowed"),
                ("/projects/1/models", {"name": "x", "device_model": "a b", "component_name": "c", "identifier": "fw", "kind": "mcu"},
                 "device model: 1 to 100 letters, digits and underscores are allowed"),
                ("/projects/1/models/1/components", {"name": "x", "identifier": "a:b", "kind": "mcu"}, "identifier: printable characters without : and ; are allowed"),
            ]:  # fmt: skip
                answer = await opened.post(path, data={"secret": secret, **fields})
                assert answer.status_code == 422 and words in answer.text and "^[" not in answer.text, answer.text[
                    :2000
                ]
            await opened.aclose()

    asyncio.run(scene())
