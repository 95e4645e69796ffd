"""A deployment of Memfault as a strategy: a release to a share of a cohort, sampled at random and raised by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.scenario.imports.dialect import Options
from sim.scenario.imports.fields import Fields
from sim.scenario.imports.findings import Findings

PRODUCT = "Memfault"
_TYPES = {"normal": "normal", "staged_rollout": "staged_rollout"}


def _inner(document: Mapping[str, Any]) -> Mapping[str, Any]:
    data = document.get("data")
    return data if isinstance(data, dict) else document


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether it has a field that only these deployments have."""
    inner = _inner(document)
    return "rollout_percent" in inner or {"cohort", "release"} <= inner.keys()


def convert(document: Mapping[str, Any], findings: Findings, _options: Options) -> tuple[str, dict[str, Any]]:
    """Version of the release and the strategy."""
    inner = _inner(document)
    given = Fields(inner, "" if inner is document else "data", findings)
    release = given.raw("release")
    title = release if isinstance(release, str) else release.get("version") if isinstance(release, dict) else ""
    given.leave("the scenario's fleet, whitelist and blacklist say who is meant", "cohort")
    given.leave("the plan's components say what is sent", "delta_from", "delta_to")
    given.leave("it says nothing about the rollout", "extra_info")
    given.lose_if_over("status", ("pulled", "canceled", "aborted", "failed"), ("done", "in_progress", "scheduled"))
    given.about("id", "created_date", "updated_date", "deployed_date", "status", "deployer")
    kind = given.choice("type", _TYPES)
    percent = given.number("rollout_percent", 0, 100)
    given.done()
    strategy: dict[str, Any] = {"preset": "none", "target_selection": "continuous"}
    if kind == "normal" and percent not in (None, 100.0):
        given.refuse("rollout_percent", percent, "a normal deployment goes to the whole cohort; type: staged_rollout")
    elif percent is not None and percent < 100.0:
        strategy["rollout"] = {"groups": [
            {"name": "staged", "percent": percent, "success_action": "pause"}, {"name": "rest"},
        ]}  # fmt: skip
        given.note(
            "rollout_percent",
            "the rest waits until the operator resumes (plan.operator), as it does there until raised",
        )
    elif kind == "staged_rollout" and percent is None:
        given.lose(
            "rollout_percent", "nothing", "a staged rollout whose share is not in the file", "give rollout_percent"
        )
    return str(title or "")[:200], strategy
