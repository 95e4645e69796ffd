"""Maintenance windows in simulation seconds: when a plan may push."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

Windows = Sequence[tuple[float, float]]


def is_open(windows: Windows, now: float) -> bool:
    """Whether `now` lies in a window [open, close); no windows at all means always."""
    if not windows:
        return True
    i = bisect.bisect_right(windows, (now, math.inf)) - 1
    return i >= 0 and windows[i][0] <= now < windows[i][1]
