"""The questions that SQL can answer, each a plain function of connections and a query. It never writes.

`ANSWERS` at the end is the table of contents; `answer` is the one entry for callers. Everywhere an id is taken, a name
is too. PreviewDataset and GetEvaluationRows read files, so they are the registry's own.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, Table, Text, cast, func, or_, select
from tunebus.contracts import queries as ask
from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, TunebusError, fail, nearest
from tunebus.contracts.identifiers import is_id
from tunebus.contracts.recipes import DatasetSource
from tunebus.contracts.subjects import (
    ADAPTER,
    AGGREGATES,
    CONFIG,
    DATABASE,
    DATASET,
    EVALUATION_JOB,
    EXPORT_JOB,
    FINE_TUNING_JOB,
    MODEL,
    PROMPT,
)
from tunebus.projections import choosing, comparing, ledger_view, sorting, telemetry, uses
from tunebus.projections.sorting import Sorting, number
from tunebus.projections.standing import WITH_WORKER, Standings, bears, present_workers, speaks_of
from tunebus.projections.tables import (
    ENDED_STATES,
    JOB_TABLES,
    LIVE_STATES,
    STATES,
    adapters,
    all_jobs,
    configs,
    datasets,
    evaluation_jobs,
    fine_tuning_jobs,
    job_attempts,
    job_checkpoints,
    models,
    name_key,
    prompts,
    remote_code_approvals,
    removed,
)
from tunebus.projections.waiting import WORKERS

Document = dict[str, Any]

ANSWER_BYTES = 700_000  # a list stops before its answer outgrows a message of the bus
NEWEST = 10  # jobs of a kind in each part of the overview

_SPLIT = ("dataset_fraction", "train_test_split", "split_seed")
_HIDDEN = frozenset({"name_key", "labels_key", "rank", "unmet"})
_DETAIL = frozenset(
    {
        "asked", "recipe", "training_arguments", "lora", "user_config", "quantization", "generation", "files",
        "statistics",
    }
)  # fmt: skip


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
        add_progress(measured, jobs_in(document))
    if measured is not None and isinstance(query, ask.ListAllJobs):
        curves = telemetry.outlines(measured, [job["id"] for job in document["items"]])
        for job in document["items"]:
            job["losses"] = curves.get(job["id"], [])
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
    return _searched(connection, datasets, query, _equal(datasets, type=query.type))


def _list_models(connection: Connection, query: ask.ListModels) -> Document:
    return _searched(connection, models, query, _equal(models, type=query.type))


def _list_remote_code_approvals(connection: Connection, query: ask.ListRemoteCodeApprovals) -> Document:
    wanted = _equal(remote_code_approvals, huggingface_name=query.huggingface_name)
    return _page(connection, remote_code_approvals, query, wanted)


def _list_adapters(connection: Connection, query: ask.ListAdapters) -> Document:
    model_id = query.model_id and find(connection, MODEL, query.model_id, param="model_id")["id"]
    return _searched(connection, adapters, query, _equal(adapters, model_id=model_id))


def _list_prompts(connection: Connection, query: ask.ListPrompts) -> Document:
    dataset_id = query.dataset_id and find(connection, DATASET, query.dataset_id, param="dataset_id")["id"]
    return _searched(connection, prompts, query, _equal(prompts, dataset_id=dataset_id))


def _list_configs(connection: Connection, query: ask.ListConfigs) -> Document:
    wanted = _equal(configs, type=query.type, model_family=query.model_family)
    if query.model_id is not None:
        family = find(connection, MODEL, query.model_id, param="model_id")["model_family"].lower()
        of_family = func.lower(configs.c.model_family) == family
        types_with = select(configs.c.type).where(of_family)
        wanted.append(of_family | (configs.c.model_family.is_(None) & configs.c.type.not_in(types_with)))
    return _searched(connection, configs, query, wanted)


def _get_dataset_split_by_adapter(connection: Connection, query: ask.GetDatasetSplitByAdapter) -> Document:
    """As the adapter's job recorded it; what a fine-tuning takes by default where no job of the studio's made it."""
    adapter = find(connection, ADAPTER, query.adapter_id, param="adapter_id")
    table = fine_tuning_jobs
    columns = (table.c.dataset_id, table.c.recipe)
    made_by = (table.c.id == adapter["fine_tuning_job_id"], table.c.imported_sha256.is_(None))
    job = connection.execute(select(*columns).where(*made_by)).mappings().first()
    trained: Mapping[str, Any] = (job["recipe"].get("dataset") or {}) if job else {}
    split = {name: trained.get(name, DatasetSource.model_fields[name].default) for name in _SPLIT}
    document = {
        "adapter_id": adapter["id"],
        "fine_tuning_job_id": adapter["fine_tuning_job_id"] if job else None,
        "dataset_id": job["dataset_id"] if job else None,
        **split,
        "source": "job" if job else "default",
    }
    return _named(connection, [document])[0]


def _list_fine_tuning_jobs(connection: Connection, query: ask.ListFineTuningJobs) -> Document:
    return _list_jobs(connection, FINE_TUNING_JOB, query)


def _list_evaluation_jobs(connection: Connection, query: ask.ListEvaluationJobs) -> Document:
    adapter_id = query.adapter_id and find(connection, ADAPTER, query.adapter_id, param="adapter_id")["id"]
    model_id = query.model_id and find(connection, MODEL, query.model_id, param="model_id")["id"]
    column = evaluation_jobs.c.dataset_id
    kind = [] if query.typed is None else [column.is_(None) if query.typed else column.is_not(None)]
    equal = {"parent_id": query.parent_id, "adapter_id": adapter_id, "base_model_id": model_id}
    return _list_jobs(connection, EVALUATION_JOB, query, *kind, **equal)


def _list_export_jobs(connection: Connection, query: ask.ListExportJobs) -> Document:
    adapter_id = query.adapter_id and find(connection, ADAPTER, query.adapter_id, param="adapter_id")["id"]
    model_id = query.model_id and find(connection, MODEL, query.model_id, param="model_id")["id"]
    return _list_jobs(connection, EXPORT_JOB, query, adapter_id=adapter_id, base_model_id=model_id)


def _list_jobs(
    connection: Connection, kind: str, query: ask.ListJobs, *more: ColumnElement[bool], **equal: str | None
) -> Document:
    table = JOB_TABLES[kind]
    wanted = [*_equal(table, state=_state(query.state), **equal), *more]
    if query.label is not None:
        wanted.append(bears(table, query.label))
    if query.search is not None:
        wanted.append(speaks_of(table, query.search))
    order = {
        "added": sorting.ascending(table.c.position),
        "newest": sorting.descending(table.c.position),
        "queue": sorting.as_queued(table),
    }[query.order]
    page = _page(connection, table, query, wanted, order=order)
    return page | {"items": _jobs(kind, page["items"], Standings(connection))}


def _list_all_jobs(connection: Connection, query: ask.ListAllJobs) -> Document:
    wanted = choosing.chosen(
        kinds=query.kinds,
        states=None if query.states is None else [state for one in query.states if (state := _state(one))],
        label=query.label,
        search=query.search,
        base_model_id=query.model_id and find(connection, MODEL, query.model_id, param="model_id")["id"],
        dataset_id=query.dataset_id and find(connection, DATASET, query.dataset_id, param="dataset_id")["id"],
    )
    begin, total = number(query.after), choosing.total(connection, wanted)
    found = choosing.page(connection, wanted, query.sort, query.descending, begin, query.limit) if begin < total else []
    items = _jobs_of(connection, found)
    end = begin + len(items)
    return {"items": items, "next": str(end) if items and end < total else None, "total": total}


def _jobs_of(
    connection: Connection, found: Sequence[tuple[str, str]], standings: Standings | None = None
) -> list[Document]:
    """Job documents without their details, in the order of (kind, id), as far as they fit into an answer."""
    standings = standings or Standings(connection)
    documents: dict[str, Document] = {}
    for kind, table in JOB_TABLES.items():
        ids = [job_id for of, job_id in found if of == kind]
        if ids:
            columns = [column for column in table.columns if column.name not in _DETAIL]
            rows = connection.execute(select(*columns).where(table.c.id.in_(ids))).mappings()
            documents |= {one["id"]: one for one in _jobs(kind, [_document(row) for row in rows], standings)}
    items: list[Document] = []
    size = 0
    for _, job_id in found:
        size += len(strictjson.dumps(documents[job_id]))
        if items and size > ANSWER_BYTES:
            break
        items.append(documents[job_id])
    return items


def _list_queue(connection: Connection, query: ask.ListQueue) -> Document:
    """Running jobs, then waiting ones as they are given out, then held ones; `next` counts the jobs before."""
    found: list[tuple[tuple[Any, ...], str]] = []
    for kind in [query.kind] if query.kind else list(JOB_TABLES):
        table = JOB_TABLES[kind]
        columns = (table.c.id, table.c.state, table.c.priority, table.c.rank)
        for row in connection.execute(select(*columns).where(table.c.state.in_(LIVE_STATES))):
            part = 0 if row.state in WITH_WORKER else 2 if row.state == "held" else 1
            found.append(((part, WORKERS[kind] != "trainer", -row.priority, row.rank, row.id), kind))
    found.sort()
    begin = number(query.after)
    items = _jobs_of(connection, [(kind, place[-1]) for place, kind in found[begin : begin + query.limit]])
    end = begin + len(items)
    return {"items": items, "next": str(end) if end < len(found) else None}


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


def _get_export_job(connection: Connection, query: ask.GetExportJob) -> Document:
    return _whole_job(connection, EXPORT_JOB, find(connection, EXPORT_JOB, query.id))


def _list_events(connection: Connection, query: ask.ListEvents) -> Document:
    events = ledger_view.events
    wanted = [events.c.position >= query.from_position, *of_entities(connection, query)]
    if query.as_of is not None:
        wanted.append(events.c.position <= ledger_view.position_of(connection, query.as_of))
    if query.since is not None:
        wanted.append(events.c.position > ledger_view.position_of(connection, query.since))
    for name in ("type", "actor", "correlation_id", "causation_id"):
        if (value := getattr(query, name)) is not None:
            wanted.append(events.c[name] == value)
    if query.search is not None and (words := query.search.strip().lower()):
        said = (events.c.data, events.c.type, events.c.actor)
        wanted.append(or_(*(func.lower(cast(column, Text)).contains(words, autoescape=True) for column in said)))

    def document(row: RowMapping) -> Document:
        aggregate, entity_id = row["stream_id"].split("/", 1)
        shown = {name: value for name, value in row.items() if name != "stream_id"}
        return shown | {"aggregate": aggregate, "entity_id": entity_id}

    order = sorting.descending(events.c.position) if query.newest else None
    page = _page(connection, events, query, wanted, order=order, show=document)
    if query.named:
        names = _entity_names(connection, page["items"])
        for item in page["items"]:
            item["entity_name"] = names.get(item["entity_id"])
    return page


def _entity_names(connection: Connection, events: Sequence[Document]) -> dict[str, str]:
    """What the entities of events are called, or were before they were removed, by id."""
    names: dict[str, str] = {}
    for aggregate, table in TABLES.items():
        ids = {event["entity_id"] for event in events if event["aggregate"] == aggregate}
        named = next((table.c[one] for one in ("name", "adapter_name", "description") if one in table.c), None)
        if ids and named is not None:
            names |= {
                row[0]: row[1] for row in connection.execute(select(table.c.id, named).where(table.c.id.in_(ids)))
            }
    return _names_of(connection, removed, {event["entity_id"] for event in events} - names.keys()) | names


def of_entities(connection: Connection, query: ask.ListEvents | ask.ListChanges) -> list[ColumnElement[bool]]:
    """The events of the aggregate and of the entity, by id or name, that a query names; of all if it names none."""
    events = ledger_view.events
    if query.entity_id is not None:
        kinds = [query.aggregate] if query.aggregate else list(AGGREGATES)
        ids = _ids_of(connection, kinds, query.entity_id)
        return [events.c.stream_id.in_([f"{kind}/{entity_id}" for kind in kinds for entity_id in ids])]
    if query.aggregate is not None:
        return [events.c.stream_id.startswith(f"{query.aggregate}/", autoescape=True)]
    return []


def _get_database(connection: Connection, query: ask.GetDatabase) -> Document:
    events, made = ledger_view.events, ledger_view.projections
    size = {
        "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
        "postgresql": "SELECT pg_database_size(current_database())",
    }
    ends = select(func.count(), func.max(events.c.position), func.min(events.c.recorded_at))
    count, position, first = connection.execute(ends.select_from(events)).one()
    newest = select(events.c.recorded_at).where(events.c.position == position)
    return {
        "kind": connection.dialect.name,
        "bytes": int(connection.exec_driver_sql(size[connection.dialect.name]).scalar_one()),
        "events": count,
        "position": position or 0,
        "first_recorded_at": first,
        "last_recorded_at": connection.scalar(newest),
        "projections": [dict(row) for row in connection.execute(select(made).order_by(made.c.name)).mappings()],
    }


def _get_database_export(connection: Connection, query: ask.GetDatabaseExport) -> Document:
    return _transfer(connection, query.id, "DatabaseExported", "export")


def _get_database_import(connection: Connection, query: ask.GetDatabaseImport) -> Document:
    return _transfer(connection, query.id, "DatabaseImported", "import")


def _transfer(connection: Connection, transfer_id: str, type: str, what: str) -> Document:
    """What the event of an export or import says: there is one of it, and no row."""
    events = ledger_view.events
    row = connection.execute(
        select(events).where(events.c.stream_id == f"{DATABASE}/{transfer_id}", events.c.type == type)
    ).first()
    if row is None:
        raise fail(Code.NOT_FOUND, f"no {what} {transfer_id[:80]!r}", param="id", hint="its id is the outcome's id")
    return {"id": transfer_id, "position": row.position, "recorded_at": row.recorded_at, "actor": row.actor, **row.data}


def _get_command_outcome(connection: Connection, query: ask.GetCommandOutcome) -> Document:
    inbox = ledger_view.inbox
    outcome: Document | None = connection.scalar(select(inbox.c.outcome).where(inbox.c.command_id == query.command_id))
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
    return _page(
        connection, table, query, [], order=sorting.ascending(table.c.id), question=select(*columns, size), show=dict
    )


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
    begin = number(query.after)
    items = found[begin : begin + query.limit]
    end = begin + len(items)
    return {"items": items, "next": str(end) if end < len(found) else None}


def _list_uses(connection: Connection, query: ask.ListUses) -> Document:
    found = uses.of(connection, query.aggregate, find(connection, query.aggregate, query.id), query.limit)
    for item in _named(connection, found["items"]):
        if "base_model_id" in item:
            parts = (item.pop("base_model_name", None), item.get("adapter_name"))
            item["name"] = " + ".join(filter(None, parts)) if item["aggregate"] != FINE_TUNING_JOB else parts[1]
            for name in ("base_model_id", "adapter_id", "adapter_name", "removed"):
                item.pop(name, None)
    return found


def _get_overview(connection: Connection, query: ask.GetOverview) -> Document:
    standings = Standings(connection)
    counts: Document = {
        table.name: connection.scalar(select(func.count()).select_from(table))
        for table in (datasets, models, adapters, prompts, configs)
    }
    by_state = select(all_jobs.c.kind, all_jobs.c.state, func.count()).group_by(all_jobs.c.kind, all_jobs.c.state)
    counts |= {table.name: {} for table in JOB_TABLES.values()}
    for kind, state, count in connection.execute(by_state.order_by(all_jobs.c.state)):
        counts[JOB_TABLES[kind].name][state] = count
    if query.as_of is None:
        dead_letters = ledger_view.dead_letters
        counts["dead_letters"] = connection.scalar(
            select(func.count()).select_from(dead_letters).where(dead_letters.c.resent_at.is_(None))
        )
        present = present_workers(connection)
        counts["workers"] = {
            kind: sum(worker["kind"] == kind for worker in present) for kind in (FINE_TUNING_JOB, EVALUATION_JOB)
        }
    newest, ended = all_jobs.c.position.desc(), all_jobs.c.finished.desc()
    parts: dict[str, tuple[Sequence[str], ColumnElement[Any]]] = {
        "running": (WITH_WORKER, newest),
        "waiting": (("queued", "held", "interrupted"), all_jobs.c.position.asc()),
        "failed": (("failed",), ended),
        "recent": (ENDED_STATES, ended),
    }
    document: Document = {"counts": counts}
    if query.as_of is None:
        document["position"] = connection.scalar(select(func.max(ledger_view.events.c.position))) or 0
    for part, (states, order) in parts.items():
        found: list[tuple[str, str]] = []
        for kind in JOB_TABLES:
            wanted = (all_jobs.c.kind == kind, all_jobs.c.state.in_(states))
            ids = connection.scalars(select(all_jobs.c.id).where(*wanted).order_by(order).limit(NEWEST))
            found += [(kind, job_id) for job_id in ids]
        document[part] = _jobs_of(connection, found, standings)
    document["recent"].sort(key=lambda job: job["finished_at"], reverse=True)
    return document


def _get_metrics(ledger: Connection, measured: Connection, query: ask.GetMetrics) -> Document:
    kind, row = find_job(ledger, query.job_id)
    document = telemetry.curves(measured, row["id"], query.names, query.since_step, query.points)
    progress = telemetry.latest_progress(measured, [row["id"]]).get(row["id"])
    return document | {"kind": kind, "state": row["state"], "progress": progress}


def _compare_runs(ledger: Connection, measured: Connection, query: ask.CompareRuns) -> Document:
    rows = [find(ledger, FINE_TUNING_JOB, query.job_id, param="job_id")]
    rows.append(find(ledger, FINE_TUNING_JOB, query.other_id, param="other_id"))
    curves = [telemetry.curves(measured, row["id"], comparing.COMPARED) for row in rows]
    versions = [_versions(ledger, row["id"]) for row in rows]
    document = comparing.compare(curves[0], curves[1], query.tolerance, versions)
    states = {"job_id": rows[0]["id"], "other_id": rows[1]["id"], "states": [row["state"] for row in rows]}
    return states | document


def _versions(connection: Connection, job_id: str) -> dict[str, str]:
    """The libraries that a job's newest attempt ran with."""
    table = job_attempts
    newest = select(table.c.versions).where(table.c.job_id == job_id, table.c.versions.is_not(None))
    return connection.scalar(newest.order_by(table.c.attempt.desc()).limit(1)) or {}


