"""Whose events are recorded: those of all modules, or of a sample that is drawn by key."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim import draws
from sim.draws import Purpose
from sim.engines.world.build import World
from sim.errors import FotasimError

ALL = "all"


def size_of(sample: str, modules: int) -> int:
    """How many modules a sample has: `all`, a number such as `1000`, or a share such as `1%`."""
    text = sample.strip()
    try:
        wanted = modules if text == ALL else float(text.removesuffix("%")) * (modules / 100.0 if "%" in text else 1.0)
    except ValueError:
        wanted = -1.0
    if not 0.0 < wanted < np.inf or ("%" not in text and wanted != int(wanted)):
        raise FotasimError(f"events of {sample!r}: give all, a number of modules such as 1000, or a share such as 1%")
    return min(modules, max(1, int(np.ceil(wanted))))


def watched(world: World, events: bool | str) -> NDArray[np.uint8]:
    """1 for each module whose events are recorded; one entry for all where none is left out. True stands for `all`.

    A larger sample contains a smaller one; both engines draw the same.
    """
    identities = world.fleet.rows["identity"]
    if not events:
        return np.zeros(1, dtype=np.uint8)
    size = size_of(ALL if events is True else str(events), len(identities))
    if size == len(identities):
        return np.ones(1, dtype=np.uint8)
    key: Any = draws.key(world.scenario.seed, world.replication)
    dice = draws.uniforms(key[0], key[1], identities, Purpose.EVENT_SAMPLE)
    return np.asarray(dice <= np.partition(dice, size - 1)[size - 1], dtype=np.uint8)
