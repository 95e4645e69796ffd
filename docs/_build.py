"""Hooks of the documentation site: tables generated from the code, and a navigation without missing pages.

A page asks for a table by a line `<!-- generated: NAME -->`; the table takes the place of that line when the site is built.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_MARK = re.compile(r"<!-- generated: (\w+) -->")
CHECKED = (
    "acceptance",
    "conformance",
    "network",
    "module",
    "wire",
    "cloud",
    "engines",
    "stats",
    "study",
    "strategy",
    "load",
    "live",
)
"""Folders of tests whose checks the validation page lists, as far as they are there."""


def on_config(config: Any) -> Any:
    """Leaves out of the navigation what is not there."""
    config["nav"] = _there(config["nav"], Path(config["docs_dir"]))
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts generated tables in their places; a name nobody knows is an error."""
    return _MARK.sub(lambda match: TABLES[match[1]](), markdown)


def _there(nav: Any, docs: Path) -> Any:
    if isinstance(nav, list):
        return [kept for entry in nav if (kept := _there(entry, docs))]
    if isinstance(nav, dict):
        return {name: kept for name, entry in nav.items() if (kept := _there(entry, docs))}
    return nav if (docs / nav).exists() else None


def parameters() -> str:
    """The page of parameters, which is checked in so that it can be read without building the site."""
    from sim.module.parameters import PARAMETERS

    head = ("name", "default", "range", "unit", "provenance", "meaning")
    parts = [_PARAMETERS]
    for section, title in _PARAMETER_SECTIONS.items():
        rows = [
            (
                f"`{p.name}`", f"{p.default:g}", f"{p.low:g} – {p.high:g}", p.unit, f"{p.provenance}: {p.source}",
                p.meaning,
            )
            for p in PARAMETERS.values() if p.section == section
        ]  # fmt: skip
        parts.append(f"## {title}\n\n{_table(head, rows)}")
    return "\n\n".join(parts) + "\n"


_STATES = """\
# State machines

<!-- Made from the state tables of sim/module, sim/strategy and sim/cloud: make schema -->

Five machines decide what may follow what. Each is a table in the code; engines walk the table, tests hold it, and this page
is made from it. An input is refused in every state its rows do not name, and a refused input changes nothing. An
arrow to the end mark means that the machine ordinarily stops there.

The diagrams are in Mermaid, which GitHub, GitLab and most editors draw. This site shows their source, since drawing would
fetch a script from another host; the tables below each say the same and more."""
_LINK = """\
Where a module's radio and its session stand (`sim/module/link_states.py`). `FLASHING`: the radio is off while the module
writes or reboots. `DARK`: it never comes back."""
_OTA = """\
QuecThing's statuses 0 to 12 as the SDK spells them (`sim/module/states.py`). `REFUSEDOTA`, `DOWNLOADERROR`, `UPDATESUCCESS`
and `UPDATEERROR` are moments: they are published as they are entered and settle into `NOPLAN` at once."""
_GROUP = """\
How far a group of the rollout is (`sim/strategy/group_states.py`)."""
_PLAN = """\
The plan as the Developer Center shows it (`sim/cloud/plan_states.py`)."""
_EXECUTION = """\
One module in one plan, as the cloud sees it (`sim/cloud/execution_states.py`). A report is believed in every open state,
because the cloud's view may be behind the module's."""
_PARAMETERS = """\
# Parameters of the model

<!-- Made from sim/module/parameters.py: make schema -->

`documented` was read in the named source, `derived` computed from published data, `estimated` is an engineering estimate:
vary it within its range before a decision depends on it (`fotasim sensitivity` does)."""
_PARAMETER_SECTIONS = {
    "failures": "Failures: `fleet.failures`, for the fleet or a group",
    "physics": "Physics: `fleet.physics`, for the fleet or a group",
    "cells": "Cells: `fleet.cells`",
}


