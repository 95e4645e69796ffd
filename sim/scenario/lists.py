"""Whitelist and blacklist: who is in a plan at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

Matcher = Callable[[str], bool]


def targeting(whitelist: Sequence[str], blacklist: Sequence[str]) -> Matcher:
    """Whether a module of that name is in the plan; an empty whitelist means all; the blacklist wins (Quectel)."""
    allowed, denied = matching(whitelist), matching(blacklist)
    return lambda name: not denied(name) and (not whitelist or allowed(name))


def matching(entries: Sequence[str]) -> Matcher:
    """Whether a name is among the ids or matches one of the globs; long lists of ids cost one look-up a name."""
    globs = [entry for entry in entries if any(c in entry for c in "*?[")]
    ids = set(entries).difference(globs)
    return lambda name: name in ids or any(fnmatchcase(name, pattern) for pattern in globs)
