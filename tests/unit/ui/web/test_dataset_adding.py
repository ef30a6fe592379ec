"""Adding a dataset: what a look at a file says where there is nothing to look at."""

from __future__ import annotations

from tunebus.contracts.errors import Code, Problem
from tunebus.ui.web.dataset.adding import in_words

KEPT = "01a22871-1204-756d-8fad-a5a69851d2dd-empty.csv"


def test_a_file_that_is_refused_is_called_what_its_owner_calls_it() -> None:
    one = Problem(code=Code.INVALID, message=f"{KEPT} is empty", param="path", hint="choose another")
    said = in_words(Problem(code=Code.INVALID, message="2 problems", details=[one, one]))
    assert in_words(one) == Problem(code=Code.INVALID, message="empty.csv is empty", hint="choose another")
    assert said.details == [in_words(one)] * 2


def test_other_fields_keep_their_names() -> None:
    one = Problem(code=Code.INVALID, message="no such column", param="column_mapping.prompt")
    assert in_words(one) == one
