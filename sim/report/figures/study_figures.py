"""Figures of studies: numbers in, a matplotlib figure out, in the style and palette of `sim.report.figures.charts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from sim.metrics import SHARES
from sim.report.figures import charts
from sim.report.figures.charts import BLUE, INK, MAX_SERIES, SERIES, SKY, SOFT, WIDE, canvas, styled
from sim.report.show import kind_of, metric_of, metric_words, quantity_words, words
from sim.stats.campaigns import estimate
from sim.units import DURATIONS, SIZES

_MOST_BANDS = 2
"""More bands than this hide each other; the tables have all intervals."""


class Varied(Protocol):
    """A varied key as figures need it: its full key, its short name, its unit and how its values read."""

    @property
    def key(self) -> str:
        """The dotted key, the column of a table."""

    @property
    def unit(self) -> str:
        """duration, size … or empty."""

    @property
    def name(self) -> str:
        """The last part of the key."""

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers."""

    @property
    def ends(self) -> tuple[float, float] | None:
        """The least and the largest value that is tried."""

    def border(self, value: Any) -> str:
        """The end of what is tried that a value lies at, lower or upper; "" inside."""

    def show(self, value: Any) -> str:
        """A value as a reader knows it."""


def metric_scale(metric: str, largest: float) -> tuple[float, str]:
    """Factor and axis label for a metric whose values go up to `largest` in base units."""
    if not metric_of(metric):  # a weighted sum
        return 1.0, words(metric)
    kind, name = kind_of(metric), metric_words(metric)
    if kind == "share":
        rare = largest < 0.005 and metric in SHARES  # a share of data is not one of modules
        return (1e4, f"{name}, per 10,000 modules") if rare else (100.0, f"{name}, %")
    if kind == "duration":
        unit = _duration_unit(largest)
        return 1.0 / DURATIONS[unit], f"{name}, {unit}"
    if kind == "size":
        return 1.0 / SIZES["MB"], f"{name}, MB"
    if kind == "bit_rate":
        return 1e-6, f"{name}, Mbit/s"
    return (1.0, f"{name}, J") if kind == "energy" else (1.0, name)


def _largest(values: pd.Series[Any]) -> float:
    """The largest value there is, 0 where there is none."""
    return max(0.0, float(values.max())) if values.notna().any() else 0.0


def axis_scale(axis: Varied, values: NDArray[np.float64]) -> tuple[float, str]:
    """Factor and axis label for a varied key."""
    name = quantity_words(axis.name)
    if axis.unit == "duration":
        unit = _duration_unit(float(np.max(values)))
        return 1.0 / DURATIONS[unit], f"{name}, {unit}"
    if axis.unit == "size":
        return 1.0 / SIZES["MB"], f"{name}, MB"
    if axis.name.endswith("_percent"):
        return 1.0, f"{name}, %"
    if axis.name.endswith("_dbm"):
        return 1.0, f"{name}, dBm"
    return 1.0, name


def as_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as mappings from column to value."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _duration_unit(largest_s: float) -> str:
    """The unit in which durations up to this long read best."""
    return next((unit for unit in ("d", "h", "min") if largest_s >= 2 * DURATIONS[unit]), "s")


def settling(frame: pd.DataFrame, metric: str) -> Figure:
    """The mean over the first n campaigns with its interval, n growing: has the figure settled?"""
    counts = np.arange(2, len(frame) + 1)
    found = [estimate(frame.iloc[:n], metric) for n in counts]
    factor, label = metric_scale(metric, float(frame[metric].max()))
    mean, low, high = (factor * np.array([getattr(f, name) for f in found]) for name in ("value", "low", "high"))
    return charts.curves(
        {"mean": (counts, mean)}, bands={"mean": (low, high)}, x_label="campaigns", y_label=label, from_zero=False
    )


def differences(rows: pd.DataFrame, metric: str) -> Figure:
    """An alternative's difference from the first side on each row, with its interval."""
    largest = float(np.nanmax(np.abs(rows[["low", "high", "difference"]].to_numpy(dtype=float)), initial=0.0))
    factor, label = metric_scale(metric, largest)
    drawn = {
        str(row["alternative"]): tuple(factor * row[name] for name in ("difference", "low", "high"))
        for row in as_rows(rows)
    }
    return charts.intervals(drawn, x_label=f"difference in {label}")


_FIRST = ("bricked", "rolled_back", "failed", "first_attempt_success", "success_rate", "duration_p50", "duration_p95")
"""Metrics of a forest plot in order of importance; the others follow."""
ForestPanel = tuple[str, float, list[dict[str, Any]]]
"""A panel of a forest plot: label of its axis, factor, rows of differences."""
_MOST_IN_FOREST = 6
"""Metrics a panel shows; the table has them all."""


