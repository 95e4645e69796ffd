"""What this host carries: each limit by arithmetic, and what a module costs by measurement."""

from __future__ import annotations

import asyncio
import platform
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from sim import messages as msg
from sim.cli.common import app
from sim.load.capacity.wake_ups import probe_scenario
from sim.load.this_host import measurement as measure
from sim.load.this_host.limits import Host
from sim.load.this_host.module_cost import SHIPPED, Figures, keep, known
from tests.live_cloud import served
from tests.support import scenario

COST = Figures(8_000, 200_000_000, 2_000, 0.0001, 0.002, 0.0005, "made up")
HOST = Host(
    cores=3, memory_free_bytes=1_400_000_000, file_limit=1024, file_limit_hard=4096, ports=28_232, source_addresses=1,
    loopback_addresses=True, backlog=128, figures=COST,
)  # fmt: skip


def test_each_limit_comes_from_the_cost_of_a_module():
    """Two workers of 200 MB: 1 GB is left for modules of 10 KB; 70 % of two cores at 0.01 % each; files for two sockets."""
    assert HOST.carries == {"open files": 3896, "local ports": 28_232, "memory": 100_000, "cores": 14_000}
    assert HOST.first == "open files"
    assert HOST.generates == {"releases per minute": 42_000, "wake-ups per 10 minutes": 1_680_000}


def test_a_dearer_module_makes_fewer():
    dearer = replace(COST, module_bytes=16_000, kernel_bytes=4_000, module_cpu=0.0002, upgrade_cpu_s=0.004)
    host = replace(HOST, figures=dearer)
    assert host.carries["memory"] == HOST.carries["memory"] / 2
    assert host.carries["cores"] == HOST.carries["cores"] / 2
    assert host.generates["releases per minute"] == HOST.generates["releases per minute"] / 2


def test_a_larger_package_makes_fewer_upgrades():
    """2 ms with 0.4 MB and 1 ms for each further megabyte: 3.6 ms with 2 MB, and wake-ups stay as they are."""
    large = replace(HOST, figures=replace(COST, megabyte_cpu_s=0.001), package_bytes=2_000_000)
    assert large.generates["releases per minute"] == round(60.0 * 2 * 0.7 / 0.0036)
    assert large.generates["wake-ups per 10 minutes"] == HOST.generates["wake-ups per 10 minutes"]
    assert any("an upgrade with 2 MB 3.60 ms" in line for line in large.lines())


def test_the_first_limit_has_a_command_that_raises_it():
    commands = [command for _, command in HOST.advice()]
    assert f"nofile {2 * 14_000 + 200}" in commands[0]
    assert any("somaxconn" in command for command in commands)
    assert any("ip_local_port_range" in command for command in commands)


def test_it_says_whether_the_figures_are_this_hosts(tmp_path):
    assert known(tmp_path) == SHIPPED
    assert "not measured on this host" in "\n".join(HOST.__class__.lines(replace(HOST, figures=known(tmp_path))))
    keep(replace(COST, host="another machine"), tmp_path)
    assert known(tmp_path) == SHIPPED
    mine = replace(COST, host=platform.node())
    keep(mine, tmp_path)
    assert known(tmp_path) == mine
    assert mine.here
    (tmp_path / "host.json").write_text("{}")
    assert known(tmp_path) == SHIPPED


def test_what_a_module_costs_is_measured_on_real_sockets(monkeypatch):
    """A few modules instead of hundreds: every load runs and every figure is one of this process."""
    for name, value in (("MODULES", 8), ("UPGRADES", 4), ("WAKEUPS", 4), ("SETTLED_S", 3.0), ("WATCHED_S", 0.5)):
        monkeypatch.setattr(measure, name, value)
    monkeypatch.setattr(measure, "SPREAD_S", 0.5)
    monkeypatch.setattr(measure, "WAVE_S", 0.5)
    with served(probe_scenario(scenario("plan.components.fw.size=400 kB"), 40)) as there:
        monkeypatch.setattr(measure, "LARGE_UPGRADES", 2)
        found = asyncio.run(measure._measured(there.url, there.url))
        assert len(set(there.logins)) > 5 + 4 + 4  # and those of the wave that came in time
        assert sum(1 for sent in there.statuses if msg.UPDATE_SUCCESS in sent) == 5 + 4 + 2 + 2
    assert found.here
    assert min(found.worker_bytes, found.module_cpu, found.upgrade_cpu_s, found.wakeup_cpu_s) > 0


@pytest.mark.slow
def test_doctor_measures_in_a_worker_against_a_mock_cloud(monkeypatch, tmp_path):
    monkeypatch.setenv("FOTASIM_CACHE", str(tmp_path))
    done = CliRunner().invoke(app, ["doctor", "--measure"])
    assert done.exit_code == 0, done.output
    assert "measured on this host" in done.output
    assert (tmp_path / "host.json").exists()
