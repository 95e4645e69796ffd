"""What a module does with each input: the one `receive` that every engine drives.

The caller delivers an input, performs the returned effects, then arms one timer at `deadline(m)` and delivers WAKE
when it is due. Nothing here reads a clock, opens a socket or owns randomness; power, radio and flashing are computed
by their own files and come back as inputs of the state machine in states.py.
"""

from __future__ import annotations

from sim import causes
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
from sim.module import battery, bookings, check_in, flash, image, inputs, link_states, outage, radio, rows, states
from sim.module.inputs import OTA_INPUT_COUNT
from sim.module.profile import Profile
from sim.module.rows import FAULT_FELL_BACK, FAULT_INSTALLATION, INF, ModuleRow, OutageKind
from sim.named_enum import numbers

Input = numbers(inputs.Input)
Effect = numbers(inputs.Effect)
LinkState = numbers(link_states.LinkState)
LinkMove = numbers(link_states.LinkMove)
Cause = numbers(causes.Cause)
CheckIn = numbers(rows.CheckIn)
Power = numbers(rows.Power)

FAILURES_BEFORE_LONG_BACK_OFF = 6
"""Failed connections with the short back-off (QuecThing, net errors)."""

EMPTY_PERCENT = 1e-6
"""A battery that holds no more than that is empty: what is computed for the moment it runs dry is not exactly 0."""

_BUSY = (SUBMITTED, DOWNLOAD_START, DOWNLOADING, DOWNLOADED, UPDATING)


def deadline(row: ModuleRow) -> float:
    """When the module wants WAKE next, or inf."""
    return min(row.link_at, row.ota_at, row.power_at, row.late_at)


def receive(row: ModuleRow, profile: Profile, input_: int, now: float) -> int:
    """Delivers one input at `now` (seconds) and returns the effects to perform, or-ed."""
    if input_ == Input.WAKE:
        input_ = _due(row)
        if input_ == Input.BROKEN:
            row.cause = Cause.DOWNLOAD_TOO_LONG
    if input_ < OTA_INPUT_COUNT:
        return _ota(row, profile, input_, now)
    if input_ <= Input.ACCESSED:
        return _link(row, profile, input_, now)
    if input_ <= Input.POWER_BACK:
        return _power(row, profile, input_, now)
    if input_ == Input.DECIDE:
        return _decide(row, profile, now)
    if input_ == Input.READ_PIECE:
        last = row.offset_bytes + row.piece_bytes >= row.package_bytes
        return _ota(row, profile, Input.UPDATE if last else Input.NEXT_BLOCK, now)
    if input_ == Input.REVOKED:
        return _revoked(row, profile, now)
    return _fail_late(row, profile, now)


def _due(row: ModuleRow) -> int:
    """The input of the earliest timer, which is thereby spent; ties in the order power, OTA, link, late failure."""
    if row.late_at < min(row.power_at, row.ota_at, row.link_at):
        row.late_at = INF
        return Input.FAIL_LATE
    if row.power_at <= row.ota_at and row.power_at <= row.link_at:
        row.power_at = INF
        return Input.BATTERY_EMPTY
    if row.ota_at <= row.link_at:
        row.ota_at = INF
        return row.ota_then
    row.link_at = INF
    return row.link_then


def start(row: ModuleRow, profile: Profile, now: float) -> bool:
    """Arms the first check-in of a module. True when it is awake at `now` already: in the middle of a session."""
    row.link_at = check_in.first_check_in_s(row, profile, now)
    row.link_then = Input.CHECK_IN
    if row.leaves_s <= row.link_at:  # gone before anybody sees it
        _leave_fleet(row, profile, row.leaves_s)
        return False
    return row.link_at <= now