def by_importance(rows: pd.DataFrame) -> pd.DataFrame:
    """Differences in the order of importance of their metrics; those of no rank keep their order, at the end."""
    return rows.sort_values("metric", key=lambda names: names.map(_rank), kind="stable")


def _rank(metric: str) -> int:
    return _FIRST.index(metric) if metric in _FIRST else len(_FIRST)


def forest_rows(rows: pd.DataFrame) -> list[ForestPanel]:
    """What a forest plot of one alternative shows: a panel of shares, one of times; empty where nothing has an interval."""
    panels = [
        (kind, label, scale, _important(rows, kind))
        for kind, label, scale in (
            ("share", "difference per 10,000 modules", 1e4),
            ("duration", "difference, hours", 1 / 3600.0),
        )
    ]
    return [(label, scale, part) for _, label, scale, part in panels if part]


@styled
def forest(shown: Sequence[ForestPanel]) -> Figure:
    """Differences with their intervals: filled dots are significant, hollow ones are not; panels of `forest_rows`."""
    figure = Figure(figsize=(WIDE, 0.36 * max(len(panel[2]) for panel in shown) + 1.0), layout="constrained")
    for axes, (label, scale, part) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for place, row in enumerate(part):
            colour = BLUE if row["differs"] else SOFT
            axes.hlines(place, scale * row["low"], scale * row["high"], color=colour, linewidth=2.4)
            axes.plot(
                scale * row["difference"], place, "o", color=colour, markersize=7,
                markerfacecolor=colour if row["differs"] else "none",
            )  # fmt: skip
        axes.axvline(0.0, color=INK, linewidth=1.1, linestyle="--")
        axes.set_yticks(range(len(part)), [metric_words(row["metric"]) for row in part])
        axes.set(xlabel=label, ylim=(len(part) - 0.5, -0.5))
        axes.grid(visible=False, axis="y")
    return figure


def _important(rows: pd.DataFrame, kind: str) -> list[dict[str, Any]]:
    """Rows of one kind of metric that have an interval, the most important first."""
    listed = [
        row for row in as_rows(by_importance(rows))
        if kind_of(row["metric"]) == kind and np.isfinite([row["low"], row["high"]]).all()
        and (kind != "share" or row["metric"] in SHARES)  # a share of data is not one of modules
    ]  # fmt: skip
    return listed[:_MOST_IN_FOREST]


def sweep_figure(summary: pd.DataFrame, axes: Sequence[Varied], metric: str) -> Figure:
    """A metric over the varied keys: curves with bands, points with intervals for choices, or a cloud for many keys.

    `summary` has a column per key, value, low and high.
    """
    factor, label = metric_scale(metric, _largest(summary["value"]))
    ordered = sorted(axes, key=lambda axis: not axis.numeric)
    first = ordered[0]
    gridded = len(summary) == int(np.prod([summary[a.key].nunique() for a in axes]))
    if first.numeric and len(axes) <= 2 and gridded:
        by = ordered[1] if len(axes) == 2 else None
        if by is None or summary[by.key].nunique() <= MAX_SERIES:
            return _curves(summary, first, by, factor, label)
        return heat_map(summary, [first, by], metric)
    if not first.numeric:
        rows = {
            ", ".join(a.show(row[a.key]) for a in axes): tuple(factor * row[c] for c in ("value", "low", "high"))
            for row in as_rows(summary.head(30))
        }
        return charts.intervals(rows, x_label=label, zero=False)
    scale, name = axis_scale(first, summary[first.key].to_numpy(dtype=float))
    return charts.scatter(
        {label: (scale * summary[first.key].to_numpy(dtype=float), factor * summary["value"])},
        x_label=name,
        y_label=label,
    )


def _curves(summary: pd.DataFrame, first: Varied, by: Varied | None, factor: float, label: str) -> Figure:
    scale, name = axis_scale(first, summary[first.key].to_numpy(dtype=float))
    series, bands = {}, {}
    for value, part in [("mean", summary)] if by is None else summary.groupby(by.key, sort=False):
        line = part.sort_values(first.key)
        title = "mean" if by is None else f"{quantity_words(by.name)} {by.show(value)}"
        at = scale * line[first.key].to_numpy(dtype=float)
        series[title] = (at, factor * line["value"].to_numpy())
        if by is None or summary[by.key].nunique() <= _MOST_BANDS:
            bands[title] = (factor * line["low"].to_numpy(), factor * line["high"].to_numpy())
    return charts.curves(
        series, bands=bands, x_label=name, y_label=label, markers=len(summary) <= 60, from_zero=False
    )  # fmt: skip


