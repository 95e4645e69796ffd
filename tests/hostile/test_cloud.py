"""What a cloud can do to the modules of a live run: nothing but be no use to them. The run goes on and says so."""

from __future__ import annotations

from sim.wire.quecthing import commands, login, ttlv
from tests.engines.test_live import HARMLESS, SOON, run_live
from tests.support import scenario

NOTICE = [(4, "fw"), (6, "9.9.9"), (7, 0), (8, 30), (10, -113), (9, 1000)]
URL = [(4, "fw"), (6, "9.9.9"), (7, 0), (1, "http://127.0.0.1:1/x"), (2, 10), (3, "0" * 32), (15, "0")]


def hostile_downlinks():
    """Command and payload of what no module should take."""
    for id_, values in {
        9: (2**63, 2**64 - 1, -1, b"x"), 8: (101, 2**40, -1), 10: (2**31, -(2**63), 3.5), 4: ("", "x" * 60_000, "a\0", "a:b"),
        6: ("y" * 65, "\0"), 7: (2, 2**33, True),
    }.items():  # fmt: skip
        for value in values:
            yield commands.OTA_NOTICE, ttlv.encode([(i, value if i == id_ else v) for i, v in NOTICE])
    for id_, values in {
        2: (0, -5, 2**63), 3: ("0" * 31, "g" * 32, ""), 15: ("0x10", "-1", "1_0", " 1", "1" * 9, ""), 1: ("http://x/\n", "u" * 9000, 7),
    }.items():  # fmt: skip
        for value in values:
            yield commands.OTA_URL, ttlv.encode([(i, value if i == id_ else v) for i, v in URL])
    yield commands.OTA_NOTICE, ttlv.encode([(28, [(0, NOTICE)] * 21)])
    yield commands.CONFIG, ttlv.encode([(5, "s" * 65)])
    yield commands.CONFIG, ttlv.encode([(5, "s" * 32), (6, b"short")])
    yield commands.EXCEPTION, ttlv.encode([(1, 2**63)])


def test_no_value_of_a_cloud_ends_a_run():
    """Space of 2^63, texts of 60,000 characters, hashes that are none …, right after every login: all counted, all upgrade."""
    hostile = list(hostile_downlinks())

    def prepare(made):
        subscribed = made.on_subscribe

        def on_subscribe(client_id, filters):
            subscribed(client_id, filters)
            for command, payload in hostile:
                made.publish(client_id, command, payload)
            made.endpoint.publish(client_id, login.downlink_topic(client_id, "ota"), b"garbage", 1)

        made.endpoint.on_subscribe = on_subscribe

    found, _ = run_live(scenario(*HARMLESS, *SOON, "fleet.size=4"), prepare=prepare)
    assert found.outcome.summary["outcomes"]["succeeded"] == 4
    assert found.outcome.manifest["live"]["damaged_messages"] >= 4 * (len(hostile) + 1)
