"""A job of AWS IoT Jobs as a strategy: what `aws iot describe-job` prints, or the input of `create-job`.

Fields and ranges are those of the service model (2015-05-28) and of the developer guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sim.scenario.imports.cron import from_aws
from sim.scenario.imports.fields import Fields, duration, moment

PRODUCT = "AWS IoT Jobs"
MANY = 2**31 - 1
_KNOWN_BY = {
    "job", "jobId", "jobArn", "targetSelection", "jobExecutionsRolloutConfig", "abortConfig", "timeoutConfig",
    "jobExecutionsRetryConfig", "schedulingConfig", "presignedUrlConfig",
}  # fmt: skip
_FAILURES = {"FAILED": "failed", "TIMED_OUT": "timed_out", "REJECTED": "rejected", "ALL": "all"}
_RETRIED = {"FAILED": "failed", "TIMED_OUT": "timed_out", "ALL": "all"}
_END = {"STOP_ROLLOUT": "stop-rollout", "CANCEL": "cancel", "FORCE_CANCEL": "force-cancel"}
_SELECTION = {"SNAPSHOT": "snapshot", "CONTINUOUS": "continuous"}


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether this looks like a job."""
    return bool(_KNOWN_BY & document.keys())


def convert(document: Mapping[str, Any], notes: list[str]) -> tuple[str, dict[str, Any]]:
    """Name of the job and its strategy; `notes` gets what cannot be carried over."""
    top = Fields(document, "", notes)
    job = top.inner("job") if "job" in top else top
    title = job.text("jobId") or ""
    job.leave("the plan's components say what is sent", "document", "documentSource", "documentParameters")
    job.leave("the plan's components say which version is meant", "destinationPackageVersions")
    job.leave("the scenario's fleet, whitelist and blacklist say who is meant", "targets")
    job.leave("download URLs do not expire here", "presignedUrlConfig")
    job.leave("settings that only the template holds are not in this file", "jobTemplateArn")
    job.leave("it says nothing about the rollout", "namespaceId", "tags", "description", "comment", "reasonCode")
    created = job.time("createdAt")
    job.about(
        "jobArn", "status", "forceCanceled", "lastUpdatedAt", "completedAt", "jobProcessDetails", "isConcurrent",
        "scheduledJobRollouts", read=() if created is None else ("createdAt",),
    )  # fmt: skip
    strategy: dict[str, Any] = {"preset": "aws-iot-jobs"}
    _put(strategy, "target_selection", job.choice("targetSelection", _SELECTION))
    _put(strategy, "rollout", _rollout(job.inner("jobExecutionsRolloutConfig")))
    _put(strategy, "abort", _abort(job.inner("abortConfig")))
    _put(strategy, "timeouts", _timeouts(job.inner("timeoutConfig")))
    _put(strategy, "retry", _retry(job.inner("jobExecutionsRetryConfig")))
    _put(strategy, "schedule", _schedule(job.inner("schedulingConfig"), created))
    job.done()
    if job is not top:
        top.leave("the plan's components say what is sent", "documentSource")
        top.done()
    return title, strategy


def _put(strategy: dict[str, Any], key: str, value: Any) -> None:
    if value not in (None, {}, []):
        strategy[key] = value


def _rollout(given: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    _put(found, "maximum_per_minute", given.count("maximumPerMinute", 1, 1000))
    if "exponentialRate" in given:
        rate = given.inner("exponentialRate")
        grows = rate.inner("rateIncreaseCriteria")
        inner: dict[str, Any] = {}
        _put(inner, "base_rate_per_minute", rate.count("baseRatePerMinute", 1, 1000))
        _put(inner, "increment_factor", rate.number("incrementFactor", 1.1, 5))
        _put(inner, "number_of_notified", grows.count("numberOfNotifiedThings", 1, MANY))
        _put(inner, "number_of_succeeded", grows.count("numberOfSucceededThings", 1, MANY))
        _put(found, "exponential_rate", inner)
        grows.done()
        rate.done()
    given.done()
    return found


def _abort(given: Fields) -> dict[str, Any]:
    criteria = []
    for entry in given.listed("criteriaList"):
        found: dict[str, Any] = {}
        _put(found, "failure_type", entry.choice("failureType", _FAILURES))
        _put(found, "threshold_percentage", entry.number("thresholdPercentage", 0, 100))
        _put(found, "min_number_of_executed", entry.count("minNumberOfExecutedThings", 1, MANY))
        _put(found, "action", entry.choice("action", {"CANCEL": "cancel"}))
        entry.done()
        criteria.append({**found, "denominator": "completed"})
    given.done()
    return {"criteria": criteria} if criteria else {}


def _timeouts(given: Fields) -> dict[str, Any]:
    bound = given.number("inProgressTimeoutInMinutes", 1, 10080)
    given.done()
    return {} if bound is None else {"in_progress": duration(60.0 * bound)}


def _retry(given: Fields) -> dict[str, Any]:
    criteria = []
    for entry in given.listed("criteriaList"):
        found: dict[str, Any] = {}
        _put(found, "failure_type", entry.choice("failureType", _RETRIED))
        retries = entry.count("numberOfRetries", 0, 10)
        if retries is not None:
            found["number_of_retries"] = retries
        entry.done()
        criteria.append(found)
    if len(criteria) > 2:
        given.note("criteriaList", f"out of range: {len(criteria)} criteria; documented are 1 to 2")
    given.done()
    return {"criteria": criteria} if criteria else {}


def _schedule(given: Fields, created: datetime | None) -> dict[str, Any]:
    start, end = given.time("startTime"), given.time("endTime")
    behavior = given.choice("endBehavior", _END)
    windows = [w for entry in given.listed("maintenanceWindows") if (w := _window(entry)) is not None]
    given.done()
    found: dict[str, Any] = {}
    if start is None and (end is not None or windows) and created is not None:
        start = created
        given.note("startTime", "absent: the plan starts when the job was created (createdAt)")
    if start is not None:
        found["start_time"] = moment(start)
    if end is not None and start is not None:
        lasts_s = (end - start).total_seconds()
        if not 1800 <= lasts_s <= 731 * 86400:
            given.note(
                "endTime", f"out of range: {lasts_s / 60:g} minutes after the start; documented are 30 min to 2 years"
            )
        found["end_time"] = duration(max(0.0, lasts_s))
        _put(found, "end_behavior", behavior)
    elif end is not None:
        given.note("endTime", "not carried over: the file gives no start to count it from; set schedule.end_time")
    elif behavior is not None:
        given.note("endBehavior", "not carried over: without an end it does not apply")
    if windows:
        found |= {"time_zone": "UTC", "maintenance_windows": windows, "window_gates": "release"}
        given.note("maintenanceWindows", "read in UTC")
    return found


def _window(given: Fields) -> dict[str, Any] | None:
    text, lasts = given.text("startTime"), given.count("durationInMinutes", 1, 1430)
    given.done()
    if text is None or lasts is None:
        given.note("startTime", "not carried over: a window needs startTime and durationInMinutes")
        return None
    cron, notes = from_aws(text)
    for line in notes:
        given.note("startTime", line)
    if cron is None:
        given.note("startTime", f"not carried over: {text!r}; write the window into maintenance_windows by hand")
        return None
    return {"cron": cron, "duration": duration(60.0 * lasts)}
