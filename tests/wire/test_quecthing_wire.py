"""Frames, values, commands and logins against reference vectors, and there and back again for anything."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import messages as msg
from sim.errors import ProtocolError
from sim.wire.quecthing import commands, frame, login, ota, ttlv

VECTORS = json.loads((Path(__file__).parent / "data" / "quecthing_vectors.json").read_text(encoding="utf-8"))
FRAMES = {v["what"]: v for v in VECTORS["frames"]}
LOGIN = VECTORS["login"]

ids = st.integers(1, frame.MAX_PACKET_ID)
words = st.integers(0, 0xFFFF)
nasty = st.lists(st.sampled_from([b"\xaa", b"\x55", b"\x00", b"\xff"]), max_size=60).map(b"".join)
payloads = st.one_of(st.binary(max_size=200), nasty)


def payload_of(vector):
    if "payload_hex" in vector:
        return bytes.fromhex(vector["payload_hex"])
    return ttlv.encode([(id_, value) for id_, value in vector["ttlv"]])


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=lambda v: v["what"])
def test_frames_match_the_reference(vector):
    encoded = frame.encode(vector["packet_id"], int(vector["command"], 16), payload_of(vector))
    assert encoded.hex() == vector["frame_hex"]
    assert frame.decode(encoded) == (vector["packet_id"], int(vector["command"], 16), payload_of(vector))


def test_payloads_of_the_messages_match_the_reference():
    notice = msg.Notice((msg.ComponentNotice("EC600N", "A01", "A02", 30, -113, 22536),), silent=False)
    url = msg.FirmwareUrl(0, 22536, url="http://h/f", crc32=0xEFC6F149)
    status = ota.Status.of(msg.StatusReport(msg.SUBMITTED, 0), "EC600N", msg.FIRMWARE)
    versions = {"EC600N": "EC600NCNLCR03A01M16", "MCU1": "1_0_0"}
    assert ota.encode_notice(notice, [msg.FIRMWARE]) == payload_of(FRAMES["OTA plan notice"])
    assert ota.encode_url(ota.Firmware.of(url, "EC600N", "A02")) == payload_of(FRAMES["firmware URL"])
    assert ota.encode_status(status) == payload_of(FRAMES["OTA status 2 (submit)"])
    assert ota.encode_request(versions, "EC600N") == payload_of(FRAMES["OTA request"])


@pytest.mark.parametrize(
    ("battery", "rsrp", "why"), [(30.9, -113.0, "write 30 or 31"), (30.0, -112.5, "write -113 or -112")]
)
def test_a_limit_with_a_fraction_is_not_cut(battery, rsrp, why):
    """The SDK's callback has whole numbers: what cannot be carried exactly is refused."""
    notice = msg.Notice((msg.ComponentNotice("EC600N", "A01", "A02", battery, rsrp, 22536),))
    with pytest.raises(ValueError, match=why):
        ota.encode_notice(notice, [msg.FIRMWARE])


# --- frames ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(ids, words, payloads), max_size=5), st.lists(st.integers(1, 40), max_size=30))
def test_frames_survive_any_split_of_the_stream(frames, cuts):
    stream = b"".join(frame.encode(*f) for f in frames)
    decoder, found = frame.Decoder(), []
    for size in [*cuts, len(stream)]:
        piece, stream = stream[:size], stream[size:]
        decoder.feed(piece)
        while (got := decoder.next_frame()) is not None:
            found.append(tuple(got))
    assert found == frames
    assert decoder.unread == 0


@given(ids, words, payloads)
def test_the_start_mark_is_unique_in_a_frame(packet_id, command, payload):
    encoded = frame.encode(packet_id, command, payload)
    assert encoded.find(b"\xaa\xaa", 1) == -1
    assert not encoded.endswith(b"\xaa")
    unescaped = encoded[:1] + encoded[1:].replace(b"\xaa\x55", b"\xaa")
    assert int.from_bytes(unescaped[2:4], "big") == len(payload) + 5


@pytest.mark.parametrize("length", [0xAA00 - 5, 0x5500 - 5, frame.MAX_PAYLOAD_BYTES])
def test_length_bytes_are_escaped_too(length):
    payload = b"\xaa" * length
    assert frame.decode(frame.encode(1, 2, payload)) == (1, 2, payload)


