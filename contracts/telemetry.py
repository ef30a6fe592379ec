"""Telemetry: the records a child appends to `telemetry.jsonl`, and the batches its supervisor sends. Not domain
history.

Every record has a running number `n` within its attempt; (job, attempt, n) is its identity.
Non-finite values travel as the strings `NaN`, `Infinity` and `-Infinity`.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

Value = float | Literal["NaN", "Infinity", "-Infinity"]


def spell(value: float) -> Value:
    """JSON-safe spelling of a float."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore")

    n: int
    t: float = Field(description="Unix seconds, UTC")


class MetricRecord(_Record):
    """Values measured at one optimiser step, for example `loss`, `learning_rate`, `grad_norm`, `eval_loss`."""

    k: Literal["metric"] = "metric"
    step: int
    values: dict[str, Value]


class ProgressRecord(_Record):
    """How far the attempt is: `step` of `total` in a phase (`preparing`, `training`, `evaluating`, `saving`, …)."""

    k: Literal["progress"] = "progress"
    phase: str
    step: int
    total: int
    rate: float | None = Field(default=None, description="steps per second")
    eta: float | None = Field(default=None, description="seconds left")


class LogRecord(_Record):
    """A piece of the child's output; `offset` is its byte position in the attempt's `output.log`."""

    k: Literal["log"] = "log"
    offset: int
    text: str


class SystemRecord(_Record):
    """Use of the machine: `cpu_percent` and `rss_bytes` of the child, `machine_cpu_percent`, `memory_bytes`,
    `disk_percent`, …; of each GPU `gpu0_percent`, `gpu0_memory_bytes`, `gpu0_temperature_celsius`, `gpu0_power_watts`.
    """

    k: Literal["system"] = "system"
    values: dict[str, Value]


class SampleRecord(_Record):
    """What the model answers to a held-out row at a step, greedily; at step 0 it is the base model that answers.

    Long texts are cut; `row` is the row's number in the dataset, from 0. An evaluation of typed prompts reports what of
    each answer is written so far, all at step 1 and without a reference.
    """

    k: Literal["sample"] = "sample"
    step: int
    row: int
    prompt: str
    reference: str
    answer: str


Record = Annotated[MetricRecord | ProgressRecord | LogRecord | SystemRecord | SampleRecord, Field(discriminator="k")]


class TelemetryBatch(BaseModel):
    """The body of one telemetry message. `records` are the lines of the spool, in order, unchanged."""

    model_config = ConfigDict(extra="ignore")

    v: int = SCHEMA_VERSION
    job_id: str
    attempt: int
    records: list[Record]


def batch_bytes(job_id: str, attempt: int, lines: list[bytes]) -> bytes:
    """The body of a batch from raw spool lines, without parsing them. `job_id` is a UUID, so no escaping is needed."""
    head = f'{{"v":{SCHEMA_VERSION},"job_id":"{job_id}","attempt":{attempt},"records":['
    return head.encode() + b",".join(line.rstrip(b"\n") for line in lines) + b"]}"


def example_batch() -> dict[str, Any]:
    """The example that the bus reference shows and a test sends."""
    return TelemetryBatch(
        job_id="0197a3f2-7c00-7000-8000-000000000001",
        attempt=1,
        records=[
            MetricRecord(n=1, t=1767225600.0, step=1, values={"loss": 2.5, "learning_rate": 0.0002}),
            ProgressRecord(n=2, t=1767225600.1, phase="training", step=1, total=190, rate=4.0, eta=47.2),
            LogRecord(n=3, t=1767225600.2, offset=0, text="loading model\n"),
            SystemRecord(n=4, t=1767225601.0, values={"cpu_percent": 180.0, "rss_bytes": 9.0e8}),
        ],
    ).model_dump(mode="json")
