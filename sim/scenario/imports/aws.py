"""AWS IoT Jobs as a strategy: a job (`describe-job`, input of `create-job`), a job template, an OTA update, a deployment.

Each has its own names for the same configurations; the strategy is that of the preset `aws-iot-jobs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sim.scenario.imports import aws_configs as configs
from sim.scenario.imports.dialect import Options
from sim.scenario.imports.fields import Fields, put
from sim.scenario.imports.findings import Findings

WHO = "the scenario's fleet, whitelist and blacklist say who is meant"
SENT = "the plan's components say what is sent"
NOTHING = "it says nothing about the rollout"
OTA_NAMES = {
    "jobExecutionsRolloutConfig": "awsJobExecutionsRolloutConfig", "abortConfig": "awsJobAbortConfig",
    "timeoutConfig": "awsJobTimeoutConfig", "presignedUrlConfig": "awsJobPresignedUrlConfig",
    "criteriaList": "abortCriteriaList",
}  # fmt: skip
"""What `create-ota-update` calls the fields of a job."""

_OF_A_JOB = {
    "job", "jobId", "jobArn", "jobTemplateId", "jobTemplateArn", "jobExecutionsRolloutConfig", "abortConfig",
    "jobExecutionsRetryConfig", "schedulingConfig", "documentSource", "jobProcessDetails",
}  # fmt: skip
_OF_AN_OTA_UPDATE = {"otaUpdateId", "otaUpdateInfo", "otaUpdateArn", "otaUpdateFiles", *OTA_NAMES.values()}
_OF_A_DEPLOYMENT = {"targetArn", "iotJobConfiguration", "deploymentPolicies"}
_OVER = (
    "canceled",
    "deletion_in_progress",
    "create_failed",
    "delete_in_progress",
    "delete_failed",
    "failed",
    "inactive",
)
"""States in which jobs, OTA updates and deployments offer nothing any more. A completed one has run as it is written."""
_ALIVE = (
    "scheduled", "in_progress", "completed", "create_pending", "create_in_progress", "create_complete", "active",
)  # fmt: skip
_OF_ANY = {"targetSelection", "targets", "timeoutConfig", "presignedUrlConfig"}


def is_job(document: Mapping[str, Any]) -> bool:
    """Whether it has a field that only jobs and templates have, or that these share and OTA updates."""
    return not is_ota_update(document) and bool(_OF_A_JOB & document.keys())


def is_ota_update(document: Mapping[str, Any]) -> bool:
    """Whether it has a field that only OTA updates have."""
    return bool(_OF_AN_OTA_UPDATE & document.keys())


def may_be_either(document: Mapping[str, Any]) -> bool:
    """Whether it has only fields that jobs and OTA updates share."""
    return bool(_OF_ANY & document.keys())


def is_deployment(document: Mapping[str, Any]) -> bool:
    """Whether it has a field that only Greengrass deployments have."""
    return bool(_OF_A_DEPLOYMENT & document.keys())


def job(document: Mapping[str, Any], findings: Findings, _options: Options) -> tuple[str, dict[str, Any]]:
    """A job or a job template."""
    top = Fields(document, "", findings)
    inner = top.inner("job") if "job" in top else top
    found = of_job(inner)
    if inner is not top:
        top.leave(SENT, "documentSource")
        top.done()
    return found


def of_job(given: Fields, retries_listed_as: str = "criteriaList") -> tuple[str, dict[str, Any]]:
    """The same, however it is spelled."""
    title = given.text("jobId") or given.text("jobTemplateId") or ""
    given.leave(SENT, "document", "documentSource", "documentParameters")
    given.leave("the plan's components say which version is meant", "destinationPackageVersions")
    given.leave(WHO, "targets")
    given.leave("download URLs do not expire here", "presignedUrlConfig")
    given.leave(NOTHING, "namespaceId", "tags", "description", "comment", "reasonCode", "jobTemplateId")
    created = given.time("createdAt")
    printed = created is not None or "jobArn" in given or "status" in given
    given.lose_if_over("status", _OVER, _ALIVE)
    given.about(
        "jobArn", "status", "forceCanceled", "lastUpdatedAt", "completedAt", "jobProcessDetails", "isConcurrent",
        "scheduledJobRollouts", read=() if created is None else ("createdAt",),
    )  # fmt: skip
    template = given.text("jobTemplateArn")
    strategy: dict[str, Any] = {"preset": "aws-iot-jobs"}
    put(strategy, "target_selection", given.choice("targetSelection", configs.SELECTION))
    _limits(given, strategy)
    if "jobExecutionsRetryConfig" in given:
        put(strategy, "retry", configs.retry(given.inner("jobExecutionsRetryConfig"), retries_listed_as))
    if "maintenanceWindows" in given:  # of a template
        put(strategy, "schedule", configs.windows(given))
    else:
        put(strategy, "schedule", configs.schedule(given.inner("schedulingConfig"), created))
    given.done()
    if template is not None and printed:  # a job shows what it took from its template
        given.note("jobTemplateArn", "not carried over: the job has taken what it needs of it")
    elif template is not None:
        given.lose("jobTemplateArn", template, "what the template limits beyond this file is not in it",
                   "import what describe-job or describe-job-template prints")  # fmt: skip
    return title, strategy


def _limits(given: Fields, strategy: dict[str, Any], least_growth: float = configs.LEAST_GROWTH) -> None:
    put(strategy, "rollout", configs.rollout(given.inner("jobExecutionsRolloutConfig"), least_growth))
    if "abortConfig" in given:
        put(strategy, "abort", configs.abort(given.inner("abortConfig")))
    put(strategy, "timeouts", configs.timeouts(given.inner("timeoutConfig")))


def ota_update(document: Mapping[str, Any], findings: Findings, _options: Options) -> tuple[str, dict[str, Any]]:
    """What `create-ota-update` takes, or `get-ota-update` prints."""
    top = Fields(document, "", findings, partial(configs.spelled, OTA_NAMES))
    given = top.inner("otaUpdateInfo") if "otaUpdateInfo" in top else top
    title = given.text("otaUpdateId") or ""
    given.leave(SENT, "files", "otaUpdateFiles", "protocols", "additionalParameters")
    given.leave(WHO, "targets")
    given.leave("download URLs do not expire here", "presignedUrlConfig")
    given.leave(NOTHING, "roleArn", "tags", "description")
    given.lose_if_over("otaUpdateStatus", _OVER, _ALIVE)
    given.about(
        "otaUpdateArn",
        "otaUpdateStatus",
        "creationDate",
        "lastModifiedDate",
        "awsIotJobId",
        "awsIotJobArn",
        "errorInfo",
    )
    strategy: dict[str, Any] = {"preset": "aws-iot-jobs"}
    put(strategy, "target_selection", given.choice("targetSelection", configs.SELECTION))
    _limits(given, strategy)
    given.done()
    if given is not top:
        top.done()
    return title, strategy


def deployment(document: Mapping[str, Any], findings: Findings, _options: Options) -> tuple[str, dict[str, Any]]:
    """What `greengrassv2 create-deployment` takes, or `get-deployment` prints."""
    return of_deployment(Fields(document, "", findings))


def of_deployment(given: Fields) -> tuple[str, dict[str, Any]]:
    """The same, however it is spelled. A deployment to a thing group reaches things that join it, too."""
    title = given.text("deploymentName") or ""
    target = given.text("targetArn")
    if target is not None:
        given.note("targetArn", f"not carried over: {WHO}")
    given.leave(SENT, "components")
    given.leave(NOTHING, "tags", "clientToken", "parentTargetArn")
    given.lose_if_over("deploymentStatus", _OVER, _ALIVE)
    given.about(
        "deploymentId",
        "revisionId",
        "deploymentStatus",
        "iotJobId",
        "iotJobArn",
        "creationTimestamp",
        "isLatestForTarget",
    )
    policies = given.inner("deploymentPolicies")
    policies.leave("what a device does after a failure stands in fleet.failures", "failureHandlingPolicy")
    policies.leave(
        "components on the device have no say here; a user's delay is plan.user_delay",
        "componentUpdatePolicy", "configurationValidationPolicy",
    )  # fmt: skip
    policies.done()
    strategy: dict[str, Any] = {"preset": "aws-iot-jobs"}
    put(strategy, "target_selection", "continuous" if target is not None and ":thinggroup/" in target else None)
    _limits(configuration := given.inner("iotJobConfiguration"), strategy, least_growth=1.0)
    configuration.done()
    given.done()
    return title, strategy
