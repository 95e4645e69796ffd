"""Figures of a report as inline SVG: small, accessible, the same bytes for the same numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sim.stats.survival import cumulative_share

# Okabe and Ito's palette, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY)
_INK, _FAINT = "#22313f", "#d5dce3"
_STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "fotasim", "font.size": 10.5, "font.family": "sans-serif",
    "text.color": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
    "axes.edgecolor": _FAINT, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": _FAINT, "grid.linewidth": 0.6, "axes.axisbelow": True,
}  # fmt: skip
_MOST_POINTS = 400
Array = NDArray[np.float64]
MAX_GROUPS = len(SERIES)
DAY_S = 86400.0


def bars(counts: Mapping[str, int], total: int, *, alt: str, colour: str = BLUE) -> str:
    """Horizontal bars, the first on top, each with its count and its share of `total`."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.6, 0.42 * max(len(counts), 2) + 0.5), layout="constrained")
        axes = figure.subplots()
        names, values = list(counts), list(counts.values())
        drawn = axes.barh([n.replace("_", " ") for n in names], values, color=colour, height=0.62)
        labels = [f"{v:,}  ({100 * v / total:.2f} %)" if total else f"{v:,}" for v in values]
        axes.bar_label(drawn, labels, padding=4)
        axes.set_xlim(0, 1.42 * max([*values, 1]))
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        return _svg(figure, alt)


def upgrade_curve(upgraded_s: Mapping[str, Array], horizon_s: float, *, alt: str) -> str:
    """Share of each series' modules that run the new version, over days after activation, up to the horizon."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.6, 3.5), layout="constrained")
        axes = figure.subplots()
        for (name, times), colour in zip(upgraded_s.items(), SERIES, strict=False):
            at, share = cumulative_share(times, len(times))
            at, share = _thin(at), _thin(share)
            last = share[-1] if len(share) else 0.0
            axes.step(
                np.concatenate([[0.0], at, [horizon_s]]) / DAY_S, 100 * np.concatenate([[0.0], share, [last]]),
                where="post", color=colour, linewidth=1.9, label=f"{name}: {100 * last:.1f} %",
            )  # fmt: skip
        axes.set(xlabel="days after activation", ylabel="modules on the target version, %", ylim=(0, 101))
        axes.set_xlim(0, horizon_s / DAY_S)
        axes.legend(loc="lower right", frameon=False)
        return _svg(figure, alt)


def load_over_time(
    hours: Array, values: Array, *, label: str, limit: float | None, alt: str, colour: str = BLUE
) -> str:
    """One quantity of the cloud's load as an area over time; the capacity as a line where it is in sight."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.6, 2.5), layout="constrained")
        axes = figure.subplots()
        step = max(1, int(np.ceil(len(values) / _MOST_POINTS)))
        if step > 1:  # the largest of each stretch: thinning must not hide a peak
            hours = hours[::step]
            values = np.maximum.reduceat(values, np.arange(0, len(values), step))
        axes.fill_between(hours / 24.0, values, step="post", color=colour, alpha=0.35, linewidth=0)
        axes.step(hours / 24.0, values, where="post", color=colour, linewidth=1.0)
        axes.set(xlabel="days after activation", ylabel=label, ylim=(0, None))
        axes.margins(x=0)
        _capacity_line(axes, float(values.max(initial=0.0)), limit)
        return _svg(figure, alt)


def _capacity_line(axes: Axes, peak: float, limit: float | None) -> None:
    """Draws the capacity when the peak comes near it; else says in words how far away it is."""
    if limit is None:
        return
    if peak > 0.2 * limit:
        axes.axhline(limit, color=RED, linewidth=1.4, linestyle="--")
        axes.set_ylim(0, 1.15 * max(peak, limit))
        text = f"capacity {limit:,.0f}"
    else:
        text = f"capacity {limit:,.0f}: far above"
    axes.set_title(text, loc="right", fontsize=9.5, color=RED)


def _thin(values: Array) -> Array:
    """At most _MOST_POINTS of a monotone curve, first and last included."""
    if len(values) <= _MOST_POINTS:
        return values
    kept: Array = values[np.unique(np.linspace(0, len(values) - 1, _MOST_POINTS).astype(int))]
    return kept


def _svg(figure: Figure, alt: str) -> str:
    """The figure as an SVG element that scales with the page and names itself to a screen reader."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    svg = text[text.index("<svg") :]
    width, height = _points(svg, "width"), _points(svg, "height")
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', _opening(width, height, alt), svg, count=1)
    return re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)


def _points(svg: str, name: str) -> float:
    match = re.search(rf'{name}="([\d.]+)pt"', svg)
    assert match is not None
    return float(match[1])


def _opening(width: float, height: float, alt: str) -> str:
    return (
        f'<svg class="figure" role="img" aria-label="{escape(alt, quote=True)}" viewBox="0 0 {width:g} {height:g}" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )


def describe(names: Sequence[str], values: Sequence[Any]) -> str:
    """Alternative text of a bar figure: its numbers in words."""
    return ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in zip(names, values, strict=True))
