"""The commands load, capacity and doctor as users start them, and what they export."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sim.cli.common import app
from sim.engines.live.live_engine import Settings
from sim.engines.live.live_target import Limits
from sim.engines.live.snapshot import Snapshot, together
from sim.errors import FotasimError
from sim.load.locust_workers.launch import share
from sim.load.telemetry import exported
from sim.scenario.load import dump
from tests.live_cloud import served
from tests.load.master import free_port
from tests.support import BASE, HARMLESS, scenario

NOW = Snapshot(
    12.5, 125.0, 100, 40, {"idle": 60, "upgraded": 40}, 60, 3, 900, 800, 8e6, {"notice": (0.1, 0.4), "url": (None, None)},
    {"notice": 55}, {"download": 2},
)  # fmt: skip


@pytest.fixture
def file(tmp_path):
    """A scenario's file."""
    path = tmp_path / "s.yaml"
    path.write_text(BASE)
    return str(path)


def fotasim(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_capacity_predicts_without_a_cloud_and_leaves_its_evidence(file, tmp_path):
    out = tmp_path / "evidence" / "run"
    done = fotasim(
        "capacity", file, "--slo", "p50(wake)<10s, error_rate<1%", "--of", "modules", "--set", "cloud.capacity.downloads=30",
        "--start", "10", "--hold", "2s", "--confirm", "2s", "--headroom", "0.5", "--out", str(out), "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads((out / "capacity.json").read_text())
    assert json.loads(done.stdout) == found
    assert found["simulated"]["confirmed"]
    assert found["simulated"]["capacity"] == pytest.approx(30.0, rel=0.1)
    assert found["recommended"] == int(found["simulated"]["capacity"] / 2)
    assert "downloads" in found["simulated"]["first_to_give_way"][0]["resource"]
    loads = [point["load"] for point in found["simulated"]["curve"]]
    assert loads == sorted(loads)
    assert (out / "report.html").exists()
    again = fotasim("report", str(out), "--format", "junit,json", "--json")
    assert again.exit_code == 0, again.output
    assert (out / "report.xml").exists()


def test_what_is_needed_decides_the_status(file, tmp_path):
    given = ("--slo", "p50(wake)<10s, error_rate<1%", "--of", "modules", "--set", "cloud.capacity.downloads=30", "--hold", "2s",
             "--confirm", "2s", "--overwrite", "--out", str(tmp_path / "run"))  # fmt: skip
    done = fotasim("capacity", file, *given, "--need", "20")
    assert (done.exit_code, "20 modules at once: sustained" in done.stdout) == (0, True), done.output
    done = fotasim("capacity", file, *given, "--need", "60")
    assert (done.exit_code, "NOT SUSTAINED" in done.stdout) == (1, True), done.output
    assert fotasim("report", str(tmp_path / "run"), "--json").exit_code == 1
    assert fotasim("capacity", file, *given, "--need", "60", "--max", "50").exit_code == 2


@pytest.mark.parametrize("command", [("capacity", "--slo", "p99(notify)<2s"), ("load",)])
def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(command, file):
    """Nobody listens at that address: whatever were sent would fail."""
    done = fotasim(command[0], file, *command[1:], "--cloud", "http://127.0.0.1:9", "--dry-run")
    assert (done.exit_code, "Nothing was sent" in done.output) == (0, True)
    assert "200,000" in done.output


def test_a_dry_run_of_wake_ups_says_who_takes_the_upgrade_and_what_makes_the_load(file):
    """50,000 in ten minutes are what 50,000 connections allow; held for 20 s they are 1,667, a tenth of them upgrades."""
    done = fotasim(
        "capacity", file, "--slo", "p99(notify)<2s", "--of", "wakeups", "--need", "50000", "--taking", "0.1",
        "--confirm", "10min", "--workers", "3", "--cloud", "http://127.0.0.1:9", "--dry-run",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "1,667 modules connect, log in and ask; 166 of them confirm" in done.output
    assert "3 process(es)" in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--slo", "p99(dance)<2s"), "dance"), (("--slo", "p99(notify)<2s", "--of", "cats"), "choose from"),
        (("--slo", "p99(notify)<2s", "--hold", "soon"), "--hold"),
    ],
)  # fmt: skip
def test_wrong_use_is_told(arguments, words, file):
    done = fotasim("capacity", file, *arguments)
    assert done.exit_code != 0
    assert words in done.output + str(done.exception)


@pytest.mark.parametrize("cloud", ["http://example.org", "mqtt://192.0.2.7"])
def test_no_target_beyond_this_machine_without_leave_and_a_cap(cloud, file):
    done = fotasim("capacity", file, "--slo", "p99(notify)<2s", "--cloud", cloud, "--no-predict")
    assert isinstance(done.exception, FotasimError)
    assert "--allow" in str(done.exception)
    host = cloud.rpartition("/")[2]
    done = fotasim("capacity", file, "--slo", "p99(notify)<2s", "--cloud", cloud, "--no-predict", "--allow", host)
    assert "--rate-cap" in str(done.exception)


def test_workers_share_the_caps():
    settings, most = share(Settings(limits=Limits(("h",), 100.0)), 1000, 4)
    assert (settings.limits.rate_cap_per_s, most) == (25.0, 250)


def test_prometheus_serves_the_newest_snapshot():
    port = free_port()
    with exported(prometheus=port) as watch:
        watch(NOW)
        text = metrics(port)
    lines = set(text.splitlines())
    assert {
        "fotasim_modules 100.0", 'fotasim_modules_by_state{state="upgraded"} 40.0', "fotasim_sent_total 900.0",
        'fotasim_leg_seconds{leg="notice",quantile="0.99"} 0.4', 'fotasim_leg_failures_total{leg="download"} 2.0',
    } <= lines  # fmt: skip
    assert "url" not in text


def test_a_collector_gets_the_metrics_over_otlp(collector):
    with exported(otlp=collector.url) as watch:
        watch(NOW)
    sent = b"".join(collector.bodies)
    assert b"fotasim.leg_seconds" in sent
    assert b"fotasim.sent" in sent


def test_progress_is_a_line_of_json_for_each_look(tmp_path):
    seen = []
    with exported(lines=tmp_path / "p.jsonl", then=seen.append) as watch:
        watch(NOW)
        watch(NOW)
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [row["done"] for row in rows] == [40, 40]
    assert seen == [NOW, NOW]


def test_processes_stand_together():
    other = replace(
        NOW, modules=50, states={"idle": 50}, latencies_s={"notice": (0.2, 0.3), "url": (None, 0.5)}, faults=("late",)
    )
    both = together([NOW, other])
    assert (both.modules, both.done, both.workers, both.counts, both.faults) == (150, 80, 2, {"notice": 110}, ("late",))
    assert both.states == {"idle": 110, "upgraded": 40}
    assert both.latencies_s == {"notice": (0.2, 0.4), "url": (None, 0.5)}


@pytest.mark.parametrize(
    ("given", "words"),
    [({"prometheus": None}, "cannot be served"), ({"otlp": "ftp://h"}, "collector"), ({"lines": Path("/proc/no/p")}, "progress")],
)  # fmt: skip
def test_metrics_that_cannot_be_had_are_told_at_once(given, words):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        if "prometheus" in given:
            given = {"prometheus": taken.getsockname()[1]}
        with pytest.raises(FotasimError, match=words), exported(**given):
            pass


def test_a_live_run_exports_what_it_does(tmp_path):
    """The command live, its metrics read over HTTP while it runs; the last line of its progress is the whole run."""
    given = scenario(*HARMLESS, "fleet.size=8", "fleet.groups.0.power=mains", "fleet.groups.0.rsrp_dbm=-90",
                     "fleet.groups.0.free_space=10 MB", "fleet.groups.0.check_in=always")  # fmt: skip
    (tmp_path / "s.yaml").write_text(dump(given))
    port, progress = free_port(), tmp_path / "p.jsonl"

    with served(given) as cloud, ThreadPoolExecutor(1) as pool:
        work = pool.submit(
            fotasim, "live", str(tmp_path / "s.yaml"), "--cloud", cloud.url, "--time-scale", "200", "--prometheus",
            str(port), "--progress", str(progress), "--out", str(tmp_path / "out"), "--json",
        )  # fmt: skip
        while not (work.done() or (progress.exists() and progress.read_text())):
            time.sleep(0.05)
        seen = "" if work.done() else metrics(port)
        done = work.result(90)
    starved = any(
        look["faults"] for look in json.loads((tmp_path / "out" / "manifest.json").read_text())["live"]["health"]
    )
    # Whether a gate is met, and whether this host keeps up, are not the question; nothing else may void the run.
    assert done.exit_code in ((3,) if starved else (0, 1)), done.output
    assert "fotasim_modules 8.0" in seen.splitlines()
    last = json.loads(progress.read_text().splitlines()[-1])
    assert (last["modules"], last["done"], last["counts"]["notice"], last["failures"]) == (8, 8, 8, {})


def metrics(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return answer.read().decode()


def test_doctor_tells_it_for_machines_too():
    done = fotasim("doctor", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["load"]
    assert told["first_limit"] in told["carries"]
    assert told["file_limit"] <= told["file_limit_hard"]
    assert told["figures"]["source"]
