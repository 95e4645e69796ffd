"""Fleet files as people have them: each messy export is read as what it means, or refused with every fault at once."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from sim.errors import FleetFileError, ScenarioError
from sim.scenario import Scenario
from sim.scenario.fleet_files import check_files, fleet_size, known_modules
from sim.scenario.fleet_files.read import FleetTable

PLAN = """
plan:
  name: fw
  components: [{component: fw, type: firmware, package: full, target_version: "2", size: 100 kB}]
"""
PLAIN = "{module: imei, rsrp_dbm: rsrp, battery_percent: battery}"
IDS = ("860688000000001", "860688000000002")


def scenario_of(path: Path, columns: str = PLAIN, more: str = "") -> Scenario:
    """A scenario whose only group is the file."""
    group = f"{{name: g, file: {path}, technology: lte-m, columns: {columns}{', ' + more if more else ''}}}"
    return Scenario.from_text(f"name: f\nfleet:\n  groups:\n    - {group}\n{PLAN}")


def table(path: Path, columns: str = PLAIN, more: str = "") -> FleetTable:
    """The file read."""
    return check_files(scenario_of(path, columns, more))[0][1]


def write(folder: Path, content: str | bytes, name: str = "fleet.csv") -> Path:
    """A file."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def faults(path: Path, columns: str = PLAIN, more: str = "") -> list[tuple[int | None, str, str, str]]:
    """Line, column, value and cure of every fault listed."""
    with pytest.raises(FleetFileError) as error:
        table(path, columns, more)
    return [(p.line, p.key, p.found, p.cure) for p in error.value.problems]


GOOD = f"imei,rsrp,battery\n{IDS[0]},-95,80\n{IDS[1]},-97,70\n"

READ_RIGHT = {
    "plain": GOOD,
    "semicolons": GOOD.replace(",", ";"),
    "tabs": GOOD.replace(",", "\t"),
    "bars": GOOD.replace(",", "|"),
    "utf-8 with a mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "utf-16 of Excel": GOOD.replace(",", "\t").encode("utf-16"),
    "utf-16 big-endian without a mark": GOOD.encode("utf-16-be"),
    "crlf": GOOD.replace("\n", "\r\n"),
    "old Mac line ends": GOOD.replace("\n", "\r"),
    "quotes": "\n".join(",".join(f'"{v}"' for v in line.split(",")) for line in GOOD.splitlines()) + "\n",
    "spaces": GOOD.replace(",", " , "),
    "units in the cells": f"imei,rsrp,battery\n{IDS[0]},-95 dBm,80 %\n{IDS[1]},-97dBm,70%\n",
    "decimal comma": f"imei;rsrp;battery\n{IDS[0]};-95,0;80,0\n{IDS[1]};-97,0;70\n",
    "minus as a typographer sets it": GOOD.replace(",-", ",−"),
    "ids wrapped for Excel": "imei,rsrp,battery\n" + "".join(f'"=""{i}""",{r},{b}\n' for i, r, b in zip(IDS, (-95, -97), (80, 70), strict=True)),
    "sep= line of Excel": "sep=;\r\n" + GOOD.replace(",", ";"),
    "title above the header": "Export of 2026-11-29\n\n" + GOOD + f"{'860688000000003'},-99,60\n",
    "blank lines": GOOD.replace("\n", "\n\n"),
    "no end of line at the end": GOOD.rstrip("\n"),
    "further columns": GOOD.replace("battery\n", "battery,version\n").replace("80\n", "80,9.9\n").replace("70\n", "70,1e5\n"),
}  # fmt: skip


@pytest.mark.parametrize("kind", READ_RIGHT)
def test_read_right(kind, tmp_path):
    """Delimiters, encodings, line ends, quotes, units, decimal commas: the same two modules."""
    known = table(write(tmp_path, READ_RIGHT[kind])).known
    assert known.names[:2] == list(IDS)
    assert known.numbers["rsrp_dbm"][:2].tolist() == [-95.0, -97.0]
    assert known.numbers["battery_percent"][:2].tolist() == [80.0, 70.0]
    assert not known.versions


def test_packed_and_other_containers(tmp_path):
    """gz, JSON lines, a JSON list, Parquet, Excel: recognised by their content, whatever the name says."""
    rows = [{"imei": i, "rsrp": r, "battery": b} for i, r, b in zip(IDS, (-95, -97), (80, 70), strict=True)]
    book = Workbook()
    book.active.append(["imei", "rsrp", "battery"])
    for row in rows:
        book.active.append([row["imei"], row["rsrp"], row["battery"]])
    book.save(tmp_path / "fleet.xlsx")
    pd.DataFrame(rows).to_parquet(tmp_path / "fleet.parquet")
    files = [
        write(tmp_path, gzip.compress(GOOD.encode()), "fleet.csv.gz"),
        write(tmp_path, "\n".join(map(json.dumps, rows)), "fleet.jsonl"),
        write(tmp_path, json.dumps(rows), "fleet.json"),
        tmp_path / "fleet.xlsx",
        tmp_path / "fleet.parquet",
        write(tmp_path, (tmp_path / "fleet.xlsx").read_bytes(), "wrongly-named.csv"),
    ]
    for path in files:
        known = table(path).known
        assert known.names == list(IDS), path
        assert known.numbers["rsrp_dbm"].tolist() == [-95.0, -97.0], path