def start_online(row: ModuleRow, profile: Profile, now: float) -> None:
    """A module that is awake at activation is connected already; one that always is reports at a phase of its own."""
    radio.begin_session(row, profile)
    if row.outages and outage.is_out(row, profile, now):
        row.cause = Cause.OUTAGE
        row.link_at, row.link_then = now, Input.CHECK_IN
        return
    if row.goodput_bit_s <= 0.0:
        row.cause = Cause.NO_SERVICE
        _offline(row, profile, now)
        return
    link_states.enter(row, LinkMove.START_ONLINE)
    row.first_contact_s = row.idle_since_s = now
    row.link_at = (
        now + row.phase * profile.check_in_every_s if profile.check_in == CheckIn.ALWAYS else row.session_end_s
    )
    row.link_then = Input.SLEEP


# --- link ------------------------------------------------------------------------------------------------------


def _link(row: ModuleRow, profile: Profile, input_: int, now: float) -> int:
    if row.link == LinkState.DARK:
        return Effect.REFUSED_INPUT
    if input_ == Input.CHECK_IN:
        if profile.check_in == CheckIn.DIURNAL and now >= row.session_end_s:
            return _parked(row, profile, now)
        return _attach(row, profile, now, False)
    if input_ == Input.ACCESSED:
        return _attach_in(row, now) if row.link == LinkState.ATTACHING else Effect.REFUSED_INPUT
    if input_ == Input.ATTACHED:
        link_states.enter(row, LinkMove.CONNECT)
        return Effect.CONNECT
    if input_ == Input.CONNECTED:
        return _connected(row, profile, now)
    if input_ == Input.CONNECT_FAILED:
        if row.link == LinkState.ATTACHING:
            row.cause = Cause.CELL_CONGESTED
        return _reconnect_later(row, profile, now)
    if input_ == Input.LINK_LOST:
        return _link_lost(row, profile, now)
    return _sleep(row, profile, now)


def _attach(row: ModuleRow, profile: Profile, now: float, after_reboot: bool) -> int:
    """Opens a radio session; without service the module tries again at its next check-in, in an outage after its back-off."""
    if row.outages and outage.until_s(row, profile, now, OutageKind.NETWORK) > now:
        return _wait_for_network(row, profile, now)
    radio.begin_session(row, profile)
    if row.goodput_bit_s <= 0.0:
        row.cause = Cause.NO_SERVICE
        return _offline(row, profile, now)
    if profile.power == Power.BATTERY:
        if after_reboot or row.link_failures:
            battery.spend(row, radio.session_j(row, profile))  # the module's own habits do not ask for this session
        if battery.true_percent(row, profile, now) <= 0.0:
            return _battery_empty(row, profile, now)
    if not (after_reboot or row.link_failures or profile.check_in == CheckIn.DIURNAL):
        row.session_end_s = INF  # known once it is connected
    link_states.enter(row, LinkMove.ATTACH)
    row.attach_s = radio.access_s(row, profile, after_reboot)
    if profile.random_access and row.cell >= 0:
        row.access_attempts = 0
        row.link_at = INF
        return Effect.ACCESS
    return _attach_in(row, now)


def _wait_for_network(row: ModuleRow, profile: Profile, now: float) -> int:
    """Nothing to attach to: as after a lost connection; without power nothing happens before it is back."""
    row.cause = Cause.OUTAGE
    link_states.enter(row, LinkMove.LEAVE)
    power_s = outage.until_s(row, profile, now, OutageKind.POWER)
    if power_s > now:
        row.link_failures = 0
        row.link_at, row.link_then = power_s, Input.CHECK_IN
        return 0
    _back_off(row, profile, now)
    return 0


def _attach_in(row: ModuleRow, now: float) -> int:
    """The radio is the module's own from here: it is up after its time to attach."""
    row.link_at = now + row.attach_s
    row.link_then = Input.ATTACHED
    return 0


def _connected(row: ModuleRow, profile: Profile, now: float) -> int:
    link_states.enter(row, LinkMove.CONNECTED)
    row.link_failures = 0
    row.idle_since_s = now
    if row.cause in (Cause.NO_SERVICE, Cause.CELL_CONGESTED, Cause.OUTAGE):
        row.cause = row.fault if row.fault != Cause.NONE else row.refused_for
    if row.first_contact_s != row.first_contact_s:
        row.first_contact_s = now
    if row.session_end_s == INF and profile.check_in != CheckIn.ALWAYS:
        row.session_end_s = now + profile.awake_s
    row.link_then = Input.SLEEP
    row.link_at = check_in.asleep_at_s(row, profile, now)
    effects: int = Effect.HELLO
    if row.cached:
        row.published = row.cached
        row.cached = 0
        effects |= Effect.PUBLISH
    if row.status == PLAN_RECEIVED and row.decided:
        row.ota_at = now
        row.ota_then = Input.DECIDE
    return effects


