"""Which of two versions is the older one."""

from __future__ import annotations

import re
from itertools import zip_longest


def is_older(target: str, installed: str) -> bool:
    """Whether a version of numbers with dots comes before another; others are not compared: False."""
    if not all(re.fullmatch(r"v?\d+(\.\d+)*", version) for version in (target, installed)):
        return False
    first, second = ([int(part) for part in version.lstrip("v").split(".")] for version in (target, installed))
    return next((a < b for a, b in zip_longest(first, second, fillvalue=0) if a != b), False)