def test_texts_stay_texts(tmp_path):
    """1.10 is not 1.1, 01 is not 1, a leading zero of an id stays."""
    text = "id,fw,hw,cell\n012345678901234,1.10,01,0042\n012345678901235,1.1,1,0043\n"
    for path in (write(tmp_path, text), write(tmp_path, _as_json(text), "fleet.json")):
        known = table(path, "{module: id, version: fw, hardware: hw, cell: cell}").known
        assert known.names == ["012345678901234", "012345678901235"]
        assert known.versions["fw"].names == ("1.10", "1.1")
        assert known.hardware is not None and known.hardware.names == ("01", "1")
        assert known.cells is not None and known.cells.names == ("0042", "0043")


def _as_json(text: str) -> str:
    """The same rows; versions as JSON numbers, which keep their digits too."""
    head, *rows = [line.split(",") for line in text.split()]
    quoted = [dict(zip(head, row, strict=True)) for row in rows]
    return json.dumps(quoted).replace('"1.10"', "1.10")


FAULTY = {
    "rounded id": ("imei,rsrp,battery\n8.60688E+14,-95,80\n", 2, "imei", "8.60688E+14", "rounded"),
    "rounded id with comma": ("imei;rsrp;battery\n8,60688E+14;-95;80\n", 2, "imei", "8,60688E+14", "rounded"),
    "id from a float": (f"imei,rsrp,battery\n{IDS[0]}.0,-95,80\n", 2, "imei", f"{IDS[0]}.0", "leading zeros"),
    "empty id": (GOOD + ",-95,80\n", 4, "imei", "nothing", "drop"),
    "the same module twice": (GOOD + f"{IDS[0]},-90,60\n", 4, "imei", IDS[0], "occurs twice"),
    "positive signal": (f"imei,rsrp,battery\n{IDS[0]},95,80\n", 2, "rsrp", "95", "unsigned-dBm"),
    "no signal": (f"imei,rsrp,battery\n{IDS[0]},0,80\n", 2, "rsrp", "0", "absent"),
    "sentinel": (f"imei,rsrp,battery\n{IDS[0]},-32768,80\n", 2, "rsrp", "-32768", "absent"),
    "words for numbers": (f"imei,rsrp,battery\n{IDS[0]},good,80\n", 2, "rsrp", "good", "no number"),
    "empty cell": (f"imei,rsrp,battery\n{IDS[0]},,80\n", 2, "rsrp", "nothing", "sample"),
    "n/a": (f"imei,rsrp,battery\n{IDS[0]},-95,N/A\n", 2, "battery", "nothing", "sample"),
    "too full": (f"imei,rsrp,battery\n{IDS[0]},-95,101\n", 2, "battery", "101", "0 to 100"),
    "volts": (f"imei,rsrp,battery\n{IDS[0]},-95,3.6 V\n", 2, "battery", "3.6 V", "unit 'V'"),
    "a formula": ("imei,rsrp,battery\n=A1+1,-95,80\n", 2, "imei", "=A1+1", "formula"),
    "control characters": (f"imei,rsrp,battery\n{IDS[0]}\x1b[2J,-95,80\n", 2, "imei", "\\x1b", "control"),
    "the header again": (GOOD + "imei,-95,80\n", 4, "imei", "imei", "header again"),
    "a line of totals": (GOOD + "Total,-95,80\n", 4, "imei", "Total", "totals"),
    "a line of totals with a number": (GOOD + "Summe: 2,-95,80\n", 4, "imei", "Summe: 2", "totals"),
    "what a database counts": (GOOD + "(2 rows),-95,80\n", 4, "imei", "(2 rows)", "totals"),
    "a comment": (GOOD + "#860688000000003,-95,80\n", 4, "imei", "#860688000000003", "comment"),
    "a drawn line": ("imei,rsrp,battery\n---,-95,80\n" + GOOD.partition("\n")[2], 2, "imei", "---", "drawn"),
    "a date for an id": (GOOD + "01.12.2026,-95,80\n", 4, "imei", "01.12.2026", "date"),
    "an id that Excel took for a date": (GOOD + "3-Mar,-95,80\n", 4, "imei", "3-Mar", "date"),
    "a character that is not seen": (GOOD + "860688\u200b000000003,-95,80\n", 4, "imei", "860688", "not seen"),
    "ids rounded and written out": ("imei,rsrp,battery\n860688000000000,-95,80\n860689000000000,-95,80\n", 2, "imei", "860688000000000", "rounded"),
    "long ids rounded": ("imei,rsrp,battery\n8949020000012340000,-95,80\n8949020000012350000,-95,80\n", 3, "imei", "8949020000012350000", "rounded"),
    "one field too many": (GOOD + f"{IDS[0]},-95,5,80\n", 4, "line", IDS[0], "quotes"),
    "line after a quoted break": (f'imei,rsrp,battery\n"{IDS[0]}",-95,80\n\n"x\ny",-95,80\nz,5,80\n', 6, "rsrp", "5", "unsigned"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAULTY)
def test_refused_with_line_column_value_and_cure(kind, tmp_path):
    """What cannot be meant is named where it is, in the user's words."""
    text, line, column, value, cure = FAULTY[kind]
    found = faults(write(tmp_path, text))
    assert any(f[0] == line and f[1] == column and value in f[2] and cure in f[3] for f in found), found
    assert not any("np." in f[2] or "nan" in f[2] or "\x1b" in f[2] for f in found)


def test_all_faults_at_once_and_the_rest_counted(tmp_path):
    """One list: the first of each kind with their lines, the others as a number."""
    rows = "".join(f"m{i},95,{'' if i % 2 else 120}\n" for i in range(1000))
    path = write(tmp_path, "imei,rsrp,battery\n" + rows + "m1,-95,8.0E1\n")
    with pytest.raises(FleetFileError) as error:
        table(path)
    kinds = {(p.key, p.cure[:12]) for p in error.value.problems}
    assert {key for key, _ in kinds} == {"imei", "rsrp", "battery"} and len(kinds) == 4
    assert len(error.value.problems) <= 25
    assert "… and 995 more of rsrp: a positive signal" in str(error.value)
    assert len(str(error.value).splitlines()) < 35
    import pickle

    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)  # it crosses processes


