"""A scenario into the store: project, product, model, versions with package bytes, and its plan.

Loading again finds what is there by name. Package bytes of a size alone are made from the seed, the same every time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from sim.errors import FotasimError
from sim.scenario import Scenario
from sim.service.cloud import Cloud
from sim.service.errors import Refused
from sim.service.packages.shelf import Shelf
from sim.service.store import catalog, tables

BLOCK_BYTES = 1 << 20


def load(cloud: Cloud, scenario: Scenario) -> int:
    """Files the scenario's product, versions and plan; returns the plan's id."""
    with cloud.database.read() as connection:
        known = connection.scalar(select(tables.plans.c.id).where(tables.plans.c.name == scenario.plan.name))
    if known is not None:
        return int(known)
    packages = [_package(cloud.shelf, scenario, number) for number in range(len(scenario.plan.components))]
    with cloud.database.write() as connection:
        made = _file(connection, scenario, packages)
    cloud.products.reload()
    return made


def _file(connection: Connection, scenario: Scenario, packages: list[dict[str, Any]]) -> int:
    name = scenario.name
    project = _named(connection, tables.projects, name) or catalog.create_project(connection, name)
    product = _named(connection, tables.products, name) or catalog.create_product(connection, project["id"], name)
    planned = scenario.plan.components
    parts = [{"identifier": c.component, "name": c.component, "kind": c.type, "remarks": ""} for c in planned]
    model = catalog.create_model(connection, project["id"], scenario.plan.name, "simulated", "", parts)
    chosen = []
    for part, component, package in zip(model["components"], planned, packages, strict=True):
        fields = {
            "project_id": project["id"], "product_id": product["id"], "kind": component.type,
            "name": f"{component.component} {component.target_version}", "package": component.package,
            "target_version": component.target_version, "information": f"from scenario {name}",
        }  # fmt: skip
        version = catalog.create_version(connection, fields, [package])
        chosen.append({"component_id": part["id"], "version_id": version["id"]})
    plan = scenario.plan
    definition = {
        "mode": plan.mode, "text": scenario.description[:500], "whitelist": plan.whitelist,
        "blacklist": plan.blacklist, "time_zone": plan.strategy.schedule.time_zone, "starts_at": None, "ends_at": None,
        "strategy": plan.strategy.model_dump(mode="json", exclude_unset=True),
    }  # fmt: skip
    ids = {"project_id": project["id"], "product_id": product["id"], "model_id": model["id"]}
    made = catalog.create_plan(connection, {**ids, "name": plan.name, "definition": definition, "components": chosen})
    return int(made["id"])


def _named(connection: Connection, table: Any, name: str) -> dict[str, Any] | None:
    found = connection.execute(select(table).where(table.c.name == name)).mappings().first()
    return dict(found) if found else None


def _package(shelf: Shelf, scenario: Scenario, number: int) -> dict[str, Any]:
    """The package of a component on the shelf: the scenario's file, or bytes made from the seed."""
    component = scenario.plan.components[number]
    if component.files > 1:
        raise FotasimError(f"component {component.component}: the mock cloud serves one file a version")
    named = component.file.name if component.file else f"{component.component}-{component.target_version}.bin"
    name = "".join(c if c.isalnum() or c in "._-" else "_" for c in named).lstrip(".")
    incoming = shelf.receive(name)
    try:
        if component.file is not None:
            with component.file.open("rb") as file:
                while block := file.read(BLOCK_BYTES):
                    incoming.write(block)
        else:
            for block in made_bytes(
                f"{scenario.seed}/{component.component}/{component.target_version}", component.total_size
            ):
                incoming.write(block)
        return {**incoming.finish(), "source_version": component.source_version or ""}
    except OSError as error:
        raise Refused(f"package {name}: {error.strerror}") from None
    finally:
        incoming.discard()


def made_bytes(seed: str, size: int) -> Iterator[bytes]:
    """`size` bytes that depend on the seed alone and do not compress (SHAKE-256, block by block)."""
    for number, start in enumerate(range(0, size, BLOCK_BYTES)):
        yield hashlib.shake_256(f"{seed}/{number}".encode()).digest(min(BLOCK_BYTES, size - start))
