"""A studio without a bus: commands go from their bytes through the registry's domain and the ledger, in batches.

What prepare steps would find out of files is made up here in the shape in which they give it; nothing else is.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Engine, Table, delete, select
from tunebus.contracts import commands as ask
from tunebus.contracts.envelope import CommandEnvelope, Outcome
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.rpc import Capabilities, ClaimJob, Device, JobKind
from tunebus.contracts.subjects import FINE_TUNING_JOB, JOB_KINDS, MODEL, Subjects
from tunebus.projections import tables
from tunebus.projections.queries import find, find_job
from tunebus.services.platform import database, schema
from tunebus.services.platform.decisions import PreparedCommand
from tunebus.services.platform.ledger import Ledger, Result
from tunebus.services.registry import config_body, internal
from tunebus.services.registry.adapter_folder import AdapterFolder
from tunebus.services.registry.copies import UploadedFile
from tunebus.services.registry.dataset import PreparedDataset
from tunebus.services.registry.domain import RegistryDomain
from tunebus.services.registry.export_record import on_record
from tunebus.services.registry.fine_tuning_job import Asked, MadeModel
from tunebus.services.registry.hub_source import Fetched, HubSource
from tunebus.services.registry.imported_run import PreparedRun
from tunebus.services.registry.intake import receive, validated
from tunebus.services.registry.lifecycle import Again, Derived
from tunebus.services.registry.model_folder import ModelFolder
from tunebus.services.registry.preparation import derived_fields
from tunebus.services.registry.removal import JobFiles
from tunebus.services.registry.run_folder import RunFolder

Row = dict[str, Any]

SUBJECTS = Subjects()
COMMIT = "c" * 40
FEATURES = {"prompt": ["question", "answer"], "messages": ["messages"], "text": ["text"]}
WORKERS = {"w1": "here", "w2": "here", "w3": "there"}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Seen:
    """Everything that the database held at one moment, each table in a fixed order."""

    rows: dict[str, list[Row]]
    leases: list[Row]
    events: list[Row]
    inbox: dict[str, Row]

    @classmethod
    def by(cls, connection: Connection) -> Seen:
        def read(table: Table) -> list[Row]:
            order = table.c.position if "position" in table.c else table.primary_key.columns.values()[0]
            return [dict(row) for row in connection.execute(select(table).order_by(order)).mappings()]

        rows = {table.name: read(table) for table in tables.PROJECTIONS}
        inbox = {row["command_id"]: row for row in read(schema.inbox)}
        return cls(rows, read(schema.leases), read(schema.events), inbox)

    def of(self, aggregate: str) -> list[Row]:
        return self.rows[f"{aggregate}s"]

    def jobs(self, *states: str) -> list[Row]:
        """The jobs of every kind in the order added, each with its `kind`; only those in these states, if any."""
        found = [{**row, "kind": kind} for kind in JOB_KINDS for row in self.of(kind)]
        return sorted((row for row in found if row["state"] in states or not states), key=lambda row: row["position"])


class Studio:
    """Gathers commands in `pending`, executes them at once with `commit`. `seen` is what was there after the last."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.ledger = Ledger(engine, RegistryDomain(max_crash_retries=1))
        self.pending: list[PreparedCommand] = []
        self.sent: list[PreparedCommand] = []
        self.outcomes: dict[str, tuple[str, Outcome]] = {}
        self.broken: set[str] = set()
        """Ids of commands whose decision raises, as a bug would let it."""
        self.accepted: Counter[str] = Counter()
        with database.write(engine) as connection:
            for table in (*tables.PROJECTIONS, schema.events, schema.inbox, schema.leases):
                connection.execute(delete(table))
        self.seen = self._look()

    def _look(self) -> Seen:
        with database.read(self.engine) as connection:
            return Seen.by(connection)

    # Sending --------------------------------------------------------------------------------------------------------

    def send(self, type: str, data: Row, *, context: str | None = None, expected: int | None = None) -> None:
        """Add a command to the batch, as it would come over the bus."""
        kind = ask.COMMANDS.get(type)
        subject = SUBJECTS.command(context or (kind.context() if kind else "dataset"), type)
        given = {name: value for name, value in data.items() if value is not None}
        envelope = CommandEnvelope(id=new_id(), type=type, data=given, expected_version=expected, actor="tester")
        self.add(self._prepared(receive(envelope.to_bytes(), subject, SUBJECTS, {"principal": "local"})))

    def add(self, command: PreparedCommand) -> None:
        self.pending.append(command)

    def break_down(self) -> None:
        """A command whose decision raises: its prepare step gave it nothing."""
        envelope = CommandEnvelope(id=new_id(), type="AddDataset", data={"name": "broken", "path": "x"})
        self.broken.add(envelope.id)
        self.add(PreparedCommand(envelope, ask.AddDataset(name="broken", path="x")))

    def claim(self, worker: str, kinds: Sequence[JobKind]) -> None:
        host = WORKERS[worker]
        offer = Capabilities(
            cpus=8,
            memory_gb=64,
            gpus=["H1", "H1"],
            devices=[Device(id=f"GPU-{number}", name="H1", memory_gb=80) for number in range(2)],
            artifact_root="root",
        )
        call = ClaimJob(
            worker_id=worker, claim_id=new_id(), kind=kinds[0], kinds=list(kinds), host=host, capabilities=offer
        )
        self.add(internal.claim(call, time.time() + 30))

    def expire(self, lease: Row) -> None:
        job = next(job for job in self.seen.jobs() if job["id"] == lease["job_id"])
        self.add(internal.expire(job["kind"], job["id"], lease["attempt"]))

    def commit(self) -> list[tuple[PreparedCommand, Result]]:
        """Execute what was gathered; each command with its result."""
        batch, self.pending = self.pending, []
        results = self.ledger.execute(batch)
        self.sent += batch
        self.seen = self._look()
        for command, result in zip(batch, results, strict=True):
            if isinstance(result, Outcome) and result.outcome == "accepted":
                self.accepted[command.envelope.type] += 1
        return list(zip(batch, results, strict=True))

    # What prepare steps find ------------------------------------------------------------------------------------------

    def _prepared(self, command: PreparedCommand) -> PreparedCommand:
        """With the facts, or with the rejection, that the prepare step of its kind would give it."""
        if command.rejection is not None:
            return command
        try:
            facts = self._facts(command.command)
        except TunebusError as error:
            return replace(command, rejection=error.problem)
        return replace(command, facts=command.facts if facts is None else facts)

    def _facts(self, asked: Any) -> Any:
        match asked:
            case ask.AddDataset():
                return _dataset(asked)
            case ask.AddModel():
                return _model(asked.path or str(asked.huggingface_name), asked.huggingface_name)
            case ask.AddAdapter():
                if self._row(MODEL, asked.model_id) is None:
                    return None
                hub = _fetched(asked.huggingface_name) if asked.huggingface_name else None
                return AdapterFolder(f"/adapters/{asked.name}", None, 8, digest(asked.name), hub)
            case ask.ImportRun():
                return PreparedRun(RunFolder(sha256=digest(str(asked.path)), last_step=9, curves=["loss"]), "/runs")
            case ask.AddConfig():
                return config_body.read(asked.type, asked.config)
            case ask.RemoveDataset():
                return UploadedFile(bytes=7)
            case ask.RemoveFineTuningJob() | ask.RemoveEvaluationJob() | ask.RemoveExportJob():
                return JobFiles(bytes=5)
            case ask.CloneFineTuningJob() | ask.BranchFineTuningJob() | ask.ExtendFineTuningJob():
                return self._derived(asked)
            case ask.RetryFineTuningJob() | ask.ResumeFineTuningJob():
                return Again(there=self._kept())
            case ask.RerunFineTuningJob():
                return Asked()
            case ask.StartExportJob():
                with database.read(self.engine) as connection:
                    return on_record(connection, asked)
            case ask.CompleteAttempt(result_type="model", result_uri=str(uri)):
                with database.read(self.engine) as connection:
                    try:
                        return MadeModel(find_job(connection, asked.job_id)[1]["adapter_name"], _model(uri))
                    except (TunebusError, KeyError):
                        return None
        return None

    def _derived(self, asked: ask.CloneFineTuningJob | ask.BranchFineTuningJob | ask.ExtendFineTuningJob) -> Derived:
        row = self._row(FINE_TUNING_JOB, asked.id)
        if row is None:
            return Derived()
        fields, difference = derived_fields(asked, row["asked"])
        start, found = validated(ask.StartFineTuningJob, fields)
        assert isinstance(start, ask.StartFineTuningJob)
        assert found is not None
        return Derived(found, start, difference, self._kept())

    def _kept(self) -> set[str]:
        """Nobody removes a file here."""
        results = {row["result_uri"] for row in self._look().of(FINE_TUNING_JOB)}
        return {row["uri"] for row in self._look().rows["job_checkpoints"]} | results

    def _row(self, aggregate: str, reference: str) -> Row | None:
        with database.read(self.engine) as connection:
            try:
                return dict(find(connection, aggregate, reference))
            except TunebusError:
                return None


def _dataset(asked: ask.AddDataset) -> PreparedDataset:
    form = asked.format or "prompt"
    return PreparedDataset(
        location=f"/data/{asked.path}",
        type="csv",
        format=form,
        features=FEATURES[form],
        rows=100,
        bytes=1000,
        sha256=digest(f"rows {asked.path}"),
        hub=_fetched(asked.huggingface_name) if asked.huggingface_name else None,
    )


def _model(location: str, hub_name: str | None = None) -> ModelFolder:
    return ModelFolder(
        location=location,
        architecture="LlamaForCausalLM",
        model_family="llama",
        parameters=1000,
        dtype="bfloat16",
        context_length=512,
        vocabulary_size=4096,
        has_chat_template=True,
        bytes=2000,
        sha256=digest(location),
        hub=_fetched(hub_name) if hub_name else None,
    )


def _fetched(name: str) -> Fetched:
    return Fetched(HubSource(name, COMMIT), f"artifact:hub/{name}")
