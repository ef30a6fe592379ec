"""Trainings that ran elsewhere: their TensorBoard files are read, shown as jobs that have ended, and never started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts.errors import Code, fail
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform import database, topology
from tunebus.services.platform.pull import StandingPull
from tunebus.services.platform.settings import Settings
from tunebus.services.projector.ingestion import Ingestion
from tunebus.services.projector.store import Store
from tunebus.services.registry.run_sending import RunSender

from tests.fixtures.adapters import lora_files
from tests.fixtures.registry import Running, eventually, serving

STEPS = 40
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def projecting(running: Running) -> AsyncIterator[Running]:
    """The registry, with the projector's own writer beside it."""
    engine = database.open_engine(running.settings.telemetry_url, synchronous="NORMAL")
    store = Store(engine)
    store.create()

    async def never(letter: Any) -> None:
        raise AssertionError(letter)

    pull = StandingPull(running.bus, running.subjects.telemetry_stream, topology.PROJECTOR)
    ingestion = Ingestion(pull, store, never)
    task = asyncio.create_task(ingestion.run())
    yield running
    await ingestion.stop()
    await task
    engine.dispose()


def logged(folder: Path) -> Path:
    """A run as PyTorch's own writer logs it, in two files: the second goes on after a restart, from step 30."""
    from torch.utils.tensorboard import SummaryWriter

    for first, last, better in ((1, 35, 0.0), (30, STEPS, 0.5)):
        with SummaryWriter(str(folder), filename_suffix=f".{first:04d}") as writer:
            writer.add_text("args/text", "learning_rate: 0.001", 0)
            for step in range(first, last + 1):
                writer.add_scalar("train/loss", 2.0 / step - better, step, walltime=1_700_000_000 + step)
                writer.add_scalar("train/learning_rate", 1e-3, step, walltime=1_700_000_000 + step)
                if step % 10 == 0:
                    writer.add_scalar("eval/loss", float("nan"), step, walltime=1_700_000_000 + step)
    return folder


async def job(running: Running, reference: str) -> dict[str, Any]:
    return await running.client.query("GetFineTuningJob", {"id": reference})


async def curves(running: Running, job_id: str, last: int = STEPS) -> dict[str, Any]:
    async def all_there() -> dict[str, Any] | None:
        found = await running.client.query("GetMetrics", {"job_id": job_id})
        return found["series"] if found["last_step"] == last else None

    found: dict[str, Any] = await eventually(all_there, "the curves")
    return found


async def test_a_run_from_elsewhere_is_shown_with_its_curves_and_cannot_be_started(projecting: Running) -> None:
    running = projecting
    await running.things()
    folder = await asyncio.to_thread(logged, running.files / "older")
    asked = {"path": str(folder), "base_model_id": "starter", "labels": ["cluster"], "notes": "from the cluster"}
    job_id = await running.accepted("ImportRun", name="older-run", **asked)

    shown = await job(running, "older-run")
    assert (shown["id"], shown["state"], shown["cause"], shown["method"]) == (
        job_id, "succeeded", "imported", "imported",
    )  # fmt: skip
    assert (shown["base_model_name"], shown["dataset_id"], shown["labels"]) == ("starter", None, ["cluster"])
    assert (shown["step"], shown["started_at"]) == (STEPS, "2023-11-14T22:13:21.000000Z")
    run = shown["imported"]
    assert (run["source"], run["files"], run["curves"]) == (str(folder), 2, ["eval_loss", "learning_rate", "loss"])
    assert shown["metrics"] == {"eval_loss": None, "learning_rate": pytest.approx(1e-3), "loss": pytest.approx(-0.45)}
    assert "2 values that are no scalars" in shown["warnings"][0]

    series = await curves(running, job_id)
    assert series["loss"]["steps"] == list(range(1, STEPS + 1))
    assert series["loss"]["values"][28:31] == pytest.approx([2 / 29, 2 / 30 - 0.5, 2 / 31 - 0.5]), (
        "what was logged after the restart counts"
    )
    assert series["eval_loss"]["values"] == ["NaN"] * 4

    assert (await running.claim()).assignment is None
    for command, more in (
        ("RetryFineTuningJob", {}),
        ("ResumeFineTuningJob", {"step": 10}),
        ("CloneFineTuningJob", {"changes": {"learning_rate": 1e-4}}),
        ("BranchFineTuningJob", {}),
        ("ExtendFineTuningJob", {"num_epochs": 1}),
        ("RerunFineTuningJob", {}),
    ):
        problem = await running.refused(command, id=job_id, **more)
        assert (problem.code, problem.param) == (Code.WRONG_STATE, "id"), command
        assert "older-run was imported: it ran elsewhere" in problem.message, command
    assert (await running.refused("StopFineTuningJob", id=job_id)).code == Code.WRONG_STATE
    assert [event.type for event in running.events(entity_id=job_id)] == ["ImportedJobAdded"]