def states() -> str:
    """The page of state machines, drawn from the tables the engines walk; checked in like the page of parameters."""
    from sim.cloud import execution_states, plan_states
    from sim.module import link_states
    from sim.module import states as ota_states
    from sim.strategy import group_states

    parts = [_STATES]
    for module, title, text in (
        (link_states, "Link of a module", _LINK),
        (ota_states, "OTA status of a module", _OTA),
        (group_states, "Rollout group", _GROUP),
        (plan_states, "Plan", _PLAN),
        (execution_states, "Execution", _EXECUTION),
    ):
        parts += [f"## {title}", text, _diagram(module.TABLE), _rows_of(module.TABLE)]
    return "\n\n".join(parts) + "\n"


def _diagram(table: Any) -> str:
    """A Mermaid state diagram: an arrow for each pair of states, with every input that leads along it.

    Many states that are left in the same ways are drawn once, as one node.
    """
    joined = _joined(table)
    arrows: dict[tuple[str, str], dict[str, None]] = {}
    for row in table.rows:
        sources = [_JOINED] if row.sources == joined else [table.states[source] for source in row.sources]
        for source in sources:
            arrows.setdefault((source, table.states[row.target]), {})[table.moves[row.move]] = None
    lines = [f'  state "any state without an end mark" as {_JOINED}'] if joined else []
    lines.append(f"  [*] --> {table.states[min(table.states)]}")
    lines += [f"  {source} --> {target}: {', '.join(moves)}" for (source, target), moves in arrows.items()]
    ends = _ends(table)
    lines += [f"  {name} --> [*]" for name in table.states.values() if name in ends]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


_JOINED = "ANY_OPEN"


def _joined(table: Any) -> tuple[int, ...]:
    """The states that three rows and more are accepted in alike, where those are five states and more."""
    often = Counter(row.sources for row in table.rows if len(row.sources) > 4)
    return next((sources for sources, rows in often.most_common(1) if rows > 2), ())


def _ends(table: Any) -> set[str]:
    """States no row leads out of, or that are not among the joined ones."""
    joined = _joined(table)
    left = {source for row in table.rows for source in row.sources}
    return {name for state, name in table.states.items() if state not in (joined or left)}


def _rows_of(table: Any) -> str:
    rows = [
        (
            f"`{table.moves[row.move]}`", ", ".join(f"`{table.states[source]}`" for source in row.sources),
            f"`{table.states[row.target]}`", row.when if row.in_runs else f"{row.when} (documented; no run asks for it)",
        )
        for row in table.rows
    ]  # fmt: skip
    return _table(("input", "accepted in", "leads to", "when"), rows)


def scenario() -> str:
    """Every key of the scenario file, from its JSON Schema, a table for each section."""
    from sim.scenario import json_schema

    whole = json_schema()
    parts = ["### The file", _properties(whole)]
    for name, section in sorted(whole.get("$defs", {}).items()):
        if section.get("properties"):
            text = section.get("description", "").split("\n\n")[0].replace("\n", " ")
            parts += [f"### {name}", text, _properties(section)]
    return "\n\n".join(parts)


def _properties(section: dict[str, Any]) -> str:
    required = section.get("required", [])
    rows = []
    for key, entry in section["properties"].items():
        default = "required" if key in required else _default(entry) if "default" in entry else ""
        rows.append((f"`{key}`", _kind(entry), default, entry.get("description", "")))
    return _table(("key", "value", "default", "meaning"), rows)


