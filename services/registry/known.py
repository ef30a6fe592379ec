"""What a decision may know of the rest of the studio: the entities its command refers to, by id or by name.

Loaded once a batch by `domain`, then kept current by folding in the batch's own events. It reads no SQL itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from tunebus.contracts import subjects
from tunebus.contracts.events import RecordedEvent
from tunebus.contracts.recipes import DataFormat, DatasetFile
from tunebus.services.registry import jobs
from tunebus.services.registry.hub_source import HubSource
from tunebus.services.registry.jobs import Job


@dataclass(frozen=True)
class Dataset:
    id: str
    name: str
    type: str
    location: str
    format: DataFormat
    features: list[str]
    rows: int
    bytes: int
    sha256: str
    hub: HubSource | None = None
    column_mapping: Mapping[str, str] = field(default_factory=dict)
    skip_broken: bool = False
    files: Sequence[DatasetFile] = ()


@dataclass(frozen=True)
class RemovedDataset:
    """One that is in no list any longer. `location` is that of the studio's copy of its upload, if it was one."""

    id: str
    name: str
    location: str | None
    files_deleted: bool = False


@dataclass(frozen=True)
class Model:
    id: str
    name: str
    location: str
    architecture: str
    model_family: str
    context_length: int | None
    has_chat_template: bool
    sha256: str
    fine_tuning_job_id: str | None = None
    hub: HubSource | None = None
    remote_code: Sequence[str] = ()
    parameters: int = 0
    vocabulary_size: int | None = None
    shape: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Adapter:
    id: str
    name: str
    model_id: str
    location: str
    sha256: str
    fine_tuning_job_id: str | None
    prompt_id: str | None
    hub: HubSource | None = None


@dataclass(frozen=True)
class Prompt:
    id: str
    name: str
    dataset_id: str
    prompt_template: str
    input_template: str
    completion_template: str


@dataclass(frozen=True)
class Config:
    """A config has no name: its type and the hash of its body stand for it."""

    id: str
    type: str
    config: Mapping[str, Any]
    sha256: str
    description: str
    model_family: str | None
    is_default: bool

    @property
    def name(self) -> str:
        return f"{self.type}:{self.sha256}"


@dataclass(frozen=True, order=True)
class Place:
    """A waiting job's place among those of its kind and priority: lower ranks go first."""

    rank: str
    job_id: str


Entity = TypeVar("Entity", Dataset, Model, Adapter, Prompt, Config)


class Shelf(Generic[Entity]):
    """Entities of one aggregate. `get` takes an id or a name; an id wins."""

    def __init__(self) -> None:
        self._by_id: dict[str, Entity] = {}
        self._by_name: dict[str, Entity] = {}

    def put(self, entity: Entity) -> None:
        self._by_id[entity.id] = entity
        self._by_name[entity.name.strip()] = entity

    def get(self, reference: str) -> Entity | None:
        return self._by_id.get(reference) or self._by_name.get(reference.strip())

    def ids(self) -> list[str]:
        return list(self._by_id)

    def __iter__(self) -> Iterator[Entity]:
        return iter(list(self._by_id.values()))

    def rename(self, entity_id: str, name: str) -> None:
        """An entity that this batch does not know has no name here to change."""
        entity = self.remove(entity_id)
        if entity is not None:
            self.put(replace(entity, name=name))  # type: ignore[call-arg]  # a config is never renamed

    def remove(self, entity_id: str) -> Entity | None:
        """What was there; its name is free again."""
        entity = self._by_id.pop(entity_id, None)
        if entity is not None and self._by_name.get(entity.name.strip()) is entity:
            del self._by_name[entity.name.strip()]
        return entity

    def named(self, name: str) -> Entity | None:
        return self._by_name.get(name.strip())


