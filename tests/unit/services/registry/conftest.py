"""What decisions are tested with: a small studio in memory, commands by name, and events folded as the ledger would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tunebus.contracts import commands as ask
from tunebus.contracts.errors import Problem
from tunebus.contracts.events import RecordedEvent
from tunebus.contracts.identifiers import new_id
from tunebus.services.platform.decisions import Accepted, Decision, NewEvent, Rejected
from tunebus.services.registry.dataset import PreparedDataset
from tunebus.services.registry.domain import handlers
from tunebus.services.registry.fine_tuning_job import Asked
from tunebus.services.registry.known import Known
from tunebus.services.registry.model_folder import ModelFolder

HASH = "0" * 64


class Studio:
    """Decides and folds, with no database."""

    def __init__(self, max_crash_retries: int = 2) -> None:
        self.known = Known()
        self.events: list[RecordedEvent] = []
        self._handlers = handlers(max_crash_retries)

    def decide(self, command: ask.Command | Any, facts: Any = None) -> Decision:
        decision = self._handlers[type(command)].decide(self.known, facts, command)
        if isinstance(decision, Accepted):
            self.fold(decision.events)
        return decision

    def fold(self, events: Sequence[NewEvent]) -> None:
        for event in events:
            recorded = RecordedEvent(
                position=len(self.events) + 1,
                event_id=new_id(),
                aggregate=event.aggregate,
                entity_id=event.entity_id,
                version=1 + sum(e.entity_id == event.entity_id for e in self.events),
                type=event.type,
                schema_version=event.schema_version,
                data=event.data,
                recorded_at="2026-01-01T00:00:00.000000Z",
            )
            self.events.append(recorded)
            self.known.fold(recorded)

    def accept(self, command: ask.Command | Any, facts: Any = None) -> Accepted:
        decision = self.decide(command, facts)
        assert isinstance(decision, Accepted), decision
        return decision

    def refuse(self, command: ask.Command | Any, facts: Any = None) -> Problem:
        before = len(self.events)
        decision = self.decide(command, facts)
        assert isinstance(decision, Rejected), decision
        assert len(self.events) == before
        return decision.problem

    # Things ---------------------------------------------------------------------------------------------------------

    def dataset(self, name: str = "faq", features: Sequence[str] = ("question", "answer"), **facts: Any) -> str:
        values = {"location": "/data/faq.csv", "type": "csv", "format": "prompt", "rows": 100, "bytes": 1, **facts}
        file = PreparedDataset(features=list(features), **{"sha256": HASH, **values})
        return str(self.accept(ask.AddDataset(name=name, path="x"), file).id)

    def model(self, name: str = "base", **facts: Any) -> str:
        values = {
            "location": "/models/base",
            "architecture": "LlamaForCausalLM",
            "model_family": "llama",
            "parameters": 1,
            "dtype": "bfloat16",
            "context_length": 512,
            "vocabulary_size": 4096,
            "has_chat_template": True,
            "bytes": 1,
            "sha256": HASH,
            **facts,
        }
        return str(self.accept(ask.AddModel(name=name, path="x"), ModelFolder(**values)).id)

    def job(self, **fields: Any) -> str:
        """A queued fine-tuning of `base` on `faq`, which are made when they are not there."""
        if self.known.datasets.get("faq") is None:
            self.dataset()
        if self.known.models.get("base") is None:
            self.model()
        command = ask.StartFineTuningJob(**{"base_model_id": "base", "dataset_id": "faq", **fields})
        return str(self.accept(command, Asked()).id)

    def start(self, job_id: str, worker: str = "w1") -> int:
        """A worker claims the job; returns the attempt."""
        from tunebus.services.registry import jobs

        decision = jobs.claim(self.known.jobs[job_id], worker, "here")
        assert isinstance(decision, Accepted)
        self.fold(decision.events)
        return self.known.jobs[job_id].attempt

    def finish(self, job_id: str, attempt: int) -> Accepted:
        folder = f"artifact:jobs/{job_id}/attempt-{attempt}"
        return self.accept(
            ask.CompleteAttempt(
                job_id=job_id,
                attempt=attempt,
                outcome="finished",
                step=10,
                result_uri=f"{folder}/adapter",
                result_sha256=HASH,
            )
        )

    def trained_adapter(self, **fields: Any) -> str:
        """The name of an adapter that a job made."""
        job_id = self.job(**fields)
        self.finish(job_id, self.start(job_id))
        return self.known.jobs[job_id].name

    def state(self, job_id: str) -> str:
        return str(self.known.jobs[job_id].state)

    def types(self, decision: Accepted) -> list[str]:
        return [event.type for event in decision.events]

    def recipe(self, job_id: str) -> Mapping[str, Any]:
        return self.known.jobs[job_id].recipe


def fields_of(problem: Problem) -> dict[str | None, str]:
    """Each wrong field of a problem with its code."""
    return {found.param: found.code.value for found in problem.details or [problem]}


@pytest.fixture
def studio() -> Studio:
    return Studio()


@pytest.fixture
def make_studio() -> type[Studio]:
    return Studio


@pytest.fixture
def params() -> Any:
    return fields_of
