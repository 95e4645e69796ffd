"""What a module does with each input: the one `receive` that every engine drives.

The caller delivers an input, performs the returned effects, then arms one timer at `deadline(m)` and delivers WAKE
when it is due. Nothing here reads a clock, opens a socket or owns randomness; power, radio and flashing are computed
by their own files and come back as inputs of the state machine in states.py.
"""

from __future__ import annotations

from sim.causes import Cause
from sim.draws import Purpose, uniform
from sim.messages import (
    DOWNLOAD_ERROR,
    DOWNLOAD_START,
    DOWNLOADED,
    DOWNLOADING,
    FIRMWARE,
    NO_PLAN,
    PLAN_RECEIVED,
    REFUSED,
    SUBMITTED,
    UPDATE_ERROR,
    UPDATE_FLAG,
    UPDATE_SUCCESS,
    UPDATING,
    unmet,
)
from sim.module import battery, check_in, flash, image, link_states, outage, radio, states
from sim.module.inputs import OTA_INPUT_COUNT, Effect, Input
from sim.module.link_states import LinkMove, LinkState
from sim.module.profile import Profile
from sim.module.rows import FAULT_FELL_BACK, FAULT_INSTALLATION, INF, NAN, CheckIn, ModuleRow, OutageKind, Power

FAILURES_BEFORE_LONG_BACK_OFF = 6
"""Failed connections with the short back-off (QuecThing, net errors)."""

EMPTY_PERCENT = 1e-6
"""A battery that holds no more than that is empty: what is computed for the moment it runs dry is not exactly 0."""

LINGER_S = 60.0
"""A module that is back in the middle of things, or still at work, looks again after so long whether to sleep."""

_BUSY = (SUBMITTED, DOWNLOAD_START, DOWNLOADING, DOWNLOADED, UPDATING)


def deadline(m: ModuleRow) -> float:
    """When the module wants WAKE next, or inf."""
    return min(m.link_at, m.ota_at, m.power_at, m.late_at)


def receive(m: ModuleRow, p: Profile, given: int, now: float) -> int:
    """Delivers one input at `now` (seconds) and returns the effects to perform, or-ed."""
    if given == Input.WAKE:
        given = _due(m)
        if given == Input.BROKEN:
            m.cause = Cause.DOWNLOAD_TOO_LONG
    if given < OTA_INPUT_COUNT:
        return _ota(m, p, given, now)
    if given == Input.DECIDE:
        return _decide(m, p, now)
    if given == Input.REVOKED:
        return _revoked(m, p, now)
    if given == Input.READ_PIECE:
        last = m.offset_bytes + m.piece_bytes >= m.package_bytes
        return _ota(m, p, Input.UPDATE if last else Input.NEXT_BLOCK, now)
    if given in (Input.BEGIN_FLASH, Input.FLASH_ENDED, Input.BATTERY_EMPTY, Input.POWER_BACK):
        return _power(m, p, given, now)
    if given == Input.FAIL_LATE:
        return _fail_late(m, p, now)
    return _link(m, p, given, now)


def _due(m: ModuleRow) -> int:
    """The input of the earliest timer, which is thereby spent; ties in the order power, OTA, link, late failure."""
    if m.late_at < min(m.power_at, m.ota_at, m.link_at):
        m.late_at = INF
        return Input.FAIL_LATE
    if m.power_at <= m.ota_at and m.power_at <= m.link_at:
        m.power_at = INF
        return Input.BATTERY_EMPTY
    if m.ota_at <= m.link_at:
        m.ota_at = INF
        return m.ota_then
    m.link_at = INF
    return m.link_then


def start(m: ModuleRow, p: Profile, now: float) -> bool:
    """Arms the first check-in of a module. True when it is awake at `now` already: in the middle of a session."""
    m.link_at = check_in.first_check_in_s(m, p, now)
    m.link_then = Input.CHECK_IN
    return m.link_at <= now


