"""Working the figures of a load run and of a capacity search out again from what their folders hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import floor
from pathlib import Path
from typing import Any

from sim.archive import Finding
from sim.engines.live.live_figures import agreement, latencies_from, without_histograms
from sim.engines.verification import compared
from sim.errors import RecordsError
from sim.load.load_folder import REPORT
from sim.records import CAPACITY_FILE
from sim.stats.evidence import Evidence

Found = tuple[int, list[Finding]]


def figures_of_load(folder: Path) -> Found:
    """The legs of the whole run from the histograms of its workers; whether it is complete; whether both sides agree."""
    try:
        found = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        workers = found["workers"].values()
        whole = without_histograms(latencies_from([worker["legs"] for worker in workers]))
        count, findings = compared(REPORT, without_histograms(found["legs"]), whole, "the workers' histograms give")
        void = any(not w["final"] or w["faults"] or (w["complaints"] and not w["users"]) for w in workers)
        stated, worked_out = {"void": found["void"]}, {"void": bool(void)}
        more, further = compared(REPORT, stated, worked_out, "what the workers report gives")
        checks, apart = agreement(REPORT, found.get("reconciliation") or {})
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise RecordsError(f"{REPORT} cannot be read: {error!r:.200}") from None
    return count + more + checks, [*findings, *further, *apart]


def figures_of_capacity(folder: Path) -> Found:
    """Every step by its samples, the capacity and what follows from it by the steps."""
    try:
        found = json.loads((folder / CAPACITY_FILE).read_text(encoding="utf-8"))
        written, worked_out = _stated(found), _worked_out(found)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise RecordsError(f"{CAPACITY_FILE} cannot be read: {error!r:.200}") from None
    return compared(CAPACITY_FILE, written, worked_out, "its steps give")


def _clouds(found: Mapping[str, Any]) -> list[str]:
    return [name for name in ("live", "simulated") if name in found]


def _stated(found: Mapping[str, Any]) -> dict[str, Any]:
    clouds = {}
    for name in _clouds(found):
        told = found[name]
        clouds[name] = {
            "confirmed": told["confirmed"], "capacity was kept": True,
            "kept": [p["kept"] for p in told["curve"]], "missed": [True for p in told["curve"]],
            "first to give way at": [part["load"] for part in told["first_to_give_way"][:1]],
        }  # fmt: skip
    return {"recommended": found["recommended"], "answer": found.get("answer"), **clouds}


def _worked_out(found: Mapping[str, Any]) -> dict[str, Any]:
    allowed = {
        o["text"]: o["limit"] if o["percent"] is None else round(1.0 - o["percent"] / 100.0, 9) for o in found["slo"]
    }
    clouds = {}
    for name in _clouds(found):
        told, curve = found[name], found[name]["curve"]
        at = [p for p in curve if p["load"] == told["capacity"]]
        broken = [p["load"] for p in curve if p["broken"] and not p["void"]]
        clouds[name] = {
            "confirmed": any(p["phase"] == "confirm" and p["answer"] == "kept" for p in at),
            "capacity was kept": told["capacity"] is None or any(p["kept"] for p in at),
            "kept": [not p["broken"] and not p["void"] for p in curve],
            "missed": [set(_missed(p, allowed)) <= set(p["broken"]) for p in curve],
            "first to give way at": [min(broken)] if broken else [],
        }  # fmt: skip
    capacity = found[_clouds(found)[0]]["capacity"]
    recommended = None if capacity is None else floor(capacity * (1.0 - found["headroom"]))
    return {"recommended": recommended, "answer": _answer(found), **clouds}


def _answer(found: Mapping[str, Any]) -> str | None:
    """What a search came to by its verdict; in folders of version 0.1 there is none. A needed load that the capacity does not
    reach may be broken or undecided: that is as written, unless it says kept."""
    written: str | None = found.get("answer")
    told, need = found[_clouds(found)[0]], found["need"]
    if written is None:
        return None
    if told["confirmed"] and (need is None or told["capacity"] >= need):
        return "kept"
    if need is not None and written != "kept":
        return written
    return "undecided" if told["undecided"] else "broken"


def _missed(point: Mapping[str, Any], allowed: Mapping[str, float]) -> list[str]:
    """Objectives that the samples of a step miss at face value."""
    listed = {text: Evidence(int(tried), int(over), allowed[text]) for text, (tried, over) in point["samples"].items()}
    return [text for text, e in listed.items() if e.tried == 0 or e.over > e.allowed * e.tried]


FIGURES: dict[str, Callable[[Path], Found]] = {"load": figures_of_load, "capacity": figures_of_capacity}
"""What works the figures out again, by kind of folder."""

__all__ = ["FIGURES"]
