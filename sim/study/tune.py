"""The search for the best settings of a strategy, and the honest look at what it found.

Search and judgement use different random numbers: the best of many noisy trials looks better than it is. The search
runs every trial on the same campaigns; the finalists run on fresh ones, which choose; the winner runs on further fresh
ones, which give the value that is stated. Of several scenarios (a good and a bad release) every setting runs on all,
and the metrics of each have its name behind an @.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sim.errors import StudyError
from sim.metrics import SHARES
from sim.scenario import Scenario
from sim.stats.paired import Difference, not_a_point, paired_difference
from sim.stats.replicated import Estimate
from sim.study.arguments import check_counts, check_lists
from sim.study.axes import Axis, Settings, parse_axis
from sim.study.campaign import Job, table
from sim.study.front import knee, on_front, spread
from sim.study.journal import point_key
from sim.study.made import UNRECORDED, Made, options
from sim.study.objectives import Constraint, Objective, column, parse_constraint, parse_objective
from sim.study.pool import Pool, Progress, collect
from sim.study.several import check_alike, joined, named, of_one, told_of

BATCH = 6
"""Trials asked for at once. Fixed, so that the search takes the same way on any number of workers."""
CHOOSE_FROM, STATE_FROM = 10_000, 20_000
"""Replications of the finalists and of the winner begin here, far from the search's own."""
FINALISTS, FRONT = 5, 9


class Answer(StrEnum):
    """What a search came to."""

    FOUND = "found"
    """A setting that keeps every constraint and is better than the scenario as it is, both beyond doubt."""
    UNDECIDED = "undecided"
    """An interval crosses a constraint's limit, or no objective is shown to gain."""
    NONE_FITS = "none fits"
    """No setting tried keeps every constraint, or none has a value of the objectives."""
    PARTIAL = "partial"


@dataclass(slots=True)
class Candidate:
    """A setting judged on fresh campaigns: each objective's estimate, each constraint's, and whether all are kept."""

    settings: Settings
    objectives: dict[str, Estimate]
    constraints: dict[str, Estimate]
    feasible: bool
    frame: pd.DataFrame = field(repr=False)


