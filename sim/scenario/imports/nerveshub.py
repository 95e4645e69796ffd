"""A deployment group of NervesHub as a strategy: how many update at once, for how long an update counts as under way.

A device that failed is left alone for the time of a penalty and then tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.scenario.imports.dialect import Options
from sim.scenario.imports.fields import Fields, duration
from sim.scenario.imports.findings import Findings
from sim.scenario.strategy import MOST_RETRIES

PRODUCT = "NervesHub"
MANY = 2**31 - 1
_MARKS = {
    "concurrent_updates", "inflight_update_expiration_minutes", "penalty_timeout_minutes", "device_failure_threshold",
    "device_failure_rate_amount", "device_failure_rate_seconds", "priority_queue_concurrent_updates",
}  # fmt: skip
DEFAULTS = {"concurrent_updates": 10, "inflight_update_expiration_minutes": 60, "penalty_timeout_minutes": 1440}
"""What a new deployment group has."""
_PRINTED = {"is_active", "firmware_uuid"}
"""Fields that the API always prints of a group; it prints none of the limits."""


def _inner(document: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in ("deployment", "deployment_group", "data"):
        if isinstance(document.get(name), dict):
            found: Mapping[str, Any] = document[name]
            return found
    return document


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether it has a field that only deployment groups have."""
    keys = _inner(document).keys()
    return bool(_MARKS & keys) or keys >= _PRINTED


def convert(document: Mapping[str, Any], findings: Findings, _options: Options) -> tuple[str, dict[str, Any]]:
    """Name of the deployment group and its strategy."""
    inner = _inner(document)
    path = next((name for name, value in document.items() if value is inner), "") if inner is not document else ""
    if path:
        Fields({k: v for k, v in document.items() if k != path}, "", findings).done()
    given = Fields(inner, path, findings)
    title = given.text("name") or ""
    given.leave("the scenario's fleet, whitelist and blacklist say who is meant", "conditions", "device_count")
    given.leave("the plan's components say what is sent", "firmware", "firmware_id", "firmware_uuid", "firmware_version",
                "archive", "archive_id", "archive_uuid", "delta_updatable", "current_release")  # fmt: skip
    given.leave("it says nothing about the rollout", "connecting_code", "recalculation_type", "status", "version_type")
    given.about("id", "org_id", "product_id", "inserted_at", "updated_at", "total_updating_devices",
                "current_updated_devices", "healthy", "releases", "releases_count")  # fmt: skip
    inactive = "an inactive group updates nobody; here the plan runs"
    active, state = given.flag("is_active"), given.choice("state", {"on": "on", "off": "off"})
    if active is False:
        given.lose("is_active", False, inactive, "set it to true")
    elif state == "off":
        given.lose("state", "off", inactive, "set it to on")
    queue = given.text("queue_management")
    if queue not in (None, "FIFO"):
        given.lose("queue_management", queue, "modules are released in the order of the plan, not the newest first",
                   "set it to FIFO")  # fmt: skip
    if given.flag("priority_queue_enabled"):
        given.lose("priority_queue_enabled", True, "a plan has one queue", "switch it off")
    for name in ("priority_queue_concurrent_updates", "priority_queue_firmware_version_threshold"):
        given.leave("it applies to the priority queue", name)
    _say_defaults(given)
    at_once = given.count("concurrent_updates", 1, MANY)
    expires = given.count("inflight_update_expiration_minutes", 1, MANY)
    strategy: dict[str, Any] = {
        "preset": "none",
        "rollout": {"max_in_progress": at_once or DEFAULTS["concurrent_updates"], "in_progress_counts": "offered"},
        "timeouts": {"in_progress": duration(60.0 * (expires or DEFAULTS["inflight_update_expiration_minutes"]))},
    }
    given.note("concurrent_updates", "the server lets slightly more through at times; here it is exact")
    _penalties(given, strategy)
    given.done()
    return title, strategy


def _say_defaults(given: Fields) -> None:
    for name, default in DEFAULTS.items():
        if name not in given:
            given.note(name, f"absent: {default} is taken, what a new group has; set the group's own value")


def _penalties(given: Fields, strategy: dict[str, Any]) -> None:
    """A device that failed is left alone for the penalty's time and then tried again, without end there."""
    penalty = given.count("penalty_timeout_minutes", 0, MANY)
    minutes = DEFAULTS["penalty_timeout_minutes"] if penalty is None else penalty
    strategy["retry"] = {"number_of_retries": MOST_RETRIES, "retry_interval": duration(60.0 * minutes)}
    given.note(
        "penalty_timeout_minutes",
        f"a failed module is tried again after {minutes} minutes; here {MOST_RETRIES} times at most",
    )
    given.leave("attempts that end without a word of the device are failures here like all others",
                "device_failure_threshold", "device_failure_rate_amount", "device_failure_rate_seconds")  # fmt: skip
    given.leave(
        "the server keeps it and does not act on it", "failure_threshold", "failure_rate_amount", "failure_rate_seconds"
    )
