"""The commands load, capacity and doctor as users start them, and what they export."""

from __future__ import annotations

import json
import urllib.request

import pytest
from typer.testing import CliRunner

from sim.cli.common import app
from sim.engines.live.engine import Settings
from sim.engines.live.snapshot import Snapshot
from sim.engines.live.target import Limits
from sim.errors import FotasimError
from sim.load.host import Host
from sim.load.launch import share
from sim.load.telemetry import exported
from tests.load.master import free_port
from tests.support import BASE

NOW = Snapshot(
    12.5, 125.0, 100, 40, {"idle": 60, "upgraded": 40}, 60, 3, 900, 800, 8e6, {"notice": (0.1, 0.4), "url": (None, None)},
    {"notice": 55}, {"download": 2},
)  # fmt: skip
HOST = Host(
    cores=3, memory_free_bytes=16_000_000_000, file_limit=1024, file_limit_hard=4096, ports=28_232, source_addresses=1,
    loopback_addresses=True, backlog=128,
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
    out = tmp_path / "evidence" / "capacity.json"
    done = fotasim(
        "capacity", file, "--slo", "error_rate<0.1%", "--of", "modules", "--set", "cloud.capacity.downloads=30",
        "--start", "10", "--hold", "2s", "--confirm", "2s", "--headroom", "0.5", "--out", str(out), "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert found["simulated"]["confirmed"]
    assert found["simulated"]["capacity"] == pytest.approx(30.0, rel=0.1)
    assert found["recommended_modules"] == int(found["simulated"]["capacity"] / 2)
    assert "downloads" in found["simulated"]["first_to_give_way"]
    loads = [point["load"] for point in found["simulated"]["curve"]]
    assert loads == sorted(loads)


@pytest.mark.parametrize("command", [("capacity", "--slo", "p99(notify)<2s"), ("load",)])
def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(command, file):
    """Nobody listens at that address: whatever were sent would fail."""
    done = fotasim(command[0], file, *command[1:], "--cloud", "http://127.0.0.1:9", "--dry-run")
    assert (done.exit_code, "Nothing was sent" in done.output) == (0, True)
    assert "200,000" in done.output


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
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
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


def test_doctor_names_the_first_limit_and_the_command_that_raises_it():
    assert HOST.carries == {"open files": 3896, "local ports": 28_232, "memory": 484_375, "cores": 40_000}
    assert HOST.first == "open files"
    commands = [command for _, command in HOST.advice()]
    assert "nofile 80200" in commands[0]
    assert any("ip_local_port_range" in command for command in commands)
    assert any("somaxconn" in command for command in commands)


def test_doctor_tells_it_for_machines_too():
    done = fotasim("doctor", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["load"]
    assert told["first_limit"] in told["carries"]
    assert told["file_limit"] <= told["file_limit_hard"]