DOUBTFUL = {
    "per cent or fractions": ("battery\n0.8\n0.9\n1\n", "battery_percent: battery", "fraction"),
    "all at one": ("battery\n1\n1\n", "battery_percent: battery", "fraction"),
    "a mixture": ("battery\n" + "0.5\n" * 3 + "80\n" * 9, "battery_percent: battery", "fraction"),
    "which unit of space": ("free\n512\n2048\n", "free_space: free", "which unit"),
    "bits or bytes": ("free\n1.5 Mb\n2 MB\n", "free_space: free", "bits or bytes? Mb is read as either; write MB for bytes"),
    "gigabits or gigabytes": ("free\n1 Gb\n", "free_space: free", "write GB for bytes"),
    "thousands or decimals": ("free\n1,234\n".replace("\n1,", '\n"1,').replace("234\n", '234"\n'), "free_space: {column: free, unit: kB}", "decimal"),
    "day or month": ("battery,seen\n80,03/04/2026\n", "last_seen: seen", "day-first"),
    "an unknown column": ("batery\n80\n", "battery_percent: battery", "did you mean 'batery'"),
    "a column twice": ("battery,battery\n80,70\n", "battery_percent: battery", "2 columns have this name"),
    "a time zone": ("tz\nCEST\n", "time_zone: tz", "Europe/Berlin"),
    "thousands by dots": ("free;x\n1.024;1\n512;1\n", "free_space: {column: free, unit: kB}", "decimal"),
    "a version with a decimal comma": ("fw;x\n1,10;1\n", "version: fw", "decimal comma"),
    "two versions": ('fw,x\n"1.0,2.0",1\n', "version: fw", "several versions"),
    "a version that became a day": ("fw\n1.2.4\n01.02.2003\n", "version: fw", "date"),
    "a version that became a moment": ("fw\n1.2.4\n2003-02-01 00:00:00\n", "version: fw", "date"),
    "a version that became a date": ("fw\n10-Jan\n", "version: fw", "date"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_doubt_is_asked_for(kind, tmp_path):
    """What can be read two ways is not guessed."""
    text, columns, cure = DOUBTFUL[kind]
    assert any(cure in f[3] for f in faults(write(tmp_path, text), f"{{{columns}}}"))


@pytest.mark.parametrize(
    "text",
    [
        f"{IDS[0]}\n{IDS[1]}\n",
        f"{IDS[0]},1.1,-95\n{IDS[1]},1.1,-97\n",
        "d1,1.1,-95\nd2,1.1,-97\n",
        "+----+-----+\n| id | fw  |\n+----+-----+\n| d1 | 1.1 |\n+----+-----+\n",
    ],
)
def test_a_list_without_a_header(text, tmp_path):
    """The first module would be taken for the names, and be missing."""
    [(_, key, found, cure)] = faults(write(tmp_path, text), "{module: imei}")
    assert key == "header" and found == f"a header of {', '.join(text.splitlines()[0].split(','))}" and "names" in cure


def test_a_sheet_without_a_header(tmp_path):
    """The same in a workbook."""
    book = Workbook()
    book.active.append(["d1", 1.1, -95])
    book.active.append(["d2", 1.2, -97])
    book.save(tmp_path / "fleet.xlsx")
    assert [fault[1] for fault in faults(tmp_path / "fleet.xlsx", "{module: imei}")] == ["header"]


def test_a_key_twice_in_json(tmp_path):
    """Readers disagree about which counts."""
    path = write(tmp_path, '[{"imei": "a"},\n {"imei": "b", "imei": "c"}]', "fleet.json")
    [(_, key, _, cure)] = faults(path, "{module: imei}")
    assert key == "file" and "the key 'imei' occurs twice" in cure


def test_what_only_looks_damaged(tmp_path):
    """Dates as versions throughout, ids with months and noughts in them, numbers of JSON with three decimals."""
    text = "id,fw\nsum-1,01.02.2003\nmarina-01,03.02.2003\n860688000000000,01.02.2003\n860688000000001,01.02.2003\n"
    known = table(write(tmp_path, text), "{module: id, version: fw}").known
    assert known.names == ["sum-1", "marina-01", "860688000000000", "860688000000001"]
    assert known.versions["fw"].names == ("01.02.2003", "03.02.2003")
    path = write(tmp_path, '[{"id": "a", "free": 1.024}, {"id": "b", "free": 512}]', "fleet.json")
    assert table(path, "{module: id, free_space: {column: free, unit: kB}}").known.numbers["free_space"].tolist() == [
        1024.0,
        512e3,
    ]


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        ("marlin-20", True), ("decoder-12", True), ("2-marlin", True), ("1.junction", True), ("octet-2024", True), ("maya-10", True),
        ("Oct-10", False), ("1-Oct", False), ("10. Okt", False), ("March-2024", False), ("1-May-2024", False), ("Mrz 24", False),
        ("december-12", False),
    ],
)  # fmt: skip
def test_names_that_begin_like_a_month(version, taken, tmp_path):
    """Only a month is what a spreadsheet makes of 1.10; a product that begins with its letters is a version."""
    path = write(tmp_path, f"id,fw\na,{version}\nb,1.2.0\n")
    if taken:
        assert table(path, "{module: id, version: fw}").known.versions["fw"].names == (version, "1.2.0")
    else:
        [(line, key, found, cure)] = faults(path, "{module: id, version: fw}")
        assert (line, key, found) == (2, "fw", repr(version)) and "took a version for a date" in cure


