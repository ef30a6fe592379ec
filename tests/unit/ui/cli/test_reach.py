"""Whatever anyone may send or ask is within reach of the bus, the Python client and the command line.

The contracts are enumerated, and every leaf of the command line runs the example that its help shows.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer
from tunebus.contracts.client import AsyncClient, Client
from tunebus.contracts.commands import COMMANDS
from tunebus.contracts.methods import method_name
from tunebus.contracts.queries import QUERIES
from tunebus.services.registry.domain import handlers
from tunebus.ui.cli import program

from tests.unit.ui.cli.conftest import FakeBus, Run

ANYONES = [name for name, kind in COMMANDS.items() if not kind.for_workers]

# Enough of every entity for the answer to any query to be shown.
ANYTHING: dict[str, Any] = {
    **dict.fromkeys(("id", "name", "object", "adapter_name", "base_model_name", "sha256"), "it"),
    **{name: f"{name}-1" for name in ("parent_id", "base_model_id", "model_id", "dataset_id", "prompt_id")},
    **dict.fromkeys(("position", "events", "bytes", "rows", "step", "total_steps", "next_offset"), 0),
    **dict.fromkeys(("next", "cause", "message", "hint", "adapter_id", "phase", "done", "total", "unit", "chat")),
    "items": [],
    "text": "",
    "series": {},
    "counts": {"dead_letters": 0, "workers": {}},
    **{part: [] for part in ("running", "waiting", "failed", "recent")},
    "state": "succeeded",
    "attempt": 1,
    "fine_tuning_job_id": "job-1",
    "ended": True,
}


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every command that has no commands below it, with what its help ends with."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command.epilog or ""
        return
    for name, child in below.items():
        yield from leaves(child, (*path, name))


LEAVES = dict(leaves(typer.main.get_command(program.app)))


def example(path: tuple[str, ...]) -> list[str]:
    """The words of a leaf's example behind `tunebus`."""
    said = LEAVES[path].partition("Example: tunebus ")[2]
    return shlex.split(said)


@pytest.fixture
def reached(run: Run, bus: FakeBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, ...], set[str]]:
    """By leaf, the commands and queries that its example comes to. Each example must end well."""

    def become(*_: object) -> NoReturn:  # a process that has become another says nothing more
        raise SystemExit(0)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execv", become)
    for file in ("faq.csv", "large.yaml", "studio.json"):
        Path(file).write_text("r: 8\n")
    Path("password.txt").write_text("long enough to be one\n")
    home = tmp_path / "home"
    home.mkdir()
    (home / "run.json").write_text(json.dumps({"pid": os.getpid(), "state": "ready", "services": {}}))
    found: dict[tuple[str, ...], set[str]] = {}
    bus.prepared_until_looked_at = "ExportDatabase"
    for path in LEAVES:
        monkeypatch.setenv("TUNEBUS_HOME", str(home))
        bus.sent.clear()
        bus.asked.clear()
        bus.otherwise = {**ANYTHING, "state": "running" if path[-1] == "stop" else "succeeded"}
        try:
            ended = run(*example(path), "--json")
        except SystemExit:
            found[path] = set()
            continue
        usual = {("events", "tail"): 130, ("doctor",): 6}.get(path, 0)
        assert ended.code == usual, f"{' '.join(path)}: {ended.err}"
        found[path] = {name for name, _ in [*bus.sent, *bus.asked]}
    return found


def test_every_leafs_help_shows_an_example_of_it() -> None:
    wrong = [" ".join(path) for path in LEAVES if tuple(example(path)[: len(path)]) != path]
    assert not wrong, f"no example, or another command's: {wrong}"


def test_every_contract_but_the_workers_is_within_reach_of_an_example(
    reached: dict[tuple[str, ...], set[str]],
) -> None:
    found = set().union(*reached.values())
    missed = {*ANYONES, *QUERIES} - found
    assert not missed, f"no example of the command line comes to {sorted(missed)}"
    assert not found & (set(COMMANDS) - set(ANYONES))


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_the_client_has_a_method_for_each(client: type) -> None:
    assert not [name for name in [*ANYONES, *QUERIES] if not callable(getattr(client, method_name(name), None))]


def test_the_registry_handles_each_that_comes_over_the_bus() -> None:
    assert {kind.__name__ for kind in handlers(3)} >= set(COMMANDS)
