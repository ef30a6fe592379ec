"""A child does not outlive its supervisor: it ends when the pipe on its standard input closes, on Linux also by signal.

Only where the supervisor asks for it (`TUNEBUS_LIFELINE=stdin`); by hand a child runs on its own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

VARIABLE = "TUNEBUS_LIFELINE"
_PR_SET_PDEATHSIG = 1


def hold() -> bool:
    """Tie this process to its parent. Returns whether that was asked for."""
    if os.environ.get(VARIABLE) != "stdin":
        return False
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call above
            end_group()
    threading.Thread(target=_watch, name="lifeline", daemon=True).start()
    return True


def end_group() -> None:
    """End this process at once, with all it started where it leads its group."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _watch() -> None:
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    end_group()
