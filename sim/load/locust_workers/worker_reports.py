"""What the workers of a distributed run reported, put together: histograms, failures, health, clocks, who went missing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sim.engines.live.latency import LEGS, SPANS, Latencies
from sim.engines.live.reconciliation import Reconciliation, combined, from_dict
from sim.engines.live.snapshot import SHOWN_LEGS, Snapshot, together

CLOCK_SLACK_S = 1.0
"""Clocks further apart than this make the seconds of Locust's charts wrong; latencies are measured within a worker."""

PROGRESS_S = 3.0
_MEASURED = (*SPANS, *LEGS)


@dataclass(slots=True)
class Part:
    """One worker's share."""

    latencies: Latencies = field(default_factory=Latencies)
    final: bool = False
    left: bool = False
    """Gone while its modules were to run on."""
    clock_off_s: float | None = None
    """At most so far off the master's: the way of a report can only add to it."""
    faults: list[str] = field(default_factory=list)
    health: dict[str, Any] = field(default_factory=dict)
    users: int = 0
    complaints: list[str] = field(default_factory=list)
    """What it could not do as it was told."""
    stands: dict[str, Any] = field(default_factory=dict)
    """Its newest snapshot, without latencies."""
    reconciliation: Reconciliation | None = None

    @property
    def void(self) -> bool:
        """Whether its figures are worth nothing: incomplete, its generator the bottleneck, or nothing ran at all."""
        return not self.final or bool(self.faults) or (bool(self.complaints) and self.users == 0)


def encoded_legs(found: Latencies) -> dict[str, dict[str, Any]]:
    """What was measured and what failed, leg by leg, as a worker reports it."""
    return {
        leg: {"failures": found.failed(leg), "hdr": found.encoded(leg) if leg in _MEASURED and found.count(leg) else ""}
        for leg in (*_MEASURED, "session") if (leg in _MEASURED and found.count(leg)) or found.failed(leg)
    }  # fmt: skip


class Gathered:
    """Parts by worker. A worker whose final report has not come is missing, and the run says so."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.parts: dict[str, Part] = {}
        self.options: dict[str, Any] = {}
        self.began: float | None = None
        self.ended: float | None = None
        self._told = 0.0

    def clear(self) -> None:
        """A new test begins."""
        self.parts = {}
        self.began, self.ended = self._clock(), None

    def expect(self, worker: str) -> None:
        """A worker that is to report; it is missing until it has."""
        self.parts.setdefault(worker, Part())

    def take(self, worker: str, data: dict[str, Any]) -> None:
        """A report of a worker; those of other kinds of workers carry nothing for us."""
        ours = data.get("fotasim")
        if not isinstance(ours, dict):
            self.parts.pop(worker, None)
            return
        part = self.parts.setdefault(worker, Part())
        for leg, row in ours.get("legs", {}).items():
            part.latencies.merge(leg, row["hdr"], row["failures"])
        part.final = part.final or bool(ours.get("final"))
        part.left = part.left or bool(ours.get("left"))
        part.users = max(part.users, int(data.get("user_count") or 0))
        off_s = float(ours.get("time", 0.0)) - self._clock()
        if part.clock_off_s is None or abs(off_s) < abs(part.clock_off_s):
            part.clock_off_s = off_s
        part.health = ours.get("health") or part.health
        part.faults += [fault for fault in part.health.get("faults", []) if fault not in part.faults]
        part.complaints += [text for text in ours.get("complaints", []) if text not in part.complaints]
        part.stands = ours.get("snapshot") or part.stands
        if ours.get("reconciliation"):
            part.reconciliation = from_dict(ours["reconciliation"])

    def merged(self) -> Latencies:
        """All parts' measurements as one."""
        total = Latencies()
        for part in self.parts.values():
            for leg in (*_MEASURED, "session"):
                encoded = part.latencies.encoded(leg) if leg in _MEASURED and part.latencies.count(leg) else ""
                total.merge(leg, encoded, part.latencies.failed(leg))
        return total

    def is_due(self) -> bool:
        """Whether it is time for a line of progress."""
        now = self._clock()
        due = now - self._told >= PROGRESS_S
        if due:
            self._told = now
        return due

    def snapshot(self) -> Snapshot:
        """How the whole run stands, all workers together."""
        merged = self.merged()
        counts, failures = merged.totals()
        return replace(
            together([Snapshot(**part.stands, latencies_s={}) for part in self.parts.values() if part.stands]),
            real_s=0.0 if self.began is None else (self.ended or self._clock()) - self.began,
            latencies_s=merged.shown_s(SHOWN_LEGS), counts=counts, failures=failures, workers=len(self.parts),
            faults=tuple(fault for part in self.parts.values() for fault in (*part.faults, *part.complaints)),
        )  # fmt: skip

    def progress(self) -> str:
        """How it stands, as one line of JSON: the fields of Snapshot."""
        return json.dumps(asdict(self.snapshot()))

    def reconciliation(self) -> Reconciliation:
        """Client beside cloud, all workers' modules together."""
        compared = [part.reconciliation for part in self.parts.values() if part.reconciliation is not None]
        missing = [
            Reconciliation(note=f"worker {worker} did not compare its modules")
            for worker, part in self.parts.items() if part.reconciliation is None
        ]  # fmt: skip
        return combined([*compared, *missing])

    def faults(self) -> list[str]:
        """Why the figures cannot be trusted as they are; empty when they can."""
        lines = []
        for worker, part in self.parts.items():
            if not part.final:
                lines.append(
                    f"worker {worker} went missing with {part.users:,} modules: its last measurements are not in "
                    "these figures"
                )
            if part.left:
                lines.append(f"worker {worker} left in mid-run, and {part.users:,} modules with it")
            lines += [f"worker {worker} was the bottleneck, this run is void: {fault}" for fault in part.faults]
            lines += [f"worker {worker}: {text}" for text in part.complaints]
            if part.clock_off_s is not None and abs(part.clock_off_s) > CLOCK_SLACK_S:
                lines.append(f"worker {worker}: its clock is {part.clock_off_s:+.1f} s off the master's")
        lines += [
            f"client and cloud DO NOT AGREE: {c.what}: {c.client:,} / {c.cloud:,}, {c.differ:,} differ: "
            f"{', '.join(c.examples)}"
            for c in self.reconciliation().checks if not c.agrees
        ]  # fmt: skip
        return lines

    def to_json(self) -> str:
        """Everything, for a file."""
        workers = {
            worker: {
                "final": part.final, "users": part.users, "clock_off_s": part.clock_off_s, "health": part.health,
                "faults": part.faults, "complaints": part.complaints,
                "counts": {leg: part.latencies.count(leg) for leg in _MEASURED}, "legs": part.latencies.table(),
            }
            for worker, part in self.parts.items()
        }  # fmt: skip
        found = {
            "complete": all(part.final and not part.left for part in self.parts.values()),
            "void": any(part.void for part in self.parts.values()), "faults": self.faults(),
            "began": self.began, "ended": self.ended, "reconciliation": self.reconciliation().as_dict(),
            "legs": self.merged().table(), "workers": workers,
        }  # fmt: skip
        return json.dumps(found, indent=1)


__all__ = ["Gathered", "Part", "encoded_legs"]