def _get_samples(ledger: Connection, measured: Connection, query: ask.GetSamples) -> Document:
    _, row = find_job(ledger, query.job_id)
    document = telemetry.sample_answers(measured, row["id"], query.since_step)
    return document | {"state": row["state"], "ended": row["state"] in ENDED_STATES}


def _get_system_metrics(ledger: Connection, measured: Connection, query: ask.GetSystemMetrics) -> Document:
    kind, row = find_job(ledger, query.job_id)
    document = telemetry.machine_series(measured, row["id"], query.names, query.since_time, query.points)
    return document | {"kind": kind, "state": row["state"]}


def _get_log(ledger: Connection, measured: Connection, query: ask.GetLog) -> Document:
    _, row = find_job(ledger, query.job_id)
    document = telemetry.log_text(measured, row["id"], query.attempt, query.offset, query.limit, query.tail)
    return _of_attempt(document, query.attempt, row)


def _search_log(ledger: Connection, measured: Connection, query: ask.SearchLog) -> Document:
    _, row = find_job(ledger, query.job_id)
    wanted = (query.text, query.level, query.after_offset, query.limit)
    return _of_attempt(telemetry.search_log(measured, row["id"], query.attempt, *wanted), query.attempt, row)


def _of_attempt(document: Document, attempt: int | None, row: RowMapping) -> Document:
    """Errors: `not_found` for an attempt that there was not."""
    if attempt is not None and attempt not in document["attempts"] and attempt > row["attempt"]:
        raise fail(Code.NOT_FOUND, f"there is no attempt {attempt}", param="attempt")
    return document | {"ended": row["state"] in ENDED_STATES}