@on_sqlite
async def test_the_same_files_are_the_same_run_until_it_is_removed(projecting: Running) -> None:
    running = projecting
    folder = await asyncio.to_thread(logged, running.files / "older")
    first = await running.accepted("ImportRun", name="older-run", path=str(folder))
    await curves(running, first)
    assert await running.accepted("ImportRun", name="another-name", path=str(folder)) == first
    assert len(running.events("ImportedJobAdded")) == 1
    artifacts = running.settings.artifacts / "jobs"
    assert [path.name for path in artifacts.iterdir()] == [first], "nothing is left of the second reading"
    await running.accepted("RemoveFineTuningJob", id=first, delete_files=True)
    again = await running.accepted("ImportRun", name="another-name", path=str(folder))
    assert again != first
    await curves(running, again)


@on_sqlite
async def test_a_run_is_imported_from_uploads_and_from_another_writers_subfolders(
    projecting: Running, tmp_path: Path
) -> None:
    from tensorboard.summary import Writer

    running = projecting
    outside = await asyncio.to_thread(logged, tmp_path / "outside")
    problem = await running.refused("ImportRun", name="outside", path=str(outside))
    assert (problem.code, problem.param) == (Code.NOT_PERMITTED, "path")
    names = [await running.client.upload(file) for file in sorted(outside.iterdir())]
    uploaded = await running.accepted("ImportRun", name="uploaded", uploads=names)
    assert (await curves(running, uploaded))["loss"]["values"][-1] == pytest.approx(-0.45)

    for part in ("train", "validation"):
        writer = Writer(str(running.files / "keras" / part))
        for step in range(3):
            writer.add_scalar("epoch_loss", 1.0 / (step + 1), step)
        writer.close()
    keras = await running.accepted("ImportRun", name="keras", path=str(running.files / "keras"))
    series = await curves(running, keras, last=2)
    assert {name: one["steps"] for name, one in series.items()} == {
        "epoch_loss": [0, 1, 2], "validation/epoch_loss": [0, 1, 2],
    }  # fmt: skip


@on_sqlite
async def test_an_adapter_that_came_of_an_imported_run_is_used_like_one_from_elsewhere(projecting: Running) -> None:
    running = projecting
    await running.things()
    folder = await asyncio.to_thread(logged, running.files / "older")
    job_id = await running.accepted("ImportRun", name="older", path=str(folder))
    weights = running.files / "weights"
    weights.mkdir()
    for name, content in lora_files("starter").items():
        (weights / name).write_bytes(content)
    fields = {"model_id": "starter", "path": str(weights), "fine_tuning_job_id": job_id}
    adapter = await running.accepted("AddAdapter", name="older", **fields)
    combination = {"base_model_id": "starter", "adapter_id": "older", "dataset_id": "faq"}
    await running.accepted("StartEvaluationJob", combinations=[combination])
    await running.accepted("StartExportJob", adapter_id="older", type="adapter", destination="artifact:exports/older")
    split = await running.client.query("GetDatasetSplitByAdapter", {"adapter_id": adapter})
    assert (split["source"], split["train_test_split"]) == ("default", 0.95)


