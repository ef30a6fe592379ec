"""Loads what the studio ships with, through commands: `python -m tunebus.services.launcher.defaults`.

The commands' ids never change, so a second start, or one on another machine of the same studio, adds nothing.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from tunebus.contracts.client import Client
from tunebus.contracts.errors import Code, TunebusError
from tunebus.services.platform.home import STARTER_PACK, Home
from tunebus.services.platform.logs import configure_logging
from tunebus.services.platform.settings import Settings, load_settings

MODEL = "starter"
DATASET = "starter-questions"
PROMPT = "starter-prompt"

_FAMILY = UUID("6f1d4a52-3a34-4c0a-9f0b-5d1c8e2b7a10")  # the root of these commands' ids; must never change
_FOLDER = "starter"
_log = logging.getLogger(__name__)

# In this order: the prompt needs the dataset. A changed body needs a new revision in its id.
COMMANDS: tuple[tuple[str, int, Mapping[str, Any]], ...] = (
    (
        "AddModel",
        1,
        {
            "name": MODEL,
            "path": f"artifact:{_FOLDER}/model",
            "description": "A small Llama, trained on the documentation of Python's standard library.",
        },
    ),
    (
        "AddDataset",
        1,
        {
            "name": DATASET,
            "path": f"artifact:{_FOLDER}/questions.jsonl",
            "description": "Questions about descriptions from the documentation of Python's standard library.",
        },
    ),
    (
        "AddPrompt",
        1,
        {
            "name": PROMPT,
            "dataset_id": DATASET,
            "prompt_template": "{input}\n{completion}",
            "input_template": "{question}",
            "completion_template": "{answer}",
        },
    ),
)


def command_id(command: str, revision: int) -> str:
    """The id under which a default is sent, the same everywhere and for ever."""
    return str(uuid5(_FAMILY, f"{command}/{revision}"))


def copy_pack(pack: Path, home: Home) -> None:
    """Put the pack's files under the artifact root, whole or not at all; what is there is left alone."""
    target = home.artifacts / _FOLDER
    if target.exists():
        return
    draft = home.artifacts / f".{_FOLDER}.{os.getpid()}"
    try:
        shutil.copytree(pack, draft)
        draft.rename(target)
    except OSError:
        if not target.exists():  # another start was faster
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def load(client: Client) -> None:
    """Send the commands. A refusal is somebody's own choice of names, so it is logged and nothing more."""
    for command, revision, data in COMMANDS:
        outcome = client.send(command, data, command_id=command_id(command, revision), actor="defaults")
        if outcome.error is not None:
            level = logging.INFO if outcome.error.code is Code.DUPLICATE_NAME else logging.WARNING
            _log.log(level, "a default was refused", extra={"command": command, "reason": outcome.error.message})


def main(settings: Settings | None = None) -> int:
    os.environ.pop("TUNEBUS_LIFELINE", None)
    try:
        settings = settings or load_settings()
        configure_logging("defaults", settings.log_level)
        if not STARTER_PACK.is_dir():
            _log.error("the starter pack is missing from this installation", extra={"folder": str(STARTER_PACK)})
            return 1
        copy_pack(STARTER_PACK, Home(settings.home, settings.artifacts))
        url = settings.nats_url.get_secret_value() if settings.nats_url else None
        with Client.connect(url, settings.namespace, home=None if url else settings.home, name="defaults") as client:
            load(client)
    except TunebusError as error:
        _log.error(error.problem.message, extra={"code": error.problem.code.value})
        return error.problem.exit_code
    except OSError as error:
        _log.error("the starter pack cannot be copied", extra={"reason": str(error)})
        return 6
    return 0


if __name__ == "__main__":
    sys.exit(main())
