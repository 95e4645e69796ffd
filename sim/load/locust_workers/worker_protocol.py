"""Locust's worker protocol without sockets: messages as msgpack, statistics as its master adds them up.

Locust's own classes are not used: importing Locust patches the sockets of a process for gevent. The shapes are those
of `locust.rpc.protocol` and `locust.stats` of Locust 2; tests hold them against the installed master.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import msgpack

from sim.engines.live.latency import LEGS, Latencies, step_of
from sim.errors import ProtocolError
from sim.load.locust_workers.worker_reports import encoded_legs

READY, SPAWNING, RUNNING = "ready", "spawning", "running"
"""States a worker tells in its heartbeat."""
METHOD = "OTA"
"""What Locust shows as the type of every leg."""
TOTAL = "Aggregated"
MAX_MESSAGE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Message:
    """One message between a master and a worker."""

    type: str
    data: Any
    node_id: str

    def encode(self) -> bytes:
        """As it goes over the wire."""
        return bytes(msgpack.packb((self.type, self.data, self.node_id)))


def decode(data: bytes) -> Message:
    """A message of the master; ProtocolError for anything else."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise ProtocolError(f"a message of {len(data)} bytes from the Locust master")
    try:
        kind, content, node_id = msgpack.unpackb(data, raw=False, strict_map_key=False)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise ProtocolError(f"no message of a Locust master: {error}") from None
    if not isinstance(kind, str):
        raise ProtocolError("no message of a Locust master: its type is not a text")
    return Message(kind, content, str(node_id))


def rounded_ms(milliseconds: float) -> int:
    """Locust's rounding to two significant digits, so that its master adds like to like."""
    for limit, digits in ((100, 0), (1000, -1), (10000, -2)):
        if milliseconds < limit:
            return round(round(milliseconds, digits))
    return round(round(milliseconds, -3))


class Statistics(Latencies):
    """The legs' histograms, and beside them what has happened since the last report to the master."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._since = Latencies()
        self._tallies: dict[str, Tally] = {}
        self._errors: dict[str, dict[str, Any]] = {}

    def begin(self) -> None:
        """A new test: nothing is kept of the one before."""
        super().__init__()
        self._forget()

    def _forget(self) -> None:
        self._since, self._tallies, self._errors = Latencies(), {}, {}

    def add(self, leg: str, seconds: float) -> None:
        """See Latencies. Each message of a fleet comes by here: what can wait is left to the report."""
        value = step_of(seconds)
        for counts in (self._legs[leg], self._since.counts(leg)):
            counts[value] = counts.get(value, 0) + 1
        tally = self._tallies.get(leg) or self._tally(leg)
        tally.total_s += seconds
        if seconds > tally.most_s:  # noqa: PLR1730 - max and min cost more than all the rest
            tally.most_s = seconds
        if seconds < tally.least_s:  # noqa: PLR1730
            tally.least_s = seconds
        tally.last = now = self._clock()
        second = int(now)
        tally.per_second[second] = tally.per_second.get(second, 0) + 1

    def fail(self, leg: str, reason: str) -> None:
        """See Latencies; Locust counts a failure as a request without a response time."""
        super().fail(leg, reason)
        self._since.fail(leg, reason)
        tally = self._tallies.get(leg) or self._tally(leg)
        tally.last = now = self._clock()
        for counts in (tally.per_second, tally.failed_per_second):
            counts[int(now)] = counts.get(int(now), 0) + 1
        key = hashlib.sha256(f"{METHOD}.{leg}.{reason!r}".encode()).hexdigest()
        error = self._errors.setdefault(key, {
            "method": METHOD, "name": leg, "error": reason, "occurrences": 0, "first_seen": now, "last_seen": now,
        })  # fmt: skip
        error["occurrences"] += 1
        error["last_seen"] = now

    def report(self) -> dict[str, Any]:
        """What happened since the last report, for the master's statistics; ours as HDR histograms beside them."""
        entries = [
            _entry(leg, METHOD, [tally], [self._since.counts(leg)] if leg in LEGS else [], self._clock())
            for leg, tally in self._tallies.items()
        ]
        measured = [self._since.counts(leg) for leg in LEGS]
        sent = {
            "stats": entries, "stats_total": _entry(TOTAL, "", list(self._tallies.values()), measured, self._clock()),
            "errors": self._errors, "fotasim": {"time": self._clock(), "legs": encoded_legs(self._since), "groups": self._taken_groups()},
        }  # fmt: skip
        self._forget()
        return sent

    def _taken_groups(self) -> dict[str, Any]:
        """What groups of the fleet measured since the last report."""
        found = {name: encoded_legs(latencies) for name, latencies in self.groups.items()}
        for latencies in self.groups.values():
            latencies.clear()
        return found

    def _tally(self, leg: str) -> Tally:
        return self._tallies.setdefault(leg, Tally(self._clock()))


@dataclass(slots=True)
class Tally:
    """What Locust wants to know of a leg beside its response times; seconds, and times of the clock."""

    began: float
    last: float | None = None
    total_s: float = 0.0
    most_s: float = 0.0
    least_s: float = inf
    per_second: dict[int, int] = field(default_factory=dict)
    failed_per_second: dict[int, int] = field(default_factory=dict)


def _entry(
    name: str, method: str, tallies: Sequence[Tally], measured: Sequence[dict[int, int]], now: float
) -> dict[str, Any]:
    """One line of Locust's statistics."""
    per_second, failed, times = Counter[int](), Counter[int](), Counter[int]()
    for tally in tallies:
        per_second.update(tally.per_second)
        failed.update(tally.failed_per_second)
    for counts in measured:
        for value, count in counts.items():
            times[rounded_ms(value / 1000.0)] += count
    least_s = min((tally.least_s for tally in tallies), default=inf)
    return {
        "name": name, "method": method, "num_requests": per_second.total(), "num_none_requests": failed.total(),
        "num_failures": failed.total(), "total_content_length": 0, "response_times": dict(times),
        "num_reqs_per_sec": dict(per_second), "num_fail_per_sec": dict(failed),
        "start_time": min((tally.began for tally in tallies), default=now),
        "last_request_timestamp": max((tally.last for tally in tallies if tally.last is not None), default=None),
        "total_response_time": 1000.0 * sum(tally.total_s for tally in tallies),
        "max_response_time": 1000.0 * max((tally.most_s for tally in tallies), default=0.0),
        "min_response_time": None if least_s == inf else 1000.0 * least_s,
    }  # fmt: skip


__all__ = ["LEGS", "METHOD", "READY", "RUNNING", "SPAWNING", "Message", "Statistics", "decode", "rounded_ms"]
