"""A change does to a row in memory what its statement does in SQL, and equal kinds of change share one statement."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, create_engine, select
from tunebus.projections.changes import Delete, Insert, Update

TABLE = Table(
    "things",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("state", Text),
    Column("count", Integer),
)
ROW = {"id": "a", "state": "starting", "count": 2}


def sql(*changes: Any) -> list[dict[str, Any]]:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        TABLE.create(connection)
        run(connection, *changes)
        return [dict(row) for row in connection.execute(select(TABLE)).mappings()]


def run(connection: Connection, *changes: Any) -> None:
    for change in changes:
        connection.execute(change.statement, [change.parameters])


@pytest.mark.parametrize(
    "update",
    [
        Update(TABLE, {"id": "a"}, {"state": "running"}),
        Update(TABLE, {"id": "a"}, {"state": None, "count": 0}),
        Update(TABLE, {"id": "a"}, {"state": "failed"}, {"count": 1}),
        Update(TABLE, {"id": "a"}, {}, {"count": -5}),
        Update(TABLE, {"id": "a", "state": "starting"}, {"state": "running"}),
        Update(TABLE, {"id": "a", "state": "stopping"}, {"state": "running"}),
        Update(TABLE, {"id": "a", "state": None}, {"state": "running"}),
        Update(TABLE, {"id": "b"}, {"state": "running"}),
        Update(TABLE, {"id": "a"}, {"id": "c"}),
    ],
    ids=range(9),
)
def test_an_update_in_memory_is_the_update_in_sql(update: Update) -> None:
    row = dict(ROW)
    if update.matches(row):
        update.change(row)
    assert sql(Insert(TABLE, ROW), update) == [row]


def test_a_null_matches_null() -> None:
    update = Update(TABLE, {"id": "a", "state": None}, {"state": "running"})
    assert sql(Insert(TABLE, ROW | {"state": None}), update) == [ROW | {"state": "running"}]


def test_a_delete_takes_one_row() -> None:
    assert sql(Insert(TABLE, ROW), Insert(TABLE, ROW | {"id": "b"}), Delete(TABLE, {"id": "a"})) == [ROW | {"id": "b"}]


def test_changes_of_one_kind_share_a_key_and_a_statement_and_others_do_not() -> None:
    first = Update(TABLE, {"id": "a"}, {"state": "x"})
    again = Update(TABLE, {"id": "b"}, {"state": None})
    assert first.key == again.key
    assert first.statement is again.statement
    others = [
        Insert(TABLE, ROW),
        Delete(TABLE, {"id": "a"}),
        Update(TABLE, {"id": "a"}, {}, {"count": 1}),
        Update(TABLE, {"id": "a"}, {"count": 1}),
        Update(TABLE, {"id": "a", "state": "x"}, {"state": "x"}),
        Update(TABLE, {"id": "a", "state": None}, {"state": "x"}),
    ]
    assert len({first.key, *(change.key for change in others)}) == 1 + len(others)


def test_a_change_can_be_sent_to_another_table_of_the_same_columns() -> None:
    other = TABLE.to_metadata(MetaData(), name="copies")
    for change in (Insert(TABLE, ROW), Update(TABLE, {"id": "a"}, {"count": 1}), Delete(TABLE, {"id": "a"})):
        moved = change.onto(other)
        assert moved.table is other
        assert moved.parameters == change.parameters
        assert "copies" in str(moved.statement)
