"""Caps on modules under way at once: over the plan, and over a cell by coverage level (definition 4).

Over the plan a module counts from its release (the definition: waiting offline ones count) or, as the Developer Center
is read, from the moment its offer goes out. Over a cell it counts while its offer is out or it is in progress, at the
coverage level it had when the offer went out (Huawei's 50, 10 and 1 by level, and 1 where the level is unknown).
"""

from __future__ import annotations

from sim.strategy.progress import Progress
from sim.strategy.settings import Settings


def may_release(settings: Settings, progress: Progress) -> bool:
    """Whether one more module may be released; a cap below 0 holds everybody, 0 is none."""
    return (
        settings.max_in_progress == 0
        or settings.counts_from_release == 0
        or progress.outstanding < settings.max_in_progress
    )


def may_offer(settings: Settings, progress: Progress) -> bool:
    """Whether one more offer may go out."""
    return (
        settings.max_in_progress == 0
        or settings.counts_from_release == 1
        or progress.in_progress < settings.max_in_progress
    )


def capped_by_cell(settings: Settings) -> bool:
    """Whether cells have caps at all."""
    return settings.cell_total > 0 or settings.cell_level_0 > 0


def cell_cap(settings: Settings, level: int) -> int:
    """How many of one coverage level a cell may have under way; an unknown level counts as the worst."""
    if settings.cell_total > 0:
        return settings.cell_total
    return settings.cell_level_0 if level == 0 else settings.cell_level_1 if level == 1 else settings.cell_level_2


def cell_slot(settings: Settings, level: int) -> int:
    """Which counter of the cell a module of this level uses: one for all, or one for each level."""
    return 0 if settings.cell_total > 0 or level == 0 else 1 if level == 1 else 2
