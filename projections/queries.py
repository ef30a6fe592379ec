"""The questions that SQL can answer, each a plain function of connections and a query. It never writes.

`ANSWERS` at the end is the table of contents; `answer` is the one entry for callers. Everywhere an id is taken, a name
is too. PreviewDataset and GetEvaluationRows read files, so they are the registry's own.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, Table, func, select
from tunebus.contracts import queries as ask
from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, TunebusError, fail, nearest
from tunebus.contracts.identifiers import is_id, timestamp, utc_now
from tunebus.contracts.subjects import (
    ADAPTER,
    AGGREGATES,
    CONFIG,
    DATASET,
    EVALUATION_JOB,
    FINE_TUNING_JOB,
    MODEL,
    PROMPT,
)
from tunebus.projections import ledger_view, telemetry
from tunebus.projections.tables import (
    ENDED_STATES,
    JOB_TABLES,
    STATES,
    adapters,
    configs,
    datasets,
    evaluation_jobs,
    fine_tuning_jobs,
    job_attempts,
    job_checkpoints,
    models,
    name_key,
    prompts,
    workers,
)
from tunebus.projections.waiting import waiting_reason

Document = dict[str, Any]

ANSWER_BYTES = 700_000  # a list stops before its answer outgrows a message of the bus
PRESENT_SECONDS = 120.0  # a worker asks or beats several times in this long
NEWEST = 10  # jobs of a kind in each part of the overview

_HIDDEN = frozenset({"name_key"})
_DETAIL = frozenset({"asked", "recipe", "training_arguments", "lora", "user_config", "quantization", "generation"})


def answer(query: ask.Query, ledger: Connection, measured: Connection | None = None) -> Document:
    """The answer to a query of `ANSWERS`. `measured` reads the telemetry; without it jobs show no live progress.

    Errors: `not_found`, `invalid` (a cursor), `unavailable` (telemetry that is not there), `unknown_type`.
    """
    name = type(query).__name__
    if name in TELEMETRY_ANSWERS:
        if measured is None:
            raise fail(Code.UNAVAILABLE, "the telemetry cannot be read", hint="is the projector running?")
        return TELEMETRY_ANSWERS[name](ledger, measured, query)
    if name not in ANSWERS:
        raise fail(Code.UNKNOWN_TYPE, f"{name} is not answered from SQL")
    document = ANSWERS[name](ledger, query)
    if measured is not None and name in _SHOWS_JOBS:
        add_progress(measured, _jobs_in(document))
    return document


def find(connection: Connection, aggregate: str, reference: str, *, param: str = "id") -> RowMapping:
    """The row of an entity by id or name. A name that several jobs bear is the newest one's.

    Errors: `not_found`, with the nearest name as hint.
    """
    table = TABLES[aggregate]
    row = connection.execute(select(table).where(table.c.id == reference)).mappings().first()
    naming = _NAMES.get(aggregate)
    if row is None and naming is not None:
        by_name = select(table).where(naming == name_key(reference)).order_by(table.c.position.desc()).limit(1)
        row = connection.execute(by_name).mappings().first()
    if row is None:
        raise _not_found(connection, aggregate, reference, param)
    return row


def find_job(connection: Connection, reference: str, *, param: str = "job_id") -> tuple[str, RowMapping]:
    """(kind, row) of a job of either kind, by id or by the name of the adapter it makes."""
    for kind, table in JOB_TABLES.items():
        row = connection.execute(select(table).where(table.c.id == reference)).mappings().first()
        if row is not None:
            return kind, row
    return FINE_TUNING_JOB, find(connection, FINE_TUNING_JOB, reference, param=param)


def present_workers(connection: Connection) -> list[Document]:
    """Workers heard of lately, with what they offer."""
    since = timestamp(utc_now() - timedelta(seconds=PRESENT_SECONDS))
    question = select(workers).where(workers.c.last_seen >= since).order_by(workers.c.first_seen, workers.c.worker_id)
    return [dict(row) for row in connection.execute(question).mappings()]


def add_progress(measured: Connection, documents: Iterable[Document]) -> None:
    """Put the newest reported progress into job documents; what the events last said where there is none."""
    listed = list(documents)
    live = telemetry.latest_progress(measured, {document["id"] for document in listed})
    for document in listed:
        found = live.get(document["id"])
        if found is None or document["state"] in ENDED_STATES or found["attempt"] != document["attempt"]:
            continue
        document["progress"] = found
        document["step"] = found["step"] if found["phase"] == "training" else document["step"]


def _list_datasets(connection: Connection, query: ask.ListDatasets) -> Document:
    return _page(connection, datasets, query, _equal(datasets, type=query.type))


def _list_models(connection: Connection, query: ask.ListModels) -> Document:
    return _page(connection, models, query, _equal(models, type=query.type))


def _list_adapters(connection: Connection, query: ask.ListAdapters) -> Document:
    model_id = query.model_id and find(connection, MODEL, query.model_id, param="model_id")["id"]
    return _page(connection, adapters, query, _equal(adapters, model_id=model_id))


def _list_prompts(connection: Connection, query: ask.ListPrompts) -> Document:
    dataset_id = query.dataset_id and find(connection, DATASET, query.dataset_id, param="dataset_id")["id"]
    return _page(connection, prompts, query, _equal(prompts, dataset_id=dataset_id))


def _list_configs(connection: Connection, query: ask.ListConfigs) -> Document:
    return _page(connection, configs, query, _equal(configs, type=query.type, model_family=query.model_family))


def _list_fine_tuning_jobs(connection: Connection, query: ask.ListFineTuningJobs) -> Document:
    page = _page(connection, fine_tuning_jobs, query, _equal(fine_tuning_jobs, state=_state(query.state)))
    return _as_jobs(connection, FINE_TUNING_JOB, page)


def _list_evaluation_jobs(connection: Connection, query: ask.ListEvaluationJobs) -> Document:
    wanted = _equal(evaluation_jobs, state=_state(query.state), parent_id=query.parent_id)
    return _as_jobs(connection, EVALUATION_JOB, _page(connection, evaluation_jobs, query, wanted))


def _get_dataset(connection: Connection, query: ask.GetDataset) -> Document:
    return _named(connection, [_document(find(connection, DATASET, query.id))])[0]


def _get_model(connection: Connection, query: ask.GetModel) -> Document:
    return _named(connection, [_document(find(connection, MODEL, query.id))])[0]


def _get_adapter(connection: Connection, query: ask.GetAdapter) -> Document:
    return _named(connection, [_document(find(connection, ADAPTER, query.id))])[0]


def _get_prompt(connection: Connection, query: ask.GetPrompt) -> Document:
    return _named(connection, [_document(find(connection, PROMPT, query.id))])[0]


def _get_config(connection: Connection, query: ask.GetConfig) -> Document:
    return _document(find(connection, CONFIG, query.id))


def _get_fine_tuning_job(connection: Connection, query: ask.GetFineTuningJob) -> Document:
    return _whole_job(connection, FINE_TUNING_JOB, find(connection, FINE_TUNING_JOB, query.id))


def _get_evaluation_job(connection: Connection, query: ask.GetEvaluationJob) -> Document:
    return _whole_job(connection, EVALUATION_JOB, find(connection, EVALUATION_JOB, query.id))


def _list_events(connection: Connection, query: ask.ListEvents) -> Document:
    events = ledger_view.events
    wanted = [events.c.position >= query.from_position]
    if query.entity_id is not None:
        kinds = [query.aggregate] if query.aggregate else list(AGGREGATES)
        ids = _ids_of(connection, kinds, query.entity_id)
        wanted.append(events.c.stream_id.in_([f"{kind}/{entity_id}" for kind in kinds for entity_id in ids]))
    elif query.aggregate is not None:
        wanted.append(events.c.stream_id.startswith(f"{query.aggregate}/", autoescape=True))
    if query.type is not None:
        wanted.append(events.c.type == query.type)

    def document(row: RowMapping) -> Document:
        aggregate, entity_id = row["stream_id"].split("/", 1)
        shown = {name: value for name, value in row.items() if name != "stream_id"}
        return shown | {"aggregate": aggregate, "entity_id": entity_id}

    return _page(connection, events, query, wanted, show=document)


def _get_command_outcome(connection: Connection, query: ask.GetCommandOutcome) -> Document:
    inbox = ledger_view.inbox
    outcome: Document | None = connection.scalar(
        select(inbox.c.outcome).where(inbox.c.command_id == query.command_id.lower())
    )
    if outcome is None:
        raise fail(
            Code.NOT_FOUND,
            f"command {query.command_id!r} has no outcome yet",
            param="command_id",
            hint="not confirmed yet: ask again, or send the command again with the same id",
        )
    return outcome


def _list_dead_letters(connection: Connection, query: ask.ListDeadLetters) -> Document:
    table = ledger_view.dead_letters
    columns = [column for column in table.c if column is not table.c.data]
    size = func.length(table.c.data).label("bytes")
    return _page(connection, table, query, [], order=table.c.id, question=select(*columns, size), show=dict)


def _get_dead_letter(connection: Connection, query: ask.GetDeadLetter) -> Document:
    table = ledger_view.dead_letters
    row = connection.execute(select(table).where(table.c.id == query.id)).mappings().first()
    if row is None:
        raise fail(Code.NOT_FOUND, f"no dead letter {query.id}", param="id", hint="list them to see which there are")
    body = bytes(row["data"])
    try:
        text, encoding = body.decode(), "utf-8"
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(body).decode(), "base64"
    return dict(row) | {"data": text, "encoding": encoding, "bytes": len(body)}


def _list_workers(connection: Connection, query: ask.ListWorkers) -> Document:
    found = present_workers(connection)
    begin = _number(query.after)
    items = found[begin : begin + query.limit]
    end = begin + len(items)
    return {"items": items, "next": str(end) if end < len(found) else None}


def _get_overview(connection: Connection, query: ask.GetOverview) -> Document:
    dead_letters = ledger_view.dead_letters
    present = present_workers(connection)
    counts: Document = {
        table.name: connection.scalar(select(func.count()).select_from(table))
        for table in (datasets, models, adapters, prompts, configs)
    }
    for table in JOB_TABLES.values():
        by_state = select(table.c.state, func.count()).group_by(table.c.state).order_by(table.c.state)
        counts[table.name] = {row[0]: row[1] for row in connection.execute(by_state)}
    counts["dead_letters"] = connection.scalar(
        select(func.count()).select_from(dead_letters).where(dead_letters.c.resent_at.is_(None))
    )
    counts["workers"] = {
        kind: sum(worker["kind"] == kind for worker in present) for kind in (FINE_TUNING_JOB, EVALUATION_JOB)
    }
    parts: dict[str, Callable[[Table], tuple[ColumnElement[bool], ColumnElement[Any]]]] = {
        "running": lambda t: (t.c.state.in_(("starting", "running", "stopping")), t.c.position.desc()),
        "waiting": lambda t: (t.c.state.in_(("queued", "held", "interrupted")), t.c.position),
        "failed": lambda t: (t.c.state == "failed", t.c.finished_at.desc()),
        "recent": lambda t: (t.c.state.in_(ENDED_STATES), t.c.finished_at.desc()),
    }
    document: Document = {
        "counts": counts,
        "position": connection.scalar(select(func.max(ledger_view.events.c.position))) or 0,
    }
    for part, chosen in parts.items():
        jobs: list[Document] = []
        for kind, table in JOB_TABLES.items():
            condition, order = chosen(table)
            rows = connection.execute(select(table).where(condition).order_by(order).limit(NEWEST)).mappings()
            jobs += _jobs(connection, kind, [_document(row, _DETAIL) for row in rows], present)
        document[part] = jobs
    document["recent"].sort(key=lambda job: job["finished_at"], reverse=True)
    return document


def _get_metrics(ledger: Connection, measured: Connection, query: ask.GetMetrics) -> Document:
    kind, row = find_job(ledger, query.job_id)
    document = telemetry.curves(measured, row["id"], query.names, query.since_step)
    progress = telemetry.latest_progress(measured, [row["id"]]).get(row["id"])
    return document | {"kind": kind, "state": row["state"], "progress": progress}


def _get_log(ledger: Connection, measured: Connection, query: ask.GetLog) -> Document:
    _, row = find_job(ledger, query.job_id)
    document = telemetry.log_text(measured, row["id"], query.attempt, query.offset, query.limit)
    if query.attempt is not None and query.attempt not in document["attempts"] and query.attempt > row["attempt"]:
        raise fail(Code.NOT_FOUND, f"there is no attempt {query.attempt}", param="attempt")
    return document | {"ended": row["state"] in ENDED_STATES}


def _state(wanted: str | None) -> str | None:
    if wanted is None or wanted in STATES:
        return wanted
    near = nearest(wanted, STATES)
    hint = f"did you mean {near!r}?" if near else f"states: {', '.join(STATES)}"
    raise fail(Code.INVALID, f"{wanted[:40]!r} is no state of a job", param="state", hint=hint)


def _equal(table: Table, **wanted: str | None) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in wanted.items() if value is not None]


def _page(
    connection: Connection,
    table: Table,
    query: ask.Query,
    conditions: Sequence[ColumnElement[bool]],
    *,
    order: ColumnElement[Any] | None = None,
    question: Select[Any] | None = None,
    show: Callable[[RowMapping], Document] | None = None,
) -> Document:
    """One page in the order added. The cursor is the last item's position, so pages stay right while rows are added."""
    limit: int = query.limit  # type: ignore[attr-defined]
    after: str | None = query.after  # type: ignore[attr-defined]
    by: ColumnElement[Any] = table.c.position if order is None else order
    rows = (select(table) if question is None else question).where(*conditions)
    if after is not None:
        rows = rows.where(by > _number(after))
    items: list[Document] = []
    size, more, last = 0, False, None
    for row in connection.execute(rows.order_by(by).limit(limit + 1)).mappings():
        item = show(row) if show else _document(row, _DETAIL if table in JOB_TABLES.values() else frozenset())
        size += len(strictjson.dumps(item))
        if len(items) == limit or (items and size > ANSWER_BYTES):
            more = True
            break
        items.append(item)
        last = row[by.key]  # type: ignore[index]
    if table in _NAMES_IN_LISTS:
        _named(connection, items)
    return {"items": items, "next": str(last) if more else None}


