"""The store: one database behind SQLAlchemy, SQLite by default, PostgreSQL by URL."""

from sim.service.store.database import Database

__all__ = ["Database"]
