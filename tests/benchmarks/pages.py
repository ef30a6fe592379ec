"""How quickly what pages show is answered from a big database: lists, one job, its chart, its log, the overview.

    python tests/benchmarks/pages.py [--json] [--share 1.0] [--database sqlite|postgresql|both]

The whole is 100,000 jobs, 10 million points, one run of a million steps among them, and a log of 100 MB. Events are
folded into the tables as a rebuild does it, points and log lines are written by the projector's own code.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from sqlalchemy import Engine
from tunebus.contracts import queries as ask
from tunebus.contracts.events import RecordedEvent
from tunebus.contracts.identifiers import new_id
from tunebus.projections import PROJECTIONS, freshness, queries
from tunebus.projections.bulk import Bulk
from tunebus.projections.fold import Fold
from tunebus.projections.rebuild import Record, ensure
from tunebus.services.platform import database, schema
from tunebus.services.platform.upcasters import UPCASTERS
from tunebus.services.projector.parsing import AttemptRow, Rows
from tunebus.services.projector.store import Store

from tests.benchmarks.rebuild import databases, history

JOBS, POINTS, LONGEST, LOG_BYTES = 100_000, 10_000_000, 1_000_000, 100_000_000
LIST_GOAL, CHART_GOAL = 0.3, 1.0  # seconds: the 95th percentile of a list, a chart of the longest run
CHART_POINTS = 1500
ENDS = ["JobSucceeded"] * 88 + ["JobFailed"] * 9 + ["JobStopped"] * 3
NAMES = ("loss", "learning_rate", "grad_norm")
STEPS = 3000  # of the newest jobs' curves
TRIES = 30
_AT_ONCE = 2000


@dataclass
class Filled:
    """A database to ask, and what it holds."""

    ledger: Engine
    measured: Engine
    jobs: list[str] = field(default_factory=list)
    longest: str = ""
    points: int = 0
    log_bytes: int = 0


def fill(url: str, telemetry_url: str, share: float, seed: int = 1) -> Filled:
    """`share` of the whole. Both databases must be empty."""
    made = Filled(database.open_engine(url), database.open_engine(telemetry_url, synchronous="NORMAL"))
    database.migrate(made.ledger)
    ensure(Record(made.ledger, database.read, database.lock_ledger, UPCASTERS.upcast))
    store = Store(made.measured)
    store.create()
    events, batch = Bulk(schema.events), list[RecordedEvent]()
    fold = Fold({table: table for table in PROJECTIONS})

    def write() -> None:
        with database.write(made.ledger) as connection:
            events.insert(connection, [_event_row(event) for event in batch])
            fold.add(connection, batch)
            fold.write(connection)
        batch.clear()

    for of_job in _histories(round(JOBS * share), random.Random(seed)):
        batch += of_job
        if of_job[0].type == "FineTuningJobAdded":
            made.jobs.append(of_job[0].entity_id)
        if len(batch) >= 5 * _AT_ONCE:
            write()
    write()
    made.longest = made.jobs[-2]
    _points(store, made, share)
    made.log_bytes = _log(store, made.longest, round(LOG_BYTES * share))
    for engine in (made.ledger, made.measured):
        if engine.dialect.name == "postgresql":
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM ANALYZE")  # as the server does by itself, but not at once
    return made


def _histories(jobs: int, chance: random.Random) -> Iterator[list[RecordedEvent]]:
    """The model and the dataset, then each job's events; nearly all have ended, some wait, a few run."""
    example = history(1)
    position = 0
    known = {event.type: event for event in example}

    def happened(event: RecordedEvent, entity_id: str, version: int, **changes: Any) -> RecordedEvent:
        nonlocal position
        position += 1
        day, second = 1 + position // 20_000 % 28, position % 86_400
        return event._replace(
            position=position,
            event_id=new_id(),
            entity_id=entity_id,
            version=version,
            data={**event.data, **changes},
            recorded_at=f"2026-01-{day:02d}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.000000Z",
        )

    yield [happened(event, event.entity_id, event.version) for event in example if not event.aggregate.endswith("_job")]
    models = [(new_id(), f"base-{number}") for number in range(12)]
    yield [happened(known["ModelAdded"], model_id, 1, name=name) for model_id, name in models]
    ended = known["JobSucceeded"]
    for number in range(jobs):
        job_id, model_id = new_id(), chance.choice(models)[0]
        labels = [f"batch-{number % 40}"] if number % 3 == 0 else []
        name = f"tuned-{number}-{chance.choice(('faq', 'chat', 'code', 'news'))}"
        added = {
            "base_model_id": model_id,
            "adapter_name": name,
            "labels": labels,
            "out_dir": f"artifact:jobs/{job_id}",
        }
        found = [
            happened(known["FineTuningJobAdded"], job_id, 1, **added),
            happened(known["JobQueued"], job_id, 2),
        ]
        if number % 100 != 99:  # the others wait
            found.append(happened(known["AttemptStarted"], job_id, 3))
            if number % 1000 != 998:  # the others run
                end = chance.choice(ENDS)
                figures = {"eval_loss": chance.random()} if end == "JobSucceeded" else {}
                why = {"cause": "requested" if end == "JobStopped" else "crashed", "message": "it broke", "hint": None}
                data = {"metrics": figures, "adapter_id": None, **({} if figures else why)}
                found.append(happened(ended._replace(type=end), job_id, 4, **data))
        yield found


