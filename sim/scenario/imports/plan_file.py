"""From a plan file of a real product to a strategy that a scenario takes: read, recognise, convert, check, write."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError
from ruamel.yaml import YAML

from sim.errors import Problem, ScenarioError
from sim.scenario.imports import aws, hawkbit
from sim.scenario.strategy import StrategySection

MAX_BYTES = 16 << 20
_PRODUCTS = (aws, hawkbit)


@dataclass(frozen=True, slots=True)
class Imported:
    """A strategy as a scenario writes it, where it comes from, and what a reader should know about the rest."""

    product: str
    title: str
    strategy: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def read_plan(path: Path) -> Imported:
    """Reads a plan file (JSON). Raises ScenarioError when it cannot be read or is no plan of a known product."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _refusal(str(path), f"{path.stat().st_size} bytes", "a plan file is at most 16 MiB")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _refusal(str(path), error.strerror or "unreadable", "give the path of a plan file") from None
    except UnicodeDecodeError:
        raise _refusal(str(path), "bytes that are not UTF-8", "save it as UTF-8 text") from None
    return from_text(text, str(path))


def from_text(text: str, name: str) -> Imported:
    """Converts the text of a plan file; `name` is for errors. The strategy it gives is valid in a scenario."""
    document = _json(text, name)
    for product in _PRODUCTS:
        if product.recognises(document):
            notes: list[str] = []
            title, strategy = product.convert(document, notes)
            return Imported(product.PRODUCT, title, _acceptable(strategy, notes), notes)
    raise _refusal(
        name, f"keys {', '.join(list(document)[:6]) or 'none'}",
        "give what `aws iot describe-job` prints, the input of create-job, or a hawkBit rollout",
    )  # fmt: skip


def _json(text: str, name: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        double = next((key for key in keys if keys.count(key) > 1), None) if len(set(keys)) < len(keys) else None
        if double is not None:
            raise _refusal(name, f"the key {double!r} twice in one object", "write each key once")
        return dict(pairs)

    def finite(constant: str) -> NoReturn:
        raise _refusal(name, constant, "numbers must be finite")

    try:
        document = json.loads(text, object_pairs_hook=once, parse_constant=finite)
    except json.JSONDecodeError as error:
        raise ScenarioError([Problem(name, error.lineno, "file", error.msg, "a plan file is JSON")]) from None
    except RecursionError:
        raise _refusal(name, "objects nested too deeply", "a plan file is JSON of a few levels") from None
    if not isinstance(document, dict):
        raise _refusal(name, type(document).__name__, "a plan file is one JSON object")
    return document


def _acceptable(strategy: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Takes out, and names, what a scenario refuses: values outside the ranges of the product and of ours."""
    kept = copy.deepcopy(strategy)
    while True:
        try:
            StrategySection.model_validate(kept)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = _take_out(kept, first["loc"])
            reason = str(first["msg"]).removeprefix("Value error, ")
            notes.append(f"strategy.{place}: taken out: {reason[0].lower()}{reason[1:]}")
            continue
        return kept


def _take_out(tree: dict[str, Any], loc: tuple[int | str, ...]) -> str:
    """Removes the deepest entry on the way to `loc` that is there, and returns its path."""
    node: Any = tree
    found: list[tuple[Any, int | str]] = []
    for key in loc:
        if not (key in node if isinstance(node, dict) else isinstance(node, list) and isinstance(key, int)):
            break
        found.append((node, key))
        node = node[key]
    holder, last = found[-1]
    del holder[last]
    return ".".join(str(key) for _, key in found)


def to_yaml(imported: Imported, source: str) -> str:
    """The strategy as YAML for `strategy: {from: …}` or to paste; on top, as comments, what is not carried over."""
    head = [f"Strategy of the {imported.product} plan {imported.title or '(unnamed)'}, from {source}."]
    head += (
        ["Nothing was left out."] if not imported.notes else ["Read before use:", *(f"- {n}" for n in imported.notes)]
    )
    comments = "".join(f"# {_one_line(line)}\n" for line in head)
    stream = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.dump(imported.strategy, stream)
    return comments + stream.getvalue()


def _one_line(text: str) -> str:
    """Text of a foreign file must not leave its comment."""
    return "".join(c if c.isprintable() else " " for c in text)


def resolve(
    given: Mapping[str, Any], folder: Path, read_yaml: Callable[[Path], dict[str, Any]]
) -> tuple[dict[str, Any], list[str]]:
    """The strategy that `{from: FILE, …}` means, and notes on what the file holds beyond it.

    FILE is a plan of a product (.json) or a strategy (.yaml, .yml, read by `read_yaml`), relative to `folder`. Keys
    beside `from` win over the file's, section by section.
    """
    source = given["from"]
    if not isinstance(source, str) or Path(source).suffix not in (".json", ".yaml", ".yml"):
        raise _refusal(str(source), "no plan file", "from: takes a .json plan of a product or a .yaml strategy")
    path = (folder / source).resolve()
    notes: list[str] = []
    if path.suffix == ".json":
        imported = read_plan(path)
        strategy, notes = imported.strategy, [f"{source}: {note}" for note in imported.notes]
    else:
        strategy = read_yaml(path)
    return _over(strategy, {key: value for key, value in given.items() if key != "from"}), notes


def _over(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**base, **given}
    for key in base.keys() & given.keys():
        if isinstance(base[key], Mapping) and isinstance(given[key], Mapping):
            merged[key] = _over(base[key], given[key])
    return merged


def _refusal(name: str, found: str, cure: str) -> ScenarioError:
    return ScenarioError([Problem(name, None, "file", found, cure)])
