"""The read side's tables: one row an entity, with the columns users see and those that decisions look up.

Every table of `PROJECTIONS` is derived from events alone and can be rebuilt; nothing else may write to it.
`workers` and `worker_loads` are not derived: the registry writes them as workers ask for work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine
from tunebus.contracts.subjects import EVALUATION_JOB, EXPORT_JOB, FINE_TUNING_JOB

VERSION = 6
"""The version of these tables and of the functions that fill them: a change of either raises it, and start rebuilds."""

metadata = MetaData()

DOCUMENT: TypeEngine[Any] = JSON(none_as_null=True)

BYTEWISE: TypeEngine[Any] = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is put in order as its bytes are, in either database."""

LIVE_STATES = ("queued", "held", "starting", "running", "stopping", "interrupted")
ENDED_STATES = ("stopped", "succeeded", "failed")
STATES = LIVE_STATES + ENDED_STATES


def name_key(name: str) -> str:
    """What two names are compared by: the trimmed name."""
    return name.strip()


def labels_key(labels: Sequence[str]) -> str:
    """Labels as one text in which each is found whole, whatever its case."""
    return "".join(f"\n{label.casefold()}\n" for label in labels)


def _entity(table: str) -> tuple[Column[Any] | PrimaryKeyConstraint, ...]:
    """Columns of every entity. `position` is that of the adding event and the order of lists."""
    return (
        Column("id", Text, nullable=False),
        PrimaryKeyConstraint("id", name=f"pk_{table}"),
        Column("position", BigInteger, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("added_at", Text, nullable=False),
    )


def _named() -> tuple[Column[Any], ...]:
    return (Column("name", Text, nullable=False), Column("name_key", Text, nullable=False))


def _job(table: str) -> tuple[Column[Any] | PrimaryKeyConstraint, ...]:
    """Columns of every kind of job. `position` orders lists and the queue."""
    return (
        Column("id", Text, nullable=False),
        PrimaryKeyConstraint("id", name=f"pk_{table}"),
        Column("position", BigInteger, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("state", Text, nullable=False),
        Column("cause", Text),
        Column("message", Text),
        Column("hint", Text),
        Column("suggestion", DOCUMENT),
        Column("attempt", Integer, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("crashes", Integer, nullable=False),
        Column("priority", Integer, nullable=False),
        Column("rank", BYTEWISE, nullable=False),
        Column("depends_on", DOCUMENT, nullable=False),
        Column("waiting_for", DOCUMENT, nullable=False),
        Column("unmet", Integer, nullable=False),
        Column("labels", DOCUMENT, nullable=False),
        Column("labels_key", Text, nullable=False),
        Column("notes", Text, nullable=False),
        Column("gpus", DOCUMENT, nullable=False),
        Column("worker_id", Text),
        Column("host", Text),
        Column("stop", Text, nullable=False),
        Column("step", BigInteger, nullable=False),
        Column("total_steps", BigInteger),
        Column("checkpoint_attempt", Integer),
        Column("checkpoint_step", BigInteger),
        Column("checkpoint_uri", Text),
        Column("checkpoint_sha256", Text),
        Column("base_model_id", Text),
        Column("dataset_id", Text),
        Column("prompt_id", Text),
        Column("adapter_id", Text),
        Column("num_cpu", Integer),
        Column("num_gpu", Integer, nullable=False),
        Column("num_memory", Double),
        Column("dataset_fraction", Double),
        Column("train_test_split", Double),
        Column("quantization", DOCUMENT),
        Column("asked", DOCUMENT, nullable=False),
        Column("recipe", DOCUMENT, nullable=False),
        Column("warnings", DOCUMENT, nullable=False),
        Column("out_dir", Text, nullable=False),
        Column("result_uri", Text),
        Column("result_sha256", Text),
        Column("metrics", DOCUMENT, nullable=False),
        Column("created_at", Text, nullable=False),
        Column("queued_at", Text),
        Column("started_at", Text),
        Column("finished_at", Text),
        Column("updated_at", Text, nullable=False),
    )


def _uses(table: str, *columns: str) -> tuple[Index, ...]:
    """What finds the jobs that use a thing: a removal asks for them, and so does whoever looks at the thing."""
    return tuple(Index(f"ix_{table}_{column}", column, "position") for column in columns)


datasets = Table(
    "datasets",
    metadata,
    *_entity("datasets"),
    *_named(),
    Column("type", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("huggingface_name", Text),
    Column("revision", Text),
    Column("config_name", Text),
    Column("split", Text),
    Column("location", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("features", DOCUMENT, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("warnings", DOCUMENT, nullable=False),
    Column("column_mapping", DOCUMENT, nullable=False),
    Column("skip_broken", Boolean, nullable=False),
    Column("skipped", BigInteger, nullable=False),
    Column("splits", DOCUMENT, nullable=False),
    Column("files", DOCUMENT, nullable=False),
    Column("statistics", DOCUMENT),
    UniqueConstraint("name_key", name="uq_datasets_name_key"),
    Index("ix_datasets_position", "position"),
)

models = Table(
    "models",
    metadata,
    *_entity("models"),
    *_named(),
    Column("type", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("huggingface_name", Text),
    Column("revision", Text),
    Column("location", Text, nullable=False),
    Column("architecture", Text, nullable=False),
    Column("model_family", Text, nullable=False),
    Column("parameters", BigInteger, nullable=False),
    Column("dtype", Text, nullable=False),
    Column("context_length", BigInteger),
    Column("vocabulary_size", BigInteger),
    Column("has_chat_template", Boolean, nullable=False),
    Column("shape", DOCUMENT),
    Column("licence", Text),
    Column("gated", Boolean, nullable=False),
    Column("remote_code", DOCUMENT, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("registered_model", Text),
    Column("fine_tuning_job_id", Text),
    Column("base_model_id", Text),
    UniqueConstraint("name_key", name="uq_models_name_key"),
    Index("ix_models_position", "position"),
)

adapters = Table(
    "adapters",
    metadata,
    *_entity("adapters"),
    *_named(),
    Column("type", Text, nullable=False),
    Column("model_id", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("huggingface_name", Text),
    Column("revision", Text),
    Column("fine_tuning_job_id", Text),
    Column("prompt_id", Text),
    Column("sha256", Text, nullable=False),
    UniqueConstraint("name_key", name="uq_adapters_name_key"),
    Index("ix_adapters_position", "position"),
    Index("ix_adapters_model_id", "model_id"),
)

prompts = Table(
    "prompts",
    metadata,
    *_entity("prompts"),
    *_named(),
    Column("dataset_id", Text, nullable=False),
    Column("prompt_template", Text, nullable=False),
    Column("input_template", Text, nullable=False),
    Column("completion_template", Text, nullable=False),
    UniqueConstraint("name_key", name="uq_prompts_name_key"),
    Index("ix_prompts_position", "position"),
    Index("ix_prompts_dataset_id", "dataset_id"),
)

configs = Table(
    "configs",
    metadata,
    *_entity("configs"),
    Column("type", Text, nullable=False),
    Column("config", DOCUMENT, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("model_family", Text),
    Column("is_default", Boolean, nullable=False),
    UniqueConstraint("type", "sha256", name="uq_configs_type_sha256"),
    Index("ix_configs_position", "position"),
)

fine_tuning_jobs = Table(
    "fine_tuning_jobs",
    metadata,
    *_job("fine_tuning_jobs"),
    Column("adapter_name", Text, nullable=False),
    Column("register_adapter", Boolean, nullable=False),
    Column("model_id", Text),
    Column("method", Text, nullable=False),
    Column("num_workers", Integer, nullable=False),
    Column("num_epochs", Double),
    Column("learning_rate", Double),
    Column("training_arguments", DOCUMENT),
    Column("lora", DOCUMENT),
    Column("framework_type", Text, nullable=False),
    Column("user_script", Text),
    Column("user_config", DOCUMENT),
    Column("estimate", DOCUMENT),
    Column("origin", DOCUMENT),
    Column("changes", DOCUMENT),
    Column("imported", DOCUMENT),
    Column("imported_sha256", Text),
    Index("ix_fine_tuning_jobs_position", "position"),
    Index("ix_fine_tuning_jobs_state", "state"),
    Index("ix_fine_tuning_jobs_adapter_name", "adapter_name"),
    Index("ix_fine_tuning_jobs_imported_sha256", "imported_sha256"),
    *_uses("fine_tuning_jobs", "base_model_id", "dataset_id", "prompt_id", "adapter_id"),
)

evaluation_jobs = Table(
    "evaluation_jobs",
    metadata,
    *_job("evaluation_jobs"),
    Column("parent_id", Text, nullable=False),
    Column("fine_tuning_job_id", Text),
    Column("generation", DOCUMENT),
    Column("selected_features", DOCUMENT),
    Index("ix_evaluation_jobs_position", "position"),
    Index("ix_evaluation_jobs_state", "state"),
    Index("ix_evaluation_jobs_parent_id", "parent_id"),
    *_uses("evaluation_jobs", "base_model_id", "dataset_id", "prompt_id", "adapter_id"),
)

export_jobs = Table(
    "export_jobs",
    metadata,
    *_job("export_jobs"),
    Column("model_id", Text),
    Column("fine_tuning_job_id", Text),
    Column("type", Text, nullable=False),
    Column("destination", Text),
    Column("checked", DOCUMENT),
    Column("registered_model", Text),
    Index("ix_export_jobs_position", "position"),
    Index("ix_export_jobs_state", "state"),
    *_uses("export_jobs", "base_model_id", "adapter_id"),
)

all_jobs = Table(
    "all_jobs",
    metadata,
    Column("id", Text, nullable=False),
    PrimaryKeyConstraint("id", name="pk_all_jobs"),
    Column("kind", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("adapter_name", Text),
    Column("labels_key", Text, nullable=False),
    Column("base_model_id", Text),
    Column("dataset_id", Text),
    Column("adapter_id", Text),
    Column("loss", Double),
    Column("created_at", Text, nullable=False),
    Column("started", Double),  # seconds since 1970, as is `finished`
    Column("finished", Double),
    Column("updated_at", Text, nullable=False),
    Index("ix_all_jobs_position", "position"),
    Index("ix_all_jobs_state", "state", "position"),
    Index("ix_all_jobs_finished", "kind", "finished"),
    Index("ix_all_jobs_kind", "kind", "state", "finished"),
)
"""Of every job, of whatever kind, what lists choose and sort by: rows that are read by the hundred thousand."""

job_attempts = Table(
    "job_attempts",
    metadata,
    Column("job_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("worker_id", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("cause", Text),
    Column("message", Text),
    Column("detail", Text),
    Column("hint", Text),
    Column("suggestion", DOCUMENT),
    Column("signal", Integer),
    Column("exit_code", Integer),
    Column("resume_from", DOCUMENT),
    Column("resumed_from_step", BigInteger),
    Column("total_steps", BigInteger),
    Column("resolved", DOCUMENT),
    Column("versions", DOCUMENT),
    Column("started_at", Text, nullable=False),
    Column("running_at", Text),
    Column("ended_at", Text),
    PrimaryKeyConstraint("job_id", "attempt", name="pk_job_attempts"),
)

job_checkpoints = Table(
    "job_checkpoints",
    metadata,
    Column("position", BigInteger, nullable=False, autoincrement=False),
    PrimaryKeyConstraint("position", name="pk_job_checkpoints"),
    Column("job_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("uri", Text, nullable=False),
    Column("manifest_sha256", Text, nullable=False),
    Column("loss", Double),
    Column("eval_loss", Double),
    Column("best", Boolean, nullable=False),
    Column("recorded_at", Text, nullable=False),
    Index("ix_job_checkpoints_job_id", "job_id"),
)

job_dependencies = Table(
    "job_dependencies",
    metadata,
    Column("job_id", Text, nullable=False),
    Column("dependency_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    PrimaryKeyConstraint("job_id", "dependency_id", name="pk_job_dependencies"),
    Index("ix_job_dependencies_dependency_id", "dependency_id"),
)

remote_code_approvals = Table(
    "remote_code_approvals",
    metadata,
    *_entity("remote_code_approvals"),
    Column("huggingface_name", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text),
    Index("ix_remote_code_approvals_huggingface_name", "huggingface_name"),
)

removed = Table(
    "removed",
    metadata,
    Column("id", Text, nullable=False),
    PrimaryKeyConstraint("id", name="pk_removed"),
    Column("aggregate", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("removed_at", Text, nullable=False),
    Column("out_dir", Text),
    Column("files_deleted", Boolean, nullable=False),
    Index("ix_removed_position", "position"),
)
"""What is no longer there, by the name it had: jobs that used it still show it. `out_dir` is a removed job's folder, or
the studio's copy of a removed dataset's upload.
"""

workers = Table(
    "workers",
    metadata,
    Column("worker_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("capabilities", DOCUMENT, nullable=False),
    Column("job_id", Text),
    Column("first_seen", Text, nullable=False),
    Column("last_seen", Text, nullable=False),
)

worker_loads = Table(
    "worker_loads",
    metadata,
    Column("worker_id", Text, primary_key=True),
    Column("load", DOCUMENT, nullable=False),
    Column("reported_at", Text, nullable=False),
)

PROJECTIONS: tuple[Table, ...] = (
    datasets,
    models,
    adapters,
    prompts,
    configs,
    fine_tuning_jobs,
    evaluation_jobs,
    export_jobs,
    all_jobs,
    job_attempts,
    job_checkpoints,
    job_dependencies,
    remote_code_approvals,
    removed,
)

JOB_TABLES: dict[str, Table] = {
    FINE_TUNING_JOB: fine_tuning_jobs,
    EVALUATION_JOB: evaluation_jobs,
    EXPORT_JOB: export_jobs,
}
