"""What a training needs of disk and memory, and what is said where there is less."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tunebus.contracts.recipes import TrainingArguments
from tunebus.services.platform.child.failures import ChildFailure
from tunebus.services.trainer.recipes import footprint
from tunebus.services.trainer.recipes.footprint import GIB, Sizes
from tunebus.services.trainer.recipes.plan import Plan, plan

WHOLE = Sizes(parameters=10**9, trainable=10**9)


def settled(arguments: TrainingArguments, steps: int) -> Plan:
    made = plan(
        arguments, rows=8, held_out=1, length=64, device="cpu", precision="float32", gradient_checkpointing=False
    )
    return replace(made, total_steps=steps)


def test_adam_s_checkpoint_has_three_numbers_a_trained_parameter() -> None:
    assert footprint.checkpoint_bytes(WHOLE, "adamw_torch") == pytest.approx(12e9, rel=0.01)
    assert footprint.checkpoint_bytes(WHOLE, "sgd") == pytest.approx(4e9, rel=0.01)


@pytest.mark.parametrize(("steps", "limit", "at_once"), [(1000, 2, 4), (1000, 1, 3), (10, 100, 3)])
def test_the_fullest_moment_has_those_kept_the_best_and_the_one_being_written(
    steps: int, limit: int, at_once: int
) -> None:
    arguments = TrainingArguments(save_total_limit=limit, save_steps=5)
    needed, found = footprint.disk_bytes(arguments, settled(arguments, steps), WHOLE)
    assert found == at_once
    assert needed == pytest.approx(at_once * 12e9 + 4e9, rel=0.01)


def test_keeping_one_only_is_no_suggestion_where_one_only_is_kept(tmp_path: Path) -> None:
    arguments = TrainingArguments(save_total_limit=1, save_steps=5)
    with pytest.raises(ChildFailure) as caught:
        footprint.check_disk(tmp_path, arguments, settled(arguments, 100), Sizes(10**14, 10**14))
    assert (caught.value.cause, caught.value.suggestion) == ("disk_full", None)
    assert "keep fewer" not in str(caught.value.hint)


@pytest.mark.parametrize(
    ("gib", "suggestion"),
    [(16, None), (12, {"training_arguments": {"optim": "adafactor"}}), (6, {"method": "lora"})],
)
def test_weights_that_no_memory_holds_are_refused_with_what_would_fit(
    gib: int, suggestion: dict[str, object] | None
) -> None:
    arguments = TrainingArguments()
    if suggestion is None:
        footprint.check_memory(arguments, WHOLE, gib * GIB, "the machine has")
        return
    with pytest.raises(ChildFailure) as caught:
        footprint.check_memory(arguments, WHOLE, gib * GIB, "the machine has")
    assert (caught.value.cause, caught.value.suggestion) == ("out_of_memory", suggestion)
    assert f"the machine has {gib}.00 GiB" in caught.value.message
