"""What a decision may know of the rest of the studio: the entities its command refers to, by id or by name.

Loaded once a batch by `domain`, then kept current by folding in the batch's own events. It reads no SQL itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from tunebus.contracts import subjects
from tunebus.contracts.events import RecordedEvent
from tunebus.contracts.recipes import DataFormat
from tunebus.services.platform.rows.reading import FileType
from tunebus.services.registry import jobs
from tunebus.services.registry.jobs import Job


@dataclass(frozen=True)
class Dataset:
    id: str
    name: str
    type: FileType
    location: str
    format: DataFormat
    features: list[str]
    rows: int
    bytes: int
    sha256: str


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


@dataclass(frozen=True)
class Adapter:
    id: str
    name: str
    model_id: str
    location: str
    sha256: str
    fine_tuning_job_id: str | None
    prompt_id: str | None


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

    @property
    def name(self) -> str:
        return f"{self.type}:{self.sha256}"


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
    job_names: dict[str, str] = field(default_factory=dict)
    """Adapter name of a fine-tuning job -> its id; such a name is taken, whatever became of the job."""
    prompts_of: dict[str, dict[str, Prompt]] = field(default_factory=dict)
    """Dataset id -> its prompts by id, for the datasets that a batch starts jobs on."""

    def job(self, kind: str, reference: str) -> Job | None:
        """A job by id, or a fine-tuning job by its adapter's name."""
        found = self.jobs.get(reference)
        if found is None and kind == subjects.FINE_TUNING_JOB:
            found = self.jobs.get(self.job_names.get(reference.strip(), ""))
        return found if found is not None and found.kind == kind else None

    def only_prompt(self, dataset: Dataset) -> Prompt | None:
        """The prompt of a dataset of plain columns that has exactly one: who wrote it means it to be used."""
        if dataset.format != "prompt":
            return None
        found = list(self.prompts_of.get(dataset.id, {}).values())
        return found[0] if len(found) == 1 else None

    def put_prompt(self, prompt: Prompt) -> None:
        self.prompts.put(prompt)
        self.prompts_of.setdefault(prompt.dataset_id, {})[prompt.id] = prompt

    def adapter_name_taken(self, name: str) -> str | None:
        """Who has this adapter name (in words), or None when it is free."""
        if self.adapters.named(name):
            return f"an adapter is named {name!r}"
        return f"a fine-tuning job makes {name!r}" if name.strip() in self.job_names else None

    def fold(self, event: RecordedEvent) -> None:
        """Take an event appended in this batch into account."""
        data = event.data
        if event.aggregate in subjects.JOB_KINDS:
            job = jobs.evolve(self.jobs.get(event.entity_id), event)
            self.jobs[event.entity_id] = job
            if event.type == "FineTuningJobAdded":
                self.job_names[data["adapter_name"].strip()] = event.entity_id
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
    return Config(id=row["id"], type=row["type"], config=row["config"], sha256=row["sha256"])
