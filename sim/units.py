"""Durations, sizes, rates and energies as people write them, to SI numbers and back."""

from __future__ import annotations

import math
import re

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


def show_duration(seconds: float) -> str:
    """Seconds in the largest unit that keeps the number at 1 or more: `2.5 h`."""
    for unit in ("d", "h", "min", "s"):
        if abs(seconds) >= DURATIONS[unit]:
            return f"{seconds / DURATIONS[unit]:.3g} {unit}"
    return f"{1000 * seconds:.3g} ms" if seconds else "0 s"


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
