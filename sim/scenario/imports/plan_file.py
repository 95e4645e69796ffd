"""From a plan file of a real product to a strategy that a scenario takes: read, recognise, convert, check, write.

What the product would refuse is refused. What limits, selects or stops and cannot be carried over stops the import, too, with
everything at once, unless losses are accepted: then they stand in the strategy itself.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from sim.errors import Problem, ScenarioError
from sim.scenario.fields import WITH_UNITS, with_units
from sim.scenario.imports.dialect import Dialect, Options
from sim.scenario.imports.dialects import DIALECTS, fitting
from sim.scenario.imports.findings import Findings, Loss
from sim.scenario.imports.places import Lines
from sim.scenario.imports.reading import read_text, refusal, tree_of
from sim.scenario.strategy import StrategySection

FROM_KEYS = ("from", "dialect", "server_version", "accept_losses")
"""Keys of `strategy: {from: …}` that say how the file is read; all others are the strategy's."""
MOST_PROBLEMS = 100
"""So many of the things that stop an import are listed."""
_SUFFIXES = (".json", ".yaml", ".yml", ".template")


@dataclass(frozen=True, slots=True)
class Imported:
    """A strategy as a scenario writes it, where it comes from, and what a reader should know about the rest."""

    product: str
    title: str
    strategy: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    dialect: str = ""


@dataclass(frozen=True, slots=True)
class How:
    """How a plan file is to be read: its dialect where it is not certain, and whether losses are taken."""

    dialect: str = ""
    accept_losses: bool = False
    options: Options = field(default_factory=Options)


def read_plan(path: Path, how: How | None = None) -> Imported:
    """Reads a plan file. ScenarioError when it cannot be read, is no plan, is refused, or loses something."""
    return from_text(read_text(path), str(path), how)


def from_text(text: str, name: str, how: How | None = None) -> Imported:
    """Converts the text of a plan file; `name` is for errors. The strategy it gives is valid in a scenario."""
    how = how or How()
    document = _one_plan(tree_of(text, name), name)
    dialect = _dialect(document, name, how.dialect)
    findings = Findings()
    title, strategy = dialect.read(document, findings, how.options)
    lines = Lines(text)
    if findings.refusals:
        _stop(name, lines, [(r.key, r.value, f"{dialect.product} refuses it: {r.cure}") for r in findings.refusals])
    if findings.losses and not how.accept_losses:
        accept = "or accept it (--accept-losses, accept_losses: true)"
        _stop(name, lines, [
            (loss.key, loss.value, f"it cannot be carried over: {loss.why}; {loss.cure}, {accept}") for loss in findings.losses
        ])  # fmt: skip
    if findings.losses:
        strategy["losses"] = [loss.as_dict() for loss in findings.losses]
    return Imported(dialect.product, title[:200], _valid(strategy, name), findings.notes, findings.losses, dialect.name)


def _stop(name: str, lines: Lines, found: list[tuple[str, str, str]]) -> NoReturn:
    """All that stops the import, with lines; of very many the first, and how many more."""
    problems = [Problem(name, lines.of(key), key, value, cure) for key, value, cure in found[:MOST_PROBLEMS]]
    if len(found) > MOST_PROBLEMS:
        problems.append(
            Problem(name, None, "file", f"{len(found) - MOST_PROBLEMS} more of these", "see the first of them")
        )
    raise ScenarioError(problems)


def _one_plan(tree: Any, name: str) -> dict[str, Any]:
    """The one object of a file; of a list or a page with one entry, that."""
    if isinstance(tree, dict) and isinstance(tree.get("content"), list) and "total" in tree:
        page, total = tree["content"], tree["total"]
        if not isinstance(total, int) or total > len(page):
            raise refusal(name, f"{len(page)} of {total} plans", "cut out the one that is meant; the list goes on")
        tree = page
    if isinstance(tree, list):
        if len(tree) != 1 or not isinstance(tree[0], dict):
            raise refusal(name, f"a list of {len(tree)}", "give one plan; of several, cut out the one that is meant")
        tree = tree[0]
    found: dict[str, Any] = tree
    return found


def _dialect(document: Mapping[str, Any], name: str, wanted: str) -> Dialect:
    if wanted:
        if wanted not in DIALECTS:
            raise ScenarioError([Problem(name, None, "dialect", repr(wanted), f"choose from {', '.join(DIALECTS)}")])
        return DIALECTS[wanted]
    found = fitting(document)
    keys = ", ".join(key[:40] for key in list(document)[:6]) or "none"
    if not found:
        raise refusal(name, f"keys {keys}", f"give a plan of {', '.join(d.product for d in DIALECTS.values())}")
    if len(found) > 1:
        names = " or ".join(dialect.name for dialect in found)
        raise refusal(name, f"keys {keys}, which fit {names}", "say which it is with --dialect (dialect: beside from:)")
    return found[0]


