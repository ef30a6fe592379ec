"""Fine-tune the starter model and compare it with its base: `python -m tunebus.services.launcher.demo [--home DIR]`.

It starts a studio, types the very commands a person would, shows what they show, and stops everything again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.markup import escape
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.services.launcher.__main__ import report
from tunebus.services.launcher.shipped_defaults import DATASET, MODEL, PROMPT
from tunebus.services.platform.home import STARTER_PACK, Home
from tunebus.services.platform.process import die_with_parent
from tunebus.services.platform.settings import load_settings

START_SECONDS = 90.0
STOP_SECONDS = 45.0
_COMMAND_LINE = (sys.executable, "-m", "tunebus.ui.cli.app")


class Step(Exception):
    """A command of the demo that did not end well; it has said itself why."""

    def __init__(self, command: Sequence[str], code: int) -> None:
        super().__init__(f"`tunebus {shlex.join(command)}` ended with {code}")
        self.code = code


class Demo:
    """A studio on `home`, driven by the command line. With `machine` only the end is printed, as JSON."""

    def __init__(self, home: Path, *, ui: bool, machine: bool) -> None:
        self._home = home
        self._ui = ui
        self._machine = machine
        self._console = Console(stderr=True, highlight=False, quiet=machine)
        self._environment = {**os.environ, "TUNEBUS_HOME": str(home), "TUNEBUS_LOAD_DEFAULTS": "true"}

    def run(self) -> dict[str, Any]:
        """Train, evaluate, and return the evaluation as `eval show --json` gives it. Errors: `Step`, `unavailable`."""
        began = time.monotonic()
        self._say(f"A studio starts in {self._home}.")
        with self._studio() as launcher_pid:
            self._await_defaults(launcher_pid)
            self._say("Fine-tune the starter model on questions about Python's own documentation.")
            started = self._ask(
                "train", "start", "--model", MODEL, "--dataset", DATASET, "--prompt", PROMPT, *_settings()
            )
            self._show("train", "watch", started["id"])
            job = self._ask("train", "show", started["id"], quiet=True)
            self._say("Compare it with the model it came from, on questions that were held out.")
            evaluation = self._ask("eval", "start", "--adapter", job["adapter_name"])
            self._show("eval", "watch", evaluation["id"])
            result = self._ask("eval", "show", evaluation["id"], quiet=True)
        self._conclude(result, time.monotonic() - began)
        return result

    @contextlib.contextmanager
    def _studio(self) -> Iterator[int]:
        """A launcher that is ready, by its pid, and gone afterwards with all it started."""
        arguments = ["--json"] + ([] if self._ui else ["--no-ui"])
        launcher = subprocess.Popen(
            [sys.executable, "-m", "tunebus.services.launcher", *arguments],
            env={"TUNEBUS_UI_PORT": "0", **self._environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if self._machine else None,
            start_new_session=True,  # Ctrl-C is ours: we stop it in order
            preexec_fn=die_with_parent,
        )
        try:
            self._await_ready(launcher)
            yield launcher.pid
        finally:
            launcher.terminate()
            try:
                launcher.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                launcher.kill()
                launcher.wait()

    def _await_ready(self, launcher: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            document = self._run_file(launcher.pid)
            if document.get("state") == "ready":
                break
            code = launcher.poll()
            if code is not None:
                raise Step(["up"], code or 1)
            services = document.get("services", {})
            failing = {name: one for name, one in services.items() if one["state"] == "failing"}
            if failing or time.monotonic() > deadline:
                late = failing or {name: one for name, one in services.items() if one["state"] != "ready"}
                said = "; ".join(f"{name}: {one.get('error') or one['state']}" for name, one in late.items())
                raise fail(Code.UNAVAILABLE, f"the studio does not start: {said}")
            time.sleep(0.1)
        if document.get("ui_url"):
            self._say(f"Its pages: {document['ui_url']}")

    def _await_defaults(self, launcher_pid: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            defaults = self._run_file(launcher_pid).get("defaults", {})
            if defaults.get("state") == "done":
                return
            if defaults.get("state") == "failed" or time.monotonic() > deadline:
                raise fail(
                    Code.UNAVAILABLE,
                    f"the starter pack was not loaded: {defaults.get('error') or 'it took too long'}",
                    hint=f"its log is {defaults.get('log')}",
                )
            time.sleep(0.1)

    def _run_file(self, launcher_pid: int) -> dict[str, Any]:
        """What our own launcher wrote; another studio's file on this home is not ours to read."""
        document = Home(self._home).read_run_file() or {}
        return document if document.get("pid") == launcher_pid else {}

    def _show(self, *command: str) -> None:
        """Run a command that a person watches."""
        self._echo(command)
        quiet = subprocess.DEVNULL if self._machine else None
        ended = subprocess.run(
            [*_COMMAND_LINE, *command],
            env=self._environment,
            stdout=quiet,
            stderr=quiet,
            preexec_fn=die_with_parent,
            check=False,
        )
        if ended.returncode:
            raise Step(command, ended.returncode)

    def _ask(self, *command: str, quiet: bool = False) -> dict[str, Any]:
        """Run a command and read its JSON."""
        if not quiet:
            self._echo(command)
        ended = subprocess.run(
            [*_COMMAND_LINE, *command, "--json"],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=None,
            text=True,
            preexec_fn=die_with_parent,
            check=False,
        )
        if ended.returncode:
            raise Step(command, ended.returncode)
        document: dict[str, Any] = json.loads(ended.stdout)
        return document

    def _echo(self, command: Sequence[str]) -> None:
        self._console.print(f"[dim]$ tunebus {escape(shlex.join(command))}[/]", soft_wrap=True)

    def _say(self, text: str) -> None:
        self._console.print(f"\n[bold]{escape(text)}[/]", soft_wrap=True)

    def _conclude(self, result: dict[str, Any], seconds: float) -> None:
        by_adapter = {job["adapter_id"] is not None: job["metrics"] for job in result["jobs"]}
        base, tuned = by_adapter[False], by_adapter[True]
        self._say(
            f"Held-out loss {base['loss']:.2f} became {tuned['loss']:.2f}, exact match "
            f"{base['exact_match']:.0%} became {tuned['exact_match']:.0%}, in {seconds:.0f} s altogether."
        )
        self._console.print(
            "Your own data and models: `tunebus up`, then the page it names, or `tunebus --help`.", soft_wrap=True
        )


