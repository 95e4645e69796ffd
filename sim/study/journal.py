"""The journal of a long study: every finished campaign on a line, so that an interrupted study goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Any, TextIO

from sim.errors import RecordsError
from sim.scenario import Scenario
from sim.study.axes import Settings
from sim.study.campaign import Campaign
from sim.version import version

FORMAT = 1


def identity(scenario: Scenario) -> dict[str, Any]:
    """What results depend on besides settings and replication: the scenario, the devices of its files, the version."""
    digest = hashlib.sha256(scenario.to_yaml().encode())
    for group in scenario.fleet.groups:
        if group.file is not None:
            digest.update(group.file.read_bytes())
    return {"format": FORMAT, "fotasim": version(), "scenario": scenario.name, "sha256": digest.hexdigest()}


def point_key(settings: Settings) -> str:
    """A name for a point that does not depend on the order of its keys."""
    return json.dumps(settings, sort_keys=True)


class Journal:
    """Finished campaigns by point and replication, on disk. A line torn by a crash is dropped and done again."""

    def __init__(self, path: Path, scenario: Scenario) -> None:
        self.path = path
        self._found: dict[tuple[str, int], Campaign] = {}
        self._file: TextIO | None = None
        head = identity(scenario)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size:
                self._read(head)
                self._file = path.open("a", encoding="utf-8")
            else:
                self._file = path.open("w", encoding="utf-8")
                self._write(head)
        except OSError as error:
            raise RecordsError(f"{path}: cannot be written: {error.strerror or error}") from None

    def __len__(self) -> int:
        return len(self._found)

    def get(self, settings: Settings, replication: int) -> Campaign | None:
        """The finished campaign of a point, or None."""
        return self._found.get((point_key(settings), replication))

    def add(self, settings: Settings, campaign: Campaign) -> None:
        """Keeps a finished campaign; it is on disk when this returns."""
        self._found[point_key(settings), campaign.replication] = campaign
        metrics = {name: None if isnan(value) else value for name, value in campaign.metrics.items()}
        self._write(
            {"at": settings, "replication": campaign.replication, "metrics": metrics, "counts": campaign.counts}
        )

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self, head: Mapping[str, Any]) -> None:
        text = self.path.read_text(encoding="utf-8")
        whole, _, torn = text.rpartition("\n")
        lines = whole.split("\n")
        try:
            found = json.loads(lines[0])
            self._same(found, head)
            for line in lines[1:]:
                self._remember(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordsError(f"{self.path}: not a journal of a study ({error}); choose another --out") from None
        if torn:
            with self.path.open("r+b") as file:
                file.truncate(len(whole.encode()) + 1)

    def _same(self, found: Mapping[str, Any], head: Mapping[str, Any]) -> None:
        for name, what in (("fotasim", "version of fotasim"), ("sha256", "scenario"), ("format", "kind of journal")):
            if found[name] != head[name]:
                raise RecordsError(
                    f"{self.path.parent}: was begun with another {what} ({found['scenario']}, fotasim "
                    f"{found['fotasim']}); its results do not fit. Use --fresh to start over, or choose another --out"
                )

    def _remember(self, line: Mapping[str, Any]) -> None:
        metrics = {name: float("nan") if v is None else float(v) for name, v in line["metrics"].items()}
        counts = {str(name): int(v) for name, v in line["counts"].items()}
        campaign = Campaign(int(line["replication"]), metrics, counts)
        self._found[point_key(line["at"]), campaign.replication] = campaign
