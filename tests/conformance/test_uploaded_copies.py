"""What becomes of the studio's copy of an upload when its dataset is removed, on both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts.identifiers import new_id
from tunebus.projections.verify import verify
from tunebus.services.platform import database
from tunebus.services.platform.upcasters import UPCASTERS

from tests.fixtures.registry import MODEL, Running, eventually

ROWS = "".join(f'{{"question": "q{n}", "answer": "a{n}"}}\n' for n in range(20))
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def uploaded(running: Running, name: str, text: str = ROWS) -> tuple[str, Path]:
    """A dataset's id, and where its copy lies."""
    file = running.write(f"{new_id()}.jsonl", text)
    dataset = await running.accepted("AddDataset", name=name, upload=await running.client.upload(file))
    location = (await running.client.query("GetDataset", {"id": dataset}))["location"]
    return dataset, running.settings.artifacts / location.removeprefix("artifact:")


async def gone(path: Path) -> None:
    async def look() -> bool:
        return not path.exists()

    await eventually(look, f"{path} is deleted")


async def swept(running: Running) -> None:
    """Wait until the sweeper has gone over everything: another upload, given up later, is deleted."""
    dataset, copy = await uploaded(running, f"sweep-{new_id()}", f'{{"question": "{new_id()}", "answer": "b"}}\n')
    await running.accepted("RemoveDataset", id=dataset, delete_files=True)
    await gone(copy)


async def test_the_copy_goes_with_its_dataset_when_that_is_asked_for(running: Running) -> None:
    dataset, copy = await uploaded(running, "faq")
    await running.accepted("RemoveDataset", id="faq", delete_files=True)
    await gone(copy)
    removed, deleted = running.events(entity_id=dataset)[1:]
    location = f"artifact:uploads/{copy.name}"
    assert removed.data == {"name": "faq", "location": location, "delete_files": True, "kept_for": []}
    assert (deleted.type, deleted.data) == ("DatasetFilesDeleted", {"location": location, "bytes": len(ROWS)})
    again, same = await uploaded(running, "faq")
    assert (again != dataset, same) == (True, copy)
    assert copy.exists()
    with database.read(running.engine) as connection:
        assert verify(connection, UPCASTERS.upcast).ok


async def test_without_it_the_copy_stays_and_may_be_deleted_later(running: Running) -> None:
    dataset, copy = await uploaded(running, "faq")
    await running.accepted("RemoveDataset", id=dataset)
    await swept(running)
    assert copy.exists()
    assert running.events("DatasetRemoved", dataset)[0].data["delete_files"] is False
    assert (await running.refused("RemoveDataset", id=dataset)).code == "not_found"
    assert await running.accepted("RemoveDataset", id=dataset, delete_files=True) == dataset
    await gone(copy)
    await running.accepted("RemoveDataset", id=dataset, delete_files=True)
    assert len(running.events("DatasetFilesDeleted", dataset)) == 1


async def test_the_copy_stays_for_another_dataset_that_reads_it(running: Running) -> None:
    first, copy = await uploaded(running, "first")
    second, same = await uploaded(running, "second")
    assert copy == same
    await running.accepted("RemoveDataset", id=first, delete_files=True)
    assert running.events("DatasetRemoved", first)[0].data["kept_for"] == ["dataset 'second'"]
    assert running.events("DatasetFilesDeleted") == []
    later = await running.refused("RemoveDataset", id=first, delete_files=True)
    assert (later.code, later.message) == ("in_use", "the copy of 'first' is in use by dataset 'second'")
    await swept(running)
    assert copy.exists()
    await running.accepted("RemoveDataset", id=second, delete_files=True)
    await gone(copy)


async def test_the_copy_stays_for_a_job_that_still_reads_it(running: Running) -> None:
    """An export asks the questions of a training whose dataset may be removed meanwhile."""
    dataset, copy = await uploaded(running, "faq")
    await running.accepted("AddModel", name="starter", path=str(MODEL))
    asked: dict[str, Any] = {"base_model_id": "starter", "dataset_id": dataset, "adapter_name": "mine"}
    training = await running.accepted("StartFineTuningJob", **asked)
    in_use = await running.refused("RemoveDataset", id=dataset, delete_files=True)
    assert in_use.code == "in_use"
    export = await running.accepted("StartExportJob", type="adapter", job_id="mine")
    assert (await running.claim()).assignment is not None
    result = {"result_uri": f"artifact:jobs/{training}/attempt-1/adapter", "result_sha256": "0" * 64}
    await running.accepted("CompleteAttempt", job_id=training, attempt=1, outcome="finished", step=3, **result)
    await running.accepted("RemoveDataset", id=dataset, delete_files=True)
    assert running.events("DatasetRemoved", dataset)[0].data["kept_for"] == [f"export job {export!r}"]
    assert copy.exists()
    await running.accepted("StopExportJob", id=export)
    await running.accepted("RemoveDataset", id=dataset, delete_files=True)
    await gone(copy)


@on_sqlite
async def test_what_was_added_by_its_path_is_never_deleted(running: Running) -> None:
    file = running.write("own.jsonl", ROWS)
    dataset = await running.accepted("AddDataset", name="own", path=str(file))
    problem = await running.refused("RemoveDataset", id=dataset, delete_files=True)
    assert (problem.code, problem.param) == ("invalid", "delete_files")
    await running.accepted("RemoveDataset", id=dataset)
    assert (await running.refused("RemoveDataset", id=dataset, delete_files=True)).code == "invalid"
    assert file.exists()


@on_sqlite
async def test_a_copy_that_was_given_up_stays_for_who_brought_it_again(running: Running) -> None:
    """Whatever the order in which uploads are looked into and removals decided, no dataset loses its file."""
    for number in range(8):
        dataset, copy = await uploaded(running, f"one-{number}")
        again = uploaded(running, f"two-{number}")
        removal = running.accepted("RemoveDataset", id=dataset, delete_files=True)
        (second, same), _ = await asyncio.gather(again, removal)
        assert same == copy
        await swept(running)
        assert copy.exists(), f"round {number}"
        await running.accepted("RemoveDataset", id=second, delete_files=True)
        await gone(copy)
