"""The shipped starter pack, and the question script on the running Python, keep what the demo relies on."""

import json
import random
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from tunebus.services.trainer.starter.contents import PACK, RecommendedSettings
from tunebus.services.trainer.starter.questions import (
    KIND_QUESTION,
    KIND_WORDS,
    PACKAGE_QUESTION,
    Question,
    build_questions,
    write_questions,
)

MODEL = PACK / "model"


def read_questions(path: Path) -> list[Question]:
    return [Question(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


@cache
def rebuilt_questions() -> list[Question]:
    return build_questions()


@pytest.fixture(params=["shipped", "rebuilt"])
def questions(request: pytest.FixtureRequest) -> list[Question]:
    return read_questions(PACK / "questions.jsonl") if request.param == "shipped" else rebuilt_questions()


def text_of(row: Question) -> str:
    return row.question.partition("\n")[2]


def text_key(row: Question) -> str:
    return re.sub(r"\W+", " ", text_of(row).lower()).strip()


def test_there_are_at_least_a_thousand_questions(questions: list[Question]) -> None:
    assert len(questions) >= 1000


def test_every_object_text_and_question_comes_once(questions: list[Question]) -> None:
    assert len({row.object for row in questions}) == len(questions)
    assert len({text_key(row) for row in questions}) == len(questions)


def test_no_answer_is_common(questions: list[Question]) -> None:
    answers = Counter(row.answer for row in questions)
    assert max(answers.values()) <= 0.15 * len(questions)
    assert min(answers.values()) >= 10


def test_no_text_contains_its_answer(questions: list[Question]) -> None:
    for row in questions:
        if row.question.startswith(PACKAGE_QUESTION):
            assert row.answer not in text_of(row).lower(), row
            assert row.answer == row.object.partition(".")[0]
        else:
            assert row.question.startswith(KIND_QUESTION)
            assert not re.search(rf"\b({KIND_WORDS[row.answer]})\b", text_of(row), re.IGNORECASE), row


def test_questions_are_short(questions: list[Question]) -> None:
    assert all(25 <= len(text_of(row)) <= 240 for row in questions)


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_a_split_keeps_held_out_objects_and_texts_out_of_training(questions: list[Question], seed: int) -> None:
    rows = questions.copy()
    random.Random(seed).shuffle(rows)
    cut = round(len(rows) * RecommendedSettings().train_test_split)
    training, held_out = rows[:cut], rows[cut:]
    assert len(held_out) >= 100
    assert not {row.object for row in training} & {row.object for row in held_out}
    assert not {text_key(row) for row in training} & {text_key(row) for row in held_out}


def test_nearly_equal_texts_do_not_stand_in_for_each_other(questions: list[Question]) -> None:
    words = [frozenset(re.findall(r"\w+", text_of(row).lower())) for row in questions]
    by_word: dict[str, list[int]] = {}
    for index, own in enumerate(words):
        shared = Counter(other for word in own for other in by_word.get(word, ()))
        for other, count in shared.items():
            assert count < 0.7 * len(own | words[other]), (questions[index], questions[other])
        for word in own:
            by_word.setdefault(word, []).append(index)


def test_building_the_questions_twice_gives_the_same_file(tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    write_questions(first, rebuilt_questions())
    write_questions(second, build_questions())
    assert first.read_bytes() == second.read_bytes()
    assert read_questions(first) == rebuilt_questions()


def test_every_file_of_the_pack_is_small() -> None:
    sizes = {path: path.stat().st_size for path in PACK.rglob("*") if path.is_file()}
    assert sizes[MODEL / "model.safetensors"] <= 8_000_000
    assert sizes[PACK / "questions.jsonl"] < 2_000_000
    assert max(sizes.values()) <= 8_000_000


def test_the_weights_are_bf16_safetensors_and_nothing_else() -> None:
    with (MODEL / "model.safetensors").open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, dict[str, object]] = json.loads(file.read(length))
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    assert {entry["dtype"] for entry in tensors.values()} == {"BF16"}
    assert "lm_head.weight" not in tensors  # tied to the embedding
    assert not [path for path in PACK.rglob("*") if path.suffix in {".bin", ".pt", ".pth", ".pkl", ".ckpt"}]


def test_the_configuration_is_a_mainstream_one_with_a_pad_token_of_its_own() -> None:
    config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["tie_word_embeddings"] is True
    assert len({config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]}) == 3
    tokenizer = json.loads((MODEL / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert tokenizer["pad_token"] != tokenizer["eos_token"]
    vocabulary = json.loads((MODEL / "tokenizer.json").read_text(encoding="utf-8"))
    specials = {token["content"]: token["id"] for token in vocabulary["added_tokens"] if token["special"]}
    assert specials[tokenizer["pad_token"]] == config["pad_token_id"]
    assert specials[tokenizer["eos_token"]] == config["eos_token_id"]
    assert {"<|user|>", "<|assistant|>", "<|reserved_0|>"} <= specials.keys()
    assert len(vocabulary["model"]["vocab"]) == config["vocab_size"]


def test_the_chat_template_marks_the_answer_and_its_end() -> None:
    template = (MODEL / "chat_template.jinja").read_text(encoding="utf-8")
    start, end = template.index("{% generation %}"), template.index("{% endgeneration %}")
    assert "eos_token" in template[start:end]


def test_cards_licence_and_settings_come_with_the_pack() -> None:
    assert "PYTHON SOFTWARE FOUNDATION LICENSE" in (PACK / "LICENSE-PYTHON.txt").read_text(encoding="utf-8")
    for card in (PACK / "README.md", MODEL / "README.md"):
        assert "LICENSE-PYTHON.txt" in card.read_text(encoding="utf-8")
    recommended = json.loads((PACK / "recommended.json").read_text(encoding="utf-8"))
    assert RecommendedSettings(**recommended) == RecommendedSettings()
