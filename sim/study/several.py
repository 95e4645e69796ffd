"""Several scenarios in one search: their names behind metrics, their tables side by side, what they must share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pandas as pd

from sim.errors import StudyError
from sim.scenario import Scenario
from sim.stats.campaigns import estimate
from sim.stats.replicated import Estimate
from sim.study.axes import Axis
from sim.study.objectives import Constraint, Objective, column, part

Wanted = TypeVar("Wanted", Objective, Constraint)

RELEASE_METRICS = ("stopped", "took_image", "success_rate")
"""What every candidate shows on each scenario: false or right stops, blast radius, success."""


def named(given: Scenario | Sequence[Scenario]) -> dict[str, Scenario]:
    """Scenarios by their names. Raises StudyError for none, or two of one name."""
    scenarios = [given] if isinstance(given, Scenario) else list(given)
    found = {scenario.name: scenario for scenario in scenarios}
    if not found:
        raise StudyError("nothing to search: give a scenario")
    if len(found) < len(scenarios):
        raise StudyError(
            f"two scenarios are called {scenarios[0].name}: metrics name theirs, so give each a name: of its own"
        )
    return found


def of_one(wanted: Wanted, scenarios: Mapping[str, Scenario]) -> Wanted:
    """An objective or constraint with every metric given to one of the scenarios. Raises StudyError."""
    if isinstance(wanted, Objective):
        terms = tuple((w, metric, _of(of, metric, wanted.text, scenarios)) for w, metric, of in wanted.terms)
        return replace(wanted, terms=terms)
    return replace(wanted, of=_of(wanted.of, wanted.metric, wanted.text, scenarios))


def _of(given: str, metric: str, text: str, scenarios: Mapping[str, Scenario]) -> str:
    if given and given not in scenarios:
        raise StudyError(f"{text}: no scenario is called {given}; choose from {', '.join(scenarios)}")
    if not given and len(scenarios) > 1:
        listed = " or ".join(column(metric, name) for name in scenarios)
        raise StudyError(f"{text}: several scenarios have {metric}; write {listed}")
    return given if len(scenarios) > 1 else ""


def joined(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One table of campaigns, a row per replication: of one scenario as it is, of several with the names behind columns."""
    if len(tables) == 1:
        return next(iter(tables.values()))
    first = next(iter(tables.values()))["replication"]
    renamed = [
        t.drop(columns="replication").rename(columns={c: column(c, name) for c in t.columns})
        for name, t in tables.items()
    ]
    return pd.concat([first, *renamed], axis=1)


def told_of(
    frame: pd.DataFrame, scenarios: Mapping[str, Scenario], objectives: Sequence[Objective], constraints: Sequence[Constraint]
) -> dict[str, dict[str, Estimate]]:  # fmt: skip
    """By scenario, RELEASE_METRICS and every metric of the search there, each over the campaigns of the table."""
    asked = [(of, metric) for o in objectives for _, metric, of in o.terms] + [(c.of, c.metric) for c in constraints]
    found = {}
    for name in scenarios:
        of = name if len(scenarios) > 1 else ""
        metrics = dict.fromkeys([*RELEASE_METRICS, *(metric for whose, metric in asked if whose == of)])
        own = part(frame, of)
        found[name] = {metric: estimate(own, metric) for metric in metrics}
    return found


def check_alike(scenarios: Mapping[str, Scenario], axes: Sequence[Axis]) -> None:
    """Raises StudyError where strategies differ in what is not varied: a recommendation would not be one strategy."""
    same = {axis.key: axis.at(0.0) for axis in axes}
    (first, *others) = ((name, _strategy(s.computed(same))) for name, s in scenarios.items())
    for name, strategy in others:
        for key, mine, theirs in _differences(first[1], strategy, "plan.strategy"):
            raise StudyError(
                f"{key}: {mine!r} in {first[0]}, {theirs!r} in {name}; the scenarios of a search share one strategy: "
                "make them equal, or vary the key"
            )


def _strategy(scenario: Scenario) -> dict[str, Any]:
    return scenario.plan.strategy.model_dump(mode="json")


def _differences(one: Any, other: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one.keys() | other.keys():
            yield from _differences(one.get(name), other.get(name), f"{key}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            yield from _differences(mine, theirs, f"{key}.{number}")
    elif one != other:
        yield key, one, other
