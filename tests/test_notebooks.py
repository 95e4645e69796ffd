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


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.name)
def test_notebook_runs(path, tmp_path):
    """Every cell, in a fresh kernel; its figures are drawn; it is checked in without outputs."""
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(path, as_version=4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    NotebookClient(
        book, timeout=400, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    plots = [cell for cell in code if ".plot" in cell.source.rsplit("\n", 1)[-1]]
    assert plots
    for cell in plots:
        assert any("image/png" in output.get("data", {}) for output in cell.outputs), cell.source