def _state(wanted: str | None) -> str | None:
    if wanted is None or wanted in STATES:
        return wanted
    near = nearest(wanted, STATES)
    hint = f"did you mean {near!r}?" if near else f"states: {', '.join(STATES)}"
    raise fail(Code.INVALID, f"{wanted[:40]!r} is no state of a job", param="state", hint=hint)


def _equal(table: Table, **wanted: str | None) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in wanted.items() if value is not None]


def _searched(
    connection: Connection, table: Table, query: ask.Searched, conditions: list[ColumnElement[bool]]
) -> Document:
    """A page of the entities that a text speaks of, in their name or their description."""
    if query.search is not None and (text := query.search.strip().lower()):
        columns = [table.c[name] for name in ("name", "description") if name in table.c]
        conditions.append(or_(*(func.lower(column).contains(text, autoescape=True) for column in columns)))
    order = sorting.descending if query.order == "newest" else sorting.ascending
    return _page(connection, table, query, conditions, order=order(table.c.position))


def _page(
    connection: Connection,
    table: Table,
    query: ask.Query,
    conditions: Sequence[ColumnElement[bool]],
    *,
    order: Sorting | None = None,
    question: Select[Any] | None = None,
    show: Callable[[RowMapping], Document] | None = None,
) -> Document:
    """One page, in the order added if no other is asked for. The cursor says where the last item stands, so pages stay
    right while rows are added."""
    limit: int = query.limit  # type: ignore[attr-defined]
    after: str | None = query.after  # type: ignore[attr-defined]
    order = order or sorting.ascending(table.c.position)
    rows = (select(table) if question is None else question).where(*conditions)
    if after is not None:
        rows = rows.where(order.after(after))
    items: list[Document] = []
    size, more, last = 0, False, ""
    for row in connection.execute(rows.order_by(*order.columns).limit(limit + 1)).mappings():
        item = (
            show(row)
            if show
            else _document(row, _DETAIL if table is datasets or table in JOB_TABLES.values() else frozenset())
        )
        size += len(strictjson.dumps(item))
        if len(items) == limit or (items and size > ANSWER_BYTES):
            more = True
            break
        items.append(item)
        last = order.cursor(row)
    if table in _NAMES_IN_LISTS:
        _named(connection, items)
    return {"items": items, "next": last if more else None}


