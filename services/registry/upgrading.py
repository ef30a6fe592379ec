"""Bringing a database to this version: the ledger's tables by migration, the projections by a rebuild."""

from __future__ import annotations

from sqlalchemy import Engine
from tunebus.projections import rebuild
from tunebus.services.platform import database
from tunebus.services.platform.upcasters import UPCASTERS


def record_of(engine: Engine) -> rebuild.Record:
    """The ledger, as the projections' rebuild wants it."""
    return rebuild.Record(engine, database.read, database.lock_ledger, UPCASTERS.upcast)


def set_up(engine: Engine) -> None:
    """Make, migrate or rebuild what is needed; does nothing when all is of this version."""
    database.migrate(engine)
    rebuild.ensure(record_of(engine))
