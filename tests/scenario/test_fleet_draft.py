"""`fotasim fleet` and `fotasim validate`: from an export to a scenario in two commands; the lists that products print."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sim.errors import FleetFileError
from sim.scenario import Scenario
from sim.scenario.fleet_files import check_files
from sim.scenario.fleet_files.draft import draft, to_yaml
from sim.scenario.fleet_files.overview import lines, overview


def fotasim(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command in a directory."""
    env = {"PYTHONPATH": str(Path.cwd()), "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "sim.cli", *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )  # fmt: skip


def drafted(path: Path) -> tuple[Scenario, list[str]]:
    """The drafted scenario, and what was said not to be certain."""
    made = draft(path)
    return Scenario.from_text(to_yaml(made, path.parent).replace(f'file: "{path.name}"', f"file: {path}")), made.unsure


def test_a_tidy_export_of_100_000_devices_in_two_commands(tmp_path):
    """fotasim fleet, fotasim validate: ids, versions, units, technologies and labels are what they were."""
    draws = random.Random(1)
    rows = [
        f"0{86068800000000 + i};1.{draws.choice((9, 10))};-{80 + i % 40},5;{i % 101}%;{500 + i % 8000};{draws.choice(('LTE-M', 'Cat-NB1'))};"
        f"{draws.choice(('ACME', 'Globex'))};2026-11-{1 + i % 28:02d}T10:00:00Z;free text {i}\n"
        for i in range(100_000)
    ]
    head = "Device IMEI;FW Version;RSRP (dBm);Battery Level;Free Flash (KB);RAT;Customer;Last Seen;Notes\n"
    (tmp_path / "devices.csv").write_text(head + "".join(rows))
    made = fotasim("fleet", "devices.csv", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stderr.splitlines() == ["  not certain: not used: 'Notes'"]
    checked = fotasim("validate", "devices.yaml", "--json", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    told = json.loads(checked.stdout)
    assert told["modules"] == 100_000 and [f["technology"] for f in told["files"]] == ["lte-m", "nb-iot"]
    assert sum(f["modules"] for f in told["files"]) == 100_000
    first = told["files"][0]
    assert set(first["names"]["version of fw"]) == {"1.9", "1.10"} and set(first["names"]["customer"]) == {
        "ACME",
        "Globex",
    }
    assert first["quartiles"]["rsrp_dbm"][0] == -119.5 and first["quartiles"]["free_space"][4] == 8_499_000
    shown = fotasim("validate", "devices.yaml", cwd=tmp_path).stdout
    assert "valid (devices, 100,000 modules)" in shown and "median" in shown
    again = fotasim("fleet", "devices.csv", cwd=tmp_path)
    assert again.returncode == 2 and "devices.yaml exists" in again.stderr


def test_what_is_not_certain_is_said(tmp_path):
    """Fractions, positive signals, missing values, duplicates, voltages, technologies nobody knows."""
    path = tmp_path / "odd.csv"
    path.write_text("serial,signal,battery,rat,fw\na,95,0.8,LTE-M,1\nb,97,,LTE-M,1\nc,99,0.9,GSM,1\na,90,1,LTE-M,1\n")
    scenario, unsure = drafted(path)
    said = "\n".join(unsure)
    for words in (
        "fractions of 1",
        "unsigned-dBm",
        "1 of 4 rows have no value",
        "a second time",
        "'GSM' fits no technology",
        "free_space: drawn",
    ):
        assert words in said
    found = overview(scenario)[0]
    assert found["modules"] == 2 and "1 rows of the file are in no group" in found["notes"]
    assert any("'a' 1" in line or "signal" in line or "rsrp_dbm" in line for line in lines(found))
    volts = tmp_path / "volts.csv"
    volts.write_text("imei,battery_mv\nx,3600\n")
    assert any("voltage" in line for line in draft(volts).unsure)


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("free flash %", (80, 70), "'free flash %' is in %: fotasim needs bytes"),
        ("Free Space (percent)", (80, 70), "is in percent: fotasim needs bytes"),
        ("signal (%)", (80, 70), "is in %: fotasim needs dBm"),
        ("RSRP [mV]", (80, 70), "is in mv: fotasim needs dBm"),
        ("battery (kB)", (80, 70), "is in kb: fotasim needs per cent of charge"),
        ("battery (V)", (3.7, 3.6), "is a voltage"),
    ],
)  # fmt: skip
def test_a_unit_that_cannot_be_read_is_not_used(column, values, says, tmp_path):
    """80 % of free flash is not 80 kB: the column is left out, and named."""
    path = tmp_path / "f.csv"
    path.write_text(f"id,version,{column}\na,1.0,{values[0]}\nb,1.0,{values[1]}\n")
    made = draft(path)
    assert set(made.columns) == {"module", "version"}
    assert says in "\n".join(made.unsure)


def test_per_cent_in_the_name_are_no_fractions(tmp_path):
    """The name says per cent, the values look like fractions: the draft does not decide, the file is refused."""
    (tmp_path / "f.csv").write_text("id,version,battery (%)\na,1.0,0.5\nb,1.0,1\n")
    done = fotasim("fleet", "f.csv", cwd=tmp_path)
    assert done.returncode == 2 and "per cent or fractions?" in done.stderr


def test_words_for_nothing_are_ids(tmp_path):
    """Only an empty id is none, in the draft as in the reading."""
    (tmp_path / "f.csv").write_text("id,version\na,1.0\nNULL,1.0\nnan,1.0\nnan,1.0\n,1.0\n")
    scenario, unsure = drafted(tmp_path / "f.csv")
    assert overview(scenario)[0]["modules"] == 3
    assert "'id': 1 of 5 rows have no value; they are dropped" in unsure
    assert any(line.startswith("'id': 1 rows name a module a second time") for line in unsure)


def test_a_technology_nobody_knows_beside_others(tmp_path):
    """One row of 5G does not make everybody LTE-M."""
    (tmp_path / "f.csv").write_text("id,version,Network\na,1.0,NB-IoT\nb,1.0,5G\nc,1.0,Cat-M1\n")
    made = draft(tmp_path / "f.csv")
    assert made.technologies == {"nb-iot": ["NB-IoT"], "lte-m": ["Cat-M1"]}
    assert any("'5G' fits no technology" in line for line in made.unsure)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,version,size,count\na,1.0\nb,1.0,3,4,5\n", ["f.csv:2: line: found 'a,1.0'", "f.csv:3: line: found 'b,1.0,3,4,5'"]),
        ("# exported\nid,version\na,1.0\ntotal\n", ["f.csv:2: line: found 'id,version'", "delete lines that are no rows"]),
        ("id,version\n", ["a row for each is needed below the header"]),
    ],
)  # fmt: skip
def test_a_table_without_rows_is_refused_before_anything_is_guessed(text, says, tmp_path):
    """No word of a column that is missing, no scenario of nobody; the faults in the order of the lines."""
    (tmp_path / "f.csv").write_text(text)
    done = fotasim("fleet", "f.csv", cwd=tmp_path)
    assert done.returncode == 2 and not (tmp_path / "f.yaml").exists()
    assert "no column of" not in done.stderr
    places = [done.stderr.index(words) for words in says]
    assert places == sorted(places)


