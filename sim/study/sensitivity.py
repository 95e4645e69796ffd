"""What a result depends on: Morris screening or Sobol indices over the uncertain inputs, and each input alone."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim import gates as gate_rules
from sim.errors import StudyError
from sim.metrics import figure
from sim.scenario import Scenario
from sim.stats.campaigns import STUDY_METRICS
from sim.study.arguments import check_counts, check_lists
from sim.study.campaign import Job
from sim.study.inputs import Input, settings, uncertain
from sim.study.made import UNRECORDED, Made, options
from sim.study.pool import Pool, Progress, collect

METHODS = ("morris", "sobol")
TRAJECTORIES = 20
BASE_SAMPLES = 64
_DIGITS = 12
_MORRIS_LEVELS = 4


@dataclass(slots=True)
class Sensitivity:
    """Result of a study of the inputs for one metric.

    `table`: one row per input, most influential first: input, low, high, nominal (of its values), at_low, at_high (the
    metric with this input alone at an end of its range), swing, and of Morris mu_star, mu_star_conf, mu, sigma, of
    Sobol first, first_conf, total, total_conf. `samples`: every sampled world with the metric. `nominal`: the metric
    of the scenario as it is. `gate`: (sign, limit) of the scenario's gate on the metric, if it has one.
    """

    scenario: Scenario
    metric: str
    method: str
    inputs: list[Input]
    table: pd.DataFrame
    samples: pd.DataFrame
    nominal: float
    gate: tuple[str, float] | None
    replications: int
    made: Made = UNRECORDED

    @property
    def met(self) -> bool | None:
        """Whether the scenario as it is meets the gate; None without a gate."""
        return None if self.gate is None else met(self.gate, self.nominal)

    @property
    def share_met(self) -> float | None:
        """Share of the sampled worlds in which the gate is met; None without a gate."""
        if self.gate is None:
            return None
        return float(np.mean([met(self.gate, value) for value in self.samples[self.metric]]))

    @property
    def flips(self) -> list[str]:
        """Inputs that change the gate's answer on their own, within their range."""
        if self.gate is None:
            return []
        now = met(self.gate, self.nominal)
        ends = self.table[["at_low", "at_high"]].to_numpy()
        return [
            str(name)
            for name, values in zip(self.table["input"], ends, strict=True)
            if any(met(self.gate, value) != now for value in values)
        ]

    def plot(self) -> Any:
        """Each input alone, between the ends of its range; a matplotlib Figure."""
        from sim.report.figures.study_figures import tornado

        return tornado(
            self.table.assign(nominal=self.nominal), self.metric, limit=None if self.gate is None else self.gate[1]
        )

    def plot_indices(self) -> Any:
        """Morris' strength and spread, or Sobol's total indices; a matplotlib Figure."""
        from sim.report.figures.study_figures import indices, screening

        return screening(self.table, self.metric) if self.method == "morris" else indices(self.table)

    def save(self, folder: str | Path, *, overwrite: bool = False, command: str = "") -> Path:
        """Writes the tables and the page; returns the page. FolderInUse for a folder with a result, unless `overwrite`."""
        from sim.study.study_folders import save_sensitivity

        return save_sensitivity(self, Path(folder), overwrite=overwrite, command=command)


