"""How a study was made: what its folder records of the command, the engines and the time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Made:
    """`options` of the command that makes it again, the `engines` that ran its campaigns, how many seconds it took."""

    options: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    wall_s: float = 0.0

    def after(self, engines: Iterable[str], wall_s: float) -> Made:
        """The same study where a part had been made before, by those engines in that time."""
        return Made(self.options, tuple(sorted({*self.engines, *engines})), self.wall_s + wall_s)


UNRECORDED = Made()
"""Of a result that was not run here, such as one read from a folder."""


def options(**given: object) -> tuple[str, ...]:
    """Options as words of a command; a list gives its option once for each of its values, None gives none."""
    words: list[str] = []
    for name, value in given.items():
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is not None:
                words += [f"--{name.replace('_', '-')}", str(one)]
    return tuple(words)


__all__ = ["UNRECORDED", "Made", "options"]
