"""The HTTP API: catalogue, plans, the device table, who may, and what schemathesis makes of its OpenAPI document."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sim.service.loader import load
from tests.service.cloud import TOKEN, prepare, served
from tests.service.threaded import cloud_in_thread
from tests.support import scenario


def test_nothing_without_the_token(tmp_path):
    """Every path but /live and /health answers 401 without a token, or with a wrong one."""

    async def scene():
        async with served(tmp_path) as (_, client):
            paths = (await client.get("/openapi.json")).json()["paths"]
            assert len(paths) >= 25
            for path, methods in paths.items():
                for method in methods:
                    for headers in ({"Authorization": ""}, {"Authorization": "Bearer wrong"}):
                        url = path.replace("{device_key}", "x").replace("{plan_id}", "1")
                        for name in ("version_id", "model_id", "product_id"):
                            url = url.replace(f"{{{name}}}", "1")
                        answer = await client.request(method, url, headers=headers)
                        open_ = path in ("/api/v1/live", "/api/v1/health")
                        assert answer.status_code == (200 if open_ else 401), (method, path)

    asyncio.run(scene())


def test_live_gives_the_secret_only_with_the_token(tmp_path):
    """A fleet finds broker, product and plan; the product's secret needs the token."""

    async def scene():
        async with served(tmp_path) as (server, client):
            plan = await prepare(client)
            open_ = (await client.get("/api/v1/live", headers={"Authorization": ""})).json()
            assert open_["plan"] == plan and open_["product_secret"] is None
            assert open_["mqtt"] == server.cloud.mqtt_url
            assert len((await client.get("/api/v1/live")).json()["product_secret"]) == 16

    asyncio.run(scene())


def test_token_is_in_no_answer_and_no_file(tmp_path):
    """Pages, API and the data folder never repeat the token."""

    async def scene():
        async with served(tmp_path) as (_, client):
            plan = await prepare(client)
            await client.post("/login", data={"token": TOKEN})
            for path in ("/", f"/plans/{plan}", "/api/v1/live", "/api/v1/health", f"/api/v1/plans/{plan}"):
                assert TOKEN not in (await client.get(path, follow_redirects=True)).text

    asyncio.run(scene())
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept and not any(TOKEN.encode() in path.read_bytes() for path in kept)


@pytest.mark.parametrize("path", ["/nowhere", "/plans/abc", "/plans/99", "/projects/99/products", "/plans/1?page=0"])
def test_pages_that_are_not_there(tmp_path, path):
    """The console answers with a page, the API with its detail; neither with a traceback."""

    async def scene():
        async with served(tmp_path) as (_, client):
            await client.post("/login", data={"token": TOKEN})
            answer = await client.get(path)
            assert answer.status_code == 404 and "Not done" in answer.text
            api = await client.get(f"/api/v1{path.partition('?')[0]}")
            assert api.status_code in (404, 422) and api.json()["detail"]

    asyncio.run(scene())


def test_activated_plans_are_fixed(tmp_path):
    """A saved plan can be changed and removed; an activated one cannot."""

    async def scene():
        async with served(tmp_path) as (_, client):
            plan = await prepare(client, activate=False)
            stored = (await client.get(f"/api/v1/plans/{plan}")).json()
            choice = [{key: c[key] for key in ("component_id", "version_id")} for c in stored["components"]]
            given = {key: stored[key] for key in ("project_id", "product_id", "model_id")}
            given |= {"name": "renamed", "components": choice, "blacklist": ["8661*"]}
            changed = await client.put(f"/api/v1/plans/{plan}", json=given)
            assert (changed.status_code, changed.json()["name"]) == (200, "renamed")
            assert (await client.post(f"/api/v1/plans/{plan}/activate")).status_code == 200
            assert (await client.put(f"/api/v1/plans/{plan}", json=given)).status_code == 409
            assert (await client.delete(f"/api/v1/plans/{plan}")).status_code == 409
            assert (await client.post(f"/api/v1/plans/{plan}/activate")).status_code == 409
            version = choice[0]["version_id"]
            assert (await client.delete(f"/api/v1/versions/{version}")).status_code == 409

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"components": []}, 422, "at least 1"),
        ({"time_zone": "Mars/Olympus"}, 422, "Europe/Berlin"),
        ({"strategy": {"retry": {"number_of_retries": -1}}}, 422, "greater than or equal to 0"),
        ({"strategy": {"no_such_key": 1}}, 422, "no_such_key"),
        ({"strategy": {"delivery": {"action_type": "download-only"}}}, 422, "install later"),
        ({"strategy": {"preconditions": {"min_battery_percent": 30.9}}}, 422, "write 30 or 31"),
        ({"strategy": {"preconditions": {"min_rsrp_dbm": -100.5}}}, 422, "write -101 or -100"),
        ({"product_id": 99}, 404, "no product 99"),
        ({"components": [{"component_id": 99, "version_id": 1}]}, 422, "not one of model"),
        ({"starts_at": "2030-01-02T00:00", "ends_at": "2030-01-01T00:00"}, 422, "later"),
        ({"project_id": 10**30}, 422, "less than"),
        ({"name": "a\x00b"}, 422, "pattern"),
        ({"unknown": 1}, 422, "Extra inputs"),
    ],
)
def test_wrong_plans_are_refused(tmp_path, change, status, text):
    """Each mistake has its status and says what is wrong."""

    async def scene():
        async with served(tmp_path) as (_, client):
            await prepare(client, activate=False)
            given = {
                "project_id": 1, "product_id": 1, "model_id": 1, "name": "n",
                "components": [{"component_id": 1, "version_id": 1}], **change,
            }  # fmt: skip
            answer = await client.post("/api/v1/plans", json=given)
            assert answer.status_code == status and text in answer.text, answer.text

    asyncio.run(scene())


