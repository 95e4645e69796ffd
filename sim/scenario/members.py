"""A part of the fleet: by group, hardware, id or label."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sim.scenario.fields import Name, Section


class Members(Section):
    """Some of the modules: those that meet each of the lists that are not empty."""

    fleet_groups: list[Name] = Field(default_factory=list, max_length=64)
    """Names of groups of the fleet."""
    hardware: list[str] = Field(default_factory=list, max_length=64)
    """Hardware revisions."""
    modules: list[str] = Field(default_factory=list, max_length=100_000)
    """Modules as ids or globs."""
    labels: dict[str, Annotated[list[str], Field(min_length=1, max_length=1000)]] = Field(
        default_factory=dict, max_length=32
    )
    """Labels of groups of the fleet with the values that are taken: `{site: [lab, plant-2]}`."""
