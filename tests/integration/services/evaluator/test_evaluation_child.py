"""The evaluation child: its table, its figures, and that it says the same twice."""

from __future__ import annotations

import json
import math
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tunebus.contracts.recipes import ChildJob, DatasetSource, GenerationSettings
from tunebus.contracts.telemetry import TelemetryBatch, batch_bytes
from tunebus.services.evaluator import generation
from tunebus.services.evaluator.evaluation import evaluate
from tunebus.services.evaluator.generation import Generator
from tunebus.services.evaluator.scoring import Scorer
from tunebus.services.platform.child.attempt import Attempt
from tunebus.services.platform.child.failures import Failure, explain
from tunebus.services.platform.child.files import file_sha256
from tunebus.services.platform.child.spool import Spool
from tunebus.services.platform.rows.encoding import IGNORED, Encoder
from tunebus.services.platform.rows.source import rows_of
from tunebus.services.platform.rows.split import sample_and_split
from tunebus.services.trainer.recipes import supervised

from tests.fixtures.children import Child, dataset_source, evaluation_recipe, training_recipe, write_job
from tests.fixtures.tiny_models import make_model

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of the libraries, about their own names


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, questions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that has learnt a good part of its answers."""
    folder = tmp_path_factory.mktemp("trained")
    recipe = training_recipe(
        tiny_model, questions, max_steps=60, save_steps=60, learning_rate=1e-2, lora={"r": 16, "lora_alpha": 32}
    )
    job = ChildJob.model_validate_json(write_job(folder, recipe).read_bytes())
    supervised.train(Attempt(job, Spool(folder / "telemetry.jsonl")))
    return folder / "adapter"


def attempt_for(folder: Path, recipe: dict[str, Any]) -> Attempt:
    job = ChildJob.model_validate_json(write_job(folder, recipe, "evaluation_job").read_bytes())
    return Attempt(job, Spool(folder / "telemetry.jsonl"))


def rows_of_file(rows: Path) -> list[dict[str, Any]]:
    return list(rows_of(DatasetSource.model_validate(dataset_source(rows))))


def table(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def failure(folder: Path, recipe: dict[str, Any]) -> Failure:
    with pytest.raises(Exception) as caught:
        evaluate(attempt_for(folder, recipe))
    return explain(caught.value)


def test_a_process_from_job_to_result(
    tiny_model: Path, questions: Path, adapter: Path, start_child: Callable[..., Child]
) -> None:
    child = start_child(evaluation_recipe(tiny_model, questions, adapter), "evaluation_job")
    assert child.wait() == 0, child.output()
    result = child.result()
    assert (result["outcome"], result["step"], result["result"]) == ("finished", 12, "rows.jsonl")
    assert result["result_sha256"] == file_sha256(child.folder / "rows.jsonl")
    running = json.loads((child.folder / "running.json").read_text())
    assert running["total_steps"] == 12
    batch = TelemetryBatch.model_validate_json(
        batch_bytes("j", 1, (child.folder / "telemetry.jsonl").read_bytes().splitlines())
    )
    assert [record.n for record in batch.records] == list(range(1, len(batch.records) + 1))
    last = [record for record in child.records("progress") if record["phase"] == "evaluating"][-1]
    assert (last["step"], last["total"], last["eta"]) == (12, 12, 0.0)
    assert child.curve("loss")[12] == pytest.approx(result["metrics"]["loss"])
    assert "".join(record["text"] for record in child.records("log")) == child.output()


def test_a_stop_leaves_no_table(tiny_model: Path, questions: Path, start_child: Callable[..., Child]) -> None:
    recipe = evaluation_recipe(tiny_model, questions, generation={"max_new_tokens": 100}, batch_size=1)
    child = start_child(recipe, "evaluation_job")
    child.until(lambda: child.records("progress"))
    child.process.send_signal(signal.SIGTERM)
    assert child.wait() == 0, child.output()
    assert (child.result()["outcome"], child.result()["result"]) == ("stopped", None)
    assert not (child.folder / "rows.jsonl").exists()


@pytest.fixture(scope="module")
def both(
    tiny_model: Path, questions: Path, adapter: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, dict[str, float | None]]]:
    found = {}
    for name, weights in (("base", None), ("tuned", adapter)):
        folder = tmp_path_factory.mktemp(name)
        ending = evaluate(attempt_for(folder, evaluation_recipe(tiny_model, questions, weights)))
        found[name] = (folder, dict(ending.metrics))
    return found


class TestFigures:
    def test_the_rows_are_exactly_the_held_out_ones(self, both: Any, questions: Path) -> None:
        split = sample_and_split(60, train_share=0.8)
        rows = rows_of_file(questions)
        for folder, _ in both.values():
            assert [row["index"] for row in table(folder)] == sorted(split.test)
            for row in table(folder):
                assert (row["prompt"], row["reference"]) == (
                    rows[row["index"]]["question"], rows[row["index"]]["answer"],
                )  # fmt: skip

    def test_training_helped(self, both: Any) -> None:
        (_, base), (folder, tuned) = both["base"], both["tuned"]
        assert tuned["loss"] < base["loss"] - 0.5
        assert base["exact_match"] == 0.0
        assert tuned["rouge_l"] > 0.5
        assert tuned["finished"] == 1.0
        assert {row["answer"].split()[0] for row in table(folder)} == {"the"}

    def test_the_loss_is_that_of_the_trainers_own_evaluation(self, both: Any, adapter: Path) -> None:
        losses = [
            json.loads(line)["values"].get("eval_loss")
            for line in (adapter.parent / "telemetry.jsonl").read_text().splitlines()
            if '"eval_loss"' in line
        ]
        assert both["base"][1]["loss"] == pytest.approx(losses[0], rel=1e-4)
        assert both["tuned"][1]["loss"] == pytest.approx(losses[-1], rel=1e-4)

    def test_figures_follow_from_the_table(self, both: Any) -> None:
        for folder, metrics in both.values():
            rows = table(folder)
            for name in ("exact_match", "rouge_1", "rouge_2", "rouge_l", "finished"):
                assert metrics[name] == pytest.approx(sum(row[name] for row in rows) / len(rows))
            assert metrics["generated_tokens"] == sum(row["tokens"] for row in rows)
            assert metrics["perplexity"] == pytest.approx(math.exp(metrics["loss"]))
            assert metrics["rows"] == 12.0
            assert all(value is None or math.isfinite(value) for value in metrics.values())

    def test_the_majority_is_a_floor(self, both: Any, questions: Path) -> None:
        rows = rows_of_file(questions)
        split = sample_and_split(60, train_share=0.8)
        answers = [rows[number]["answer"] for number in split.train]
        most = max(sorted(set(answers)), key=answers.count)
        expected = sum(rows[number]["answer"] == most for number in split.test) / 12
        assert both["base"][1]["majority_exact_match"] == both["tuned"][1]["majority_exact_match"] == expected

    def test_a_second_run_says_the_same_in_batches_of_any_size(
        self, both: Any, tiny_model: Path, questions: Path, adapter: Path, tmp_path: Path
    ) -> None:
        evaluate(attempt_for(tmp_path, evaluation_recipe(tiny_model, questions, adapter, batch_size=5)))
        for ours, theirs in zip(table(tmp_path), table(both["tuned"][0]), strict=True):
            assert (ours["index"], ours["answer"], ours["tokens"]) == (
                theirs["index"],
                theirs["answer"],
                theirs["tokens"],
            )
            assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)

    def test_fewer_rows_on_request(self, tiny_model: Path, questions: Path, tmp_path: Path) -> None:
        ending = evaluate(attempt_for(tmp_path, evaluation_recipe(tiny_model, questions, max_rows=3)))
        assert (ending.step, len(table(tmp_path))) == (3, 3)


class TestRefused:
    def test_no_held_out_rows(self, tiny_model: Path, questions: Path, tmp_path: Path) -> None:
        source = dataset_source(questions, train_test_split=1.0)
        found = failure(tmp_path, evaluation_recipe(tiny_model, questions, dataset=source))
        assert (found.cause, "no row is held out" in found.message) == ("bad_data", True)

    def test_an_adapter_that_is_gone(self, tiny_model: Path, questions: Path, tmp_path: Path) -> None:
        found = failure(tmp_path, evaluation_recipe(tiny_model, questions, tmp_path / "nothing"))
        assert (found.cause, "holds no adapter" in found.message) == ("bad_configuration", True)

    def test_an_adapter_with_pickle_weights(
        self, tiny_model: Path, questions: Path, adapter: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(adapter, tmp_path / "adapter")
        (tmp_path / "adapter" / "adapter_model.safetensors").rename(tmp_path / "adapter" / "adapter_model.bin")
        found = failure(tmp_path / "attempt", evaluation_recipe(tiny_model, questions, tmp_path / "adapter"))
        assert "adapter_model.safetensors are needed" in found.message

    def test_an_adapter_of_another_model(self, questions: Path, adapter: Path, tmp_path: Path) -> None:
        from transformers import LlamaConfig, LlamaForCausalLM

        other = make_model(tmp_path / "other")
        config = LlamaConfig.from_pretrained(other)
        config.hidden_size, config.head_dim = 32, 8
        LlamaForCausalLM(config).save_pretrained(other)
        found = failure(tmp_path / "attempt", evaluation_recipe(other, questions, adapter))
        assert found.cause == "bad_configuration"
        assert "does not fit the model" in found.message
        assert "\n" not in found.message

    def test_answers_longer_than_the_context(self, tiny_model: Path, questions: Path, tmp_path: Path) -> None:
        recipe = evaluation_recipe(tiny_model, questions, generation={"max_new_tokens": 128})
        assert "fills the model's context of 128" in failure(tmp_path, recipe).message


def test_prompts_without_room_for_an_answer_lose_their_beginning(
    tiny_model: Path, questions: Path, tmp_path: Path
) -> None:
    recipe = evaluation_recipe(tiny_model, questions, generation={"max_new_tokens": 118}, max_rows=4)
    ending = evaluate(attempt_for(tmp_path, recipe))
    assert ending.metrics["prompts_truncated"] == 4.0
    assert ending.metrics["rows_truncated"] == 0.0
    assert max(row["tokens"] for row in table(tmp_path)) <= 118


class TestGeneration:
    @pytest.fixture
    def model(self, tiny_model: Path) -> tuple[Any, Any]:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        return (
            AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval(),
            AutoTokenizer.from_pretrained(tiny_model),
        )

    def test_a_prompt_answers_the_same_alone_and_padded(self, model: tuple[Any, Any]) -> None:
        generator = Generator(*model, GenerationSettings(max_new_tokens=8), [1])
        prompts = [[5, 30, 31], [5, 40, 41, 42, 43, 44, 45, 46], [7]]
        assert generator.answer(prompts) == [generator.answer([prompt])[0] for prompt in prompts]

    def test_the_answer_ends_before_the_first_stop_token(self, model: tuple[Any, Any]) -> None:
        free = Generator(*model, GenerationSettings(max_new_tokens=8), [1])
        ids = model[0].generate(torch.tensor([[5, 30]]), generation_config=free._config)[0, 2:].tolist()
        stop = ids[2]
        first = ids.index(stop)
        answer = Generator(*model, GenerationSettings(max_new_tokens=8), [1, stop]).answer([[5, 30]])[0]
        assert (answer.tokens, answer.finished) == (first, True)
        assert answer.text == model[1].decode(ids[:first], skip_special_tokens=True)

    def test_what_a_model_ships_for_sampling_does_not_count(self, model: tuple[Any, Any]) -> None:
        before = Generator(*model, GenerationSettings(max_new_tokens=8), [1]).answer([[5, 30]])
        model[0].generation_config.update(do_sample=True, temperature=5.0, repetition_penalty=3.0, max_length=3)
        assert Generator(*model, GenerationSettings(max_new_tokens=8), [1]).answer([[5, 30]]) == before

    def test_whoever_looks_on_sees_answers_grow_and_changes_none(
        self, model: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(generation, "REPORT_SECONDS", 0.0)
        generator = Generator(*model, GenerationSettings(max_new_tokens=8), [1])
        prompts = [[5, 30, 31], [7]]
        seen: dict[int, list[str]] = {0: [], 1: []}
        answers = generator.answer(prompts, lambda place, text: seen[place].append(text))
        assert answers == generator.answer(prompts)
        for place, answer in enumerate(answers):
            assert seen[place][-1] == answer.text
            assert len(set(seen[place])) > 1
            lengths = [len(text) for text in seen[place]]
            assert lengths == sorted(lengths)

    def test_sampling_follows_the_seed(self, model: tuple[Any, Any]) -> None:
        generator = Generator(*model, GenerationSettings(max_new_tokens=8, temperature=2.0), [1])
        said = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            said.append(generator.answer([[5, 30]])[0].text)
        assert said[0] == said[1] != said[2]


def test_the_scored_loss_is_the_models_own(tiny_model: Path, questions: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from tunebus.contracts.recipes import DatasetSource

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    encoder = Encoder(tokenizer, DatasetSource.model_validate(dataset_source(questions)))
    rows = [encoder.encode(row) for row, _ in zip(rows_of_file(questions), range(5), strict=False)]
    for row, (loss, count) in zip(rows, Scorer(model, tokenizer.pad_token_id).losses(rows), strict=True):
        ids, labels = torch.tensor([list(row.input_ids)]), torch.tensor([list(row.labels)])
        assert count == int((labels[:, 1:] != IGNORED).sum()) == row.answer_tokens
        assert loss / count == pytest.approx(float(model(input_ids=ids, labels=labels).loss.detach()), rel=1e-5)
