"""The public names."""

import pytest

import sim


def test_public_names_load_on_use(tmp_path):
    """A rollout in four names."""
    scenario = sim.Scenario.load("scenarios/quickstart.yaml", ["fleet.size=20"])
    saved = sim.save(sim.simulate(scenario), tmp_path / "run")
    assert len(sim.Run.load(saved.path).modules) == 20


def test_unknown_name():
    """An ordinary AttributeError."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sim.nothing
