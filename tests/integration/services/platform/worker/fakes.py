"""A registry for tests of workers: hands out jobs, answers heartbeats, gives every report one outcome, notes it all."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from nats.aio.msg import Msg
from tunebus.contracts.envelope import EventEnvelope, Outcome, parse_command
from tunebus.contracts.errors import Code, Problem
from tunebus.contracts.identifiers import new_id, timestamp
from tunebus.contracts.rpc import Assignment, ClaimJob, ClaimReply, Heartbeat, HeartbeatReply, RecordDeadLetter
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform.connection import BusClient

T = TypeVar("T")
FAKE_CHILD = Path(__file__).with_name("fake_child.py")
LEASE_SECONDS = 1.5
COMMAND = (sys.executable, str(FAKE_CHILD))


async def eventually(probe: Callable[[], T | None], what: str, seconds: float = 20.0) -> T:
    """The first true answer of `probe`; fails naming `what` when none came in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not (found := probe()):
        assert loop.time() < deadline, f"waited {seconds:g} s in vain: {what}"
        await asyncio.sleep(0.01)
    return found


def verify(folder: Path, manifest_sha256: str) -> bool:
    """Whether a fake checkpoint is whole."""
    raw = (folder / "manifest.json").read_bytes()
    files = json.loads(raw)["files"]
    return hashlib.sha256(raw).hexdigest() == manifest_sha256 and all(
        hashlib.sha256((folder / name).read_bytes()).hexdigest() == facts["sha256"] for name, facts in files.items()
    )


@dataclass
class Report:
    """A report as it was first accepted."""

    name: str
    data: dict[str, Any]
    context: str


