"""Every status, event and callback of the facts, seen in whole lives of modules."""

from __future__ import annotations

import pytest

from sim import messages as msg
from sim.engines.recording.module_trace import lines
from sim.engines.run import save
from sim.errors import RecordsError
from sim.module import states
from sim.module.inputs import Effect, Input
from sim.module.machine import Module
from sim.module.profile import Profile
from sim.module.rows import ModuleRow
from tests.support import HARMLESS, run

TWO = """\
name: two
horizon: 4d
fleet:
  size: 60
  groups:
    - name: all
      share: 1.0
      technology: cat1bis
      power: mains
      components: {fw: "1.0.0", STM32: "1_0_0"}
      rsrp_dbm: -90
      free_space: 2 MB
      mcu_buffer: 64 KiB
      check_in: {always: {report_every: 3h}}
plan:
  name: p
  components:
    - {component: fw, type: firmware, package: full, target_version: "1.1.0", size: 1.2 MB}
    - {component: STM32, type: mcu, package: full, target_version: "2_0_0", size: 150 kB}
"""


@pytest.fixture(scope="module")
def rough(tmp_path_factory):
    """A run in which everything that can happen does."""
    outcome = run(
        "fleet.failures={server_error: 0.3, boot_failure: 0.3, user_refusal: 0.3, link_drop_factor: 50}",
        text=TWO, events=True,
    )  # fmt: skip
    return save(outcome, tmp_path_factory.mktemp("run") / "two")


def test_every_status_and_event_occurs(rough):
    """Statuses 1-12 as published and events 10700-10707."""
    events = rough.events[rough.events["source"] == "module"]
    assert set(events["status"]) >= {1, 2, 3, 4, 5, 6, 8, 9, 11, 12}
    assert set(events["code"]) >= set(range(10700, 10708))


def test_callback_strings(rough):
    """The strings of the contract and of the documents."""
    texts = set(rough.events["text"])
    assert '7,10700,"fw","","1.1.0",30,-113,1200000' in texts
    assert '7,10700,"STM32","","2_0_0",30,-113,150000' in texts
    assert '7,10703,"STM32","150000","0","65536"' in texts
    assert '7,10703,"STM32","150000","131072","18928"' in texts
    assert f'7,10701,"fw",1200000,"{"0" * 32}"' in texts and '7,10703,"fw","1200000","0","1200000"' in texts
    assert {"7,10702", "7,10704", "7,10705", "7,10706", "7,10707"} <= texts


@pytest.mark.parametrize(
    ("notice", "text"),
    [
        (("EC600N", "EC600NCNLCR03A01M16_BETA1220_QTH", "EC600NCNLCR03A02M16_BETA1220_2_QTH", 22536),
         '7,10700,"EC600N","EC600NCNLCR03A01M16_BETA1220_QTH","EC600NCNLCR03A02M16_BETA1220_2_QTH",30,-113,22536'),
        (("STM32", "", "2_0_0", 27954), '7,10700,"STM32","","2_0_0",30,-113,27954'),
    ],
)  # fmt: skip
def test_documented_examples(notice, text):
    """The examples of the QuecThing documents, character by character."""
    name, source, target, size = notice
    assert msg.notify_callback(msg.ComponentNotice(name, source, target, 30, -113, size)) == text
    sdk = msg.CallbackForm.SDK_2_9
    assert msg.downloaded_callback("STM32", msg.MCU, 27954, 0, 27954, sdk) == '7,10703,"STM32",27954,0,27954'


def test_upgrade_log_tells_the_story(rough):
    """The Developer Center's log lines of one module, in order of time."""
    listed = lines(rough, "m0000000")
    assert [line["time_s"] for line in listed] == sorted(line["time_s"] for line in listed)
    texts = [line["text"] for line in listed if line["source"] == "cloud"]
    assert texts.index("issuing plan") < texts.index("Issue the URL to upgrade")


def test_unknown_module_and_missing_events(rough, tmp_path):
    """Clear words instead of an empty page."""
    with pytest.raises(RecordsError, match="ids look like"):
        lines(rough, "nobody")
    with pytest.raises(RecordsError, match="--events"):
        lines(save(run(), tmp_path / "quiet"), "m0000000")


def test_components_are_upgraded_in_sequence(rough):
    """The MCU starts only after the module's firmware has been reported."""
    done = rough.modules[rough.modules["outcome"] == "succeeded"]
    assert len(done) > 5
    assert (done["components_done"] == 2).all()
    assert (done["bytes_useful"] == 1_350_000).all()


def test_slow_mcu_runs_into_its_timer():
    """An MCU that needs over a minute for a read fails with its own cause."""
    outcome = run(*HARMLESS, "fleet.physics.mcu_read_s=61", text=TWO)
    assert outcome.summary["causes"].get("mcu_timeout", 0) > 50


def test_illegal_input_is_refused_with_names():
    """The module says so and stays as it was; its table names state and input."""
    module = Module("m7", ModuleRow(), Profile(), {})
    assert module.receive(Input.DONE, 0.0) & Effect.REFUSED_INPUT
    assert module.state == 0
    assert states.TABLE.describe(0, Input.DONE) == "DONE in state 0 (NOPLAN)"