def _reconnect_later(row: ModuleRow, profile: Profile, now: float) -> int:
    """The session is over, or was not had: another try follows."""
    link_states.enter(row, LinkMove.DROP)
    _back_off(row, profile, now)
    return 0


def _back_off(row: ModuleRow, profile: Profile, now: float) -> None:
    """Back-off of the SDK's net-error class."""
    row.link_failures += 1
    row.link_then = Input.CHECK_IN
    if row.link_failures > FAILURES_BEFORE_LONG_BACK_OFF:
        row.link_at = now + profile.long_back_off_s
        return
    unit = uniform(profile.key_0, profile.key_1, row.identity, Purpose.BACK_OFF, row.sessions)
    jitter_s = profile.back_off_jitter_s * (unit - 0.25)
    row.link_at = now + max(0.0, profile.back_off_s * row.link_failures + jitter_s)


def _link_lost(row: ModuleRow, profile: Profile, now: float) -> int:
    if row.link != LinkState.ONLINE:
        return Effect.REFUSED_INPUT
    bookings.book_awake(row, profile, now)
    _reconnect_later(row, profile, now)
    if row.status in (DOWNLOAD_START, DOWNLOADING):
        return _ota(row, profile, Input.BROKEN, now)
    return 0


def _sleep(row: ModuleRow, profile: Profile, now: float) -> int:
    """The awake time is over: a module at work stays, a vehicle that is parked does not."""
    if profile.check_in == CheckIn.ALWAYS:
        return _report_again(row, profile, now)
    if profile.check_in == CheckIn.DIURNAL and row.status != UPDATING:
        return _switched_off(row, profile, now)
    if row.status in _BUSY and not (row.status == DOWNLOADED and row.hold):
        row.link_at = now + min(profile.awake_s, check_in.LINGER_S)
        row.link_then = Input.SLEEP
        return 0
    bookings.book_awake(row, profile, now)
    return _offline(row, profile, now) | Effect.DISCONNECT


def _report_again(row: ModuleRow, profile: Profile, now: float) -> int:
    """A module that is always online reports its state anew from time to time."""
    row.link_at = now + check_in.next_poll_s(row, profile)
    row.link_then = Input.SLEEP
    if row.status in (DOWNLOAD_START, DOWNLOADING):
        return 0  # the signal of a running transfer stays as it was priced
    if battery.true_percent(row, profile, now) <= 0.0:
        return _battery_empty(row, profile, now)
    radio.begin_session(row, profile)
    row.goodput_bit_s = max(row.goodput_bit_s, 1.0)
    return Effect.HELLO


def _switched_off(row: ModuleRow, profile: Profile, now: float) -> int:
    """Supply goes away in order, in the middle of a session."""
    stop = Effect.STOP_FETCH if row.status in (DOWNLOAD_START, DOWNLOADING) else 0
    bookings.book_awake(row, profile, now)
    return Effect.DISCONNECT | stop | _parked(row, profile, now)


def _parked(row: ModuleRow, profile: Profile, now: float) -> int:
    """Offline until the next trip: the module recovers then as after any loss of power, if it is not being updated."""
    _offline(row, profile, now)
    if row.status == UPDATING:
        return 0
    row.download_errors = 0
    return _ota(row, profile, Input.BOOT_OLD, now)


def _offline(row: ModuleRow, profile: Profile, now: float) -> int:
    link_states.enter(row, LinkMove.LEAVE)
    row.link_failures = 0
    row.link_at = check_in.next_check_in_s(row, profile, now)
    row.link_then = Input.CHECK_IN
    return 0


