"""Reading a foreign JSON object field by field, so that nothing is dropped silently.

Every field is taken once, checked against the documented range of its API, or named as left out with the reason; what
nobody asked for is reported as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


class Fields:
    """One object of the file: `path` says where it stands, `notes` collects what a reader should know."""

    def __init__(self, given: Mapping[str, Any], path: str, notes: list[str]) -> None:
        self._left = dict(given)
        self.path = path
        self.notes = notes

    def place(self, name: str) -> str:
        """Where a field of this object stands in the file."""
        return f"{self.path}.{name}" if self.path else name

    def note(self, name: str, text: str) -> None:
        """Says something about one field."""
        self.notes.append(f"{self.place(name)}: {text}")

    def raw(self, name: str) -> Any:
        """The value, whatever it is; None when absent or null."""
        return self._left.pop(name, None)

    def _typed(self, name: str, kinds: tuple[type, ...], what: str) -> Any:
        value = self.raw(name)
        if value is None or (isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))):
            return value
        self.note(name, f"left out: {what} is expected, found {_short(value)}")
        return None

    def number(self, name: str, low: float, high: float) -> float | None:
        """A number; outside its documented range it is kept and reported."""
        value = self._typed(name, (int, float), "a number")
        if value is not None and not low <= value <= high:
            self.note(name, f"out of range: {value:g}; documented are {low:g} to {high:g}")
        return None if value is None else float(value)

    def count(self, name: str, low: int, high: int) -> int | None:
        """A whole number; outside its documented range it is kept and reported."""
        value = self.number(name, low, high)
        if value is not None and value != int(value):
            self.note(name, f"left out: a whole number is expected, found {value:g}")
            return None
        return None if value is None else int(value)

    def flag(self, name: str) -> bool | None:
        """True or false."""
        value: bool | None = self._typed(name, (bool,), "true or false")
        return value

    def text(self, name: str) -> str | None:
        """A text; an empty one counts as absent."""
        value: str | None = self._typed(name, (str,), "a text")
        return value or None

    def choice(self, name: str, choices: Mapping[str, str]) -> str | None:
        """Our word for one of the product's; a word it does not document is reported and left out."""
        value = self.text(name)
        if value is None:
            return None
        if value not in choices:
            self.note(name, f"left out: {_short(value)} is not one of {', '.join(choices)}")
            return None
        return choices[value]

    def time(self, name: str) -> datetime | None:
        """A moment in UTC: ISO 8601 (without an offset: UTC), or seconds since 1970."""
        value = self._typed(name, (str, int, float), "a time")
        if value is None:
            return None
        try:
            if not isinstance(value, str):
                return datetime.fromtimestamp(value, UTC)
            given = datetime.fromisoformat(value)
        except (ValueError, OverflowError, OSError):
            self.note(name, f"left out: a time is expected, found {_short(value)}")
            return None
        return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)

    def milliseconds(self, name: str) -> datetime | None:
        """A moment in UTC, from milliseconds since 1970."""
        value = self._typed(name, (int, float), "milliseconds since 1970")
        if value is None:
            return None
        try:
            return datetime.fromtimestamp(value / 1000.0, UTC)
        except (ValueError, OverflowError, OSError):
            self.note(name, f"left out: milliseconds since 1970 are expected, found {_short(value)}")
            return None

    def inner(self, name: str) -> Fields:
        """The object under a name; an empty one when absent."""
        value = self._typed(name, (dict,), "an object")
        return Fields(value or {}, self.place(name), self.notes)

    def listed(self, name: str) -> list[Fields]:
        """The objects of a list; none when absent."""
        value = self._typed(name, (list,), "a list") or []
        found = []
        for i, entry in enumerate(value):
            if isinstance(entry, dict):
                found.append(Fields(entry, self.place(f"{name}[{i}]"), self.notes))
            else:
                self.note(f"{name}[{i}]", f"left out: an object is expected, found {_short(entry)}")
        return found

    def __contains__(self, name: str) -> bool:
        return self._left.get(name) is not None

    def holds(self, name: str, kind: type) -> bool:
        """Whether a field that nobody has taken yet is of this kind."""
        return isinstance(self._left.get(name), kind)

    def leave(self, reason: str, *names: str) -> None:
        """Fields that a strategy has no place for: each that says something is named with the reason."""
        for name in names:
            value = self.raw(name)
            if value is not None and value is not False and value not in ("", {}, []):
                self.note(name, f"not carried over: {reason}")

    def about(self, *names: str, read: tuple[str, ...] = ()) -> None:
        """Identity and progress of the plan, not its settings: named together with those of `read`, taken before."""
        found = [*read, *(name for name in names if self.raw(name) not in (None, "", {}, []))]
        if found:
            self.notes.append(f"identity and progress, nothing to set: {', '.join(self.place(n) for n in found)}")

    def done(self) -> None:
        """Whatever is left is unknown."""
        for name in self._left:
            self.note(name, "unknown field, not carried over")


def duration(seconds: float) -> str:
    """A duration as a scenario writes it, in the largest unit that gives a whole number."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{int(seconds // length)}{unit}"
    return f"{seconds:.15g}s"


def moment(at: datetime) -> str:
    """A local time as a scenario writes it."""
    return at.replace(tzinfo=None).isoformat(timespec="seconds")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
