"""Random access: who gets through when modules of one cell wake together, one opportunity (RAO) at a time.

The procedure of 3GPP TR 37.868: a module sends one of the cell's preambles at an opportunity; a preamble sent by one
module alone is detected with probability 1 - exp(-i) at its i-th transmission, one sent by several is not (they
collide); the cell answers at most `grants` detected preambles; then Msg3 and Msg4 are exchanged with HARQ. Whoever
hears no answer backs off and tries again, `max_transmissions` times in all.

The work is cut so that any engine can drive it: `next_rao` names the opportunity a module uses, `resolve` decides
that opportunity once its senders are known. Draws are keyed by module and by `preambles`, the number of preambles the
module has ever sent, so neither the order of events nor other cells shift anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from sim.draws import Purpose, pair, uniform

CONNECTED, AGAIN, GIVEN_UP = range(3)
"""What becomes of a sender: through, to try again later, or out of transmissions."""

# Durations of the procedure in LTE, from the opportunity on (TR 37.868, table 6.2.2.1.1).
SUBFRAME_S = 0.001
PREAMBLE_PROCESSING_S = 0.002
RAR_WINDOW_S = 0.005
GRANTS_PER_SUBFRAME = 3
RAR_PROCESSING_S = 0.005
MSG3_ROUND_TRIP_S = 0.008
REQUEST_PROCESSING_S = 0.004
MSG4_ROUND_TRIP_S = 0.005
CONTENTION_TIMER_S = 0.048
HARQ_ERROR = 0.1
HARQ_TRANSMISSIONS = 5

Row = Any
"""A module's row or its profile: siblings of this room, so their types are not imported."""
Rows = Any
"""Rows by number: a list of them, or an array of records."""


class Access(NamedTuple):
    """Random-access settings of one carrier; `time_factor` stretches the durations above."""

    preambles: int
    period_s: float
    grants: int
    max_transmissions: int
    back_off_s: float
    time_factor: float


def lte_access(profile: Row) -> Access:
    """The settings of an LTE carrier (LTE-M too) from a profile's parameters."""
    return Access(
        int(profile.rach_preambles), profile.rach_period_s, int(profile.rach_grants), int(profile.rach_max_transmissions), profile.rach_back_off_s, 1.0
    )  # fmt: skip


def nb_iot_access(profile: Row) -> Access:
    """The settings of an NB-IoT carrier from a profile's parameters."""
    return Access(
        int(profile.nprach_preambles), profile.nprach_period_s, int(profile.nprach_grants), int(profile.nprach_max_transmissions),
        profile.nprach_back_off_s, profile.nprach_time_factor,
    )  # fmt: skip


def next_rao(now: float, period_s: float) -> int:
    """Number of the first opportunity at or after `now`; opportunity n begins at n x period_s."""
    return math.ceil(now / period_s)


def decided_s(rao: int, access: Access) -> float:
    """When the preambles of an opportunity are over: all its senders are known, nobody has tried again yet."""
    return rao * access.period_s + SUBFRAME_S * access.time_factor


def resolve(
    rows: Rows, senders: Sequence[int], access: Access, k0: int, k1: int, rao: int, outcomes: list[int],
    times_s: list[float],
) -> int:  # fmt: skip
    """Decides one opportunity of one carrier; returns how many of its preambles collided.

    `senders` are the places of its senders in `rows`, by rising number; each row counts one preamble more. For sender i
    `outcomes[i]` becomes CONNECTED (Msg4 arrives at `times_s[i]`), AGAIN (it sends at the first opportunity at or after
    `times_s[i]`) or GIVEN_UP (it learns so at `times_s[i]`). Both lists are at least as long as `senders`.
    """
    used = [0] * access.preambles
    heard = [-1] * access.preambles  # the last sender of a preamble that the cell could detect
    for i in range(len(senders)):
        row = rows[senders[i]]
        row.preambles += 1
        row.access_attempts += 1
        choice, unit = pair(k0, k1, row.identity, Purpose.PREAMBLE, row.preambles)
        number = int(choice * access.preambles)
        used[number] += 1
        if unit < 1.0 - math.exp(-row.access_attempts):
            heard[number] = i
    start = rao * access.period_s
    unanswered = start + access.time_factor * (SUBFRAME_S + PREAMBLE_PROCESSING_S + RAR_WINDOW_S)
    for i in range(len(senders)):
        outcomes[i], times_s[i] = _again(rows[senders[i]], access, k0, k1, unanswered)
    collided = granted = 0
    for number in range(access.preambles):
        if used[number] > 1:
            collided += 1
        elif heard[number] >= 0 and granted < access.grants:
            i = heard[number]
            outcomes[i], times_s[i] = _granted(rows[senders[i]], access, k0, k1, start, granted)
            granted += 1
    return collided


def _granted(row: Row, access: Access, k0: int, k1: int, start: float, rank: int) -> tuple[int, float]:
    """Msg3 and Msg4 of the sender with the grant `rank` of its window; each is repeated until HARQ gets it through."""
    factor = access.time_factor
    window_s = SUBFRAME_S * (1 + rank // GRANTS_PER_SUBFRAME)
    msg3_s = start + factor * (SUBFRAME_S + PREAMBLE_PROCESSING_S + window_s + RAR_PROCESSING_S)
    first, second = pair(k0, k1, row.identity, Purpose.CONTENTION, row.preambles)
    repeats_3 = int(math.log(first) / math.log(HARQ_ERROR))
    repeats_4 = int(math.log(second) / math.log(HARQ_ERROR))
    if repeats_3 >= HARQ_TRANSMISSIONS or repeats_4 >= HARQ_TRANSMISSIONS:
        return _again(row, access, k0, k1, msg3_s + factor * CONTENTION_TIMER_S)
    rest_s = SUBFRAME_S + repeats_3 * MSG3_ROUND_TRIP_S + REQUEST_PROCESSING_S + repeats_4 * MSG4_ROUND_TRIP_S
    return CONNECTED, msg3_s + factor * (rest_s + SUBFRAME_S)


def _again(row: Row, access: Access, k0: int, k1: int, failed_s: float) -> tuple[int, float]:
    """A sender that failed at `failed_s` backs off, or gives up after its last transmission."""
    if row.access_attempts >= access.max_transmissions:
        return GIVEN_UP, failed_s
    return AGAIN, failed_s + access.back_off_s * uniform(k0, k1, row.identity, Purpose.ACCESS_BACK_OFF, row.preambles)
