"""Groups of a hawkBit rollout: sizes, filters, conditions and actions, with what the server refuses or ignores.

From 0.5 on percentages are of all targets and from 1 to 100; before, of the targets that remain. The groups must cover all
targets. A threshold is read as a Java integer: anything else makes the condition never true.
"""

from __future__ import annotations

import re
from typing import Any

from sim.scenario.imports import rsql
from sim.scenario.imports.fields import Fields

MAX_GROUPS = 500
NEW_PERCENTAGES = (0, 5)
"""The first version whose percentages are of all targets."""
_INTEGER = re.compile(r"[+-]?\d{1,10}")
_DEFAULTS = {
    "success_threshold_percent": 50.0, "success_action": "next-group", "error_threshold_percent": 50.0,
    "error_action": "pause",
}  # fmt: skip
"""What hawkBit takes where a rollout gives no conditions."""


def rollout(given: Fields, of_all: bool, printed: bool) -> tuple[dict[str, Any], list[bool]]:
    """The rollout section, and what each group says about confirmation (nothing where the file is silent).

    `printed` is what the server shows of a rollout, which older ones did without the number of groups.
    """
    percent_of = "hawkbit" if of_all else "remaining"
    stated, asked = _conditions(given), given.flag("confirmationRequired")
    none_listed = given.holds("groups", list) or given.holds("groups", dict)
    entries = _listed(given)
    if not entries and none_listed:
        given.refuse("groups", "no group", "the server wants 1 to 500 groups, or amountGroups in their place")
    elif not entries and not printed and "amountGroups" not in given and "totalGroups" not in given:
        given.refuse("amountGroups", "nothing", "the server wants amountGroups or groups")
    if not entries:
        _tell_defaults(given, [stated])
        groups = _equal(_amount(given), of_all, {**_DEFAULTS, **stated})
        return {"percent_of": percent_of, "groups": groups}, [] if asked is None else [asked]
    if len(entries) > MAX_GROUPS:
        given.refuse("groups", f"{len(entries)} groups", f"allowed are {MAX_GROUPS}")
        entries = entries[:MAX_GROUPS]
    given.leave("the groups are listed", "amountGroups")
    given.about("totalGroups")
    sizes = _sizes(entries, of_all)
    conditions = [{**stated, **_conditions(entry)} for entry in entries]
    _tell_defaults(given, conditions)
    answers = [own if (own := entry.flag("confirmationRequired")) is not None else asked for entry in entries]
    for entry in entries:
        entry.done()
    groups = [{**size, **_DEFAULTS, **own} for size, own in zip(sizes, conditions, strict=True)]
    return {"percent_of": percent_of, "groups": groups}, [answer for answer in answers if answer is not None]


def _listed(given: Fields) -> list[Fields]:
    """The groups of the file: a list, or the page that GET …/deploygroups answers."""
    if not given.holds("groups", dict):
        return given.listed("groups")
    page = given.inner("groups")
    total = page.count("total", 0, 2**31 - 1)
    page.about("size", "_links")
    entries = page.listed("content")
    if total is not None and total > len(entries):
        page.refuse("total", f"{len(entries)} of {total} groups", "the list goes on: ask with a limit of 500")
    page.done()
    return entries


def _amount(given: Fields) -> int:
    """How many groups of equal size."""
    total, amount = given.count("totalGroups", 1, MAX_GROUPS), given.count("amountGroups", 1, MAX_GROUPS)
    if amount is None and total is not None and total > 1:
        given.lose("totalGroups", total, "the sizes of the groups are not in this file; here they are equal",
                   "put the answer of GET …/deploygroups beside it under groups")  # fmt: skip
    return amount or total or 1


def _tell_defaults(given: Fields, conditions: list[dict[str, Any]]) -> None:
    for what in ("success", "error"):
        if any(f"{what}_threshold_percent" not in own for own in conditions):
            given.note(f"{what}Condition", "absent: the server's default of 50 % stands")


def _equal(amount: int, of_all: bool, conditions: dict[str, Any]) -> list[dict[str, Any]]:
    """An even split; the last group takes the rest."""
    sizes: list[dict[str, Any]] = [
        {"percent": round(100.0 / (amount if of_all else amount - i), 10)} for i in range(amount - 1)
    ]
    return [{"name": f"group-{i + 1}", **size, **conditions} for i, size in enumerate([*sizes, {}])]


