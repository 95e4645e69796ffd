"""Figures: numbers in, a matplotlib figure out. One palette, units on every axis, labels at the data.

Every function returns a `matplotlib.figure.Figure`, which notebooks show as it is; `sim.report.formats.svg.to_svg` turns it into
an element of a page. Colours are Okabe and Ito's (sky blue and orange darker: 3 to 1 on white), which colour-blind readers tell apart and which keep distinct grey
values in print; where several series meet they differ in dash as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from sim.report.show import printable

BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#BF8300", "#009E73", "#D55E00", "#CC79A7", "#3C97CC"
SERIES = (BLUE, GREEN, PURPLE, "#7A5C00", SKY, "#566573")
"""Colours of series, in order of use. RED means harm and ORANGE a decision, in every figure, so no series has them."""
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)), (0, (3, 1)), (0, (9, 3)))
"""Dashes of series, in order of use."""
INK, SOFT, FAINT = "#22313f", "#566573", "#d5dce3"
ON_LIGHT = "#14202b"
"""Letters on the light cells of a heat map, which stay light in dark mode: no variable of the page."""
BLUES = LinearSegmentedColormap.from_list("fotasim", ["#f3f8fc", "#9cc6e3", BLUE, "#003a5c"])
"""Colours of heat maps, light to dark with the value."""

STYLE: Any = {
    "svg.hashsalt": "fotasim", "font.size": 11, "font.family": "sans-serif", "text.color": INK,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": SOFT,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": FAINT,
    "grid.linewidth": 0.6, "axes.axisbelow": True, "axes.titlelocation": "left",
}  # fmt: skip
WIDTH, WIDE = 5.2, 10.8
"""Widths in inches of a figure beside another one and of one across the page."""
MAX_SERIES = len(SERIES)
DAY_S = 86400.0
_TIME_AXES = ((DAY_S, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
_MOST_POINTS = 400
_MOST_TICKS = 7
_ROOM_FOR_MARKS = 0.12
"""Share of the height of an axis added above it, for the names of marks."""
Array = NDArray[np.float64]
_Draw = Callable[..., Figure]


def styled(draw: _Draw) -> _Draw:
    """Draws under the common style; for figure functions outside this module too."""

    @wraps(draw)
    def under_style(*args: Any, **options: Any) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*args, **options)

    return under_style


def canvas(width: float = WIDTH, height: float = 3.3) -> tuple[Figure, Axes]:
    """An empty figure of the house style with one pair of axes; sizes in inches. Call it below `styled`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


@styled
def bars(counts: Mapping[str, float], *, labels: Sequence[str] | None = None, colour: str = BLUE) -> Figure:
    """Horizontal bars, the first on top, each labelled at its end (with its count where no labels are given)."""
    figure, axes = canvas(height=0.36 * max(len(counts), 2) + 0.3)
    names, values = [name.replace("_", " ") for name in counts], list(counts.values())
    drawn = axes.barh(range(len(names)), values, color=colour, height=0.62)
    axes.set_yticks(range(len(names)), [plain(name) for name in names])
    axes.bar_label(drawn, list(labels or [f"{v:,.0f}" for v in values]), padding=4)
    axes.set_xlim(0, 1.5 * max([*values, 1e-12]))
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


