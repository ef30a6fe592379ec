"""`tunebus dataset`: adding a file or an upload, and what a dataset looks like to people and to a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from tunebus.contracts import commands, queries
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.ui.cli.call import Call, absolute, command, typed_path
from tunebus.ui.cli.options import given, options, parse_object
from tunebus.ui.cli.progress import send_watched, upload
from tunebus.ui.cli.terminal import record, shortened, table

datasets = typer.Typer(no_args_is_help=True, help="Rows to train and evaluate on: files, and folders of them.")

Identity = Annotated[str, typer.Argument(metavar="ID", help="an id or a name", show_default=False)]

_TYPES = "csv, tsv, json, jsonl, parquet or folder; its suffix when not given"
_BAR = 30


@command(
    datasets,
    "add",
    fields=options(commands.AddDataset, skip=("path", "upload", "column_mapping"), values={"type": _TYPES}),
    epilog="Example: tunebus dataset add faq.csv --name faq --column-mapping prompt=question "
    "--column-mapping completion=answer",
)
def add_dataset(
    call: Call,
    path: Annotated[
        str | None, typer.Argument(metavar="PATH", help="a file, or a folder of files", show_default=False)
    ] = None,
    upload_it: Annotated[
        bool, typer.Option("--upload", help="send a copy over the bus, from whatever machine", show_default=False)
    ] = False,
    column_mapping: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COLUMN", help="a format's name of a column and the file's own", show_default=False),
    ] = None,
    **fields: Any,
) -> None:
    """Add rows to train on. A file stays where it is, and must lie in a folder that the studio may read; one from
    elsewhere that you may read is uploaded: the studio keeps a copy. One of the Hub is fetched at once."""
    asked = given({**fields, "column_mapping": _mapping(column_mapping)})
    if path is None:
        outcome = send_watched(call, "AddDataset", **asked)
    else:
        outcome = _uploaded(call, typed_path(path), asked) if upload_it else _by_path(call, path, asked)
    call.terminal.data(outcome.document(), Text(outcome.id or ""))
    if not call.machine:
        dataset = call.ask("GetDataset", id=outcome.id)
        call.terminal.note(f"[green]{escape('dataset ' + dataset['name'] + ' is added')}[/]")
        for warning in dataset["warnings"]:
            call.terminal.note(f"[yellow]{escape(warning)}[/]")
        call.terminal.note(f"{dataset['rows']} rows; columns: {escape(', '.join(dataset['features']))}")


@command(
    datasets,
    "preview",
    fields=options(
        queries.PreviewDataset,
        skip=("id",),
        values={
            "prompt_id": "render the rows with this prompt",
            "model_id": "show tokens of this model, those that carry loss in colour",
        },
    ),
    epilog="Example: tunebus dataset preview faq --prompt my-prompt --model starter --limit 3",
)
def preview(call: Call, id: Identity, **fields: Any) -> None:
    """Show some rows, what each column holds, and with a model what it would be trained on."""
    found = call.ask("PreviewDataset", id=id, **given(fields))
    call.terminal.data(found, None if call.machine else _preview(found))


@command(
    datasets,
    "inspect",
    fields=options(queries.InspectDataset, skip=("path", "upload", "column_mapping")),
    epilog="Example: tunebus dataset inspect faq.csv --column-mapping prompt=question",
)
def inspect_file(
    call: Call,
    path: Annotated[str, typer.Argument(metavar="PATH", help="a file, or a folder of files", show_default=False)],
    column_mapping: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COLUMN", help="a format's name of a column and the file's own", show_default=False),
    ] = None,
    **fields: Any,
) -> None:
    """Tell what a file would be recognised as, from its first rows, and what is missing. Nothing is added."""
    asked = given({**fields, "column_mapping": _mapping(column_mapping)})
    found = call.ask("InspectDataset", path=absolute(path), **asked)
    call.terminal.data(found, None if call.machine else _inspected(found))


@command(
    datasets,
    "findings",
    fields=options(queries.ListDatasetFindings, skip=("id",), values={"kind": "what to look for"}),
    epilog="Example: tunebus dataset findings faq --kind duplicate",
)
def list_findings(call: Call, id: Identity, **fields: Any) -> None:
    """List rows that deserve a look: duplicates, empty answers, held-out rows among the training rows, broken ones."""
    found = call.ask("ListDatasetFindings", id=id, **given(fields))
    columns = {"row": "row", "place": "place", "split": "split", "same as row": "same_as", "error": "error"}
    call.terminal.data(found, None if call.machine else table(found["items"], {**columns, "begins": "text"}))
    if not call.machine and not found["items"]:
        call.terminal.note(f"none among the {found['looked_at']:,} rows that were looked at")


def described(document: Mapping[str, Any]) -> RenderableType:
    """A dataset with the figures that were found when it was added."""
    statistics = document.get("statistics") or {}
    hidden = ("statistics", "files", "warnings")
    parts: list[RenderableType] = [record({name: value for name, value in document.items() if name not in hidden})]
    figures = {
        "duplicate rows": statistics.get("duplicate_rows"),
        "empty answers": statistics.get("empty_answers"),
        **{f"{split} rows in train": count for split, count in (statistics.get("overlaps") or {}).items()},
    }
    if statistics:
        parts.append(record(figures))
        parts.append(_columns(statistics["columns"], document["rows"]))
    if document.get("files"):
        columns = {"split": "split", "file": "path", "rows": "rows", "bytes": "bytes"}
        parts.append(table(document["files"], columns, title="files"))
    parts += [Text(warning, style="yellow") for warning in document.get("warnings") or ()]
    return Group(*parts)


def _by_path(call: Call, path: str, asked: dict[str, Any]) -> Outcome:
    """By path where the studio may read it, else as an upload where its user may."""
    try:
        return send_watched(call, "AddDataset", path=absolute(path), **asked)
    except TunebusError as error:
        local = typed_path(path)
        if error.problem.code is not Code.NOT_PERMITTED or error.problem.param != "path" or not _readable(local):
            raise
        call.terminal.note(f"the studio does not read {escape(str(local))} itself: uploading a copy")
        return _uploaded(call, local, asked)


def _uploaded(call: Call, file: Path, asked: dict[str, Any]) -> Outcome:
    if file.is_dir():
        raise fail(Code.INVALID, f"{file} is a folder", param="upload", hint="files are uploaded one by one")
    name = upload(call, file)
    try:
        return send_watched(call, "AddDataset", upload=name, **asked)
    finally:
        call.bus.remove_upload(name)


def _readable(file: Path) -> bool:
    return file.is_file() and os.access(file, os.R_OK)


def _mapping(pairs: list[str] | None) -> dict[str, Any] | None:
    """`NAME=COLUMN` pairs, or one JSON object. Errors: `invalid`."""
    if not pairs:
        return None
    if len(pairs) == 1 and pairs[0].lstrip().startswith("{"):
        return parse_object(pairs[0], "column_mapping")
    wrong = next((pair for pair in pairs if not all(pair.partition("="))), None)
    if wrong is not None:
        hint = "for example --column-mapping prompt=question"
        raise fail(Code.INVALID, f"{wrong!r} is no NAME=COLUMN", param="column_mapping", hint=hint)
    return dict(pair.split("=", 1) for pair in pairs)


def _columns(columns: list[dict[str, Any]], rows: int) -> Table:
    shown = {"column": "name", "empty": "nulls", "shortest": "min_length", "mean": "mean_length"}
    return table(columns, {**shown, "longest": "max_length"}, title=f"{rows} rows; lengths in characters")


def _inspected(found: Mapping[str, Any]) -> Group:
    lacks = f"; it lacks {', '.join(found['lacks'])}" if found["lacks"] else ""
    some = "" if found["complete"] else "the first "
    parts: list[RenderableType] = [
        Text(f"{found['type']}, recognised as {found['title']}{lacks}"),
        Text(f"columns: {', '.join(found['features'])}; {some}{found['looked_at']:,} rows looked at"),
    ]
    parts += [Text(f"{each['place']}: {each['error']}", style="yellow") for each in found["findings"]]
    return Group(*parts)


def _preview(found: Mapping[str, Any]) -> Group:
    rows = Table(title=f"rows from {found['offset'] + 1}", title_justify="left", show_lines=True)
    for name in found["features"]:
        rows.add_column(escape(name), overflow="fold")
    for row in found["rows"]:
        rows.add_row(*(shortened(row.get(name)) for name in found["features"]))
    parts: list[RenderableType] = [_columns(found["columns"], found["row_count"]), rows]
    if found["rendered"]:
        first = found["rendered"][0]
        made = found["generated_prompt"]
        parts.append(Text(f"as a model sees the first of these{' (generated prompt)' if made else ''}:", style="bold"))
        parts.append(record({"prompt": first["prompt"], "completion": first["completion"]}))
    if "tokenized" in found:
        parts += _tokens(found)
    return Group(*parts)


def _tokens(found: Mapping[str, Any]) -> list[RenderableType]:
    """Each row's text with the tokens that carry loss in colour, then how many tokens rows have."""
    heading = Text.assemble(("as tokens (", "bold"), ("carrying loss", "bold green"), (", ", "bold"), ("not", "dim"))
    parts: list[RenderableType] = [heading.append("):", "bold")]
    for number, row in enumerate(found["tokenized"], start=found["offset"] + 1):
        text = Text(f"{number}. ", style="bold")
        for place, piece in enumerate(row["pieces"]):
            if place == row["cut_at"]:
                text.append(" ✂ what follows is cut ✂ ", "bold red")
            text.append(piece["text"], "green" if piece["loss"] else "dim")
        text.append("…" if row["more"] else "")
        cut = ", cut" if row["truncated"] else ""
        text.append(f"  [{row['tokens']} tokens, {row['answer_tokens']} carry loss{cut}]", "cyan")
        parts.append(text)
    lengths = found["token_lengths"]
    if lengths is None:
        return parts
    most = max((each["rows"] for each in lengths["histogram"]), default=1)
    grid = Table.grid(padding=(0, 2))
    for each in lengths["histogram"]:
        bar = "█" * max(1 if each["rows"] else 0, round(_BAR * each["rows"] / most))
        grid.add_row(f"{each['from']}-{each['to']}", bar, f"{each['rows']:,}")
    limit = lengths["max_length"]
    over = f"; {lengths['truncated_share']:.1%} are over {limit} tokens and would be cut" if limit else ""
    counted = f"{lengths['counted']:,} of {lengths['rows']:,} rows counted ({lengths['counted_from']}){over}"
    return [*parts, Text("tokens a row:", style="bold"), grid, Text(counted)]
