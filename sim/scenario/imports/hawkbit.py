"""A rollout of Eclipse hawkBit's management API as a strategy: the body of POST /rest/v1/rollouts, or what GET prints.

What GET prints lacks the groups; the answer of GET …/deploygroups may be put beside it under `groups`. A maintenance
window belongs to an assignment there (`maintenanceWindow`) and is read where it stands in the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sim.scenario.imports.cron import from_quartz
from sim.scenario.imports.fields import Fields, duration, moment

PRODUCT = "hawkBit"
MAX_GROUPS = 500
_KNOWN_BY = {
    "amountGroups", "groups", "successCondition", "errorCondition", "distributionSetId", "totalGroups", "startAt",
    "maintenanceWindow",
}  # fmt: skip
_TYPES = {"forced": "forced", "soft": "soft", "timeforced": "timeforced", "downloadonly": "download-only"}
_DEFAULTS = {
    "success_threshold_percent": 50.0, "success_action": "next-group", "error_threshold_percent": 50.0,
    "error_action": "pause",
}  # fmt: skip
"""What hawkBit takes where a rollout gives no conditions."""


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether this looks like a rollout."""
    return bool(_KNOWN_BY & document.keys())


def convert(document: Mapping[str, Any], notes: list[str]) -> tuple[str, dict[str, Any]]:
    """Name of the rollout and its strategy; `notes` gets what cannot be carried over."""
    given = Fields(document, "", notes)
    title = given.text("name") or ""
    given.leave("the scenario's fleet, whitelist and blacklist say who is meant", "targetFilterQuery")
    given.leave("the plan's components say what is sent", "distributionSetId")
    given.leave("it ranks several rollouts; a scenario runs one", "weight")
    given.leave("it says nothing about the rollout", "description", "approvalRemark", "approveDecidedBy")
    created = given.milliseconds("createdAt")
    given.about(
        "id", "createdBy", "lastModifiedBy", "lastModifiedAt", "status", "totalTargets", "totalTargetsPerStatus",
        "deleted", "_links", read=() if created is None else ("createdAt",),
    )  # fmt: skip
    strategy: dict[str, Any] = {"preset": "hawkbit"}
    if given.flag("dynamic"):
        strategy["target_selection"] = "continuous"
    given.leave("late joiners go into the last group", "dynamicGroupTemplate")
    groups, confirmed = _groups(given)
    strategy["rollout"] = {"percent_of": "remaining", "groups": groups}
    start = given.milliseconds("startAt")
    delivery = _delivery(given, start or created, confirmed)
    if delivery:
        strategy["delivery"] = delivery
    schedule = _schedule(given, start)
    if schedule:
        strategy["schedule"] = schedule
    given.done()
    return title, strategy


def _groups(given: Fields) -> tuple[list[dict[str, Any]], list[bool]]:
    """The groups with their conditions, and what each says about confirmation (nothing where the file is silent)."""
    stated, asked = _conditions(given), given.flag("confirmationRequired")
    entries = _listed_groups(given)
    if not entries:
        _tell_defaults(given, [stated])
        return _equal_groups(_amount(given), {**_DEFAULTS, **stated}), [] if asked is None else [asked]
    given.leave("the groups are listed", "amountGroups")
    given.about("totalGroups")
    sizes = [_size_of_group(entry) for entry in entries]
    conditions = [{**stated, **_conditions(entry)} for entry in entries]
    _tell_defaults(given, conditions)
    answers = [own if (own := entry.flag("confirmationRequired")) is not None else asked for entry in entries]
    for entry in entries:
        entry.done()
    if sizes[-1].pop("percent") < 100.0:
        entries[-1].note("targetPercentage", "the last group takes the rest")
    groups = [{**size, **_DEFAULTS, **own} for size, own in zip(sizes, conditions, strict=True)]
    return groups, [answer for answer in answers if answer is not None]


def _listed_groups(given: Fields) -> list[Fields]:
    """The groups of the file: a list, or the page that GET …/deploygroups answers."""
    if not given.holds("groups", dict):
        return given.listed("groups")
    page = given.inner("groups")
    page.about("total", "size", "_links")
    entries = page.listed("content")
    page.done()
    return entries


def _amount(given: Fields) -> int:
    """How many groups of equal size."""
    total, amount = given.count("totalGroups", 1, MAX_GROUPS), given.count("amountGroups", 1, MAX_GROUPS)
    if amount is None and total is not None and total > 1:
        given.note("totalGroups", "the groups are split evenly: their sizes are not in this file")
    return max(1, min(amount or total or 1, MAX_GROUPS))


def _tell_defaults(given: Fields, conditions: list[dict[str, Any]]) -> None:
    for what in ("success", "error"):
        if any(f"{what}_threshold_percent" not in own for own in conditions):
            given.note(f"{what}Condition", "absent: the default of 50 % stands")


