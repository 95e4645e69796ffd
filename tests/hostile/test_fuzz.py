"""Generated input for what judges and reads: the table of reports over whole plans, JSON at the door, topics, client ids."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from sim import messages as msg
from sim.cloud.acceptance import STATUSES
from sim.cloud.center import Plan, PlannedComponent
from sim.cloud.execution import STATE_NAMES, Execution, is_terminal
from sim.service.activated_plan import LiveCenter
from sim.service.gateway import uplink_kind
from sim.service.web.guard import json_fault
from sim.strategy.settings import Settings
from sim.wire.quecthing import login

RULES = {
    "min_battery_percent": 30.0, "min_rsrp_dbm": -113.0, "push_interval_s": 600.0, "retries": 2, "max_in_progress": 2,
    "waiting_become_failed": 1,
}  # fmt: skip
MODULES = 3
modules = st.integers(0, MODULES - 1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("status"), modules, st.sampled_from(STATUSES), st.sampled_from(["", "1.0", "1.1"])),
        st.tuples(st.just("hello"), modules, st.sampled_from([5.0, 80.0]), st.sampled_from(["", "1.0", "1.1"])),
        st.tuples(st.sampled_from(["offline", "cancel"]), modules),
        st.tuples(st.sampled_from(["suspend", "resume", "terminate", "retry_failed", "wake"])),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_no_order_of_reports_breaks_a_plan(taken):
    """Whatever devices say and operators do: nothing raises, everyone is in one state, ends stay, no URL without an offer."""
    parts = (PlannedComponent("fw", msg.FIRMWARE, "", "1.1", 1000),)
    lines = []
    made = LiveCenter(
        Plan("p", parts, Settings(**RULES)), [Execution(i) for i in range(MODULES)],
        log=lambda index, _now, text: lines.append((index, text)),
    )  # fmt: skip
    made.activate(0.0)
    offered, over, now = set(), {}, 0.0
    for what, *given_ in taken:
        now += 61.0
        if what == "status":
            commands = made.report(given_[0], msg.StatusReport(given_[1], 0, given_[2]), now)
        elif what == "hello":
            hello = msg.Hello(given_[1], -90.0, 5_000_000, {"fw": given_[2]}, asks=True)
            commands = made.hello(given_[0], hello, now)
        elif what == "offline":
            commands = made.offline(given_[0]) or []
        elif what == "cancel":
            commands = made.cancel(given_[0], now) or []
        else:
            commands = getattr(made, what)(now)
        for index, message in commands:
            if isinstance(message, msg.Notice):
                offered.add(index)
            assert not isinstance(message, msg.FirmwareUrl) or index in offered
        states, devices, _ = made.monitoring()
        assert sum(devices.values()) == MODULES and states
        progress = made.rollout.progress
        assert 0 <= progress.succeeded + progress.failed <= MODULES
        for execution in made.executions:
            if execution.index in over and what != "retry_failed":
                assert is_terminal(execution.state), (STATE_NAMES[over[execution.index]], STATE_NAMES[execution.state])
            if is_terminal(execution.state):
                over[execution.index] = execution.state
            else:
                over.pop(execution.index, None)
            assert execution.attempts <= 3 * (1 + sum(1 for step in taken if step[0] == "retry_failed"))
    restored = LiveCenter(made.plan, made.executions)
    restored.restore(made.progress(), made.timers)


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes_are_json_or_told(body):
    fault = json_fault(body)
    assert isinstance(fault, str) and len(fault) < 300
    if not fault and body:
        json.dumps(json.loads(body), allow_nan=False).encode()


json_values = st.recursive(
    st.none() | st.floats() | st.text(st.characters(codec=None)) | st.integers(), st.lists, max_leaves=20
)


@settings(max_examples=200)
@given(json_values)
def test_json_passes_only_when_it_can_be_stored(value):
    """What passes can be written again: finite numbers, whole characters."""
    body = json.dumps(value).encode()
    if json_fault(body) == "":
        json.dumps(json.loads(body), allow_nan=False, ensure_ascii=False).encode()


@settings(max_examples=300)
@given(st.text(max_size=40), st.text(max_size=60))
def test_no_topic_passes_but_ones_own(client_id, topic):
    kind = uplink_kind(client_id, topic)
    assert kind is None or topic.startswith(f"q/2/d/{client_id}/{kind}")


@settings(max_examples=300)
@given(st.binary(max_size=600))
def test_any_password_is_a_login_or_refused(password):
    named = login.named_product(password)
    assert named is None or isinstance(named, str)
    try:
        opened = login.open_password(password, "p1", "s" * 16)
    except login.Refused as error:
        assert 10400 < error.code < 10500
    else:
        assert isinstance(opened, login.Login)
