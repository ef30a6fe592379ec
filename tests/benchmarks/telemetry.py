"""Telemetry from the spool file to the queryable row, against a raw publish, pull and `executemany` of the same bytes.

    python tests/benchmarks/telemetry.py [--json] [--records 20000] [--pairs 5] [--database sqlite|postgresql|both]

A point is one value of one step. Ours: the spool's lines are wrapped into batches by the contract's function,
published with acknowledgements by our pipeline, pulled and written by the projector's code. The baseline does the same
with nats-py as its own pages recommend (`publish_async`, `fetch` in batches of 64) and `json.loads`, and inserts with
the driver's `executemany` into a table of the same columns and key. Both use one server, with `sync_interval: always`,
and take turns; the ratio is the median of the pairs'.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import nats.errors
from nats.js import api
from sqlalchemy import Engine, func, select
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.rpc import RecordDeadLetter
from tunebus.contracts.subjects import Subjects
from tunebus.contracts.telemetry import batch_bytes
from tunebus.projections import telemetry
from tunebus.services.platform import database, topology
from tunebus.services.platform.connection import BusClient, connect_to
from tunebus.services.platform.publish import Pipeline, publish_headers
from tunebus.services.platform.pull import StandingPull
from tunebus.services.platform.server import NatsServer
from tunebus.services.projector.ingestion import Ingestion
from tunebus.services.projector.store import Store

from tests.benchmarks.rebuild import databases

VALUES_A_RECORD = 5
LINES_A_MESSAGE = 500
IN_FLIGHT = 64
GOALS = {"ratio": 0.8, "points": 50_000}


def spool(records: int) -> bytes:
    """The file that a child would have written."""
    return b"".join(
        json.dumps(
            {
                "k": "metric",
                "n": n,
                "t": 1767225600.25 + n,
                "step": n,
                "values": {
                    "loss": 2.5 / (1 + n),
                    "learning_rate": 2e-4 * n / records,
                    "grad_norm": 1.25 + n % 7,
                    "tokens_per_second": 1234.5 + n % 11,
                    "epoch": n / records,
                },
            }
        ).encode()
        + b"\n"
        for n in range(records)
    )


def messages(file: Path, job_id: str) -> list[bytes]:
    lines = file.read_bytes().splitlines(keepends=True)
    return [
        batch_bytes(job_id, 1, lines[begin : begin + LINES_A_MESSAGE])
        for begin in range(0, len(lines), LINES_A_MESSAGE)
    ]


async def refuse(letter: RecordDeadLetter) -> None:
    raise AssertionError(letter.reason)


async def ours(client: BusClient, subjects: Subjects, engine: Engine, file: Path, points: int) -> float:
    """Seconds from the file to the last row and acknowledgement."""
    job_id = new_id()
    store = Store(engine)
    pull = StandingPull(client, subjects.telemetry_stream, topology.PROJECTOR)
    ingestion = Ingestion(pull, store, refuse)
    running = asyncio.create_task(ingestion.run())
    pipeline = Pipeline(client)
    begun = time.perf_counter()
    waiting: list[asyncio.Future[api.PubAck]] = []
    for body in messages(file, job_id):
        headers = publish_headers(subjects.telemetry_stream, secrets.token_hex(8))
        waiting.append(await pipeline.send(subjects.telemetry(job_id, 1), body, headers))
        if len(waiting) >= IN_FLIGHT:
            await waiting.pop(0)
    await asyncio.gather(*waiting)
    while ingestion.written < points:
        await asyncio.sleep(0.001)
    await client.flush()
    seconds = time.perf_counter() - begun
    await pipeline.close()
    await ingestion.stop()
    await running
    with database.read(engine) as connection:
        kept = connection.scalar(
            select(func.count()).select_from(telemetry.metrics).where(telemetry.metrics.c.job_id == job_id)
        )
    assert kept == points
    return seconds


async def raw(client: BusClient, engine: Engine, file: Path, points: int) -> float:
    """The same with the libraries alone."""
    js = client.jetstream()
    name = f"RAW{secrets.token_hex(4)}"
    await js.add_stream(api.StreamConfig(name=name, subjects=[f"{name}.>"], storage=api.StorageType.FILE))
    pull = await js.pull_subscribe(f"{name}.>", durable=name, stream=name)
    job_id = new_id()
    mark = "%s" if engine.dialect.name == "postgresql" else "?"
    insert = f"INSERT INTO {name} VALUES ({', '.join([mark] * 7)})"
    connection = engine.raw_connection()
    cursor = connection.cursor()
    if engine.dialect.name == "sqlite":
        cursor.execute("PRAGMA query_only = OFF")  # the pool's connection may have read last
    suffix = " WITHOUT ROWID" if engine.dialect.name == "sqlite" else ""
    cursor.execute(
        f"CREATE TABLE {name} (job_id TEXT NOT NULL, name TEXT NOT NULL, step BIGINT NOT NULL, "
        f"attempt INTEGER NOT NULL, n BIGINT NOT NULL, value DOUBLE PRECISION, t DOUBLE PRECISION, "
        f"PRIMARY KEY (job_id, name, step, attempt, n)){suffix}"
    )
    connection.commit()

    def write(bodies: list[bytes]) -> int:
        rows = [
            (batch["job_id"], name, record["step"], batch["attempt"], record["n"], value, record["t"])
            for batch in map(json.loads, bodies)
            for record in batch["records"]
            for name, value in record["values"].items()
        ]
        if engine.dialect.name == "sqlite":
            cursor.execute("BEGIN IMMEDIATE")
        cursor.executemany(insert, rows)
        connection.commit()
        return len(rows)

    async def consume() -> None:
        written = 0
        while written < points:
            try:
                taken = await pull.fetch(64, timeout=0.05)
            except nats.errors.TimeoutError:
                continue
            written += await asyncio.to_thread(write, [message.data for message in taken])
            for message in taken:
                await message.ack()

    begun = time.perf_counter()
    consuming = asyncio.create_task(consume())
    waiting: list[asyncio.Future[api.PubAck]] = []
    for body in messages(file, job_id):
        waiting.append(await js.publish_async(f"{name}.{job_id}", body, stream=name))
        if len(waiting) >= IN_FLIGHT:
            await waiting.pop(0)
    await asyncio.gather(*waiting)
    await consuming
    await client.flush()
    seconds = time.perf_counter() - begun
    await js.delete_stream(name)
    cursor.execute(f"DROP TABLE {name}")
    connection.commit()
    connection.close()
    return seconds


async def compare(name: str, url: str, server: str, file: Path, points: int, pairs: int) -> dict[str, Any]:
    engine = database.open_engine(url, synchronous="NORMAL")
    Store(engine).create()
    client = await connect_to(server, "benchmark", wait=10)
    subjects = Subjects(f"b{secrets.token_hex(4)}")
    await topology.apply(client, subjects)
    sides: list[Callable[[], Awaitable[float]]] = [
        lambda: raw(client, engine, file, points),
        lambda: ours(client, subjects, engine, file, points),
    ]
    runs: list[tuple[float, float]] = []
    for number in range(pairs + 1):
        order = (0, 1) if number % 2 else (1, 0)
        seconds = {side: await sides[side]() for side in order}
        if number:  # the first pair warms the caches
            runs.append((seconds[0], seconds[1]))
    for stream in topology.streams(subjects):
        await client.jsm().delete_stream(stream.name)
    await client.close()
    engine.dispose()
    baseline, own = (statistics.median(points / run[side] for run in runs) for side in (0, 1))
    return {
        "what": f"telemetry, file to queryable row, {name} (points/s; also at least {GOALS['points']})",
        "baseline": round(baseline),
        "ours": round(own),
        "ratio": round(statistics.median(run[0] / run[1] for run in runs), 3),
        "goal": GOALS["ratio"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    asked = parser.parse_args()
    points = asked.records * VALUES_A_RECORD
    with tempfile.TemporaryDirectory() as folder, databases(asked.database, Path(folder)) as urls:
        file = Path(folder) / "telemetry.jsonl"
        file.write_bytes(spool(asked.records))
        server = NatsServer(Path(folder) / "nats", password=secrets.token_urlsafe(16))
        server.start()
        try:
            rows = [
                asyncio.run(compare(name, url, server.url, file, points, max(5, asked.pairs))) for name, url in urls
            ]
        finally:
            server.stop()
    if asked.json:
        print(json.dumps({"rows": rows}))
        return
    for row in rows:
        print(
            f"{row['what']}: baseline {row['baseline']}, ours {row['ours']}, ratio {row['ratio']} (goal {row['goal']})"
        )


if __name__ == "__main__":
    main()
