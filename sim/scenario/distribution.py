"""Distributions as a scenario writes them: a plain value, or a mapping with a `distribution` key."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable
from math import inf, isfinite
from pathlib import Path
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from sim.module.distributions import KINDS, Distribution
from sim.scenario.fields import WITH_UNITS, read_written
from sim.units import Kind, exact

_PARAMETERS = {
    "constant": ("value",), "uniform": ("low", "high"), "normal": ("mean", "sd"), "lognormal": ("median", "sigma"),
    "beta": ("a", "b"), "gamma": ("mean", "sd"), "mixture": ("parts",), "empirical": (),
}  # fmt: skip
_PLAIN = ("sigma", "a", "b")
"""Parameters that have no unit."""


def _number(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not isfinite(given):
        raise ValueError(f"a finite number is needed, found {given!r}")
    return float(given)


def _build(given: object, unit: Callable[[object], float]) -> Distribution:
    if not isinstance(given, dict):
        return Distribution("constant", unit(given))
    kind = given.get("distribution")
    if kind not in KINDS:
        raise ValueError(f"distribution: choose from {', '.join(KINDS)}")
    optional = {"low", "high", "quantiles", "file"} if kind == "empirical" else {"low", "high"}
    unknown = given.keys() - {"distribution", "weight", *_PARAMETERS[kind], *optional}
    if unknown:
        raise ValueError(
            f"{kind} has no key {sorted(unknown)[0]!r}; it takes {', '.join(_PARAMETERS[kind])}, low, high"
        )
    missing = [name for name in _PARAMETERS[kind] if name not in given]
    if missing:
        raise ValueError(f"{kind} needs {', '.join(missing)}")
    low = unit(given["low"]) if "low" in given else (0.0 if kind == "beta" else -inf)
    high = unit(given["high"]) if "high" in given else (1.0 if kind == "beta" else inf)
    if low > high:
        raise ValueError("low must not exceed high")
    if kind == "mixture":
        return Distribution(kind, low=low, high=high, parts=_parts(given["parts"], unit))
    if kind == "empirical":
        probabilities, points = _points(given, unit)
        return Distribution(kind, low=low, high=high, probabilities=probabilities, points=points)
    values = [(_number if name in _PLAIN else unit)(given[name]) for name in _PARAMETERS[kind]]
    _check(kind, values, low, high)
    return Distribution(kind, values[0], values[1] if len(values) > 1 else 0.0, low, high)


def _check(kind: str, values: list[float], low: float, high: float) -> None:
    if kind in ("normal", "lognormal") and values[1] < 0:
        raise ValueError(f"{_PARAMETERS[kind][1]} must not be negative")
    if kind in ("beta", "gamma") and min(values) <= 0:
        raise ValueError(f"{' and '.join(_PARAMETERS[kind])} must be positive")
    if kind == "lognormal" and values[0] <= 0:
        raise ValueError("median must be positive")
    if kind == "normal" and values[1] == 0 and not low <= values[0] <= high:
        raise ValueError("mean must lie between low and high when sd is 0")


def _parts(given: object, unit: Callable[[object], float]) -> tuple[tuple[float, Distribution], ...]:
    if not isinstance(given, list) or not given:
        raise ValueError("parts: a list of distributions with a weight each")
    parts = []
    for part in given:
        if not isinstance(part, dict) or _number(part.get("weight", 0)) <= 0:
            raise ValueError("parts: each needs a positive weight")
        parts.append((_number(part["weight"]), _build(part, unit)))
    return tuple(parts)


def _points(given: dict[str, Any], unit: Callable[[object], float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """From quantiles {probability: value}, or from a file with one value a line."""
    if ("quantiles" in given) == ("file" in given):
        raise ValueError("empirical needs either quantiles or file")
    if "file" in given:
        try:
            with Path(str(given["file"])).open(newline="", encoding="utf-8") as lines:
                values = sorted(unit(_number(float(row[0]))) for row in csv.reader(lines) if row and _numeric(row[0]))
        except OSError as error:
            raise ValueError(f"file: {error.strerror}") from None
        if len(values) < 2:
            raise ValueError("file: at least two values are needed")
        return tuple(i / (len(values) - 1) for i in range(len(values))), tuple(values)
    quantiles = given["quantiles"]
    if not isinstance(quantiles, dict) or len(quantiles) < 2:
        raise ValueError("quantiles: at least two, as {probability: value}")
    pairs = sorted((_number(float(p)), unit(value)) for p, value in quantiles.items())
    if not all(0 <= p <= 1 for p, _ in pairs) or any(a[1] > b[1] for a, b in itertools.pairwise(pairs)):
        raise ValueError("quantiles: probabilities from 0 to 1, values that do not fall")
    return tuple(p for p, _ in pairs), tuple(value for _, value in pairs)


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write(d: Distribution, show: Callable[[float], Any] = float) -> Any:
    """A distribution as a scenario would write it, values by `show`; reads back equal."""
    if d.kind == "constant":
        return show(d.a)
    out: dict[str, Any] = {"distribution": d.kind}
    if d.kind == "mixture":
        out["parts"] = [
            {"weight": weight, **(w if isinstance(w := write(part, show), dict) else {"distribution": "constant", "value": w})}
            for weight, part in d.parts
        ]  # fmt: skip
    elif d.kind == "empirical":
        out["quantiles"] = dict(zip(d.probabilities, map(show, d.points), strict=True))
    else:
        values = zip(_PARAMETERS[d.kind], (d.a, d.b), strict=False)
        out.update({name: value if name in _PLAIN else show(value) for name, value in values})
    if d.kind != "uniform":
        out.update({k: show(v) for k, v in (("low", d.low), ("high", d.high)) if isfinite(v)})
    return out


class _Annotation:
    """Teaches pydantic to read and write a Distribution in one unit."""

    def __init__(self, kind: Kind | None, example: str) -> None:
        self.kind = kind
        self.example = example

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        kind = self.kind

        def read(given: object, info: core_schema.ValidationInfo) -> Distribution:
            if isinstance(given, Distribution):
                return given
            return _build(
                given, _number if kind is None else lambda value: float(read_written(kind, value, info.context))
            )

        def show(d: Distribution, info: core_schema.SerializationInfo) -> Any:
            with_units = kind is not None and info.context == WITH_UNITS
            return write(d, (lambda value: exact(kind, value)) if with_units and kind is not None else float)

        return core_schema.with_info_plain_validator_function(
            read, serialization=core_schema.plain_serializer_function_ser_schema(show, info_arg=True)
        )

    def __get_pydantic_json_schema__(self, _core: Any, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        mapping = {
            "type": "object", "required": ["distribution"],
            "properties": {"distribution": {"enum": list(KINDS)}},
        }  # fmt: skip
        text = "a plain value, or a mapping with a `distribution`; `low` and `high` truncate"
        return {
            "anyOf": [{"type": "number"}, {"type": "string"}, mapping],
            "description": text,
            "examples": [self.example],
        }


PercentDistribution = Annotated[Distribution, _Annotation(None, "80")]
ValueDistribution = Annotated[Distribution, _Annotation(None, "-100")]
SizeDistribution = Annotated[Distribution, _Annotation("size", "4 MB")]
TimeDistribution = Annotated[Distribution, _Annotation("duration", "4h")]