@dataclass
class FakeRegistry:
    """Set `silent`, `desired[job]` and `stale`; read `reports`, `claims`, `beats` and `letters`."""

    client: BusClient
    subjects: Subjects
    artifact_root: str
    waiting: list[Assignment] = field(default_factory=list)
    given: dict[str, ClaimReply] = field(default_factory=dict)
    claims: list[ClaimJob] = field(default_factory=list)
    beats: list[Heartbeat] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    letters: list[RecordDeadLetter] = field(default_factory=list)
    outcomes: dict[str, tuple[str, Outcome]] = field(default_factory=dict)
    desired: dict[str, Any] = field(default_factory=dict)
    stale: set[tuple[str, int]] = field(default_factory=set)
    refusals: dict[str, Problem] = field(default_factory=dict)
    refuse_once: dict[str, Problem] = field(default_factory=dict)
    silent: bool = False
    deaf_to_heartbeats: bool = False
    lease_seconds: float = LEASE_SECONDS
    position: int = 0

    async def start(self) -> FakeRegistry:
        for name, answer in (
            ("ClaimJob", self._claim),
            ("Heartbeat", self._heartbeat),
            ("RecordDeadLetter", self._letter),
        ):
            await self.client.subscribe(self.subjects.rpc(name), cb=answer)
        await self.client.subscribe(self.subjects.all_commands, cb=self._command)
        await self.client.flush()
        return self

    def add_job(self, dataset: Path, play: dict[str, Any] | None = None, **fields: Any) -> str:
        """Queue a job without ringing."""
        job_id = fields.pop("job_id", None) or new_id()
        recipe = {
            "dataset": {"location": str(dataset), "sha256": hashlib.sha256(dataset.read_bytes()).hexdigest()},
            "play": play or {},
            **fields.pop("recipe", {}),
        }
        assignment = {
            "job_id": job_id,
            "kind": "fine_tuning_job",
            "attempt": 1,
            "lease_seconds": self.lease_seconds,
            "out_dir": f"artifact:jobs/{job_id}",
            "recipe": recipe,
            **fields,
        }
        self.waiting.append(Assignment.model_validate(assignment))
        return job_id

    async def ring(self, job_id: str = "") -> None:
        """Publish a `JobQueued` event."""
        self.position += 1
        subject = f"fine_tuning_job/{job_id or new_id()}"
        event = EventEnvelope(
            id=new_id(),
            type="JobQueued",
            subject=subject,
            time=timestamp(),
            dataschema="JobQueued/1",
            position=self.position,
            streamversion=1,
            data={"cause": "submitted"},
        )
        await self.ring_raw(event.model_dump_json().encode())

    async def ring_stop(self, job_id: str) -> None:
        """Publish a `StopRequested` event; workers only listen for its subject."""
        subject = self.subjects.event("fine_tuning_job", job_id, "StopRequested")
        await self.client.jetstream().publish(subject, b"{}", stream=self.subjects.events_stream)

    async def ring_raw(self, body: bytes) -> None:
        subject = self.subjects.event("fine_tuning_job", new_id(), "JobQueued")
        await self.client.jetstream().publish(subject, body, stream=self.subjects.events_stream)

    def of(self, job_id: str) -> list[Report]:
        return [report for report in self.reports if report.data["job_id"] == job_id]

    def names(self, job_id: str) -> list[str]:
        return [report.name for report in self.of(job_id)]

    def last(self, job_id: str) -> Report | None:
        """The attempt's ending, once it is there."""
        found = [report for report in self.of(job_id) if report.name in ("CompleteAttempt", "FailAttempt")]
        return found[-1] if found else None

    async def telemetry(self, job_id: str) -> list[dict[str, Any]]:
        """Every record of a job in the stream, in stream order, copies included."""
        manager = self.client.jsm()
        info = await manager.stream_info(self.subjects.telemetry_stream)
        found: list[dict[str, Any]] = []
        for seq in range(info.state.first_seq, info.state.last_seq + 1):
            message = await manager.get_msg(self.subjects.telemetry_stream, seq)
            batch = json.loads(message.data or b"{}")
            if batch["job_id"] == job_id:
                found += batch["records"]
        return found

    async def _claim(self, message: Msg) -> None:
        call = ClaimJob.model_validate_json(message.data)
        if self.silent:
            return
        self.claims.append(call)
        if call.claim_id not in self.given:
            fits = self.waiting and call.capabilities.artifact_root == self.artifact_root
            self.given[call.claim_id] = ClaimReply(assignment=self.waiting.pop(0) if fits else None)
        await message.respond(self.given[call.claim_id].model_dump_json().encode())

    async def _heartbeat(self, message: Msg) -> None:
        beat = Heartbeat.model_validate_json(message.data)
        if self.silent or self.deaf_to_heartbeats:
            return
        self.beats.append(beat)
        reply = HeartbeatReply(
            desired=self.desired.get(beat.job_id, "run"),
            stale_attempt=(beat.job_id, beat.attempt) in self.stale,
            lease_seconds=self.lease_seconds,
        )
        await message.respond(reply.model_dump_json().encode())

    async def _letter(self, message: Msg) -> None:
        if not self.silent:
            self.letters.append(RecordDeadLetter.model_validate_json(message.data))
            await message.respond(b"{}")

    async def _command(self, message: Msg) -> None:
        if self.silent:
            return
        envelope = parse_command(message.data)
        outcome = self._outcome(envelope.id, envelope.body_hash, envelope.type, envelope.data, message.subject)
        reply = (message.headers or {}).get("reply_to")
        if reply:
            await self.client.publish(reply, json.dumps(outcome.document()).encode())

    def _outcome(self, command_id: str, body_hash: str, name: str, data: dict[str, Any], subject: str) -> Outcome:
        known = self.outcomes.get(command_id)
        if known is not None and known[0] != body_hash:
            return _rejected(command_id, Problem(code=Code.COMMAND_ID_REUSED, message="another body"))
        if known is not None:
            return known[1]
        if (data["job_id"], data["attempt"]) in self.stale:
            outcome = _rejected(command_id, Problem(code=Code.STALE_ATTEMPT, message="of an old attempt"))
        elif name in self.refusals:
            outcome = _rejected(command_id, self.refusals[name])
        elif name in self.refuse_once:
            outcome = _rejected(command_id, self.refuse_once.pop(name))
        else:
            outcome = Outcome(command_id=command_id, outcome="accepted", id=data["job_id"])
            self.reports.append(Report(name, data, subject.split(".")[2]))
        self.outcomes[command_id] = (body_hash, outcome)
        return outcome


def _rejected(command_id: str, problem: Problem) -> Outcome:
    return Outcome(command_id=command_id, outcome="rejected", error=problem)
