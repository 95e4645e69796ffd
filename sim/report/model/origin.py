"""Where a result comes from, as its manifest tells: command, version, seed, engine, host, dates, hashes of what went in."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.report.model.release import InputFile, input_files
from sim.report.show import plural
from sim.units import show_duration

UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Origin:
    """What identifies a result and how it is made again; texts are "" where the manifest does not tell.

    `repeat` is a command to be typed in the result's folder. `engine` names every engine that ran a part of it.
    """

    command: str
    repeat: str
    made_at: str
    seed: str
    engine: str
    version: str
    commit: str
    scenario_sha256: str
    python: str
    system: str
    wall_s: float | None
    inputs: Sequence[InputFile] = ()

    def rows(self) -> list[tuple[str, str]]:
        """Names and values, in the order a reviewer asks: what was typed, on what, by what, where, when."""
        listed = [
            ("command", self.command), ("made at", self.made_at), ("seed", self.seed), ("engine", self.engine),
            ("fotasim", self.version), ("commit", self.commit), ("scenario SHA-256", self.scenario_sha256),
            ("input files", plural(len(self.inputs), "file") if self.inputs else "none"), ("Python", self.python),
            ("system", self.system), ("took", "" if self.wall_s is None else show_duration(self.wall_s)),
        ]  # fmt: skip
        return [(name, value or UNKNOWN) for name, value in listed]


def origin_of(manifest: Mapping[str, Any]) -> Origin:
    """The origin of a folder of any kind, from its manifest."""
    host = manifest.get("host") or {}
    wall_s = manifest.get("wall_s")
    return Origin(
        command=str(manifest.get("command") or ""), repeat=_repeat(manifest), made_at=str(manifest.get("made_at") or ""),
        seed=str(manifest.get("seed", "")), engine=_engine(manifest), version=str(manifest.get("fotasim") or ""),
        commit=str(manifest.get("commit") or ""), scenario_sha256=str(manifest.get("scenario_sha256") or ""),
        python=str(host.get("python") or ""), system=" ".join(str(host[n]) for n in ("system", "machine") if host.get(n)),
        wall_s=None if wall_s is None else float(wall_s),
        inputs=input_files(manifest),
    )  # fmt: skip


def _engine(manifest: Mapping[str, Any]) -> str:
    return ", ".join(manifest.get("engines", ())) or str(manifest.get("engine") or "")


def _repeat(manifest: Mapping[str, Any]) -> str:
    """The command that makes the result again, typed in its folder, wherever that has gone."""
    kind = str(manifest.get("kind", "run"))
    if manifest.get("repeat"):
        return str(manifest["repeat"])
    if "options" not in manifest:
        return ""
    engines = list(manifest.get("engines", ()))
    engine = ["--engine", engines[0]] if len(engines) == 1 else []
    sources = manifest.get("sources") or ["scenario.yaml"]
    name = {"comparison": "compare"}.get(kind, kind)
    return shlex.join(["fotasim", name, *map(str, sources), *map(str, manifest["options"]), *engine, "--out", "again"])


__all__ = ["UNKNOWN", "Origin", "origin_of"]
