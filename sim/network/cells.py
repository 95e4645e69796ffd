"""Cells: how much of a cell's downlink a download occupies; cloud/egress.py slows a cell down when it is short.

A download at its full radio rate occupies a share of the downlink that depends on its SINR: NB-IoT repeats every
block in poor coverage, so the slowest downloads are also those that hold the carrier longest. The curve for NB-IoT
is the time on NPDCCH and NPDSCH per block over the length of the block's whole cycle (one HARQ process, 70 % of the
subframes usable, in-band anchor carrier), from the LENA-NB look-up; LTE-M and LTE shares are estimates.
"""

from __future__ import annotations

from typing import Any

from sim.curves import interpolate

Row = Any
"""A module's row or its profile: siblings of this room, so their types are not imported."""

NB_IOT, LTE_M = 0, 1
"""Numbers of the technologies as in the module's rows; higher ones are LTE."""

_SINR_DB = (-9.0, -6.0, -3.0, 0.0, 3.0, 6.0, 9.0, 12.0, 15.0)
_NB_IOT_SHARE = (0.92, 0.91, 0.88, 0.80, 0.70, 0.54, 0.41, 0.36, 0.30)


def airtime_share(technology: int, sinr_db: float, lte_m_share: float, lte_share: float) -> float:
    """Share (0-1) of a cell's downlink that one download at its full radio rate occupies.

    NB-IoT: of an anchor carrier, by SINR [derived]. LTE-M and LTE: of a carrier's resource blocks, as given by the
    parameters `lte_m_carrier_share` and `lte_share` [estimated].
    """
    if technology == NB_IOT:
        return interpolate(_SINR_DB, _NB_IOT_SHARE, sinr_db)
    return lte_m_share if technology == LTE_M else lte_share


def download_share(row: Row, profile: Row) -> float:
    """Share (0-1) of its cell's downlink that a module's download occupies in its present session.

    A download held back by round trips or a serial line leaves the air idle in between (`air_use` of the row). One
    alone gets what it can use: its share is never more than a cell gives to downloads.
    """
    full = airtime_share(profile.technology, row.sinr_db, profile.lte_m_carrier_share, profile.lte_share)
    share: float = min(full * row.air_use, profile.cell_airtime_limit)
    return share


CARRIERS = 2
"""A cell has a carrier for NB-IoT and one for LTE and LTE-M."""


def carrier(cell: int, technology: int) -> int:
    """Number of the carrier that a module of this technology uses in its cell; -1 outside cells."""
    if cell < 0:
        return -1
    return CARRIERS * cell + (0 if technology == NB_IOT else 1)
