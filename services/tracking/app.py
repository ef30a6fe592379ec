"""Wires the mirrors to the bus: MLflow and TensorBoard each follow with durables of their own, so that neither waits
for the other."""

from __future__ import annotations

import asyncio
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nats.aio.client import Client
from tunebus.contracts.client import AsyncClient
from tunebus.contracts.errors import Code, fail
from tunebus.services.platform import process, topology
from tunebus.services.platform.connection import connect
from tunebus.services.platform.process import Service
from tunebus.services.platform.pull import StandingPull
from tunebus.services.platform.worker.calls import Registry
from tunebus.services.tracking.following import Following, Take
from tunebus.services.tracking.mlflow_runs import MLflowRuns
from tunebus.services.tracking.tensorboard import TensorBoardFiles

NAME = "tracking"
ASK_SECONDS = 10.0


async def main(service: Service) -> None:
    """Mirror until told to stop. Errors: `unavailable` where a mirror that was asked for has no library."""
    settings = service.settings
    for mirror in settings.mirrors:
        if importlib.util.find_spec(mirror) is None:
            raise fail(
                Code.UNAVAILABLE,
                f"{mirror} is not installed",
                param="TUNEBUS_TRACKING",
                hint="pip install 'tunebus[tracking]', or take it out of TUNEBUS_TRACKING",
            )
    service.home.create()
    client = await connect(settings, NAME)
    threads: dict[str, ThreadPoolExecutor] = {
        mirror: ThreadPoolExecutor(1, thread_name_prefix=mirror) for mirror in settings.mirrors
    }
    files = TensorBoardFiles(service.home)
    try:
        await topology.require(client, settings.subjects)
        asking = AsyncClient(client, settings.subjects, source=NAME, timeout=ASK_SECONDS)
        takes: list[tuple[str, str, str, Take]] = []
        subjects = settings.subjects
        if "tensorboard" in settings.mirrors:
            takes.append(("tensorboard", subjects.telemetry_stream, topology.TENSORBOARD, files.take))
        if "mlflow" in settings.mirrors:
            runs = _mlflow(service, asking)
            takes.append(("mlflow", subjects.events_stream, topology.MLFLOW, runs.take_events))
            takes.append(("mlflow", subjects.telemetry_stream, topology.MLFLOW, runs.take_telemetry))
        await _follow(service, client, takes, threads)
    finally:
        files.close()
        for pool in threads.values():
            pool.shutdown(wait=False, cancel_futures=True)
        await client.close()


async def _follow(
    service: Service, client: Client, takes: list[tuple[str, str, str, Take]], threads: dict[str, ThreadPoolExecutor]
) -> None:
    record = Registry(client, service.settings.subjects).record_dead_letter
    following = [
        Following(mirror, StandingPull(client, stream, consumer), take, threads[mirror], record)
        for mirror, stream, consumer, take in takes
    ]
    running = [asyncio.create_task(one.run()) for one in following]
    stopping = asyncio.create_task(service.stop.wait(), name="stop")
    service.ready()
    try:
        await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            if task.done():
                await task  # raises what ended it
    finally:
        for one in following:
            await one.stop()
        await process.end_tasks(*running, stopping)


def _mlflow(service: Service, client: AsyncClient) -> MLflowRuns:
    loop = asyncio.get_running_loop()

    def ask(query: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The registry's answer, for the mirror's thread."""
        return asyncio.run_coroutine_threadsafe(client.query(query, arguments), loop).result(2 * ASK_SECONDS)

    settings = service.settings
    own = settings.mlflow_tracking_uri is None
    return MLflowRuns(
        settings.mlflow_uri,
        settings.namespace,
        service.home,
        ask,
        artifacts=settings.home / "mlflow" / "artifacts" if own else None,
    )
