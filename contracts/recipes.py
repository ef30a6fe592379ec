"""What a training or an evaluation is asked to do, validated without torch; the child resolves it to trl, peft and
transformers.

Names follow transformers' and peft's own where they mean the same.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

ORDINARY_MODEL_FAMILIES = ("llama", "qwen2", "qwen3", "mistral", "gemma", "phi3")


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _not_empty(modules: str | list[str]) -> str | list[str]:
    if not modules:
        raise ValueError("must name a module; all-linear is every linear layer")
    return modules


Finite = Annotated[float, BeforeValidator(_no_boolean), AfterValidator(_finite)]
Whole = Annotated[int, BeforeValidator(_no_boolean)]
Positive = Annotated[Finite, Field(gt=0)]
Share = Annotated[Finite, Field(gt=0, le=1)]
Epochs = Annotated[Finite, Field(gt=0, le=1_000_000)]
STEPS = 2**31
"""There are fewer steps than this in any training."""
Count = Annotated[int, Field(gt=0, lt=STEPS, strict=True)]


class Settings(BaseModel):
    """Strict: an unknown key is an error, so that nothing asked for is silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LoraSettings(Settings):
    """LoRA (Hu et al. 2021, arXiv:2106.09685). `target_modules="all-linear"` adapts every linear layer but the head."""

    r: Count = 16
    lora_alpha: Count = 32
    lora_dropout: Annotated[Finite, Field(ge=0, lt=1)] = 0.0
    target_modules: Annotated[Literal["all-linear"] | list[str], AfterValidator(_not_empty)] = "all-linear"
    bias: Literal["none", "all", "lora_only"] = "none"
    use_rslora: bool = False
    use_dora: bool = False


class TrainingArguments(Settings):
    """How to train. None means: decided from the data, the model and the machine when the attempt starts."""

    num_train_epochs: Epochs = 1.0
    max_steps: Count | None = None
    learning_rate: Positive = 2e-4
    lr_scheduler_type: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warmup_ratio: Annotated[Finite, Field(ge=0, lt=1)] = 0.03
    weight_decay: Annotated[Finite, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[Finite, Field(ge=0)] = 1.0
    optim: Literal["adamw_torch", "adamw_torch_fused", "sgd", "adafactor"] = "adamw_torch"
    per_device_train_batch_size: Count = 8
    per_device_eval_batch_size: Count | None = None
    gradient_accumulation_steps: Count = 1
    max_length: Count | None = None
    group_by_length: bool = True
    gradient_checkpointing: bool | None = None
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    eval_steps: Count | None = None
    save_steps: Count | None = None
    logging_steps: Count = 1
    save_total_limit: Count = 2
    load_best_model_at_end: bool = False
    early_stopping_patience: Count | None = None
    early_stopping_threshold: Annotated[Finite, Field(ge=0)] = 0.0
    eval_samples: Annotated[int, Field(ge=0, le=16, strict=True)] = 3
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 42


class GenerationSettings(Settings):
    """How an answer is produced; greedy unless a temperature is given."""

    max_new_tokens: Annotated[Whole, Field(gt=0, le=4096)] = 64
    temperature: Annotated[Finite, Field(ge=0)] = 0.0
    top_p: Share = 1.0
    top_k: Annotated[Whole, Field(ge=0, lt=2**31)] = 0
    repetition_penalty: Positive = 1.0
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] | None = None


class QuantizationSettings(Settings):
    """Known so that it can be stored and refused by name: no recipe of this version quantizes."""

    load_in_8bit: bool = False
    load_in_4bit: bool = False
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "nf4"
    bnb_4bit_compute_dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    bnb_4bit_use_double_quant: bool = False


CONFIG_BODIES: dict[str, type[Settings] | None] = {
    "training_arguments": TrainingArguments,
    "lora": LoraSettings,
    "generation": GenerationSettings,
    "quantization": QuantizationSettings,
    "custom": None,
}


class PromptTemplates(BaseModel):
    """The three templates of a prompt; `{column}` is replaced by the row's value, `{{` and `}}` are literal braces."""

    model_config = ConfigDict(frozen=True)

    prompt_template: str
    input_template: str
    completion_template: str


