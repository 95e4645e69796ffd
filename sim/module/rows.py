"""The numbers of one module and of its profile, as rows of plain attributes.

Behaviour is written against attributes (`row.status`, `profile.boot_failure`), so the same source works on these Python
objects and on records of a NumPy array, which a compiler understands. Times are seconds since activation; `inf`
stands for "no timer" and `nan` for "never".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim.module.link_states import LinkState
from sim.named_enum import NamedEnum

INF = math.inf
NAN = math.nan


TECHNOLOGIES = ("nb-iot", "lte-m", "cat1bis", "cat1", "cat4")
"""In the order of the tables in radio.py."""


class Power(NamedEnum):
    """What supplies a module."""

    BATTERY = 0
    MAINS = 1
    VEHICLE = 2


class CheckIn(NamedEnum):
    """When a module comes online."""

    ALWAYS = 0
    PERIODIC = 1
    POISSON = 2
    DIURNAL = 3
    SLEEPY = 4


class Partition(NamedEnum):
    """Whether flashing that was cut off goes on when power returns."""

    RESUMABLE = 0
    IN_PLACE = 1


class OutageKind(NamedEnum):
    """What is out for a time."""

    CLOUD = 0
    NETWORK = 1
    POWER = 2


FAULT_INSTALLATION, FAULT_FELL_BACK = 1, 2
"""An installation failed; the module went back to the previous image."""


@dataclass(slots=True)
class ModuleRow:
    """One module: who it is, where it stands, what it has spent."""

    index: int = 0
    identity: int = 0
    """What keys its draws: the number in its id, or a hash of an id of the user's own (`identity.py`)."""
    group: int = 0
    cell: int = -1
    zone: int = 0
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
    base: int = 0
    """Class of the versions it ran at activation, where defects or the device go by them."""
    lot_factor: float = 1.0
    """What the chances of a bad release are multiplied by in its lot."""
    outages: int = 0
    """Outages that concern it, as bits."""
    # link
    link: int = LinkState.OFFLINE
    link_at: float = INF
    link_then: int = 0
    link_failures: int = 0
    sessions: int = 0
    check_ins: int = 0
    session_end_s: float = INF
    idle_since_s: float = 0.0
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
    late_at: float = INF
    """When the new image fails after its success."""
    leaves_s: float = INF
    """When it leaves the fleet."""
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
    refused_for: int = 0
    """Cause of its last refusal, NONE once it has confirmed."""
    received_bytes: float = 0.0
    cause: int = 0
    fault: int = 0
    """Cause of the last attempt that failed, NONE once another has begun."""
    first_fault: int = 0
    """Cause of the first attempt that failed; NONE while none has."""
    expected_bricks: float = 0.0
    """Sum of the chances, before each draw, that it was bricked."""
    image_faults: int = 0
    """FAULT_… bits of what has happened to installations of the new image."""
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
    power: int = Power.BATTERY
    mobile: int = 0
    partition: int = Partition.RESUMABLE
    resume_download: int = 0
    mcu_buffer_bytes: int = 0
    capacity_j: float = 33700.0
    ordinary_w: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Mean power without the rollout by coverage level, watt (`battery.ordinary_w`)."""
    recharge_every_s: float = 0.0
    recharge_to_percent: float = 100.0
    recharge_from_percent: float = 5.0
    check_in: int = CheckIn.PERIODIC
    check_in_every_s: float = 86400.0
    check_in_jitter_s: float = 0.0
    check_in_at_s: float = NAN
    check_in_spread_s: float = 0.0
    awake_s: float = 60.0
    edrx_s: float = 0.0
    online_s: float = 2400.0
    trip_probability: float = 1.0
    zone_day_start_s: tuple[float, ...] = (0.0,)
    """Local time of day at activation, [zone]; zone 0 is the group's, others are those of single modules."""
    zone_change_at_s: tuple[tuple[float, ...], ...] = ((),)
    """When the clocks of a zone change, [zone][change], inf where there is none."""
    zone_shift_s: tuple[tuple[float, ...], ...] = ((),)
    """How far they are then ahead of where they stood at activation, [zone][change]."""
    zone_changes: tuple[float, ...] = (0.0,)
    """How many changes there are, [zone]."""
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
    window_sleep_s: float = 0.0
    """Shortest sleep a server gives a device with an action before a maintenance window (hawkBit); 0: no shorter sleeps."""
    device_checks: int = 1
    components: int = 1
    peaks: int = 0
    peaks_s: tuple[float, ...] = ()
    boot_failures: tuple[tuple[float, ...], ...] = ()
    """Chance that a component's new image does not boot, [component][hardware + hardware_count x base]."""
    bricks: tuple[tuple[float, ...], ...] = ()
    """Chance that flashing a component bricks the module, the same way."""
    late_failures: tuple[tuple[float, ...], ...] = ()
    """Chance that a component's new image fails after its success, the same way."""
    other_versions: tuple[tuple[float, ...], ...] = ()
    """Chance that a component's image names another version, the same way."""
    refused: tuple[tuple[float, ...], ...] = ()
    """1 where the device refuses the component's target as a downgrade, the same way."""
    refused_back: tuple[float, ...] = ()
    """1 where it refuses the previous package of a rollback, [component]."""
    hardware_count: int = 1
    outage_count: int = 0
    outage_kind: tuple[float, ...] = ()
    """What is out, one of OutageKind, [outage]."""
    outage_start_s: tuple[float, ...] = ()
    outage_lasts_s: tuple[float, ...] = ()
    outage_every_s: tuple[float, ...] = ()
    """Time from one to the next, 0 where there is one only, [outage]."""
    may_fail_late: int = 0
    delta: tuple[int, ...] = ()
    """Whether each component comes as a delta package."""
