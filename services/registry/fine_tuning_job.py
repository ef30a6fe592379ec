"""Decides about fine-tunings: what a start resolves to, and what becomes of one that ended well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from tunebus.contracts.changes import SHORTCUTS
from tunebus.contracts.commands import CompleteAttempt, StartFineTuningJob, StopFineTuningJob
from tunebus.contracts.commands.fine_tuning_job import FineTuningFields
from tunebus.contracts.errors import Code, Problem, nearest
from tunebus.contracts.events import FineTuningJobAdded, JobSucceeded, Origin
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.recipes import (
    STEPS,
    USUAL_LEARNING_RATES,
    FineTuningRecipe,
    InitialWeights,
    LoraSettings,
    Method,
    TrainingArguments,
    UserScript,
)
from tunebus.contracts.subjects import FINE_TUNING_JOB
from tunebus.services.platform.decisions import Accepted, Decision
from tunebus.services.platform.rows.folders import split_rows
from tunebus.services.platform.rows.source import own_splits
from tunebus.services.platform.rows.split import own_test_split, split_sizes
from tunebus.services.registry import adapter, estimate, jobs, model, queue, recipe
from tunebus.services.registry.decision import happened, missing, refused, refused_all
from tunebus.services.registry.estimate import Facts
from tunebus.services.registry.jobs import Job
from tunebus.services.registry.known import Dataset, Known, Model
from tunebus.services.registry.model_folder import ModelFolder
from tunebus.services.registry.recipe import PromptChoice
from tunebus.services.registry.wanted import Wanted, given

METHODS = get_args(Method)
FRAMEWORKS = ("transformers",)


@dataclass(frozen=True)
class Asked:
    """What was found out before the decision: fields that are wrong in themselves, files that changed since, and the
    user's script where there is one (its config comes with the decision), and what an estimate is made from.
    """

    problems: Sequence[Problem] = ()
    script: UserScript | None = None
    facts: Facts | None = None

    @property
    def in_doubt(self) -> set[str]:
        """Fields that hold nothing worth judging."""
        return {str(problem.param).split(".")[0] for problem in self.problems}


def refer_start(wanted: Wanted, _facts: object, command: FineTuningFields) -> None:
    wanted.models.add(command.base_model_id)
    wanted.datasets.add(command.dataset_id)
    wanted.prompts.update(given(command.prompt_id))
    wanted.adapters.update(given(command.adapter_name))
    wanted.job_names.update(given(command.adapter_name))
    wanted.configs.update(given(command.training_arguments, command.lora, command.user_config))
    wanted.models.update(given(command.adapter_name))
    wanted.with_datasets_prompts = True
    wanted.jobs.update(command.depends_on)


@dataclass(frozen=True)
class Resolved:
    """What a start comes to: its recipe, and the things that it is made of."""

    recipe: FineTuningRecipe
    model: Model
    dataset: Dataset
    choice: PromptChoice


def start(
    known: Known,
    asked: Asked,
    command: StartFineTuningJob,
    *,
    origin: Origin | None = None,
    initial_weights: InitialWeights | None = None,
    trained_as: Mapping[str, Any] | None = None,
) -> Decision:
    """Everything that is wrong is said at once, with what is wrong in the fields themselves (`asked.problems`).
    `trained_as` is the recipe that the initial weights were made by."""
    job_id = new_id()
    found, problems = resolve(known, asked, command, job_id)
    if found is not None and trained_as is not None:
        problems = [*problems, *_of_another_shape(found.recipe, trained_as)]
    waits = queue.dependencies(known, command.depends_on, problems)
    if problems or found is None:
        return refused_all(problems)
    settled = found.recipe.model_copy(update={"initial_weights": initial_weights})
    needs = estimated(found, asked.facts)
    added = FineTuningJobAdded(
        base_model_id=found.model.id,
        dataset_id=found.dataset.id,
        prompt_id=found.choice.prompt_id,
        adapter_name=found.recipe.adapter_name,
        method=found.recipe.method,
        register_adapter=command.register_adapter,
        asked=command.model_dump(mode="json", exclude_unset=True),
        recipe=settled.model_dump(mode="json"),
        origin=origin,
        out_dir=f"artifact:jobs/{job_id}",
        priority=command.priority,
        depends_on=waits.depends_on,
        waiting_for=waits.waiting_for,
        labels=queue.without_doubles(command.labels),
        notes=command.notes,
        estimate=without_workers(needs),
        warnings=warnings(found, command, needs),
    )
    first = jobs.first_event(FINE_TUNING_JOB, job_id, hold=command.hold)
    return Accepted((happened(FINE_TUNING_JOB, job_id, added), first), id=job_id)


def _of_another_shape(wanted: FineTuningRecipe, trained_as: Mapping[str, Any]) -> list[Problem]:
    """Why weights that were made by one recipe cannot be put into the model of another."""
    found = []
    if wanted.model.sha256 != trained_as["model"]["sha256"]:
        message = "the weights were trained on another base model"
        found.append(Problem(code=Code.INVALID, message=message, param="changes.base_model_id", hint="leave it out"))
    if wanted.lora is None or not trained_as.get("lora"):
        return found
    before = LoraSettings.model_validate(trained_as["lora"])
    for name in ("r", "target_modules", "use_dora"):
        was, now = getattr(before, name), getattr(wanted.lora, name)
        if was != now and not (isinstance(was, list) and isinstance(now, list) and set(was) == set(now)):
            message = f"the weights were trained with {name} {was}, and do not fit {now}"
            hint = "leave it out, or clone the job: it then starts from the base model"
            found.append(Problem(code=Code.INVALID, message=message, param="changes.lora", hint=hint))
    return found


def estimated(found: Resolved, facts: Facts | None) -> dict[str, Any] | None:
    """What it will need; None where that cannot be told: a script of the user's own, a model of unknown shape."""
    model, dataset = found.model, found.dataset
    if facts is None or model.shape is None or found.recipe.user_script is not None:
        return None
    sizes = estimate.Sizes.of(model.parameters, model.vocabulary_size, model.context_length, model.shape)
    source = found.recipe.dataset
    rows = sizes_of_split(dataset, source.dataset_fraction, source.train_test_split)
    return estimate.estimate(found.recipe, sizes, *rows, facts)


