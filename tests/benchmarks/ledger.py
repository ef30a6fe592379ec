"""How fast the ledger takes commands, against one-event saves of the `eventsourcing` library, on both databases.

    python tests/benchmarks/ledger.py [--json] [--pairs 7] [--commands 960]

Ours does everything that a command costs without the bus, 64 at a time: body hash, inbox, loading, deciding, appending,
the inline projection, the outcome. Commands are adds and renames of things with unique names, half and half, shuffled.
The baseline's time is that of `Application.save()` alone, an event a call: aggregates are made, loaded and changed off
the clock, and it keeps no inbox, no outcome and no projection. It is set up as its documentation says is fast: database
functions on PostgreSQL, no compression, no snapshots, no aggregate cache.

Both sides are equally durable. The library sets WAL and leaves `synchronous` at SQLite's default; that this is FULL, as
ours, is asserted here. On PostgreSQL both use one server with its own `fsync` and `synchronous_commit` (on).
The two sides take turns on databases of their own, each pair in the other order; the ratio is the median of the pairs'.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, make_url, text

sys.path.insert(0, str(Path(__file__).parents[2]))

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.domain import event as recorded
from tunebus.contracts.envelope import Outcome
from tunebus.services.platform import database
from tunebus.services.platform.decisions import PreparedCommand
from tunebus.services.platform.ledger import Ledger

from tests.fixtures.databases import postgresql_database, postgresql_server
from tests.fixtures.things import Things, add, metadata, rename

BATCH = 64
GOALS = {"sqlite": 3.0, "postgresql": 2.5}

Round = Callable[[], float]  # runs its commands and returns the seconds on the clock


class Thing(Aggregate):  # type: ignore[misc]
    @recorded("Added")  # type: ignore[untyped-decorator]
    def __init__(self, name: str) -> None:
        self.name = name

    @recorded("Renamed")  # type: ignore[untyped-decorator]
    def rename(self, name: str) -> None:
        self.name = name


def our_round(ledger: Ledger, commands: int) -> Round:
    shuffled = random.Random(7)

    def run() -> float:
        known = [outcome.id for outcome in _execute(ledger, [add(uuid4().hex) for _ in range(commands // 2)])]
        asked = [add(uuid4().hex) for _ in range(commands // 2)]
        asked += [rename(str(thing), uuid4().hex) for thing in known]
        shuffled.shuffle(asked)
        start = time.perf_counter()
        outcomes = _execute(ledger, asked)
        seconds = time.perf_counter() - start
        assert all(outcome.outcome == "accepted" for outcome in outcomes)
        return seconds

    return run


def _execute(ledger: Ledger, commands: list[PreparedCommand]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for first in range(0, len(commands), BATCH):
        for result in ledger.execute(commands[first : first + BATCH]):
            assert isinstance(result, Outcome), result
            outcomes.append(result)
    return outcomes


def library_round(application: Application[Any], commands: int) -> Round:
    shuffled = random.Random(7)

    def run() -> float:
        known = [Thing(uuid4().hex) for _ in range(commands // 2)]
        for thing in known:
            application.save(thing)
            thing.rename(uuid4().hex)
        pending = known + [Thing(uuid4().hex) for _ in range(commands // 2)]
        shuffled.shuffle(pending)
        start = time.perf_counter()
        for thing in pending:
            application.save(thing)
        return time.perf_counter() - start

    return run


@contextmanager
def sqlite_sides(folder: Path) -> Iterator[tuple[Engine, Application[Any]]]:
    engine = database.open_engine(f"sqlite:///{folder / 'ours.db'}")
    path = folder / "library.db"
    application = Application[Any](env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)})
    with application.recorder.datastore.transaction(commit=False) as cursor:
        cursor.execute("PRAGMA synchronous")
        theirs = cursor.fetchone()[0]
        cursor.execute("PRAGMA journal_mode")
        mode = cursor.fetchone()[0]
    with database.read(engine) as connection:
        ours = connection.scalar(text("PRAGMA synchronous"))
    assert (theirs, mode) == (ours, "wal") == (2, "wal"), "both sides must be equally durable"
    yield engine, application
    application.close()
    engine.dispose()


@contextmanager
def postgresql_sides(folder: Path) -> Iterator[tuple[Engine, Application[Any]]]:
    with (
        postgresql_server(folder) as server,
        postgresql_database(server) as ours,
        postgresql_database(server) as theirs,
    ):
        engine, where = database.open_engine(ours), make_url(theirs)
        application = Application[Any](
            env={
                "PERSISTENCE_MODULE": "eventsourcing.postgres",
                "POSTGRES_DBNAME": str(where.database),
                "POSTGRES_HOST": str(where.query["host"]),
                "POSTGRES_PORT": "5432",
                "POSTGRES_USER": str(where.username),
                "POSTGRES_PASSWORD": "",
                "POSTGRES_ENABLE_DB_FUNCTIONS": "y",
            }
        )
        with database.read(engine) as connection:
            assert connection.scalar(text("SHOW fsync")) == connection.scalar(text("SHOW synchronous_commit")) == "on"
        yield engine, application
        application.close()
        engine.dispose()


def measure(name: str, pairs: int, commands: int) -> dict[str, Any]:
    """One row of the table: commands per second of both sides and the median ratio of the pairs."""
    sides = {"sqlite": sqlite_sides, "postgresql": postgresql_sides}[name]
    with tempfile.TemporaryDirectory(prefix="tunebus-bench-") as folder, sides(Path(folder)) as (engine, application):
        database.migrate(engine)
        metadata.create_all(engine)
        ours, library = our_round(Ledger(engine, Things()), commands), library_round(application, commands)
        ours(), library()
        times: list[tuple[float, float]] = []
        for pair in range(pairs):
            if pair % 2:
                mine = ours()
                times.append((mine, library()))
            else:
                theirs = library()
                times.append((ours(), theirs))
    ratios = [theirs / mine for mine, theirs in times]
    return {
        "what": f"ledger, commands/s in batches of {BATCH}, {name}",
        "baseline": round(commands / statistics.median(theirs for _, theirs in times)),
        "ours": round(commands / statistics.median(mine for mine, _ in times)),
        "ratio": round(statistics.median(ratios), 2),
        "goal": f">= {GOALS[name]}",
        "pairs": [round(ratio, 2) for ratio in ratios],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    parser.add_argument("--pairs", type=int, default=7, help="measured pairs per database (at least 5)")
    parser.add_argument("--commands", type=int, default=960, help="commands a side and round")
    parser.add_argument("--database", choices=sorted(GOALS), action="append", help="only this one")
    given = parser.parse_args()
    rows = [measure(name, max(5, given.pairs), given.commands) for name in given.database or GOALS]
    if given.json:
        print(json.dumps({"rows": rows}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "eventsourcing save()", "ours", "ratio", "goal", "pairs")
    for row in rows:
        pairs = f"{min(row['pairs'])} to {max(row['pairs'])}"
        table.add_row(row["what"], f"{row['baseline']:,}", f"{row['ours']:,}", f"{row['ratio']}x", row["goal"], pairs)
    Console().print(table)


if __name__ == "__main__":
    main()
