"""The OTA state machine against the facts' tables, pair by pair."""

from dataclasses import replace

import pytest

from sim import messages as msg
from sim.module import states as st
from sim.module.inputs import Input

STATUSES = (0, 1, 2, 3, 4, 5, 6, 8, 9, 11, 12)


@pytest.mark.parametrize(
    ("status", "given", "after"),
    [
        (0, Input.NOTICE, 1), (1, Input.NOTICE, 1), (1, Input.CONFIRM, 2), (1, Input.REFUSE, 3), (2, Input.CONFIRM, 2),
        (2, Input.URL, 4), (0, Input.URL, 4), (2, Input.TIMEOUT, 12), (4, Input.HEADER, 5), (4, Input.TIMEOUT, 6), (4, Input.BROKEN, 6),
        (4, Input.NO_ROOM, 12), (5, Input.DONE, 8), (5, Input.BROKEN, 6), (5, Input.TOO_MANY_ERRORS, 12), (8, Input.NEXT_BLOCK, 4),
        (8, Input.UPDATE, 9), (8, Input.TIMEOUT, 12), (9, Input.UPDATE, 9), (9, Input.UPDATED, 11), (9, Input.UPDATE_FAILED, 12),
        (9, Input.TIMEOUT, 12), (2, Input.BOOT_TARGET, 11), (4, Input.BOOT_TARGET, 11), (5, Input.BOOT_TARGET, 11),
        (8, Input.BOOT_TARGET, 11), (2, Input.BOOT_OLD, 6), (4, Input.BOOT_OLD, 6), (5, Input.BOOT_OLD, 6), (8, Input.BOOT_OLD, 6),
        (6, Input.BOOT_OLD, 6), (9, Input.BOOT_TARGET, 11), (9, Input.BOOT_OLD, 12), (9, Input.BOOT_MCU, 9), (1, Input.BOOT_OLD, 0),
        (0, Input.BOOT_OLD, 0), (3, Input.SETTLE, 0), (6, Input.SETTLE, 0), (11, Input.SETTLE, 0), (12, Input.SETTLE, 0),
    ],
)  # fmt: skip
def test_documented_transition(status, given, after):
    """Each documented pair leads where the SDK goes."""
    assert st.next_status(status, given) == after


@pytest.mark.parametrize("status", [s for s in STATUSES if s not in (0, 1)])
def test_a_notice_is_ignored_unless_idle_or_just_received(status):
    """A plan notice is accepted in NOPLAN and REVICEPLAN only."""
    assert st.next_status(status, Input.NOTICE) == -1


@pytest.mark.parametrize("status", [s for s in STATUSES if s not in (0, 2)])
def test_a_url_is_accepted_in_noplan_and_submitted_only(status):
    """Command 0x0113 elsewhere is ignored."""
    assert st.next_status(status, Input.URL) == -1


def test_every_status_is_reachable_and_unused_numbers_are_not():
    """7 and 10 do not exist in the SDK; all others can be entered."""
    assert set(st.TABLE.transitions().values()) == set(STATUSES)


def test_every_event_of_the_callback_belongs_to_one_status():
    """10700-10706 are raised by entering a status, each by exactly one."""
    assert sorted(st.EVENT_OF.values()) == list(range(10700, 10707))


def test_timers_are_the_sdks():
    """30 s to the URL, 5 s to the header, 5 s between reports, 60 s to read, 5 s to flash, 20 min for the MCU."""
    assert (st.URL_TIMEOUT_S, st.HEADER_TIMEOUT_S, st.PROGRESS_INTERVAL_S) == (30.0, 5.0, 5.0)
    assert (st.MCU_READ_TIMEOUT_S, st.FLASH_DELAY_S, st.MCU_UPDATE_TIMEOUT_S) == (60.0, 5.0, 1200.0)
    assert st.TOLERATED_ERRORS == 5


def test_callback_strings_are_the_transcripts():
    """The three transcripts of Quectel's documentation, reproduced."""
    notice = msg.ComponentNotice(
        "EC600N", "EC600NCNLCR03A01M16_BETA1220_QTH", "EC600NCNLCR03A02M16_BETA1220_2_QTH", 30, -113, 22536
    )
    assert msg.notify_callback(notice) == (
        '7,10700,"EC600N","EC600NCNLCR03A01M16_BETA1220_QTH","EC600NCNLCR03A02M16_BETA1220_2_QTH",30,-113,22536'
    )
    mcu = msg.ComponentNotice("STM32", "", "2_0_0", 30, -113, 27954)
    assert msg.notify_callback(mcu) == '7,10700,"STM32","","2_0_0",30,-113,27954'
    sdk, url = msg.CallbackForm.SDK_2_9, msg.FirmwareUrl(0, 27954, msg.MCU, "u", "95" * 16, 4022793929, "2b" * 32)
    assert msg.downloaded_callback("STM32", msg.MCU, 27954, 0, 27954, sdk) == '7,10703,"STM32",27954,0,27954'
    assert msg.downloaded_callback("fw", msg.FIRMWARE, 27954, 0, 27954, sdk) == "7,10703"
    assert msg.start_callback("STM32", url, sdk) == f'7,10701,"STM32",27954,"{"95" * 16}",4022793929,"{"2b" * 32}"'
    assert msg.start_callback("fw", replace(url, kind=msg.FIRMWARE), sdk) == "7,10701"


def test_callback_strings_are_those_of_the_upgrade_example():
    """By default: component, length and MD5 as 10701 starts, four texts as 10703 ends, whatever kind the component is."""
    for kind in (msg.FIRMWARE, msg.MCU):
        url = msg.FirmwareUrl(0, 27954, kind, "u", "95" * 16, 4022793929, "2b" * 32)
        assert msg.start_callback("fw", url) == f'7,10701,"fw",27954,"{"95" * 16}"'
        assert msg.downloaded_callback("fw", kind, 27954, 65536, 1024) == '7,10703,"fw","27954","65536","1024"'
