"""The page of a capacity search: the same numbers in every format, whatever the folder's texts are."""

from __future__ import annotations

import copy
import csv
import json
import re
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace

import jsonschema
import pytest

from sim import archive
from sim.cli.result_folders import figures_by_kind, page_of
from sim.engines.live.live_engine import Settings
from sim.engines.live.slo import parse
from sim.engines.verification import check_folder
from sim.errors import FolderInUse, RecordsError
from sim.exit_status import ExitStatus
from sim.load.capacity.findings import KINDS, Findings, Search, save
from sim.load.capacity.search import Bounds, Measurement, search
from sim.report.figures.load_figures import evidence_curve
from sim.report.formats.html_page import render
from sim.report.formats.write import FORMATS, write_formats
from sim.report.model.report_schema import report_schema
from sim.report.pages.capacity_evidence import apart
from sim.report.pages.capacity_page import capacity_page
from sim.stats.evidence import Evidence
from tests.report.browser import chromium
from tests.report.hostile import HOSTILE, html_of
from tests.support import plain, scenario

SLO = parse("p99(notify)<2s, error_rate<0.1%")
HEALTH = {"lag_p99_s": 0.01, "lag_max_s": 0.05, "cpu": 0.4, "files": 90, "file_limit": 1000, "connections": 80,
          "port_limit": 28_232, "faults": []}  # fmt: skip


def cloud(capacity, *, health=None, void_above=1e9):
    """A fluid queue: above the capacity the wait grows with the excess, and at twice of it requests fail."""

    def probe(load, hold_s):
        wait = 0.05 + max(0.0, load / capacity - 1.0) * hold_s
        failed = 10.0 * (load >= 2.0 * capacity)
        legs = {
            "notice": {"count": load, "failures": 0.0, "p50_s": wait / 2, "p95_s": wait * 0.9, "p99_s": wait, "max_s": wait},
            "download": {"count": load, "failures": failed},
        }  # fmt: skip
        values = {"p99(notify)<2s": wait, "error_rate<0.1%": failed / (2 * load + failed)}
        evidence = {
            "p99(notify)<2s": Evidence(20_000, 20_000 * (wait >= 2.0), 0.01),
            "error_rate<0.1%": Evidence(20_000, int(20_000 * values["error_rate<0.1%"]), 0.001),
        }  # fmt: skip
        late = ("its timers were late",) if load > void_above else ()
        return Measurement(
            values, evidence, {"modules": load, "requests_per_s": load / 10}, legs, (), late, ("a hint",), health or {}
        )

    return probe


