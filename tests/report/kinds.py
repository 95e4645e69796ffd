"""One folder of every kind, made small, through the same calls the commands make."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sim.cli.folders import kind_of, page_of
from sim.engines.run import save
from sim.report.page import Page
from sim.report.write import single
from sim.study.compare import compare
from sim.study.replicate import replicate
from sim.study.sensitivity import sensitivity
from sim.study.sweep import sweep
from sim.study.tune import tune
from tests.support import run, scenario

GATES = "gates={success_rate: '>= 0.5', bricked: '<= 0.01'}"
SMALL = ("fleet.size=60", "horizon=1d", GATES)
BATTERY = "plan.strategy.preconditions.min_battery_percent"
STUDIES = ("comparison", "sweep", "tune", "sensitivity")


def make_folders(root: Path) -> dict[str, Path]:
    """Run, replications, comparison, sweep, tune, sensitivity: folders by name."""
    base = scenario(*SMALL)
    fast: dict[str, Any] = {"engine": "simpy", "workers": 1}
    save(run(*SMALL), root / "run")
    save(replicate(base, 3, keep="records", **fast).outcome(), root / "replications")
    compare({"as it is": base, "strict": base.with_({BATTERY: 60})}, replications=3, **fast).save(root / "comparison")
    sweep(
        base,
        [f"{BATTERY}=10:60:3", "plan.strategy.retry.number_of_retries=0:2:3"],
        replications=2,
        out=root / "sweep",
        **fast,
    )
    tune(
        base, [f"{BATTERY}=10:60"], minimise=["rejected"], maximise=["success_rate"], subject_to=["bricked<=0.5"],
        trials=6, replications=1, final_replications=2, **fast,
    ).save(root / "tune")  # fmt: skip
    sensitivity(base, inputs=["never_online", "long_offline"], samples=2, **fast).save(root / "sensitivity")
    return {name: root / name for name in ("run", "replications", *STUDIES)}


def made_page(folder: Path) -> tuple[Page, list[Mapping[str, Any]]]:
    """The page of a folder and the plain reports of the runs it shows, as `fotasim report` makes them."""
    if kind_of(folder) == "run":
        page, plain = single(folder)
        return page, list(plain)
    return page_of(folder), []
