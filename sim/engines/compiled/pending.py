"""What is under way to or from one module: a short list in order of time, first come first served at one instant.

The lists of all modules share one array; only modules in the middle of something have entries.
"""

from __future__ import annotations

from sim.engines.compiled.array_state import ArrayState, LinedRow, ListedEvent
from sim.engines.driver_rules.driven_row import NONE


def add(state: ArrayState, row: LinedRow, time: float, kind: int) -> ListedEvent:
    """A new entry of the module's list, after those of the same time; returns it to be filled."""
    driver = state.driver
    at = driver.under_way_free
    if at == NONE:
        at = driver.under_way_used
        driver.under_way_used += 1
    else:
        driver.under_way_free = state.under_way[at].next
    entry = state.under_way[at]
    entry.time = time
    entry.kind = kind
    entry.order = row.order
    row.order += 1
    if row.head == NONE or state.under_way[row.head].time > time:
        entry.next = row.head
        row.head = at
        return entry
    before = state.under_way[row.head]
    while before.next != NONE and state.under_way[before.next].time <= time:
        before = state.under_way[before.next]
    entry.next = before.next
    before.next = at
    return entry


def take(state: ArrayState, row: LinedRow) -> ListedEvent:
    """Takes the first entry off the module's list. It stays readable until the next one is added."""
    at = row.head
    entry = state.under_way[at]
    row.head = entry.next
    _give_back(state, at)
    return entry


def first_of(state: ArrayState, row: LinedRow, kind: int) -> int:
    """Place of the first entry of that kind, or NONE."""
    at = row.head
    while at != NONE and state.under_way[at].kind != kind:
        at = state.under_way[at].next
    return int(at)


def forget(state: ArrayState, row: LinedRow, kind: int) -> None:
    """Drops the first entry of that kind, if there is one. It stays readable until the next one is added."""
    before, at = NONE, row.head
    while at != NONE and state.under_way[at].kind != kind:
        before, at = at, state.under_way[at].next
    if at == NONE:
        return
    if before == NONE:
        row.head = state.under_way[at].next
    else:
        state.under_way[before].next = state.under_way[at].next
    _give_back(state, at)


def _give_back(state: ArrayState, at: int) -> None:
    state.under_way[at].next = state.driver.under_way_free
    state.driver.under_way_free = at