# --- power -----------------------------------------------------------------------------------------------------


def _power(row: ModuleRow, profile: Profile, input_: int, now: float) -> int:
    if input_ == Input.BEGIN_FLASH:
        return _begin_flash(row, profile, now)
    if input_ == Input.FLASH_ENDED:
        return _flash_ended(row, profile, now)
    if input_ == Input.POWER_BACK:
        link_states.enter(row, LinkMove.POWER_BACK)
        effects = _ota(row, profile, image.boot_input(row), now)
        return effects | _offline(row, profile, now)
    return _battery_empty(row, profile, now)


def _begin_flash(row: ModuleRow, profile: Profile, now: float) -> int:
    """Five seconds after status 9 a module leaves the air and writes; an MCU is written while the module stays."""
    row.flashes += 1
    if row.kind == FIRMWARE and flash.hangs(row, profile):
        return _hang(row, profile, now)
    duration = flash.duration_s(row, profile)
    row.expected_bricks += flash.brick_chance(row, profile, now, duration)
    row.flash_result = flash.result(row, profile, now, duration)
    if row.flash_result != Cause.NONE and not row.reverting:
        row.image_faults |= FAULT_INSTALLATION
    if profile.power == Power.BATTERY and row.flash_result != Cause.BATTERY_DEAD:
        battery.spend(row, profile.install_j)
    if row.kind != FIRMWARE:
        row.ota_at, row.ota_then = image.mcu_end(row, now, duration)
        return 0
    if row.flash_result == Cause.BATTERY_DEAD:
        row.power_at = now + duration * battery.left_j(row, profile, now) / profile.install_j
        duration = INF
    elif profile.partition == 0 and flash.power_fails(row, profile, now, duration):
        duration += flash.outage_s(row, profile) + 0.5 * duration
    effects: int = Effect.DISCONNECT if row.link == LinkState.ONLINE else 0
    if flash.tells_early(row, profile):
        effects |= _ota(row, profile, Input.UPDATED, now)
    bookings.book_awake(row, profile, now)
    link_states.enter(row, LinkMove.FLASH)
    row.link_at = now + duration
    row.link_then = Input.FLASH_ENDED
    return effects


def _hang(row: ModuleRow, profile: Profile, now: float) -> int:
    """Nothing is written and nothing said until somebody, or a watchdog, cycles the power: then the old image boots."""
    row.flash_result = Cause.HUNG
    effects = Effect.DISCONNECT if row.link == LinkState.ONLINE else 0
    bookings.book_awake(row, profile, now)
    link_states.enter(row, LinkMove.FLASH)
    row.link_at = now + flash.hang_s(row, profile)
    row.link_then = Input.FLASH_ENDED
    return effects


def _flash_ended(row: ModuleRow, profile: Profile, now: float) -> int:
    if row.status != UPDATING:
        image.boot_after_report(row, profile, now)
    if row.flash_result == Cause.BRICKED:
        return _go_dark(row, Cause.BRICKED, now)
    if profile.power == Power.BATTERY:
        battery.spend(row, profile.reboot_j)
    if row.flash_result == Cause.BOOT_FAILURE and not row.reverting:
        row.image_faults |= FAULT_FELL_BACK
    link_states.enter(row, LinkMove.RESTART)
    row.download_errors = 0
    effects = _ota(row, profile, Input.BOOT_TARGET if row.flash_result == Cause.NONE else Input.BOOT_OLD, now)
    unit = uniform(profile.key_0, profile.key_1, row.identity, Purpose.REATTACH, row.flashes)
    if unit < profile.no_reattach and profile.check_in != CheckIn.ALWAYS:
        return effects | _offline(row, profile, now)
    return effects | _attach(row, profile, now, True)


