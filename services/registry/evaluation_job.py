"""Decides about evaluations: one job per combination, all under one parent, each on rows its adapter has not seen, or
on prompts that somebody typed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunebus.contracts.commands import CompleteAttempt, EvaluationCombination, StartEvaluationJob, StopEvaluationJob
from tunebus.contracts.errors import Code, Problem, nearest
from tunebus.contracts.events import EvaluationJobAdded, JobSucceeded
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.recipes import (
    DatasetSource,
    EvaluationRecipe,
    FineTuningRecipe,
    GenerationSettings,
    PromptTemplates,
    RecordedSplit,
    TextFormat,
    TypedPrompt,
)
from tunebus.contracts.subjects import EVALUATION_JOB, FINE_TUNING_JOB
from tunebus.services.platform.decisions import Accepted, Decision, NewEvent
from tunebus.services.platform.rows import templates
from tunebus.services.registry import jobs, queue, recipe, subject
from tunebus.services.registry.decision import happened, missing, refused, refused_all
from tunebus.services.registry.fine_tuning_job import Asked
from tunebus.services.registry.jobs import Job
from tunebus.services.registry.known import Adapter, Dataset, Known, Model, Prompt
from tunebus.services.registry.recipe import PromptChoice
from tunebus.services.registry.subject import Subject
from tunebus.services.registry.wanted import Wanted, given


@dataclass(frozen=True)
class _Contender:
    """A combination whose ids were found. `trained` are the recipes of the jobs that made its adapter and its model,
    the adapter's first; neither for what came from elsewhere. `before` are those of the trainings that these began
    with, back to the first. Typed prompts have no dataset. What `awaited` is to make is scored in place of `model`,
    its base.
    """

    model: Model
    adapter: Adapter | None
    awaited: Job | None
    dataset: Dataset | None
    prompt: Prompt | None
    only_prompt: Prompt | None
    trained: tuple[FineTuningRecipe, ...]
    before: tuple[FineTuningRecipe, ...]

    @property
    def trained_here(self) -> FineTuningRecipe | None:
        """The recipe, if the adapter or the model was trained on the very rows it is scored on."""
        if self.dataset is None:
            return self.trained[0] if self.trained else None
        all_of_them = (*self.trained, *self.before)
        return next((recipe for recipe in all_of_them if recipe.dataset.sha256 == self.dataset.sha256), None)

    @property
    def name(self) -> str:
        if self.awaited is not None:
            return f"{'model' if self.awaited.added['method'] == 'full' else 'adapter'} {self.awaited.name!r}"
        return f"adapter {self.adapter.name!r}" if self.adapter else f"model {self.model.name!r}"


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
    wanted.with_adapters_jobs = wanted.with_datasets_prompts = wanted.with_lineage = True
    wanted.configs.update(given(command.generation))
    wanted.jobs.update(command.depends_on)
    subject.refer(wanted, given(*(combination.job_id for combination in command.combinations)))
    for combination in command.combinations:
        wanted.models.add(combination.base_model_id)
        wanted.datasets.update(given(combination.dataset_id))
        wanted.adapters.update(given(combination.adapter_id))
        wanted.prompts.update(given(combination.prompt_id))


def start(known: Known, asked: Asked, command: StartEvaluationJob) -> Decision:
    """An unknown id in any combination is refused before anything starts, all of them at once."""
    problems = [*asked.problems, *_unsupported(command)]
    typed = command.prompts is not None or "prompts" in asked.in_doubt
    combinations = () if "combinations" in asked.in_doubt else command.combinations
    found = [
        _contender(known, combination, f"combinations.{number}", problems, typed=typed)
        for number, combination in enumerate(combinations)
    ]
    generation = _generation(known, command, problems)
    contenders = [contender for contender in found if contender]
    if command.prompts is None:
        texts = None
        problems += _unknown_features(contenders, command)
    else:
        texts = [_rendered(command.prompts, contender, contenders, problems) for contender in contenders]
    choices = [
        _choice(contender, contenders, f"combinations.{number}", problems)
        for number, contender in enumerate(found)
        if contender
    ]
    waits = queue.dependencies(known, command.depends_on, problems)
    if problems or not contenders or not generation:
        return refused_all(problems)
    job_ids = [new_id() for _ in contenders]
    # The parent of a lone job is the job itself, so that its id leads to it either way.
    parent_id = job_ids[0] if len(job_ids) == 1 else new_id()
    events: list[NewEvent] = []
    for number, (contender, choice, job_id) in enumerate(zip(contenders, choices, job_ids, strict=True)):
        sample = _sample(contender, contenders, command)
        own_waits = waits.also(contender.awaited)
        resolved = _recipe(contender, contenders, choice, sample, generation, command)
        if texts is not None:
            resolved = resolved.model_copy(update={"prompts": texts[number]})
        added = EvaluationJobAdded(
            parent_id=parent_id,
            base_model_id=contender.model.id,
            adapter_id=contender.adapter.id if contender.adapter else None,
            fine_tuning_job_id=contender.awaited.id if contender.awaited else None,
            dataset_id=contender.dataset.id if contender.dataset else None,
            prompt_id=choice.prompt_id if choice else None,
            asked=command.model_dump(mode="json", exclude_unset=True),
            recipe=resolved.model_dump(mode="json"),
            out_dir=f"artifact:jobs/{job_id}",
            warnings=_warnings(contender, contenders, sample, leave_out=command.leakage == "exclude"),
            priority=command.priority,
            depends_on=own_waits.depends_on,
            waiting_for=own_waits.waiting_for,
            labels=queue.without_doubles(command.labels),
            notes=command.notes,
        )
        first = jobs.first_event(EVALUATION_JOB, job_id, hold=command.hold)
        events += [happened(EVALUATION_JOB, job_id, added), first]
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


def _unsupported(command: StartEvaluationJob) -> list[Problem]:
    """What this version cannot do, and what would have no effect, is refused when it is asked for."""
    found = []
    if command.quantization is not None:
        found.append(
            Problem(
                code=Code.NOT_SUPPORTED,
                message="no evaluation of this version quantizes the base model",
                param="quantization",
                hint="leave it out",
            )
        )
    if command.prompts is not None:
        rows_only = {
            "max_rows": command.max_rows,
            "dataset_fraction": command.dataset_fraction,
            "train_test_split": command.train_test_split,
            "selected_features": command.selected_features,
            "leakage": None if command.leakage == "warn" else command.leakage,
        }
        found += [
            Problem(code=Code.INVALID, message="is about rows of a dataset, and typed prompts are none", param=name)
            for name, value in rows_only.items()
            if value is not None
        ]
    return found


def _unknown_features(contenders: Sequence[_Contender], command: StartEvaluationJob) -> list[Problem]:
    """Selected columns that a dataset does not have."""
    found = {}
    for contender in contenders:
        dataset = contender.dataset
        for name in command.selected_features or () if dataset else ():
            assert dataset is not None
            if name not in dataset.features:
                near = nearest(name, dataset.features)
                found[dataset.name, name] = Problem(
                    code=Code.INVALID,
                    message=f"{name!r} is no column of dataset {dataset.name!r}",
                    param="selected_features",
                    hint=f"did you mean {near!r}?" if near else f"its columns: {', '.join(dataset.features)}",
                )
    return list(found.values())


def _contender(
    known: Known, combination: EvaluationCombination, param: str, problems: list[Problem], *, typed: bool
) -> _Contender | None:
    before = len(problems)
    model = known.models.get(combination.base_model_id)
    if model is None:
        problems.append(missing("model", combination.base_model_id, f"{param}.base_model_id"))
    dataset = known.datasets.get(combination.dataset_id) if combination.dataset_id else None
    if combination.dataset_id and typed:
        message = "typed prompts are answered in place of a dataset's rows, not beside them"
        problems.append(Problem(code=Code.INVALID, message=message, param=f"{param}.dataset_id", hint="leave it out"))
    elif combination.dataset_id and dataset is None:
        problems.append(missing("dataset", combination.dataset_id, f"{param}.dataset_id"))
    elif not combination.dataset_id and not typed:
        problems.append(
            Problem(
                code=Code.INVALID,
                message="is required",
                param=f"{param}.dataset_id",
                hint="name a dataset, or give prompts to answer in its place",
            )
        )
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
    made = _made(known, combination, model, param, problems) if combination.job_id else None
    if model is None or len(problems) > before:
        return None
    only = known.only_prompt(dataset) if dataset else None
    awaited = None
    if made is not None:
        model, adapter, awaited = made.model, made.adapter, made.awaited
    trained, earlier = _trainings(known, adapter, model, awaited)
    return _Contender(model, adapter, awaited, dataset, prompt, only, trained, earlier)


def _made(
    known: Known, combination: EvaluationCombination, model: Model | None, param: str, problems: list[Problem]
) -> Subject | None:
    """What the fine-tuning of a combination has made, or is to make, of the combination's model."""
    assert combination.job_id is not None
    where = f"{param}.job_id"
    if combination.adapter_id:
        message = "names what the job makes, so that there is no other adapter to score"
        problems.append(Problem(code=Code.INVALID, message=message, param=where, hint="leave out one of the two"))
    found = subject.of_job(known, combination.job_id, where, problems)
    job = known.job(FINE_TUNING_JOB, combination.job_id)
    if found is None or job is None or model is None:
        return None
    if job.added["base_model_id"] != model.id:
        own = known.models.get(job.added["base_model_id"])
        message = f"{job.name} trains model {own.name if own else job.added['base_model_id']!r}, not {model.name!r}"
        problems.append(Problem(code=Code.INVALID, message=message, param=where))
    return found