@styled
def curves(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]], *, x_label: str, y_label: str,
    bands: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None, steps: bool = False, markers: bool = False,
    limit: tuple[str, float] | None = None, from_zero: bool = True, y_top: float | None = None, width: float = WIDTH,
    colours: Mapping[str, str] | None = None,
) -> Figure:  # fmt: skip
    """Lines of (x, y) by name, labelled at their ends; `bands` are (low, high) by the same names, `limit` a level.

    Axis labels carry their units, such as "minimum battery, %". At most `MAX_SERIES` series are drawn.
    """
    figure, axes = canvas(width)
    for (name, (x, y)), of_series, dash in zip(series.items(), SERIES, DASHES, strict=False):
        colour = (colours or {}).get(name, of_series)
        at, values = _thin(np.asarray(x, dtype=float)), _thin(np.asarray(y, dtype=float))
        axes.plot(
            at, values, color=colour, linestyle=dash, linewidth=1.9, label=plain(name), gid="series",
            drawstyle="steps-post" if steps else "default", marker="o" if markers else "", markersize=4,
        )  # fmt: skip
        if bands and name in bands:
            low, high = (_thin(np.asarray(edge, dtype=float)) for edge in bands[name])
            axes.fill_between(at, low, high, color=colour, alpha=0.18, linewidth=0, step="post" if steps else None)
    axes.set(xlabel=x_label, ylabel=y_label)
    if limit is not None:
        axes.axhline(limit[1], color=INK, linewidth=1.1, linestyle="--")
        axes.annotate(
            plain(limit[0]), (0, limit[1]), (4, 3), xycoords=("axes fraction", "data"),
            textcoords="offset points", fontsize=9.5,
        )  # fmt: skip
    if from_zero:
        axes.set_ylim(0, y_top)
    axes.margins(x=0)
    label_ends(axes)
    return figure


@styled
def upgrade_curve(series: Mapping[str, tuple[ArrayLike, ArrayLike]], *, horizon_s: float) -> Figure:
    """Share (0-1) of each series' modules on the new version over seconds after activation, up to the horizon."""
    unit_s, unit = axis_of(horizon_s)
    drawn = {}
    for name, (at_s, share) in series.items():
        at, part = np.asarray(at_s, dtype=float), np.asarray(share, dtype=float)
        last = part[-1:] if len(part) else np.zeros(1)
        x = np.concatenate([[0.0], at, [horizon_s]]) / unit_s
        drawn[f"{name} {100 * last[0]:.1f} %"] = (x, 100 * np.concatenate([[0.0], part, last]))
    return curves(
        drawn, x_label=f"{unit} after activation", y_label="modules on the target version, %", steps=True, y_top=102
    )


@styled
def load_over_time(
    time_s: ArrayLike, values: ArrayLike, *, y_label: str, capacity: float | None = None, width: float = WIDTH
) -> Figure:
    """One quantity of the cloud's load over seconds after activation; its capacity as a line where it is in sight."""
    figure, axes = canvas(width, 2.4)
    at_s, load = np.asarray(time_s, dtype=float), np.asarray(values, dtype=float)
    unit_s, unit = axis_of(float(at_s.max(initial=0.0)))
    shown = at_s / unit_s
    step = max(1, int(np.ceil(len(load) / _MOST_POINTS)))
    if step > 1:  # the largest of each stretch: thinning must not hide a peak
        shown, load = shown[::step], np.maximum.reduceat(load, np.arange(0, len(load), step))
    axes.fill_between(shown, load, step="post", color=BLUE, alpha=0.3, linewidth=0)
    axes.plot(shown, load, drawstyle="steps-post", color=BLUE, linewidth=1.0, label=plain(y_label), gid="series")
    axes.set(xlabel=f"{unit} after activation", ylabel=y_label, ylim=(0, None))
    axes.margins(x=0)
    _capacity_line(axes, float(load.max(initial=0.0)), capacity)
    return figure


@styled
def intervals(
    rows: Mapping[str, tuple[float, float, float]], *, x_label: str, zero: bool = True, width: float = WIDTH
) -> Figure:
    """(value, low, high) by name as points with their intervals, the first on top; `zero` draws the line of no effect."""
    figure, axes = canvas(width, 0.36 * max(len(rows), 2) + 0.8)
    places = np.arange(len(rows))
    value, low, high = np.array(list(rows.values()), dtype=float).reshape(-1, 3).T
    axes.hlines(places, low, high, color=BLUE, linewidth=2.4)
    axes.plot(value, places, "o", color=BLUE, markersize=6)
    axes.set_yticks(places, [plain(name) for name in rows])
    axes.set(xlabel=x_label, ylim=(len(rows) - 0.5, -0.5))
    axes.grid(visible=False, axis="y")
    if zero:
        axes.axvline(0.0, color=INK, linewidth=1.1, linestyle="--")
    return figure


