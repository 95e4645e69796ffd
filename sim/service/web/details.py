"""One device in one plan, component by component: what the console's details and the API show alike."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection

from sim.service.known_device import parse_mcu_versions
from sim.service.store import catalog, progress


def details(connection: Connection, plan_id: int, device_key: str) -> dict[str, Any]:
    """The device's row, its components with their stage, and its log."""
    row = progress.one(connection, plan_id, device_key)
    snapshot = json.loads(row["snapshot"])
    plan = catalog.get_plan(connection, plan_id)
    parts = [_component(row, snapshot, number, part) for number, part in enumerate(plan["components"])]
    return {**row, "components": parts, "log": progress.log(connection, plan_id, row["device_id"])}


def _component(row: dict[str, Any], snapshot: dict[str, Any], number: int, part: dict[str, Any]) -> dict[str, Any]:
    """Components are upgraded one after the other: those before the current one are done, those after have not begun."""
    mcus = parse_mcu_versions(row["mcu_versions"])
    running = row["module_version"] if part["kind"] == "firmware" else mcus.get(part["identifier"], "")
    current = snapshot.get("component", 0)
    if snapshot.get("at_target", 0) & (1 << number):
        stage = "Success"
    elif number == current or row["stage"] in ("Fail", "Success", "Cancelled"):
        stage = row["stage"]
    else:
        stage = "Start"
    return {
        "identifier": part["identifier"], "kind": part["kind"], "running_version": running,
        "target_version": part["target_version"], "stage": stage,
    }  # fmt: skip