TextFormat = Literal["chat", "plain"]
DataFormat = Literal["prompt", "messages", "prompt_completion", "alpaca", "sharegpt", "preference", "text"]
"""How rows become training text; `prompt` are plain columns, which need templates."""
FileType = Literal["csv", "tsv", "json", "jsonl", "parquet"]


class DatasetFile(BaseModel):
    """One of the files of a dataset that has several; `path` is relative to the dataset's location."""

    model_config = ConfigDict(frozen=True)

    path: str
    type: FileType
    split: str
    rows: int
    bytes: int
    sha256: str


class DatasetSource(BaseModel):
    """Where a dataset's rows are, how they are read, sampled and split; shared by training, evaluation and preview.

    `format` is how rows become text here, `row_format` what the dataset was recognised as: with `skip_broken`, rows
    that do not fit it are left out.
    """

    model_config = ConfigDict(frozen=True)

    dataset_id: str
    location: str
    type: Literal["csv", "tsv", "json", "jsonl", "parquet", "folder"]
    files: list[DatasetFile] = Field(default_factory=list)
    column_mapping: dict[str, str] = Field(default_factory=dict)
    skip_broken: bool = False
    row_format: DataFormat | None = None
    sha256: str
    features: list[str]
    format: DataFormat
    prompt: PromptTemplates | None = None
    prompt_id: str | None = None
    dataset_fraction: float = 1.0
    train_test_split: float = 0.95
    split_seed: int = 42


def files_type(dataset_type: str) -> Any:
    """How a dataset's files are read: one of the Hub is kept as a folder, a file a split."""
    return "folder" if dataset_type == "huggingface" else dataset_type


class ModelSource(BaseModel):
    """Where a base model's files are. `location` is an absolute path, or an `artifact:` URI before it is resolved."""

    model_config = ConfigDict(frozen=True)

    model_id: str
    location: str
    sha256: str
    architecture: str | None = None
    remote_code: bool = Field(default=False, description="the repository's own code runs, as an operator approved")


class UserScript(BaseModel):
    """A training script of the operator's folder: `name` is its path in there, `config` what it is given."""

    model_config = ConfigDict(frozen=True)

    name: str
    sha256: str
    config: dict[str, Any] = Field(default_factory=dict)


Method = Literal["lora", "full"]
USUAL_LEARNING_RATES: dict[str, float] = {"lora": 2e-4, "full": 2e-5}
"""What a method takes when no rate is given. LoRA's rate on every weight at once would undo what the model knows."""


def warmup_steps(ratio: float, total_steps: int, *, goes_on: bool) -> int:
    """Steps of rising learning rate. A training that goes on from another's weights has at least a short way from the
    old rate to its own."""
    wanted = math.ceil(ratio * total_steps)
    return max(wanted, math.ceil(0.03 * total_steps), 1) if goes_on else wanted


class InitialWeights(BaseModel):
    """What a training starts from in place of the base model's own weights: a checkpoint of another job, whose manifest
    proves it, or a job's result, whose folder hashes to `sha256`. `learning_rate` is what had been reached there.
    """

    model_config = ConfigDict(frozen=True)

    job_id: str
    step: int
    location: str
    manifest_sha256: str | None = None
    sha256: str | None = None
    learning_rate: float


class FineTuningRecipe(BaseModel):
    """A fine-tuning as resolved by the registry: nothing left to default.
    `sources` says where each setting came from, `reasons` why a default is what it is where that is not plain.

    `lora` is None for the method `full`. `user_script` runs in place of the method's own training.
    """

    model_config = ConfigDict(frozen=True)

    method: Method = "lora"
    model: ModelSource
    dataset: DatasetSource
    training_arguments: TrainingArguments
    lora: LoraSettings | None = Field(default_factory=LoraSettings)
    text_format: TextFormat | None = None
    adapter_name: str
    num_cpu: int | None = None
    num_gpu: int = 0
    num_memory_gb: float | None = None
    user_script: UserScript | None = None
    initial_weights: InitialWeights | None = None
    sources: dict[str, Literal["default", "config", "command"]] = Field(default_factory=dict)
    reasons: dict[str, str] = Field(default_factory=dict)


class AdapterSource(BaseModel):
    """A LoRA adapter to put on the base model before scoring."""

    model_config = ConfigDict(frozen=True)

    adapter_id: str
    location: str
    sha256: str