UNITS = {
    "{free_space: {column: x, unit: MB}}": ("1.5", "free_space", 1.5e6),
    "{free_space: {column: x, unit: KiB}}": ("512", "free_space", 512 * 1024.0),
    "{free_space: x}": ("2 MiB", "free_space", 2.0 * 2**20),
    "{free_space: {column: x, unit: B}}": ("1 234 567", "free_space", 1234567.0),
    '{free_space: {column: x, unit: kB, decimal: ","}}': ('"1.234,5"', "free_space", 1234.5e3),
    '{free_space: {column: x, unit: kB, decimal: "."}}': ('"1,234"', "free_space", 1234e3),
    "{battery_percent: {column: x, unit: fraction}}": ("0.8", "battery_percent", 80.0),
    "{battery_percent: {column: x, unit: percent}}": ("0.8", "battery_percent", 0.8),
    "{rsrp_dbm: {column: x, unit: unsigned-dBm}}": ("95", "rsrp_dbm", -95.0),
    "{rsrp_dbm: {column: x, unit: index}}": ("46", "rsrp_dbm", -95.0),
}


@pytest.mark.parametrize("columns", UNITS)
def test_units(columns, tmp_path):
    """A bare number is in the column's unit."""
    text, key, value = UNITS[columns]
    known = table(write(tmp_path, f"x\n{text}\n"), columns).known
    assert known.numbers[key].tolist() == pytest.approx([value])


def test_missing_values(tmp_path):
    """Stop, drop, a default, drawn from the known, drawn from the group's distribution: as the column says."""
    path = write(tmp_path, "id,rsrp,fw\na,-95,1\nb,,1\nc,-105,\nd,255,2\n")
    known = table(path, '{module: id, rsrp_dbm: {column: rsrp, missing: drop, absent: ["255"]}}').known
    assert known.names == ["a", "c"]
    filled = table(path, '{rsrp_dbm: {column: rsrp, default: -120, absent: ["255"]}}')
    assert filled.known.numbers["rsrp_dbm"].tolist() == [-95, -120, -105, -120]
    assert filled.filled == {"rsrp: default": 2}
    versions = table(path, '{version: {column: fw, default: "1"}}').known.versions["fw"]
    assert [versions.names[c] for c in versions.codes] == ["1", "1", "1", "2"]
    for policy, possible in (("sample", {-95.0, -105.0}), ("distribution", {-70.0})):
        columns = f'{{module: id, rsrp_dbm: {{column: rsrp, missing: {policy}, absent: ["255"]}}}}'
        rows = _sampled(scenario_of(path, columns, "rsrp_dbm: -70"))
        assert rows[[0, 2]].tolist() == [-95.0, -105.0]
        assert set(rows[[1, 3]].tolist()) <= possible


