"""The configurations that jobs, templates, OTA updates and Greengrass deployments of AWS share, as parts of a strategy.

Bounds are those of the service models (iot 2015-05-28, greengrassv2 2020-11-30) and, where these give none, of the
developer guide: up to 1,000 things a minute, 1 to 10,080 minutes, growth by 1.1 to 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sim.scenario.imports.cron import NotAllowed, from_aws
from sim.scenario.imports.fields import Fields, duration, moment, put

MANY = 2**31 - 1
FAILURES = {"FAILED": "failed", "TIMED_OUT": "timed_out", "REJECTED": "rejected", "ALL": "all"}
RETRIED = {"FAILED": "failed", "TIMED_OUT": "timed_out", "ALL": "all"}
END = {"STOP_ROLLOUT": "stop-rollout", "CANCEL": "cancel", "FORCE_CANCEL": "force-cancel"}
SELECTION = {"SNAPSHOT": "snapshot", "CONTINUOUS": "continuous"}
LEAST_GROWTH = 1.1


def spelled(names: Mapping[str, str], name: str) -> str:
    """A field's name where some differ from those of a job."""
    return names.get(name, name)


def rollout(given: Fields, least_growth: float = LEAST_GROWTH) -> dict[str, Any]:
    """The release rate."""
    found: dict[str, Any] = {}
    put(found, "maximum_per_minute", given.count("maximumPerMinute", 1, 1000))
    if "exponentialRate" in given:
        rate = given.inner("exponentialRate")
        rate.needs("baseRatePerMinute", "incrementFactor", "rateIncreaseCriteria")
        grows = rate.inner("rateIncreaseCriteria")
        inner: dict[str, Any] = {}
        put(inner, "base_rate_per_minute", rate.count("baseRatePerMinute", 1, 1000))
        factor = rate.number("incrementFactor", least_growth, 5, digits=1)
        put(inner, "increment_factor", factor)
        put(inner, "number_of_notified", grows.count("numberOfNotifiedThings", 1, MANY))
        put(inner, "number_of_succeeded", grows.count("numberOfSucceededThings", 1, MANY))
        if not {"number_of_notified", "number_of_succeeded"} & inner.keys():
            grows.refuse("numberOfNotifiedThings", "nothing", "this or numberOfSucceededThings is needed")
        if factor == 1.0:  # Greengrass takes a rate that does not grow
            base = inner.get("base_rate_per_minute", 1000)
            found["maximum_per_minute"] = min(base, found.get("maximum_per_minute", base))
        else:
            found["exponential_rate"] = inner
        grows.done()
        rate.done()
    given.done()
    return found


def abort(given: Fields) -> dict[str, Any]:
    """The criteria, as a share of completed executions (the developer guide's reading)."""
    criteria = []
    given.needs("criteriaList")
    stated = "criteriaList" in given
    for entry in given.listed("criteriaList"):
        entry.needs("failureType", "action", "thresholdPercentage", "minNumberOfExecutedThings")
        found: dict[str, Any] = {}
        put(found, "failure_type", entry.choice("failureType", FAILURES))
        put(found, "threshold_percentage", entry.number("thresholdPercentage", 0, 100, above=True, digits=2))
        put(found, "min_number_of_executed", entry.count("minNumberOfExecutedThings", 1, MANY))
        put(found, "action", entry.choice("action", {"CANCEL": "cancel"}))
        entry.done()
        criteria.append({**found, "denominator": "completed"})
    if stated and not criteria:
        given.refuse("criteriaList", "no criterion", "one or more are needed")
    if len(criteria) > 20:
        given.lose("criteriaList", f"{len(criteria)} criteria", "a strategy has at most 20", "leave some out")
        del criteria[20:]
    given.done()
    return {"criteria": criteria} if criteria else {}


def timeouts(given: Fields) -> dict[str, Any]:
    """The bound on an execution in progress."""
    bound = given.count("inProgressTimeoutInMinutes", 1, 10080)
    given.done()
    return {} if bound is None else {"in_progress": duration(60.0 * bound)}


def retry(given: Fields, listed_as: str = "criteriaList") -> dict[str, Any]:
    """Retries by kind of failure."""
    criteria = []
    given.needs(listed_as)
    stated = listed_as in given
    for entry in given.listed(listed_as):
        entry.needs("failureType", "numberOfRetries")
        found: dict[str, Any] = {}
        put(found, "failure_type", entry.choice("failureType", RETRIED))
        retries = entry.count("numberOfRetries", 0, 10)
        if retries is not None:
            found["number_of_retries"] = retries
        entry.done()
        criteria.append(found)
    kinds = [c.get("failure_type") for c in criteria]
    if stated and (not 1 <= len(criteria) <= 2 or len(set(kinds)) < len(kinds)):
        given.refuse(listed_as, f"{len(criteria)} criteria", "one or two are allowed, one for each failureType")
    elif len(kinds) == 2 and "all" in kinds:
        given.refuse(listed_as, "ALL beside another", "one criterion for ALL, or one for FAILED and one for TIMED_OUT")
    given.done()
    return {"criteria": criteria} if criteria else {}


def schedule(given: Fields, created: datetime | None) -> dict[str, Any]:
    """Start, end and windows."""
    start, end = given.time("startTime"), given.time("endTime")
    behavior = given.choice("endBehavior", END)
    found: dict[str, Any] = {}
    if start is None and end is not None and created is not None:
        start = created
        given.note("startTime", "absent: the plan starts when the job was created (createdAt)")
    if start is not None:
        found["start_time"] = moment(start)
    if end is not None and start is not None:
        lasts_s = (end - start).total_seconds()
        if not 1800 <= lasts_s <= 731 * 86400:
            given.refuse("endTime", f"{lasts_s / 60:g} minutes after the start", "allowed are 30 minutes to 2 years")
        else:
            found["end_time"] = duration(lasts_s)
            put(found, "end_behavior", behavior)
    elif end is not None:
        given.lose("endTime", end.isoformat(), "the file gives no start to count it from", "set schedule.end_time")
    elif behavior is not None:
        given.note("endBehavior", "not carried over: without an end it does not apply")
    found |= windows(given)
    given.done()
    return found


def windows(given: Fields) -> dict[str, Any]:
    """Maintenance windows, which gate the release, in UTC."""
    listed = [w for entry in given.listed("maintenanceWindows") if (w := _window(entry)) is not None]
    if not listed:
        return {}
    given.note("maintenanceWindows", "read in UTC")
    return {"time_zone": "UTC", "maintenance_windows": listed, "window_gates": "release"}


def _window(given: Fields) -> dict[str, Any] | None:
    given.needs("startTime", "durationInMinutes")
    text, lasts = given.text("startTime"), given.count("durationInMinutes", 1, 1430)
    given.done()
    if text is None or lasts is None:
        return None
    try:
        times = from_aws(text)
    except NotAllowed as error:
        given.refuse("startTime", text, str(error))
        return None
    except ValueError as error:
        given.lose("startTime", text, str(error), "write the window into schedule.maintenance_windows by hand")
        return None
    return {**times.as_dict(), "duration": duration(60.0 * lasts)}