def heat_map(summary: pd.DataFrame, axes: Sequence[Varied], metric: str) -> Figure:
    """A metric over two keys, averaged over all others."""
    across, up = axes
    factor, label = metric_scale(metric, _largest(summary["value"]))
    grid = summary.pivot_table(index=up.key, columns=across.key, values="value", aggfunc="mean", dropna=False)
    places, names = [], []
    for axis, values in ((across, grid.columns), (up, grid.index)):
        plain = axis.numeric and not axis.unit
        names.append(axis_scale(axis, values.to_numpy(dtype=float))[1] if plain else quantity_words(axis.name))
        places.append([f"{float(v):.4g}" if plain else axis.show(v) for v in values.tolist()])
    return charts.heat_map(
        places[0], places[1], factor * grid.to_numpy(), x_label=names[0], y_label=names[1], value_label=label
    )


@styled
def flow_figure(flow: pd.DataFrame, *, most: int = 12) -> Figure:
    """Fates that changed, left before and right after, the width in proportion to the modules per campaign."""
    figure, axes = canvas(WIDE, 4.2)
    axes.set_axis_off()
    shown = flow.head(most)
    if not len(shown):
        axes.text(0.5, 0.5, "no module ends differently", ha="center", va="center", color=SOFT)
        return figure
    before = _stack(shown, "a")
    after = _stack(shown, "b")
    colours = {name: SERIES[i % MAX_SERIES] for i, name in enumerate(before)}
    reached = ({name: low for name, (low, _) in before.items()}, {name: low for name, (low, _) in after.items()})
    for row in as_rows(shown):
        names = (_fate(row["outcome_a"], row["cause_a"]), _fate(row["outcome_b"], row["cause_b"]))
        size = row["modules_per_campaign"]
        starts = [side[name] for side, name in zip(reached, names, strict=True)]
        axes.add_patch(
            PathPatch(_ribbon(starts[0], starts[1], size), facecolor=colours[names[0]], alpha=0.45, linewidth=0)
        )
        for side, name in zip(reached, names, strict=True):
            side[name] += size
    for stack, x, align in ((before, 0.0, "right"), (after, 1.0, "left")):
        for name, (low, high) in stack.items():
            axes.plot([x, x], [low, high], color=INK, linewidth=5, solid_capstyle="butt")
            offset = -0.02 if align == "right" else 0.02
            axes.text(x + offset, (low + high) / 2, f"{name}  {high - low:.3g}", ha=align, va="center")
    axes.set_xlim(-0.55, 1.55)
    axes.set_ylim(max(high for _, high in (*before.values(), *after.values())) * 1.02, -0.02)
    return figure


def _fate(outcome: str, cause: str) -> str:
    return words(outcome if not cause else f"{outcome}: {cause}")


def _stack(flow: pd.DataFrame, side: str) -> dict[str, tuple[float, float]]:
    """Where each fate of a side stands, largest first, with gaps between them."""
    fates = [_fate(o, c) for o, c in zip(flow[f"outcome_{side}"], flow[f"cause_{side}"], strict=True)]
    sizes = flow["modules_per_campaign"].groupby(fates).sum().sort_values(ascending=False, kind="stable")
    gap, at, found = 0.06 * float(sizes.sum()), 0.0, {}
    for name, size in sizes.items():
        found[str(name)] = (at, at + float(size))
        at += float(size) + gap
    return found


def _ribbon(left: float, right: float, size: float) -> Path:
    """A band from a height on the left to one on the right."""
    corners = [(0, left), (0.5, left), (0.5, right), (1, right), (1, right + size), (0.5, right + size), (0.5, left + size),
               (0, left + size), (0, left)]  # fmt: skip
    curve = [Path.CURVE4] * 3
    return Path(corners, [Path.MOVETO, *curve, Path.LINETO, *curve, Path.CLOSEPOLY])


@styled
def tornado(rows: pd.DataFrame, metric: str, *, limit: float | None = None, most: int = 15) -> Figure:
    """What each input does alone between the ends of its range; `rows` has input, at_low, at_high and nominal."""
    swung = rows.assign(
        swing=rows[["at_low", "at_high", "nominal"]].max(axis=1) - rows[["at_low", "at_high", "nominal"]].min(axis=1)
    )
    shown = swung[swung["swing"] > 0].nlargest(most, "swing")
    factor, label = metric_scale(metric, float(np.nanmax(shown[["at_low", "at_high"]].to_numpy(), initial=0.0)))
    figure, axes = canvas(WIDE, 0.34 * max(len(shown), 3) + 1.0)
    nominal = factor * float(rows["nominal"].iloc[0])
    for end, colour in (("at_low", SKY), ("at_high", BLUE)):
        reach = factor * shown[end].to_numpy() - nominal
        axes.barh(
            np.arange(len(shown)),
            reach,
            left=nominal,
            color=colour,
            height=0.6,
            label=f"at the {words(end).removeprefix('at ')} end of its range",
        )
    axes.set_yticks(np.arange(len(shown)), [quantity_words(name) for name in shown["input"]])
    axes.axvline(nominal, color=INK, linewidth=1.0)
    if limit is not None:
        axes.axvline(factor * limit, color=INK, linewidth=1.2, linestyle="--", label="gate")
    axes.set(xlabel=label, ylim=(len(shown) - 0.5, -0.5))
    axes.grid(visible=False, axis="y")
    charts.legend_above(axes)
    return figure