def _equal_groups(amount: int, conditions: dict[str, Any]) -> list[dict[str, Any]]:
    """An even split, each group's share being of the targets that remain."""
    sizes: list[dict[str, Any]] = [{"percent": round(100.0 / (amount - i), 10)} for i in range(amount - 1)]
    return [{"name": f"group-{i + 1}", **size, **conditions} for i, size in enumerate([*sizes, {}])]


def _size_of_group(given: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if (name := given.text("name")) is not None:
        found["name"] = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:100] or "group"
        if found["name"] != name:
            given.note("name", f"written as {found['name']}")
    percent = given.number("targetPercentage", 0, 100)
    found["percent"] = 100.0 if percent is None else percent
    given.leave("write rollout.groups with a filter by fleet group, hardware or ids", "targetFilterQuery")
    given.leave("it says nothing about the rollout", "description")
    given.about(
        "id", "createdBy", "createdAt", "lastModifiedBy", "lastModifiedAt", "status", "totalTargets", "dynamic",
        "totalTargetsPerStatus", "_links",
    )  # fmt: skip
    return found


def _conditions(given: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for what in ("success", "error"):
        threshold = _threshold(given.inner(f"{what}Condition"))
        if threshold is not None:
            found[f"{what}_threshold_percent"] = threshold
        action = given.inner(f"{what}Action")
        words = {"NEXTGROUP": "next-group", "PAUSE": "pause"} if what == "success" else {"PAUSE": "pause"}
        word = action.choice("action", words)
        if word is not None:
            found[f"{what}_action"] = word
        action.leave("no action takes an expression", "expression")
        action.done()
    return found


def _threshold(given: Fields) -> float | None:
    given.choice("condition", {"THRESHOLD": "threshold"})
    text = given.raw("expression")
    given.done()
    if text in (None, ""):
        return None
    try:
        percent = float(str(text).strip().removesuffix("%"))
    except ValueError:
        given.note("expression", f"left out: a percentage is expected, found {str(text)[:40]!r}")
        return None
    if not 0 <= percent <= 100:
        given.note("expression", f"out of range: {percent:g}; documented are 0 to 100")
    return percent


def _delivery(given: Fields, start: datetime | None, confirmed: list[bool]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    kind, forced_at = given.choice("type", _TYPES), given.milliseconds("forcetime")
    if kind is not None:
        found["action_type"] = kind
    if kind == "timeforced":
        if forced_at is not None and start is not None and forced_at > start:
            found["force_time"] = duration((forced_at - start).total_seconds())
        else:
            found["action_type"] = "forced"
            given.note("forcetime", "read as forced from the start: there is no later time in the file")
    elif forced_at is not None:
        given.note("forcetime", "not carried over: it applies to timeforced rollouts only")
    if confirmed:
        found["confirmation"] = "user" if any(confirmed) else "none"
        if len(set(confirmed)) > 1:
            given.note("groups", "some groups ask for confirmation, some do not: here all do")
    return found


def _schedule(given: Fields, start: datetime | None) -> dict[str, Any]:
    zone, windows = "UTC", []
    if "maintenanceWindow" in given:
        window = given.inner("maintenanceWindow")
        zone = _zone(window)
        windows = _window(window)
        window.done()
    found: dict[str, Any] = {}
    if start is not None:
        found["start_time"] = moment(start.astimezone(ZoneInfo(zone)))
    if windows:
        found |= {"time_zone": zone, "maintenance_windows": windows, "window_gates": "install"}
    return found


def _zone(given: Fields) -> str:
    """A zone of the database for an offset like +02:00; only whole hours have one."""
    text = given.text("timezone")
    match = re.fullmatch(r"([+-])(\d{2}):?(\d{2})", text or "+00:00")
    if match is None or match[3] != "00" or int(match[2]) > (14 if match[1] == "+" else 12):
        given.note("timezone", f"not carried over: {text!r} is not an offset of whole hours; windows are read in UTC")
        return "UTC"
    sign = "-" if match[1] == "+" else "+"  # Etc/GMT-2 is two hours east of Greenwich
    return "UTC" if int(match[2]) == 0 else f"Etc/GMT{sign}{int(match[2])}"


def _window(given: Fields) -> list[dict[str, Any]]:
    text, length = given.text("schedule"), given.text("duration")
    lasts = re.fullmatch(r"(\d{1,2}):([0-5]\d):([0-5]\d)", length or "")
    if text is None or lasts is None:
        given.note(
            "duration", f"window not carried over: schedule and a duration like 02:00:00 are needed, found {length!r}"
        )
        return []
    cron, notes = from_quartz(text)
    for line in notes:
        given.note("schedule", line)
    if cron is None:
        given.note("schedule", f"not carried over: {text!r}; write the window into maintenance_windows by hand")
        return []
    lasts_s = int(lasts[1]) * 3600 + int(lasts[2]) * 60 + int(lasts[3])
    return [{"cron": cron, "duration": duration(lasts_s)}]
