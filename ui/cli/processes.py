"""Operator commands that become the process they name: `up`, `demo`, `worker`, `topology` and most of `db`.

They replace this process, so that signals and exit codes are the service's own.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from tunebus.contracts import queries
from tunebus.ui.cli.app import LAUNCHER
from tunebus.ui.cli.call import Call, command
from tunebus.ui.cli.entities import show_page
from tunebus.ui.cli.options import given, options

worker = typer.Typer(no_args_is_help=True, help="Run a worker for a studio that is up here or elsewhere.")
topology = typer.Typer(no_args_is_help=True, help="The bus's streams and consumers.")


_WORKER_COLUMNS = {
    "worker": "worker_id",
    "does": "kind",
    "host": "host",
    "cores": "capabilities.cpus",
    "GiB": "capabilities.memory_gb",
    "GPUs": "capabilities.gpus",
    "of it busy": "load.cpu_percent",
    "last seen": "last_seen",
}


def become(call: Call, module: str, *arguments: str) -> None:
    """Run `python -m module` in place of this process, on the home that was asked for."""
    os.environ["TUNEBUS_HOME"] = str(call.settings.home)
    sys.stdout.flush()
    sys.stderr.flush()
    machine = ["--json"] if call.machine else []
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments, *machine])  # noqa: S606  our own interpreter


def up(
    call: Call,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="without the browser's pages", show_default=False)] = False,
    ui_port: Annotated[
        int | None, typer.Option(help="the pages' port, 0 for any free one (TUNEBUS_UI_PORT)", show_default=False)
    ] = None,
) -> None:
    """Serve a studio on this machine until Ctrl-C."""
    arguments = ["--no-ui"] if no_ui else []
    if ui_port is not None:
        arguments += ["--ui-port", str(ui_port)]
    become(call, LAUNCHER, *arguments)


def demo(
    call: Call,
    ui: Annotated[bool, typer.Option("--ui/--no-ui", help="serve the pages as well")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="keep the temporary home", show_default=False)] = False,
) -> None:
    """Fine-tune the starter model and compare it with its base, in a studio that comes and goes."""
    arguments = ["--ui"] if ui else []
    arguments += ["--keep"] if keep else []
    if call.home_given is not None:
        arguments += ["--home", str(call.home_given)]
    become(call, "tunebus.services.launcher.demo", *arguments)


@command(worker, "list", fields=options(queries.ListWorkers), epilog="Example: tunebus worker list")
def list_workers(call: Call, **fields: Any) -> None:
    """List the workers that the studio has heard of, with what their machines offer."""
    page = call.ask("ListWorkers", **given(fields))
    show_page(call, page, _WORKER_COLUMNS, "no worker was ever here")


@command(worker, "trainer", epilog="Example: tunebus worker trainer --home studio")
def trainer(call: Call) -> None:
    """Run a trainer."""
    become(call, "tunebus.services.trainer")


@command(worker, "evaluator", epilog="Example: tunebus worker evaluator --home studio")
def evaluator(call: Call) -> None:
    """Run an evaluator."""
    become(call, "tunebus.services.evaluator")


@command(topology, "apply", epilog="Example: tunebus topology apply")
def topology_apply(call: Call) -> None:
    """Make the streams and consumers as they should be."""
    become(call, "tunebus.services.platform.topology", "apply")


@command(topology, "verify", epilog="Example: tunebus topology verify --json")
def topology_verify(call: Call) -> None:
    """Say where the streams and consumers are not as they should be."""
    become(call, "tunebus.services.platform.topology", "verify")
