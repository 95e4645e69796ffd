"""Labels of the fleet, from its groups and from files, reach the records, the gates and the tables of the report."""

from __future__ import annotations

import pytest

from sim.cli import main
from sim.engines.run import save, simulate
from sim.errors import ScenarioError
from sim.report.model.run_report import build
from sim.scenario.load import check

DEVICES = "IMEI,Site,Customer,FW\n" + "".join(
    f"8600000000{i:05d},{'lab' if i < 40 else 'field'},{'' if i % 10 == 0 else f'c{i % 2}'},001\n" for i in range(120)
)
TEXT = """\
name: labelled
horizon: 2d
fleet:
  size: 80
  failures: {never_online: 0, long_offline: 0, boot_failure: 0, brick: 0, user_refusal: 0, source_mismatch: 0}
  groups:
    - {name: listed, file: devices.csv, columns: {module: IMEI}, versions: {fw: FW}, technology: cat4, power: mains, check_in: always,
       rsrp_dbm: -70, free_space: 16 MB, battery_percent: 90, labels: {site: {column: Site}, customer: {column: Customer}}}
    - {name: drawn, share: 1.0, technology: cat4, power: mains, check_in: always, components: {fw: "001"}, rsrp_dbm: -70,
       free_space: 16 MB, labels: {site: depot}}
plan:
  name: fw
  components: [{component: fw, type: firmware, package: full, target_version: "003", size: 100 kB}]
"""


@pytest.fixture
def labelled(tmp_path):
    """The scenario with overrides; its devices lie in a file."""
    (tmp_path / "devices.csv").write_text(DEVICES)

    def made(*overrides):
        return check(TEXT, str(tmp_path / "s.yaml"), overrides, tmp_path)

    return made


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_labels_are_columns_of_the_table(labelled, engine):
    """A column for each; a module of a group without the label has an empty one."""
    table = simulate(labelled(), engine=engine).records.modules
    assert table["label_site"].value_counts().to_dict() == {"depot": 80, "field": 80, "lab": 40}
    assert table["label_customer"].value_counts().to_dict() == {"": 92, "c0": 48, "c1": 60}
    assert set(table.loc[table["group"] == "drawn", "label_site"]) == {"depot"}
    first = table[table["module"] == "860000000000003"].iloc[0]
    assert (first["label_site"], first["label_customer"]) == ("lab", "c1")


def test_a_gate_by_a_label_judges_each_of_its_values(labelled, tmp_path):
    """And modules without the label together; the folder read back says the same, its report has the tables."""
    gated = labelled(
        "gates={success_rate: {limit: '>= 0.5', by: site}, bricked_of_targets: {limit: '<= 0.3', by: customer}}"
    )
    found = simulate(gated, engine="simpy")
    listed = [(gate["by"], gate["of"], gate["total"]) for gate in found.summary["gates"]]
    assert listed == [("site", "depot", 80), ("site", "field", 80), ("site", "lab", 40),
                      ("customer", "(no customer)", 92), ("customer", "c0", 48), ("customer", "c1", 60)]  # fmt: skip
    report = build(save(found, tmp_path / "run"))
    assert [(gate.of, gate.total) for gate in report.gates[:2]] == [("depot", 80), ("field", 80)]
    cuts = {cut.label: [row.name for row in cut.slices] for cut in report.breakdowns}
    assert cuts["site"] == ["depot", "field", "lab"] and cuts["customer"] == ["(no customer)", "c0", "c1"]


def test_labels_survive_replications(labelled):
    """The tables of several campaigns below each other, judged by a label over campaigns."""
    found = simulate(labelled("gates={success_rate: {limit: '>= 0.5', by: site}}"), engine="simpy", replications=2)
    assert found.records.modules["label_site"].astype(str).value_counts().to_dict() == {
        "depot": 160,
        "field": 160,
        "lab": 80,
    }
    assert [(g["of"], g["total"], g["state"]) for g in found.summary["gates"]][-1] == ("lab", 80, "met")


def test_a_label_nobody_has_is_refused(labelled):
    """With those there are."""
    with pytest.raises(ScenarioError, match=r"by a label of the fleet \(site, customer\), not by 'colour'"):
        labelled("gates={success_rate: {limit: '>= 0.5', by: colour}}")


def test_a_gate_of_the_report_by_an_unknown_label_is_wrong_input(labelled, tmp_path, monkeypatch, capsys):
    """fotasim report --gate names what there is and ends with 2; by a label that is there it judges."""
    folder = save(simulate(labelled(), engine="simpy"), tmp_path / "run").path
    for by, status in (("site", 0), ("colour", 2)):
        monkeypatch.setattr(
            "sys.argv", ["fotasim", "report", str(folder), "--gate", f"success_rate >= 0.5 by {by}", "--json"]
        )
        with pytest.raises(SystemExit) as ended:
            main()
        assert int(ended.value.code or 0) == status
    assert "site, customer" in capsys.readouterr().err


def test_a_table_without_labels_is_as_it_was():
    """No column is added where the fleet has no labels."""
    from tests.support import run

    table = run().records.modules
    assert not [name for name in table.columns if name.startswith("label_")]
