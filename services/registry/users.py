"""What uses what: who stands in the way of a removal. `load` is the only part that reads SQL.

A reference of an entity counts for as long as the entity is there, a reference of a job until the job has ended: what
an ended job used it keeps by id, and its events tell the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select
from tunebus.contracts.errors import Code
from tunebus.contracts.identifiers import is_id
from tunebus.contracts.subjects import ADAPTER, CONFIG, DATASET, FINE_TUNING_JOB, JOB_KINDS, MODEL, PROMPT
from tunebus.projections import tables
from tunebus.services.platform.decisions import Rejected
from tunebus.services.registry import known
from tunebus.services.registry.decision import refused
from tunebus.services.registry.jobs import ENDED, Job
from tunebus.services.registry.known import Adapter, Config, Dataset, Known, Model, Prompt, Shelf
from tunebus.services.registry.wanted import Wanted

NAMED = 10  # users that a refusal names
_SETTINGS = ("training_arguments", "lora", "quantization", "generation")


def load(connection: Connection, view: Known, wanted: Wanted) -> None:
    """Load what uses the things that are to leave: adapters into the view, the ids of live jobs into `wanted`."""
    if not wanted.leaving:
        return
    datasets = _ids(view.datasets, wanted, DATASET)
    models = _ids(view.models, wanted, MODEL)
    prompts = _ids(view.prompts, wanted, PROMPT)
    prompts += [prompt_id for dataset_id in datasets for prompt_id in view.prompts_of.get(dataset_id, ())]
    jobs = _job_ids(connection, wanted)
    _load_made(connection, view, models, prompts, jobs)
    adapters = _ids(view.adapters, wanted, ADAPTER)
    adapters += [adapter.id for adapter in view.adapters if adapter.model_id in models]
    configs = _ids(view.configs, wanted, CONFIG)
    for table in tables.JOB_TABLES.values():
        columns = {"dataset_id": datasets, "base_model_id": models, "prompt_id": prompts, "adapter_id": adapters}
        uses = [table.c[name].in_(ids) for name, ids in columns.items() if ids]
        live = table.c.state.in_(tables.LIVE_STATES)
        if uses:
            wanted.jobs.update(connection.scalars(select(table.c.id).where(live, or_(*uses))))
        if configs or jobs:  # named within what was asked for, or within what it came to
            wanted.jobs.update(
                row.id
                for row in connection.execute(select(table.c.id, table.c.asked, table.c.recipe).where(live))
                if any(_asked_for(row.asked, config) for config in view.configs if config.id in configs)
                or any(_works_on(row.recipe, folder_of(job_id)) for job_id in jobs)
            )
            if jobs:
                waits = select(table.c.id, table.c.waiting_for).where(live)
                wanted.jobs.update(row.id for row in connection.execute(waits) if {*row.waiting_for} & {*jobs})


def of_dataset(view: Known, dataset: Dataset, *, cascade: bool) -> list[str]:
    """Who uses a dataset, in words; with `cascade`, who uses what would go with it."""
    prompts = view.prompts_of.get(dataset.id, {}).values()
    found = _jobs(view, dataset_id=dataset.id)
    if cascade:
        return [*found, *(user for prompt in prompts for user in of_prompt(view, prompt) if user not in found)]
    return [*(f"prompt {prompt.name!r}" for prompt in prompts), *found]


def of_model(view: Known, model: Model, *, cascade: bool) -> list[str]:
    adapters = adapters_of(view, model)
    found = _jobs(view, base_model_id=model.id)
    if cascade:
        return [*found, *(user for adapter in adapters for user in of_adapter(view, adapter) if user not in found)]
    return [*(f"adapter {adapter.name!r}" for adapter in adapters), *found]


def of_adapter(view: Known, adapter: Adapter) -> list[str]:
    return _jobs(view, adapter_id=adapter.id)


def of_prompt(view: Known, prompt: Prompt) -> list[str]:
    adapters = [adapter for adapter in view.adapters if adapter.prompt_id == prompt.id]
    return [*(f"adapter {adapter.name!r}" for adapter in adapters), *_jobs(view, prompt_id=prompt.id)]


def of_config(view: Known, config: Config) -> list[str]:
    return [_named(job) for job in _live(view) if _asked_for(job.added.get("asked"), config)]


def of_job(view: Known, job: Job) -> list[str]:
    """What it made, since evaluations take their held-out rows from its recipe; who reads its files or waits for it."""
    folder = f"{job.out_dir}/"
    adapters = (a for a in view.adapters if a.fine_tuning_job_id == job.id or a.location.startswith(folder))
    models = (m for m in view.models if m.fine_tuning_job_id == job.id or m.location.startswith(folder))
    waiting = (
        other
        for other in _live(view)
        if other.id != job.id and (job.id in other.waiting_for or _works_on(other.recipe, job.out_dir))
    )
    return [
        *(f"adapter {adapter.name!r}" for adapter in adapters),
        *(f"model {model.name!r}" for model in models),
        *map(_named, waiting),
    ]


def adapters_of(view: Known, model: Model) -> list[Adapter]:
    return [adapter for adapter in view.adapters if adapter.model_id == model.id]


def in_use(what: str, users: Sequence[str], hint: str) -> Rejected:
    """The refusal that names the users, the first of them when they are many."""
    shown = list(users[:NAMED]) + ([f"{len(users) - NAMED} more"] if len(users) > NAMED else [])
    return refused(Code.IN_USE, f"{what} is in use by {', '.join(shown)}", param="id", hint=hint)


def _jobs(view: Known, **uses: str) -> list[str]:
    return [_named(job) for job in _live(view) if any(job.added.get(name) == id for name, id in uses.items())]


def _live(view: Known) -> list[Job]:
    return [job for job in view.jobs.values() if job.state not in ENDED]


def _named(job: Job) -> str:
    return f"{job.kind.replace('_', ' ')} {job.name!r} ({job.state})"


def _asked_for(asked: object, config: Config) -> bool:
    return isinstance(asked, dict) and any(asked.get(name) in (config.id, config.sha256) for name in _SETTINGS)


def _ids(shelf: Shelf[Any], wanted: Wanted, aggregate: str) -> list[str]:
    """What may leave: all of the kind that the batch speaks of, since one may get the name of another on the way."""
    return shelf.ids() if wanted.leaving.get(aggregate) else []


def folder_of(job_id: str) -> str:
    return f"artifact:jobs/{job_id}"


def _works_on(recipe: Mapping[str, Any], folder: str) -> bool:
    """Whether a recipe names a file of this folder."""
    return f'"{folder}/' in json.dumps(recipe)


def _job_ids(connection: Connection, wanted: Wanted) -> list[str]:
    """The ids of the jobs that are to leave. Only a fine-tuning has a name."""
    references = {reference for kind in JOB_KINDS for reference in wanted.leaving.get(kind, ())}
    ids = [reference for reference in references if is_id(reference)]
    names = [reference.strip() for reference in wanted.leaving.get(FINE_TUNING_JOB, ()) if not is_id(reference)]
    if names:
        table = tables.fine_tuning_jobs
        ids += connection.scalars(select(table.c.id).where(table.c.adapter_name.in_(names)))
    return ids


def _load_made(
    connection: Connection, view: Known, models: Sequence[str], prompts: Sequence[str], jobs: Sequence[str]
) -> None:
    """The adapters of these models, prompts and jobs, and the models that lie in these jobs' folders."""
    table = tables.adapters
    uses: list[ColumnElement[bool]] = [
        column.in_(ids)
        for column, ids in (
            (table.c.model_id, models),
            (table.c.prompt_id, prompts),
            (table.c.fine_tuning_job_id, jobs),
        )
        if ids
    ]
    uses += [table.c.location.startswith(f"{folder_of(job_id)}/", autoescape=True) for job_id in jobs]
    if uses:
        for row in connection.execute(select(table).where(or_(*uses))).mappings():
            view.adapters.put(known.adapter_of(dict(row)))
    if jobs:
        table = tables.models
        lie_there = (table.c.location.startswith(f"{folder_of(job_id)}/", autoescape=True) for job_id in jobs)
        made = or_(table.c.fine_tuning_job_id.in_(jobs), *lie_there)
        for row in connection.execute(select(table).where(made)).mappings():
            view.models.put(known.model_of(dict(row)))
