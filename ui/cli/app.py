"""The console script. `tunebus up` becomes the launcher at once, for whatever is imported here delays the pages; every
other command line is read by `program`.
"""

from __future__ import annotations

import os
import sys

LAUNCHER = "tunebus.services.launcher"


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["up"]:
        os.execv(sys.executable, [sys.executable, "-m", LAUNCHER, *arguments[1:]])  # noqa: S606  our own interpreter
    from tunebus.ui.cli.program import run

    sys.exit(run(arguments))


if __name__ == "__main__":
    main()
