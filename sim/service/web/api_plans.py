"""API of the plans: editing, operating, monitoring, devices with details and logs; and what fleets and operators need."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from starlette.concurrency import run_in_threadpool

from sim.service import rollouts
from sim.service.cloud import Cloud
from sim.service.errors import NotFound
from sim.service.faults import Faults
from sim.service.store import catalog, progress, tables
from sim.service.web import schemas as s
from sim.service.web.access import CloudDep, has_token, needs_token
from sim.service.web.api_catalog import ERRORS
from sim.service.web.details import details

router = APIRouter(prefix="/api/v1", dependencies=[Depends(needs_token)], responses=ERRORS, tags=["plans"])
open_router = APIRouter(prefix="/api/v1", tags=["service"])
Row = dict[str, Any]
MAX_PAGE = 1_000_000


@router.get("/plans", response_model=list[s.PlanHead])
def list_plans(cloud: CloudDep, project_id: s.QueryId = None, product_id: s.QueryId = None) -> list[Row]:
    """Plans, newest first."""
    with cloud.database.read() as connection:
        return catalog.listed(connection, tables.plans, project_id=project_id, product_id=product_id)


@router.post("/plans", response_model=s.Plan, status_code=201)
def create_plan(cloud: CloudDep, given: s.PlanIn) -> Row:
    """A new plan: saved, not activated."""
    with cloud.database.write() as connection:
        made = catalog.create_plan(connection, given.fields())
        rollouts.check(connection, made["id"])
        return made


@router.get("/plans/{plan_id}", response_model=s.Plan)
def get_plan(cloud: CloudDep, plan_id: s.PathId) -> Row:
    """One plan."""
    with cloud.database.read() as connection:
        return catalog.get_plan(connection, plan_id)


@router.put("/plans/{plan_id}", response_model=s.Plan)
def replace_plan(cloud: CloudDep, plan_id: s.PathId, given: s.PlanIn) -> Row:
    """Changes a saved plan; an activated one cannot be edited."""
    with cloud.database.write() as connection:
        made = catalog.replace_plan(connection, plan_id, given.fields())
        rollouts.check(connection, plan_id)
        return made


@router.delete("/plans/{plan_id}", status_code=204)
def delete_plan(cloud: CloudDep, plan_id: s.PathId) -> None:
    """Removes a saved plan; an activated one cannot be deleted."""
    with cloud.database.write() as connection:
        catalog.delete_plan(connection, plan_id)


# --- operating ---------------------------------------------------------------------------------------------------


@router.post("/plans/{plan_id}/activate", response_model=s.Monitoring)
async def activate(cloud: CloudDep, plan_id: s.PathId) -> Row:
    """Makes a saved plan run."""
    await cloud.rollouts.activate(plan_id)
    return await run_in_threadpool(_monitoring, cloud, plan_id)


@router.post("/plans/{plan_id}/suspend", response_model=s.Monitoring)
async def suspend(cloud: CloudDep, plan_id: s.PathId) -> Row:
    """Modules not yet upgrading wait; running ones go on."""
    await cloud.rollouts.suspend(plan_id)
    return await run_in_threadpool(_monitoring, cloud, plan_id)


@router.post("/plans/{plan_id}/resume", response_model=s.Monitoring)
async def resume(cloud: CloudDep, plan_id: s.PathId) -> Row:
    """Goes on after a suspension."""
    await cloud.rollouts.resume(plan_id)
    return await run_in_threadpool(_monitoring, cloud, plan_id)


@router.post("/plans/{plan_id}/terminate", response_model=s.Monitoring)
async def terminate(cloud: CloudDep, plan_id: s.PathId) -> Row:
    """Ends the plan for good: waiting modules fail, running ones go on."""
    await cloud.rollouts.terminate(plan_id)
    return await run_in_threadpool(_monitoring, cloud, plan_id)


@router.post("/plans/{plan_id}/retry", response_model=s.Monitoring)
async def retry(cloud: CloudDep, plan_id: s.PathId) -> Row:
    """The operator's retry: failed modules of a silent plan are offered the plan again."""
    await cloud.rollouts.retry_failed(plan_id)
    return await run_in_threadpool(_monitoring, cloud, plan_id)


@router.post("/plans/{plan_id}/devices/{device_key}/cancel", response_model=s.Progress)
async def cancel(cloud: CloudDep, plan_id: s.PathId, device_key: s.DeviceKey) -> Row:
    """Cancels the upgrade of a device that has not confirmed yet."""
    await cloud.rollouts.cancel(plan_id, device_key)
    return await run_in_threadpool(_progress, cloud, plan_id, device_key)


@router.post("/products/{product_id}/devices/reset", response_model=s.Counted)
async def reset_devices(cloud: CloudDep, product_id: s.PathId, device_key: s.QueryKey = None) -> Row:
    """Lets the devices of a product, or one of them, bootstrap again: one that has its secret is answered 10422."""
    await run_in_threadpool(_product, cloud, product_id)
    return {"count": cloud.rollouts.reset_secrets(product_id, device_key)}


@router.post("/products/{product_id}/devices", response_model=s.Counted, status_code=201)
async def register_devices(cloud: CloudDep, product_id: s.PathId, given: s.DevicesIn) -> Row:
    """Registers devices beforehand: they count in plans before they were ever seen. Known ones stay as they are."""
    await run_in_threadpool(_product, cloud, product_id)
    return {"count": await cloud.rollouts.register(product_id, given.device_keys)}