def _event_row(event: RecordedEvent) -> dict[str, Any]:
    row = {column.name: getattr(event, column.name, None) for column in schema.events.columns}
    return row | {"stream_id": f"{event.aggregate}/{event.entity_id}", "meta": {}}


def _points(store: Store, made: Filled, share: float) -> None:
    """The longest run's loss, then whole curves of the newest jobs until there are as many points as wanted."""
    wanted = round(POINTS * share)
    for begin in range(0, round(LONGEST * share), 50_000):
        steps = range(begin, min(begin + 50_000, round(LONGEST * share)))
        store.write(_measured(made.longest, ("loss",), steps))
        made.points += len(steps)
    for job_id in reversed(made.jobs):
        if made.points >= wanted:
            return
        if job_id != made.longest:
            store.write(_measured(job_id, NAMES, range(STEPS)))
            made.points += STEPS * len(NAMES)


def _measured(job_id: str, names: tuple[str, ...], steps: range) -> Rows:
    rows = Rows(attempts={(job_id, 1): AttemptRow(steps[-1], float(steps[-1]))})
    rows.metrics = [
        (job_id, name, step, 1, step, 3.0 / (1 + step / 5000) + (step * 7919 % 101) / 500, None, 1.7e9 + step)
        for step in steps
        for name in names
    ]
    return rows


