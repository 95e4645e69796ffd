"""Figures of load tests: numbers in, a matplotlib figure out, in the style and palette of `sim.report.figures.charts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator
from numpy.typing import ArrayLike

from sim.report.figures.charts import DASHES, GREEN, INK, RED, SERIES, SOFT, WIDTH, canvas, label_ends, plain, styled

_ROOM = 1.12
"""The axis of loads ends so much beyond the largest one, for the names of the lines."""
_DECADES_BELOW = 1e-4


@styled
def evidence_curve(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]], *, x_label: str, y_label: str, limit: tuple[str, float],
    held: tuple[float, float] | None = None, broken: Sequence[tuple[float, float]] = (), log: bool = True,
    width: float = WIDTH,
) -> Figure:  # fmt: skip
    """What was measured at each load tried: lines of (load, value) by name with their points, and the level not to pass.

    `held` is the point that was confirmed, `broken` are those that broke the objective; both are marked. Latencies go
    on a logarithmic axis (`log`), shares of failures on a plain one.
    """
    figure, axes = canvas(width)
    top = [limit[1], *(y for _, y in broken)]
    for (name, (x, y)), colour, dash in zip(series.items(), SERIES, DASHES, strict=False):
        loads, values = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        axes.plot(
            loads, values, color=colour, linestyle=dash, linewidth=1.7, marker="o", markersize=3.5, label=plain(name),
            gid="series",
        )  # fmt: skip
        top += values[np.isfinite(values)].tolist()
    axes.axhline(limit[1], color=INK, linewidth=1.1, linestyle="--")
    axes.annotate(
        plain(limit[0]), (0, limit[1]), (4, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
        fontsize=9.5,
    )  # fmt: skip
    for at in broken:
        axes.plot(*at, "X", color=RED, markersize=8, markeredgecolor="white", markeredgewidth=0.8, zorder=4)
    if held is not None:
        axes.axvline(held[0], color=GREEN, linewidth=1.0, linestyle=":")
        axes.plot(
            *held, "o", markersize=12, markerfacecolor="none", markeredgecolor=GREEN, markeredgewidth=2.2, zorder=5
        )
    _scales(figure, max(top), limit[1], log=log)
    axes.set(xlabel=x_label, ylabel=y_label)
    label_ends(axes)
    return figure


def _scales(figure: Figure, top: float, limit: float, *, log: bool) -> None:
    axes = figure.axes[0]
    axes.set_xlim(0, _ROOM * axes.get_xlim()[1])
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if not log:
        axes.set_ylim(0, 1.15 * max(top, 2.0 * limit))
        return
    axes.set_yscale("log")
    axes.set_ylim(max(axes.get_ylim()[0], _DECADES_BELOW * limit), 2.0 * max(top, limit))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(visible=True, which="minor", axis="y", linewidth=0.3)
    axes.tick_params(axis="y", which="minor", labelleft=False, color=SOFT)


__all__ = ["evidence_curve"]