def _product(cloud: Cloud, product_id: int) -> Row:
    with cloud.database.read() as connection:
        return catalog.get(connection, tables.products, product_id)


# --- monitoring --------------------------------------------------------------------------------------------------


@router.get("/plans/{plan_id}/monitoring", response_model=s.Monitoring)
def monitoring(cloud: CloudDep, plan_id: s.PathId) -> Row:
    """The plan's state and its devices by stage and state."""
    return _monitoring(cloud, plan_id)


@router.get("/plans/{plan_id}/counts", response_model=s.Counts)
def counts(cloud: CloudDep, plan_id: s.PathId) -> Row:
    """The devices of the plan, counted; to be laid beside a fleet's own counts."""
    with cloud.database.read() as connection:
        catalog.get(connection, tables.plans, plan_id)
        return progress.counts(connection, plan_id)


@router.get("/plans/{plan_id}/devices", response_model=s.Page)
def list_devices(
    cloud: CloudDep, plan_id: s.PathId,
    search: Annotated[str, Query(max_length=64, pattern=r"^[^\x00]*$", description="part of a device key")] = "",
    stage: Literal["", "Start", "Confirm", "Download", "Upgrading", "Success", "Fail", "Cancelled"] = "",
    sort: Literal["device", "state", "attempts", "updated", "battery", "rsrp", "version"] = "device",
    descending: bool = False,
    page: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 1,
    size: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> Row:  # fmt: skip
    """One page of the device table: searched, narrowed to a stage, sorted."""
    with cloud.database.read() as connection:
        catalog.get(connection, tables.plans, plan_id)
        rows, total = progress.table(
            connection, plan_id, search=search, stage=stage, sort=sort, descending=descending, page=page, size=size
        )
    return {"total": total, "page": page, "size": size, "devices": rows}


@router.get("/plans/{plan_id}/devices/{device_key}", response_model=s.Details)
def device_details(cloud: CloudDep, plan_id: s.PathId, device_key: s.DeviceKey) -> Row:
    """One device in the plan: component details and upgrade log."""
    with cloud.database.read() as connection:
        return details(connection, plan_id, device_key)


@router.get("/plans/{plan_id}/devices/{device_key}/log", response_model=list[s.LogLine])
def device_log(cloud: CloudDep, plan_id: s.PathId, device_key: s.DeviceKey) -> list[Row]:
    """The upgrade log of one device."""
    with cloud.database.read() as connection:
        row = progress.one(connection, plan_id, device_key)
        return progress.log(connection, plan_id, row["device_id"])


def _progress(cloud: Cloud, plan_id: int, device_key: str) -> Row:
    with cloud.database.read() as connection:
        return progress.one(connection, plan_id, device_key)


def _monitoring(cloud: Cloud, plan_id: int) -> Row:
    with cloud.database.read() as connection:
        plan = catalog.get(connection, tables.plans, plan_id)
        return {"plan": plan["name"], "state": plan["state"], **progress.counts(connection, plan_id)}


# --- service -----------------------------------------------------------------------------------------------------


@router.get("/faults", response_model=Faults, tags=["service"])
async def get_faults(cloud: CloudDep) -> Faults:
    """The faults being injected."""
    return cloud.injector.faults


@router.put("/faults", response_model=Faults, tags=["service"])
async def set_faults(cloud: CloudDep, given: Faults) -> Faults:
    """Injects faults from now on; `{}` ends them."""
    cloud.injector.set(given)
    return given


@open_router.get("/health", response_model=s.Health, responses={503: {"model": s.Health}})
async def health(cloud: CloudDep, response: Response) -> Row:
    """Whether the service works; status 503 when it cannot store, because nothing is acknowledged then."""
    store = cloud.journal.failing or cloud.store_state
    response.status_code = 503 if store else 200
    devices = cloud.rollouts.devices.values()
    return {
        "store": store, "devices": len(devices), "online": sum(d.online for d in devices),
        "plans": len(cloud.rollouts.running), "downloads": cloud.downloads.active, "commits": cloud.journal.commits,
        "broker": cloud.broker_state, "errors": cloud.trouble.count, "rejected_rows": cloud.journal.rejected,
        "clock_ahead_s": round(cloud.clock_ahead_s, 3),
    }  # fmt: skip


@open_router.get("/live", response_model=s.Live, responses={404: {"model": s.Problem}, 422: {"model": s.Problem}})
def live(cloud: CloudDep, granted: Annotated[bool, Depends(has_token)], plan_id: s.QueryId = None) -> Row:
    """Where a fleet connects, and which plan it is for: the newest one unless one is named."""
    with cloud.database.read() as connection:
        plan = _newest(catalog.listed(connection, tables.plans), plan_id)
        products = catalog.listed(connection, tables.products)
    product = next((p for p in products if plan is None or p["id"] == plan["product_id"]), None)
    known = product if granted and product else {}
    return {
        "mqtt": cloud.mqtt_url, "http": cloud.http_url, "product_key": product["product_key"] if product else None,
        "product_id": product["id"] if product else None,
        "plan": plan["id"] if plan else None, "product_secret": known.get("product_secret"),
        "hands_out_secrets": cloud.hands_out_secrets,
    }  # fmt: skip


def _newest(plans: list[Row], plan_id: int | None) -> Row | None:
    if plan_id is not None:
        found = next((p for p in plans if p["id"] == plan_id), None)
        if found is None:
            raise NotFound(f"there is no plan {plan_id}")
        return found
    return max(plans, key=lambda p: (p["activated_at"] or 0.0, p["id"]), default=None)
