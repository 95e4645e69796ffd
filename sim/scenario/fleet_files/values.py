"""Texts of a fleet file to values: numbers with their units and decimal marks, times, ids; what is in doubt is asked for.

A column is worked on by its distinct texts, so that a million rows cost what their variety costs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import available_timezones

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sim import units
from sim.scenario.fleet_files.columns import Column
from sim.scenario.fleet_files.faults import Faults

Array = NDArray[np.float64]
NOTHING = frozenset({"", "na", "n/a", "#n/a", "null", "none", "nan", "-", "--", "–", "—", "?", "unknown"})
"""Texts that mean that there is no value, in any case; of ids only the empty one does."""
_NUMBER = re.compile(r"([+-]?)((?:\d[\d.,]*|[.,]\d+))(?:[eE]([+-]?\d{1,3}))?(\D*)")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[ '’\u00a0\u202f\u2009](?=\d{3}(?!\d))")
_PERHAPS_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
_THOUSANDS_COMMA, _THOUSANDS_DOT = re.compile(r"\d{1,3}(,\d{3})+"), re.compile(r"\d{1,3}(\.\d{3}){2,}")


@dataclass(slots=True)
class Texts:
    """A column as numbers into its distinct texts, trimmed; -1 where there is no value."""

    codes: NDArray[np.int64]
    distinct: list[str]

    def rows_of(self, codes: Sequence[int], most: int) -> tuple[list[int], list[str], int]:
        """The first rows that have one of the texts, these texts, and how many rows have one."""
        hit = np.isin(self.codes, np.asarray(codes))
        rows = np.flatnonzero(hit)[:most]
        return rows.tolist(), [self.distinct[c] for c in self.codes[rows].tolist()], int(hit.sum())


def texts_of(column: Any, absent: frozenset[str]) -> tuple[Texts, int]:
    """Distinct texts of a column, and how many were cells like ="0123", which are taken for what is between the quotes."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = pc.dictionary_encode(array)
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    places: dict[str, int] = {}
    moved = np.empty(len(encoded.dictionary), dtype=np.int64)
    unwrapped = 0
    for i, text in enumerate(encoded.dictionary.to_pylist()):
        clean, was_wrapped = (text, False) if text.isalnum() else _clean(text)
        unwrapped += was_wrapped
        moved[i] = -1 if clean.casefold() in absent else places.setdefault(clean, len(places))
    return Texts(moved[codes] if len(codes) else codes, list(places)), unwrapped


def _clean(text: str) -> tuple[str, bool]:
    text = text.strip().strip("\u00a0\ufeff").strip()
    if len(text) > 3 and text.startswith('="') and text.endswith('"'):
        return text[2:-1].strip(), True
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].strip(), False
    if len(text) > 1 and text[0] == "'" and text[1:].isdigit():
        return text[1:], True
    return text, False


@dataclass(frozen=True, slots=True)
class Quantity:
    """How texts of a kind of number are read: units of suffixes, bounds in ours, and how bare numbers are taken."""

    name: str
    suffixes: dict[str, float]
    low: float
    high: float
    needed: str


_SIZES = {
    **{unit.casefold(): float(factor) for unit, factor in units.SIZES.items()},
    "byte": 1.0, "bytes": 1.0, "k": 1e3, "m": 1e6, "g": 1e9,
}  # fmt: skip
_PERHAPS_BITS = ("Kb", "Mb", "Gb")
"""Written so, with a small b, a unit is bits by the book; all in small letters (`mb`) it is bytes, as people write it."""
QUANTITIES = {
    "rsrp_dbm": Quantity("a signal", {"dbm": 1.0}, -160.0, -20.0, "a signal from -160 to -20 dBm is needed"),
    "battery_percent": Quantity("a charge", {"%": 1.0, "percent": 1.0, "pct": 1.0}, 0.0, 100.0, "a charge from 0 to 100 % is needed"),
    "free_space": Quantity("a size", _SIZES, 0.0, 1e15, "a size from 0 bytes to 1 PB is needed"),
}  # fmt: skip


def split(text: str) -> tuple[str, str, str] | None:
    """Sign and digits as written, exponent, and what stands behind; None when it is no number."""
    plain = _BETWEEN_DIGITS.sub("", text.replace("−", "-").replace("–", "-"))
    match = _NUMBER.fullmatch(plain)
    if match is None:
        return None
    return match[1] + match[2], match[3] or "0", match[4].strip()


