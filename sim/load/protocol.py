"""Locust's worker protocol without sockets: messages as msgpack, statistics as its master adds them up.

Locust's own classes are not used: importing Locust patches the sockets of a process for gevent. The shapes are those
of `locust.rpc.protocol` and `locust.stats` of Locust 2; tests hold them against the installed master.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgpack

from sim.engines.live.latency import LEGS, Latencies
from sim.errors import ProtocolError
from sim.load.merge import encoded_legs

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

    def __init__(self, clock: Any) -> None:
        super().__init__()
        self._clock = clock
        self._since = Latencies()
        self._entries: dict[str, dict[str, Any]] = {}
        self._total: dict[str, Any] = {}
        self._errors: dict[str, dict[str, Any]] = {}
        self.clear()

    def clear(self) -> None:
        """A new test begins: nothing is kept for the next report."""
        self._entries, self._errors = {}, {}
        self._total = _entry(TOTAL, "", self._clock())
        self._since = Latencies()

    def add(self, leg: str, seconds: float) -> None:
        """See Latencies."""
        super().add(leg, seconds)
        self._since.add(leg, seconds)
        now = self._clock()
        for entry in (self._of(leg, now), self._total):
            _count(entry, now, 1000.0 * seconds)

    def fail(self, leg: str, reason: str) -> None:
        """See Latencies; Locust counts a failure as a request without a response time."""
        super().fail(leg, reason)
        self._since.fail(leg, reason)
        now = self._clock()
        for entry in (self._of(leg, now), self._total):
            _count(entry, now, None)
            entry["num_failures"] += 1
            _second(entry["num_fail_per_sec"], now)
        key = hashlib.sha256(f"{METHOD}.{leg}.{reason!r}".encode()).hexdigest()
        error = self._errors.setdefault(key, {
            "method": METHOD, "name": leg, "error": reason, "occurrences": 0, "first_seen": now, "last_seen": now,
        })  # fmt: skip
        error["occurrences"] += 1
        error["last_seen"] = now

    def report(self) -> dict[str, Any]:
        """What happened since the last report, for the master's statistics; ours as HDR histograms beside them."""
        sent = {
            "stats": list(self._entries.values()), "stats_total": self._total, "errors": self._errors,
            "fotasim": {"time": self._clock(), "legs": encoded_legs(self._since)},
        }  # fmt: skip
        self.clear()
        return sent

    def _of(self, leg: str, now: float) -> dict[str, Any]:
        entry = self._entries.get(leg)
        if entry is None:
            entry = self._entries[leg] = _entry(leg, METHOD, now)
        return entry


def _entry(name: str, method: str, now: float) -> dict[str, Any]:
    """One line of Locust's statistics, empty."""
    return {
        "name": name, "method": method, "last_request_timestamp": None, "start_time": now, "num_requests": 0,
        "num_none_requests": 0, "num_failures": 0, "total_response_time": 0.0, "max_response_time": 0.0,
        "min_response_time": None, "total_content_length": 0, "response_times": {}, "num_reqs_per_sec": {},
        "num_fail_per_sec": {},
    }  # fmt: skip


def _count(entry: dict[str, Any], now: float, milliseconds: float | None) -> None:
    entry["num_requests"] += 1
    entry["last_request_timestamp"] = now
    _second(entry["num_reqs_per_sec"], now)
    if milliseconds is None:
        entry["num_none_requests"] += 1
        return
    entry["total_response_time"] += milliseconds
    entry["max_response_time"] = max(entry["max_response_time"], milliseconds)
    least = entry["min_response_time"]
    entry["min_response_time"] = milliseconds if least is None else min(least, milliseconds)
    times, key = entry["response_times"], rounded_ms(milliseconds)
    times[key] = times.get(key, 0) + 1


def _second(counts: dict[int, int], now: float) -> None:
    counts[int(now)] = counts.get(int(now), 0) + 1


__all__ = ["LEGS", "METHOD", "READY", "RUNNING", "SPAWNING", "Message", "Statistics", "decode", "rounded_ms"]
