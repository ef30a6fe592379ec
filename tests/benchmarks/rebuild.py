"""Projection rebuild against raw `executemany` of the rows that the tables end with.

    python tests/benchmarks/rebuild.py [--json] [--jobs 2000] [--pairs 5] [--database sqlite|postgresql|both]

The history is that of a busy studio: for each job its start with a real recipe, its attempt, checkpoints and adapter.
The baseline inserts the final rows, already encoded, into the same tables with the same indexes, in one transaction.
Runs are interleaved; the ratio is the median of the pairs' ratios, in rows a second.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from sqlalchemy import Engine, Table, select, type_coerce
from sqlalchemy.types import NullType
from tunebus.contracts.events import EVENTS, RecordedEvent
from tunebus.contracts.identifiers import new_id, timestamp
from tunebus.contracts.recipes import DatasetSource, FineTuningRecipe, LoraSettings, ModelSource, TrainingArguments
from tunebus.projections import PROJECTIONS, metadata
from tunebus.projections.rebuild import Record, ensure, rebuild
from tunebus.services.platform import database
from tunebus.services.platform.upcasters import UPCASTERS

from tests.fixtures.databases import postgresql_database, postgresql_server
from tests.fixtures.histories import record

GOAL = 0.25


def history(jobs: int) -> list[RecordedEvent]:
    """Events of a studio with a dataset and a prompt for every ten jobs."""
    events: list[RecordedEvent] = []
    versions: dict[str, int] = {}

    def happen(aggregate: str, entity_id: str, type: str, /, **data: Any) -> str:
        versions[entity_id] = versions.get(entity_id, 0) + 1
        events.append(
            RecordedEvent(
                position=len(events) + 1,
                event_id=new_id(),
                aggregate=aggregate,
                entity_id=entity_id,
                version=versions[entity_id],
                type=type,
                schema_version=1,
                data=EVENTS[type].model_validate(data).model_dump(mode="json"),
                recorded_at=timestamp(),
                correlation_id=new_id(),
                causation_id=new_id(),
                actor="benchmark",
            )
        )
        return entity_id

    sha256 = "0" * 64
    model_id = happen(
        "model", new_id(), "ModelAdded",
        name="base", type="local", location="/models/base", architecture="LlamaForCausalLM", model_family="llama",
        parameters=3_100_000, dtype="bfloat16", bytes=6_200_000, sha256=sha256,
    )  # fmt: skip
    dataset_id = prompt_id = ""
    for number in range(jobs):
        if number % 10 == 0:
            dataset_id = happen(
                "dataset", new_id(), "DatasetAdded",
                name=f"dataset {number}", type="jsonl", location=f"artifact:datasets/{number}.jsonl", format="prompt",
                features=["question", "context", "answer"], rows=1000, bytes=500_000, sha256=sha256,
            )  # fmt: skip
            prompt_id = happen(
                "prompt", new_id(), "PromptAdded",
                name=f"prompt {number}", dataset_id=dataset_id, prompt_template="{question} {context} {answer}",
                input_template="{question}\n{context}", completion_template="{answer}",
            )  # fmt: skip
        job_id = new_id()
        source = DatasetSource(
            dataset_id=dataset_id, location=f"artifact:datasets/{number}.jsonl", type="jsonl", sha256=sha256,
            features=["question", "context", "answer"], format="prompt", prompt_id=prompt_id,
        )  # fmt: skip
        recipe = FineTuningRecipe(
            model=ModelSource(model_id=model_id, location="/models/base", sha256=sha256),
            dataset=source,
            training_arguments=TrainingArguments(max_steps=200),
            lora=LoraSettings(),
            adapter_name=f"tuned-{number}",
        ).model_dump(mode="json")
        happen(
            "fine_tuning_job", job_id, "FineTuningJobAdded",
            base_model_id=model_id, dataset_id=dataset_id, prompt_id=prompt_id, adapter_name=f"tuned-{number}",
            method="lora", asked={"base_model_id": "base", "dataset_id": f"dataset {number}", "max_steps": 200},
            recipe=recipe, out_dir=f"artifact:jobs/{job_id}",
        )  # fmt: skip
        happen("fine_tuning_job", job_id, "JobQueued", cause="submitted")
        happen("fine_tuning_job", job_id, "AttemptStarted", attempt=1, worker_id="trainer-1", host="here")
        happen(
            "fine_tuning_job", job_id, "AttemptRunning",
            attempt=1, total_steps=200, resolved=recipe["training_arguments"], versions={"torch": "2.13"},
        )  # fmt: skip
        for step in (50, 100, 150, 200):
            happen(
                "fine_tuning_job", job_id, "CheckpointRecorded",
                attempt=1, step=step, uri=f"artifact:jobs/{job_id}/attempt-1/checkpoints/step-{step:08d}",
                manifest_sha256=sha256, loss=1.0 / step,
            )  # fmt: skip
        adapter_id = happen(
            "adapter", new_id(), "AdapterAdded",
            name=f"tuned-{number}", type="local", model_id=model_id, location=f"artifact:jobs/{job_id}/adapter",
            sha256=sha256, fine_tuning_job_id=job_id, prompt_id=prompt_id,
        )  # fmt: skip
        happen(
            "fine_tuning_job", job_id, "JobSucceeded",
            attempt=1, step=200, result_uri=f"artifact:jobs/{job_id}/adapter", adapter_id=adapter_id,
            metrics={"eval_loss": 0.6},
        )  # fmt: skip
    return events


def final_rows(engine: Engine) -> dict[Table, list[tuple[Any, ...]]]:
    """The rows of every table as a driver takes them: JSON as text."""
    rows = {}
    with database.read(engine) as connection:
        for table in PROJECTIONS:
            columns: list[Any] = list(table.columns)
            if engine.dialect.name == "sqlite":
                columns = [type_coerce(column, NullType()) for column in table.columns]
            found = [tuple(row) for row in connection.execute(select(*columns))]
            rows[table] = [
                tuple(json.dumps(value) if isinstance(value, dict | list) else value for value in row) for row in found
            ]
    return rows


def insert_raw(engine: Engine, rows: dict[Table, list[tuple[Any, ...]]]) -> float:
    """Empty tables, then the driver's own `executemany` of all rows and one commit. Returns seconds."""
    with engine.begin() as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
    mark = "%s" if engine.dialect.name == "postgresql" else "?"
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        begun = time.perf_counter()
        if engine.dialect.name == "sqlite":
            cursor.execute("BEGIN IMMEDIATE")
        for table, encoded in rows.items():
            if encoded:
                names = ", ".join(f'"{column.name}"' for column in table.columns)
                marks = ", ".join([mark] * len(table.columns))
                cursor.executemany(f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', encoded)
        raw.commit()
        return time.perf_counter() - begun
    finally:
        raw.close()


@contextmanager
def databases(wanted: str, folder: Path) -> Iterator[list[tuple[str, str]]]:
    found = []
    if wanted in ("sqlite", "both"):
        found.append(("SQLite", f"sqlite:///{folder / 'ledger.db'}"))
    if wanted == "sqlite":
        yield found
        return
    folder.chmod(0o755)
    with postgresql_server(folder) as server, postgresql_database(server) as url:
        yield [*found, ("PostgreSQL", url)]


def compare(name: str, url: str, events: Sequence[RecordedEvent], pairs: int) -> dict[str, Any]:
    engine = database.open_engine(url)
    database.migrate(engine)
    source = Record(engine, database.read, database.lock_ledger, UPCASTERS.upcast)
    ensure(source)
    for begin in range(0, len(events), 5000):
        with database.write(engine) as connection:
            record(connection, events[begin : begin + 5000], inline=False)
    report = rebuild(source)
    total = sum(report.rows.values())
    rows = final_rows(engine)
    assert sum(len(encoded) for encoded in rows.values()) == total

    def ours() -> float:
        begun = time.perf_counter()
        rebuild(source)
        return time.perf_counter() - begun

    runs: list[tuple[float, float]] = []
    sides: list[Callable[[], float]] = [lambda: insert_raw(engine, rows), ours]
    for number in range(pairs + 1):
        order = (0, 1) if number % 2 else (1, 0)
        seconds = {side: sides[side]() for side in order}
        if number:  # the first pair warms the caches
            runs.append((seconds[0], seconds[1]))
    engine.dispose()
    baseline, own = (statistics.median(total / run[side] for run in runs) for side in (0, 1))
    return {
        "what": f"projection rebuild, {name}, {len(events)} events into {total} rows (rows/s)",
        "baseline": round(baseline),
        "ours": round(own),
        "ratio": round(statistics.median(run[0] / run[1] for run in runs), 3),
        "goal": GOAL,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    asked = parser.parse_args()
    events = history(asked.jobs)
    with tempfile.TemporaryDirectory() as folder, databases(asked.database, Path(folder)) as urls:
        rows = [compare(name, url, events, max(5, asked.pairs)) for name, url in urls]
    if asked.json:
        print(json.dumps({"rows": rows}))
        return
    for row in rows:
        print(
            f"{row['what']}: baseline {row['baseline']}, ours {row['ours']}, ratio {row['ratio']} (goal {row['goal']})"
        )


if __name__ == "__main__":
    main()
