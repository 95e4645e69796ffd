"""The house rules that a machine can check."""

from __future__ import annotations

import ast
from collections.abc import Iterator
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


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_what_is_imported_for_types_is_not_used_at_run_time(path):
    """A name imported under TYPE_CHECKING is missing when the program runs; type checker and linter do not see it."""
    assert used_at_run_time(path.read_text(encoding="utf-8")) == []


def test_a_name_for_types_only_is_found_where_it_runs():
    """In a function's body, not in its annotations, and not where the function imports it itself."""
    head = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sim import archive\n"
    assert used_at_run_time(head + "def f(a: archive.Key):\n    archive.add(a)\n") == ["archive:5"]
    assert used_at_run_time(head + "def f(a: archive.Key):\n    from sim import archive\n    archive.add(a)\n") == []
    assert used_at_run_time(head + "x: archive.Key = f(archive)\n") == ["archive:4"]


def used_at_run_time(source: str) -> list[str]:
    """Names imported under TYPE_CHECKING that a statement uses, each with its line."""
    tree = ast.parse(source)
    guards = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    names = {name for guard in guards for name in _imported(guard)}
    annotations = {
        id(part)
        for node in ast.walk(tree)
        for hint in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if isinstance(hint, ast.AST)
        for part in ast.walk(hint)
    }
    return [f"{name}:{line}" for name, line in _used(tree, names, annotations)]


def _imported(node: ast.AST) -> set[str]:
    imports = [part for part in ast.walk(node) if isinstance(part, ast.Import | ast.ImportFrom)]
    return {(alias.asname or alias.name).split(".")[0] for part in imports for alias in part.names}


def _used(node: ast.AST, names: set[str], annotations: set[int]) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        stored = {p.id for p in ast.walk(node) if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store)}
        taken = {p.arg for p in ast.walk(node.args) if isinstance(p, ast.arg)}
        names = names - _imported(node) - stored - taken
    if isinstance(node, ast.Name) and node.id in names and id(node) not in annotations:
        yield node.id, node.lineno
    for child in ast.iter_child_nodes(node):
        yield from _used(child, names, annotations)
