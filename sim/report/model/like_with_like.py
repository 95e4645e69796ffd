"""Whether two results are like with like (same horizon, same fleet), and whether their campaigns are pairs (same seed too)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.units import show_duration

SIMULATED = ("simpy", "compiled", "auto")
"""Engines in virtual time; anything else met a real cloud."""
_WHO = ("name", "share", "file", "sheet", "where", "duplicates")
"""Keys of a group that decide which modules there are; the others say what these modules are like."""
_OF_THE_RELEASE = ("components", "versions")
"""Keys of a group that follow the releases: every release begins with what the one before has installed."""
_OF_THE_IMAGE = ("checksum_error", "image_mismatch", "flash_error", "boot_failure", "brick", "no_reattach")
"""Chances of failures that go with the image, not with the fleet."""
_MOST_KEYS = 3


@dataclass(frozen=True, slots=True)
class Terms:
    """What the figures of a result depend on besides the plan; `files` are hashes of fleet files by their key."""

    scenario: Mapping[str, Any]
    seed: int
    simulated: bool = True
    files: Mapping[str, str] = field(default_factory=dict)


def terms_of(manifest: Mapping[str, Any]) -> Terms:
    """The terms of a run folder; the horizon of a run that was interrupted is the time it was watched."""
    files = {found["key"]: found["sha256"] for found in manifest.get("inputs", ())}
    scenario = dict(manifest.get("scenario", {}))
    if not manifest.get("complete", True):
        scenario["horizon"] = manifest.get("watched_s")
    simulated = manifest.get("engine", "auto") in SIMULATED
    return Terms(scenario, int(manifest.get("seed", 0)), simulated, files)


def other_terms(a: Terms, b: Terms) -> list[str]:
    """What makes two results no like with like, each with both values: the horizon, how many modules, what they are like.

    Versions installed on the fleet are not, nor the chances of failures that go with the image.
    """
    told = []
    horizons = [terms.scenario.get("horizon") for terms in (a, b)]
    if horizons[0] != horizons[1]:
        told.append("horizon " + " and ".join(_time(h) for h in horizons))
    found = differing(_fleet(a), _fleet(b))
    told += [_shown(*change) for change in found[:_MOST_KEYS]]
    if len(found) > _MOST_KEYS:
        told.append(f"{len(found) - _MOST_KEYS} more keys of the fleet")
    return told


def no_pairs_because(a: Terms, b: Terms) -> str:
    """Why no campaign of one has a partner on the same random numbers in the other; "" where they are pairs."""
    if not (a.simulated and b.simulated):
        return "a run against a real cloud shares no random numbers with another"
    if a.seed != b.seed:
        return f"seeds {a.seed} and {b.seed}"
    return "" if _who(a) == _who(b) else "not the same modules"


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Dotted keys at which two trees have other values, with both; entries of lists go by their name, else their number."""
    first, second = flat(a), flat(b)
    return [(k, first.get(k), second.get(k)) for k in dict.fromkeys([*first, *second]) if first.get(k) != second.get(k)]


def flat(node: Any, key: str = "") -> dict[str, Any]:
    """The leaves of a tree by their dotted keys."""
    if isinstance(node, Mapping) and (node or not key):
        return {
            k: v for name, value in node.items() for k, v in flat(value, f"{key}.{name}" if key else str(name)).items()
        }
    if isinstance(node, list) and node and all(isinstance(entry, Mapping) for entry in node):
        return {k: v for i, entry in enumerate(node) for k, v in flat(entry, f"{key}.{_entry(entry, i)}").items()}
    return {key: node}


def _entry(entry: Mapping[str, Any], number: int) -> str:
    return str(entry.get("name", entry.get("component", number)))


def settings_of(terms: Terms) -> dict[str, Any]:
    """The scenario with the hashes of fleet files in place of their paths."""
    fleet = dict(terms.scenario.get("fleet") or {})
    groups = [
        {**group, "file": group.get("file") and terms.files.get(f"fleet.groups.{number}.file", group["file"])}
        for number, group in enumerate(fleet.get("groups", []))
    ]
    return {**terms.scenario, "fleet": {**fleet, "groups": groups}}


def _fleet(terms: Terms) -> dict[str, Any]:
    """The fleet without what goes with a release."""
    fleet = settings_of(terms)["fleet"]
    groups = [_lasting({k: v for k, v in group.items() if k not in _OF_THE_RELEASE}) for group in fleet["groups"]]
    return {"fleet": {**_lasting(fleet), "groups": groups}}


def _lasting(node: Mapping[str, Any]) -> dict[str, Any]:
    """A fleet or group without the failures that go with the image."""
    failures = {k: v for k, v in (node.get("failures") or {}).items() if k not in _OF_THE_IMAGE}
    return {**node, "failures": failures}


def _who(terms: Terms) -> dict[str, Any]:
    """The keys that decide which modules there are."""
    fleet = settings_of(terms)["fleet"]
    groups = [{k: group.get(k) for k in _WHO} for group in fleet["groups"]]
    return {"fleet": {"size": fleet.get("size"), "modules": fleet.get("modules"), "groups": groups}}


def _shown(key: str, before: Any, after: Any) -> str:
    if key == "fleet.size" and isinstance(before, int) and isinstance(after, int):
        return f"{before:,} and {after:,} modules"
    if key.endswith(".file"):
        return f"{key}: another file"
    return f"{key} {_value(before)} and {_value(after)}"


def _value(value: Any) -> str:
    return "nothing" if value is None else f"{value:g}" if isinstance(value, float) else f"{value!s:.40}"


def _time(seconds: Any) -> str:
    return show_duration(float(seconds)) if isinstance(seconds, int | float) else str(seconds)