def decimal_mark(numbers: Sequence[str], *, small: bool, dots_are_decimal: bool = False) -> str | None:
    """The decimal mark of a column's numbers: `.` or `,`, or None when they can be read both ways.

    `small`: values of four digits cannot be meant, so that `80,125` is no eighty thousand. `dots_are_decimal`: the file's
    kind has numbers of its own, with a dot.
    """
    both = [n for n in numbers if "," in n and "." in n]
    if both:
        last = {"," if n.rfind(",") > n.rfind(".") else "." for n in both}
        return last.pop() if len(last) == 1 else None
    commas = [n for n in numbers if "," in n]
    dots = [n for n in numbers if "." in n]
    if not commas:
        if not small and not dots_are_decimal and dots and all(_PERHAPS_THOUSANDS.fullmatch(n) for n in dots):
            return None
        return "," if any(_THOUSANDS_DOT.fullmatch(n.lstrip("+-")) for n in dots) else "."
    grouped = [n for n in commas if _THOUSANDS_COMMA.fullmatch(n.lstrip("+-"))]
    if small or len(grouped) < len(commas):
        return None if dots or any(n.count(",") > 1 for n in commas) else ","
    return "." if dots or any(n.count(",") > 1 for n in commas) else None


def _value(digits: str, exponent: str, mark: str) -> float:
    other = "," if mark == "." else "."
    return float(f"{digits.replace(other, '').replace(',', '.')}e{exponent}")


def numbers_of(texts: Texts, key: str, given: Column, faults: Faults, *, dots_are_decimal: bool = False) -> Array:
    """A column of numbers in our units, NaN where there is no value; faults are added, not raised."""
    quantity = QUANTITIES[key]
    parts = [split(text) for text in texts.distinct]
    read = [part for part in parts if part is not None]
    mark = given.decimal or decimal_mark(
        [digits for digits, _, _ in read], small=key != "free_space", dots_are_decimal=dots_are_decimal
    )
    if mark is None:
        doubtful = [t for t in texts.distinct if "," in t] or [t for t in texts.distinct if "." in t]
        faults.add(
            given.column, 'the decimal mark is in doubt: write decimal: "," or decimal: "." for this column',
            values=doubtful[:3],
        )  # fmt: skip
        return np.full(len(texts.codes), np.nan)
    bare = np.array([part is None or not part[2] for part in parts], dtype=np.bool_)
    plain = np.array([np.nan if part is None else _value(part[0], part[1], mark) for part in parts])
    plain, cure = _scaled(key, given, plain, bare, parts, texts)
    if cure:
        faults.add(given.column, cure, values=texts.distinct[:3])
        return np.full(len(texts.codes), np.nan)
    with np.errstate(invalid="ignore"):
        bad = ~np.isfinite(plain) | (plain < quantity.low) | (plain > quantity.high)
    for wrong, why in _reasons(key, quantity, given, parts, plain, bad, texts.distinct):
        rows, values, count = texts.rows_of(wrong, 25)
        if count:
            faults.add(given.column, why, rows, values, count)
    plain[bad] = np.nan
    return np.concatenate([plain, [np.nan]])[texts.codes]


def _scaled(
    key: str, given: Column, plain: Array, bare: NDArray[np.bool_], parts: Sequence[Any], texts: Texts
) -> tuple[Array, str]:  # fmt: skip
    """Values in our unit, and what must be said first where the unit is in doubt."""
    suffixes = QUANTITIES[key].suffixes
    factors = np.array([suffixes.get(p[2].casefold(), np.nan) if p is not None and p[2] else 1.0 for p in parts])
    used = bare & np.isfinite(plain)
    if key == "rsrp_dbm":
        scaled = {"unsigned-dBm": -np.abs(plain), "index": plain - 141.0}.get(given.unit or "dBm", plain)
        if given.unit == "index":
            scaled = np.where((plain >= 0) & (plain <= 97), scaled, np.nan)
        return np.where(bare, scaled, plain * factors), ""
    if key == "battery_percent":
        if given.unit is None and used.any() and _perhaps_fractions(plain[used], _shares(texts, used)):
            return plain, "per cent or fractions? Write unit: percent or unit: fraction for this column"
        return np.where(bare & (given.unit == "fraction"), plain * 100.0, plain * factors), ""
    bits = [p[2] for p in parts if p is not None and p[2] in _PERHAPS_BITS]
    if bits:
        return plain, f"bits or bytes? {bits[0]} is read as either; write {bits[0][0]}B for bytes"
    if given.unit is None and used.any():
        if np.median(plain[used]) < 100e3:
            return plain, "which unit? Write unit: B, kB, MB, KiB or MiB for this column"
        return plain * factors, ""
    return np.where(bare, plain * _SIZES[(given.unit or "B").casefold()], plain * factors), ""


