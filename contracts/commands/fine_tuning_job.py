"""Commands about fine-tuning jobs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field
from tunebus.contracts import subjects
from tunebus.contracts.commands.command import AdapterName, Command, ConfigReference, Location, Reference
from tunebus.contracts.commands.dataset import UploadName
from tunebus.contracts.commands.job import Dependencies, Hold, Labels, Notes, Priority
from tunebus.contracts.identifiers import is_id
from tunebus.contracts.recipes import Count, Epochs, Finite, Positive, Share


def _told_apart(name: str) -> str:
    """From an option of a program, which begins with a dash, and from an id."""
    if not name[0].isalnum():
        raise ValueError("must begin with a letter or a digit")
    if is_id(name):
        raise ValueError("must be no UUID, which reads as an id")
    return name


NewAdapterName = Annotated[AdapterName, AfterValidator(_told_apart)]


class FineTuningFields(BaseModel):
    """What a fine-tuning can be asked for; its estimate takes the same."""

    base_model_id: Reference
    dataset_id: Reference
    prompt_id: Reference | None = None
    adapter_name: NewAdapterName | None = None
    method: str = Field(default="lora", description="lora makes an adapter, full a whole model")
    num_workers: Count = 1
    num_cpu: Count | None = None
    num_gpu: Annotated[int, Field(ge=0, lt=2**31, strict=True)] = 0
    num_memory: Positive | None = Field(default=None, description="GiB the training child may use")
    num_epochs: Epochs | None = None
    learning_rate: Positive | None = None
    max_steps: Count | None = None
    batch_size: Count | None = None
    gradient_accumulation_steps: Count | None = None
    gradient_checkpointing: bool | None = None
    max_length: Count | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] | None = None
    save_steps: Count | None = None
    eval_steps: Count | None = None
    save_total_limit: Count | None = None
    load_best_model_at_end: bool | None = None
    early_stopping_patience: Count | None = None
    early_stopping_threshold: Annotated[Finite, Field(ge=0)] | None = None
    eval_samples: Annotated[int, Field(ge=0, le=16, strict=True)] | None = None
    dataset_fraction: Share = 1.0
    train_test_split: Share = 0.95
    training_arguments: ConfigReference | None = None
    lora: ConfigReference | None = None
    quantization: ConfigReference | None = None
    framework_type: str = "transformers"
    text_format: Literal["chat", "plain"] | None = None
    register_adapter: bool = True
    user_script: Location | None = None
    user_config: Reference | dict[str, Any] | None = None
    priority: Priority = 0
    hold: Hold = False
    depends_on: Dependencies = Field(default_factory=list)
    labels: Labels = Field(default_factory=list)
    notes: Notes = ""


class StartFineTuningJob(FineTuningFields, Command):
    """Queue a fine-tuning. `base_model_id` and `dataset_id` are enough; what is given wins over a config, a config over
    defaults.

    `training_arguments`, `lora`, `quantization` and `user_config` take a config's id or an object of settings. Method
    `lora` makes an adapter named `adapter_name`, method `full` a model of that name. A `user_script` runs in place of
    the method's own training, where the operator has named a folder of such scripts.
    """

    contexts = (subjects.FINE_TUNING_JOB,)


class StopFineTuningJob(Command):
    """Stop a job: after its next checkpoint, or at once with `force`."""

    contexts = (subjects.FINE_TUNING_JOB,)

    id: Reference
    force: bool = False


class RemoveFineTuningJob(Command):
    """Remove a fine-tuning that has ended. Refused `in_use` while the adapter it made is there.

    Its files stay unless `delete_files` is set; the event says how many bytes they are. Sent again with `delete_files`,
    by id, it deletes the files of a job that was removed before.
    """

    contexts = (subjects.FINE_TUNING_JOB,)

    id: Reference
    delete_files: bool = False


class RetryFineTuningJob(Command):
    """Queue a failed or stopped job again, as the same job, from its newest checkpoint.

    With `suggested` the change that its failure suggests is made first; where steps then mean something else, it starts
    from the beginning.
    """

    contexts = (subjects.FINE_TUNING_JOB,)

    id: Reference
    suggested: bool = False


class ResumeFineTuningJob(Command):
    """Let a stopped or failed job go on from a recorded checkpoint: the newest, or that of `step`."""

    contexts = (subjects.FINE_TUNING_JOB,)

    id: Reference
    step: Count | None = None


Changes = Annotated[
    dict[str, Any],
    Field(max_length=60, description="fields of StartFineTuningJob in place of those of the job; null takes one away"),
]


class CloneFineTuningJob(Command):
    """Queue a new job that asks for what another asked for, with changes."""

    contexts = (subjects.FINE_TUNING_JOB,)

    id: Reference
    changes: Changes = Field(default_factory=dict)
    adapter_name: NewAdapterName | None = None


class BranchFineTuningJob(Command):
    """Queue a new job that goes on from the weights of another's checkpoint, with another learning rate, other data or
    whatever else `changes` say. It has a schedule of its own, whose warm-up begins at the rate that was reached.
    """

    contexts = (subjects.FINE_TUNING_JOB,)

    id: Reference
    step: Count | None = Field(default=None, description="of a recorded checkpoint; the newest when not given")
    changes: Changes = Field(default_factory=dict)
    adapter_name: NewAdapterName | None = None


class ExtendFineTuningJob(Command):
    """Queue a new job that trains the result of a finished one for so many more epochs or steps."""

    contexts = (subjects.FINE_TUNING_JOB,)

    id: Reference
    num_epochs: Epochs | None = None
    max_steps: Count | None = None
    adapter_name: NewAdapterName | None = None


class RerunFineTuningJob(Command):
    """Queue the same training again, from its recorded recipe, data, revisions, threads and seed, to see whether it
    comes to the same; `CompareRuns` tells. It registers nothing unless it is given an `adapter_name`.
    """

    contexts = (subjects.FINE_TUNING_JOB,)

    id: Reference
    adapter_name: NewAdapterName | None = None


class ImportRun(Command):
    """Take in a training that ran elsewhere: its TensorBoard event files, from the folder `path` or from the file
    bucket. It is shown as a job that has ended, with its curves; nobody can start it. Files that were imported before
    are that job, whatever name is given.
    """

    contexts = (subjects.FINE_TUNING_JOB,)

    name: NewAdapterName
    path: Location | None = None
    uploads: Annotated[list[UploadName], Field(max_length=64)] | None = Field(
        default=None, description="objects of the file bucket, in place of a path"
    )
    base_model_id: Reference | None = Field(default=None, description="the model that it trained, where it is here")
    dataset_id: Reference | None = Field(default=None, description="the dataset that it trained on, where it is here")
    labels: Labels = Field(default_factory=list)
    notes: Notes = ""
