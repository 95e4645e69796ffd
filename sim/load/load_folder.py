"""The folder of a load run: what Locust and the workers wrote, with a manifest, the scenario and the page beside it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim import archive
from sim.engines import run_inputs
from sim.engines.run import provenance
from sim.errors import RecordsError
from sim.records import KINDS, read_manifest, write_manifest
from sim.report.formats.write import write_formats
from sim.report.pages.load_page import LoadRun, load_page
from sim.scenario import Scenario

if TYPE_CHECKING:
    from sim.report.page import Page

REPORT = "load.json"


def save_load(folder: Path, scenario: Scenario, found: Mapping[str, Any], **how: Any) -> Path:
    """Writes what was found of a load run, with manifest, scenario and page; `how` are its options. The page."""
    (folder / REPORT).write_text(json.dumps(found, indent=1), encoding="utf-8")
    inputs = run_inputs.inputs_of(scenario)
    origin = {**provenance(scenario, inputs), "engine": "live", "wall_s": _lasted_s(found), "repeat": _repeat(how)}
    del origin["kind"]
    write_manifest(folder, "load", **origin, name=scenario.name, description=scenario.description, **how)
    (folder / "scenario.yaml").write_text(run_inputs.scenario_text(scenario, inputs), encoding="utf-8")
    run_inputs.copy_into(folder, inputs)
    page = write_formats(load_page(LoadRun(read_manifest(folder), found)), folder, ["html"])[0]
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


def _lasted_s(found: Mapping[str, Any]) -> float | None:
    began, ended = found.get("began"), found.get("ended")
    return None if began is None or ended is None else float(ended) - float(began)


def _repeat(how: Mapping[str, Any]) -> str:
    """The command that runs the same load again."""
    options = {
        "--cloud": how["cloud"], "--users": how["users"], "--ramp": f"{how['ramp_per_s']:g}/s", "--shape": how["shape"],
        "--workers": how["workers"], "--time-scale": f"{how['time_scale']:g}",
        "--slo": how.get("slo"), "--duration": None if how["duration_s"] is None else f"{how['duration_s']:g}s",
    }  # fmt: skip
    given = [f"{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    return f"fotasim load scenario.yaml {' '.join(given)} --headless --out again"


__all__ = ["page_of_load", "save_load"]
