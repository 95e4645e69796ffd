"""Time and size of the report of a large fleet: a run's modules sampled with replacement to the size asked for.

python benchmarks/report.py [--modules 1000000] [--scenario scenarios/bad_release.yaml]
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

from sim.engines.run import save, simulate
from sim.records import Run
from sim.report.formats.write import FORMATS, write_formats
from sim.report.from_runs import single
from sim.scenario import Scenario
from sim.stats.summary import summarise


def enlarged(run: Run, modules: int) -> None:
    """Rewrites the folder's modules and summary as those of a fleet of `modules`."""
    rng = np.random.default_rng(1)
    table = run.modules.iloc[rng.integers(0, len(run.modules), modules)].reset_index(drop=True)
    table["module"] = [f"m{i:07d}" for i in range(modules)]
    table["cell"] = rng.integers(0, 2000, modules).astype("int32")
    table["upgraded_s"] += rng.uniform(0, 600, modules)  # distinct times, as a real run has
    table.to_parquet(run.path / "modules.parquet", index=False)
    old = run.summary
    summary = summarise(
        table, scenario=old["scenario"], engine=old["engine"], seed=old["seed"], replications=1, complete=True,
        gates=dict(run.scenario["gates"]), cloud_peaks=old["cloud"], wall_s=old["wall_s"],
        decisions=run.decisions,
    )  # fmt: skip
    (run.path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")


def main() -> None:
    """Prints a line for each format: seconds from the folder on disk to the file, and its size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", type=int, default=1_000_000)
    parser.add_argument("--scenario", type=Path, default=Path("scenarios/bad_release.yaml"))
    given = parser.parse_args()
    print(f"report of {given.modules:,} modules, Python {platform.python_version()}, {platform.machine()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        enlarged(save(simulate(Scenario.load(given.scenario, ["fleet.size=20000"])), folder), given.modules)
        for wanted in FORMATS:
            started = time.perf_counter()
            page, plain = single(folder)
            written = write_formats(page, folder, [wanted], runs=plain)
            size = sum(path.stat().st_size for path in written)
            print(f"{wanted:<8} {time.perf_counter() - started:6.2f} s   {size / 1e6:6.3f} MB")


if __name__ == "__main__":
    main()
