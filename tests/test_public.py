"""The public names."""

import pytest

import sim
import sim.errors


def test_public_names_load_on_use(tmp_path):
    """A rollout in four names."""
    scenario = sim.Scenario.load("scenarios/quickstart.yaml", ["fleet.size=20"])
    saved = sim.save(sim.simulate(scenario), tmp_path / "run")
    assert len(sim.Run.load(saved.path).modules) == 20


def test_unknown_name():
    """An ordinary AttributeError."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sim.nothing


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda s: sim.replicate(s, 0), r"replications=0: a whole number of at least 1"),
        (lambda s: sim.replicate(s, "many"), r"replications='many': a whole number"),
        (
            lambda s: sim.replicate(s, until="success_rate"),
            r"until='success_rate': a list is needed: until=\['success_rate'\]",
        ),
        (lambda s: sim.tune(s, ["seed=1:2"], minimise="duration_p95"), r"minimise=\['duration_p95'\]"),
        (lambda s: sim.tune(s, "seed=1:2", minimise=["failed"]), r"vary=\['seed=1:2'\]"),
        (lambda s: sim.sweep(s, ["seed=1,2"], replications=0), "replications=0"),
        (lambda s: sim.compare("a"), r"sources=\['a'\]"),
        (lambda s: sim.sensitivity(s, inputs="boot_failure"), r"inputs=\['boot_failure'\]"),
    ],
)
def test_arguments_easily_given_wrong(call, said):
    """Refused before anything runs, with what would be right."""
    scenario = sim.Scenario.load("scenarios/quickstart.yaml", ["fleet.size=20"])
    with pytest.raises(sim.errors.StudyError, match=said):
        call(scenario)


def test_names_are_listed():
    """dir() shows the interface, as an interpreter's completion does; so does the package `fotasim`."""
    import fotasim

    assert set(sim.__all__) <= set(dir(sim)) and set(fotasim.__all__) == set(sim.__all__) <= set(dir(fotasim))
    assert fotasim.Scenario is sim.Scenario
