"""Numbers that readers of YAML disagree about are refused wherever a user writes one, with key, line and cure."""

from __future__ import annotations

import pytest

from sim.errors import ScenarioError, StudyError
from sim.scenario.bare_numbers import doubtful
from sim.scenario.load import check
from sim.study.axes import parse_axis

TEXT = """\
name: numbers
horizon: 1d
fleet:
  size: 10
  groups:
    - name: g
      components: {fw: "1.0"}
      labels: {site: lab}
      technology: lte-m
      share: 1
      check_in: {every: 24h}
plan:
  name: fw
  components: [{component: fw, target_version: "1.1", size: 100 kB}]
"""


def refused(text: str, *overrides: str) -> list:
    """The problems of a scenario's text."""
    with pytest.raises(ScenarioError) as caught:
        check(text, "n.yaml", overrides)
    return caught.value.problems


@pytest.mark.parametrize("bare", ["010", "0100", "1_0", "1_000", "0x10", "0o10", "0b11", "-010", "00.5", "010e1"])
def test_a_number_with_two_readings(bare):
    found = refused(TEXT.replace("size: 10\n", f"size: {bare}\n"))
    assert [(p.line, p.key, p.found) for p in found] == [(4, "fleet.size", bare)]
    assert "plain decimal number" in found[0].cure
    option = refused(TEXT, f"fleet.size={bare}")
    assert [(p.file, p.key, p.found) for p in option] == [(f"--set fleet.size={bare}", "fleet.size", bare)]
    with pytest.raises(StudyError, match="different values"):
        parse_axis(f"fleet.size=5,{bare}")


@pytest.mark.parametrize(("written", "size"), [("10", 10), ("1e3", 1000), ("1.0e+3", 1000), ("+20", 20)])
def test_a_number_with_one_reading(written, size):
    assert check(TEXT.replace("size: 10\n", f"size: {written}\n"), "n.yaml", []).fleet.size == size


def test_a_number_of_minutes_and_seconds_is_no_number():
    """1:30 is 90 to some readers: as a duration it is refused, as a time of day it is what it says."""
    assert refused(TEXT.replace("1d", "1:30"))[0].key == "horizon"
    window = "plan.strategy.schedule.maintenance_windows=[{start: 1:30, duration: 1h}]"
    given = check(TEXT, "n.yaml", [window])
    assert given.plan.strategy.schedule.maintenance_windows[0].start_s == 5400.0


def test_all_of_them_at_once_with_their_keys():
    text = TEXT.replace("size: 10\n", "size: 010\n").replace("site: lab", "site: 007").replace("100 kB", "0x20")
    assert [(p.line, p.key, p.found) for p in refused(text)] == [
        (4, "fleet.size", "010"), (8, "fleet.groups.0.labels.site", "007"), (14, "plan.components.0.size", "0x20"),
    ]  # fmt: skip


@pytest.mark.parametrize("quoted", ['"007"', "'007'"])
def test_in_quotes_it_is_a_text(quoted):
    assert check(TEXT.replace("site: lab", f"site: {quoted}"), "n.yaml", []).fleet.groups[0].labels["site"] == "007"


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('target_version: "1.1"', "target_version: 1.10", "plan.components.0.target_version"),
        ('{fw: "1.0"}', "{fw: 1.10}", "fleet.groups.0.components.fw"),
        ('{fw: "1.0"}', "{fw: {1.10: 1}}", "fleet.groups.0.components.fw.1.1"),
        ("site: lab", "site: 7", "fleet.groups.0.labels.site"),
        ("  name: fw", "  whitelist: [860688000000001]\n  name: fw", "plan.whitelist.0"),
    ],
)
def test_a_text_that_yaml_takes_for_a_number_is_to_be_put_in_quotes(old, new, key):
    found = refused(TEXT.replace(old, new))
    assert [p.key for p in found] == [key]
    assert found[0].cure == "a text is needed: write it in quotes, since YAML reads 1.10 as the number 1.1 and 007 as 7"


def test_numbers_in_comments_and_texts_are_left_alone():
    assert doubtful('a: "010"  # 010\nb: v010\nc: |\n  010\n') == []


@pytest.mark.parametrize("character", ["\\e[31m", "\\a", "\\x9b", "\\u2028", "two\\nlines"])
def test_a_label_has_no_control_characters(character):
    found = refused(TEXT.replace("site: lab", f'site: "a{character}"'))
    assert found[0].key == "fleet.groups.0.labels.site"
