"""The command report: pages from run folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sim.cli.common import app, fail


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Run folders.")],
    format_: Annotated[str, typer.Option("--format", help="html")] = "html",
) -> None:
    """Write the report of a run anew."""
    from sim.records import Run
    from sim.report.html import write_html

    if format_ != "html":
        fail(f"--format {format_}: only html can be written")
    for folder in runs:
        loaded = Run.load(folder)
        page = loaded.path / "report.html"
        page.write_text(write_html(loaded), encoding="utf-8")
        print(page)