@styled
def latencies(rows: Mapping[str, tuple[float, float, float]], *, width: float = WIDE) -> Figure:
    """(50 %, 95 %, 99 %) in milliseconds by name, the first on top, on an axis of even ratios."""
    figure, axes = canvas(width, 0.32 * max(len(rows), 2) + 0.8)
    places = np.arange(len(rows))
    p50, p95, p99 = np.maximum(np.array(list(rows.values()), dtype=float).reshape(-1, 3), 1e-3).T
    axes.hlines(places, p50, p99, color=SKY, linewidth=1.6)
    axes.hlines(places, p50, p95, color=BLUE, linewidth=3.4)
    axes.plot(p50, places, "o", color=BLUE, markersize=6)
    axes.set_xscale("log")
    axes.set_xlim(0.8 * float(p50.min(initial=1e3)), 1.3 * float(p99.max(initial=1e-3)))
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(places, [plain(name) for name in rows])
    axes.set(xlabel="ms", ylim=(len(rows) - 0.5, -0.5))
    axes.grid(visible=False, axis="y")
    return figure


def axis_of(span_s: float) -> tuple[float, str]:
    """The unit a span of time is drawn in: its seconds and its name."""
    return next((s, name) for s, name in _TIME_AXES if span_s > 2 * s or s == 1.0)


@styled
def heat_map(
    x: Sequence[Any], y: Sequence[Any], values: ArrayLike, *, x_label: str, y_label: str, value_label: str,
    shown: Callable[[float], str] = "{:.3g}".format, width: float = WIDTH,
) -> Figure:  # fmt: skip
    """`values[row of y, column of x]` as coloured cells, each with its value while there is room, else with a bar of colours."""
    grid = np.asarray(values, dtype=float)
    figure, axes = canvas(width, max(2.6, 0.34 * len(y) + 1.2))
    image = axes.imshow(grid, aspect="auto", cmap=BLUES, origin="lower")
    axes.set_xticks(range(len(x)), [plain(f"{v:g}" if isinstance(v, float) else str(v)) for v in x])
    axes.set_yticks(range(len(y)), [plain(f"{v:g}" if isinstance(v, float) else str(v)) for v in y])
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.grid(visible=False)
    if len(x) <= 0.14 * 100 * width / WIDTH and np.isfinite(grid).any():
        axes.set_title(plain(value_label), fontsize=10)
        middle = (np.nanmin(grid) + np.nanmax(grid)) / 2
        for (row, column), value in np.ndenumerate(grid):
            if np.isfinite(value):
                ink = "white" if value > middle else ON_LIGHT
                axes.text(column, row, shown(value), ha="center", va="center", color=ink, fontsize=9)
    else:
        figure.colorbar(image, ax=axes, label=value_label)
    return figure


@styled
def scatter(
    points: Mapping[str, tuple[ArrayLike, ArrayLike]], *, x_label: str, y_label: str,
    marks: Mapping[str, tuple[float, float]] | None = None, width: float = WIDTH,
) -> Figure:  # fmt: skip
    """Clouds of (x, y) by name, such as trials and the front of a search; `marks` name single points."""
    figure, axes = canvas(width)
    for (name, (x, y)), colour, marker in zip(points.items(), SERIES, "osD^vP", strict=False):
        axes.plot(
            np.asarray(x, dtype=float), np.asarray(y, dtype=float), marker, color=colour, label=plain(name),
            gid="series", alpha=0.85, markersize=5, linestyle="",
        )  # fmt: skip
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.xaxis.set_major_locator(_few_ticks())
    if marks:
        _name_marks(axes, marks)
    if len(points) > 1:
        legend_above(axes)
    return figure


