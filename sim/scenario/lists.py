"""Whitelist and blacklist: who is in a plan at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from fnmatch import fnmatchcase

Matcher = Callable[[str], bool]


def targeting(whitelist: Sequence[str], blacklist: Sequence[str]) -> Matcher:
    """Whether a module of that name is in the plan; an empty whitelist means all; the blacklist wins (Quectel)."""
    allowed, denied = matching(whitelist), matching(blacklist)
    return lambda name: not denied(name) and (not whitelist or allowed(name))


def unmatched(entries: Sequence[str], names: Set[str]) -> list[str]:
    """The entries that no name is or matches, in their order: slips of a pen, or modules of another fleet."""
    return [
        entry for entry in entries
        if entry not in names and not (is_glob(entry) and any(fnmatchcase(name, entry) for name in names))
    ]  # fmt: skip


def is_glob(entry: str) -> bool:
    """Whether an entry stands for more than one id."""
    return any(c in entry for c in "*?[")


def matching(entries: Sequence[str]) -> Matcher:
    """Whether a name is among the ids or matches one of the globs; long lists of ids cost one look-up a name."""
    globs = [entry for entry in entries if is_glob(entry)]
    ids = set(entries).difference(globs)
    return lambda name: name in ids or any(fnmatchcase(name, pattern) for pattern in globs)
