"""The one table of metrics: what each counts, out of what, whose view it is, in which unit, and which way is better.

A share is a count over a count; the counts are made from records by `sim.stats.counts`. Truth is what holds at the
horizon; the cloud's view is what its console would show. The two never share a name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

Better = Literal["more", "less", "neither"]


class View(StrEnum):
    """Who says so."""

    TRUTH = "truth"
    CLOUD = "cloud"
    MODEL = "model"


class Unit(StrEnum):
    """What a value is: `SHARE` 0-1, `RATIO` a count per module, `COUNT` whole things, the rest in SI units."""

    SHARE = "share"
    RATIO = "ratio"
    COUNT = "count"
    DURATION = "duration"
    SIZE = "size"
    ENERGY = "energy"
    RATE = "rate"
    BIT_RATE = "bit_rate"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `numerator` and `denominator` are names of COUNTS where it is a count over a count, else empty.

    `harm`: it measures damage by the release, so little exposure must never make it look good. `before`: what the name
    meant in an earlier version, told to whoever still uses it; `instead`: the name that replaces it; `clear`: the name of
    the very same figure that never meant anything else. `by_image`: what the image does on a module decides it, so that
    modules of a lot share it.
    """

    name: str
    label: str
    unit: Unit
    better: Better
    view: View = View.TRUTH
    numerator: str = ""
    denominator: str = ""
    harm: bool = False
    by_image: bool = True
    before: str = ""
    instead: str = ""
    clear: str = ""


COUNTS: dict[str, str] = {
    "modules": "modules in the plan",
    "targets": "modules that needed the upgrade",
    "up_to_date": "modules that ran the target version already",
    "on_target": "modules that run the target version at the horizon",
    "succeeded": "modules that were upgraded",
    "failed": "modules that failed",
    "timed_out": "modules the cloud gave up, which do not run the target version",
    "rejected": "modules that were refused the upgrade or refused it",
    "canceled": "modules that were canceled",
    "incompatible": "modules whose version the delta package does not fit, and that stay behind",
    "not_reached": "modules that still waited or were never seen",
    "touched": "modules that confirmed the offer",
    "touched_succeeded": "touched modules that were upgraded",
    "touched_failed": "touched modules that failed or were given up",
    "touched_ended": "modules that confirmed the offer and are done",
    "first_attempts": "modules whose first attempt has ended",
    "first_attempts_succeeded": "modules whose first attempt succeeded",
    "attempts": "attempts the cloud began: a URL for each component and try",
    "installed": "modules that began to install the image",
    "installed_ended": "modules whose installation has ended",
    "installations": "installations begun, further attempts included",
    "first_installations_failed": "modules whose first installation failed",
    "rolled_back": "modules whose own bootloader went back to the previous image",
    "rolled_back_by_plan": "modules that the plan sent back to the previous image",
    "bricked": "modules that never came back",
    "fail_later": "upgraded modules whose image fails after the horizon, within a year of its success",
    "late": "modules that were upgraded after the cloud had given them up",
    "cloud_succeeded": "modules the cloud counts as succeeded",
    "cloud_failed": "modules the cloud counts as failed or timed out",
    "cloud_touched_failed": "touched modules the cloud counts as failed or timed out",
    "cloud_touched_finished": "touched modules the cloud is done with",
    "cloud_finished": "modules the cloud is done with, those that needed nothing left out",
    "cloud_mistaken": "modules whose end the cloud does not know or has wrong",
}  # fmt: skip
"""Names of counts of modules (or attempts), and what they count."""

_S, _D, _CLOUD = Unit.SHARE, Unit.DURATION, View.CLOUD