@given(ids, words, payloads.filter(bool), st.integers(1, 255), st.data())
def test_a_flipped_payload_byte_is_noticed(packet_id, command, payload, change, data):
    where = data.draw(st.integers(0, len(payload) - 1))
    raw = bytearray(frame.encode(packet_id, command, b"\x01" * len(payload)))
    if 0xAA in raw[2:] or (raw[-1 - where] + change) & 0xFF == 0xAA:
        return
    raw[-1 - where] = (raw[-1 - where] + change) & 0xFF
    with pytest.raises(ProtocolError, match="sum"):
        frame.decode(bytes(raw))


def test_a_damaged_frame_is_skipped_and_the_next_one_found():
    good, other = frame.encode(1, 2, b"x"), frame.encode(3, 4, b"y")
    decoder = frame.Decoder()
    decoder.feed(b"noise" + good[:-1] + other)  # a frame cut short: the next mark starts a new one
    found, errors = [], 0
    for _ in range(10):
        try:
            got = decoder.next_frame()
        except ProtocolError:
            errors += 1
            continue
        if got is None:
            break
        found.append(got)
    assert found == [(3, 4, b"y")]
    assert errors == 2


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "cut short"), (b"\xaa\xaa\x00\x06\x01", "cut short"), (b"\xaa\xaa\x00\x04\x00", "shortest"),
        (b"x", "starts with"), (frame.encode(1, 2) + b"\x00", "follow"),
        (b"\xaa\xaa\x00\x05\x02\x00\x00\x00\x02", "packet id 0"),
    ],
)  # fmt: skip
def test_what_is_no_frame_says_why(data, rule):
    with pytest.raises(ProtocolError, match=rule):
        frame.decode(data)


@pytest.mark.parametrize(("packet_id", "size"), [(0, 0), (0xFFFF, 0), (1, frame.MAX_PAYLOAD_BYTES + 1)])
def test_what_does_not_fit_into_a_frame_is_refused(packet_id, size):
    with pytest.raises(ValueError, match=r"allowed|fit"):
        frame.encode(packet_id, 1, bytes(size))


# --- values ----------------------------------------------------------------------------------------------------------

numbers = st.one_of(
    st.integers(-(2**64) + 1, 2**64 - 1),
    st.builds(lambda whole, places: whole / 10**places, st.integers(-(10**12), 10**12), st.integers(1, 9)),
)
values = st.recursive(
    st.one_of(st.booleans(), numbers, st.binary(max_size=40)),
    lambda inner: st.lists(st.tuples(st.integers(0, ttlv.MAX_ID), inner), max_size=4),
    max_leaves=12,
)
trees = st.lists(st.tuples(st.integers(0, ttlv.MAX_ID), values), max_size=6)


def depth(nodes):
    return 1 + max((depth(v) for _, v in nodes if isinstance(v, list)), default=0)


@given(trees.filter(lambda t: depth(t) <= ttlv.MAX_DEPTH))
def test_values_come_back(nodes):
    assert ttlv.decode(ttlv.encode(nodes)) == nodes


@given(st.binary(max_size=100))
def test_values_from_garbage_are_values_or_a_protocol_error(data):
    try:
        nodes = ttlv.decode(data)
    except ProtocolError:
        return
    assert ttlv.decode(ttlv.encode(nodes)) == nodes


def test_nesting_is_bounded():
    deep = [(1, 1)]
    for _ in range(ttlv.MAX_DEPTH):
        deep = [(1, deep)]
    with pytest.raises(ProtocolError, match="deep"):
        ttlv.decode(ttlv.encode(deep))


@pytest.mark.parametrize(
    ("value", "hex_"),
    [(0, "00" "00"), (-113, "80" "71"), (22536, "01" "5808"), (-1.5, "88" "0f"), (0.001, "18" "01"), (2**64 - 1, "07" + "ff" * 8)],
)  # fmt: skip
def test_numbers_are_as_short_as_they_can_be(value, hex_):
    assert ttlv.encode([(1, value)]).hex() == "000a" + hex_


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**64, 1e-16, "x" * 65536])
def test_what_no_value_can_hold_is_refused(value):
    with pytest.raises(ValueError, match=r"only|at most"):
        ttlv.encode([(1, value)])


# --- commands --------------------------------------------------------------------------------------------------------

names = st.text(
    st.characters(codec="ascii", exclude_characters=":;", categories=["L", "N", "P"]), min_size=1, max_size=32
)
versions = st.text(
    st.characters(codec="ascii", exclude_characters=":;", categories=["L", "N", "P"]), min_size=1, max_size=64
)
components = st.builds(
    msg.ComponentNotice, names, st.one_of(st.just(""), versions), versions, st.integers(0, 100),
    st.integers(-140, 0), st.integers(0, 10**9),
)  # fmt: skip


