"""What this machine offers a job, and how busy it is: cores, memory, GPUs (asked of the driver's own tool, for asking
torch takes seconds and a context on the device), the artifact root.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Collection, Mapping, Sequence

import psutil
from tunebus.contracts.rpc import Capabilities, Device, DeviceLoad, Load
from tunebus.services.platform.home import Home
from tunebus.services.platform.worker import memory
from tunebus.services.platform.worker.inputs import cores

_SECONDS = 10.0
_QUICK = 2.0  # heartbeats wait for it
_LOAD_SECONDS = 5.0  # how old a figure may be: the driver's tool takes a noticeable part of a second
_MIB_A_GIB = 1024


async def devices(environment: Mapping[str, str] | None = None) -> list[Device]:
    """The GPUs a child may be given; empty without NVIDIA's driver. Those that CUDA_VISIBLE_DEVICES hides are not."""
    visible = (os.environ if environment is None else environment).get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return []
    found = []
    for row in await _asked(_SECONDS, "uuid", "name", "memory.total"):
        uuid, name, total = row
        size = _number(total)
        found.append(Device(id=uuid, name=name, memory_gb=round(size / _MIB_A_GIB, 2) if size else None))
    if visible is None:
        return found
    wanted = [part.strip() for part in visible.split(",") if part.strip()]
    if all(part.isdecimal() for part in wanted):
        return [found[int(part)] for part in wanted if int(part) < len(found)]
    return [device for part in wanted for device in found if device.id.startswith(part)]


class Loads:
    """How busy the machine is, measured when asked, but not again within five seconds."""

    def __init__(self, gpus: Sequence[Device]) -> None:
        self._ids = {device.id for device in gpus}
        self._last: Load | None = None
        self._at = 0.0
        psutil.cpu_percent()  # the first call only sets the clock

    async def now(self) -> Load:
        if self._last is None or time.monotonic() - self._at > _LOAD_SECONDS:
            self._at = time.monotonic()
            self._last = Load(
                cpu_percent=psutil.cpu_percent(),
                memory_percent=psutil.virtual_memory().percent,
                gpus=await _loads(self._ids),
            )
        return self._last


async def _loads(ids: Collection[str]) -> list[DeviceLoad]:
    if not ids:
        return []
    found = []
    for uuid, busy, used in await _asked(_QUICK, "uuid", "utilization.gpu", "memory.used"):
        if uuid in ids:
            size = _number(used)
            share = None if size is None else round(size / _MIB_A_GIB, 2)
            found.append(DeviceLoad(id=uuid, percent=_number(busy), memory_gb=share))
    return found


async def _asked(seconds: float, *fields: str) -> list[tuple[str, ...]]:
    """One row of these fields a GPU; none where the tool is not there, fails or takes too long."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    process = await asyncio.create_subprocess_exec(
        tool,
        f"--query-gpu={','.join(fields)}",
        "--format=csv,noheader,nounits",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        return []
    if process.returncode != 0:
        return []
    rows = [tuple(part.strip() for part in line.split(",")) for line in output.decode("utf-8", "replace").splitlines()]
    return [row for row in rows if len(row) == len(fields)]


def _number(text: str) -> float | None:
    """A figure of the tool's, or None for the words it has where a device does not tell."""
    try:
        return float(text)
    except ValueError:
        return None


def artifact_root(home: Home) -> str | None:
    """The identity of the artifact root, or None while this machine does not see it."""
    if not home.artifacts.is_dir():
        return None
    try:
        return home.artifact_root_id() or None
    except OSError:
        return None


def capabilities(root: str, gpus: Sequence[Device]) -> Capabilities:
    return Capabilities(
        cpus=cores(),
        memory_gb=memory.machine_gb(),
        gpus=[device.name for device in gpus],
        devices=list(gpus),
        artifact_root=root,
    )
