"""What a reader sees of a page: the forest plot, contrast in both modes, one meaning a colour, what is not resolved, small p."""

from __future__ import annotations

import re
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest

from sim.metrics import SHARES
from sim.report.figures import charts, study_figures
from sim.report.formats.svg import _VARIABLES, to_svg
from sim.report.model.like_with_like import Terms
from sim.report.page import Value
from sim.report.pages.comparison_page import comparison_page
from sim.report.pages.sensitivity_page import sensitivity_page
from sim.report.pages.sweep_page import answer_lines, sweep_page
from sim.report.show import show
from sim.stats.campaigns import STUDY_METRICS
from sim.study.axes import Axis
from sim.study.compare import Comparison
from sim.study.inputs import Input
from sim.study.sensitivity import Sensitivity
from sim.study.sources import Side
from sim.study.sweep import Sweep
from tests.support import scenario

# --- forest plot -----------------------------------------------------------------------------------------------------

DIFFERENCES = [  # metric, difference, low, high, p (adjusted); in the order of a comparison's table, not of importance
    ("success_rate", 0.0123, 0.0101, 0.0145, 2.429e-13),
    ("rejected", -0.0005, -0.0011, 0.0001, 0.21),
    ("duration_p95", 7200.0, 3600.0, 10800.0, 0.004),
    ("bricked", 0.0002, -0.0001, 0.0005, 0.4),
    ("duration_p50", -1800.0, -3600.0, 0.0, 0.06),
]


def difference_table():
    """Differences of one alternative as a comparison has them."""
    return pd.DataFrame([
        {"alternative": "new", "metric": m, "a": 0.5, "b": 0.5 + d, "difference": d, "low": low, "high": high, "p_value": p / 2,
         "p_adjusted": p, "differs": p < 0.05, "variance_reduction": 4.0, "paired": True, "campaigns": 5}
        for m, d, low, high, p in DIFFERENCES
    ])  # fmt: skip


def test_a_forest_plot_shows_the_important_ones_first_in_units_a_reader_counts_in():
    """Shares per 10,000 modules, times in hours; bricks before success before the rest; the interval is the line's ends."""
    panels = study_figures.forest_rows(difference_table())
    assert [label for label, _, _ in panels] == ["difference per 10,000 modules", "difference, hours"]
    assert [row["metric"] for row in panels[0][2]] == ["bricked", "success_rate", "rejected"]
    assert [row["metric"] for row in panels[1][2]] == ["duration_p50", "duration_p95"]
    figure = study_figures.forest(panels)
    shares, times = figure.axes
    found = {name: lines_at(axes, place) for axes, part in ((shares, panels[0][2]), (times, panels[1][2]))
             for place, name in enumerate(row["metric"] for row in part)}  # fmt: skip
    assert found["success_rate"] == pytest.approx((101.0, 123.0, 145.0))
    assert found["bricked"] == pytest.approx((-1.0, 2.0, 5.0))
    assert found["duration_p95"] == pytest.approx((1.0, 2.0, 3.0))
    assert found["duration_p50"] == pytest.approx((-1.0, -0.5, 0.0))
    assert shares.yaxis_inverted() or shares.get_ylim()[0] > shares.get_ylim()[1]  # the first stands on top


def lines_at(axes, place):
    """Low, mean and high of the row that stands at a height of a forest plot."""
    ends = [segment for lines in axes.collections for segment in lines.get_segments()]
    (low, at), (high, _) = next(segment for segment in ends if segment[0][1] == place)
    dots = [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in axes.get_lines()
        if line.get_marker() == "o"
    ]
    return low, next(x for x, y in dots if y == at), high


def comparison():
    """A comparison with these differences, without its campaigns."""
    sides = [Side(name, Terms({}, 1), []) for name in ("old", "new")]
    return Comparison(sides, difference_table(), ["new against old."], True)


def test_a_comparison_opens_with_its_picture_and_writes_tiny_p_values_as_a_bound():
    """2.4e-13 is `< 0.001`, 0.004 has its digits; rows stand in the picture's order, bricks first."""
    page = comparison_page(comparison())
    assert type(page.opening[0]).__name__ == "Chart"
    (table,) = (t for t in page.tables() if t.name == "differences")
    column = [c.key for c in table.columns].index("p_adjusted")
    assert [row[column] for row in table.shown()] == ["0.400", "< 0.001", "0.060", "0.004", "0.210"]


