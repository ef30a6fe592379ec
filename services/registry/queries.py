"""Answers to every query of the bus: SQL's from the projections, and those that need a file. It writes nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Engine, RowMapping
from sqlalchemy.exc import DBAPIError
from tunebus.contracts import queries as ask
from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, TunebusError, combine, fail, from_validation
from tunebus.contracts.recipes import DatasetSource, PromptTemplates, files_type
from tunebus.contracts.subjects import DATASET, EVALUATION_JOB, MODEL, PROMPT
from tunebus.projections import queries
from tunebus.projections.history import History
from tunebus.projections.sorting import number
from tunebus.projections.tables import ENDED_STATES
from tunebus.services.platform import database
from tunebus.services.platform.home import Home
from tunebus.services.platform.rows.templates import required
from tunebus.services.platform.upcasters import UPCASTERS
from tunebus.services.registry import comparison, evaluation_rows, fine_tuning_job, prompt_generation
from tunebus.services.registry.children import PreparePool
from tunebus.services.registry.fine_tuning_job import Asked
from tunebus.services.registry.progress import Progress
from tunebus.services.registry.sizing import Sizing
from tunebus.services.registry.uploads import Uploads

_TEMPLATES = ("prompt_template", "input_template", "completion_template")
PREVIEW_SECONDS = 60.0
TOKENIZED_ROWS = 20
ANSWER_BYTES = 600_000

_OF_THEN = ask.List | ask.Get | ask.GetOverview

Document = dict[str, Any]


class QueryAnswers:
    """`answer` for every name of `QUERIES`. SQL is read in `readers`' threads, files by prepare children."""

    def __init__(
        self,
        home: Home,
        reads: Engine,
        measured: Engine,
        readers: Executor,
        pool: PreparePool,
        tokenizers: PreparePool,
        progress: Progress,
        sizing: Sizing,
        uploads: Uploads,
        roots: Document,
    ) -> None:
        self._home = home
        self._reads = reads
        self._measured = measured
        self._readers = readers
        self._pool = pool
        self._tokenizers = tokenizers
        self._progress = progress
        self._sizing = sizing
        self._uploads = uploads
        self._roots = roots
        self._history = History(UPCASTERS.upcast)
        self._with_files: dict[type[ask.Query], Callable[[Any], Awaitable[Document]]] = {
            ask.PreviewDataset: self._preview_dataset,
            ask.InspectDataset: self._inspect_dataset,
            ask.ListDatasetFindings: self._findings,
            ask.GeneratePrompt: self._generate_prompt,
            ask.RenderPrompt: self._render_prompt,
            ask.GetCommandProgress: self._command_progress,
            ask.GetEvaluationRows: self._evaluation_rows,
            ask.CompareEvaluations: self._compare_evaluations,
            ask.ExportEvaluations: self._export_evaluations,
            ask.GetLog: self._log,
            ask.EstimateFineTuningJob: self._estimate,
        }

    async def answer(self, name: str, body: bytes) -> Document:
        """The answer's document. Errors: `invalid`, `unknown_field`, `not_found`, `unavailable`."""
        kind = ask.QUERIES[name]
        arguments = strictjson.loads(body) if body.strip() else {}
        if not isinstance(arguments, dict):
            raise fail(Code.INVALID, "the arguments of a query are an object", hint='for example {"limit": 50}')
        try:
            query = kind.model_validate({key: value for key, value in arguments.items() if value is not None})
        except ValidationError as error:
            fields = [field.alias or name for name, field in kind.model_fields.items()]
            raise TunebusError(from_validation(error, fields)) from None
        with_file = self._with_files.get(kind)
        return await with_file(query) if with_file else await self._from_sql(query)

    async def _from_sql(self, query: ask.Query) -> Document:
        found: Document = await self._in_reader(partial(self._sql, query))
        return found

    def close(self) -> None:
        """Drop the earlier states that are kept."""
        self._history.close()

    def _sql(self, query: ask.Query) -> Document:
        """Telemetry that cannot be reached, or that nobody has written yet, takes only live progress away."""
        if isinstance(query, ask.ListChanges):
            with database.read(self._reads) as ledger:
                return self._history.changes(query, ledger)
        if isinstance(query, _OF_THEN) and query.as_of is not None and not isinstance(query, ask.ListEvents):
            with database.read(self._reads) as ledger:
                return self._history.answer(query, ledger)
        try:
            with database.read(self._measured) as measured, database.read(self._reads) as ledger:
                return queries.answer(query, ledger, measured)
        except (database.DatabaseError, DBAPIError):  # the latter where the projector has not made its tables yet
            with database.read(self._reads) as ledger:
                return queries.answer(query, ledger)

    async def _preview_dataset(self, query: ask.PreviewDataset) -> Document:
        """Rows come from the file, figures from what was found when the dataset was added."""
        row = await self._in_reader(partial(self._found, DATASET, query.id, "id"))
        prompt = model = None
        if query.prompt_id:
            found = await self._in_reader(partial(self._found, PROMPT, query.prompt_id, "prompt_id"))
            prompt = {name: found[name] for name in ("prompt_template", "input_template", "completion_template")}
        if query.model_id:
            model = await self._in_reader(partial(self._found, MODEL, query.model_id, "model_id"))
        source = self._source(row, prompt)
        request = {"source": source.model_dump(mode="json"), "limit": query.limit, "offset": query.offset}
        seen = await self._pool.ask("preview", request, PREVIEW_SECONDS)
        statistics = row["statistics"] or {}
        document = {
            "id": row["id"],
            "name": row["name"],
            "type": row["type"],
            "format": row["format"],
            "row_count": row["rows"],
            "offset": query.offset,
            "splits": row["splits"],
            "columns": statistics.get("columns", []),
            **seen,
        }
        if model is not None:
            document |= await self._tokens(query, row, source, model, seen)
        return document

    async def _tokens(
        self, query: ask.PreviewDataset, row: RowMapping, source: DatasetSource, model: RowMapping, seen: Document
    ) -> Document:
        if source.format == "prompt" and source.prompt is None:
            generated = seen["generated_prompt"]
            source = source.model_copy(update={"prompt": PromptTemplates(**generated) if generated else None})
        location = str(self._home.resolve(model["location"]))
        request = {
            "source": source.model_dump(mode="json"),
            "model": {"model_id": model["id"], "location": location, "sha256": model["sha256"]},
            "limit": min(query.limit, TOKENIZED_ROWS),
            "offset": query.offset,
            "lengths": query.lengths,
            "text_format": query.text_format,
            "max_length": query.max_length or model["context_length"],
            "rows": row["rows"],
            "bytes": row["bytes"],
        }
        return await self._tokenizers.ask("tokenize", request, PREVIEW_SECONDS)

    async def _inspect_dataset(self, query: ask.InspectDataset) -> Document:
        """Errors: `invalid`, `not_found`, `not_permitted` and `too_large`, as adding it would."""
        if (query.path is None) == (query.upload is None):
            raise fail(Code.INVALID, "name a path or an upload", param="path")
        request = {
            **self._roots,
            **query.model_dump(include={"path", "type", "format", "column_mapping", "limit"}),
            "shown": query.path or query.upload,
            "draft": None,
            "cut": False,
        }
        if query.upload is None:
            return await self._pool.ask("look", request, PREVIEW_SECONDS)
        async with self._uploads.begun(query.upload, query.type) as (draft, cut):
            return await self._pool.ask("look", {**request, "draft": str(draft), "cut": cut}, PREVIEW_SECONDS)

    async def _findings(self, query: ask.ListDatasetFindings) -> Document:
        row = await self._in_reader(partial(self._found, DATASET, query.id, "id"))
        request = {
            "source": self._source(row, None).model_dump(mode="json"),
            "kind": query.kind,
            "limit": query.limit,
            "after": number(query.after),
        }
        return await self._pool.ask("findings", request, PREVIEW_SECONDS)

    def _source(self, row: RowMapping, prompt: Document | None) -> DatasetSource:
        return DatasetSource(
            dataset_id=row["id"],
            location=str(self._home.resolve(row["location"])),
            type=files_type(row["type"]),
            files=row["files"],
            column_mapping=row["column_mapping"],
            skip_broken=row["skip_broken"],
            row_format=row["format"],
            sha256=row["sha256"],
            features=row["features"],
            format="prompt" if prompt else row["format"],
            prompt=PromptTemplates(**prompt) if prompt else None,
        )

    async def _command_progress(self, query: ask.GetCommandProgress) -> Document:
        return self._progress.of(query.command_id)

    async def _generate_prompt(self, query: ask.GeneratePrompt) -> Document:
        dataset = await self._in_reader(partial(self._found, DATASET, query.dataset_id, "dataset_id"))
        templates = prompt_generation.generate(dataset["features"], query.output_column)
        output = (
            prompt_generation.output_named(dataset["features"], query.output_column)
            if query.output_column
            else prompt_generation.output_column(dataset["features"])
        )
        return {
            "dataset_id": dataset["id"],
            "dataset_name": dataset["name"],
            "output_column": output,
            "input_columns": [name for name in dataset["features"] if name != output],
            **templates.model_dump(),
        }

    async def _render_prompt(self, query: ask.RenderPrompt) -> Document:
        """Templates of a prompt, or those given, or generated ones; never a mixture."""
        given = {name: getattr(query, name) for name in _TEMPLATES if getattr(query, name) is not None}
        prompt = model = None
        if query.prompt_id is not None:
            if given:
                hint = "give a prompt_id, or all three templates with a dataset_id"
                raise fail(Code.INVALID, "stands beside a prompt_id", param=next(iter(given)), hint=hint)
            prompt = await self._in_reader(partial(self._found, PROMPT, query.prompt_id, "prompt_id"))
            given = {name: prompt[name] for name in _TEMPLATES}
        reference = query.dataset_id or (prompt["dataset_id"] if prompt else None)
        if reference is None:
            raise fail(Code.INVALID, "is required", param="dataset_id", hint="give a prompt_id or a dataset_id")
        dataset = await self._in_reader(partial(self._found, DATASET, reference, "dataset_id"))
        if query.model_id is not None:
            model = await self._in_reader(partial(self._found, MODEL, query.model_id, "model_id"))
        if not given:
            given = prompt_generation.generate(dataset["features"]).model_dump()
        if lacking := [name for name in _TEMPLATES if name not in given]:
            raise TunebusError(combine(required(name, dataset["features"]) for name in lacking))
        request = {
            "source": self._source(dataset, given).model_dump(mode="json"),
            "rows": dataset["rows"],
            "seed": query.seed,
            "model_folder": str(self._home.resolve(model["location"])) if model else None,
        }
        shown = await self._pool.ask("example", request, PREVIEW_SECONDS)
        return {"prompt_id": prompt["id"] if prompt else None, "dataset_id": dataset["id"], **given, **shown}

    async def _evaluation_rows(self, query: ask.GetEvaluationRows) -> Document:
        """The scored rows; none while the evaluation has not succeeded."""
        row = await self._in_reader(partial(self._found, EVALUATION_JOB, query.job_id, "job_id"))
        if row["result_uri"] is None:
            return {"items": [], "next": None}
        path = self._home.resolve(row["result_uri"])
        page: Document = await self._in_reader(partial(evaluation_rows.page, path, query))
        return page

    async def _compare_evaluations(self, query: ask.CompareEvaluations) -> Document:
        found: Document = await self._in_reader(
            lambda: comparison.compare(query, self._siblings(query.parent_id), self._home.resolve)
        )
        return found

    async def _export_evaluations(self, query: ask.ExportEvaluations) -> Document:
        found: Document = await self._in_reader(
            lambda: comparison.as_text(query, self._siblings(query.parent_id), self._home.resolve)
        )
        return found

    def _siblings(self, parent_id: str) -> list[Document]:
        """The evaluations of a parent; of one evaluation's id, all that were started with it."""
        with database.read(self._reads) as connection:

            def children(of: str) -> list[Document]:
                page = queries.answer(ask.ListEvaluationJobs(parent_id=of, limit=1000), connection)
                items: list[Document] = page["items"]
                return items

            found = children(parent_id)
            if not found:
                found = children(queries.find(connection, EVALUATION_JOB, parent_id, param="parent_id")["parent_id"])
            return found

    async def _estimate(self, query: ask.EstimateFineTuningJob) -> Document:
        """Errors: all that a start would be refused with; `not_supported` for an operator's script and for a model of
        unknown shape."""
        found, problems, facts = await self._sizing.facts(query, Asked(), self._pool)
        if problems or found is None:
            raise TunebusError(combine(problems))
        if query.user_script is not None:
            raise fail(
                Code.NOT_SUPPORTED,
                "nobody can tell what a script of your own needs: it decides by itself what it loads and for how long",
                param="user_script",
                hint="leave it out to see what the method's own training would need",
            )
        document = fine_tuning_job.estimated(found, facts)
        if document is None:
            raise fail(
                Code.NOT_SUPPORTED,
                f"nothing is known of the layers of model {found.model.name!r}",
                param="base_model_id",
                hint="it was added by an older version: add it again",
            )
        recipe = found.recipe
        resolved = recipe.model_dump(include={"training_arguments", "lora", "text_format", "sources", "reasons"})
        return document | {"resolved": resolved, "warnings": fine_tuning_job.warnings(found, query, document)}

    async def _log(self, query: ask.GetLog) -> Document:
        """From the telemetry; from the attempt's own file where that has not arrived, or cannot be read."""
        try:
            found = await self._from_sql(query)
        except TunebusError as error:
            if error.problem.code != Code.UNAVAILABLE:
                raise
            found = None
        if found is not None and found["text"]:
            return found
        from_file: Document = await self._in_reader(partial(self._log_file, query, found))
        return from_file

    def _log_file(self, query: ask.GetLog, found: Document | None) -> Document:
        with database.read(self._reads) as connection:
            _, job = queries.find_job(connection, query.job_id)
        attempt = query.attempt if query.attempt is not None else job["attempt"]
        text, offset = b"", query.offset
        path = self._home.resolve(job["out_dir"]) / f"attempt-{attempt}" / "output.log"
        if attempt and path.is_file():
            with path.open("rb") as file:
                if query.tail is not None:
                    offset = max(0, file.seek(0, os.SEEK_END) - query.tail)
                file.seek(offset)
                text = file.read(min(query.tail or query.limit, ANSWER_BYTES // 2))
        document = found or {
            "job_id": job["id"],
            "attempts": list(range(1, job["attempt"] + 1)),
            "ended": job["state"] in ENDED_STATES,
        }
        return document | {
            "attempt": attempt or None,
            "offset": offset,
            "text": text.decode(errors="replace"),
            "next_offset": offset + len(text),
        }

    def _found(self, aggregate: str, reference: str, param: str) -> RowMapping:
        with database.read(self._reads) as connection:
            return queries.find(connection, aggregate, reference, param=param)

    async def _in_reader(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)
