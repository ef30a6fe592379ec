"""Commands about fine-tuning jobs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from tunebus.contracts import subjects
from tunebus.contracts.commands.command import AdapterName, Command, ConfigReference, Reference
from tunebus.contracts.recipes import Count, Positive, Share


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
