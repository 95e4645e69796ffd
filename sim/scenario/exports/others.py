"""A strategy as Mender, Azure Device Update, NervesHub, ThingsBoard and Memfault take it."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

from sim.scenario.exports.rest import Rest
from sim.scenario.exports.times import start_utc
from sim.scenario.strategy import MOST_RETRIES, StrategySection

Document = dict[str, Any]


def mender(strategy: StrategySection, title: str) -> tuple[Document, Rest]:
    """A deployment, to which the artifact and the devices are to be added."""
    rest = Rest(strategy, "mender")
    found: Document = {"name": title, "artifact_name": title}
    if rest.take("target_selection"):
        found["dynamic"] = strategy.target_selection == "continuous"
    if not strategy.retry.criteria and strategy.retry.retry_interval == 0.0 and rest.take("retry.number_of_retries"):
        found["retries"] = strategy.retry.number_of_retries
    if rest.take("rollout.max_devices") and strategy.rollout.max_devices is not None:
        found["max_devices"] = strategy.rollout.max_devices
    starts = rest.take("schedule.start_time")
    rest.take("schedule.time_zone")
    if strategy.rollout.groups:
        found["phases"] = _phases(rest, starts)
    elif starts:
        found["phases"] = [{"start_ts": f"{start_utc(strategy.schedule):%Y-%m-%dT%H:%M:%SZ}"}]
    return found, rest


def _phases(rest: Rest, starts: bool) -> list[Document]:
    """The phases; what opens a group otherwise than by its time is lost."""
    schedule, rollout = rest.strategy.schedule, rest.strategy.rollout
    rest.take("rollout.groups", "rollout.rounding")
    if rollout.rounding != "down" and len(rollout.groups) > 1:
        rest.lose("rollout.rounding", rollout.rounding, "Mender rounds down", "set rollout.rounding: down")
    phases = []
    for number, group in enumerate(rollout.groups):
        place, last = f"rollout.groups.{number}", number == len(rollout.groups) - 1
        phase: Document = {}
        if not last:
            if (
                group.percent is None
                or group.percent != int(group.percent)
                or group.percent < 1
                or group.filter is not None
            ):
                rest.lose(place, group.percent, "Mender's phases are whole per cent of all devices")
            phase["batch_size"] = int(group.percent or 1)
        if group.start_at is not None:
            phase["start_ts"] = f"{group.start_at.replace(tzinfo=schedule.zone).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        elif number or starts:
            phase["start_ts"] = f"{start_utc(schedule) + timedelta(seconds=group.start_time):%Y-%m-%dT%H:%M:%SZ}"
        if (
            (group.success_threshold_percent > 0 and not last)
            or group.error_threshold_percent is not None
            or group.soak
        ):
            rest.lose(place, "thresholds or soak", "Mender's phases open by the clock alone")
        if group.success_action != "next-group":
            rest.lose(f"{place}.success_action", group.success_action, "Mender does not pause between phases")
        phases.append(phase)
    return phases


def azure(strategy: StrategySection, title: str) -> tuple[Document, Rest]:
    """A deployment, to which group and update are to be added."""
    rest = Rest(strategy, "azure-du")
    found: Document = {"deploymentId": title}
    rest.take("schedule.time_zone")
    rest.take("schedule.start_time")
    found["startDateTime"] = f"{start_utc(strategy.schedule):%Y-%m-%dT%H:%M:%SZ}"
    criteria = strategy.abort.criteria
    rest.take("abort.criteria", "rollback")
    if not criteria:
        return found, rest
    first, package = criteria[0], strategy.rollback[0] if strategy.rollback else None
    policy_like = first.action == "rollback" and first.denominator == "targets" and first.failure_type == "all"
    whole = first.threshold_percentage == int(first.threshold_percentage)
    if len(criteria) > 1 or not policy_like or not whole or first.min_number_of_executed > 1 or package is None:
        rest.lose(
            "abort.criteria", f"{len(criteria)} criteria", "Azure rolls back at one whole percentage of all targets"
        )
        return found, rest
    if len(strategy.rollback) > 1:
        rest.lose("rollback", f"{len(strategy.rollback)} packages", "Azure goes back to one update")
    found["rollbackPolicy"] = {
        "failure": {
            "devicesFailedPercentage": int(first.threshold_percentage),
            "devicesFailedCount": first.min_number_of_failed,
        },
        "update": {"updateId": {"provider": "PROVIDER", "name": package.component, "version": package.version}},
    }
    return found, rest


def nerveshub(strategy: StrategySection, title: str) -> tuple[Document, Rest]:
    """A deployment group, to which the firmware and conditions are to be added."""
    rest = Rest(strategy, "none")
    found: Document = {"name": title}
    rollout, retry, bound = strategy.rollout, strategy.retry, strategy.timeouts.in_progress
    rest.take("rollout.max_in_progress", "rollout.in_progress_counts", "timeouts.in_progress")
    rest.take("retry.number_of_retries", "retry.retry_interval")
    if rollout.max_in_progress is None or rollout.in_progress_counts != "offered":
        rest.lose(
            "rollout.max_in_progress", rollout.max_in_progress, "NervesHub updates so many at once from the offer on"
        )
    found["concurrent_updates"] = rollout.max_in_progress or 10
    for name, key, seconds in (
        ("inflight_update_expiration_minutes", "timeouts.in_progress", bound),
        ("penalty_timeout_minutes", "retry.retry_interval", retry.retry_interval),
    ):
        if seconds is None or seconds % 60 or (seconds == 0 and name.startswith("inflight")):
            rest.lose(key, seconds, "NervesHub takes whole minutes")
        else:
            found[name] = int(seconds // 60)
    if retry.number_of_retries != MOST_RETRIES:
        rest.lose("retry.number_of_retries", retry.number_of_retries, "NervesHub tries again without end")
    return found, rest


def thingsboard(strategy: StrategySection, _title: str) -> tuple[Document, Rest]:
    """The pace of the server's queue."""
    rest = Rest(strategy, "thingsboard")
    rest.take("rollout.maximum_per_minute")
    rate = strategy.rollout.maximum_per_minute
    if rate is None:
        rest.lose("rollout.maximum_per_minute", rate, "ThingsBoard has a pace")
    return {"queue": {"core": {"ota": {"pack-interval-ms": 60_000, "pack-size": rate or 100}}}}, rest


def memfault(strategy: StrategySection, title: str) -> tuple[Document, Rest]:
    """A deployment, to which the cohort is to be added."""
    rest = Rest(strategy, "none")
    rest.take("target_selection", "rollout.groups")
    if strategy.target_selection != "continuous":
        rest.lose("target_selection", strategy.target_selection, "a cohort takes in whoever joins")
    groups = strategy.rollout.groups
    found: Document = {"type": "normal", "release": title, "cohort": "COHORT", "rollout_percent": 100}
    if not groups:
        return found, rest
    first, others = groups[0], groups[1:]
    plain = first.filter is None and first.error_threshold_percent is None and first.success_action == "pause"
    if len(others) != 1 or first.percent is None or not plain or strategy.rollout.percent_of != "total":
        rest.lose("rollout.groups", f"{len(groups)} groups", "Memfault releases to one share, raised by hand")
    return {**found, "type": "staged_rollout", "rollout_percent": first.percent or 100}, rest
