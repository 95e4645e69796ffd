"""One folder of every kind, made small, through the same calls the commands make."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sim.cli.result_folders import kind_of, page_of
from sim.engines.live.latency import Latencies
from sim.engines.live.reconciliation import Check, Reconciliation
from sim.engines.run import save
from sim.load.load_folder import save_load
from sim.load.locust_workers.worker_reports import Gathered
from sim.report.from_runs import single
from sim.report.page import Page
from sim.scenario import Scenario
from sim.study.compare import compare
from sim.study.replicate import replicate
from sim.study.sensitivity import sensitivity
from sim.study.sweep import sweep
from sim.study.tune import tune
from tests.support import run, scenario

GATES = "gates={success_rate: '>= 0.5', bricked: '<= 0.1'}"
SMALL = ("fleet.size=60", "horizon=1d", GATES)
BATTERY = "plan.strategy.preconditions.min_battery_percent"
STUDIES = ("comparison", "sweep", "tune", "sensitivity", "load")


def make_folders(root: Path) -> dict[str, Path]:
    """Run, replications, comparison, sweep, tune, sensitivity, load: folders by name."""
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
    make_load(root / "load", base)
    return {name: root / name for name in ("run", "replications", *STUDIES)}


def make_load(folder: Path, base: Scenario, worker: str = "worker-1", *, failed: int = 1, **reported: Any) -> None:
    """What a load run of one worker leaves, from a report such as workers send; 90 logins, 90 downloads and some that failed."""
    measured = Latencies()
    for i in range(90):
        measured.add("connect", 0.001 + 0.0001 * i)
        measured.add("download", 0.2 + 0.01 * i)
    for _ in range(failed):
        measured.fail("download", "timeout")
    legs = {leg: {"hdr": measured.encoded(leg), "failures": measured.failed(leg)} for leg in ("connect", "download")}
    compared = Reconciliation((Check("modules upgraded / successes counted", 60, 60, 0),))
    gathered = Gathered(clock=lambda: 100.0)
    gathered.clear()
    sent = {"legs": legs, "final": True, "time": 100.001, "reconciliation": compared.as_dict(),
            "health": {"cpu": 0.5, "lag_p99_s": 0.002, "connections": 60, "faults": []}, **reported}  # fmt: skip
    gathered.take(worker, {"fotasim": sent, "user_count": 60})
    gathered.ended = 112.0
    folder.mkdir()
    found = {**json.loads(gathered.to_json()), "interrupted": False}
    (folder / "load.json").write_text(json.dumps(found))
    save_load(
        folder, base, found, cloud="http://127.0.0.1:8080", users=60, workers=1, ramp_per_s=50.0, shape="ramp",
        duration_s=12.0, time_scale=60.0,
    )  # fmt: skip


def made_page(folder: Path) -> tuple[Page, list[Mapping[str, Any]]]:
    """The page of a folder and the plain reports of the runs it shows, as `fotasim report` makes them."""
    if kind_of(folder) == "run":
        page, plain = single(folder)
        return page, list(plain)
    return page_of(folder), []
