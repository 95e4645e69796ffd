"""Arguments of the Python interface that are easily given wrong, refused with what would be right."""

from __future__ import annotations

from sim.errors import StudyError


def check_lists(**given: object) -> None:
    """Refuses a single text where a list is meant: it would be taken letter by letter."""
    for name, value in given.items():
        if isinstance(value, str):
            raise StudyError(f"{name}={value!r}: a list is needed: {name}=[{value!r}]")


def check_counts(least: int = 1, **given: int | None) -> None:
    """Refuses numbers that are no whole number of at least `least`; None leaves the default."""
    for name, value in given.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise StudyError(f"{name}={value!r}: a whole number of at least {least} is needed")
