"""Several runs: side by side, against an older one, over a folder of releases; and what the commands say of it."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET

import pytest
from typer.testing import CliRunner

from sim.cli.common import app
from sim.engines.run import save
from sim.exit_status import ExitStatus
from sim.report.from_runs import comparison, single
from sim.report.model.run_changes import changes, settings
from sim.report.model.run_report import build
from sim.report.pages.trend_page import archived, trend_page
from tests.report.made import lost, made_run, module
from tests.support import run

import sim.cli  # noqa: F401 # isort: skip - adds the commands


def _fleet(bricked: int, of: int = 2000):
    return [*(module(upgraded_s=1000.0 + i) for i in range(of - bricked)),
            *(lost("bricked", "downloaded", "failed", updating_s=9.0) for _ in range(bricked))]  # fmt: skip


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """Three archived releases of one scenario: 1.10.0 bricks far more than 1.9.0 and 1.2.0."""
    folder = tmp_path_factory.mktemp("archive")
    for name, brick in (("1.2.0", 0.0), ("1.9.0", 0.0), ("1.10.0", 0.2)):
        outcome = run(f"fleet.failures.brick={brick}", "fleet.size=400", "gates={bricked: '<= 0.5'}")
        save(outcome, folder / name)
    return folder


def test_more_bricks_are_a_regression_and_noise_is_not(tmp_path):
    """1 against 40 of 2,000 is beyond noise, 1 against 2 is not."""
    runs = [made_run(tmp_path / str(n), _fleet(n)) for n in (1, 2, 40)]
    reports = [build(r) for r in runs]
    verdicts = {c.metric: c.verdict for c in changes(reports[0], reports[1])}
    assert (verdicts["bricked"], verdicts["success_rate"]) == ("unclear", "unclear")
    verdicts = {c.metric: c.verdict for c in changes(reports[0], reports[2])}
    assert (verdicts["bricked"], verdicts["success_rate"]) == ("worse", "worse")
    assert verdicts["peak_downloads"] == "same"


@pytest.mark.parametrize(("campaigns", "verdict"), [(3, "unclear"), (21, "worse")])
def test_campaigns_are_paired_on_common_seeds(tmp_path, campaigns, verdict):
    """Every campaign one brick worse, while the campaigns differ among themselves: three may be luck, 21 are not."""
    spread = (5, 25, 45) * (campaigns // 3)
    first = [dict(row, replication=r) for r, n in enumerate(spread) for row in _fleet(n, 500)]
    second = [dict(row, replication=r) for r, n in enumerate(spread) for row in _fleet(n + 1, 500)]
    runs = made_run(tmp_path / "a", first), made_run(tmp_path / "b", second)
    found = {c.metric: c for c in changes(build(runs[0]), build(runs[1]), runs)}
    assert found["bricked"].difference == pytest.approx(1 / 500)
    assert found["bricked"].low == pytest.approx(1 / 500 if verdict == "worse" else 0.0)
    assert found["bricked"].verdict == verdict


def test_settings_that_differ(tmp_path):
    """By dotted key; names and seeds do not count."""
    runs = {n: made_run(tmp_path / n, [module()], plan={"name": n, "retry": i}) for i, n in enumerate("ab")}
    assert settings(runs) == [("plan.retry", "0", "1")]


def test_fewest_bricks_are_recommended(tmp_path):
    """Of two that meet their gates the one with fewer bricks; a third that does not meet them is out."""
    for name, n in (("many", 40), ("few", 1), ("worst", 900)):
        made = made_run(tmp_path / name, _fleet(n), gates={"bricked": "<= 0.1"})
        made.modules.to_parquet(made.path / "modules.parquet")
        made.timeline.to_parquet(made.path / "timeline.parquet")
        (made.path / "manifest.json").write_text(json.dumps(made.manifest))
        (made.path / "summary.json").write_text(json.dumps(made.summary))
    page, plain = comparison([tmp_path / name for name in ("many", "few", "worst")])
    assert page.verdict.blocks[0].strong == "Recommended: few."
    assert page.variants == ["many", "few", "worst"]
    assert [r["verdict"] for r in plain] == ["go", "go", "no-go"]


def test_against_the_previous_release(releases):
    """The page says what got worse; it is a check only when asked."""
    page, _ = single(releases / "1.10.0", against=releases / "1.9.0")
    assert "bricked (0.00 % to" in page.verdict.blocks[2].text
    assert all(check.passed for check in page.checks)
    page, _ = single(releases / "1.10.0", against=releases / "1.9.0", fail_on_regression=True)
    assert not page.checks[-1].passed


def test_trend_orders_releases_and_marks_the_regression(releases):
    """1.2.0, 1.9.0, 1.10.0; the last is worse than the one before."""
    runs = archived(releases)
    assert [r.name for r in runs] == ["1.2.0", "1.9.0", "1.10.0"]
    page = trend_page(runs, "t", fail_on_regression=True)
    (table,) = [t for t in page.tables() if t.name == "runs"]
    assert ["bricked" in row[-1] for row in table.rows] == [False, False, True]
    assert page.verdict.word == "Regressions"
    assert not page.checks[0].passed


def test_damaged_and_partial_runs_are_passed_over(releases, tmp_path):
    """A folder of runs may hold others things."""
    shutil.copytree(releases / "1.2.0", tmp_path / "whole")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "summary.json").write_text("{")
    assert [r.name for r in archived(tmp_path)] == ["whole"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("report", "1.9.0", "--format", "json,md"), 0, "report.md"),
        (("report", "1.9.0", "--gate", "bricked upper <= 1e-6"), 4, "too little"),
        (("report", "1.9.0", "--gate", "bricked upper <= 1e-6", "--marginal-as", "go"), 4, "TOO LITTLE"),
        (("report", "1.9.0", "--gate", "bricked upper <= 1e-6", "--marginal-as", "no-go"), 4, "Invalid"),
        (("report", "1.9.0", "--gate", "success_rate >= 0.9999"), 1, "NOT MET"),
        (("report", "1.9.0", "--gate", "speed <= 1"), 2, "is not a metric"),
        (("report", "1.9.0", "--format", "docx"), 2, "choose from html, pdf"),
        (("report", "1.9.0", "1.10.0", "--against", "1.2.0"), 2, "give one FOLDER"),
        (("report", "1.10.0", "--against", "1.9.0"), 0, "report.html"),
        (("report", "1.10.0", "--against", "1.9.0", "--fail-on-regression"), 1, "worse than 1.9.0"),
        (("trend", "."), 0, "trend.html"),
        (("trend", ".", "--order", "size"), 2, "choose name or time"),
    ],
)
def test_commands(releases, monkeypatch, tmp_path, arguments, status, words):
    """Exit status and what is said."""
    monkeypatch.chdir(releases)
    writes = ("--out", str(tmp_path)) if status < 2 else ()
    done = CliRunner().invoke(app, [*arguments, *writes])
    assert done.exit_code == status, done.output
    assert words in done.output


def test_junit_of_a_comparison(releases, monkeypatch, tmp_path):
    """A suite for each run."""
    monkeypatch.chdir(releases)
    CliRunner().invoke(app, ["report", "1.2.0", "1.10.0", "--format", "junit", "--out", str(tmp_path)])
    assert [s.get("name") for s in ET.parse(tmp_path / "report.xml").getroot()] == ["1.2.0", "1.10.0"]


def test_a_check_says_what_it_came_to_in_the_words_of_the_verdict(tmp_path):
    """In JUnit and on the terminal: no failed check is `gate not met` unless a gate was not met."""
    from sim.report.formats.junit import to_junit
    from sim.report.page import Check, Page
    from sim.report.pages.study_parts import whole

    checks = [
        Check("a", "s", False, "t", ExitStatus.UNDECIDED, "too little", by_chance=False), Check("b", "s", False, "t"),
        Check("c", "s", False, "t", ExitStatus.UNDECIDED), Check("d", "s", False, "t", 4, "Invalid"), *whole(False, "s"),
    ]  # fmt: skip
    told = to_junit(Page("p", checks=checks))
    for state in ("too little", "not met", "undecided", "Invalid", "partial"):
        assert told.count(f'type="{state}"') == 1
    assert "not judged: it was interrupted" in told and whole(False, "s")[0].status == ExitStatus.INTERRUPTED


def test_an_interval_without_width_is_none():
    """All campaigns gave the same: that is no certainty about the next one."""
    from sim.report.show import interval

    assert interval("energy", 0.0, 0.0) == "no interval: all equal" and interval("count", 1.0, 2.0) == "1 to 2"


@pytest.fixture(scope="module")
def unlike_runs(tmp_path_factory):
    """A run, and the same with a shorter horizon, more modules, a stronger fleet, and the next release on the same fleet."""
    folder = tmp_path_factory.mktemp("unlike")
    for name, given in {
        "1": (), "shorter": ("horizon=6h",), "more": ("fleet.size=150",), "stronger": ("fleet.groups.0.rsrp_dbm=-80",),
        "next": ("fleet.groups.0.components.fw=1.1.0", "plan.components.0.target_version=1.2.0"),
    }.items():  # fmt: skip
        save(run("fleet.size=100", "fleet.failures.brick=0.2", "gates={bricked: '<= 0.5'}", *given), folder / name)
    return folder


@pytest.mark.parametrize(
    ("name", "why"),
    [("shorter", "horizon"), ("more", "100 and 150 modules"), ("stronger", "fleet.groups.all.rsrp_dbm"), ("next", "")],
)  # fmt: skip
def test_runs_that_are_not_like_with_like_gain_nothing(unlike_runs, tmp_path, name, why):
    """Horizon and fleet are named first, in every product; the versions installed on a fleet are no other fleet."""
    shutil.copytree(unlike_runs / "1", tmp_path / "1")
    shutil.copytree(unlike_runs / name, tmp_path / "2")
    trend = trend_page(archived(tmp_path), "t", fail_on_regression=True)
    against, _ = single(tmp_path / "2", against=tmp_path / "1", fail_on_regression=True)
    beside, _ = comparison([tmp_path / "1", tmp_path / "2"])
    for page in (trend, against, beside):
        tables = [t for t in page.tables() if t.name in ("last_step", "against_1", "differences")]
        marks = [row[-1] for t in tables for row in t.rows]
        assert marks
        if why:
            assert not {"▲ better", "▼ worse"} & set(marks)
    for check in (trend.checks[-1], against.checks[-1]):
        assert why in check.text
        assert (check.passed, check.status) == ((False, 4) if why else (True, 1))
    assert beside.verdict.word == ("Not like with like" if why else "Go")
    assert ("Recommended" in str(beside.verdict.blocks)) == (not why)


def test_a_trend_tells_the_verdict_of_the_newest_run(tmp_path):
    """Too few modules for a gate is no failure of it, and a run that stopped itself is no green trend."""
    save(run("fleet.size=40", "gates={bricked: '<= 1e-4'}"), tmp_path / "1")
    page = trend_page(archived(tmp_path), "t")
    assert (page.verdict.key, page.verdict.word) == ("invalid", "Newest: Invalid")
    assert "bricked <= 1e-4 too little" in page.verdict.blocks[1].items[0].text
    for path in ("1", "2"):
        shutil.copytree(tmp_path / "1", tmp_path / "again" / path)
        told = json.loads((tmp_path / "1" / "summary.json").read_text()) | {"verdict": "stopped", "gates": []}
        (tmp_path / "again" / path / "summary.json").write_text(json.dumps(told))
    page = trend_page(archived(tmp_path / "again"), "t")
    assert (page.verdict.key, page.verdict.word) == ("stopped", "Newest: Stopped")