def _kind(entry: dict[str, Any]) -> str:
    """What may stand there, in words."""
    if "examples" in entry:
        also = ", or a [distribution](../scenario.md)" if any("required" in e for e in entry.get("anyOf", [])) else ""
        return f"like `{entry['examples'][0]}`{also}"
    if "$ref" in entry:
        name = entry["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "enum" in entry or "const" in entry:
        return " ".join(f"`{v}`" for v in entry.get("enum", [entry.get("const")]))
    for word in ("anyOf", "oneOf", "allOf"):
        if word in entry:
            return " or ".join(dict.fromkeys(_kind(e) for e in entry[word] if e.get("type") != "null"))
    if entry.get("type") == "array":
        return f"list of {_kind(entry.get('items', {}))}"
    bounds = [
        f"{sign} {entry[k]:g}"
        for k, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if k in entry
    ]
    return " ".join([str(entry.get("type", "any")), *bounds])


def _default(entry: dict[str, Any]) -> str:
    """The default as one would write it, quantities with their unit; nothing for what is empty or a section."""
    from sim import units

    value = entry["default"]
    if value == "" or (isinstance(value, dict) and "$ref" in entry):
        return ""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if "x-quantity" in entry:
        show = {"duration": units.show_duration, "size": units.show_size, "bit rate": units.show_bit_rate}
        energy_or_rate = {"energy": lambda j: f"{j / 3600:g} Wh", "rate": lambda per_s: f"{per_s:g}/s"}
        return f"`{ {**show, **energy_or_rate}[entry['x-quantity']](value) }`"
    text = str(value).replace("'", "")
    return f"`{text if len(text) <= 90 else text[:87] + '…'}`"


def commands() -> str:
    """Every command with its arguments and options, from the command line's own definition."""
    import typer.main

    import sim.cli
    from sim.cli.common import app

    parts = []
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        parts.append(f"### fotasim {name}\n\n{(command.help or '').strip()}")
        rows = []
        for p in command.params:
            names = (
                ", ".join(f"`{o}`" for o in (*p.opts, *p.secondary_opts))
                if p.param_type_name == "option"
                else f"`{(p.name or '').upper()}`"
            )
            rows.append(
                (
                    names,
                    getattr(p, "help", "") or "",
                    "" if p.default in (None, False, (), []) or callable(p.default) else f"`{p.default}`",
                )
            )
        parts.append(_table(("argument or option", "meaning", "default"), rows))
    assert sim.cli.main
    return "\n\n".join(parts)


def checks() -> str:
    """What every test of the folders above shows, in its own words."""
    parts = []
    for folder in CHECKED:
        files = sorted((ROOT / "tests" / folder).glob("test_*.py"))
        listed = [text for file in files for text in _shown(file)]
        if listed:
            parts.append(f"### tests/{folder}\n\n" + "\n".join(listed))
    return "\n\n".join(parts)


def _shown(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    yield f"\n**{_first(tree)}** (`{file.relative_to(ROOT)}`)\n"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield f"- {_first(node)} (`{node.name.removeprefix('test_')}`)"


def _first(node: Any) -> str:
    """The first paragraph of a docstring as one line of plain text."""
    text = (ast.get_docstring(node) or "").split("\n\n")[0]
    return _plain(" ".join(text.split()))


def _plain(text: str) -> str:
    """Markup characters escaped, except inside code spans, which stay."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([<>|*_\[\]{}])", r"\\\1", part) for part in parts)


def metrics() -> str:
    """Every metric: what it counts, out of what, whose view it is."""
    from sim.metrics import COUNTS, METRICS

    rows = [
        (
            f"`{m.name}`", COUNTS.get(m.numerator, m.label), COUNTS.get(m.denominator, ""), str(m.unit), str(m.view),
            "" if m.better == "neither" else f"{m.better} is better", f"before: {m.before}" if m.before else "",
        )
        for m in METRICS.values()
    ]  # fmt: skip
    return _table(("metric", "counts", "out of", "unit", "view", "", "changed"), rows)


def published() -> str:
    """The model against published figures."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.published import table

    head = ("area", "figure", "model", "published", "ratio", "spread", "within", "unit", "source")
    return _table(head, table())


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; columns without any text are left out."""
    kept = [i for i in range(len(head)) if any(row[i] for row in rows)]
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(_cell(row[i]) for i in kept)} |" for row in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


TABLES: dict[str, Callable[[], str]] = {
    "scenario": scenario,
    "commands": commands,
    "checks": checks,
    "metrics": metrics,
    "published": published,
}

CHECKED_IN = {"parameters": parameters, "states": states}
"""Pages that are made here and checked in: docs/NAME.md."""

if __name__ == "__main__":
    print(CHECKED_IN[sys.argv[1]](), end="")
