"""How busy the child and its machine are, sampled into telemetry, and the memory limit that it must not pass."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from tunebus.services.platform.child.gpus import Gpus, installed
from tunebus.services.platform.child.spool import Spool

SAMPLE_SECONDS = 2.0
_WATCH_SECONDS = 0.2


class Machine:
    """Samples every two seconds on a thread; with a limit, looks five times a second and calls `over` once."""

    def __init__(self, spool: Spool, limit_bytes: int | None, over: Callable[[int], None], folder: Path) -> None:
        self._spool = spool
        self._folder = folder
        self._limit = limit_bytes
        self._over = over
        self._process = psutil.Process()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="machine", daemon=True)
        self.peak_rss = 0

    def start(self) -> None:
        self._process.cpu_percent()  # the first calls only set the clock
        psutil.cpu_percent()
        self._thread.start()

    @property
    def peak_gpu_bytes(self) -> int | None:
        """The most that the child's tensors took of its GPU; None without one."""
        cuda = _cuda()
        return int(cuda.max_memory_allocated()) if cuda is not None else None

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(timeout=5)

    def _sample(self) -> None:
        step = SAMPLE_SECONDS if self._limit is None else _WATCH_SECONDS
        due = 0.0
        gpus = Gpus(installed())
        while True:
            rss = self._process.memory_info().rss
            self.peak_rss = max(self.peak_rss, rss)
            if self._limit is not None and rss > self._limit:
                self._over(rss)
                return
            due -= step
            if due <= 0:
                due = SAMPLE_SECONDS
                try:
                    self._spool.system(self._values(rss) | gpus.readings())
                except OSError:  # a full disk is met, and named, by the thread that trains
                    return
            if self._ended.wait(step):
                return

    def _values(self, rss: int) -> dict[str, float]:
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(str(self._folder))
        values = {
            "cpu_percent": self._process.cpu_percent(),
            "rss_bytes": float(rss),
            "machine_cpu_percent": psutil.cpu_percent(),
            "memory_percent": memory.percent,
            "memory_bytes": float(memory.total - memory.available),
            "disk_percent": disk.percent,
            "disk_free_bytes": float(disk.free),
        }
        if (cuda := _cuda()) is not None:
            values["gpu_memory_bytes"] = float(cuda.memory_allocated())
            values["gpu_memory_peak_bytes"] = float(cuda.max_memory_allocated())
        return values


def _cuda() -> Any:
    """torch's part for GPUs, if the child has loaded it and uses one."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return cuda if cuda is not None and hasattr(cuda, "is_initialized") and cuda.is_initialized() else None
