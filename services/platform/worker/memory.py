"""How much memory a child uses, and whether the kernel killed something for lack of it. Reads only."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

GIB = 1024**3


def machine_gb() -> float:
    """GiB that this process and its children may use: the machine's, or less inside a container."""
    limits = [psutil.virtual_memory().total]
    for name in ("memory.max", "memory.limit_in_bytes"):
        for folder in _groups():
            with contextlib.suppress(OSError, ValueError):
                limits.append(int((folder / name).read_text()))
    return round(min(limits) / GIB, 2)


def used_bytes(pid: int) -> int:
    """Resident bytes of a process and everything it started, what they share counted once; 0 when it is gone."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for member in family:
        with contextlib.suppress(psutil.Error):
            # PSS shares pages out fairly, but the kernel walks the whole process for it: only where there is a family.
            total += (_pss(member.pid) if len(family) > 1 else None) or member.memory_info().rss
    return total


def _pss(pid: int) -> int | None:
    """Proportional set size, as Linux tells it in one line; None elsewhere."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return None


def oom_kills() -> int:
    """How often the kernel killed for memory so far, in our control group or anywhere on the machine."""
    counts = [_count(Path("/proc/vmstat"))]
    for folder in _groups():
        counts += [_count(folder / "memory.events"), _count(folder / "memory.oom_control")]
    return sum(counts)


def prefer_as_victim(pid: int) -> None:
    """When memory runs out, the kernel shall take the child before any service. Linux only; elsewhere nothing."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("500")


def _groups() -> list[Path]:
    """The folders of our memory control group (version 2 and 1), as seen from inside a container or outside."""
    found = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                root = Path("/sys/fs/cgroup")
            elif "memory" in controllers.split(","):
                root = Path("/sys/fs/cgroup/memory")
            else:
                continue
            inside = root / os.path.relpath(path, "/")
            found.append(inside if inside.is_dir() else root)
    return found


def _count(path: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0
