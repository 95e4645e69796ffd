"""Modules beside a DDI server's own device states, one by one; and the server's counters beside those states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sim.engines.live.reconciliation import SHOWN, Check, Reconciliation

UNKNOWN, REGISTERED, RUNNING, FINISHED, ERROR, CANCELED = (
    "unknown", "registered", "running", "finished", "error", "canceled",
)  # fmt: skip
"""Device states of DDI servers in one vocabulary."""


@dataclass(frozen=True, slots=True)
class Said:
    """The client's side of one module: the state its acknowledged feedback must have led to, and what is under way."""

    connected: bool
    believed: str
    pending: bool
    upgraded: bool
    """It runs the new version, or has downloaded what it was only to download."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What a server counted of a rollout by itself; None where it does not count that."""

    rollout: str
    succeeded: int | None
    failed: int | None


def reconcile_states(
    ours: Mapping[str, Said], states: Mapping[str, str], counters: Counters | None
) -> Reconciliation:  # fmt: skip
    """Compares every module with the server's state of it.

    Feedback still under way may or may not have arrived, so such modules may be one state further. A server that
    contradicts itself (its counters differ from its own device states) is a finding, not a disagreement with us.
    """
    theirs = {name: state for name, state in states.items() if name in ours}
    checks = [_seen(ours, theirs)]
    for state, what in ((FINISHED, "success"), (ERROR, "failure"), (CANCELED, "canceled"), (RUNNING, "under way")):
        checks.append(_same(what, state, ours, theirs))
    upgraded = {name for name, said in ours.items() if said.upgraded}
    finished = {name for name, state in theirs.items() if state == FINISHED}
    checks.append(_check("modules upgraded / finished at the server", upgraded, finished, finished - upgraded))
    return Reconciliation(tuple(checks), findings=_findings(theirs, counters))


def _seen(ours: Mapping[str, Said], theirs: Mapping[str, str]) -> Check:
    connected = {name for name, said in ours.items() if said.connected}
    return _check("modules that connected / known to the server", connected, set(theirs), connected - set(theirs))


def _same(what: str, state: str, ours: Mapping[str, Said], theirs: Mapping[str, str]) -> Check:
    mine = {name for name, said in ours.items() if said.believed == state}
    other = {name for name, found in theirs.items() if found == state}
    differ = {name for name in mine ^ other if not ours[name].pending}
    return _check(f"{what}: acknowledged / state at the server", mine, other, differ)


def _findings(theirs: Mapping[str, str], counters: Counters | None) -> tuple[str, ...]:
    if counters is None:
        return ()
    found = []
    for what, state, counted in (("successes", FINISHED, counters.succeeded), ("failures", ERROR, counters.failed)):
        real = sum(1 for s in theirs.values() if s == state)
        if counted is not None and counted != real:
            found.append(
                f"the server contradicts itself: {counters.rollout} counts {counted:,} {what}, "
                f"its own device states say {real:,} ({counted - real:+,})"
            )
    return tuple(found)


def _check(what: str, client: set[str], cloud: set[str], differ: set[str]) -> Check:
    return Check(what, len(client), len(cloud), len(differ), tuple(sorted(differ)[:SHOWN]))
