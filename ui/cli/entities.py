"""`dataset`, `model`, `prompt`, `config` and `adapter`: adding, listing and showing what jobs are made of."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from tunebus.contracts import commands, queries
from tunebus.contracts.errors import Code, fail
from tunebus.ui.cli.call import Call, absolute, command
from tunebus.ui.cli.options import given, options
from tunebus.ui.cli.terminal import record, shortened, table

if TYPE_CHECKING:
    from tunebus.contracts.envelope import Outcome

datasets = typer.Typer(no_args_is_help=True, help="Files of rows to train and evaluate on.")
models = typer.Typer(no_args_is_help=True, help="Base models: folders with a config and safetensors weights.")
prompts = typer.Typer(no_args_is_help=True, help="Templates that turn a dataset's columns into prompt and answer.")
configs = typer.Typer(no_args_is_help=True, help="Settings kept under an id: training_arguments, lora, generation, …")
adapters = typer.Typer(no_args_is_help=True, help="What fine-tuning made: small weights on top of a base model.")

Identity = Annotated[str, typer.Argument(metavar="ID", help="an id or a name", show_default=False)]

_COLUMNS: dict[str, dict[str, str]] = {
    "Datasets": {"name": "name", "type": "type", "rows": "rows", "features": "features", "id": "id"},
    "Models": {
        "name": "name",
        "architecture": "architecture",
        "parameters": "parameters",
        "context": "context_length",
        "id": "id",
    },
    "Prompts": {"name": "name", "dataset": "dataset_name", "input": "input_template", "id": "id"},
    "Configs": {"type": "type", "family": "model_family", "default": "is_default", "config": "config", "id": "id"},
    "Adapters": {"name": "name", "model": "model_name", "job": "fine_tuning_job_id", "id": "id"},
}

_TEMPLATES = {
    "prompt_template": "the whole text; {input} and {completion} stand for the other two, rendered",
    "input_template": "a row's input, for example {question}",
    "completion_template": "a row's answer, for example {answer}",
}


def show_page(call: Call, page: Mapping[str, Any], columns: Mapping[str, str], empty: str) -> None:
    """A list's answer, with a word on how to go on where there is more."""
    if not call.machine and not page["items"]:
        call.terminal.note(empty)
        return
    call.terminal.data(page, table(page["items"], columns))
    if page.get("next"):
        call.terminal.note(f"there is more: --after {page['next']}")


def _lists(group: typer.Typer, plural: str) -> None:
    columns = _COLUMNS[plural]
    singular = plural.lower()[:-1]

    @command(group, "list", fields=options(queries.QUERIES[f"List{plural}"]), help="List them in the order added.")
    def _list(call: Call, **fields: Any) -> None:
        page = call.ask(f"List{plural}", **given(fields))
        show_page(call, page, columns, f"there are no {plural.lower()} yet; see `tunebus {singular} add --help`")


def _shows(group: typer.Typer, singular: str) -> None:
    @command(group, "show", help="Show one with all its fields.")
    def _show(call: Call, id: Identity) -> None:
        document = call.ask(f"Get{singular}", id=id)
        call.terminal.data(document, record(document))


for _group, _singular in (
    (datasets, "Dataset"),
    (models, "Model"),
    (prompts, "Prompt"),
    (configs, "Config"),
    (adapters, "Adapter"),
):
    _lists(_group, f"{_singular}s")
    _shows(_group, _singular)


def show_added(call: Call, outcome: Outcome, what: str) -> None:
    """What a command made, by its id."""
    call.terminal.data(outcome.document(), Text(outcome.id or ""))
    call.terminal.note(f"[green]{escape(what)}[/]")


@command(
    datasets,
    "add",
    fields=options(
        commands.AddDataset, skip=("path",), values={"type": "csv, json or jsonl; its suffix when not given"}
    ),
)
def add_dataset(
    call: Call,
    path: Annotated[str, typer.Argument(metavar="PATH", help="a .csv, .json or .jsonl file", show_default=False)],
    **fields: Any,
) -> None:
    """Add a file of rows. It stays where it is and must lie in a folder that the studio may read."""
    outcome = call.send("AddDataset", path=absolute(path), **given(fields))
    show_added(call, outcome, f"dataset {fields['name']} is added")
    if not call.machine:
        dataset = call.ask("GetDataset", id=outcome.id)
        for warning in dataset["warnings"]:
            call.terminal.note(f"[yellow]{escape(warning)}[/]")
        call.terminal.note(f"{dataset['rows']} rows; columns: {escape(', '.join(dataset['features']))}")


