"""Synchronised wake-ups of whole cells through the engine: what the cell costs, and what it never does."""

from __future__ import annotations

import itertools

import pytest

from sim.engines.run import Outcome
from tests.support import HARMLESS, run

METERS = (
    *HARMLESS, "fleet.size=1500", "fleet.groups.0.technology=nb-iot", "fleet.failures.message_loss_nb_iot=0",
    "fleet.failures.message_loss_nb_iot_bad=0", "fleet.groups.0.rsrp_dbm=-90", "fleet.groups.0.battery_percent=90",
    "horizon=1d", "plan.components.0.size=20 kB", 'fleet.groups.0.check_in={every: 24h, at: "03:00"}',
)  # fmt: skip
AT_THREE_S = 3 * 3600.0


def contacts(outcome: Outcome) -> list[float]:
    """Seconds from the common wake-up to each module's first contact, sorted."""
    return sorted((outcome.records.modules["first_contact_s"] - AT_THREE_S).tolist())


def test_a_cell_of_one_is_the_old_model():
    """Alone in its cell a module needs ten times LTE's 15 ms, and longer only for undetected preambles and repeats."""
    wide = "cloud.capacity.connections_per_s=1000000000"
    free = run(*METERS, wide).records.modules
    alone = run(*METERS, wide, "fleet.cells={modules_per_cell: 1}").records.modules
    later = alone["first_contact_s"] - free["first_contact_s"]
    assert alone["cell"].nunique() == 1500
    assert later.min() == pytest.approx(0.15, abs=1e-5)
    assert later.quantile(0.95) < 2.5
    assert alone["preambles"].max() <= 20
    assert free["preambles"].max() == 0


def test_a_synchronised_wake_up_collides():
    """1,500 meters of one cell at once collapse its access; in cells of 50, or spread over minutes, they do not."""
    herd = run(*METERS, "fleet.cells={modules_per_cell: 1500}")
    small = run(*METERS, "fleet.cells={modules_per_cell: 50}")
    spread = run(
        *METERS, "fleet.cells={modules_per_cell: 1500}",
        'fleet.groups.0.check_in={every: 24h, at: "03:00", spread: 5min}',
    )  # fmt: skip
    preambles = [o.records.modules["preambles"].mean() for o in (herd, small, spread)]
    sessions = [o.records.modules["sessions"].mean() for o in (herd, small, spread)]
    assert preambles[0] > 5 * max(preambles[1:])
    assert sessions[0] > 1.5 * max(sessions[1:])
    assert contacts(herd)[750] > contacts(small)[750] + 5.0
    for outcome in (herd, small, spread):  # a busy cell delays, it loses nobody
        assert outcome.summary["outcomes"]["succeeded"] == 1500


def test_alone_in_a_cell():
    """Without collisions (`random_access: false`) and without neighbours a cell costs nothing."""
    free = run(*METERS)
    cells = run(*METERS, "fleet.cells={modules_per_cell: 1, random_access: false}")
    assert cells.records.modules["cell"].nunique() == 1500
    before, after = free.records.modules, cells.records.modules
    assert after.drop(columns="cell").equals(before.drop(columns="cell"))


def test_a_module_that_cannot_get_in():
    """With one preamble for a herd nobody connects at first: the module says why, and what it tried."""
    outcome = run(
        *METERS, "fleet.size=20", "fleet.cells={modules_per_cell: 20, nprach_preambles: 1, nprach_back_off_s: 0}",
        "horizon=10801.2s",
    )  # fmt: skip
    modules = outcome.records.modules
    assert outcome.summary["outcomes"]["succeeded"] == 0
    assert set(modules["cause"]) == {"cell_congested"}
    assert set(modules["preambles"]) == {10}