def _sampled(scenario: Scenario) -> np.ndarray:
    from sim.engines.world.build import build

    return build(scenario).fleet.rows["rsrp_site_dbm"]


def test_missing_versions_are_drawn_from_the_known(tmp_path):
    """Never from a version that no module has."""
    path = write(
        tmp_path,
        "id,fw\n" + "".join(f"m{i},{'' if i % 3 == 0 else '1.10' if i % 3 == 1 else '2'}\n" for i in range(300)),
    )
    from sim.engines.world.build import build

    fleet = build(scenario_of(path, "{module: id, version: {column: fw, missing: sample}}")).fleet
    counts = np.bincount(fleet.versions["fw"].codes)
    assert set(fleet.versions["fw"].names) == {"1.10", "2"}
    assert counts.sum() == 300 and abs(counts[0] - 150) < 40


def test_duplicates_by_choice(tmp_path):
    """The first or the last row of a module counts, and the report says how many went."""
    path = write(tmp_path, GOOD + f"{IDS[0]},-60,60\n")
    first, last = (table(path, more=f"duplicates: keep-{which}") for which in ("first", "last"))
    assert dict(zip(first.known.names, first.known.numbers["rsrp_dbm"], strict=True))[IDS[0]] == -95
    assert dict(zip(last.known.names, last.known.numbers["rsrp_dbm"], strict=True))[IDS[0]] == -60
    assert first.dropped == {"duplicates, keep-first": 1}


def test_where_labels_zones_and_last_seen(tmp_path):
    """Rows by a column's text; labels, time zones and last sight of each module for whoever filters by them."""
    path = write(
        tmp_path,
        "id,tech,site,tz,seen\na,LTE-M,Ulm,europe/berlin,2026-11-29T23:30:00-02:00\nb,NB-IoT,,UTC+5:30,1764288000\n"
        "c,LTE-M,Bonn,+05:30,29.11.2026 10:00\n",
    )
    more = "where: {tech: LTE-M}, labels: {site: {column: site}, customer: acme}"
    found = table(path, "{module: id, time_zone: tz, last_seen: seen}", more)
    assert found.known.names == ["a", "c"] and found.left_out == 1
    labels = {name: [coded.names[c] for c in coded.codes] for name, coded in found.known.labels.items()}
    assert labels == {
        "site": ["Ulm", "Bonn"], "time_zone": ["Europe/Berlin", "+05:30"], "last_seen": ["2026-11-30", "2026-11-29"],
    }  # fmt: skip
    from sim.engines.world.build import build

    fleet = build(scenario_of(path, "{module: id}", more)).fleet
    assert [fleet.label("site").names[c] for c in fleet.label("site").codes] == ["Ulm", "Bonn"]
    assert fleet.label("customer").names == ("acme",) and fleet.label("customer").codes.tolist() == [0, 0]
    assert fleet.label("nothing").codes.tolist() == [-1, -1]
    assert any("LTE-M" in f[3] for f in faults(path, "{module: id}", "where: {tech: LTE}"))


def test_labels_of_the_file_cut_rollout_groups(tmp_path):
    """A rollout group filtered by a label of the file holds the modules that have it."""
    path = write(tmp_path, "id,site\na,Ulm\nb,\nc,Bonn\nd,Ulm\n")
    from sim.engines.world.build import build

    given = scenario_of(path, "{module: id}", "labels: {site: {column: site}}")
    given = given.with_(
        {
            "plan.strategy.rollout.groups": [
                {"name": "ulm", "filter": {"labels": {"site": ["Ulm"]}}},
                {"name": "rest", "percent": 100},
            ]
        }
    )
    fleet = build(given).fleet
    assert fleet.inside(given.plan.strategy.rollout.groups[0].filter).tolist() == [True, False, False, True]


def test_a_module_in_two_groups(tmp_path):
    """Refused before anything runs."""
    path = write(tmp_path, GOOD)
    group = f"{{name: %s, file: {path}, technology: lte-m, columns: {PLAIN}}}"
    text = f"name: f\nfleet:\n  groups:\n    - {group % 'a'}\n    - {group % 'b'}\n{PLAN}"
    with pytest.raises(
        FleetFileError, match="2 modules twice; a module belongs to one group: 860688000000001 is in a and b"
    ):
        check_files(Scenario.from_text(text))


def test_sample_of_a_file(tmp_path):
    """fleet.modules takes so many rows at random, the same ones each time, in the file's order."""
    path = write(tmp_path, "id\n" + "".join(f"m{i:04d}\n" for i in range(1000)))
    given = scenario_of(path, "{module: id}").with_({"fleet.modules": 100})
    names = known_modules(given, given.fleet.groups[0]).names
    assert len(names) == fleet_size(given) == 100 and names == sorted(names)
    assert names == known_modules(given, given.fleet.groups[0]).names
    assert 300 < np.mean([int(n[1:]) for n in names]) < 700
    other = given.with_({"seed": 2})
    assert known_modules(other, other.fleet.groups[0]).names != names
    with pytest.raises(FleetFileError, match="the groups have 1,000 modules"):
        fleet_size(given.with_({"fleet.modules": 1001}))


