"""`verify` finds any one value that is not what the events make it, in every table, and nothing on a sound studio."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Boolean, Column, Connection, Engine, Table, select, text
from sqlalchemy.types import JSON
from tunebus.projections import PROJECTIONS
from tunebus.projections.rebuild import Record, ensure
from tunebus.projections.verify import Verified, content_hash, verify
from tunebus.services.platform import database
from tunebus.services.platform.upcasters import UPCASTERS

from tests.fixtures.histories import record, seeded_history

HISTORY = seeded_history(11, 600)


@pytest.fixture
def studio(engine: Engine) -> Engine:
    ensure(Record(engine, database.read, database.lock_ledger, UPCASTERS.upcast))
    with database.write(engine) as connection:
        record(connection, HISTORY)
    return engine


def verified(engine: Engine) -> Verified:
    with database.read(engine) as connection:
        return verify(connection, UPCASTERS.upcast)


def another(column: Column[Any], value: Any) -> Any:
    """A value of the column's type that is not `value`."""
    if isinstance(column.type, JSON):
        return {"was": value}
    if isinstance(column.type, Boolean):
        return not value
    if column.type.python_type is str:
        return f"{value} " if value is not None else ""
    return (value or 0) + 1000


def some_key(connection: Connection, table: Table) -> dict[str, Any]:
    """The primary key of a row in the middle."""
    keys = connection.execute(select(*table.primary_key).order_by(*table.primary_key)).mappings().all()
    return dict(keys[len(keys) // 2])


def test_a_sound_studio_verifies_and_its_hashes_are_repeatable(studio: Engine) -> None:
    first, second = verified(studio), verified(studio)
    assert first.ok
    assert first == second
    assert first.position == HISTORY[-1].position
    assert all(first.rows.values())
    assert len(set(first.hashes.values())) == len(PROJECTIONS)


@pytest.mark.parametrize("table", PROJECTIONS, ids=lambda table: table.name)
def test_one_changed_value_is_found_by_table_id_and_column(studio: Engine, table: Table) -> None:
    changeable = [column for column in table.columns if not column.primary_key]
    corrupted = []
    # One column a row, as many rows as the table has, so that one comparison tries many columns.
    with database.write(studio) as connection:
        rows = connection.execute(select(table).order_by(*table.primary_key)).mappings().all()
        for row, column in zip(rows, changeable, strict=False):
            is_row = [key == row[key.name] for key in table.primary_key]
            connection.execute(table.update().where(*is_row).values({column.name: another(column, row[column.name])}))
            corrupted.append(("/".join(str(row[key.name]) for key in table.primary_key), column.name))
    assert corrupted

    result = verified(studio)

    assert not result.ok
    assert result.differing_rows == len(corrupted)
    assert {found.table for found in result.differences} == {table.name}
    named = {(found.id, *found.columns) for found in result.differences}
    assert named <= set(corrupted)
    assert len(named) == min(20, len(corrupted))


@pytest.mark.parametrize("table", PROJECTIONS, ids=lambda table: table.name)
def test_every_column_counts_in_a_tables_hash(studio: Engine, table: Table) -> None:
    with database.write(studio) as connection:
        sound = content_hash(connection, table)
        key = some_key(connection, table)
        for column in table.columns:
            is_row = [table.c[name] == value for name, value in key.items()]
            value = connection.scalar(select(column).where(*is_row))
            with connection.begin_nested() as savepoint:
                connection.execute(table.update().where(*is_row).values({column.name: another(column, value)}))
                assert content_hash(connection, table) != sound, column.name
                savepoint.rollback()
        assert content_hash(connection, table) == sound


def test_a_missing_and_a_surplus_row_are_told_apart(studio: Engine) -> None:
    table = PROJECTIONS[0]
    with database.write(studio) as connection:
        lost, copied = connection.execute(select(table)).mappings().all()[:2]
        connection.execute(table.delete().where(table.c.id == lost["id"]))
        connection.execute(table.insert().values(dict(copied) | {"id": "stray", "name": "s", "name_key": "s"}))
    found = {(difference.id, difference.kind) for difference in verified(studio).differences}
    assert found == {(lost["id"], "missing"), ("stray", "surplus")}


def test_values_of_no_sense_are_found_and_do_not_stop_the_comparison(studio: Engine) -> None:
    if studio.dialect.name != "sqlite":
        pytest.skip("only SQLite takes any value in any column")
    with database.write(studio) as connection:
        connection.execute(text("UPDATE datasets SET features = '{broken', rows = 'many', bytes = x'00ff'"))
        connection.execute(text("UPDATE models SET has_chat_template = 7"))
    result = verified(studio)
    changed = {found.table: found.columns for found in result.differences}
    assert changed == {"datasets": ("features", "rows", "bytes"), "models": ("has_chat_template",)}


def test_it_holds_no_writer_up_and_sees_one_moment(studio: Engine) -> None:
    more = seeded_history(11, 700)[len(HISTORY) :]

    def upcast(type: str, version: int, data: Any) -> tuple[int, Any]:
        if not interrupted:  # the comparison is under way: commands go on
            interrupted.append(type)
            with database.write(studio) as writer:
                record(writer, more)
        return version, data

    interrupted: list[str] = []
    with database.read(studio) as connection:
        result = verify(connection, upcast)
    assert interrupted
    assert result.ok, result.differences
    assert result.position == HISTORY[-1].position
    assert verified(studio).position == more[-1].position
