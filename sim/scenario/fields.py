"""What all sections of the scenario share: the strict base, and values as people write them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializationInfo,
    ValidationInfo,
    WithJsonSchema,
)  # fmt: skip

from sim import units
from sim.cloud.catalog import MAX_COMPONENT_CHARS, MAX_VERSION_CHARS

WRITTEN = {"written": True}
"""Context of validation: values come from a person, so a bare number where a unit is needed is refused."""
COMPUTED = {"computed": True}
"""Context of validation: values come from a calculation, so a small percentage is no slip of a pen."""
WITH_UNITS = {"with_units": True}
"""Context of a dump: quantities as texts with their unit, exactly; else as numbers in base units."""


def quantity(kind: units.Kind, example: str, **number: Any) -> dict[str, Any]:
    """What editors are told of a quantity: a text with its unit, or a number that needs none."""
    return {
        "anyOf": [{"type": "number", **(number or {"const": 0})}, {"type": "string"}], "examples": [example],
        "x-quantity": kind,
    }  # fmt: skip


def with_units(tree: Any, dumped: Any) -> Any:
    """A tree with its numbers as the dump of the same has them, with units; everything else as it stands."""
    if isinstance(tree, dict) and isinstance(dumped, dict):
        return {key: with_units(value, dumped.get(key)) for key, value in tree.items()}
    if isinstance(tree, list) and isinstance(dumped, list) and len(tree) == len(dumped):
        return [with_units(one, other) for one, other in zip(tree, dumped, strict=True)]
    is_number = isinstance(tree, int | float) and not isinstance(tree, bool)
    return dumped if is_number and isinstance(dumped, str) else tree


def read_written(kind: units.Kind, given: object, context: Any) -> float:
    """A quantity in base units; ValueError for a bare number that a person wrote and that needs a unit."""
    if isinstance(context, dict) and context.get("written"):
        units.check_unit(kind, given)
    return units.READ[kind](given)


def _of(kind: units.Kind, number: type, example: str, *bounds: Any, named: bool = False, **bare: Any) -> Any:
    """The type of a key that holds a quantity; `named`: the key says the base unit (`_s`), so a bare number is clear."""

    def read(given: object, info: ValidationInfo) -> float:
        return read_written(kind, given, None if named else info.context)

    def write(value: float, info: SerializationInfo) -> Any:
        return units.exact(kind, value) if info.context == WITH_UNITS else value

    return Annotated[
        number,
        BeforeValidator(read),
        *bounds,
        PlainSerializer(write),
        WithJsonSchema(quantity(kind, example, **bare)),
    ]


if TYPE_CHECKING:
    Duration: TypeAlias = float
    PositiveDuration: TypeAlias = float
    Seconds: TypeAlias = float
    BitRate: TypeAlias = float
    Rate: TypeAlias = float
    Energy: TypeAlias = float
    Size: TypeAlias = int
    PositiveSize: TypeAlias = int
else:
    Duration = _of("duration", float, "10min")
    PositiveDuration = _of("duration", float, "10min", Field(gt=0))
    Seconds = _of("duration", float, "10min", named=True, minimum=0)
    Size = _of("size", int, "1.2 MB", type="integer", minimum=units.LEAST_BARE_SIZE)
    PositiveSize = _of("size", int, "1.2 MB", Field(gt=0), type="integer", minimum=units.LEAST_BARE_SIZE)
    BitRate = _of("bit rate", float, "100 Mbit/s", Field(gt=0))
    Rate = _of("rate", float, "500/s", Field(gt=0), named=True, exclusiveMinimum=0)
    Energy = _of("energy", float, "9.36 Wh", Field(gt=0))
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
    return Field(default=value, validate_default=True)


class Section(BaseModel):
    """Base of all sections: unknown keys are mistakes, values cannot be changed, texts below keys describe them.

    Defaults stand as they are, in base units; those that `written` marks are read like the file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
