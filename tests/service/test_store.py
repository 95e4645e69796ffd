"""The store on SQLite and on PostgreSQL: migrations, round trips, group commit, a disk that is full."""

from __future__ import annotations

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, inspect

from sim.cloud.execution import Execution
from sim.errors import FotasimError
from sim.service.errors import Conflict, NotFound, StoreFailing
from sim.service.known_device import Device
from sim.service.store import Database, catalog
from sim.service.store.journal import Journal, restore, snapshot
from sim.service.store.tables import devices, metadata, projects


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The URL of an empty database of each kind."""
    return f"sqlite:///{tmp_path / 'x.db'}" if request.param == "sqlite" else request.getfixturevalue("new_database")


@pytest.fixture
def database(url):
    """An open store of each kind."""
    opened = Database(url)
    yield opened
    opened.close()


def test_migrations_make_the_tables(database):
    """What the migrations build is what the code expects, to the last index."""
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert set(metadata.tables) | {"alembic_version"} == set(inspect(database.engine).get_table_names())


def test_migrating_twice_changes_nothing(database, url):
    """A second start finds everything in place and everything still there."""
    with database.write() as connection:
        catalog.create_project(connection, "kept")
    again = Database(url)
    with again.read() as connection:
        assert [p["name"] for p in catalog.listed(connection, projects)] == ["kept"]
    again.close()


def test_names_are_unique_and_missing_things_are_named(database):
    """A taken name is a conflict that leaves the transaction usable."""
    with database.write() as connection:
        catalog.create_project(connection, "a")
        with pytest.raises(Conflict, match="'a' exists already"):
            catalog.create_project(connection, "a")
        catalog.create_project(connection, "b")
        with pytest.raises(NotFound, match="no project 99"):
            catalog.get(connection, projects, 99)
    with database.read() as connection:
        assert {p["name"] for p in catalog.listed(connection, projects)} == {"a", "b"}


def test_failed_transaction_leaves_nothing(database):
    """An error inside the block takes everything of it back."""
    with pytest.raises(RuntimeError), database.write() as connection:
        catalog.create_project(connection, "gone")
        raise RuntimeError
    with database.read() as connection:
        assert catalog.listed(connection, projects) == []


def test_snapshot_restores_an_execution():
    """Every field survives, unknown ones (nan, inf) too."""
    one = Execution(3, state=5, attempts=2, battery_percent=float("nan"), failures=1)
    found, timers = restore(snapshot(one, {1: (12.5, 2)}))
    assert repr(found) == repr(one)
    assert timers == {1: (12.5, 2)}


def _product(database) -> int:
    with database.write() as connection:
        project = catalog.create_project(connection, "p")
        return catalog.create_product(connection, project["id"], "q")["id"]


def _keys(database) -> set[str]:
    with database.read() as connection:
        return {row.device_key for row in connection.execute(devices.select())}


def test_committed_means_on_disk(database):
    """The future is done only when another connection sees the row; one batch takes all that gathered."""
    product = _product(database)

    async def scene():
        journal = Journal(database)
        task = asyncio.ensure_future(journal.run())
        for i in range(100):
            journal.device(Device(i + 1, product, f"d{i}", "s", 0.0))
        await journal.committed()
        assert _keys(database) == {f"d{i}" for i in range(100)}
        assert journal.commits == 1
        task.cancel()
        journal.close()

    asyncio.run(scene())


def test_full_disk_acknowledges_nothing_and_loses_nothing(tmp_path):
    """SQLite says that the disk is full: nothing is done until it is not, and then everything is."""
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    product = _product(database)
    limit = {"pages": 2}

    @event.listens_for(database.engine, "begin")
    def limited(connection):
        connection.exec_driver_sql(f"PRAGMA max_page_count = {limit['pages']}")

    async def scene():
        journal = Journal(database)
        task = asyncio.ensure_future(journal.run())
        for i in range(2000):
            journal.device(Device(i + 1, product, f"d{i}", "s" * 64, 0.0))
        done = journal.committed()
        while not journal.failing:
            await asyncio.sleep(0.01)
        assert "full" in journal.failing
        assert not done.done() and _keys(database) == set()
        limit["pages"] = 1 << 30
        await done
        assert not journal.failing and len(_keys(database)) == 2000
        task.cancel()
        journal.close()

    asyncio.run(scene())
    database.close()


def test_write_names_a_full_disk(tmp_path):
    """What the API answers with 503."""
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    event.listen(database.engine, "begin", lambda c: c.exec_driver_sql("PRAGMA max_page_count = 2") and None)
    with pytest.raises(StoreFailing, match="full"), database.write() as connection:
        for i in range(5000):
            catalog.create_project(connection, f"{i:0100d}")
    database.close()


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://h/d", "not supported"),
        ("postgresql://u:secret@127.0.0.1:1/d", "connection"),
    ],
)
def test_wrong_database(url, text):
    """What is wrong is said, and no password with it."""
    with pytest.raises(FotasimError, match=text) as caught:
        Database(url)
    assert "secret" not in str(caught.value)
