"""The console's plan pages: list, editor, Upgrade Monitoring with the device table, details and cancel."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from sim.service import rollouts
from sim.service.cloud import Cloud
from sim.service.errors import NotFound, Refused, ServiceError
from sim.service.store import catalog, progress, tables
from sim.service.web import schemas as s
from sim.service.web.access import CloudDep
from sim.service.web.details import details
from sim.service.web.pages import FormDep, SessionDep, checked, go, page

router = APIRouter(include_in_schema=False)
PAGE_SIZE = 50
MAX_PAGE = 1_000_000
STATES_WITH = {
    "activate": ("Saved",), "suspend": ("Activated", "Upgrading"), "resume": ("Suspended",),
    "retry": ("Activated", "Upgrading"), "terminate": ("Activated", "Upgrading", "Suspended"),
}  # fmt: skip
"""In which states of a plan the console offers which action."""


@router.get("/projects/{project_id}/plans")
def plans(request: Request, cloud: CloudDep, _session: SessionDep, project_id: s.PathId) -> Response:
    """The upgrade plans of a project."""
    with cloud.database.read() as connection:
        project = catalog.get(connection, tables.projects, project_id)
        listed = catalog.listed(connection, tables.plans, project_id=project_id)
        products = {p["id"]: p["name"] for p in catalog.listed(connection, tables.products, project_id=project_id)}
        counts = {p["id"]: progress.counts(connection, p["id"]) for p in listed[:PAGE_SIZE]}
    return page(
        request, "plans.html", title="Upgrade plans", project=project, plans=listed, products=products, counts=counts
    )


# --- editor ------------------------------------------------------------------------------------------------------


@router.get("/projects/{project_id}/plans/new")
def new_plan(
    request: Request, cloud: CloudDep, _session: SessionDep, project_id: s.PathId, model_id: s.QueryId = None
) -> Response:
    """The editor of a new plan."""
    return _editor(request, cloud, project_id, None, {"model_id": str(model_id or "")})


@router.post("/projects/{project_id}/plans/new")
def create_plan(request: Request, cloud: CloudDep, fields: FormDep, project_id: s.PathId) -> Response:
    """Saves a new plan."""
    try:
        given = _plan(fields, project_id)
        with cloud.database.write() as connection:
            made = catalog.create_plan(connection, given.fields())
            rollouts.check(connection, made["id"])
    except ServiceError as error:
        return _editor(request, cloud, project_id, None, fields, status=error.status, error=str(error))
    return go(f"/plans/{made['id']}")


@router.get("/plans/{plan_id}/edit")
def edit_plan(request: Request, cloud: CloudDep, _session: SessionDep, plan_id: s.PathId) -> Response:
    """The editor of a saved plan."""
    with cloud.database.read() as connection:
        plan = catalog.get_plan(connection, plan_id)
    return _editor(request, cloud, plan["project_id"], plan, _written(plan))


@router.post("/plans/{plan_id}/edit")
def replace_plan(request: Request, cloud: CloudDep, fields: FormDep, plan_id: s.PathId) -> Response:
    """Changes a saved plan."""
    with cloud.database.read() as connection:
        plan = catalog.get_plan(connection, plan_id)
    try:
        given = _plan(fields, plan["project_id"])
        with cloud.database.write() as connection:
            catalog.replace_plan(connection, plan_id, given.fields())
            rollouts.check(connection, plan_id)
    except ServiceError as error:
        return _editor(request, cloud, plan["project_id"], plan, fields, status=error.status, error=str(error))
    return go(f"/plans/{plan_id}")


def _editor(
    request: Request, cloud: Cloud, project_id: int, plan: dict[str, Any] | None, fields: dict[str, str], **values: Any
) -> Response:
    with cloud.database.read() as connection:
        project = catalog.get(connection, tables.projects, project_id)
        products = catalog.listed(connection, tables.products, project_id=project_id)
        models = catalog.listed(connection, tables.models, project_id=project_id)
        wanted = fields.get("model_id") or (str(models[0]["id"]) if models else "")
        chosen = next((m for m in models if str(m["id"]) == wanted), None)
        parts = catalog.get_model(connection, chosen["id"])["components"] if chosen else []
        versions = catalog.usable_versions(connection, project_id)
    return page(
        request, "plan_edit.html", title="Edit plan" if plan else "New plan", project=project, products=products,
        models=models, model=chosen, parts=parts, versions=versions, plan=plan, given={**_DEFAULTS, **fields}, **values,
    )  # fmt: skip


_DEFAULTS = {
    "name": "", "product_id": "", "mode": "silent", "text": "", "whitelist": "", "blacklist": "", "starts_at": "",
    "ends_at": "", "time_zone": "UTC", "retries": "5", "min_rsrp_dbm": "-113", "min_battery_percent": "30",
    "needed_space": "package", "push_interval_min": "10", "max_in_progress": "10000", "further": "",
}  # fmt: skip
"""What the editor begins with: the Developer Center's own defaults."""


