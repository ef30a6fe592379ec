"""What buttons ask for that takes several commands: the same for many jobs, and what needs the job looked up first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tunebus.contracts.commands.fine_tuning_job import FineTuningFields
from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.ui.web.acting import Action, Asking, Done
from tunebus.ui.web.comparison import start_against_base
from tunebus.ui.web.job.names import COMMANDS, ENDED, FINE_TUNING, job_name
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.words import say

MOST = 200
Do = Callable[[Asking, Document], Awaitable[Any]]


async def find(studio: Studio, reference: str) -> Document:
    """A job of any kind, whole. Errors: `not_found`."""
    near = None
    for name in COMMANDS.values():
        try:
            return await studio.ask(f"Get{name}", id=reference)
        except TunebusError as error:
            if error.problem.code != Code.NOT_FOUND:
                raise
            if (hint := error.problem.hint or "").startswith("did you mean"):
                near = hint
    raise fail(Code.NOT_FOUND, say("jobs.refused.unknown", id=reference[:80]), param="id", hint=near)


async def compare_with_base(asking: Asking) -> Done:
    """Queue an evaluation of a job's adapter beside its base; of what it is to make, where it has not ended.

    Errors: `wrong_state` where it makes none.
    """
    job = await find(asking.studio, _text(asking, "id"))
    if job["kind"] == FINE_TUNING and job["state"] not in ENDED:
        parent = await start_against_base(asking, [], training_ids=[job["id"]])
    elif job.get("adapter_id"):
        parent = await start_against_base(asking, [job["adapter_id"]])
    else:
        raise fail(Code.WRONG_STATE, say("jobs.refused.no_adapter"))
    return Done(id=parent, words=say("jobs.done.evaluating"), goto=f"/evaluate?id={parent}")


async def retry_suggested(asking: Asking) -> Done:
    """Try a failed job again with the change that its failure suggests; where that makes it another job, queue that."""
    job = await find(asking.studio, _text(asking, "id"))
    try:
        await asking.send("RetryFineTuningJob", {"id": job["id"], "suggested": True})
    except TunebusError as error:
        if error.problem.code != Code.NOT_SUPPORTED:
            raise
        outcome = await asking.send("CloneFineTuningJob", {"id": job["id"], "changes": job["suggestion"]})
        return Done(id=outcome.id, goto=f"/jobs?id={outcome.id}", words=say("jobs.done.cloned"))
    return Done(id=job["id"], words=say("jobs.done.again"))


async def derive_job(asking: Asking) -> Done:
    """Queue a clone or a branch of a job as it is now, with `changes`, and `more` of them as an object.

    What a suggestion changed of it since it was asked for is kept. Errors: the command's.
    """
    changes, more = asking.data.get("changes", {}), asking.data.get("more", {})
    if not isinstance(changes, dict) or not isinstance(more, dict):
        raise fail(Code.INVALID, say("jobs.refused.no_object"), param="more", hint='{"lora": {"r": 32}}')
    command = "BranchFineTuningJob" if asking.data.get("by") == "branch" else "CloneFineTuningJob"
    job = await find(asking.studio, _text(asking, "id"))
    since = {
        name: now for name, (_, now) in (job.get("changes") or {}).items() if name in FineTuningFields.model_fields
    }
    given: Document = {"id": job["id"], "changes": {**since, **changes, **more}}
    given |= {name: asking.data[name] for name in ("adapter_name", "step") if asking.data.get(name) is not None}
    outcome = await asking.send(command, given)
    return Done(id=outcome.id, words=say("jobs.done.branched" if "Branch" in command else "jobs.done.derived"))


async def annotate_job(asking: Asking) -> Done:
    """Write a job's labels and notes, where they are not so already."""
    job = await find(asking.studio, _text(asking, "id"))
    for name, command in (("labels", "LabelJob"), ("notes", "NoteJob")):
        if name in asking.data and asking.data[name] != job[name]:
            await asking.send(command, {"job_id": job["id"], name: asking.data[name]})
    return Done(id=job["id"])


