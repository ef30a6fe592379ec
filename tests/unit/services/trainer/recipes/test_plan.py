"""What is settled for a run that left it open."""

from __future__ import annotations

from pathlib import Path

import pytest
from tunebus.contracts.recipes import TrainingArguments
from tunebus.services.platform.child.dataset import longest_allowed
from tunebus.services.platform.child.failures import ChildFailure
from tunebus.services.trainer.recipes import plan as planning


def settle(rows: int = 1000, held_out: int = 50, **asked: object) -> planning.Plan:
    return planning.plan(
        TrainingArguments.model_validate(asked),
        rows=rows,
        held_out=held_out,
        length=128,
        device="cpu",
        precision="float32",
        gradient_checkpointing=False,
    )


def test_defaults_follow_from_the_number_of_rows() -> None:
    settled = settle(rows=1001, gradient_accumulation_steps=2, num_train_epochs=3.0)
    assert (settled.steps_per_epoch, settled.total_steps) == (63, 189)
    assert (settled.warmup_steps, settled.eval_steps, settled.save_steps) == (6, 38, 19)
    assert settled.save_seconds == planning.SAVE_SECONDS
    assert settled.eval_batch_size == 8


def test_what_is_asked_for_wins() -> None:
    settled = settle(max_steps=7, eval_steps=2, save_steps=3, per_device_eval_batch_size=1)
    assert (settled.total_steps, settled.eval_steps, settled.save_steps, settled.eval_batch_size) == (7, 2, 3, 1)
    assert settled.save_seconds is None


def test_a_part_of_an_epoch_is_rounded_up() -> None:
    assert settle(rows=100, num_train_epochs=0.5).total_steps == 7
    assert settle(rows=1, num_train_epochs=0.01).total_steps == 1


def test_without_held_out_rows_nothing_is_evaluated() -> None:
    assert settle(held_out=0, eval_steps=5).eval_steps is None


@pytest.mark.parametrize(
    ("asked", "context", "longest", "length"),
    [(None, 512, 90, 90), (None, 512, 900, 512), (64, 512, 900, 64), (300, 512, 90, 90), (None, None, 70, 70)],
)
def test_the_length_comes_from_the_data_within_context_and_wish(
    asked: int | None, context: int | None, longest: int, length: int
) -> None:
    assert longest_allowed(asked, context, longest) == length


def test_a_length_over_the_context_is_refused_with_both() -> None:
    with pytest.raises(ChildFailure, match="max_length 600 is over the model's context of 512"):
        longest_allowed(600, 512, 10)


@pytest.mark.parametrize(
    ("asked", "device", "able", "precision"),
    [
        ("auto", "cpu", True, "bfloat16"),
        ("auto", "cpu", False, "float32"),
        ("bfloat16", "cpu", False, "bfloat16"),
        ("float32", "cpu", True, "float32"),
        ("auto", "cuda", True, "bfloat16"),
        ("auto", "cuda", False, "float32"),
        ("float16", "cuda", False, "float16"),
    ],
)
def test_precision_follows_the_hardware(asked: str, device: planning.Device, able: bool, precision: str) -> None:
    assert planning.precision(asked, device, gpu_has_bf16=able, cpu_has_bf16=able) == precision


@pytest.mark.parametrize(("asked", "device"), [("float16", "cpu"), ("bfloat16", "cuda")])
def test_what_the_device_cannot_do_is_refused(asked: str, device: planning.Device) -> None:
    with pytest.raises(ChildFailure) as caught:
        planning.precision(asked, device, gpu_has_bf16=False)
    assert caught.value.cause == "bad_configuration"


@pytest.mark.skipif(planning.platform.system() != "Linux", reason="read from /proc")
@pytest.mark.parametrize(
    ("line", "able"),
    [("flags\t\t: fpu avx512f avx512_bf16 sse", True), ("Features\t: fp bf16", True), ("flags\t: fpu avx2", False)],
)
def test_bf16_units_are_read_from_the_cpus_flags(tmp_path: Path, line: str, able: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{line}\n")
    assert planning.has_bf16_units(tmp_path / "cpuinfo") is able
    assert not planning.has_bf16_units(tmp_path / "nothing")


def test_checkpointing_only_where_activations_would_fill_the_memory() -> None:
    estimate = planning.activation_bytes(
        tokens=4 * 128, layers=6, hidden=256, intermediate=688, vocabulary=32_000, bytes_per_value=4
    )
    assert 100e6 < estimate < 400e6
    assert not planning.needs_gradient_checkpointing(estimate, 8 * 1024**3)
    assert planning.needs_gradient_checkpointing(estimate, 200_000_000)
