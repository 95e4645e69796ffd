"""Format numbers of scenario files and folders: what is older is read, what is newer is refused with the cure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sim.errors import ScenarioError
from sim.records import RecordsError, Run, read_manifest, write_manifest
from sim.scenario import Scenario
from tests.support import BASE


def test_a_file_without_a_number_is_format_1_and_is_written_with_it() -> None:
    plain, numbered = Scenario.from_text(BASE), Scenario.from_text("format: 1\n" + BASE)
    assert plain == numbered
    assert plain.to_yaml().splitlines()[0] == "format: 1"
    assert Scenario.from_text(plain.to_yaml()) == plain


@pytest.mark.parametrize(
    ("value", "cure"),
    [
        ("2", "this fotasim reads scenario format 1; upgrade with: pip install -U fotasim"),
        ("1000000", "this fotasim reads scenario format 1; upgrade with: pip install -U fotasim"),
        ("0", "write format: 1, or leave it out"),
        ("-1", "write format: 1, or leave it out"),
        ('"1"', "write format: 1, or leave it out"),
        ("1.0", "write format: 1, or leave it out"),
        ("true", "write format: 1, or leave it out"),
        ("[1]", "write format: 1, or leave it out"),
    ],
)
def test_another_number_is_refused_with_line_value_and_cure(value: str, cure: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        Scenario.from_text(f"format: {value}\n" + BASE)
    (problem,) = refused.value.problems
    assert (problem.key, problem.line) == ("format", 1)
    assert cure in str(problem)


def _manifest(folder: Path, **changed: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"kind": "run", **changed}))


def test_folders_carry_their_number_and_older_ones_are_read(tmp_path: Path) -> None:
    write_manifest(tmp_path / "new", "sweep", points=3)
    assert json.loads((tmp_path / "new" / "manifest.json").read_text())["format"] == 1
    _manifest(tmp_path / "old")
    assert read_manifest(tmp_path / "old") == {"kind": "run"}


def test_a_newer_folder_is_refused_before_its_tables_are_opened(tmp_path: Path) -> None:
    _manifest(tmp_path / "newer", format=2, kind="of a kind to come")
    for read in (read_manifest, Run.load):
        with pytest.raises(
            RecordsError, match=r"folder format 2, this fotasim reads up to 1; upgrade with: pip install"
        ):
            read(tmp_path / "newer")


@pytest.mark.parametrize("number", [0, -1, "1", True, None, [1]])
def test_a_damaged_number_is_refused(tmp_path: Path, number: Any) -> None:
    _manifest(tmp_path / "damaged", format=number)
    with pytest.raises(RecordsError, match="no format number"):
        read_manifest(tmp_path / "damaged")


@pytest.mark.parametrize("kind", [["run"], {"run": 1}, 7, None])
def test_a_kind_that_is_no_text_is_refused(tmp_path: Path, kind: Any) -> None:
    _manifest(tmp_path / "damaged", kind=kind)
    with pytest.raises(RecordsError, match="kind this version does not know"):
        read_manifest(tmp_path / "damaged")