def without_workers(document: dict[str, Any] | None) -> dict[str, Any] | None:
    """What is kept of an estimate: who was present is no part of the job."""
    return {name: value for name, value in document.items() if name != "workers"} if document else None


def resolve(
    known: Known, asked: Asked, command: FineTuningFields, job_id: str
) -> tuple[Resolved | None, list[Problem]]:
    """What a start comes to, or None, and everything that is wrong with it."""
    problems = [*asked.problems, *_unsupported(command)]
    in_doubt = asked.in_doubt
    model = _model(known, command, in_doubt, problems)
    dataset = _dataset(known, command, in_doubt, problems)
    prompt = known.prompts.get(command.prompt_id) if command.prompt_id else None
    if command.prompt_id and prompt is None:
        problems.append(missing("prompt", command.prompt_id, "prompt_id"))
    training, training_sources = _training_arguments(known, command, problems)
    lora, lora_sources = _lora(known, command, problems)
    user_script = _user_script(known, asked, command, problems)
    if command.adapter_name and (taken := _name_taken(known, command.adapter_name, command.method)):
        problems.append(
            Problem(code=Code.DUPLICATE_NAME, message=taken, param="adapter_name", hint="choose another name")
        )
    choice = None
    if dataset and (prompt or not command.prompt_id):
        choice = recipe.choose_prompt(dataset, prompt or known.only_prompt(dataset), problems)
    if dataset and choice:
        problems += recipe.untrainable(dataset, choice)
    if dataset:
        problems += _without_held_out_rows(dataset, training, command)
    text_format = recipe.text_format_of(command.text_format, model, choice, problems) if model else None
    if model:
        problems += recipe.too_long(training.max_length, [model], "max_length")
    if problems or not (model and dataset and choice):
        return None, problems
    if user_script is None:
        problems += _without_training_rows(dataset, command) or _beyond_all_steps(dataset, training, command)
        problems += _without_kernel(training, training_sources, command)
        problems += _no_modules(model, lora)
    if problems:
        return None, problems
    resolved = FineTuningRecipe(
        method="full" if command.method == "full" else "lora",
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
        user_script=user_script,
        reasons=_reasons(command, model, choice, training_sources),
        sources={
            **training_sources,
            **lora_sources,
            "dataset_fraction": _said("dataset_fraction", command),
            "train_test_split": _said("train_test_split", command),
            "text_format": "command" if command.text_format else "default",
            "prompt": "command" if command.prompt_id else "default",
            **{name: _said(name, command) for name in ("num_cpu", "num_gpu", "method")},
            "num_memory_gb": _said("num_memory", command),
        },
    )
    return Resolved(resolved, model, dataset, choice), problems


