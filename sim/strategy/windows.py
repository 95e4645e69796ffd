"""Maintenance windows in seconds after activation: [open, close), in order, not overlapping; none at all means always.

What a window gates is a setting (definition 4): the release (AWS IoT Jobs), the push (Quectel), the download, or only
the installation (hawkBit, where a download outside the window is allowed).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np
from numpy.typing import NDArray

Windows = Sequence[Sequence[float]] | NDArray[np.float64]


def is_open(windows: Windows, now: float) -> bool:
    """Whether `now` lies in a window; its first instant does, its last does not."""
    i = _following(windows, now)
    return len(windows) == 0 or (i > 0 and now < windows[i - 1][1])


def next_open_s(windows: Windows, now: float) -> float:
    """`now` inside a window, else when the next one opens, or inf."""
    return now if is_open(windows, now) else next_opening_s(windows, now)


def next_opening_s(windows: Windows, now: float) -> float:
    """When the next window after `now` opens, or inf."""
    i = _following(windows, now)
    return windows[i][0] if i < len(windows) else inf


def _following(windows: Windows, now: float) -> int:
    """Number of the first window that opens after `now`."""
    low, high = 0, len(windows)
    while low < high:
        middle = (low + high) // 2
        if windows[middle][0] <= now:
            low = middle + 1
        else:
            high = middle
    return low
