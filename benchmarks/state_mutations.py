"""Turns every row of every state table wrong in turn and demands that a run notices.

A row that no run notices is one that no run reads: dead, or a rule that goes around the table. Each row leads to another
state instead; small scenarios are run on the SimPy engine until one of them leaves other records, stops with an error
or does not end. Rows that the SDK documents and that no scenario can ask for are marked in the table
(`Row.in_runs`); one of them that a run does read is an error, so the mark cannot hide a row.

    python -m benchmarks.state_mutations [--only execution] [--every-target]
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pandas as pd

from sim.cloud import execution_states, plan_states
from sim.engines.run import simulate
from sim.module import link_states, states
from sim.module.link_states import LinkMove, LinkState
from sim.scenario import Scenario
from sim.scenario.load import check
from sim.state_table import StateTable
from sim.strategy import group_states

BASE = """\
name: small
horizon: 4d
seed: 7
fleet:
  size: 40
  groups:
    - {name: all, share: 1.0, technology: lte-m, power: battery, components: {fw: "1.0.0"},
       battery: {capacity: 9.36 Wh}, check_in: {every: 6h, jitter: 10min}}
plan:
  name: fw-1.1.0
  components:
    - {component: fw, type: firmware, package: full, target_version: "1.1.0", size: 200 kB}
