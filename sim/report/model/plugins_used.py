"""The plug-ins that took part in a run, with what they gave, read from its folder: no code of theirs runs for a report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sim.records import Run


@dataclass(frozen=True, slots=True)
class PluginUsed:
    """One plug-in: what it is for, where its function comes from, and what it gave."""

    name: str
    kind: str
    python: str
    package: str
    """Name and version of its installed package; empty for a module that belongs to none."""
    sha256: str
    """Of the file with the function."""
    options: dict[str, Any] = field(default_factory=dict)
    limit: str | None = None
    campaigns: list[list[int]] = field(default_factory=list)
    """Of a metric or gate: (number, of how many) modules in each campaign."""
    classes: dict[str, int] = field(default_factory=dict)
    blocks: list[Any] = field(default_factory=list)


def plugins_of(run: Run) -> list[PluginUsed]:
    """The plug-ins that the folder's manifest names, in the order of the scenario."""
    given = {entry["name"]: entry for entry in run.summary.get("plugins", [])}
    kept = ("limit", "campaigns", "classes", "blocks")
    return [
        PluginUsed(**entry, **{name: value for name, value in given.get(entry["name"], {}).items() if name in kept})
        for entry in run.manifest.get("plugins", [])
    ]