def start_online(m: ModuleRow, p: Profile, now: float) -> None:
    """A module that is awake at activation is connected already; one that always is reports at a phase of its own."""
    radio.begin_session(m, p)
    if m.outages and outage.is_out(m, p, now):
        m.cause = Cause.OUTAGE
        m.link_at, m.link_then = now, Input.CHECK_IN
        return
    if m.goodput_bit_s <= 0.0:
        m.cause = Cause.NO_SERVICE
        _offline(m, p, now)
        return
    link_states.enter(m, LinkMove.START_ONLINE)
    m.first_contact_s = m.idle_since_s = now
    m.link_at = now + m.phase * p.check_in_every_s if p.check_in == CheckIn.ALWAYS else m.session_end_s
    m.link_then = Input.SLEEP


# --- link ------------------------------------------------------------------------------------------------------


def _link(m: ModuleRow, p: Profile, given: int, now: float) -> int:
    if m.link == LinkState.DARK:
        return Effect.REFUSED_INPUT
    if given == Input.CHECK_IN:
        if p.check_in == CheckIn.DIURNAL and now >= m.session_end_s:
            return _parked(m, p, now)
        return _attach(m, p, now, False)
    if given == Input.ACCESSED:
        return _attach_in(m, now) if m.link == LinkState.ATTACHING else Effect.REFUSED_INPUT
    if given == Input.ATTACHED:
        link_states.enter(m, LinkMove.CONNECT)
        return Effect.CONNECT
    if given == Input.CONNECTED:
        return _connected(m, p, now)
    if given == Input.CONNECT_FAILED:
        if m.link == LinkState.ATTACHING:
            m.cause = Cause.CELL_CONGESTED
        return _reconnect_later(m, p, now)
    if given == Input.LINK_LOST:
        return _link_lost(m, p, now)
    return _sleep(m, p, now)


def _attach(m: ModuleRow, p: Profile, now: float, after_reboot: bool) -> int:
    """Opens a radio session; without service the module tries again at its next check-in, in an outage after its back-off."""
    if m.outages and outage.until_s(m, p, now, OutageKind.NETWORK) > now:
        return _wait_for_network(m, p, now)
    radio.begin_session(m, p)
    if m.goodput_bit_s <= 0.0:
        m.cause = Cause.NO_SERVICE
        return _offline(m, p, now)
    if p.power == Power.BATTERY:
        if after_reboot or m.link_failures:
            battery.spend(m, radio.session_j(m, p))  # the module's own habits do not ask for this session
        if battery.true_percent(m, p, now) <= 0.0:
            return _battery_empty(m, p, now)
    if not (after_reboot or m.link_failures or p.check_in == CheckIn.DIURNAL):
        m.session_end_s = INF  # known once it is connected
    link_states.enter(m, LinkMove.ATTACH)
    m.attach_s = radio.access_s(m, p, after_reboot)
    if p.random_access and m.cell >= 0:
        m.access_attempts = 0
        m.link_at = INF
        return Effect.ACCESS
    return _attach_in(m, now)


def _wait_for_network(m: ModuleRow, p: Profile, now: float) -> int:
    """Nothing to attach to: as after a lost connection; without power nothing happens before it is back."""
    m.cause = Cause.OUTAGE
    link_states.enter(m, LinkMove.LEAVE)
    power_s = outage.until_s(m, p, now, OutageKind.POWER)
    if power_s > now:
        m.link_failures = 0
        m.link_at, m.link_then = power_s, Input.CHECK_IN
        return 0
    _back_off(m, p, now)
    return 0


def _attach_in(m: ModuleRow, now: float) -> int:
    """The radio is the module's own from here: it is up after its time to attach."""
    m.link_at = now + m.attach_s
    m.link_then = Input.ATTACHED
    return 0


def _connected(m: ModuleRow, p: Profile, now: float) -> int:
    link_states.enter(m, LinkMove.CONNECTED)
    m.link_failures = 0
    m.idle_since_s = now
    if m.cause in (Cause.NO_SERVICE, Cause.CELL_CONGESTED, Cause.OUTAGE):
        m.cause = Cause.NONE
    if m.first_contact_s != m.first_contact_s:
        m.first_contact_s = now
    if m.session_end_s == INF and p.check_in != CheckIn.ALWAYS:
        m.session_end_s = now + p.awake_s
    m.link_then = Input.SLEEP
    m.link_at = _asleep_at_s(m, p, now)
    effects: int = Effect.HELLO
    if m.cached:
        m.published = m.cached
        m.cached = 0
        effects |= Effect.PUBLISH
    if m.status == PLAN_RECEIVED and m.decided:
        m.ota_at = now
        m.ota_then = Input.DECIDE
    return effects