def findings(live=800.0, simulated=1000.0, **options):
    """What a search of both clouds found."""
    void_above = options.pop("void_above", 1e9)
    bounds = Bounds(100.0, 1.0, 1e5, 0.05, 20.0, 60.0)
    wanted = Search(KINDS["releases"], SLO, bounds, settings=Settings(time_scale=60.0), workers=2, **options)
    verdicts = {"simulated": search(cloud(simulated), SLO, bounds)}
    if live:
        two = {"1": HEALTH, "2": HEALTH | {"cpu": 0.6}}
        verdicts["live"] = search(cloud(live, health=two, void_above=void_above), SLO, bounds)
    return Findings(scenario(), wanted, "http://127.0.0.1:8080" if live else None, verdicts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with every format."""
    place = save(findings(need=500.0), tmp_path_factory.mktemp("capacity") / "run")
    write_formats(page_of(place), place, FORMATS)
    return place


def test_every_face_gives_the_same_numbers(folder):
    found = json.loads((folder / "capacity.json").read_text())
    capacity, recommended = f"{found['live']['capacity']:,.0f}", f"{found['recommended']:,}"
    html, markdown = ((folder / name).read_text() for name in ("report.html", "report.md"))
    assert found["live"]["confirmed"] and found["met"]
    for text in (html, markdown):
        assert capacity in text and recommended in text
    whole = json.loads((folder / "report.json").read_text())
    jsonschema.validate(whole, report_schema())
    assert whole["kind"] == "capacity"
    with (folder / "tables" / "steps.csv").open(newline="") as file:
        steps = list(csv.DictReader(file))
    curve = found["live"]["curve"] + found["simulated"]["curve"]
    assert [float(row["load"]) for row in steps] == [p["load"] for p in curve]
    assert [float(row["p99_notify_s"]) for row in steps] == [p["values"]["p99(notify)<2s"] for p in curve]
    assert {row["outcome"] for row in steps} == {"kept", "broken"}
    assert float(steps[0]["lag_p99_s"]) == 0.01 and float(steps[0]["cpu"]) == 0.6  # the busier worker
    assert len(whole["tables"]["generator"]) == 2 * len(found["live"]["curve"])


def test_the_difference_of_prediction_and_measurement_is_stated(folder):
    found = json.loads((folder / "capacity.json").read_text())
    percent = 100.0 * (found["simulated"]["capacity"] / found["live"]["capacity"] - 1.0)
    assert percent == pytest.approx(25.0, abs=7.0)
    assert f"{percent:.0f} % above the measurement" in plain((folder / "report.html").read_text())


def test_checks_are_what_had_to_hold(folder):
    cases = ET.parse(folder / "report.xml").getroot().findall(".//testcase")
    names = [case.get("name") for case in cases]
    assert names == ["a largest load was found and held", "p99(notify)<2s", "error_rate<0.1%",
                     "500 releases per minute are sustained", "the load generator was not the bottleneck"]  # fmt: skip
    assert not any(case.find("failure") is not None for case in cases)


@pytest.mark.parametrize(
    ("options", "key", "word", "failed"),
    [
        ({"live": None}, "none", None, []),
        ({"live": None, "need": 500.0}, "go", "Sustained", []),
        ({"need": 5000.0}, "no-go", "Not sustained", ["5,000 releases per minute are sustained"]),
        ({"live": 1e-6}, "no-go", "None",
         ["a largest load was found and held", "p99(notify)<2s", "error_rate<0.1%"]),
        ({"void_above": 300.0}, "partial", "Partial",
         ["a largest load was found and held", "the load generator was not the bottleneck"]),
    ],
)  # fmt: skip
def test_verdicts(options, key, word, failed):
    """A prediction alone decides nothing by itself; a void search says so."""
    found = findings(**options).as_dict()
    manifest = json.loads(json.dumps(_manifest()))
    page = capacity_page(json.loads(json.dumps(found)), manifest)
    assert (page.verdict.key, word or f"{found['simulated']['capacity']:,.0f}") == (key, page.verdict.word)
    assert [check.name for check in page.checks if not check.passed] == failed


def _manifest():
    host = {"python": "3.11", "system": "Linux", "machine": "x"}
    return {"kind": "capacity", "fotasim": "1", "commit": "", "seed": 1, "host": host, "scenario_sha256": "abc"}


def test_the_first_to_give_way_is_named_with_what_helps():
    page = capacity_page(findings().as_dict(), _manifest())
    table = next(t for t in page.tables() if t.name == "first_to_give_way")
    assert [row[1] for row in table.rows] == ["answering requests (matching, notices)"] * 2
    assert all("requests" in row[5] for row in table.rows)


def test_a_fault_of_the_server_is_named_in_words():
    """It is no objective and has no figure."""
    found, fault = findings(live=None), "the server falls behind: the latency of wake grew by 1 s within 15 s"
    point = found.verdicts["simulated"].first_broken
    broken = replace(point, broken=(fault, *point.broken), measured=replace(point.measured, faults=(fault,)))
    found.verdicts["simulated"].points[found.verdicts["simulated"].points.index(point)] = broken
    page = capacity_page(json.loads(json.dumps(found.as_dict())), _manifest())
    table = next(t for t in page.tables() if t.name == "first_to_give_way")
    assert [row[2] for row in table.rows] == [fault, *point.broken]
    remarks = next(t for t in page.tables() if t.name == "remarks")
    assert fault in [row[-1] for row in remarks.rows]


@pytest.mark.parametrize(
    ("load", "word", "statuses"), [(5.0, "Undecided", {ExitStatus.UNDECIDED}), (100.0, "Sustained", set())]
)  # fmt: skip
def test_too_little_evidence_is_undecided_on_the_page(load, word, statuses):
    """A load with 50 samples in all of its budget is neither sustained nor not; a report of it ends as the search did."""
    term, slo = "p99(notify)<2s", parse("p99(notify)<2s")

    def few(load, hold_s):
        count = int(load * hold_s / 60.0)
        return Measurement({term: 0.05}, {term: Evidence(count, 0, 0.01)}, {"modules": count})

    bounds = Bounds(load, high=load)
    wanted = Search(KINDS["releases"], slo, bounds, need=load)
    page = capacity_page(
        Findings(scenario(), wanted, None, {"simulated": search(few, slo, bounds)}).as_dict(), _manifest()
    )
    assert page.verdict.word == word
    assert {check.status for check in page.checks if not check.passed} == statuses


def test_the_command_that_repeats_it_is_one_the_command_line_takes():
    from typer.main import get_command

    from sim.cli.common import app

    page = capacity_page(findings(need=500.0).as_dict(), _manifest())
    text = next(
        b.text for s in page.sections if s.title == "Repeat this search" for b in s.blocks if hasattr(b, "text")
    )
    options = {o for p in get_command(app).commands["capacity"].params for o in (*p.opts, *p.secondary_opts)}
    given = set(re.findall(r"--[a-z-]+", text))
    assert given <= options
    assert {"--slo", "--cloud", "--workers", "--time-scale", "--need"} <= given


def _poisoned(value):
    if isinstance(value, dict):
        return {key: _poisoned(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_poisoned(inner) for inner in value]
    return HOSTILE if isinstance(value, str) else value


def test_hostile_texts_are_texts(tmp_path):
    """Names, addresses, reasons and hints of a server."""
    found = findings(need=500.0).as_dict()
    poisoned = copy.deepcopy(found) | {
        "scenario": HOSTILE,
        "cloud": HOSTILE,
        "allow": [HOSTILE],
        "recommended_unit": HOSTILE,
    }
    for name in ("live", "simulated"):
        poisoned[name] = found[name] | {"reason": HOSTILE, "first_to_give_way": [
            part | {"resource": HOSTILE, "lever": HOSTILE} for part in found[name]["first_to_give_way"]
        ]}  # fmt: skip
        for point in poisoned[name]["curve"]:
            point["hints"], point["phase"] = [HOSTILE], HOSTILE
    page = capacity_page(poisoned, _poisoned(_manifest()))
    write_formats(page, tmp_path, FORMATS)
    html, markdown = ((tmp_path / name).read_text() for name in ("report.html", "report.md"))
    assert html.count("<script") == 1 and "<img" not in html and "\x00" not in html and "\u202e" not in html
    assert not re.search(r"<(script|img|a|h1)\b", html_of(markdown))
    ET.parse(tmp_path / "report.xml")
    assert json.loads((tmp_path / "report.json").read_text())["title"].startswith(HOSTILE[:20])


@pytest.mark.parametrize(
    "damage", [lambda f: f.pop("slo"), lambda f: f.update(format=2), lambda f: f.update(live=3), lambda f: f.clear()]
)
def test_a_damaged_folder_is_named(folder, tmp_path, damage):
    found = json.loads((folder / "capacity.json").read_text())
    damage(found)
    (tmp_path / "capacity.json").write_text(json.dumps(found))
    (tmp_path / "manifest.json").write_text(json.dumps(_manifest()))
    with pytest.raises(RecordsError, match="capacity search"):
        page_of(tmp_path)


def test_a_search_takes_the_place_of_a_search_alone_and_only_when_told_to(folder, tmp_path):
    place = save(findings(live=None), tmp_path / "run")
    with pytest.raises(FolderInUse, match="holds a capacity search already"):
        save(findings(), place)
    save(findings(), place, overwrite=True)
    assert "live" in json.loads((place / "capacity.json").read_text())
    (place / "manifest.json").write_text('{"kind": "run"}')
    with pytest.raises(RecordsError, match="holds a run"):
        save(findings(), place, overwrite=True)


@pytest.mark.parametrize("log", [True, False])
def test_the_curve_shows_the_limit_and_every_mark_within_its_axes(log):
    figure = evidence_curve(
        {"p99": ([1, 2, 4], [0.1, 0.5, 3.0])}, x_label="load", y_label="notice, s", limit=("p99<2s", 2.0), held=(2.5, 1.0),
        broken=[(4, 3.0), (3.5, 40.0)], log=log,
    )  # fmt: skip
    axes = figure.axes[0]
    assert axes.get_xlabel() and axes.get_ylabel()
    lines = [line for line in axes.get_lines() if line.get_gid() == "series"]
    assert lines[0].get_ydata().tolist() == [0.1, 0.5, 3.0]
    assert axes.get_ylim()[1] > 40.0 and axes.get_xlim()[1] > 4
    assert axes.texts[0].get_text() == "p99<2s"


@pytest.mark.parametrize("width", [1440, 390])
def test_accessible_and_within_its_width(folder, width):
    from axe_playwright_python.sync_playwright import Axe

    with chromium(width) as view:
        view.goto((folder / "report.html").as_uri())
        found = Axe().run(view).response["violations"]
        assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found] == []
        assert view.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_is_made_anew_from_the_folder_alone(folder):
    assert render(page_of(folder)) == (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("difference", "text"), [(0.0, "within 1 % of"), (-0.004, "within 1 % of"), (0.12, "12 % above"), (-0.006, "1 % below")]
)  # fmt: skip
def test_a_prediction_that_agrees_is_not_below_by_nothing(difference, text):
    assert apart(difference) == text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d["live"].update(capacity=5000.0), "capacity was kept"),
        (lambda d: d.update(answer="undecided"), "answer is 'undecided'"),
        (lambda d: d.update(recommended=9999), "recommended is 9999"),
        (lambda d: d["live"].update(confirmed=not d["live"]["confirmed"]), "confirmed"),
    ],
)
def test_a_changed_search_is_found_out_by_its_steps(folder, tmp_path, change, told):
    """Somebody who changes what a search came to, and hashes anew, is found out; as it was written nothing differs."""
    changed = tmp_path / "changed"
    shutil.copytree(folder, changed)
    archive.seal(changed)
    assert check_folder(changed, figures=figures_by_kind())["findings"] == []
    found = json.loads((changed / "capacity.json").read_text())
    change(found)
    (changed / "capacity.json").write_text(json.dumps(found))
    archive.seal(changed)
    findings = [f.what for f in check_folder(changed, figures=figures_by_kind())["findings"]]
    assert any(told in text for text in findings), findings


@pytest.mark.parametrize("devices", ["", "fc-1a2b-", "fc-1a2b-, fk-3c4d-"])
def test_devices_that_a_search_leaves_are_told(devices):
    """By what their ids begin with, in the last line and for programs; a search that made none says nothing."""
    found = findings()
    found.devices = devices
    told = [line for line in found.lines() if line.startswith("left at the cloud")]
    assert told == (
        [f"left at the cloud: the devices of all probes, whose ids begin with {devices}; delete them there"]
        if devices
        else []
    )
    assert found.as_dict()["devices_left"] == devices
