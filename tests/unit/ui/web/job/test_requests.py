"""The same for many jobs at once: what became of each is said, and asking again does nothing twice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.ui.web.acting import Asking, Done
from tunebus.ui.web.job.requests import ACTIONS, find


@dataclass
class Ledger:
    """A studio whose jobs are in memory; `sent` holds (command, data, command id)."""

    jobs: dict[str, dict[str, Any]]
    refuses: dict[str, TunebusError] = field(default_factory=dict)
    sent: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)

    async def ask(self, name: str, *, id: str) -> dict[str, Any]:
        job = self.jobs.get(id)
        if job is None or name != {"fine_tuning_job": "GetFineTuningJob", "export_job": "GetExportJob"}[job["kind"]]:
            raise fail(Code.NOT_FOUND, f"no job {id!r}")
        return job

    async def send(self, command: str, data: dict[str, Any], command_id: str) -> Any:
        self.sent.append((command, data, command_id))
        refusal = self.refuses.get(data.get("job_id", data.get("id", "")))
        if refusal is not None and command != "CloneFineTuningJob":
            raise refusal
        return SimpleNamespace(id="made")


@pytest.fixture
def ledger() -> Ledger:
    tuned = {"id": "t", "kind": "fine_tuning_job", "adapter_name": "faq", "labels": ["Kept"], "notes": ""}
    other = {
        "id": "o",
        "kind": "fine_tuning_job",
        "adapter_name": "other",
        "labels": [],
        "suggestion": {"method": "lora"},
    }
    export = {"id": "e", "kind": "export_job", "base_model_id": "m", "base_model_name": "tiny", "labels": []}
    return Ledger({"t": tuned, "o": other, "e": export})


def do(ledger: Ledger, name: str, data: dict[str, Any], asked: str = "") -> Done:
    asking = Asking(ledger, data, asked or str(uuid4()))  # type: ignore[arg-type]
    return asyncio.run(ACTIONS[name](asking))  # type: ignore[arg-type]


def test_each_kind_is_stopped_by_its_own_command(ledger: Ledger) -> None:
    assert do(ledger, "stop_jobs", {"ids": ["t", "e", "t"]}).words == "2 jobs are told to stop."
    assert sorted((command, data["id"]) for command, data, _ in ledger.sent) == [
        ("StopExportJob", "e"),
        ("StopFineTuningJob", "t"),
    ]


def test_asking_again_sends_the_same_commands(ledger: Ledger) -> None:
    asked = str(uuid4())
    for _ in range(2):
        do(ledger, "hold_jobs", {"ids": ["t", "o"]}, asked)
    ids = [command_id for *_, command_id in ledger.sent]
    assert sorted(ids[:2]) == sorted(ids[2:])
    assert len(set(ids)) == 2


def test_those_that_are_refused_are_named(ledger: Ledger) -> None:
    ledger.refuses["o"] = fail(Code.WRONG_STATE, "it has ended")
    words = do(ledger, "hold_jobs", {"ids": ["t", "o", "gone"]}).words
    assert words.startswith("One job held.")
    assert "other: it has ended." in words
    assert "gone: no job 'gone'." in words


def test_a_job_that_is_not_there_is_of_no_kind(ledger: Ledger) -> None:
    with pytest.raises(TunebusError, match="no job 'gone'") as caught:
        asyncio.run(find(ledger, "gone"))  # type: ignore[arg-type]
    assert caught.value.problem.param == "id"


def test_when_all_are_refused_it_is_an_error(ledger: Ledger) -> None:
    ledger.refuses["o"] = fail(Code.WRONG_STATE, "it has ended")
    with pytest.raises(TunebusError, match="it has ended") as caught:
        do(ledger, "hold_jobs", {"ids": ["o"]})
    assert [one.param for one in caught.value.problem.details or []] == ["other"]


def test_what_is_not_known_to_have_happened_is_asked_again_as_a_whole(ledger: Ledger) -> None:
    ledger.refuses["o"] = fail(Code.NOT_CONFIRMED, "not confirmed yet")
    with pytest.raises(TunebusError, match="not confirmed"):
        do(ledger, "hold_jobs", {"ids": ["t", "o"]})


def test_labels_are_added_and_taken_away_whatever_their_case(ledger: Ledger) -> None:
    do(ledger, "label_jobs", {"ids": ["t"], "add": ["night", "NIGHT "], "remove": ["kept"]})
    assert ledger.sent[0][:2] == ("LabelJob", {"job_id": "t", "labels": ["night"]})
    do(ledger, "label_jobs", {"ids": ["t"], "add": ["kept"]})
    assert ledger.sent[1][1]["labels"] == ["Kept"]


@pytest.mark.parametrize("ids", [None, [], "t", [3, None], ["x"] * 3, [f"{n}" for n in range(1000)]])
def test_rubbish_is_refused(ledger: Ledger, ids: Any) -> None:
    with pytest.raises(TunebusError):
        do(ledger, "stop_jobs", {"ids": ids})
    assert ledger.sent == []


def test_only_what_is_new_is_written(ledger: Ledger) -> None:
    do(ledger, "annotate_job", {"id": "t", "labels": ["Kept"], "notes": "new"})
    assert [command for command, *_ in ledger.sent] == ["NoteJob"]


def test_a_suggestion_that_makes_another_job_is_a_clone(ledger: Ledger) -> None:
    ledger.refuses["o"] = fail(Code.NOT_SUPPORTED, "the suggested change of method makes it another job")
    assert do(ledger, "retry_suggested", {"id": "o"}).goto == "/jobs?id=made"
    assert [command for command, *_ in ledger.sent] == ["RetryFineTuningJob", "CloneFineTuningJob"]
    assert ledger.sent[1][1] == {"id": "o", "changes": {"method": "lora"}}


def test_other_settings_of_a_clone_are_an_object(ledger: Ledger) -> None:
    do(ledger, "derive_job", {"id": "t", "changes": {"seed": 7}, "more": {"lora": {"r": 4}}, "adapter_name": "again"})
    assert ledger.sent[0][:2] == (
        "CloneFineTuningJob",
        {"id": "t", "changes": {"seed": 7, "lora": {"r": 4}}, "adapter_name": "again"},
    )
    with pytest.raises(TunebusError) as caught:
        do(ledger, "derive_job", {"id": "t", "more": "r=4"})
    assert caught.value.problem.param == "more"


def test_a_clone_keeps_what_a_suggestion_changed(ledger: Ledger) -> None:
    ledger.jobs["t"]["changes"] = {"max_length": [2, 96], "optim": ["adamw_torch", "adafactor"]}
    do(ledger, "derive_job", {"id": "t", "by": "branch", "changes": {"seed": 7}, "step": 20})
    assert ledger.sent[0][:2] == (
        "BranchFineTuningJob",
        {"id": "t", "changes": {"max_length": 96, "seed": 7}, "step": 20},
    )
