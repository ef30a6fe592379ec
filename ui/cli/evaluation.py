"""`eval`: scoring base models and adapters on held-out rows, side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from tunebus.contracts import commands, queries
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.ui.cli.call import Call, command
from tunebus.ui.cli.entities import Identity, show_page
from tunebus.ui.cli.options import given, options, parse_object
from tunebus.ui.cli.terminal import shortened, table
from tunebus.ui.cli.training import not_succeeded, print_log, with_times
from tunebus.ui.cli.watching import ENDED, follow

evaluate = typer.Typer(no_args_is_help=True, help="Evaluation jobs: models and adapters scored side by side.")

LIST_COLUMNS = {
    "model": "base_model_name",
    "adapter": "adapter_name",
    "dataset": "dataset_name",
    "state": "state",
    "loss": "metrics.loss",
    "exact match": "metrics.exact_match",
    "added": "added",
    "parent": "parent_id",
    "id": "id",
}
_QUALITY = ("loss", "perplexity", "exact_match", "majority_exact_match", "rouge_1", "rouge_2", "rouge_l", "bleu")
_COSTS = ("rows", "answer_tokens", "generated_tokens", "seconds_per_row", "tokens_per_second")
_SAMPLES = 3


@command(evaluate, "start", fields=options(commands.StartEvaluationJob, skip=("combinations",)))
def start(
    call: Call,
    base_model_id: Annotated[
        str | None,
        typer.Option("--base-model-id", "--model", metavar="TEXT", help="the adapter's when not given"),
    ] = None,
    adapter_id: Annotated[
        list[str] | None,
        typer.Option("--adapter-id", "--adapter", metavar="TEXT", help="an adapter to compare; may be repeated"),
    ] = None,
    dataset_id: Annotated[
        str | None,
        typer.Option(
            "--dataset-id", "--dataset", metavar="TEXT", help="what the adapter was trained on when not given"
        ),
    ] = None,
    prompt_id: Annotated[
        str | None,
        typer.Option(
            "--prompt-id", "--prompt", metavar="TEXT", help="what the adapter was trained with when not given"
        ),
    ] = None,
    base: Annotated[bool, typer.Option("--base/--no-base", help="score the base model alone as well")] = True,
    combination: Annotated[
        list[str] | None,
        typer.Option(metavar="JSON", help="anything else to score, as an object of these ids; may be repeated"),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="follow it until it ends", show_default=False)] = False,
    **fields: Any,
) -> None:
    """Queue one evaluation per combination under one parent, on rows that were held out.

    `eval start --adapter NAME` alone compares an adapter with its base on what it was trained on.
    """
    combinations = [parse_object(text, "combination") for text in combination or ()]
    if adapter_id or base_model_id or not combinations:
        combinations += _combinations(call, base_model_id, adapter_id or [], dataset_id, prompt_id, base)
    outcome = call.send("StartEvaluationJob", combinations=combinations, **given(fields))
    parent = str(outcome.id)
    if not watch or not call.machine:
        call.terminal.data(outcome.document(), Text(parent))
    if watch:
        watch_to_the_end(call, parent)
    else:
        call.terminal.note(f"[green]queued[/]; follow it: tunebus eval watch {parent}")


@command(evaluate, "list", fields=options(queries.ListEvaluationJobs))
def list_jobs(call: Call, **fields: Any) -> None:
    """List evaluations in the order added."""
    page = call.ask("ListEvaluationJobs", **given(fields))
    show_page(call, with_times(page), LIST_COLUMNS, "there are no evaluations yet; see `tunebus eval start --help`")


@command(evaluate, "show")
def show(
    call: Call,
    id: Identity,
    samples: Annotated[int, typer.Option(min=0, max=200, help="rows to show with every answer")] = _SAMPLES,
) -> None:
    """Show the evaluations of one parent side by side, with answers to the same rows."""
    jobs = siblings(call, id)
    document: dict[str, Any] = {"parent_id": jobs[0]["parent_id"], "jobs": jobs}
    answers = [_rows(call, job, samples) for job in jobs] if samples else []
    if samples:
        document["samples"] = answers
    call.terminal.data(document, None if call.machine else _side_by_side(jobs, answers, all_of_them=True))


@command(evaluate, "watch")
def watch_jobs(call: Call, id: Identity) -> None:
    """Follow the evaluations of one parent until all have ended. Ctrl-C only stops looking."""
    watch_to_the_end(call, id)


@command(evaluate, "stop")
def stop(call: Call, id: Identity) -> None:
    """Stop one evaluation, or all of a parent that have not ended."""
    stopped = []
    for job in siblings(call, id, alone=True):
        if job["state"] not in ENDED:
            stopped.append(call.send("StopEvaluationJob", id=job["id"]).document())
    call.terminal.data({"items": stopped, "next": None}, Text("\n".join(str(one["id"]) for one in stopped)))


@command(evaluate, "logs")
def logs(
    call: Call,
    id: Identity,
    attempt: Annotated[int | None, typer.Option(help="the newest when not given", show_default=False)] = None,
    follow_on: Annotated[bool, typer.Option("--follow", "-f", help="go on until the job ends")] = False,
) -> None:
    """Print what the evaluation process of one job said."""
    print_log(call, id, attempt, follow_on)


def siblings(call: Call, id: str, *, alone: bool = False) -> list[dict[str, Any]]:
    """The evaluations of a parent; of one evaluation's id, all that were started with it (or it `alone`).

    Errors: `not_found`.
    """
    found = _children(call, id)
    if found:
        return found
    job = call.ask("GetEvaluationJob", id=id)
    return [job] if alone else _children(call, str(job["parent_id"])) or [job]


def watch_to_the_end(call: Call, id: str) -> None:
    """Follow a parent's evaluations, then show them side by side; ends with an error when one has not succeeded."""
    jobs = siblings(call, id)
    parent = str(jobs[0]["parent_id"])
    try:
        jobs = follow(
            call.ask,
            "EvaluationJob",
            [job["id"] for job in jobs],
            console=call.terminal.err,
            machine=call.machine,
            on_change=(lambda found: print(json.dumps(_brief(found)), flush=True)) if call.machine else None,
        )
    except KeyboardInterrupt:
        call.terminal.note(f"\nno longer looking; the jobs go on: tunebus eval watch {parent}")
        raise
    for job in jobs:
        if job["state"] != "succeeded":
            raise not_succeeded(job)
    if not call.machine:
        call.terminal.data(None, _side_by_side(jobs, [_rows(call, job, _SAMPLES) for job in jobs]))
        call.terminal.note(f"all that was measured, and more answers: tunebus eval show {parent} --samples 20")