def _document(row: RowMapping, without: frozenset[str] = frozenset()) -> Document:
    return {name: value for name, value in row.items() if name not in _HIDDEN and name not in without}


def _named(connection: Connection, documents: list[Document]) -> list[Document]:
    """Add the names of the things that documents refer to by id.

    What a document refers to may be gone by now: it keeps the name it had, and `removed` lists the fields that name it.
    """
    for field, (shown, table) in _REFERENCES.items():
        ids = {document[field] for document in documents if document.get(field)}
        found = _names_of(connection, table, ids)
        gone = _names_of(connection, removed, ids - found.keys())
        for document in documents:
            if field in document and shown not in document:
                document[shown] = found.get(document[field]) or gone.get(document[field])
            if document.get(field) in gone:
                document["removed"] = [*document.get("removed", ()), field]
    return documents


def _names_of(connection: Connection, table: Table, ids: Collection[str]) -> dict[str, str]:
    if not ids:
        return {}
    rows = connection.execute(select(table.c.id, table.c.name).where(table.c.id.in_(ids)))
    return {row.id: row.name for row in rows}


def _jobs(kind: str, documents: list[Document], standings: Standings) -> list[Document]:
    """Job documents with their kind, the names they refer to, where they stand and how far they are."""
    named = _named(standings.connection, documents)
    if kind != FINE_TUNING_JOB:
        _name_makers(standings.connection, named)
    standings.describe(kind, named)
    for document in named:
        document["kind"] = kind
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


