"""The files a run was made from, as evidence: their hashes, how many rows they have, and the copy a run folder keeps."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sim.archive import sha256
from sim.scenario import Scenario
from sim.scenario.fields import WITH_UNITS
from sim.scenario.load import dump_tree

COPIED_UP_TO_BYTES = 20_000_000
"""Fleet files up to this size lie in the run folder; of larger ones it holds the hash and the row count."""
FOLDER = "inputs"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that a scenario names: its key, its name, what it is and holds, and where the copy is ("" when there is none)."""

    key: str
    name: str
    sha256: str
    size_bytes: int
    rows: int | None
    copy: str


def inputs_of(*scenarios: Scenario) -> dict[Path, InputFile]:
    """Every fleet file and package of scenarios that is there, by its path."""
    found: dict[Path, InputFile] = {}
    for key, path, is_fleet in (file for scenario in scenarios for file in _files(scenario)):
        if path in found or not path.is_file():
            continue
        size = path.stat().st_size
        copy = f"{FOLDER}/{len(found)}-{path.name}" if is_fleet and size <= COPIED_UP_TO_BYTES else ""
        found[path] = InputFile(key, path.name, sha256(path), size, _rows(path) if is_fleet else None, copy)
    return found


def plain(inputs: dict[Path, InputFile]) -> list[dict[str, Any]]:
    """The inputs as a manifest holds them: without the paths of this machine."""
    return [asdict(found) for found in inputs.values()]


def with_copies(tree: dict[str, Any], inputs: dict[Path, InputFile]) -> dict[str, Any]:
    """A dumped scenario whose fleet files are the copies in its folder."""
    tree = deepcopy(tree)
    for group in tree.get("fleet", {}).get("groups", []):
        found = inputs.get(Path(group["file"])) if group.get("file") else None
        if found is not None and found.copy:
            group["file"] = found.copy
    return tree


def scenario_text(scenario: Scenario, inputs: dict[Path, InputFile]) -> str:
    """The scenario as it was used, defaults written out, as YAML to lie in its folder beside the copies."""
    return dump_tree(with_copies(scenario.model_dump(mode="json", context=WITH_UNITS), inputs))


def resolved(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The opposite of `with_copies`: the copies where they are now."""
    tree = deepcopy(tree)
    for group in tree.get("fleet", {}).get("groups", []):
        if group.get("file"):
            group["file"] = str(folder.resolve() / group["file"])
    return tree


def copy_into(folder: Path, inputs: dict[Path, InputFile]) -> None:
    """Copies the fleet files to where `with_copies` says they are."""
    for path, found in inputs.items():
        if found.copy:
            (folder / found.copy).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / found.copy)


def _files(scenario: Scenario) -> Iterator[tuple[str, Path, bool]]:
    for number, group in enumerate(scenario.fleet.groups):
        if group.file is not None:
            yield f"fleet.groups.{number}.file", Path(group.file), True
    for number, component in enumerate(scenario.plan.components):
        if component.file is not None:
            yield f"plan.components.{number}.file", Path(component.file), False


def _rows(path: Path) -> int:
    if path.suffix == ".parquet":
        from pyarrow.parquet import ParquetFile

        return int(ParquetFile(path).metadata.num_rows)
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        return max(0, sum(1 for row in csv.reader(file) if row) - 1)
