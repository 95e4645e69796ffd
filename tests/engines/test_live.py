"""The live engine against a small cloud on loopback: same lives as simulated, every module accounted for."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from sim.engines.live.live_engine import Settings
from sim.engines.live.live_run import LiveOutcome, live, save_live
from sim.engines.live.live_target import Limits
from sim.engines.run import simulate
from sim.messages import DOWNLOAD_ERROR, UPDATE_SUCCESS
from sim.records import Run
from sim.wire.quecthing import login
from tests.live_cloud import PRODUCT_SECRET, LiveCloud
from tests.support import BASE, HARMLESS, scenario

SCALE = 3600.0
SOON = (
    "fleet.groups.0.check_in={every: 1h, jitter: 5min, awake: 50min}", "fleet.groups.0.battery_percent=90",
    "fleet.groups.0.rsrp_dbm=-90",
)  # fmt: skip
"""An hour is a second: every module is soon there, and stays awake long enough for a busy host to answer."""
BOTH = """\
name: both
horizon: 7d
fleet:
  size: 3
  groups:
    - name: all
      share: 1.0
      technology: lte-m
      power: mains
      components: {fw: "1.0.0", mcu: "7"}
      rsrp_dbm: -90
      mcu_buffer: 30 kB
      check_in: {every: 1h, jitter: 5min, awake: 50min}
plan:
  name: both
  components:
    - {component: fw, type: firmware, package: full, target_version: "1.1.0", size: 200 kB}
    - {component: mcu, type: mcu, package: full, target_version: "8", size: 70 kB}
