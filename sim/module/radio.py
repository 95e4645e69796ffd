"""The radio of a module: RSRP to SINR to goodput and round trip, per technology and coverage level; losses and drops.

The curves are medians of public measurements: SINR over RSRP from iCellSpeed (LTE) and NB-IoT field logs, NB-IoT
goodput over SINR from the LENA-NB look-up with one HARQ process, LTE spectral efficiency from iCellSpeed. See
docs/model.md for sources and for the check against the published table.
"""

from __future__ import annotations

import math

from sim import draws
from sim.curves import interpolate
from sim.draws import lognormal, normal, pair, uniform
from sim.module.profile import Profile
from sim.module.rows import ModuleRow
from sim.named_enum import numbers

Purpose = numbers(draws.Purpose)

NB_IOT, LTE_M, CAT_1_BIS, CAT_1, CAT_4 = range(5)
LEVELS = 3

_RSRP_NB = (
    -140.0,
    -135.0,
    -130.0,
    -125.0,
    -120.0,
    -115.0,
    -110.0,
    -105.0,
    -100.0,
    -95.0,
    -90.0,
    -85.0,
    -80.0,
    -75.0,
    -65.0,
)
_SINR_NB = (-16.0, -11.5, -6.5, -2.0, 2.0, 4.0, 4.5, 5.0, 6.0, 8.0, 9.0, 10.5, 13.0, 16.0, 20.0)
_RSRP_LTE = (
    -135.0,
    -130.0,
    -125.0,
    -120.0,
    -115.0,
    -110.0,
    -105.0,
    -100.0,
    -95.0,
    -90.0,
    -85.0,
    -80.0,
    -75.0,
    -65.0,
)
_SINR_LTE = (-15.0, -10.0, -6.0, -2.0, 3.0, 4.6, 5.3, 6.5, 9.0, 11.7, 14.4, 17.0, 19.3, 21.0)
_SINR_GRID = (-14.0, -12.0, -10.0, -8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 18.0)
_NB_KBIT_S = (0.057, 0.15, 0.32, 0.59, 1.15, 1.63, 2.92, 4.16, 5.73, 8.28, 11.5, 13.5, 16.3, 17.6, 18.5, 19.4)
_EFFICIENCY_SINR = (-9.0, -4.5, -1.5, 1.5, 4.5, 7.5, 10.5, 13.5, 17.5, 24.0)
_EFFICIENCY = (0.50, 0.95, 1.30, 1.58, 1.84, 2.14, 2.43, 2.77, 3.38, 3.84)
_ANTENNA = (1.0, 1.0, 0.62, 0.8, 1.0)
"""Receive-antenna factor on LTE efficiency [estimated]."""
_CAP_KBIT_S = (19.4, 300.0, 10300.0, 10300.0, 150000.0)
_PEAK_KBIT_S = (25.2, 300.0, 10300.0, 10300.0, 150000.0)
"""What no module of the category passes, whatever the network: NB-IoT as on a BC95-G, beyond the curve's best."""
_MIN_SINR = (-15.6, -8.0, -10.0, -10.0, -10.0)
"""Below this SINR there is no service: on NB-IoT at 164 dB of coupling loss, on LTE-M (CE mode A) 8 dB before. The
look-up for NB-IoT ends at -14 dB; from there on its last rate holds [estimated]."""
_RTT_S = (
    0.20, 0.40, 0.80,
    0.12, 0.18, 0.40,
    0.075, 0.09, 0.15,
    0.075, 0.09, 0.15,
    0.06, 0.075, 0.12,
)  # fmt: skip
"""Connected-mode round trip, [LEVELS * technology + coverage level] like the tables below."""
_ACCESS_S = (2.35, 3.4, 6.6, 1.0, 1.5, 3.0, 0.5, 0.6, 1.0, 0.5, 0.6, 1.0, 0.4, 0.5, 0.8)
"""Median time from idle to connected; NB-IoT measured (Oslo), the others estimated."""
_ATTACH_MEDIAN_S = (45.0, 35.0, 20.0, 20.0, 20.0)
_ATTACH_SIGMA = (1.0, 0.7, 0.5, 0.5, 0.5)
"""Median and log-spread of the return after a reboot, by technology."""
_CURRENT_MA = (
    60.0, 75.0, 110.0, 110.0, 150.0, 190.0, 180.0, 280.0, 420.0, 220.0, 330.0, 500.0, 350.0, 500.0, 700.0,
)  # fmt: skip
"""Mean current while downloading, by technology and coverage level [estimated, bracketed by datasheets]."""
_SESSION_J = (2.7, 3.9, 5.4, 1.0, 1.5, 3.0, 1.0, 1.5, 3.0, 1.0, 1.5, 3.0, 1.0, 1.5, 3.0)
"""Energy of one radio session with the default inactivity timer; NB-IoT measured (Telenor)."""
SCAN_LEAST_S, SCAN_SPREAD_S = 120.0, 480.0
"""Search over all bands of an NB-IoT module: uniform from the first to the sum [estimated]."""
HEADER_BYTES = 60
"""IP, TCP and HTTP overhead per block."""
REPEAT_S = 2.0
"""A message that is not acknowledged is sent again after this time, three sends in all."""


