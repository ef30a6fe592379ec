"""What this machine offers a job: cores, memory, GPUs (as the driver's own tool names them), the artifact root."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping

from tunebus.contracts.rpc import Capabilities
from tunebus.services.platform.home import Home
from tunebus.services.platform.worker import memory
from tunebus.services.platform.worker.inputs import cores

_SECONDS = 10.0


async def gpus(environment: Mapping[str, str] | None = None) -> list[str]:
    """Names of the GPUs a child would see; empty without NVIDIA's driver."""
    visible = (os.environ if environment is None else environment).get("CUDA_VISIBLE_DEVICES")
    tool = shutil.which("nvidia-smi")
    if tool is None or (visible is not None and visible.strip() in ("", "-1")):
        return []
    process = await asyncio.create_subprocess_exec(
        tool,
        "--query-gpu=name",
        "--format=csv,noheader",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return []
    names = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    if process.returncode != 0:
        return []
    if visible is None:
        return names
    wanted = [part.strip() for part in visible.split(",") if part.strip()]
    if all(part.isdecimal() for part in wanted):
        return [names[int(part)] for part in wanted if int(part) < len(names)]
    return names[: len(wanted)]


def artifact_root(home: Home) -> str | None:
    """The identity of the artifact root, or None while this machine does not see it."""
    if not home.artifacts.is_dir():
        return None
    try:
        return home.artifact_root_id() or None
    except OSError:
        return None


def capabilities(root: str, gpus: list[str]) -> Capabilities:
    return Capabilities(cpus=cores(), memory_gb=memory.machine_gb(), gpus=gpus, artifact_root=root)