def _shares(texts: Texts, used: NDArray[np.bool_]) -> Array:
    """How many rows have each of the texts that are used."""
    return np.bincount(texts.codes[texts.codes >= 0], minlength=len(texts.distinct))[used].astype(np.float64)


def _perhaps_fractions(values: Array, rows: Array) -> bool:
    """All at most 1, or a tenth of the rows strictly between 0 and 1: nobody can tell 1 % from 100 %."""
    between = rows[(values > 0) & (values < 1)].sum()
    return bool((values.max() <= 1 and values.max() > 0) or between >= 0.1 * rows.sum())


def _reasons(
    key: str, quantity: Quantity, given: Column, parts: Sequence[Any], plain: Array, bad: NDArray[np.bool_],
    distinct: Sequence[str],
) -> list[tuple[list[int], str]]:  # fmt: skip
    """The texts that cannot be used, by what is wrong with them."""
    kinds: dict[str, list[int]] = {}
    for i in np.flatnonzero(bad).tolist():
        part = parts[i]
        if part is None:
            why = f"no number; {quantity.needed}"
        elif part[2] and part[2].casefold() not in quantity.suffixes:
            why = f"the unit {part[2][:12]!r} is none of {quantity.name}; {quantity.needed}"
        elif key == "rsrp_dbm" and given.unit is None and plain[i] > 0:
            why = "a positive signal: write unit: unsigned-dBm where the minus is left out, or unit: index for 3GPP's 0 to 97"
        else:
            why = f"{quantity.needed}; where it stands for no value, list it: absent: [{distinct[i]!r}]"
        kinds.setdefault(why, []).append(i)
    return [(wrong, why) for why, wrong in kinds.items()]


def days_of(texts: Texts, given: Column, faults: Faults) -> Texts:
    """A column of times as days in UTC, `2026-11-29`."""
    days: list[str] = []
    wrong: dict[str, list[int]] = {}
    for i, text in enumerate(texts.distinct):
        try:
            days.append(_day(text, given.unit))
        except ValueError as error:
            days.append("")
            wrong.setdefault(str(error), []).append(i)
    for why, codes in wrong.items():
        rows, values, count = texts.rows_of(codes, 25)
        faults.add(given.column, why, rows, values, count)
    return renamed(texts, days)


_DAY_FIRST = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})\b.*")


def _day(text: str, unit: str | None) -> str:
    if text == "0":  # how servers write "never"
        return ""
    if re.fullmatch(r"\d{9,14}(\.\d+)?", text) and unit in (None, "s", "ms"):
        seconds = float(text) / (1000.0 if unit == "ms" or (unit is None and float(text) > 1e11) else 1.0)
        return datetime.fromtimestamp(seconds, UTC).date().isoformat()
    short = _DAY_FIRST.fullmatch(text)
    if short and unit in (None, "day-first", "month-first"):
        first, second = int(short[1]), int(short[3])
        if unit is None and short[2] != "." and first <= 12 and second <= 12 and first != second:
            raise ValueError("day or month first? Write unit: day-first or unit: month-first for this column")
        month_first = unit == "month-first" or (unit is None and second > 12)
        return (
            datetime(int(short[4]), *((first, second) if month_first else (second, first)), tzinfo=UTC)
            .date()
            .isoformat()
        )
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            "no time that is understood: write it like 2026-11-29T13:05:00Z, or as seconds since 1970"
        ) from None
    return (moment.astimezone(UTC) if moment.tzinfo else moment).date().isoformat()


_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])(\d{1,2})(?::?([0-5]\d))?")


def zones_of(texts: Texts, given: Column, faults: Faults) -> Texts:
    """A column of time zones, by their IANA names or as offsets like `+05:30`."""
    known = {name.casefold(): name for name in available_timezones()}
    zones, wrong = [], []
    for i, text in enumerate(texts.distinct):
        offset = _OFFSET.fullmatch(text)
        zone = known.get(text.casefold(), "")
        if not zone and offset and int(offset[2]) <= 14:
            zone = f"{offset[1]}{int(offset[2]):02d}:{offset[3] or '00'}"
        zones.append(zone)
        if not zone:
            wrong.append(i)
    rows, values, count = texts.rows_of(wrong, 25)
    if count:
        faults.add(given.column, "no time zone: write it like Europe/Berlin or +05:30", rows, values, count)
    return renamed(texts, zones)


def renamed(texts: Texts, names: Sequence[str]) -> Texts:
    """The column with other texts; equal ones fall together, an empty one is no value."""
    places: dict[str, int] = {}
    moved = np.array([-1 if not n else places.setdefault(n, len(places)) for n in names] + [-1], dtype=np.int64)
    return Texts(moved[texts.codes], list(places))


