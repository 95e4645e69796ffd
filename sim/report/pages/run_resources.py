"""The sections on what a rollout takes: cloud load, data, energy, money; its figures by group; how to repeat it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from sim.records import Run
from sim.report.figures import charts
from sim.report.model.run_report import Breakdown, RunReport, load_series
from sim.report.page import Block, Chart, Column, Section, Table, Text, Value
from sim.report.show import Kind, share, show

_KINDS: dict[str, Kind] = {"bit/s": "bit_rate", "1/s": "rate"}
_SCALES = {"bit/s": (1e6, "Mbit/s"), "1/s": (1.0, "per second")}
_TIMELINE = ("online", "connects", "requests", "downloads", "egress_bit_s")


def load_sections(report: RunReport, run: Run) -> Iterator[Section]:
    """The cloud's load beside its capacity."""
    columns = (
        Column("load", "Load"), Column("peak", "Peak", "number"), Column("largest_bin", "Busiest bin", "number"),
        Column("capacity", "Capacity", "number"), Column("used", "Used", "share"),
    )  # fmt: skip
    rows = [
        (x.name, *(Value(_KINDS.get(x.unit, "number"), v) for v in (x.peak, x.largest_bin, x.capacity)), x.used)
        for x in report.loads
    ]
    tightest = max((x for x in report.loads if x.used is not None), key=lambda x: x.used or 0.0, default=None)
    blocks: list[Block] = []
    if tightest is not None:
        text = f"{share(tightest.used or 0.0)} of the capacity at the peak."
        blocks.append(Text(text, f"The tightest is {tightest.name}:"))
    yield Section("Load on the cloud", [*blocks, Table("cloud_load", columns, rows)], half=True)
    timeline = _busy(run.timeline) if report.live else run.timeline
    for load, column in zip(report.loads, _TIMELINE, strict=True):
        scale, unit = _SCALES.get(load.unit, (1.0, load.unit))
        drawn = charts.load_over_time(
            timeline["time_s"], load_series(timeline, column) / scale, y_label=unit,
            capacity=None if load.capacity is None else load.capacity / scale,
        )  # fmt: skip
        alt = f"{load.name} over time, largest bin {show(_KINDS.get(load.unit, 'number'), load.largest_bin)}"
        note = "Means over time bins; where one step covers several bins, the largest of them."
        yield Section(load.name.capitalize(), [Chart(drawn, alt, note=note)], half=True, minor=True)


def _busy(timeline: pd.DataFrame) -> pd.DataFrame:
    """The timeline up to the last thing that happened: a live run waits for its horizon, its cloud has long been quiet."""
    active = np.flatnonzero(timeline[list(_TIMELINE[1:])].to_numpy(dtype=float).any(axis=1))
    return timeline.iloc[: active[-1] + 2] if len(active) else timeline


def cost_sections(report: RunReport) -> Iterator[Section]:
    """Data, energy and, where a price is given, money."""
    c = report.costs
    rows: list[tuple[str, Value, str]] = [
        ("data put to good use", Value("size", c.useful_bytes), "packages of components that were upgraded"),
        ("data wasted", Value("size", c.wasted_bytes), "everything else received"),
        ("data per module", Value("size", c.bytes_per_module), "mean over the plan"),
        (
            "energy of battery modules",
            Value("energy", c.energy_total_j),
            "what the rollout causes, beyond their ordinary life",
        ),
        ("of that lost", Value("energy", c.energy_lost_j), "on modules that did not reach the target version"),
        ("energy per success", Value("energy", c.energy_per_success_p50_j), "median, battery modules"),
    ]
    if c.energy_period_j is not None:
        rows.append(
            ("energy of the period", Value("energy", c.energy_period_j), "battery modules, ordinary life included")
        )
    if c.price_per_mb is not None:
        rows += [
            ("price of the data", Value("money", c.price_total), f"at {c.price_per_mb:g} per MB"),
            ("of that wasted", Value("money", c.price_wasted), f"at {c.price_per_mb:g} per MB"),
        ]
    columns = (Column("cost", "Cost"), Column("amount", "Amount", "number"), Column("note", "What it is"))
    yield Section("What it costs", [Table("costs", columns, rows)])


_SLICE = (
    Column("modules", "Modules", "count"), Column("success_rate", "Success", "share"),
    Column("success_low", "95 % low", "share"), Column("success_high", "95 % high", "share"), Column("bricked", "Bricked", "count"),
    Column("failed", "Failed", "count"), Column("rejected", "Rejected", "count"),
    Column("not_reached", "Not reached", "count"), Column("duration_p50_s", "Median time of the successes", "duration"),
    Column("duration_p95_s", "95 % of the successes within", "duration"), Column("energy_mean_j", "Energy per module", "energy"),
    Column("wasted_bytes", "Data wasted", "size"),
)  # fmt: skip


def breakdown_sections(report: RunReport) -> Iterator[Section]:
    """A table for each property that tells modules apart."""
    for cut in report.breakdowns:
        blocks: list[Block] = [_slice_table(cut)]
        if cut.left_out:
            blocks.append(
                Text(
                    f"The {len(cut.slices)} with most modules not upgraded, of {len(cut.slices) + cut.left_out}.",
                    hint=True,
                )
            )
        yield Section(f"By {cut.label}", blocks)


def _slice_table(cut: Breakdown) -> Table:
    rows = [(s.name, *(getattr(s, c.key) for c in _SLICE)) for s in cut.slices]
    return Table(f"by_{cut.by}", (Column(cut.by, cut.label.capitalize()), *_SLICE), rows)
