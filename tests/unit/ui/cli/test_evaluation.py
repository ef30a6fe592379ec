"""What `tunebus try` asks the studio for."""

from __future__ import annotations

from typing import Any

import pytest
from tunebus.contracts.errors import TunebusError
from tunebus.ui.cli.evaluation import try_it


class Sent(Exception):
    """The combinations of the command that was sent."""


class Studio:
    """Knows one model, whatever is asked about."""

    def ask(self, _query: str, **_fields: Any) -> dict[str, Any]:
        return {"base_model_id": "m1", "model_id": "m1"}

    def send(self, _command: str, **fields: Any) -> Any:
        raise Sent(fields["combinations"])


def asked(**given: Any) -> list[dict[str, Any]]:
    with pytest.raises(Sent) as sent:
        try_it(Studio(), ["hi"], **{"base": True, **given})  # type: ignore[arg-type]
    combinations: list[dict[str, Any]] = sent.value.args[0]
    return combinations


def test_what_a_job_is_to_make_is_asked_beside_its_base() -> None:
    base, tuned = {"base_model_id": "m1"}, {"base_model_id": "m1", "job_id": "night"}
    assert asked(job_id=["night"]) == [base, tuned]
    assert asked(job_id=["night"], base=False) == [tuned]
    both = asked(adapter_id=["a"], job_id=["night"], prompt_id="p")
    assert [set(one) for one in both[1:]] == [
        {"base_model_id", "adapter_id", "prompt_id"},
        {"base_model_id", "job_id", "prompt_id"},
    ]


def test_nothing_to_ask_is_refused() -> None:
    with pytest.raises(TunebusError, match="is required"):
        try_it(Studio(), ["hi"])  # type: ignore[arg-type]