@on_sqlite
async def test_what_is_no_run_is_refused_in_words_and_leaves_nothing(projecting: Running) -> None:
    running = projecting
    await running.things()
    folder = await asyncio.to_thread(logged, running.files / "older")
    damaged = running.files / "damaged"
    damaged.mkdir()
    source = sorted(folder.iterdir())[0].read_bytes()
    (damaged / "events.out.tfevents.1").write_bytes(source[:400] + b"\xff" + source[401:])
    (running.files / "empty").mkdir()
    for path, words in (
        ("empty", "holds no TensorBoard event file"),
        ("damaged", "is damaged: its checksum is wrong at byte"),
        ("faq.jsonl", "is damaged"),
        ("missing", "there is no file or folder"),
    ):
        problem = await running.refused("ImportRun", name="wrong", path=str(running.files / path))
        assert words in problem.message, problem
        assert problem.param == "path"
    both = await running.refused("ImportRun", name="wrong", path=str(folder), uploads=["x"])
    assert (both.code, both.param) == (Code.INVALID, "path")
    nothing = await running.refused("ImportRun", name="wrong", uploads=["nothing-there"])
    assert (nothing.code, nothing.param) == (Code.NOT_FOUND, "uploads")
    unknown = await running.refused("ImportRun", name="wrong", path=str(folder), base_model_id="startr")
    assert (unknown.code, unknown.param) == (Code.NOT_FOUND, "base_model_id")
    await running.accepted("StartFineTuningJob", base_model_id="starter", dataset_id="faq", adapter_name="taken")
    taken = await running.refused("ImportRun", name="taken", path=str(folder))
    assert (taken.code, taken.param) == (Code.DUPLICATE_NAME, "name")
    assert list((running.settings.artifacts / "jobs").iterdir()) == []

    async def telemetry() -> int:
        info = await running.bus.jsm().stream_info(running.subjects.telemetry_stream)
        return int(info.state.last_seq)

    assert await telemetry() == 0, "nothing was sent of what was refused"
    (damaged / "events.out.tfevents.1").write_bytes(source[:-20])
    cut = await running.accepted("ImportRun", name="cut", path=str(damaged))
    assert any("1 files end within a record" in warning for warning in (await job(running, cut))["warnings"])


async def sent(running: Running) -> set[str]:
    """The jobs that there is telemetry of on the stream."""
    info = await running.bus.jsm().stream_info(running.subjects.telemetry_stream, subjects_filter=">")
    return {subject.split(".")[-2] for subject in info.state.subjects or ()}


async def test_points_go_out_once_the_import_is_accepted_whatever_becomes_of_the_registry(
    registry_settings: Settings, bus: Subjects, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = registry_settings.home / "imports"
    jobs = registry_settings.artifacts / "jobs"

    async def unavailable(_sender: RunSender, _job_id: str) -> None:
        raise fail(Code.UNAVAILABLE, "the stream takes nothing")

    with monkeypatch.context() as broken:
        broken.setattr(RunSender, "_send", unavailable)
        async with serving(registry_settings, nats_url) as (_, running):
            await asyncio.to_thread(logged, running.files / "older")
            taken = await running.accepted("ImportRun", name="older", path=str(running.files / "older"))
            assert [path.name for path in marks.iterdir()] == [taken]
            assert await sent(running) == set()
    # a registry that died while it read another run, before anything was decided
    undecided = new_id()
    (marks / undecided).write_text(new_id())
    spool = jobs / undecided / "attempt-1" / "telemetry.jsonl"
    spool.parent.mkdir(parents=True)
    spool.write_bytes((jobs / taken / "attempt-1" / "telemetry.jsonl").read_bytes())
    async with serving(registry_settings, nats_url) as (_, running):

        async def all_settled() -> bool:
            return not list(marks.iterdir())

        await eventually(all_settled, "both runs are settled")
        assert await sent(running) == {taken}
        assert [path.name for path in jobs.iterdir()] == [taken]
        assert (await job(running, "older"))["state"] == "succeeded"
