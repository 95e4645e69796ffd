"""Working out again what a live run or a load run wrote beside its tables: latencies from histograms, both sides' counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sim.archive import Finding
from sim.engines.live.latency import Latencies
from sim.engines.live.reconciliation import from_dict


def latencies_from(parts: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The table of latencies that the histograms and failures of several tables give together."""
    total = Latencies()
    for table in parts:
        for leg, row in table.items():
            total.merge(str(leg), str(row.get("hdr") or "") if row.get("count") else "", row.get("failures", {}))
    return total.table()


def without_histograms(table: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The figures of a table of latencies; of legs that nothing was measured of, none."""
    figures = {leg: {k: v for k, v in row.items() if k not in ("hdr", "meaning")} for leg, row in table.items()}
    return {leg: row for leg, row in figures.items() if row.get("count") or row.get("failures")}


def agreement(file: str, told: Mapping[str, Any]) -> tuple[int, list[Finding]]:
    """Whether client and cloud agree, from the counts of both."""
    if not told.get("checks"):
        return 0, []
    found = from_dict(told)
    wrong = [
        Finding(file, f"reconciliation: {c.what}: {c.client} and {c.cloud} with {c.differ} that differ cannot be")
        for c in found.checks if c.differ < abs(c.client - c.cloud)
    ]  # fmt: skip
    if told.get("agrees") != found.agrees:
        wrong.append(Finding(file, f"reconciliation.agrees is {told.get('agrees')}, its counts give {found.agrees}"))
    return 1 + len(found.checks), wrong


__all__ = ["agreement", "latencies_from", "without_histograms"]