@dataclass(slots=True)
class Tuning:
    """Result of a search.

    `trials`: one row per trial: trial, the keys, each objective, each constrained metric, feasible, front. `finalists`
    are judged on campaigns the search never saw; `recommended` and `present` (the scenario as it is) on yet others.
    `gain`: by objective, recommended minus present on common random numbers. Without a complete search there is no
    recommendation. `scenarios`: by name, the first is `scenario`.
    """

    scenarios: Mapping[str, Scenario]
    axes: tuple[Axis, ...]
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    trials: pd.DataFrame
    finalists: list[Candidate] = field(default_factory=list)
    recommended: Candidate | None = None
    present: Candidate | None = None
    gain: dict[str, Difference] = field(default_factory=dict)
    complete: bool = True
    made: Made = UNRECORDED

    @property
    def scenario(self) -> Scenario:
        """The first scenario: the one the strategy file is written for."""
        return next(iter(self.scenarios.values()))

    @property
    def best(self) -> Scenario:
        """The scenario with the recommended settings."""
        if self.recommended is None:
            raise StudyError("the search was interrupted, or no setting had a value: it recommends nothing")
        return self.scenario.computed(self.recommended.settings)

    @property
    def answer(self) -> Answer:
        """What the search came to, by the intervals of the campaigns that neither searched nor chose."""
        found = self.recommended
        if not self.complete:
            return Answer.PARTIAL
        if found is None or any(c.surely_not(found.constraints[c.text]) for c in self.constraints):
            return Answer.NONE_FITS
        if not all(c.surely(found.constraints[c.text]) for c in self.constraints):
            return Answer.UNDECIDED
        return Answer.FOUND if self.gains or not self._present_fits() else Answer.UNDECIDED

    @property
    def gains(self) -> list[str]:
        """The objectives in which the recommended setting is better than the scenario as it is, the whole interval."""
        return [o.text for o in self.objectives if o.text in self.gain and _better(o, self.gain[o.text])]

    def _present_fits(self) -> bool:
        return self.present is not None and self.present.feasible

    @property
    def best_so_far(self) -> pd.Series[Any] | None:
        """The trial that leads the search, on the search's own campaigns: no recommendation. None without any trial.

        Of trials within the constraints the best, or the knee of their front; else the one that breaks least.
        """
        kept = self.trials[self.trials["feasible"].astype(bool)] if len(self.trials) else self.trials
        if not len(kept):
            return self.trials.iloc[int(self.trials["excess"].to_numpy().argmin())] if len(self.trials) else None
        costs = costs_of(self.objectives, kept)
        front = np.flatnonzero(on_front(costs))
        return kept.iloc[int(front[knee(costs[front])])] if len(front) else None

    def across(self, candidate: Candidate) -> dict[str, dict[str, Estimate]]:
        """What a candidate does on each scenario: the metrics of the search there and what a release is judged by."""
        return told_of(candidate.frame, self.scenarios, self.objectives, self.constraints)

    @property
    def table(self) -> pd.DataFrame:
        """The finalists, the recommended setting first: settings, each objective with its interval, whether the constraints
        are kept on average; `answer` is what the search came to, at the recommended setting alone."""
        rows = []
        chosen = None if self.recommended is None else self.recommended.settings
        for c in sorted(self.finalists, key=lambda c: c.settings != chosen):
            values = {f"{name} {end}".strip(): getattr(e, at) for name, e in c.objectives.items()
                      for end, at in (("", "value"), ("low", "low"), ("high", "high"))}  # fmt: skip
            answer = str(self.answer) if c.settings == chosen else ""
            rows.append({**c.settings, **values, "feasible": c.feasible, "answer": answer})
        return pd.DataFrame(rows)

    def plot(self) -> Any:
        """The front of two objectives, or the course of the search for one; a matplotlib Figure."""
        from sim.report.figures.study_figures import front, search

        names = [o.text for o in self.objectives]
        if len(names) == 1:
            return search(self.trials, names[0], smallest=self.objectives[0].sign > 0)
        marks = {}
        if self.recommended is not None:
            marks["recommended"] = tuple(self.recommended.objectives[n].value for n in names[:2])
        if self.present is not None:
            marks["as it is"] = tuple(self.present.objectives[n].value for n in names[:2])
        return front(self.trials, names[:2], marks)  # type: ignore[arg-type]

    def plot_setting(self, key: str | None = None) -> Any:
        """The first objective over one key, one dot a trial; a matplotlib Figure."""
        from sim.report.figures.study_figures import over_setting

        axis = next((a for a in self.axes if key in (None, a.key, a.name)), None)
        if axis is None:
            raise StudyError(f"{key}: was not varied")
        return over_setting(self.trials, axis, self.objectives[0].text)

    def save(self, folder: str | Path, *, overwrite: bool = False, command: str = "") -> Path:
        """Writes trials, finalists, the strategy file and the page; returns the page."""
        from sim.study.study_folders import save_tuning

        return save_tuning(self, Path(folder), overwrite=overwrite, command=command)

    def conclude(self) -> None:
        """Sets the gain from the campaigns of the recommended setting and of the present one."""
        assert self.recommended is not None and self.present is not None
        after, before = self.recommended.frame, self.present.frame
        self.gain = {o.text: _difference(o, before, after) for o in self.objectives}


def _difference(objective: Objective, before: pd.DataFrame, after: pd.DataFrame) -> Difference:
    """After minus before, campaign by campaign; a share that no campaign shows to differ widens it by what may be unseen,
    and a share alone stays within its bounds."""
    found = paired_difference(objective.values(before), objective.values(after))
    unseen = sum(weight * _unseen(metric, of, before, after) for weight, metric, of in objective.terms)
    low, high = found.estimate.low - unseen, found.estimate.high + unseen
    if objective.metric in SHARES or objective.metric == "stopped":
        low, high = max(-1.0, low), min(1.0, high)
    return replace(found, estimate=Estimate(found.estimate.value, low, high))