@pytest.mark.parametrize("size", [1, 7, 100])
def test_cells_hold_what_they_are_told(size):
    """Cells of a constant size, mixed from all groups, the last one takes the rest; the same for the same seed."""
    outcome = run("fleet.size=250", f"fleet.cells={{modules_per_cell: {size}}}", "horizon=1h")
    counts = outcome.records.modules["cell"].value_counts()
    assert counts.sum() == 250
    assert (counts == size).sum() == 250 // size
    assert counts.min() == (250 % size or size)
    again = run("fleet.size=250", f"fleet.cells={{modules_per_cell: {size}}}", "horizon=1h")
    assert (again.records.modules["cell"] == outcome.records.modules["cell"]).all()
    assert (outcome.records.modules["cell"].iloc[:size].nunique() > 1) == (size > 1)


def test_cells_of_a_fleet_file(tmp_path):
    """The file's cells by name; an empty field is no cell; groups without the column take `modules_per_cell`."""
    lines = ["imei,tac", *(f"i{i},{'A' if i < 3 else 'B' if i < 9 else ''}" for i in range(10))]
    (tmp_path / "fleet.csv").write_text("\n".join(lines), encoding="utf-8")
    group = "{name: real, file: %s, columns: {module: imei, cell: tac}, technology: lte-m}" % (tmp_path / "fleet.csv")
    outcome = run(
        "fleet.size=20", f"fleet.groups=[{group}, {{name: drawn, share: 1.0, technology: lte-m}}]",
        "fleet.cells={modules_per_cell: 5}", "horizon=1h",
    )  # fmt: skip
    counts = outcome.records.modules["cell"].value_counts().to_dict()
    assert counts == {"A": 3, "B": 6, "": 1, **{f"cell-00000{i}": 5 for i in range(4)}}


def test_drawn_sizes_follow_their_law():
    """Sizes from a distribution: mean and spread of what was asked, every cell at least one module."""
    outcome = run(
        "fleet.size=4000", "fleet.cells={modules_per_cell: {distribution: uniform, low: 0, high: 80}}", "horizon=1min"
    )
    counts = outcome.records.modules["cell"].value_counts()
    assert 34 < counts.mean() < 46
    assert counts.min() >= 1
    assert 15 < counts.std() < 31


def test_the_downlink_of_a_metering_cell():
    """500 meters of one cell at -100 dBm fetch 256 KiB at once: 14 hours of air time, so 16 hours at 90 % of it."""
    quiet = [f"fleet.physics.{name}=0" for name in ("rsrp_session_sd_db", "sinr_site_sd_db")]
    outcome = run(
        *METERS, *quiet, "fleet.size=500", "fleet.groups.0.check_in=always", "fleet.groups.0.power=mains",
        "fleet.groups.0.rsrp_dbm=-100", "plan.components.0.size=256 KiB", "horizon=2d",
        "fleet.cells={modules_per_cell: 500, random_access: false}",
    )  # fmt: skip
    modules = outcome.records.modules
    assert outcome.summary["outcomes"]["succeeded"] == 500
    lasted_h = (modules["downloaded_s"].max() - modules["download_started_s"].min()) / 3600
    assert lasted_h == pytest.approx(14.3 / 0.9, rel=0.01)
    alone_s = 256 * 1024 * 8 / 11_000  # at 11 kbit/s each
    assert (modules["downloaded_s"] - modules["download_started_s"]).median() > 200 * alone_s


def test_caps_by_cell_hold_in_every_cell():
    """Huawei's caps: never more than 50 (here 3) modules of a cell in good coverage under way at once."""
    outcome = run(
        *METERS, "fleet.size=120", "fleet.groups.0.rsrp_dbm=-85", "horizon=3d", "fleet.groups.0.check_in=always",
        "fleet.groups.0.power=mains", "fleet.cells={modules_per_cell: 40}",
        "plan.strategy={preset: huawei-nbiot, rollout: {max_in_progress_per_cell: {0: 3, 1: 2, 2: 1}}}",
    )  # fmt: skip
    modules = outcome.records.modules
    assert outcome.summary["outcomes"]["succeeded"] == 120
    for _, cell in modules.groupby("cell", observed=True):
        changes = sorted([*((t, 1) for t in cell["confirmed_s"]), *((t, -1) for t in cell["upgraded_s"])])
        assert max(itertools.accumulate(change for _, change in changes)) == 3
