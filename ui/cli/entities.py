"""`dataset`, `model`, `prompt`, `config` and `adapter`: adding, listing and showing what jobs are made of."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType
from rich.markup import escape
from rich.text import Text
from tunebus.contracts import commands, queries
from tunebus.contracts.errors import Code, fail
from tunebus.ui.cli.call import Call, absolute, command, typed_path
from tunebus.ui.cli.datasets import datasets, described
from tunebus.ui.cli.options import given, options
from tunebus.ui.cli.progress import send_watched
from tunebus.ui.cli.terminal import byte_size, record, table

if TYPE_CHECKING:
    from tunebus.contracts.envelope import Outcome

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
    "Configs": {
        "type": "type",
        "family": "model_family",
        "default": "is_default",
        "for": "description",
        "config": "config",
        "id": "id",
    },
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

    @command(
        group,
        "list",
        fields=options(queries.QUERIES[f"List{plural}"]),
        help="List them in the order added.",
        epilog=f"Example: tunebus {singular} list --limit 20",
    )
    def _list(call: Call, **fields: Any) -> None:
        page = call.ask(f"List{plural}", **given(fields))
        show_page(call, page, columns, f"there are no {plural.lower()} yet; see `tunebus {singular} add --help`")


def _shows(group: typer.Typer, singular: str) -> None:
    fields = options(queries.QUERIES[f"Get{singular}"], skip=("id",))

    example = f"Example: tunebus {singular.lower()} show {'ID' if singular == 'Config' else f'my-{singular.lower()}'}"

    @command(group, "show", fields=fields, help="Show one with all its fields.", epilog=example)
    def _show(call: Call, id: Identity, **fields: Any) -> None:
        document = call.ask(f"Get{singular}", id=id, **given(fields))
        call.terminal.data(document, _RENDERINGS.get(singular, record)(document))


def _used(group: typer.Typer, singular: str) -> None:
    word = singular.lower()
    example = "ID" if singular == "Config" else f"my-{word}"
    fields = options(queries.ListUses, skip=("aggregate", "id"))

    @command(group, "uses", fields=fields, epilog=f"Example: tunebus {word} uses {example}")
    def _uses(call: Call, id: Identity, **fields: Any) -> None:
        """List what refers to it, and what of that stands in the way of removing it."""
        found = call.ask("ListUses", aggregate=word, id=id, **given(fields))
        if not call.machine and not found["items"]:
            call.terminal.note("nothing refers to it")
            return
        columns = {"kind": "aggregate", "name": "name", "state": "state", "blocks removal": "blocks", "id": "id"}
        call.terminal.data(found, table(found["items"], columns))


_RENDERINGS: dict[str, Callable[[Mapping[str, Any]], RenderableType]] = {"Dataset": described}

for _group, _singular in (
    (datasets, "Dataset"),
    (models, "Model"),
    (prompts, "Prompt"),
    (configs, "Config"),
    (adapters, "Adapter"),
):
    _lists(_group, f"{_singular}s")
    _shows(_group, _singular)
    _used(_group, _singular)


def _names(group: typer.Typer, singular: str) -> None:
    word = singular.lower()

    @command(group, "rename", epilog=f"Example: tunebus {word} rename old-name new-name")
    def _rename(
        call: Call,
        id: Identity,
        name: Annotated[str, typer.Argument(metavar="NAME", help="its new name", show_default=False)],
    ) -> None:
        """Give it another name. Its id stays, and what it was called stays in its events."""
        outcome = call.send(f"Rename{singular}", id=id, name=name)
        show_added(call, outcome, f"{word} {id} is now {name.strip()}")


def _removes(group: typer.Typer, singular: str, what_goes_too: str | None) -> None:
    word = singular.lower()
    cascade = [
        parameter
        for parameter in options(
            commands.COMMANDS[f"Remove{singular}"], skip=("id",), values={"cascade": f"remove {what_goes_too} as well"}
        )
        if what_goes_too or parameter.name != "cascade"
    ]
    example = f"Example: tunebus {word} remove my-{word}" + (" --cascade" if what_goes_too else "")

    @command(group, "remove", fields=cascade, epilog=example)
    def _remove(call: Call, id: Identity, **fields: Any) -> None:
        """Take it out of the list; files stay. Refused while something uses it; its events are kept."""
        outcome = call.send(f"Remove{singular}", id=id, **given(fields))
        show_added(call, outcome, f"{word} {id} is removed")
        if singular == "Dataset" and not call.machine:
            _tell_of_copy(call, str(outcome.id), asked=bool(fields.get("delete_files")))


def _tell_of_copy(call: Call, dataset_id: str, *, asked: bool) -> None:
    """What became of the studio's copy of an upload."""
    events = call.ask("ListEvents", aggregate="dataset", entity_id=dataset_id)["items"]
    deleted = [event["data"] for event in events if event["type"] == "DatasetFilesDeleted"]
    removed = next(event["data"] for event in reversed(events) if event["type"] == "DatasetRemoved")
    if deleted:
        call.terminal.note(f"its copy is being deleted: {byte_size(deleted[0]['bytes'])}")
    elif asked:
        call.terminal.note(f"its copy stays for {escape(', '.join(removed['kept_for']))}")
    elif removed["location"]:
        call.terminal.note(f"its copy stays; delete it: tunebus dataset remove {dataset_id} --delete-files")


