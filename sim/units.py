"""Durations, sizes, rates and energies as people write them, to SI numbers and back."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Literal

_NUMBER = re.compile(r"\s*([+-]?\d+(?:[._]?\d+)*(?:[eE][+-]?\d+)?)\s*([^\d\s].*?)?\s*")

DURATIONS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
SIZES = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
}  # fmt: skip
BIT_RATES = {"bit/s": 1.0, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9}
RATES = {"/s": 1.0, "/min": 1 / 60.0, "/h": 1 / 3600.0}
ENERGIES = {"J": 1.0, "kJ": 1e3, "Wh": 3600.0, "mWh": 3.6}


def _parse(given: object, units: dict[str, float] | dict[str, int], what: str, example: str) -> float:
    """A number alone is in the base unit; everything else needs one of the units."""
    hint = f"write {what} like {example} (units: {', '.join(units)})"
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise ValueError(hint)
    if isinstance(given, str):
        match = _NUMBER.fullmatch(given)
        if match is None or (match[2] is not None and match[2] not in units):
            raise ValueError(hint)
        value = float(match[1]) * (units[match[2]] if match[2] else 1.0)
    else:
        value = float(given)
    if not math.isfinite(value) or value < 0.0:
        raise ValueError(f"{hint}; it must be finite and not negative")
    return value


def duration(given: object) -> float:
    """Seconds from `24h`, `10min`, `500ms` or a number of seconds."""
    return _parse(given, DURATIONS, "a duration", "24h")


def size(given: object) -> int:
    """Bytes from `1.2 MB`, `64 KiB` or a whole number of bytes; a fraction of a byte lacks its unit."""
    value = _parse(given, SIZES, "a size", "1.2 MB")
    if value % 1.0 and _bare(given):
        raise ValueError(f"{given} bytes cannot be; write a size with its unit, such as {given} MB")
    return round(value)


def _bare(given: object) -> bool:
    """Whether a number stands without a unit."""
    return not isinstance(given, str) or given.strip()[-1:].isdigit()


def bit_rate(given: object) -> float:
    """Bit per second from `1 Gbit/s` or a number."""
    return _parse(given, BIT_RATES, "a bit rate", "100 Mbit/s")


def rate(given: object) -> float:
    """Events per second from `500/s`, `100/min` or a number."""
    return _parse(given, RATES, "a rate", "500/s")


def energy(given: object) -> float:
    """Joule from `9.36 Wh`, `33.7 kJ` or a number."""
    return _parse(given, ENERGIES, "an energy", "9.36 Wh")


Kind = Literal["duration", "size", "bit rate", "rate", "energy"]
"""What a quantity is."""

READ: dict[Kind, Callable[[object], float]] = {
    "duration": duration, "size": size, "bit rate": bit_rate, "rate": rate, "energy": energy,
}  # fmt: skip
_WRITTEN: dict[Kind, Mapping[str, float]] = {
    "duration": DURATIONS, "size": {unit: SIZES[unit] for unit in ("B", "kB", "MB", "GB")}, "bit rate": BIT_RATES,
    "rate": {"/s": 1.0}, "energy": {unit: ENERGIES[unit] for unit in ("J", "kJ", "Wh")},
}  # fmt: skip
"""Units that a quantity is written in, the smallest first."""
_MEANT: dict[Kind, tuple[str, str]] = {
    "duration": ("{0} could be seconds, minutes, hours or days", "{0}s, {0}min, {0}h or {0}d"),
    "bit rate": ("{0} could be kbit/s or Mbit/s", "{0} kbit/s or {0} Mbit/s"),
    "energy": ("{0} could be Wh or J", "{0} Wh or {0} J"),
    "size": ("{0} could be bytes, kB or MB", "{0} B, {0} kB or {0} MB"),
    "rate": ("{0} could be a second, a minute or an hour", "{0}/s, {0}/min or {0}/h"),
}  # fmt: skip
LEAST_BARE_SIZE = 1000
"""A whole number from here on is taken for bytes; a smaller one needs its unit."""


def check_unit(kind: Kind, given: object) -> None:
    """ValueError for a number without a unit that could mean several things: any but 0, and whole bytes from 1000 on."""
    number = given.strip() if isinstance(given, str) else given
    if isinstance(number, bool) or not _bare(given):
        return
    try:
        value = float(number)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return
    if value == 0.0 or (kind == "size" and value >= LEAST_BARE_SIZE):
        return
    shown = f"{value:g}" if math.isfinite(value) else str(number)
    could, write = _MEANT[kind]
    raise ValueError(f"{could.format(shown)}; write the unit: {write.format(shown)}")


def exact(kind: Kind, value: float) -> str:
    """A quantity as a text with its unit that reads back as the very same number, in the largest unit that does so shortly."""
    listed = _WRITTEN[kind]
    for unit in reversed(list(listed)):
        number = value / listed[unit]
        text = repr(number).removesuffix(".0")
        if number >= 1.0 and len(text) <= _SHORT and READ[kind](text + _gap(unit) + unit) == value:
            return text + _gap(unit) + unit
    base = next(unit for unit, factor in listed.items() if factor == 1.0)
    return repr(value).removesuffix(".0") + _gap(base) + base


_SHORT = 7


def _gap(unit: str) -> str:
    return " " if unit.endswith(("B", "bit/s", "J", "h")) and unit != "h" else ""


def show_duration(seconds: float) -> str:
    """Seconds in the largest unit that keeps the number at 1 or more: `2.5 h`."""
    for unit in ("d", "h", "min", "s"):
        if abs(seconds) >= DURATIONS[unit]:
            return f"{seconds / DURATIONS[unit]:.3g} {unit}"
    return f"{1000 * seconds:.3g} ms" if seconds else "0 s"


def show_share(share: float) -> str:
    """A share in per cent with two digits: `0.12 %`, `35 %`, `100 %`."""
    percent = 100.0 * share
    return f"{percent:.2g} %" if percent < 99.5 else f"{percent:.0f} %"


def show_size(number_of_bytes: float) -> str:
    """Bytes in decimal units: `1.2 MB`."""
    for unit in ("GB", "MB", "kB"):
        if abs(number_of_bytes) >= SIZES[unit]:
            return f"{number_of_bytes / SIZES[unit]:.3g} {unit}"
    return f"{number_of_bytes:.0f} B"


def show_bit_rate(bit_s: float) -> str:
    """Bit per second in decimal units: `1.2 Mbit/s`."""
    for unit in ("Gbit/s", "Mbit/s", "kbit/s"):
        if abs(bit_s) >= BIT_RATES[unit]:
            return f"{bit_s / BIT_RATES[unit]:.3g} {unit}"
    return f"{bit_s:.0f} bit/s"
