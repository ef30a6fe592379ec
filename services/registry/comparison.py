"""The evaluations of one parent side by side: their metrics with differences and the best, and everyone's answers to
the same rows; whole, as the text of a file. It reads rows' files and writes nothing.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tunebus.contracts.errors import Code, fail
from tunebus.contracts.queries import CompareEvaluations, ExportEvaluations
from tunebus.services.registry.evaluation_rows import ANSWER_BYTES, LOWER_IS_BETTER, Rows, start_of

HIGHER_IS_BETTER = frozenset({"exact_match", "rouge_1", "rouge_2", "rouge_l", "bleu", "finished", "tokens_per_second"})
FIRST = (
    "loss",
    "perplexity",
    "exact_match",
    "majority_exact_match",
    "rouge_1",
    "rouge_2",
    "rouge_l",
    "bleu",
    "finished",
)
SHARED = ("index", "features", "prompt", "reference")
TEXT_CHARACTERS = 200_000
FORMULA = ("=", "+", "-", "@", "\t", "\r")

Document = dict[str, Any]
Resolve = Callable[[str], Path]


def compare(query: CompareEvaluations, jobs: Sequence[Document], resolve: Resolve) -> Document:
    """`jobs` are the evaluations of the parent, in the order asked for. Errors: `not_found`, `invalid`."""
    leading = _leading(query, jobs)
    return {
        "parent_id": jobs[0]["parent_id"],
        "combinations": [_combination(job) for job in jobs],
        "metrics": _metrics(jobs),
        **(_answers(query, jobs, leading, resolve) if leading is not None else {"items": [], "next": None}),
    }


def as_text(query: ExportEvaluations, jobs: Sequence[Document], resolve: Resolve) -> Document:
    """A piece of the file: `{"text", "next"}`."""
    if query.part == "metrics":
        return {"text": _metrics_text(jobs, query.format), "next": None}
    number, line = _place(query.after)
    parts: list[str] = []
    if query.after is None:
        parts.append("[" if query.format == "json" else _csv([_columns(jobs, resolve)]))
    size = 0
    first = query.after is None
    columns = _columns(jobs, resolve) if query.format == "csv" else []
    for at, here, row in _lines(jobs, resolve, number, line):
        if size > TEXT_CHARACTERS:
            return {"text": "".join(parts), "next": f"{at}.{here}"}
        piece = _csv([[_cell(row, name) for name in columns]]) if columns else _json(row, first=first)
        first = False
        size += len(piece)
        parts.append(piece)
    return {"text": "".join([*parts, "\n]\n" if query.format == "json" else ""]), "next": None}


def _leading(query: CompareEvaluations, jobs: Sequence[Document]) -> Document | None:
    """Whose rows make the order: the one asked for, else the last that has any."""
    if query.job_id is not None:
        found = next((job for job in jobs if job["id"] == query.job_id), None)
        if found is None:
            raise fail(Code.NOT_FOUND, f"{query.job_id[:80]!r} is none of these evaluations", param="job_id")
        return found if found["result_uri"] else None
    return next((job for job in reversed(jobs) if job["result_uri"]), None)


def _combination(job: Mapping[str, Any]) -> Document:
    kept = (
        "base_model_id", "base_model_name", "adapter_id", "adapter_name", "fine_tuning_job_id", "fine_tuning_job_name",
        "dataset_id", "dataset_name", "prompt_id", "prompt_name", "state", "cause", "message", "hint", "warnings",
        "progress",
    )  # fmt: skip
    return {"job_id": job["id"], **{name: job.get(name) for name in kept}}


def _metrics(jobs: Sequence[Document]) -> list[Document]:
    """A line a metric: everyone's value, how far from the first one's, and who is best."""
    measured = [job.get("metrics") or {} for job in jobs]
    names = {name for one in measured for name in one}
    ordered = [name for name in FIRST if name in names] + sorted(names - set(FIRST))
    return [_metric(name, [one.get(name) for one in measured]) for name in ordered]


def _metric(name: str, values: Sequence[float | None]) -> Document:
    reference = values[0]
    known = [value for value in values if value is not None]
    lower = True if name in LOWER_IS_BETTER else False if name in HIGHER_IS_BETTER else None
    # Counts of tokens are what was given to do, not how well it was done.
    if name.endswith("_tokens") or name == "seconds":
        lower = None
    best = None if lower is None or not known else min(known) if lower else max(known)
    return {
        "name": name,
        "lower_is_better": lower,
        "values": list(values),
        "differences": [None if value is None or reference is None else value - reference for value in values],
        "best": _places_of(best, values),
    }


def _places_of(best: float | None, values: Sequence[float | None]) -> list[int]:
    """Who has the best value; nobody where all have the same."""
    if best is None or all(value == best for value in values):
        return []
    return [number for number, value in enumerate(values) if value == best]


def _answers(query: CompareEvaluations, jobs: Sequence[Document], leading: Document, resolve: Resolve) -> Document:
    """Rows of the leading one, with the answers that the others gave to the same rows."""
    rows = Rows(resolve(leading["result_uri"]))
    order = rows.order(query.order, query.metric, query.seed)
    tables = [
        Rows(resolve(job["result_uri"])) if job["result_uri"] and job["dataset_id"] == leading["dataset_id"] else None
        for job in jobs
    ]
    lines = [table.by_number() if table else {} for table in tables]
    begin = start_of(query.after)
    items: list[Document] = []
    size = 0
    for line in order[begin : begin + query.limit]:
        own = rows.read([line])[0]
        item = {name: own[name] for name in SHARED if name in own}
        item["answers"] = [
            _answer(table.read([where[own["index"]]])[0]) if table and own["index"] in where else None
            for table, where in zip(tables, lines, strict=True)
        ]
        size += len(json.dumps(item))
        if size > ANSWER_BYTES and items:
            break
        items.append(item)
    end = begin + len(items)
    return {"items": items, "next": str(end) if end < len(order) else None}


def _answer(row: Mapping[str, Any]) -> Document:
    return {name: value for name, value in row.items() if name not in SHARED}


def _metrics_text(jobs: Sequence[Document], format: str) -> str:
    """A line a combination."""
    lines = [{**_who(job), "state": job["state"], "metrics": job.get("metrics") or {}} for job in jobs]
    if format == "json":
        return json.dumps(lines, ensure_ascii=False, indent=1) + "\n"
    names = [metric["name"] for metric in _metrics(jobs)]
    header = [*_who(jobs[0]), "state", *names]
    return _csv([header, *([*_who(job).values(), job["state"], *_values(job, names)] for job in jobs)])


def _values(job: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    return [(job.get("metrics") or {}).get(name) for name in names]


def _who(job: Mapping[str, Any]) -> Document:
    return {
        "job_id": job["id"],
        "model": job.get("base_model_name") or job["base_model_id"],
        "adapter": job.get("adapter_name") or job.get("adapter_id"),
        "dataset": job.get("dataset_name") or job.get("dataset_id"),
    }


def _lines(jobs: Sequence[Document], resolve: Resolve, number: int, line: int) -> Iterator[tuple[int, int, Document]]:
    """(job's number, line, row with whose it is) from a place on, a line for each row of each evaluation."""
    for at in range(number, len(jobs)):
        job = jobs[at]
        if job["result_uri"]:
            rows = Rows(resolve(job["result_uri"]))
            for here in range(line, len(rows.places)):
                yield at, here, {**_who(job), **rows.read([here])[0]}
        line = 0


def _columns(jobs: Sequence[Document], resolve: Resolve) -> list[str]:
    """What the evaluations' rows have, those of a job without any row left out."""
    columns = dict.fromkeys(_who(jobs[0]))
    for job in jobs:
        rows = Rows(resolve(job["result_uri"])) if job["result_uri"] else None
        if rows is None or not len(rows.places):
            continue
        for name, value in rows.read([0])[0].items():
            columns.update(dict.fromkeys([f"features.{one}" for one in value] if name == "features" else [name]))
    return list(columns)


def _cell(row: Mapping[str, Any], column: str) -> Any:
    if column.startswith("features."):
        value = (row.get("features") or {}).get(column.removeprefix("features."))
        return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
    return row.get(column)


def _csv(lines: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([[harmless(cell) for cell in line] for line in lines])
    return text.getvalue()


def harmless(cell: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe before it; numbers stay numbers."""
    return "'" + cell if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _json(row: Document, *, first: bool) -> str:
    return ("\n" if first else ",\n") + json.dumps(row, ensure_ascii=False)


def _place(after: str | None) -> tuple[int, int]:
    if after is None:
        return 0, 0
    number, _, line = after.partition(".")
    return start_of(number), start_of(line)
