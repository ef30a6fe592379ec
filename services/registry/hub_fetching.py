"""Fetching from the Hub before a command is decided: says what the Hub child is to fetch, passes on what it found."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import Engine
from tunebus.contracts import commands as ask
from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.services.platform import database
from tunebus.services.platform.home import Home
from tunebus.services.registry.children import PreparePool
from tunebus.services.registry.hub_source import Fetched, HubSource
from tunebus.services.registry.progress import Report
from tunebus.services.registry.remote_code import approved_commits

FETCH_SECONDS = 6 * 3600.0
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""The variables of the Hub's token; no other child, no event and no log ever gets them."""


def hub_pool() -> PreparePool:
    return PreparePool(1, module="tunebus.services.registry.hub", idle_seconds=30.0, given=TOKENS)


class HubFetching:
    """Each method gives what a command names on the Hub as a folder below the artifact root."""

    def __init__(self, home: Home, reads: Engine, pool: PreparePool) -> None:
        self._home = home
        self._reads = reads
        self._pool = pool

    async def dataset(self, asked: ask.AddDataset, report: Report) -> Fetched:
        choice = {"config_name": asked.config_name, "split": asked.split}
        found = await self._fetch("hub_dataset", asked.huggingface_name, asked.revision, report, **choice)
        return _fetched(asked.huggingface_name, found, **choice)

    async def model(self, asked: ask.AddModel, report: Report) -> tuple[Fetched, bool]:
        """The model, and whether its code may run."""

        def approved() -> list[str]:
            with database.read(self._reads) as connection:
                return list(approved_commits(connection, asked.huggingface_name or ""))

        commits = await asyncio.to_thread(approved)
        found = await self._fetch("hub_model", asked.huggingface_name, asked.revision, report, approved=commits)
        return _fetched(asked.huggingface_name, found), found["revision"] in commits

    async def adapter(self, asked: ask.AddAdapter, report: Report) -> Fetched:
        return _fetched(
            asked.huggingface_name,
            await self._fetch("hub_adapter", asked.huggingface_name, asked.revision, report),
        )

    async def _fetch(
        self, step: str, name: str | None, revision: str | None, report: Report, **more: Any
    ) -> dict[str, Any]:
        request = {"name": name, "revision": revision, "artifacts": str(self._home.artifacts), **more}
        return await self._pool.ask(step, request, FETCH_SECONDS, report)


def _fetched(name: str | None, found: dict[str, Any], **choice: str | None) -> Fetched:
    return Fetched(
        source=HubSource(str(name), found["revision"], **choice),
        location=found["location"],
        description=found.get("description") or "",
        licence=found.get("licence"),
        gated=bool(found.get("gated")),
        code=tuple(found.get("code") or ()),
    )


def one_origin(asked: ask.AddDataset | ask.AddModel | ask.AddAdapter, upload: str | None = None) -> bool:
    """Whether it comes from the Hub. Errors: `invalid` where a command names no origin, or two."""
    hub_only = {"revision": asked.revision}
    if isinstance(asked, ask.AddDataset):
        hub_only |= {"config_name": asked.config_name, "split": asked.split}
    origins = {"path": asked.path, "upload": upload, "huggingface_name": asked.huggingface_name}
    named = [field for field, value in origins.items() if value is not None]
    if asked.type == "huggingface" and "huggingface_name" not in named:
        raise fail(
            Code.INVALID, "a dataset or model of the Hub needs its name there", param="huggingface_name",
            hint="owner/name, as its page shows it",
        )  # fmt: skip
    if len(named) != 1:
        raise fail(
            Code.INVALID,
            f"{' and '.join(named)} are two origins" if named else "where is it?",
            param=named[1] if named else "path",
            hint="give the path of a file or folder, or huggingface_name",
        )
    if named != ["huggingface_name"]:
        for field, value in hub_only.items():
            if value is not None:
                raise fail(Code.INVALID, "is for what comes from the Hub", param=field, hint="leave it out")
        return False
    if asked.type not in (None, "huggingface"):
        raise fail(
            Code.INVALID, f"type {asked.type!r} is for files, not for the Hub", param="type", hint="leave it out"
        )
    return True


def of_the_hub(error: TunebusError) -> TunebusError:
    """The same problem, naming the field that the sender gave."""

    def named(problem: Problem) -> Problem:
        param = "huggingface_name" if problem.param == "path" else problem.param
        details = [named(each) for each in problem.details] if problem.details else problem.details
        return problem.model_copy(update={"param": param, "details": details})

    return TunebusError(named(error.problem))
