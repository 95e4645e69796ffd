"""One campaign of a study: a scenario and a replication in, metrics and counts out. The unit of work of a pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from sim.engines.run import campaign_records
from sim.records import Records
from sim.scenario import Scenario
from sim.stats.campaigns import STUDY_METRICS, measure

FATE_COLUMNS = ["module", "group", "rsrp_dbm", "battery_percent", "outcome", "cause"]

Keep = Literal["metrics", "fates", "records"]


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is to do: run this replication of this scenario and keep that much of it."""

    scenario: Scenario
    replication: int
    keep: Keep = "metrics"
    engine: str = "auto"
    plugins: bool = False
    """Whether what plug-ins make of it is kept: a study of many settings keeps none of it and refuses them."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What is left of one campaign. `fates` (FATE_COLUMNS) and `records` only where the job asked for them.

    `engine` is the one that ran it; "" for a campaign that was read from a file.
    """

    replication: int
    metrics: dict[str, float]
    counts: dict[str, int]
    fates: pd.DataFrame | None = None
    records: Records | None = None
    engine: str = ""

    def row(self) -> dict[str, Any]:
        """The campaign as a row of a study's table."""
        return {"replication": self.replication, **self.metrics, **self.counts}


def run_campaign(job: Job) -> Campaign:
    """Runs one campaign. The same job gives the same result in any process, on any host of one architecture."""
    records = campaign_records(job.scenario, job.replication, engine=job.engine, plugins=job.plugins)
    if not records.complete:
        raise KeyboardInterrupt
    metrics, counts = measure(records.modules, records.cloud_peaks, records.decisions)
    return Campaign(
        job.replication, metrics, counts,
        fates=records.modules[FATE_COLUMNS] if job.keep == "fates" else None,
        records=records if job.keep == "records" else None, engine=records.engine,
    )  # fmt: skip


def table(campaigns: list[Campaign]) -> pd.DataFrame:
    """One row per campaign: replication, STUDY_METRICS and counts; causes that did not occur are 0."""
    frame = pd.DataFrame([c.row() for c in campaigns], columns=None if campaigns else ["replication", *STUDY_METRICS])
    counted = [name for name in frame.columns if name.startswith(("outcome_", "cause_"))]
    frame[counted] = frame[counted].fillna(0).astype("int64")
    return frame