def test_planned_times(tmp_path):
    """A plan whose end has passed cannot be activated; one that starts later offers nothing before."""

    async def scene():
        async with served(tmp_path) as (server, client):
            late = await prepare(
                client, activate=False, name="late", ends_at="2020-01-01T00:00", time_zone="Europe/Berlin"
            )
            answer = await client.post(f"/api/v1/plans/{late}/activate")
            assert answer.status_code == 409 and "past" in answer.text
            early = await prepare(client, name="early", starts_at="2099-01-01T00:00")
            rollout = server.cloud.rollouts.running[early]
            assert rollout.zero_at == 4070908800.0  # 2099-01-01T00:00Z
            assert rollout.center.deadline == 0.0 and rollout.now(server.cloud.rollouts.clock()) < 0.0

    asyncio.run(scene())


def test_device_table(tmp_path):
    """Search, stage, sort and pages over 300 devices, done by the store."""

    async def scene():
        async with served(tmp_path) as (server, client):
            await prepare(client, activate=False, name="p")
            rollouts = server.cloud.rollouts
            for i in range(300):
                device = rollouts.create(1, f"86{i:04d}", "s")
                device.battery_percent = float(i % 100)
            await client.post("/api/v1/plans/1/activate")

            async def keys(**query):
                found = (await client.get("/api/v1/plans/1/devices", params=query)).json()
                return found["total"], [d["device_key"] for d in found["devices"]]

            assert await keys(size=3) == (300, ["860000", "860001", "860002"])
            assert await keys(size=3, page=100) == (300, ["860297", "860298", "860299"])
            assert await keys(size=2, descending=True) == (300, ["860299", "860298"])
            assert await keys(search="29") == (13, [f"86{i:04d}" for i in (29, 129, 229, *range(290, 300))])
            assert await keys(search="%") == (0, [])
            assert await keys(stage="Success") == (0, [])
            assert (await keys(sort="battery", descending=True, size=3))[1] == ["860099", "860199", "860299"]

    asyncio.run(scene())


@pytest.mark.timeout(840)
def test_api_keeps_its_openapi_document(tmp_path):
    """Requests made from the document by the thousand, right and wrong ones: no 5xx, nothing undocumented.

    All phases take minutes and run in continuous integration; elsewhere chance alone chooses.
    """
    phases = "examples,coverage,fuzzing,stateful" if os.environ.get("CI") == "true" else "examples,fuzzing"
    command = Path(sys.executable).with_name("schemathesis")
    with cloud_in_thread(tmp_path) as server:
        load(server.cloud, scenario("plan.components.0.size=1 kB"))
        done = subprocess.run(
            [
                command, "run", f"{server.cloud.http_url}/openapi.json", "-H", f"Authorization: Bearer {TOKEN}",
                "--checks", "all", "-n", "5", "--seed", "1", "--phases", phases,
                # A request may follow the document and still break a rule between its fields: 422 says which.
                "--exclude-checks", "positive_data_acceptance",
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=800, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:]