_TABLE = (
    # of the modules that needed the upgrade
    Metric("success_rate", "success", _S, "more", numerator="succeeded", denominator="targets"),
    Metric("coverage", "coverage", _S, "more", numerator="on_target", denominator="modules",
           before="it counted modules a delta package does not fit as covered"),
    Metric("touched", "touched", _S, "neither", numerator="touched", denominator="targets", by_image=False),
    Metric("took_image", "took the image", _S, "neither", numerator="installed", denominator="targets", by_image=False),
    Metric("not_reached", "not reached", _S, "less", numerator="not_reached", denominator="targets", by_image=False),
    Metric("rejected", "rejected", _S, "less", numerator="rejected", denominator="targets",
           before="it was of all modules in the plan", by_image=False),
    Metric("incompatible", "incompatible", _S, "less", numerator="incompatible", denominator="targets", by_image=False),
    Metric("bricked_of_targets", "bricked, of all targets", _S, "less", numerator="bricked", denominator="targets"),
    # of the modules that confirmed; harm of those that are done, since one that is still at it has shown nothing yet
    Metric("success_of_touched", "success of touched", _S, "more", numerator="touched_succeeded", denominator="touched"),
    Metric("failed", "failed", _S, "less", numerator="touched_failed", denominator="touched_ended", harm=True,
           before="it was of all modules in the plan, touched or not"),
    Metric("first_attempt_success", "success at the first attempt", _S, "more", numerator="first_attempts_succeeded",
           denominator="first_attempts", harm=True),
    Metric("attempts_per_module", "attempts per module", Unit.RATIO, "less", _CLOUD, "attempts", "touched"),
    # of the modules whose installation has ended, and of attempts
    Metric("bricked", "bricked", _S, "less", numerator="bricked", denominator="installed_ended", harm=True,
           before="it was of all modules in the plan, touched or not"),
    Metric("expected_bricked", "bricked, expected", _S, "less", View.MODEL, harm=True),
    Metric("rolled_back", "rolled back by the module", _S, "less", numerator="rolled_back", denominator="installed_ended",
           harm=True, before="it counted modules that the plan sent back, too"),
    Metric("rolled_back_by_plan", "rolled back by the plan", _S, "less", numerator="rolled_back_by_plan",
           denominator="installed_ended"),
    Metric("first_installation_failed", "first installation failed", _S, "less",
           numerator="first_installations_failed", denominator="installed_ended", harm=True),
    Metric("attempt_success", "success per attempt", _S, "more", numerator="touched_succeeded", denominator="attempts"),
    # what the cloud says, and where it is wrong
    Metric("cloud_success_rate", "success as the cloud sees it", _S, "more", _CLOUD, "cloud_succeeded", "targets"),
    Metric("success_of_finished", "success of finished, as the cloud sees it", _S, "more", _CLOUD, "cloud_succeeded",
           "cloud_finished", before="it counted true successes; it is now the figure of the cloud's console"),
    Metric("cloud_failed", "failed as the cloud sees it", _S, "less", _CLOUD, "cloud_touched_failed",
           "cloud_touched_finished"),
    Metric("late_success", "upgraded after the cloud gave up", _S, "less", numerator="late", denominator="touched"),
    Metric("cloud_mistaken", "ended otherwise than the cloud knows", _S, "less", numerator="cloud_mistaken",
           denominator="targets"),
    # time: quantiles of the successes, and when a share of all targets was reached
    *(Metric(f"duration_p{q}", f"time of {q} % of the successes", _D, "less", denominator="succeeded") for q in (50, 90, 95, 99)),
    *(Metric(f"time_to_{q}", f"time until {q} % of the targets", _D, "less", denominator="targets") for q in (50, 80, 90, 95, 99)),
    # load and cost
    Metric("peak_connections", "peak connections", Unit.COUNT, "less", View.MODEL),
    Metric("peak_requests_per_s", "peak requests", Unit.RATE, "less", View.MODEL),
    Metric("peak_downloads", "peak downloads", Unit.COUNT, "less", View.MODEL),
    Metric("peak_egress_bit_s", "peak egress", Unit.BIT_RATE, "less", View.MODEL),
    Metric("wasted_share", "data wasted", _S, "less"),
    Metric("wasted_bytes", "wasted data", Unit.SIZE, "less"),
    Metric("deferrals", "deferrals", Unit.COUNT, "less"),
    Metric("silent_losses", "silent losses", Unit.COUNT, "less"),
    Metric("energy_lost_j", "energy lost", Unit.ENERGY, "less", View.MODEL),
    Metric("energy_per_success_j", "energy per success", Unit.ENERGY, "less", View.MODEL),
    Metric("stopped", "campaigns stopped", _S, "less"),
    # kept for one release
    Metric("pending", "waiting or never seen, of all modules", _S, "less", numerator="not_reached",
           denominator="modules", by_image=False, before="it is of all modules in the plan, those that need nothing included",
           instead="not_reached"),
)  # fmt: skip

_CLEAR = {
    "bricked": "bricked_of_installed", "failed": "failed_of_touched", "rejected": "rejected_of_targets",
    "coverage": "on_target", "success_of_finished": "cloud_success_of_finished", "rolled_back": "rolled_back_by_module",
}  # fmt: skip
"""Names that meant another figure before, and the clear name of what they are now."""

METRICS: dict[str, Metric] = {
    **{m.name: replace(m, clear=_CLEAR.get(m.name, "")) for m in _TABLE},
    **{_CLEAR[m.name]: replace(m, name=_CLEAR[m.name], before="") for m in _TABLE if m.name in _CLEAR},
}  # fmt: skip
"""All metrics by name: what a gate may judge and a study compare, sweep, tune and screen."""

ALIASES = frozenset(_CLEAR.values())
"""Metrics that are the figure of another name: shown once where all are listed."""


def figure(name: str) -> str:
    """The one name of a metric's figure: `bricked` and `bricked_of_installed` are the same."""
    return (METRICS[name].clear or name) if name in METRICS else name


SHARES: dict[str, Metric] = {name: m for name, m in METRICS.items() if m.unit is Unit.SHARE and m.numerator}
"""Metrics that are a count of modules over a count of modules or attempts."""

REACH_PERCENT = tuple(int(name.removeprefix("time_to_")) for name in METRICS if name.startswith("time_to_"))
"""Shares of the targets whose time is a metric, in percent."""

QUANTILES_PERCENT = tuple(int(name.removeprefix("duration_p")) for name in METRICS if name.startswith("duration_p"))
"""Quantiles of the times of successes that are metrics, in percent."""


def unknown(name: str) -> str:
    """What to say of a name that is no metric: the closest names first."""
    from difflib import get_close_matches

    close = get_close_matches(name, METRICS, n=1, cutoff=0.6)
    return (f"did you mean {close[0]}? " if close else "") + f"choose from {', '.join(METRICS)}"
