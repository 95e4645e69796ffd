"""The notebooks run from top to bottom, and what they say in words is what they show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if "CI" not in os.environ:
    pytest.importorskip("nbclient", reason="notebooks need: pip install 'fotasim[notebook]'")
    pytest.importorskip("ipykernel", reason="notebooks need: pip install 'fotasim[notebook]'")

BOOKS = sorted(Path("notebooks").glob("*.ipynb"))


def test_there_are_three():
    """Named so that they sort in reading order."""
    assert [book.name[:2] for book in BOOKS] == ["01", "02", "03"]


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.name)
def test_it_is_checked_in_as_it_ran_from_top_to_bottom(path):
    """Readers see the figures without a kernel; the file stays small and names no path of the machine it ran on."""
    import nbformat

    text = path.read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert not any(root in text for root in ("/home/", "/tmp/", "/root/", "Traceback"))
    code = [cell for cell in nbformat.reads(text, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(output.get("name") != "stderr" for cell in code for output in cell.outputs)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.name)
def test_notebook_runs(path, tmp_path):
    """Every cell, in a fresh kernel; its figures are drawn, and what it leaves is of the kind that is checked in."""
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(path, as_version=4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    stored = [_kinds(cell) for cell in code]
    NotebookClient(
        book, timeout=400, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    assert [_kinds(cell) for cell in code] == stored
    plots = [cell for cell in code if ".plot" in cell.source.rsplit("\n", 1)[-1]]
    assert plots
    for cell in plots:
        assert any("image/png" in output.get("data", {}) for output in cell.outputs), cell.source


def _kinds(cell):
    """The kinds of what a cell leaves: text, table, figure."""
    return [sorted(output.get("data", {"text": ""})) for output in cell.outputs]