def _log(store: Store, job_id: str, size: int) -> int:
    line = "10:00:00 INFO step {:09d} of a run that says a good deal about what it is doing at any moment\n"
    piece = 150 * len(line.format(0))
    rows = Rows()
    for number, offset in enumerate(range(0, size, piece)):
        text = "".join(line.format(150 * number + at) for at in range(150))
        if number % 500 == 0:
            text = text.replace("INFO step", "ERROR at:", 1)
        rows.logs.append((job_id, 1, offset, 2_000_000 + number, text, 0.0))
        if len(rows.logs) == 100 or offset + piece >= size:
            store.write(rows)
            rows = Rows()
    return -(-size // piece) * piece


def questions(made: Filled) -> dict[str, tuple[str, ask.Query]]:
    """(goal, query) by what it is for."""
    run, some = made.longest, made.jobs[len(made.jobs) // 2]
    middle = str(len(made.jobs) // 2)
    return {
        "jobs, the newest": ("list", ask.ListAllJobs()),
        "jobs, a page in the middle": ("list", ask.ListAllJobs(after=middle)),
        "jobs that failed, by update": ("list", ask.ListAllJobs(states=["failed"], sort="updated")),
        "jobs by a text in their name": ("list", ask.ListAllJobs(search="-77")),
        "jobs by label and model": ("list", ask.ListAllJobs(label="batch-3", model_id="base-3")),
        "jobs by loss": ("list", ask.ListAllJobs(sort="loss", descending=False)),
        "jobs by duration": ("list", ask.ListAllJobs(sort="duration")),
        "jobs by name": ("list", ask.ListAllJobs(sort="name", descending=False)),
        "the queue": ("list", ask.ListQueue()),
        "the overview": ("list", ask.GetOverview()),
        "events, the newest": ("list", ask.ListEvents(newest=True)),
        "events of a type, the newest": ("list", ask.ListEvents(newest=True, type="JobFailed")),
        "events of one job": ("list", ask.ListEvents(aggregate="fine_tuning_job", entity_id=some)),
        "events of somebody who sent none": ("list", ask.ListEvents(newest=True, actor="nobody")),
        "events of one request": ("list", ask.ListEvents(correlation_id=some)),
        "what uses a model": ("list", ask.ListUses(aggregate="model", id="base-3")),
        "one job": ("list", ask.GetFineTuningJob(id=some)),
        "the longest run's chart": ("chart", ask.GetMetrics(job_id=run, points=CHART_POINTS)),
        "the end of its log": ("list", ask.GetLog(job_id=run, tail=64_000)),
        "errors in its log": ("chart", ask.SearchLog(job_id=run, level="ERROR", limit=50)),
    }


def timed(work: Callable[[], Any], tries: int) -> list[float]:
    found = []
    for _ in range(tries):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return found


def ask_one(made: Filled, query: ask.Query) -> dict[str, Any]:
    with database.read(made.measured) as measured, database.read(made.ledger) as ledger:
        return queries.answer(query, ledger, measured)


def stamp(made: Filled) -> tuple[freshness.Stamp, ...]:
    with database.read(made.measured) as measured, database.read(made.ledger) as ledger:
        return (
            freshness.of_ledger(ledger),
            freshness.of_telemetry(measured),
            freshness.of_telemetry(measured, made.longest),
        )


def measure(name: str, made: Filled, tries: int = TRIES) -> list[dict[str, Any]]:
    goals = {"list": LIST_GOAL, "chart": CHART_GOAL}
    asked: dict[str, tuple[float | None, Callable[[], Any]]] = {
        what: (goals[goal], lambda query=query: ask_one(made, query)) for what, (goal, query) in questions(made).items()
    }
    asked["whether anything changed"] = (None, lambda: stamp(made))
    rows = []
    for what, (goal, work) in asked.items():
        work()  # as the caches of a page that people look at are warm
        seconds = sorted(timed(work, tries))
        rows.append(
            {
                "what": f"{what}, {name} (ms: middle and 95th percentile)",
                "baseline": round(statistics.median(seconds) * 1000, 1),
                "ours": round(seconds[int(len(seconds) * 0.95)] * 1000, 1),
                "ratio": None,
                "goal": goal and round(goal * 1000),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    asked = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder, databases(asked.database, Path(folder)) as urls:
        for name, url in urls:
            begun = time.perf_counter()
            beside = url if name == "PostgreSQL" else f"sqlite:///{folder}/telemetry.db"
            made = fill(url, beside, asked.share)
            held = f"{len(made.jobs):,} jobs, {made.points:,} points, a log of {made.log_bytes:,} bytes"
            print(f"{name}: {held}; filled in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
            rows += measure(name, made)
            made.ledger.dispose()
            made.measured.dispose()
    show(rows, as_json=asked.json)


def show(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Rows whose `baseline` and `ours` are two figures of our own: the middle and the worst."""
    if as_json:
        print(json.dumps({"rows": rows}))
        return
    for row in rows:
        print(f"{row['what']}: {row['baseline']}, {row['ours']} (goal {row['goal']})")


if __name__ == "__main__":
    main()