def _children(call: Call, parent: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = call.ask("ListEvaluationJobs", parent_id=parent, limit=1000)["items"]
    return items


def _combinations(
    call: Call, model: str | None, adapters: Sequence[str], dataset: str | None, prompt: str | None, base: bool
) -> list[dict[str, Any]]:
    """One combination per adapter, and the base alone before them. What is not given is taken from the adapters."""
    made: list[dict[str, Any]] = []
    for name in adapters:
        adapter = call.ask("GetAdapter", id=name)
        job = call.ask("GetFineTuningJob", id=adapter["fine_tuning_job_id"]) if adapter["fine_tuning_job_id"] else {}
        made.append(
            {
                "base_model_id": model or adapter["model_id"],
                "adapter_id": adapter["id"],
                "dataset_id": dataset or job.get("dataset_id"),
                "prompt_id": prompt or adapter.get("prompt_id") or job.get("prompt_id"),
            }
        )
    if base and made:
        alone = [{**one, "adapter_id": None} for one in made]
        made = [one for number, one in enumerate(alone) if one not in alone[:number]] + made
    elif not made:
        made = [{"base_model_id": model, "dataset_id": dataset, "prompt_id": prompt}]
    for one in made:
        for field, option in (("base_model_id", "--model"), ("dataset_id", "--dataset")):
            if one[field] is None:
                raise fail(Code.INVALID, "is required", param=field, hint=f"give {option}, or an --adapter made here")
    return [{name: value for name, value in one.items() if value is not None} for one in made]


def _brief(job: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "parent_id", "state", "cause", "message", "hint", "progress", "waiting_reason", "metrics")
    return {name: job.get(name) for name in kept}


def _rows(call: Call, job: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
    if job["state"] != "succeeded":
        return []
    try:
        rows: list[dict[str, Any]] = call.ask("GetEvaluationRows", job_id=job["id"], limit=limit)["items"]
    except TunebusError as error:
        call.terminal.note(f"[yellow]{escape(error.problem.message)}[/]")
        return []
    return rows


def _heading(job: Mapping[str, Any]) -> str:
    model = str(job.get("base_model_name") or job["base_model_id"])
    adapter = job.get("adapter_name")
    return f"{model}\n+ {adapter}" if adapter else model


def _metrics(jobs: Sequence[Mapping[str, Any]], *, all_of_them: bool = False) -> Table:
    """A line a metric, a column a job: how good, then how dear; what else was measured on request."""
    names = {name for job in jobs for name in job.get("metrics") or ()}
    ordered = [name for name in (*_QUALITY, *_COSTS) if name in names]
    ordered += sorted(names - set(ordered)) if all_of_them else []
    columns = {_heading(job): str(number) for number, job in enumerate(jobs)}
    lines: list[dict[str, Any]] = [{"": "state", **{str(n): job["state"] for n, job in enumerate(jobs)}}]
    for name in ordered:
        values = {str(number): (job.get("metrics") or {}).get(name) for number, job in enumerate(jobs)}
        lines.append({"": _WORDS.get(name, name.replace("_", " ")), **values})
    return table(lines, {"": "", **columns})


_WORDS = {
    "loss": "held-out loss",
    "majority_exact_match": "exact match of always the commonest",
    "rouge_1": "ROUGE-1",
    "rouge_2": "ROUGE-2",
    "rouge_l": "ROUGE-L",
    "bleu": "BLEU",
}


def _side_by_side(
    jobs: Sequence[Mapping[str, Any]], answers: Sequence[Sequence[Mapping[str, Any]]], *, all_of_them: bool = False
) -> Group:
    parts: list[RenderableType] = [_metrics(jobs, all_of_them=all_of_them)]
    for warning in dict.fromkeys(str(warning) for job in jobs for warning in job.get("warnings") or ()):
        parts.append(Text(warning, style="yellow"))
    if known := next((rows for rows in answers if rows), []):
        parts.append(_answers(jobs, answers, known))
    return Group(*parts)


def _answers(
    jobs: Sequence[Mapping[str, Any]],
    answers: Sequence[Sequence[Mapping[str, Any]]],
    known: Sequence[Mapping[str, Any]],
) -> Table:
    made = Table(title="answers to the same held-out rows", title_justify="left", show_lines=True)
    for heading in ("question", "expected", *(_heading(job) for job in jobs)):
        made.add_column(escape(heading), overflow="fold")
    for row in known:
        given_answers = []
        for rows in answers:
            found = next((one for one in rows if one["index"] == row["index"]), None)
            given_answers.append(shortened(found["answer"]) if found else "")
        made.add_row(shortened(row["prompt"]), shortened(row["reference"]), *given_answers)
    return made