@command(models, "add", fields=options(commands.AddModel, skip=("path", "type")))
def add_model(
    call: Call,
    path: Annotated[str, typer.Argument(metavar="PATH", help="the model's folder", show_default=False)],
    **fields: Any,
) -> None:
    """Add a base model from a folder. It stays where it is."""
    outcome = call.send("AddModel", path=absolute(path), **given(fields))
    show_added(call, outcome, f"model {fields['name']} is added")


@command(prompts, "add", fields=options(commands.AddPrompt, values=_TEMPLATES))
def add_prompt(call: Call, **fields: Any) -> None:
    """Add the templates of a prompt: {column} stands for a row's value, {{ and }} for braces."""
    outcome = call.send("AddPrompt", **given(fields))
    show_added(call, outcome, f"prompt {fields['name']} is added")


@command(configs, "add", fields=options(commands.AddConfig, skip=("config",)))
def add_config(
    call: Call,
    config: Annotated[
        str,
        typer.Argument(metavar="CONFIG", help="a JSON or YAML file, - for stdin, or JSON itself", show_default=False),
    ],
    **fields: Any,
) -> None:
    """Keep settings under an id. Equal settings of the same type are the same config."""
    outcome = call.send("AddConfig", config=_config_text(config), **given(fields))
    show_added(call, outcome, f"{fields['type']} config is kept")


@command(adapters, "add", fields=options(commands.AddAdapter, skip=("path", "type")))
def add_adapter(
    call: Call,
    path: Annotated[str, typer.Argument(metavar="PATH", help="the adapter's folder", show_default=False)],
    **fields: Any,
) -> None:
    """Add an adapter that was made elsewhere."""
    outcome = call.send("AddAdapter", path=absolute(path), **given(fields))
    show_added(call, outcome, f"adapter {fields['name']} is added")


@command(
    datasets,
    "preview",
    fields=options(queries.PreviewDataset, skip=("id",), values={"prompt_id": "render the rows with this prompt"}),
)
def preview(call: Call, id: Identity, **fields: Any) -> None:
    """Show the first rows, and what each column holds."""
    found = call.ask("PreviewDataset", id=id, **given(fields))
    call.terminal.data(found, None if call.machine else _preview(found))


def _config_text(given_as: str) -> str:
    """The text of a config. Errors: `not_found` for a file that is not there, `invalid` for one that is no text."""
    if given_as == "-":
        return sys.stdin.read()
    if given_as.lstrip().startswith("{") or "\n" in given_as:
        return given_as
    try:
        return Path(given_as).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise fail(Code.NOT_FOUND, f"{given_as} cannot be read: {error.strerror}", param="config") from None
    except UnicodeDecodeError:
        raise fail(Code.INVALID, f"{given_as} is no text", param="config") from None


def _preview(found: Mapping[str, Any]) -> Group:
    columns = table(
        found["columns"],
        {"column": "name", "empty": "nulls", "shortest": "min_length", "mean": "mean_length", "longest": "max_length"},
        title=f"{found['row_count']} rows; lengths in characters",
    )
    rows = Table(title="first rows", title_justify="left", show_lines=True)
    for name in found["features"]:
        rows.add_column(escape(name), overflow="fold")
    for row in found["rows"]:
        rows.add_row(*(shortened(row.get(name)) for name in found["features"]))
    parts: list[RenderableType] = [columns, rows]
    if found["rendered"]:
        first = found["rendered"][0]
        made = found["generated_prompt"]
        parts.append(Text(f"as a model sees the first row{' (generated prompt)' if made else ''}:", style="bold"))
        parts.append(record({"prompt": first["prompt"], "completion": first["completion"]}))
    return Group(*parts)
