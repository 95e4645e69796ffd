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
    """Feedback is under way, or its answer got lost: the server may be one state further, or may not."""
    upgraded: bool
    """It runs the new version, or has downloaded what it was only to download."""
    action: str = ""
    """The action `believed` is about; "" where the server numbers none."""


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The server's side of one device: the state of its action in the rollout, and that action's number ("": none)."""

    state: str
    action: str = ""


@dataclass(frozen=True, slots=True)
class Counters:
    """What a server counted of a rollout by itself; None where it does not count that."""

    rollout: str
    succeeded: int | None
    failed: int | None


def reconcile_states(
    ours: Mapping[str, Said], states: Mapping[str, DeviceState], counters: Counters | None
) -> Reconciliation:
    """Compares every module with the state of its action in this rollout.

    A difference needs a word of the module that the server contradicts. What the server does by itself, before a module
    has heard of it, is none: an assignment not yet picked up, an action taken away or replaced while its module slept.
    Feedback under way may or may not have arrived, so such modules may be one state further. A server that contradicts
    itself (its counters differ from its own device states) is a finding, not a disagreement with us.
    """
    theirs = {name: state for name, state in states.items() if name in ours}
    about = {name: said for name, said in ours.items() if name in theirs and _same_action(said, theirs[name])}
    checks = [_seen(ours, theirs)]
    for state, what in ((FINISHED, "success"), (ERROR, "failure"), (CANCELED, "canceled"), (RUNNING, "under way")):
        checks.append(_same(what, state, about, theirs))
    upgraded = {name for name, said in about.items() if said.upgraded}
    finished = {name for name in about if theirs[name].state == FINISHED}
    checks.append(_check("modules upgraded / finished at the server", upgraded, finished, finished - upgraded))
    return Reconciliation(tuple(checks), findings=(*_untold(about, theirs), *_findings(theirs, counters)))


def _same_action(said: Said, found: DeviceState) -> bool:
    """Whether both speak of one action: a module that has said nothing yet contradicts none."""
    return not said.action or not found.action or said.action == found.action


def _seen(ours: Mapping[str, Said], theirs: Mapping[str, DeviceState]) -> Check:
    connected = {name for name, said in ours.items() if said.connected}
    return _check("modules that connected / known to the server", connected, set(theirs), connected - set(theirs))


def _same(what: str, state: str, ours: Mapping[str, Said], theirs: Mapping[str, DeviceState]) -> Check:
    """Modules whose word is this state beside devices that are in it.

    `under way` at the server says nothing of a module that has not spoken, and a cancel that a module has not heard of
    ends no agreement.
    """
    mine = {name for name, said in ours.items() if said.believed == state}
    other = {name for name in ours if theirs[name].state == state}
    differ = {
        name for name in mine ^ other
        if not ours[name].pending and not (name in other and state == RUNNING and not ours[name].believed)
        and not (theirs[name].state == CANCELED and ours[name].believed in ("", RUNNING))
    }  # fmt: skip
    return _check(f"{what}: acknowledged / state at the server", mine, other, differ)


def _untold(ours: Mapping[str, Said], theirs: Mapping[str, DeviceState]) -> tuple[str, ...]:
    """Actions that the server took away and whose modules have not heard of it."""
    count = sum(1 for name, said in ours.items() if theirs[name].state == CANCELED and said.believed in ("", RUNNING))
    if not count:
        return ()
    return (f"{count:,} actions are canceled at the server and their modules have not heard of it",)


def _findings(theirs: Mapping[str, DeviceState], counters: Counters | None) -> tuple[str, ...]:
    if counters is None:
        return ()
    found = []
    for what, state, counted in (("successes", FINISHED, counters.succeeded), ("failures", ERROR, counters.failed)):
        real = sum(1 for s in theirs.values() if s.state == state)
        if counted is not None and counted != real:
            found.append(
                f"the server contradicts itself: {counters.rollout} counts {counted:,} {what}, "
                f"its own device states say {real:,} ({counted - real:+,})"
            )
    return tuple(found)


def _check(what: str, client: set[str], cloud: set[str], differ: set[str]) -> Check:
    return Check(what, len(client), len(cloud), len(differ), tuple(sorted(differ)[:SHOWN]))
