"""The random scenarios that hold engines against each other use every key of the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import yaml
from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel

from sim.module.parameters import PARAMETERS
from sim.scenario import Scenario
from tests.strategies import ANY
from tests.support import BASE

NOT_DRAWN = (
    "format", "description", "plugins", "gates", "fleet.modules", "plan.components.file", "plan.strategy.losses", "cloud.url", "cloud.tenant", "cloud.kind", "cloud.server",
    *(f"fleet.groups.{name}" for name in ("file", "sheet", "columns", "versions", "where", "duplicates", "labels")),
)  # fmt: skip
"""What no engine reads (gates, losses), functions of other packages, what names files (tests/scenario has those), kinds of cloud (drawn beside the rest)."""


def models(kind: Any) -> Iterator[type[BaseModel]]:
    """The sections within a type."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in get_args(kind):
        yield from models(part)


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of a section, dotted; parameters of the model are one key, since all are drawn alike."""
    for name, field in model.model_fields.items():
        if name not in PARAMETERS:
            yield prefix + name
            for inner in models(field.annotation):
                yield from keys(inner, f"{prefix}{name}.")


def used(given: Any, prefix: str) -> Iterator[str]:
    """Every key of a tree, dotted; places in lists left out."""
    if isinstance(given, dict):
        for name, value in given.items():
            yield f"{prefix}{name}"
            yield from used(value, f"{prefix}{name}.")
    elif isinstance(given, list):
        for value in given:
            yield from used(value, prefix)


def test_every_key_of_the_model_is_drawn():
    """A new key that no random scenario sets is one on which the engines may differ unseen."""
    found = set(used(yaml.safe_load(BASE), ""))

    @settings(
        max_examples=1500, database=None, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(ANY)
    def collect(drawn: dict[str, Any]) -> None:
        for dotted, text in drawn.items():
            place = ".".join(part for part in dotted.split(".") if not part.isdigit())
            found.update(used(yaml.safe_load(str(text)), f"{place}."), (place[:i] for i in range(len(place) + 1)))

    collect()
    missing = {
        key for key in keys(Scenario) if not any(key == no or key.startswith(f"{no}.") for no in NOT_DRAWN)
    } - found
    assert not missing, sorted(missing)