def _asleep_at_s(m: ModuleRow, p: Profile, now: float) -> float:
    """When a module that has just connected looks whether its session is over.

    A vehicle stays to the end of its trip; parked, it keeps its supply until what it has to report is out.
    """
    if p.check_in == CheckIn.ALWAYS:
        return now + p.check_in_every_s
    if p.check_in == CheckIn.DIURNAL and m.cached == 0:
        return max(m.session_end_s, now)
    return max(m.session_end_s, now + min(p.awake_s, LINGER_S))


def _reconnect_later(m: ModuleRow, p: Profile, now: float) -> int:
    """The session is over, or was not had: another try follows."""
    link_states.enter(m, LinkMove.DROP)
    _back_off(m, p, now)
    return 0


def _back_off(m: ModuleRow, p: Profile, now: float) -> None:
    """Back-off of the SDK's net-error class."""
    m.link_failures += 1
    m.link_then = Input.CHECK_IN
    if m.link_failures > FAILURES_BEFORE_LONG_BACK_OFF:
        m.link_at = now + p.long_back_off_s
        return
    unit = uniform(p.key_0, p.key_1, m.identity, Purpose.BACK_OFF, m.sessions)
    jitter_s = p.back_off_jitter_s * (unit - 0.25)
    m.link_at = now + max(0.0, p.back_off_s * m.link_failures + jitter_s)


def _link_lost(m: ModuleRow, p: Profile, now: float) -> int:
    if m.link != LinkState.ONLINE:
        return Effect.REFUSED_INPUT
    _book_awake(m, p, now)
    _reconnect_later(m, p, now)
    if m.status in (DOWNLOAD_START, DOWNLOADING):
        return _ota(m, p, Input.BROKEN, now)
    return 0


def _sleep(m: ModuleRow, p: Profile, now: float) -> int:
    """The awake time is over: a module at work stays, a vehicle that is parked does not."""
    if p.check_in == CheckIn.ALWAYS:
        return _report_again(m, p, now)
    if p.check_in == CheckIn.DIURNAL and m.status != UPDATING:
        return _switched_off(m, p, now)
    if m.status in _BUSY and not (m.status == DOWNLOADED and m.hold):
        m.link_at = now + min(p.awake_s, LINGER_S)
        m.link_then = Input.SLEEP
        return 0
    _book_awake(m, p, now)
    return _offline(m, p, now) | Effect.DISCONNECT


def _report_again(m: ModuleRow, p: Profile, now: float) -> int:
    """A module that is always online reports its state anew from time to time."""
    m.link_at = now + check_in.next_poll_s(m, p)
    m.link_then = Input.SLEEP
    if m.status in (DOWNLOAD_START, DOWNLOADING):
        return 0  # the signal of a running transfer stays as it was priced
    if battery.true_percent(m, p, now) <= 0.0:
        return _battery_empty(m, p, now)
    radio.begin_session(m, p)
    m.goodput_bit_s = max(m.goodput_bit_s, 1.0)
    return Effect.HELLO


def _switched_off(m: ModuleRow, p: Profile, now: float) -> int:
    """Supply goes away in order, in the middle of a session."""
    stop = Effect.STOP_FETCH if m.status in (DOWNLOAD_START, DOWNLOADING) else 0
    _book_awake(m, p, now)
    return Effect.DISCONNECT | stop | _parked(m, p, now)


def _parked(m: ModuleRow, p: Profile, now: float) -> int:
    """Offline until the next trip: the module recovers then as after any loss of power, if it is not being updated."""
    _offline(m, p, now)
    if m.status == UPDATING:
        return 0
    m.download_errors = 0
    return _ota(m, p, Input.BOOT_OLD, now)