"""
RUN_LIMIT_S = 20.0
"""Processor time of a run; those of the scenarios take below 1 s."""
FAULTY = (
    "fleet.failures.message_loss_lte=0.1", "fleet.failures.server_error=0.5", "fleet.failures.user_refusal=0.3",
    "fleet.failures.flash_error=0.2", "fleet.failures.boot_failure=0.2", "fleet.failures.brick=0.05",
)  # fmt: skip
S = "plan.strategy."
NO_RETRY = S + "retry.number_of_retries=0"
ABORT = (
    S
    + "abort={{criteria: [{{failure_type: failed, threshold_percentage: 20, min_number_of_executed: 5, action: {}}}]}}"
)
RESUME = "plan.operator=[{at: 30h, do: resume}]"
ALWAYS = ("fleet.groups.0.check_in={always: {report_every: 10min}}", "fleet.groups.0.power=mains")
MCU = ("plan.components.0.type=mcu", "fleet.groups.0.mcu_buffer=64 kB")
SCENARIOS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "faulty": (*FAULTY, S + "retry.number_of_retries=2"),
    "always online": (*ALWAYS, *FAULTY),
    "user confirms": ("plan.mode=confirm", *FAULTY),
    "operator confirms": (S + "delivery.confirmation=operator",),
    "weak and low": (S + "preconditions={min_battery_percent: 60, min_rsrp_dbm: -105, on_unmet: reject}",),
    "device refuses": (S + "preconditions={min_battery_percent: 60, checked_by: device}",),
    "no room": ("fleet.groups.0.free_space=100 kB", S + "preconditions.needed_space=none"),
    "timeouts": (S + "timeouts.in_progress=20s", S + "retry.number_of_retries=1"),
    "late": (S + "timeouts={in_progress: 20s, accept_late: true}", NO_RETRY),
    "no address": ("fleet.failures.message_loss_lte=0.6", S + "retry.number_of_retries=3"),
    "broken downloads": (
        "fleet.failures.checksum_error=0.9", S + "retry.number_of_retries=12", "fleet.groups.0.check_in={every: 1h}",
    ),
    "busy server": (
        "fleet.failures.server_error=0.95", S + "retry.number_of_retries=12", "fleet.groups.0.check_in={every: 1h}",
    ),
    "group fails": (
        S + "rollout.groups=[{percent: 40, error_threshold_percent: 10}, {percent: 60}]", "fleet.failures.boot_failure=0.9",
        NO_RETRY, RESUME,
    ),
    "group fails after it passed": (
        S + "rollout.groups=[{percent: 50, success_threshold_percent: 5, error_threshold_percent: 30}, {percent: 50}]",
        "fleet.failures.boot_failure=0.6", NO_RETRY, RESUME,
    ),
    "rolled back": (
        ABORT.format("rollback"), S + "rollback=[{component: fw, version: \"1.0.0\", size: 200 kB}]",
        "fleet.failures.boot_failure=0.4", NO_RETRY,
    ),
    "cancelled": (ABORT.format("cancel"), "fleet.failures.boot_failure=0.4", NO_RETRY),
    "stopped and resumed": (
        "plan.operator=[{at: 2h, do: suspend}, {at: 8h, do: resume}, {at: 40h, do: retry-failed}, {at: 80h, do: terminate}]",
        S + "in_flight={on_pause: stop}", "fleet.failures.boot_failure=0.3", NO_RETRY,
    ),
    "ends, then terminated": (
        S + "schedule={end_time: 3h, end_behavior: cancel}", "plan.operator=[{at: 10h, do: terminate}]",
    ),
    "terminated, then ends": (
        S + "schedule={end_time: 10h, end_behavior: cancel}", "plan.operator=[{at: 3h, do: terminate}]",
    ),
    "polled": ("cloud.kind=ddi", *FAULTY),
    "polled and paused": ("cloud.kind=ddi", "plan.operator=[{at: 1h, do: suspend}]"),
    "asked to cancel": (
        *ALWAYS, "cloud.kind=ddi", "plan.mode=confirm", "plan.operator=[{at: 1h, do: terminate}]", S + "in_flight.on_cancel=ask",
    ),
    "revoked": (
        *ALWAYS, "plan.components.0.size=2 MB", "plan.operator=[{at: 3min, do: terminate}]",
        S + "in_flight={on_cancel: revoke, on_revoked: rollback}",
    ),
    "empty batteries": (
        "fleet.groups.0.battery={capacity: 0.02 Wh, recharge: {every: 1d, down_to: 5}}",
        S + "preconditions.min_battery_percent=0", "horizon=8d",
    ),
    "empty for good": ("fleet.groups.0.battery={capacity: 0.02 Wh}", S + "preconditions.min_battery_percent=0"),
    "vehicles": (
        "fleet.groups.0.power=vehicle", "fleet.groups.0.check_in={diurnal: {}}", "plan.components.0.size=20 MB",
    ),
    "slow link": ("fleet.groups.0.technology=nb-iot", "fleet.groups.0.rsrp_dbm=-128", "fleet.physics.rtt_factor=5",
        S + "preconditions.min_rsrp_dbm=-140"),
    "weak signal": ("fleet.groups.0.rsrp_dbm=-128", S + "preconditions.min_rsrp_dbm=-140"),
    "told too early": (
        "fleet.failures.early_success=1", "fleet.failures.boot_failure=0.4", NO_RETRY, S + "abort.withdraw_success=true",
    ),
    "delta that does not fit": ("plan.components.0.package=delta", "plan.components.0.source_version=\"0.9.0\""),
    "mcu": (*MCU, "fleet.failures.flash_error=0.3", "fleet.failures.boot_failure=0.3", "fleet.failures.brick=0.1"),
    "mcu reads slowly": (*MCU, "fleet.physics.mcu_read_s=90"),
    "mcu with empty batteries": (
        *MCU, "fleet.groups.0.battery={capacity: 0.02 Wh, recharge: {every: 1d, down_to: 5}}", "horizon=8d",
        S + "preconditions.min_battery_percent=0",
    ),
    "mcu runs empty as it updates": (
        *MCU, "fleet.groups.0.check_in={always: {report_every: 1min}}", "fleet.failures.brick=1",
        "fleet.groups.0.battery={capacity: 0.05 Wh, recharge: {every: 1d, down_to: 5}}",
        S + "preconditions.min_battery_percent=0",
    ),
}  # fmt: skip


ALIKE = {(LinkMove.RUN_EMPTY, (LinkState.FLASHING,)): (LinkState.OFFLINE,)}
"""Wrong targets of the link that no record can tell: an empty module is out of reach offline as while it writes, and POWER_BACK
leads from both to the same."""


@dataclass(frozen=True)
class Reader:
    """A table, where its flat form is kept, and how that is made."""

    table: StateTable
    module: Any
    flat: Callable[[StateTable], tuple[int, ...]]


READERS = (
    Reader(link_states.TABLE, link_states, link_states.trapping),
    Reader(states.TABLE, states, StateTable.next_states),
    Reader(group_states.TABLE, group_states, StateTable.next_states),
    Reader(plan_states.TABLE, plan_states, StateTable.next_states),
    Reader(execution_states.TABLE, execution_states, StateTable.next_states),
)


class Recorder(tuple[int, ...]):
    """A flat table that remembers which places were read."""

    read: set[int]

    def __getitem__(self, place: Any) -> Any:
        self.read.add(place)
        return tuple.__getitem__(self, place)


def scenarios() -> dict[str, Scenario]:
    """The scenarios by name; one that the model refuses is an error."""
    return {name: check(BASE, f"{name}.yaml", overrides) for name, overrides in SCENARIOS.items()}


class Endless(Exception):
    """A run that needs far more processor time than any of the scenarios."""


@contextmanager
def bounded() -> Iterator[None]:
    """Ends what runs in it after RUN_LIMIT_S of processor time."""

    def stop(*_: object) -> None:
        raise Endless(f"more than {RUN_LIMIT_S:g} s of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, RUN_LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


def left_by(scenario: Scenario) -> str:
    """A hash of the modules' records and of the decisions, or the error the run stops with."""
    try:
        with bounded():
            records = simulate(scenario, engine="simpy").records
    except Exception as error:  # whatever stops a run is noticed by whoever runs it
        return f"{type(error).__name__}: {error}"
    digest = sha256()
    for table in (records.modules, records.decisions):
        digest.update(pd.util.hash_pandas_object(table.astype(object), index=False).values.tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Unchanged:
    """What the scenarios leave with the tables as they are, and the places of each table that each of them reads."""

    scenarios: dict[str, Scenario]
    left: dict[str, str]
    read: dict[str, dict[str, set[int]]]

    def readers_of(self, reader: Reader, number: int) -> list[str]:
        """Scenarios that read a row."""
        row, columns = reader.table.rows[number], max(reader.table.moves) + 1
        places = {state * columns + row.move for state in row.sources}
        return [name for name in self.scenarios if self.read[name][reader.table.machine.word] & places]


def observe(made: dict[str, Scenario]) -> Unchanged:
    """Runs every scenario once with the tables as they are; one that stops with an error is an error here."""
    left: dict[str, str] = {}
    read: dict[str, dict[str, set[int]]] = {}
    for name, scenario in made.items():
        recorders = {}
        for reader in READERS:
            recorders[reader.table.machine.word] = reader.module.NEXT = Recorder(reader.flat(reader.table))
            reader.module.NEXT.read = set()
        try:
            left[name] = left_by(scenario)
        finally:
            for reader in READERS:
                reader.module.NEXT = reader.flat(reader.table)
        if ": " in left[name]:
            raise RuntimeError(f"scenario {name}: {left[name]}")
        read[name] = {word: recorder.read for word, recorder in recorders.items()}
    return Unchanged(made, left, read)


def noticed_by(reader: Reader, number: int, target: int, unchanged: Unchanged) -> str:
    """The first scenario that notices that a row leads to `target`, or nothing."""
    reader.module.NEXT = reader.flat(reader.table.with_row(number, target=target))
    try:
        for name in unchanged.readers_of(reader, number):
            if left_by(unchanged.scenarios[name]) != unchanged.left[name]:
                return name
    finally:
        reader.module.NEXT = reader.flat(reader.table)
    return ""


def wrong_targets(reader: Reader, number: int) -> list[int]:
    """The other states a row could lead to."""
    row = reader.table.rows[number]
    alike = ALIKE.get((row.move, row.sources), ()) if reader.module is link_states else ()
    return [state for state in reader.table.states if state != row.target and state not in alike]


def check_table(reader: Reader, unchanged: Unchanged, every_target: bool) -> tuple[int, int, list[str]]:
    """Wrong rows noticed, wrong rows tried, and what is amiss, a line each."""
    table, noticed, tried = reader.table, 0, 0
    amiss: list[str] = []
    for number, row in enumerate(table.rows):
        text = f"{table.machine.word}: {table.moves[row.move]} in {', '.join(table.states[s] for s in row.sources)}"
        readers = unchanged.readers_of(reader, number)
        if not row.in_runs:
            if readers:
                amiss.append(f"{text}: marked as asked for by no run, but {readers[0]!r} does")
            continue
        for target in wrong_targets(reader, number)[: None if every_target else 1]:
            tried += 1
            if noticed_by(reader, number, target, unchanged):
                noticed += 1
            else:
                why = f"not noticed by {len(readers)} scenarios that read it" if readers else "no scenario reads it"
                amiss.append(f"{text}: to {table.states[target]}: {why}")
    return noticed, tried, amiss


def main() -> int:
    """Every row of every table, or of one; exit status 1 when a run misses one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", help="one machine: link, ota, group, plan or execution")
    parser.add_argument("--every-target", action="store_true", help="every wrong state of a row, not only the first")
    given = parser.parse_args()
    unchanged = observe(scenarios())
    noticed = tried = faults = 0
    for reader in READERS:
        word = reader.table.machine.word
        if given.only not in (None, word):
            continue
        seen, of, amiss = check_table(reader, unchanged, given.every_target)
        aside = sum(not row.in_runs for row in reader.table.rows)
        print(
            f"{word}: {seen} of {of} wrong rows noticed" + (f", {aside} rows documented only" if aside else ""),
            flush=True,
        )
        for line in amiss:
            print(f"  {line}", flush=True)
        noticed, tried, faults = noticed + seen, tried + of, faults + len(amiss)
    print(f"{noticed} of {tried} wrong rows noticed, by {len(unchanged.scenarios)} scenarios")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
