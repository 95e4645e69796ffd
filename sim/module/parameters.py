"""Every number the physics rests on: default, sweepable range, unit, provenance and source, in one table.

Scenario sections `failures:` and `physics:` (fleet-wide or per group) and `fleet.cells:` override these values by
name; the engines read them as fields of the same name; the report lists those that matter. Provenance is one of

documented  read in the named source
derived     computed from documented data
estimated   an engineering estimate: sweep it before a verdict depends on it

`low` and `high` bound a sensible sweep; `minimum` and `maximum` are the bounds of what has a meaning at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True, slots=True)
class Parameter:
    """One physical input: its default, the range worth sweeping, its unit and where the figure comes from."""

    name: str
    default: float
    low: float
    high: float
    unit: str
    provenance: str
    source: str
    meaning: str
    section: str
    minimum: float = 0.0
    maximum: float = math.inf


DOCUMENTED, DERIVED, ESTIMATED = "documented", "derived", "estimated"


def _row(
    section: str, name: str, default: float, sweep: tuple[float, float], unit: str, provenance: str, source: str,
    meaning: str, *, minimum: float = 0.0, maximum: float = math.inf,
) -> Parameter:  # fmt: skip
    """A row of the tables below; a probability of a failure ends at 1."""
    maximum = 1.0 if unit == "probability" and section == "failures" else maximum
    return Parameter(name, default, *sweep, unit, provenance, source, meaning, section, minimum, maximum)


_failure = partial(_row, "failures")
_physics = partial(_row, "physics")
_cell = partial(_row, "cells")

_OSLO = "NB-IoT-Performance measurements (Telenor, Telia), loss direction"
_CELLSPEED = "iCellSpeed static LTE data, RRC re-start hazard by RSRP"
_BG96 = "Quectel BG96 Hardware Design V1.3"
_TR37868 = "3GPP TR 37.868, table 6.2.2.1.1"
_NET_ERRORS = "QuecThing, net errors"
_NPRACH = "knee about 1/10 of an LTE cell's: 1,000 modules in 10 s"

# Columns: name, default, range worth sweeping, unit, provenance; below them source, meaning, and bounds other than 0 and inf.
_ROWS = (
    # --- failures: what goes wrong, per attempt unless stated -------------------------------------------------
    _failure("never_online",             0.03,         (0.005, 0.12),               "probability", ESTIMATED,
        "no public census", "share of modules that stay dark for the whole campaign"),
    _failure("long_offline",             0.04,         (0.01, 0.15),                "probability", ESTIMATED,
        "no public census", "share of modules away at activation that return later"),
    _failure("long_offline_return_s",    14 * 86400.0, (3 * 86400.0, 60 * 86400.0), "s",           ESTIMATED,
        "no public census", "mean of the exponential time until a long-offline module returns"),
    _failure("message_loss_nb_iot",      0.010,        (0.006, 0.016),              "probability", DERIVED,
        _OSLO, "loss of one message on NB-IoT in good coverage (level 0)"),
    _failure("message_loss_nb_iot_bad",  0.016,        (0.009, 0.07),               "probability", DERIVED,
        _OSLO, "loss of one message on NB-IoT in coverage levels 1 and 2"),
    _failure("message_loss_lte",         0.003,        (0.001, 0.02),               "probability", ESTIMATED,
        "below the NB-IoT figure", "loss of one message on LTE-M, Cat 1 bis, Cat 1 and Cat 4"),
    _failure("link_drop_factor",         1.0,          (0.3, 3.0),                  "factor",      ESTIMATED,
        _CELLSPEED, "multiplies the hazard of losing the session during a transfer"),
    _failure("session_loss_static",      0.05,         (0.02, 0.30),                "probability", ESTIMATED,
        "share of RRC re-starts", "share of radio re-starts that break the session of a module that stands still"),
    _failure("session_loss_mobile",      0.15,         (0.05, 0.30),                "probability", ESTIMATED,
        "share of RRC re-starts", "share of radio re-starts that break the session of a moving module"),
    _failure("server_error",             0.0005,       (0.0, 0.02),                 "probability", ESTIMATED,
        "no public census", "download request answered with an error although a slot was free"),
    _failure("checksum_error",           1e-4,         (1e-5, 1e-2),                "probability", ESTIMATED,
        "TCP/TLS transport", "package damaged on the way although the transfer finished"),
    _failure("image_mismatch",           0.001,        (0.0, 0.01),                 "probability", ESTIMATED,
        "truncated or wrong artefact", "package refused by hash or signature before it is flashed"),
    _failure("source_mismatch",          0.005,        (0.0, 0.05),                 "probability", ESTIMATED,
        "unknown base version", "delta package that does not fit although the reported version matches (per module, permanent)"),
    _failure("flash_error",              0.0003,       (3e-5, 3e-3),                "probability", ESTIMATED,
        "flash age", "write or erase error while flashing"),
    _failure("power_loss_mains_per_h",   2e-4,         (2e-5, 2e-3),                "1/h",         ESTIMATED,
        "power interruptions", "hazard of a power cut on mains supply"),
    _failure("power_loss_vehicle_per_h", 1e-3,         (1e-4, 1e-2),                "1/h",         ESTIMATED,
        "ignition, cranking", "hazard of a power cut on a vehicle supply"),
    _failure("power_loss_low_battery",   0.005,        (0.0005, 0.05),              "probability", ESTIMATED,
        "voltage sag under load", "extra chance of a brown-out while flashing when the battery holds less than 20 %"),
    _failure("brick_on_power_loss",      0.5,          (0.1, 0.9),                  "probability", ESTIMATED,
        "in-place update", "power cut while flashing an in-place partition that cannot resume ends in a brick"),
    _failure("boot_failure",             0.0015,       (0.0002, 1.0),               "probability", ESTIMATED,
        "healthy release", "new image does not boot and the module rolls back"),
    _failure("brick",                    1e-4,         (1e-5, 1e-3),                "probability", ESTIMATED,
        "A/B or resumable partition", "module never comes back from flashing although it has a fallback"),
    _failure("brick_in_place",           0.003,        (0.001, 0.01),               "probability", ESTIMATED,
        "no fallback image", "module never comes back from flashing an in-place partition"),
    _failure("no_reattach",              0.005,        (0.001, 0.03),               "probability", ESTIMATED,
        "SIM, APN, coverage", "module does not find the network after its reboot until its next check-in"),
    _failure("user_refusal",             0.02,         (0.0, 0.20),                 "probability", ESTIMATED,
        "use case", "an offer is refused by the user (confirm mode) or because the application is busy"),
    _failure("frailty_variance",         1.0,          (0.0, 4.0),                  "1",           ESTIMATED,
        "devices that fail 9 of 10 attempts exist",
        "variance of the gamma factor (mean 1) on a module's hazards: some modules fail again and again"),
    # --- physics: radio ---------------------------------------------------------------------------------------
    _physics("sinr_offset_db",           0.0,          (-6.0, 3.0),                 "dB",          DERIVED,
        "US static curve; Ireland driving is 6 dB lower",
        "shift of the SINR-over-RSRP curve; -6 for a loaded network or moving modules", minimum=-30.0, maximum=30.0),
    _physics("sinr_site_sd_db",          2.0,          (0.0, 6.0),                  "dB",          ESTIMATED,
        "within-location spread", "spread of the SINR between modules of equal RSRP"),
    _physics("rsrp_session_sd_db",       3.0,          (0.0, 6.0),                  "dB",          ESTIMATED,
        "5.1 dB at 1 Hz within a location", "spread of a module's RSRP from session to session"),
    _physics("rsrp_session_correlation", 0.8,          (0.0, 0.99),                 "1",           ESTIMATED,
        "AR(1) across sessions", "correlation of a module's RSRP between one session and the next", minimum=0.0, maximum=0.999),
    _physics("level_1_below_dbm",        -105.0,       (-120.0, -70.0),             "dBm",         DERIVED,
        "Oslo; operators differ by 30 dB", "RSRP below which coverage level 1 begins", minimum=-160.0, maximum=0.0),
    _physics("level_2_below_dbm",        -115.0,       (-130.0, -75.0),             "dBm",         DERIVED,
        "Oslo; operators differ by 40 dB", "RSRP below which coverage level 2 begins", minimum=-160.0, maximum=0.0),
    _physics("goodput_factor",           1.0,          (0.5, 1.25),                 "factor",      DERIVED,
        "model 19.4, laboratory 24-27 kbit/s", "multiplies the radio rate of every technology"),
    _physics("rtt_factor",               1.0,          (0.5, 10.0),                 "factor",      DOCUMENTED,
        "network configuration is a factor of 10", "multiplies round-trip and access times"),
    _physics("lte_share",                0.25,         (0.05, 0.6),                 "1",           ESTIMATED,
        "share of a 10 MHz carrier", "share of the carrier's resource blocks a Cat 1 or Cat 4 module gets", minimum=0.001, maximum=1.0),
    _physics("block_bytes",              1400.0,       (256.0, 65536.0),            "B",           DOCUMENTED,
        "TCP segment", "bytes acknowledged at once on the download", minimum=16.0),
    _physics("window_blocks",            32.0,         (1.0, 64.0),                 "1",           ESTIMATED,
        "1 = stop-and-wait (CoAP, AT range); 32 = TCP", "blocks in flight on the download", minimum=1.0),
    _physics("uart_bit_s",               0.0,          (0.0, 921600.0),             "bit/s",       DOCUMENTED,
        "host UART; 0 = none", "rate of a serial line the download must pass (80 % of it is payload)"),
    # --- physics: energy --------------------------------------------------------------------------------------
    _physics("supply_v",                 3.8,          (3.3, 4.3),                  "V",           DOCUMENTED,
        _BG96, "supply voltage of the module", minimum=0.1),
    _physics("current_factor",           1.0,          (0.5, 2.0),                  "factor",      ESTIMATED,
        "bracketed by datasheets", "multiplies the mean current while downloading"),
    _physics("session_energy_factor",    1.0,          (0.1, 1.5),                  "factor",      DERIVED,
        _OSLO, "multiplies the energy of one radio session (0.1 with release assistance)"),
    _physics("idle_ma",                  16.0,         (1.0, 25.0),                 "mA",          DOCUMENTED,
        _BG96, "current while awake and connected, no transfer"),
    _physics("edrx_ma",                  1.7,          (1.1, 2.3),                  "mA",          DOCUMENTED,
        _BG96, "current while awake with eDRX, no transfer (NB-IoT, cycle of 20 s)"),
    _physics("sleep_ua",                 10.0,         (1.0, 2300.0),               "uA",          DOCUMENTED,
        _BG96, "current asleep (PSM)"),
    _physics("install_j",                80.0,         (45.0, 200.0),               "J",           ESTIMATED,
        "2-6 min at 100-150 mA", "energy of one module self-update"),
    _physics("reboot_j",                 15.0,         (7.0, 30.0),                 "J",           ESTIMATED,
        "30-90 s at 60-100 mA", "energy of a reboot and attach"),
    _physics("gauge_sd_percent",         5.0,          (0.0, 10.0),                 "%",           ESTIMATED,
        "two published tables differ by 10 points", "error of the battery gauge, fixed per module"),
    _physics("gauge_resolution_percent", 0.1,          (0.0, 1.0),                  "%",           ESTIMATED,
        "telemetry carries whole per cents to hundredths", "smallest step of the battery gauge; readings are rounded to it (0: none)"),
    # --- physics: timing --------------------------------------------------------------------------------------
    _physics("install_median_s",         180.0,        (60.0, 600.0),               "s",           ESTIMATED,
        "2-6 min typical", "median module self-update"),
    _physics("install_sigma",            0.5,          (0.1, 1.0),                  "1",           ESTIMATED,
        "2-6 min typical", "log-spread of the self-update"),
    _physics("boot_s",                   5.0,          (4.0, 30.0),                 "s",           DOCUMENTED,
        _BG96, "power-on until the module answers"),
    _physics("mcu_flash_s_per_mb",       33.0,         (5.0, 200.0),                "s/MB",        DERIVED,
        "nRF NVMC: 131 ms per 4 KiB", "time an external MCU needs to write its image"),
    _physics("mcu_boot_s",               20.0,         (1.0, 60.0),                 "s",           DOCUMENTED,
        "MCUboot swap of a 2 MB image", "swap and boot of an external MCU"),
    _physics("mcu_read_s",               0.05,         (0.01, 1.0),                 "s",           ESTIMATED,
        "1 KiB over 115200 baud", "time the MCU needs to read 1 KiB from the module"),
    _physics("application_delay_s",      0.5,          (0.0, 10.0),                 "s",           ESTIMATED,
        "application task", "time the application takes to decide on a notice"),
    _physics("outage_median_s",          600.0,        (60.0, 7200.0),              "s",           ESTIMATED,
        "supply restored", "median time until power returns after a cut"),
    _physics("blind_scan",               0.05,         (0.0, 0.3),                  "probability", ESTIMATED,
        "BG96 search times", "NB-IoT module that has to scan all bands after a reboot", minimum=0.0, maximum=1.0),
)  # fmt: skip

# What devices do wrong, and how they come back.
_DEVICE_ROWS = (
    _failure("hang",              0.0,     (0.0, 0.3),             "probability", ESTIMATED,
        "30 % of the jobs of one AWS client (its issue 519)",
        "module hangs when it is to install, silent until its power is cycled; then the attempt has failed"),
    _failure("hang_median_s",     86400.0, (3600.0, 14 * 86400.0), "s",           ESTIMATED,
        "a watchdog, or somebody's visit", "median time until the power of a module that hangs is cycled"),
    _failure("early_success",     0.0,     (0.0, 1.0),             "probability", ESTIMATED,
        "hawkBit's issue 3185, rauc-hawkbit-updater's 161: success told before the restart",
        "module reports success before it has booted the new image: the cloud never hears that it did not boot"),
    _failure("other_version",     0.0,     (0.0, 0.01),            "probability", ESTIMATED,
        "an artefact built with another version in it",
        "the image installs and boots, but names another version than the plan's: the attempt has failed (per module, permanent)"),
    _failure("late_failure",      0.0,     (0.0, 0.02),            "probability", ESTIMATED,
        "leaks, watchdogs, rare paths of a release",
        "the new image fails hours after its success, and the module falls back or is lost"),
    _failure("late_failure_median_s", 43200.0, (600.0, 14 * 86400.0), "s",        ESTIMATED,
        "a leak that fills the memory in half a day", "median time from the success to such a failure (log-spread 1)"),
    _failure("late_brick",        0.0,     (0.0, 1.0),             "probability", ESTIMATED,
        "no fallback image left", "share of such failures after which the module never comes back; the others run the previous image again"),
    _failure("acknowledgement_lost", 0.0,  (0.0, 0.05),            "probability", ESTIMATED,
        "below the loss of messages", "a report reaches the cloud and its acknowledgement is lost: the module reports the same again"),
    _failure("duplicate_identity", 0.0,    (0.0, 0.01),            "probability", ESTIMATED,
        "cloned credentials (ESP RainMaker's issue 1)",
        "share of modules whose identity another device uses too: each cuts the other's session (clouds with sessions)"),
    _failure("duplicate_takeover_s", 30.0, (1.0, 3600.0),          "s",           ESTIMATED,
        "the other device reconnects at once", "mean time from the start of a session until the other device takes it over", minimum=0.1),
    _physics("acknowledgement_timeout_s", 20.0, (2.0, 120.0),      "s",           ESTIMATED,
        "20 s suits NB-IoT; 2 s is CoAP's default", "wait for an acknowledgement before a report is sent again"),
    _physics("nat_timeout_s",     0.0,     (0.0, 3600.0),          "s",           ESTIMATED,
        "carriers' NATs forget an idle connection in minutes (0: never)",
        "idle time after which messages to a module are lost until it speaks again; harmless with a shorter cloud.keepalive"),
    _physics("device_min_battery_percent", 0.0, (0.0, 80.0),       "%",           ESTIMATED,
        "firmware limits from 10 to 50 %", "least charge the device itself asks for, whatever the notice says", maximum=100.0),
    _physics("device_min_rsrp_dbm", -200.0, (-125.0, -90.0),       "dBm",         ESTIMATED,
        "firmware limits", "least signal the device itself asks for, whatever the notice says", minimum=-200.0, maximum=0.0),
    _physics("new_image_ma",      0.0,     (0.0, 20.0),            "mA",          ESTIMATED,
        "a release that keeps the modem or a sensor awake", "mean current the new image draws beyond the old one's, from its success on"),
    _physics("data_plan_bytes",   0.0,     (0.0, 1e8),             "B",           ESTIMATED,
        "IoT tariffs of 1 to 100 MB a month", "data left on the SIM at activation; a download that begins beyond it is refused (0: no limit)"),
    _physics("download_limit_s",  0.0,     (0.0, 3600.0),          "s",           DOCUMENTED,
        "60 s in TRMNL's firmware, 5 min on Particle's SARA-R510",
        "longest download the module allows itself; then it breaks it off (0: none)"),
    _physics("back_off_s",        1.0,     (0.0, 60.0),            "s",           DOCUMENTED,
        _NET_ERRORS, "wait before a lost connection is tried again, times the failures so far"),
    _physics("back_off_jitter_s", 2.0,     (0.0, 60.0),            "s",           DOCUMENTED,
        _NET_ERRORS, "width of the jitter on that wait, a quarter of it below; 0: modules of one outage come back in step"),
    _physics("long_back_off_s",   1800.0,  (60.0, 86400.0),        "s",           DOCUMENTED,
        _NET_ERRORS, "wait before a connection is tried again after more than six failures"),
)  # fmt: skip

# What modules of a cell share on the air; one value for the whole fleet.
_CELL_ROWS = (
    _cell("cell_airtime_limit",       0.9,   (0.5, 1.0),    "1",      ESTIMATED,
        "control channels and other traffic take the rest",
        "share of a cell's downlink that downloads may occupy; beyond it all of them slow down alike", minimum=0.01, maximum=1.0),
    _cell("lte_m_carrier_share",      0.07,  (0.03, 0.12),  "1",      ESTIMATED,
        "6 of 50 resource blocks, 60 % of the subframes at half duplex",
        "share of a 10 MHz carrier that one LTE-M download at its full radio rate occupies", minimum=0.001, maximum=1.0),
    _cell("rach_preambles",           54.0,  (10.0, 64.0),  "1",      DOCUMENTED,
        _TR37868, "preambles of an LTE cell for contention", minimum=1.0),
    _cell("rach_period_s",            0.005, (0.001, 0.02), "s",      DOCUMENTED,
        _TR37868, "time between two opportunities", minimum=0.001),
    _cell("rach_grants",              15.0,  (3.0, 30.0),   "1",      DOCUMENTED,
        _TR37868, "uplink grants per opportunity: 3 a subframe, 5 subframes", minimum=1.0),
    _cell("rach_max_transmissions",   10.0,  (3.0, 200.0),  "1",      DOCUMENTED,
        _TR37868, "preambles sent before a module gives up", minimum=1.0),
    _cell("rach_back_off_s",          0.02,  (0.0, 0.96),   "s",      DOCUMENTED,
        _TR37868, "longest back-off, drawn uniformly"),
    _cell("nprach_preambles",         48.0,  (12.0, 48.0),  "1",      ESTIMATED,
        _NPRACH, "subcarriers an NB-IoT carrier sets aside for access (12, 24, 36 or 48)", minimum=1.0),
    _cell("nprach_period_s",          0.08,  (0.04, 2.56),  "s",      ESTIMATED,
        _NPRACH, "time between two opportunities on NB-IoT", minimum=0.04),
    _cell("nprach_grants",            15.0,  (3.0, 48.0),   "1",      ESTIMATED,
        _NPRACH, "uplink grants per opportunity on NB-IoT", minimum=1.0),
    _cell("nprach_max_transmissions", 10.0,  (3.0, 200.0),  "1",      ESTIMATED,
        _NPRACH, "preambles sent on NB-IoT before a module gives up", minimum=1.0),
    _cell("nprach_back_off_s",        0.512, (0.0, 524.0),  "s",      ESTIMATED,
        _NPRACH, "longest back-off on NB-IoT, drawn uniformly"),
    _cell("nprach_time_factor",       10.0,  (3.0, 100.0),  "factor", ESTIMATED,
        "repetitions and NPDCCH periods", "how much longer each step of the access takes on NB-IoT than on LTE", minimum=1.0),
)  # fmt: skip

PARAMETERS: dict[str, Parameter] = {row.name: row for row in (*_ROWS, *_DEVICE_ROWS, *_CELL_ROWS)}
"""All parameters by name, in the order of the table."""