def _fail_late(row: ModuleRow, profile: Profile, now: float) -> int:
    """The new image fails: the module runs the previous one again, or is lost. It waits for whatever is under way."""
    leaves = now >= row.leaves_s
    if row.link == LinkState.DARK:
        return Effect.REFUSED_INPUT
    if row.link not in (LinkState.OFFLINE, LinkState.ONLINE) or (row.status != NO_PLAN and not leaves):
        row.late_at = now + check_in.LINGER_S
        return 0
    online = row.link == LinkState.ONLINE
    effects: int = Effect.DISCONNECT if online else 0
    if online:
        bookings.book_awake(row, profile, now)
    if leaves:
        return effects | _leave_fleet(row, profile, now)
    drained = battery.true_percent(row, profile, now) <= EMPTY_PERCENT
    row.at_target &= ~row.upgraded
    row.upgraded = 0
    image.leave_new(row, profile, now)
    image.note_failed_attempt(row, Cause.BATTERY_DEAD if drained else Cause.LATE_FAILURE)
    if drained:
        return effects | _go_dark(row, Cause.BATTERY_DEAD, now)
    row.expected_bricks += profile.late_brick
    if flash.is_late_brick(row, profile):
        return effects | _go_dark(row, Cause.BRICKED, now)
    row.cause = Cause.LATE_FAILURE
    row.image_faults |= FAULT_FELL_BACK
    if not online and profile.check_in == CheckIn.DIURNAL:
        return 0
    return effects | _attach(row, profile, now, True)


def _leave_fleet(row: ModuleRow, profile: Profile, now: float) -> int:
    """Taken out of service: what the release did to it until then stays true."""
    bookings.end_transfer(row, profile, now)
    link_states.enter(row, LinkMove.DIE)
    row.link_at = row.ota_at = row.power_at = row.late_at = INF
    if row.upgraded_s != row.upgraded_s:
        row.cause = Cause.LEFT_FLEET
        row.ended_s = now
    return Effect.STOP_FETCH


def _battery_empty(row: ModuleRow, profile: Profile, now: float) -> int:
    stop = Effect.STOP_FETCH if row.status in (DOWNLOAD_START, DOWNLOADING) else 0
    gone = Effect.DISCONNECT if row.link == LinkState.ONLINE else 0
    bookings.end_transfer(row, profile, now)
    row.spent_cycle_j = profile.capacity_j  # whatever is left cannot carry the module
    row.ota_at = INF
    back = battery.recharged_at_s(row, profile, now)
    if back == INF:
        return _go_dark(row, Cause.BATTERY_DEAD, now) | stop | gone
    row.cause = Cause.BATTERY_DEAD
    link_states.enter(row, LinkMove.RUN_EMPTY)
    row.link_at = back
    row.link_then = Input.POWER_BACK
    return stop | gone


def _go_dark(row: ModuleRow, cause: int, now: float) -> int:
    if row.status in _BUSY:
        image.note_failed_attempt(row, cause)
    link_states.enter(row, LinkMove.DIE)
    row.cause = cause
    row.ended_s = now
    row.link_at = row.ota_at = row.power_at = row.late_at = INF
    return 0


# --- OTA -------------------------------------------------------------------------------------------------------


def _ota(row: ModuleRow, profile: Profile, input_: int, now: float) -> int:
    """Walks the table, then does what the new status asks for. Refused inputs change nothing."""
    if input_ == Input.BROKEN and row.download_errors >= states.TOLERATED_ERRORS:
        input_ = Input.TOO_MANY_ERRORS
    before = row.status
    after = states.next_status(before, input_)
    if after < 0 or (input_ == Input.UPDATE and row.offset_bytes + row.piece_bytes < row.package_bytes):
        return Effect.REFUSED_INPUT  # a piece is no package
    if after == before and input_ in (Input.CONFIRM, Input.UPDATE):
        return 0  # allowed, and nothing to do
    row.status = after
    pending_s = row.ota_at if before == PLAN_RECEIVED and input_ == Input.NOTICE else INF
    row.ota_at = INF
    if after == NO_PLAN:
        return 0
    row.published = after
    row.event = states.EVENT[after]
    if profile.components > 1 and input_ in (Input.CONFIRM, Input.REFUSE):
        row.event = UPDATE_FLAG
    effects = Effect.ENTERED | _publish(row, after) | _enter(row, profile, after, input_, now)
    if pending_s < INF:  # the same notice again does not make a user think anew
        row.ota_at = pending_s
    settled = states.next_status(after, Input.SETTLE)
    if settled >= 0:  # a moment, not a place
        row.status = settled
    return effects


