"""The numbers of one module and of its profile, as rows of plain attributes.

Behaviour is written against attributes (`m.status`, `p.boot_failure`), so the same source works on these Python
objects and on records of a NumPy array, which a compiler understands. Times are seconds since activation; `inf`
stands for "no timer" and `nan` for "never".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

INF = math.inf
NAN = math.nan

# Link of a module.
OFFLINE = 0
ATTACHING = 1
CONNECTING = 2
ONLINE = 3
FLASHING = 4  # radio off: installing or rebooting
DARK = 5  # never comes back: bricked, empty, or never online

# Technologies, in the order of the tables in radio.py.
TECHNOLOGIES = ("nb-iot", "lte-m", "cat1bis", "cat1", "cat4")
POWERS = ("battery", "mains", "vehicle")
CHECK_INS = ("always", "periodic", "poisson", "diurnal", "sleepy")
ALWAYS, PERIODIC, POISSON, DIURNAL, SLEEPY = range(5)
RESUMABLE, IN_PLACE = 0, 1

# Causes a module knows for itself; names in records.CAUSES order are looked up by these numbers.
CAUSES = (
    "", "low_battery", "weak_signal", "no_space", "user_refused", "no_service", "link_lost", "server_busy",
    "server_error", "checksum", "image_mismatch", "source_mismatch", "url_timeout", "flash_error", "power_loss",
    "battery_dead", "boot_failure", "bricked", "mcu_timeout", "never_online", "canceled", "url_gone", "rolled_back",
    "cell_congested",
)  # fmt: skip
(
    NONE, C_LOW_BATTERY, C_WEAK_SIGNAL, C_NO_SPACE, C_USER_REFUSED, C_NO_SERVICE, C_LINK_LOST, C_SERVER_BUSY,
    C_SERVER_ERROR, C_CHECKSUM, C_IMAGE_MISMATCH, C_SOURCE_MISMATCH, C_URL_TIMEOUT, C_FLASH_ERROR, C_POWER_LOSS,
    C_BATTERY_DEAD, C_BOOT_FAILURE, C_BRICKED, C_MCU_TIMEOUT, C_NEVER_ONLINE, C_CANCELED, C_URL_GONE, C_ROLLED_BACK,
    C_CELL_CONGESTED,
) = range(len(CAUSES))  # fmt: skip


@dataclass(slots=True)
class ModuleRow:
    """One module: who it is, where it stands, what it has spent."""

    index: int = 0
    group: int = 0
    cell: int = -1
    # who it is
    rsrp_site_dbm: float = -100.0
    sinr_site_db: float = 0.0
    battery_percent: float = 100.0
    gauge_offset_percent: float = 0.0
    free_bytes: int = 0
    frailty: float = 1.0
    hardware: int = 0
    source_mismatch: int = 0
    user_delay_s: float = 0.0
    phase: float = 0.5
    away_until_s: float = 0.0
    # link
    link: int = OFFLINE
    link_at: float = INF
    link_then: int = 0
    link_failures: int = 0
    sessions: int = 0
    check_ins: int = 0
    session_end_s: float = INF
    session_start_s: float = 0.0
    rsrp_offset_db: float = 0.0
    rsrp_dbm: float = -140.0
    sinr_db: float = -20.0
    level: int = -1
    air_use: float = 0.0
    goodput_bit_s: float = 0.0
    rtt_s: float = 0.2
    attach_s: float = 0.0
    preambles: int = 0
    access_attempts: int = 0
    # OTA
    status: int = 0
    ota_at: float = INF
    ota_then: int = 0
    published: int = 0
    cached: int = 0
    event: int = 0
    component: int = 0
    kind: int = 0
    package_bytes: int = 0
    offset_bytes: int = 0
    piece_bytes: int = 0
    kept_bytes: float = 0.0
    download_errors: int = 0
    total_errors: int = 0
    min_battery_percent: float = 0.0
    min_rsrp_dbm: float = -200.0
    needed_bytes: int = 0
    decided: int = 0
    flash_result: int = 0
    hold: int = 0
    reverting: int = 0
    at_target: int = 0
    upgraded: int = 0
    # power
    power_at: float = INF
    charge_cycle: int = 0
    spent_cycle_j: float = 0.0
    energy_j: float = 0.0
    transfer_start_s: float = NAN
    # counters of draws and of records
    messages: int = 0
    notices: int = 0
    transfers: int = 0
    flashes: int = 0
    offers: int = 0
    refusals: int = 0
    received_bytes: float = 0.0
    cause: int = 0
    first_contact_s: float = NAN
    notified_s: float = NAN
    confirmed_s: float = NAN
    download_started_s: float = NAN
    downloaded_s: float = NAN
    updating_s: float = NAN
    upgraded_s: float = NAN
    ended_s: float = NAN


@dataclass(slots=True)
class ProfileBase:
    """What the modules of one group share, beside the parameters of `parameters.PARAMETERS`."""

    key_0: int = 0
    key_1: int = 0
    technology: int = 0
    random_access: int = 0
    power: int = 0
    mobile: int = 0
    partition: int = RESUMABLE
    resume_download: int = 0
    mcu_buffer_bytes: int = 0
    capacity_j: float = 33700.0
    recharge_every_s: float = 0.0
    recharge_to_percent: float = 100.0
    recharge_from_percent: float = 5.0
    check_in: int = PERIODIC
    check_in_every_s: float = 86400.0
    check_in_jitter_s: float = 0.0
    check_in_at_s: float = NAN
    check_in_spread_s: float = 0.0
    awake_s: float = 60.0
    edrx_s: float = 0.0
    online_s: float = 2400.0
    trip_probability: float = 1.0
    day_start_s: float = 0.0
    confirm_mode: int = 0
    force_at_s: float = INF
    poll_jitter: float = 0.0
    sleep_s: float = 0.0
    """Time between two polls of a server that is polled (DDI); 0 for other clouds."""
    sleep_jitter: float = 0.0
    confirms_first: int = 0
    """The server wants a confirmation before it hands out the deployment (DDI)."""
    registration_s: float = 0.0
    """Sleep a server gives a device it does not know; nothing is offered before its attributes are there. 0: at once."""
    device_checks: int = 1
    components: int = 1
    peaks: int = 0
    peaks_s: tuple[float, ...] = ()
    boot_failures: tuple[tuple[float, ...], ...] = ()
    """Chance that a component's new image does not boot, [component][hardware]."""
    bricks: tuple[tuple[float, ...], ...] = ()
    """Chance that flashing a component bricks the module, [component][hardware]."""
    delta: tuple[int, ...] = ()
    """Whether each component comes as a delta package."""
