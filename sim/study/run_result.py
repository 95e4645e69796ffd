"""One rollout for a notebook: its tables as frames, its figures as methods."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sim.engines.run import Outcome, save, simulate
from sim.records import OUTCOMES, Run
from sim.report.figures import charts
from sim.scenario import Scenario
from sim.stats.survival import cumulative_share


@dataclass(slots=True)
class Rollout:
    """Result of one campaign. `summary` is what summary.json holds, `modules` has a row per module."""

    scenario: Scenario
    outcome: Outcome

    @property
    def summary(self) -> dict[str, Any]:
        """Counts, rates, quantiles, gates."""
        return self.outcome.summary

    @property
    def modules(self) -> pd.DataFrame:
        """One row per module, the columns of modules.parquet."""
        return self.outcome.records.modules

    @property
    def timeline(self) -> pd.DataFrame:
        """One row per time bin: load and progress."""
        return self.outcome.records.timeline

    @property
    def outcomes(self) -> pd.DataFrame:
        """Modules by outcome and cause, most first, as counts and shares."""
        counts = self.modules.groupby(["outcome", "cause"], observed=True).size().sort_values(ascending=False)
        table = counts.rename("modules").reset_index()
        return table.assign(share=table["modules"] / len(self.modules))

    def plot_upgrades(self, by: str | None = None) -> Any:
        """Share of modules on the new version over time, for all and by a column such as `group`; a matplotlib Figure."""
        parts = {"all": self.modules}
        if by is not None:
            parts |= {str(name): part for name, part in self.modules.groupby(by, observed=True)}
        series = {name: cumulative_share(part["upgraded_s"].to_numpy(), len(part)) for name, part in parts.items()}
        return charts.upgrade_curve(series, horizon_s=self.outcome.records.watched_s)

    def plot_outcomes(self) -> Any:
        """Modules by outcome; a matplotlib Figure."""
        found = self.summary["outcomes"]
        return charts.bars({name: found[name] for name in OUTCOMES if found[name]})

    def plot_load(self, quantity: str = "online") -> Any:
        """A column of the timeline over time; a matplotlib Figure."""
        return charts.load_over_time(
            self.timeline["time_s"].to_numpy(), self.timeline[quantity].to_numpy(dtype=float),
            y_label=quantity.replace("_", " "),
        )  # fmt: skip

    def save(self, folder: str | Path) -> Run:
        """Writes the run folder."""
        return save(self.outcome, Path(folder))


def run(scenario: Scenario) -> Rollout:
    """Simulates one campaign of the scenario in virtual time."""
    return Rollout(scenario, simulate(scenario))
