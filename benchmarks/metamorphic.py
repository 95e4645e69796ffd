"""Rules between two runs: what must follow when one thing of a scenario changes, over as many random scenarios as one likes.

python -m benchmarks.metamorphic --scenarios 200 --seed 7
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from sim.engines.run import campaign_records
from sim.scenario.fields import WITH_UNITS
from tests.strategies import FLEET, overrides
from tests.support import HARMLESS, scenario

Keys = Mapping[str, str]
Rule = Callable[[Keys], None]

ROOM = {
    "cloud.capacity": "{request_workers: 100000, connections_per_s: 1000000000, downloads: 1000000, egress: 1000 Gbit/s}"
}
"""A cloud in which modules do not wait for each other."""
ALONE = {**ROOM, "fleet.cells": "null", "fleet.groups.0.joins": "null"}
NO_FAILURES = {"fleet.failures": "{}", "fleet.groups.0.failures": "{}"}
TIME_S = 1e-3
"""Reports of running downloads take a billionth of so large a cloud; that moves the answers to others by nanoseconds."""
HORIZONS = {"6h": "30h", "2d": "4d", "9d": "12d"}
TIMES = ("first_contact_s", "notified_s", "confirmed_s", "downloaded_s", "upgraded_s", "reported_s")


def modules(keys: Keys, *more: str) -> pd.DataFrame:
    """The table of modules of the base scenario with overrides, by id; names as plain texts."""
    table = campaign_records(scenario(*overrides(keys), *more), 0, engine="simpy").modules
    plain = {name: object for name in table if table[name].dtype == "category"}
    return table.astype(plain).set_index("module")


def differing(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """Ids of modules of both tables that differ in anything, times by more than TIME_S."""
    both = a.index.intersection(b.index)
    same = np.ones(len(both), dtype=bool)
    for name in a:
        first, second = a[name].loc[both].to_numpy(), b[name].loc[both].to_numpy()
        if a[name].dtype.kind == "f":
            same &= np.isclose(first, second, rtol=1e-6, atol=TIME_S, equal_nan=True)
        else:
            same &= first == second
    return [str(name) for name in both[~same]]


# --- rules -----------------------------------------------------------------------------------------------------------


def faster_egress_is_never_slower(keys: Keys) -> None:
    """Ten times the bandwidth, and nothing that goes wrong: nobody is upgraded later."""
    calm = {**keys, **NO_FAILURES, "fleet.cells": "null", "fleet.groups.0.joins": "null"}
    slow, fast = (
        modules({**calm, "cloud.capacity": f"{{egress: {rate}}}"}, *HARMLESS) for rate in ("200 kbit/s", "2 Mbit/s")
    )
    upgraded = ~slow["upgraded_s"].isna()
    later = fast["upgraded_s"][upgraded].to_numpy() - slow["upgraded_s"][upgraded].to_numpy()
    assert not len(later) or np.nanmax(later) <= 1e-6
    assert not np.isnan(later).any()


def a_higher_limit_never_rejects_fewer(keys: Keys) -> None:
    """A stricter limit on the battery rejects whom the milder one rejected, and perhaps more."""
    limits = [
        modules({**keys, **ALONE, "plan.strategy.preconditions": f"{{min_battery_percent: {limit}, on_unmet: reject}}"})
        for limit in (20, 50)
    ]  # fmt: skip
    mild, strict = ((table["outcome"] == "rejected") for table in limits)
    assert int(strict.sum()) >= int(mild.sum())


def a_longer_horizon_changes_no_past(keys: Keys) -> None:
    """Watched for longer, what had happened stays: every success, at its very second. A late failure undoes one: left out."""
    alone = {**keys, **ALONE}
    for key in ("fleet.failures", "fleet.physics", "fleet.groups.0.failures", "fleet.groups.0.physics"):
        if "late_failure" in alone[key] or "new_image_ma" in alone[key]:
            alone[key] = "{}"
    short, long = modules(alone), modules({**alone, "horizon": HORIZONS[keys["horizon"]]})
    for name in TIMES:
        reached = ~short[name].isna()
        assert (short[name][reached] == long[name][reached]).all(), name
    done = short["outcome"] == "succeeded"
    assert (long["outcome"][done] == "succeeded").all()


def a_module_less_changes_nobody_else(keys: Keys) -> None:
    """Where modules share nothing, one that is not in the plan is missed by nobody."""
    alone = {**keys, **ALONE, "fleet.size": "20"}
    assert differing(modules(alone), modules(alone, "plan.blacklist=[m0000003]")) == []


def groups_split_alike_are_one(keys: Keys) -> None:
    """Two halves with the settings of the whole are the whole, where nothing goes by the name of the group."""
    alone = {**keys, **ALONE, "fleet.size": "20"}
    if "fleet_groups" in alone["fleet.outages"]:
        alone["fleet.outages"] = "[]"
    one = modules(alone).drop(columns="group")
    written = scenario(*overrides(alone)).model_dump(
        mode="json", exclude_unset=True, exclude_none=True, context=WITH_UNITS
    )
    group = written["fleet"]["groups"][0]
    halves = [{**group, "name": name, "share": 0.5} for name in ("a", "b")]
    two = modules(
        {key: value for key, value in alone.items() if not key.startswith("fleet.groups")}, f"fleet.groups={halves!r}"
    )
    assert differing(one, two.drop(columns="group")) == []


def a_zone_further_is_the_same_day(keys: Keys) -> None:
    """The same local times in a zone eleven hours east: the same run, where no group has a zone of its own."""
    keys = {**keys, **ALONE, "fleet.groups.0.time_zone": "null"}
    east = "plan.strategy.schedule={start_time: 2026-01-05T08:00, time_zone: '+11:00'}"
    west = "plan.strategy.schedule={start_time: 2026-01-05T08:00, time_zone: '+00:00'}"
    assert differing(modules(keys, west), modules(keys, east)) == []


def zero_rates_give_no_failures(keys: Keys) -> None:
    """With every chance at 0 no cause of failure is left but what the fleet itself brings."""
    calm = {**keys, **ALONE, **NO_FAILURES}
    power = [f"fleet.failures.{name}=0" for name in ("power_loss_mains_per_h", "power_loss_vehicle_per_h", "brick_in_place",
             "message_loss_nb_iot", "message_loss_nb_iot_bad", "source_mismatch")]  # fmt: skip
    found = set(modules(calm, *HARMLESS, *power)["cause"])
    assert not found & {
        "bricked",
        "boot_failure",
        "flash_error",
        "power_loss",
        "checksum",
        "server_error",
        "link_lost",
        "image_mismatch",
    }


def more_retries_never_lose_a_success(keys: Keys) -> None:
    """Whoever succeeds with two retries succeeds with five."""
    alone = {**keys, **ALONE}
    few, many = (modules(alone, f"plan.strategy.retry.number_of_retries={retries}") for retries in (2, 5))
    done = few["outcome"] == "succeeded"
    assert (many["outcome"][done] == "succeeded").all()


RULES: tuple[Rule, ...] = (
    faster_egress_is_never_slower, a_higher_limit_never_rejects_fewer, a_longer_horizon_changes_no_past,
    a_module_less_changes_nobody_else, groups_split_alike_are_one, a_zone_further_is_the_same_day,
    zero_rates_give_no_failures, more_retries_never_lose_a_success,
)  # fmt: skip


def _of_keys(rule: Rule) -> Rule:
    """A rule as a function of its own, for Hypothesis to decorate."""

    def tried(keys: Keys) -> None:
        rule(keys)

    return tried


def checks(scenarios: int, seeded: int | None) -> Iterator[tuple[str, Callable[[], None]]]:
    """Each rule by its name, as a function that tries it on so many random fleets."""
    for rule in RULES:
        test = given(st.builds(dict, FLEET))(_of_keys(rule))
        test = settings(max_examples=scenarios, deadline=None, suppress_health_check=list(HealthCheck), database=None,
                        derandomize=seeded is None)(test)  # fmt: skip
        yield rule.__name__, test if seeded is None else seed(seeded)(test)


def main() -> None:
    """Tries every rule; an AssertionError shows the smallest scenario that breaks one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenarios", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--rule", default="", help="only rules whose name contains this")
    asked = parser.parse_args()
    for name, check in checks(asked.scenarios, asked.seed):
        if asked.rule in name:
            check()
            print(f"{name}: {asked.scenarios} scenarios from seed {asked.seed}", flush=True)


if __name__ == "__main__":
    main()