def stop(known: Known, _facts: None, command: StopFineTuningJob) -> Decision:
    job = known.job(FINE_TUNING_JOB, command.id)
    if job is None:
        return refused_all([missing("fine-tuning job", command.id, "id")])
    return jobs.stop(job, force=command.force)


@dataclass(frozen=True)
class MadeModel:
    """The model that a fine-tuning made, as its folder shows it, and the name it was to have."""

    name: str
    folder: ModelFolder


def complete(known: Known, made: MadeModel | None, job: Job, command: CompleteAttempt) -> Decision:
    """The job has succeeded and, unless told not to, its adapter or model is registered in the same transaction."""
    if command.outcome == "stopped":
        return jobs.stopped_by_itself(job, command.attempt, command.step)
    if command.result_uri is None or command.result_sha256 is None:
        return refused(
            Code.INVALID, "a finished fine-tuning has a result", param="result_uri", hint="give its URI and SHA-256"
        )
    problem = jobs.outside_attempt(job, command.attempt, command.result_uri, "result_uri")
    if problem:
        return refused_all([problem])
    is_model = job.added.get("method") == "full"
    if is_model != (command.result_type == "model") or (is_model and made is None):
        return refused(
            Code.INVALID,
            f"a fine-tuning by the method {job.added.get('method')} makes {'a model' if is_model else 'an adapter'}",
            param="result_type",
        )
    adapter_id = model_id = None
    events = []
    if is_model and made is not None and job.added.get("register_adapter", True):
        model_id, added = model.made_by_job(
            known,
            made.folder,
            name=made.name,
            job_id=job.id,
            base_model_id=job.added["base_model_id"],
        )
        events.append(added)
    elif job.added.get("register_adapter", True):
        adapter_id, added = adapter.made_by_job(
            known,
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
        model_id=model_id,
        early_stopping=command.early_stopping,
        metrics=command.metrics,
    )
    return Accepted((happened(job.kind, job.id, succeeded), *events), id=job.id)


def _unsupported(command: FineTuningFields) -> list[Problem]:
    """What this version cannot do is refused when it is asked for, never ignored."""
    found = []
    if command.method not in METHODS:
        found.append(_not_supported("method", command.method, METHODS))
    if command.framework_type not in FRAMEWORKS:
        found.append(_not_supported("framework_type", command.framework_type, FRAMEWORKS))
    if command.num_workers > 1:
        message = f"a fine-tuning runs in one process, not in {command.num_workers}"
        found.append(Problem(code=Code.NOT_SUPPORTED, message=message, param="num_workers", hint="leave it at 1"))
    if command.num_gpu > 1 and command.user_script is None:
        message = f"a fine-tuning runs on one GPU, not on {command.num_gpu}"
        hint = "ask for 1, or bring a script of your own that uses several"
        found.append(Problem(code=Code.NOT_SUPPORTED, message=message, param="num_gpu", hint=hint))
    if command.user_config is not None and command.user_script is None:
        message = "there is no user_script that it would be the config of"
        found.append(Problem(code=Code.INVALID, message=message, param="user_config", hint="name the user_script"))
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


def _model(known: Known, command: FineTuningFields, in_doubt: set[str], problems: list[Problem]) -> Model | None:
    if "base_model_id" in in_doubt:
        return None
    model = known.models.get(command.base_model_id)
    if model is None:
        problems.append(missing("model", command.base_model_id, "base_model_id"))
    return model


def _dataset(known: Known, command: FineTuningFields, in_doubt: set[str], problems: list[Problem]) -> Dataset | None:
    if "dataset_id" in in_doubt:
        return None
    dataset = known.datasets.get(command.dataset_id)
    if dataset is None:
        problems.append(missing("dataset", command.dataset_id, "dataset_id"))
    return dataset


def _name_taken(known: Known, name: str, method: str) -> str | None:
    """Who has the name of what is to be made (in words), or None. A model must not be named as another either."""
    if method == "full" and known.models.named(name) is not None:
        return f"a model is named {name!r}"
    return known.adapter_name_taken(name)


