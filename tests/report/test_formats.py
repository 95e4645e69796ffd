"""Every format says the same, and nothing in a name or text can break out of any of them."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pandas as pd
import pyarrow.parquet as pq
import pytest

from sim.report.formats.markdown import escape
from sim.report.formats.write import FORMATS, write_formats
from sim.report.model.report_schema import report_schema
from sim.report.model.run_report import build
from sim.report.page import Tiles
from sim.report.pages.run_page import run_page
from tests.report.hostile import HOSTILE, check_folder, html_of
from tests.report.made import lost, made_run, module
from tests.support import plain, require


def _decided(text: str) -> list[tuple[float, str, str, str]]:
    return [(0.0, "activated", "", ""), (9e4, "criterion_fired", text, text), (9e4, "paused", text, text)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with everything a page can show: gates, harm, decisions, several groups."""
    rows = [*(module(group="one", hardware="A", upgraded_s=1000.0 + 7 * i) for i in range(60)),
            *(module(group="two", hardware="B", upgraded_s=5000.0 + 77 * i) for i in range(37))]  # fmt: skip
    rows += [
        lost("bricked", "downloaded", "failed", hardware="B", updating_s=400.0),
        lost("weak_signal"),
        lost("no_space"),
    ]
    return made_run(
        tmp_path_factory.mktemp("made") / "run", rows,
        gates={"success_rate": "lower >= 0.9", "bricked": "<= 1e-4", "duration_p95": "<= 1h"}, decisions=_decided("1"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def formats(run, tmp_path_factory):
    """Page and folder with every format of it."""
    report = build(run, price_per_mb=0.1)
    page = run_page(report, run)
    folder = tmp_path_factory.mktemp("formats")
    write_formats(page, folder, FORMATS, runs=[report.plain()])
    return page, folder


class _Tables(HTMLParser):
    """Tables of a page by name: their cells as text."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.cell = False

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.rows = self.tables.setdefault(dict(attrs)["data-name"], [])
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.cell = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.cell = False

    def handle_data(self, data):
        if self.cell:
            self.rows[-1][-1] += data


def test_html_shows_every_table(formats):
    """Cell by cell, with the headings."""
    page, folder = formats
    parser = _Tables()
    parser.feed(plain((folder / "report.html").read_text()))
    for table in page.tables():
        assert parser.tables[table.name] == [[c.label for c in table.columns], *table.shown()]


def test_markdown_shows_the_same(formats):
    """Every table that is not folded, cell by cell, read back by a Markdown reader."""
    page, folder = formats
    text = (folder / "report.md").read_text()
    parser = _Tables()
    parser.feed(html_of(text).replace("<table>", '<table data-name="all">'))
    rows = [[cell.strip() for cell in row] for row in parser.tables["all"]]
    for table in page.tables():
        if not table.folded:
            assert all([cell.strip() for cell in row] in rows for row in table.shown()), table.name
    assert len(text) < 65_536


def test_pdf_shows_the_same(formats):
    """Every cell of every table that is not folded, and every tile, stands in the PDF."""
    page, folder = formats
    done = subprocess.run(
        [require("pdftotext"), "-layout", folder / "report.pdf", "-"], capture_output=True, text=True, check=True
    )
    printed = _joined(done.stdout)
    tiles = [tile.value for block in page.blocks() if isinstance(block, Tiles) for tile in block.tiles]
    gates = [
        cell
        for table in page.tables()
        if table.name in ("gates", "durations", "costs")
        for row in table.shown()
        for cell in row[1:4]
    ]
    for text in (*tiles, *gates):
        assert _joined(text) in printed, text


def _joined(text: str) -> str:
    return re.sub(r"[\s\u200b]+", "", text)


def test_tables_hold_the_raw_values(formats):
    """CSV and Parquet give the numbers behind what is shown; JSON gives them too."""
    page, folder = formats
    whole = json.loads((folder / "report.json").read_text())
    for table in page.tables():
        keys = [column.key for column in table.columns]
        raw = [dict(zip(keys, row, strict=True)) for row in table.raw()]
        assert whole["tables"][table.name] == raw
        assert pq.read_table(folder / "tables" / f"{table.name}.parquet").to_pylist() == [
            {k: float(v) if isinstance(v, int) and not isinstance(v, bool) else v for k, v in row.items()}
            for row in raw
        ]
        with (folder / "tables" / f"{table.name}.csv").open(newline="", encoding="utf-8") as file:
            read = list(csv.DictReader(file))
        for row, values in zip(read, raw, strict=True):
            for key, value in values.items():
                assert (
                    (float(row[key]) == value)
                    if isinstance(value, float)
                    else row[key].lstrip("'") == ("" if value is None else str(value))
                )


def test_junit_has_a_case_for_each_gate(formats):
    """Three gates, and that the plan did not stop itself; what is not met is a failure."""
    page, folder = formats
    root = ET.parse(folder / "report.xml").getroot()
    cases = root.findall(".//testcase")
    assert [case.get("name") for case in cases] == [check.name for check in page.checks]
    assert (
        [case.find("failure") is None for case in cases]
        == [check.passed for check in page.checks]
        == [True, False, False, False]
    )
    assert root.get("failures") == "3"


def test_json_follows_its_schema(formats):
    """The schema that is checked in is the one in force, and the report obeys it."""
    _, folder = formats
    schema = json.loads(Path("reports/report.schema.json").read_text())
    assert schema == json.loads(json.dumps(report_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads((folder / "report.json").read_text()), schema)


def test_same_page_same_bytes(formats, run, tmp_path):
    """Nothing random, no date, in any format."""
    page, folder = formats
    write_formats(page, tmp_path, FORMATS, runs=[build(run, price_per_mb=0.1).plain()])
    for path in folder.rglob("*.*"):
        assert path.read_bytes() == (tmp_path / path.relative_to(folder)).read_bytes(), path.name


# --- hostile texts -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Every field that can carry a text carries a hostile one."""
    rows = [module(group=HOSTILE, hardware=HOSTILE, technology=HOSTILE, cloud_state=HOSTILE) for _ in range(30)]
    rows += [lost(HOSTILE, "none", group="=cmd()", hardware="B") for _ in range(12)]
    rows += [lost("bricked", "downloaded", "failed", hardware=HOSTILE, updating_s=3.0) for _ in range(12)]
    made = made_run(
        tmp_path_factory.mktemp("hostile") / "run", rows, gates={"bricked": "<= 1e-4"},
        description=HOSTILE, plan={"name": HOSTILE}, decisions=_decided(HOSTILE),
    )  # fmt: skip
    made.summary["scenario"] = HOSTILE
    made.manifest |= dict.fromkeys(("fotasim", "commit", "scenario_sha256"), HOSTILE)
    made.manifest["host"] = {"python": HOSTILE, "system": HOSTILE}
    made.manifest["parameters"] = [{
        "name": HOSTILE, "section": "x", "value": 1.0, "by_group": {HOSTILE: 2.0}, "default": 1.0, "unit": HOSTILE,
        "provenance": HOSTILE, "source": HOSTILE, "meaning": HOSTILE, "low": 0.0, "high": 1.0,
    }]  # fmt: skip
    inputs = {"input": [HOSTILE], "low": [0.0], "high": [1.0], "at_low": [0.1], "at_high": [0.2], "total": [0.1]}
    pd.DataFrame(inputs).to_parquet(made.path / "inputs.parquet")
    pd.DataFrame({"bricked": [0.1]}).to_parquet(made.path / "samples.parquet")
    found = {f"plan.{HOSTILE}": [HOSTILE], HOSTILE: [0.1], f"{HOSTILE} low": [0.0], f"{HOSTILE} high": [0.2]}
    pd.DataFrame(found).to_parquet(made.path / "finalists.parquet")
    report = build(made, label=HOSTILE)
    folder = tmp_path_factory.mktemp("hostile-formats")
    write_formats(run_page(report, made), folder, FORMATS, runs=[report.plain()])
    return folder


def test_hostile_faces(hostile):
    """HTML, Markdown, PDF, JUnit, JSON and tables."""
    check_folder(hostile)


def test_hostile_xml_json_and_tables(hostile):
    """They parse, and a spreadsheet finds no formula."""
    case = ET.parse(hostile / "report.xml").find(".//testcase")
    assert case.get("classname").startswith("<script>alert(1)")
    whole = json.loads((hostile / "report.json").read_text())
    assert whole["title"] == HOSTILE
    with (hostile / "tables" / "by_group.csv").open(newline="", encoding="utf-8") as file:
        assert "'=cmd()" in [row["group"] for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("3.5 % of 10", "3.5 % of 10"), ("- item", "\\- item"), ("1. item", "1\\. item"), ("# head", "\\# head"),
     ("a_b*c", "a\\_b\\*c"), ("@me #1 http://x", "@\u200bme #\u200b1 http:\u200b//x"), ("a|b<i>", "a\\|b&lt;i&gt;")],
)  # fmt: skip
def test_markdown_escapes_what_would_be_markup(text, shown):
    """And leaves numbers and prose readable."""
    assert escape(text) == shown
