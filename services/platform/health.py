"""Whether a service of this home works: `python -m tunebus.services.platform.health NAME`; exit code 0 when it does.

For health checks of containers and service managers. A process whose event loop is stuck ends itself, so that its
state file and its pid say enough; it speaks to nobody.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.services.platform.settings import load_settings


def check(home: Path, name: str) -> None:
    """Errors: `not_found` for a service that never ran here, `unavailable` for one that is not ready, in words."""
    try:
        state = json.loads((home / "services" / f"{name}.json").read_text())
    except (OSError, ValueError):
        raise fail(Code.NOT_FOUND, f"{name} has not run on {home}", param="NAME") from None
    if state.get("state") != "ready":
        raise fail(Code.UNAVAILABLE, f"{name} is {state.get('state')}", hint="look at its log")
    try:
        os.kill(int(state["pid"]), 0)
    except PermissionError:
        pass  # it lives, and belongs to somebody else
    except (OSError, ValueError, KeyError):
        raise fail(Code.UNAVAILABLE, f"{name} is gone without a word", hint="look at its log") from None


def main(arguments: list[str]) -> int:
    try:
        if len(arguments) != 1:
            raise fail(Code.INVALID, "name one service, for example registry", param="NAME")
        check(load_settings().home, arguments[0])
    except TunebusError as error:
        problem: Problem = error.problem
        sys.stderr.write(f"{problem.message}\n")
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
