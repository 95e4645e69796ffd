"""A deployment of Mender's management API as a strategy: phases by the clock, retries, an end after so many devices.

Sizes are rounded down, and a phase of nobody is refused, by the server as here (`rounding: down`); the last phase takes the
rest. A phase opens by its time alone, whatever the one before has come to.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sim.scenario.imports.dialect import Options
from sim.scenario.imports.fields import Fields, moment, put
from sim.scenario.imports.findings import Findings

PRODUCT = "Mender"
MANY = 2**31 - 1


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether it has a field that only Mender's deployments have."""
    return bool({"artifact_name", "phases", "force_installation", "update_control_map"} & document.keys())


def convert(document: Mapping[str, Any], findings: Findings, _options: Options) -> tuple[str, dict[str, Any]]:
    """Name of the deployment and its strategy."""
    given = Fields(document, "", findings)
    title = given.text("name") or ""
    given.leave("the scenario's fleet, whitelist and blacklist say who is meant", "devices", "group", "groups", "filter",
                "filter_id", "all_devices")  # fmt: skip
    given.leave("the plan's components say what is sent", "artifact_name", "artifacts", "autogenerate_delta")
    created = given.time("created")
    given.lose_if_over("status", ("paused", "aborted"), ("scheduled", "pending", "inprogress", "finished"))
    given.about(
        "id", "status", "finished", "device_count", "initial_device_count", "max_devices_reached", "statistics", "type",
        read=() if created is None else ("created",),
    )  # fmt: skip
    if given.flag("force_installation"):
        given.lose("force_installation", True, "modules that have the target version already are left alone here",
                   "leave it out if no module has the version yet")  # fmt: skip
    control = given.raw("update_control_map")
    if control:
        given.lose("update_control_map", control, "it stops devices in the middle of an upgrade until they are told to go on",
                   "delivery.confirmation: user or operator asks before the upgrade")  # fmt: skip
    strategy: dict[str, Any] = {"preset": "mender"}
    if given.flag("dynamic"):
        strategy["target_selection"] = "continuous"
    retries = given.count("retries", 0, 100)
    put(strategy, "retry", {} if retries is None else {"number_of_retries": retries})
    rollout, starts = _phases(given)
    put(rollout, "max_devices", given.count("max_devices", 0, MANY) or None)
    put(strategy, "rollout", rollout)
    start = starts or created
    if start is None and (later := [group["start_at"] for group in rollout.get("groups", []) if "start_at" in group]):
        given.lose("phases", ", ".join(later), "the file gives no start to count these from, so all phases would open at once",
                   "give phases[0].start_ts or created")  # fmt: skip
        for group in rollout["groups"]:
            group.pop("start_at", None)
    if start is not None:
        strategy["schedule"] = {"start_time": moment(start), "time_zone": "UTC"}
    given.done()
    return title, strategy


def _phases(given: Fields) -> tuple[dict[str, Any], datetime | None]:
    """The rollout section, and when the first phase begins."""
    entries = given.listed("phases")
    groups: list[dict[str, Any]] = []
    times: list[datetime | None] = []
    total = 0
    for number, entry in enumerate(entries):
        given_size, given_start = "batch_size" in entry, "start_ts" in entry
        size, at = entry.count("batch_size", 1, 100), entry.time("start_ts", with_offset=True)
        entry.about("id", "device_count")
        last = number == len(entries) - 1
        total += size or 0
        if not given_size and not last:
            entry.refuse("batch_size", "nothing", "only the last phase may leave it out")
        if number and not given_start:
            entry.refuse("start_ts", "nothing", "only the first phase may leave it out")
        earlier = [time for time in times if time is not None]
        if at is not None and earlier and at <= earlier[-1]:
            entry.refuse("start_ts", at.isoformat(), "later than the start of the phase before")
        entry.done()
        times.append(at)
        group: dict[str, Any] = {"name": f"phase-{number + 1}"}
        if not last:
            put(group, "percent", None if size is None else float(size))
        group["success_threshold_percent"] = 0
        if number and at is not None:
            group["start_at"] = moment(at)
        groups.append(group)
    if total > 100:
        given.refuse("phases", f"{total} %", "the phases add up to at most 100 %")
    elif groups and total < 100 and entries:
        given.note("phases", f"{total} % are given: the last phase takes the rest")
    if len(groups) <= 1:  # everybody at once
        return {}, times[0] if times else None
    return {"rounding": "down", "groups": groups}, times[0]