@dataclass
class Known:
    """One batch's view. Jobs are whole aggregates; of the others only what decisions ask about."""

    datasets: Shelf[Dataset] = field(default_factory=Shelf)
    models: Shelf[Model] = field(default_factory=Shelf)
    adapters: Shelf[Adapter] = field(default_factory=Shelf)
    prompts: Shelf[Prompt] = field(default_factory=Shelf)
    configs: Shelf[Config] = field(default_factory=Shelf)
    jobs: dict[str, Job] = field(default_factory=dict)
    removed_jobs: dict[str, Job] = field(default_factory=dict)
    job_names: dict[str, str] = field(default_factory=dict)
    """Adapter name of a fine-tuning job -> its id; such a name is taken, whatever became of the job."""
    runs: dict[str, str] = field(default_factory=dict)
    """Hash of the files of a run that was imported -> its job's id, for those that a batch imports."""
    prompts_of: dict[str, dict[str, Prompt]] = field(default_factory=dict)
    """Dataset id -> its prompts by id, for the datasets that a batch starts jobs on."""
    removed_datasets: dict[str, RemovedDataset] = field(default_factory=dict)
    """Those whose copies a batch gives up."""
    gone: dict[str, str] = field(default_factory=dict)
    """Id -> last name of what was removed, for the parts of jobs that a batch starts again."""
    queues: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    """Job id -> kind, priority and rank of every job that waits, for batches that move jobs."""
    dependencies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Job id -> the ids of those it depends on, for the jobs that a batch's commands lead to."""
    makers: dict[str, str | None] = field(default_factory=dict)
    """Model id -> the fine-tuning that made it, for the models that trainings began with, removed or not."""

    def shelf(self, aggregate: str) -> Shelf[Any] | None:
        """The entities of an aggregate that is no job."""
        shelves: dict[str, Shelf[Any]] = {
            subjects.DATASET: self.datasets,
            subjects.MODEL: self.models,
            subjects.ADAPTER: self.adapters,
            subjects.PROMPT: self.prompts,
            subjects.CONFIG: self.configs,
        }
        return shelves.get(aggregate)

    def job(self, kind: str, reference: str) -> Job | None:
        """A job by id, or a fine-tuning job by its adapter's name."""
        found = self.jobs.get(reference)
        if found is None and kind == subjects.FINE_TUNING_JOB:
            found = self.jobs.get(self.job_names.get(reference.strip(), ""))
        return found if found is not None and found.kind == kind else None

    def any_job(self, reference: str) -> Job | None:
        """A job of whatever kind by id, or a fine-tuning job by its adapter's name."""
        return next((job for kind in subjects.JOB_KINDS if (job := self.job(kind, reference))), None)

    def line(self, kind: str, priority: int) -> list[Place]:
        """The jobs of a kind and priority that wait, in order."""
        return sorted(
            Place(rank, job_id)
            for job_id, (of_kind, of_priority, rank) in self.queues.items()
            if (of_kind, of_priority) == (kind, priority)
        )

    def dependants(self, job_id: str) -> list[Job]:
        """The jobs that depend on one, in the order added."""
        return sorted((job for job in self.jobs.values() if job_id in job.depends_on), key=lambda job: job.id)

    def all_dependencies(self, job_id: str) -> set[str]:
        """All that a job depends on, through whatever others."""
        found: set[str] = set()
        left = [job_id]
        while left:
            for other in self.dependencies.get(left.pop(), ()):
                if other not in found:
                    found.add(other)
                    left.append(other)
        return found

    def before(self, job: Job) -> list[str]:
        """The trainings whose weights a training began with: a branch's origin, and what made its base model."""
        base = str(job.added.get("base_model_id"))
        model = self.models.get(base)
        maker = model.fine_tuning_job_id if model else self.makers.get(base)
        origin = (job.recipe.get("initial_weights") or {}).get("job_id")
        return [job_id for job_id in (origin, maker) if job_id]

    def only_prompt(self, dataset: Dataset) -> Prompt | None:
        """The prompt of a dataset of plain columns that has exactly one: who wrote it means it to be used."""
        if dataset.format != "prompt":
            return None
        found = list(self.prompts_of.get(dataset.id, {}).values())
        return found[0] if len(found) == 1 else None

    def put_prompt(self, prompt: Prompt) -> None:
        self.prompts.put(prompt)
        self.prompts_of.setdefault(prompt.dataset_id, {})[prompt.id] = prompt

    def adapter_name_taken(self, name: str, *, but: Adapter | None = None, made_by: Job | None = None) -> str | None:
        """Who has this adapter name (in words), or None when it is free.

        Neither the adapter that is to bear it stands in its own way nor the job that made it, once that has ended.
        """
        found = self.adapters.named(name)
        if found is not None and (but is None or found.id != but.id):
            return f"an adapter is named {name!r}"
        job_id = self.job_names.get(name.strip())
        if job_id is None or (made_by is not None and made_by.id == job_id and made_by.state in jobs.ENDED):
            return None
        return f"a fine-tuning job makes {name!r}"

    def fold(self, event: RecordedEvent) -> None:
        """Take an event appended in this batch into account."""
        data = event.data
        if event.type.endswith("Removed"):
            self.gone[event.entity_id] = data["name"]
        if event.aggregate in subjects.JOB_KINDS:
            job = jobs.evolve(self.jobs.get(event.entity_id) or self.removed_jobs.get(event.entity_id), event)
            self.put_job(job)
            if event.type in ("FineTuningJobAdded", "ImportedJobAdded"):
                self.job_names[data["adapter_name"].strip()] = event.entity_id
            if event.type == "ImportedJobAdded":
                self.runs[data["imported"]["sha256"]] = event.entity_id
            return
        match event.type:
            case "DatasetAdded":
                self.datasets.put(dataset_of({"id": event.entity_id, **data}))
            case "ModelAdded":
                self.models.put(model_of({"id": event.entity_id, **data}))
            case "AdapterAdded":
                self.adapters.put(adapter_of({"id": event.entity_id, **data}))
            case "PromptAdded":
                self.put_prompt(prompt_of({"id": event.entity_id, **data}))
            case "ConfigAdded":
                self.configs.put(config_of({"id": event.entity_id, **data}))
            case "DatasetRenamed":
                self.datasets.rename(event.entity_id, data["name"])
            case "ModelRenamed":
                self.models.rename(event.entity_id, data["name"])
            case "AdapterRenamed":
                self.adapters.rename(event.entity_id, data["name"])
            case "PromptRenamed":
                self.prompts.rename(event.entity_id, data["name"])
                for prompts in self.prompts_of.values():
                    if event.entity_id in prompts:
                        prompts[event.entity_id] = replace(prompts[event.entity_id], name=data["name"])
            case "ConfigDescribed":
                config = self.configs.remove(event.entity_id)
                if config is not None:
                    self.configs.put(replace(config, **data))
            case "DatasetRemoved":
                self.datasets.remove(event.entity_id)
                gone = RemovedDataset(event.entity_id, data["name"], data.get("location"))
                self.removed_datasets[event.entity_id] = gone
            case "DatasetFilesDeleted":
                gone = self.removed_datasets[event.entity_id]
                self.removed_datasets[event.entity_id] = replace(gone, files_deleted=True)
            case "ModelRemoved":
                self.models.remove(event.entity_id)
            case "AdapterRemoved":
                self.adapters.remove(event.entity_id)
            case "PromptRemoved":
                self.prompts.remove(event.entity_id)
                for prompts in self.prompts_of.values():
                    prompts.pop(event.entity_id, None)
            case "ConfigRemoved":
                self.configs.remove(event.entity_id)

    def put_job(self, job: Job) -> None:
        """A removed job is found by its id alone, and only by what looks among the removed."""
        self.dependencies[job.id] = job.depends_on
        if job.is_waiting:
            self.queues[job.id] = (job.kind, job.priority, job.rank)
        else:
            self.queues.pop(job.id, None)
        if not job.removed:
            self.jobs[job.id] = job
            return
        self.jobs.pop(job.id, None)
        self.removed_jobs[job.id] = job
        self.runs = {sha256: job_id for sha256, job_id in self.runs.items() if job_id != job.id}
        if self.job_names.get(job.name) == job.id:
            del self.job_names[job.name]


