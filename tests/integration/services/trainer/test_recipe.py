"""The recipe inside this process: what it refuses, and that its loss is the one it claims to compute."""

from __future__ import annotations

import json
import shutil
from array import array
from pathlib import Path
from typing import Any

import pytest
import torch
from tunebus.contracts.recipes import ChildJob, FineTuningRecipe
from tunebus.services.platform.child.attempt import Attempt
from tunebus.services.platform.child.failures import ChildFailure, Failure, explain
from tunebus.services.platform.child.spool import Spool
from tunebus.services.platform.rows.encoding import IGNORED, Encoded, fit
from tunebus.services.trainer.recipes import supervised
from tunebus.services.trainer.run import train

from tests.fixtures.children import dataset_source, records, training_recipe, write_job
from tests.fixtures.tiny_models import PLAIN_TEMPLATE, make_model, make_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of the libraries, about their own names


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def attempt_for(folder: Path, recipe: dict[str, Any]) -> Attempt:
    job = ChildJob.model_validate_json(write_job(folder, recipe).read_bytes())
    return Attempt(job, Spool(folder / "telemetry.jsonl"))


def failure(folder: Path, recipe: dict[str, Any]) -> Failure:
    with pytest.raises(Exception) as caught:
        train(attempt_for(folder, recipe))
    return explain(caught.value)


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "cause", "words"),
        [
            ({"max_length": 4096}, "bad_configuration", "over the model's context of 128"),
            ({"precision": "float16"}, "bad_configuration", "needs a GPU"),
            ({"lora": {"target_modules": ["nothing"]}}, "bad_configuration", "nothing"),
            ({"dataset": {"prompt": None}}, "bad_configuration", "needs a prompt"),
            ({"dataset": {"train_test_split": 0.001}}, "bad_data", "no row is left to train on"),
            ({"max_length": 3}, "bad_data", "has an answer within 3 tokens"),
            ({"text_format": "chat", "dataset": {"features": ["question"]}}, "bad_configuration", "{answer}"),
            ({"method": "soup"}, "bad_configuration", "no recipe for the method 'soup'"),
        ],
    )
    def test_in_words(
        self, tiny_model: Path, questions: Path, tmp_path: Path, changes: dict[str, Any], cause: str, words: str
    ) -> None:
        found = failure(tmp_path, training_recipe(tiny_model, questions, **changes))
        assert (found.cause, found.detail) == (cause, "")
        assert words in found.message
        assert not (tmp_path / "running.json").exists()

    def test_a_longer_max_length_is_suggested_up_to_the_context(self, tiny_model: Path, tmp_path: Path) -> None:
        rows = tmp_path / "long.jsonl"
        row = {"question": "what colour " * 200, "answer": "red"}
        rows.write_text((json.dumps(row) + "\n") * 9)
        for length, suggested in ((3, {"max_length": 128}), (128, None)):
            found = failure(tmp_path / str(length), training_recipe(tiny_model, rows, max_length=length))
            assert (found.cause, found.suggestion) == ("bad_data", suggested)

    def test_a_model_that_is_gone(self, tiny_model: Path, questions: Path, tmp_path: Path) -> None:
        found = failure(tmp_path, training_recipe(tiny_model / "gone", questions))
        assert found.cause == "bad_configuration"
        assert f"{tiny_model / 'gone'} is gone" in found.message

    def test_pickle_weights_are_not_loaded(self, tiny_model: Path, questions: Path, tmp_path: Path) -> None:
        model = tmp_path / "model"
        shutil.copytree(tiny_model, model)
        (model / "model.safetensors").unlink()
        torch.save({}, model / "pytorch_model.bin")
        found = failure(tmp_path / "attempt", training_recipe(model, questions))
        assert (found.cause, "safetensors" in found.message) == ("bad_configuration", True)

    def test_broken_weights(self, tiny_model: Path, questions: Path, tmp_path: Path) -> None:
        model = tmp_path / "model"
        shutil.copytree(tiny_model, model)
        (model / "model.safetensors").write_bytes(b"\x08")
        assert failure(tmp_path / "attempt", training_recipe(model, questions)).cause == "bad_configuration"

    def test_a_tokenizer_of_another_model(self, tiny_model: Path, questions: Path, tmp_path: Path) -> None:
        model = tmp_path / "model"
        shutil.copytree(tiny_model, model)
        tokenizer = make_tokenizer()
        tokenizer.add_tokens([f"extra{number}" for number in range(9)])
        tokenizer.save_pretrained(model)
        found = failure(tmp_path / "attempt", training_recipe(model, questions))
        assert "embeddings for" in found.message

    def test_a_broken_conversation_names_its_row(self, tiny_model: Path, tmp_path: Path) -> None:
        rows = tmp_path / "chat.jsonl"
        good = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}
        rows.write_text("".join(json.dumps(row) + "\n" for row in [good, {"messages": []}, good]))
        source = dataset_source(rows, features=["messages"], format="messages", prompt=None, train_test_split=1.0)
        found = failure(tmp_path / "attempt", training_recipe(tiny_model, rows, dataset=source))
        assert found.cause == "bad_data"
        assert found.message.startswith("row 2: ")


