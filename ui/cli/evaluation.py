"""`eval`: scoring base models and adapters on held-out rows, side by side."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from tunebus.contracts import commands, queries
from tunebus.contracts.errors import Code, TunebusError, fail, unwritten
from tunebus.contracts.texts import visible
from tunebus.ui.cli.call import Call, command, typed_path
from tunebus.ui.cli.entities import Identity, remove_job, show_page
from tunebus.ui.cli.options import given, options, parse_object
from tunebus.ui.cli.terminal import cell, record, shortened, table
from tunebus.ui.cli.training import add_logs, followed, not_succeeded, placed, with_times
from tunebus.ui.cli.watching import ENDED, INTERVAL, wait

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
_ORDERED = {
    "order": "original, best, worst or random",
    "metric": "what best and worst go by (default: rouge_l)",
    "seed": "of the random order",
    "job_id": "the evaluation whose rows make the order; the last when not given",
    "after": "the `next` of the page before",
    "limit": "at most so many rows",
}


@command(
    evaluate,
    "start",
    fields=options(commands.StartEvaluationJob, skip=("combinations", "prompts")),
    epilog="Example: tunebus eval start --adapter my-adapter --max-rows 100 --watch",
)
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
    job_id: Annotated[
        list[str] | None,
        typer.Option(
            "--job-id", "--job", metavar="TEXT", help="a fine-tuning whose adapter or model to score once it is made"
        ),
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

    `eval start --adapter NAME` alone compares an adapter with its base on what it was trained on; `--job NAME` does so
    for a training that still waits or runs, as soon as it has succeeded.
    """
    combinations = [parse_object(text, "combination") for text in combination or ()]
    if adapter_id or job_id or base_model_id or not combinations:
        tuned = [*_of_adapters(call, adapter_id or []), *_of_jobs(call, job_id or [])]
        combinations += _combinations(tuned, base_model_id, dataset_id, prompt_id, base)
    outcome = call.send("StartEvaluationJob", combinations=combinations, **given(fields))
    parent = str(outcome.id)
    if not watch or not call.machine:
        call.terminal.data(outcome.document(), Text(parent))
    if watch:
        watch_to_the_end(call, parent)
    else:
        call.terminal.note(placed("eval", parent, (outcome.ids or [parent]) if fields.get("hold") else []))


@command(
    evaluate,
    "list",
    fields=options(queries.ListEvaluationJobs),
    epilog="Example: tunebus eval list --state succeeded",
)
def list_jobs(call: Call, **fields: Any) -> None:
    """List evaluations in the order added."""
    page = call.ask("ListEvaluationJobs", **given(fields))
    show_page(call, with_times(page), LIST_COLUMNS, "there are no evaluations yet; see `tunebus eval start --help`")


@command(
    evaluate,
    "show",
    fields=options(queries.GetEvaluationJob, skip=("id",)),
    epilog="Example: tunebus eval show PARENT --samples 5",
)
def show(
    call: Call,
    id: Identity,
    samples: Annotated[int, typer.Option(min=0, max=200, help="rows to show with every answer")] = _SAMPLES,
    **fields: Any,
) -> None:
    """Show the evaluations of one parent side by side, with answers to the same rows."""
    moment = given(fields)
    jobs = siblings(call, id, **moment)
    samples = 0 if moment else samples  # rows are no history
    document: dict[str, Any] = {"parent_id": jobs[0]["parent_id"], "jobs": jobs}
    answers = [_rows(call, job, samples) for job in jobs] if samples else []
    if samples:
        document["samples"] = answers
    call.terminal.data(document, None if call.machine else _side_by_side(jobs, answers, all_of_them=True))


@command(evaluate, "watch", epilog="Example: tunebus eval watch PARENT")
def watch_jobs(call: Call, id: Identity) -> None:
    """Follow the evaluations of one parent until all have ended. Ctrl-C only stops looking."""
    watch_to_the_end(call, id)


@command(evaluate, "stop", epilog="Example: tunebus eval stop PARENT")
def stop(call: Call, id: Identity) -> None:
    """Stop one evaluation, or all of a parent that have not ended."""
    stopped = []
    for job in siblings(call, id, alone=True):
        if job["state"] not in ENDED:
            stopped.append(call.send("StopEvaluationJob", id=job["id"]).document())
    call.terminal.data({"items": stopped, "next": None}, Text("\n".join(str(one["id"]) for one in stopped)))


