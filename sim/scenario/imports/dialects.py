"""The dialects by name, and which of them a document is: by what is certain; asked for where several fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.scenario.imports import aws, aws_cloudformation, azure, hawkbit, memfault, mender, nerveshub, thingsboard
from sim.scenario.imports.dialect import Dialect

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect("aws-cloudformation", "AWS CloudFormation", aws_cloudformation.convert, aws_cloudformation.recognises),
        Dialect("aws-ota-update", "AWS OTA update", aws.ota_update, aws.is_ota_update, aws.may_be_either),
        Dialect("aws-greengrass", "AWS IoT Greengrass", aws.deployment, aws.is_deployment),
        Dialect("aws-iot-jobs", "AWS IoT Jobs", aws.job, aws.is_job, aws.may_be_either),
        Dialect("hawkbit", "hawkBit", hawkbit.convert, hawkbit.recognises, hawkbit.may_be_assignment),
        Dialect("mender", "Mender", mender.convert, mender.recognises),
        Dialect("azure-device-update", "Azure Device Update", azure.convert, azure.recognises),
        Dialect("nerveshub", "NervesHub", nerveshub.convert, nerveshub.recognises),
        Dialect("thingsboard", "ThingsBoard", thingsboard.convert, thingsboard.recognises),
        Dialect("memfault", "Memfault", memfault.convert, memfault.recognises, lambda document: "cohort" in document),
    )
}


def fitting(document: Mapping[str, Any]) -> list[Dialect]:
    """The dialects of which a document has a field of its own; without any, those it may be."""
    certain = [dialect for dialect in DIALECTS.values() if dialect.certain(document)]
    return certain or [d for d in DIALECTS.values() if d.possible is not None and d.possible(document)]
