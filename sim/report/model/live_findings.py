"""What only a real cloud can tell: where the modules went, how long each leg took, whether client and cloud agree."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.stats.slo_result import SloResult

LATENCIES_FILE = "latencies.json"


@dataclass(frozen=True, slots=True)
class Leg:
    """A leg of the upgrade: what it spans, how often it was measured, failures by reason, quantiles in seconds."""

    name: str
    meaning: str
    count: int
    failures: dict[str, int]
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    max_s: float | None = None
    tries: int = 0
    """How often it was tried; sessions are tried by connecting."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """A count of the modules beside the cloud's, how many modules differ, and some of them by name."""

    what: str
    client: int
    cloud: int
    differ: int
    examples: list[str]


@dataclass(frozen=True, slots=True)
class Compared:
    """What client and cloud counted, laid side by side; `agrees` is None where nobody could be asked, and `note` says why."""

    agrees: bool | None
    note: str = ""
    checks: list[Agreement] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Live:
    """A live run beside its records: the target, how time went, the legs, what client and cloud counted."""

    target: str
    time_scale: float
    ramp_per_s: float
    radio: bool
    wall_s: float
    legs: list[Leg]
    compared: Compared
    slo: list[SloResult] = field(default_factory=list)
    generator: list[str] = field(default_factory=list)
    ended_by: str = ""


def live_of(folder: Path, manifest: Mapping[str, Any]) -> Live | None:
    """What a live run left beside its tables; None for a simulated one."""
    told = manifest.get("live")
    if not isinstance(told, Mapping):
        return None
    try:
        latencies = json.loads((folder / LATENCIES_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        latencies = {}
    return Live(
        str(told.get("target", "")), float(told.get("time_scale", 1.0)), float(told.get("ramp_per_s", 0.0)),
        bool(told.get("radio")), float(manifest.get("wall_s", 0.0)), legs_of(latencies),
        compared_of(told.get("reconciliation") or {}), [SloResult.of(row) for row in told.get("slo", ())],
        [str(fault) for fault in told.get("faults", ())], str(told.get("ended_by", "")),
    )  # fmt: skip


def legs_of(table: Mapping[str, Any]) -> list[Leg]:
    """The legs that were measured or failed, from a table of latencies as it was written."""
    listed = []
    for name, row in table.items():
        failures = {str(reason): int(n) for reason, n in row.get("failures", {}).items()}
        count = int(row.get("count", 0))
        if count or failures:
            quantiles = {key: row.get(key) for key in ("p50_s", "p95_s", "p99_s", "max_s")}
            tries = int(row.get("tries", count + sum(failures.values())))
            listed.append(Leg(str(name), str(row.get("meaning", "")), count, failures, **quantiles, tries=tries))
    return listed


def compared_of(told: Mapping[str, Any]) -> Compared:
    """The reconciliation as it was written."""
    checks = [
        Agreement(str(c["what"]), int(c["client"]), int(c["cloud"]), int(c["differ"]), [str(e) for e in c["examples"]])
        for c in told.get("checks", [])
    ]
    return Compared(told.get("agrees"), str(told.get("note", "")), checks, [str(f) for f in told.get("findings", [])])