def _settings() -> list[str]:
    """The settings that were tried with the pack, as options."""
    recommended: dict[str, Any] = json.loads((STARTER_PACK / "recommended.json").read_text())
    return [part for name, value in recommended.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tunebus demo", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--home", help="a folder to keep; a temporary one when not given")
    parser.add_argument("--ui", action="store_true", help="serve the pages as well")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder")
    parser.add_argument("--json", action="store_true", help="print nothing but the result, as JSON")
    given = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background job inherits SIGINT as ignored
        signal.signal(number, _interrupt)
    home = Path(given.home or tempfile.mkdtemp(prefix="tunebus-demo-")).expanduser().absolute()
    try:
        load_settings(home=given.home)  # wrong ones are said by us: with --json nobody hears the launcher
        result = Demo(home, ui=given.ui, machine=given.json).run()
        if given.json:
            print(json.dumps(result))
        return 0
    except KeyboardInterrupt:
        Console(stderr=True).print("The demo was stopped; nothing of it runs any more.")
        return 130
    except Step as step:
        Console(stderr=True, highlight=False).print(f"[red]The demo stopped: {escape(str(step))}.[/]", soft_wrap=True)
        return step.code
    except TunebusError as error:
        return report(error.problem, machine=given.json)
    finally:
        if given.home is None and not given.keep:
            shutil.rmtree(home, ignore_errors=True)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
