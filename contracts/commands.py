"""Every command: its fields, limits and the contexts it may be sent to. `COMMANDS` at the end is the table of contents.

Fields that take an id take a name as well. Whether a thing exists is decided by the registry, not here.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator
from tunebus.contracts import subjects
from tunebus.contracts.errors import Code, Problem, TunebusError, from_validation, nearest
from tunebus.contracts.recipes import Count, Finite, GenerationSettings, Positive, Share

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Reference = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
AdapterName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")
]
Location = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Description = Annotated[str, StringConstraints(max_length=10_000)]
Template = Annotated[str, StringConstraints(max_length=20_000)]


class Command(BaseModel):
    """What every command shares. `contexts` are the places of the subject it may be published under."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    contexts: ClassVar[tuple[str, ...]]
    for_workers: ClassVar[bool] = False

    @classmethod
    def context(cls) -> str:
        return cls.contexts[0]


class AddDataset(Command):
    """Register a file of rows.
    `path` is a file inside an allowed root, or an `artifact:` URI; a missing `type` is its suffix.
    """

    contexts = (subjects.DATASET,)

    name: Name
    path: Location
    type: Literal["csv", "json", "jsonl"] | None = None
    description: Description = ""


class AddModel(Command):
    """Register a base model: a folder with a config and safetensors weights."""

    contexts = (subjects.MODEL,)

    name: Name
    path: Location
    type: Literal["local"] = "local"
    description: Description = ""


class AddAdapter(Command):
    """Register an adapter folder (`adapter_config.json`, `adapter_model.safetensors`) that was made elsewhere."""

    contexts = (subjects.ADAPTER,)

    name: AdapterName
    model_id: Reference
    path: Location
    type: Literal["local"] = "local"
    fine_tuning_job_id: Reference | None = None
    prompt_id: Reference | None = None


class AddPrompt(Command):
    """Register the templates that turn a dataset's columns into a prompt and its completion;
    `{{` and `}}` are literal braces.
    """

    contexts = (subjects.PROMPT,)

    name: Name
    dataset_id: Reference
    prompt_template: Template
    input_template: Template
    completion_template: Template


class AddConfig(Command):
    """Register a settings document, JSON or YAML text or an object;
    an equal body of the same type is the same config.
    """

    contexts = (subjects.CONFIG,)

    type: Literal["training_arguments", "quantization", "generation", "lora", "custom"]
    config: dict[str, Any] | Annotated[str, StringConstraints(min_length=1, max_length=100_000)]
    description: Description = ""
    model_family: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)] | None = None
    is_default: bool = False


ConfigReference = Reference | dict[str, Any]


class StartFineTuningJob(Command):
    """Queue a fine-tuning. `base_model_id` and `dataset_id` are enough; what is given wins over a config, a config over
    defaults.

    `training_arguments`, `lora` and `quantization` take a config's id or an object of settings.
    """

    contexts = (subjects.FINE_TUNING_JOB,)

    base_model_id: Reference
    dataset_id: Reference
    prompt_id: Reference | None = None
    adapter_name: AdapterName | None = None
    method: str = "lora"
    num_workers: Count = 1
    num_cpu: Count | None = None
    num_gpu: Annotated[int, Field(ge=0, lt=2**31, strict=True)] = 0
    num_memory: Positive | None = Field(default=None, description="GiB the training child may use")
    num_epochs: Positive | None = None
    learning_rate: Positive | None = None
    max_steps: Count | None = None
    batch_size: Count | None = None
    max_length: Count | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] | None = None
    save_steps: Count | None = None
    eval_steps: Count | None = None
    dataset_fraction: Share = 1.0
    train_test_split: Share = 0.95
    training_arguments: ConfigReference | None = None
    lora: ConfigReference | None = None
    quantization: ConfigReference | None = None
    framework_type: str = "transformers"
    text_format: Literal["chat", "plain"] | None = None
    register_adapter: bool = True


class StopFineTuningJob(Command):
    """Stop a job: after its next checkpoint, or at once with `force`."""

    contexts = (subjects.FINE_TUNING_JOB,)

    id: Reference
    force: bool = False