def _offline(m: ModuleRow, p: Profile, now: float) -> int:
    link_states.enter(m, LinkMove.LEAVE)
    m.link_failures = 0
    m.link_at = check_in.next_check_in_s(m, p, now)
    m.link_then = Input.CHECK_IN
    return 0


def _book_awake(m: ModuleRow, p: Profile, now: float) -> None:
    """Energy of having been awake, without a transfer, for longer than the module's own habits ask for."""
    if m.transfer_start_s == m.transfer_start_s:
        return
    if p.power == Power.BATTERY:
        battery.spend(m, battery.awake_w(p) * max(0.0, now - max(m.idle_since_s, m.session_end_s)))
    m.idle_since_s = now


# --- power -----------------------------------------------------------------------------------------------------


def _power(m: ModuleRow, p: Profile, given: int, now: float) -> int:
    if given == Input.BEGIN_FLASH:
        return _begin_flash(m, p, now)
    if given == Input.FLASH_ENDED:
        return _flash_ended(m, p, now)
    if given == Input.POWER_BACK:
        link_states.enter(m, LinkMove.POWER_BACK)
        effects = _ota(m, p, image.boot_input(m), now)
        return effects | _offline(m, p, now)
    return _battery_empty(m, p, now)


def _begin_flash(m: ModuleRow, p: Profile, now: float) -> int:
    """Five seconds after status 9 a module leaves the air and writes; an MCU is written while the module stays."""
    m.flashes += 1
    if m.kind == FIRMWARE and flash.hangs(m, p):
        return _hang(m, p, now)
    duration = flash.duration_s(m, p)
    m.flash_result = flash.result(m, p, now, duration)
    if m.flash_result != Cause.NONE and not m.reverting:
        m.image_faults |= FAULT_INSTALLATION
    if p.power == Power.BATTERY and m.flash_result != Cause.BATTERY_DEAD:
        battery.spend(m, p.install_j)
    if m.kind != FIRMWARE:
        m.ota_at, m.ota_then = image.mcu_end(m, now, duration)
        return 0
    if m.flash_result == Cause.BATTERY_DEAD:
        m.power_at = now + duration * battery.left_j(m, p, now) / p.install_j
        duration = INF
    elif p.partition == 0 and flash.power_fails(m, p, now, duration):
        duration += flash.outage_s(m, p) + 0.5 * duration
    effects: int = Effect.DISCONNECT if m.link == LinkState.ONLINE else 0
    if flash.tells_early(m, p):
        effects |= _ota(m, p, Input.UPDATED, now)
    _book_awake(m, p, now)
    link_states.enter(m, LinkMove.FLASH)
    m.link_at = now + duration
    m.link_then = Input.FLASH_ENDED
    return effects


def _hang(m: ModuleRow, p: Profile, now: float) -> int:
    """Nothing is written and nothing said until somebody, or a watchdog, cycles the power: then the old image boots."""
    m.flash_result = Cause.HUNG
    effects = Effect.DISCONNECT if m.link == LinkState.ONLINE else 0
    _book_awake(m, p, now)
    link_states.enter(m, LinkMove.FLASH)
    m.link_at = now + flash.hang_s(m, p)
    m.link_then = Input.FLASH_ENDED
    return effects


def _flash_ended(m: ModuleRow, p: Profile, now: float) -> int:
    if m.status != UPDATING:
        image.boot_after_report(m, p, now)
    if m.flash_result == Cause.BRICKED:
        return _go_dark(m, Cause.BRICKED, now)
    if p.power == Power.BATTERY:
        battery.spend(m, p.reboot_j)
    if m.flash_result == Cause.BOOT_FAILURE and not m.reverting:
        m.image_faults |= FAULT_FELL_BACK
    link_states.enter(m, LinkMove.RESTART)
    m.download_errors = 0
    given = Input.BOOT_TARGET if m.flash_result == Cause.NONE else Input.BOOT_OLD
    effects = _ota(m, p, given, now)
    unit = uniform(p.key_0, p.key_1, m.identity, Purpose.REATTACH, m.flashes)
    if unit < p.no_reattach and p.check_in != CheckIn.ALWAYS:
        return effects | _offline(m, p, now)
    return effects | _attach(m, p, now, True)


