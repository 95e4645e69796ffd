"""What a comparison lays side by side: scenarios to be run, or run folders that are there."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any

import pandas as pd

from sim import archive
from sim.errors import StudyError
from sim.records import Run
from sim.report.model.like_with_like import Terms, differing, no_pairs_because, settings_of, terms_of
from sim.scenario import Scenario
from sim.stats.campaigns import STUDY_METRICS, measure
from sim.study.axes import Axis
from sim.study.campaign import FATE_COLUMNS, Campaign, table


@dataclass(slots=True)
class Side:
    """One side of a comparison once its campaigns are there. `modules` and `run`, what identifies it, only of a run folder."""

    name: str
    terms: Terms
    campaigns: list[Campaign]
    modules: pd.DataFrame | None = None
    run: Mapping[str, Any] = field(default_factory=dict)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per campaign."""
        return table(self.campaigns)


def load(path: str | Path, overrides: tuple[str, ...] = ()) -> Scenario | Run:
    """A scenario file or a run folder, by what the path is."""
    place = Path(path)
    return Run.load(place) if place.is_dir() else Scenario.load(place, list(overrides))


def name_apart(name: str, taken: Container[str]) -> str:
    """A side's name, with a number behind it where another side has it."""
    names = chain([name], (f"{name} ({number})" for number in count(2)))
    return next(free for free in names if free not in taken)


def side_of_run(name: str, run: Run) -> Side:
    """The campaigns of a run folder. Peaks are of the run as a whole, so only one campaign alone can have them."""
    parts = list(run.modules.groupby("replication", sort=True))
    peaks = run.summary["cloud"] if len(parts) == 1 else dict.fromkeys(run.summary["cloud"], float("nan"))
    missing = dict.fromkeys(STUDY_METRICS, float("nan"))
    campaigns = []
    for replication, part in parts:
        decided = run.decisions[run.decisions["replication"] == replication]
        metrics, counts = measure(
            part, {**{k: v for k, v in missing.items() if k.startswith("peak")}, **peaks}, decided
        )
        fates = part[FATE_COLUMNS].reset_index(drop=True)
        campaigns.append(Campaign(int(str(replication)), metrics, counts, fates=fates))
    return Side(name, terms_of(run.manifest), campaigns, run.modules, _identity(run))


def _identity(run: Run) -> dict[str, Any]:
    """What tells a run folder from any other."""
    known = ("made_at", "fotasim", "commit", "engine", "scenario_sha256")
    tables = archive.read_sums(run.path).get("modules.parquet", "") if (run.path / archive.SUMS).exists() else ""
    return {name: run.manifest.get(name, "") for name in known} | {"modules_sha256": tables}


def pairs(a: Side, b: Side) -> list[tuple[Campaign, Campaign]]:
    """Campaigns of both sides on the same random numbers: same seed, replication and modules; none when that is not so."""
    if no_pairs_because(a.terms, b.terms):
        return []
    others = {c.replication: c for c in b.campaigns}
    return [(c, others[c.replication]) for c in a.campaigns if c.replication in others]


def changes(a: Terms, b: Terms) -> list[tuple[str, Any, Any]]:
    """Keys at which two scenarios differ, with both values; names, descriptions and gates aside."""
    ignored = ("name", "description", "gates", "seed")
    found = differing(settings_of(a), settings_of(b))
    return [change for change in found if change[0].split(".", 1)[0] not in ignored]


def in_words(a: Side, b: Side) -> str:
    """What b does otherwise than a: the one changed setting, that there is none, or the names."""
    found = changes(a.terms, b.terms)
    if not found:
        return f"{b.name} and {a.name}, which have the same settings"
    if len(found) != 1 or found[0][0].endswith(".file"):
        return f"{b.name} instead of {a.name}"
    key, before, after = found[0]
    axis = Axis(key, unit="duration" if key.rsplit(".", 1)[-1] in _DURATIONS else "")
    if None in (before, after):
        return f"{axis.name} {axis.show(after)} instead of {axis.show(before)}".replace("null", "none")
    return f"{axis.name} {axis.show(after)} instead of {axis.show(before)}"


_DURATIONS = (
    "push_interval", "retry_interval", "in_progress", "offer", "end_time", "horizon", "every", "keepalive", "jitter",
)  # fmt: skip


def variants(scenario: Scenario, texts: list[str]) -> dict[str, Scenario]:
    """Variations of a scenario from texts like `key=value;key=value`, named by them."""
    from sim.study.axes import parse_axis

    found = {}
    for text in texts:
        settings = {}
        for part in filter(None, (p.strip() for p in text.split(";"))):
            axis = parse_axis(part if "=" in part else f"{part}=")
            if len(axis.levels) != 1:
                raise StudyError(f"--variant {text}: give one value for each key")
            settings[axis.key] = axis.levels[0]
        short = ", ".join(f"{key.rsplit('.', 1)[-1]}={_plain(value)}" for key, value in settings.items())
        if short in found:
            raise StudyError(f"--variant {text}: stands twice")
        found[short] = scenario.computed(settings)
    return found


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