def hub_source_of(row: Mapping[str, Any]) -> HubSource | None:
    if not row.get("huggingface_name"):
        return None
    return HubSource(row["huggingface_name"], row["revision"], row.get("config_name"), row.get("split"))


def dataset_of(row: Mapping[str, Any]) -> Dataset:
    """From a projection's row, or from the id and data of the adding event."""
    return Dataset(
        id=row["id"],
        name=row["name"],
        type=row["type"],
        location=row["location"],
        format=row["format"],
        features=list(row["features"]),
        rows=row["rows"],
        bytes=row["bytes"],
        sha256=row["sha256"],
        hub=hub_source_of(row),
        column_mapping=dict(row.get("column_mapping") or {}),
        skip_broken=bool(row.get("skip_broken")),
        files=[DatasetFile.model_validate(file) for file in row.get("files") or ()],
    )


def model_of(row: Mapping[str, Any]) -> Model:
    return Model(
        id=row["id"],
        name=row["name"],
        location=row["location"],
        architecture=row["architecture"],
        model_family=row["model_family"],
        context_length=row["context_length"],
        has_chat_template=bool(row["has_chat_template"]),
        sha256=row["sha256"],
        fine_tuning_job_id=row.get("fine_tuning_job_id"),
        hub=hub_source_of(row),
        remote_code=row.get("remote_code") or (),
        parameters=row["parameters"],
        vocabulary_size=row["vocabulary_size"],
        shape=row.get("shape"),
    )


def adapter_of(row: Mapping[str, Any]) -> Adapter:
    return Adapter(
        id=row["id"],
        name=row["name"],
        model_id=row["model_id"],
        location=row["location"],
        sha256=row["sha256"],
        fine_tuning_job_id=row["fine_tuning_job_id"],
        prompt_id=row["prompt_id"],
        hub=hub_source_of(row),
    )


def prompt_of(row: Mapping[str, Any]) -> Prompt:
    return Prompt(
        id=row["id"],
        name=row["name"],
        dataset_id=row["dataset_id"],
        prompt_template=row["prompt_template"],
        input_template=row["input_template"],
        completion_template=row["completion_template"],
    )


def config_of(row: Mapping[str, Any]) -> Config:
    return Config(
        id=row["id"],
        type=row["type"],
        config=row["config"],
        sha256=row["sha256"],
        description=row["description"],
        model_family=row["model_family"],
        is_default=bool(row["is_default"]),
    )
