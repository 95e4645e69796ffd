"""The console's catalogue pages: log in, projects, products, models, versions. Every change is a plain form."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from sim.cloud.catalog import FILE_FORMATS
from sim.service.cloud import Cloud
from sim.service.errors import NotFound, ServiceError
from sim.service.packages.upload import receive
from sim.service.store import catalog, tables
from sim.service.web import console_plans
from sim.service.web import schemas as s
from sim.service.web.access import COOKIE, SESSION_S, CloudDep, same
from sim.service.web.api_catalog import store_version
from sim.service.web.pages import FormDep, SessionDep, check_secret, checked, go, page, problem_page

router = APIRouter(include_in_schema=False)
router.include_router(console_plans.router)

__all__ = ["problem_page", "router"]


@router.get("/login")
def login_page(request: Request, next: Annotated[str, Query(max_length=300)] = "/") -> Response:
    """The page to log in."""
    return page(request, "login.html", title="Log in", next=_inside(next))


@router.post("/login")
async def login(request: Request, cloud: CloudDep) -> Response:
    """Opens a session for who knows the token."""
    fields = await request.form()
    goes = _inside(str(fields.get("next", "/")))
    throttle, source, now = request.app.state.throttle, request.client.host if request.client else "", time.monotonic()
    if throttle.wait_s(source, "console", now) > 0.0:
        text = "Too many wrong tokens; wait a minute."
        return page(request, "login.html", status=429, title="Log in", next=goes, error=text)
    if not same(str(fields.get("token", "")), cloud.token):
        throttle.failed(source, "console", now)
        return page(request, "login.html", status=403, title="Log in", next=goes, error="This is not the token.")
    throttle.passed(source, "console")
    response = go(goes)
    response.set_cookie(
        COOKIE, request.app.state.sessions.open(), max_age=int(SESSION_S), httponly=True, samesite="strict",
        secure=request.url.scheme == "https",
    )  # fmt: skip
    return response


@router.post("/logout")
async def logout(request: Request, opened: SessionDep, _fields: FormDep) -> Response:
    """Closes the session."""
    request.app.state.sessions.close(opened)
    response = go("/login")
    response.delete_cookie(COOKIE)
    return response


# --- projects ----------------------------------------------------------------------------------------------------


@router.get("/")
def projects(request: Request, cloud: CloudDep, _session: SessionDep) -> Response:
    """All projects."""
    return _projects(request, cloud)


@router.post("/projects")
def create_project(request: Request, cloud: CloudDep, fields: FormDep) -> Response:
    """A new project."""
    try:
        given = checked(s.ProjectIn, fields)
        with cloud.database.write() as connection:
            made = catalog.create_project(connection, given.name)
    except ServiceError as error:
        return _projects(request, cloud, status=error.status, error=str(error), given=fields)
    return go(f"/projects/{made['id']}/products")


def _projects(request: Request, cloud: Cloud, **values: Any) -> Response:
    with cloud.database.read() as connection:
        listed = catalog.listed(connection, tables.projects)
    return page(request, "projects.html", title="Projects", projects=listed, **values)


# --- products ----------------------------------------------------------------------------------------------------


@router.get("/projects/{project_id}/products")
def products(request: Request, cloud: CloudDep, _session: SessionDep, project_id: s.PathId) -> Response:
    """The products of a project."""
    return _products(request, cloud, project_id)


@router.post("/projects/{project_id}/products")
def create_product(request: Request, cloud: CloudDep, fields: FormDep, project_id: s.PathId) -> Response:
    """A new product."""
    try:
        given = checked(s.ProductIn, {**_filled(fields), "project_id": project_id})
        with cloud.database.write() as connection:
            catalog.create_product(connection, **given.model_dump())
        cloud.products.reload()
    except ServiceError as error:
        return _products(request, cloud, project_id, status=error.status, error=str(error), given=fields)
    return go(f"/projects/{project_id}/products")


@router.post("/projects/{project_id}/devices")
async def register_devices(request: Request, cloud: CloudDep, fields: FormDep, project_id: s.PathId) -> Response:
    """Registers devices of a product beforehand."""
    try:
        product_id = checked(s.ProductChoice, {"product_id": fields.get("product_id", "")}).product_id
        given = checked(s.DevicesIn, {"device_keys": fields.get("device_keys", "").split()})
        product = await run_in_threadpool(_product_of, cloud, product_id)
        if product["project_id"] != project_id:
            raise NotFound("there is no such product in this project")
        await cloud.rollouts.register(product_id, given.device_keys)
    except ServiceError as error:
        return await run_in_threadpool(_products, request, cloud, project_id, status=error.status, error=str(error))
    return go(f"/projects/{project_id}/products")


def _product_of(cloud: Cloud, product_id: int) -> dict[str, Any]:
    with cloud.database.read() as connection:
        return catalog.get(connection, tables.products, product_id)


def _products(request: Request, cloud: Cloud, project_id: int, **values: Any) -> Response:
    with cloud.database.read() as connection:
        project = catalog.get(connection, tables.projects, project_id)
        listed = catalog.listed(connection, tables.products, project_id=project_id)
    counts = {p["id"]: 0 for p in listed}
    for product_id, _ in list(cloud.rollouts.devices):
        if product_id in counts:
            counts[product_id] += 1
    return page(
        request, "products.html", title="Products", project=project, products=listed, counts=counts,
        mqtt=cloud.mqtt_url, **values,
    )  # fmt: skip


# --- models ------------------------------------------------------------------------------------------------------


@router.get("/projects/{project_id}/models")
def models(request: Request, cloud: CloudDep, _session: SessionDep, project_id: s.PathId) -> Response:
    """The models of a project with their components."""
    return _models(request, cloud, project_id)


@router.post("/projects/{project_id}/models")
def create_model(request: Request, cloud: CloudDep, fields: FormDep, project_id: s.PathId) -> Response:
    """A new model with its first component."""
    part = {key: fields.get(key, "") for key in ("identifier", "kind", "remarks")}
    part["name"] = fields.get("component_name", "")
    head = {key: fields.get(key, "") for key in ("name", "device_model", "version")}
    try:
        given = checked(s.ModelIn, {**head, "project_id": project_id, "components": [part]})
        parts = [component.model_dump() for component in given.components]
        with cloud.database.write() as connection:
            catalog.create_model(connection, project_id, given.name, given.device_model, given.version, parts)
    except ServiceError as error:
        return _models(request, cloud, project_id, status=error.status, error=str(error), given=fields)
    return go(f"/projects/{project_id}/models")


@router.post("/projects/{project_id}/models/{model_id}/components")
def add_component(
    request: Request, cloud: CloudDep, fields: FormDep, project_id: s.PathId, model_id: s.PathId
) -> Response:
    """One more component of a model."""
    try:
        given = checked(s.ComponentIn, fields)
        with cloud.database.write() as connection:
            catalog.add_component(connection, model_id, given.model_dump())
    except ServiceError as error:
        return _models(request, cloud, project_id, status=error.status, error=str(error))
    return go(f"/projects/{project_id}/models")


def _models(request: Request, cloud: Cloud, project_id: int, **values: Any) -> Response:
    with cloud.database.read() as connection:
        project = catalog.get(connection, tables.projects, project_id)
        heads = catalog.listed(connection, tables.models, project_id=project_id)
        listed = [catalog.get_model(connection, head["id"]) for head in heads]
    return page(request, "models.html", title="Models", project=project, models=listed, **values)


# --- versions ----------------------------------------------------------------------------------------------------


@router.get("/projects/{project_id}/versions")
def versions(request: Request, cloud: CloudDep, _session: SessionDep, project_id: s.PathId) -> Response:
    """The versions of a project with their files."""
    return _versions(request, cloud, project_id)


@router.post("/projects/{project_id}/versions")
async def upload_version(request: Request, cloud: CloudDep, opened: SessionDep, project_id: s.PathId) -> Response:
    """A new version with its files, taken as a stream."""
    try:
        upload = await receive(
            cloud.shelf, request.headers.get("content-type", ""), request.stream(),
            lambda fields: check_secret(request, opened, fields.get("secret", [""])[-1]),
        )  # fmt: skip
        check_secret(request, opened, upload.fields.pop("secret", [""])[-1])
        upload.fields["project_id"] = [str(project_id)]
        if upload.fields.get("package") != ["delta"]:
            upload.fields.pop("source_version", None)
        await run_in_threadpool(store_version, cloud, upload)
    except ServiceError as error:
        return await run_in_threadpool(_versions, request, cloud, project_id, status=error.status, error=str(error))
    return go(f"/projects/{project_id}/versions")


@router.post("/projects/{project_id}/versions/{version_id}/delete")
def delete_version(
    request: Request, cloud: CloudDep, _fields: FormDep, project_id: s.PathId, version_id: s.PathId
) -> Response:
    """Removes a version that no plan uses."""
    try:
        with cloud.database.write() as connection:
            catalog.delete_version(connection, version_id)
    except ServiceError as error:
        return _versions(request, cloud, project_id, status=error.status, error=str(error))
    return go(f"/projects/{project_id}/versions")


def _versions(request: Request, cloud: Cloud, project_id: int, **values: Any) -> Response:
    with cloud.database.read() as connection:
        project = catalog.get(connection, tables.projects, project_id)
        heads = catalog.listed(connection, tables.versions, project_id=project_id)
        listed = [catalog.get_version(connection, head["id"]) for head in heads]
        products = catalog.listed(connection, tables.products, project_id=project_id)
    now = cloud.rollouts.clock()
    for version in listed:
        for file in version["files"]:
            file["url"] = cloud.links.make(file["id"], file["name"], now)
    return page(
        request, "versions.html", title="Versions", project=project, versions=listed, products=products,
        product_names={p["id"]: p["name"] for p in products}, formats=FILE_FORMATS, **values,
    )  # fmt: skip


def _filled(fields: dict[str, str]) -> dict[str, str]:
    """A form's fields without those left empty."""
    return {key: value for key, value in fields.items() if value != ""}


def _inside(path: str) -> str:
    """A path of this console, never another site's."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else "/"
