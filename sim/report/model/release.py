"""What a run released, and how, from its scenario as it was run: packages, defects, the strategy in a table, the input files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sim.records import Run
from sim.report.show import share
from sim.scenario.strategy import StrategySection
from sim.units import DURATIONS, show_duration, show_size

_TIMES = ("value", "mean", "median", "sd", "low", "high")
"""Parameters of a distribution of times that are times themselves."""
_HEALTH = {
    "boot_failure": "boot failure", "brick": "bricks", "late_failure": "failure after success",
    "other_version": "image of another version",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the plan: from which version to which, its size, its hash where a file was given, what was installed before."""

    component: str
    type: str
    package: str
    source_version: str
    target_version: str
    installed: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the strategy: its key, its value as a reader knows it, what it means."""

    key: str
    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file the scenario names: hash, size, rows of a fleet file, and where its copy is in the run folder."""

    key: str
    name: str
    sha256: str
    size_bytes: int
    rows: int | None
    copy: str


@dataclass(frozen=True, slots=True)
class Release:
    """What was released to whom, and under which strategy."""

    plan: str
    packages: list[Package]
    defects: list[str]
    """Defects of the release that the scenario injects, each with the hardware it concerns."""
    strategy: list[Setting]
    inputs: list[InputFile]


def release_of(run: Run) -> Release:
    """The release of a run folder."""
    plan = run.scenario.get("plan", {})
    inputs = input_files(run.manifest)
    hashes = {found.key: found for found in inputs}
    packages = [
        _package(component, run.scenario, hashes.get(f"plan.components.{number}.file"))
        for number, component in enumerate(plan.get("components", []))
    ]
    defects = [text for c in plan.get("components", []) for d in c.get("defects", []) for text in _defect(c, d)]
    schema = StrategySection.model_json_schema()
    return Release(
        str(plan.get("name", "")), packages, defects, list(_settings(plan.get("strategy", {}), schema, schema)), inputs
    )


def input_files(manifest: Mapping[str, Any]) -> list[InputFile]:
    """The files that a folder's manifest names."""
    names = InputFile.__dataclass_fields__
    listed: list[Any] = [found for found in manifest.get("inputs", []) if isinstance(found, Mapping)]
    return [InputFile(**{n: found.get(n) for n in names}) for found in listed]


def _package(component: Mapping[str, Any], scenario: Mapping[str, Any], file: InputFile | None) -> Package:
    name = str(component.get("component", ""))
    return Package(
        name, str(component.get("type", "")), str(component.get("package", "")), str(component.get("source_version") or ""),
        str(component.get("target_version", "")), _installed(name, scenario),
        int(component.get("size") or (file.size_bytes if file else 0)), file.sha256 if file else "",
    )  # fmt: skip


def _installed(component: str, scenario: Mapping[str, Any]) -> str:
    """The versions the groups of the fleet report before the plan, as their scenario gives them."""
    found: dict[str, None] = {}
    for group in scenario.get("fleet", {}).get("groups", []):
        given = group.get("components", {}).get(component)
        for version in given if isinstance(given, Mapping) else [given] if given else []:
            found[str(version)] = None
    return ", ".join(found)


def _defect(component: Mapping[str, Any], defect: Mapping[str, Any]) -> Iterator[str]:
    whom = f"hardware {defect['hardware']}" if defect.get("hardware") else "all hardware"
    if defect.get("from_version"):
        whom += f" from version {defect['from_version']}"
    for key, words in _HEALTH.items():
        if defect.get(key) is not None:
            yield f"{component.get('component', '')}, {whom}: {words} {share(float(defect[key]))}"


def _settings(
    node: Mapping[str, Any], schema: Mapping[str, Any], whole: Mapping[str, Any], path: str = ""
) -> Iterator[Setting]:
    """Every setting that is set, in the order of the strategy's sections."""
    for key, value in node.items():
        if value is None or value in ([], {}):
            continue
        described = schema.get("properties", {}).get(key, {})
        section = whole.get("$defs", {}).get(str(described.get("$ref", "")).rpartition("/")[2], {})
        if isinstance(value, Mapping) and section.get("properties"):
            yield from _settings(value, section, whole, f"{path}{key}.")
        elif key != "losses":
            meaning = str(described.get("description", "")).replace("`", "")
            yield Setting(path + key, _shown(key, value, described), meaning)


def _shown(key: str, value: Any, described: Mapping[str, Any]) -> str:
    quantity = described.get("x-quantity") or next(
        (o.get("x-quantity") for o in described.get("anyOf", []) if isinstance(o, Mapping) and o.get("x-quantity")), ""
    )
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if quantity == "duration":
            return show_duration(value)
        if quantity == "size":
            return show_size(value)
        return f"{value:,.6g} %" if key.endswith("_percent") else f"{value:,.6g}"
    if isinstance(value, Mapping):
        time = quantity == "duration" or any(map(_is_duration, described.get("examples", ())))
        return ", ".join(
            f"{k} {show_duration(v) if time and k in _TIMES and isinstance(v, int | float) else _plain(v)}"
            for k, v in value.items() if v not in (None, [], {})
        )  # fmt: skip
    if isinstance(value, list):
        return "; ".join(_shown("", v, {}) if isinstance(v, Mapping) else str(v) for v in value[:20])
    return str(value)


def _is_duration(example: Any) -> bool:
    """Whether an example of a setting is a time with its unit, such as 4h."""
    return isinstance(example, str) and any(example.endswith(unit) for unit in DURATIONS) and example[:1].isdigit()


def _plain(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