class RecordedSplit(BaseModel):
    """How a training sampled and split a dataset: which rows it has seen follows from it."""

    model_config = ConfigDict(frozen=True)

    dataset_fraction: float
    train_test_split: float
    split_seed: int


class ChatMessage(Settings):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: Annotated[str, Field(max_length=20_000)]


TypedPrompt = (
    Annotated[str, Field(min_length=1, max_length=20_000)]
    | Annotated[list[ChatMessage], Field(min_length=1, max_length=100)]
)


class EvaluationRecipe(BaseModel):
    """An evaluation of one base model, with or without one adapter, on the held-out rows of a dataset, or on typed
    `prompts`. Rows that a training by one of the splits `unseen_by` has seen are left out.
    """

    model_config = ConfigDict(frozen=True)

    model: ModelSource
    adapter: AdapterSource | None = None
    dataset: DatasetSource | None = None
    prompts: list[TypedPrompt] | None = None
    generation: GenerationSettings
    selected_features: list[str] = Field(default_factory=list)
    unseen_by: list[RecordedSplit] = Field(default_factory=list)
    max_rows: int | None = None
    text_format: TextFormat | None = None
    batch_size: int = 16
    max_length: int | None = None
    seed: int = 42
    num_cpu: int | None = None
    num_gpu: int = 0
    num_memory_gb: float | None = None


ExportType = Literal["adapter", "merged", "registry"]
EXPORT_TYPES = ("adapter", "merged", "registry")


class Place(BaseModel):
    """A folder: an absolute path, or an `artifact:` URI before it is resolved."""

    model_config = ConfigDict(frozen=True)

    location: str


class ModelCard(BaseModel):
    """What an export says of itself in its README: where it comes from, and how good it was found to be."""

    model_config = ConfigDict(frozen=True)

    name: str
    base_model: str
    base_sha256: str
    adapter: str | None = None
    adapter_sha256: str | None = None
    fine_tuning_job_id: str | None = None
    dataset: str | None = None
    training: dict[str, Any] | None = Field(default=None, description="the FineTuningRecipe")
    training_metrics: dict[str, float | None] = Field(default_factory=dict)
    evaluation_job_id: str | None = None
    evaluation_metrics: dict[str, float | None] = Field(default_factory=dict)


class ExportRecipe(BaseModel):
    """An export of one adapter with its base model, or of one model. Answers to held-out rows of the dataset
    `questions`, or to shipped questions where it is not there, are compared before and after.
    """

    model_config = ConfigDict(frozen=True)

    type: ExportType
    model: ModelSource
    adapter: AdapterSource | None = None
    questions: DatasetSource | None = None
    text_format: TextFormat | None = None
    destination: Place | None = Field(default=None, description="none for the registry")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    registered_model: str | None = None
    card: ModelCard
    num_cpu: int | None = None
    num_gpu: int = 0
    num_memory_gb: float | None = None


class Checked(BaseModel):
    """What reloading an export showed: of `prompts` greedy answers `equal` are as before; `max_difference` is the
    largest between two logits on the way.
    """

    model_config = ConfigDict(frozen=True)

    prompts: Annotated[int, Field(ge=0, lt=2**31)]
    equal: Annotated[int, Field(ge=0, lt=2**31)]
    max_difference: Finite | None = None
    dtype: str | None = None


class Checkpoint(BaseModel):
    """A recorded checkpoint: `uri` is its folder, `manifest_sha256` the hash of the manifest that proves it whole."""

    model_config = ConfigDict(frozen=True)

    attempt: int
    step: int
    uri: str
    manifest_sha256: str
    loss: float | None = None
    eval_loss: float | None = None


class ChildJob(BaseModel):
    """`job.json`: everything the child process needs, with absolute paths. Runnable by hand, with no bus."""

    kind: Literal["fine_tuning_job", "evaluation_job", "export_job"]
    job_id: str
    attempt: int
    attempt_folder: str
    recipe: dict[str, Any]
    resume_from: str | None = None
    resume_manifest_sha256: str | None = None
    threads: int = 1
    script: str | None = Field(default=None, description="absolute path of the attempt's copy of the user's script")
    script_folder: str | None = Field(default=None, description="where the script came from, for what it imports")
