"""Reading settings documents: JSON or YAML, normalised, hashed, refused in words."""

from __future__ import annotations

import pytest
from tunebus.contracts.errors import TunebusError
from tunebus.services.registry.config_body import read


def refusal(kind: str, document: object) -> tuple[str, str | None, str]:
    with pytest.raises(TunebusError) as refused:
        read(kind, document)  # type: ignore[arg-type]
    problem = refused.value.problem
    return problem.code.value, problem.param, f"{problem.message} {problem.hint}"


@pytest.mark.parametrize(
    "document",
    [
        {"learning_rate": 0.0002, "seed": 1},
        '{"seed": 1, "learning_rate": 2e-4}',
        '  {"learning_rate" : 0.00020 , "seed":1}\n',
        "learning_rate: 2e-4\nseed: 1\n",
        "# a comment\nseed: 1\nlearning_rate: 0.0002",
    ],
)
def test_equal_bodies_have_one_hash_however_they_are_written(document: object) -> None:
    expected = read("training_arguments", {"seed": 1, "learning_rate": 2e-4})
    assert read("training_arguments", document) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "written", ["num_train_epochs: true", '{"num_train_epochs": true}', {"num_train_epochs": True}]
)
def test_true_is_no_number_and_numbers_are_in_every_spelling(written: object) -> None:
    code, param, words = refusal("training_arguments", written)
    assert (code, param) == ("invalid", "config.num_train_epochs")
    assert words.startswith("must be a number, not True")
    assert refusal("generation", "seed: false\ntop_k: true")[0] == "invalid"
    for number in ("1", "1.0", "1e0", '"1"'):
        assert read("training_arguments", f"num_train_epochs: {number}").config == {"num_train_epochs": 1.0}


def test_a_body_says_only_what_it_was_given() -> None:
    assert read("lora", "r: 8").config == {"r": 8}


def test_types_are_hashed_apart() -> None:
    assert read("custom", {"r": 8}).name != read("lora", {"r": 8}).name


@pytest.mark.parametrize(
    "document",
    [
        "[1, 2]",
        '"text"',
        "12",
        "just words",
        '{"r": 8',
        '{"r": 8, "r": 9}',
        "r: 8\nr: 9",
        "a: &x [1]\nb: *x",
        "r: .nan",
        "? [1]\n: 2",
        "[" * 90_000,
        "!!python/object/apply:os.system ['true']",
        "a: [1, 2",
        "\x00",
    ],
)
def test_what_is_no_object_of_settings_is_refused_in_words(document: str) -> None:
    code, param, _ = refusal("custom", document)
    assert (code, param) == ("invalid", "config")


def test_a_broken_json_document_is_told_by_its_own_error() -> None:
    assert "not JSON" in refusal("custom", '{"r": 8, "lora_alpha"]')[2]


def test_a_broken_yaml_document_names_the_line() -> None:
    assert "line 2" in refusal("custom", "a: 1\nb: ]\nc: 3")[2]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("a:\n  - r: .nan", "a.0.r is nan"),
        ("r: -.inf", "r is -inf"),
        (f"r: {2**63}", "r is 9223372036854775808"),
        ({"r": -(2**64)}, "r is -18446744073709551616"),
        ("r: 0x" + "f" * 4000, "r is a number of 16000 bits"),
        ('r: "\\0"', "NUL"),
        ("r: " + "[" * 40 + "]" * 40, "nested deeper"),
    ],
)
def test_what_no_record_can_hold_is_named_by_its_key(document: object, words: str) -> None:
    assert words in refusal("custom", document)[2]


def test_dates_and_yes_stay_json() -> None:
    assert read("custom", "when: 2026-01-01").config == {"when": "2026-01-01"}


def test_an_unknown_key_is_refused_with_a_near_match() -> None:
    code, param, words = refusal("lora", {"lora_alfa": 1})
    assert (code, param) == ("unknown_field", "config.lora_alfa")
    assert "lora_alpha" in words


@pytest.mark.parametrize("value", [0, -1, "x", float("nan"), float("inf"), None])
def test_a_wrong_value_is_refused_naming_its_key(value: object) -> None:
    code, param, _ = refusal("training_arguments", {"learning_rate": value})
    assert code == "invalid"
    assert param in ("config.learning_rate", "config")  # NaN cannot even be written as JSON


def test_an_access_token_is_refused_and_not_repeated() -> None:
    token = "hf_" + "a" * 30
    code, param, words = refusal("custom", {"deep": [{"token": token}]})
    assert (code, param) == ("invalid", "config")
    assert token not in words
