"""How fast commands become outcomes over the bus: many at once, and one at a time.

    python tests/benchmarks/commands.py [--json] [--pairs 5] [--commands 6400] [--single 1000] [--relay]

Ours is the registry's own process on SQLite behind a real nats-server; the client publishes `AddPrompt` commands (a
reference to load, a name to be unique, an event, an inline row) and counts outcomes at its reply inbox. The baseline of
the first row is raw JetStream publishes of the same bodies to a stream of the same settings on the same server, with
nats-py's `publish_async`, the way its documentation gives for throughput; both keep 64 in flight. Every acknowledged
publish is fsynced (`sync_interval: always`), as is every outcome.
The baseline of the second is a raw core request that another process answers, after one durable SQLite commit of one
row (WAL, synchronous FULL). Both sides take turns, and each ratio is the median of the pairs'.
With --relay the relay runs too, and carries the events of these very commands to their stream meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import uuid4

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import api
from tunebus.contracts.envelope import CommandEnvelope
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform import topology
from tunebus.services.platform.connection import connect_to
from tunebus.services.platform.server import NatsServer

IN_FLIGHT = 64
RAW_STREAM = "RAW"
GOALS = {"throughput": 0.55, "p50": 2.5, "p99": 3.5}
RUNS = 3

ECHO = """
import asyncio, sqlite3, sys, nats
async def main():
    connection = sqlite3.connect(sys.argv[2], isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL"):
        connection.execute("PRAGMA " + pragma)
    connection.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, body BLOB)")
    client = await nats.connect(sys.argv[1])
    async def answer(message):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO kept (body) VALUES (?)", (message.data,))
        connection.execute("COMMIT")
        await message.respond(message.data)
    await client.subscribe("raw.request", cb=answer)
    await client.flush()
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


class Studio:
    """A registry and what answers the raw requests, each in a process of its own."""

    def __init__(self, folder: Path, server: NatsServer, *, relay: bool) -> None:
        self._folder = folder
        self._server = server
        self._relay = relay
        self._processes: list[subprocess.Popen[bytes]] = []
        self.subjects = Subjects("bench")

    async def start(self) -> None:
        home = self._folder / "home"
        home.mkdir()
        environment = {
            **os.environ,
            "TUNEBUS_HOME": str(home),
            "TUNEBUS_NATS_URL": self._server.url,
            "TUNEBUS_NAMESPACE": self.subjects.namespace,
            "TUNEBUS_DATASET_ROOTS": str(self._folder),
        }
        names = ["tunebus.services.registry"] + (["tunebus.services.registry.relay"] if self._relay else [])
        for name in names:
            with (self._folder / f"{name}.log").open("wb") as log:
                self._processes.append(
                    subprocess.Popen([sys.executable, "-m", name], env=environment, stdout=log, stderr=log)
                )
            state = home / "services" / f"{name.rsplit('.', 1)[1]}.json"
            await _until(lambda state=state: state.exists() and json.loads(state.read_text())["state"] == "ready")  # type: ignore[misc]
        echo = subprocess.Popen(
            [sys.executable, "-c", ECHO, self._server.url, str(self._folder / "echo.db")], stdout=subprocess.PIPE
        )
        self._processes.append(echo)
        assert echo.stdout is not None
        assert await asyncio.to_thread(echo.stdout.readline) == b"ready\n"

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(20)