@given(
    st.lists(st.tuples(components, st.sampled_from([msg.FIRMWARE, msg.MCU])), min_size=1, max_size=20), st.booleans()
)
def test_notices_come_back(parts, silent):
    notice, kinds = msg.Notice(tuple(c for c, _ in parts), silent), tuple(k for _, k in parts)
    assert ota.decode_notice(ota.encode_notice(notice, kinds)) == (notice, kinds)


files = st.builds(
    ota.UrlFile,
    st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), max_size=80),
    st.integers(1, 10**8),
    st.text("0123456789abcdef", min_size=32, max_size=32),
)


@given(names, versions, st.lists(files, min_size=1, max_size=5), st.sampled_from([0, 1]), st.integers(0, 2**32 - 1))
def test_urls_come_back(component, version, several, kind, crc32):
    single = len(several) == 1
    sent = ota.Firmware(component, version, tuple(several), kind, crc32 if single else 0, "ab" * 32 if single else "")
    assert ota.decode_url(ota.encode_url(sent), needs_sha256=single) == sent
    assert sent.message(["other", component] if component != "other" else ["x", component]).component == 1


@given(st.sampled_from([s for s in msg.STATUS_TEXT if s]), names, st.sampled_from([0, 1]), versions, st.booleans())
def test_statuses_come_back(status, component, kind, version, wants):
    ends = status in (msg.UPDATE_SUCCESS, msg.UPDATE_ERROR)
    sent = ota.Status(status, component, kind, version if ends else "", wants and status == msg.SUBMITTED)
    assert ota.decode_status(ota.encode_status(sent)) == sent


@given(
    st.dictionaries(names, versions, min_size=1, max_size=4),
    st.integers(0, 10000), st.integers(-14000, -4000), st.integers(0, 2**31),
)  # fmt: skip
def test_a_hello_comes_back_from_its_three_commands(versions_, battery, rsrp, free):
    firmware = next(iter(versions_))
    hello = msg.Hello(battery / 100, rsrp / 100, free, versions_)
    cloud = commands.Reported()
    assert cloud.take(commands.STATUS_REPORT, commands.encode_status_report(hello)) is None
    quiet = cloud.take(commands.INFO_REPORT, commands.encode_info_report(versions_, firmware))
    asked = cloud.take(commands.OTA_REQUEST, ota.encode_request(versions_, firmware))
    assert (quiet.asks, asked.asks) == (False, True)
    assert asked == hello


def test_exception_and_configuration_come_back():
    for notice in (commands.ExceptionNotice(10428, 7), commands.ExceptionNotice(3, 9, "p11TEST", "866123456789015")):
        assert commands.decode_exception(commands.encode_exception(notice)) == notice
    for config in (commands.Config("ds" * 16), commands.Config("x", bytes(range(16)))):
        assert commands.decode_config(commands.encode_config(config)) == config


@pytest.mark.parametrize(
    ("command", "kind"),
    [(0x0011, "bus"), (0x0024, "bus"), (0x0034, "sys"), (0x0044, "sys"), (0x00A3, "sys"), (0x00B4, "sys"),
     (0x0111, "ota"), (0x0113, "ota"), (0x0114, "ota"), (0x0115, "ota")],
)  # fmt: skip
def test_each_command_has_its_topic(command, kind):
    assert commands.topic_kind(command) == kind


@pytest.mark.parametrize(
    ("decode", "nodes", "rule"),
    [
        (ota.decode_notice, [(4, "fw"), (7, 0)], "value 6 is missing"),
        (ota.decode_notice, [(4, "fw"), (6, "2"), (7, 5)], "component type 5"),
        (ota.decode_notice, [(28, [])], "0 components"),
        (ota.decode_notice, [(28, [(0, [(4, "a"), (6, "1"), (7, 0)])] * 21)], "21 components"),
        (ota.decode_notice, [(28, [(1, [])])], "array of structs"),
        (ota.decode_url, [(4, "fw"), (6, "2"), (7, 0), (1, "u"), (2, 5), (3, "0" * 32)], "value 15 is missing"),
        (ota.decode_url, [(4, "fw"), (6, "2"), (7, 0), (1, "u"), (2, 5), (3, "0" * 32), (15, "xyz")], "hexadecimal"),
        (
            ota.decode_url,
            [(4, "fw"), (6, "2"), (7, 0), (1, "u"), (2, 0), (3, "0" * 32), (15, "0")],
            "value 2 is 0; 1 to",
        ),
        (ota.decode_status, [(13, 7), (4, "fw"), (7, 0)], "status 7"),
        (ota.decode_status, [(13, "x"), (4, "fw"), (7, 0)], "not a number"),
        (ota.decode_status, [(13, 2), (4, b"\xff"), (7, 0)], "UTF-8"),
    ],
)
def test_a_wrong_payload_says_what_is_wrong(decode, nodes, rule):
    with pytest.raises(ProtocolError, match=rule):
        decode(ttlv.encode(nodes))


