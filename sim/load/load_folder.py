"""The folder of a load run: what Locust and the workers wrote, with a manifest, the scenario and the page beside it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim import archive
from sim.engines.run import host_provenance
from sim.errors import RecordsError
from sim.records import KINDS, read_manifest, write_manifest
from sim.report.formats.write import write_formats
from sim.report.pages.load_page import LoadRun, load_page
from sim.scenario import Scenario

if TYPE_CHECKING:
    from sim.report.page import Page

REPORT = "load.json"


def save_load(folder: Path, scenario: Scenario, found: Mapping[str, Any], **how: Any) -> Path:
    """Writes manifest, scenario and page of a load run whose `load.json` is there; `how` are its options. The page."""
    facts = {**host_provenance(), "name": scenario.name, "description": scenario.description, **how}
    write_manifest(folder, "load", **facts, repeat=_repeat(how))
    (folder / "scenario.yaml").write_text(scenario.to_yaml(), encoding="utf-8")
    page = write_formats(load_page(LoadRun(facts | {"repeat": _repeat(how)}, found)), folder, ["html"])[0]
    archive.seal(folder)
    return page


def page_of_load(folder: Path) -> Page:
    """The page, made from what lies in the folder. RecordsError when that is not whole."""
    facts = read_manifest(folder)
    try:
        found = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        return load_page(LoadRun(facts, found))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise RecordsError(f"{folder}: not a whole {KINDS['load']}: {error}") from None


def _repeat(how: Mapping[str, Any]) -> str:
    """The command that runs the same load again."""
    options = {
        "--cloud": how["cloud"], "--users": how["users"], "--ramp": f"{how['ramp_per_s']:g}/s", "--shape": how["shape"],
        "--workers": how["workers"], "--time-scale": f"{how['time_scale']:g}",
        "--duration": None if how["duration_s"] is None else f"{how['duration_s']:g}s",
    }  # fmt: skip
    given = [f"{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    return f"fotasim load scenario.yaml {' '.join(given)} --headless --out again"


__all__ = ["page_of_load", "save_load"]
