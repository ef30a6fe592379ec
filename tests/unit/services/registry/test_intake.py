"""From bytes to a command: what is refused with its id, and what nobody can be answered about."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tunebus.contracts import commands as ask
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.subjects import Subjects
from tunebus.services.registry.intake import receive

SUBJECTS = Subjects()
ID = "0197a3f2-7c00-7000-8000-000000000001"
OTHER = "0197a3f2-7c00-7000-8000-000000000002"
PROMPT = SUBJECTS.command("prompt", "AddPrompt")
START = SUBJECTS.command("fine_tuning_job", "StartFineTuningJob")


def taken(document: Any, subject: str = PROMPT) -> Any:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return receive(body, subject, SUBJECTS, {})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"not json",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b'{"type": "AddPrompt", "data": {}}',
        b'{"id": 7, "type": "AddPrompt"}',
        b'{"id": "no uuid", "type": "AddPrompt"}',
        b'{"id": "%s", "id": "%s", "type": "AddPrompt", "data": NaN}' % (ID.encode(), OTHER.encode()),
        b'{"data": {"id": "%s", "x": NaN}}' % ID.encode(),
        b'{"data": NaN, "name": "id", "%s": 1}' % ID.encode(),
        b'{"id": ["%s"], "data": NaN}' % ID.encode(),
        b'["id", "%s", NaN]' % ID.encode(),
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"x" * 2_000_000,
    ],
)
def test_what_has_no_usable_id_cannot_be_answered(body: bytes) -> None:
    with pytest.raises(TunebusError) as refused:
        taken(body)
    assert refused.value.problem.code in ("malformed", "too_large")


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"id": ID}, "malformed"),
        ({"id": ID, "type": 7}, "malformed"),
        ({"id": ID, "type": "AddPrompt", "data": []}, "malformed"),
        ({"id": ID, "type": "AddPrompt", "expectedversion": -1}, "malformed"),
        ({"id": ID, "type": "AddPromt", "data": {}}, "unknown_type"),
        ({"id": ID, "type": "AddPrompt", "data": {"nmae": "x"}}, "unknown_field"),
        ({"id": ID, "type": "AddDataset", "data": {"name": "x", "path": "y"}}, "invalid"),
    ],
)
def test_what_has_an_id_is_refused_under_it(document: Any, code: str) -> None:
    found = taken(document)
    assert found.envelope.id == ID
    assert found.rejection is not None
    assert found.rejection.code in (code, "invalid")
    assert code in {found.rejection.code.value, *(d.code.value for d in found.rejection.details or ())}


@pytest.mark.parametrize(
    "rest",
    [
        b'"data": {"text": "' + b'\\"' * 600_000,  # a text without an end, and longer than a message may be
        b'"data": {"x": NaN}}',
        b'"id": "%s"}' % ID.encode(),
        b'"data": {"name": "a\\u0000b"}}',
        b'"data": {"name": "\\ud800"}}',
        b'"data": {"id": "another", "x": 1e999}}',
        b'"data": {"name": "\xff"}}',
        b'"data": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'"data": {"name": "cut o',
        b'"data": "' + b"x" * 2_000_000 + b'"}',
    ],
)
def test_what_is_no_strict_json_is_refused_under_its_id_where_that_can_be_read(rest: bytes) -> None:
    found = taken(b'{"type": "AddPrompt", "id": "%s", ' % ID.encode() + rest)
    assert found.envelope.id == ID
    assert found.envelope.type == "unknown"
    assert found.rejection.code in ("malformed", "too_large")


def test_another_malformed_body_under_the_same_id_is_another_body() -> None:
    one, other = taken({"id": ID, "type": 7}), taken({"id": ID, "type": 8})
    assert one.envelope.body_hash != other.envelope.body_hash
    assert one.envelope.body_hash == taken({"id": ID, "type": 7}).envelope.body_hash


def test_a_command_counts_only_on_its_own_subject() -> None:
    document = {"id": ID, "type": "AddModel", "data": {"name": "m", "path": "p"}}
    found = taken(document, SUBJECTS.command("dataset", "AddModel"))
    assert found.rejection is not None
    assert SUBJECTS.command("model", "AddModel") in str(found.rejection.hint)
    assert taken(document, SUBJECTS.command("model", "AddModel")).rejection is None


def test_reports_come_in_the_context_of_either_kind_of_job() -> None:
    data = {"job_id": ID, "attempt": 1, "total_steps": 5}
    for context in ("fine_tuning_job", "evaluation_job"):
        found = taken(
            {"id": ID, "type": "ReportAttemptRunning", "data": data}, SUBJECTS.command(context, "ReportAttemptRunning")
        )
        assert isinstance(found.command, ask.ReportAttemptRunning)


def test_a_start_with_wrong_fields_is_still_judged_by_the_rest() -> None:
    data = {"dataset_id": "faq", "learning_rate": "nan", "num_gpu": -1, "num_epoch": 3}
    found = taken({"id": ID, "type": "StartFineTuningJob", "data": data}, START)
    assert found.rejection is None
    assert found.command.dataset_id == "faq"
    assert found.facts.in_doubt == {"learning_rate", "num_gpu", "num_epoch", "base_model_id"}
    assert {p.code.value for p in found.facts.problems} == {"invalid", "unknown_field"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_cpu", 0),
        ("num_gpu", -1),
        ("num_memory", 0),
        ("num_workers", 0),
        ("num_epochs", 0),
        ("learning_rate", 0),
        ("learning_rate", "nan"),
        ("learning_rate", "inf"),
        ("dataset_fraction", 0),
        ("dataset_fraction", 1.01),
        ("train_test_split", 0),
        ("train_test_split", 1.5),
        ("adapter_name", "a b"),
        ("adapter_name", "ä"),
        ("adapter_name", " "),
    ],
)
def test_each_field_out_of_its_range_is_named(field: str, value: Any) -> None:
    data = {"base_model_id": "m", "dataset_id": "d", field: value}
    found = taken({"id": ID, "type": "StartFineTuningJob", "data": data}, START)
    assert [problem.param for problem in found.facts.problems] == [field]


def test_other_escapes_are_fine() -> None:
    data = {"name": "\u00e9\U0001f600", "dataset_id": "d", "input_template": "\n"}
    found = taken({"id": ID, "type": "AddPrompt", "data": {**data, "prompt_template": "p", "completion_template": "c"}})
    assert found.rejection is None
    assert found.command.name == "é😀"


@pytest.mark.parametrize("field", ["num_cpu", "num_gpu", "max_steps", "batch_size", "save_steps"])
def test_numbers_beyond_what_can_be_kept_are_named(field: str) -> None:
    data = {"base_model_id": "m", "dataset_id": "d", field: 2**31}
    found = taken({"id": ID, "type": "StartFineTuningJob", "data": data}, START)
    assert [problem.param for problem in found.facts.problems] == [field]