def sinr_db(technology: int, rsrp_dbm: float) -> float:
    """Median SINR for an RSRP."""
    if technology in (NB_IOT, LTE_M):
        return interpolate(_RSRP_NB, _SINR_NB, rsrp_dbm)
    return interpolate(_RSRP_LTE, _SINR_LTE, rsrp_dbm)


def radio_bit_s(technology: int, sinr: float, lte_share: float) -> float:
    """Rate of the radio alone, bit/s; 0 where there is no service."""
    if sinr < _MIN_SINR[technology]:
        return 0.0
    if technology == NB_IOT:
        return 1000.0 * interpolate(_SINR_GRID, _NB_KBIT_S, sinr)
    if technology == LTE_M:
        return 1000.0 * min(_CAP_KBIT_S[LTE_M], _CAP_KBIT_S[LTE_M] * math.pow(10.0, 0.108 * (sinr - 3.0)))
    efficiency = interpolate(_EFFICIENCY_SINR, _EFFICIENCY, sinr)
    return 1000.0 * min(_CAP_KBIT_S[technology], lte_share * 50 * 180 * efficiency * _ANTENNA[technology])


def goodput_bit_s(radio: float, rtt_s: float, block_bytes: float, window_blocks: float, uart_bit_s: float) -> float:
    """Rate of the payload: the window of blocks in flight, or the serial line, may be slower than the radio."""
    if radio <= 0.0:
        return 0.0
    block_s = (block_bytes + HEADER_BYTES) * 8.0 / radio
    rate = block_bytes * 8.0 / max(block_s, (rtt_s + block_s) / window_blocks)
    return min(rate, 0.8 * uart_bit_s) if uart_bit_s > 0.0 else rate


def air_use(goodput: float, radio: float, block_bytes: float) -> float:
    """Share (0-1) of the radio's rate that a download with this goodput uses, overhead included."""
    return goodput * (block_bytes + HEADER_BYTES) / block_bytes / radio if radio > 0.0 else 0.0


def coverage_level(rsrp_dbm: float, level_1_below_dbm: float, level_2_below_dbm: float) -> int:
    """0, 1 or 2, as the network's thresholds say."""
    if rsrp_dbm > level_1_below_dbm:
        return 0
    return 1 if rsrp_dbm > level_2_below_dbm else 2


def begin_session(row: ModuleRow, profile: Profile) -> None:
    """Draws the signal of a new session (AR(1) around the site's mean) and what follows from it."""
    unit = uniform(profile.key_0, profile.key_1, row.identity, Purpose.RSRP_SESSION, row.sessions)
    rho = profile.rsrp_session_correlation if row.sessions > 0 else 0.0
    fresh = math.sqrt(1.0 - rho * rho) * profile.rsrp_session_sd_db * normal(unit)
    row.rsrp_offset_db = rho * row.rsrp_offset_db + fresh
    row.sessions += 1
    row.rsrp_dbm = row.rsrp_site_dbm + row.rsrp_offset_db
    row.level = coverage_level(row.rsrp_dbm, profile.level_1_below_dbm, profile.level_2_below_dbm)
    row.sinr_db = sinr_db(profile.technology, row.rsrp_dbm) + row.sinr_site_db + profile.sinr_offset_db
    row.rtt_s = _RTT_S[LEVELS * profile.technology + row.level] * profile.rtt_factor
    radio = radio_bit_s(profile.technology, row.sinr_db, profile.lte_share) * profile.goodput_factor
    radio = min(radio, 1000.0 * _PEAK_KBIT_S[profile.technology])
    row.goodput_bit_s = goodput_bit_s(radio, row.rtt_s, profile.block_bytes, profile.window_blocks, profile.uart_bit_s)
    row.air_use = air_use(row.goodput_bit_s, radio, profile.block_bytes)


