"""One command in three spellings that do the same: on a command line, in Python, and as the message itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tunebus.ui.cli.options import as_options


def command_line(command: Mapping[str, Any]) -> str:
    """`tunebus train start …`, an option a line."""
    options = as_options(command, between=" \\\n  ")
    return f"tunebus train start \\\n  {options}" if options else "tunebus train start"


def python(command: Mapping[str, Any]) -> str:
    arguments = "".join(f"        {name}={value!r},\n" for name, value in command.items())
    return (
        "from tunebus.contracts.client import Client\n\n"
        "with Client.connect() as studio:\n"
        f"    studio.start_fine_tuning_job(\n{arguments}    )\n"
    )


def message(command: Mapping[str, Any]) -> str:
    """The body that goes onto the bus, but for the `id` that its sender makes."""
    return json.dumps({"type": "StartFineTuningJob", "data": command}, indent=2, ensure_ascii=False)
