"""Which points a study visits: grids, Latin hypercubes and Sobol sequences over axes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from sim.errors import StudyError
from sim.study.axes import Axis, Settings

DESIGNS = ("grid", "lhs", "sobol")
MAX_POINTS = 100_000


def points(axes: Sequence[Axis], design: str = "grid", count: int | None = None, seed: int = 0) -> list[Settings]:
    """The settings of every point, in a fixed order for a seed.

    A grid crosses all levels. `lhs` (Latin hypercube) and `sobol` (scrambled, its count a power of two) spread `count`
    points over ranges; levels are visited evenly. Raises StudyError.
    """
    if design not in DESIGNS:
        raise StudyError(f"--design {design}: choose from {', '.join(DESIGNS)}")
    if not axes:
        raise StudyError("nothing to vary: give at least one --vary key=low:high:count")
    doubled = [axis.key for axis in axes if sum(a.key == axis.key for a in axes) > 1]
    if doubled:
        raise StudyError(f"--vary {doubled[0]}: stands twice")
    return _grid(axes, count) if design == "grid" else _spread(axes, design, count, seed)


def _grid(axes: Sequence[Axis], count: int | None) -> list[Settings]:
    open_axis = next((axis for axis in axes if not axis.levels), None)
    if open_axis is not None:
        raise StudyError(f"--vary {open_axis.key}: a grid needs levels, write low:high:count; or take --design lhs")
    if count is not None:
        raise StudyError("--points belongs to --design lhs or sobol; a grid has as many as its levels make")
    total = int(np.prod([len(axis.levels) for axis in axes], dtype=object))
    if total > MAX_POINTS:
        raise StudyError(f"this grid has {total:,} points, at most {MAX_POINTS:,}; take --design lhs or sobol")
    return [
        dict(zip((axis.key for axis in axes), levels, strict=True))
        for levels in itertools.product(*(axis.levels for axis in axes))
    ]


def _spread(axes: Sequence[Axis], design: str, count: int | None, seed: int) -> list[Settings]:
    from scipy.stats import qmc

    wanted = 64 if count is None else count
    if not 2 <= wanted <= MAX_POINTS:
        raise StudyError(f"--points {wanted}: from 2 to {MAX_POINTS:,}")
    if design == "sobol":
        if wanted & (wanted - 1):
            raise StudyError(f"--points {wanted}: a Sobol design keeps its balance only with a power of two")
        places = qmc.Sobol(len(axes), rng=np.random.default_rng(seed)).random(wanted)
    else:
        places = qmc.LatinHypercube(len(axes), rng=np.random.default_rng(seed)).random(wanted)
    return [{axis.key: axis.at(float(u)) for axis, u in zip(axes, row, strict=True)} for row in places]
