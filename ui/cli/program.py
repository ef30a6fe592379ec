"""Every command of `tunebus`, and how each may end. Whatever happens, a person sees words, never a traceback."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from tunebus.contracts.errors import NO_SPACE, Code, Problem, TunebusError, in_plain_words, unwritten
from tunebus.ui.cli import (
    condition,
    database,
    datasets,
    entities,
    evaluation,
    exports,
    imports,
    jobs,
    password,
    processes,
    queue,
    record,
)
from tunebus.ui.cli.call import command
from tunebus.ui.cli.terminal import Terminal

USAGE = 2
INTERRUPTED = 130

app = typer.Typer(
    name="tunebus",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="An event-sourced studio for fine-tuning language models.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"tunebus {version('tunebus')}")
        raise typer.Exit


@app.callback()
def root(
    home: Annotated[
        str | None, typer.Option(metavar="DIR", help="the studio's folder (TUNEBUS_HOME)", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print JSON, errors as well", show_default=False)] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="print the version")
    ] = False,
) -> None:
    """The options that every command takes."""


_STUDIO, _WORK, _PARTS, _DEEP = "Studio", "Jobs", "What jobs are made of", "Inside"

command(app, "up", rich_help_panel=_STUDIO, epilog="Example: tunebus up --ui-port 0")(processes.up)
command(app, "demo", rich_help_panel=_STUDIO, epilog="Example: tunebus demo --ui --keep")(processes.demo)
command(app, "status", rich_help_panel=_STUDIO, epilog="Example: tunebus status --json")(condition.status)
command(app, "doctor", rich_help_panel=_STUDIO, epilog="Example: tunebus doctor --json")(condition.doctor)
evaluation.add_try(app, _WORK)
for name, group, panel in (
    ("queue", queue.queue, _WORK),
    ("job", jobs.jobs, _WORK),
    ("train", imports.train, _WORK),
    ("eval", evaluation.evaluate, _WORK),
    ("export", exports.exports, _WORK),
    ("dataset", datasets.datasets, _PARTS),
    ("model", entities.models, _PARTS),
    ("prompt", entities.prompts, _PARTS),
    ("config", entities.configs, _PARTS),
    ("adapter", entities.adapters, _PARTS),
    ("password", password.password, _DEEP),
    ("events", record.events, _DEEP),
    ("deadletter", record.dead_letters, _DEEP),
    ("db", database.database, _DEEP),
    ("topology", processes.topology, _DEEP),
    ("worker", processes.worker, _DEEP),
):
    app.add_typer(group, name=name, rich_help_panel=panel)

# The usage errors' class moved between click and Typer; the parent of one that Typer exports is it in every version.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    if sys.stdout is None:  # closed by whoever started us
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  for as long as this process lives
    terminal = Terminal(machine="--json" in arguments)
    try:
        code: Any = typer.main.get_command(app).main(args=list(arguments), prog_name="tunebus", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except TunebusError as error:
        terminal.problem(error.problem)
        return error.problem.exit_code
    except _UsageError as error:
        return _usage(terminal, error)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()  # whoever read it has had enough
        return 0
    except Exception as error:
        unwritable = _output_error() or (error if isinstance(error, OSError) and error.errno in NO_SPACE else None)
        if unwritable is not None:
            problem = unwritten(unwritable, str(unwritable.filename or "the output")).problem
        else:
            problem = _defect(error)
        terminal.problem(problem)
        return problem.exit_code


def _output_error() -> OSError | None:
    """Why stdout does not take what it still holds; None where it does, or holds nothing."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _drop_output()
        return error
    return None


def _drop_output() -> None:
    """Leave what stdout has not taken, so that the interpreter does not complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage(terminal: Terminal, error: Exception) -> int:
    """Say what is wrong with the command line, and which command's help to read."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return USAGE  # its help has been printed
    if isinstance(error.__cause__, ValidationError) and hasattr(error, "message"):
        error.message = in_plain_words(error.__cause__.errors(include_url=False)[0])
    said = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "tunebus"
    terminal.problem(Problem(code=Code.INVALID, message=said.rstrip("."), hint=f"see {path} --help"))
    return USAGE


def _defect(error: Exception) -> Problem:
    """A defect of ours: the traceback goes to a file that is named, a person gets one line."""
    where = "could not be kept"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="tunebus-error-", suffix=".txt", delete=False) as file:
            traceback.print_exception(error, file=file)
        where = f"is in {file.name}"
    except OSError:
        pass
    return Problem(
        code=Code.INTERNAL,
        message=f"this is a defect of tunebus: {type(error).__name__}: {error}",
        hint=f"its traceback {where}",
    )