async def _until(probe: object, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not probe():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise SystemExit("the registry did not become ready")
        await asyncio.sleep(0.05)


class Sender:
    """Sends commands the way a lean client does, and waits for outcomes on one inbox."""

    def __init__(self, client: Client, subjects: Subjects, dataset_id: str) -> None:
        self._client = client
        self._subject = subjects.command("prompt", "AddPrompt")
        self._dataset_id = dataset_id
        self._inbox = client.new_inbox()
        self._headers = {"reply_to": self._inbox}
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._done = asyncio.Event()
        self._left = 0

    async def open(self) -> None:
        await self._client.subscribe(self._inbox, cb=self._outcome)
        await self._client.flush()

    def bodies(self, count: int) -> list[bytes]:
        return [self._body() for _ in range(count)]

    def _body(self) -> bytes:
        data = {
            "name": uuid4().hex,
            "dataset_id": self._dataset_id,
            "prompt_template": "{input}\n{completion}",
            "input_template": "{question}",
            "completion_template": "{answer}",
        }
        return CommandEnvelope(id=str(uuid4()), type="AddPrompt", data=data).to_bytes()

    async def many(self, bodies: Sequence[bytes]) -> float:
        """Seconds until every outcome is there, with 64 commands in flight."""
        self._left = len(bodies)
        self._done.clear()
        started = time.perf_counter()
        for body in bodies:
            await self._slots.acquire()
            await self._client.publish(self._subject, body, headers=self._headers)
        await self._done.wait()
        return time.perf_counter() - started

    async def one(self, body: bytes) -> float:
        self._left = 1
        self._done.clear()
        await self._slots.acquire()
        started = time.perf_counter()
        await self._client.publish(self._subject, body, headers=self._headers)
        await self._done.wait()
        return time.perf_counter() - started

    async def _outcome(self, message: Msg) -> None:
        assert b'"accepted"' in message.data, message.data
        self._slots.release()
        self._left -= 1
        if not self._left:
            self._done.set()


async def raw_publishes(client: Client, bodies: Sequence[bytes]) -> float:
    js = client.jetstream(publish_async_max_pending=IN_FLIGHT)
    started = time.perf_counter()
    for body in bodies:
        await js.publish_async("raw.publish", body, wait_stall=30)
    await js.publish_async_completed()
    return time.perf_counter() - started


async def raw_request(client: Client, body: bytes) -> float:
    started = time.perf_counter()
    await client.request("raw.request", body, timeout=10)
    return time.perf_counter() - started


@contextlib.asynccontextmanager
async def studio(*, relay: bool) -> AsyncIterator[tuple[Client, Sender]]:
    with tempfile.TemporaryDirectory(prefix="tunebus-bench-", dir=os.environ.get("TUNEBUS_BENCH_DIR")) as name:
        folder = Path(name)
        server = NatsServer(folder / "nats", password=secrets.token_urlsafe(12))
        server.start()
        try:
            admin = await connect_to(server.url, "bench", wait=10)
            found = Studio(folder, server, relay=relay)
            await topology.apply(admin, found.subjects)
            settings = next(s for s in topology.streams(found.subjects) if s.name == found.subjects.commands_stream)
            raw = api.StreamConfig(name=RAW_STREAM, **{**settings.settings, "subjects": ["raw.publish"]})
            await admin.jsm().add_stream(raw)
            await admin.close()
            try:
                await found.start()
                client = await nats.connect(server.url)
                (folder / "faq.csv").write_text("question,answer\nwhy,because\n")
                sender = Sender(client, found.subjects, await _add_dataset(client, found.subjects, folder / "faq.csv"))
                await sender.open()
                yield client, sender
                await client.close()
            finally:
                found.stop()
        finally:
            server.stop()


async def _add_dataset(client: Client, subjects: Subjects, path: Path) -> str:
    inbox = client.new_inbox()
    replies = await client.subscribe(inbox)
    body = CommandEnvelope(id=str(uuid4()), type="AddDataset", data={"name": "faq", "path": str(path)}).to_bytes()
    await client.publish(subjects.command("dataset", "AddDataset"), body, headers={"reply_to": inbox})
    outcome = json.loads((await replies.next_msg(30)).data)
    assert outcome["outcome"] == "accepted", outcome
    return str(outcome["id"])


async def measure(pairs: int, commands: int, single: int, *, relay: bool) -> list[dict[str, object]]:
    async with studio(relay=relay) as (client, sender):
        await sender.many(sender.bodies(640))
        await raw_publishes(client, sender.bodies(640))
        ours, theirs = [], []
        for pair in range(pairs):
            for side in (0, 1) if pair % 2 else (1, 0):
                bodies = sender.bodies(commands)
                if side:
                    ours.append(commands / await sender.many(bodies))
                else:
                    theirs.append(commands / await raw_publishes(client, bodies))
        await asyncio.sleep(1)  # the last purge is not part of a lone command's time
        latencies: list[tuple[list[float], list[float]]] = []
        for _ in range(RUNS):
            mine, raw = [], []
            for body in sender.bodies(single):
                mine.append(await sender.one(body))
                raw.append(await raw_request(client, body))
            latencies.append((mine, raw))
    rows = [_row("commands per second, 64 in flight", theirs, ours, GOALS["throughput"], digits=0)]
    for name, part in (("p50", 0.5), ("p99", 0.99)):
        mine = [_quantile(run[0], part) * 1000 for run in latencies]
        raw = [_quantile(run[1], part) * 1000 for run in latencies]
        rows.append(_row(f"command to outcome, one at a time, {name} in ms", raw, mine, GOALS[name], digits=2))
    return rows


def _row(what: str, baseline: Sequence[float], ours: Sequence[float], goal: float, *, digits: int) -> dict[str, object]:
    ratios = [mine / other for mine, other in zip(ours, baseline, strict=True)]
    return {
        "what": what,
        "baseline": round(statistics.median(baseline), digits),
        "ours": round(statistics.median(ours), digits),
        "ratio": round(statistics.median(ratios), 3),
        "goal": goal,
    }


def _quantile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--commands", type=int, default=6400)
    parser.add_argument("--single", type=int, default=1000)
    parser.add_argument("--relay", action="store_true")
    given = parser.parse_args()
    rows = asyncio.run(measure(given.pairs, given.commands, given.single, relay=given.relay))
    if given.json:
        print(json.dumps({"rows": rows}))
        return
    for row in rows:
        print(
            f"{row['what']:<50} baseline {row['baseline']:>9} ours {row['ours']:>9} "
            f"ratio {row['ratio']} (goal {row['goal']})"
        )


if __name__ == "__main__":
    main()
