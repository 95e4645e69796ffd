"""The house rules that a machine can check."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

MODULES = sorted(Path("sim").rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_module_is_documented_and_small(path):
    """A docstring on every module and public function; at most 650 lines, functions at most 60."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 650
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name