"""


@asynccontextmanager
async def cloud_of(given, **options):
    made = LiveCloud(given, time_scale=SCALE, **options)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def run_live(given, *, during=None, prepare=None, seconds=60.0, **options) -> tuple[LiveOutcome, LiveCloud]:
    """A live run against a cloud of its own; `during` runs beside it."""

    async def both():
        async with cloud_of(given, **options) as made:
            if prepare is not None:
                prepare(made)
            beside = asyncio.create_task(during(made)) if during else None
            settings = Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=seconds)
            found = await live(given, made.url, settings)
            if beside is not None:
                await beside
            return found, made

    return asyncio.run(both())


def life(records, name):
    """States and callback strings of one module, in order; checksums, which only a real package has, left out."""
    events = records.events[(records.events["module"] == name) & (records.events["source"] == "module")]
    texts = [re.sub(r'"[0-9a-f]{32}"(,\d+)?', "", text) for text in events["text"]]
    return list(zip(events["status"], events["code"], texts, strict=True))


@pytest.mark.parametrize("given", [scenario(*HARMLESS, *SOON, "fleet.size=3"), scenario(*HARMLESS, text=BOTH)])
def test_a_life_is_the_same_live_and_simulated(given):
    found, _ = run_live(given)
    simulated = simulate(given, events=True)
    for name in simulated.records.modules["module"]:
        lived = life(found.outcome.records, name)
        assert lived == life(simulated.records, name)
        assert lived[-1][0] == UPDATE_SUCCESS


def test_every_module_is_upgraded_and_both_sides_agree():
    found, made = run_live(scenario(*HARMLESS, *SOON, "fleet.size=40"))
    summary = found.outcome.summary
    assert (summary["engine"], summary["complete"], summary["outcomes"]["succeeded"]) == ("live", True, 40)
    assert summary["stages"]["reported"] == 40
    assert found.reconciliation.agrees
    assert len(found.reconciliation.checks) == 4
    assert set(made.ranges) == {"bytes=0-199999"}
    assert found.outcome.records.modules["bytes_useful"].tolist() == [200_000] * 40
    assert found.latencies["download"]["count"] == 40
    assert 40 * 6 < found.latencies["report"]["count"] <= sum(map(len, made.statuses)) == 40 * 7


def test_modelled_access_of_cells_does_not_hold_up_a_live_run():
    """The real network has a random access of its own: modules of modelled cells connect all the same."""
    found, _ = run_live(scenario(*HARMLESS, *SOON, "fleet.size=6", "fleet.cells={modules_per_cell: 3}"))
    assert found.outcome.summary["outcomes"]["succeeded"] == 6
    assert found.outcome.records.modules["cell"].nunique() == 2
    assert found.outcome.records.modules["preambles"].max() == 0


def test_a_device_bootstraps_once_and_then_logs_in_with_its_secret():
    found, made = run_live(scenario(*HARMLESS, *SOON, "fleet.size=5"))
    assert found.outcome.summary["outcomes"]["succeeded"] == 5
    assert len(made.secrets) == 5
    assert len(made.logins) == 10  # before and after the update: the second one was verified against the secret


def test_wrong_bytes_are_reported_and_fetched_again():
    found, made = run_live(scenario(*HARMLESS, *SOON, "fleet.size=4"), wrong_md5=3)
    assert found.outcome.summary["outcomes"]["succeeded"] == 4
    assert sum(s.count(DOWNLOAD_ERROR) for s in made.statuses) == 3
    assert found.outcome.manifest["live"]["broken_downloads"] == {"the MD5 is wrong": 3}
    assert found.outcome.summary["bytes"] == {"useful": 800_000, "wasted": 600_000}


def test_all_connections_cut_again_and_again_lose_nobody():
    async def cut(made):
        for _ in range(8):
            await asyncio.sleep(0.15)
            for client_id in made.endpoint.clients:
                made.endpoint.drop(client_id)

    found, made = run_live(scenario(*HARMLESS, *SOON, "fleet.size=60"), during=cut)
    assert found.outcome.summary["outcomes"]["succeeded"] == 60
    assert found.reconciliation.agrees
    assert all(s[-1] == UPDATE_SUCCESS for s in made.statuses)


def test_a_restarted_endpoint_gets_its_modules_back():
    async def restart(made):
        await asyncio.sleep(0.4)
        port = made.endpoint.port
        await made.endpoint.stop()
        await asyncio.sleep(0.3)
        await made.endpoint.start(port=port)

    found, _ = run_live(scenario(*HARMLESS, *SOON, "fleet.size=40"), during=restart)
    assert found.outcome.summary["outcomes"]["succeeded"] == 40
    assert found.reconciliation.agrees


def test_a_brick_is_silence_and_the_books_say_so():
    given = scenario(*HARMLESS, *SOON, "fleet.size=6", "fleet.failures.brick=1", "fleet.failures.frailty_variance=0")
    found, made = run_live(given)
    assert found.outcome.summary["causes"] == {"bricked": 6}
    assert found.outcome.summary["outcomes"]["failed"] == 6
    assert found.reconciliation.agrees
    assert all(s[-1] == 9 for s in made.statuses)


def test_a_cloud_that_refuses_the_secret_ends_a_module_as_the_sdk_does(monkeypatch):
    monkeypatch.setenv("FOTASIM_PRODUCT_SECRET", "another secret of 16 or more")
    found, made = run_live(scenario(*HARMLESS, *SOON, "fleet.size=2"), seconds=2.5)
    assert found.outcome.summary["outcomes"]["never_online"] == 2
    assert made.secrets == {}


def test_the_cloud_may_ask_for_status_and_information():
    def prepare(made):
        made.asks = True

    found, made = run_live(scenario(*HARMLESS, *SOON, "fleet.size=3"), prepare=prepare)
    assert found.outcome.summary["outcomes"]["succeeded"] == 3
    status = [a for a in made.answers if a.command == 0x0032]
    info = [a for a in made.answers if a.command == 0x0042]
    assert len(status) == len(info) >= 3
    assert all(b"fw" in a.payload and b"1." in a.payload for a in info)


def test_a_refused_bootstrap_waits_as_long_as_its_error_says():
    def prepare(made):
        made.refuses = login.BAD_SIGNATURE  # 30 s, in real time

    found, made = run_live(scenario(*HARMLESS, *SOON, "fleet.size=3"), prepare=prepare, seconds=4.0)
    assert found.outcome.manifest["live"]["refused"] == {str(login.BAD_SIGNATURE): 3}
    assert len(made.logins) == 3  # nobody came again within the four seconds
    assert found.outcome.summary["outcomes"]["never_online"] == 3


def test_who_is_deferred_and_why_is_told_as_in_a_simulation():
    given = scenario(*HARMLESS, *SOON, "fleet.size=3", "fleet.groups.0.battery_percent=12")
    found, _ = run_live(given, seconds=4.0)
    assert found.outcome.summary["outcomes"]["pending"] == 3
    assert found.outcome.summary["causes"] == {"low_battery": 3}


@pytest.mark.parametrize(
    ("cloud", "limits", "rule"),
    [
        ("http://192.0.2.1", Limits(), "--allow 192.0.2.1"), ("http://192.0.2.1", Limits(("192.0.2.1",)), "--rate-cap"),
        ("ftp://127.0.0.1", Limits(), "is needed"), ("http://u:p@127.0.0.1", Limits(), "do not belong"),
        ("http://127.0.0.1:x", Limits(), "cloud URL"), ("mqtt://127.0.0.1:1", Limits(), "FOTASIM_PRODUCT_KEY"),
    ],
)  # fmt: skip
def test_targets_that_may_not_be_reached_are_refused_before_anything_is_sent(cloud, limits, rule):
    from sim.errors import FotasimError

    with pytest.raises(FotasimError, match=rule):
        asyncio.run(live(scenario("fleet.size=1"), cloud, Settings(limits=limits)))


def test_module_names_that_are_no_device_keys_are_refused(tmp_path, monkeypatch):
    from sim.errors import FotasimError

    (tmp_path / "fleet.csv").write_text("id\nabc\n", encoding="utf-8")
    text = BASE.replace("share: 1.0", f"file: {tmp_path / 'fleet.csv'}\n      columns: {{module: id}}")
    given = scenario(text=text)
    monkeypatch.setenv("FOTASIM_PRODUCT_KEY", "k")
    monkeypatch.setenv("FOTASIM_PRODUCT_SECRET", "s" * 16)
    with pytest.raises(FotasimError, match="'abc': a device key has 4 to 16"):
        asyncio.run(live(given, "mqtt://127.0.0.1:1", Settings()))


def test_limits_that_a_notice_cannot_carry_are_refused(monkeypatch):
    from sim.errors import FotasimError

    monkeypatch.setenv("FOTASIM_PRODUCT_KEY", "k")
    monkeypatch.setenv("FOTASIM_PRODUCT_SECRET", "s" * 16)
    given = scenario("plan.strategy.preconditions.min_battery_percent=30.9")
    with pytest.raises(FotasimError, match=r"min_battery_percent 30\.9: .* write 30 or 31"):
        asyncio.run(live(given, "mqtt://127.0.0.1:1", Settings()))


async def command(made, folder, *, interrupt=False):
    """Runs the command against a cloud; `interrupt` sends Ctrl-C after its first line of progress."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sim.cli", "live", str(folder / "s.yaml"), "--cloud", made.url, "--time-scale",
        str(SCALE), "--ramp", "100/s", "--duration", "60s", "--out", str(folder / "run"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**os.environ, "FOTASIM_TOKEN": "t0ken"},
    )  # fmt: skip
    if interrupt:
        assert b"done" in await asyncio.wait_for(process.stderr.readline(), 60)
        process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 90)
    return process.returncode, out.decode(), err.decode()


