"""The child process: no secrets, its own group, dead with everything it started, its end told truly."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest
from tunebus.services.platform.worker.child import Child, Exit, environment


def start(folder: Path, code: str) -> Child:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    try:
        return Child.start([sys.executable, "-c", code], folder, folder / "output.log", environment(1), lock)
    finally:
        os.close(lock)


async def written(path: Path) -> str:
    async with asyncio.timeout(10):
        while not path.exists() or not path.read_text().endswith("\n"):
            await asyncio.sleep(0.005)
    return path.read_text()


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "OPENAI_API_KEY",
        "MY_PASSWORD",
        "PGPASSWORD",
        "DATABASE_URL",
        "WANDB_API_KEY",
    ],
)
def test_secrets_are_left_out(name: str) -> None:
    assert name not in environment(1, {name: "x"})


def test_addresses_with_passwords_are_left_out() -> None:
    kept = environment(1, {"HTTP_PROXY": "http://me:pass@proxy", "NO_PROXY": "localhost"})
    assert "HTTP_PROXY" not in kept
    assert "NO_PROXY" in kept


def test_the_rest_stays() -> None:
    given = {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "1", "TOKENIZERS_PARALLELISM": "true", "TUNEBUS_HOME": "/h"}
    kept = environment(3, {**given, "TUNEBUS_LOG_LEVEL": "DEBUG", "OMP_NUM_THREADS": "64"})
    assert kept["PATH"] == "/bin"
    assert kept["CUDA_VISIBLE_DEVICES"] == "", "a job that was given no GPU sees none"
    assert environment(3, given, gpus=["GPU-a", "GPU-b"])["CUDA_VISIBLE_DEVICES"] == "GPU-a,GPU-b"
    assert kept["TUNEBUS_HOME"] == "/h"
    assert kept["OMP_NUM_THREADS"] == "3"
    assert kept["TOKENIZERS_PARALLELISM"] == "false"
    assert "TUNEBUS_LOG_LEVEL" not in kept


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ("pass", Exit(0, None)),
        ("import sys; sys.exit(7)", Exit(7, None)),
        ("import os; os.kill(os.getpid(), 11)", Exit(None, signal.SIGSEGV)),
    ],
)
async def test_how_it_ended_is_told(tmp_path: Path, code: str, left: Exit) -> None:
    assert await asyncio.wait_for(start(tmp_path, code).wait(), 10) == left


async def test_both_outputs_go_to_the_file_in_order(tmp_path: Path) -> None:
    child = start(tmp_path, "import sys; print('one'); print('two', file=sys.stderr); print('three')")
    await asyncio.wait_for(child.wait(), 10)
    assert (tmp_path / "output.log").read_text() == "one\ntwo\nthree\n"


@pytest.mark.parametrize("how", ["killed", "ended"])
async def test_what_it_started_dies_with_it(tmp_path: Path, how: str) -> None:
    sleeper = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    wait = "; import time; time.sleep(600)" if how == "killed" else ""
    child = start(tmp_path, f"{sleeper}; print(p.pid, flush=True){wait}")
    grandchild = int(await written(tmp_path / "output.log"))
    if how == "killed":
        child.kill()
    await asyncio.wait_for(child.wait(), 10)
    async with asyncio.timeout(10):
        while psutil.pid_exists(grandchild) and psutil.Process(grandchild).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.01)


async def test_its_standard_input_ends_when_its_supervisor_does(tmp_path: Path) -> None:
    child = start(tmp_path, "import sys; print('up', flush=True); sys.stdin.read(); print('lifeline gone', flush=True)")
    await written(tmp_path / "output.log")
    assert child.is_running
    os.close(child._lifeline)
    child._lifeline = os.open(os.devnull, os.O_RDONLY)
    await asyncio.wait_for(child.wait(), 10)
    assert (tmp_path / "output.log").read_text() == "up\nlifeline gone\n"


async def test_a_signal_after_the_end_hits_nobody(tmp_path: Path) -> None:
    child = start(tmp_path, "pass")
    await asyncio.wait_for(child.wait(), 10)
    child.stop()
    child.kill()
    assert await child.ended_within(0)


async def test_a_command_that_is_no_program_leaves_nothing_open(tmp_path: Path) -> None:
    before = psutil.Process().num_fds()
    with pytest.raises(FileNotFoundError):
        Child.start(["/nowhere/python"], tmp_path, tmp_path / "output.log", {}, 0)
    assert psutil.Process().num_fds() == before
