"""What the workers of a distributed run reported, put together: histograms, failures, health, clocks, who went missing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sim.engines.live.latency import LEGS, Latencies
from sim.engines.live.reconciliation import Reconciliation, combined, from_dict
from sim.engines.live.slo import Slo, parse
from sim.engines.live.slo_judging import EVERYBODY, broken_so_far, judged
from sim.engines.live.snapshot import SHOWN_LEGS, SHOWN_REASONS, Snapshot, together
from sim.records import SPANS

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
    silent: bool = False
    """Nothing has come from it for a few heartbeats."""

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
        _merge(part.latencies, ours.get("legs", {}))
        for name, legs in ours.get("groups", {}).items():
            _merge(part.latencies.of_group(name), legs)
        part.silent = False
        part.final = part.final or bool(ours.get("final"))
        part.left = part.left or bool(ours.get("left"))
        part.users = max(part.users, int(data.get("user_count") or 0))
        off_s = float(ours.get("time", 0.0)) - self._clock()
        if part.clock_off_s is None or abs(off_s) < abs(part.clock_off_s):
            part.clock_off_s = off_s
        part.health = ours.get("health") or part.health
        for fault in (*part.health.get("faults", ()), *ours.get("faults", ())):
            if fault not in part.faults:
                part.faults.append(fault)
        part.complaints += [text for text in ours.get("complaints", []) if text not in part.complaints]
        part.stands = ours.get("snapshot") or part.stands
        if ours.get("reconciliation"):
            part.reconciliation = from_dict(ours["reconciliation"])

    def merged(self) -> Latencies:
        """All parts' measurements as one."""
        total = Latencies()
        for part in self.parts.values():
            _merge(total, encoded_legs(part.latencies))
            for name, found in part.latencies.groups.items():
                _merge(total.of_group(name), encoded_legs(found))
        for name in () if self.slo is None else self.slo.groups:
            total.of_group(name)
        return total

    def silent(self, worker: str) -> bool:
        """Hears that a worker is silent; True when that is news."""
        part = self.parts.get(worker)
        if part is None or part.silent or part.final:
            return False
        part.silent = True
        return True

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
            faults=tuple(fault for worker, part in self.parts.items() for fault in _faults(worker, part)),
            reasons=dict(merged.failures_by_reason().most_common(SHOWN_REASONS)),
            broken=tuple(broken_so_far(self.slo, {EVERYBODY: merged, **merged.groups})), left_s=self._left_s(),
            histograms=merged.exponential(),
        )  # fmt: skip

    def _left_s(self) -> float | None:
        """Seconds until the run ends at the latest, where an end was given."""
        run_time_s = self.options.get("run_time")
        if not run_time_s or self.began is None:
            return None
        return max(0.0, self.began + float(run_time_s) - self._clock())

    @property
    def slo(self) -> Slo | None:
        """What the run is judged by, beside the tolerance for failures."""
        text = self.options.get("fotasim_slo")
        return parse(text) if text else None

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
            lines += [f"worker {worker}: this run is void: {fault}" for fault in part.faults]
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
        merged = self.merged()
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
            "legs": merged.table(), "workers": workers,
            "slo": [result.plain() for result in judged(self.slo, {EVERYBODY: merged, **merged.groups})],
        }  # fmt: skip
        return json.dumps(found, indent=1)


def _merge(into: Latencies, legs: Mapping[str, Mapping[str, Any]]) -> None:
    for leg, row in legs.items():
        into.merge(leg, row["hdr"], row["failures"])


def _faults(worker: str, part: Part) -> list[str]:
    """Why a worker's part cannot be trusted, as far as is known while it runs."""
    silent = [f"worker {worker} is silent: {part.users:,} modules are missing"] if part.silent else []
    return [*silent, *part.faults, *part.complaints]


__all__ = ["Gathered", "Part", "encoded_legs"]
