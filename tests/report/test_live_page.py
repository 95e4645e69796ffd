"""The page of a live run, on a real one: twelve modules over real sockets against a small cloud on loopback."""

from __future__ import annotations

import asyncio
import json
import shutil

import jsonschema
import pytest

from sim.engines.live.live_engine import Settings
from sim.engines.live.live_run import live, save_live
from sim.records import Run
from sim.report.formats.html_page import render
from sim.report.formats.write import FORMATS, write_formats
from sim.report.from_runs import single
from sim.report.model.report_schema import report_schema
from sim.report.model.run_report import build
from sim.report.pages.run_page import run_page
from tests.live_cloud import LiveCloud
from tests.report.browser import chromium
from tests.report.hostile import HOSTILE, check_folder
from tests.support import HARMLESS, scenario

SCALE = 3600.0
SOON = (
    "fleet.size=12", "fleet.groups.0.check_in={every: 1h, jitter: 5min, awake: 50min}",
    "fleet.groups.0.battery_percent=90", "fleet.groups.0.rsrp_dbm=-90", "gates={success_rate: '>= 0.9'}", *HARMLESS,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a live run."""
    given = scenario(*SOON, "gates={success_rate: '>= 0.6'}")

    async def both():
        cloud = LiveCloud(given, time_scale=SCALE)
        await cloud.start()
        try:
            return await live(given, cloud.url, Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=60.0))
        finally:
            await cloud.stop()

    return save_live(asyncio.run(both()), tmp_path_factory.mktemp("live") / "run").path


def table(page, name):
    """Rows of a table as dictionaries of raw values."""
    (found,) = (t for t in page.tables() if t.name == name)
    return [dict(zip([c.key for c in found.columns], row, strict=True)) for row in found.raw()]


def tampered(folder, tmp_path, **told):
    """The run with other words of the live engine in its manifest."""
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["live"] |= told
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def test_it_says_where_it_went_and_how_long_each_leg_took(folder):
    """Target, time scale; each leg with the count that lies in latencies.json."""
    page, (plain,) = single(folder)
    measured = json.loads((folder / "latencies.json").read_text())
    assert {row["leg"]: row["count"] for row in table(page, "latencies")} == {
        leg: row["count"] for leg, row in measured.items() if row["count"] or row["failures"]
    }
    for row in table(page, "latencies"):
        assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] <= row["max_ms"]
    assert "live against 127.0.0.1:" in page.facts and "waits shortened 3600 times" in page.facts
    assert [leg["name"] for leg in plain["live"]["legs"]][:3] == ["wake", "upgrade", "connect"]


def test_both_counts_stand_on_it(folder):
    """Twelve modules on both sides, and a test case that they agree."""
    page, _ = single(folder)
    rows = table(page, "client_and_cloud")
    assert all(row["client"] == row["cloud"] and row["differ"] == 0 for row in rows)
    assert rows[0]["client"] == 12
    assert [(c.name, c.passed) for c in page.checks][-1] == ("client and cloud agree", True)
    assert page.verdict.word == "Go"


def test_counts_that_differ_make_the_run_void(folder, tmp_path):
    """Whatever the gates say."""
    apart = {"what": "modules upgraded / successes counted", "client": 12, "cloud": 11, "differ": 1, "examples": ["m1"]}
    page, _ = single(tampered(folder, tmp_path, reconciliation={"agrees": False, "note": "", "findings": [], "checks": [apart]}))  # fmt: skip
    assert page.verdict.word == "Invalid"
    assert [check.status for check in page.checks if not check.passed] == [3]
    assert page.verdict.blocks[0].strong == "Client and cloud do not agree:"
    assert "12 and 11, 1 module apart" in page.verdict.blocks[0].text
    assert not page.checks[-1].passed


def test_nobody_to_ask_is_no_disagreement(folder, tmp_path):
    """An MQTT address alone: the page says so, nothing fails."""
    page, _ = single(tampered(folder, tmp_path, reconciliation={"agrees": None, "note": "an mqtt URL", "checks": [], "findings": []}))  # fmt: skip
    assert page.verdict.word == "Go"
    assert "client and cloud agree" not in [check.name for check in page.checks]
    assert "an mqtt URL" in render(page)


def test_without_its_latencies_it_still_has_a_page(folder, tmp_path):
    """A file that is gone or torn costs its section only."""
    copy = tampered(folder, tmp_path)
    (copy / "latencies.json").write_text("{")
    page, _ = single(copy)
    assert "latencies" not in {t.name for t in page.tables()}


def test_every_face_and_hostile_words_of_a_server(folder, tmp_path):
    """The schema holds, and no word of a manifest or of the latencies breaks out of any format."""
    check = {"what": HOSTILE, "client": 1, "cloud": 2, "differ": 1, "examples": [HOSTILE]}
    compared = {"agrees": False, "note": HOSTILE, "findings": [HOSTILE], "checks": [check]}
    copy = tampered(folder, tmp_path, target=HOSTILE, reconciliation=compared)
    leg = {
        "meaning": HOSTILE,
        "count": 1,
        "failures": {HOSTILE: 3},
        "p50_s": 1.0,
        "p95_s": 1.0,
        "p99_s": 1.0,
        "max_s": 1.0,
    }
    (copy / "latencies.json").write_text(json.dumps({HOSTILE: leg}))
    run = Run.load(copy)
    report = build(run)
    write_formats(run_page(report, run), tmp_path, FORMATS, runs=[report.plain()])
    check_folder(tmp_path)
    jsonschema.validate(json.loads((tmp_path / "report.json").read_text()), report_schema())


@pytest.mark.parametrize("width", [1440, 390])
def test_accessible_and_within_its_width(folder, width, tmp_path):
    """No finding of axe-core, nothing wider than the window."""
    from axe_playwright_python.sync_playwright import Axe

    path = tmp_path / "live.html"
    path.write_text(render(single(folder)[0]), encoding="utf-8")
    with chromium(width) as view:
        view.goto(path.as_uri())
        found = Axe().run(view).response["violations"]
        assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found] == []
        assert view.evaluate("document.documentElement.scrollWidth") <= width
