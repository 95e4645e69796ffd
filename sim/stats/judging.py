"""From figures to gates and verdict: each gate over the whole fleet or slice by slice, then the one decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sim import gates as rules
from sim.errors import InputError
from sim.gates import Figure, Gate, Judged
from sim.metrics import METRICS, SHARES, figure
from sim.records import LABEL, label_columns
from sim.stats.counts import counts, figures, metrics, part_of_component
from sim.stats.plugin_shares import judged_shares
from sim.stats.replicated import ratio_interval
from sim.stats.slo_result import SloResult
from sim.stats.stopping import cuts, self_stops
from sim.stats.verdict import Decision, Evidence, Part, Sampled, decide

_JUDGED_BY: dict[str, tuple[str, ...]] = {
    "bricked": ("bricked", "bricked_of_targets", "failed", "first_installation_failed", "first_attempt_success"),
    "first_installations_failed": ("first_installation_failed", "first_attempt_success"),
    "touched_failed": ("failed", "success_of_touched", "success_rate", "coverage", "first_attempt_success"),
    "untouched": ("not_reached", "success_rate", "coverage", "touched", "took_image", "pending", "cloud_success_rate"),
    "under_way": ("not_reached", "success_rate", "coverage", "pending", "cloud_success_rate", "success_of_touched"),
}
"""Counts of what a release manager has to know of, and the metrics whose gates are about them."""
_OUT_OF = {"bricked": "installed_ended", "first_installations_failed": "installed_ended", "touched_failed": "touched_ended",
           "untouched": "targets", "under_way": "touched"}  # fmt: skip

_UNREACHED = {"untouched", "under_way"}


@dataclass(frozen=True, slots=True)
class Grounds:
    """What gates are judged on: the modules, the figures of the whole fleet, the decisions, how the run went."""

    modules: pd.DataFrame
    figures: Mapping[str, Figure]
    decisions: pd.DataFrame
    replications: int = 1
    complete: bool = True
    components: tuple[str, ...] = ()
    watched_s: float | None = None
    plugins: Sequence[Mapping[str, Any]] = ()
    """Results of plug-ins; the gates among them are judged too."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What a verdict on a live run rests on beside its tables: whether client and cloud counted the same, objectives, the generator."""

    counts_agree: bool | None = None
    slo: Sequence[SloResult] = ()
    generator: Sequence[str] = ()
    aborted: bool = False

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Beside:
        """From the `live` of a manifest; a folder of an older version has no objectives."""
        return cls(
            (told.get("reconciliation") or {}).get("agrees"), tuple(SloResult.of(row) for row in told.get("slo", ())),
            tuple(map(str, told.get("faults", ()))), bool(told.get("aborted")),
        )  # fmt: skip


def judged(given: Mapping[str, Any], grounds: Grounds, further: Sequence[Gate] = ()) -> list[Judged]:
    """Every gate of a scenario and those `further` ones, one result for each slice it is judged by; then those of plug-ins."""
    gates = [rules.parse_entry(metric, entry) for metric, entry in given.items()]
    own = [result for gate in [*gates, *further] for result in _results(gate, grounds)]
    return [*own, *judged_shares(grounds.plugins)]


def verdict_of(
    results: Sequence[Judged], grounds: Grounds, *, sampled: Sequence[Sampled] = (), live: Beside | None = None
) -> Decision:
    """The verdict on a run with these results of its gates."""
    counted, live = counts(grounds.modules), live or Beside()
    return decide(Evidence(
        results, counted["targets"], counted["touched"], grounds.replications, grounds.complete,
        self_stops(grounds.modules, grounds.decisions), sampled, live.counts_agree, live.slo,
        live.generator, live.aborted, cuts(grounds.decisions), _fail_later(counted), unjudged(results, counted), _under_way(counted),
    ))  # fmt: skip


def unjudged(results: Sequence[Judged], counted: Mapping[str, int]) -> list[Part]:
    """What was seen and no gate is about, bricks first, then the largest share; nothing of a run that has no gates.

    Bricks are failed installations too: where they are judged, the others are only those beyond them.
    """
    gated = {figure(name) for name in (result.metric for result in results)}
    missing = {name for name, by in _JUDGED_BY.items() if gated.isdisjoint(figure(metric) for metric in by)}
    if any(name.startswith("time_to_") for name in gated):
        missing -= _UNREACHED
    seen = {**counted, "untouched": counted["targets"] - counted["touched"], "under_way": _under_way(counted)}
    told = 0 if "bricked" in missing else counted.get("bricked", 0)
    found = [
        Part(name, seen[name], seen[_OUT_OF[name]])
        for name in _JUDGED_BY
        if gated and name in missing and seen.get(name, 0) > (told if name not in _UNREACHED else 0)
    ]
    return sorted(found, key=lambda part: (part.name != "bricked", -part.count / max(part.total, 1)))


def _under_way(counted: Mapping[str, int]) -> int:
    return counted["touched"] - counted["touched_ended"]


def _fail_later(counted: Mapping[str, int]) -> Part | None:
    later = counted.get("fail_later", 0)
    return Part("fail_later", later, counted["succeeded"]) if later else None


def _results(gate: Gate, grounds: Grounds) -> Iterator[Judged]:
    if not gate.by:
        missing = Figure(None)
        yield rules.judge(gate, grounds.figures.get(gate.metric, missing), replications=grounds.replications)
        return
    for name, part in _slices(gate.by, grounds):
        yield rules.judge(gate, slice_figure(gate.metric, part, grounds.watched_s), name, grounds.replications)


def _slices(by: str, grounds: Grounds) -> Iterator[tuple[str, pd.DataFrame]]:
    modules = grounds.modules
    if by == "component":
        names = grounds.components or tuple(map(str, range(int(modules["component"].max()) + 1)))
        for i, name in enumerate(names):
            yield name, part_of_component(modules, i)
        return
    column = by if by in rules.SLICES else LABEL + by
    try:
        rules.check_slice(by, list(label_columns(modules.columns).values()))
    except ValueError as error:
        raise InputError(str(error)) from None
    for value, part in modules.groupby(column, observed=True, sort=True):
        yield str(value) or f"(no {by})", part


def columns_of(given: Mapping[str, Any]) -> list[str]:
    """The columns of labels that gates of a scenario are judged by."""
    named = {rules.parse_entry(metric, entry).by for metric, entry in given.items()}
    return [LABEL + by for by in sorted(named - {"", *rules.SLICES})]


def slice_figure(metric: str, part: pd.DataFrame, watched_s: float | None) -> Figure:
    """A metric over some of the modules; with several campaigns a share's interval is over campaigns."""
    counted = counts(part)
    found = figures(part, counted, metrics(part, counted, {}), watched_s)[metric]
    campaigns = [counts(one) for _, one in part.groupby("replication", sort=True)]
    if len(campaigns) < 2 or metric not in SHARES or found.value is None:
        return found
    m = METRICS[metric]
    plain = ratio_interval([c[m.numerator] for c in campaigns], [c[m.denominator] for c in campaigns]).plain()
    return Figure(plain["value"], plain["low"], plain["high"], found.total, found.needed)
