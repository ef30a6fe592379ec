"""What is found out before a command is decided: files looked into by prepare children, outside any transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, select
from tunebus.contracts import commands as ask
from tunebus.contracts.errors import Code, Problem, TunebusError
from tunebus.contracts.file_bucket import FileBucket
from tunebus.contracts.recipes import UserScript
from tunebus.contracts.subjects import ADAPTER, DATASET, FINE_TUNING_JOB, MODEL
from tunebus.projections.queries import find, find_job
from tunebus.projections.tables import job_checkpoints, removed
from tunebus.services.platform import database
from tunebus.services.platform.decisions import PreparedCommand
from tunebus.services.platform.home import Home
from tunebus.services.platform.settings import Settings
from tunebus.services.registry import config_body
from tunebus.services.registry.adapter_folder import AdapterFolder
from tunebus.services.registry.children import PreparePool
from tunebus.services.registry.config_body import ConfigBody
from tunebus.services.registry.copies import UploadedFile, is_copy
from tunebus.services.registry.dataset import PreparedDataset
from tunebus.services.registry.export_job import ExportFacts
from tunebus.services.registry.export_record import on_record
from tunebus.services.registry.fine_tuning_job import Asked, MadeModel
from tunebus.services.registry.hub_fetching import HubFetching, of_the_hub, one_origin
from tunebus.services.registry.intake import validated
from tunebus.services.registry.lifecycle import Again, Derived
from tunebus.services.registry.model_folder import ModelFolder
from tunebus.services.registry.progress import Progress
from tunebus.services.registry.removal import JobFiles
from tunebus.services.registry.run_intake import RunIntake
from tunebus.services.registry.run_sending import RunSender
from tunebus.services.registry.sizing import Sizing
from tunebus.services.registry.transfers import Transfers
from tunebus.services.registry.uploads import Uploads

DATASET_SECONDS = 1800.0
_INSPECTION = {"type", "format", "column_mapping", "skip_broken"}
MODEL_SECONDS = 1800.0  # hashing the weights of a large model
CONFIG_SECONDS = 20.0
FOLDER_SECONDS = 60.0
TRANSFERS = (ask.ExportDatabase, ask.ImportDatabase)


def derived_fields(
    asked: ask.CloneFineTuningJob | ask.BranchFineTuningJob | ask.ExtendFineTuningJob, before: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """The fields of a start that another job's fields and some changes come to, and how they differ: [before, now].

    Its name and its place in the queue are the other job's own.
    """
    if isinstance(asked, ask.ExtendFineTuningJob):
        changes: dict[str, Any] = {"num_epochs": asked.num_epochs, "max_steps": asked.max_steps}
    else:
        changes = dict(asked.changes)
    if asked.adapter_name is not None:
        changes["adapter_name"] = asked.adapter_name
    own = {"adapter_name", "depends_on", "hold", "priority"}
    kept = {name: value for name, value in before.items() if name not in own}
    after = {name: value for name, value in {**kept, **changes}.items() if value is not None}
    names = [name for name in {**kept, **changes} if name not in own and kept.get(name) != after.get(name)]
    return after, {name: [kept.get(name), after.get(name)] for name in sorted(names)}


def _as_change(problem: Problem, asked: object) -> Problem:
    """Named by the field that the sender wrote it in."""
    if isinstance(asked, ask.ExtendFineTuningJob) or problem.param is None:
        return problem
    return problem.model_copy(update={"param": f"changes.{problem.param}"})


def roots_of(settings: Settings, home: Home) -> dict[str, Any]:
    """Where a child may look for what a path names."""
    return {
        "roots": [str(root) for root in settings.roots],
        "artifacts": str(home.artifacts),
        "home": str(home.folder),
    }


class Preparation:
    """`needed` tells at once whether a command has to wait for `prepare`."""

    def __init__(
        self,
        settings: Settings,
        home: Home,
        reads: Engine,
        pool: PreparePool,
        hub: PreparePool,
        sender: RunSender,
        bucket: FileBucket,
        uploads: Uploads,
        progress: Progress,
        busy: Callable[[], None],
        sizing: Sizing,
    ) -> None:
        self._home = home
        self._reads = reads
        self._pool = pool
        self._scripts = settings.user_scripts
        self._sizing = sizing
        self._export_roots = [str(root) for root in settings.export_roots or (settings.home,)]
        self._hub = HubFetching(home, reads, hub)
        self._uploads = uploads
        self._progress = progress
        self._roots = roots_of(settings, home)
        self._transfers = Transfers(bucket, settings.namespace, home, self._roots, reads, pool, progress, busy)
        self._long: dict[type, Callable[[Any, str], Awaitable[Any]]] = {
            ask.AddDataset: self._dataset,
            ask.AddModel: self._model,
            ask.AddAdapter: self._adapter,
            ask.ImportRun: RunIntake(sender, bucket, self._roots, reads, pool, progress).prepare,
        }
        """Steps that say how far they are, by command id."""
        self._steps: dict[type, Callable[[Any, Any], Awaitable[Any]]] = {
            ask.AddConfig: self._config,
            ask.RemoveDataset: self._uploaded_file,
            ask.RemoveFineTuningJob: self._job_files,
            ask.RemoveEvaluationJob: self._job_files,
            ask.RemoveExportJob: self._job_files,
            ask.StartFineTuningJob: self._fine_tuning,
            ask.RetryFineTuningJob: self._again,
            ask.ResumeFineTuningJob: self._again,
            ask.CloneFineTuningJob: self._derived,
            ask.BranchFineTuningJob: self._derived,
            ask.ExtendFineTuningJob: self._derived,
            ask.RerunFineTuningJob: self._rerun,
            ask.StartEvaluationJob: self._evaluation,
            ask.StartExportJob: self._export,
            ask.CompleteAttempt: self._made_model,
        }

    def needed(self, command: PreparedCommand) -> bool:
        asked, kind = command.command, type(command.command)
        if isinstance(asked, ask.CompleteAttempt) and asked.result_type != "model":
            return False  # nothing of it is looked into
        if isinstance(asked, ask.RemoveDataset) and not asked.delete_files:
            return False
        return command.rejection is None and (kind in self._steps or kind in self._long or kind in TRANSFERS)

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
        kind, command_id = type(command.command), command.envelope.id
        if kind in TRANSFERS:
            return await self._transfers.prepare(command)
        try:
            if kind in self._long:
                facts = await self._long[kind](command.command, command_id)
            else:
                facts = await self._steps[kind](command.command, command.facts)
        except database.DatabaseError:
            raise
        except TunebusError as error:
            return replace(command, rejection=error.problem)
        finally:
            self._progress.end(command_id)
        return replace(command, facts=facts)

    async def _dataset(self, asked: ask.AddDataset, command_id: str) -> PreparedDataset:
        if one_origin(asked, asked.upload):
            return await self._hub_dataset(asked, command_id)
        request = {**self._roots, **asked.model_dump(include=_INSPECTION)}
        if asked.upload is None:
            if is_copy(asked.path):
                self._uploads.hold(asked.path, command_id)
            return await self._inspected({**request, "path": asked.path, "shown": asked.path}, command_id)
        report = self._progress.phase(command_id, "fetching", "bytes")
        async with self._uploads.kept(asked.upload, asked.type, report, command_id) as uri:
            return await self._inspected({**request, "path": uri, "shown": asked.upload}, command_id)

    async def _inspected(self, request: dict[str, Any], command_id: str) -> PreparedDataset:
        report = self._progress.phase(command_id, "inspecting", "bytes")
        return PreparedDataset(**await self._pool.ask("dataset", request, DATASET_SECONDS, report))

    async def _hub_dataset(self, asked: ask.AddDataset, command_id: str) -> PreparedDataset:
        fetched = await self._hub.dataset(asked, self._progress.phase(command_id, "fetching", "splits"))
        request = {**self._roots, **asked.model_dump(include=_INSPECTION), "type": "folder"}
        try:
            found = await self._inspected(
                {**request, "path": fetched.location, "shown": asked.huggingface_name}, command_id
            )
        except TunebusError as error:
            raise of_the_hub(error) from None
        return replace(found, hub=fetched)

    async def _model(self, asked: ask.AddModel, command_id: str) -> ModelFolder:
        if not one_origin(asked):
            return ModelFolder(**await self._pool.ask("model", {**self._roots, "path": asked.path}, MODEL_SECONDS))
        fetched, approved = await self._hub.model(asked, self._progress.phase(command_id, "fetching", "bytes"))
        request = {
            **self._roots,
            "path": fetched.location,
            "shown": f"{asked.huggingface_name} at {fetched.source.revision}",
            "code": fetched.code,
            "approved": approved,
        }
        try:
            found = ModelFolder(**await self._pool.ask("model", request, MODEL_SECONDS))
        except TunebusError as error:
            raise of_the_hub(error) from None
        return replace(found, hub=fetched)

    async def _adapter(self, asked: ask.AddAdapter, command_id: str) -> AdapterFolder | None:
        """None when there is no such model: the decision says so, with all else that is wrong."""
        from_hub = one_origin(asked)
        model = await self._found(MODEL, asked.model_id)
        if model is None:
            return None
        request = {
            **self._roots,
            "path": asked.path,
            "shown": asked.path or asked.huggingface_name,
            "model_name": model["name"],
            "model_hub_name": model["huggingface_name"],
            "model_folder": str(self._home.resolve(model["location"])),
        }
        if not from_hub:
            return AdapterFolder(**await self._pool.ask("adapter", request, MODEL_SECONDS))
        fetched = await self._hub.adapter(asked, self._progress.phase(command_id, "fetching", "bytes"))
        try:
            found = AdapterFolder(
                **await self._pool.ask("adapter", {**request, "path": fetched.location}, MODEL_SECONDS)
            )
        except TunebusError as error:
            raise of_the_hub(error) from None
        return replace(found, hub=fetched)

    async def _config(self, asked: ask.AddConfig, _: None) -> ConfigBody:
        request = {"type": asked.type, "document": asked.config}
        return ConfigBody(**await self._pool.ask("config", request, CONFIG_SECONDS))

    async def _job_files(
        self, asked: ask.RemoveFineTuningJob | ask.RemoveEvaluationJob | ask.RemoveExportJob, _: None
    ) -> JobFiles:
        """No bytes for a job that is unknown: the decision says so."""
        folder = await asyncio.to_thread(self._job_folder, asked.id)
        if folder is None:
            return JobFiles()
        return JobFiles(**await self._pool.ask("size", {"path": str(self._home.resolve(folder))}, FOLDER_SECONDS))

    async def _uploaded_file(self, asked: ask.RemoveDataset, _: None) -> UploadedFile:
        """No bytes for what is unknown, no copy, or gone: the decision says so."""

        def left_by() -> str | None:
            with database.read(self._reads) as connection:
                left: str | None = connection.scalar(select(removed.c.out_dir).where(removed.c.id == asked.id))
                return left

        def size(location: str) -> int:
            try:
                return self._home.path(location).stat().st_size
            except OSError:
                return 0

        row = await self._found(DATASET, asked.id)
        location = row["location"] if row else await asyncio.to_thread(left_by)
        return UploadedFile(await asyncio.to_thread(size, location) if is_copy(location) else 0)

    def _job_folder(self, reference: str) -> str | None:
        with database.read(self._reads) as connection:
            try:
                folder: str = find_job(connection, reference)[1]["out_dir"]
                return folder
            except TunebusError as error:
                if error.problem.code != Code.NOT_FOUND:
                    raise
            gone: str | None = connection.scalar(select(removed.c.out_dir).where(removed.c.id == reference))
            return gone

    async def _fine_tuning(self, asked: ask.StartFineTuningJob, before: Asked) -> Asked:
        found = before
        if asked.user_script is not None:
            found = await self._with_script(found, asked.user_script)
        if "dataset_id" in before.in_doubt:
            return found
        found = await self._with_changed_files(found, {"dataset_id": asked.dataset_id}.items())
        found = await self._with_weights(found, [("base_model_id", MODEL, asked.base_model_id)])
        if found.problems:
            return found
        _, _, facts = await self._sizing.facts(asked, found, self._pool)
        return replace(found, facts=facts)

    async def _derived(
        self, asked: ask.CloneFineTuningJob | ask.BranchFineTuningJob | ask.ExtendFineTuningJob, _: None
    ) -> Derived:
        """What a job made from another asks for; its fields are judged as those of a start are."""
        row = await self._found(FINE_TUNING_JOB, asked.id)
        if row is None:
            return Derived()
        fields, difference = derived_fields(asked, row["asked"])
        start, found = validated(ask.StartFineTuningJob, fields)
        assert isinstance(start, ask.StartFineTuningJob)
        assert found is not None
        before = replace(found, problems=[_as_change(problem, asked) for problem in found.problems])
        there = frozenset[str]() if isinstance(asked, ask.CloneFineTuningJob) else await self._kept_of(row)
        return Derived(await self._fine_tuning(start, before), start, difference, there)

    async def _again(self, asked: ask.RetryFineTuningJob | ask.ResumeFineTuningJob, _: None) -> Again:
        row = await self._found(FINE_TUNING_JOB, asked.id)
        if row is None:
            return Again()
        parts = await self._with_parts_of(row)
        retried = isinstance(asked, ask.RetryFineTuningJob)
        return Again(parts.problems, frozenset() if retried else await self._kept_of(row))

    async def _kept_of(self, job: Mapping[str, Any]) -> frozenset[str]:
        """The URIs of a job's checkpoints and of its result whose files are there."""

        def look() -> list[str]:
            table = job_checkpoints
            with database.read(self._reads) as connection:
                return list(connection.scalars(select(table.c.uri).where(table.c.job_id == job["id"])))

        uris = [*await asyncio.to_thread(look), *([job["result_uri"]] if job["result_uri"] else [])]
        places = {uri: str(self._home.resolve(uri)) for uri in uris}
        found = await self._pool.ask("kept", {"places": places}, FOLDER_SECONDS)
        return frozenset(found["there"])

    async def _rerun(self, asked: ask.RerunFineTuningJob, _: None) -> Asked:
        row = await self._found(FINE_TUNING_JOB, asked.id)
        return await self._with_parts_of(row) if row else Asked()

    async def _with_parts_of(self, job: Mapping[str, Any]) -> Asked:
        """What is wrong with the files that a job is made of."""
        found = await self._with_changed_files(Asked(), [("id", job["dataset_id"])] if job["dataset_id"] else [])
        return await self._with_weights(found, [("id", MODEL, job["base_model_id"])])

    async def _with_script(self, before: Asked, name: str) -> Asked:
        """Add the user's script, or why it cannot be run."""
        root = str(self._scripts) if self._scripts else None
        try:
            found = await self._pool.ask("script", {"root": root, "name": name}, CONFIG_SECONDS)
        except TunebusError as error:
            return replace(before, problems=[*before.problems, error.problem])
        return replace(before, script=UserScript.model_validate(found))

    async def _made_model(self, asked: ask.CompleteAttempt, _: None) -> MadeModel | None:
        """None for a job that is unknown: the decision says so."""

        def name() -> str | None:
            with database.read(self._reads) as connection:
                try:
                    return str(find_job(connection, asked.job_id)[1]["adapter_name"])
                except TunebusError:
                    return None

        made = await asyncio.to_thread(name)
        if made is None or asked.result_uri is None:
            return None
        request = {**self._roots, "path": asked.result_uri}
        return MadeModel(made, ModelFolder(**await self._pool.ask("model", request, MODEL_SECONDS)))

    async def _evaluation(self, asked: ask.StartEvaluationJob, before: Asked) -> Asked:
        if "combinations" in before.in_doubt:
            return before
        numbered = [*enumerate(asked.combinations)]
        first = {one.dataset_id: number for number, one in reversed(numbered) if one.dataset_id}
        found = await self._with_changed_files(
            before, ((f"combinations.{number}.dataset_id", dataset_id) for dataset_id, number in first.items())
        )
        named = [
            (f"combinations.{number}.{field}", aggregate, reference)
            for number, one in numbered
            for field, aggregate, reference in (
                ("base_model_id", MODEL, one.base_model_id),
                ("adapter_id", ADAPTER, one.adapter_id),
                ("job_id", FINE_TUNING_JOB, one.job_id),
            )
        ]
        return await self._with_weights(found, named)

    async def _export(self, asked: ask.StartExportJob, _: None) -> ExportFacts:
        """A wrong destination is said with all else that is wrong."""

        def look() -> ExportFacts:
            with database.read(self._reads) as connection:
                return on_record(connection, asked)

        named = [
            ("adapter_id", ADAPTER, asked.adapter_id),
            ("model_id", MODEL, asked.model_id),
            ("job_id", FINE_TUNING_JOB, asked.job_id),
        ]
        gone = await self._with_weights(Asked(), named)
        facts = replace(await asyncio.to_thread(look), problems=gone.problems)
        if asked.destination is None:
            return facts
        request = {**self._roots, "roots": self._export_roots, "path": asked.destination}
        try:
            found = await self._pool.ask("destination", request, CONFIG_SECONDS)
        except TunebusError as error:
            return replace(facts, problems=[*facts.problems, error.problem])
        return replace(facts, destination=found["location"])

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
                "files": row["files"],
                "name": row["name"],
                "param": param,
            }
            try:
                await self._pool.ask("unchanged", request, DATASET_SECONDS)
            except TunebusError as error:
                problems.append(error.problem)
        return replace(before, problems=problems)

    async def _with_weights(self, before: Asked, named: Iterable[tuple[str, str, str | None]]) -> Asked:
        """Add the models and adapters whose weights are no longer where they were: (param, aggregate, reference), where
        what was not given has no reference.

        A fine-tuning stands for what it made; an adapter needs its model as well.
        """
        wanted: dict[str, tuple[str, str, dict[str, Any]]] = {}
        for param, aggregate, reference in named:
            for kind, row in await asyncio.to_thread(self._made_of, aggregate, reference) if reference else ():
                wanted.setdefault(row["id"], (param, kind, row))
        if not wanted:
            return before
        places = {one: str(self._home.resolve(row["location"])) for one, (_, _, row) in wanted.items()}
        there = (await self._pool.ask("weights", {"places": places}, FOLDER_SECONDS))["there"]
        problems = [
            Problem(
                code=Code.NOT_FOUND,
                message=f"the weights of {kind} {row['name']!r} are no longer at {row['location']}",
                param=param,
                hint="put its folder back, or name another",
            )
            for one, (param, kind, row) in wanted.items()
            if one not in there
        ]
        return replace(before, problems=[*before.problems, *problems])

    def _made_of(self, aggregate: str, reference: str) -> list[tuple[str, dict[str, Any]]]:
        """The models and adapters whose files something stands for. What is unknown is the decision's affair."""
        with database.read(self._reads) as connection:
            try:
                row = dict(find(connection, aggregate, reference))
                if aggregate == FINE_TUNING_JOB:
                    made = (ADAPTER, row["adapter_id"]) if row["adapter_id"] else (MODEL, row["model_id"])
                    if made[1] is None:
                        return []
                    aggregate, row = made[0], dict(find(connection, *made))
                of_it = [(aggregate, row)]
                if aggregate == ADAPTER:
                    of_it.append((MODEL, dict(find(connection, MODEL, row["model_id"]))))
                return of_it
            except TunebusError as error:
                if error.problem.code == Code.NOT_FOUND:
                    return []
                raise

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
