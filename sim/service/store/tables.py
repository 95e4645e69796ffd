"""The tables of the store. Changing one means a new migration beside the others; a test compares both."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

settings = Table(
    "settings", metadata,
    Column("key", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)  # fmt: skip

projects = Table(
    "projects", metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
)  # fmt: skip

products = Table(
    "products", metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    Column("name", String(100), nullable=False),
    Column("product_key", String(32), nullable=False, unique=True),
    Column("product_secret", String(32), nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("project_id", "name"),
)  # fmt: skip

models = Table(
    "models", metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("device_model", String(100), nullable=False),
    Column("version", String(200), nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("project_id", "name"),
)  # fmt: skip

components = Table(
    "components", metadata,
    Column("id", Integer, primary_key=True),
    Column("model_id", ForeignKey("models.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("identifier", String(32), nullable=False),
    Column("name", String(100), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("remarks", String(500), nullable=False),
    UniqueConstraint("model_id", "identifier"),
    UniqueConstraint("model_id", "name"),
)  # fmt: skip

versions = Table(
    "versions", metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False, index=True),
    Column("product_id", ForeignKey("products.id"), nullable=True),
    Column("name", String(100), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("package", String(5), nullable=False),
    Column("target_version", String(64), nullable=False),
    Column("information", String(2000), nullable=False),
    Column("created_at", Double, nullable=False),
)  # fmt: skip

files = Table(
    "files", metadata,
    Column("id", Integer, primary_key=True),
    Column("version_id", ForeignKey("versions.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("name", String(200), nullable=False),
    Column("source_version", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("md5", String(32), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("crc32", BigInteger, nullable=False),
    UniqueConstraint("version_id", "position"),
)  # fmt: skip

plans = Table(
    "plans", metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("product_id", ForeignKey("products.id"), nullable=False, index=True),
    Column("model_id", ForeignKey("models.id"), nullable=False),
    Column("name", String(100), nullable=False, unique=True),
    Column("state", String(12), nullable=False),
    Column("definition", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("activated_at", Double, nullable=True),
    Column("zero_at", Double, nullable=True),
    Column("running", Text, nullable=True),
)  # fmt: skip

plan_versions = Table(
    "plan_versions", metadata,
    Column("plan_id", ForeignKey("plans.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("component_id", ForeignKey("components.id"), nullable=False),
    Column("version_id", ForeignKey("versions.id"), nullable=False),
)  # fmt: skip

devices = Table(
    "devices", metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("product_id", ForeignKey("products.id"), nullable=False),
    Column("device_key", String(32), nullable=False),
    Column("device_secret", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("seen_at", Double, nullable=True),
    Column("online", Boolean, nullable=False),
    Column("module_version", String(64), nullable=False),
    Column("mcu_versions", String(512), nullable=False),
    Column("battery_percent", Double, nullable=True),
    Column("rsrp_dbm", Double, nullable=True),
    Column("free_bytes", BigInteger, nullable=True),
    Column("reports", BigInteger, nullable=False),
    Column("authenticated", Boolean, nullable=False, server_default=false()),
    Column("identities", Text, nullable=False, server_default=""),
    UniqueConstraint("product_id", "device_key"),
)  # fmt: skip

executions = Table(
    "executions", metadata,
    Column("plan_id", ForeignKey("plans.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("device_id", ForeignKey("devices.id"), nullable=False, index=True),
    Column("device_key", String(32), nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("reason", SmallInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("snapshot", Text, nullable=False),
    Index(None, "plan_id", "state"),
    Index(None, "plan_id", "device_key"),
    Index(None, "plan_id", "updated_at"),
)  # fmt: skip

log_lines = Table(
    "log_lines", metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("plan_id", ForeignKey("plans.id"), nullable=False),
    Column("device_id", ForeignKey("devices.id"), nullable=False),
    Column("at", Double, nullable=False),
    Column("text", String(300), nullable=False),
    Column("times", Integer, nullable=False),
    Column("last_at", Double, nullable=False),
    Index(None, "device_id", "plan_id"),
)  # fmt: skip
