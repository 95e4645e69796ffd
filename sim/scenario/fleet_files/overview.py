"""What a scenario's fleet files hold, in a small table: for `fotasim validate` and for whoever doubts a mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sim.module.sampling import Coded
from sim.scenario.fleet_files.members import check_files
from sim.scenario.fleet_files.read import FleetTable
from sim.units import show_size

if TYPE_CHECKING:
    from sim.scenario import Scenario
    from sim.scenario.fleet_section import Group

_MOST_NAMES = 6
_DRAWN = ("rsrp_dbm", "battery_percent", "free_space")


def overview(scenario: Scenario) -> list[dict[str, Any]]:
    """Of each group with a file: rows, versions, quartiles, what was dropped and filled. Raises FleetFileError."""
    tables = check_files(scenario)
    found = [_group(group, table) for group, table in tables]
    for path in {table.path: None for _, table in tables}:
        of_file = [i for i, (_, table) in enumerate(tables) if table.path == path]
        taken = np.unique(np.concatenate([tables[i][1].taken for i in of_file]))
        rows = tables[of_file[0]][1].rows
        if len(taken) < rows:
            found[of_file[-1]]["notes"] = [
                *found[of_file[-1]]["notes"],
                f"{rows - len(taken):,} rows of the file are in no group",
            ]
    return found


def _group(group: Group, table: FleetTable) -> dict[str, Any]:
    known = table.known
    names = {f"version of {component}": coded for component, coded in known.versions.items()}
    names |= {"hardware": known.hardware} if known.hardware is not None else {}
    names |= {"cell": known.cells} if known.cells is not None else {}
    names |= dict(known.labels)
    return {
        "group": group.name, "file": str(table.path), "form": table.form, "rows": table.rows, "modules": known.count,
        "left_out": table.left_out, "dropped": table.dropped, "filled": table.filled,
        "technology": group.technology, "power": group.power,
        "names": {what: counts(coded) for what, coded in names.items()},
        "quartiles": {key: quartiles(values) for key, values in known.numbers.items()},
        "drawn": [key for key in _DRAWN if key not in known.numbers],
        "notes": table.notes,
    }  # fmt: skip


def counts(coded: Coded) -> dict[str, int]:
    """How many modules have each name, most first; `""` counts those with none."""
    tally = np.bincount(coded.codes + 1, minlength=len(coded.names) + 1)
    listed = {name: int(n) for name, n in zip(("", *coded.names), tally, strict=True) if n}
    return dict(sorted(listed.items(), key=lambda item: -item[1]))


def quartiles(values: Any) -> list[float]:
    """Smallest, quartiles and largest of what is known."""
    known = values[np.isfinite(values)]
    return [float(v) for v in np.quantile(known, (0, 0.25, 0.5, 0.75, 1))] if len(known) else []


def lines(found: dict[str, Any]) -> list[str]:
    """The table of a group as text, two columns."""
    modules = found["modules"]
    rows: list[tuple[str, str]] = [("file", f"{found['file']} ({found['form']})")]
    gone = [f"{n:,} dropped ({why})" for why, n in found["dropped"].items()]
    gone += [f"{found['left_out']:,} left out by where"] if found["left_out"] else []
    rows.append(("rows", f"{found['rows']:,}, {modules:,} modules" + "".join(f"; {part}" for part in gone)))
    rows.append(("technology, power", f"{found['technology']}, {found['power']} (of the group)"))
    for what, tally in found["names"].items():
        if what == "last_seen":
            days, never = sorted(day for day in tally if day), tally.get("", 0)
            rows.append(
                (what, (f"from {days[0]} to {days[-1]}" if days else "") + (f", never {never:,}" if never else ""))
            )
            continue
        shown = [f"{name or '(none)'} {n:,}" for name, n in list(tally.items())[:_MOST_NAMES]]
        more = len(tally) - _MOST_NAMES
        rows.append((what, ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")))
    for key, points in found["quartiles"].items():
        rows.append((key, _points(key, points)))
    rows += [
        ("filled", f"{what}, {n:,} of {modules + sum(found['dropped'].values()):,}")
        for what, n in found["filled"].items()
    ]
    if found["drawn"]:
        rows.append(("drawn", f"{', '.join(found['drawn'])}: not in the file, from the group's distributions"))
    rows += [("note", note) for note in found["notes"]]
    width = max(len(key) for key, _ in rows)
    return [f"group {found['group']}", *(f"  {key:<{width}}  {printable(text)}" for key, text in rows)]


def printable(text: str) -> str:
    """Without control characters, for a terminal."""
    return "".join(c if c.isprintable() else "�" for c in text)


def _points(key: str, points: list[float]) -> str:
    if not points:
        return "none known"
    unit = {"rsrp_dbm": " dBm", "battery_percent": " %"}.get(key, "")
    low, first, middle, third, high = (show_size(p) if key == "free_space" else f"{p:.4g}{unit}" for p in points)
    return f"half between {first} and {third}, median {middle}; from {low} to {high}"
