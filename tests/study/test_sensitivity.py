"""What a result depends on, where that is known."""

from __future__ import annotations

import pytest

from sim.errors import StudyError
from sim.study.inputs import settings, uncertain
from sim.study.sensitivity import sensitivity
from tests.study.known import dark_share
from tests.support import scenario


def test_morris_finds_what_alone_matters():
    """Only dark modules lower success here, and message loss does nothing at all."""
    found = sensitivity(
        dark_share(0.05, "fleet.size=500", "horizon=1d"),
        inputs=["never_online=0:0.4", "message_loss_lte=0:0.01", "flash_error=0:0.001"],
        samples=6,
        workers=1,
    )
    assert found.table["input"].iloc[0] == "never_online"
    strongest = found.table.iloc[0]
    assert strongest["mu"] == pytest.approx(-0.4, abs=0.1)
    assert (strongest["at_low"], strongest["at_high"]) == pytest.approx((1.0, 0.6), abs=0.12)
    assert found.table["mu_star"].iloc[1:].max() < 0.05
    assert found.nominal == pytest.approx(0.95, abs=0.06)


def test_sobol_splits_the_variance(tmp_path):
    """Success is (1 - a)(1 - b) for dark modules and user refusal that is never retried: here only a and b share it."""
    found = sensitivity(
        dark_share(0.05, "fleet.size=150"), method="sobol", inputs=["never_online=0:0.4", "message_loss_lte=0:0.001"],
        samples=16, workers=2,
    )  # fmt: skip
    first, second = found.table.iloc[0], found.table.iloc[1]
    assert first["input"] == "never_online"
    assert first["total"] == pytest.approx(1.0, abs=0.35)
    assert second["total"] < 0.1
    assert "Sobol" in found.save(tmp_path).read_text()
    assert found.plot_indices().axes


def test_what_the_verdict_depends_on(tmp_path):
    """A gate at 80 %: dark modules alone can flip it, nothing else can."""
    base = dark_share(0.05).with_(gates={"success_rate": ">= 0.8"})
    found = sensitivity(base, inputs=["never_online=0:0.4", "flash_error=0:0.001"], samples=6, workers=1)
    assert found.flips == ["never_online"]
    assert 0.2 < found.share_met < 0.8
    page = found.save(tmp_path).read_text()
    assert "alone within its range, changes the answer: never online." in page
    assert {p.name for p in tmp_path.iterdir()} == {
        "manifest.json",
        "report.html",
        "inputs.parquet",
        "samples.parquet",
        "scenario.yaml",
        "SHA256SUMS",
    }
    assert found.plot().axes


def test_same_on_any_number_of_workers():
    """The design depends on the seed, the result on the design."""
    base = dark_share(0.05, "fleet.size=30", "horizon=1d")
    one, two = (sensitivity(base, inputs=["never_online", "long_offline"], samples=2, workers=n) for n in (1, 2))
    assert one.table.equals(two.table)
    assert one.samples.equals(two.samples)


def test_inputs_by_default_are_the_estimated_failures():
    """Their ranges hold the scenario's own value; wide ones are sampled by ratio; a bad release is none of them."""
    found = {i.name: i for i in uncertain(scenario("fleet.failures.never_online=0.3"))}
    assert found["never_online"].high == 0.3
    assert found["brick"].log
    assert found["brick"].at(0.5) == pytest.approx((found["brick"].low * found["brick"].high) ** 0.5)
    assert found["boot_failure"].high == 0.05
    assert all(i.low <= i.nominal <= i.high for i in found.values())
    assert "message_loss_nb_iot" not in found


def test_a_group_with_its_own_value_is_varied_too():
    """Else the study would turn a knob that is not connected."""
    base = scenario("fleet.groups.all.failures={never_online: 0.2}")
    (given,) = uncertain(base, ["never_online=0.1:0.4"])
    varied = base.with_(settings(base, {given: 0.4}))
    assert varied.fleet.groups[0].failures.never_online == 0.4
    assert varied.fleet.failures.never_online == 0.4


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"metric": "happiness"}, "not a metric"),
        ({"method": "guess"}, "choose from"),
        ({"inputs": ["luck", "brick"]}, "not a parameter"),
        ({"inputs": ["brick"]}, "at least two"),
        ({"inputs": ["brick=0.1:3", "never_online"]}, "within 0 to 1"),
        ({"method": "sobol", "samples": 10, "inputs": ["brick", "never_online"]}, "power of two"),
    ],
)
def test_studies_that_cannot_be(options, match):
    """Each says why before anything runs."""
    with pytest.raises(StudyError, match=match):
        sensitivity(scenario(), **options)


def test_without_a_range_of_ones_own_a_healthy_release_is_varied():
    """Named or chosen by default the range is the same, and the one docs/study.md tells; a range of one's own is taken."""
    named = uncertain(scenario(), ["boot_failure"])[0]
    chosen = next(i for i in uncertain(scenario()) if i.name == "boot_failure")
    assert (named.low, named.high) == (chosen.low, chosen.high) == (0.0002, 0.05)
    assert uncertain(scenario(), ["boot_failure=0.1:0.9"])[0].high == 0.9
