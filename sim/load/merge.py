"""What the workers of a distributed run reported, put together: histograms, failures, health, clocks, who went missing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sim.engines.live.latency import LEGS, Latencies

CLOCK_SLACK_S = 1.0
"""Clocks further apart than this make the seconds of Locust's charts wrong; latencies are measured within a worker."""


PROGRESS_S = 3.0


@dataclass(slots=True)
class Part:
    """One worker's share."""

    latencies: Latencies = field(default_factory=Latencies)
    final: bool = False
    clock_off_s: float = 0.0
    faults: list[str] = field(default_factory=list)
    health: dict[str, Any] = field(default_factory=dict)
    users: int = 0


def encoded_legs(found: Latencies) -> dict[str, dict[str, Any]]:
    """What was measured and what failed, leg by leg, as a worker reports it."""
    return {
        leg: {"failures": found.failed(leg), "hdr": found.encoded(leg) if leg in LEGS and found.count(leg) else ""}
        for leg in (*LEGS, "session") if (leg in LEGS and found.count(leg)) or found.failed(leg)
    }  # fmt: skip


class Gathered:
    """Parts by worker. A worker whose final report has not come is missing, and the run says so."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.parts: dict[str, Part] = {}
        self.options: dict[str, Any] = {}
        self._told = 0.0

    def clear(self) -> None:
        """A new test begins."""
        self.parts = {}

    def expect(self, worker: str) -> None:
        """A worker that is to report; it is missing until it has."""
        self.parts.setdefault(worker, Part())

    def take(self, worker: str, data: dict[str, Any]) -> None:
        """A report of a worker; those of other kinds of workers carry nothing for us."""
        ours = data.get("fotasim")
        if not isinstance(ours, dict):
            return
        part = self.parts.setdefault(worker, Part())
        for leg, row in ours.get("legs", {}).items():
            part.latencies.merge(leg, row["hdr"], row["failures"])
        part.final = part.final or bool(ours.get("final"))
        part.users = max(part.users, int(data.get("user_count") or 0))
        off_s = float(ours.get("time", 0.0)) - self._clock()
        if abs(off_s) > abs(part.clock_off_s):
            part.clock_off_s = off_s
        part.health = ours.get("health") or part.health
        part.faults += [fault for fault in part.health.get("faults", []) if fault not in part.faults]

    def merged(self) -> Latencies:
        """All parts' measurements as one."""
        total = Latencies()
        for part in self.parts.values():
            for leg in (*LEGS, "session"):
                encoded = part.latencies.encoded(leg) if leg in LEGS and part.latencies.count(leg) else ""
                total.merge(leg, encoded, part.latencies.failed(leg))
        return total

    def is_due(self) -> bool:
        """Whether it is time for a line of progress."""
        now = self._clock()
        due = now - self._told >= PROGRESS_S
        if due:
            self._told = now
        return due

    def progress(self) -> str:
        """How it stands, as one line of JSON."""
        merged = self.merged()
        legs = {
            leg: {"count": merged.count(leg), "p50_s": merged.quantile_s(leg, 50.0), "p99_s": merged.quantile_s(leg, 99.0)}
            for leg in LEGS if merged.count(leg)
        }  # fmt: skip
        failures = {f"{leg}: {reason}": n for (leg, reason), n in merged.failures.items()}
        users = sum(part.users for part in self.parts.values())
        return json.dumps({
            "time": self._clock(), "workers": len(self.parts), "users": users, "legs": legs, "failures": failures,
            "faults": [fault for part in self.parts.values() for fault in part.faults],
        })  # fmt: skip

    def faults(self) -> list[str]:
        """Why the figures cannot be trusted as they are; empty when they can."""
        lines = []
        for worker, part in self.parts.items():
            if not part.final:
                lines.append(f"worker {worker} went missing: its last measurements are not in these figures")
            lines += [f"worker {worker} was the bottleneck, this run is void: {fault}" for fault in part.faults]
            if abs(part.clock_off_s) > CLOCK_SLACK_S:
                lines.append(f"worker {worker}: its clock is {part.clock_off_s:+.1f} s off the master's")
        return lines

    def to_json(self) -> str:
        """Everything, for a file."""
        workers = {
            worker: {
                "final": part.final, "users": part.users, "clock_off_s": part.clock_off_s, "health": part.health,
                "faults": part.faults,
                "counts": {leg: part.latencies.count(leg) for leg in LEGS}, "legs": part.latencies.table(),
            }
            for worker, part in self.parts.items()
        }  # fmt: skip
        void = any(part.faults or not part.final for part in self.parts.values())
        return json.dumps(
            {"void": void, "faults": self.faults(), "legs": self.merged().table(), "workers": workers}, indent=1
        )


__all__ = ["Gathered", "Part", "encoded_legs"]