def test_a_draft_with_faults_is_written_and_ends_with_2(tmp_path):
    """The mapping is there to edit, the faults are listed."""
    (tmp_path / "bad.csv").write_text("imei,rsrp\n8.60688E+14,-95\n")
    done = fotasim("fleet", "bad.csv", cwd=tmp_path)
    assert done.returncode == 2 and (tmp_path / "bad.yaml").exists()
    assert "bad.csv:2: imei: found '8.60688E+14'" in done.stderr
    checked = fotasim("validate", "bad.yaml", cwd=tmp_path)
    assert checked.returncode == 2 and "8.60688E+14" in checked.stderr and "Traceback" not in checked.stderr
    ran = fotasim("run", "bad.yaml", "--engine", "simpy", cwd=tmp_path)
    assert ran.returncode == 2 and "8.60688E+14" in ran.stderr


def test_run_of_a_sample(tmp_path):
    """--modules N takes N of the file's."""
    (tmp_path / "f.csv").write_text("imei,rsrp,battery\n" + "".join(f"m{i},-95,80\n" for i in range(50)))
    assert fotasim("fleet", "f.csv", cwd=tmp_path).returncode == 0
    done = fotasim("run", "f.yaml", "--engine", "simpy", "--modules", "20", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["modules"] == 20, done.stderr
    assert fotasim("run", "f.yaml", "--engine", "simpy", "--modules", "51", cwd=tmp_path).returncode == 2


HAWKBIT = {
    "content": [
        {"createdBy": "bumlux", "createdAt": 1764200000000, "name": "device one", "controllerId": "012", "updateStatus": "in_sync",
         "lastControllerRequestAt": 1764288000000, "installedAt": 1764201000000, "ipAddress": "10.0.0.1", "targetTypeName": "tracker",
         "pollStatus": {"lastRequestAt": 1764288000000, "overdue": False}, "_links": {"self": {"href": "http://localhost/x"}}},
        {"createdAt": 1764200000000, "name": "device two", "controllerId": "013", "updateStatus": "unknown", "_links": {}},
    ],
    "total": 2, "size": 2,
}  # fmt: skip
THINGS = {
    "things": [
        {"thingName": "012", "thingTypeName": "tracker", "attributes": {"site": "Ulm", "fw": "1.10"}, "version": 3},
        {"thingName": "013", "attributes": {"site": "Bonn", "fw": "1.9"}, "version": 1},
    ]
}
INDEX = {
    "things": [
        {"thingName": "012", "thingId": "b1", "thingGroupNames": ["pilot", "eu"], "attributes": {"site": "Ulm"},
         "shadow": '{"reported": {"fw": "1.10", "rsrp": -95}, "metadata": {}}', "connectivity": {"connected": True, "timestamp": 1764288000000}},
        {"thingName": "013", "thingId": "b2", "thingGroupNames": [], "attributes": {"site": "Ulm"},
         "shadow": '{"reported": {"fw": "1.9", "rsrp": -99}}', "connectivity": {"connected": False, "timestamp": 0}},
    ]
}  # fmt: skip
EXECUTIONS = {
    "executionSummaries": [
        {"thingArn": f"arn:aws:iot:eu-central-1:123456789012:thing/{name}",
         "jobExecutionSummary": {"status": "SUCCEEDED", "queuedAt": 1764200000.1, "lastUpdatedAt": 1764288000.5, "executionNumber": 1}}
        for name in ("012", "013")
    ]
}  # fmt: skip
THINGSBOARD = {
    "data": [
        {"id": {"entityType": "DEVICE", "id": f"784f394c-42b6-435a-983c-b7beff2784f{i}"}, "createdTime": 1764200000000, "name": name,
         "type": "tracker", "label": "Ulm", "version": 7, "customerId": {"entityType": "CUSTOMER", "id": "c1"}, "additionalInfo": {}}
        for i, name in enumerate(("012", "013"))
    ],
    "totalPages": 1, "totalElements": 2, "hasNext": False,
}  # fmt: skip
CENTER = {
    "total": 2, "page": 1, "size": 50,
    "devices": [
        {"device_key": name, "stage": "notify", "state": "waiting", "device_state": "", "reason": "", "attempts": 0, "failures": 0,
         "updated_at": 1764288000.0, "online": True, "module_version": "1.10", "mcu_versions": "", "battery_percent": 80.0,
         "rsrp_dbm": -95.0, "free_bytes": 4000000}
        for name in ("012", "013")
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("listing", "product", "labels", "version"),
    [
        (HAWKBIT, "hawkBit targets", {"targettypename"}, None),
        (THINGS, "AWS IoT list-things", {"site", "thingtypename"}, "attributes.fw"),
        (INDEX, "AWS IoT list-things or search-index", {"site", "thinggroupnames"}, "shadow.reported.fw"),
        (EXECUTIONS, "AWS IoT list-job-executions-for-job", set(), None),
        (THINGSBOARD, "ThingsBoard devices", {"type", "label"}, None),
        (CENTER, "Developer Center devices", set(), "module_version"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_lists_of_products_are_fleet_files(listing, product, labels, version, tmp_path):
    """What their API or command prints, as it is: ids with leading zeros, labels, versions where the list has them."""
    path = tmp_path / "list.json"
    path.write_text(json.dumps(listing, indent=2))
    scenario, _ = drafted(path)
    found = check_files(scenario)[0][1]
    assert found.known.names == ["012", "013"] and product in found.form
    assert labels <= {name.replace("_", "") for name in found.known.labels}
    mapped = scenario.fleet.groups[0].columns.get("version")
    assert (mapped.column if mapped else None) == version
    if product.startswith("Developer"):
        assert {key: values.tolist() for key, values in found.known.numbers.items()} == {
            "rsrp_dbm": [-95, -95], "battery_percent": [80, 80], "free_space": [4_000_000, 4_000_000],
        }  # fmt: skip
    if version and version.endswith("fw"):
        assert found.known.versions["fw"].names == ("1.10", "1.9")


def test_a_list_that_is_not_whole_is_refused(tmp_path):
    """A page alone would be a smaller fleet; pages one after the other are one list."""
    cut = {
        "hawkbit": {**HAWKBIT, "total": 500}, "aws": {**THINGS, "nextToken": "x"}, "cli": {**EXECUTIONS, "NextToken": "x"},
        "thingsboard": {**THINGSBOARD, "hasNext": True, "totalElements": 4},
    }  # fmt: skip
    for name, listing in cut.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(listing))
        with pytest.raises(FleetFileError, match="the list goes on"):
            draft(path)
    second = json.loads(json.dumps(THINGSBOARD).replace('"012"', '"014"').replace('"013"', '"015"'))
    pages = [{**THINGSBOARD, "hasNext": True, "totalElements": 4}, {**second, "totalElements": 4}]
    both = tmp_path / "both.json"
    both.write_text("\n".join(map(json.dumps, pages)))
    assert check_files(drafted(both)[0])[0][1].known.names == ["012", "013", "014", "015"]


def test_a_column_that_is_named_for_a_number_is_mapped_though_most_of_it_is_none(tmp_path):
    """Its texts are then refused with their lines, not replaced by a default distribution."""
    path = tmp_path / "b.csv"
    path.write_text("imei,battery\nd1,inf\nd2,0x10\nd3,1_0\nd4,80\n", encoding="utf-8")
    assert draft(path, None).columns["battery_percent"] == {"column": "battery"}
    path.write_text("imei,battery\nd1,good\nd2,bad\n", encoding="utf-8")
    assert "battery_percent" not in draft(path, None).columns


@pytest.mark.parametrize("name", ["imei", "IMEI", "device_id", "Serial Number", "thingName"])
def test_telemetry_with_many_rows_a_device_is_not_that_many_devices(tmp_path, name):
    """A column named for ids is the id; the last row of each counts, and that is said."""
    path = tmp_path / "t.csv"
    rows = "".join(f"d{i % 2},{-90 - i},80\n" for i in range(10))
    path.write_text(f"{name},rsrp,battery\n{rows}", encoding="utf-8")
    made = draft(path, None)
    assert made.columns["module"] == {"column": name}
    assert made.duplicates == "keep-last"
    assert any("8 rows name a module a second time" in line for line in made.unsure)
    scenario = Scenario.from_text(to_yaml(made, tmp_path).replace('"t.csv"', f'"{path}"'))
    assert check_files(scenario)[0][1].known.count == 2


def test_a_parquet_file_with_lists_and_structures_is_drafted(tmp_path):
    """Columns of lists are not used, and said; the others are read."""
    path = tmp_path / "devices.parquet"
    pd.DataFrame({
        "imei": ["860688000000011", "860688000000029"], "fw": pd.Categorical(["1.10", "1.9"]), "tags": [["a"], ["b", "c"]],
        "position": [{"lat": 1.0}, {"lat": 2.0}],
    }).to_parquet(path)  # fmt: skip
    scenario, unsure = drafted(path)
    assert "not used: 'tags', 'position'" in unsure
    assert check_files(scenario)[0][1].rows == 2


@pytest.mark.parametrize(
    ("beside", "found"),
    [
        ({"hasNext": True}, "1 devices"), ({"next": "https://example.com/?page=2"}, "1 devices"),
        ({"has_more": True}, "1 devices"), ({"nextToken": "x"}, "1 devices"),
        ({"total": 250, "limit": 1}, "1 of 250 devices"), ({"totalCount": "2"}, "1 of 2 devices"),
    ],
)  # fmt: skip
def test_a_page_of_an_unknown_product_is_no_fleet(beside, found, tmp_path):
    """The rest of the fleet must not vanish because nobody here knows the product."""
    path = tmp_path / "page.json"
    path.write_text(json.dumps({"data": [{"imei": "860688000000011", "fw": "1.10"}], **beside}))
    with pytest.raises(FleetFileError) as error:
        draft(path)
    assert [(p.found, p.cure.partition(":")[0]) for p in error.value.problems] == [(found, "the list goes on")]
    whole = {"data": [{"imei": "860688000000011", "fw": "1.10"}], "hasNext": False, "next": None, "total": 1}
    path.write_text(json.dumps(whole))
    assert draft(path).unsure
