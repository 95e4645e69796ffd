"""Beyond the capacity: how a cloud degrades under more than it sustains, whether it collapses, how soon it has recovered.

Half the capacity, then more than the capacity, then a little load that only watches: the modules of the last phase find out
when the cloud answers as it should again. A cloud that serves C a second and is offered f x C for H seconds has (f - 1) x C x H
left over; offered g x C after that it needs (f - 1) x H / (1 - g) seconds to work it off, if it does not lose capacity.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BEFORE, AFTER = 0.5, 0.2
"""Share of the capacity that is offered before and after."""
AFTER_HOLDS = 4.0
"""The cloud is watched for so many holds after the load is gone."""
BIN_MODULES = 10
"""Modules that are looked at together to say whether the cloud answers as it should."""
SLOW_SHARE = 0.1
"""More than this share of them over the limit: it does not."""
COLLAPSED = 0.9
"""A cloud that serves less than this share of its capacity while more is offered collapses."""


@dataclass(frozen=True, slots=True)
class Overload:
    """What is offered: the capacity, how many times of it, and for how long, seconds."""

    capacity: float
    factor: float
    hold_s: float

    @property
    def phases(self) -> tuple[tuple[float, float], ...]:
        """Loads and their seconds, one after the other."""
        return (
            (BEFORE * self.capacity, self.hold_s / 2.0), (self.factor * self.capacity, self.hold_s),
            (AFTER * self.capacity, AFTER_HOLDS * self.hold_s),
        )  # fmt: skip

    @property
    def over_s(self) -> tuple[float, float]:
        """When more than the capacity is offered, seconds from the begin."""
        return self.hold_s / 2.0, 1.5 * self.hold_s

    @property
    def whole_s(self) -> float:
        """All phases together, seconds."""
        return sum(seconds for _, seconds in self.phases)


@dataclass(frozen=True, slots=True)
class Beyond:
    """How it went. Shares are of the modules that came while more than the capacity was offered."""

    factor: float
    load: float
    hold_s: float
    limit_s: float
    p99_s: float
    """Of the wait of those that came meanwhile; who was not served counts as long as it waited."""
    over_limit: float
    """Share of them that waited longer than `limit_s`."""
    served: float
    """What was served meanwhile, as a share of the capacity."""
    recovered_s: float | None
    """From the end of the overload until the modules that come are served within the limit again; None: not while it was watched."""
    watched_s: float
    void: tuple[str, ...] = ()

    @property
    def collapsed(self) -> bool:
        """Whether it served clearly less than it sustains."""
        return self.served < COLLAPSED

    def as_dict(self) -> dict[str, Any]:
        """For files."""
        return {**asdict(self), "collapsed": self.collapsed}


def judged(
    overload: Overload, due_s: NDArray[np.float64], waited_s: NDArray[np.float64], limit_s: float, void: tuple[str, ...] = ()
) -> Beyond:  # fmt: skip
    """What modules that were due at these seconds from the begin, and waited so long, say of an overload."""
    begin_s, end_s = overload.over_s
    order = np.argsort(due_s, kind="stable")
    due_s, waited_s = due_s[order], waited_s[order]
    over = (due_s >= begin_s) & (due_s < end_s)
    done_s = due_s + waited_s
    served = int(((done_s >= begin_s) & (done_s < end_s)).sum())
    offered = int(over.sum())
    met = waited_s[over]
    return Beyond(
        overload.factor, overload.factor * overload.capacity, overload.hold_s, limit_s,
        float(np.quantile(met, 0.99)) if offered else 0.0, float((met >= limit_s).mean()) if offered else 0.0,
        overload.factor * served / (offered or 1), _recovered_s(due_s, waited_s, end_s, limit_s), overload.whole_s - end_s,
        void,
    )  # fmt: skip


def _recovered_s(
    due_s: NDArray[np.float64], waited_s: NDArray[np.float64], end_s: float, limit_s: float
) -> float | None:
    """When the first module is due after which none of the following bins has more than SLOW_SHARE over the limit."""
    after = due_s >= end_s
    due_s, slow = due_s[after], waited_s[after] >= limit_s
    bins = range(0, len(due_s), BIN_MODULES)
    bad = [first for first in bins if slow[first : first + BIN_MODULES].mean() > SLOW_SHARE]
    if not bad:
        return 0.0
    last = bad[-1] + int(np.flatnonzero(slow[bad[-1] : bad[-1] + BIN_MODULES])[-1]) + 1
    return None if last >= len(due_s) else float(due_s[last] - end_s)


__all__ = ["Beyond", "Overload", "judged"]