def _name_marks(axes: Axes, marks: Mapping[str, tuple[float, float]]) -> None:
    """Rings with their names; of two that are close together the second has its name below."""
    for at in marks.values():
        axes.plot(*at, "o", markersize=12, markerfacecolor="none", markeredgecolor=INK, markeredgewidth=1.6)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + _ROOM_FOR_MARKS * (high - low))
    spans = [float(np.ptp(axes.get_xlim())), float(np.ptp(axes.get_ylim()))]
    named: list[tuple[float, float]] = []
    for name, at in marks.items():
        close = any(abs(at[0] - x) < 0.4 * spans[0] and abs(at[1] - y) < 0.1 * spans[1] for x, y in named)
        axes.annotate(plain(name), at, (9, -17 if close else 9), textcoords="offset points")
        named.append(at)


def _few_ticks() -> MaxNLocator:
    """So few that their labels do not run into each other."""
    return MaxNLocator(_MOST_TICKS, steps=[1, 2, 5, 10])


def legend_above(axes: Axes) -> None:
    """A legend over the plot, where it hides nothing."""
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, borderaxespad=0.0, fontsize=10)


def label_ends(axes: Axes) -> None:
    """Names each series beside its right end; names that would lie on each other are moved apart. One series needs no name."""
    lines = [line for line in axes.get_lines() if line.get_gid() == "series"]
    if len(lines) < 2:
        return
    scale = axes.yaxis.get_transform()
    low, high = scale.transform(axes.get_ylim())
    ends = sorted(
        (float(scale.transform(np.asarray(line.get_ydata(orig=False))[-1:])[0]), i) for i, line in enumerate(lines)
    )
    if len(lines) > MAX_SERIES or not np.isfinite([end for end, _ in ends]).all():
        legend_above(axes)
        return
    right = max(float(np.asarray(line.get_xdata(orig=False))[-1]) for line in lines)
    places = scale.inverted().transform(_apart([end for end, _ in ends], 0.075 * (high - low), low, high))
    for (_, number), place in zip(ends, places, strict=True):
        axes.annotate(
            str(lines[number].get_label()), (right, place), (5, 0), textcoords="offset points", va="center",
            color=str(lines[number].get_color()), annotation_clip=False, fontsize=10, fontweight="bold",
        )  # fmt: skip


def _apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Ascending places moved as little as needed to be `gap` apart and to lie within the axis."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else max(place, low))
    over = max(0.0, moved[-1] - high) if moved else 0.0
    for number in range(len(moved) - 1, -1, -1):
        most = high if number == len(moved) - 1 else moved[number + 1] - gap
        moved[number] = min(moved[number], most) if over else moved[number]
    return moved


def plain(text: str) -> str:
    """Text that matplotlib must not take for a formula, cut to what a label can hold."""
    cut = text if len(text) <= 40 else f"{text[:39]}…"
    return printable(cut).replace("\n", " ").replace("$", r"\$")


def describe(names: Sequence[str], values: Sequence[Any]) -> str:
    """Alternative text of a figure: its numbers in words."""
    return ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in zip(names, values, strict=True))


def _capacity_line(axes: Axes, peak: float, capacity: float | None) -> None:
    """Draws the capacity when the peak comes near it; else says in words how far away it is."""
    if capacity is None:
        return
    if peak > 0.2 * capacity:
        axes.axhline(capacity, color=INK, linewidth=1.2, linestyle="--")
        axes.set_ylim(0, 1.15 * max(peak, capacity))
        text = f"capacity {capacity:,.0f}"
    else:
        text = f"capacity {capacity:,.0f}: far above"
    axes.set_title(text, loc="right", fontsize=9.5, color=INK)


def _thin(values: Array) -> Array:
    """At most _MOST_POINTS of a curve, first and last included."""
    if len(values) <= _MOST_POINTS:
        return values
    kept: Array = values[np.unique(np.linspace(0, len(values) - 1, _MOST_POINTS).astype(int))]
    return kept