def _number(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise fail(
            Code.INVALID, f"{cursor[:40]!r} is no cursor", param="after", hint="use the `next` of the page before"
        )
    return int(cursor)


def _document(row: RowMapping, without: frozenset[str] = frozenset()) -> Document:
    return {name: value for name, value in row.items() if name not in _HIDDEN and name not in without}


def _named(connection: Connection, documents: list[Document]) -> list[Document]:
    """Add the names of the things that documents refer to by id."""
    for field, (shown, table) in _REFERENCES.items():
        ids = {document[field] for document in documents if document.get(field)}
        found = {}
        if ids:
            rows = connection.execute(select(table.c.id, table.c.name).where(table.c.id.in_(ids)))
            found = {row.id: row.name for row in rows}
        for document in documents:
            if field in document and shown not in document:
                document[shown] = found.get(document[field])
    return documents


def _as_jobs(connection: Connection, kind: str, page: Document) -> Document:
    return page | {"items": _jobs(connection, kind, page["items"], present_workers(connection))}


def _jobs(
    connection: Connection, kind: str, documents: list[Document], present: Sequence[Mapping[str, Any]]
) -> list[Document]:
    """Job documents with their kind, the names they refer to, why they wait and how far they are."""
    table = JOB_TABLES[kind]
    for document in _named(connection, documents):
        ahead = 0
        if document["state"] == "queued":
            before = (table.c.priority > document["priority"]) | (
                (table.c.priority == document["priority"]) & (table.c.position < document["position"])
            )
            ahead = (
                connection.scalar(select(func.count()).select_from(table).where(table.c.state == "queued", before)) or 0
            )
        document["kind"] = kind
        document["waiting_reason"] = waiting_reason(kind, document, present, ahead)
        document["progress"] = {
            "attempt": document["attempt"],
            "phase": document["state"],
            "step": document["step"],
            "total": document["total_steps"],
            "rate": None,
            "eta": None,
            "t": None,
        }
    return documents


def _whole_job(connection: Connection, kind: str, row: RowMapping) -> Document:
    document = _jobs(connection, kind, [_document(row)], present_workers(connection))[0]
    for name, table, order in (
        ("attempts_made", job_attempts, job_attempts.c.attempt),
        ("checkpoints", job_checkpoints, job_checkpoints.c.position),
    ):
        rows = connection.execute(select(table).where(table.c.job_id == row["id"]).order_by(order)).mappings()
        document[name] = [{k: v for k, v in found.items() if k not in ("job_id", "kind")} for found in rows]
    return document


def _jobs_in(document: Document) -> list[Document]:
    if "state" in document:
        return [document]
    return [job for part in ("items", "running", "waiting", "failed", "recent") for job in document.get(part, ())]


def _ids_of(connection: Connection, kinds: Sequence[str], reference: str) -> list[str]:
    """The ids that a reference may mean among these aggregates; an id that nothing bears is taken as it is."""
    if is_id(reference):
        return [reference]
    found = []
    for kind in kinds:
        naming = _NAMES.get(kind)
        if naming is not None:
            table = TABLES[kind]
            found += list(connection.scalars(select(table.c.id).where(naming == name_key(reference))))
    if not found:
        known = [kind for kind in kinds if kind in TABLES]
        raise _not_found(connection, known[0] if len(known) == 1 else "entity", reference, "entity_id")
    return found


def _not_found(connection: Connection, aggregate: str, reference: str, param: str) -> TunebusError:
    words = aggregate.replace("_", " ")
    shown = reference if len(reference) <= 80 else reference[:77] + "..."
    hint = f"list the {words}s to see which there are" if aggregate != "entity" else None
    naming = _NAMES.get(aggregate)
    if naming is not None:
        newest = select(naming).order_by(TABLES[aggregate].c.position.desc()).limit(1000)
        near = nearest(name_key(reference), connection.scalars(newest))
        hint = f"did you mean {near!r}?" if near else hint
    if aggregate == EVALUATION_JOB:
        group = select(evaluation_jobs.c.id).where(evaluation_jobs.c.parent_id == reference).limit(1)
        if connection.scalar(group) is not None:
            hint = "that is the parent of several: list the evaluation jobs with this parent_id"
    return fail(Code.NOT_FOUND, f"no {words} {shown!r}", param=param, hint=hint)


TABLES: dict[str, Table] = {
    DATASET: datasets,
    MODEL: models,
    ADAPTER: adapters,
    PROMPT: prompts,
    CONFIG: configs,
    **JOB_TABLES,
}

_NAMES: dict[str, ColumnElement[str]] = {
    DATASET: datasets.c.name_key,
    MODEL: models.c.name_key,
    ADAPTER: adapters.c.name_key,
    PROMPT: prompts.c.name_key,
    FINE_TUNING_JOB: fine_tuning_jobs.c.adapter_name,
}

_REFERENCES: dict[str, tuple[str, Table]] = {
    "base_model_id": ("base_model_name", models),
    "model_id": ("model_name", models),
    "dataset_id": ("dataset_name", datasets),
    "prompt_id": ("prompt_name", prompts),
    "adapter_id": ("adapter_name", adapters),
}

_NAMES_IN_LISTS = (adapters, prompts)
_SHOWS_JOBS = ("ListFineTuningJobs", "ListEvaluationJobs", "GetFineTuningJob", "GetEvaluationJob", "GetOverview")

ANSWERS: dict[str, Callable[[Connection, Any], Document]] = {
    "ListDatasets": _list_datasets,
    "ListModels": _list_models,
    "ListAdapters": _list_adapters,
    "ListPrompts": _list_prompts,
    "ListConfigs": _list_configs,
    "ListFineTuningJobs": _list_fine_tuning_jobs,
    "ListEvaluationJobs": _list_evaluation_jobs,
    "GetDataset": _get_dataset,
    "GetModel": _get_model,
    "GetAdapter": _get_adapter,
    "GetPrompt": _get_prompt,
    "GetConfig": _get_config,
    "GetFineTuningJob": _get_fine_tuning_job,
    "GetEvaluationJob": _get_evaluation_job,
    "ListEvents": _list_events,
    "GetCommandOutcome": _get_command_outcome,
    "ListDeadLetters": _list_dead_letters,
    "GetDeadLetter": _get_dead_letter,
    "ListWorkers": _list_workers,
    "GetOverview": _get_overview,
}

TELEMETRY_ANSWERS: dict[str, Callable[[Connection, Connection, Any], Document]] = {
    "GetMetrics": _get_metrics,
    "GetLog": _get_log,
}
