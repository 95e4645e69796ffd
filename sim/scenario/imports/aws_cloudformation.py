"""Resources of AWS CloudFormation (JSON or YAML) as a strategy: jobs, job templates and Greengrass deployments.

The properties are those of the API with capital letters; a template has two names of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sim.scenario.imports import aws
from sim.scenario.imports.dialect import Options
from sim.scenario.imports.fields import Fields, Spelling
from sim.scenario.imports.findings import Findings, Refusal, short

Reader = Callable[[Fields], tuple[str, dict[str, Any]]]
READERS: dict[str, Reader] = {
    "AWS::IoT::JobTemplate": partial(aws.of_job, retries_listed_as="retryCriteriaList"),
    "AWS::IoT::Job": aws.of_job,
    "AWS::GreengrassV2::Deployment": aws.of_deployment,
}
_OWN_NAMES = {"AWS::IoT::JobTemplate": {"exponentialRate": "ExponentialRolloutRate"}}
_OF_A_STACK = {"AWSTemplateFormatVersion", "Resources"}


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether this is a template or one of its resources."""
    return bool(_OF_A_STACK & document.keys()) or str(document.get("Type", "")).startswith("AWS::")


def convert(document: Mapping[str, Any], findings: Findings, _options: Options) -> tuple[str, dict[str, Any]]:
    """The one plan among the resources."""
    resources = document.get("Resources") if "Type" not in document else {"": document}
    if not isinstance(resources, dict):
        findings.refusals.append(Refusal("Resources", short(resources), "an object is expected"))
        return "", {}
    plans = {
        name: resource for name, resource in resources.items()
        if isinstance(resource, dict) and str(resource.get("Type")) in READERS
    }  # fmt: skip
    if len(plans) != 1:
        cure = (
            f"give one resource of type {' or '.join(READERS)}; for one of several, cut it out into a file of its own"
        )
        findings.refusals.append(Refusal("Resources", short(", ".join(plans) or "no plan of a rollout"), cure))
        return "", {}
    name, resource = next(iter(plans.items()))
    kind = str(resource["Type"])
    path = f"Resources.{name}.Properties" if name else "Properties"
    properties = resource.get("Properties")
    if not isinstance(properties, dict):
        findings.refusals.append(Refusal(path, short(properties), "an object is expected"))
        return "", {}
    others = [other for other in resources if other != name]
    if others:
        findings.notes.append(f"Resources: {short(', '.join(others))}: other resources of the stack, not read")
    if resource.get("Condition") is not None:
        findings.notes.append(
            f"{path.removesuffix('Properties')}Condition: {short(resource['Condition'])}: the plan is read as if it holds"
        )
    title, strategy = READERS[kind](Fields(properties, path, findings, _spelling(kind), lenient=True))
    return title or name, strategy


def _spelling(kind: str) -> Spelling:
    own = _OWN_NAMES.get(kind, {})

    def capital(name: str) -> str:
        return own.get(name, name[:1].upper() + name[1:])

    return capital
