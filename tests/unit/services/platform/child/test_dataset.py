"""Rows as a child encodes them: what the model's own chat template does is bounded."""

from __future__ import annotations

import pytest
from tunebus.contracts.recipes import DatasetSource
from tunebus.services.platform.child import dataset
from tunebus.services.platform.child.failures import ChildFailure

from tests.fixtures.tiny_models import PLAIN_TEMPLATE, make_tokenizer

LOOPS = (
    "{% if messages[0]['content'] == 'loop' %}{% for a in range(99999) %}{% for b in range(99999) %}"
    "{% endfor %}{% endfor %}{% endif %}"
)


def source() -> DatasetSource:
    known = {"dataset_id": "d", "location": "/rows.jsonl", "type": "jsonl", "sha256": "0" * 64}
    return DatasetSource.model_validate({**known, "features": ["messages"], "format": "messages"})


def test_a_row_on_which_the_chat_template_does_not_end_is_named() -> None:
    encoder = dataset.make_encoder(make_tokenizer(LOOPS + PLAIN_TEMPLATE), source(), "chat")
    rows = [
        {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "yes"}]}
        for text in ("first", "second", "loop")
    ]
    assert len(dataset.encode(encoder, rows, [0, 1], seconds=0.3)) == 2
    with pytest.raises(ChildFailure) as failed:
        dataset.encode(encoder, rows, range(3), seconds=0.3)
    assert failed.value.cause == "bad_data"
    assert failed.value.message == "row 3: rendering and tokenizing took longer than 0.3 s"
    assert "chat template may not end" in str(failed.value.hint)
