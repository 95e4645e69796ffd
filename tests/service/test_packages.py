"""Package files: what is refused, what is computed, what a link allows, ranges."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import tarfile
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.service.errors import Refused
from sim.service.faults import Faults
from sim.service.packages.download import byte_range
from sim.service.packages.inspect import MAX_ENTRIES, check_name
from sim.service.packages.links import Links
from tests.service.cloud import prepare, served


def zipped(entries: dict[str, bytes], method=zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(*members: tuple[tarfile.TarInfo, bytes], mode="w") -> bytes:
    """A tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def link(name: str) -> tarfile.TarInfo:
    """A symbolic link to a file outside."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return member


def lying_zip() -> bytes:
    """A zip whose table of contents claims a hundred times the entries it has."""
    data = bytearray(zipped({"a": b"x"}))
    at = data.rfind(b"PK\x05\x06")
    data[at + 8 : at + 12] = (MAX_ENTRIES + 1).to_bytes(2, "little") * 2
    return bytes(data)


def overlapping_zip() -> bytes:
    """Two entries of the table of contents that name the same bytes of the file."""
    data = zipped({"a": os.urandom(1000)}, zipfile.ZIP_STORED)
    start = data.find(b"PK\x01\x02")
    end = data.rfind(b"PK\x05\x06")
    entry, tail = data[start:end], bytearray(data[end:])
    tail[8:12] = (2).to_bytes(2, "little") * 2
    tail[12:16] = (2 * len(entry)).to_bytes(4, "little")
    return data[:start] + entry * 2 + bytes(tail)


REFUSED = {
    "wrong type": ("fw.exe", b"MZ", 422, "must end in one of"),
    "no ending": ("firmware", b"x", 422, "must end in one of"),
    "traversal": ("../../etc/fw.bin", b"x", 422, "plain name"),
    "windows traversal": ("..\\fw.bin", b"x", 422, "plain name"),
    "absolute": ("/etc/fw.bin", b"x", 422, "plain name"),
    "hidden": (".fw.bin", b"x", 422, "plain name"),
    "long name": ("a" * 300 + ".bin", b"x", 422, "200"),
    "empty": ("fw.bin", b"", 422, "empty"),
    "no zip": ("fw.zip", b"MZ" + bytes(100), 422, "not a zip archive"),
    "cut zip": ("fw.zip", zipped({"a": bytes(5000)})[10:], 422, "zip archive"),
    "zip bomb": ("fw.zip", zipped({"a": bytes(20_000_000)}), 422, "decompression bomb"),
    "zip traversal": ("fw.zip", zipped({"../../etc/cron.d/x": b"x"}), 422, "outside the archive"),
    "zip absolute": ("fw.zip", zipped({"/etc/x": b"x"}), 422, "outside the archive"),
    "zip drive": ("fw.zip", zipped({"C:\\x": b"x"}), 422, "outside the archive"),
    "zip of too many": ("fw.zip", lying_zip(), 422, "entries"),
    "zip that overlaps": ("fw.zip", overlapping_zip(), 422, "overlap"),
    "tar traversal": ("fw.tar", tarred((tarfile.TarInfo("a/../../x"), b"x")), 422, "outside the archive"),
    "tar link": ("fw.tar", tarred((link("x"), b"")), 422, "neither a file nor a folder"),
    "compressed tar": ("fw.tar", tarred((tarfile.TarInfo("x"), b"x"), mode="w:gz"), 422, "uncompressed tar"),
    "no rar": ("fw.rar", b"PK\x03\x04", 422, "not a rar"),
}  # fmt: skip
ACCEPTED = {
    "bin": ("fw.bin", os.urandom(70_000)),
    "zip": ("fw.zip", zipped({"dfota.bin": os.urandom(50_000), "notes/readme.txt": b"hello" * 100})),
    "tar": ("fw.tar", tarred((tarfile.TarInfo("dfota.bin"), os.urandom(5000)))),
    "rar": ("fw.rar", b"Rar!\x1a\x07\x01\x00" + bytes(100)),
    "upper case": ("FW.PACK", b"x"),
    "mini": ("fw.mini_1", b"\x00\x01"),
}


@pytest.mark.parametrize("name", ["", "a\x01.bin", "a\n.bin", "a/b.bin", "a:b.bin", "\u202egpj.bin", "..", "a.bin/"])
def test_names_that_are_no_file_names(name):
    """Whatever is no plain, printable name is refused before a byte is taken."""
    with pytest.raises(Refused):
        check_name(name)


def left_in(folder) -> list[str]:
    """What lies in the folder of packages."""
    return [path.name for path in (folder / "packages").iterdir()]


def upload(client, *files, **fields):
    """Uploads a version."""
    data = {"project_id": 1, "name": "v", "target_version": "9.9", **fields}
    return client.post("/api/v1/versions", data=data, files=[("files", file) for file in files])


@pytest.mark.parametrize("case", REFUSED)
def test_refused_uploads(tmp_path, case):
    """Each is refused with its reason, and nothing of it stays on the disk."""
    name, data, status, text = REFUSED[case]

    async def scene():
        async with served(tmp_path) as (_, client):
            await prepare(client, activate=False)
            before = left_in(tmp_path)
            answer = await upload(client, (name, data))
            assert answer.status_code == status and text in answer.text, answer.text
            assert left_in(tmp_path) == before
            assert len((await client.get("/api/v1/versions")).json()) == 1

    asyncio.run(scene())


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted_uploads(tmp_path, case):
    """Checksums are those of the bytes; the link gives them back."""
    name, data = ACCEPTED[case]

    async def scene():
        async with served(tmp_path) as (_, client):
            await prepare(client, activate=False)
            made = (await upload(client, (name, data))).json()
            (file,) = made["files"]
            assert file["size_bytes"] == len(data) and file["crc32"] == zlib.crc32(data)
            assert file["md5"] == hashlib.md5(data).hexdigest() and file["sha256"] == hashlib.sha256(data).hexdigest()
            url = (await client.get(f"/api/v1/versions/{made['id']}/link")).json()["url"]
            assert (await client.get(url)).content == data

    asyncio.run(scene())


def test_oversize_is_refused_while_it_comes(tmp_path):
    """The 100 MB limit cuts the upload off; the file does not stay. Six files are one too many."""

    async def scene():
        async with served(tmp_path) as (_, client):
            await prepare(client, activate=False)
            before = left_in(tmp_path)
            answer = await upload(client, ("fw.bin", bytes(100_000_001)))
            assert answer.status_code == 413 and "100 MB" in answer.text
            assert left_in(tmp_path) == before
            answer = await upload(client, *((f"{i}.bin", b"x") for i in range(6)))
            assert answer.status_code == 422 and "at most 5 files" in answer.text

    asyncio.run(scene())


def test_deltas_go_to_the_version_they_fit(tmp_path):
    """One file for each source version, a full one for all others; the link chooses."""

    async def scene():
        async with served(tmp_path) as (_, client):
            await prepare(client, activate=False)
            made = await upload(
                client, ("d1.bin", b"from 1.0"), ("d2.bin", b"from 1.1"), ("full.bin", b"full"),
                package="delta", source_version=["1.0", "1.1", ""],
            )  # fmt: skip
            assert made.status_code == 201, made.text
            path = f"/api/v1/versions/{made.json()['id']}/link"
            for running, wanted in (("1.0", b"from 1.0"), ("1.1", b"from 1.1"), ("0.9", b"full")):
                url = (await client.get(path, params={"source_version": running})).json()["url"]
                assert (await client.get(url)).content == wanted
            twice = await upload(client, ("a.bin", b"a"), ("b.bin", b"b"), package="delta", source_version=["1", "1"])
            assert twice.status_code == 422 and "same source version" in twice.text
            none = await upload(client, ("a.bin", b"a"), package="delta")
            assert none.status_code == 422 and "needs one" in none.text

    asyncio.run(scene())


def test_links_expire_and_cannot_be_bent(tmp_path):
    """A link is good for one file until its time; anything else is 403."""

    async def scene():
        async with served(tmp_path, link_lifetime_s=3600.0) as (server, client):
            await prepare(client, activate=False)
            url = (await client.get("/api/v1/versions/1/link")).json()["url"]
            links = server.cloud.links
            assert (await client.get(url)).status_code == 200
            bent = [
                url.replace("/packages/1/", "/packages/2/"), url.replace("e=", "e=9"), url[:-1],
                url.partition("?")[0], url + "0", links.make(1, "fw.bin", 0.0), url.replace("/packages/1/", "/packages/x/"),
            ]  # fmt: skip
            assert [(await client.get(other)).status_code for other in bent] == [403] * len(bent)
            assert (await client.post(url)).status_code == 405

    asyncio.run(scene())


def test_link_is_good_until_its_second():
    """Valid just before, invalid at its end; another key makes another link."""
    links = Links("http://h", b"key", 100.0)
    query = dict(pair.split("=") for pair in links.make(7, "a b.bin", 50.0).partition("?")[2].split("&"))
    assert query["e"] == "150"
    assert links.check(7, query["e"], query["s"], 149.9) and not links.check(7, query["e"], query["s"], 150.0)
    assert not Links("http://h", b"other", 100.0).check(7, query["e"], query["s"], 100.0)


@given(st.integers(1, 10_000), st.integers(0, 12_000), st.integers(0, 12_000))
def test_ranges_are_those_of_python(size, first, last):
    """bytes=a-b is data[a:b+1], bytes=a- the rest, bytes=-n the end; outside there is none (RFC 9110 section 14)."""
    data = bytes(size)
    wanted = byte_range(f"bytes={first}-{last}", size)
    if last < first:
        assert wanted == (0, size, False)
    elif first >= size:
        assert wanted is None
    else:
        assert wanted[2] and len(data[wanted[0] : wanted[1]]) == len(data[first : last + 1])
    assert byte_range(f"bytes={first}-", size) == (None if first >= size else (first, size, True))
    assert byte_range(f"bytes=-{last}", size) == (None if last == 0 else (max(0, size - last), size, True))


@pytest.mark.parametrize(
    "header", ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1", "bytes=٣-٤"]
)
def test_headers_without_a_range_mean_everything(header):
    """What is no single range of bytes is ignored."""
    assert byte_range(header, 10) == (0, 10, False)


def test_ranges_over_http(tmp_path):
    """206 with the bytes asked for, 416 beyond the end, HEAD without a body; header names as the SDK looks for them."""

    async def scene():
        async with served(tmp_path) as (server, client):
            await prepare(client, activate=False, size=1000)
            url = (await client.get("/api/v1/versions/1/link")).json()["url"]
            whole = (await client.get(url)).content
            part = await client.get(url, headers={"Range": "bytes=10-19"})
            assert (part.status_code, part.content, part.headers["content-range"]) == (
                206,
                whole[10:20],
                "bytes 10-19/1000",
            )
            beyond = await client.get(url, headers={"Range": "bytes=1000-"})
            assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */1000")
            head = await client.head(url)
            assert (head.headers["content-length"], head.content) == ("1000", b"")
            reader, writer = await asyncio.open_connection("127.0.0.1", int(server.cloud.http_url.rpartition(":")[2]))
            writer.write(
                f"GET {url.partition('127.0.0.1')[2].partition('/')[1] + url.split('/', 3)[3]} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            )
            assert b"\r\nContent-Length: 1000\r\n" in await reader.readuntil(b"\r\n\r\n")
            writer.close()

    asyncio.run(scene())


def test_download_faults(tmp_path):
    """Errors, cut transfers and the limit on downloads at once, each when it is injected."""

    async def scene():
        async with served(tmp_path) as (server, client):
            await prepare(client, activate=False)
            url = (await client.get("/api/v1/versions/1/link")).json()["url"]
            server.cloud.injector.set(Faults(download_error=1.0))
            assert (await client.get(url)).status_code == 500
            server.cloud.injector.set(Faults(download_cut=1.0))
            with pytest.raises(Exception, match=r"peer closed|disconnected"):
                await client.get(url)
            server.cloud.injector.set(Faults(max_downloads=1))
            server.downloads.active = 1
            assert (await client.get(url)).status_code == 503

    asyncio.run(scene())
