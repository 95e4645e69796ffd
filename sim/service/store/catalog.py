"""Projects, products, models, versions and plans in the store: what the console creates, lists and changes.

Every function takes a connection inside a transaction and returns plain dictionaries.
"""

from __future__ import annotations

import json
import secrets
import string
import time
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from sim.cloud import catalog as rules
from sim.errors import FotasimError
from sim.service.errors import Conflict, NotFound, Refused
from sim.service.store.tables import (
    components,
    files,
    models,
    plan_versions,
    plans,
    products,
    projects,
    settings,
    versions,
)

Row = dict[str, Any]
MAX_LISTED = 1000
"""Lists of the catalogue are short; what is longer is cut here."""


def setting(connection: Connection, key: str, default: str) -> str:
    """A setting of this installation, stored as `default` on first use."""
    found = connection.execute(select(settings.c.value).where(settings.c.key == key)).scalar()
    if found is None:
        connection.execute(insert(settings).values(key=key, value=default))
        return default
    return str(found)


# --- projects, products, models ----------------------------------------------------------------------------------


def create_project(connection: Connection, name: str) -> Row:
    """A new project; its name is unique."""
    return _create(connection, projects, "project", name=name)


def create_product(
    connection: Connection,
    project_id: int,
    name: str,
    product_key: str | None = None,
    product_secret: str | None = None,
) -> Row:
    """A new product with its key and secret, made up unless given."""
    get(connection, projects, project_id)
    return _create(
        connection, products, "product",
        project_id=project_id, name=name,
        product_key=product_key or "p1" + _letters(5), product_secret=product_secret or _letters(16),
    )  # fmt: skip


def create_model(
    connection: Connection, project_id: int, name: str, device_model: str, version: str, parts: list[Row]
) -> Row:
    """A new model with its components (`identifier`, `name`, `kind`, `remarks`), in order of upgrade."""
    get(connection, projects, project_id)
    checked = rules.Model(name)
    made = _create(
        connection, models, "model", project_id=project_id, name=name, device_model=device_model, version=version
    )
    for part in parts:
        _rule(lambda part=part: checked.add(rules.Component(part["identifier"], part["kind"])))
        add_component(connection, made["id"], part)
    return get_model(connection, made["id"])


def add_component(connection: Connection, model_id: int, part: Row) -> Row:
    """One more component at the end of a model."""
    get(connection, models, model_id)
    count = connection.scalar(select(func.count()).where(components.c.model_id == model_id)) or 0
    _rule(lambda: rules.Model("").add(rules.Component(part["identifier"], part["kind"])))
    values = {"remarks": "", **part, "model_id": model_id, "position": count}
    return _create(connection, components, "component", stamped=False, **values)


def get_model(connection: Connection, model_id: int) -> Row:
    """A model with its components."""
    found = get(connection, models, model_id)
    query = select(components).where(components.c.model_id == model_id).order_by(components.c.position)
    return {**found, "components": [dict(r) for r in connection.execute(query).mappings()]}


# --- versions ----------------------------------------------------------------------------------------------------


def create_version(connection: Connection, fields: Row, uploaded: list[Row]) -> Row:
    """A new version with its files; the rules of the console are those of sim.cloud.catalog."""
    get(connection, projects, fields["project_id"])
    if fields.get("product_id") is not None:
        get(connection, products, fields["product_id"])
    target = fields["target_version"]
    listed = tuple(rules.File(f["name"], f["size_bytes"], f["source_version"]) for f in uploaded)
    _rule(lambda: rules.Component("component", fields["kind"]).add(rules.Version(target, listed)))
    made = _create(connection, versions, "version", **fields)
    for position, file in enumerate(uploaded):
        connection.execute(insert(files).values(version_id=made["id"], position=position, **file))
    return get_version(connection, made["id"])


def get_version(connection: Connection, version_id: int) -> Row:
    """A version with its files."""
    found = get(connection, versions, version_id)
    query = select(files).where(files.c.version_id == version_id).order_by(files.c.position)
    return {**found, "files": [dict(r) for r in connection.execute(query).mappings()]}


def delete_version(connection: Connection, version_id: int) -> None:
    """Removes a version that no plan uses."""
    get(connection, versions, version_id)
    if connection.scalar(select(func.count()).where(plan_versions.c.version_id == version_id)):
        raise Conflict("the version is part of a plan")
    connection.execute(delete(files).where(files.c.version_id == version_id))
    connection.execute(delete(versions).where(versions.c.id == version_id))


# --- plans -------------------------------------------------------------------------------------------------------


def create_plan(connection: Connection, fields: Row) -> Row:
    """A new plan, saved and not activated. `fields` as schemas.PlanIn."""
    _check_plan(connection, fields)
    made = _create(
        connection, plans, "plan", state="Saved", definition=json.dumps(fields["definition"]),
        **{key: fields[key] for key in ("project_id", "product_id", "model_id", "name")},
    )  # fmt: skip
    _choose_versions(connection, made["id"], fields)
    return get_plan(connection, made["id"])