def _trainings(
    known: Known, adapter: Adapter | None, model: Model, awaited: Job | None
) -> tuple[tuple[FineTuningRecipe, ...], tuple[FineTuningRecipe, ...]]:
    """The recipes of the jobs that made an adapter and its model, and those of all that these began with: what is
    scored has seen the rows of each. A removed job counts as well; an imported one has no recipe.
    """
    if awaited is not None:
        makers = given(awaited.id, model.fine_tuning_job_id)
    else:
        makers = given(adapter.fine_tuning_job_id if adapter else None, model.fine_tuning_job_id)
    found: dict[str, FineTuningRecipe] = {}
    left = list(makers)
    while left:
        job_id = left.pop(0)
        job = known.job(FINE_TUNING_JOB, job_id) or known.removed_jobs.get(job_id)
        if job is not None and not job.is_imported and job_id not in found:
            found[job_id] = FineTuningRecipe.model_validate(dict(job.recipe))
            left += known.before(job)
    own = {job_id: recipe for job_id, recipe in found.items() if job_id in makers}
    return tuple(own.values()), tuple(recipe for job_id, recipe in found.items() if job_id not in own)


def _reference(contender: _Contender, contenders: Sequence[_Contender]) -> FineTuningRecipe | None:
    """The training whose held-out rows a combination is scored on: its adapter's or model's own, else, for one that was
    not trained here, the first compared one's.
    """
    if contender.adapter is not None or contender.awaited is not None or contender.trained_here is not None:
        return contender.trained_here
    return _first_trained(contender, contenders)


