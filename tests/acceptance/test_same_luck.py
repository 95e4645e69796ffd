"""A module's luck is its own: who else is in a fleet, a list or a plan changes nothing for it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sim.draws import Purpose, uniform, uniforms
from sim.module.identity import identities, identity, numbered
from tests.support import run

ROUGH = ("fleet.failures.boot_failure=0.2", "fleet.failures.message_loss_lte=0.2", "fleet.failures.link_drop_factor=30")


def compared(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Rows of the modules both tables have that differ in anything."""
    first, second = (t.astype({c: object for c in t if t[c].dtype == "category"}).set_index("module") for t in (a, b))
    both = first.index.intersection(second.index)
    assert len(both)
    first, second = first.loc[both], second.loc[both]
    same = (first == second) | (first.isna() & second.isna())
    return first[~same.all(axis=1)]


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_module_less_changes_nobody_else(engine):
    """Without m0000007 every other module of 400 lives the same life, to the last number."""
    whole = run("fleet.size=400", *ROUGH, engine=engine).records.modules
    less = run("fleet.size=400", *ROUGH, "plan.blacklist=[m0000007]", engine=engine).records.modules
    assert len(less) == 399
    assert compared(whole, less).empty


def test_whitelists_and_order_change_nobodys_luck():
    """Half the fleet by a glob, another order of release: draws of the fleet itself stay."""
    whole = run("fleet.size=300", *ROUGH, "fleet.cells={modules_per_cell: 1000}").records.modules
    half = run("fleet.size=300", "plan.whitelist=['m*[02468]']", "plan.strategy.rollout.order=listed").records.modules
    fixed = ["module", "rsrp_dbm", "battery_percent", "free_space_bytes", "hardware", "first_contact_s"]
    assert compared(whole[fixed[:-1]], half[fixed[:-1]]).empty


def test_groups_split_alike_are_the_same_fleet():
    """One group, or two halves with the same settings: the same modules."""
    one = run("fleet.size=200", *ROUGH).records.modules
    group = (
        "{name: %s, share: 0.5, technology: lte-m, battery: {capacity: 9.36 Wh}, check_in: {every: 6h, jitter: 10min}}"
    )
    two = run("fleet.size=200", *ROUGH, f"fleet.groups=[{group % 'a'}, {group % 'b'}]").records.modules
    assert compared(one.drop(columns="group"), two.drop(columns="group")).empty


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2], [2, 0]])
def test_rows_of_a_fleet_file_may_stand_in_any_order(tmp_path, order):
    """A device is who its id says, wherever its row stands and whoever else is in the file."""
    ids = np.array([f"86480500{number:07d}" for number in range(4)] + ["a", "b", "c", "ä"])
    tables = []
    for number, rows in enumerate(([*range(8)], [*order, 4, 5, 6, 7])):
        file = tmp_path / f"fleet{number}.csv"
        pd.DataFrame({"imei": ids[rows]}).to_csv(file, index=False)
        shared = "{name: rest, share: 1.0, technology: lte-m}"
        listed = f"{{name: listed, file: {file}, technology: lte-m, columns: {{module: imei}}}}"
        tables.append(run("fleet.size=50", *ROUGH, f"fleet.groups=[{listed}, {shared}]").records.modules)
    assert len(tables[0]) == 58
    assert compared(*tables).empty


def test_identities():
    """An id of ours is its number, any other a hash above all numbers; ids that differ at all differ here."""
    assert [identity(n) for n in ("m0000000", "m0000042", "m12345678")] == [0, 42, 12345678]
    assert all(identity(n) >= 1 << 62 for n in ("m42", "m00000042", "M0000042", "m0000042 ", "", "864805000000001"))
    assert identity(numbered(49_999_999)) == 49_999_999
    assert len(set(identities(f"device-{i}" for i in range(50_000)).tolist())) == 50_000


def test_draws_take_all_of_an_identity():
    """Identities that share 32 bits draw differently, and an array draws what single ones do."""
    key, many = (11, 13), np.array([5, 5 + (1 << 32), 5 + (1 << 62)], dtype=np.int64)
    drawn = uniforms(*key, many, Purpose.BOOT, 3)
    assert len(set(drawn.tolist())) == 3
    assert drawn.tolist() == [uniform(*key, int(one), Purpose.BOOT, 3) for one in many]