def _fail_late(m: ModuleRow, p: Profile, now: float) -> int:
    """The new image fails: the module runs the previous one again, or is lost. It waits for whatever is under way."""
    if m.status != NO_PLAN or m.link not in (LinkState.OFFLINE, LinkState.ONLINE):
        m.late_at = now + LINGER_S
        return 0
    online = m.link == LinkState.ONLINE
    effects: int = Effect.DISCONNECT if online else 0
    if online:
        _book_awake(m, p, now)
    drained = battery.true_percent(m, p, now) <= EMPTY_PERCENT
    m.at_target &= ~m.upgraded
    m.upgraded = 0
    image.leave_new(m, p, now)
    image.note_failed_attempt(m, Cause.BATTERY_DEAD if drained else Cause.LATE_FAILURE)
    if drained:
        return effects | _go_dark(m, Cause.BATTERY_DEAD, now)
    if flash.is_late_brick(m, p):
        return effects | _go_dark(m, Cause.BRICKED, now)
    m.cause = Cause.LATE_FAILURE
    m.image_faults |= FAULT_FELL_BACK
    if not online and p.check_in == CheckIn.DIURNAL:
        return 0
    return effects | _attach(m, p, now, True)


def _battery_empty(m: ModuleRow, p: Profile, now: float) -> int:
    stop = Effect.STOP_FETCH if m.status in (DOWNLOAD_START, DOWNLOADING) else 0
    gone = Effect.DISCONNECT if m.link == LinkState.ONLINE else 0
    _end_transfer(m, p, now)
    m.spent_cycle_j = p.capacity_j  # whatever is left cannot carry the module
    m.ota_at = INF
    back = battery.recharged_at_s(m, p, now)
    if back == INF:
        return _go_dark(m, Cause.BATTERY_DEAD, now) | stop | gone
    m.cause = Cause.BATTERY_DEAD
    link_states.enter(m, LinkMove.RUN_EMPTY)
    m.link_at = back
    m.link_then = Input.POWER_BACK
    return stop | gone


def _go_dark(m: ModuleRow, cause: int, now: float) -> int:
    if m.status in _BUSY:
        image.note_failed_attempt(m, cause)
    link_states.enter(m, LinkMove.DIE)
    m.cause = cause
    m.ended_s = now
    m.link_at = m.ota_at = m.power_at = m.late_at = INF
    return 0


# --- OTA -------------------------------------------------------------------------------------------------------


def _ota(m: ModuleRow, p: Profile, given: int, now: float) -> int:
    """Walks the table, then does what the new status asks for. Refused inputs change nothing."""
    if given == Input.BROKEN and m.download_errors >= states.TOLERATED_ERRORS:
        given = Input.TOO_MANY_ERRORS
    before = m.status
    after = states.next_status(before, given)
    if after < 0 or (given == Input.UPDATE and m.offset_bytes + m.piece_bytes < m.package_bytes):
        return Effect.REFUSED_INPUT  # a piece is no package
    if after == before and given in (Input.CONFIRM, Input.UPDATE):
        return 0  # allowed, and nothing to do
    m.status = after
    pending_s = m.ota_at if before == PLAN_RECEIVED and given == Input.NOTICE else INF
    m.ota_at = INF
    if after == NO_PLAN:
        return 0
    m.published = after
    m.event = states.EVENT[after]
    if p.components > 1 and given in (Input.CONFIRM, Input.REFUSE):
        m.event = UPDATE_FLAG
    effects = Effect.ENTERED | _publish(m, after) | _enter(m, p, after, given, now)
    if pending_s < INF:  # the same notice again does not make a user think anew
        m.ota_at = pending_s
    settled = states.next_status(after, Input.SETTLE)
    if settled >= 0:  # a moment, not a place
        m.status = settled
    return effects


def _publish(m: ModuleRow, status: int) -> int:
    """Every status is published as it is entered; offline only the latest is kept for the next connection."""
    if m.link == LinkState.ONLINE:
        m.cached = 0
        return Effect.PUBLISH
    m.cached = status
    return 0


