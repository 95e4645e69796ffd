"""Strategies as plans of real products, by dialect; what a product has no place for is a loss, and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim.scenario.exports import aws, hawkbit, others
from sim.scenario.exports.rest import Rest
from sim.scenario.imports.dialects import DIALECTS
from sim.scenario.imports.findings import Loss
from sim.scenario.strategy import StrategySection

__all__ = ["WRITERS", "export"]

WRITERS: dict[str, Callable[[StrategySection, str], tuple[dict[str, Any], Rest]]] = {
    "aws-iot-jobs": aws.job,
    "aws-ota-update": aws.ota_update,
    "aws-greengrass": aws.deployment,
    "aws-cloudformation": aws.job_template,
    "hawkbit": hawkbit.rollout,
    "mender": others.mender,
    "azure-device-update": others.azure,
    "nerveshub": others.nerveshub,
    "thingsboard": others.thingsboard,
    "memfault": others.memfault,
}


def export(strategy: StrategySection, dialect: str, title: str) -> tuple[dict[str, Any], list[Loss]]:
    """The document of a dialect, and all of the strategy that it cannot hold."""
    document, rest = WRITERS[dialect](strategy, title)
    return document, rest.done(DIALECTS[dialect].product)
