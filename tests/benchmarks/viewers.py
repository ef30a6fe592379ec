"""What many viewers of a running job cost, and how late they are.

    python tests/benchmarks/viewers.py [--json] [--viewers 20] [--seconds 30]

A studio trains the starter model; each viewer asks once a second what its page's timer asks, and then for the newest
points of the curves, as `live.js` and `sources.js` do. The processor time is that of the process that serves the pages.
How late: from the measuring of a point, and from the recording of an event, to the answer that brought it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from tunebus.contracts.client import Client

GOAL_CORES = 0.5
GOAL_SECONDS = 2.0
NAMES = "epoch,eval_loss,eval_token_accuracy,grad_norm,learning_rate,loss,token_accuracy,tokens_per_second"
TICK = 1.0


@dataclass
class Seen:
    """What all viewers saw: seconds by which points and events were late, requests, and bytes that came."""

    points: list[float] = field(default_factory=list)
    events: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    bytes: int = 0


async def view(client: httpx.AsyncClient, job: str, until: float, begin: float, seen: Seen) -> None:
    """One open page of a job with its charts."""
    page: dict[str, Any] = {"version": "", "marks": {}}
    version, marked, since, last_event = "", "", None, 0.0
    while time.monotonic() < until:
        due = time.monotonic() + TICK
        headers = {"x-tunebus-seen": json.dumps(page)}
        news = await asked(client, "/live/jobs", {"id": job}, seen, headers)
        if news is not None:
            page = {"version": news["version"], "marks": page["marks"] | news["marks"]}
            given = {"job": job, "names": NAMES, "points": "1200", "version": version, "marked": marked}
            found = await asked(
                client, "/data/metrics", given | ({"since": str(since)} if since is not None else {}), seen
            )
            if found and "series" in found:
                now = time.time()
                times = found["series"].get("loss", {}).get("times", ())
                if since is not None:
                    seen.points += [now - t for t in times[-1:] if t > begin]
                    fresh = [mark["t"] for mark in found.get("marks", ()) if mark["t"] and mark["t"] > last_event]
                    seen.events += [now - t for t in fresh if t > begin]
                last_event = max([last_event, *(mark["t"] for mark in found.get("marks", ()) if mark["t"])])
                version, marked, since = found["version"], found["marked"], found["next"]
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def asked(
    client: httpx.AsyncClient, path: str, arguments: dict[str, str], seen: Seen, headers: dict[str, str] | None = None
) -> dict[str, Any] | None:
    began = time.perf_counter()
    answer = await client.get(path, params=arguments, headers=headers)
    seen.answers.append(time.perf_counter() - began)
    seen.bytes += len(answer.content)
    if answer.status_code == 204:
        return None
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


async def watch(url: str, job: str, pid: int, viewers: int, seconds: float) -> tuple[float, Seen]:
    """(cores that the pages' process took, what the viewers saw)."""
    process, seen = psutil.Process(pid), Seen()
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30)) for _ in range(viewers)]
        # The first answers are whole ones; what counts is how it goes on.
        await asyncio.gather(*(view(client, job, time.monotonic() + 2, time.time(), Seen()) for client in clients))
        before, began = process.cpu_times(), time.monotonic()
        tasks = []
        for client in clients:
            tasks.append(asyncio.create_task(view(client, job, began + seconds, time.time() + 3, seen)))
            await asyncio.sleep(TICK / viewers)
        await asyncio.gather(*tasks)
        after, took = process.cpu_times(), time.monotonic() - began
    return (after.user + after.system - before.user - before.system) / took, seen


def eventually(probe: Callable[[], Any], what: str, deadline: float = 180.0) -> Any:
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        with contextlib.suppress(OSError, ValueError, KeyError):
            if found := probe():
                return found
        time.sleep(0.2)
    raise SystemExit(f"waited {deadline:.0f} s in vain: {what}")


def measure(viewers: int, seconds: float) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("TUNEBUS_")}
        environment = kept | {
            "TUNEBUS_HOME": str(home),
            "TUNEBUS_UI_PORT": "0",
            "TUNEBUS_TRACKING": "off",
            "TUNEBUS_THREADS_PER_JOB": "1",
        }
        studio = subprocess.Popen(
            [sys.executable, "-m", "tunebus.ui.cli.app", "up"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            run = eventually(
                lambda: (
                    (found := json.loads((home / "run.json").read_text()))["defaults"]["state"] == "done"
                    and found["ui_url"]
                    and found
                ),
                "the studio is up",
            )
            job = started(run["nats_url"])
            pid = run["services"]["ui"]["pid"]
            cores, seen = asyncio.run(watch(run["ui_url"], job, pid, viewers, seconds))
        finally:
            studio.terminate()
            studio.wait(60)
    return [
        row(f"{viewers} viewers of a running job, cores of the pages' process", round(cores, 3), f"<= {GOAL_CORES:g}"),
        row("point measured to its being served, s, median", late(seen.points, 0.5), f"<= {GOAL_SECONDS:g} s"),
        row("point measured to its being served, s, p95", late(seen.points, 0.95), None),
        row("event recorded to its being served, s, p95", late(seen.events, 0.95), f"<= {GOAL_SECONDS:g} s"),
        row("an answer, ms, p95", round(1000 * (late(seen.answers, 0.95) or 0), 1), None),
        row("sent to a viewer, kB/s", round(seen.bytes / 1000 / seconds / viewers, 2), None),
    ]


def started(nats_url: str) -> str:
    """A long fine-tuning that has begun to train."""
    with Client.connect(url=nats_url) as client:
        outcome = client.send(
            "StartFineTuningJob",
            base_model_id="starter",
            dataset_id="starter-questions",
            prompt_id="starter-prompt",
            max_steps=5000,
            save_steps=20,
            eval_steps=1000,
            batch_size=4,
            max_length=64,
        )
        if outcome.error is not None:
            raise SystemExit(outcome.error.message)
        eventually(
            lambda: client.query("GetMetrics", job_id=outcome.id, names=["loss"])["series"].get("loss"),
            "the job trains",
        )
        return str(outcome.id)


def late(values: list[float], share: float) -> float | None:
    if len(values) < 2:
        return None
    return round(statistics.quantiles(values, n=100, method="inclusive")[round(100 * share) - 1], 3)


def row(what: str, ours: float | None, goal: str | None) -> dict[str, object]:
    return {"what": what, "baseline": None, "ours": ours, "ratio": None, "goal": goal}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    rows = measure(given.viewers, given.seconds)
    print(json.dumps({"rows": rows}) if given.json else "\n".join(map(str, rows)))


if __name__ == "__main__":
    main()
