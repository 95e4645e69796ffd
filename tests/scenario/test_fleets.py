"""The fleets of docs/fleets.md: what the page says comes out, and every one of them says where its figures are from."""

import re
from pathlib import Path

import pytest

from sim.engines.run import simulate
from sim.scenario import Scenario, library

PAGE = Path("docs/fleets.md").read_text(encoding="utf-8")
ROW = re.compile(
    r"^\| `(\w+)` \| ([\d,]+) \| (\d+) d \| (go|no-go|marginal|stopped) \| ([\d.]+) % \| ([\d.]+) d \|$", re.MULTILINE
)
FLEETS = ROW.findall(PAGE)


def test_ten_fleets():
    """Each of the table is in the library, and as many lines say what its figures rest on."""
    assert len(FLEETS) == 10 and {name for name, *_ in FLEETS} <= set(library.listed())
    rest = PAGE.split("## What the figures rest on")[1]
    assert len(re.findall(r"^\| [A-Z]", rest, re.MULTILINE)) == 10


@pytest.mark.parametrize(("name", "modules", "days", "verdict", "success", "p95"), FLEETS, ids=[f[0] for f in FLEETS])
def test_what_the_page_says_comes_out(name, modules, days, verdict, success, p95):
    """At its full size, to the digits that are printed."""
    asked = Scenario.load(library.find(name))
    assert (asked.fleet.size, asked.horizon) == (int(modules.replace(",", "")), int(days) * 86400)
    summary = simulate(asked).summary
    assert summary["verdict"] == verdict
    assert 100 * summary["metrics"]["success_rate"] == pytest.approx(float(success), abs=0.06)
    assert summary["metrics"]["duration_p95"] / 86400 == pytest.approx(float(p95), abs=0.06)


@pytest.mark.parametrize("name", [f[0] for f in FLEETS])
def test_the_file_names_its_sources_and_the_list_does_not(name):
    """Sources stand below the purpose, which `fotasim scenarios` prints alone."""
    text = library.find(name).read_text(encoding="utf-8")
    assert re.search(r"^#\n(# .*\n)*# Sources: docs/fleets.md\. ", text, re.MULTILINE)
    assert "estimated" in text and "Sources" not in library.listed()[name]
    assert text.startswith("# yaml-language-server") and "\nformat: 1\n" in text
