"""Changes run as few statements as their order allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, text
from tunebus.services.platform.ledger import grouped

metadata = MetaData()
apples = Table("apples", metadata, Column("id", Integer, primary_key=True))
pears = Table("pears", metadata, Column("id", Integer, primary_key=True))
stalks = Table("stalks", metadata, Column("apple_id", ForeignKey("apples.id"), primary_key=True))


@dataclass(frozen=True)
class Change:
    key: str
    row_key: int
    statement: Any
    parameters: dict[str, int] = field(default_factory=dict)


def change(word: str) -> Change:
    """`+a1`: insert 1 into apples; `-p2`: delete 2 from pears; `?x3`: a statement that tells no table."""
    kind, table, number = word
    of = {"a": apples, "p": pears, "s": stalks}.get(table)
    statement = text("SELECT 1") if of is None else of.insert() if kind == "+" else of.delete()
    return Change(kind + table, int(number), statement, {"n": int(number)})


@pytest.mark.parametrize(
    ("changes", "runs"),
    [
        ("", ""),
        ("+a1 +a2 +a3", "+a123"),
        ("+a1 +p1 +a2 +p2", "+a12 +p12"),
        ("+a1 -a1 +a2", "+a12 -a1"),
        ("+a1 -a1 +a1", "+a1 -a1 +a1"),
        ("+a1 -a2 +a2 -a1", "+a1 -a21 +a2"),
        ("+a1 -a2 +a3 -a1", "+a13 -a21"),
        ("+a1 +p1 -a1 +p2 +a2", "+a12 +p12 -a1"),
        ("+s1 +a2 +s2", "+s1 +a2 +s2"),
        ("+a1 +s1 +a2 +s2", "+a1 +s1 +a2 +s2"),
        ("+p1 +s1 +p2", "+p12 +s1"),
        ("+a1 ?x1 +a2", "+a1 ?x1 +a2"),
        ("?x1 ?x2", "?x12"),
    ],
)
def test_runs_keep_the_order_of_a_row_and_of_tied_tables(changes: str, runs: str) -> None:
    asked = [change(word) for word in changes.split()]
    names = {id(one.statement): one.key for one in asked}
    found = [
        names[id(statement)] + "".join(str(parameters["n"]) for parameters in run) for statement, run in grouped(asked)
    ]
    assert found == runs.split()