_PLAIN = ("product_id", "model_id", "name", "mode", "text", "time_zone")


def _plan(fields: dict[str, str], project_id: int) -> s.PlanIn:
    """The editor's fields as a plan. Refused says which one is wrong."""
    given: dict[str, Any] = {key: value for key, value in fields.items() if key in _PLAIN}
    times = {key: fields.get(key) or None for key in ("starts_at", "ends_at")}
    chosen = [
        {"component_id": key.removeprefix("component-"), "version_id": value}
        for key, value in fields.items()
        if key.startswith("component-") and value
    ]
    if not chosen:
        raise Refused("select a version for at least one component")
    lists = {key: fields.get(key, "").split() for key in ("whitelist", "blacklist")}
    given |= {**times, **lists, "project_id": project_id, "components": chosen, "strategy": _strategy(fields)}
    return checked(s.PlanIn, given)


def _strategy(fields: dict[str, str]) -> dict[str, Any]:
    """The strategy's fields in the vocabulary of a scenario; the further keys, as JSON, win."""
    interval = fields.get("push_interval_min") or "10"
    strategy: dict[str, Any] = {
        "preconditions": {
            "min_battery_percent": fields.get("min_battery_percent") or 30,
            "min_rsrp_dbm": fields.get("min_rsrp_dbm") or -113,
            "needed_space": fields.get("needed_space") or "package",
        },
        "retry": {"number_of_retries": fields.get("retries") or 5},
        "delivery": {"push_interval": f"{interval} min"},
        "rollout": {"max_in_progress": fields.get("max_in_progress") or None},
    }
    try:
        further = json.loads(fields.get("further") or "{}")
    except ValueError:
        raise Refused('further strategy: write JSON like {"retry": {"retry_interval": "10min"}}') from None
    if not isinstance(further, dict):
        raise Refused("further strategy: a JSON object is wanted")
    for key, value in further.items():
        known = strategy.get(key)
        strategy[key] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    return strategy


def _written(plan: dict[str, Any]) -> dict[str, str]:
    """A stored plan as the editor's fields."""
    definition = plan["definition"]
    strategy = deepcopy(definition["strategy"])
    fields: dict[str, str] = {key: definition[key] for key in ("mode", "text", "time_zone")}
    fields |= {key: "\n".join(definition[key]) for key in ("whitelist", "blacklist")}
    fields |= {key: (definition[key] or "").removesuffix("Z")[:16] for key in ("starts_at", "ends_at")}
    fields |= {"name": plan["name"], "product_id": str(plan["product_id"]), "model_id": str(plan["model_id"])}
    for section, key, field in (
        ("preconditions", "min_battery_percent", "min_battery_percent"),
        ("preconditions", "min_rsrp_dbm", "min_rsrp_dbm"),
        ("preconditions", "needed_space", "needed_space"),
        ("retry", "number_of_retries", "retries"),
        ("rollout", "max_in_progress", "max_in_progress"),
    ):
        value = strategy.get(section, {}).pop(key, _DEFAULTS[field])
        fields[field] = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    fields["push_interval_min"] = f"{strategy.get('delivery', {}).pop('push_interval', 600.0) / 60.0:g}"
    fields |= {f"component-{c['component_id']}": str(c["version_id"]) for c in plan["components"]}
    left = {key: value for key, value in strategy.items() if value != {}}
    fields["further"] = json.dumps(left, indent=1) if left else ""
    return fields


# --- monitoring --------------------------------------------------------------------------------------------------


class TableQuery(s.Given):
    """What of the device table is shown."""

    search: Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")] = ""
    stage: Literal["", "Start", "Confirm", "Download", "Upgrading", "Success", "Fail", "Cancelled"] = ""
    sort: Literal["device", "state", "attempts", "updated", "battery", "rsrp", "version"] = "device"
    descending: bool = False
    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1


TableDep = Annotated[TableQuery, Query()]


@router.get("/plans/{plan_id}")
def monitor(request: Request, cloud: CloudDep, _session: SessionDep, plan_id: s.PathId, query: TableDep) -> Response:
    """Upgrade Monitoring of a plan."""
    with cloud.database.read() as connection:
        plan = catalog.get_plan(connection, plan_id)
        project = catalog.get(connection, tables.projects, plan["project_id"])
        product = catalog.get(connection, tables.products, plan["product_id"])
    decisions = json.loads(plan["running"])["decisions"] if plan["running"] else []
    allowed = [action for action, states in STATES_WITH.items() if plan["state"] in states]
    return page(
        request, "monitor.html", title=plan["name"], plan=plan, project=project, product=product, actions=allowed,
        decisions=decisions,
        **_counts(cloud, plan_id), **_table(cloud, plan_id, query),
    )  # fmt: skip


@router.get("/plans/{plan_id}/live")
def live_counts(request: Request, cloud: CloudDep, _session: SessionDep, plan_id: s.PathId) -> Response:
    """The counts alone, for the page that watches."""
    with cloud.database.read() as connection:
        plan = catalog.get(connection, tables.plans, plan_id)
    return page(request, "_counts.html", plan=plan, **_counts(cloud, plan_id))


