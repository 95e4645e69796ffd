"""Parts of the live engine that need no socket."""

from __future__ import annotations

import hashlib

import pytest

from sim.engines.live import known_files
from sim.engines.live.fetch import Package
from sim.engines.live.host_limits import sources_for
from sim.engines.live.known_files import File, KnownFiles
from sim.engines.live.latency import Latencies
from sim.engines.live.live_target import is_loopback
from sim.engines.live.pace import Pace
from sim.engines.live.reconciliation import ModuleCounts, Reconciliation, reconcile
from sim.errors import FotasimError, InputError


def file(data, name):
    return File(f"http://h/{name}", len(data), hashlib.md5(data).hexdigest())


FIRST, SECOND = b"a" * 1000, b"b" * 500
FILES = (file(FIRST, 1), file(SECOND, 2))


@pytest.mark.parametrize("chunk", [1, 7, 1000, 1001, 1500])
def test_files_are_checked_as_their_last_byte_arrives(chunk):
    package, data = Package(FILES), FIRST + SECOND
    assert package.begin(0)
    assert all(package.feed(data[i : i + chunk]) for i in range(0, len(data), chunk))
    assert package.begin(0)
    answers = [package.feed((b"c" + data[1:])[i : i + 500]) for i in range(0, 1500, 500)]
    assert answers == [True, False, True]


@pytest.mark.parametrize("chunk", [1, 7, 1000, 1500])
@pytest.mark.parametrize("wrong_at", [None, 0, 1, 999, 1000, 1499])
def test_who_compares_with_a_copy_answers_as_who_hashes(chunk, wrong_at, monkeypatch):
    """The second module hashes nothing where its bytes are those of the first, and finds every byte that is not."""
    known, data = KnownFiles(), FIRST + SECOND
    first = Package(FILES, known)
    assert first.begin(0) and first.feed(data)
    hashed, make = [], known_files._digest
    monkeypatch.setattr(known_files, "_digest", lambda file: hashed.append(file) or make(file))
    given = data if wrong_at is None else data[:wrong_at] + b"x" + data[wrong_at + 1 :]
    for package in (Package(FILES, known), first):
        assert package.begin(0)
        answers = [package.feed(given[i : i + chunk]) for i in range(0, len(given), chunk)]
        assert all(answers) == (wrong_at is None)
    assert hashed == [] if wrong_at is None else hashed == 2 * [FILES[wrong_at >= 1000]]
    assert known.copy_of(FILES[0]) == FIRST  # a wrong download leaves the copy as it is


def test_a_wrong_file_is_not_kept_and_a_large_one_not_either():
    known = KnownFiles(most_bytes=1200)
    wrong = Package([file(FIRST, 1)._replace(digest="f" * 32)], known)
    assert not wrong.feed(FIRST)
    assert known.copy_of(wrong.files[0]) is None
    both = Package(FILES, known)
    assert both.feed(FIRST + SECOND)
    assert (known.copy_of(FILES[0]), known.copy_of(FILES[1])) == (FIRST, None)


def test_without_an_announced_checksum_nothing_is_hashed(monkeypatch):
    monkeypatch.setattr(known_files, "_digest", lambda _file: pytest.fail("hashed"))
    package = Package([File("http://h/1", 1000, "0" * 32)])
    assert package.feed(FIRST)


def test_a_piece_may_span_files():
    package = Package(FILES)
    assert package.requests(0, 1500) == [("http://h/1", 0, 999), ("http://h/2", 0, 499)]
    assert package.requests(900, 1100) == [("http://h/1", 900, 999), ("http://h/2", 0, 99)]
    assert package.requests(1200, 1300) == [("http://h/2", 200, 299)]


def test_a_transfer_goes_on_only_where_the_bytes_ended():
    package = Package(FILES)
    assert package.begin(0)
    package.feed(FIRST[:300])
    assert package.begin(300)
    assert not package.begin(400)
    assert package.begin(0)


def test_a_pace_spreads_what_comes_at_once():
    pace = Pace(10.0)
    assert [pace.slot(5.0) for _ in range(3)] == pytest.approx([5.0, 5.1, 5.2])
    assert pace.slot(9.0) == 9.0
    assert [Pace(None).slot(1.0) for _ in range(3)] == [1.0] * 3


