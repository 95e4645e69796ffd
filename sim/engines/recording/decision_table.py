"""The decisions of a plan as a table and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from sim import records
from sim.cloud.center import Decision
from sim.plugins import Kind
from sim.scenario import Scenario
from sim.strategy.settings import Action
from sim.units import show_duration


def table(scenario: Scenario, decisions: Sequence[Decision], replication: int) -> pd.DataFrame:
    """One row per decision, columns and types of records.DECISION_COLUMNS."""
    rows = [
        (
            replication, d.time_s, d.decision, _group(scenario, d), _detail(scenario, d), d.targets, d.released,
            d.notified, d.completed, d.succeeded, d.failed,
        )
        for d in decisions
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(records.DECISION_COLUMNS)).astype(records.DECISION_COLUMNS)


def group_names(scenario: Scenario) -> list[str]:
    """Names of the rollout groups as the scenario gives them, else by number; one group for a plan without any."""
    groups = scenario.plan.strategy.rollout.groups
    return [g.name or f"group {i}" for i, g in enumerate(groups, 1)] or ["all"]


def _group(scenario: Scenario, d: Decision) -> str:
    """The group a decision is about; those that repeat the last one are numbered after it."""
    if not d.decision.startswith("group_"):
        return ""
    names, groups = group_names(scenario), scenario.plan.strategy.rollout.groups
    if d.subject < len(names):
        return names[d.subject]
    return f"{groups[-1].name} {d.subject + 2 - len(names)}" if groups[-1].name else f"group {d.subject + 1}"


def _detail(scenario: Scenario, d: Decision) -> str:
    """The decision in words, with the setting it rests on."""
    groups = scenario.plan.strategy.rollout.groups
    listed: Any = groups[min(d.subject, len(groups) - 1)] if d.decision.startswith("group_") and groups else None
    criteria = scenario.plan.strategy.abort.criteria
    if d.decision == "criterion_fired" and d.subject >= len(criteria):
        named = [plugin.name for plugin in scenario.plugins if plugin.kind is Kind.ABORT_CRITERION]
        action = Action(int(d.value)).word.replace("_", "-")
        return f"plug-in {named[d.subject - len(criteria)]}: {action}"
    if d.decision == "criterion_fired":
        c = criteria[d.subject]
        return (
            f"criterion {d.subject + 1}: {d.value:.4g} % {c.failure_type} of {c.denominator}, limit "
            f"{c.threshold_percentage:g} % from {c.min_number_of_executed} on{_failed_too(c)}: {c.action}"
        )
    if d.decision == "rate_raised":
        return f"to {d.value:g} per minute"
    if d.decision == "group_failed" and listed:
        return f"{d.value:.4g} % failed, limit {listed.error_threshold_percent:g} %: {listed.error_action}"
    if d.decision == "group_passed" and listed:
        return f"{listed.success_threshold_percent:g} % succeeded or all finished, soak {show_duration(listed.soak)}"
    return f"{int(d.value)} modules" if d.decision == "max_devices_reached" else ""


def _failed_too(criterion: Any) -> str:
    """The number of failures a criterion asks for besides its share, where it asks for one."""
    least = criterion.min_number_of_failed
    return f" and at least {least} failed" if least else ""
