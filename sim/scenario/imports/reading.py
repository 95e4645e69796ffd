"""A plan file as a tree of plain values, bounded before it is believed: JSON, or YAML where the file is that.

Refused are keys that occur twice, numbers that are not finite or not exact, aliases, unknown YAML tags and deep nesting.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import ScalarNode

from sim.errors import Problem, ScenarioError
from sim.scenario.bare_numbers import CURE, doubtful

MAX_BYTES = 16 << 20
MAX_YAML_BYTES = 1 << 20
"""YAML is read a thousand times slower than JSON."""
MAX_DEPTH = 40
MOST_NUMBERS = 100
"""So many doubtful numbers are listed."""
MAX_NUMBER = 2**53
"""Beyond it a JSON number is not exact in most readers; no setting of a plan is so large."""


class Intrinsic:
    """A value that CloudFormation works out, such as `!Ref Rate`: what it will be is not in the file."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def refusal(name: str, found: str, cure: str, line: int | None = None) -> ScenarioError:
    """A file that cannot be read as a plan."""
    return ScenarioError([Problem(name, line, "file", found, cure)])


def read_text(path: Path) -> str:
    """The text of a plan file. ScenarioError when it cannot be read, is too large or is not UTF-8."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise refusal(str(path), f"{size} bytes", "a plan file is at most 16 MiB")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise refusal(str(path), error.strerror or "unreadable", "give the path of a plan file") from None
    except UnicodeDecodeError:
        raise refusal(str(path), "bytes that are not UTF-8", "save it as UTF-8 text") from None


def tree_of(text: str, name: str) -> Any:
    """The mapping or list a text holds. ScenarioError, with the line where there is one, for anything else."""
    text = text.removeprefix("\ufeff")
    first = text.lstrip()[:1]
    if not first:
        raise refusal(name, "an empty file", "give a plan file")
    tree = _json(text, name) if first in "{[" or not _is_yaml(name) else _yaml(text, name)
    _bounded(tree, name)
    if not isinstance(tree, dict | list):
        raise refusal(name, short_type(tree), "a plan file is one JSON object")
    return tree


def short_type(tree: Any) -> str:
    """What a file holds instead of an object."""
    return "no object" if tree is None else "a bare text" if isinstance(tree, str) else "a bare value"


def _is_yaml(name: str) -> bool:
    return Path(name).suffix.lower() in (".yaml", ".yml", ".template")


def _json(text: str, name: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise refusal(name, f"the key {key[:60]!r} twice in one object", "write each key once")
            found[key] = value
        return found

    def finite(constant: str) -> NoReturn:
        raise refusal(name, constant, "numbers must be finite")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=finite)
    except json.JSONDecodeError as error:
        raise refusal(name, error.msg, "a plan file is JSON", error.lineno) from None
    except RecursionError:
        raise refusal(name, "objects nested too deeply", "a plan file is JSON of a few levels") from None
    except ValueError:  # a number of thousands of digits
        raise refusal(name, "a number of thousands of digits", "give numbers that a plan can have") from None


def _yaml(text: str, name: str) -> Any:
    if len(text.encode()) > MAX_YAML_BYTES:
        raise refusal(
            name, f"{len(text.encode())} bytes of YAML", "a plan file in YAML is at most 1 MiB; give it as JSON"
        )
    yaml = YAML(typ="safe", pure=True)
    yaml.constructor.add_multi_constructor("!", _intrinsic)
    try:
        if "&" in text and any(getattr(t, "id", "") == "<alias>" for t in YAML(typ="safe", pure=True).scan(text)):
            raise refusal(name, "a YAML alias", "write the value out")
        _one_meaning(text, name)
        return _plain(yaml.load(text), name)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        cure = "write each key once" if "duplicate" in str(error.problem) else "fix the YAML"
        found = str(error.problem or error.context).splitlines()[0]
        raise refusal(name, found, cure, None if mark is None else mark.line + 1) from None
    except (YAMLError, RecursionError, ValueError) as error:
        raise refusal(name, (str(error).splitlines() or ["unreadable"])[0][:200], "fix the YAML") from None


def _one_meaning(text: str, name: str) -> None:
    """Refuses bare numbers that readers of YAML disagree about, all of them."""
    found = doubtful(text)
    if found:
        raise ScenarioError(
            [Problem(name, n.line, n.key or "file", n.written[:40], CURE) for n in found[:MOST_NUMBERS]]
        )


def _intrinsic(_constructor: Any, suffix: str, node: Any) -> Intrinsic:
    shown = str(node.value)[:60] if isinstance(node, ScalarNode) else "…"
    return Intrinsic(f"!{suffix} {shown}")


def _plain(node: Any, name: str, depth: int = 0) -> Any:
    """Keys as text, dates as ISO 8601."""
    if depth > MAX_DEPTH:
        raise refusal(name, "mappings nested too deeply", "a plan file has a few levels")
    if isinstance(node, dict):
        found: dict[str, Any] = {}
        for key, value in node.items():
            if str(key) in found:
                raise refusal(name, f"the key {str(key)[:60]!r} twice in one mapping", "write each key once")
            found[str(key)] = _plain(value, name, depth + 1)
        return found
    if isinstance(node, list):
        return [_plain(value, name, depth + 1) for value in node]
    if isinstance(node, datetime | date):
        return node.isoformat()
    return node


def _bounded(tree: Any, name: str) -> None:
    """Depth and numbers of the whole tree, without recursion."""
    left = [(tree, 0)]
    while left:
        node, depth = left.pop()
        if depth > MAX_DEPTH:
            raise refusal(name, "objects nested too deeply", "a plan file is JSON of a few levels")
        if isinstance(node, dict):
            left += [(value, depth + 1) for value in node.values()]
        elif isinstance(node, list):
            left += [(value, depth + 1) for value in node]
        elif isinstance(node, int | float) and not abs(node) <= MAX_NUMBER:  # NaN, too
            raise refusal(name, f"the number {str(node)[:40]}", "numbers must be finite and at most 2^53")
        elif isinstance(node, bytes | set):
            raise refusal(name, f"a value of type {type(node).__name__}", "a plan file holds texts and numbers")
