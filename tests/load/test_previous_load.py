"""A load run beside an earlier one: real differences are told, chance is none, and what cannot be compared says why."""

import json

import numpy as np
import pytest

from sim.engines.live.latency import Latencies
from sim.errors import InputError
from sim.load.previous_load import Earlier, changes, read

FACTS = {"users": 100, "ramp_per_s": 10.0, "shape": "ramp", "time_scale": 1.0, "duration_s": None}


def run(seed, *, median_s=0.1, failed=0, count=2000, facts=None, **found):
    measured, draw = Latencies(), np.random.default_rng(seed)
    for seconds in draw.lognormal(np.log(median_s), 0.5, count):
        measured.add("notice", seconds)
    for _ in range(failed):
        measured.fail("notice", "no answer")
    legs = {"notice": {"hdr": measured.encoded("notice"), "failures": measured.failed("notice")}}
    return Earlier({**FACTS, **(facts or {})}, {"legs": legs, "void": False, "complete": True, **found})


def test_two_runs_of_one_cloud_hardly_ever_differ():
    """Pairs with chance of their own: two intervals of a figure each have to miss, so next to no pair differs."""
    told = [changes(run(seed), run(1000 + seed)) for seed in range(20)]
    assert sum(len(lines) > 1 for lines in told) <= 1
    assert told[0] == ["no significant difference from the earlier run in 3 figures"]


@pytest.mark.parametrize(
    ("now", "names"),
    [
        ({"median_s": 0.2}, ["p50(notice)", "p99(notice)"]),
        ({"median_s": 0.05}, ["p50(notice)", "p99(notice)"]),
        ({"failed": 40}, ["error_rate(notice)"]),
    ],
)
def test_a_slower_or_failing_cloud_is_told(now, names):
    lines = changes(run(1, **now), run(2))
    assert [line.partition(":")[0] for line in lines[:-1]] == names
    assert all(line.endswith("less" if now.get("median_s") == 0.05 else "MORE") for line in lines[:-1])
    assert lines[-1] == f"no significant difference from the earlier run in {3 - len(names)} other figures"


def test_a_line_has_both_figures_with_their_intervals():
    (line, *_) = changes(run(1, failed=40), run(2))
    assert line == "error_rate(notice): 2 % (1.2 % to 2.9 %), earlier 0 % (0 % to 0.27 %): MORE"


def test_too_few_samples_for_a_quantile_compare_only_what_they_can():
    lines = changes(run(1, count=60), run(2, count=60))
    assert lines == ["no significant difference from the earlier run in 2 figures"]  # no interval of a p99 from 60


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({"facts": {"users": 200}}, "users was 100, is 200"),
        ({"facts": {"shape": "step"}}, "shape was ramp, is step"),
        ({"void": True}, "this run is void"),
        ({"complete": False}, "this run is void"),
        ({"interrupted": True}, "this run is void or was interrupted"),
    ],
)
def test_other_loads_are_not_compared(now, words):
    (line,) = changes(run(1, **now), run(2))
    assert line.startswith("not comparable")
    assert words in line


@pytest.mark.parametrize(
    ("manifest", "report"),
    [(None, None), ({"kind": "run"}, {"legs": {}}), ({"kind": "load"}, [1]), ({"kind": "load"}, {"legs": {"notice": {"hdr": "x"}}})],
)  # fmt: skip
def test_what_is_no_load_run_is_refused(tmp_path, manifest, report):
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(json.dumps({"format": 1, **manifest}))
        (tmp_path / "load.json").write_text(json.dumps(report))
    with pytest.raises(InputError, match="not the folder of a load run"):
        read(tmp_path)
