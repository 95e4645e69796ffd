"""One store, one cloud; a store that fails refuses messages and not the cloud; what it keeps is for its owner's eyes."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from sim.errors import FotasimError
from sim.service.clock import SteadyClock
from sim.service.known_device import Device
from sim.service.server import Options, Server
from sim.service.store import Database, catalog
from sim.service.store import claim as claims
from sim.service.store.journal import Journal
from sim.service.store.tables import devices, log_lines, plans
from tests.service.cloud import prepare, served


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The URL of an empty database of each kind."""
    return f"sqlite:///{tmp_path / 'x.db'}" if request.param == "sqlite" else request.getfixturevalue("new_database")


def test_a_second_cloud_on_the_same_store_is_refused_in_words(tmp_path, url):
    """Before it touches anything: uploads under way stay, and the first one's claim ends with it."""
    (tmp_path / "one").mkdir()
    first = claims.claim(url, tmp_path / "one")
    incoming = tmp_path / "two" / "packages"
    incoming.mkdir(parents=True)
    (incoming / "incoming-1").write_bytes(b"half")
    with pytest.raises(FotasimError, match=rf"in use by another cloud \(.*{os.getpid()}"):
        Server(Options(tmp_path / "two", db=url))
    assert (incoming / "incoming-1").exists()
    assert all(claim.holds() for claim in first)
    claims.release(first)
    claims.release(claims.claim(url, tmp_path / "two"))


def test_a_second_cloud_on_the_same_folder_is_refused(tmp_path):
    """Other store, same packages."""
    first = claims.claim("sqlite://", tmp_path)
    with pytest.raises(FotasimError, match=r"the data folder .* is in use by another cloud"):
        Server(Options(tmp_path, db=f"sqlite:///{tmp_path}/other.db"))
    claims.release(first)


def test_a_claim_whose_connection_was_cut_is_taken_again_or_given_up(tmp_path, new_database):
    """PostgreSQL restarts: the lock is gone with the connection. It is taken again, unless another cloud was faster."""
    claim = claims.PostgresClaim(new_database)
    database = Database(new_database)
    kill = text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    with database.write() as connection:
        connection.execute(kill)
    assert claim.holds()
    with database.write() as connection:
        connection.execute(kill)
    end = time.monotonic() + 20
    while True:
        try:
            other = claims.PostgresClaim(new_database)
            break
        except FotasimError:
            assert time.monotonic() < end
    with pytest.raises(claims.Claimed):
        claim.holds()
    other.release()
    database.close()


def test_a_store_of_a_newer_version_is_told(url):
    """Its migrations are unknown here: one sentence, nothing touched."""
    database = Database(url)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(FotasimError, match="written by a newer fotasim"):
        Database(url)


def _product(database) -> int:
    with database.write() as connection:
        project = catalog.create_project(connection, "p")
        return catalog.create_product(connection, project["id"], "q")["id"]


def test_a_row_the_store_refuses_does_not_hold_up_the_others(url):
    """What slips through every check: the row is refused and told, the batch is stored, the journal goes on."""
    database = Database(url)
    product = _product(database)
    told = []

    async def scene():
        journal = Journal(database)
        journal.on_rejected = told.append
        task = asyncio.ensure_future(journal.run())
        journal.device(Device(1, product, "good", "s", 0.0))
        journal.device(Device(2, product, "bad", "s", 0.0, reports=2**80))
        journal.device(Device(3, 999, "no such product", "s", 0.0))
        journal.device(Device(4, product, "good too", "s", 0.0))
        await asyncio.wait_for(journal.committed(), 30)
        assert (journal.rejected, journal.failing, sorted(told)) == (2, "", [2, 3])
        journal.device(Device(5, product, "later", "s", 0.0))
        await asyncio.wait_for(journal.committed(), 30)
        task.cancel()
        journal.close()

    asyncio.run(scene())
    with database.read() as connection:
        assert {row.device_key for row in connection.execute(devices.select())} == {"good", "good too", "later"}
    database.close()


