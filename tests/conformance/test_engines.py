"""Every engine, the same records: the compiled engine against the SimPy engine, module by module and event by event."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from sim.engines.run import campaign_records
from sim.errors import FotasimError
from sim.records import Records
from sim.scenario import Scenario
from tests.strategies import ANY, ANY_POLLED, overrides
from tests.support import scenario

READY = sorted(Path("scenarios").glob("*.yaml"))
TIME_S = 1e-6
"""Times agree to a microsecond; everything that is counted or named agrees exactly."""


def assert_same(reference: Records, found: Records) -> None:
    """The same modules, events, decisions, timeline and peaks."""
    same_table("modules", reference.modules, found.modules)
    same_table("decisions", reference.decisions, found.decisions)
    same_table("timeline", reference.timeline, found.timeline)
    if reference.events is not None:
        same_table("events", reference.events, found.events)
    assert found.cloud_peaks == pytest.approx(reference.cloud_peaks)
    assert (found.complete, found.watched_s) == (reference.complete, reference.watched_s)


def same_table(name: str, reference: pd.DataFrame, found: pd.DataFrame) -> None:
    """Equal columns; floats to TIME_S, or a billionth of large ones."""
    assert list(reference.columns) == list(found.columns)
    assert list(reference.dtypes.astype(str)) == list(found.dtypes.astype(str))
    assert len(reference) == len(found), name
    for column in reference.columns:
        a, b = reference[column], found[column]
        if a.dtype.kind == "f":
            differ = ~np.isclose(a, b, rtol=1e-9, atol=TIME_S, equal_nan=True)
        else:
            differ = a.astype(str).to_numpy() != b.astype(str).to_numpy()
        where = np.flatnonzero(differ)
        assert not len(where), f"{name}.{column}, row {where[0]}: {a.iloc[where[0]]!r} against {b.iloc[where[0]]!r}"


def both(asked: Scenario) -> None:
    """Runs a scenario on both engines and compares; what one refuses the other refuses with the same words."""
    try:
        reference = campaign_records(asked, 0, engine="simpy", events=True)
    except FotasimError as error:
        with pytest.raises(FotasimError, match="^" + re.escape(str(error)) + "$"):
            campaign_records(asked, 0, engine="compiled", events=True)
        return
    assert_same(reference, campaign_records(asked, 0, engine="compiled", events=True))


@pytest.mark.parametrize("path", READY, ids=lambda p: p.stem)
def test_ready_scenario(path):
    """Every ready scenario, at a tenth of its size."""
    size = Scenario.load(path).fleet.size // 10
    both(Scenario.load(path, [f"fleet.size={size}"]))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(ANY)
def test_any_scenario(keys):
    """100 random scenarios over the whole vocabulary; benchmarks/conformance.py tries as many as one likes."""
    both(scenario(*overrides(keys)))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(ANY_POLLED)
def test_any_scenario_of_a_polled_server(keys):
    """The same vocabulary against a simulated DDI server: one line of requests a module, nothing said unasked."""
    both(scenario(*overrides(keys)))
