"""A rollout or an assignment of Eclipse hawkBit's management API as a strategy.

Read are the body of POST /rest/v1/rollouts, what GET prints (which lacks the groups; the answer of GET …/deploygroups may be
put beside it under `groups`), and the body of POST …/assignedTargets or …/assignedDS, which is a list. A maintenance
window belongs to an assignment there and is read wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sim.scenario.imports import hawkbit_groups, rsql
from sim.scenario.imports.cron import NotAllowed, from_quartz
from sim.scenario.imports.dialect import Options
from sim.scenario.imports.fields import Fields, duration, moment
from sim.scenario.imports.findings import Findings, short
from sim.scenario.strategy import polling
from sim.scenario.zones import zone_of

_OF_A_ROLLOUT = {
    "amountGroups", "groups", "successCondition", "errorCondition", "distributionSetId", "totalGroups", "startAt",
    "targetFilterQuery", "dynamicGroupTemplate",
}  # fmt: skip
_OF_AN_ASSIGNMENT = {"maintenanceWindow", "forcetime", "confirmationRequired"}
_OVER = (
    "paused", "stopping", "stopped", "approval_denied", "deleting", "deleted", "error_creating", "error_starting",
)  # fmt: skip
"""States in which a rollout offers nothing to anybody, or not before somebody resumes it."""
_ALIVE = ("creating", "ready", "waiting_for_approval", "starting", "running", "finished")
TYPES = {"forced": "forced", "soft": "soft", "timeforced": "timeforced", "downloadonly": "download-only"}


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether this looks like a rollout or an assignment."""
    return bool((_OF_A_ROLLOUT | _OF_AN_ASSIGNMENT) & document.keys())


def may_be_assignment(document: Mapping[str, Any]) -> bool:
    """Whether it has nothing but what an assignment may consist of."""
    return isinstance(kind := document.get("type"), str) and kind in TYPES


def convert(document: Mapping[str, Any], findings: Findings, options: Options) -> tuple[str, dict[str, Any]]:
    """Name of the rollout and its strategy."""
    given = Fields(document, "", findings)
    title = given.text("name") or ""
    of_all = not options.server_version or options.server_version >= hawkbit_groups.NEW_PERCENTAGES
    _targets(given)
    given.leave("the plan's components say what is sent", "distributionSetId")
    given.leave("it ranks several rollouts; a scenario runs one", "weight")
    given.leave("it says nothing about the rollout", "description", "approvalRemark", "approveDecidedBy")
    created = given.milliseconds("createdAt")
    given.lose_if_over("status", _OVER, _ALIVE)
    if given.flag("deleted"):
        given.lose("deleted", True, "a deleted rollout offers nothing to anybody; here it runs", "set it to false")
    given.about(
        "id", "createdBy", "lastModifiedBy", "lastModifiedAt", "status", "totalTargets", "totalTargetsPerStatus", "_links",
        read=() if created is None else ("createdAt",),
    )  # fmt: skip
    strategy: dict[str, Any] = {"preset": "hawkbit"}
    if given.flag("dynamic"):
        strategy["target_selection"] = "continuous"
    _dynamic_groups(given)
    of_a_rollout = bool(_OF_A_ROLLOUT & document.keys())
    if of_a_rollout:
        strategy["rollout"], confirmed = hawkbit_groups.rollout(
            given, of_all, printed=bool({"id", "status"} & document.keys())
        )
    else:
        asked = given.flag("confirmationRequired")
        strategy["rollout"], confirmed = {"groups": []}, [] if asked is None else [asked]
    start = _start(given)
    delivery = {**_delivery(given, start or created, confirmed), **_polling(given)}
    if delivery:
        strategy["delivery"] = delivery
    schedule = _schedule(given, start, start or created or options.now, of_a_rollout)
    if schedule:
        strategy["schedule"] = schedule
    given.done()
    return title, strategy


def _start(given: Fields) -> datetime | None:
    """When the rollout starts by itself; 0 is how a client without a time writes that it does so at once."""
    start = given.milliseconds("startAt")
    if start is None or start.timestamp() > 0:
        return start
    given.note("startAt", "no time after 1970: the server starts the rollout at once, read as without a start")
    return None


def _targets(given: Fields) -> None:
    """The targets of the whole rollout, which the scenario's fleet stands for."""
    query = given.text("targetFilterQuery")
    if query is None:
        return
    try:
        modules = rsql.members(query).get("modules", [])
    except ValueError:
        modules = []
    hint = f" (such as plan.whitelist: {modules})" if modules else ""
    given.note(
        "targetFilterQuery",
        f"{short(query)} is not carried over: the scenario's fleet, whitelist and blacklist{hint} say who is meant",
    )