EXCEL = {
    "a version as a number": ([["fw"], [1.1]], "{version: fw}", "1.10 and 1.1"),
    "a version as a date": ([["fw"], [pd.Timestamp("2026-01-10").to_pydatetime()]], "{version: fw}", "a date"),
    "a long id as a number": ([["id"], [8949020000001234567]], "{module: id}", "15 digits"),
    "a formula never calculated": ([["id"], ["=1+1"]], "{module: id}", "never saved"),
    "an error": ([["id"], ["#REF!"]], "{module: id}", "error of the spreadsheet"),
}


@pytest.mark.parametrize("kind", EXCEL)
def test_what_excel_does_to_texts(kind, tmp_path):
    """Refused with the row as Excel shows it."""
    rows, columns, cure = EXCEL[kind]
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / "fleet.xlsx")
    found = faults(tmp_path / "fleet.xlsx", columns)
    assert found[0][0] == 2 and cure in found[0][3]


def test_excel_sheets_and_titles(tmp_path):
    """Rows above the header are skipped and told; of two tables one must be named."""
    book = Workbook()
    for row in (["Export"], [], ["imei", "rsrp"], ["012", -95.5], [None, None], ["013", -96]):
        book.active.append(row)
    book.active.title = "Devices"
    book.create_sheet("Empty")
    book.save(tmp_path / "one.xlsx")
    found = table(tmp_path / "one.xlsx", "{module: imei, rsrp_dbm: rsrp}")
    assert found.known.names == ["012", "013"] and found.known.numbers["rsrp_dbm"].tolist() == [-95.5, -96.0]
    assert found.notes == ["2 rows above the header skipped"]
    book.create_sheet("Old").append(["imei", "rsrp"])
    book.save(tmp_path / "two.xlsx")
    assert "several sheets" in faults(tmp_path / "two.xlsx", "{module: imei}")[0][2]
    assert table(tmp_path / "two.xlsx", "{module: imei}", "sheet: Devices").known.names == ["012", "013"]


def test_bombs_and_broken_containers(tmp_path, monkeypatch):
    """What unpacks to more than it should, and what is damaged, is refused before it fills memory."""
    from sim.scenario.fleet_files import content, sheet

    monkeypatch.setattr(content, "MAX_BYTES", 1 << 20)
    monkeypatch.setattr(sheet, "MAX_BYTES", 1 << 20)
    bomb = write(tmp_path, gzip.compress(b"imei\n" + b"0" * (1 << 22)), "bomb.csv.gz")
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("xl/worksheets/sheet1.xml", b"0" * (1 << 22))
    refused = {
        bomb: "unpacked", tmp_path / "bomb.xlsx": "unpacked",
        write(tmp_path, b"x" * (1 << 21), "large.csv"): "2.1 MB",
        write(tmp_path, gzip.compress(GOOD.encode())[:-9], "cut.csv.gz"): "damaged gzip",
        write(tmp_path, b"PK\x03\x04 nothing", "damaged.xlsx"): "damaged workbook",
        write(tmp_path, b"PAR1 nothing", "damaged.parquet"): "damaged Parquet",
        write(tmp_path, b"\xd0\xcf\x11\xe0....", "old.xls"): "old Excel",
        write(tmp_path, b"", "empty.csv"): "empty file",
        write(tmp_path, "imei,rsrp,battery\n", "header.csv"): "nothing",
        write(tmp_path, "[{]", "broken.json"): "broken JSON in line 1",
        write(tmp_path, "[1, 2]", "numbers.json"): "no object",
        write(tmp_path, 'imei,rsrp\n"8,-95\n9,-96\n', "quote.csv"): "",
    }  # fmt: skip
    for path, found in refused.items():
        assert found in faults(path)[0][2], path


def test_columns_that_are_not_mapped_are_not_used(tmp_path):
    """A column named like one of ours counts only when it is mapped."""
    path = write(tmp_path, "imei,rsrp_dbm,battery_percent,version,hardware,cell,technology\nx,0,0,9,Z,c,lte\n")
    known = table(path, "{module: imei}").known
    assert (known.numbers, known.versions, known.labels, known.hardware, known.cells) == ({}, {}, {}, None, None)


@pytest.mark.parametrize(
    ("group", "cure"),
    [
        ("columns: {rsrp_dbm: {column: x, unit: MB}}", "unit must be one of dBm"),
        ("columns: {module: {column: x, missing: sample}}", "choose stop or drop"),
        ("columns: {battery_percent: {column: x, missing: default}}", "needs a default"),
        ("columns: {rsrp: x}", "rsrp_dbm"),
        ("versions: {mcu: {column: x, missing: distribution}}", "needs its shares"),
        ("columns: {version: x}, versions: {fw: y}", "give one of them"),
        ("columns: {version: {column: x, default: 1.10}}", "in quotes"),
    ],
)
def test_mappings_that_cannot_be_meant(group, cure, tmp_path):
    """Refused with the scenario, before the file is opened."""
    with pytest.raises(ScenarioError, match=cure):
        scenario_of(write(tmp_path, GOOD), "{module: imei}", group) if "columns" not in group else Scenario.from_text(
            f"name: f\nfleet:\n  groups:\n    - {{name: g, file: {write(tmp_path, GOOD)}, technology: lte-m, {group}}}\n{PLAN}"
        )


