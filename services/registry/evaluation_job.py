"""Decides about evaluations: one job per combination, all under one parent, each on rows its adapter has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunebus.contracts.commands import CompleteAttempt, EvaluationCombination, StartEvaluationJob, StopEvaluationJob
from tunebus.contracts.errors import Code, Problem
from tunebus.contracts.events import EvaluationJobAdded, JobSucceeded
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.recipes import (
    AdapterSource,
    DatasetSource,
    EvaluationRecipe,
    FineTuningRecipe,
    GenerationSettings,
    TextFormat,
)
from tunebus.contracts.subjects import EVALUATION_JOB, FINE_TUNING_JOB
from tunebus.services.platform.decisions import Accepted, Decision, NewEvent
from tunebus.services.registry import jobs, recipe
from tunebus.services.registry.decision import happened, missing, refused, refused_all
from tunebus.services.registry.fine_tuning_job import Asked
from tunebus.services.registry.jobs import Job
from tunebus.services.registry.known import Adapter, Dataset, Known, Model, Prompt
from tunebus.services.registry.recipe import PromptChoice
from tunebus.services.registry.wanted import Wanted, given


@dataclass(frozen=True)
class _Contender:
    """A combination whose ids were found. `trained` is the recipe of the job that made the adapter, if one did."""

    model: Model
    adapter: Adapter | None
    dataset: Dataset
    prompt: Prompt | None
    only_prompt: Prompt | None
    trained: FineTuningRecipe | None

    @property
    def trained_here(self) -> FineTuningRecipe | None:
        """The recipe, if the adapter was trained on the very rows it is scored on."""
        return self.trained if self.trained and self.trained.dataset.sha256 == self.dataset.sha256 else None


@dataclass(frozen=True)
class _Sample:
    """Which rows: what fraction, which training share, by which seed."""

    fraction: float = 1.0
    train_share: float = 0.95
    seed: int = recipe.DEFAULT_SEED

    @classmethod
    def of(cls, source: DatasetSource) -> _Sample:
        return cls(source.dataset_fraction, source.train_test_split, source.split_seed)


def refer_start(wanted: Wanted, _facts: object, command: StartEvaluationJob) -> None:
    wanted.with_adapters_jobs = wanted.with_datasets_prompts = True
    wanted.configs.update(given(command.generation))
    for combination in command.combinations:
        wanted.models.add(combination.base_model_id)
        wanted.datasets.add(combination.dataset_id)
        wanted.adapters.update(given(combination.adapter_id))
        wanted.prompts.update(given(combination.prompt_id))


def start(known: Known, asked: Asked, command: StartEvaluationJob) -> Decision:
    """An unknown id in any combination is refused before anything starts, all of them at once."""
    problems = list(asked.problems)
    combinations = () if "combinations" in asked.in_doubt else command.combinations
    found = [
        _contender(known, combination, f"combinations.{number}", problems)
        for number, combination in enumerate(combinations)
    ]
    generation = _generation(known, command, problems)
    contenders = [contender for contender in found if contender]
    choices = [
        _choice(contender, contenders, f"combinations.{number}", problems)
        for number, contender in enumerate(found)
        if contender
    ]
    if problems or not contenders or not generation:
        return refused_all(problems)
    job_ids = [new_id() for _ in contenders]
    # The parent of a lone job is the job itself, so that its id leads to it either way.
    parent_id = job_ids[0] if len(job_ids) == 1 else new_id()
    events: list[NewEvent] = []
    samples = [_sample(contender, contenders, command) for contender in contenders]
    for contender, choice, sample, job_id in zip(contenders, choices, samples, job_ids, strict=True):
        assert choice is not None
        resolved = _recipe(contender, contenders, choice, sample, generation, command)
        added = EvaluationJobAdded(
            parent_id=parent_id,
            base_model_id=contender.model.id,
            adapter_id=contender.adapter.id if contender.adapter else None,
            dataset_id=contender.dataset.id,
            prompt_id=choice.prompt_id,
            asked=command.model_dump(mode="json", exclude_unset=True),
            recipe=resolved.model_dump(mode="json"),
            out_dir=f"artifact:jobs/{job_id}",
            warnings=_warnings(contender, contenders, sample),
        )
        events += [happened(EVALUATION_JOB, job_id, added), jobs.queued(EVALUATION_JOB, job_id)]
    return Accepted(events, id=parent_id, ids=job_ids)


def stop(known: Known, _facts: None, command: StopEvaluationJob) -> Decision:
    """At once: an evaluation has nothing worth keeping half done."""
    job = known.job(EVALUATION_JOB, command.id)
    if job is None:
        return refused_all([missing("evaluation job", command.id, "id")])
    return jobs.stop(job, force=True)


def complete(job: Job, command: CompleteAttempt) -> Decision:
    if command.outcome == "stopped":
        return jobs.stopped_by_itself(job, command.attempt, command.step)
    if command.result_uri is None:
        return refused(Code.INVALID, "a finished evaluation has a table of rows", param="result_uri")
    problem = jobs.outside_attempt(job, command.attempt, command.result_uri, "result_uri")
    if problem:
        return refused_all([problem])
    succeeded = JobSucceeded(
        attempt=command.attempt,
        step=command.step,
        result_uri=command.result_uri,
        result_sha256=command.result_sha256,
        metrics=command.metrics,
    )
    return Accepted((happened(job.kind, job.id, succeeded),), id=job.id)


def _contender(
    known: Known, combination: EvaluationCombination, param: str, problems: list[Problem]
) -> _Contender | None:
    before = len(problems)
    model = known.models.get(combination.base_model_id)
    if model is None:
        problems.append(missing("model", combination.base_model_id, f"{param}.base_model_id"))
    dataset = known.datasets.get(combination.dataset_id)
    if dataset is None:
        problems.append(missing("dataset", combination.dataset_id, f"{param}.dataset_id"))
    prompt = known.prompts.get(combination.prompt_id) if combination.prompt_id else None
    if combination.prompt_id and prompt is None:
        problems.append(missing("prompt", combination.prompt_id, f"{param}.prompt_id"))
    adapter = known.adapters.get(combination.adapter_id) if combination.adapter_id else None
    if combination.adapter_id and adapter is None:
        problems.append(missing("adapter", combination.adapter_id, f"{param}.adapter_id"))
    if adapter and model and adapter.model_id != model.id:
        own = known.models.get(adapter.model_id)
        problems.append(
            Problem(
                code=Code.INVALID,
                message=f"adapter {adapter.name!r} belongs to model {own.name if own else adapter.model_id!r}, "
                f"not to {model.name!r}",
                param=f"{param}.adapter_id",
            )
        )
    if model is None or dataset is None or len(problems) > before:
        return None
    return _Contender(model, adapter, dataset, prompt, known.only_prompt(dataset), _recipe_of(known, adapter))


def _recipe_of(known: Known, adapter: Adapter | None) -> FineTuningRecipe | None:
    """The recipe of the job that made an adapter, or None for one that came from elsewhere."""
    if adapter is None or adapter.fine_tuning_job_id is None:
        return None
    job = known.job(FINE_TUNING_JOB, adapter.fine_tuning_job_id)
    return FineTuningRecipe.model_validate(dict(job.recipe)) if job else None


def _reference(contender: _Contender, contenders: Sequence[_Contender]) -> FineTuningRecipe | None:
    """The training whose held-out rows a combination is scored on: its adapter's, else the first compared adapter's."""
    if contender.adapter is not None:
        return contender.trained_here
    same = (c.trained_here for c in contenders if c.dataset.id == contender.dataset.id)
    return next((trained for trained in same if trained), None)


def _choice(
    contender: _Contender, contenders: Sequence[_Contender], param: str, problems: list[Problem]
) -> PromptChoice | None:
    """The prompt that was named, else the training's, else the dataset's only one, else what its columns suggest."""
    trained = _reference(contender, contenders)
    if contender.prompt is None and trained is not None:
        return PromptChoice(trained.dataset.format, trained.dataset.prompt, trained.dataset.prompt_id)
    return recipe.choose_prompt(
        contender.dataset, contender.prompt or contender.only_prompt, problems, f"{param}.prompt_id"
    )


def _sample(contender: _Contender, contenders: Sequence[_Contender], command: StartEvaluationJob) -> _Sample:
    trained = _reference(contender, contenders)
    recorded = _Sample.of(trained.dataset) if trained else _Sample()
    return _Sample(
        recorded.fraction if command.dataset_fraction is None else command.dataset_fraction,
        recorded.train_share if command.train_test_split is None else command.train_test_split,
        recorded.seed if command.seed is None else command.seed,
    )


def _warnings(contender: _Contender, contenders: Sequence[_Contender], sample: _Sample) -> list[str]:
    """Adapters in this comparison that were trained with another split of the same rows, and may have seen some."""
    warnings = []
    for other in contenders:
        trained = other.trained_here
        if trained is None or other.adapter is None or other.dataset.id != contender.dataset.id:
            continue
        split = _Sample.of(trained.dataset)
        if split == sample:
            continue
        warning = (
            f"adapter {other.adapter.name!r} was trained on another split of {contender.dataset.name!r} "
            f"(fraction {split.fraction:g}, training share {split.train_share:g}, seed {split.seed}): "
            "it may have seen some of the rows that this evaluation scores"
        )
        if warning not in warnings:
            warnings.append(warning)
    return warnings


def _recipe(
    contender: _Contender,
    contenders: Sequence[_Contender],
    choice: PromptChoice,
    sample: _Sample,
    generation: GenerationSettings,
    command: StartEvaluationJob,
) -> EvaluationRecipe:
    trained = _reference(contender, contenders)
    adapter = contender.adapter
    return EvaluationRecipe(
        model=recipe.model_source(contender.model),
        adapter=AdapterSource(adapter_id=adapter.id, location=adapter.location, sha256=adapter.sha256)
        if adapter
        else None,
        dataset=recipe.dataset_source(
            contender.dataset, choice, fraction=sample.fraction, train_share=sample.train_share, seed=sample.seed
        ),
        generation=generation,
        max_rows=command.max_rows,
        text_format=_text_format(contender, trained),
        batch_size=command.batch_size,
        max_length=trained.training_arguments.max_length if trained else None,
        seed=sample.seed,
        num_cpu=command.num_cpu,
        num_gpu=command.num_gpu,
        num_memory_gb=command.num_memory,
    )


def _text_format(contender: _Contender, trained: FineTuningRecipe | None) -> TextFormat:
    """As in training; a base model that cannot chat is not made to because another one was trained to."""
    if trained and trained.text_format and (contender.model.has_chat_template or trained.text_format == "plain"):
        return trained.text_format
    return "chat" if contender.model.has_chat_template else "plain"


def _generation(known: Known, command: StartEvaluationJob, problems: list[Problem]) -> GenerationSettings | None:
    given = command.generation
    if given is None or isinstance(given, GenerationSettings):
        return given or GenerationSettings()
    before = len(problems)
    config, _ = recipe.config_layers(known, "generation", given, "generation", problems)
    return GenerationSettings.model_validate(config) if len(problems) == before else None
