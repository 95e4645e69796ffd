"""What all sections of the scenario share: the strict base, and values as people write them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sim import units
from sim.cloud.catalog import MAX_COMPONENT_CHARS, MAX_VERSION_CHARS

Duration = Annotated[float, BeforeValidator(units.duration), Field(json_schema_extra={"examples": ["24h"]})]
PositiveDuration = Annotated[Duration, Field(gt=0)]
Size = Annotated[int, BeforeValidator(units.size), Field(json_schema_extra={"examples": ["1.2 MB"]})]
BitRate = Annotated[float, BeforeValidator(units.bit_rate), Field(gt=0)]
Rate = Annotated[float, BeforeValidator(units.rate), Field(gt=0)]
Energy = Annotated[float, BeforeValidator(units.energy), Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Version = Annotated[str, Field(min_length=1, max_length=MAX_VERSION_CHARS)]
ComponentId = Annotated[str, Field(min_length=1, max_length=MAX_COMPONENT_CHARS)]


def clock_s(given: object) -> float:
    """`HH:MM` as seconds of the day."""
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", given) if isinstance(given, str) else None
    if match is None:
        raise ValueError('write a time of day like "22:00", in quotes')
    return int(match[1]) * 3600.0 + int(match[2]) * 60.0


def _checked_clock(given: Any) -> Any:
    clock_s(given)
    return given


Clock = Annotated[str, BeforeValidator(_checked_clock)]


def written(value: dict[str, Any]) -> Any:
    """A default as the file would write it; pydantic parses it like any other value."""
    return Field(default=value)


class Section(BaseModel):
    """Base of all sections: unknown keys are mistakes, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
