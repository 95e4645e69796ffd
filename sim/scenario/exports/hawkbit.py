"""A strategy as the body of hawkBit's POST /rest/v1/rollouts, to which distribution set and target filter are to be added."""

from __future__ import annotations

from typing import Any

from sim.scenario.exports.rest import Rest
from sim.scenario.exports.times import start_utc
from sim.scenario.imports.hawkbit import TYPES
from sim.scenario.members import Members
from sim.scenario.strategy import RolloutGroup, StrategySection

Document = dict[str, Any]
_ACTIONS = {"next-group": "NEXTGROUP", "pause": "PAUSE"}


def rollout(strategy: StrategySection, title: str) -> tuple[Document, Rest]:
    """The body, and what hawkBit (0.5 and later) cannot hold."""
    rest = Rest(strategy, "hawkbit")
    found: Document = {"name": title}
    rest.take("target_selection")
    if strategy.target_selection == "continuous":
        found["dynamic"] = True
    found |= {**_delivery(rest), **_groups(rest)}
    _window(rest)
    if rest.take("schedule.start_time") or "forcetime" in found:
        found["startAt"] = int(start_utc(strategy.schedule).timestamp() * 1000)
    return found, rest


def _delivery(rest: Rest) -> Document:
    given = rest.strategy.delivery
    rest.take("delivery.action_type", "delivery.force_time", "delivery.polling_time")
    words = {ours: theirs for theirs, ours in TYPES.items()}
    found: Document = {"type": words[given.action_type]}
    if given.action_type == "timeforced":
        found["forcetime"] = int((start_utc(rest.strategy.schedule).timestamp() + given.force_time) * 1000)
    if given.polling_time is not None and given.polling_time != "00:05:00":
        found["pollingTime"] = given.polling_time
    if given.confirmation in ("none", "user"):
        rest.take("delivery.confirmation")
        found["confirmationRequired"] = given.confirmation == "user"
    return found


def _groups(rest: Rest) -> Document:
    given = rest.strategy.rollout
    rest.take("rollout.groups", "rollout.percent_of")
    if not given.groups:
        return {"amountGroups": 1, **_conditions(rest, "rollout.groups", RolloutGroup())}
    if given.percent_of != "hawkbit" and any(g.percent is not None for g in given.groups[:-1]):
        rest.lose("rollout.percent_of", given.percent_of, "hawkBit cuts percentages of all by a rule of its own",
                  "set rollout.percent_of: hawkbit")  # fmt: skip
    listed = []
    for number, group in enumerate(given.groups):
        place, last = f"rollout.groups.{number}", number == len(given.groups) - 1
        found = _conditions(rest, place, group)
        if group.name is not None:
            found["name"] = group.name
        found["targetPercentage"] = _percentage(rest, place, group, last)
        if group.filter is not None and not last:
            found |= _filter(rest, place, group.filter)
        if group.soak or group.start_time or group.start_at is not None:
            rest.lose(
                place, "soak, start_time or start_at", "hawkBit opens a group as soon as the one before has passed"
            )
        listed.append(found)
    return {"groups": listed}


def _percentage(rest: Rest, place: str, group: RolloutGroup, last: bool) -> float:
    if last:
        return 100.0
    if group.count is not None:
        rest.lose(f"{place}.count", group.count, "hawkBit's groups are given in per cent", "give a percent")
    percent = 100.0 if group.percent is None else group.percent
    if not 1.0 <= percent <= 100.0:
        rest.lose(f"{place}.percent", percent, "hawkBit takes 1 to 100 %", "give at least 1 %")
    return percent


def _filter(rest: Rest, place: str, given: Members) -> Document:
    parts = [_either(f"attribute.{label}" if label not in ("tag", "group") else label, values)
             for label, values in given.labels.items()]  # fmt: skip
    if given.modules:
        parts.append(_either("controllerId", given.modules))
    if given.fleet_groups or given.hardware or any("[" in m or "?" in m for m in given.modules):
        rest.lose(f"{place}.filter", "fleet_groups, hardware or globs with [ and ?", "hawkBit knows ids and attributes",
                  "filter by labels, which are attributes or tags there")  # fmt: skip
    return {"targetFilterQuery": ";".join(parts)} if parts else {}


def _either(name: str, values: list[str]) -> str:
    quoted = [f"'{value}'" for value in values]
    return f"{name}=={quoted[0]}" if len(quoted) == 1 else f"{name}=in=({','.join(quoted)})"


def _conditions(rest: Rest, place: str, group: RolloutGroup) -> Document:
    error = group.error_threshold_percent
    for what, percent in (("success", group.success_threshold_percent), ("error", error)):
        if percent is not None and percent != int(percent):
            rest.lose(
                f"{place}.{what}_threshold_percent",
                percent,
                f"hawkBit takes whole per cent, others never hold: {percent:.0f} is written",
            )
    if group.error_action != "pause":
        rest.lose(f"{place}.error_action", group.error_action, "hawkBit can only pause")
    return {
        "successCondition": {"condition": "THRESHOLD", "expression": f"{group.success_threshold_percent:.0f}"},
        "successAction": {"action": _ACTIONS[group.success_action]},
        "errorCondition": {"condition": "THRESHOLD", "expression": "100" if error is None else f"{error:.0f}"},
        "errorAction": {"action": "PAUSE"},
    }


def _window(rest: Rest) -> None:
    """A rollout has none: the management API takes the field of an assignment there and ignores it."""
    given = rest.strategy.schedule
    rest.take("schedule.time_zone")
    if rest.take("schedule.maintenance_windows", "schedule.window_gates") and given.maintenance_windows:
        rest.lose("schedule.maintenance_windows", f"{len(given.maintenance_windows)} windows",
                  "a hawkBit rollout has no window and would ignore it; only an assignment has one",
                  "assign the distribution set by hand, or leave the windows out")  # fmt: skip