def _name_makers(connection: Connection, documents: list[Document]) -> None:
    """Add `fine_tuning_job_name`: what the adapter or model is to be called that a job waits for."""
    ids = {document["fine_tuning_job_id"] for document in documents if document["fine_tuning_job_id"]}
    table = fine_tuning_jobs
    found = select(table.c.id, table.c.adapter_name).where(table.c.id.in_(ids))
    names = {row.id: row.adapter_name for row in connection.execute(found)} if ids else {}
    names = _names_of(connection, removed, ids - names.keys()) | names
    for document in documents:
        document["fine_tuning_job_name"] = names.get(document["fine_tuning_job_id"])


def _whole_job(connection: Connection, kind: str, row: RowMapping) -> Document:
    document = _jobs(kind, [_document(row)], Standings(connection))[0]
    for name, table, order in (
        ("attempts_made", job_attempts, job_attempts.c.attempt),
        ("checkpoints", job_checkpoints, job_checkpoints.c.position),
    ):
        rows = connection.execute(select(table).where(table.c.job_id == row["id"]).order_by(order)).mappings()
        document[name] = [{k: v for k, v in found.items() if k not in ("job_id", "kind")} for found in rows]
    return document


def jobs_in(document: Document) -> list[Document]:
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
    gone = select(removed.c.name, removed.c.removed_at).where(
        removed.c.id == reference, removed.c.aggregate == aggregate
    )
    if (was := connection.execute(gone).first()) is not None:
        hint = (
            f"{was.name!r} was removed at {was.removed_at}; its events are still there: list those of entity_id {shown}"
        )
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
_SHOWS_JOBS = (
    "ListFineTuningJobs",
    "ListEvaluationJobs",
    "ListExportJobs",
    "ListAllJobs",
    "GetFineTuningJob",
    "GetEvaluationJob",
    "GetExportJob",
    "GetOverview",
    "ListQueue",
)

