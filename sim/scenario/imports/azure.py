"""A deployment of Azure Device Update for IoT Hub as a strategy: a start and a rollback policy.

A deployment to a group is continuous, and a newer one replaces it. The policy asks for a percentage and a number of failed
devices; which of the two decides is not documented, and here both must be reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.scenario.imports.dialect import Options
from sim.scenario.imports.fields import Fields, moment
from sim.scenario.imports.findings import Findings

PRODUCT = "Azure Device Update"
MANY = 2**31 - 1


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether it has a field that only these deployments have."""
    update = document.get("update")
    return (
        "rollbackPolicy" in document
        or "startDateTime" in document
        or (isinstance(update, dict) and "updateId" in update)
    )


def convert(document: Mapping[str, Any], findings: Findings, options: Options) -> tuple[str, dict[str, Any]]:
    """Identifier of the deployment and its strategy."""
    given = Fields(document, "", findings)
    title = given.text("deploymentId") or ""
    given.leave("the scenario's fleet, whitelist and blacklist say who is meant", "groupId", "deviceClassSubgroups")
    given.leave("the plan's components say what is sent", "update", "downloadSecurity")
    given.about("isRetried", "isCloudInitiatedRollback")
    strategy: dict[str, Any] = {"preset": "azure-du"}
    start = given.time("startDateTime")
    if start is not None:
        strategy["schedule"] = {"start_time": moment(start), "time_zone": "UTC"}
    if "rollbackPolicy" in given:
        _policy(given.inner("rollbackPolicy"), strategy, options)
    if given.flag("isCanceled"):
        given.lose(
            "isCanceled", True, "a canceled deployment updates nobody any more; here the plan runs", "set it to false"
        )
    given.done()
    return title, strategy


def _policy(given: Fields, strategy: dict[str, Any], options: Options) -> None:
    given.needs("failure", "update")
    failure, update = given.inner("failure"), given.inner("update")
    failure.needs("devicesFailedPercentage", "devicesFailedCount")
    percent = failure.count("devicesFailedPercentage", 0, 100)
    count = failure.count("devicesFailedCount", 0, MANY)
    failure.done()
    identity = update.inner("updateId")
    version = identity.text("version")
    identity.leave("the plan's components say what is sent", "provider", "name")
    identity.done()
    update.leave("it says nothing about the rollout", "description", "friendlyName")
    update.done()
    given.done()
    if percent is None or count is None:
        return
    if percent == 0 and count == 0:
        failure.refuse("devicesFailedCount", 0, "with 0 % and no device the policy holds at once")
        return
    criterion: dict[str, Any] = {
        "failure_type": "all", "threshold_percentage": float(percent), "min_number_of_failed": count, "denominator": "targets",
        "action": "rollback",
    }  # fmt: skip
    failure.note("devicesFailedCount", "here the percentage and the number must both be reached")
    if options.rollback:
        strategy["rollback"] = [
            {**package, "version": version or package.get("version")} for package in options.rollback
        ]
    else:
        criterion["action"] = "cancel"
        identity.lose("version", version or "nothing", "the file does not say which component it is and how large its "
                      "package, so the plan stops without a rollback",
                      "say it with --rollback COMPONENT=SIZE, or write rollback: beside from:")  # fmt: skip
    strategy["abort"] = {"criteria": [criterion]}
