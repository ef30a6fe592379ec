"""Training on from another job's weights, and training the same again: children on the tiny model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tunebus.contracts.recipes import warmup_steps
from tunebus.projections.comparing import compare
from tunebus.services.platform.child.files import folder_sha256
from tunebus.services.registry.schedule import learning_rate_after
from tunebus.services.trainer import checkpoints

from tests.fixtures.children import Child, training_recipe, write_job

StartChild = Callable[..., Child]
RATE = 1e-3


@pytest.fixture(scope="module")
def before(tiny_model: Path, questions: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    folder = tmp_path_factory.mktemp("before")
    write_job(folder, training_recipe(tiny_model, questions, logging_steps=1))
    child = Child(folder)
    try:
        assert child.wait() == 0, child.output()
        yield child
    finally:
        child.kill()


def going_on(recipe: dict[str, Any], folder: Path, step: int, **proof: str) -> dict[str, Any]:
    rate = learning_rate_after(recipe, 20, step)
    weights = {"job_id": "before", "step": step, "location": str(folder), "learning_rate": rate, **proof}
    return {**recipe, "initial_weights": weights}


def curves(child: Child) -> dict[str, Any]:
    found = {name: child.curve(name) for name in ("loss", "eval_loss", "learning_rate", "grad_norm")}
    return {
        "series": {name: {"steps": list(points), "values": list(points.values())} for name, points in found.items()}
    }


def test_a_branch_goes_on_from_the_weights_without_a_jump_of_the_rate(
    before: Child, start_child: StartChild, tiny_model: Path, questions: Path
) -> None:
    checkpoint = before.folder / "checkpoints" / "step-00000010"
    recipe = training_recipe(tiny_model, questions, logging_steps=1, learning_rate=2 * RATE, max_steps=12, eval_steps=6)
    old_rate = learning_rate_after(training_recipe(tiny_model, questions), 20, 10)
    recipe = going_on(recipe, checkpoint, 10, manifest_sha256=checkpoints.manifest_sha256(checkpoint))
    recipe["initial_weights"]["learning_rate"] = old_rate
    child = start_child(recipe)
    assert child.wait() == 0, child.output()
    assert child.curve("eval_loss")[0] == pytest.approx(before.curve("eval_loss")[10], abs=1e-5), "the same weights"
    rates = child.curve("learning_rate")
    warmup = warmup_steps(0.03, 12, goes_on=True)
    assert abs(rates[1] - old_rate) <= (2 * RATE - old_rate) / warmup + 1e-12
    assert max(rates.values()) == pytest.approx(2 * RATE, rel=0.05)
    assert before.curve("learning_rate")[11] == pytest.approx(old_rate, rel=1e-6), "the old job's next step's"


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_result_is_trained_on(
    method: str, before: Child, start_child: StartChild, tiny_model: Path, questions: Path, tmp_path: Path
) -> None:
    first = before
    if method == "full":
        write_job(
            tmp_path / "full", training_recipe(tiny_model, questions, method="full", logging_steps=1, max_steps=6)
        )
        first = Child(tmp_path / "full")
        assert first.wait() == 0, first.output()
    result = first.folder / first.result()["result"]
    recipe = training_recipe(tiny_model, questions, method=method, logging_steps=1, max_steps=4, eval_steps=2)
    child = start_child(going_on(recipe, result, 20, sha256=folder_sha256(result)))
    assert child.wait() == 0, child.output()
    last = first.result()["metrics"]["eval_loss"]
    assert child.curve("eval_loss")[0] == pytest.approx(last, abs=1e-4 if method == "lora" else 0.02)
    (result / "tokenizer.json").write_text("{}")
    again = start_child(going_on(recipe, result, 20, sha256=child.result()["result_sha256"]))
    assert again.wait() == 1
    ending = again.result()
    assert ending["cause"] == "bad_configuration"
    assert "changed" in ending["message"]


def test_weights_that_are_gone_are_named(
    start_child: StartChild, tiny_model: Path, questions: Path, tmp_path: Path
) -> None:
    recipe = training_recipe(tiny_model, questions)
    child = start_child(going_on(recipe, tmp_path / "nowhere", 10, manifest_sha256="0" * 64))
    assert child.wait() == 1
    assert child.result()["cause"] == "bad_configuration"
    assert "step 10" in child.result()["message"]
    assert "retention" in child.result()["hint"]


def test_the_same_again_comes_to_the_same(
    before: Child, start_child: StartChild, tiny_model: Path, questions: Path
) -> None:
    """To the last bit, on one machine with as many threads; another seed parts."""
    again = start_child(training_recipe(tiny_model, questions, logging_steps=1))
    assert again.wait() == 0, again.output()
    found = compare(curves(before), curves(again), 0.0)
    assert found["verdict"] == "equal", found
    assert found["points"] > 60
    other = start_child(training_recipe(tiny_model, questions, logging_steps=1, seed=7))
    assert other.wait() == 0, other.output()
    parted = compare(curves(before), curves(other), 1e-3)
    assert (parted["verdict"], parted["step"]) == ("parts", 1)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["cosine", "linear", "constant", "constant_with_warmup"]),
    total=st.integers(2, 300),
    ratio=st.floats(0.0, 0.9),
    at=st.floats(0.0, 1.0),
)
def test_rates_are_those_of_transformers(kind: str, total: int, ratio: float, at: float) -> None:
    import torch
    from transformers import get_scheduler

    step = int(at * total)
    arguments = {"learning_rate": RATE, "lr_scheduler_type": kind, "warmup_ratio": ratio}
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    factor = get_scheduler(kind, optimizer, math.ceil(ratio * total), total).lr_lambdas[0]
    if kind == "constant":
        arguments["warmup_ratio"] = 0.0
    ours = learning_rate_after({"training_arguments": arguments}, total, step)
    assert ours == pytest.approx(RATE * factor(step), abs=1e-15)