@router.get("/plans/{plan_id}/table")
def live_table(request: Request, cloud: CloudDep, _session: SessionDep, plan_id: s.PathId, query: TableDep) -> Response:
    """The device table alone."""
    with cloud.database.read() as connection:
        plan = catalog.get(connection, tables.plans, plan_id)
    return page(request, "_table.html", plan=plan, **_table(cloud, plan_id, query))


@router.get("/plans/{plan_id}/devices/{device_key}")
def device(
    request: Request, cloud: CloudDep, _session: SessionDep, plan_id: s.PathId, device_key: s.DeviceKey,
    part: Literal["", "drawer"] = "",
) -> Response:  # fmt: skip
    """Component details and upgrade log of a device: in the drawer, or as a page of its own."""
    with cloud.database.read() as connection:
        plan = catalog.get_plan(connection, plan_id)
        project = catalog.get(connection, tables.projects, plan["project_id"])
        found = details(connection, plan_id, device_key)
    name = "_device.html" if part else "device.html"
    return page(request, name, title=device_key, plan=plan, project=project, device=found)


@router.post("/plans/{plan_id}/devices/{device_key}/cancel")
async def cancel(cloud: CloudDep, _fields: FormDep, plan_id: s.PathId, device_key: s.DeviceKey) -> Response:
    """Cancels the upgrade of one device."""
    await cloud.rollouts.cancel(plan_id, device_key)
    return go(f"/plans/{plan_id}/devices/{device_key}")


@router.post("/plans/{plan_id}/{action}")
async def operate(request: Request, cloud: CloudDep, fields: FormDep, plan_id: s.PathId, action: str) -> Response:
    """Activates, suspends, resumes, retries, terminates or deletes a plan; asks once more where it cannot be undone."""
    if action in _QUESTIONS and fields.get("confirmed") != "yes":
        return await run_in_threadpool(_ask, request, cloud, plan_id, action)
    live = cloud.rollouts
    actions = {
        "activate": live.activate, "suspend": live.suspend, "resume": live.resume,
        "terminate": live.terminate, "retry": live.retry_failed,
    }  # fmt: skip
    if action == "delete":
        return await run_in_threadpool(_delete, cloud, plan_id)
    if action not in actions:
        raise NotFound("there is no such action")
    await actions[action](plan_id)
    return go(f"/plans/{plan_id}")


_QUESTIONS = {
    "activate": ("Activate plan", "The plan is offered to its devices from now on, or from its planned start. It can be neither edited nor deleted any more."),
    "terminate": ("Terminate", "The plan ends for good. Devices that wait become failed; devices that upgrade go on."),
    "retry": ("Retry failed devices", "The plan is offered to all failed devices again."),
    "delete": ("Delete", "The plan is removed."),
}  # fmt: skip
"""What the console asks about once more, as the button's word and the question."""


def _ask(request: Request, cloud: Cloud, plan_id: int, action: str) -> Response:
    with cloud.database.read() as connection:
        plan = catalog.get_plan(connection, plan_id)
        project = catalog.get(connection, tables.projects, plan["project_id"])
        product = catalog.get(connection, tables.products, plan["product_id"])
    title, question = _QUESTIONS[action]
    known = sum(1 for product_id, _ in list(cloud.rollouts.devices) if product_id == product["id"])
    return page(
        request, "confirm.html", title=title, question=question, action=action, plan=plan, project=project,
        product=product, devices=known,
    )  # fmt: skip


def _delete(cloud: Cloud, plan_id: int) -> Response:
    with cloud.database.write() as connection:
        plan = catalog.get(connection, tables.plans, plan_id)
        catalog.delete_plan(connection, plan_id)
    return go(f"/projects/{plan['project_id']}/plans")


def _counts(cloud: Cloud, plan_id: int) -> dict[str, Any]:
    with cloud.database.read() as connection:
        found = progress.counts(connection, plan_id)
    bars, at = [], 0.0
    for stage, number in found["stages"].items():
        width = 100.0 * number / found["devices"] if found["devices"] else 0.0
        bars.append({"stage": stage, "number": number, "x": f"{at:.3f}", "width": f"{width:.3f}", "share": width})
        at += width
    return {"counts": found, "bars": bars}


def _table(cloud: Cloud, plan_id: int, query: TableQuery) -> dict[str, Any]:
    with cloud.database.read() as connection:
        rows, total = progress.table(
            connection, plan_id, search=query.search, stage=query.stage, sort=query.sort,
            descending=query.descending, page=query.page, size=PAGE_SIZE,
        )  # fmt: skip
    pages = max(1, -(-total // PAGE_SIZE))
    return {
        "rows": rows,
        "total": total,
        "pages": pages,
        "query": query.model_dump(exclude_defaults=True),
        "shown": query,
    }
