"""The record by who asked for what: without these, a search goes through every event there ever was."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for column in ("correlation_id", "causation_id", "actor"):
        op.create_index(f"ix_events_{column}", "events", [column, "position"])
