"""Reading a scenario: YAML with line numbers, overrides, checks; every mistake with file, line, key and cure."""

from __future__ import annotations

import copy
import difflib
import io
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.representer import SafeRepresenter

from sim.errors import PlanFileWarning, Problem, ScenarioError
from sim.scenario.bare_numbers import CURE, doubtful
from sim.scenario.fields import COMPUTED, WITH_UNITS, WRITTEN, with_units
from sim.scenario.model import Scenario
from sim.scenario.strategy import StrategySection

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
MOST_NUMBERS = 100
"""So many numbers that can be read in two ways are listed."""


def load(path: Path, overrides: Sequence[str] = ()) -> Scenario:
    """Reads and checks a scenario file. Raises ScenarioError with every problem found."""
    return check(_text(path, "a scenario"), str(path), overrides, path.parent)


def _text(path: Path, what: str) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _one(str(path), None, "file", f"{path.stat().st_size} bytes", f"{what} is at most 1 MiB")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise _one(str(path), None, "file", error.strerror or "unreadable", f"give the path of {what}") from None
    except UnicodeDecodeError:
        raise _one(str(path), None, "file", "bytes that are not UTF-8", "save it as UTF-8 text") from None


def check(text: str, name: str, overrides: Sequence[str], folder: Path | None = None) -> Scenario:
    """Checks the text of a scenario; relative files are looked up beside it."""
    tree = _parse(text, name)
    names_a_file = [o.partition("=")[0].strip() == "plan.strategy.from" for o in overrides]
    given: Overridden = {}
    for override in (o for o, first in zip(overrides, names_a_file, strict=True) if first):
        given[_override(tree, override)] = override
    _import_strategy(tree, folder or Path())
    for override in (o for o, first in zip(overrides, names_a_file, strict=True) if not first):
        given[_override(tree, override)] = override
    _resolve_files(tree, folder)
    _files_exist(tree, name)
    return _checked(tree, name, given, WRITTEN)


Overridden = dict[tuple[Any, ...], str]
"""What --set gave, by the place it went to."""


def _checked(
    tree: Any, name: str, given: Overridden | None = None, context: Mapping[str, bool] | None = None
) -> Scenario:
    written = _plain(tree)
    try:
        scenario = Scenario.model_validate(written, context=context)
    except ValidationError as error:
        problems = [_of_option(_problem(e, tree, name), given or {}) for e in _worst(error)]
        raise ScenarioError(problems) from None
    scenario.remember(written)
    return scenario


def _of_option(problem: Problem, given: Overridden) -> Problem:
    """A problem with what --set gave names the option, not the file it was put into."""
    at = tuple(problem.key.split("."))
    for place, text in given.items():
        named = tuple(map(str, place))
        if at[: len(named)] == named:
            return replace(problem, file=f"--set {text}", line=None)
        if named[: len(at)] == at:  # a section that does not fit together any more, perhaps by the option
            return replace(problem, file=f"{problem.file} with --set {text}", line=None)
    return problem


def _import_strategy(tree: CommentedMap, folder: Path) -> None:
    """Puts the file that `plan.strategy: {from: …}` names in its place; warns of what it holds beyond a strategy."""
    strategy = _at(tree, ("plan", "strategy"))
    if not isinstance(strategy, dict) or "from" not in strategy:
        return
    from sim.scenario import imports  # ten dialects, which few scenarios need

    tree["plan"]["strategy"], notes = imports.resolve(strategy, folder, _strategy_file)
    for note in notes:
        warnings.warn(note, PlanFileWarning, stacklevel=4)


def _strategy_file(path: Path) -> dict[str, Any]:
    """A strategy in a file of its own, checked by itself so that mistakes are named where they are."""
    tree = _parse(_text(path, "a strategy"), str(path))
    if "from" in tree:
        raise _one(str(path), _line(tree, ("from",)), "from", repr(tree["from"]), "a strategy file stands for itself")
    try:
        StrategySection.model_validate(_plain(tree), context=WRITTEN)
    except ValidationError as error:
        raise ScenarioError([_problem(e, tree, str(path), ("plan", "strategy")) for e in _worst(error)]) from None
    return _plain(tree)  # type: ignore[no-any-return]


