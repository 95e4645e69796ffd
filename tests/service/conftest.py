"""Fixtures of the service's tests: a private PostgreSQL, a mosquitto; each only where it is installed."""

from __future__ import annotations

import pytest

from tests.service.stores import Mosquitto, PostgreSQL


@pytest.fixture(scope="session")
def postgresql():
    """A private, empty PostgreSQL cluster that is thrown away at the end."""
    cluster = PostgreSQL()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def new_database(postgresql):
    """URL of an empty database in the private cluster."""
    return postgresql.new_database()


@pytest.fixture
def mosquitto(tmp_path):
    """A running broker."""
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()
