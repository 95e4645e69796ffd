"""What a probe proves: each objective kept, broken or undecided, and whether the server fell behind.

An objective is a statement about a share: p99(wake) < 2 s says that at most 1 % of the modules wait 2 s or more,
error_rate < 0.1 % that at most 0.1 % of the attempts fail. Of n independent tries, k over the limit, the true share lies
below the one-sided upper and above the one-sided lower bound of Clopper and Pearson (1934, Biometrika 26), each with 95 %
confidence. For a percentile this is the bound by order statistics: with no sample over the limit a p99 needs 299 samples.
Who looks at the evidence again and again finds what is not there in one of twenty looks; `confidence_of` shares the 5 % among
all looks (Bonferroni). Waits of one queue resemble each other, so the true confidence of a bound is lower near the limit; the check whether the
server falls behind is there for that reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, log, log1p

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
GROWTH = 0.01
"""A server falls behind when latency grows by this many seconds a second: 1 % more arrives than leaves."""
GROWTH_S = 0.1
"""Growth over the whole hold that is worth a word, seconds."""
SHORTEST_TREND_S = 5.0
"""A shorter stretch shows the chance of the moment, not what the load leads to."""
BINS = 8
"""Stretches of a probe whose median latencies are compared: one stall lies in one of them and is no trend."""
RISES = 20
"""Mann and Kendall's S (pairs that rise less pairs that fall, of 28) from which on 8 medians rise by more than chance:
P(S >= 20) = 0.7 % without a trend."""
FEWEST_IN_A_BIN = 5


LOST_UPDATES = "the cloud lost updates"
"""Begins the fault of a cloud that counts fewer successes than it acknowledged."""


class Answer(StrEnum):
    """What the evidence says of a load."""

    KEPT = "kept"
    BROKEN = "broken"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of `tried` samples, `over` did not keep the limit; `allowed` is the share that may not, 0 for a maximum."""

    tried: int
    over: int
    allowed: float

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(self.tried + other.tried, self.over + other.over, self.allowed)

    def answer(self, confidence: float = CONFIDENCE) -> Answer:
        """Kept when the upper bound lies within what is allowed, broken when the lower one lies beyond."""
        if self.allowed <= 0.0:
            return Answer.BROKEN if self.over else Answer.KEPT if self.tried else Answer.UNDECIDED
        low, high = bounds(self.over, self.tried, confidence)
        if high <= self.allowed:
            return Answer.KEPT
        return Answer.BROKEN if low > self.allowed else Answer.UNDECIDED

    def needed(self, confidence: float = CONFIDENCE) -> int:
        """Samples it takes at least, if none is over the limit."""
        return fewest(self.allowed, confidence)


def bounds(over: int, tried: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """One-sided lower and upper bound of a share by Clopper and Pearson; (0, 1) without samples."""
    from scipy import special

    tail = 1.0 - confidence
    low = 0.0 if over == 0 else float(special.betaincinv(over, tried - over + 1, tail))
    high = 1.0 if over == tried else float(special.betaincinv(over + 1, tried - over, 1.0 - tail))
    return low, high


def confidence_of(looks: int) -> float:
    """The confidence of each of so many looks at growing evidence, so that all together have CONFIDENCE."""
    return 1.0 - (1.0 - CONFIDENCE) / looks


def fewest(allowed: float, confidence: float = CONFIDENCE) -> int:
    """Samples without one over the limit that show a share of at most `allowed`: log(1 - c) / log(1 - allowed)."""
    return 1 if allowed <= 0.0 or allowed >= 1.0 else ceil(log(1.0 - confidence) / log1p(-allowed))


def pooled(first: Mapping[str, Evidence], second: Mapping[str, Evidence]) -> dict[str, Evidence]:
    """The evidence of two probes of one load, by objective."""
    return {text: first[text] + second[text] if text in first else second[text] for text in second}


def judge(evidence: Mapping[str, Evidence], confidence: float = CONFIDENCE) -> tuple[Answer, tuple[str, ...]]:
    """The answer to all objectives together, and those that decide it: one broken breaks, one undecided leaves open."""
    answers = {text: found.answer(confidence) for text, found in evidence.items()}
    for answer in (Answer.BROKEN, Answer.UNDECIDED):
        texts = tuple(text for text, given in answers.items() if given is answer)
        if texts:
            return answer, texts
    return Answer.KEPT, ()


def growth(due_s: NDArray[np.float64], waited_s: NDArray[np.float64]) -> tuple[float, int]:
    """Seconds of latency gained a second of due time, and how many more pairs of stretches rise than fall (S).

    The median slope (Theil 1950, Sen 1968) over the median latencies of BINS stretches of equal numbers of modules. A
    queue that is offered a share e more than it serves grows by e / (1 + e) seconds a second. (0, 0) with too few modules.
    """
    if len(due_s) < BINS * FEWEST_IN_A_BIN:
        return 0.0, 0
    order = np.argsort(due_s, kind="stable")
    due = np.array([part.mean() for part in np.array_split(due_s[order], BINS)])
    waited = np.array([np.median(part) for part in np.array_split(waited_s[order], BINS)])
    first, second = np.triu_indices(BINS, 1)
    apart_s = due[second] - due[first]
    if not (apart_s > 0.0).all():
        return 0.0, 0
    gained_s = waited[second] - waited[first]
    return float(np.median(gained_s / apart_s)), int(np.sign(gained_s).sum())


def falls_behind(leg: str, due_s: NDArray[np.float64], waited_s: NDArray[np.float64]) -> tuple[str, ...]:
    """One sentence when the latency of a leg grows for as long as the load is held, else nothing.

    The first quarter of the modules is left out: a cold server is slower for a while, which is no trend.
    """
    order = np.argsort(due_s, kind="stable")[len(due_s) // 4 :]
    due_s, waited_s = due_s[order], waited_s[order]
    held_s = float(due_s[-1] - due_s[0]) if len(due_s) else 0.0
    slope, rises = growth(due_s, waited_s)
    if held_s < SHORTEST_TREND_S or slope < GROWTH or rises < RISES or slope * held_s < GROWTH_S:
        return ()
    return (
        f"the server falls behind: the latency of {leg} grew by {slope * held_s:.2g} s within {held_s:.3g} s, "
        f"so {100.0 * slope:.1f} % of what arrives is left over",
    )


__all__ = [
    "LOST_UPDATES",
    "Answer",
    "Evidence",
    "bounds",
    "confidence_of",
    "falls_behind",
    "fewest",
    "growth",
    "judge",
    "pooled",
]
