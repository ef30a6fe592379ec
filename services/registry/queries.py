"""Answers to every query of the bus: SQL's from the projections, and those that need a file. It writes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Engine, RowMapping
from sqlalchemy.exc import DBAPIError
from tunebus.contracts import queries as ask
from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, TunebusError, fail, from_validation
from tunebus.contracts.subjects import DATASET, EVALUATION_JOB, PROMPT
from tunebus.projections import queries
from tunebus.projections.tables import ENDED_STATES
from tunebus.services.platform import database
from tunebus.services.platform.home import Home
from tunebus.services.registry.children import PreparePool

PREVIEW_SECONDS = 60.0
ANSWER_BYTES = 600_000

Document = dict[str, Any]


class QueryAnswers:
    """`answer` for every name of `QUERIES`. SQL is read in `readers`' threads, files by prepare children."""

    def __init__(self, home: Home, reads: Engine, measured: Engine, readers: Executor, pool: PreparePool) -> None:
        self._home = home
        self._reads = reads
        self._measured = measured
        self._readers = readers
        self._pool = pool
        self._with_files: dict[type[ask.Query], Callable[[Any], Awaitable[Document]]] = {
            ask.PreviewDataset: self._preview_dataset,
            ask.GetEvaluationRows: self._evaluation_rows,
            ask.GetLog: self._log,
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

    def _sql(self, query: ask.Query) -> Document:
        """Telemetry that cannot be reached, or that nobody has written yet, takes only live progress away."""
        try:
            with database.read(self._measured) as measured, database.read(self._reads) as ledger:
                return queries.answer(query, ledger, measured)
        except (database.DatabaseError, DBAPIError):  # the latter where the projector has not made its tables yet
            with database.read(self._reads) as ledger:
                return queries.answer(query, ledger)

    async def _preview_dataset(self, query: ask.PreviewDataset) -> Document:
        row = await self._in_reader(partial(self._found, DATASET, query.id, "id"))
        prompt = None
        if query.prompt_id:
            found = await self._in_reader(partial(self._found, PROMPT, query.prompt_id, "prompt_id"))
            prompt = {name: found[name] for name in ("prompt_template", "input_template", "completion_template")}
        request = {
            "path": str(self._home.resolve(row["location"])),
            "type": row["type"],
            "features": row["features"],
            "format": row["format"],
            "limit": query.limit,
            "prompt": prompt,
        }
        seen = await self._pool.ask("preview", request, PREVIEW_SECONDS)
        return {"id": row["id"], "name": row["name"], "type": row["type"], "format": row["format"], **seen}

    async def _evaluation_rows(self, query: ask.GetEvaluationRows) -> Document:
        """The scored rows; none while the evaluation has not succeeded."""
        row = await self._in_reader(partial(self._found, EVALUATION_JOB, query.job_id, "job_id"))
        if row["result_uri"] is None:
            return {"items": [], "next": None}
        path = self._home.resolve(row["result_uri"])
        page: Document = await self._in_reader(partial(_rows, path, _offset(query.after), query.limit))
        return page

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
        text = b""
        path = self._home.resolve(job["out_dir"]) / f"attempt-{attempt}" / "output.log"
        if attempt and path.is_file():
            with path.open("rb") as file:
                file.seek(query.offset)
                text = file.read(min(query.limit, ANSWER_BYTES // 2))
        document = found or {
            "job_id": job["id"],
            "attempts": list(range(1, job["attempt"] + 1)),
            "offset": query.offset,
            "ended": job["state"] in ENDED_STATES,
        }
        return document | {
            "attempt": attempt or None,
            "text": text.decode(errors="replace"),
            "next_offset": query.offset + len(text),
        }

    def _found(self, aggregate: str, reference: str, param: str) -> RowMapping:
        with database.read(self._reads) as connection:
            return queries.find(connection, aggregate, reference, param=param)

    async def _in_reader(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)


def _offset(after: str | None) -> int:
    if after is None:
        return 0
    if not after.isdigit() or len(after) > 18:
        raise fail(
            Code.INVALID, f"{after[:40]!r} is no cursor", param="after", hint="use the `next` of the page before"
        )
    return int(after)


def _rows(path: Path, offset: int, limit: int) -> Document:
    """Up to `limit` lines from a byte offset on; `next` is the offset that follows, null at the end."""
    items: list[Any] = []
    size = 0
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while len(items) < limit and (line := file.readline(ANSWER_BYTES + 1)):
                size += len(line)
                if size > ANSWER_BYTES and items:
                    break
                items.append(json.loads(line))
                offset += len(line)
            more = bool(file.read(1)) or size > ANSWER_BYTES
    except (OSError, ValueError):
        raise fail(
            Code.UNAVAILABLE, "the evaluation's rows cannot be read", hint="is the artifact root where it was?"
        ) from None
    return {"items": items, "next": str(offset) if more else None}
