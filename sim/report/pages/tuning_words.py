"""A search in words: what it found, how sure that is, what each candidate does on each scenario; for page and terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from sim.report.pages.difference_words import label, signed, title
from sim.report.pages.study_parts import at_borders
from sim.report.pages.study_results import Candidate, Constraint, Tuning
from sim.report.show import kind_of, metric_of, metric_words, plural, quantity_words, show
from sim.stats.paired import Difference
from sim.stats.replicated import Estimate

WORDS = {"found": "Found", "undecided": "Undecided", "none fits": "None fits", "partial": "Partial"}
"""What a search came to, as a reader sees it."""


def shown(name: str, value: float) -> str:
    """A metric's value, or that of a weighted sum, with its unit; a time without one was not reached."""
    if metric_of(name) and kind_of(name) == "duration" and not isfinite(value):
        return "not reached"
    return show(kind_of(name), value) if metric_of(name) else f"{value:.4g}"


def bounds(name: str, found: Estimate) -> str:
    """The interval of a metric or weighted sum."""
    return f"95 % interval {reach(name, found)}"


def reach(name: str, found: Estimate) -> str:
    """The ends of an interval in words; of a time that no campaign reached there is one word for both."""
    low, high = shown(name, found.low), shown(name, found.high)
    return low if low == high == "not reached" else f"{low} to {high}"


def settings_in_words(result: Tuning, settings: Mapping[str, Any]) -> str:
    """Settings as a reader knows them."""
    return ", ".join(f"{quantity_words(a.name)} {a.show(settings[a.key])}" for a in result.axes)


def headline(result: Tuning) -> tuple[str, str]:
    """What leads the answer and the settings it is about: `Recommended`, `Nearest`, `Best so far`."""
    found = result.recommended
    if result.answer == "partial":
        lead = result.best_so_far
        if lead is None:
            return "Best so far:", "no trial has ended with a value of every objective."
        kept = "" if bool(lead["feasible"]) else "; it breaks a constraint, and so does every other trial"
        values = ", ".join(f"{label(o.text)} {shown(o.text, float(lead[o.text]))}" for o in result.objectives)
        return (
            "Best so far:",
            f"{settings_in_words(result, dict(lead))}: {values}, by the search's own campaigns{kept}.",
        )
    if found is None:
        return "Nothing to recommend:", "no setting tried has a value of every objective in every campaign."
    return (
        "Nearest:" if result.answer == "none fits" else "Recommended:",
        f"{settings_in_words(result, found.settings)}.",
    )


def reasons(result: Tuning) -> Iterator[str]:
    """How sure the answer is, a sentence each."""
    found = result.recommended
    if result.answer == "partial":
        yield f"The search was interrupted after {plural(len(result.trials), 'trial')}: the best of many noisy trials looks better than it is, so it recommends nothing."
        return
    if found is None:
        yield f"The scenario as it is: {_present(result)}."
        return
    for constraint in result.constraints:
        known = found.constraints[constraint.text]
        state = state_of(constraint, known)
        if state != "kept":
            yield f"{constraint.text} is {state}: found {shown(constraint.metric, known.value)}, {bounds(constraint.metric, known)}."
    for name, gain in result.gain.items():
        yield f"{title(name)}: {_change(name, gain)} compared with the scenario as it is."
    yield from at_borders(result.axes, found.settings)
    if not result.gains:
        yield f"No objective is shown to gain in {plural(len(found.frame), 'campaign')}: raise --final-replications, or keep the scenario as it is."


def state_of(constraint: Constraint, found: Estimate) -> str:
    """Whether a constraint is kept, broken, or in doubt by its interval."""
    if constraint.surely(found):
        return "kept"
    if constraint.surely_not(found):
        return "broken"
    return "met on average, but its interval crosses the limit" if constraint.excess(found.value) <= 0 else (
        "not met on average, but its interval holds the limit"
    )  # fmt: skip


def _present(result: Tuning) -> str:
    if result.present is None:
        return "was not judged"
    return ", ".join(f"{label(n)} {shown(n, e.value)}" for n, e in result.present.objectives.items())


def _change(name: str, gain: Difference) -> str:
    known = gain.estimate
    if metric_of(name):
        return f"{signed(name, known.value)} (95 % interval {signed(name, known.low)} to {signed(name, known.high)})"
    return f"{known.value:+.4g} (95 % interval {known.low:+.4g} to {known.high:+.4g})"


def scenario_lines(result: Tuning, candidate: Candidate) -> Iterator[str]:
    """What a candidate does on each scenario, a line each."""
    for scenario, metrics in result.across(candidate).items():
        told = [
            f"{metric_words(m)} {shown(m, e.value)} [{reach(m, e)}]" for m, e in metrics.items()
        ]  # fmt: skip
        yield f"{scenario}: {', '.join(told)}"