def test_source_addresses_when_one_has_too_few_ports():
    assert sources_for(10_000, "127.0.0.1", ()) == ()
    assert sources_for(25_000, "127.0.0.1", ()) == ("", "127.0.0.2", "127.0.0.3")
    assert sources_for(25_000, "cloud", ()) == ()
    assert sources_for(60_000, "cloud", ("127.0.0.1",)) == ("127.0.0.1",)
    with pytest.raises(InputError, match=r"--source 192\.0\.2\.1: not usable on this machine"):
        sources_for(60_000, "cloud", ("192.0.2.1",))
    with pytest.raises(FotasimError, match="need 3 source addresses"):
        sources_for(60_000, "cloud", ())


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost.evil.org", False),
     ("10.0.0.1", False), ("0.0.0.0", False), ("2130706433", False)],
)  # fmt: skip
def test_loopback_is_told_by_the_address_alone(host, expected):
    assert is_loopback(host) is expected


def counts(**changes):
    return ModuleCounts(**{
        "connected": True, "success_acknowledged": True, "upgraded": True, "statuses_sent": 7,
        "statuses_acknowledged": 7, **changes,
    })  # fmt: skip


def device(state="succeeded", reports=7):
    return {"state": state, "reports": reports}


@pytest.mark.parametrize(
    ("ours", "theirs", "wrong"),
    [
        (counts(), device(), None),
        (counts(connected=False, success_acknowledged=False, upgraded=False, statuses_sent=0), None, None),
        (counts(), None, "connected"), (counts(), device("updating"), "acknowledged / counted"),
        (counts(success_acknowledged=False), device(), None),  # only the acknowledgement was cut off
        (counts(upgraded=False, success_acknowledged=False), device(), "upgraded"),
        (counts(statuses_acknowledged=6), device(reports=6), None), (counts(), device(reports=6), "status reports"),
        (counts(), device(reports=8), "status reports"),
    ],
)  # fmt: skip
def test_counts_agree_or_name_the_module(ours, theirs, wrong):
    result = reconcile({"m1": ours}, {} if theirs is None else {"m1": theirs})
    failing = [check for check in result.checks if not check.agrees]
    if wrong is None:
        assert result.agrees
        assert failing == []
    else:
        assert wrong in failing[0].what
        assert failing[0].examples == ("m1",)
        assert "DO NOT AGREE" in result.lines()[0]


@pytest.mark.parametrize(("reports", "told"), [(7, False), (8, True)])
def test_reports_that_this_run_did_not_send(reports, told):
    """Another client with the same identity is named as what it is; as many as were sent are nobody else's."""
    found = reconcile({"m1": counts(statuses_sent=7)}, {"m1": device(reports=reports)}).findings
    assert bool(found) is told
    assert not told or ("1 modules (m1)" in found[0] and "another client uses their identities" in found[0])


def test_no_counts_no_verdict():
    result = Reconciliation(note="not possible: reason")
    assert result.as_dict()["agrees"] is None
    assert result.lines() == ["reconciliation: not possible: reason"]


def test_latencies_are_an_hdr_histogram_to_three_digits():
    from hdrh.histogram import HdrHistogram

    latencies, reference = Latencies(), HdrHistogram(1, 3_600_000_000, 3)
    values_us = [int(1.07**i) for i in range(1, 320)]
    for value in values_us:
        latencies.add("report", (value + 0.5) / 1e6)
        reference.record_value(value)
    made = latencies.histogram("report")
    assert made.get_total_count() == len(values_us)
    for percent in (1.0, 50.0, 90.0, 99.0, 100.0):
        assert made.get_value_at_percentile(percent) == reference.get_value_at_percentile(percent)
        exact = sorted(values_us)[max(0, round(percent / 100 * len(values_us)) - 1)]
        assert latencies.quantile_s("report", percent) == pytest.approx(exact / 1e6, rel=0.08)
    assert latencies.quantile_s("url", 50.0) is None
