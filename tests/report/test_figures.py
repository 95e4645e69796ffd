"""Figures: units on every axis, colours that stay apart, texts that are texts, peaks that survive thinning."""

from __future__ import annotations

import json
import re
from html import unescape
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from sim.report.figures import charts, rollout_figures
from sim.report.formats.svg import to_svg

X = np.linspace(0.0, 10.0, 11)
DRAWN = {
    "curves": charts.curves({"a": (X, X), "b": (X, 2 * X)}, x_label="limit, %", y_label="bricked, %", bands={"a": (X, X + 1)}),
    "upgrade_curve": charts.upgrade_curve({"a": (X, X / 10)}, horizon_s=1e6),
    "load_over_time": charts.load_over_time(X, X, y_label="per second", capacity=12.0),
    "intervals": charts.intervals({"a": (1.0, 0.5, 1.5)}, x_label="difference, points"),
    "heat_map": charts.heat_map([1, 2], [3, 4], [[1, 2], [3, 4]], x_label="limit, %", y_label="limit, dBm", value_label="x, %"),
    "scatter": charts.scatter({"a": (X, X)}, x_label="time, d", y_label="bricked, %", marks={"knee": (1.0, 1.0)}),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_axes_carry_their_units(name):
    """A label on each axis that has a scale; category axes name themselves by their ticks."""
    axes = DRAWN[name].axes[0]
    assert axes.get_xlabel()
    assert axes.get_ylabel() or name == "intervals"


def _seen(colour: str, kind: str) -> np.ndarray:
    """Colour as dichromats see it (Viénot, Brettel, Mollon 1999, linear RGB), or its grey value in print."""
    r, g, b = (((c + 0.055) / 1.055) ** 2.4 if c > 0.04045 else c / 12.92 for c in to_rgb(colour))
    if kind == "grey":
        return np.array([0.2126 * r + 0.7152 * g + 0.0722 * b])
    matrix = {
        "protan": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
        "deutan": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
    }[kind]
    return np.array(matrix) @ np.array([r, g, b])


@pytest.mark.parametrize("kind", ["protan", "deutan"])
def test_series_stay_apart_for_colour_blind_readers(kind):
    """The first four series, which most figures need, keep a distance; dashes tell the rest apart."""
    for one, other in combinations(charts.SERIES[:4], 2):
        assert np.linalg.norm(_seen(one, kind) - _seen(other, kind)) > 0.1, (one, other)
    assert len({str(dash) for dash in charts.DASHES}) == charts.MAX_SERIES


def test_thinning_keeps_the_peak():
    """One bin of a hundred thousand holds the peak."""
    load = np.zeros(100_000)
    load[77_777] = 9.0
    axes = charts.load_over_time(np.arange(100_000.0), load, y_label="per second").axes[0]
    assert max(axes.get_lines()[0].get_ydata()) == 9.0


def test_hover_data_lie_where_the_curve_is():
    """Box, limits and points of the series, with names as they are read."""
    drawn = charts.curves({"costs $5$": (X, X)}, x_label="limit, %", y_label="bricked, %")
    svg = to_svg(drawn, 'a "quoted" <alt>')
    hover = json.loads(unescape(re.search(r'data-hover="([^"]*)"', svg)[1]))
    assert hover["series"][0] == {"name": "costs $5$", "x": X.tolist(), "y": X.tolist()}
    assert hover["x"] == [0.0, 10.0]
    assert 'aria-label="a &quot;quoted&quot; &lt;alt&gt;"' in svg


def test_flow_is_in_proportion():
    """Half of the plan lost at once: the band is half as high, seven causes and the rest together."""
    losses = [(0, f"cause {i}", 5 + (i == 0) * 5, False) for i in range(9)]
    drawn = rollout_figures.loss_flow([("in the plan", 100), ("notified", 50)], losses)
    heights = sorted({round(p.get_height(), 6) for p in drawn.axes[0].patches if hasattr(p, "get_height")})
    assert heights == [0.5, 1.0]
    texts = [text.get_text() for text in drawn.axes[0].texts]
    assert "cause 0 10" in texts and "3 other causes 15" in texts