def test_a_url_without_the_sha256_that_was_asked_for_is_refused():
    payload = ota.encode_url(ota.Firmware("fw", "2", (ota.UrlFile("u", 1, "0" * 32),)))
    with pytest.raises(ProtocolError, match="value 16 is missing"):
        ota.decode_url(payload, needs_sha256=True)


# --- login -----------------------------------------------------------------------------------------------------------

PK, PS, DK, DS, RAND = (
    LOGIN[name] for name in ("product_key", "product_secret", "device_key", "device_secret", "random")
)  # fmt: skip


def test_passwords_match_the_reference():
    assert login.bootstrap_password(PK, PS, DK, RAND) == LOGIN["bootstrap_password"]
    assert login.login_password(PS, DS, RAND) == LOGIN["login_password"]


def test_the_cloud_opens_what_the_module_sends():
    opened = login.open_password(LOGIN["bootstrap_password"].encode(), PK, PS)
    assert opened == login.Bootstrap(DK, RAND, login.PLAIN)
    logged_in = login.open_password(LOGIN["login_password"].encode(), PK, PS)
    assert login.verify_login(logged_in, PS, DS)
    assert not login.verify_login(logged_in, PS, "another")


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", login.UNDECODABLE), ("0;0000;p11TEST", login.UNDECODABLE), ("2;0000;p11TEST;x", login.AUTH_VERSION),
        ("0;0007;p11TEST;x", login.BAD_FLAG), ("0;0000;other;x", login.PRODUCT_UNKNOWN),
        ("0;0000;p11TEST;????", login.UNDECODABLE), ("0;0000;p11TEST;AAAA", login.UNDECODABLE),
        ("1;0000;short;x", login.UNDECODABLE), ("0;0000;p11TEST;\xff", login.UNDECODABLE),
        (login.bootstrap_password(PK, PS, "abc", RAND), login.DEVICE_KEY_ILLEGAL),
        (login.bootstrap_password(PK, "another secret of 16+", DK, RAND), login.UNDECODABLE),
    ],
)  # fmt: skip
def test_a_refused_login_carries_the_platforms_code(password, code):
    with pytest.raises(login.Refused) as refused:
        login.open_password(password.encode("latin-1"), PK, PS)
    assert refused.value.code == code


def test_errors_of_a_login_never_repeat_what_was_sent():
    with pytest.raises(login.Refused) as refused:
        login.open_password(f"9;0000;{DS};{PS}".encode(), PK, PS)
    assert DS not in str(refused.value)
    assert PS not in str(refused.value)


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=100))
def test_encrypted_payloads_come_back(session_key, data):
    assert login.decrypt_payload(session_key, login.encrypt_payload(session_key, data)) == data


@given(st.binary(max_size=64))
def test_a_payload_that_cannot_be_decrypted_is_a_protocol_error(data):
    with contextlib.suppress(ProtocolError):
        login.decrypt_payload(bytes(16), data)


def test_client_id_and_topics():
    client = login.client_id(PK, DK)
    assert client == "qdp11TEST866123456789015"
    assert login.device_key(client, PK) == DK
    assert login.subscription(client) == f"q/1/d/{client}/+"
    assert login.uplink_topic(client, "ota") == f"q/2/d/{client}/ota"
    assert login.downlink_topic(client, "sys") == f"q/1/d/{client}/sys"
    for wrong in ("qdother123456", "qdp11TESTabc", "qdp11TEST" + "x" * 17):
        with pytest.raises(ProtocolError):
            login.device_key(wrong, PK)


@pytest.mark.parametrize(
    ("code", "failures", "seconds"),
    [
        (login.NETWORK, 1, 1.0), (login.NETWORK, 6, 6.0), (login.NETWORK, 7, 1800.0), (login.BAD_SIGNATURE, 2, 60.0),
        (login.ALREADY_AUTHENTICATED, 3, 1800.0), (login.VERSION_UNSUPPORTED, 1, 600.0),
        (login.DEVICE_SECRET_WRONG, 1, float("inf")),
    ],
)  # fmt: skip
def test_back_off_by_class_of_error(code, failures, seconds):
    assert login.back_off_s(code, failures) == seconds