@command(evaluate, "remove", epilog="Example: tunebus eval remove ID --delete-files")
def remove(
    call: Call,
    id: Identity,
    delete_files: Annotated[
        bool, typer.Option("--delete-files", help="its scored rows and logs as well", show_default=False)
    ] = False,
) -> None:
    """Take an evaluation that has ended out of the list, or all of a parent. Files stay until --delete-files."""
    try:
        jobs = [str(job["id"]) for job in siblings(call, id, alone=True)]
    except TunebusError as error:
        if error.problem.code is not Code.NOT_FOUND or not delete_files:
            raise
        jobs = [id]  # removed before: what is left of it are its files
    for job_id in jobs:
        remove_job(call, "EvaluationJob", "evaluation_job", job_id, delete_files)


add_logs(evaluate, "eval", "ID --tail 2000", "Print what the evaluation process of one job said.")


@command(
    evaluate,
    "rows",
    fields=options(queries.GetEvaluationRows, skip=("job_id",), values=_ORDERED),
    epilog="Example: tunebus eval rows ID --order worst --metric rouge_l --limit 10",
)
def rows(call: Call, id: Identity, **fields: Any) -> None:
    """Show rows of one evaluation, each with its figures: as they come, the best, the worst, or at random."""
    page = call.ask("GetEvaluationRows", job_id=id, **given(fields))
    call.terminal.data(page, None if call.machine else _rows_shown(page["items"]))
    if page.get("next"):
        call.terminal.note(f"there is more: --after {page['next']}")


@command(
    evaluate,
    "compare",
    fields=options(queries.CompareEvaluations, skip=("parent_id",), values=_ORDERED),
    epilog="Example: tunebus eval compare PARENT --order worst --limit 5",
)
def compare(call: Call, id: Identity, **fields: Any) -> None:
    """Compare the evaluations of one parent: metrics with the difference to the first, the best marked, then rows."""
    found = call.ask("CompareEvaluations", parent_id=id, **{"limit": _SAMPLES, **given(fields)})
    call.terminal.data(found, None if call.machine else _comparison(found))
    if found.get("next"):
        call.terminal.note(f"there is more: --after {found['next']}")


@command(
    evaluate,
    "export",
    fields=options(
        queries.ExportEvaluations, skip=("parent_id", "after"), values={"part": "metrics, or rows with all answers"}
    ),
    epilog="Example: tunebus eval export PARENT --format csv --output rows.csv",
)
def export(
    call: Call,
    id: Identity,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="stdout when not given", show_default=False)
    ] = None,
    **fields: Any,
) -> None:
    """Write metrics or rows of a comparison as CSV or JSON. Cells that a spreadsheet would take for formulas begin with
    an apostrophe.
    """
    with _opened(None if output is None else typed_path(output, "output")) as file:
        after: dict[str, str] = {}
        while True:
            piece = call.ask("ExportEvaluations", parent_id=id, **given(fields), **after)
            file.write(visible(piece["text"]) if file.isatty() else piece["text"])
            if piece["next"] is None:
                break
            after = {"after": piece["next"]}
    if output is not None:
        call.terminal.note(f"[green]written[/] to {escape(output)}")


def add_try(app: typer.Typer, panel: str) -> None:
    """Register `tunebus try`, which belongs to no group."""
    skipped = (
        "combinations", "prompts", "max_rows", "dataset_fraction", "train_test_split", "seed", "quantization",
        "selected_features", "leakage",
    )  # fmt: skip
    command(
        app,
        "try",
        fields=options(commands.StartEvaluationJob, skip=skipped),
        rich_help_panel=panel,
        epilog='Example: tunebus try --adapter my-adapter "What is your refund policy?"',
    )(try_it)


def try_it(
    call: Call,
    prompts: Annotated[list[str], typer.Argument(metavar="PROMPT", help="what to ask", show_default=False)],
    base_model_id: Annotated[
        str | None,
        typer.Option("--base-model-id", "--model", metavar="TEXT", help="the adapter's when not given"),
    ] = None,
    adapter_id: Annotated[
        list[str] | None,
        typer.Option("--adapter-id", "--adapter", metavar="TEXT", help="an adapter to ask; may be repeated"),
    ] = None,
    job_id: Annotated[
        list[str] | None,
        typer.Option(
            "--job-id", "--job", metavar="TEXT", help="a fine-tuning whose adapter or model to ask once it is made"
        ),
    ] = None,
    prompt_id: Annotated[
        str | None,
        typer.Option(
            "--prompt-id", "--prompt", metavar="TEXT", help="lay texts out by this prompt", show_default=False
        ),
    ] = None,
    base: Annotated[bool, typer.Option("--base/--no-base", help="ask the base model alone as well")] = True,
    **fields: Any,
) -> None:
    """Ask base and tuned model the same, and print their answers side by side as they come."""
    combinations: list[dict[str, Any]] = []
    for name in adapter_id or []:
        model = base_model_id or call.ask("GetAdapter", id=name)["model_id"]
        combinations.append({"base_model_id": model, "adapter_id": name})
    for name in job_id or []:
        model = base_model_id or call.ask("GetFineTuningJob", id=name)["base_model_id"]
        combinations.append({"base_model_id": model, "job_id": name})
    if base or not combinations:
        alone = [one["base_model_id"] for one in combinations] or [base_model_id]
        combinations = [{"base_model_id": model} for model in dict.fromkeys(alone) if model] + combinations
    if not combinations:
        raise fail(Code.INVALID, "is required", param="base_model_id", hint="give --model, an --adapter or a --job")
    if prompt_id is not None:
        combinations = [{**one, "prompt_id": prompt_id} for one in combinations]
    outcome = call.send("StartEvaluationJob", combinations=combinations, prompts=prompts, **given(fields))
    parent = str(outcome.id)
    shown = _Answers(call, prompts)
    try:
        jobs = shown.follow(siblings(call, parent))
    except KeyboardInterrupt:
        call.terminal.note(f"\nno longer looking; the answers come: tunebus eval compare {parent}")
        raise
    for job in jobs:
        if job["state"] != "succeeded":
            raise not_succeeded(job, "eval")
    if call.machine:
        call.terminal.data(call.ask("CompareEvaluations", parent_id=parent, limit=64))