def _publish(row: ModuleRow, status: int) -> int:
    """Every status is published as it is entered; offline only the latest is kept for the next connection."""
    if row.link == LinkState.ONLINE:
        row.cached = 0
        return Effect.PUBLISH
    row.cached = status
    return 0


def _enter(row: ModuleRow, profile: Profile, status: int, input_: int, now: float) -> int:
    """Timers, bookings and effects of a status just entered."""
    if status == PLAN_RECEIVED:
        row.offers += 1
        row.notified_s = now if row.notified_s != row.notified_s else row.notified_s
        _arm(row, now + profile.application_delay_s + image.user_delay_s(row, profile, now), Input.DECIDE)
    elif status == SUBMITTED:
        row.confirmed_s = now if row.confirmed_s != row.confirmed_s else row.confirmed_s
        row.piece_bytes = 0  # nothing asked for yet: a timeout now is the URL's
        row.refused_for = Cause.NONE
        _arm(row, now + states.URL_TIMEOUT_S, Input.TIMEOUT)
    elif status == REFUSED:
        return _refused(row, profile, input_, now)
    elif status == DOWNLOAD_START:
        return _start_download(row, profile, input_, now)
    elif status == DOWNLOADING:
        bookings.begin_transfer(row, profile, now)
        if profile.download_limit_s > 0.0:
            _arm(row, now + profile.download_limit_s, Input.BROKEN)
    elif status == DOWNLOADED:
        bookings.end_transfer(row, profile, now)
        _piece_complete(row, profile, now)
    elif status == DOWNLOAD_ERROR:
        return _download_error(row, profile, input_, now)
    elif status == UPDATING:
        _start_update(row, profile, now)
    elif status == UPDATE_SUCCESS:
        image.install(row, profile, input_, now)
    elif status == UPDATE_ERROR:
        return _update_error(row, profile, input_, now)
    return 0


def _refused(row: ModuleRow, profile: Profile, input_: int, now: float) -> int:
    """The application refuses the offer, or gives up an upgrade it was asked to give up."""
    if input_ != Input.CANCEL:
        row.refusals += 1
        return 0
    bookings.end_transfer(row, profile, now)
    row.cause = Cause.CANCELED
    row.kept_bytes = 0.0
    return Effect.STOP_FETCH | Effect.ERASE


def _arm(row: ModuleRow, at: float, then: int) -> None:
    row.ota_at = at
    row.ota_then = then


def _decide(row: ModuleRow, profile: Profile, now: float) -> int:
    """The application compares the notice's limits with what it has; a decision waits until it can be sent."""
    if row.status != PLAN_RECEIVED:
        return Effect.REFUSED_INPUT
    row.decided = 1
    if row.link != LinkState.ONLINE:
        return 0
    row.decided = 0
    least_percent, least_dbm, needed_bytes = profile.device_min_battery_percent, profile.device_min_rsrp_dbm, 0
    if profile.device_checks:
        least_percent, least_dbm = max(row.min_battery_percent, least_percent), max(row.min_rsrp_dbm, least_dbm)
        needed_bytes = row.needed_bytes
    reason: int = Cause.NONE
    if profile.device_checks or least_percent > 0.0 or least_dbm > -200.0:
        gauge_percent = battery.gauge_percent(row, profile, now)
        reason = unmet(gauge_percent, row.rsrp_dbm, row.free_bytes, least_percent, least_dbm, needed_bytes)
    if (
        reason == Cause.NONE
        and uniform(profile.key_0, profile.key_1, row.identity, Purpose.USER_REFUSAL, row.offers) < profile.user_refusal
    ):
        reason = Cause.USER_REFUSED
    if reason != Cause.NONE:
        row.cause = row.refused_for = reason  # the three limits and their causes share their numbers
        return _ota(row, profile, Input.REFUSE, now)
    return _ota(row, profile, Input.CONFIRM, now)