ANSWERS: dict[str, Callable[[Connection, Any], Document]] = {
    "ListDatasets": _list_datasets,
    "ListModels": _list_models,
    "ListRemoteCodeApprovals": _list_remote_code_approvals,
    "ListAdapters": _list_adapters,
    "ListPrompts": _list_prompts,
    "ListConfigs": _list_configs,
    "ListFineTuningJobs": _list_fine_tuning_jobs,
    "ListEvaluationJobs": _list_evaluation_jobs,
    "ListExportJobs": _list_export_jobs,
    "ListAllJobs": _list_all_jobs,
    "GetDataset": _get_dataset,
    "GetModel": _get_model,
    "GetAdapter": _get_adapter,
    "GetPrompt": _get_prompt,
    "GetConfig": _get_config,
    "GetDatasetSplitByAdapter": _get_dataset_split_by_adapter,
    "GetFineTuningJob": _get_fine_tuning_job,
    "GetEvaluationJob": _get_evaluation_job,
    "GetExportJob": _get_export_job,
    "ListEvents": _list_events,
    "GetCommandOutcome": _get_command_outcome,
    "GetDatabase": _get_database,
    "GetDatabaseExport": _get_database_export,
    "GetDatabaseImport": _get_database_import,
    "ListDeadLetters": _list_dead_letters,
    "GetDeadLetter": _get_dead_letter,
    "ListQueue": _list_queue,
    "ListWorkers": _list_workers,
    "ListUses": _list_uses,
    "GetOverview": _get_overview,
}

TELEMETRY_ANSWERS: dict[str, Callable[[Connection, Connection, Any], Document]] = {
    "GetMetrics": _get_metrics,
    "GetSystemMetrics": _get_system_metrics,
    "CompareRuns": _compare_runs,
    "GetLog": _get_log,
    "SearchLog": _search_log,
    "GetSamples": _get_samples,
}