for _group, _singular, _goes_too in (
    (datasets, "Dataset", "its prompts"),
    (models, "Model", "its adapters"),
    (prompts, "Prompt", None),
    (adapters, "Adapter", None),
):
    _names(_group, _singular)
    _removes(_group, _singular, _goes_too)
_removes(configs, "Config", None)


@command(
    configs,
    "describe",
    fields=options(commands.DescribeConfig, skip=("id", "is_default")),
    epilog='Example: tunebus config describe ID --description "for models under 1B" --default',
)
def describe_config(
    call: Call,
    id: Identity,
    is_default: Annotated[
        bool | None, typer.Option("--default/--no-default", help="mark as a default, or no longer", show_default=False)
    ] = None,
    **fields: Any,
) -> None:
    """Say anew what a config is for; what is not given stays."""
    outcome = call.send("DescribeConfig", id=id, **given({**fields, "is_default": is_default}))
    show_added(call, outcome, "the config is described anew")


def remove_job(call: Call, kind: str, aggregate: str, job_id: str, delete_files: bool) -> None:
    """Remove a job and say what its files take, or took."""
    outcome = call.send(f"Remove{kind}", id=job_id, delete_files=delete_files)
    if call.machine:
        call.terminal.data(outcome.document(), None)
        return
    found = call.ask("ListEvents", aggregate=aggregate, entity_id=outcome.id, type="JobRemoved")
    call.terminal.data(outcome.document(), Text(outcome.id or ""))
    for event in found["items"][-1:]:
        data = event["data"]
        size = f"{data['bytes'] / 1e6:,.1f} MB"
        if delete_files:
            call.terminal.note(f"[green]removed[/]; its files are being deleted: {size}")
        else:
            group = {"FineTuningJob": "train", "EvaluationJob": "eval", "ExportJob": "export"}[kind]
            call.terminal.note(f"[green]removed[/]; its files stay in {escape(data['out_dir'])}: {size}")
            call.terminal.note(f"delete them: tunebus {group} remove {outcome.id} --delete-files")


def show_added(call: Call, outcome: Outcome, what: str) -> None:
    """What a command made, by its id."""
    call.terminal.data(outcome.document(), Text(outcome.id or ""))
    call.terminal.note(f"[green]{escape(what)}[/]")


@command(
    models,
    "add",
    fields=options(commands.AddModel, skip=("path", "type")),
    epilog="Example: tunebus model add --name smollm --huggingface-name HuggingFaceTB/SmolLM2-135M",
)
def add_model(
    call: Call,
    path: Annotated[str | None, typer.Argument(metavar="PATH", help="the model's folder", show_default=False)] = None,
    **fields: Any,
) -> None:
    """Add a base model from a folder, which stays where it is, or from the Hub, which is fetched at once."""
    outcome = send_watched(call, "AddModel", **located(path), **given(fields))
    show_added(call, outcome, f"model {fields['name']} is added")


@command(
    models,
    "approve-code",
    fields=options(commands.ApproveRemoteCode, skip=("huggingface_name", "revision")),
    epilog="Example: tunebus model approve-code owner/name 4fd980ebfbab2c37b3f773e1468ab0a9ae638046 --reason 'read it'",
)
def approve_code(
    call: Call,
    huggingface_name: Annotated[str, typer.Argument(metavar="NAME", help="owner/name", show_default=False)],
    revision: Annotated[str, typer.Argument(metavar="COMMIT", help="the full commit", show_default=False)],
    **fields: Any,
) -> None:
    """Let the code of one commit of a Hub model run, as you, in trainings and evaluations. Read it first."""
    outcome = call.send("ApproveRemoteCode", huggingface_name=huggingface_name, revision=revision, **given(fields))
    show_added(call, outcome, f"the code of {huggingface_name} at {revision[:12]} may run")


