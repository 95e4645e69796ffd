"""Figures as SVG: an element of a page that names itself and carries its series for hover, or a file for print."""

from __future__ import annotations

import io
import json
import re
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from sim.report.figures.charts import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, RED, SERIES, SKY, SOFT, STYLE
from sim.report.show import printable

_OPENING = re.compile(r"<svg [^>]*>")
_SERIES_POINTS = 420
_VARIABLES = {
    INK.lower(): "--ink", SOFT.lower(): "--soft", FAINT.lower(): "--line", BLUE.lower(): "--blue", RED.lower(): "--harm",
    GREEN.lower(): "--green", PURPLE.lower(): "--purple", SERIES[3].lower(): "--brown", SKY.lower(): "--sky",
    ORANGE.lower(): "--decision", "#8f3f00": "--bad",
}  # fmt: skip
"""Colours of figures that a page sets: light ones in dark mode."""
_COLOURS = re.compile(rf": ({'|'.join(_VARIABLES)})", re.IGNORECASE)


def to_svg(figure: Figure, alt: str) -> str:
    """The figure as an element that scales with the page, is named `alt` and carries its series for hover values."""
    text = _rendered(figure, fonttype="none")
    svg = text[text.index("<svg") :]
    size = re.search(r'viewBox="([^"]*)"', svg)
    assert size is not None
    hover = _hover(figure)
    data = f' data-hover="{escape(json.dumps(hover, separators=(",", ":")), quote=True)}"' if hover else ""
    opening = (
        f'<svg class="figure" role="img" aria-label="{escape(printable(alt), quote=True)}" viewBox="{size[1]}"{data} '
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return _OPENING.sub(lambda _: opening, _with_variables(svg), count=1)


def _with_variables(svg: str) -> str:
    """Colours of text, lines and series as variables of the page's style, so that they follow its light or dark mode."""
    return _COLOURS.sub(lambda m: f": var({_VARIABLES[m[1].lower()]}, {m[1]})", svg)


def to_print(figure: Figure) -> bytes:
    """The figure as an SVG file whose letters are outlines, so that it needs no font."""
    return _rendered(figure, fonttype="path").encode()


def _rendered(figure: Figure, *, fonttype: str) -> str:
    """The same bytes for the same figure, however often: no date, fixed ids, laid out once."""
    buffer = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.fonttype": fonttype, "figure.constrained_layout.use": False}):
        layout = figure.get_layout_engine()
        if layout is not None:  # placed once, here: with any engine, "none" too, saving would draw twice
            layout.execute(figure)
            figure.set_layout_engine(None)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return re.sub(r"<metadata>.*?</metadata>\s*", "", buffer.getvalue(), flags=re.DOTALL)


def _hover(figure: Figure) -> dict[str, Any] | None:
    """The series of the first axes and where they lie: box as shares of the figure (from its top), limits, points."""
    axes = figure.axes[0] if figure.axes else None
    lines = [line for line in axes.get_lines() if line.get_gid() == "series"] if axes is not None else []
    if axes is None or not lines or axes.get_xscale() != "linear":
        return None
    box = axes.get_position()
    series = []
    for line in lines:
        x, y = (np.asarray(v, dtype=float) for v in (line.get_xdata(orig=False), line.get_ydata(orig=False)))
        kept = np.isfinite(x) & np.isfinite(y)
        if len(x) > _SERIES_POINTS or line.get_linestyle() == "None":
            return None
        name = str(line.get_label()).replace(r"\$", "$")
        series.append({"name": name, "x": _short(x[kept]), "y": _short(y[kept])})
    return {
        "box": _short(np.array([box.x0, 1 - box.y1, box.width, box.height])), "x": _short(np.array(axes.get_xlim())),
        "xlabel": axes.get_xlabel(), "ylabel": axes.get_ylabel(), "series": series,
        "step": all(str(line.get_drawstyle()).startswith("steps") for line in lines),
    }  # fmt: skip


def _short(values: np.ndarray[Any, Any]) -> list[float]:
    return [float(f"{v:.4g}") for v in values]
