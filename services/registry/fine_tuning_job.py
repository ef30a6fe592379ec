"""Decides about fine-tunings: what a start resolves to, and what becomes of one that ended well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunebus.contracts.commands import CompleteAttempt, StartFineTuningJob, StopFineTuningJob
from tunebus.contracts.errors import Code, Problem, nearest
from tunebus.contracts.events import FineTuningJobAdded, JobSucceeded
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.recipes import FineTuningRecipe, LoraSettings, TrainingArguments
from tunebus.contracts.subjects import FINE_TUNING_JOB
from tunebus.services.platform.decisions import Accepted, Decision
from tunebus.services.registry import adapter, jobs, recipe
from tunebus.services.registry.decision import happened, missing, refused, refused_all
from tunebus.services.registry.jobs import Job
from tunebus.services.registry.known import Dataset, Known, Model
from tunebus.services.registry.wanted import Wanted, given

METHODS = ("lora",)
FRAMEWORKS = ("transformers",)

# Fields of the command that are settings of the training, by the name that transformers has for them.
SHORTCUTS = {
    "num_epochs": "num_train_epochs",
    "learning_rate": "learning_rate",
    "max_steps": "max_steps",
    "batch_size": "per_device_train_batch_size",
    "max_length": "max_length",
    "seed": "seed",
    "save_steps": "save_steps",
    "eval_steps": "eval_steps",
}


@dataclass(frozen=True)
class Asked:
    """What was found out before the decision: fields that are wrong in themselves, and files that changed since."""

    problems: Sequence[Problem] = ()

    @property
    def in_doubt(self) -> set[str]:
        """Fields that hold nothing worth judging."""
        return {str(problem.param).split(".")[0] for problem in self.problems}


def refer_start(wanted: Wanted, _facts: object, command: StartFineTuningJob) -> None:
    wanted.models.add(command.base_model_id)
    wanted.datasets.add(command.dataset_id)
    wanted.prompts.update(given(command.prompt_id))
    wanted.adapters.update(given(command.adapter_name))
    wanted.job_names.update(given(command.adapter_name))
    wanted.configs.update(given(command.training_arguments, command.lora))
    wanted.with_datasets_prompts = True


def start(known: Known, asked: Asked, command: StartFineTuningJob) -> Decision:
    """Everything that is wrong is said at once, with what is wrong in the fields themselves (`asked.problems`)."""
    problems = [*asked.problems, *_unsupported(command)]
    in_doubt = asked.in_doubt
    model = _model(known, command, in_doubt, problems)
    dataset = _dataset(known, command, in_doubt, problems)
    prompt = known.prompts.get(command.prompt_id) if command.prompt_id else None
    if command.prompt_id and prompt is None:
        problems.append(missing("prompt", command.prompt_id, "prompt_id"))
    training, training_sources = _training_arguments(known, command, problems)
    config, given = recipe.config_layers(known, "lora", command.lora, "lora", problems)
    lora, lora_sources = recipe.layered(LoraSettings, config, given)
    if command.adapter_name and (taken := known.adapter_name_taken(command.adapter_name)):
        problems.append(
            Problem(code=Code.DUPLICATE_NAME, message=taken, param="adapter_name", hint="choose another name")
        )
    choice = None
    if dataset and (prompt or not command.prompt_id):
        choice = recipe.choose_prompt(dataset, prompt or known.only_prompt(dataset), problems)
    text_format = recipe.text_format_of(command.text_format, model, choice, problems) if model else None
    if model:
        problems += recipe.too_long(training.max_length, [model], "max_length")
    if problems or not (model and dataset and choice):
        return refused_all(problems)
    job_id = new_id()
    resolved = FineTuningRecipe(
        model=recipe.model_source(model),
        dataset=recipe.dataset_source(
            dataset,
            choice,
            fraction=command.dataset_fraction,
            train_share=command.train_test_split,
            seed=training.seed,
        ),
        training_arguments=training,
        lora=lora,
        text_format=text_format,
        adapter_name=command.adapter_name or recipe.adapter_name(dataset.name, model.name, job_id),
        num_cpu=command.num_cpu,
        num_gpu=command.num_gpu,
        num_memory_gb=command.num_memory,
        sources={
            **training_sources,
            **lora_sources,
            "dataset_fraction": _said("dataset_fraction", command),
            "train_test_split": _said("train_test_split", command),
            "text_format": "command" if command.text_format else "default",
            "prompt": "command" if command.prompt_id else "default",
        },
    )
    added = FineTuningJobAdded(
        base_model_id=model.id,
        dataset_id=dataset.id,
        prompt_id=choice.prompt_id,
        adapter_name=resolved.adapter_name,
        method=resolved.method,
        register_adapter=command.register_adapter,
        asked=command.model_dump(mode="json", exclude_unset=True),
        recipe=resolved.model_dump(mode="json"),
        out_dir=f"artifact:jobs/{job_id}",
    )
    return Accepted((happened(FINE_TUNING_JOB, job_id, added), jobs.queued(FINE_TUNING_JOB, job_id)), id=job_id)


def stop(known: Known, _facts: None, command: StopFineTuningJob) -> Decision:
    job = known.job(FINE_TUNING_JOB, command.id)
    if job is None:
        return refused_all([missing("fine-tuning job", command.id, "id")])
    return jobs.stop(job, force=command.force)


def complete(job: Job, command: CompleteAttempt) -> Decision:
    """The job has succeeded and, unless told not to, its adapter is registered in the same transaction."""
    if command.outcome == "stopped":
        return jobs.stopped_by_itself(job, command.attempt, command.step)
    if command.result_uri is None or command.result_sha256 is None:
        return refused(
            Code.INVALID, "a finished fine-tuning has an adapter", param="result_uri", hint="give its URI and SHA-256"
        )
    problem = jobs.outside_attempt(job, command.attempt, command.result_uri, "result_uri")
    if problem:
        return refused_all([problem])
    adapter_id = None
    events = []
    if job.added.get("register_adapter", True):
        adapter_id, added = adapter.made_by_job(
            name=job.added["adapter_name"],
            model_id=job.added["base_model_id"],
            location=command.result_uri,
            sha256=command.result_sha256,
            job_id=job.id,
            prompt_id=job.added.get("prompt_id"),
        )
        events.append(added)
    succeeded = JobSucceeded(
        attempt=command.attempt,
        step=command.step,
        result_uri=command.result_uri,
        result_sha256=command.result_sha256,
        adapter_id=adapter_id,
        metrics=command.metrics,
    )
    return Accepted((happened(job.kind, job.id, succeeded), *events), id=job.id)


def _unsupported(command: StartFineTuningJob) -> list[Problem]:
    """What this version cannot do is refused when it is asked for, never ignored."""
    found = []
    if command.method not in METHODS:
        found.append(_not_supported("method", command.method, METHODS))
    if command.framework_type not in FRAMEWORKS:
        found.append(_not_supported("framework_type", command.framework_type, FRAMEWORKS))
    if command.num_workers > 1:
        message = f"a fine-tuning runs in one process, not in {command.num_workers}"
        found.append(Problem(code=Code.NOT_SUPPORTED, message=message, param="num_workers", hint="leave it at 1"))
    if command.quantization is not None:
        found.append(
            Problem(
                code=Code.NOT_SUPPORTED,
                message="no recipe of this version quantizes the base model",
                param="quantization",
                hint="leave it out",
            )
        )
    return found


def _not_supported(param: str, value: str, known: Sequence[str]) -> Problem:
    near = nearest(value, known)
    hint = f"did you mean {near!r}?" if near else f"supported: {', '.join(known)}"
    return Problem(code=Code.NOT_SUPPORTED, message=f"{value!r} is not supported", param=param, hint=hint)


def _model(known: Known, command: StartFineTuningJob, in_doubt: set[str], problems: list[Problem]) -> Model | None:
    if "base_model_id" in in_doubt:
        return None
    model = known.models.get(command.base_model_id)
    if model is None:
        problems.append(missing("model", command.base_model_id, "base_model_id"))
    return model


def _dataset(known: Known, command: StartFineTuningJob, in_doubt: set[str], problems: list[Problem]) -> Dataset | None:
    if "dataset_id" in in_doubt:
        return None
    dataset = known.datasets.get(command.dataset_id)
    if dataset is None:
        problems.append(missing("dataset", command.dataset_id, "dataset_id"))
    return dataset


def _training_arguments(
    known: Known, command: StartFineTuningJob, problems: list[Problem]
) -> tuple[TrainingArguments, Mapping[str, recipe.Source]]:
    config, inline = recipe.config_layers(
        known, "training_arguments", command.training_arguments, "training_arguments", problems
    )
    shortcuts: dict[str, Any] = {
        name: getattr(command, field) for field, name in SHORTCUTS.items() if getattr(command, field) is not None
    }
    return recipe.layered(TrainingArguments, config, {**inline, **shortcuts})


def _said(field: str, command: StartFineTuningJob) -> recipe.Source:
    return "command" if field in command.model_fields_set else "default"