def screening(rows: pd.DataFrame, metric: str) -> Figure:
    """Morris: strength against non-linearity of each input; the three strongest are named."""
    factor, label = metric_scale(metric, _largest(rows["mu_star"]))
    strongest = rows[rows["mu_star"] > 0].nlargest(3, "mu_star")
    marks = {
        quantity_words(row["input"]): (factor * row["mu_star"], factor * row["sigma"]) for row in as_rows(strongest)
    }
    unit = label[label.rindex(", ") :] if ", " in label else ""
    return charts.scatter(
        {"inputs": (factor * rows["mu_star"], factor * rows["sigma"])}, marks=marks,
        x_label=f"effect on {label}", y_label=f"spread of the effect{unit}",
    )  # fmt: skip


def resolved(index: float, half_width: float) -> bool:
    """Whether a Sobol index says something: its interval, 2 half-widths, is not wider than itself."""
    return bool(2.0 * half_width <= index)


def indices(rows: pd.DataFrame, *, most: int = 15) -> Figure:
    """Sobol: total share of the variance that depends on each input, with its interval; what is not resolved says so."""
    shown = rows.nlargest(most, "total")
    drawn = {}
    for row in as_rows(shown):
        total, half = row["total"], row["total_conf"]
        name = words(row["input"]) + ("" if resolved(total, half) else " (not resolved)")
        drawn[name] = (total, total - half, total + half)
    return charts.intervals(drawn, x_label="share of the variance (total index)")


def front(
    trials: pd.DataFrame, metrics: Sequence[str], marks: Mapping[str, tuple[float, float]] | None = None
) -> Figure:
    """Trials of a search in two objectives: kept off, dominated, and on the front. `marks` name single settings."""
    x, y = metrics
    scales = {m: metric_scale(m, _largest(trials[m])) for m in (x, y)}
    clouds = {}
    for name, chosen in (
        ("breaks a constraint", ~trials["feasible"]),
        ("dominated", trials["feasible"] & ~trials["front"]),
        ("front", trials["front"]),
    ):
        if chosen.any():
            clouds[name] = tuple(scales[m][0] * trials.loc[chosen, m] for m in (x, y))
    named = {name: (scales[x][0] * at[0], scales[y][0] * at[1]) for name, at in (marks or {}).items()}
    return charts.scatter(clouds, marks=named, x_label=scales[x][1], y_label=scales[y][1])


def search(trials: pd.DataFrame, metric: str, *, smallest: bool = True) -> Figure:
    """The best feasible value so far over the trials of a search, and every trial."""
    factor, label = metric_scale(metric, _largest(trials[metric]))
    value = trials[metric].where(trials["feasible"])
    best = value.cummin() if smallest else value.cummax()
    shown = {} if best.isna().all() else {"best so far": (trials["trial"], factor * best.ffill())}
    return charts.curves(
        {**shown, "trial": (trials["trial"], factor * trials[metric])},
        x_label="trial", y_label=label, from_zero=False,
    )  # fmt: skip


def over_setting(trials: pd.DataFrame, axis: Varied, metric: str) -> Figure:
    """A metric of every trial over one varied key, trials that break a constraint apart."""
    factor, label = metric_scale(metric, _largest(trials[metric]))
    if not axis.numeric:
        levels = trials.groupby(axis.key, sort=True)[metric].agg(["median", "min", "max"])
        rows = {
            axis.show(level): tuple(factor * float(v) for v in row)
            for level, row in zip(levels.index, levels.to_numpy(), strict=True)
        }
        return charts.intervals(rows, x_label=f"{label} (median, least, most)", zero=False)
    scale, name = axis_scale(axis, trials[axis.key].to_numpy(dtype=float))
    clouds = {}
    for title, chosen in (("feasible", trials["feasible"]), ("breaks a constraint", ~trials["feasible"])):
        part = trials[chosen.astype(bool)]
        if len(part):
            clouds[title] = (scale * part[axis.key].to_numpy(dtype=float), factor * part[metric].to_numpy(dtype=float))
    return charts.scatter(clouds, x_label=name, y_label=label)
