"""The client has a method for every command and query, with the fields and types of the contracts."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

from tunebus.contracts import methods
from tunebus.contracts.client import AsyncClient, Client
from tunebus.contracts.commands import COMMANDS
from tunebus.contracts.queries import QUERIES

ROOT = Path(__file__).parents[3]


def test_the_file_is_what_the_contracts_say() -> None:
    formatted = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "-"],
        cwd=ROOT,
        input=methods.source(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    written = (ROOT / "contracts" / "client_methods.py").read_text()
    assert written == formatted, (
        "run: python -m tunebus.contracts.methods | ruff format - > contracts/client_methods.py"
    )


def test_every_command_and_query_has_its_method() -> None:
    for client in (AsyncClient, Client):
        for name, kind in {**COMMANDS, **QUERIES}.items():
            parameters = set(inspect.signature(getattr(client, methods.method_name(name))).parameters) - {"self"}
            assert parameters == set(kind.model_fields), name