class EvaluationCombination(BaseModel):
    """One thing to score: a base model, with or without an adapter, on a dataset's held-out rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_model_id: Reference
    adapter_id: Reference | None = None
    dataset_id: Reference
    prompt_id: Reference | None = None


class StartEvaluationJob(Command):
    """Queue one evaluation per combination under one parent.
    The split is that of the job that made the compared adapter.
    """

    contexts = (subjects.EVALUATION_JOB,)

    combinations: Annotated[list[EvaluationCombination], Field(min_length=1, max_length=64)]
    generation: GenerationSettings | Reference | None = None
    max_rows: Count | None = None
    dataset_fraction: Share | None = None
    train_test_split: Share | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] | None = None
    batch_size: Count = 16
    num_cpu: Count | None = None
    num_gpu: Annotated[int, Field(ge=0, lt=2**31, strict=True)] = 0
    num_memory: Positive | None = None


class StopEvaluationJob(Command):
    """Stop an evaluation at once; its rows so far are discarded."""

    contexts = (subjects.EVALUATION_JOB,)

    id: Reference


class _AttemptReport(Command):
    """What a worker says of its attempt. From an attempt that is no longer the current one: `stale_attempt`."""

    contexts = (subjects.FINE_TUNING_JOB, subjects.EVALUATION_JOB)
    for_workers = True

    job_id: Reference
    attempt: Count


class ReportAttemptRunning(_AttemptReport):
    """The child has loaded everything; the first step follows. `resolved` is what it really runs with."""

    total_steps: Annotated[int, Field(ge=0, lt=2**31)]
    resumed_from_step: Annotated[int, Field(ge=0, lt=2**31)] = 0
    resolved: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)


class RecordCheckpoint(_AttemptReport):
    """A checkpoint is whole on disk: its manifest is written and hashes to `manifest_sha256`."""

    step: Count
    uri: Location
    manifest_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    loss: Finite | None = None
    eval_loss: Finite | None = None


class CompleteAttempt(_AttemptReport):
    """The child ended well: it finished, or it stopped because it was asked to.
    `result_uri` is the adapter or the rows' table.
    """

    outcome: Literal["finished", "stopped"]
    step: Annotated[int, Field(ge=0, lt=2**31)] = 0
    result_uri: Location | None = None
    result_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    metrics: dict[str, Finite | None] = Field(default_factory=dict)


FailureCause = Literal[
    "bad_configuration",
    "bad_data",
    "out_of_memory",
    "nan_loss",
    "disk_full",
    "killed_by_signal",
    "crashed",
    "worker_shutdown",
]


class FailAttempt(_AttemptReport):
    """The child did not end well.
    `cause` decides whether the job is tried again; `detail` holds the last lines of its stderr.
    """

    cause: FailureCause
    message: Annotated[str, StringConstraints(max_length=4000)]
    detail: Annotated[str, StringConstraints(max_length=20_000)] = ""
    hint: Annotated[str, StringConstraints(max_length=1000)] | None = None
    signal: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None
    exit_code: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None

    @field_validator("message")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must say what happened")
        return value


COMMANDS: dict[str, type[Command]] = {
    kind.__name__: kind
    for kind in (
        AddDataset,
        AddModel,
        AddAdapter,
        AddPrompt,
        AddConfig,
        StartFineTuningJob,
        StopFineTuningJob,
        StartEvaluationJob,
        StopEvaluationJob,
        ReportAttemptRunning,
        RecordCheckpoint,
        CompleteAttempt,
        FailAttempt,
    )
}


def command_type(name: str) -> type[Command]:
    """The class of a command. Errors: `unknown_type`, with the nearest name."""
    kind = COMMANDS.get(name)
    if kind is None:
        near = nearest(name, COMMANDS)
        raise TunebusError(
            Problem(
                code=Code.UNKNOWN_TYPE,
                message=f"unknown command {name!r}",
                param="type",
                hint=f"did you mean {near!r}?" if near else f"known commands: {', '.join(COMMANDS)}",
            )
        )
    return kind


def validate(kind: type[Command], data: dict[str, Any]) -> Command:
    """The command with checked fields.
    Errors: one problem naming every wrong field; unknown fields with the nearest name.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise TunebusError(from_validation(error, kind.model_fields)) from None
