"""What a study varies: keys of the scenario with levels or a range, as the command line writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sim import units
from sim.errors import StudyError
from sim.scenario import json_schema
from sim.scenario.bare_numbers import CURE, doubtful

_SHOWN: dict[str, Callable[[float], str]] = {
    "duration": units.show_duration, "size": units.show_size, "bit rate": units.show_bit_rate,
}  # fmt: skip
_BASE_UNITS = {"": "", "duration": "s", "size": "B", "bit rate": "bit/s", "rate": "/s", "energy": "J"}
_FORMS = "write key=1,2,3 or key=low:high:count or key=low:high (units allowed, :log at the end for even ratios)"
MAX_LEVELS = 1000
_SAYS_LITTLE = ("percent", "every", "jitter", "mean", "sd", "median", "low", "high", "share", "size", "count", "preset")
"""Last parts of keys that say little without the part before them."""

Settings = dict[str, Any]
"""Values by dotted key: one point of a study."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One key with its levels, or with a range when `levels` is empty. Numbers are in base units (s, B, bit/s, 1/s)."""

    key: str
    levels: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    integer: bool = False
    log: bool = False
    unit: str = ""

    @property
    def name(self) -> str:
        """The last part of the key, with what it is of where that says too little: what tables and figures call it."""
        *above, last = self.key.split(".")
        if last in _SAYS_LITTLE and above and not above[-1].isdigit():
            last = f"{above[-1]} {last}"
        entry = next((i for i, part in enumerate(above) if part.isdigit() and i), 0)
        return f"{above[entry - 1]} {above[entry]} {last}" if entry else last

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers that have an order."""
        return all(isinstance(v, int | float) and not isinstance(v, bool) for v in self.levels)

    @property
    def text(self) -> str:
        """As the command line writes it: `parse_axis` makes the same axis of it."""
        unit = _BASE_UNITS[self.unit]
        if not self.levels:
            return f"{self.key}={self.low!r}{unit}:{self.high!r}{unit}{':log' if self.log else ''}"
        return f"{self.key}={','.join(f'{v!r}{unit}' if unit else json.dumps(v) for v in self.levels)}"

    @property
    def ends(self) -> tuple[float, float] | None:
        """The least and the largest value that is tried; None where values have no order, or there is one."""
        tried = self.levels or (self.low, self.high)
        return (min(tried), max(tried)) if self.numeric and len(tried) > 1 else None

    def border(self, value: Any) -> Literal["", "lower", "upper"]:
        """The end of what is tried that a value lies at, within 2 % of a range; "" inside, and at a natural limit (0, 100 %)."""
        if self.ends is None:
            return ""
        low, high = self.ends
        reach = 0.0 if self.levels or self.integer else 0.02
        place, width = (
            (np.log(value / low), np.log(high / low)) if self.log and not self.levels else (value - low, high - low)
        )
        if place <= reach * width:
            return "" if low == 0 else "lower"
        at_limit = self.name.endswith("percent") and high == 100
        return "upper" if place >= (1 - reach) * width and not at_limit else ""

    def at(self, unit: float) -> Any:
        """The value at a place between 0 and 1 along the range, or the level there."""
        if self.levels:
            return self.levels[min(int(unit * len(self.levels)), len(self.levels) - 1)]
        if self.integer:
            return min(int(self.low + unit * (self.high - self.low + 1.0)), int(self.high))
        if self.log:
            return float(np.exp(np.log(self.low) + unit * (np.log(self.high) - np.log(self.low))))
        return self.low + unit * (self.high - self.low)

    def show(self, value: Any) -> str:
        """The value as a reader knows it: `10 min`, `30`, `defer`."""
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, bool):
            return str(value).lower()
        if not isinstance(value, int | float):
            return str(value) if isinstance(value, str) else json.dumps(value)
        if self.unit in _SHOWN:
            return _SHOWN[self.unit](value)
        if self.name.endswith("percent"):
            return f"{value:.4g} %"
        return f"{value:.6g} dBm" if self.name.endswith("_dbm") else f"{value:.6g}"


def parse_axis(text: str) -> Axis:
    """An axis from `key=1,2`, `key=lo:hi:n`, `key=lo:hi`, or a key alone for every choice it has. Raises StudyError."""
    key, equals, given = (part.strip() for part in text.partition("="))
    kind = _kind(key)
    if not equals:
        if not kind.choices:
            raise StudyError(f"--vary {text}: {_FORMS}")
        return Axis(key, kind.choices)
    _check_units(kind.quantity, given, text)
    parts = given.split(":")
    log = len(parts) > 2 and parts[-1] == "log"
    numbers = [_quantity(p) for p in (parts[:-1] if log else parts)]
    if 2 <= len(numbers) <= 3 and "," not in given and all(n is not None for n in numbers):
        return _ranged(key, [n for n in numbers if n is not None], log, kind.integer, text)
    return _listed(key, given, text)


def _check_units(kind: str, given: str, text: str) -> None:
    """StudyError for a bare number where a file would need a unit; one end of a range with a unit speaks for both."""
    values = re.split("[:,]", given)[:2] if ":" in given else given.split(",")
    if not kind or any(found is not None and found[1] for found in map(_quantity, values)):
        return
    for value in values:
        try:
            units.check_unit(kind, value)  # type: ignore[arg-type]
        except ValueError as error:
            raise StudyError(f"--vary {text}: {error}") from None


@dataclass(frozen=True, slots=True)
class _Kind:
    integer: bool = False
    choices: tuple[Any, ...] = ()
    quantity: str = ""


@cache
def _kind(key: str) -> _Kind:
    """What the schema says of a key: whole numbers only, or one of some choices. Nothing for a key it does not list."""
    schema = json_schema()
    options = [schema]
    for part in key.split("."):
        options = [o for node in options for o in _options(_inside(node, part), schema)]
    types = {node.get("type") for node in options}
    choices = [c for node in options for c in (node.get("enum") or ([node["const"]] if "const" in node else []))]
    if "boolean" in types:
        choices += [True, False]
    quantity = next((str(node["x-quantity"]) for node in options if "x-quantity" in node), "")
    return _Kind("integer" in types and "number" not in types, tuple(choices), quantity)


def _options(node: Mapping[str, Any], schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A node of the schema without references and alternatives."""
    if "$ref" in node:
        return _options(schema["$defs"][node["$ref"].rsplit("/", 1)[1]], schema)
    if "anyOf" in node:
        kept = {name: node[name] for name in ("x-quantity",) if name in node}
        return [{**o, **kept} for option in node["anyOf"] for o in _options(option, schema)]
    return [dict(node)]


