"""Restart from zero against resume, under session drops that come at random."""

import math

import numpy as np
import pytest

from sim.module import radio
from sim.module.profile import Profile
from sim.module.rows import ModuleRow
from tests.support import HARMLESS, run

STEADY = (
    *(o for o in HARMLESS if "link_drop_factor" not in o),
    "fleet.size=1500", "fleet.groups.0.technology=nb-iot", "fleet.groups.0.power=mains",
    "fleet.groups.0.check_in={always: {report_every: 6h}}", "fleet.groups.0.rsrp_dbm=-95",
    "fleet.groups.0.free_space=10 MB", "fleet.physics.rsrp_session_sd_db=0", "fleet.physics.sinr_site_sd_db=0",
    "fleet.failures.frailty_variance=0", "fleet.failures.link_drop_factor=8", "fleet.failures.power_loss_mains_per_h=0",
    "fleet.failures.message_loss_nb_iot=0", "plan.strategy.retry.number_of_retries=10",
)  # fmt: skip
HAZARD_PER_S = 12.0 * 0.05 * 8 / 3600.0


def test_restart_from_zero_takes_e_minus_1_hours():
    """Hazard 1/h, one hour of transfer, no delay: E[T] = (e^(hT) - 1)/h = 1.71828 h (closed_forms.csv)."""
    profile = Profile(key_0=3, key_1=4, session_loss_static=1.0, link_drop_factor=1.0 / 12.0)
    taken_h = []
    for index in range(6000):
        m, total = ModuleRow(identity=index, rsrp_dbm=-95.0), 0.0
        while (drop_s := radio.drop_after_s(m, profile)) < 3600.0:
            total += drop_s
            m.transfers += 1
        taken_h.append(total / 3600.0 + 1.0)
    half = 3.29 * np.std(taken_h) / math.sqrt(len(taken_h))
    assert abs(np.mean(taken_h) - 1.71828) <= half
    assert half < 0.1


@pytest.fixture(scope="module")
def restart():
    """A rollout whose modules begin every broken download anew."""
    return run(*STEADY).records.modules


@pytest.fixture(scope="module")
def resume():
    """The same rollout with breakpoint resume."""
    return run(*STEADY, "fleet.groups.0.resume_download=true").records.modules


def transfer_s(modules):
    """Time of an undisturbed transfer."""
    clean = modules[modules["download_errors"] == 0]
    return float((clean["downloaded_s"] - clean["download_started_s"]).min())


def test_errors_per_module_are_geometric(restart):
    """In the engine: an attempt survives with exp(-hT), so a module sees exp(hT) - 1 errors on average."""
    expected = math.exp(HAZARD_PER_S * transfer_s(restart)) - 1.0
    errors = restart["download_errors"].to_numpy()
    half = 3.29 * errors.std() / math.sqrt(len(errors))
    assert abs(errors.mean() - expected) <= half
    assert half < 0.5 * expected


def test_resume_sees_the_hazard_once(resume):
    """With resume every byte passes once: hT errors on average, and nothing is wasted."""
    expected = HAZARD_PER_S * transfer_s(resume)
    errors = resume["download_errors"].to_numpy()
    assert abs(errors.mean() - expected) <= 3.29 * errors.std() / math.sqrt(len(errors))
    assert resume["bytes_wasted"].sum() <= len(resume)  # rounding


def test_resume_never_slows_the_median(restart, resume):
    """Same draws, less to send."""
    assert resume["upgraded_s"].median() <= restart["upgraded_s"].median()
    assert resume["bytes_wasted"].sum() < restart["bytes_wasted"].sum()
