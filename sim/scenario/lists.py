"""Whitelist and blacklist: who is in a plan at all."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase


def targeted(name: str, whitelist: Sequence[str], blacklist: Sequence[str]) -> bool:
    """Entries are ids or globs; an empty whitelist means all; the blacklist wins (Quectel)."""
    if any(fnmatchcase(name, pattern) for pattern in blacklist):
        return False
    return not whitelist or any(fnmatchcase(name, pattern) for pattern in whitelist)