def _lora(
    known: Known, command: FineTuningFields, problems: list[Problem]
) -> tuple[LoraSettings | None, Mapping[str, recipe.Source]]:
    """None for a method that has no such settings."""
    if command.method == "full":
        if command.lora is not None:
            message = "the method full trains all weights and has no LoRA settings"
            hint = "leave it out, or take the method lora"
            problems.append(Problem(code=Code.INVALID, message=message, param="lora", hint=hint))
        return None, {}
    config, inline = recipe.config_layers(known, "lora", command.lora, "lora", problems)
    return recipe.layered(LoraSettings, config, inline)


def _user_script(known: Known, asked: Asked, command: FineTuningFields, problems: list[Problem]) -> UserScript | None:
    config, inline = recipe.config_layers(known, "custom", command.user_config, "user_config", problems)
    return asked.script.model_copy(update={"config": {**config, **inline}}) if asked.script else None


def _without_held_out_rows(dataset: Dataset, training: TrainingArguments, command: FineTuningFields) -> list[Problem]:
    """What looks at the held-out loss needs rows that are held out."""
    if command.train_test_split < 1 or own_test_split([name for name, _ in split_rows(dataset.files)]):
        return []
    wanted = [name for name in ("early_stopping_patience", "load_best_model_at_end") if getattr(training, name)]
    return [
        Problem(
            code=Code.INVALID,
            message=f"{name} looks at the held-out loss, and with train_test_split 1.0 no row is held out",
            param=name,
            hint="hold some rows out, for example with train_test_split 0.95",
        )
        for name in wanted
    ]


def _without_training_rows(dataset: Dataset, command: FineTuningFields) -> list[Problem]:
    """Shares that leave nothing to train on."""
    fraction, share = command.dataset_fraction, command.train_test_split
    train_rows, held_out = sizes_of_split(dataset, fraction, share)
    if train_rows:
        return []
    by_fraction = fraction < 1 and sizes_of_split(dataset, 1.0, share)[0] > 0
    asked = "train_test_split" in command.model_fields_set
    return [
        Problem(
            code=Code.INVALID,
            message=f"no row of dataset {dataset.name!r} is left to train on: dataset_fraction {fraction:g} takes "
            f"{held_out} of {dataset.rows}, and train_test_split {share:g} holds out {held_out}",
            param="dataset_fraction" if by_fraction else "train_test_split" if asked else "dataset_id",
            hint="use more of the rows" if by_fraction else "train_test_split 1.0 holds no row out",
        )
    ]


def _without_kernel(
    training: TrainingArguments, sources: Mapping[str, recipe.Source], command: FineTuningFields
) -> list[Problem]:
    """A precision that the processor cannot multiply in."""
    if training.precision != "float16" or command.num_gpu:
        return []
    param = "training_arguments" + (".precision" if sources.get("precision") == "command" else "")
    hint = "ask for num_gpu 1, or take precision auto: it chooses what the machine is fast at"
    return [Problem(code=Code.INVALID, message="precision float16 needs a GPU", param=param, hint=hint)]


def _no_modules(model: Model, lora: LoraSettings | None) -> list[Problem]:
    """Modules to adapt that the model has not, by the last part of their names. Where its layers are not known, peft
    says so when it looks."""
    if lora is None or model.shape is None or isinstance(lora.target_modules, str):
        return []
    known = sorted(model.shape["linear"])
    found = []
    for target in lora.target_modules:
        name = target.rpartition(".")[2]
        if name in known or name in _NOT_LINEAR:
            continue
        near = nearest(name, known)
        message = f"model {model.name!r} has no module {target!r}"
        hint = f"did you mean {near!r}?" if near else f"it has {', '.join(known)}"
        found.append(Problem(code=Code.INVALID, message=message, param="lora.target_modules", hint=hint))
    return found


_NOT_LINEAR = frozenset({"lm_head", "embed_tokens", "embed_out", "embed_in", "wte", "wpe", "word_embeddings"})
"""Heads and tables of embeddings: no linear layers, and yet adapted where they are named."""