def _start_download(row: ModuleRow, profile: Profile, input_: int, now: float) -> int:
    if input_ == Input.URL:
        row.offset_bytes = 0
        row.cause = row.fault = Cause.NONE
    else:  # the MCU asks for its next piece
        row.offset_bytes += row.piece_bytes
    row.transfers += 1
    if row.download_started_s != row.download_started_s:
        row.download_started_s = now
    room = row.free_bytes
    if row.kind != FIRMWARE and profile.mcu_buffer_bytes > 0:
        room = min(room, profile.mcu_buffer_bytes)
    if (row.kind == FIRMWARE and room < row.package_bytes) or room <= 0:
        _arm(row, now, Input.NO_ROOM)
        return 0
    row.piece_bytes = min(row.package_bytes - row.offset_bytes, room)
    _arm(row, now + states.HEADER_TIMEOUT_S, Input.TIMEOUT)
    return Effect.FETCH


def _piece_complete(row: ModuleRow, profile: Profile, now: float) -> None:
    row.download_errors = 0
    row.kept_bytes = 0.0
    last = row.offset_bytes + row.piece_bytes >= row.package_bytes
    if last and row.downloaded_s != row.downloaded_s:
        row.downloaded_s = now
    if last and row.hold:
        return  # told to install later
    if row.kind == FIRMWARE:
        _arm(row, now, Input.UPDATE)
        return
    if profile.mcu_read_s > states.MCU_READ_TIMEOUT_S:  # every read of the MCU restarts the SDK's timer
        _arm(row, now + states.MCU_READ_TIMEOUT_S, Input.TIMEOUT)
        return
    reading_s = profile.mcu_read_s * row.piece_bytes / 1024.0
    _arm(row, now + reading_s, Input.READ_PIECE)


def _download_error(row: ModuleRow, profile: Profile, input_: int, now: float) -> int:
    """Reports 6 and erases, unless the profile can resume: then the cloud's next URL goes on where this stopped."""
    bookings.end_transfer(row, profile, now)
    if input_ == Input.TIMEOUT:
        row.cause = Cause.SERVER_BUSY
    if input_ != Input.BOOT_OLD:
        row.download_errors += 1
        row.total_errors += 1
    image.note_failed_attempt(row, row.cause)
    return Effect.ERASE | Effect.STOP_FETCH


def _start_update(row: ModuleRow, profile: Profile, now: float) -> None:
    if row.updating_s != row.updating_s:
        row.updating_s = now
    fault = flash.image_fault(row, profile)
    if fault != Cause.NONE:
        row.cause = fault
        row.flashes += 1
        row.image_faults |= FAULT_INSTALLATION
        _arm(row, now + states.FLASH_DELAY_S, Input.UPDATE_FAILED)
        return
    _arm(row, now + states.FLASH_DELAY_S, Input.BEGIN_FLASH)


def _revoked(row: ModuleRow, profile: Profile, now: float) -> int:
    """Boots back into the image it still has (Mender's roll-back after a refused report)."""
    if row.link != LinkState.ONLINE or row.status != NO_PLAN or row.at_target & row.upgraded == 0:
        return Effect.REFUSED_INPUT
    row.at_target &= ~row.upgraded
    image.return_to_old(row, profile, now)
    bookings.book_awake(row, profile, now)
    return Effect.DISCONNECT | _attach(row, profile, now, True)


def _update_error(row: ModuleRow, profile: Profile, input_: int, now: float) -> int:
    bookings.end_transfer(row, profile, now)
    if input_ == Input.TIMEOUT:
        row.cause = Cause.MCU_TIMEOUT if row.piece_bytes else Cause.URL_TIMEOUT
    elif input_ == Input.NO_ROOM:
        row.cause = Cause.NO_SPACE
    elif input_ in (Input.UPDATE_FAILED, Input.BOOT_OLD) and row.flash_result != Cause.NONE:
        row.cause = row.flash_result
    row.flash_result = Cause.NONE
    row.download_errors = 0
    image.note_failed_attempt(row, row.cause)
    return Effect.STOP_FETCH