def _first_trained(contender: _Contender, contenders: Sequence[_Contender]) -> FineTuningRecipe | None:
    same = (c.trained_here for c in contenders if _same_rows(c, contender))
    return next((trained for trained in same if trained), None)


def _same_rows(first: _Contender, second: _Contender) -> bool:
    return (first.dataset.id if first.dataset else None) == (second.dataset.id if second.dataset else None)


def _choice(
    contender: _Contender, contenders: Sequence[_Contender], param: str, problems: list[Problem]
) -> PromptChoice | None:
    """The prompt that was named, else the training's, else the dataset's only one, else what its columns suggest. None
    for typed prompts, which are laid out one by one.
    """
    if contender.dataset is None:
        return None
    trained = _reference(contender, contenders)
    if contender.prompt is None and trained is not None:
        return PromptChoice(trained.dataset.format, trained.dataset.prompt, trained.dataset.prompt_id)
    wrong: list[Problem] = []
    found = recipe.choose_prompt(contender.dataset, contender.prompt or contender.only_prompt, wrong)
    problems += [problem.model_copy(update={"param": f"{param}.{problem.param}"}) for problem in wrong]
    return found


def _rendered(
    prompts: Sequence[TypedPrompt],
    contender: _Contender,
    contenders: Sequence[_Contender],
    problems: list[Problem],
) -> list[TypedPrompt]:
    """Texts laid out by the prompt that was named, else by the training's, where it has one column to put them in; so
    that what was tuned is asked as it was taught. Messages stay as they are.
    """
    trained = _reference(contender, contenders)
    prompt = contender.prompt
    layout = trained.dataset.prompt if trained else None
    if prompt is not None:
        layout = PromptTemplates(
            prompt_template=prompt.prompt_template,
            input_template=prompt.input_template,
            completion_template=prompt.completion_template,
        )
    if layout is None:
        return list(prompts)
    answers = _columns(layout.completion_template)
    columns = (_columns(layout.input_template) | _columns(layout.prompt_template)) - answers
    if len(columns) != 1:
        if prompt is not None:
            message = f"prompt {prompt.name!r} has {len(columns)} input columns, and a typed text can fill one"
            problems.append(Problem(code=Code.INVALID, message=message, param="prompts", hint="send messages instead"))
        return list(prompts)
    (column,) = columns
    renderer = templates.Renderer(layout, [column, *answers])
    return [renderer.render({column: text}).prompt if isinstance(text, str) else text for text in prompts]


def _columns(template: str) -> set[str]:
    """The columns that a template names."""
    names = {part.name for part in templates.parse(template) if isinstance(part, templates.Column)}
    return names - {templates.INPUT, templates.COMPLETION}