def _sizes(entries: list[Fields], of_all: bool) -> list[dict[str, Any]]:
    """Name, percentage and filter of each group; the last takes the rest, which the server wants to be all of it."""
    served: dict[str, float] = {}
    names: dict[str, str] = {}
    found = []
    for number, entry in enumerate(entries):
        size = _named(entry, names)
        percent = entry.number("targetPercentage", 1.0 if of_all else 0.0, 100, above=not of_all)
        percent = 100.0 if percent is None else percent
        last = number == len(entries) - 1
        query = _filter(entry, size, last)
        left = 100.0 - served.get(query, 0.0) if of_all else 100.0
        served[query] = served.get(query, 0.0) + percent
        if last:
            if not query and left - percent > 1.0:
                entry.refuse("targetPercentage", f"{percent:g} of the {left:g} % left",
                             "the server wants all targets to be in a group: the last one takes the rest")  # fmt: skip
            elif percent < 100.0 and not of_all:
                entry.note("targetPercentage", "the last group takes the rest")
        elif "filter" not in size or percent < left - 1.0:
            size["percent"] = percent
        found.append(size)
        _about(entry)
    return found


def _named(given: Fields, names: dict[str, str]) -> dict[str, Any]:
    """The group's name in letters that a scenario takes; `names` holds those before it, ours by the file's."""
    name = given.text("name")
    if name is None:
        return {}
    if name in names:
        given.refuse("name", name, "the server wants the names of the groups to differ")
        return {}
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:100] or "group"
    written, number = plain, 1
    while written in names.values():
        number += 1
        written = f"{plain[:90]}-{number}"
    names[name] = written
    if written != name:
        given.note("name", f"written as {written}")
    return {"name": written}


def _filter(given: Fields, size: dict[str, Any], last: bool) -> str:
    """Puts the group's filter into `size`; the query as the server compares it, empty for everybody."""
    query = given.text("targetFilterQuery")
    if query is None:
        return ""
    try:
        members = rsql.members(query)
    except ValueError as error:
        given.lose("targetFilterQuery", query, f"it selects the group's targets, and {error}",
                   "write rollout.groups with filters beside from: or into the strategy file")  # fmt: skip
        return query
    if members and last:
        given.note("targetFilterQuery", "the last group takes all that are left, which the server wants these to be")
    elif members:
        size["filter"] = members
    return query if members else ""


def _about(entry: Fields) -> None:
    entry.leave("it says nothing about the rollout", "description")
    entry.about(
        "id", "createdBy", "createdAt", "lastModifiedBy", "lastModifiedAt", "status", "totalTargets", "dynamic",
        "totalTargetsPerStatus", "_links",
    )  # fmt: skip


def _conditions(given: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for what in ("success", "error"):
        if f"{what}Condition" in given:
            found[f"{what}_threshold_percent"] = _threshold(given.inner(f"{what}Condition"), what)
        action = given.inner(f"{what}Action")
        words = {"NEXTGROUP": "next-group", "PAUSE": "pause"} if what == "success" else {"PAUSE": "pause"}
        word = action.choice("action", words)
        if word is not None:
            found[f"{what}_action"] = word
        action.leave("no action takes an expression", "expression")
        action.done()
    return found


def _threshold(given: Fields, what: str) -> float | None:
    """Per cent; without an expression 100. What never holds is None for errors, and 100 % or all finished for success."""
    given.choice("condition", {"THRESHOLD": "threshold"})
    text = given.raw("expression")
    given.done()
    if text in (None, ""):
        given.note("expression", "absent: the server takes 100 %")
        return 100.0
    if isinstance(text, bool | dict | list):
        given.refuse("expression", text, 'a percentage is expected, such as "10"')
        return None
    shown = str(text)
    percent = int(shown) if _INTEGER.fullmatch(shown) else None
    if percent is not None and percent < 0:
        given.refuse("expression", shown, "below 0 the condition holds at once; allowed are 0 to 100")
        return None
    if percent is not None and percent <= 100:
        return float(percent)
    why = "no whole number, so the server" if percent is None else "more than 100 %, so the server"
    never = (
        "never pauses for errors" if what == "error" else "opens the next group only once the whole group is finished"
    )
    given.note("expression", f"{shown[:40]!r} is {why} {never}; modelled so")
    return None if what == "error" else 100.0
