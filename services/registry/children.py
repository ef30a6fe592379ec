"""A small pool of prepare children: started when needed, reused, killed at their deadline, ended when idle.

A child's death is an answer too: the request is refused in words, and the next one gets a new child.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.services.registry.progress import Report

REPLY_BYTES = 16 * 1024 * 1024
IDLE_SECONDS = 60.0
_NOT_FOR_CHILDREN = ("TUNEBUS_", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "NATS_", "PG")


class PreparePool:
    """`size` children at most. `ask` waits for a free one. `given` names the variables that hold a secret and which
    these children alone are given."""

    def __init__(
        self,
        size: int = 2,
        *,
        module: str = "tunebus.services.registry.prepare",
        idle_seconds: float = IDLE_SECONDS,
        given: Sequence[str] = (),
    ) -> None:
        self._module = module
        self._given = tuple(given)
        self._slots = asyncio.Semaphore(size)
        self._idle: list[asyncio.subprocess.Process] = []
        self._ends: dict[int, asyncio.TimerHandle] = {}
        self._idle_seconds = idle_seconds
        self._closed = False

    async def ask(
        self, step: str, request: dict[str, Any], seconds: float, report: Report | None = None
    ) -> dict[str, Any]:
        """The facts that a step found; `report` is told how far it is, where the step says so.

        Errors: the step's own; `too_large` past the deadline or the memory limit.
        """
        async with self._slots:
            child = self._taken() or await self._start()
            try:
                facts = await asyncio.wait_for(self._exchange(child, step, request, seconds, report), seconds)
            except TimeoutError:
                await self._end(child)
                raise fail(
                    Code.TOO_LARGE, f"looking at it took longer than {seconds:g} s", param="path", hint="split it"
                ) from None
            except TunebusError:
                await self._put_back(child)
                raise
            except BaseException:
                await self._end(child)
                raise
            await self._put_back(child)
            return facts

    async def close(self) -> None:
        """End the idle children. Those at work end with their askers."""
        self._closed = True
        while child := self._taken():
            await self._end(child)

    async def _start(self) -> asyncio.subprocess.Process:
        environment = {
            name: value
            for name, value in os.environ.items()
            if name in ("TUNEBUS_HOME", *self._given) or not name.startswith(_NOT_FOR_CHILDREN)
        }
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            limit=REPLY_BYTES,
            start_new_session=True,
        )

    async def _exchange(
        self,
        child: asyncio.subprocess.Process,
        step: str,
        request: dict[str, Any],
        seconds: float,
        report: Report | None,
    ) -> dict[str, Any]:
        assert child.stdin is not None
        assert child.stdout is not None
        line = json.dumps({**request, "step": step, "seconds": seconds}, ensure_ascii=False) + "\n"
        reply = b""
        with contextlib.suppress(ConnectionError, ValueError):  # ValueError: a reply over the limit
            child.stdin.write(line.encode())
            await child.stdin.drain()
            while (reply := await child.stdout.readline()).startswith(b'{"done":'):
                so_far = json.loads(reply)
                if report is not None:
                    report(so_far["done"], so_far["total"])
        if not reply.endswith(b"\n"):
            await self._end(child)
            raise fail(
                Code.TOO_LARGE,
                "looking at it took more memory or time than is allowed, or brought the inspection down",
                param="path",
                hint="split it, or check that the file is whole",
            )
        document: dict[str, Any] = json.loads(reply)
        if "error" in document:
            raise TunebusError(Problem.model_validate(document["error"]))
        facts: dict[str, Any] = document["facts"]
        return facts

    def _taken(self) -> asyncio.subprocess.Process | None:
        while self._idle:
            child = self._idle.pop()
            self._ends.pop(child.pid).cancel()
            if child.returncode is None:
                return child
        return None

    async def _put_back(self, child: asyncio.subprocess.Process) -> None:
        if self._closed or child.returncode is not None:
            await self._end(child)
            return
        self._idle.append(child)
        loop = asyncio.get_running_loop()
        self._ends[child.pid] = loop.call_later(self._idle_seconds, self._retire, child)

    def _retire(self, child: asyncio.subprocess.Process) -> None:
        """The end of its stdin is a child's end."""
        self._ends.pop(child.pid, None)
        if child in self._idle:
            self._idle.remove(child)
            assert child.stdin is not None
            child.stdin.close()

    async def _end(self, child: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
