"""Jobs in MLflow and TensorBoard: what was missed is caught up with, nothing is there twice, neither holds up a job."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats
import pytest
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform import topology

from tests.fixtures.studio import Studio, eventually

STEPS = 8


@pytest.fixture
def tracked(make_studio: Callable[..., Studio]) -> tuple[Studio, str, str]:
    """A studio that fine-tuned and evaluated while nobody mirrored, and does now; the ids of the two jobs."""
    studio = make_studio()
    studio.await_defaults()
    with studio.client() as client:
        trained = client.send(
            "StartFineTuningJob",
            {
                "base_model_id": "starter",
                "dataset_id": "starter-questions",
                "adapter_name": "tracked",
                "max_steps": STEPS,
                "batch_size": 2,
                "max_length": 64,
                "eval_steps": STEPS,
                "train_test_split": 0.99,
                "learning_rate": 0.002,
            },
        ).id
        ended(client, "GetFineTuningJob", trained)
        combination = {"base_model_id": "starter", "adapter_id": "tracked", "dataset_id": "starter-questions"}
        outcome = client.send("StartEvaluationJob", {"combinations": [combination], "max_rows": 4})
        evaluated = client.query("ListEvaluationJobs", {"parent_id": outcome.id})["items"][0]["id"]
        ended(client, "GetEvaluationJob", evaluated)
    studio.stop()
    studio.environment["TUNEBUS_TRACKING"] = "mlflow,tensorboard"
    studio.start()
    assert trained is not None
    return studio, trained, evaluated


def ended(client: Any, query: str, job_id: str | None) -> None:
    job = eventually(
        lambda: (found := client.query(query, {"id": job_id}))["state"] in ("succeeded", "failed") and found,
        "the job's end",
        120,
    )
    assert job["state"] == "succeeded", job


def spooled(studio: Studio, job_id: str) -> dict[str, list[tuple[int, float]]]:
    """What the child measured, by name."""
    found: dict[str, list[tuple[int, float]]] = {}
    spool = studio.home / "artifacts" / "jobs" / job_id / "attempt-1" / "telemetry.jsonl"
    for line in spool.read_text().splitlines():
        record = json.loads(line)
        if record["k"] == "metric":
            for name, value in record["values"].items():
                found.setdefault(name, []).append((record["step"], float(value)))
    return found


def mlflow_runs(studio: Studio) -> dict[str, Any]:
    """MLflow's own account: run by Tunebus' job id, with the points of its loss."""
    from mlflow.tracking import MlflowClient

    database = studio.home / "mlflow" / "mlflow.db"
    if not is_made(database):
        return {}
    uri = f"sqlite:///{database}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.get_experiment_by_name("tunebus")
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    assert len({run.data.tags["tunebus.job_id"] for run in runs}) == len(runs), "an attempt has two runs"
    return {run.data.tags["tunebus.job_id"]: (run, client) for run in runs}


def is_made(database: Path) -> bool:
    """Whether the service has made the tables and its experiment; a second client would make the tables as well."""
    if not database.exists():
        return False
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            return bool(connection.execute("SELECT count(*) FROM experiments WHERE name = 'tunebus'").fetchone()[0])
        except sqlite3.OperationalError:
            return False


def finished(studio: Studio, *jobs: str) -> dict[str, Any]:
    def probe() -> dict[str, Any] | None:
        runs = mlflow_runs(studio)
        return runs if all(job in runs and runs[job][0].info.status == "FINISHED" for job in jobs) else None

    return eventually(probe, "every run finished in MLflow", 60, interval=0.5)


def tensorboard_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What stock TensorBoard reads."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    return {tag: [(item.step, item.value) for item in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def test_what_was_missed_is_mirrored_once(tracked: tuple[Studio, str, str]) -> None:
    studio, trained, evaluated = tracked
    measured = spooled(studio, trained)
    assert len(measured["loss"]) == STEPS

    def same_curves() -> bool:
        runs = finished(studio, trained, evaluated)
        run, client = runs[trained]
        history = client.get_metric_history(run.info.run_id, "loss")
        return sorted((point.step, point.value) for point in history) == sorted(measured["loss"])

    eventually(same_curves, "the whole curve in MLflow", 60, interval=0.5)
    runs = finished(studio, trained, evaluated)
    run, client = runs[trained]
    assert run.data.params["training_arguments.learning_rate"] == "0.002"
    assert run.data.params["adapter_name"] == "tracked"
    assert any(name.startswith("system/") for name in run.data.metrics)
    files = {artifact.path for artifact in client.list_artifacts(run.info.run_id, "adapter")}
    assert "adapter/adapter_model.safetensors" in files
    evaluation = runs[evaluated][0]
    assert evaluation.data.tags["mlflow.parentRunId"] == run.info.run_id
    assert evaluation.data.metrics["final/loss"] > 0

    folder = studio.home / "artifacts" / "jobs" / trained / "attempt-1" / "tensorboard"
    wanted = [(step, pytest.approx(value, rel=1e-6)) for step, value in measured["loss"]]
    eventually(
        lambda: folder.exists() and tensorboard_scalars(folder).get("train/loss") == wanted, "TensorBoard's curve"
    )
    assert [step for step, _ in tensorboard_scalars(folder)["eval/loss"]] == [step for step, _ in measured["eval_loss"]]

    mirror_everything_again(studio)
    eventually(lambda: all_settled(studio), "everything mirrored again", 60, interval=0.5)
    assert same_curves()
    assert tensorboard_scalars(folder)["train/loss"] == wanted

    with studio.client() as client:
        path = f"artifact:jobs/{trained}/attempt-1/tensorboard"
        imported = client.send("ImportRun", {"name": "from-elsewhere", "path": path}).id
        asked = {"job_id": imported, "names": ["loss", "eval_loss"]}
        series = eventually(
            lambda: (found := client.query("GetMetrics", asked))["last_step"] == STEPS and found["series"],
            "the run's curves",
        )
    assert list(zip(series["loss"]["steps"], series["loss"]["values"], strict=True)) == wanted
    assert [step for step, _ in measured["eval_loss"]] == series["eval_loss"]["steps"]
    run, client = finished(studio, imported)[imported]
    assert run.data.tags["tunebus.source"] == path
    assert run.info.end_time - run.info.start_time < 60_000, "when it ran, not when it was imported"


def mirror_everything_again(studio: Studio) -> None:
    """The mirrors' consumers as if they had never taken a message; the process starts anew, with nothing in mind."""

    async def reset() -> None:
        subjects = Subjects()
        client = await nats.connect(studio.status()["nats_url"])
        for stream, name in consumers(subjects):
            await client.jsm().delete_consumer(stream, name)
        await client.close()

    asyncio.run(reset())
    studio.stop()
    studio.start()


def all_settled(studio: Studio) -> bool:
    """Whether the mirrors have taken everything there is."""

    async def look() -> bool:
        subjects = Subjects()
        client = await nats.connect(studio.status()["nats_url"])
        infos = [await client.jsm().consumer_info(stream, name) for stream, name in consumers(subjects)]
        await client.close()
        return all(info.delivered.consumer_seq and not info.num_pending + info.num_ack_pending for info in infos)

    return asyncio.run(look())


def consumers(subjects: Subjects) -> list[tuple[str, str]]:
    return [
        (subjects.events_stream, topology.MLFLOW),
        (subjects.telemetry_stream, topology.MLFLOW),
        (subjects.telemetry_stream, topology.TENSORBOARD),
    ]
