"""The service's fixtures: a private PostgreSQL, a mosquitto."""

from tests.service.conftest import mosquitto, new_database, postgresql

__all__ = ["mosquitto", "new_database", "postgresql"]
