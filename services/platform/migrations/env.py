"""Run by Alembic inside the transaction that `database.migrate` opened; it reads no configuration file."""

from __future__ import annotations

from alembic import context
from tunebus.services.platform import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    version_table=schema.REVISION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