async def label_jobs(asking: Asking) -> Done:
    """Add labels to jobs, and take others away."""
    add, remove = _texts(asking, "add"), {label.casefold() for label in _texts(asking, "remove")}
    if not add and not remove:
        raise fail(Code.INVALID, say("jobs.refused.no_label"), param="add")

    async def do(asking: Asking, job: Document) -> None:
        labels: dict[str, str] = {}
        for label in [*job["labels"], *add]:
            if label.casefold() not in remove:
                labels.setdefault(label.casefold(), label)
        await asking.send("LabelJob", {"job_id": job["id"], "labels": list(labels.values())}, job["id"])

    return await _each(asking, do, "labelled")


async def stop_jobs(asking: Asking) -> Done:
    async def do(asking: Asking, job: Document) -> None:
        await asking.send(f"Stop{COMMANDS[job['kind']]}", {"id": job["id"]}, job["id"])

    return await _each(asking, do, "stopping")


async def hold_jobs(asking: Asking) -> Done:
    async def do(asking: Asking, job: Document) -> None:
        await asking.send("HoldJob", {"job_id": job["id"]}, job["id"])

    return await _each(asking, do, "held")


async def release_jobs(asking: Asking) -> Done:
    async def do(asking: Asking, job: Document) -> None:
        await asking.send("ReleaseJob", {"job_id": job["id"]}, job["id"])

    return await _each(asking, do, "released")


async def remove_jobs(asking: Asking) -> Done:
    async def do(asking: Asking, job: Document) -> None:
        await asking.send(f"Remove{COMMANDS[job['kind']]}", {"id": job["id"]}, job["id"])

    return await _each(asking, do, "removed")


async def _each(asking: Asking, do: Do, done: str) -> Done:
    """Do it for every named job, and say of how many it came about and why not of the others.

    Errors: what the first was refused with, where all were.
    """
    ids = _texts(asking, "ids")
    if not ids:
        raise fail(Code.INVALID, say("jobs.refused.none_chosen"), param="ids")
    if len(ids) > MOST:
        raise fail(Code.TOO_LARGE, say("jobs.refused.too_many", count=MOST), param="ids")
    refused: list[tuple[str, Problem]] = []

    async def one(reference: str) -> None:
        name = reference
        try:
            job = await find(asking.studio, reference)
            name = job_name(job)
            await do(asking, job)
        except TunebusError as error:
            # What is not known to have happened is asked for again, all of it, under the same ids.
            if error.problem.code in (Code.NOT_CONFIRMED, Code.UNAVAILABLE):
                raise
            refused.append((name, error.problem))

    await asyncio.gather(*(one(reference) for reference in dict.fromkeys(ids)))
    count = len(set(ids)) - len(refused)
    details = [problem.model_copy(update={"param": name}) for name, problem in refused]
    if not count:
        raise TunebusError(refused[0][1].model_copy(update={"details": details}))
    words = [say(f"jobs.bulk.done.{done}", count=count)]
    words += [f"{name}: {problem.message}." for name, problem in refused]
    return Done(words=" ".join(words))


def _text(asking: Asking, name: str) -> str:
    return str(asking.data.get(name, ""))[:200]


def _texts(asking: Asking, name: str) -> Sequence[str]:
    found = asking.data.get(name)
    if not isinstance(found, list):
        return []
    return [one.strip()[:200] for one in found if isinstance(one, str) and one.strip()]


ACTIONS: dict[str, Action] = {
    "compare_with_base": compare_with_base,
    "retry_suggested": retry_suggested,
    "derive_job": derive_job,
    "annotate_job": annotate_job,
    "label_jobs": label_jobs,
    "stop_jobs": stop_jobs,
    "hold_jobs": hold_jobs,
    "release_jobs": release_jobs,
    "remove_jobs": remove_jobs,
}