def _beyond_all_steps(dataset: Dataset, training: TrainingArguments, command: FineTuningFields) -> list[Problem]:
    """Epochs that come to more steps than can be counted: such a job would never end."""
    train_rows, _ = sizes_of_split(dataset, command.dataset_fraction, command.train_test_split)
    _, steps = estimate.steps_of(training, train_rows)
    if steps < STEPS:
        return []
    message = f"{training.num_train_epochs:g} epochs are {steps:,} steps, more than a training can have"
    param = "num_epochs" if command.num_epochs is not None else "training_arguments"
    return [Problem(code=Code.INVALID, message=message, param=param, hint="take fewer epochs, or a max_steps")]


def sizes_of_split(dataset: Dataset, fraction: float, train_share: float) -> tuple[int, int]:
    """Rows to train on, and held out."""
    return split_sizes(dataset.rows, fraction=fraction, train_share=train_share, splits=own_splits(list(dataset.files)))


def warnings(found: Resolved, command: FineTuningFields, needs: Mapping[str, Any] | None = None) -> list[str]:
    """What is allowed, and hardly what was meant. `needs` is the estimate, where there is one."""
    said = []
    rows = dict(split_rows(found.dataset.files))
    own = own_test_split(list(rows))
    if own is not None and "train_test_split" in command.model_fields_set:
        said.append(
            f"train_test_split {command.train_test_split:g} has no effect: dataset {found.dataset.name!r} has a split "
            f"{own!r} of its own, whose {rows[own]} rows are held out"
        )
    training, sources = found.recipe.training_arguments, found.recipe.sources
    if own is None and found.recipe.dataset.train_test_split == 1:
        said += [
            f"{name} has no effect: with train_test_split 1.0 no row is held out"
            for name in ("eval_steps", "eval_samples")
            if sources.get(name) == "command" and getattr(training, name)
        ]
    rate, (name, usual) = training.learning_rate, _USUAL_RATES[found.recipe.method]
    if rate > _FAR * usual and found.recipe.user_script is None:
        said.append(
            f"learning_rate {rate:g} is far above what {name} is trained with, up to {usual:g}: most models break down"
        )
    limit = estimate.memory_limit(found.recipe.num_gpu, found.recipe.num_memory_gb)
    if needs is not None and limit is not None and limit < needs["memory"]["total"]:
        least = "even with batches of one row" if limit < needs["least_memory"] else "with batches of this size"
        said.append(
            f"num_memory {found.recipe.num_memory_gb:g} GiB is too little {least}: the training is estimated to need "
            f"{needs['memory']['total'] / estimate.GIB:.2g} GiB"
        )
    return said


_USUAL_RATES = {"lora": ("LoRA", 5e-3), "full": ("a whole model", 5e-4)}
"""The upper end of what tables of fine-tuning settings give, as of 2026."""
_FAR = 5


def _reasons(
    command: FineTuningFields, model: Model, choice: PromptChoice, sources: Mapping[str, recipe.Source]
) -> dict[str, str]:
    """Why a default is what it is, where the word default would not tell."""
    found = {}
    if command.text_format is None:
        template = "has a chat template" if model.has_chat_template else "has no chat template"
        found["text_format"] = "the dataset holds plain text" if choice.format == "text" else f"the model {template}"
    if command.prompt_id is None:
        found["prompt"] = (
            "the dataset's only prompt" if choice.prompt_id
            else "made from the names of the columns" if choice.templates
            else "the rows hold prompt and answer already"
        )  # fmt: skip
    if command.method == "full" and sources.get("learning_rate") == "default":
        found["learning_rate"] = "the method full: a tenth of what LoRA takes"
    return found


def _training_arguments(
    known: Known, command: FineTuningFields, problems: list[Problem]
) -> tuple[TrainingArguments, Mapping[str, recipe.Source]]:
    config, inline = recipe.config_layers(
        known, "training_arguments", command.training_arguments, "training_arguments", problems
    )
    shortcuts: dict[str, Any] = {
        name: getattr(command, field) for field, name in SHORTCUTS.items() if getattr(command, field) is not None
    }
    training, sources = recipe.layered(TrainingArguments, config, {**inline, **shortcuts})
    if command.method == "full" and sources["learning_rate"] == "default":
        training = training.model_copy(update={"learning_rate": USUAL_LEARNING_RATES["full"]})
    return training, sources


def _said(field: str, command: FineTuningFields) -> recipe.Source:
    return "command" if field in command.model_fields_set else "default"