def _enter(m: ModuleRow, p: Profile, status: int, given: int, now: float) -> int:
    """Timers, bookings and effects of a status just entered."""
    if status == PLAN_RECEIVED:
        m.offers += 1
        m.notified_s = now if m.notified_s != m.notified_s else m.notified_s
        _arm(m, now + p.application_delay_s + image.user_delay_s(m, p, now), Input.DECIDE)
    elif status == SUBMITTED:
        m.confirmed_s = now if m.confirmed_s != m.confirmed_s else m.confirmed_s
        m.piece_bytes = 0  # nothing asked for yet: a timeout now is the URL's
        _arm(m, now + states.URL_TIMEOUT_S, Input.TIMEOUT)
    elif status == REFUSED:
        return _refused(m, p, given, now)
    elif status == DOWNLOAD_START:
        return _start_download(m, p, given, now)
    elif status == DOWNLOADING:
        _begin_transfer(m, p, now)
    elif status == DOWNLOADED:
        _end_transfer(m, p, now)
        _piece_complete(m, p, now)
    elif status == DOWNLOAD_ERROR:
        return _download_error(m, p, given, now)
    elif status == UPDATING:
        _start_update(m, p, now)
    elif status == UPDATE_SUCCESS:
        image.install(m, p, given, now)
    elif status == UPDATE_ERROR:
        return _update_error(m, p, given, now)
    return 0


def _refused(m: ModuleRow, p: Profile, given: int, now: float) -> int:
    """The application refuses the offer, or gives up an upgrade it was asked to give up."""
    if given != Input.CANCEL:
        m.refusals += 1
        return 0
    _end_transfer(m, p, now)
    m.cause = Cause.CANCELED
    m.kept_bytes = 0.0
    return Effect.STOP_FETCH | Effect.ERASE


def _arm(m: ModuleRow, at: float, then: int) -> None:
    m.ota_at = at
    m.ota_then = then


def _decide(m: ModuleRow, p: Profile, now: float) -> int:
    """The application compares the notice's limits with what it has; a decision waits until it can be sent."""
    if m.status != PLAN_RECEIVED:
        return Effect.REFUSED_INPUT
    m.decided = 1
    if m.link != LinkState.ONLINE:
        return 0
    m.decided = 0
    least_percent, least_dbm, needed_bytes = p.device_min_battery_percent, p.device_min_rsrp_dbm, 0
    if p.device_checks:
        least_percent, least_dbm = max(m.min_battery_percent, least_percent), max(m.min_rsrp_dbm, least_dbm)
        needed_bytes = m.needed_bytes
    reason: int = Cause.NONE
    if p.device_checks or least_percent > 0.0 or least_dbm > -200.0:
        gauge_percent = battery.gauge_percent(m, p, now)
        reason = unmet(gauge_percent, m.rsrp_dbm, m.free_bytes, least_percent, least_dbm, needed_bytes)
    if reason == Cause.NONE and uniform(p.key_0, p.key_1, m.identity, Purpose.USER_REFUSAL, m.offers) < p.user_refusal:
        reason = Cause.USER_REFUSED
    if reason != Cause.NONE:
        m.cause = reason  # the three limits and their causes share their numbers
        return _ota(m, p, Input.REFUSE, now)
    return _ota(m, p, Input.CONFIRM, now)


def _start_download(m: ModuleRow, p: Profile, given: int, now: float) -> int:
    if given == Input.URL:
        m.offset_bytes = 0
        m.cause = Cause.NONE
    else:  # the MCU asks for its next piece
        m.offset_bytes += m.piece_bytes
    m.transfers += 1
    if m.download_started_s != m.download_started_s:
        m.download_started_s = now
    room = m.free_bytes
    if m.kind != FIRMWARE and p.mcu_buffer_bytes > 0:
        room = min(room, p.mcu_buffer_bytes)
    if (m.kind == FIRMWARE and room < m.package_bytes) or room <= 0:
        _arm(m, now, Input.NO_ROOM)
        return 0
    m.piece_bytes = min(m.package_bytes - m.offset_bytes, room)
    _arm(m, now + states.HEADER_TIMEOUT_S, Input.TIMEOUT)
    return Effect.FETCH


