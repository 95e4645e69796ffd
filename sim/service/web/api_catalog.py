"""API of the catalogue: projects, products, models, components, versions with their files."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from sim.service.cloud import Cloud
from sim.service.errors import Refused
from sim.service.packages.upload import Upload, receive
from sim.service.store import catalog, tables
from sim.service.web import schemas as s
from sim.service.web.access import CloudDep, needs_token

ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": s.Problem} for code in (400, 401, 404, 408, 409, 413, 422, 429, 500, 503)
}  # fmt: skip
router = APIRouter(prefix="/api/v1", dependencies=[Depends(needs_token)], responses=ERRORS, tags=["catalogue"])
Row = dict[str, Any]


@router.get("/projects", response_model=list[s.Project])
def list_projects(cloud: CloudDep) -> list[Row]:
    """All projects, newest first."""
    with cloud.database.read() as connection:
        return catalog.listed(connection, tables.projects)


@router.post("/projects", response_model=s.Project, status_code=201)
def create_project(cloud: CloudDep, given: s.ProjectIn) -> Row:
    """A new project."""
    with cloud.database.write() as connection:
        return catalog.create_project(connection, given.name)


@router.get("/products", response_model=list[s.Product])
def list_products(cloud: CloudDep, project_id: s.QueryId = None) -> list[Row]:
    """Products, newest first."""
    with cloud.database.read() as connection:
        return catalog.listed(connection, tables.products, project_id=project_id)


@router.post("/products", response_model=s.Product, status_code=201)
def create_product(cloud: CloudDep, given: s.ProductIn) -> Row:
    """A new product with its key and secret."""
    with cloud.database.write() as connection:
        made = catalog.create_product(connection, **given.model_dump())
    cloud.products.reload()
    return made


@router.get("/products/{product_id}", response_model=s.Product)
def get_product(cloud: CloudDep, product_id: s.PathId) -> Row:
    """One product."""
    with cloud.database.read() as connection:
        return catalog.get(connection, tables.products, product_id)


@router.get("/models", response_model=list[s.Model])
def list_models(cloud: CloudDep, project_id: s.QueryId = None) -> list[Row]:
    """Models with their components, newest first."""
    with cloud.database.read() as connection:
        found = catalog.listed(connection, tables.models, project_id=project_id)
        return [catalog.get_model(connection, model["id"]) for model in found]


@router.post("/models", response_model=s.Model, status_code=201)
def create_model(cloud: CloudDep, given: s.ModelIn) -> Row:
    """A new model with its components."""
    parts = [part.model_dump() for part in given.components]
    with cloud.database.write() as connection:
        return catalog.create_model(connection, given.project_id, given.name, given.device_model, given.version, parts)


@router.get("/models/{model_id}", response_model=s.Model)
def get_model(cloud: CloudDep, model_id: s.PathId) -> Row:
    """One model."""
    with cloud.database.read() as connection:
        return catalog.get_model(connection, model_id)


@router.post("/models/{model_id}/components", response_model=s.Component, status_code=201)
def add_component(cloud: CloudDep, model_id: s.PathId, given: s.ComponentIn) -> Row:
    """One more component of a model."""
    with cloud.database.write() as connection:
        return catalog.add_component(connection, model_id, given.model_dump())


# --- versions ----------------------------------------------------------------------------------------------------


@router.get("/versions", response_model=list[s.VersionHead])
def list_versions(cloud: CloudDep, project_id: s.QueryId = None) -> list[Row]:
    """Versions, newest first."""
    with cloud.database.read() as connection:
        return catalog.listed(connection, tables.versions, project_id=project_id)


@router.get("/versions/{version_id}", response_model=s.Version)
def get_version(cloud: CloudDep, version_id: s.PathId) -> Row:
    """One version with its files."""
    with cloud.database.read() as connection:
        return catalog.get_version(connection, version_id)


@router.delete("/versions/{version_id}", status_code=204)
def delete_version(cloud: CloudDep, version_id: s.PathId) -> None:
    """Removes a version that no plan uses."""
    with cloud.database.write() as connection:
        catalog.delete_version(connection, version_id)


@router.get("/versions/{version_id}/link", response_model=s.Link)
def get_link(cloud: CloudDep, version_id: s.PathId, source_version: Annotated[str, Query(max_length=64)] = "") -> Row:
    """A signed link to a version's file: the delta from `source_version`, or the full package."""
    with cloud.database.read() as connection:
        version = catalog.get_version(connection, version_id)
    by_source = {file["source_version"]: file for file in version["files"]}
    file = by_source.get(source_version) or by_source.get("")
    if file is None:
        raise Refused(f"version {version['name']} has no package for that source version")
    url = cloud.links.make(file["id"], file["name"], cloud.rollouts.clock())
    return {"url": url, "lifetime_s": cloud.links.lifetime_s}


_UPLOAD_FORM = {
    "type": "object",
    "required": ["project_id", "name", "target_version", "files"],
    "properties": {
        "project_id": {"type": "integer", "minimum": 1, "maximum": s.MAX_ID},
        "product_id": {"type": "integer", "minimum": 1, "maximum": s.MAX_ID},
        "name": {"type": "string", "minLength": 1, "maxLength": 100},
        "kind": {"type": "string", "enum": ["firmware", "mcu"]},
        "package": {"type": "string", "enum": ["full", "delta"]},
        "target_version": {"type": "string", "minLength": 1, "maxLength": 64},
        "source_version": {
            "type": "array", "items": {"type": "string", "maxLength": 64},
            "description": "For a delta package: the source version of each file, in order.",
        },
        "information": {"type": "string", "maxLength": 2000},
        "files": {"type": "array", "minItems": 1, "maxItems": 5, "items": {"type": "string", "format": "binary"}},
    },
}  # fmt: skip


@router.post(
    "/versions", response_model=s.Version, status_code=201,
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _UPLOAD_FORM}}}},
)  # fmt: skip
async def create_version(cloud: CloudDep, request: Request) -> Row:
    """A new version with one to five files of at most 100 MB: zip, rar, tar, bin, pack, mini_1 or mini_2."""
    upload = await receive(cloud.shelf, request.headers.get("content-type", ""), request.stream())
    return await run_in_threadpool(store_version, cloud, upload)


def store_version(cloud: Cloud, upload: Upload) -> Row:
    """Checks the fields of an upload and files the version."""
    given = version_fields(upload)
    fields = given.model_dump(exclude={"source_version"})
    sources = given.source_version or [""] * len(upload.files)
    if len(sources) != len(upload.files):
        raise Refused("source_version: give one for each file, in the same order")
    if (given.package == "delta") != any(sources):
        raise Refused("source_version belongs to a delta package, and a delta package needs one")
    listed = [{**file, "source_version": source} for file, source in zip(upload.files, sources, strict=True)]
    with cloud.database.write() as connection:
        return catalog.create_version(connection, fields, listed)


def version_fields(upload: Upload) -> s.VersionIn:
    """The fields of an upload, checked; Refused says which one is wrong."""
    flat: dict[str, Any] = {name: values[-1] for name, values in upload.fields.items()}
    if "source_version" in flat:
        flat["source_version"] = upload.fields["source_version"]
    if flat.get("product_id") == "":
        del flat["product_id"]
    try:
        return s.VersionIn.model_validate(flat)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Refused(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