def _sample(contender: _Contender, contenders: Sequence[_Contender], command: StartEvaluationJob) -> _Sample:
    """With `leakage` exclude all are scored on the first training's held-out rows, less what any other has seen."""
    first = command.leakage == "exclude"
    trained = _first_trained(contender, contenders) if first else _reference(contender, contenders)
    recorded = _Sample.of(trained.dataset) if trained else _Sample()
    return _Sample(
        recorded.fraction if command.dataset_fraction is None else command.dataset_fraction,
        recorded.train_share if command.train_test_split is None else command.train_test_split,
        recorded.seed if command.seed is None else command.seed,
    )


def _others(contender: _Contender, contenders: Sequence[_Contender], sample: _Sample) -> dict[_Sample, tuple[str, ...]]:
    """The splits of the same rows, other than this one, that compared adapters and models were trained with, and which
    of them (in words) was.
    """
    found: dict[_Sample, tuple[str, ...]] = {}
    if contender.dataset is None:
        return found
    for other in contenders:
        if not _same_rows(other, contender):
            continue
        trainings = [(recipe, "was trained") for recipe in other.trained]
        trainings += [(recipe, "goes on from a training") for recipe in other.before]
        for trained, how in trainings:
            split = _Sample.of(trained.dataset)
            if trained.dataset.sha256 == contender.dataset.sha256 and split != sample:
                found[split] = (*found.get(split, ()), f"{other.name} {how}")
    return found


def _warnings(
    contender: _Contender, contenders: Sequence[_Contender], sample: _Sample, *, leave_out: bool
) -> list[str]:
    """Who in this comparison was trained with another split of the same rows, and may have seen some."""
    warnings = []
    dataset = contender.dataset
    for split, seen_by in _others(contender, contenders, sample).items():
        for who in dict.fromkeys(seen_by):
            assert dataset is not None
            end = (
                "the rows that it was trained on are left out"
                if leave_out
                else "it may have seen some of the rows that this evaluation scores; "
                "with leakage 'exclude' such rows are left out for all"
            )
            warnings.append(
                f"{who} on another split of {dataset.name!r} (fraction {split.fraction:g}, "
                f"training share {split.train_share:g}, seed {split.seed}): {end}"
            )
    return warnings


def _recipe(
    contender: _Contender,
    contenders: Sequence[_Contender],
    choice: PromptChoice | None,
    sample: _Sample,
    generation: GenerationSettings,
    command: StartEvaluationJob,
) -> EvaluationRecipe:
    trained = _reference(contender, contenders)
    adapter = contender.adapter
    return EvaluationRecipe(
        model=recipe.model_source(contender.model),
        adapter=subject.source(adapter) if adapter else None,
        dataset=recipe.dataset_source(
            contender.dataset, choice, fraction=sample.fraction, train_share=sample.train_share, seed=sample.seed
        )
        if contender.dataset and choice
        else None,
        generation=generation,
        selected_features=command.selected_features or [],
        unseen_by=[
            RecordedSplit(dataset_fraction=split.fraction, train_test_split=split.train_share, split_seed=split.seed)
            for split in _others(contender, contenders, sample)
        ]
        if command.leakage == "exclude"
        else [],
        max_rows=command.max_rows,
        text_format=_text_format(contender, trained, choice),
        batch_size=command.batch_size,
        max_length=trained.training_arguments.max_length if trained else None,
        seed=sample.seed,
        num_cpu=command.num_cpu,
        num_gpu=command.num_gpu,
        num_memory_gb=command.num_memory,
    )


def _text_format(
    contender: _Contender, trained: FineTuningRecipe | None, choice: PromptChoice | None = None
) -> TextFormat:
    """As in training; a base model that cannot chat is not made to because another one was trained to."""
    if choice and choice.format == "text":
        return "plain"
    if trained and trained.text_format and (contender.model.has_chat_template or trained.text_format == "plain"):
        return trained.text_format
    return "chat" if contender.model.has_chat_template else "plain"


def _generation(known: Known, command: StartEvaluationJob, problems: list[Problem]) -> GenerationSettings | None:
    """Settings that greedy answers would ignore are refused."""
    asked = command.generation
    before = len(problems)
    if asked is None or isinstance(asked, GenerationSettings):
        found = asked or GenerationSettings()
    else:
        config, _ = recipe.config_layers(known, "generation", asked, "generation", problems)
        found = GenerationSettings.model_validate(config)
    if found.temperature == 0:
        usual = GenerationSettings()
        problems += [
            Problem(
                code=Code.INVALID,
                message=f"{name} has no effect on greedy answers",
                param=f"generation.{name}",
                hint="give a temperature above 0 as well, or leave it out",
            )
            for name in ("top_p", "top_k", "seed")
            if getattr(found, name) != getattr(usual, name)
        ]
    return found if len(problems) == before else None
