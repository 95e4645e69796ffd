"""Two figures of a rollout's course: where modules are lost on the way, and what was decided when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from numpy.typing import ArrayLike

from sim.report.figures.charts import BLUE, INK, ORANGE, RED, SOFT, WIDE, axis_of, canvas, curves, plain, styled

_NODE = 0.035
_LINE = 0.105
_MOST_CAUSES = 7


@styled
def loss_flow(stages: Sequence[tuple[str, int]], losses: Sequence[tuple[int, str, int, bool]]) -> Figure:
    """A band of modules from stage to stage, thinner wherever some are lost; each loss falls to its cause.

    `stages` are (name, modules that got there) from the first on; `losses` are (number of the stage they got to, cause,
    modules, whether it is harm). Band and falls are in proportion; falls too thin to see are drawn as hairlines.
    """
    total = max(stages[0][1], 1)
    grouped = [_most(losses, number) for number in range(len(stages))]
    depth = max(sum(_room(n / total) for _, n, _ in causes) for causes in grouped) + _LINE
    figure, axes = canvas(WIDE, 0.5 + 2.0 * (1 + depth))
    axes.set_axis_off()
    axes.set_xlim(-0.05, len(stages) - 0.35)
    axes.set_ylim(-depth, 1.2)
    for number, (name, count) in enumerate(stages):
        height = count / total
        axes.add_patch(Rectangle((number, 1 - height), _NODE, height, color=INK, linewidth=0))
        axes.text(number, 1.045, f"{plain(name)}\n{count:,}", fontsize=11, fontweight="bold", va="bottom")
        if number + 1 < len(stages):
            carried = min(stages[number + 1][1], count) / total
            axes.add_patch(
                Rectangle((number + _NODE, 1 - carried), 1 - _NODE, carried, color=BLUE, alpha=0.55, linewidth=0)
            )
        _falls(axes, number, height, grouped[number], total)
    return figure


@styled
def decision_timeline(
    time_s: ArrayLike, took: ArrayLike, harmed: ArrayLike, decisions: Sequence[tuple[float, str]], *, horizon_s: float
) -> Figure:
    """Modules that took the image and modules harmed by it over seconds, with every decision at its time.

    `decisions` are (time, words); those that fall on one spot share a label.
    """
    unit_s, unit = axis_of(horizon_s)
    at = np.asarray(time_s, dtype=float) / unit_s
    figure = curves(
        {"took the image": (at, took), "harmed": (at, harmed)},
        x_label=f"{unit} after activation", y_label="modules", steps=True, width=WIDE, colours={"harmed": RED},
    )  # fmt: skip
    axes = figure.axes[0]
    axes.set_xlim(0, max(horizon_s, 1.0) / unit_s)  # a plan may stop in its first second
    axes.set_ylim(0, 1.5 * float(np.max(took, initial=1.0)))  # room for the labels above the curves
    for number, (when_s, text) in enumerate(_spread(decisions, horizon_s)):
        axes.axvline(when_s / unit_s, color=ORANGE, linewidth=1.2)
        axes.annotate(
            plain(text), (when_s / unit_s, 1.0), (3, -11 - 12 * (number % 5)), xycoords=("data", "axes fraction"),
            textcoords="offset points", fontsize=9, color=INK,
        )  # fmt: skip
    return figure


def _falls(axes: Axes, number: int, height: float, causes: list[tuple[str, int, bool]], total: int) -> None:
    """Ribbons from the lower edge of a stage down to the causes, largest first."""
    bottom, floor = 1 - height, -_LINE / 2
    for cause, count, harm in causes:
        thick = count / total
        y = floor - _room(thick) / 2
        floor -= _room(thick)
        colour = RED if harm else SOFT
        axes.add_patch(PathPatch(
            _ribbon(number + _NODE, bottom, bottom + thick, number + 0.27, y - thick / 2, y + thick / 2),
            facecolor=colour, edgecolor=colour, alpha=0.5, linewidth=0.8,
        ))  # fmt: skip
        bottom += thick
        axes.text(
            number + 0.29, y, f"{plain(cause)} {count:,}", va="center", fontsize=10,
            color="#8f3f00" if harm else INK, fontweight="bold" if harm else "normal",
        )  # fmt: skip


def _room(thick: float) -> float:
    """Height a fall takes below the band: its own and a gap, at least a line of text."""
    return max(_LINE, thick + 0.03)


def _ribbon(x0: float, low0: float, high0: float, x1: float, low1: float, high1: float) -> Path:
    """A band that leaves level and arrives level."""
    middle = (x0 + x1) / 2
    points = [
        (x0, high0), (middle, high0), (middle, high1), (x1, high1), (x1, low1), (middle, low1), (middle, low0),
        (x0, low0), (x0, high0),
    ]  # fmt: skip
    move, curve, line = Path.MOVETO, Path.CURVE4, Path.LINETO
    return Path(points, [move, curve, curve, curve, line, curve, curve, curve, Path.CLOSEPOLY])


def _most(losses: Sequence[tuple[int, str, int, bool]], number: int) -> list[tuple[str, int, bool]]:
    """The causes at one stage, largest first; small ones beyond the seventh together."""
    here = sorted(((c, n, h) for at, c, n, h in losses if at == number and n), key=lambda x: (-x[1], x[0]))
    if len(here) <= _MOST_CAUSES:
        return here
    rest = here[_MOST_CAUSES - 1 :]
    return [*here[: _MOST_CAUSES - 1], (f"{len(rest)} other causes", sum(n for _, n, _ in rest), False)]


def _spread(decisions: Sequence[tuple[float, str]], horizon_s: float) -> list[tuple[float, str]]:
    """Decisions by time; those closer than a hundredth of the horizon to the last label join it."""
    listed: list[tuple[float, str]] = []
    for at, text in sorted(decisions):
        if listed and at - listed[-1][0] < horizon_s / 100:
            if text not in listed[-1][1]:
                listed[-1] = (listed[-1][0], f"{listed[-1][1]}, {text}")
        else:
            listed.append((at, text))
    return listed[:40]
