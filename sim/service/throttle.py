"""Limits on wrong logins and on open connections by source: counters by key within a fixed memory."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict

FAILURES = 10
"""Wrong logins of one source under one name within the window; more are not looked at."""
FAILURES_OF_SOURCE = 100
"""The same under any name, for sources beyond this machine."""
WINDOW_S = 60.0
MAX_KEYS = 20_000

Key = tuple[str, str]


class Throttle:
    """Counts wrong logins by source and name, and by source alone; who has too many waits for the window to pass.

    One's own machine has no limit across names: a fleet of modules comes from it. A name alone is never blocked, so
    nobody locks a device out from elsewhere.
    """

    def __init__(self) -> None:
        self._failed: OrderedDict[Key, tuple[int, float]] = OrderedDict()

    def wait_s(self, source: str, name: str, now: float) -> float:
        """How long this source must not try this name any more; 0 when it may. Name "": what has no names."""
        under_name = self._left_s((source, name), FAILURES, now) if name else 0.0
        return max(under_name, self._left_s((source, ""), FAILURES_OF_SOURCE, now))

    def failed(self, source: str, name: str, now: float) -> None:
        """A login was wrong."""
        for key in {(source, name), (source, "")}:
            if key[1] or not is_loopback(source):
                count, since = self._failed.pop(key, (0, now))
                self._failed[key] = (1, now) if now - since >= WINDOW_S else (count + 1, since)
        while len(self._failed) > MAX_KEYS:
            self._failed.popitem(last=False)

    def passed(self, source: str, name: str) -> None:
        """A login was right: what was wrong before is forgotten."""
        self._failed.pop((source, name), None)

    def _left_s(self, key: Key, limit: int, now: float) -> float:
        count, since = self._failed.get(key, (0, 0.0))
        return max(0.0, since + WINDOW_S - now) if count >= limit else 0.0


class Connections:
    """How many connections stand, by source, within a limit for each source and one for all."""

    def __init__(self, per_source: int, total: int) -> None:
        self.per_source, self.total = per_source, total
        self.refused = 0
        self._open: Counter[str] = Counter()
        self._count = 0

    def admit(self, source: str) -> bool:
        """Takes a connection in; False, and counted, when its source or all together have too many."""
        if self._count >= self.total or self._open[source] >= self.per_source:
            self.refused += 1
            return False
        self._open[source] += 1
        self._count += 1
        return True

    def gone(self, source: str) -> None:
        """A connection that was taken in has ended."""
        self._count -= 1
        self._open[source] -= 1
        if self._open[source] <= 0:
            del self._open[source]


def is_loopback(source: str) -> bool:
    """Whether an address is this machine's own loopback."""
    try:
        return ipaddress.ip_address(source).is_loopback
    except ValueError:
        return False


def source_of(peer: object) -> str:
    """The address in what a transport says of its peer, "" when it says nothing."""
    return str(peer[0]) if isinstance(peer, tuple | list) and peer else ""