@pytest.mark.parametrize(
    ("p", "shown"), [(2.429e-13, "< 0.001"), (0.00099, "< 0.001"), (0.001, "0.001"), (0.0496, "0.050"), (1.0, "1.000"), (float("nan"), "–")]
)  # fmt: skip
def test_p_values(p, shown):
    """Three digits, a bound below."""
    assert show("p_value", p) == shown


# --- sweep -----------------------------------------------------------------------------------------------------------


def swept(rates):
    """A sweep over a battery limit whose campaigns succeed with these rates, by setting; nothing bricks."""
    axis = Axis("plan.strategy.preconditions.min_battery_percent", tuple(float(x) for x in rates))
    outof = {f"n_{m.denominator}": 1000 for m in SHARES.values()}
    none = {f"n_{m.numerator}": 0 for m in SHARES.values()} | outof
    rows = []
    for point, (limit, values) in enumerate(rates.items()):
        for replication, value in enumerate(values):
            rows.append({
                "point": point, axis.key: float(limit), "replication": replication,
                **dict.fromkeys(STUDY_METRICS, 0.0), **none, "success_rate": value,
                f"n_{SHARES['success_rate'].numerator}": round(1000 * value),
            })  # fmt: skip
    base = scenario("fleet.size=1000").with_(gates={"success_rate": ">= 0.8"})
    return Sweep(
        base, (axis,), [{axis.key: float(x)} for x in rates], len(next(iter(rates.values()))), pd.DataFrame(rows), True
    )


BORDER = (
    "min battery 10 % lies at the lower end of what was tried (10 % to 60 %), so the best may lie beyond it: extend "
    "plan.strategy.preconditions.min_battery_percent downwards."
)


def test_a_sweep_recommends_a_setting_with_its_interval():
    """The best of those that meet the gate; its mean and Student's interval, worked out here by hand."""
    result = swept({10: [0.96, 0.95, 0.94, 0.95], 30: [0.88, 0.89, 0.90, 0.89], 60: [0.5, 0.51, 0.52, 0.51]})
    told = next(b for b in sweep_page(result).verdict.blocks if getattr(b, "strong", "") == "Recommended:")
    half = 3.182446 * np.std([0.96, 0.95, 0.94, 0.95], ddof=1) / 2  # t(0.975, 3) * s / sqrt(4)
    low, high = f"{100 * (0.95 - half):.2f} %", f"{100 * (0.95 + half):.2f} %"
    text = f"min battery 10 %: success 95.00 % (95 % interval {low} to {high}). {BORDER}"
    assert told.text == text
    first, second = answer_lines(result)
    assert (
        first.startswith("Some fit: 2 of 3 settings meet every gate of the scenario")
        and second == f"Recommended: {text}"
    )


def test_a_sweep_says_which_settings_cannot_be_told_from_the_recommended_one():
    """Two settings whose intervals meet are equal; the third lies apart."""
    result = swept({10: [0.96, 0.92, 0.94, 0.95], 30: [0.95, 0.93, 0.92, 0.95], 60: [0.85, 0.851, 0.852, 0.85]})
    told = next(b for b in sweep_page(result).verdict.blocks if getattr(b, "strong", "") == "Recommended:")
    assert told.text.startswith("min battery 10 %: success 94.25 %")
    assert told.text.endswith(f"1 other setting cannot be distinguished from it. {BORDER}")


# --- Sobol -----------------------------------------------------------------------------------------------------------


