"""Numbers with words: enumerations whose members are plain integers in a core and words in files and pages."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


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
