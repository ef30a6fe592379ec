"""A limit of time for the work on one row: a chat template is a program of somebody else's, and may never end.

It holds in the main thread, of a process that uses SIGALRM for nothing else: children encode their rows there. In
another thread nothing is limited.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tunebus.contracts.errors import Code, fail


class _Overtime(BaseException):
    """Raised in the midst of a template; nothing that catches exceptions catches it."""


@contextmanager
def limited(seconds: float, param: str = "base_model_id") -> Iterator[None]:
    """End what takes longer. Errors: `too_large`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise _Overtime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _Overtime:
        raise fail(
            Code.TOO_LARGE,
            f"rendering and tokenizing took longer than {seconds:g} s",
            param=param,
            hint="the model's chat template may not end, or the row is very long",
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