def test_a_sobol_index_whose_interval_is_wider_than_itself_is_not_resolved():
    """0.30 ± 0.14 is resolved, 0.30 ± 0.16 is not: in the table, in the figure's labels."""
    inputs = [Input(name, 0.0, 1.0, 0.5, False, "failures") for name in ("never_online", "long_offline")]
    table = pd.DataFrame({
        "input": ["never_online", "long_offline"], "low": 0.0, "high": 1.0, "nominal": 0.5, "at_low": 0.9, "at_high": 0.5,
        "swing": 0.4, "first": [0.29, 0.28], "first_conf": 0.1, "total": [0.30, 0.30], "total_conf": [0.14, 0.16],
    })  # fmt: skip
    samples = pd.DataFrame({"never_online": [0.1, 0.2], "long_offline": [0.1, 0.2], "success_rate": [0.8, 0.7]})
    result = Sensitivity(scenario(), "success_rate", "sobol", inputs, table, samples, 0.8, None, 1)
    (shown,) = (t for t in sensitivity_page(result).tables() if t.name == "inputs")
    keys = [c.key for c in shown.columns]
    cells = {row[0]: dict(zip(keys, row, strict=True)) for row in shown.shown()}
    assert (cells["never online"]["total"], cells["never online"]["first"]) == ("0.3", "0.29")
    assert (cells["long offline"]["total"], cells["long offline"]["first"]) == ("not resolved", "not resolved")
    labels = [t.get_text() for t in study_figures.indices(table).axes[0].get_yticklabels()]
    assert sorted(labels) == ["long offline (not resolved)", "never online"]
    assert isinstance(shown.rows[1][keys.index("total")], Value)


# --- colours ---------------------------------------------------------------------------------------------------------

CSS = (files("sim.report.formats") / "templates" / "style.css").read_text(encoding="utf-8")
TEXT_ON = [(text, ground) for text in ("ink", "soft", "good", "bad", "doubt") for ground in ("paper", "wash")]
LINES = ("blue", "harm", "green", "purple", "brown", "sky", "decision")


def colours(dark):
    """The colours of the style's variables in light or dark mode."""
    blocks = re.findall(r":root \{(.*?)\}", CSS, flags=re.DOTALL)
    found = {}
    for block in blocks[: 2 if dark else 1]:
        found |= dict(re.findall(r"--([a-z]+): (#[0-9a-fA-F]{3,6})", block))
    return found


def luminance(colour):
    """Relative luminance by WCAG 2.2."""
    digits = colour.lstrip("#")
    digits = digits if len(digits) == 6 else "".join(2 * d for d in digits)
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """The contrast ratio of two colours by WCAG 2.2, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_by_its_definition():
    """Black on white is 21; #767676 on white is the well-known edge of AA."""
    assert contrast("#000", "#fff") == pytest.approx(21.0)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("text", "ground"), TEXT_ON)
def test_text_is_readable_in_both_modes(dark, text, ground):
    """WCAG AA: 4.5 to 1 for text of any size."""
    found = colours(dark)
    assert contrast(found[text], found[ground]) >= 4.5, (text, found[text], ground, found[ground])


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("line", LINES)
def test_lines_of_figures_are_seen_in_both_modes(dark, line):
    """WCAG AA for graphics: 3 to 1 against the paper."""
    found = colours(dark)
    assert contrast(found[line], found["paper"]) >= 3.0, (line, found[line])


def test_every_colour_of_figures_follows_the_mode():
    """Ink, lines and all series are variables of the page, so none stays dark on dark."""
    drawn = {c.lower() for c in (charts.INK, charts.SOFT, charts.FAINT, charts.RED, charts.ORANGE, *charts.SERIES)}
    assert drawn <= set(_VARIABLES)
    assert {name.removeprefix("--") for name in _VARIABLES.values()} <= set(colours(True)) & set(colours(False))


def test_letters_on_light_cells_stay_dark_in_dark_mode():
    """The cells of a heat map keep their colours, so letters on light ones must not follow the mode."""
    svg = to_svg(charts.heat_map(["a", "b"], ["c"], [[0.0, 1.0]], x_label="x", y_label="y", value_label="v"), "a map")
    assert charts.ON_LIGHT.lower() not in _VARIABLES
    assert f"fill: {charts.ON_LIGHT}" in svg and contrast(charts.ON_LIGHT, "#f3f8fc") >= 4.5


def test_one_colour_one_meaning():
    """Harm and decisions have a colour that no series has; no two series share one, in either mode."""
    assert not {charts.RED, charts.ORANGE} & set(charts.SERIES)
    assert len(set(charts.SERIES)) == len(charts.SERIES)
    for dark in (False, True):
        found = colours(dark)
        named = [found[_VARIABLES[c.lower()].removeprefix("--")] for c in (charts.RED, charts.ORANGE, *charts.SERIES)]
        assert len(set(named)) == len(named)
