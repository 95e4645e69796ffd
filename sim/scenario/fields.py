"""What all sections of the scenario share: the strict base, and values as people write them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from sim import units
from sim.cloud.catalog import MAX_COMPONENT_CHARS, MAX_VERSION_CHARS


def quantity(kind: str, example: str, **number: Any) -> dict[str, Any]:
    """What editors are told of a quantity: a number in base units within bounds, or a text with its unit."""
    return {
        "anyOf": [{"type": "number", **number}, {"type": "string"}], "examples": [example], "x-quantity": kind,
    }  # fmt: skip


_DURATION = ("duration", "10min")
_SIZE = ("size", "1.2 MB")
Duration = Annotated[float, BeforeValidator(units.duration), WithJsonSchema(quantity(*_DURATION, minimum=0))]
PositiveDuration = Annotated[Duration, Field(gt=0), WithJsonSchema(quantity(*_DURATION, exclusiveMinimum=0))]
Size = Annotated[int, BeforeValidator(units.size), WithJsonSchema(quantity(*_SIZE, type="integer", minimum=0))]
PositiveSize = Annotated[Size, Field(gt=0), WithJsonSchema(quantity(*_SIZE, type="integer", minimum=1))]
BitRate = Annotated[
    float, BeforeValidator(units.bit_rate), Field(gt=0),
    WithJsonSchema(quantity("bit rate", "100 Mbit/s", exclusiveMinimum=0)),
]  # fmt: skip
Rate = Annotated[
    float, BeforeValidator(units.rate), Field(gt=0), WithJsonSchema(quantity("rate", "500/s", exclusiveMinimum=0))
]
Energy = Annotated[
    float, BeforeValidator(units.energy), Field(gt=0),
    WithJsonSchema(quantity("energy", "9.36 Wh", exclusiveMinimum=0)),
]  # fmt: skip
Probability = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
"""Texts of one line without control characters."""
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
    """Base of all sections: unknown keys are mistakes, values cannot be changed, texts below keys describe them."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True)