NOT_PRINTABLE = (
    (re.compile(r".*[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd].*", re.DOTALL), "control or broken characters: export it again"),
    (re.compile(r".*[\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff].*", re.DOTALL), "characters that are not seen: type it again"),
)  # fmt: skip
"""What no text of a list of devices is."""
DAMAGED = (
    (re.compile(r"[+-]?\d+([.,]\d+[eE][+-]?|[eE]\+)\d+"), "a program has rounded it: export the column as text again"),
    (re.compile(r"\d+\.0+"), "a program took it for a number, leading zeros may be lost: export the column as text again"),
    (re.compile(r"=.*"), "a formula: save its value"),
    *NOT_PRINTABLE,
    (re.compile(r".{129,}", re.DOTALL), "at most 128 characters"),
)  # fmt: skip
"""What an id looks like that is not what it was."""
_DATE = r"(?:\d{1,2}([./])\d{1,2}\1\d{4}|(?:19|20)\d{2}-\d{2}-\d{2})(?:[ T].*)?"
NO_IDS = (
    (re.compile(r"(?:grand ?|sub)?(?:totals?|sum|summe|gesamt|gesamtsumme|somme|totale)(?:\s*[:=].*|\s+[\d.,]+)?", re.IGNORECASE),
     "a line of totals is no module: delete it"),
    (re.compile(r"\(?\d+ rows?\)?(?: in set.*)?", re.IGNORECASE), "a line of totals is no module: delete it"),
    (re.compile(r"#.*|//.*"), "a comment is no module: delete the line"),
    (re.compile(r"[-=+_|:*~ ]{3,}"), "a drawn line is no module: delete it"),
    (re.compile(rf"{_DATE}|\d{{1,2}}-(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(?:-\d{{2,4}})?", re.IGNORECASE),
     "a date is no id of a module: take another column, or export it as text again"),
)  # fmt: skip
"""What stands in a column of ids and is none."""
NO_VERSIONS = (
    (re.compile(r"\d[\d.]*(?:,\d[\d.]*)+"), "a decimal comma, or several versions: write the one version as text, such as 1.10"),
)  # fmt: skip
MOST_PLAIN = 100
"""Digits alone, no more than these, are as they were."""
_MONTH = (
    r"(?:jan(?:v|uar|uary)?|feb(?:ruar|ruary)?|mar(?:ch)?|mrz|m(?:ä|ae)rz?|apr(?:il)?|ma[yi]|june?|juni|july?|juli|aug(?:ust)?"
    r"|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)"
)
MONTH = re.compile(rf"\d{{1,2}}[-. /]{{1,2}}{_MONTH}\.?(?:[-. /]\d{{2,4}})?|{_MONTH}\.?[-. /]\d{{2,4}}", re.IGNORECASE)
"""What Excel makes of the version 1.10 when it takes it for a date; `marlin-20` begins with no name of a month."""


def check_texts(
    texts: Texts, column: str, faults: Faults, damaged: Sequence[tuple[re.Pattern[str], str]] = DAMAGED
) -> list[int]:
    """Adds the texts that are not what they were, and gives their codes."""
    wrong: dict[str, list[int]] = {}
    for i, text in enumerate(texts.distinct):
        if text.isdigit() and len(text) < MOST_PLAIN:  # most ids, and cheap to tell
            continue
        for pattern, why in damaged:
            if pattern.fullmatch(text):
                wrong.setdefault(why, []).append(i)
                break
    for why, codes in wrong.items():
        rows, values, count = texts.rows_of(codes, 25)
        if count:
            faults.add(column, why, rows, values, count)
    return [code for codes in wrong.values() for code in codes]


def dates_among(texts: Texts) -> list[int]:
    """Versions that are dates where others are none: what a program makes of 1.2.2003. All dates are meant as such."""
    dates = [i for i, text in enumerate(texts.distinct) if re.fullmatch(_DATE, text)]
    return dates if len(dates) < len(texts.distinct) else []


def rounded(texts: Texts) -> list[int]:
    """Long numbers that end in noughts, where most of the column's do: 8.60688E+14 written out again."""
    long = [i for i, text in enumerate(texts.distinct) if text.isdigit() and 12 <= len(text) < MOST_PLAIN]
    found = [
        i for i in long
        if (text := texts.distinct[i]).endswith("000000") or (len(text) >= 18 and not text[15:].strip("0"))
    ]  # fmt: skip
    return found if len(found) >= 2 and 2 * len(found) > len(long) else []
