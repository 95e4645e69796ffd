"""The page of a run: self-contained, escaped, honest, the same bytes for the same run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import ClassVar

import pytest

from sim.engines.run import save
from sim.report.html import write_html
from tests.support import run


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A run whose description tries to break out of the page."""
    outcome = run("description=<script>alert(1)</script> & co", "gates={success_rate: '>= 0.999', bricked: '<= 0.5'}")
    return save(outcome, tmp_path_factory.mktemp("run") / "r")


@pytest.fixture(scope="module")
def page(saved):
    """Its page."""
    return write_html(saved)


def test_everything_shown_is_escaped(page):
    """Text from the scenario is text."""
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co" in page


def test_nothing_is_fetched(page):
    """No address, no script: it opens offline and from an archive."""
    addresses = set(re.findall(r'(?:href|src)="([^"]*)"', page))
    assert all(a.startswith("#") for a in addresses)
    assert "@import" not in page and "url(http" not in page


def test_tags_are_balanced(page):
    """Every element that is opened is closed, in order."""

    class Balance(HTMLParser):
        stack: ClassVar[list[str]] = []

        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "br"):
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


def test_figures_name_themselves(page):
    """Every figure has its numbers as alternative text."""
    figures = re.findall(r'<svg class="figure" role="img" aria-label="([^"]+)"', page)
    assert len(figures) == page.count("<svg") == 8
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
        assert words in page


def test_same_run_same_bytes(saved, page):
    """Nothing random, no date."""
    assert write_html(saved) == page


def test_a_fleet_nobody_reaches(tmp_path):
    """No success at all still makes a page."""
    outcome = run("fleet.failures.never_online=1.0", "gates={duration_p95: '<= 1d'}")
    page = write_html(save(outcome, tmp_path / "r"))
    assert "no data" in page