def sensitivity(
    scenario: Scenario,
    metric: str = "success_rate",
    *,
    method: str = "morris",
    inputs: Sequence[str] = (),
    samples: int | None = None,
    replications: int = 1,
    engine: str = "auto",
    workers: int | None = None,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> Sensitivity:
    """Varies the uncertain inputs over their ranges (docs/parameters.md) and ranks them by what they do to a metric.

    `morris` (20 trajectories: 20 (k + 1) worlds for k inputs) ranks many inputs cheaply; `sobol` (64 base samples:
    64 (k + 2) worlds) splits the variance among few. `samples` sets the trajectories or base samples. Every world runs
    the same `replications`, on common random numbers. Raises StudyError.
    """
    check_lists(inputs=inputs)
    check_counts(samples=samples, replications=replications, workers=workers)
    if metric not in STUDY_METRICS:
        raise StudyError(f"{metric!r} is not a metric; choose from {', '.join(STUDY_METRICS)}")
    if method not in METHODS:
        raise StudyError(f"--method {method}: choose from {', '.join(METHODS)}")
    chosen = uncertain(scenario, inputs)
    if len(chosen) < 2:
        raise StudyError("a study of the inputs needs at least two inputs with a range")
    places = _design(method, len(chosen), samples, scenario.seed)
    worlds = _worlds(chosen, places)
    alone = [{i: end} for i in chosen for end in (i.low, i.high)]
    with Pool(workers, cluster) as pool:
        values = _run(pool, scenario, [{}, *alone, *worlds], metric, replications, engine, progress)
        made = pool.made(
            *options(
                metric=metric, method=method, input=[i.text for i in chosen], samples=samples, replications=replications
            )
        )
    ends, sampled = values[1 : 1 + len(alone)].reshape(-1, 2), values[1 + len(alone) :]
    nominal = float(values[0])
    table = _ranked(chosen, nominal, ends, _indices(method, places, sampled, scenario.seed), method)
    frame = _samples(chosen, places).assign(**{metric: sampled})
    return Sensitivity(
        scenario, metric, method, chosen, table, frame, nominal, gate_on(scenario, metric), replications, made
    )


def worked_out_again(result: Sensitivity) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The ranking and the sampled worlds of a study from what its campaigns gave: the metric at each end and in each world."""
    count, rows = len(result.inputs), len(result.samples)
    base = rows // (count + (1 if result.method == "morris" else 2))
    places = _design(result.method, count, base, result.scenario.seed)
    sampled = result.samples[result.metric].to_numpy(dtype=float)
    if len(places) != rows:
        raise StudyError(f"{rows} sampled worlds, and the design has {len(places)}")
    at = result.table.set_index("input").loc[[i.name for i in result.inputs], ["at_low", "at_high"]]
    indices = _indices(result.method, places, sampled, result.scenario.seed)
    table = _ranked(result.inputs, result.nominal, at.to_numpy(dtype=float), indices, result.method)
    return table, _samples(result.inputs, places).assign(**{result.metric: sampled})


def _ranked(
    inputs: Sequence[Input], nominal: float, ends: NDArray[np.float64], indices: Mapping[str, Any], method: str
) -> pd.DataFrame:
    """One row per input, the most influential first."""
    table = pd.DataFrame({
        "input": [i.name for i in inputs], "low": [i.low for i in inputs], "high": [i.high for i in inputs],
        "nominal": [i.nominal for i in inputs], "at_low": ends[:, 0], "at_high": ends[:, 1],
        "swing": np.ptp(np.column_stack([ends, np.full(len(ends), nominal)]), axis=1), **indices,
    })  # fmt: skip
    strength = "mu_star" if method == "morris" else "total"
    return table.sort_values(strength, ascending=False, kind="stable").reset_index(drop=True)


def _worlds(inputs: Sequence[Input], places: NDArray[np.float64]) -> list[dict[Input, float]]:
    return [{i: i.at(float(u)) for i, u in zip(inputs, row, strict=True)} for row in places]


def _samples(inputs: Sequence[Input], places: NDArray[np.float64]) -> pd.DataFrame:
    return pd.DataFrame([{i.name: v for i, v in world.items()} for world in _worlds(inputs, places)])


def _problem(count: int) -> dict[str, Any]:
    return {"num_vars": count, "names": [f"x{i}" for i in range(count)], "bounds": [[0.0, 1.0]] * count}


def _design(method: str, count: int, samples: int | None, seed: int) -> NDArray[np.float64]:
    """Places in the unit cube, one row per world."""
    wanted = samples or (TRAJECTORIES if method == "morris" else BASE_SAMPLES)
    if method == "morris":
        from SALib.sample import morris

        return np.asarray(morris.sample(_problem(count), wanted, num_levels=_MORRIS_LEVELS, seed=_seed(seed)))
    if wanted & (wanted - 1):
        raise StudyError(f"--samples {wanted}: Sobol indices need a power of two")
    from SALib.sample import sobol

    return np.asarray(sobol.sample(_problem(count), wanted, calc_second_order=False, seed=_seed(seed)))


def _indices(method: str, places: NDArray[np.float64], values: NDArray[np.float64], seed: int) -> dict[str, Any]:
    """The columns of a method; inputs without any effect get zeros."""
    count = places.shape[1]
    if np.isnan(values).any():
        raise StudyError(
            "some sampled worlds have no value of this metric (no module succeeded); choose another metric"
        )
    if np.ptp(values) == 0.0:
        names = (
            ("mu_star", "mu_star_conf", "mu", "sigma")
            if method == "morris"
            else ("first", "first_conf", "total", "total_conf")
        )
        return dict.fromkeys(names, np.zeros(count))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SALib divides by the spread of inputs that do nothing
        if method == "morris":
            from SALib.analyze import morris

            found = morris.analyze(_problem(count), places, values, num_levels=_MORRIS_LEVELS, seed=_seed(seed))
            columns = {name: name for name in ("mu_star", "mu_star_conf", "mu", "sigma")}
        else:
            from SALib.analyze import sobol

            found = sobol.analyze(_problem(count), values, calc_second_order=False, seed=_seed(seed))
            columns = {"first": "S1", "first_conf": "S1_conf", "total": "ST", "total_conf": "ST_conf"}
    # Equal effects differ by the last bits of their floats, which would be shown as a spread.
    return {
        name: np.round(np.nan_to_num(np.asarray(found[theirs], dtype=float)), _DIGITS)
        for name, theirs in columns.items()
    }


def _seed(seed: int) -> int:
    """A seed as these libraries take it."""
    return seed % 2**32


def _run(
    pool: Pool, scenario: Scenario, worlds: Sequence[dict[Input, float]], metric: str, replications: int, engine: str,
    progress: Progress | None,
) -> NDArray[np.float64]:  # fmt: skip
    """The metric's mean over the replications in every world. An interruption leaves nothing to rank."""
    varied = [scenario.computed(settings(scenario, world)) if world else scenario for world in worlds]
    jobs = [Job(s, r, engine=engine) for s in varied for r in range(replications)]
    found, complete = collect(pool, jobs, progress=progress)
    if not complete:
        raise KeyboardInterrupt
    values = np.array([c.metrics[metric] for c in found if c is not None])
    means: NDArray[np.float64] = values.reshape(len(worlds), replications).mean(axis=1)
    return means


def gate_on(scenario: Scenario, metric: str) -> tuple[str, float] | None:
    """The scenario's gate on a metric, under either of its names, as (sign, limit), if it has one."""
    name = next((given for given in scenario.gates if figure(given) == figure(metric)), None)
    if name is None:
        return None
    gate = gate_rules.parse_entry(name, scenario.gates[name])
    return gate.sign, gate.limit


def met(gate: tuple[str, float], value: float) -> bool:
    """Whether a value meets a gate given as (sign, limit)."""
    sign, limit = gate
    return {"<=": value <= limit, ">=": value >= limit, "<": value < limit, ">": value > limit}[sign]