def _begin_transfer(m: ModuleRow, p: Profile, now: float) -> None:
    _book_awake(m, p, now)
    m.transfer_start_s = now
    m.power_at = now + battery.empty_after_s(m, p, now, radio.download_w(m, p))
    if p.download_limit_s > 0.0:
        _arm(m, now + p.download_limit_s, Input.BROKEN)


def _end_transfer(m: ModuleRow, p: Profile, now: float) -> None:
    """Books the energy of the transfer, beyond what the module would have used awake in its ordinary session."""
    m.power_at = INF
    if m.transfer_start_s != m.transfer_start_s:
        return
    if p.power == Power.BATTERY:
        awake_anyway_s = max(0.0, min(now, m.session_end_s) - m.transfer_start_s)
        used = radio.download_w(m, p) * (now - m.transfer_start_s)
        battery.spend(m, max(0.0, used - battery.awake_w(p) * awake_anyway_s))
    m.transfer_start_s = NAN
    m.idle_since_s = now


def _piece_complete(m: ModuleRow, p: Profile, now: float) -> None:
    m.download_errors = 0
    m.kept_bytes = 0.0
    last = m.offset_bytes + m.piece_bytes >= m.package_bytes
    if last and m.downloaded_s != m.downloaded_s:
        m.downloaded_s = now
    if last and m.hold:
        return  # told to install later
    if m.kind == FIRMWARE:
        _arm(m, now, Input.UPDATE)
        return
    if p.mcu_read_s > states.MCU_READ_TIMEOUT_S:  # every read of the MCU restarts the SDK's timer
        _arm(m, now + states.MCU_READ_TIMEOUT_S, Input.TIMEOUT)
        return
    reading_s = p.mcu_read_s * m.piece_bytes / 1024.0
    _arm(m, now + reading_s, Input.READ_PIECE)


def _download_error(m: ModuleRow, p: Profile, given: int, now: float) -> int:
    """Reports 6 and erases, unless the profile can resume: then the cloud's next URL goes on where this stopped."""
    _end_transfer(m, p, now)
    if given == Input.TIMEOUT:
        m.cause = Cause.SERVER_BUSY
    if given != Input.BOOT_OLD:
        m.download_errors += 1
        m.total_errors += 1
    image.note_failed_attempt(m, m.cause)
    return Effect.ERASE | Effect.STOP_FETCH


def _start_update(m: ModuleRow, p: Profile, now: float) -> None:
    if m.updating_s != m.updating_s:
        m.updating_s = now
    fault = flash.image_fault(m, p)
    if fault != Cause.NONE:
        m.cause = fault
        m.flashes += 1
        m.image_faults |= FAULT_INSTALLATION
        _arm(m, now + states.FLASH_DELAY_S, Input.UPDATE_FAILED)
        return
    _arm(m, now + states.FLASH_DELAY_S, Input.BEGIN_FLASH)


def _revoked(m: ModuleRow, p: Profile, now: float) -> int:
    """Boots back into the image it still has (Mender's roll-back after a refused report)."""
    if m.link != LinkState.ONLINE or m.status != NO_PLAN or m.at_target & m.upgraded == 0:
        return Effect.REFUSED_INPUT
    m.at_target &= ~m.upgraded
    image.return_to_old(m, p, now)
    _book_awake(m, p, now)
    return Effect.DISCONNECT | _attach(m, p, now, True)


def _update_error(m: ModuleRow, p: Profile, given: int, now: float) -> int:
    _end_transfer(m, p, now)
    if given == Input.TIMEOUT:
        m.cause = Cause.MCU_TIMEOUT if m.piece_bytes else Cause.URL_TIMEOUT
    elif given == Input.NO_ROOM:
        m.cause = Cause.NO_SPACE
    elif given in (Input.UPDATE_FAILED, Input.BOOT_OLD) and m.flash_result != Cause.NONE:
        m.cause = m.flash_result
    m.flash_result = Cause.NONE
    m.download_errors = 0
    image.note_failed_attempt(m, m.cause)
    return Effect.STOP_FETCH
