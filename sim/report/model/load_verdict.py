"""The verdict on a load run, from what its workers reported: the same decision as on any run, on objectives alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.stats.slo_result import SloResult
from sim.stats.verdict import Decision, Evidence, decide


def slo_of(found: Mapping[str, Any]) -> list[SloResult]:
    """The objectives of a load run; a folder of an older version has none."""
    return [SloResult.of(row) for row in found.get("slo", ())]


def decision_of(found: Mapping[str, Any]) -> Decision:
    """The verdict. A run whose generator failed, or that lost a worker, is void whatever it measured."""
    whole = bool(found.get("complete", True)) or bool(found.get("interrupted"))
    void = bool(found.get("void")) or not whole
    faults = [str(fault) for fault in found.get("faults", ())] or ["a worker did not report"]
    return decide(Evidence(
        (), 0, 0, complete=not found.get("interrupted"), counts_agree=(found.get("reconciliation") or {}).get("agrees"),
        slo=slo_of(found), generator=faults if void else (), aborted=bool(found.get("aborted")),
    ))  # fmt: skip


__all__ = ["decision_of", "slo_of"]
