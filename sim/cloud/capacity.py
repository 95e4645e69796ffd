"""What costs time in a cloud: a paced gate for connections, request workers, download slots, shared egress.

Pure: the time is an argument, calls come in order of time.
"""

from __future__ import annotations

import heapq
import math
from math import inf


class Connections:
    """Accepts at most `per_s` connections a second, evenly spaced, in order of arrival."""

    __slots__ = ("_free_at", "spacing_s")

    def __init__(self, per_s: float) -> None:
        self.spacing_s = 1.0 / per_s
        self._free_at = 0.0

    def admit(self, now: float) -> float:
        """When the connection that arrives `now` is accepted, seconds."""
        accepted = max(now, self._free_at)
        self._free_at = accepted + self.spacing_s
        return accepted


class Workers:
    """`count` request workers behind one queue, first come, first served.

    Status reports that need no answer take worker time as a fluid: at `background_per_s` reports a second a share
    b = background_per_s x service_s / count of the capacity is gone, and answered requests take 1/(1-b) times longer
    (b is held below 0.95, where such a cloud is beyond saving).
    """

    __slots__ = ("_free_at", "count", "service_s")

    def __init__(self, count: int, service_s: float) -> None:
        self.count = count
        self.service_s = service_s
        self._free_at = [0.0] * count

    def finish(self, now: float, background_per_s: float = 0.0, service_s: float | None = None) -> float:
        """When the request that arrives `now` has been answered, seconds."""
        service = self.service_s if service_s is None else service_s
        busy = min(background_per_s * self.service_s / self.count, 0.95)
        done = max(now, self._free_at[0]) + service / (1.0 - busy)
        heapq.heapreplace(self._free_at, done)
        return done


class Downloads:
    """A number of download slots; a request that finds none is turned away."""

    __slots__ = ("active", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.active = 0

    def open(self) -> bool:
        """Takes a slot; False when there is none."""
        if self.active >= self.limit:
            return False
        self.active += 1
        return True

    def close(self) -> None:
        """Gives a slot back."""
        self.active -= 1


class _Class:
    """Transfers of similar cap (within 10 %): one virtual clock, in seconds at full cap."""

    __slots__ = ("caps", "clock", "count", "factor", "finishing")

    def __init__(self) -> None:
        self.count = 0
        self.caps = 0.0
        self.clock = 0.0
        self.factor = 1.0
        self.finishing: list[tuple[float, int]] = []


class Egress:
    """Downloads share `bit_s` max-min fairly, each capped by its module's own rate.

    Transfers are grouped by cap in classes 10 % wide; a class runs at the water level where that is below its mean
    cap, else at full cap. Exact when the caps of a class are equal; otherwise its members share in proportion.
    """

    __slots__ = ("_classes", "_flows", "_now", "bit_s", "delivered_bits", "load_bit_s", "peak_bit_s")

    def __init__(self, bit_s: float) -> None:
        self.bit_s = bit_s
        self.delivered_bits = 0.0
        self.load_bit_s = 0.0
        self.peak_bit_s = 0.0
        self._classes: dict[int, _Class] = {}
        self._flows: dict[int, tuple[_Class, float, float, float]] = {}  # class, cap, clock at finish, bits
        self._now = 0.0

    @property
    def active(self) -> int:
        """Transfers under way."""
        return len(self._flows)

    def has(self, key: int) -> bool:
        """Whether this transfer is under way."""
        return key in self._flows

    def start(self, key: int, size_bytes: float, cap_bit_s: float, now: float) -> None:
        """A transfer of `size_bytes` begins; its rate never exceeds `cap_bit_s`."""
        self._advance(now)
        number = math.floor(math.log(cap_bit_s) / math.log(1.1))
        group = self._classes.setdefault(number, _Class())
        if group.count == 0:
            group.clock, group.caps = (
                now,
                0.0,
            )  # keeps clock = time while nothing is short: finishes stay exact
        bits = 8.0 * size_bytes
        end = group.clock + bits / cap_bit_s
        self._flows[key] = (group, cap_bit_s, end, bits)
        heapq.heappush(group.finishing, (end, key))
        group.count += 1
        group.caps += cap_bit_s
        self._share()

    def stop(self, key: int, now: float) -> float:
        """Ends a transfer early and returns the bytes it has delivered."""
        self._advance(now)
        group, cap, end, bits = self._flows[key]
        delivered = min(bits, max(0.0, bits - (end - group.clock) * cap))
        self._remove(key, group, cap, delivered)
        return delivered / 8.0

    def finish(self, key: int, now: float) -> None:
        """A transfer is complete."""
        self._advance(now)
        group, cap, _, bits = self._flows[key]
        self._remove(key, group, cap, bits)

    def next_finish(self) -> tuple[float, int]:
        """When and which transfer completes next if nothing changes; (inf, -1) when none is under way."""
        best = (inf, -1)
        for group in self._classes.values():
            heap = group.finishing
            while heap and self._stale(heap[0], group):
                heapq.heappop(heap)
            if heap:
                end, key = heap[0]
                best = min(best, (self._now + (end - group.clock) / group.factor, key))
        return best

    def _stale(self, entry: tuple[float, int], group: _Class) -> bool:
        flow = self._flows.get(entry[1])
        return flow is None or flow[0] is not group or flow[2] != entry[0]

    def _remove(self, key: int, group: _Class, cap: float, delivered_bits: float) -> None:
        del self._flows[key]
        self.delivered_bits += delivered_bits
        group.count -= 1
        group.caps = group.caps - cap if group.count else 0.0
        self._share()

    def _advance(self, now: float) -> None:
        for group in self._classes.values():
            if group.count:
                group.clock += (now - self._now) * group.factor
        self._now = now

    def _share(self) -> None:
        """Water-filling over the classes, slowest first."""
        busy = [g for g in self._classes.values() if g.count]
        total = math.fsum(g.caps for g in busy)
        self.load_bit_s = min(total, self.bit_s)
        self.peak_bit_s = max(self.peak_bit_s, self.load_bit_s)
        left, waiting = self.bit_s, sum(g.count for g in busy)
        for group in sorted(busy, key=lambda g: g.caps / g.count):
            mean = group.caps / group.count
            level = left / waiting if total > self.bit_s else inf
            group.factor = min(1.0, level / mean)
            left -= group.caps * group.factor
            waiting -= group.count
