"""A strategy as AWS takes it: input of create-job, create-ota-update, create-deployment, or a CloudFormation template."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sim.scenario.exports.rest import Rest
from sim.scenario.exports.times import aws_cron, start_utc
from sim.scenario.imports.aws import OTA_NAMES
from sim.scenario.imports.aws_configs import END, FAILURES, RETRIED, SELECTION
from sim.scenario.strategy import Criterion, StrategySection

Document = dict[str, Any]
Spelling = Callable[[str], str]
_BY_WORD = {**{ours: theirs for words in (END, SELECTION, FAILURES) for theirs, ours in words.items()}}


def job(strategy: StrategySection, title: str) -> tuple[Document, Rest]:
    """Input of `aws iot create-job`, to which targets and a document are to be added."""
    rest = Rest(strategy, "aws-iot-jobs")
    found: Document = {"jobId": title, **_selection(rest), **_limits(rest, str), **_retry(rest, "criteriaList")}
    schedule = _start(rest)
    windows = _windows(rest)
    if windows:
        schedule["maintenanceWindows"] = windows
    if schedule:
        found["schedulingConfig"] = schedule
    return found, rest


def ota_update(strategy: StrategySection, title: str) -> tuple[Document, Rest]:
    """Input of `aws iot create-ota-update`, to which targets, files and a role are to be added."""
    rest = Rest(strategy, "aws-iot-jobs")
    found = {"otaUpdateId": title, **_selection(rest), **_limits(rest, lambda name: OTA_NAMES.get(name, name))}
    return found, rest


def deployment(strategy: StrategySection, title: str) -> tuple[Document, Rest]:
    """Input of `aws greengrassv2 create-deployment`, to which components are to be added."""
    rest = Rest(strategy, "aws-iot-jobs")
    rest.take("target_selection")
    kind = "thinggroup" if strategy.target_selection == "continuous" else "thing"
    arn = f"arn:aws:iot:REGION:ACCOUNT:{kind}/NAME"
    return {"targetArn": arn, "deploymentName": title, "iotJobConfiguration": _limits(rest, str)}, rest


def job_template(strategy: StrategySection, title: str) -> tuple[Document, Rest]:
    """A resource AWS::IoT::JobTemplate, to which a document is to be added."""
    rest = Rest(strategy, "aws-iot-jobs")
    own = {"exponentialRate": "ExponentialRolloutRate"}
    found = _limits(rest, lambda name: own.get(name, name[0].upper() + name[1:]))
    retry = _retry(rest, "retryCriteriaList")
    windows = _windows(rest)
    for name, value in {**retry, **({"maintenanceWindows": windows} if windows else {})}.items():
        found[name[0].upper() + name[1:]] = _capital(value)
    properties = {"JobTemplateId": title, "Description": title or "a rollout", **found}
    return {"Type": "AWS::IoT::JobTemplate", "Properties": properties}, rest


def _capital(value: Any) -> Any:
    if isinstance(value, dict):
        return {name[0].upper() + name[1:]: _capital(inner) for name, inner in value.items()}
    return [_capital(inner) for inner in value] if isinstance(value, list) else value


def _selection(rest: Rest) -> Document:
    rest.take("target_selection")
    return {"targetSelection": _BY_WORD[rest.strategy.target_selection]}


def _limits(rest: Rest, spell: Spelling) -> Document:
    """Rate, criteria and timeout."""
    found: Document = {}
    for name, value in (
        ("jobExecutionsRolloutConfig", _rate(rest, spell)), ("abortConfig", _abort(rest, spell)),
        ("timeoutConfig", _timeout(rest, spell)),
    ):  # fmt: skip
        if value:
            found[spell(name)] = value
    return found


def _rate(rest: Rest, spell: Spelling) -> Document:
    given = rest.strategy.rollout
    found: Document = {}
    rest.take("rollout.maximum_per_minute", "rollout.exponential_rate")
    most = given.maximum_per_minute
    if most is None or most > 1000:
        rest.lose("rollout.maximum_per_minute", most, "AWS releases at most 1,000 a minute")
    else:
        found[spell("maximumPerMinute")] = most
    growth = given.exponential_rate
    if growth is None:
        return found
    if growth.base_rate_per_minute > 1000 or round(growth.increment_factor, 1) != growth.increment_factor:
        rest.lose("rollout.exponential_rate", growth.increment_factor,
                  "AWS grows from at most 1,000 a minute by a factor of one decimal")  # fmt: skip
        return found
    criteria = {
        spell(name): value
        for name, value in (
            ("numberOfNotifiedThings", growth.number_of_notified), ("numberOfSucceededThings", growth.number_of_succeeded),
        )
        if value is not None
    }  # fmt: skip
    found[spell("exponentialRate")] = {
        spell("baseRatePerMinute"): growth.base_rate_per_minute, spell("incrementFactor"): growth.increment_factor,
        spell("rateIncreaseCriteria"): criteria,
    }  # fmt: skip
    return found


def _abort(rest: Rest, spell: Spelling) -> Document:
    rest.take("abort.criteria")
    listed = []
    for number, c in enumerate(rest.strategy.abort.criteria):
        if _is_of_aws(c):
            listed.append({
                spell("failureType"): _BY_WORD[c.failure_type], spell("action"): "CANCEL",
                spell("thresholdPercentage"): c.threshold_percentage,
                spell("minNumberOfExecutedThings"): c.min_number_of_executed,
            })  # fmt: skip
        else:
            rest.lose(f"abort.criteria.{number}", f"{c.threshold_percentage:g} % of {c.denominator}: {c.action}",
                      "AWS cancels at a percentage of two decimals of the completed executions")  # fmt: skip
    return {spell("criteriaList"): listed} if listed else {}


def _is_of_aws(c: Criterion) -> bool:
    share = c.threshold_percentage
    return (
        c.action == "cancel" and c.denominator == "completed" and c.min_number_of_failed == 0
        and 0 < share == round(share, 2)
    )  # fmt: skip


def _timeout(rest: Rest, spell: Spelling) -> Document:
    rest.take("timeouts.in_progress")
    bound = rest.strategy.timeouts.in_progress
    if bound is None:
        return {}
    minutes = bound / 60.0
    if minutes != int(minutes) or not 1 <= minutes <= 10080:
        rest.lose("timeouts.in_progress", f"{bound:g} s", "AWS takes 1 to 10,080 whole minutes")
        return {}
    return {spell("inProgressTimeoutInMinutes"): int(minutes)}


def _retry(rest: Rest, listed_as: str) -> Document:
    given = rest.strategy.retry
    rest.take("retry.criteria", "retry.number_of_retries", "retry.retry_interval")
    criteria = [(c.failure_type, c.number_of_retries, c.retry_interval) for c in given.criteria]
    if not criteria and given.number_of_retries:
        criteria = [("all", given.number_of_retries, given.retry_interval)]
    if any(interval > 0.0 for _, _, interval in criteria):
        rest.lose("retry.retry_interval", f"{max(i for _, _, i in criteria):g} s", "AWS tries again at once")
    words = {ours: theirs for theirs, ours in RETRIED.items()}
    listed = [{"failureType": words[kind], "numberOfRetries": number} for kind, number, _ in criteria]
    return {"jobExecutionsRetryConfig": {listed_as: listed}} if listed else {}


def _start(rest: Rest) -> Document:
    """Start and end; the start is written where it is set, or where an end is counted from it."""
    given = rest.strategy.schedule
    differs = rest.take("schedule.start_time")
    ends = rest.take("schedule.end_time", "schedule.end_behavior")
    found: Document = {}
    if differs or given.end_time is not None:
        found["startTime"] = f"{start_utc(given):%Y-%m-%dT%H:%M:%SZ}"
    if ends and given.end_time is not None:
        if not 1800 <= given.end_time <= 731 * 86400:
            rest.lose("schedule.end_time", f"{given.end_time:g} s", "AWS takes 30 minutes to 2 years after the start")
        else:
            found["endTime"] = f"{start_utc(given) + timedelta(seconds=given.end_time):%Y-%m-%dT%H:%M:%SZ}"
            found["endBehavior"] = _BY_WORD[given.end_behavior]
    if not given.maintenance_windows:
        rest.take("schedule.time_zone", "schedule.window_gates")
    return found


def _windows(rest: Rest) -> list[Document]:
    given = rest.strategy.schedule
    rest.take("schedule.maintenance_windows")
    listed = []
    if given.maintenance_windows and given.time_zone == "UTC":
        rest.take("schedule.time_zone")
    for number, window in enumerate(given.maintenance_windows):
        minutes = window.duration / 60.0
        try:
            opens = aws_cron(window)
            if minutes != int(minutes) or not 1 <= minutes <= 1430:
                raise ValueError("AWS's windows last 1 to 1,430 whole minutes")
        except ValueError as error:
            rest.lose(f"schedule.maintenance_windows.{number}", window.cron or window.start, str(error))
            continue
        listed.append({"startTime": opens, "durationInMinutes": int(minutes)})
    return listed