def test_a_commit_whose_answer_was_lost_is_repeated_without_harm(url):
    """It was on disk already: the same rows again, each once."""
    database = Database(url)
    product = _product(database)
    with database.write() as connection:
        connection.execute(plans.insert().values(
            id=1, project_id=1, product_id=product, model_id=_model(connection), name="p", state="Saved", definition="{}", created_at=0.0,
        ))  # fmt: skip
    lost = []

    def lose(_connection):
        if not lost:
            lost.append(True)
            raise OperationalError("COMMIT", None, Exception("the connection was lost"))

    async def scene():
        journal = Journal(database)
        journal.device(Device(1, product, "d", "s", 0.0))
        journal.line(1, 1, 5.0, "status 2")
        write = journal._commit

        def commit(batch):
            refused = write(batch)
            lose(None)
            return refused

        journal._commit = commit
        task = asyncio.ensure_future(journal.run())
        done = journal.committed()
        await asyncio.wait_for(asyncio.shield(done), 30)
        task.cancel()
        journal.close()

    asyncio.run(scene())
    assert lost
    with database.read() as connection:
        assert [row.times for row in connection.execute(log_lines.select())] == [1]
    database.close()


def _model(connection) -> int:
    return catalog.create_model(connection, 1, "m", "BG95", "", [])["id"]


def test_health_is_503_while_nothing_can_be_stored(tmp_path):
    """With why, and 200 again when it can."""

    async def scene():
        async with served(tmp_path) as (server, client):
            await prepare(client)
            assert (await client.get("/api/v1/health")).status_code == 200
            failing = {"on": True}

            @event.listens_for(server.cloud.database.engine, "begin")
            def fail(_connection):
                if failing["on"]:
                    raise OperationalError("BEGIN", None, Exception("disk I/O error"))

            end = time.monotonic() + 30
            while (answer := await client.get("/api/v1/health")).status_code != 503:
                assert time.monotonic() < end
                await asyncio.sleep(0.05)
            assert "disk I/O error" in answer.json()["store"]
            assert (await client.get("/api/v1/plans")).status_code == 503
            failing["on"] = False
            while (answer := await client.get("/api/v1/health")).status_code != 200:
                assert time.monotonic() < end
                await asyncio.sleep(0.05)
            assert answer.json()["errors"] == 0

    asyncio.run(scene())


def test_what_is_kept_is_for_its_owner(tmp_path):
    """Folder 0700, files 0600, whatever the umask."""

    async def scene():
        before = os.umask(0o000)
        try:
            async with served(tmp_path / "data") as (_, client):
                await prepare(client)
                modes = {str(p.relative_to(tmp_path)): p.stat().st_mode & 0o777 for p in (tmp_path / "data").rglob("*")}
        finally:
            os.umask(before)
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
        for name, mode in modes.items():
            assert mode == (0o700 if name == "data/packages" else 0o600), (name, oct(mode))

    asyncio.run(scene())


def test_no_password_in_arguments(tmp_path):
    """What `ps` shows to everybody is refused, with where it belongs, and not repeated."""
    for arguments, variable in [
        (["--broker", "mqtt://u:hunter22@h"], "FOTASIM_BROKER_PASSWORD"), (["--db", "postgresql://u:hunter22@h/d"], "PGPASSWORD"),
    ]:  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "sim.cli", "cloud", "--data", str(tmp_path / "d"), *arguments],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (
            done.returncode == 2 and variable in re.sub(r"[│\s]+", " ", done.stderr) and "hunter22" not in done.stderr
        )


def test_errors_of_the_store_show_no_values(tmp_path):
    """SQLAlchemy's own text would carry the parameters: secrets of devices among them."""
    database = Database(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(Exception) as caught, database.write() as connection:
        connection.execute(devices.insert().values(id=1, product_id=1, device_key="k", device_secret="hunter22"))
    assert "hunter22" not in str(caught.value)
    database.close()


def test_the_clock_never_goes_back(monkeypatch):
    """An hour back on the wall changes nothing while it runs, and a start goes on where the store has been."""
    wall = [1_000_000.0]
    monkeypatch.setattr("time.time", lambda: wall[0])
    clock = SteadyClock()
    before = clock()
    wall[0] -= 3600
    assert before <= clock() < before + 60
    again = SteadyClock(latest=before)
    assert before <= again() < before + 60 and 3599 < again.ahead_s <= 3601
