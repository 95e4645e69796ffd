"""The cloud's load as it is counted while an engine runs: sums that do not depend on the order of counting.

Sessions open are looked at once a second, requests are counted by the second, transfers are spread over the time they
took. Plain functions over NumPy arrays, the same for every engine.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sim.module.states import PROGRESS_INTERVAL_S

BINS = 2016
"""At most this many bins of the timeline: ten minutes each over a fortnight."""


class Tally(NamedTuple):
    """Counts by second and by bin of the timeline; shapes (seconds,) and (bins + 1,)."""

    width_s: float
    online_change: Any
    """By second: sessions opened minus sessions closed."""
    requests: Any
    """By second: messages and requests of modules."""
    connects: Any
    """By bin: connections accepted."""
    beats: Any
    """By bin: statuses of running transfers, one every five seconds."""
    download_s: Any
    """By bin: seconds of transfers under way."""
    egress_bits: Any
    """By bin: bits delivered."""
    peak_downloads: Any
    """[0]: most transfers under way at once."""


def tally(horizon_s: float) -> Tally:
    """Nothing counted yet."""
    width_s = max(1.0, float(np.ceil(horizon_s / BINS)))
    bins = int(np.ceil(horizon_s / width_s)) + 1
    seconds = int(width_s) * bins
    return Tally(
        width_s, np.zeros(seconds, np.int32), np.zeros(seconds, np.int32), np.zeros(bins, np.int64),
        np.zeros(bins), np.zeros(bins), np.zeros(bins), np.zeros(1, np.int64),
    )  # fmt: skip


def online(t: Tally, now: float, change: int) -> None:
    """Sessions opened (positive) or closed."""
    t.online_change[int(now)] += change


def requests(t: Tally, now: float, count: int) -> None:
    """Messages and requests of modules to the cloud."""
    t.requests[int(now)] += count


def connects(t: Tally, now: float) -> None:
    """The cloud accepts a connection; one that waits beyond the horizon is not counted."""
    place = int(now / t.width_s)
    if place < len(t.connects):
        t.connects[place] += 1


def downloads(t: Tally, active: int) -> None:
    """A transfer began: `active` are under way."""
    t.peak_downloads[0] = max(t.peak_downloads[0], active)


def transfer(t: Tally, since: float, now: float, bits: float) -> None:
    """A transfer has ended, or the run has: its time, bytes and heartbeats, spread over the time it took."""
    spread(t.download_s, t.width_s, since, now, now - since)
    spread(t.beats, t.width_s, since, now, float(int((now - since) / PROGRESS_INTERVAL_S)))
    spread(t.egress_bits, t.width_s, since, now, bits)


def spread(bins: Any, width_s: float, since: float, now: float, amount: float) -> None:
    """Adds an amount to the bins between two times, in proportion to the time in each."""
    first, last = int(since / width_s), int(now / width_s)
    if first == last:
        bins[first] += amount
        return
    for place in range(first, last + 1):
        inside = min(now, (place + 1) * width_s) - max(since, place * width_s)
        bins[place] += amount * inside / (now - since)