@command(
    models,
    "approvals",
    fields=options(queries.ListRemoteCodeApprovals),
    epilog="Example: tunebus model approvals --huggingface-name owner/name",
)
def list_approvals(call: Call, **fields: Any) -> None:
    """List the commits of Hub models whose own code may run."""
    page = call.ask("ListRemoteCodeApprovals", **given(fields))
    columns = {"model": "huggingface_name", "commit": "revision", "by": "actor", "reason": "reason", "at": "added_at"}
    show_page(call, page, columns, "no code of any model was approved")


@command(
    prompts,
    "add",
    fields=options(commands.AddPrompt, values=_TEMPLATES),
    epilog="Example: tunebus prompt add --name short --dataset faq --prompt-template '{input}{completion}' "
    "--input-template '{question}' --completion-template '{answer}'",
)
def add_prompt(call: Call, **fields: Any) -> None:
    """Add the templates of a prompt: {column} stands for a row's value, {{ and }} for braces."""
    outcome = call.send("AddPrompt", **given(fields))
    show_added(call, outcome, f"prompt {fields['name']} is added")


@command(
    prompts,
    "generate",
    fields=options(queries.GeneratePrompt, values={"output_column": "the answer's column; guessed when not given"}),
    epilog="Example: tunebus prompt generate --dataset faq",
)
def generate_prompt(call: Call, **fields: Any) -> None:
    """Make templates from the names of a dataset's columns, ready for `prompt add`."""
    found = call.ask("GeneratePrompt", **given(fields))
    keys = ["dataset_name", "input_columns", "output_column", *_TEMPLATES]
    call.terminal.data(found, record(found, keys))


@command(
    prompts,
    "render",
    fields=options(queries.RenderPrompt, skip=("prompt_id",), values=_TEMPLATES),
    epilog="Example: tunebus prompt render my-prompt --seed 7 --model starter",
)
def render_prompt(
    call: Call,
    prompt_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="a prompt; without one give a dataset", show_default=False)
    ] = None,
    **fields: Any,
) -> None:
    """Show a random row of a dataset as a prompt shows it: what a model is given, and what it should answer."""
    found = call.ask("RenderPrompt", **given({"prompt_id": prompt_id, **fields}))
    keys = ["row_number", "input", "prompt", "completion", *(["chat"] if found["chat"] is not None else [])]
    call.terminal.data(found, record(found, keys))


@command(adapters, "split", epilog="Example: tunebus adapter split my-adapter")
def show_split(call: Call, id: Identity) -> None:
    """Show which share of which rows an adapter was trained on, so that others score the rows it has not seen."""
    found = call.ask("GetDatasetSplitByAdapter", adapter_id=id)
    call.terminal.data(found, record(found))


@command(
    configs,
    "add",
    fields=options(commands.AddConfig, skip=("config",)),
    epilog="Example: tunebus config add large.yaml --type lora --description 'for models over 8B'",
)
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


@command(
    adapters,
    "add",
    fields=options(commands.AddAdapter, skip=("path", "type")),
    epilog="Example: tunebus adapter add ~/adapters/mine --name mine --model starter",
)
def add_adapter(
    call: Call,
    path: Annotated[str | None, typer.Argument(metavar="PATH", help="the adapter's folder", show_default=False)] = None,
    **fields: Any,
) -> None:
    """Add an adapter that was made elsewhere: from a folder, or from the Hub."""
    outcome = send_watched(call, "AddAdapter", **located(path), **given(fields))
    show_added(call, outcome, f"adapter {fields['name']} is added")


def located(path: str | None) -> dict[str, str]:
    """The path of a command, where there is one."""
    return {"path": absolute(path)} if path is not None else {}


def _config_text(given_as: str) -> str:
    """The text of a config. Errors: `not_found` for a file that is not there, `invalid` for one that is no text."""
    if given_as == "-":
        return sys.stdin.read()
    if given_as.lstrip().startswith("{") or "\n" in given_as:
        return given_as
    try:
        return typed_path(given_as, "config").read_text(encoding="utf-8")
    except OSError as error:
        raise fail(Code.NOT_FOUND, f"{given_as} cannot be read: {error.strerror}", param="config") from None
    except UnicodeDecodeError:
        raise fail(Code.INVALID, f"{given_as} is no text", param="config") from None
