"""What the pages of studies read of a result: studies lie above the pages, so a page names the shape it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pandas as pd
from matplotlib.figure import Figure

from sim.report.figures.study_figures import Varied as Axis
from sim.report.model.like_with_like import Terms
from sim.scenario import Scenario
from sim.stats.paired import Difference
from sim.stats.replicated import Estimate

__all__ = ["Axis", "Candidate", "Comparison", "Constraint", "Objective", "Sensitivity", "Side", "Sweep", "Tuning"]


class Sweep(Protocol):
    """One scenario at many settings; see `sim.study.sweep.Sweep`."""

    @property
    def scenario(self) -> Scenario:
        """The scenario that was varied."""

    @property
    def axes(self) -> Sequence[Axis]:
        """The varied keys."""

    @property
    def points(self) -> Sequence[Mapping[str, Any]]:
        """The settings of the design, by key."""

    @property
    def replications(self) -> int:
        """Campaigns at each point."""

    @property
    def frame(self) -> pd.DataFrame:
        """Every campaign, one row each."""

    @property
    def complete(self) -> bool:
        """Whether every campaign ran."""

    def summary(self, metric: str = ...) -> pd.DataFrame:
        """One row per point: its settings, the metric's mean and interval."""

    def plot(self, metric: str = ...) -> Figure:
        """The metric over the varied keys."""

    def plot_heatmap(self, metric: str = ...) -> Figure:
        """The metric over the first two keys."""


class Side(Protocol):
    """One side of a comparison; see `sim.study.sources.Side`."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def terms(self) -> Terms:
        """What its figures depend on besides the plan."""

    @property
    def campaigns(self) -> Sequence[Any]:
        """Its campaigns."""


class Comparison(Protocol):
    """Settings side by side; see `sim.study.compare.Comparison`."""

    @property
    def sides(self) -> Sequence[Side]:
        """The sides, the first is what the others are compared with."""

    @property
    def table(self) -> pd.DataFrame:
        """Differences: one row per alternative and metric."""

    @property
    def verdicts(self) -> Sequence[str]:
        """A sentence for each alternative."""

    @property
    def complete(self) -> bool:
        """Whether every campaign ran."""

    @property
    def flows(self) -> Mapping[str, pd.DataFrame]:
        """modules that end differently, by alternative."""

    @property
    def agreement(self) -> Mapping[str, pd.DataFrame]:
        """Tests of a live run against a simulated one, by alternative."""

    @property
    def notes(self) -> Sequence[str]:
        """What a reader has to know besides."""


class Objective(Protocol):
    """What a search makes smallest (`sign` 1) or largest (-1)."""

    @property
    def text(self) -> str:
        """As it was written."""

    @property
    def sign(self) -> float:
        """1 to minimise, -1 to maximise."""


class Constraint(Protocol):
    """What a search must keep."""

    @property
    def text(self) -> str:
        """As it was written."""

    @property
    def metric(self) -> str:
        """The metric it is about."""

    @property
    def sign(self) -> str:
        """Its comparison."""

    def excess(self, value: float) -> float:
        """How far a value breaks it; not positive when it is kept."""

    def surely(self, found: Estimate) -> bool:
        """Whether the whole interval keeps it."""

    def surely_not(self, found: Estimate) -> bool:
        """Whether the whole interval breaks it."""


class Candidate(Protocol):
    """Settings that were judged on fresh campaigns."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings by key."""

    @property
    def objectives(self) -> Mapping[str, Estimate]:
        """The objectives' values by their text."""

    @property
    def constraints(self) -> Mapping[str, Estimate]:
        """The constrained metrics' values by the constraint's text."""

    @property
    def feasible(self) -> bool:
        """Whether every constraint is kept."""

    @property
    def frame(self) -> pd.DataFrame:
        """Its campaigns."""


class Tuning(Protocol):
    """A search of settings; see `sim.study.tune.Tuning`."""

    @property
    def scenario(self) -> Scenario:
        """The scenario as it is; the first of several."""

    @property
    def scenarios(self) -> Mapping[str, Scenario]:
        """All scenarios by name."""

    @property
    def answer(self) -> str:
        """found, undecided, none fits or partial."""

    @property
    def gains(self) -> Sequence[str]:
        """Objectives in which the recommended setting is shown to be better."""

    @property
    def best_so_far(self) -> pd.Series[Any] | None:
        """The trial that leads the search."""

    @property
    def present(self) -> Candidate | None:
        """The scenario as it is, on fresh campaigns."""

    def across(self, candidate: Any) -> Mapping[str, Mapping[str, Estimate]]:
        """What a candidate does on each scenario: metrics with intervals."""

    @property
    def axes(self) -> Sequence[Axis]:
        """The varied keys."""

    @property
    def objectives(self) -> Sequence[Objective]:
        """What is searched for."""

    @property
    def constraints(self) -> Sequence[Constraint]:
        """What has to be kept."""

    @property
    def trials(self) -> pd.DataFrame:
        """Every trial."""

    @property
    def finalists(self) -> Sequence[Candidate]:
        """The best of the search on fresh campaigns."""

    @property
    def recommended(self) -> Candidate | None:
        """The setting to use; None for an interrupted search."""

    @property
    def gain(self) -> Mapping[str, Difference]:
        """What the recommended setting gains over the scenario as it is."""

    @property
    def complete(self) -> bool:
        """Whether every trial ran."""

    def plot(self) -> Figure:
        """The course of the search, or its front."""

    def plot_setting(self, key: str) -> Figure:
        """The first objective over one key."""


class Sensitivity(Protocol):
    """A study of the inputs; see `sim.study.sensitivity.Sensitivity`."""

    @property
    def scenario(self) -> Scenario:
        """The scenario as it is."""

    @property
    def metric(self) -> str:
        """The metric studied."""

    @property
    def method(self) -> str:
        """morris or sobol."""

    @property
    def table(self) -> pd.DataFrame:
        """One row per input, the most influential first."""

    @property
    def samples(self) -> pd.DataFrame:
        """Every sampled world."""

    @property
    def nominal(self) -> float:
        """The metric of the scenario as it is."""

    @property
    def gate(self) -> tuple[str, float] | None:
        """Sign and limit of the scenario's gate on the metric."""

    @property
    def met(self) -> bool | None:
        """Whether the scenario as it is meets the gate; None without one."""

    @property
    def share_met(self) -> float | None:
        """Share of the sampled worlds that meet the gate; None without one."""

    @property
    def flips(self) -> Sequence[str]:
        """Inputs that change the gate's answer alone."""

    def plot(self) -> Figure:
        """Each input alone."""

    def plot_indices(self) -> Figure:
        """Strengths or indices."""