class _Answers:
    """Answers of several jobs to typed prompts: on a terminal a table that fills, elsewhere each job's as it ends."""

    def __init__(self, call: Call, prompts: Sequence[str]) -> None:
        self._call = call
        self._prompts = prompts
        self._given: dict[str, list[str]] = {}

    def follow(self, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        console = self._call.terminal.out
        live = console.is_terminal and not self._call.machine
        moving = Live(console=console, auto_refresh=False) if live else None
        with moving if moving is not None else contextlib.nullcontext():
            while True:
                jobs = [
                    job if job["state"] in ENDED else self._call.ask("GetEvaluationJob", id=job["id"]) for job in jobs
                ]
                for job in jobs:
                    if job["state"] == "succeeded" and job["id"] not in self._given:
                        self._take(job, printed=moving is None and not self._call.machine)
                if moving is not None:
                    moving.update(self._table(jobs), refresh=True)
                if all(job["state"] in ENDED for job in jobs):
                    return jobs
                wait(INTERVAL)

    def _take(self, job: Mapping[str, Any], *, printed: bool) -> None:
        found = self._call.ask("GetEvaluationRows", job_id=job["id"], limit=64)["items"]
        self._given[job["id"]] = [str(row["answer"]) for row in found]
        if printed:
            title = _heading(job).replace("\n", " ")
            self._call.terminal.out.print(Text(title, style="bold"))
            for prompt, answer in zip(self._prompts, self._given[job["id"]], strict=False):
                self._call.terminal.out.print(Text(f"> {prompt}", style="dim"))
                self._call.terminal.out.print(Text(f"{answer}\n"))

    def _table(self, jobs: Sequence[Mapping[str, Any]]) -> Table:
        made = Table(show_lines=True)
        for heading in ("prompt", *(_heading(job) for job in jobs)):
            made.add_column(escape(heading), overflow="fold")
        for number, prompt in enumerate(self._prompts):
            cells = []
            for job in jobs:
                answers = self._given.get(job["id"])
                waiting = str(job.get("waiting_reason") or job["state"])
                cells.append(escape(answers[number]) if answers else f"[dim]{escape(waiting)}[/]")
            made.add_row(escape(prompt), *cells)
        return made


def siblings(call: Call, id: str, *, alone: bool = False, **moment: Any) -> list[dict[str, Any]]:
    """The evaluations of a parent; of one evaluation's id, all that were started with it (or it `alone`).

    Errors: `not_found`.
    """
    found = _children(call, id, **moment)
    if found:
        return found
    job = call.ask("GetEvaluationJob", id=id, **moment)
    return [job] if alone else _children(call, str(job["parent_id"]), **moment) or [job]


def watch_to_the_end(call: Call, id: str) -> None:
    """Follow a parent's evaluations, then show them side by side; ends with an error when one has not succeeded."""
    jobs = siblings(call, id)
    parent = str(jobs[0]["parent_id"])
    ids = [job["id"] for job in jobs]
    jobs = followed(call, "EvaluationJob", ids, _brief, f"the jobs go on: tunebus eval watch {parent}")
    for job in jobs:
        if job["state"] != "succeeded":
            raise not_succeeded(job, "eval")
    if not call.machine:
        call.terminal.data(None, _side_by_side(jobs, [_rows(call, job, _SAMPLES) for job in jobs]))
        call.terminal.note(f"all that was measured, and more answers: tunebus eval show {parent} --samples 20")


def _children(call: Call, parent: str, **moment: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = call.ask("ListEvaluationJobs", parent_id=parent, limit=1000, **moment)["items"]
    return items


def _combinations(
    tuned: Sequence[dict[str, Any]], model: str | None, dataset: str | None, prompt: str | None, base: bool
) -> list[dict[str, Any]]:
    """What was tuned, and its base alone before it. What is given goes before what each was trained with."""
    given_ids = {"base_model_id": model, "dataset_id": dataset, "prompt_id": prompt}
    given_ids = {name: value for name, value in given_ids.items() if value is not None}
    made = [one | given_ids for one in tuned]
    if base and made:
        alone = [{**one, "adapter_id": None, "job_id": None} for one in made]
        made = [one for number, one in enumerate(alone) if one not in alone[:number]] + made
    elif not made:
        made = [{"base_model_id": model, "dataset_id": dataset, "prompt_id": prompt}]
    for one in made:
        for field, option in (("base_model_id", "--model"), ("dataset_id", "--dataset")):
            if one[field] is None:
                raise fail(
                    Code.INVALID,
                    "is required",
                    param=field,
                    hint=f"give {option}, or an --adapter or a --job made here",
                )
    return [{name: value for name, value in one.items() if value is not None} for one in made]


def _of_adapters(call: Call, names: Sequence[str]) -> list[dict[str, Any]]:
    """Adapters as combinations, with what the job that made each worked on."""
    made: list[dict[str, Any]] = []
    for name in names:
        adapter = call.ask("GetAdapter", id=name)
        job = call.ask("GetFineTuningJob", id=adapter["fine_tuning_job_id"]) if adapter["fine_tuning_job_id"] else {}
        made.append(
            {
                "base_model_id": adapter["model_id"],
                "adapter_id": adapter["id"],
                "job_id": None,
                "dataset_id": job.get("dataset_id"),
                "prompt_id": adapter.get("prompt_id") or job.get("prompt_id"),
            }
        )
    return made


def _of_jobs(call: Call, names: Sequence[str]) -> list[dict[str, Any]]:
    """What fine-tunings make, as combinations."""
    jobs = [call.ask("GetFineTuningJob", id=name) for name in names]
    kept = ("base_model_id", "dataset_id", "prompt_id")
    return [{"adapter_id": None, "job_id": job["id"], **{name: job[name] for name in kept}} for job in jobs]


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
    adapter = job.get("adapter_name") or job.get("fine_tuning_job_name")
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
        made.add_row(shortened(row["prompt"]), shortened(row.get("reference")), *given_answers)
    return made


def _rows_shown(items: Sequence[Mapping[str, Any]]) -> Group:
    """Each row as a block: what was asked, expected and answered, then its figures in a line."""
    parts: list[RenderableType] = []
    for row in items:
        texts = {name: row.get(name) for name in ("prompt", "reference", "answer")}
        shown = record({"row": row["index"], **(row.get("features") or {}), **texts})
        figures = "  ".join(
            f"{name} {cell(value)}"
            for name, value in row.items()
            if name != "index" and isinstance(value, bool | int | float)
        )
        parts += [shown, Text(figures, style="dim"), Text()]
    return Group(*parts)


def _comparison(found: Mapping[str, Any]) -> Group:
    jobs = found["combinations"]
    made = Table(title="* best; in brackets the difference to the first", title_justify="left")
    made.add_column("")
    for job in jobs:
        made.add_column(escape(_heading(job)), justify="right")
    for metric in found["metrics"]:
        cells = []
        for number, value in enumerate(metric["values"]):
            difference = metric["differences"][number]
            text = cell(value)
            if number and difference is not None:
                text += f" ({difference:+.4g})"
            cells.append(f"[bold]{text} *[/]" if number in metric["best"] else text)
        made.add_row(escape(_WORDS.get(metric["name"], metric["name"].replace("_", " "))), *cells)
    parts: list[RenderableType] = [made]
    for warning in dict.fromkeys(str(warning) for job in jobs for warning in job.get("warnings") or ()):
        parts.append(Text(warning, style="yellow"))
    if found["items"]:
        rows = Table(title="answers to the same rows", title_justify="left", show_lines=True)
        for heading in ("question", "expected", *(_heading(job) for job in jobs)):
            rows.add_column(escape(heading), overflow="fold")
        for item in found["items"]:
            answers = [shortened(one["answer"]) if one else "" for one in item["answers"]]
            rows.add_row(shortened(item["prompt"]), shortened(item.get("reference")), *answers)
        parts.append(rows)
    return Group(*parts)


@contextlib.contextmanager
def _opened(output: Path | None) -> Iterator[IO[str]]:
    """The file to write, or stdout. Line ends are written as they are."""
    if output is None:
        yield sys.stdout
        return
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise unwritten(error, str(output), param="output") from None
