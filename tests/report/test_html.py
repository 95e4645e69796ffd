"""The HTML page: self-contained, whole without scripts, and in a real Chromium usable and accessible."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from sim.cli.common import app
from sim.engines.run import save
from sim.records import Run
from sim.report.formats.html_page import render
from sim.report.formats.markdown import to_markdown
from sim.report.from_runs import comparison, single
from sim.report.page import Code, Column, Page, Section, Table, Text, Value
from tests.report.browser import chromium
from tests.support import plain, run

TABLE = Table(
    "t", (Column("name", "Name"), Column("size", "Size", "size")), [("b", 5_000_000), ("a", 70_000), ("c", None)]
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Two runs of one scenario under two strategies."""
    folder = tmp_path_factory.mktemp("runs")
    gates = "gates={success_rate: '>= 0.999', bricked: '<= 0.5'}"
    for name, limit in (("strict", 30), ("loose", 5)):
        outcome = run(gates, f"plan.strategy.preconditions.min_battery_percent={limit}", "fleet.size=300")
        save(outcome, folder / name)
    return folder


@pytest.fixture(scope="module")
def page(saved):
    """The page of the first."""
    return render(single(saved / "strict")[0])


def test_nothing_is_fetched(page):
    """No address, no outside script: it opens offline and from an archive."""
    addresses = set(re.findall(r'(?:href|src)="([^"]*)"', page))
    assert all(a.startswith("#") for a in addresses)
    assert "@import" not in page and "url(http" not in page


def test_tags_are_balanced(page):
    """Every element that is opened is closed, in order."""

    class Balance(HTMLParser):
        stack: ClassVar[list[str]] = []

        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "br", "input", "wbr"):
                self.stack.append(tag)

        def handle_endtag(self, tag):
            assert self.stack.pop() == tag

    parser = Balance()
    parser.feed(page)
    assert parser.stack == []


def test_verdict_and_gates(page):
    """A gate that is not met makes a no go, and both gates are listed with their values."""
    assert "No go" in page
    assert page.count("✗ not met") == 1 and page.count("✓ met") == 1


def test_page_one_answers(page):
    """Ship or not, at what risk, what to change: before the first section of evidence."""
    first = page[: page.index("<h2>")]
    for words in ("No go", "1 of 2 gates is not met", "Risk to the fleet:", "What to change?"):
        assert words in first


def test_figures_name_themselves(page):
    """Every figure has its numbers as alternative text."""
    figures = re.findall(r'<svg class="figure" role="img" aria-label="([^"]+)"', page)
    assert len(figures) == page.count("<svg") == 7
    assert any("notified" in alt for alt in figures)


def test_it_says_what_it_rests_on(page):
    """Provenance, the nature of the intervals, censoring, how to repeat."""
    for words in (
        "estimated",
        "derived",
        "documented",
        "descriptive",
        "censored",
        "fotasim run scenario.yaml --seed 1",
    ):
        assert words in re.sub(r"</?span[^>]*>", "", page)


def test_the_command_to_repeat_it_repeats_it(saved, tmp_path, monkeypatch):
    """Typed in the run's folder, wherever that has gone: the same modules come to the same ends."""
    moved = tmp_path / "moved"
    shutil.copytree(saved / "strict", moved)
    monkeypatch.chdir(moved)
    (code,) = [block.text for block in single(moved)[0].blocks() if isinstance(block, Code)]
    done = CliRunner().invoke(app, code.split()[1:])
    assert done.exit_code == 1, done.output  # a gate is not met, as before
    before, after = (Run.load(path).modules for path in (moved, moved / "again"))
    assert after.equals(before)


def test_half_of_the_page_holds_its_tables(saved, tmp_path):
    """At 1440 px no table has to be pushed sideways, with the load of millions either."""
    page, _ = single(saved / "strict")
    sections = [replace(s, blocks=[_large(b) for b in s.blocks]) for s in page.sections]
    path = tmp_path / "page.html"
    path.write_text(render(replace(page, sections=sections)), encoding="utf-8")
    with chromium(1440) as view:
        view.goto(path.as_uri())
        scrolled = "[...document.querySelectorAll('.pair .scroll')].filter(s => s.scrollWidth > s.clientWidth).map(s => s.firstChild.dataset.name)"
        assert view.evaluate("document.querySelectorAll('.pair .scroll').length") > 3
        assert view.evaluate(scrolled) == []


def _large(block):
    """The table of the cloud's load with what a fleet of millions does to it."""
    if not isinstance(block, Table) or block.name != "cloud_load":
        return block
    rows = [
        [replace(v, value=None if v.value is None else 1e4 * v.value) if isinstance(v, Value) else v for v in row]
        for row in block.rows
    ]
    return replace(block, rows=rows)