def _valid(strategy: dict[str, Any], name: str) -> dict[str, Any]:
    """The strategy, which a scenario takes; ScenarioError with its own words where the product allows more."""
    try:
        section = StrategySection.model_validate(strategy)
    except ValidationError as error:
        raise ScenarioError([
            Problem(
                name, None, "strategy." + ".".join(str(part) for part in e["loc"]), str(e.get("input"))[:80],
                f"no strategy can hold it: {str(e['msg']).removeprefix('Value error, ')}",
            )
            for e in error.errors(include_url=False)[:20]
        ]) from None  # fmt: skip
    written: dict[str, Any] = with_units(strategy, section.model_dump(mode="json", context=WITH_UNITS))
    return written


def to_yaml(imported: Imported, source: str) -> str:
    """The strategy as YAML for `strategy: {from: …}` or to paste; on top, as comments, what a reader should know."""
    head = [f"Strategy of the {imported.product} plan {imported.title or '(unnamed)'}, from {source}."]
    if imported.losses:
        head += ["LOST, and listed below under losses:", *(f"- {loss}" for loss in imported.losses)]
    head += (
        ["Nothing was left out."] if not imported.notes and not imported.losses
        else ["Read before use:", *(f"- {n}" for n in imported.notes)] if imported.notes else []
    )  # fmt: skip
    comments = "".join(f"# {_one_line(line)}\n" for line in head)
    return comments + dump_yaml(_quoted(imported.strategy))


def _quoted(tree: Any) -> Any:
    """Offsets such as +05:30 in quotes: older YAML readers take them for numbers."""
    if isinstance(tree, dict):
        return {key: _quoted(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_quoted(value) for value in tree]
    return DoubleQuotedScalarString(tree) if isinstance(tree, str) and tree[:1] in ("+", "-") else tree


def dump_yaml(tree: Any) -> str:
    """A tree as YAML in block style."""
    stream = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.dump(tree, stream)
    return stream.getvalue()


def _one_line(text: str) -> str:
    """Text of a foreign file must not leave its comment."""
    return "".join(c if c.isprintable() else " " for c in text)


def version_of(given: object, name: str = "--server-version") -> tuple[int, ...]:
    """A server's version such as `0.4.1` as numbers. ScenarioError for anything else."""
    match = re.fullmatch(r"(\d{1,4})(?:\.(\d{1,4}))?(?:\.(\d{1,4}))?\S{0,20}", str(given))
    if match is None:
        raise ScenarioError([Problem(name, None, "server_version", repr(given), 'write it like "0.4"')])
    return tuple(int(part or 0) for part in match.groups())


def resolve(
    given: Mapping[str, Any], folder: Path, read_yaml: Callable[[Path], dict[str, Any]]
) -> tuple[dict[str, Any], list[str]]:
    """The strategy that `{from: FILE, …}` means, and notes on what the file holds beyond it.

    FILE is a plan of a product (.json, or .yaml where it is one) or a strategy (.yaml, .yml, read by `read_yaml`), relative to
    `folder`. `dialect`, `server_version` and `accept_losses` say how a plan is read; all other keys win over the file's,
    section by section.
    """
    source = given["from"]
    if not isinstance(source, str) or Path(source).suffix not in _SUFFIXES:
        raise refusal(str(source), "no plan file", "from: takes a plan file of a product or a strategy (.json, .yaml)")
    path = (folder / source).resolve()
    own = {key: value for key, value in given.items() if key not in FROM_KEYS}
    if Path(source).suffix != ".json" and _is_strategy(path):
        return _over(read_yaml(path), own), []
    imported = read_plan(path, _how(given, own))
    notes = [f"{source}: {note}" for note in imported.notes]
    return _over(imported.strategy, own), notes + [f"{source}: LOST {loss}" for loss in imported.losses]


def _how(given: Mapping[str, Any], own: Mapping[str, Any]) -> How:
    accept = given.get("accept_losses", False)
    if not isinstance(accept, bool):
        raise ScenarioError([Problem("strategy", None, "accept_losses", repr(accept)[:60], "write true or false")])
    version = given.get("server_version")
    options = Options() if version is None else Options(server_version=version_of(version, "strategy"))
    packages = own.get("rollback")
    if isinstance(packages, list) and all(isinstance(package, dict) for package in packages):
        options = replace(options, rollback=tuple(packages))
    return How(str(given.get("dialect") or ""), accept, options)


def _is_strategy(path: Path) -> bool:
    """Whether a YAML file has nothing but keys of a strategy, or is not to be read here, for its reader to say so."""
    try:
        tree = tree_of(read_text(path), path.name)
    except ScenarioError:
        return True
    return isinstance(tree, dict) and (set(tree) <= set(StrategySection.model_fields) or not fitting(tree))


def _over(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**base, **given}
    for key in base.keys() & given.keys():
        if isinstance(base[key], Mapping) and isinstance(given[key], Mapping):
            merged[key] = _over(base[key], given[key])
    return merged
