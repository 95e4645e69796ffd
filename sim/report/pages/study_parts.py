"""What the pages of studies share: the line of facts, how varied keys read, values at a border, the check of an interrupted study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sim.exit_status import ExitStatus
from sim.report.page import Check, Text, Verdict
from sim.report.pages.study_results import Axis
from sim.report.show import Kind, quantity_words
from sim.scenario import Scenario

PARTIAL = Verdict("partial", "Partial", [Text("The study was interrupted; run the same command to resume it.")])
"""The verdict of an interrupted study."""


def axis_kind(axis: Axis) -> Kind:
    """How a table shows a varied key."""
    return {"duration": "duration", "size": "size", "bit rate": "bit_rate"}.get(axis.unit, "text")  # type: ignore[return-value]


def axis_cell(axis: Axis, value: Any) -> Any:
    """A varied value as a table takes it."""
    return value if axis_kind(axis) != "text" else axis.show(value)


def at_borders(axes: Sequence[Axis], settings: Mapping[str, Any]) -> Iterator[str]:
    """For each key whose value lies at the end of what was tried, that the best may lie beyond it."""
    for axis in axes:
        value = settings[axis.key]
        end = axis.border(value)
        if end and axis.ends:
            low, high = map(axis.show, axis.ends)
            yield (
                f"{quantity_words(axis.name)} {axis.show(value)} lies at the {end} end of what was tried ({low} to {high}), so the "
                f"best may lie beyond it: extend {axis.key} {'downwards' if end == 'lower' else 'upwards'}."
            )


def facts(scenario: Scenario, campaigns: str) -> str:
    """The line of small print under a title."""
    from_files = any(group.file is not None for group in scenario.fleet.groups)
    modules = "modules of fleet files" if from_files else f"{scenario.fleet.size:,} modules a campaign"
    return f"{modules} · {campaigns} · seed {scenario.seed}"


def whole(complete: bool, suite: str) -> list[Check]:
    """The check that fails when a study was interrupted."""
    return (
        []
        if complete
        else [
            Check(
                "the study is complete",
                suite,
                False,
                "not judged: it was interrupted, so what is there is partial",
                ExitStatus.INTERRUPTED,
                by_chance=False,
            )
        ]
    )