def test_a_million_rows(tmp_path):
    """Read whole: ids distinct, quartiles right."""
    count = 1_000_000
    numbers = np.arange(count)
    lines = "".join(f"{860688000000000 + i},{-80 - i % 50},{i % 101}%,1.{i % 7}\n" for i in numbers.tolist())
    path = write(tmp_path, "imei,rsrp,battery,fw\n" + lines)
    known = table(path, "{module: imei, rsrp_dbm: rsrp, battery_percent: battery, version: fw}").known
    assert known.count == count and known.names[-1] == str(860688000000000 + count - 1)
    assert np.median(known.numbers["rsrp_dbm"]) == -104.5
    assert known.versions["fw"].names == tuple(f"1.{i}" for i in range(7))


@pytest.mark.parametrize("name", ["site\x1b[31m", "a\x07", "b\x9b", "line\u2028break", "\ufffdlab"])
def test_a_label_or_a_cell_with_control_characters_is_refused(tmp_path, name):
    """Such texts would reach terminals and pages."""
    path = write(tmp_path, f"imei,rsrp,battery,site\n{IDS[0]},-95,80,{name}\n{IDS[1]},-97,70,lab\n")
    for mapped in ("labels: {site: {column: site}}", ""):
        columns = PLAIN if mapped else PLAIN.replace("}", ", cell: site}")
        found = faults(path, columns, mapped)
        assert [(line, key, cure) for line, key, _, cure in found] == [
            (2, "site", "control or broken characters: export it again")
        ]


def test_a_formula_without_a_result_is_listed_once(tmp_path):
    """Whatever column it stands in."""
    book = Workbook()
    book.active.append(["imei", "rsrp", "battery", "fw"])
    book.active.append(["=B2", "=1", "=40*2", '="1."&0'])
    book.active.append([IDS[1], -97, 70, "1.0"])
    book.save(tmp_path / "f.xlsx")
    found = faults(tmp_path / "f.xlsx", PLAIN.replace("}", ", version: fw}"))
    assert [(line, key) for line, key, *_ in found] == [(2, "battery"), (2, "fw"), (2, "imei"), (2, "rsrp")]
    assert {cure for *_, cure in found} == {
        "a formula whose result was never saved: open the file in Excel and save it"
    }


def test_a_version_stored_as_a_number_says_where_to_mend_it(tmp_path):
    """A Parquet file has no cells to type into."""
    pd.DataFrame({"imei": IDS, "rsrp": [-90, -91], "battery": [80, 70], "fw": [1.1, 1.2]}).to_parquet(
        tmp_path / "v.parquet"
    )
    found = faults(tmp_path / "v.parquet", PLAIN.replace("}", ", version: fw}"))
    assert [line for line, *_ in found] == [1, 2]
    assert {cure for *_, cure in found} == {
        "a number in the file: 1.10 and 1.1 are the same there; write the column as text where the file is made"
    }


@pytest.mark.parametrize("value", ["inf", "Infinity", "0x10", "1_0", "8,5,0", "full", "80 %%"])
def test_a_charge_that_is_no_number(tmp_path, value):
    path = write(tmp_path, f'imei,rsrp,battery\n{IDS[0]},-95,"{value}"\n{IDS[1]},-97,70\n')
    assert {(line, key) for line, key, *_ in faults(path)} <= {(2, "battery"), (None, "battery")}


def parquet(folder: Path, **columns: Any) -> Path:
    """A Parquet file of these columns beside two ids."""
    pq.write_table(pa.table({"imei": list(IDS), **columns}), folder / "fleet.parquet")
    return folder / "fleet.parquet"


@pytest.mark.parametrize(
    ("columns", "mapped", "key", "says"),
    [
        ({"radio": [{"rsrp": -90}, {"rsrp": -91}]}, "{module: imei, rsrp_dbm: radio}", "radio", "write it flat"),
        ({"rsrp": [[-90.0], [-91.0]]}, "{module: imei, rsrp_dbm: rsrp}", "rsrp", "write it flat"),
        ({"key": [b"\xff\xfe", b"b"]}, "{module: key}", "file", "write it anew"),
        ({"on": [True, False]}, "{module: imei, battery_percent: on}", "on", "a charge from 0 to 100 %"),
    ],
)
def test_columns_of_parquet_that_hold_no_values(columns, mapped, key, says, tmp_path):
    """Lists, structures, bytes that are no text and truths are refused by name; beside what is mapped they do no harm."""
    path = parquet(tmp_path, **columns)
    assert all(found[1] == key and says in found[3] for found in faults(path, mapped))
    assert table(path, "{module: imei}").known.names == list(IDS)


