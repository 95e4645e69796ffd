"""A run as one HTML text: the short way from a run folder to its page."""

from __future__ import annotations

from sim.records import Run
from sim.report.formats.html_page import render
from sim.report.model.run_report import build
from sim.report.pages.run_page import run_page


def write_html(run: Run) -> str:
    """The page of a run folder as text."""
    return render(run_page(build(run), run))
