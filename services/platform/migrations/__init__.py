"""Alembic scripts of the ledger's tables, run by `database.migrate`."""