def replace_plan(connection: Connection, plan_id: int, fields: Row) -> Row:
    """Changes a saved plan; an activated one cannot be edited."""
    _saved(connection, plan_id)
    _check_plan(connection, fields)
    changed = {key: fields[key] for key in ("project_id", "product_id", "model_id", "name")}
    try:
        with connection.begin_nested():
            connection.execute(
                update(plans)
                .where(plans.c.id == plan_id)
                .values(definition=json.dumps(fields["definition"]), **changed)
            )
    except IntegrityError:
        raise Conflict(f"plan {fields['name']!r} exists already") from None
    connection.execute(delete(plan_versions).where(plan_versions.c.plan_id == plan_id))
    _choose_versions(connection, plan_id, fields)
    return get_plan(connection, plan_id)


def delete_plan(connection: Connection, plan_id: int) -> None:
    """Removes a saved plan; an activated one cannot be deleted."""
    _saved(connection, plan_id)
    connection.execute(delete(plan_versions).where(plan_versions.c.plan_id == plan_id))
    connection.execute(delete(plans).where(plans.c.id == plan_id))


def get_plan(connection: Connection, plan_id: int) -> Row:
    """A plan with what it upgrades: components in order, each with its version."""
    found = get(connection, plans, plan_id)
    query = (
        select(
            plan_versions.c.position, components.c.id.label("component_id"), components.c.identifier,
            components.c.name, components.c.kind, versions.c.id.label("version_id"), versions.c.package,
            versions.c.name.label("version_name"), versions.c.target_version,
        )
        .select_from(plan_versions.join(components).join(versions))
        .where(plan_versions.c.plan_id == plan_id)
        .order_by(plan_versions.c.position)
    )  # fmt: skip
    chosen = [dict(r) for r in connection.execute(query).mappings()]
    return {**found, "definition": json.loads(found["definition"]), "components": chosen}


def _check_plan(connection: Connection, fields: Row) -> None:
    """Project, product, model, components and versions of a plan belong together."""
    product = get(connection, products, fields["product_id"])
    model = get_model(connection, fields["model_id"])
    if product["project_id"] != fields["project_id"] or model["project_id"] != fields["project_id"]:
        raise Refused("product and model must belong to the project of the plan")
    parts = {part["id"]: part for part in model["components"]}
    for choice in fields["components"]:
        part = parts.get(choice["component_id"])
        if part is None:
            raise Refused(f"component {choice['component_id']} is not one of model {model['name']}")
        version = get_version(connection, choice["version_id"])
        if version["kind"] != part["kind"]:
            raise Refused(f"component {part['identifier']} is {part['kind']}, version {version['name']} is not")
        if version["product_id"] is not None and version["project_id"] != fields["project_id"]:
            raise Refused(f"version {version['name']} belongs to another project")
        if version["product_id"] not in (None, fields["product_id"]):
            raise Refused(f"version {version['name']} is for another product")
        sources = [file["source_version"] for file in version["files"]]
        if len(sources) > 1 and "" not in sources:
            raise Refused(f"version {version['name']}: deltas from several versions need a full package beside them")


def _choose_versions(connection: Connection, plan_id: int, fields: Row) -> None:
    for position, choice in enumerate(fields["components"]):
        connection.execute(
            insert(plan_versions).values(
                plan_id=plan_id, position=position,
                component_id=choice["component_id"], version_id=choice["version_id"],
            )
        )  # fmt: skip


def _saved(connection: Connection, plan_id: int) -> None:
    if get(connection, plans, plan_id)["state"] != "Saved":
        raise Conflict("an activated plan can be neither edited nor deleted")


# --- shared ------------------------------------------------------------------------------------------------------


def get(connection: Connection, table: Table, row_id: int) -> Row:
    """One row by id; NotFound when there is none."""
    found = connection.execute(select(table).where(table.c.id == row_id)).mappings().first()
    if found is None:
        raise NotFound(f"there is no {table.name.removesuffix('s')} {row_id}")
    return dict(found)


def listed(connection: Connection, table: Table, **where: int | None) -> list[Row]:
    """The rows of a table, newest first, narrowed by the columns that are given."""
    query = select(table).order_by(table.c.id.desc()).limit(MAX_LISTED)
    for column, value in where.items():
        if value is not None:
            query = query.where(table.c[column] == value)
    return [dict(r) for r in connection.execute(query).mappings()]


def usable_versions(connection: Connection, project_id: int) -> list[Row]:
    """Versions that a plan of a project may choose: its own, and those of any project that name no product."""
    open_to_all = versions.c.product_id.is_(None)
    query = select(versions).where((versions.c.project_id == project_id) | open_to_all)
    return [dict(r) for r in connection.execute(query.order_by(versions.c.id.desc()).limit(MAX_LISTED)).mappings()]


def _create(connection: Connection, table: Table, what: str, *, stamped: bool = True, **values: Any) -> Row:
    if stamped:
        values["created_at"] = time.time()
    try:
        with connection.begin_nested():
            result = connection.execute(insert(table).values(**values))
    except IntegrityError:
        raise Conflict(f"{what} {values['name']!r} exists already") from None
    (key,) = result.inserted_primary_key or (0,)
    return get(connection, table, key)


def _rule(check: Any) -> None:
    """Runs a check of the pure catalogue; what it refuses, the service refuses."""
    try:
        check()
    except FotasimError as error:
        raise Refused(str(error)) from None


def _letters(count: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(count))
