"""Who a module is to the random numbers: a number that follows from its id alone.

So a module has the same luck in every plan, list, filter and fleet file it occurs in, and two scenarios that differ in
who takes part are compared on the same luck of all the others.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_NUMBERED = re.compile(r"m(\d{7}|[1-9]\d{7,9})")
_HASHED = 1 << 62
"""Set in the identity of an id that is not a number of ours."""


def numbered(number: int) -> str:
    """The id of the module of this number, where no file gives it one: `m0000042`."""
    return f"m{number:07d}"


def identity(name: str) -> int:
    """The identity of the module of this id: its number, or 62 bits of a hash (BLAKE2b) above all numbers."""
    match = _NUMBERED.fullmatch(name)
    if match is not None:
        return int(match[1])
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") & (_HASHED - 1) | _HASHED


def identities(names: Iterable[str]) -> NDArray[np.int64]:
    """The identities of modules by their ids, shape (n,)."""
    return np.fromiter(map(identity, names), dtype=np.int64)