def _inside(node: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    if "items" in node:
        found: Mapping[str, Any] = node["items"]
        return found
    named: Mapping[str, Any] = node.get("properties", {}).get(part, {})
    return named


def _plain_number(text: object) -> float:
    return float(str(text).removesuffix("%"))


def _quantity(text: str) -> tuple[float, str] | None:
    """A number in base units and the kind of its unit; None when it is no number."""
    text = text.strip()
    for kind, read in (("", _plain_number), *units.READ.items()):
        try:
            value = float(read(text))
        except ValueError:
            continue
        return (value, kind) if np.isfinite(value) else None
    return None


def _ranged(key: str, numbers: list[tuple[float, str]], log: bool, integer: bool, text: str) -> Axis:
    (low, unit), (high, other) = numbers[:2]
    unit = unit or other
    if low >= high:
        raise StudyError(f"--vary {text}: the range runs from low to high, found {low:g} and {high:g}")
    if log and low <= 0:
        raise StudyError(f"--vary {text}: a log range begins above 0")
    if len(numbers) == 2:
        return Axis(key, (), low, high, integer, log, unit)
    count, spare = numbers[2]
    if spare or count != int(count) or not 2 <= count <= MAX_LEVELS:
        raise StudyError(f"--vary {text}: the count is a whole number from 2 to {MAX_LEVELS}")
    places = np.geomspace(low, high, int(count)) if log else np.linspace(low, high, int(count))
    levels = [float(f"{v:.12g}") for v in places]  # 0.1 * 3 is 0.3 for a reader
    if integer:
        levels = list(dict.fromkeys(round(v) for v in levels))
    return Axis(key, tuple(levels), unit=unit)


def _listed(key: str, given: str, text: str) -> Axis:
    for number in doubtful(f"[{given}]"):
        raise StudyError(f"--vary {text}: {number.written}: {CURE}")
    try:
        values = YAML(typ="safe").load(f"[{given}]")
    except YAMLError:
        values = []
    if not values or any(v is None for v in values):
        raise StudyError(f"--vary {text}: {_FORMS}")
    found = [_quantity(v) if isinstance(v, str) else None for v in values]
    unit = next((f[1] for f in found if f is not None), "")
    if unit and all(f is not None for f in found):
        values = [f[0] for f in found if f is not None]
    if len({json.dumps(v) for v in values}) < len(values):
        raise StudyError(f"--vary {text}: a value stands twice")
    return Axis(key, tuple(values), unit=unit)