def dump(scenario: Scenario) -> str:
    """The scenario as YAML, defaults written out."""
    return dump_tree(scenario.model_dump(mode="json", context=WITH_UNITS))


_OTHER_IN_YAML_1_1 = re.compile(
    r"[-+]?\d[\d_]*(:[0-5]?\d)+(\.[\d_]*)?|[-+]?0?[\d_]+|[-+]?[\d_]*\.[\d_]*([eE][-+]?\d+)?|0b[01_]+|0x[\da-fA-F_]+"
    r"|\d{4}-\d\d?-\d\d?([Tt ].*)?|y|n|yes|no|on|off|true|false|null|~|=|<<|", re.IGNORECASE
)  # fmt: skip
"""Texts that readers of YAML 1.1, which most are, take for something else: 17:30 for the number 1050, `no` for false."""


class _Quoting(SafeRepresenter):
    """Writes texts that some reader might take for something else in quotes."""

    def represent_str(self, data: str) -> Any:
        """A text, in quotes where it needs them."""
        style = "'" if _OTHER_IN_YAML_1_1.fullmatch(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Quoting.add_representer(str, _Quoting.represent_str)


def dump_tree(tree: dict[str, Any]) -> str:
    """A dumped scenario as YAML."""
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Quoting
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(_without_nulls(tree), stream)
    return stream.getvalue()


def json_schema() -> dict[str, Any]:
    """JSON Schema of the scenario file, for editors."""
    from sim.scenario import imports

    schema = Scenario.model_json_schema()
    schema["$defs"]["StrategySection"]["properties"] |= {
        "from": {
            "type": "string", "title": "From", "examples": ["aws-job.json"],
            "description": "a plan file of another product (.json, .yaml), or a strategy file (.yaml), beside the scenario",
        },
        "dialect": {
            "type": "string", "title": "Dialect", "enum": list(imports.DIALECTS),
            "description": "the product of the plan file in `from`, where it fits several",
        },
        "server_version": {
            "type": "string", "title": "Server Version", "examples": ["0.4"],
            "description": "version of the hawkBit server that the plan file in `from` is for; before 0.5 percentages are of the rest",
        },
        "accept_losses": {
            "type": "boolean", "title": "Accept Losses", "default": False,
            "description": "go on without what the plan file in `from` limits and a strategy cannot; it stands under `losses`",
        },
    }  # fmt: skip
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _parse(text: str, name: str) -> CommentedMap:
    yaml = YAML(typ="rt")
    try:
        if "&" in text and any(getattr(t, "id", "") == "<alias>" for t in yaml.scan(text)):
            raise _one(name, None, "file", "a YAML alias", "write the value out")
        tree = yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        cure = "write each key once" if "duplicate" in str(error.problem) else "fix the YAML"
        raise _one(name, line, "file", str(error.problem or error.context), cure) from None
    except (YAMLError, RecursionError) as error:
        raise _one(name, None, "file", str(error).splitlines()[0], "fix the YAML") from None
    if not isinstance(tree, CommentedMap):
        raise _one(name, 1, "file", type(tree).__name__, "a scenario is a mapping of keys, beginning with name:")
    numbers = doubtful(text)
    if numbers:
        raise ScenarioError([Problem(name, n.line, n.key, n.written[:40], CURE) for n in numbers[:MOST_NUMBERS]])
    return tree


def _override(tree: CommentedMap, text: str) -> tuple[Any, ...]:
    """Sets one key by its path; the value is read as YAML. Gives the place it went to."""
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise _one("--set", None, path or "?", text, "write --set key.key=value")
    try:
        parsed = YAML(typ="safe").load(value)
    except YAMLError:
        raise _one("--set", None, path, value, "the value must be YAML") from None
    for number in doubtful(value):
        raise _one(f"--set {text}", None, f"{path.strip()}.{number.key}".rstrip("."), number.written[:40], CURE)
    return assign(tree, path, parsed, text)


def assign(tree: Any, path: str, value: Any, given: str) -> tuple[Any, ...]:
    """Sets the key at a dotted path of nested mappings and lists; `given` is what the user wrote, for the error.

    Gives the place with numbers for the names of entries of lists.
    """
    node: Any = tree
    place: list[Any] = []
    *keys, last = (k.strip() for k in path.split("."))
    for key in keys:
        place.append(_position(node, key, given) if isinstance(node, list) else key)
        node = _child(node, key, given)
    place.append(_position(node, last, given) if isinstance(node, list) else last)
    node[place[-1]] = value
    return tuple(place)


def _child(node: Any, key: str, given: str) -> Any:
    if isinstance(node, list):
        return node[_position(node, key, given)]
    if node.get(key) is None:
        node[key] = CommentedMap()
    if not isinstance(node[key], dict | list):
        raise _one("--set", None, key, given, f"{key} holds a value, not keys")
    return node[key]


def _position(node: list[Any], key: str, given: str) -> int:
    """A list's entry by number, or by its name."""
    for i, entry in enumerate(node):
        if isinstance(entry, dict) and key in (entry.get("name"), entry.get("component")):
            return i
    if key.isdigit() and int(key) < len(node):
        return int(key)
    raise _one("--set", None, key, given, f"give a number from 0 to {len(node) - 1}, or a name in the list")


def vary(scenario: Scenario, settings: Mapping[str, Any], *, computed: bool = False) -> Scenario:
    """The scenario with other values at dotted paths, checked anew; what its file leaves to defaults stays so.

    `computed` values are in base units; others are read as in the file, units included.

    So another preset brings its own defaults, as it does with --set.
    """
    tree = tree_of(scenario)
    for path, value in settings.items():
        assign(tree, path, value, f"{path}={value}")
    if not computed:
        return _checked(tree, scenario.name, context=WRITTEN)
    found = _checked(tree, scenario.name, context=COMPUTED)
    found.remember(with_units(found.written, found.model_dump(mode="json", context=WITH_UNITS)))
    return found


def tree_of(scenario: Scenario) -> dict[str, Any]:
    """The scenario as its file gives it, so that what was left to defaults stays so; a copy."""
    return copy.deepcopy(scenario.written) or scenario.model_dump(mode="json", exclude_unset=True, context=WITH_UNITS)


def _plain(node: Any) -> Any:
    """Ordinary dicts and lists, without the line numbers."""
    if isinstance(node, dict):
        return {
            (k if isinstance(k, int | float) and not isinstance(k, bool) else str(k)): _plain(v)
            for k, v in node.items()
        }
    if isinstance(node, list):
        return [_plain(v) for v in node]
    return node


def _resolve_files(node: Any, folder: Path | None) -> None:
    """Makes every `file:` absolute, relative to the scenario's folder."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "file" and isinstance(value, str) and folder is not None:
                node[key] = str((folder / value).resolve())
            else:
                _resolve_files(value, folder)
    elif isinstance(node, list):
        for value in node:
            _resolve_files(value, folder)


def _files_exist(node: Any, name: str, key: str = "") -> None:
    if isinstance(node, dict):
        if isinstance(node.get("file"), str) and not Path(node["file"]).is_file():
            line = (
                node.lc.key("file")[0] + 1
                if isinstance(node, CommentedMap) and "file" in (node.lc.data or {})
                else None
            )
            raise _one(name, line, f"{key}file", node["file"], "there is no such file")
        for k, v in node.items():
            _files_exist(v, name, f"{key}{k}.")
    elif isinstance(node, list):
        for i, v in enumerate(node):
            _files_exist(v, name, f"{key}{i}.")


def _worst(error: ValidationError) -> list[Any]:
    """Pydantic's errors, without those of union branches that were not meant."""
    seen: dict[tuple[Any, ...], Any] = {}
    for e in error.errors(include_url=False):
        seen.setdefault(_key_path(e["loc"]), e)
    return [e for path, e in seen.items() if not (e["type"] == "string_type" and _is_entered(path, seen))]


def _is_entered(path: tuple[Any, ...], others: Iterable[tuple[Any, ...]]) -> bool:
    """Whether something inside it is wrong, too: then it is no text that was meant."""
    return any(len(other) > len(path) and other[: len(path)] == path for other in others)


_BRANCHES = ("float", "int", "str", "dict", "literal", "function", "constrained", "nullable", "[key]")


def _key_path(loc: tuple[Any, ...]) -> tuple[Any, ...]:
    """The path as the file has it, without pydantic's names of union branches."""
    return tuple(
        p
        for p in loc
        if not (isinstance(p, str) and (p in _BRANCHES or "[" in p or p.startswith(("function-", "constrained-"))))
    )


_INNER_KEY = re.compile(r"([a-z_0-9-]+(?:\.[a-zA-Z_0-9-]+)*): (.*)", re.DOTALL)
"""A section's own checks name the key at fault first: `rollout.rate: must be …`."""


_A_TEXT = "a text is needed: write it in quotes, since YAML reads 1.10 as the number 1.1 and 007 as 7"


def _parts(key: str) -> tuple[Any, ...]:
    return tuple(int(part) if part.isdigit() else part for part in key.split("."))


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    """The value the file has at the path, or None."""
    try:
        for part in path:
            tree = tree[part]
    except (KeyError, IndexError, TypeError):
        return None
    return tree


def _problem(error: Any, tree: Any, name: str, within: tuple[Any, ...] = ()) -> Problem:
    path = _key_path(error["loc"])
    line = _line(tree, path)
    key = ".".join(map(str, path)) or "scenario"
    kind = error["type"]
    if kind == "extra_forbidden":
        return Problem(name, line, key, "an unknown key", _nearest((*within, *path)))
    if kind == "missing":
        return Problem(name, line, key, "nothing", "this key is needed")
    found = error.get("input")
    bare = kind == "string_type" and isinstance(found, int | float) and not isinstance(found, bool)
    message = _A_TEXT if bare else str(error["msg"]).removeprefix("Value error, ")
    inner = _INNER_KEY.match(message)
    if kind == "value_error" and inner is not None and _at(tree, (*path, *_parts(inner[1]))) is not None:
        path, message = (*path, *_parts(inner[1])), inner[2]
        line, key, found = _line(tree, path), ".".join(map(str, path)), _at(tree, path)
    shown = "this section" if isinstance(found, dict | list) or hasattr(found, "model_dump") else repr(found)
    return Problem(name, line, key, shown[:80], message[0].lower() + message[1:])


def _line(tree: Any, path: tuple[Any, ...]) -> int | None:
    """Line of the deepest key of the path that the file has."""
    node, line = tree, None
    for part in path:
        try:
            if isinstance(node, CommentedMap) and part in node:
                line = node.lc.key(part)[0] + 1
            elif isinstance(node, CommentedSeq) and isinstance(part, int):
                line = node.lc.item(part)[0] + 1
            else:
                break
        except (KeyError, TypeError):
            break
        node = node[part]
    return line


def _nearest(path: tuple[Any, ...]) -> str:
    """Suggests the key that was probably meant."""
    schema = json_schema()
    node: Any = schema
    for part in path[:-1]:
        node = _inside(node, part, schema)
    keys = list(_deref(node, schema).get("properties", {}))
    close = difflib.get_close_matches(str(path[-1]), keys, 1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known keys are: {', '.join(keys)}" if keys else "remove it"


def _deref(node: Any, schema: dict[str, Any]) -> dict[str, Any]:
    for option in [node, *node.get("anyOf", [])]:
        if "$ref" in option:
            found: dict[str, Any] = schema["$defs"][option["$ref"].rsplit("/", 1)[1]]
            return found
    return dict(node)


def _inside(node: Any, part: Any, schema: dict[str, Any]) -> Any:
    node = _deref(node, schema)
    return node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part, {})


def _without_nulls(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: _without_nulls(v) for k, v in node.items() if v is not None or k == "max_in_progress"}
    return [_without_nulls(v) for v in node] if isinstance(node, list) else node


def _one(file: str, line: int | None, key: str, found: str, cure: str) -> ScenarioError:
    return ScenarioError([Problem(file, line, key, found, cure)])