def test_names_twice_in_parquet(tmp_path):
    """The column that is mapped has to be one; others may share a name."""
    arrays = [pa.array(IDS), pa.array([1, 2]), pa.array([3, 4])]
    pq.write_table(pa.Table.from_arrays(arrays, names=["imei", "x", "x"]), tmp_path / "fleet.parquet")
    assert table(tmp_path / "fleet.parquet", "{module: imei}").known.names == list(IDS)
    [(_, key, found, cure)] = faults(tmp_path / "fleet.parquet", "{module: imei, hardware: x}")
    assert (key, found, cure) == ("x", "2 columns of one name", "rename one in the file")


def test_long_texts_that_stand_once_in_parquet(tmp_path, monkeypatch):
    """A dictionary of one text of 100 kB, used by 2,000 rows, takes 200 MB as text: refused before it is spread out."""
    monkeypatch.setattr("sim.scenario.fleet_files.parquet.MAX_BYTES", 100_000_000)
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int32()), pa.array(["a" * 100_000]))
    pq.write_table(pa.table({"imei": texts}), tmp_path / "fleet.parquet")
    assert (tmp_path / "fleet.parquet").stat().st_size < 200_000
    [(_, key, found, cure)] = faults(tmp_path / "fleet.parquet", "{module: imei}")
    assert (key, found, cure) == ("imei", "200 MB of texts", "at most 100 MB a column")


def zipped(**entries: str) -> bytes:
    """A ZIP file."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, text in entries.items():
            file.writestr(name, text)
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "found", "cure"),
    [
        (gzip.compress(gzip.compress(GOOD.encode() * 50)), "a file packed twice", "unpack it once"),
        (
            b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
            "a file that is no text",
            "give CSV, Excel (.xlsx), Parquet or JSON; gz",
        ),
        (zipped(**{"devices.csv": GOOD}), "a ZIP file of devices.csv", "unpack it, and give the list itself"),
        (b"im\x1b[31mei,1234567890123\n1,2\n", "a header of im\\x1b[31mei, 1234567890123", "put a line with the names"),
    ],
)
def test_what_is_no_list_at_all(content, found, cure, tmp_path):
    """Said as what it is, in one line that a terminal shows as it stands."""
    [fault] = faults(write(tmp_path, content))
    with pytest.raises(FleetFileError) as error:
        table(tmp_path / "fleet.csv")
    assert found in str(error.value) and fault[3].startswith(cure), fault
    assert str(error.value).isprintable()


def test_noughts_at_the_end_are_no_utf_16(tmp_path):
    """A logger that lost power leaves a block of noughts: a broken line with its number, not another encoding."""
    [(line, key, *_)] = faults(write(tmp_path, GOOD.encode() + bytes(300)))
    assert (line, key) == (4, "line")
    for encoding in ("utf-16-le", "utf-16-be"):
        assert table(write(tmp_path, GOOD.encode(encoding))).known.names == list(IDS)


def test_rows_that_end_in_a_delimiter(tmp_path):
    """Below a header that does not; where something stands behind the last delimiter, it is a field too many."""
    rows = GOOD.splitlines()
    path = write(tmp_path, "\n".join([rows[0], *(f"{row}," for row in rows[1:])]))
    assert table(path).known.names == list(IDS)
    path = write(tmp_path, "\n".join([rows[0], *(f"{row},x" for row in rows[1:])]))
    assert "a header of" in faults(path)[0][2] or faults(path)[0][1] in ("line", "header")


def test_the_cure_for_a_value_that_stands_for_nothing_works(tmp_path):
    """`absent` takes the whole text of a cell: the cure names it so, and taking it is enough."""
    path = write(tmp_path, f"imei,rsrp,battery\n{IDS[0]},-95 dBm,80\n{IDS[1]},-255 dBm,1e400\n")
    assert [(column, value, cure.rpartition("absent: ")[2]) for _, column, value, cure in sorted(faults(path), key=str)] == [
        ("battery", "'1e400'", "['1e400']"), ("rsrp", "'-255 dBm'", "['-255 dBm']"),
    ]  # fmt: skip
    columns = (
        "{module: imei, rsrp_dbm: {column: rsrp, absent: ['-255 dBm'], missing: sample}, "
        "battery_percent: {column: battery, absent: ['1e400'], missing: sample}}"
    )
    assert table(path, columns).rows == 2


def test_ids_as_numbers_with_a_decimal_mark(tmp_path):
    """What is said of a version says nothing of an id."""
    path = tmp_path / "devices.parquet"
    pd.DataFrame({"imei": [860688000000011.0, 860688000000029.0]}).to_parquet(path)
    cure = "a number with a decimal mark: such numbers lose the digits of an id; write the column as text where the file is made"
    assert {told for _, _, _, told in faults(path, "{module: imei}")} == {cure}
