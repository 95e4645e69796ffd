"""Optuna's sampler asked and told in batches: which settings to try next."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # in a notebook tqdm, which this imports, asks for widgets that nobody needs here
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sim.study.axes import Axis, Settings

_STARTUP = 12
_DIGITS = 4


class Sampler:
    """Tree-structured Parzen estimator over axes. Batches are asked for and told in order, so a seed fixes the search."""

    def __init__(self, axes: Sequence[Axis], objectives: int, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._axes = list(axes)
        self._distributions: dict[str, BaseDistribution] = {a.key: _distribution(a) for a in axes}
        self._study = optuna.create_study(
            directions=["minimize"] * objectives,
            sampler=optuna.samplers.TPESampler(seed=seed % 2**32, n_startup_trials=_STARTUP),
        )
        self._asked: list[optuna.Trial] = []

    def ask(self, count: int) -> list[Settings]:
        """The next settings to try."""
        self._asked = [self._study.ask(self._distributions) for _ in range(count)]
        return [{axis.key: _value(axis, trial.params[axis.key]) for axis in self._axes} for trial in self._asked]

    def tell(self, costs: Sequence[float], excess: Sequence[float]) -> None:
        """What the first setting not told yet cost, and how far it breaks each constraint (zero or less: kept)."""
        trial = self._asked.pop(0)
        for number, value in enumerate(excess):
            trial.set_constraint(str(number), value)
        if any(cost != cost for cost in costs):  # noqa: PLR0124 - NaN: the setting has no value, so it cannot be best
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, list(costs))


def _distribution(axis: Axis) -> BaseDistribution:
    if axis.levels:
        return (
            IntDistribution(0, len(axis.levels) - 1)
            if axis.numeric
            else CategoricalDistribution(range(len(axis.levels)))
        )
    if axis.integer:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def _value(axis: Axis, drawn: Any) -> Any:
    """The value of a drawn place: levels by number, ranges rounded to what a person would set."""
    if axis.levels:
        return axis.levels[int(drawn)]
    if axis.integer:
        return int(drawn)
    return min(max(float(f"{drawn:.{_DIGITS}g}"), axis.low), axis.high)
