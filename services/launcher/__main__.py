"""Serve a studio on this machine until Ctrl-C: `python -m tunebus.services.launcher [--no-ui] [--json]`.

Where, is said by `TUNEBUS_HOME` and `TUNEBUS_UI_PORT` (or `--home` and `--ui-port`).
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tunebus.contracts.errors import Code, Problem, TunebusError
from tunebus.services.launcher.app import Studio, Watcher
from tunebus.services.launcher.supervisor import Service
from tunebus.services.platform.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.console import Console

_COLOURS = {"ready": "green", "done": "green", "restarting": "yellow", "failing": "red", "failed": "red"}


class Printer(Watcher):
    """Says on stderr what starts and what fails, and on stdout where the studio is."""

    def __init__(self, settings: Settings, *, machine: bool) -> None:
        self._settings = settings
        self._machine = machine
        self._said: dict[str, tuple[str, str | None]] = {}

    @functools.cached_property
    def _console(self) -> Console:
        from rich.console import Console  # only now, when everything that takes longer has been started

        return Console(stderr=True, highlight=False)

    def changed(self, service: Service) -> None:
        state = service.state
        if state in ("waiting", "starting", "stopping", "stopped"):
            return
        news = (state, service.error)
        if self._said.get(service.name) == news:
            return
        self._said[service.name] = news
        colour = _COLOURS.get(state, "default")
        why = f"  {_plain(service.error)}" if service.error and state not in ("ready", "done") else ""
        self._console.print(f"  [{colour}]{state:<10}[/] {service.name}{why}", soft_wrap=True)

    def warned(self, message: str) -> None:
        self._console.print(f"  [yellow]warning[/]    {_plain(message)}", soft_wrap=True)

    def ready(self, document: Mapping[str, Any]) -> None:
        if self._machine:
            print(json.dumps(document), flush=True)
        elif document["ui_url"]:
            self._console.print(f"\n[bold]Tunebus is up[/] on {_plain(str(document['home']))}; Ctrl-C stops it.")
            print(document["ui_url"], flush=True)
        else:
            self._console.print(
                f"\n[bold]Tunebus is up[/] on {_plain(str(document['home']))}, without pages; Ctrl-C stops it."
            )

    def stopping(self, signal_name: str | None) -> None:
        self._console.print(f"stopping ({signal_name}) …" if signal_name else "stopping …")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tunebus up", description="Serve a studio on this machine until Ctrl-C.")
    parser.add_argument("--no-ui", action="store_true", help="without the browser's pages")
    parser.add_argument("--home", help="the folder the studio lives in (TUNEBUS_HOME)")
    parser.add_argument("--ui-port", type=int, help="the pages' port, 0 for any free one (TUNEBUS_UI_PORT)")
    parser.add_argument("--json", action="store_true", help="one JSON line on stdout when everything is ready")
    given = parser.parse_args(arguments)
    try:
        settings = load_settings(home=given.home, ui_port=given.ui_port)
        printer = Printer(settings, machine=given.json)
        Studio(settings, ui=not given.no_ui, watcher=printer).run()
    except TunebusError as error:
        return report(error.problem, machine=given.json)
    except OSError as error:
        problem = Problem(
            code=Code.UNAVAILABLE, message=f"{error.strerror}: {error.filename}" if error.filename else str(error)
        )
        return report(problem, machine=given.json)
    return 0


def _plain(text: str) -> str:
    """Text that rich takes as it is."""
    from rich.markup import escape

    return escape(text)


def report(problem: Problem, *, machine: bool) -> int:
    """Say what went wrong, in the machine's form or a person's; returns the exit code."""
    if machine:
        print(json.dumps(problem.document()), file=sys.stderr, flush=True)
        return problem.exit_code
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    for one in problem.details or [problem]:
        where = f"{one.param}: " if one.param else ""
        console.print(f"[red]{_plain(where + one.message)}[/]", soft_wrap=True)
        if one.hint:
            console.print(f"  {_plain(one.hint)}", soft_wrap=True)
    return problem.exit_code


if __name__ == "__main__":
    sys.exit(main())
