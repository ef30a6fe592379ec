"""What is found out before a command is decided: files looked into by prepare children, outside any transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine
from tunebus.contracts import commands as ask
from tunebus.contracts.errors import Code, Problem, TunebusError
from tunebus.contracts.subjects import DATASET, MODEL
from tunebus.projections.queries import find
from tunebus.services.platform import database
from tunebus.services.platform.decisions import PreparedCommand
from tunebus.services.platform.home import Home
from tunebus.services.platform.settings import Settings
from tunebus.services.registry import config_body
from tunebus.services.registry.adapter_folder import AdapterFolder
from tunebus.services.registry.children import PreparePool
from tunebus.services.registry.config_body import ConfigBody
from tunebus.services.registry.dataset import DatasetFile
from tunebus.services.registry.fine_tuning_job import Asked
from tunebus.services.registry.model_folder import ModelFolder

DATASET_SECONDS = 600.0
MODEL_SECONDS = 1800.0  # hashing the weights of a large model
CONFIG_SECONDS = 20.0


class Preparation:
    """`needed` tells at once whether a command has to wait for `prepare`."""

    def __init__(self, settings: Settings, home: Home, reads: Engine, pool: PreparePool) -> None:
        self._home = home
        self._reads = reads
        self._pool = pool
        self._roots = {
            "roots": [str(root) for root in settings.roots],
            "artifacts": str(home.artifacts),
            "home": str(home.folder),
        }
        self._steps: dict[type, Callable[[Any, Any], Awaitable[Any]]] = {
            ask.AddDataset: self._dataset,
            ask.AddModel: self._model,
            ask.AddAdapter: self._adapter,
            ask.AddConfig: self._config,
            ask.StartFineTuningJob: self._fine_tuning,
            ask.StartEvaluationJob: self._evaluation,
        }

    def needed(self, command: PreparedCommand) -> bool:
        return command.rejection is None and type(command.command) in self._steps

    def at_once(self, command: PreparedCommand) -> PreparedCommand | None:
        """The command with its facts where nothing has to be waited for, else None."""
        if not self.needed(command):
            return command
        asked = command.command
        if isinstance(asked, ask.AddConfig) and not isinstance(asked.config, str):
            try:
                return replace(command, facts=config_body.read(asked.type, asked.config))
            except TunebusError as error:
                return replace(command, rejection=error.problem)
        return None

    async def prepare(self, command: PreparedCommand) -> PreparedCommand:
        """The command with its facts, or with the rejection that the files made necessary."""
        try:
            facts = await self._steps[type(command.command)](command.command, command.facts)
        except database.DatabaseError:
            raise
        except TunebusError as error:
            return replace(command, rejection=error.problem)
        return replace(command, facts=facts)

    async def _dataset(self, asked: ask.AddDataset, _: None) -> DatasetFile:
        request = {**self._roots, "path": asked.path, "type": asked.type}
        return DatasetFile(**await self._pool.ask("dataset", request, DATASET_SECONDS))

    async def _model(self, asked: ask.AddModel, _: None) -> ModelFolder:
        return ModelFolder(**await self._pool.ask("model", {**self._roots, "path": asked.path}, MODEL_SECONDS))

    async def _adapter(self, asked: ask.AddAdapter, _: None) -> AdapterFolder | None:
        """None when there is no such model: the decision says so, with all else that is wrong."""
        model = await self._found(MODEL, asked.model_id)
        if model is None:
            return None
        request = {
            **self._roots,
            "path": asked.path,
            "model_name": model["name"],
            "model_folder": str(self._home.resolve(model["location"])),
        }
        return AdapterFolder(**await self._pool.ask("adapter", request, MODEL_SECONDS))

    async def _config(self, asked: ask.AddConfig, _: None) -> ConfigBody:
        request = {"type": asked.type, "document": asked.config}
        return ConfigBody(**await self._pool.ask("config", request, CONFIG_SECONDS))

    async def _fine_tuning(self, asked: ask.StartFineTuningJob, before: Asked) -> Asked:
        if "dataset_id" in before.in_doubt:
            return before
        return await self._with_changed_files(before, {"dataset_id": asked.dataset_id}.items())

    async def _evaluation(self, asked: ask.StartEvaluationJob, before: Asked) -> Asked:
        if "combinations" in before.in_doubt:
            return before
        first = {combination.dataset_id: number for number, combination in reversed([*enumerate(asked.combinations)])}
        return await self._with_changed_files(
            before, ((f"combinations.{number}.dataset_id", dataset_id) for dataset_id, number in first.items())
        )

    async def _with_changed_files(self, before: Asked, datasets: Iterable[tuple[str, str]]) -> Asked:
        """Add the datasets whose files are no longer what was added; one that is unknown is the decision's affair."""
        problems: list[Problem] = list(before.problems)
        for param, reference in datasets:
            row = await self._found(DATASET, reference)
            if row is None:
                continue
            request = {
                "path": str(self._home.resolve(row["location"])),
                "bytes": row["bytes"],
                "sha256": row["sha256"],
                "name": row["name"],
                "param": param,
            }
            try:
                await self._pool.ask("unchanged", request, DATASET_SECONDS)
            except TunebusError as error:
                problems.append(error.problem)
        return Asked(problems)

    async def _found(self, aggregate: str, reference: str) -> dict[str, Any] | None:
        def look() -> dict[str, Any] | None:
            with database.read(self._reads) as connection:
                try:
                    return dict(find(connection, aggregate, reference))
                except TunebusError as error:
                    if error.problem.code == Code.NOT_FOUND:
                        return None
                    raise

        return await asyncio.to_thread(look)
