"""Caps on modules under way at once: over the plan, and over a cell by coverage level (definition 4).

Over the plan a module counts from its release (the definition: waiting offline ones count) or, as the Developer Center
is read, from the moment its offer goes out. Over a cell it counts while its offer is out or it is in progress, at the
coverage level it had when the offer went out (Huawei's 50, 10 and 1 by level, and 1 where the level is unknown).
"""

from __future__ import annotations

from sim.strategy.progress import Progress
from sim.strategy.settings import Settings


def may_release(r: Settings, c: Progress) -> bool:
    """Whether one more module may be released."""
    return r.max_in_progress <= 0 or r.counts_from_release == 0 or c.outstanding < r.max_in_progress


def may_offer(r: Settings, c: Progress) -> bool:
    """Whether one more offer may go out."""
    return r.max_in_progress <= 0 or r.counts_from_release == 1 or c.in_progress < r.max_in_progress


def capped_by_cell(r: Settings) -> bool:
    """Whether cells have caps at all."""
    return r.cell_total > 0 or r.cell_level_0 > 0


def cell_cap(r: Settings, level: int) -> int:
    """How many of one coverage level a cell may have under way; an unknown level counts as the worst."""
    if r.cell_total > 0:
        return r.cell_total
    return r.cell_level_0 if level == 0 else r.cell_level_1 if level == 1 else r.cell_level_2


def cell_slot(r: Settings, level: int) -> int:
    """Which counter of the cell a module of this level uses: one for all, or one for each level."""
    return 0 if r.cell_total > 0 or level == 0 else 1 if level == 1 else 2
