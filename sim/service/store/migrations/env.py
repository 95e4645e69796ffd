"""Alembic's entry: migrates over the connection that the store hands in."""

from alembic import context

from sim.service.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True
)  # fmt: skip
with context.begin_transaction():
    context.run_migrations()