def test_messages_without_markers_and_without_held_out_rows(tmp_path: Path) -> None:
    """No pad token either: a reserved one is taken, and nothing is evaluated."""
    model = make_model(tmp_path / "model", PLAIN_TEMPLATE, pad=False)
    rows = tmp_path / "chat.jsonl"
    chat = [{"role": "user", "content": "what colour"}, {"role": "assistant", "content": "red"}]
    rows.write_text((json.dumps({"messages": chat * 2}) + "\n") * 9)
    source = dataset_source(rows, features=["messages"], format="messages", prompt=None, train_test_split=1.0)
    attempt = attempt_for(tmp_path / "attempt", training_recipe(model, rows, dataset=source, max_steps=3))
    ending = train(attempt)
    assert (ending.outcome, ending.step) == ("finished", 3)
    assert "eval_loss" not in ending.metrics
    resolved = json.loads((attempt.folder / "running.json").read_text())["resolved"]
    assert resolved["pad_token"] == "<|reserved_0|>"
    assert "eval_steps" not in resolved
    assert len(records(attempt.folder, "metric")) == 3


class TestLoss:
    """Ours against the model's own loss, and its gradient."""

    @pytest.fixture
    def trainer(self, tiny_model: Path, questions: Path, tmp_path: Path) -> Any:
        recipe = FineTuningRecipe.model_validate(training_recipe(tiny_model, questions, max_steps=2))
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
        rows = [self.row(length, answer) for length, answer in ((9, 3), (7, 6), (12, 1), (5, 2))]
        kept, counts = fit(rows, 128)
        settled = supervised.settle(recipe, model.config, "cpu", 128, counts, fit([], 128)[1])
        trainer, _ = supervised.build(recipe, settled, model, make_tokenizer(), kept, [], output_dir=tmp_path)
        for name, parameter in trainer.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        return trainer

    def row(self, length: int, answer: int) -> Encoded:
        ids = [(7 * number + length) % 300 for number in range(length)]
        return Encoded(array("i", ids), array("i", [IGNORED] * (length - answer) + ids[length - answer :]))

    def batch(self, trainer: Any) -> dict[str, torch.Tensor]:
        return trainer.data_collator([trainer.train_dataset[number] for number in range(4)])

    def gradients(self, trainer: Any, loss: torch.Tensor) -> torch.Tensor:
        trainer.model.zero_grad()
        loss.backward()
        return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])

    @pytest.mark.parametrize("fused", [True, False])
    def test_equals_the_models_own(self, trainer: Any, fused: bool) -> None:
        batch = self.batch(trainer)
        expected = trainer.model(**batch).loss
        expected_gradients = self.gradients(trainer, expected)
        if not fused:
            trainer._fused = False
        loss = trainer.compute_loss(trainer.model, dict(batch))
        assert trainer._fused is fused
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(self.gradients(trainer, loss), expected_gradients, rtol=1e-4, atol=1e-6)

    def test_a_model_that_changes_its_logits_is_not_fused(self, trainer: Any) -> None:
        base = trainer.model.get_base_model()
        original = base.forward

        def capped(*arguments: Any, **options: Any) -> Any:
            output = original(*arguments, **options)
            output.logits = torch.tanh(output.logits / 0.1) * 0.1
            return output

        base.forward = capped
        trainer.compute_loss(trainer.model, dict(self.batch(trainer)))
        assert trainer._fused is False

    def test_accumulated_batches_share_one_denominator(self, trainer: Any) -> None:
        batch = self.batch(trainer)
        one = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=torch.tensor(24))
        assert float(one.detach()) == pytest.approx(
            float(trainer.compute_loss(trainer.model, dict(batch)).detach()) / 2
        )

    def test_evaluation_weighs_every_token_alike(self, trainer: Any) -> None:
        rows = [self.row(30, 2), self.row(10, 8), self.row(20, 5)]
        trainer._held_out = [{"input_ids": list(row.input_ids), "labels": list(row.labels)} for row in rows]
        trainer.args.per_device_eval_batch_size = 2
        summed = count = 0.0
        with torch.no_grad():
            for row in trainer._held_out:
                batch = {name: torch.tensor([values]) for name, values in row.items()}
                tokens = int((batch["labels"][:, 1:] != IGNORED).sum())
                summed += float(trainer.model.eval()(**batch).loss) * tokens
                count += tokens
        assert trainer.evaluate()["eval_loss"] == pytest.approx(summed / count, rel=1e-5)


def test_weights_that_are_no_numbers_are_not_saved(tiny_model: Path, questions: Path, tmp_path: Path) -> None:
    """A NaN between two logging steps must not reach a checkpoint."""
    recipe = training_recipe(
        tiny_model, questions, learning_rate=1e30, max_grad_norm=0.0, warmup_ratio=0.0, logging_steps=100,
        save_steps=3, eval_steps=100,
    )  # fmt: skip
    with pytest.raises(ChildFailure) as caught:
        train(attempt_for(tmp_path, recipe))
    assert caught.value.cause == "nan_loss"
    assert not list((tmp_path / "checkpoints").glob("step-*"))