def test_a_fleet_nobody_reaches(tmp_path):
    """No success at all still makes a page."""
    outcome = run("fleet.failures.never_online=1.0", "gates={duration_p95: '<= 1d'}")
    assert "Time of 95 % of the successes: nothing to judge it on" in plain(
        render(single(save(outcome, tmp_path / "r").path)[0])
    )


@pytest.mark.parametrize("width", [1440, 390])
def test_accessible_and_within_its_width(saved, width, tmp_path):
    """No finding of axe-core, nothing wider than the window, on both kinds of page."""
    from axe_playwright_python.sync_playwright import Axe

    pages = (single(saved / "strict")[0], comparison([saved / "strict", saved / "loose"])[0])
    with chromium(width) as view:
        for number, page in enumerate(pages):
            path = tmp_path / f"{number}.html"
            path.write_text(render(page), encoding="utf-8")
            view.goto(path.as_uri())
            found = Axe().run(view).response["violations"]
            assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found] == []
            assert view.evaluate("document.documentElement.scrollWidth") <= width


def test_sorting_hover_and_switch(saved, tmp_path):
    """Click on a heading sorts by value, the pointer over a curve shows values, a choice shows one strategy."""
    page, _ = comparison([saved / "strict", saved / "loose"])
    page = replace(page, sections=[Section("Sorted", [TABLE]), *page.sections])
    path = tmp_path / "page.html"
    path.write_text(render(page), encoding="utf-8")
    with chromium() as view:
        view.goto(path.as_uri())
        cells = "[...document.querySelectorAll('[data-name=t] tbody tr')].map(r => r.cells[0].textContent).join('')"
        view.get_by_role("button", name="Size").first.click()
        assert view.evaluate(cells) == "abc"  # by bytes, not by the digits shown; nothing last
        view.get_by_role("button", name="Size").first.click()
        assert view.evaluate(cells) == "cba"
        curve = view.locator("svg[data-hover]").first
        curve.hover()
        assert re.search(r"days after activation: \d", view.locator(".readout:visible").inner_text())
        shown = "[...document.querySelectorAll('section[data-variant]')].filter(s => s.offsetParent).map(s => s.dataset.variant)"
        assert set(view.evaluate(shown)) == {"strict"}
        view.get_by_role("radio", name="loose").check()
        assert set(view.evaluate(shown)) == {"loose"}
        view.get_by_role("radio", name="all").check()
        assert set(view.evaluate(shown)) == {"strict", "loose"}


def test_print_shows_every_strategy(saved, tmp_path):
    """On paper there is no switch: what is hidden on screen is printed."""
    page, _ = comparison([saved / "strict", saved / "loose"])
    path = tmp_path / "page.html"
    path.write_text(render(page), encoding="utf-8")
    with chromium() as view:
        view.goto(path.as_uri())
        view.emulate_media(media="print")
        hidden = "[...document.querySelectorAll('section[data-variant]')].filter(s => getComputedStyle(s).display === 'none').length"
        assert view.evaluate(hidden) == 0
        assert not view.locator(".switch").is_visible()


def test_a_page_of_anything():
    """A page needs no run: blocks are enough."""
    html = render(Page("A <b> page", sections=[Section("Part", [Text("1 < 2", "So:"), TABLE])]))
    assert "<h1>A &lt;b&gt; page</h1>" in html and "<strong>So:</strong> 1 &lt; 2" in html and "70\u00a0kB" in html


def test_numbers_and_units_stay_on_one_line():
    """In paragraphs, cells, tiles and headings; commands are copied as they stand, and in other formats nothing changes."""
    text = "95 % of 1,200 modules within 3.5 d at 1.2 Mbit/s and -113 dBm; 3 dogs, 7 Mallets, at 5 by 6"
    command = "fotasim run s.yaml --set 'horizon=3 d'"
    rows = [("a", 1_000_000)]
    html = render(
        Page(
            "Size: 4 kB",
            lead=text,
            sections=[Section("s", [Text(text), Code(command), Code("size: 3 MB"), Table("t", TABLE.columns, rows)])],
        )
    )
    held = "95\u00a0% of 1,200\u00a0modules within 3.5\u00a0d at 1.2\u00a0Mbit/s and -113\u00a0dBm; 3 dogs, 7 Mallets, at 5 by 6"
    assert html.count(held) == 2
    assert "Size: 4\u00a0kB</h1>" in html and ">1\u00a0MB<" in html
    assert '<pre tabindex="0">size: 3 MB</pre>' in html and "\u00a0" not in re.search(r"<pre.*?</pre>", html)[0]
    assert to_markdown(Page("p", lead=text)).count("\u00a0") == 0


def test_an_objective_is_not_parted():
    """p99(notify)<2s has no place to break at in a paragraph."""
    html = render(Page("p", sections=[Section("s", [Text("within p99(notify)<2s, error_rate<0.1%")])]))
    assert '<span class="argument">p99(notify)&lt;2s</span>,' in html
