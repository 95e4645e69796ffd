"""Reading a foreign object field by field, so that nothing is dropped silently.

Every field is taken once and checked against the bounds of its API: what the product would refuse is a refusal, what it
would take and a strategy cannot hold is a loss, what changes nothing is a note; what nobody asked for is a loss, because
nobody knows what it limits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from sim.scenario.imports.findings import SHOWN_OF_A_KEY, Findings, Loss, Refusal, short

Spelling = Callable[[str], str]
EARLIEST_MS = 10**11
"""Moments before 1973 are taken for seconds: there was no product yet."""
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?")


def as_is(name: str) -> str:
    """The spelling of most products: their own."""
    return name


class Fields:
    """One object of the file: `path` says where it stands, `findings` collects what a reader should know.

    `spell` turns the name this code uses into the file's (CloudFormation writes capitals, OTA updates prefixes); with
    `lenient` a number may be written as text, as CloudFormation allows.
    """

    def __init__(
        self, given: Mapping[str, Any], path: str, findings: Findings, spell: Spelling = as_is, *, lenient: bool = False,
    ) -> None:  # fmt: skip
        self._left = dict(given)
        self.path = path
        self.findings = findings
        self.spell = spell
        self.lenient = lenient

    def place(self, name: str) -> str:
        """Where a field of this object stands in the file."""
        own = self.spell(name)
        return f"{self.path}.{own}" if self.path else own

    def note(self, name: str, text: str) -> None:
        """Says something that changes nothing of the rollout."""
        self.findings.notes.append(f"{self.place(name)}: {text}")

    def lose(self, name: str, value: Any, why: str, cure: str) -> None:
        """Names something that limits, selects or stops and is not carried over."""
        self.findings.losses.append(Loss(self.place(name), short(value), why, cure))

    def refuse(self, name: str, value: Any, cure: str) -> None:
        """Names something the product would refuse."""
        self.findings.refusals.append(Refusal(self.place(name), short(value), cure))

    def raw(self, name: str) -> Any:
        """The value, whatever it is; None when absent or null."""
        return self._left.pop(self.spell(name), None)

    def _typed(self, name: str, kinds: tuple[type, ...], what: str) -> Any:
        value = self.raw(name)
        if value is None or (isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))):
            return value
        self.refuse(
            name,
            json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else value,
            f"{what} is expected",
        )
        return None

    def number(self, name: str, low: float, high: float, *, above: bool = False, digits: int = 15) -> float | None:
        """A number within the product's bounds; with `above` the lower one is excluded; at most so many decimals."""
        if self.lenient and isinstance(text := self._left.get(self.spell(name)), str) and _NUMBER.fullmatch(text):
            self._left[self.spell(name)] = float(text)
        value = self._typed(name, (int, float), "a number")
        if value is None:
            return None
        if not low <= value <= high or (above and value == low):
            self.refuse(name, value, f"allowed is {'above ' if above else ''}{low:.15g} to {high:.15g}")
            return None
        if round(value, digits) != value:
            self.refuse(name, value, f"allowed are {digits} decimals")
            return None
        return float(value)

    def count(self, name: str, low: int, high: int) -> int | None:
        """A whole number within the product's bounds."""
        value = self.number(name, low, high)
        if value is not None and value != int(value):
            self.refuse(name, value, "a whole number is expected")
            return None
        return None if value is None else int(value)

    def flag(self, name: str) -> bool | None:
        """True or false."""
        if self.lenient and self._left.get(self.spell(name)) in ("true", "false"):
            return bool(self.raw(name) == "true")
        value: bool | None = self._typed(name, (bool,), "true or false")
        return value

    def text(self, name: str) -> str | None:
        """A text; an empty one counts as absent."""
        value: str | None = self._typed(name, (str,), "a text")
        return value or None

    def choice(self, name: str, choices: Mapping[str, str]) -> str | None:
        """Our word for one of the product's."""
        value = self.text(name)
        if value is None:
            return None
        if value not in choices:
            self.refuse(name, value, f"allowed are {', '.join(choices)}")
            return None
        return choices[value]

    def time(self, name: str, *, with_offset: bool = False) -> datetime | None:
        """A moment in UTC: ISO 8601 (without an offset: UTC, and said, or refused), or seconds since 1970."""
        value = self._typed(name, (str, int, float), "a time")
        if value is None or value == "":
            return None
        try:
            if not isinstance(value, str):
                return datetime.fromtimestamp(value, UTC)
            given = datetime.fromisoformat(value)
            if with_offset and given.tzinfo is None:
                raise ValueError("no offset")
            if given.tzinfo is None:
                self.note(name, f"{value} has no offset from UTC: read as UTC")
            return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
        except (ValueError, OverflowError, OSError):
            self.refuse(name, value, "a time is expected, like 2026-03-02T22:00:00Z")
            return None

    def milliseconds(self, name: str) -> datetime | None:
        """A moment in UTC, from milliseconds since 1970."""
        value = self._typed(name, (int, float), "a number of milliseconds since 1970")
        if value is None:
            return None
        if 0 < value < EARLIEST_MS:
            self.refuse(name, value, f"seconds? Milliseconds since 1970 are expected: {value * 1000:.0f}")
            return None
        try:
            return datetime.fromtimestamp(value / 1000.0, UTC)
        except (ValueError, OverflowError, OSError):
            self.refuse(name, value, "milliseconds since 1970 are expected")
            return None

    def inner(self, name: str, spell: Spelling | None = None) -> Fields:
        """The object under a name; an empty one when absent."""
        value = self._typed(name, (dict,), "an object")
        return Fields(value or {}, self.place(name), self.findings, spell or self.spell, lenient=self.lenient)

    def listed(self, name: str) -> list[Fields]:
        """The objects of a list; none when absent."""
        value = self._typed(name, (list,), "a list") or []
        found = []
        for i, entry in enumerate(value):
            path = f"{self.place(name)}[{i}]"
            if isinstance(entry, dict):
                found.append(Fields(entry, path, self.findings, self.spell, lenient=self.lenient))
            else:
                self.findings.refusals.append(Refusal(path, short(entry), "an object is expected"))
        return found

    def needs(self, *names: str) -> None:
        """Fields without which the product refuses this object."""
        for name in names:
            if name not in self:
                self.refuse(name, "nothing", "this field is needed")

    def __contains__(self, name: str) -> bool:
        return self._left.get(self.spell(name)) is not None

    def holds(self, name: str, kind: type) -> bool:
        """Whether a field that nobody has taken yet is of this kind."""
        return isinstance(self._left.get(self.spell(name)), kind)

    def lose_if_over(self, name: str, over: Collection[str], alive: Collection[str]) -> None:
        """Loses the state of a plan that is `over`, and one that the product does not have; `alive` is told as progress.

        States in lower case. An unknown one (CANCELLED) may mean that the plan offers nothing any more.
        """
        state = self._left.get(self.spell(name))
        known = state.casefold() if isinstance(state, str) else state
        if known in (None, "") or (isinstance(known, str) and known in alive):
            return
        if isinstance(known, str) and known in over:
            why = "such a plan offers nothing to anybody; here it runs"
        else:
            why = "no state that is known, so the plan may be over; here it runs"
        self.lose(name, state, why, f"take {name} out of the file")
        del self._left[self.spell(name)]

    def leave(self, reason: str, *names: str) -> None:
        """Fields that change nothing of the rollout: each that says something is named with the reason."""
        for name in names:
            value = self.raw(name)
            if value is not None and value is not False and value not in ("", {}, []):
                self.note(name, f"not carried over: {reason}")

    def about(self, *names: str, read: tuple[str, ...] = ()) -> None:
        """Identity and progress of the plan, not its settings: named together with those of `read`, taken before."""
        found = [*read, *(name for name in names if self.raw(name) not in (None, "", {}, []))]
        if found:
            self.findings.notes.append(
                f"identity and progress, nothing to set: {', '.join(self.place(n) for n in found)}"
            )

    def done(self) -> None:
        """Whatever is left is unknown, and may limit the rollout."""
        for name, value in self._left.items():
            if value not in (None, "", {}, []):
                place = f"{self.path}.{name}" if self.path else name
                self.findings.losses.append(
                    Loss(short(place, SHOWN_OF_A_KEY), short(value), "an unknown field, which may limit the rollout",
                         "remove it from the file if it does not")
                )  # fmt: skip


def put(found: dict[str, Any], key: str, value: Any) -> None:
    """Sets a key of a strategy where the file says something."""
    if value not in (None, {}, []):
        found[key] = value


def duration(seconds: float) -> str:
    """A duration as a scenario writes it, in the largest unit that gives a whole number."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{int(seconds // length)}{unit}"
    return f"{seconds:.15g}s"


def moment(at: datetime) -> str:
    """A local time as a scenario writes it."""
    return at.replace(tzinfo=None, microsecond=0).isoformat(timespec="seconds")
