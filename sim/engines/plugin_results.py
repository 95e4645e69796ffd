"""What the plug-ins of a scenario make of the tables of a run: counts, classes and paragraphs, checked and as plain data.

They look at copies and change nothing. Their results are kept in the summary, so that a report of the folder runs no code
of others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sim.plugins import DRIVING, Kind, Plugin, load
from sim.records import Records
from sim.scenario import Scenario

MOST_CLASSES = 100
MOST_BLOCKS = 50
MOST_ROWS = 1000
MOST_CHARACTERS = 5000
_COUNTS = "two counts of modules, (number, of how many), the first no larger than the second"
_CLASSES = f"one class for each row of modules, at most {MOST_CLASSES} different texts of 1 to 100 characters"
_BLOCKS = f"a list of at most {MOST_BLOCKS} paragraphs (texts) and tables ({{'columns': […], 'rows': [[…], …]}}) of texts and numbers"


@dataclass(frozen=True, slots=True)
class RunTables:
    """What a report section is given: copies of the tables of a run, all replications below each other."""

    modules: pd.DataFrame
    decisions: pd.DataFrame
    timeline: pd.DataFrame


def results_of(scenario: Scenario, found: Records) -> list[dict[str, Any]]:
    """An entry for each plug-in of the scenario, in its order; PluginError for one that gives what its kind does not."""
    limits = {entry.name: entry.limit for entry in scenario.plugins}
    listed = []
    for plugin in load(scenario.plugins):  # type: ignore[arg-type]
        entry: dict[str, Any] = {"name": plugin.name, "kind": str(plugin.kind)}
        if plugin.kind in (Kind.METRIC, Kind.GATE):
            parts = found.modules.groupby("replication", sort=True)
            entry |= {"campaigns": [_counts(plugin, part.copy()) for _, part in parts], "limit": limits[plugin.name]}
        elif plugin.kind is Kind.OUTCOME_CLASS:
            entry["classes"] = _classes(plugin, found.modules.copy())
        elif plugin.kind not in DRIVING:
            tables = RunTables(found.modules.copy(), found.decisions.copy(), found.timeline.copy())
            entry["blocks"] = _blocks(plugin, tables)
        listed.append(entry)
    return listed


def _counts(plugin: Plugin, modules: pd.DataFrame) -> list[int]:
    given = plugin(modules)
    try:
        hits, total = given
        counts = [int(hits), int(total)]
        right = counts == [hits, total] and 0 <= counts[0] <= counts[1] <= len(modules)
    except (TypeError, ValueError, OverflowError):
        right = False
    if not right:
        raise plugin.refused(given, f"{_COUNTS}, of at most {len(modules):,}")
    return counts


def _classes(plugin: Plugin, modules: pd.DataFrame) -> dict[str, int]:
    given = plugin(modules)
    names = list(given) if isinstance(given, Sequence | pd.Series) and not isinstance(given, str) else None
    if names is None or len(names) != len(modules) or not all(isinstance(x, str) and 0 < len(x) <= 100 for x in names):
        raise plugin.refused(given, _CLASSES)
    counted = Counter(names)
    if len(counted) > MOST_CLASSES:
        raise plugin.refused(list(counted), _CLASSES)
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def _blocks(plugin: Plugin, tables: RunTables) -> list[Any]:
    given = plugin(tables)
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > MOST_BLOCKS:
        raise plugin.refused(given, _BLOCKS)
    return [_block(plugin, block) for block in given]


def _block(plugin: Plugin, block: object) -> Any:
    if isinstance(block, str) and len(block) <= MOST_CHARACTERS:
        return block
    if not isinstance(block, Mapping) or set(block) != {"columns", "rows"}:
        raise plugin.refused(block, _BLOCKS)
    columns, rows = list(block["columns"]), [list(row) for row in block["rows"]]
    right = 0 < len(columns) <= 50 and len(rows) <= MOST_ROWS and all(len(row) == len(columns) for row in rows)
    if not right or not all(map(_is_cell, [*columns, *(cell for row in rows for cell in row)])):
        raise plugin.refused(block, _BLOCKS)
    return {"columns": [str(column) for column in columns], "rows": rows}


def _is_cell(cell: object) -> bool:
    """Whether JSON and a page can hold it."""
    if isinstance(cell, str):
        return len(cell) <= MOST_CHARACTERS
    return cell is None or isinstance(cell, bool | int) or (isinstance(cell, float) and math.isfinite(cell))
