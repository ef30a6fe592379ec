"""Loads what the studio ships with, and what its operator adds, through commands:
`python -m tunebus.services.launcher.defaults`.

The commands' ids never change, so a second start, or one on another machine of the same studio, adds nothing, and what
was removed stays removed. A default that was refused is tried again at the next start, for its file may be there then.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID, uuid5

from tunebus.contracts.client import Client
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, TunebusError
from tunebus.services.launcher import operator_defaults
from tunebus.services.launcher.shipped_defaults import FOLDER, SHIPPED, Default
from tunebus.services.platform.home import STARTER_PACK, Home
from tunebus.services.platform.logs import configure_logging
from tunebus.services.platform.settings import Settings, load_settings

_FAMILY = UUID("6f1d4a52-3a34-4c0a-9f0b-5d1c8e2b7a10")  # the root of these commands' ids; must never change
_MOST_TRIES = 1000
_SEND_SECONDS = 900.0  # hashing a large model, or fetching one of the Hub
_log = logging.getLogger(__name__)


def command_id(key: str, tried: int = 0) -> str:
    """The id under which a default is sent, the same everywhere and for ever; another one after each refusal."""
    return str(uuid5(_FAMILY, f"{key}/try-{tried}" if tried else key))


def copy_pack(pack: Path, home: Home) -> None:
    """Put the pack's files under the artifact root, whole or not at all; what is there is left alone."""
    target = home.artifacts / FOLDER
    if target.exists():
        return
    draft = home.artifacts / f".{FOLDER}.{os.getpid()}"
    try:
        shutil.copytree(pack, draft)
        draft.rename(target)
    except OSError:
        if not target.exists():  # another start was faster
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def load(client: Client, defaults: Iterable[Default]) -> None:
    """Send the commands, in order. A refused one is logged and does not stop the others."""
    for default in defaults:
        try:
            _settle(client, default)
        except TunebusError as error:
            if error.problem.code is not Code.NOT_CONFIRMED:
                raise
            _log.warning("a default is not confirmed yet", extra={"default": default.key})


def _settle(client: Client, default: Default) -> None:
    """Send a default, unless it is done: accepted once, or refused because somebody's own thing has its name."""
    for tried in range(_MOST_TRIES):
        id = command_id(default.key, tried)
        outcome = _outcome(client, id)
        if outcome is None:
            outcome = client.send(default.command, default.data, command_id=id, actor="defaults", timeout=_SEND_SECONDS)
            if outcome.error is not None:
                level = logging.INFO if outcome.error.code is Code.DUPLICATE_NAME else logging.WARNING
                extra = {"command": default.command, "default": default.key, "reason": outcome.error.message}
                _log.log(level, "a default was refused", extra=extra)
            return
        if outcome.error is None or outcome.error.code is Code.DUPLICATE_NAME:
            return


def _outcome(client: Client, id: str) -> Outcome | None:
    """What became of a command; None where it was never sent."""
    try:
        return Outcome.model_validate(client.query("GetCommandOutcome", {"command_id": id}))
    except TunebusError as error:
        if error.problem.code is Code.NOT_FOUND:
            return None
        raise


def main(settings: Settings | None = None) -> int:
    """Shipped defaults first. An operator's file with mistakes ends with an exit code and every mistake in the log."""
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
            load(client, SHIPPED)
            if settings.defaults_file is not None:
                load(client, operator_defaults.read(settings.defaults_file))
            if settings.adapters_dir is not None:
                load(client, operator_defaults.adapters(settings.adapters_dir, client))
    except TunebusError as error:
        for problem in error.problem.details or [error.problem]:
            _log.error(
                f"{problem.param}: {problem.message}" if problem.param else problem.message,
                extra={"code": problem.code.value, "hint": problem.hint},
            )
        return error.problem.exit_code
    except OSError as error:
        _log.error("the starter pack cannot be copied", extra={"reason": str(error)})
        return 6
    return 0


if __name__ == "__main__":
    sys.exit(main())
