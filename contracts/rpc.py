"""Calls of workers to the registry by request and reply: claiming a job, keeping its lease, handing over a dead letter.

Unlike commands they are not durable: a worker that gets no reply asks again.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from tunebus.contracts.numbers import Int32, Int64

CLAIM_JOB = "ClaimJob"
HEARTBEAT = "Heartbeat"
RECORD_DEAD_LETTER = "RecordDeadLetter"
RESEND_DEAD_LETTER = "ResendDeadLetter"

JobKind = Literal["fine_tuning_job", "evaluation_job", "export_job"]
Desired = Literal["run", "stop_after_checkpoint", "kill"]


class _Call(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Device(_Call):
    """A GPU. `id` is what the driver knows it by (`GPU-…`), and what a child is given in CUDA_VISIBLE_DEVICES."""

    id: str
    name: str
    memory_gb: float | None = None


class Capabilities(_Call):
    """What a worker's machine can offer jobs. Memory in GiB. `gpus` are names; `devices` say more of the same."""

    cpus: Int32
    memory_gb: float
    gpus: list[str] = Field(default_factory=list)
    devices: list[Device] = Field(default_factory=list)
    artifact_root: str = Field(description="identity of the artifact root it sees; another root's jobs are not claimed")


class DeviceLoad(_Call):
    """How busy a GPU is: percent of the time, GiB of its memory."""

    id: str
    percent: float | None = None
    memory_gb: float | None = None


class Load(_Call):
    """How busy a machine was since the report before: all its processors and its memory, in percent, and each GPU."""

    cpu_percent: float
    memory_percent: float
    gpus: list[DeviceLoad] = Field(default_factory=list)


class ClaimJob(_Call):
    """`claim_id` is new for each claim and repeated on a retry, so that a lost reply does not strand a job."""

    worker_id: str
    claim_id: str
    kind: JobKind
    kinds: list[JobKind] = Field(default_factory=list, description="all it does, where that is more than `kind`")
    host: str
    capabilities: Capabilities
    load: Load | None = None


class Assignment(_Call):
    """A claimed job: attempt number (the fencing token), recipe and the checkpoints to resume from, newest first."""

    job_id: str
    kind: JobKind
    attempt: Int32
    lease_seconds: float
    out_dir: str
    recipe: dict[str, Any]
    checkpoints: list[dict[str, Any]] = Field(default_factory=list)
    gpus: list[str] = Field(default_factory=list, description="ids of the GPUs that are the job's for this attempt")


class ClaimReply(_Call):
    assignment: Assignment | None = None
    waiting_reason: str | None = None


class Heartbeat(_Call):
    """Renews the lease; `step` and `total_steps` are for display until telemetry arrives."""

    worker_id: str
    job_id: str
    attempt: Int32
    step: Int64 = 0
    total_steps: Int64 = 0
    load: Load | None = None


class HeartbeatReply(_Call):
    """`stale_attempt`: the job belongs to another attempt or has ended; kill the child and report nothing."""

    desired: Desired = "run"
    stale_attempt: bool = False
    lease_seconds: float


class RecordDeadLetter(_Call):
    """A message that a worker could not handle, for the registry's list. `data` is base64."""

    stream: str
    seq: Int64
    subject: str
    headers: dict[str, str] = Field(default_factory=dict)
    data: str
    reason: str
    consumer: str | None = None


class ResendDeadLetter(_Call):
    """Publish a dead letter's message again, as it came; an operator's call. Safe to repeat: commands have their id."""

    id: Int64


class ResendReply(_Call):
    """Where the message went."""

    id: Int64
    stream: str
    seq: Int64
    subject: str


CALLS: dict[str, tuple[type[BaseModel], type[BaseModel] | None]] = {
    CLAIM_JOB: (ClaimJob, ClaimReply),
    HEARTBEAT: (Heartbeat, HeartbeatReply),
    RECORD_DEAD_LETTER: (RecordDeadLetter, None),
    RESEND_DEAD_LETTER: (ResendDeadLetter, ResendReply),
}