def _dynamic_groups(given: Fields) -> None:
    """Groups of a fixed count for targets that come later; here these go into the last group."""
    if "dynamicGroupTemplate" not in given:
        return
    template = given.inner("dynamicGroupTemplate")
    count = template.count("targetCount", 1, 2**31 - 1)
    template.leave("groups of late joiners have no names here", "nameSuffix")
    template.done()
    if count is not None:
        template.lose("targetCount", count, "late joiners go into the last group, not into groups of this size that "
                      "wait for each other", "leave it out if no module joins later (fleet.groups[].joins)")  # fmt: skip


def _delivery(given: Fields, start: datetime | None, confirmed: list[bool]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    kind, forced_at = given.choice("type", TYPES), given.milliseconds("forcetime")
    if kind is not None:
        found["action_type"] = kind
    if kind == "timeforced":
        if forced_at is not None and start is None:
            given.lose("forcetime", forced_at.isoformat(), "the file gives no start to count it from",
                       "set delivery.action_type: timeforced and delivery.force_time")  # fmt: skip
            found["action_type"] = "soft"
        elif forced_at is not None and start is not None and forced_at > start:
            found["force_time"] = duration((forced_at - start).total_seconds())
        else:
            found["action_type"] = "forced"
            given.note("forcetime", "read as forced from the start: there is no later time in the file")
    elif forced_at is not None and forced_at.timestamp() > 0:
        given.note("forcetime", "not carried over: it applies to timeforced rollouts only")
    if confirmed:
        found["confirmation"] = "user" if any(confirmed) else "none"
        if len(set(confirmed)) > 1:
            given.lose("groups", "confirmationRequired in some groups", "here a user is asked in all groups or in none",
                       "ask in all groups, or simulate the groups apart")  # fmt: skip
    return found


def _polling(given: Fields) -> dict[str, Any]:
    """The tenant's polling time, where it is put beside the rollout; overrides for some targets have no place here."""
    text = given.text("pollingTime")
    if text is None:
        return {}
    first, *overrides = (part.strip() for part in text.split(","))
    if overrides:
        given.lose("pollingTime", ", ".join(overrides), "a fleet has one polling time for all its modules",
                   "give these modules a group of the fleet with its own check_in")  # fmt: skip
    try:
        polling(first)
    except ValueError:
        given.refuse("pollingTime", text, "an interval is expected, such as 00:05:00~10%")
        return {}
    return {"polling_time": first}


def _schedule(given: Fields, start: datetime | None, reference: datetime, of_a_rollout: bool) -> dict[str, Any]:
    zone, windows = "UTC", []
    if "maintenanceWindow" in given:
        window = given.inner("maintenanceWindow")
        if of_a_rollout:
            given.note(
                "maintenanceWindow", "simulated as an assignment's; a hawkBit rollout has no window and ignores it"
            )
        window.needs("schedule", "duration", "timezone")
        zone = _zone(window)
        windows = _window(window, reference.astimezone(zone_of(zone)).replace(tzinfo=None))
        window.done()
    found: dict[str, Any] = {}
    if start is not None:
        found["start_time"] = moment(start.astimezone(zone_of(zone)))
    if windows:
        found |= {"time_zone": zone, "maintenance_windows": windows, "window_gates": "install"}
    return found


def _zone(given: Fields) -> str:
    """The offset from UTC."""
    text = given.text("timezone") or "+00:00"
    match = re.fullmatch(r"([+-])(\d{2}):(\d{2})", text)
    try:
        zone_of(text if match is not None else "")
    except ValueError:
        if text != "Z":
            given.refuse("timezone", text, "an offset is expected, such as +05:30; at most 18 hours")
        return "UTC"
    return "UTC" if text in ("+00:00", "-00:00") else text


def _window(given: Fields, local: datetime) -> list[dict[str, Any]]:
    """The window, as the server would take it at this local time."""
    text, length = given.text("schedule"), given.text("duration")
    if text is None or length is None:
        return []
    lasts = re.fullmatch(r"(\d{2}):([0-5]\d)(?::([0-5]\d))?", length)
    lasts_s = int(lasts[1]) * 3600 + int(lasts[2]) * 60 + int(lasts[3] or 0) if lasts is not None else 0
    if not 0 < lasts_s < 86400:
        given.refuse("duration", length, "a duration below 24 hours is expected, such as 02:00:00")
        return []
    try:
        times = from_quartz(text)
    except NotAllowed as error:
        given.refuse("schedule", text, str(error))
        return []
    except ValueError as error:
        given.lose("schedule", text, str(error), "write the window into schedule.maintenance_windows by hand")
        return []
    if times.next_after(local) is None:
        given.refuse(
            "schedule", text, f"no window opens after {local:%Y-%m-%d %H:%M}; a schedule that is past is refused"
        )
        return []
    return [{**times.as_dict(), "duration": duration(lasts_s)}]