def access_s(row: ModuleRow, profile: Profile, after_reboot: bool) -> float:
    """Time until the module is connected at radio level: from idle, or attaching after a reboot."""
    first, second = pair(profile.key_0, profile.key_1, row.identity, Purpose.ACCESS, row.sessions)
    if not after_reboot:
        return lognormal(first, _ACCESS_S[LEVELS * profile.technology + row.level] * profile.rtt_factor, 0.5)
    delay = lognormal(first, _ATTACH_MEDIAN_S[profile.technology], _ATTACH_SIGMA[profile.technology]) + profile.boot_s
    if profile.technology == NB_IOT and second < profile.blind_scan:
        delay += SCAN_LEAST_S + SCAN_SPREAD_S * (second / profile.blind_scan)
    return delay


def message_loss(row: ModuleRow, profile: Profile) -> float:
    """Chance that one message is lost in the present session."""
    if profile.technology != NB_IOT:
        return profile.message_loss_lte
    return profile.message_loss_nb_iot if row.level <= 0 else profile.message_loss_nb_iot_bad


def uplink_s(row: ModuleRow, profile: Profile) -> float:
    """Delay of a module's next message, or -1 when it is lost after three sends."""
    row.messages += 1
    first, second = pair(profile.key_0, profile.key_1, row.identity, Purpose.UPLINK, row.messages)
    loss = message_loss(row, profile)
    if first < loss * loss * loss:
        return -1.0
    repeats = 2.0 if first < loss * loss else 1.0 if first < loss else 0.0
    return repeats * REPEAT_S + row.rtt_s * (0.25 + 0.5 * second)


def downlink_s(row: ModuleRow, profile: Profile) -> float:
    """Delay of the next message to a module, or -1 when it is lost; eDRX adds its paging wait."""
    row.notices += 1
    first, second = pair(profile.key_0, profile.key_1, row.identity, Purpose.DOWNLINK, row.notices)
    if first < message_loss(row, profile):
        return -1.0
    return row.rtt_s * (0.25 + 0.5 * second) + profile.edrx_s * second


def drop_per_s(row: ModuleRow, profile: Profile) -> float:
    """Hazard of losing the session while transferring, per second.

    Radio re-starts per hour (iCellSpeed: 12 / 25 / 60 / 90 by RSRP) times the share that breaks the session.
    """
    r = row.rsrp_dbm
    restarts_per_h = 12.0 if r > -105.0 else 25.0 if r > -110.0 else 60.0 if r > -115.0 else 90.0
    share = profile.session_loss_mobile if profile.mobile else profile.session_loss_static
    return restarts_per_h * share * profile.link_drop_factor * row.frailty / 3600.0


def drop_after_s(row: ModuleRow, profile: Profile) -> float:
    """Time until the present transfer's session breaks: exponential with the hazard of `drop_per_s`."""
    hazard = drop_per_s(row, profile)
    if hazard <= 0.0:
        return math.inf
    return -math.log(uniform(profile.key_0, profile.key_1, row.identity, Purpose.LINK_DROP, row.transfers)) / hazard


def download_w(row: ModuleRow, profile: Profile) -> float:
    """Mean power while downloading, watt."""
    return _CURRENT_MA[LEVELS * profile.technology + row.level] * profile.current_factor * profile.supply_v / 1000.0


def session_j(row: ModuleRow, profile: Profile) -> float:
    """Energy of opening and closing one radio session, joule."""
    return session_energy_j(profile.technology, row.level, profile.session_energy_factor)


def session_energy_j(technology: int, level: int, factor: float) -> float:
    """The same for a technology and a coverage level."""
    return _SESSION_J[LEVELS * technology + level] * factor
