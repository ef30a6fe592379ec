"""One command in three spellings that do the same: on a command line, in Python, and as the message itself."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from tunebus.ui.cli.options import as_options

START, CLONE = "StartFineTuningJob", "CloneFineTuningJob"
_BREAK = " \\\n  "


def command_line(kind: str, command: Mapping[str, Any]) -> str:
    """`tunebus train start …` or `tunebus train clone …`, an option a line."""
    if kind == START:
        return f"tunebus train start{_BREAK}{as_options(command, between=_BREAK)}"
    said = [f"tunebus train clone {shlex.quote(command['id'])}"]
    said += [f"--set {shlex.quote(f'{name}={json.dumps(value)}')}" for name, value in command["changes"].items()]
    named = {name: value for name, value in command.items() if name not in ("id", "changes")}
    return _BREAK.join([*said, *([as_options(named)] if named else [])])


def python(kind: str, command: Mapping[str, Any]) -> str:
    method = re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()
    arguments = "".join(f"        {name}={value!r},\n" for name, value in command.items())
    return (
        "from tunebus.contracts.client import Client\n\n"
        "with Client.connect() as studio:\n"
        f"    studio.{method}(\n{arguments}    )\n"
    )


def message(kind: str, command: Mapping[str, Any]) -> str:
    """The body that goes onto the bus, but for the `id` that its sender makes."""
    return json.dumps({"type": kind, "data": command}, indent=2, ensure_ascii=False)
