"""Reconciliation: what the modules did beside what the cloud says they did; it must agree after every live run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from sim import messages as msg
from sim.cloud import execution as ex
from sim.cloud.execution_states import ExecutionState

SHOWN = 20
_OTHERS = (
    "the cloud counted more reports than this run sent, for {} modules ({}): another client uses their identities, "
    "or reports of an earlier run are counted"
)
NOBODY = "not possible: no worker could compare"


@dataclass(frozen=True, slots=True)
class ModuleCounts:
    """The client's side of one module."""

    connected: bool
    success_acknowledged: bool
    upgraded: bool
    statuses_sent: int
    statuses_acknowledged: int


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: counts of both sides and the modules that differ, at most SHOWN of them."""

    what: str
    client: int
    cloud: int
    differ: int
    examples: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether both sides say the same."""
        return self.differ == 0


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """All comparisons of a run."""

    checks: tuple[Check, ...] = ()
    note: str = ""
    findings: tuple[str, ...] = ()
    """What else the cloud told: where it contradicts itself, what an earlier run left; no disagreement with the modules."""
    by: str = ""
    """What of the cloud was compared, such as `rollout 7 'fw-1.1.0'`; empty: all there is."""

    @property
    def agrees(self) -> bool:
        """Whether every comparison agrees."""
        return all(check.agrees for check in self.checks)

    def lines(self) -> list[str]:
        """The result as printed."""
        if not self.checks:
            return [f"reconciliation: {self.note}"]
        by = f", by {self.by}" if self.by else ""
        lines = [f"reconciliation: client and cloud {'agree' if self.agrees else 'DO NOT AGREE'}{by}"]
        for check in self.checks:
            mark = "ok" if check.agrees else f"{check.differ:,} differ: {', '.join(check.examples)}"
            lines.append(f"  {check.what:<44}{check.client:>10,}{check.cloud:>10,}  {mark}")
        return [*lines, *(f"  finding: {text}" for text in self.findings)]

    def as_dict(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "agrees": self.agrees if self.checks else None, "note": self.note, "by": self.by,
            "findings": list(self.findings),
            "checks": [
                {"what": c.what, "client": c.client, "cloud": c.cloud, "differ": c.differ, "examples": list(c.examples)}
                for c in self.checks
            ],
        }  # fmt: skip


def from_dict(given: Mapping[str, Any]) -> Reconciliation:
    """The reconciliation that `as_dict` wrote."""
    checks = [
        Check(str(c["what"]), int(c["client"]), int(c["cloud"]), int(c["differ"]), tuple(map(str, c["examples"])))
        for c in given["checks"]
    ]
    return Reconciliation(
        tuple(checks), str(given["note"]), tuple(map(str, given["findings"])), str(given.get("by", ""))
    )


def combined(parts: Sequence[Reconciliation]) -> Reconciliation:
    """One reconciliation of parts with different modules each; a part that was not compared is told as a finding."""
    counts: dict[str, Check] = {}
    for check in (check for part in parts for check in part.checks):
        so_far = counts.get(check.what, Check(check.what, 0, 0, 0))
        counts[check.what] = Check(
            check.what, so_far.client + check.client, so_far.cloud + check.cloud, so_far.differ + check.differ,
            _few([*so_far.examples, *check.examples]),
        )  # fmt: skip
    notes = list(dict.fromkeys(part.note for part in parts if part.note))
    findings = [text for part in parts for text in part.findings]
    if not counts:
        return Reconciliation(note="; ".join(notes) or NOBODY)
    by = "; ".join(dict.fromkeys(part.by for part in parts if part.by))
    return Reconciliation(tuple(counts.values()), "", (*findings, *(f"not all compared: {n}" for n in notes)), by)


def reconcile(client: Mapping[str, ModuleCounts], cloud: Mapping[str, Mapping[str, Any]]) -> Reconciliation:
    """Compares module by module.

    A success whose report was acknowledged must be the cloud's success; the cloud may know of one whose
    acknowledgement was cut off, but never of one that did not happen. Reports the cloud counted lie between those
    acknowledged and those sent.
    """
    ours = {name: counts for name, counts in client.items() if counts.connected}
    succeeded = {name for name, device in cloud.items() if device.get("state") == "succeeded"}
    acknowledged = {name for name, counts in ours.items() if counts.success_acknowledged}
    upgraded = {name for name, counts in client.items() if counts.upgraded}
    known, counted_successes = set(cloud) & set(client), succeeded & set(client)
    checks = [
        _check("modules that connected / devices in the plan", set(ours), known, set(ours) - known),
        _check("successes acknowledged / counted", acknowledged, counted_successes, acknowledged - counted_successes),
        _check("modules upgraded / successes counted", upgraded, counted_successes, counted_successes - upgraded),
    ]
    counted = {name: device["reports"] for name, device in cloud.items() if name in ours and "reports" in device}
    if counted:
        off = [
            name for name, reports in counted.items()
            if not ours[name].statuses_acknowledged <= reports <= ours[name].statuses_sent
        ]  # fmt: skip
        total = sum(ours[name].statuses_acknowledged for name in counted)
        checks.append(Check("status reports acknowledged / counted", total, sum(counted.values()), len(off), _few(off)))
    strange = [name for name, reports in counted.items() if reports > ours[name].statuses_sent]
    findings = (_OTHERS.format(len(strange), ", ".join(strange[:3])),) if strange else ()
    return Reconciliation(tuple(checks), findings=findings)


def _check(what: str, client: set[str], cloud: set[str], differ: set[str]) -> Check:
    return Check(what, len(client), len(cloud), len(differ), _few(sorted(differ)))


def _few(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(names[:SHOWN])


_STATE_AFTER = {
    msg.PLAN_RECEIVED: ExecutionState.NOTIFIED, msg.SUBMITTED: ExecutionState.CONFIRMED, msg.REFUSED: ExecutionState.QUEUED,
    msg.DOWNLOAD_START: ExecutionState.DOWNLOADING, msg.DOWNLOADING: ExecutionState.DOWNLOADING, msg.DOWNLOAD_ERROR: ExecutionState.CONFIRMED,
    msg.DOWNLOADED: ExecutionState.DOWNLOADED, msg.UPDATING: ExecutionState.UPDATING, msg.UPDATE_SUCCESS: ExecutionState.UPDATING,
    msg.UPDATE_ERROR: ExecutionState.CONFIRMED,
}  # fmt: skip
"""What the cloud must believe after each acknowledged status, when it cannot be asked."""


def mirror(execution: ex.Execution, acked: Mapping[int, float], row: Any) -> None:
    """The execution as the acknowledged reports tell it."""
    if acked:
        execution.state = _STATE_AFTER[max(acked, key=lambda status: acked[status])]
    if msg.UPDATE_SUCCESS in acked and not isnan(row.upgraded_s):
        execution.state, execution.reported_s = ExecutionState.SUCCEEDED, acked[msg.UPDATE_SUCCESS]
