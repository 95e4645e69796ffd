"""Numbers with words: enumerations whose members are plain integers in a core and words in files and pages."""

from __future__ import annotations

from enum import IntEnum
from types import ModuleType
from typing import Self, TypeVar, cast

Members = TypeVar("Members", bound=IntEnum)


class NamedEnum(IntEnum):
    """Members count from 0; the word of each is its name in lower case."""

    @property
    def word(self) -> str:
        """The member as files and pages spell it."""
        return self.name.lower()

    @classmethod
    def words(cls) -> tuple[str, ...]:
        """The words of all members, in order of their numbers."""
        return tuple(member.word for member in cls)

    @classmethod
    def of(cls, word: str) -> Self:
        """The member of a word, hyphens allowed; KeyError for a word it has not."""
        return cls[word.replace("-", "_").upper()]


def numbers(enumeration: type[Members]) -> type[Members]:
    """The members as plain ints under the same names, for code that reads some at every event.

    Reading a member from its class takes Python 3.11 some 70 ns, from a namespace like this one 5; a compiler takes it
    for constants. To a type checker it is the enumeration.
    """
    plain = ModuleType(enumeration.__name__)
    plain.__dict__.update({member.name: int(member) for member in enumeration})
    return cast("type[Members]", plain)