def test_the_command_leaves_a_run_folder_and_never_a_secret(tmp_path):
    given = scenario(*HARMLESS, *SOON, "fleet.size=5")
    (tmp_path / "s.yaml").write_text(given.to_yaml(), encoding="utf-8")

    async def both():
        async with cloud_of(given) as made:
            return await command(made, tmp_path)

    code, out, err = asyncio.run(both())
    assert code == 0, err
    assert "succeeded            5" in out
    assert "client and cloud agree" in out
    run = Run.load(tmp_path / "run")
    assert run.summary["outcomes"]["succeeded"] == 5
    assert run.events["source"].unique().tolist() == ["module"]
    legs = json.loads((tmp_path / "run" / "latencies.json").read_text(encoding="utf-8"))
    assert legs["url"]["count"] == 5
    written = b"".join(path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file())
    for secret in (PRODUCT_SECRET, "t0ken"):
        assert secret not in out + err
        assert secret.encode() not in written


def test_ctrl_c_keeps_what_is_there_and_says_partial(tmp_path):
    given = scenario(*HARMLESS, *SOON, "fleet.size=5", "fleet.groups.0.battery_percent=12")
    (tmp_path / "s.yaml").write_text(given.to_yaml(), encoding="utf-8")

    async def both():
        async with cloud_of(given) as made:
            return await command(made, tmp_path, interrupt=True)

    code, out, err = asyncio.run(both())
    assert code == 130, err
    assert "this run is partial" in out
    run = Run.load(tmp_path / "run")
    assert run.manifest["complete"] is False
    assert run.summary["outcomes"]["succeeded"] == 0


def test_histograms_of_two_processes_merge(tmp_path):
    from hdrh.histogram import HdrHistogram

    found, _ = run_live(scenario(*HARMLESS, *SOON, "fleet.size=3"))
    save_live(found, tmp_path / "run")
    row = json.loads((tmp_path / "run" / "latencies.json").read_text(encoding="utf-8"))["report"]
    merged = HdrHistogram(1, 3_600_000_000, 3)
    for _ in range(2):
        merged.decode_and_add(row["hdr"].encode())
    assert merged.get_total_count() == 2 * row["count"]
    assert merged.get_value_at_percentile(50.0) / 1e6 == row["p50_s"]
