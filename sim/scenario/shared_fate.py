"""What modules share: lots of hardware with a common chance of failure, and outages of their place."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sim.scenario.fields import Duration, Name, PositiveDuration, Probability, Section
from sim.scenario.members import Members

MOST_OUTAGES = 16
"""Outages of a scenario, those of the cloud included, at most."""


class Lots(Section):
    """Lots of hardware: a release suits one lot better than another. Give `size` or `label`."""

    size: Annotated[int, Field(ge=1)] | None = None
    """Modules of a lot, by consecutive numbers; more than the fleet has: all share one fate. Modules with ids of their own need `label`."""
    label: Name | None = None
    """Label whose values are the lots, such as `batch`; modules without it are in none."""
    correlation: Annotated[float, Field(gt=0, lt=1)]
    """Correlation of two modules of a lot to fail alike: the chance of a lot is beta distributed around that of the release."""

    @model_validator(mode="after")
    def _one(self) -> Lots:
        if (self.size is None) == (self.label is None):
            raise ValueError("lots: give either size or label")
        return self


class CloudOutage(Section):
    """A time in which no module reaches the cloud or its downloads: sessions break, connections fail until it is over."""

    at: Duration
    """When it begins, after activation, such as `30h`."""
    lasts: PositiveDuration
    """How long it lasts, such as `2h`."""
    every: PositiveDuration | None = None
    """Time from one to the next, such as `7d`; not set: once."""

    @model_validator(mode="after")
    def _apart(self) -> CloudOutage:
        if self.every is not None and self.every <= self.lasts:
            raise ValueError("every: must be longer than the outage lasts")
        return self


class Outage(CloudOutage):
    """A time in which a part of the fleet has no network or no mains power: a region, a cell, a carrier's maintenance."""

    of: Literal["network", "power"] = "network"
    """`network`: sessions break, attempts fail until it is over; `power`: modules on mains are off and come back in step."""
    where: Members | None = None
    """Whom it may concern; not set: all."""
    share: Probability = 1.0
    """Chance that it concerns a module, or with `together` a whole place, drawn by the seed."""
    together: Name | None = None
    """What is hit as one: `cell`, or a label such as `region`; not set: each module by itself."""