def _unseen(metric: str, of: str, before: pd.DataFrame, after: pd.DataFrame) -> float:
    """How far a share that differs by the same in every campaign may still be from that, by what it is a share of."""
    if metric not in SHARES and metric != "stopped":
        return 0.0
    name = column(metric, of)
    found = paired_difference(before[name], after[name])
    counted = "" if metric == "stopped" else column(f"n_{SHARES[metric].denominator}", of)
    cases = len(after) if not counted else int(min(frame[counted].sum() for frame in (before, after)))
    return not_a_point(found, cases).estimate.high - found.estimate.high


def _better(objective: Objective, gain: Difference) -> bool:
    """Whether the whole interval of a difference lies on the better side of nothing."""
    ends = objective.sign * gain.estimate.low, objective.sign * gain.estimate.high
    return max(ends) < 0.0


def tune(
    scenario: Scenario | Sequence[Scenario],
    vary: Sequence[str | Axis],
    *,
    minimise: Sequence[str] = (),
    maximise: Sequence[str] = (),
    subject_to: Sequence[str] = (),
    trials: int = 60,
    replications: int = 5,
    final_replications: int = 20,
    engine: str = "auto",
    workers: int | None = None,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> Tuning:
    """Searches the varied keys for the settings that make the objectives small (or large) within the constraints.

    One objective gives one recommendation, several a Pareto front with its knee recommended. Objectives are metrics or
    weighted sums (`rejected + 20*bricked`), constraints bounds on metrics (`bricked<=1e-4`). The search is Optuna's TPE
    over `trials` settings of `replications` campaigns each, in fixed batches: the same seed finds the same settings on
    any number of workers. With several scenarios every metric names its own (`stopped@good-release`), all have the same
    strategy but for what is varied, and each runs `replications` campaigns of every setting. Raises StudyError and
    ScenarioError before anything runs.
    """
    check_lists(vary=vary, minimise=minimise, maximise=maximise, subject_to=subject_to)
    check_counts(trials=trials, replications=replications, workers=workers)
    axes = tuple(axis if isinstance(axis, Axis) else parse_axis(axis) for axis in vary)
    scenarios = named(scenario)
    objectives = tuple(
        of_one(parse_objective(text, sign), scenarios) for texts, sign in ((minimise, 1.0), (maximise, -1.0)) for text in texts
    )  # fmt: skip
    constraints = tuple(of_one(parse_constraint(t), scenarios) for t in subject_to)
    _check(scenarios, axes, objectives, trials, replications)
    judge = _Judge(scenarios, objectives, constraints, engine)
    with Pool(workers, cluster) as pool:
        expected = _expected(trials, replications, final_replications, len(objectives))
        course = _Course(progress, expected * len(scenarios))
        found, complete = _search(judge, pool, axes, trials, replications, course)
        result = Tuning(scenarios, axes, objectives, constraints, found, complete=complete)
        if complete:
            _conclude(result, judge, pool, final_replications, course)
        result.made = pool.made(*options(
            vary=[axis.text for axis in axes], minimise=minimise, maximise=maximise, subject_to=subject_to, trials=trials,
            replications=replications, final_replications=final_replications,
        ))  # fmt: skip
    return result


def _check(
    scenarios: Mapping[str, Scenario],
    axes: Sequence[Axis],
    objectives: Sequence[Objective],
    trials: int,
    replications: int,
) -> None:
    if not axes:
        raise StudyError("nothing to vary: give at least one --vary key=low:high")
    if not objectives:
        raise StudyError("no objective: give --minimise or --maximise with a metric")
    if len({o.text for o in objectives}) < len(objectives):
        raise StudyError("an objective stands twice")
    if trials < 2 or not 1 <= replications < CHOOSE_FROM:
        raise StudyError(f"at least 2 trials, and from 1 to {CHOOSE_FROM - 1} replications")
    for axis in axes:  # both ends must be legal before an hour of search meets them
        for place in (0.0, 1.0):
            for scenario in scenarios.values():
                scenario.computed({axis.key: axis.at(place)})
    check_alike(scenarios, axes)


@dataclass(slots=True)
class _Course:
    """Progress over all stages; trials that repeat a setting cost nothing and are counted when asked for."""

    progress: Progress | None
    total: int
    done: int = 0

    def stage(self) -> Progress:
        before = self.done

        def tell(done: int, _stage_total: int) -> None:
            self.done = before + done
            if self.progress is not None:
                self.progress(min(self.done, self.total), self.total)

        return tell


def _expected(trials: int, replications: int, final: int, objectives: int) -> int:
    return trials * replications + ((FINALISTS if objectives == 1 else FRONT) + 2) * final


@dataclass(slots=True)
class _Judge:
    """Runs settings and says what they are worth."""

    scenarios: Mapping[str, Scenario]
    objectives: Sequence[Objective]
    constraints: Sequence[Constraint]
    engine: str

    def frames(
        self, pool: Pool, settings: Sequence[Settings], first: int, count: int, course: _Course
    ) -> list[pd.DataFrame] | None:
        """A table of campaigns for each setting, replications `first` …; None when interrupted."""
        varied = [plain.computed(s) if s else plain for s in settings for plain in self.scenarios.values()]
        jobs = [Job(s, first + r, engine=self.engine) for s in varied for r in range(count)]
        found, complete = collect(pool, jobs, progress=course.stage())
        if not complete:
            return None
        whole = [c for c in found if c is not None]
        tables = iter([table(whole[i : i + count]) for i in range(0, len(whole), count)])
        return [joined({name: next(tables) for name in self.scenarios}) for _ in settings]

    def means(self, frame: pd.DataFrame) -> dict[str, float]:
        """Each objective and constrained metric, averaged over the campaigns."""
        return {
            **{o.text: o.mean(frame) for o in self.objectives},
            **{column(c.metric, c.of): c.estimate(frame).value for c in self.constraints},
        }

    def excess(self, means: dict[str, float]) -> list[float]:
        """How far each constraint is broken; a metric without a value breaks its constraint."""
        found = [c.excess(means[column(c.metric, c.of)]) for c in self.constraints]
        return [x if x == x else 1.0 for x in found]  # noqa: PLR0124 - NaN

    def candidate(self, settings: Settings, frame: pd.DataFrame) -> Candidate:
        """A setting with its estimates from one table of campaigns."""
        return Candidate(
            settings, {o.text: o.estimate(frame) for o in self.objectives},
            {c.text: c.estimate(frame) for c in self.constraints},
            all(x <= 0 for x in self.excess(self.means(frame))), frame,
        )  # fmt: skip


def costs_of(objectives: Sequence[Objective], rows: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Objectives to be made small, one row per row."""
    return np.column_stack([o.sign * rows[o.text].to_numpy(dtype=float) for o in objectives])


def _search(
    judge: _Judge, pool: Pool, axes: Sequence[Axis], trials: int, replications: int, course: _Course
) -> tuple[pd.DataFrame, bool]:
    """All trials as a table, and whether the search came to its end."""
    from sim.study.sampler import Sampler

    sampler = Sampler(axes, len(judge.objectives), next(iter(judge.scenarios.values())).seed)
    known: dict[str, dict[str, float]] = {}
    rows: list[dict[str, Any]] = []
    complete = True
    while len(rows) < trials and complete:
        asked = sampler.ask(min(BATCH, trials - len(rows)))
        new = {point_key(s): s for s in asked if point_key(s) not in known}
        frames = judge.frames(pool, list(new.values()), 0, replications, course)
        if frames is None:
            complete = False
            break
        known.update(zip(new, map(judge.means, frames), strict=True))
        for settings in asked:
            means = known[point_key(settings)]
            excess = judge.excess(means)
            sampler.tell([o.sign * means[o.text] for o in judge.objectives], excess)
            rows.append(
                {
                    "trial": len(rows),
                    **settings,
                    **means,
                    "feasible": all(x <= 0 for x in excess),
                    "excess": sum(max(x, 0.0) for x in excess),
                }
            )
    frame = pd.DataFrame(
        rows,
        columns=None
        if rows
        else ["trial", *(a.key for a in axes), *(o.text for o in judge.objectives), "feasible", "excess"],
    )
    frame["front"] = _on_front(judge.objectives, frame)
    return frame, complete


def _on_front(objectives: Sequence[Objective], trials: pd.DataFrame) -> list[bool]:
    """Which trials no other beats in all objectives, of those within the constraints."""
    found = np.zeros(len(trials), dtype=bool)
    chosen = trials["feasible"].to_numpy(dtype=bool)
    if chosen.any():
        found[chosen] = on_front(costs_of(objectives, trials[chosen]))
    return [bool(x) for x in found]


def front_of(result: Tuning) -> list[bool]:
    """Which trials of a search are on its front, from their objectives."""
    return _on_front(result.objectives, result.trials)


def _conclude(result: Tuning, judge: _Judge, pool: Pool, count: int, course: _Course) -> None:
    """Judges the finalists on fresh campaigns, and the winner and the present setting on further ones."""
    asked = _finalists(result, judge)
    frames = judge.frames(pool, asked, CHOOSE_FROM, count, course)
    if frames is None:
        result.complete = False
        return
    result.finalists = [judge.candidate(s, f) for s, f in zip(asked, frames, strict=True)]
    winner = _winner(result.finalists, judge)
    if winner is None:
        return
    stated = judge.frames(pool, [winner.settings, {}], STATE_FROM, count, course)
    if stated is None:
        result.complete = False
        return
    result.recommended = judge.candidate(winner.settings, stated[0])
    result.present = judge.candidate({}, stated[1])
    result.conclude()


def judgement(result: Tuning, judged: Sequence[tuple[Settings, pd.DataFrame]]) -> list[Candidate]:
    """Settings with their estimates from tables of campaigns, by the objectives and constraints of a search."""
    judge = _Judge(result.scenarios, result.objectives, result.constraints, "auto")
    return [judge.candidate(settings, frame) for settings, frame in judged]


def _finalists(result: Tuning, judge: _Judge) -> list[Settings]:
    """The settings worth a second look: the front, or the best few; without a feasible one those that break least."""
    trials, keys = result.trials, [a.key for a in result.axes]
    if not trials["feasible"].any():
        chosen = trials.nsmallest(len(trials), "excess")
    elif len(judge.objectives) > 1:
        front = trials[trials["front"]]
        unique = front.loc[~front[keys].astype(str).duplicated()]
        chosen = unique.iloc[spread(costs_of(judge.objectives, unique), FRONT)]
    else:
        feasible = trials[trials["feasible"]]
        chosen = feasible.iloc[np.argsort(costs_of(judge.objectives, feasible)[:, 0], kind="stable")]
    settings = {point_key(s): s for s in ({k: _value(row[k]) for k in keys} for _, row in chosen.iterrows())}
    return list(settings.values())[: FINALISTS if len(judge.objectives) == 1 else FRONT]


def _value(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _winner(finalists: Sequence[Candidate], judge: _Judge) -> Candidate | None:
    """The best on fresh campaigns among those that keep the constraints; the knee of several objectives' front.

    None where no finalist has a value of every objective.
    """
    kept = [c for c in finalists if c.feasible] or list(finalists)
    kept = [c for c in kept if not any(np.isnan(e.value) for e in c.objectives.values())]
    if not kept:
        return None
    rows = pd.DataFrame([{name: e.value for name, e in c.objectives.items()} for c in kept])
    costs = costs_of(judge.objectives, rows)
    if len(judge.objectives) == 1:
        return kept[int(np.argmin(costs[:, 0]))]
    front = np.flatnonzero(on_front(costs))
    return kept[int(front[knee(costs[front])])]
