"""Starting a fine-tuning: what it resolves to, and everything it is refused for, at once."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tunebus.contracts import commands as ask
from tunebus.contracts.errors import Code, Problem
from tunebus.contracts.recipes import FineTuningRecipe
from tunebus.services.registry import recipe
from tunebus.services.registry.config_body import ConfigBody, read
from tunebus.services.registry.fine_tuning_job import Asked


def start(**fields: Any) -> ask.StartFineTuningJob:
    return ask.StartFineTuningJob(**{"base_model_id": "base", "dataset_id": "faq", **fields})


def config(studio: Any, kind: str, body: dict[str, Any]) -> str:
    return str(studio.accept(ask.AddConfig(type=kind, config=body), read(kind, body)).id)


@pytest.fixture
def ready(studio: Any) -> Any:
    studio.dataset()
    studio.model()
    return studio


def test_dataset_and_model_alone_are_enough(ready: Any) -> None:
    decision = ready.accept(start(), Asked())
    assert ready.types(decision) == ["FineTuningJobAdded", "JobQueued"]
    found = FineTuningRecipe.model_validate(dict(ready.recipe(decision.id)))
    assert (found.lora.r, found.lora.lora_alpha, found.lora.target_modules) == (16, 32, "all-linear")
    assert (found.training_arguments.learning_rate, found.training_arguments.num_train_epochs) == (2e-4, 1.0)
    assert (found.dataset.train_test_split, found.dataset.dataset_fraction) == (0.95, 1.0)
    assert found.dataset.prompt is not None
    assert found.dataset.prompt.completion_template == "{answer}"
    assert found.text_format == "chat"
    assert set(found.sources.values()) == {"default"}
    assert re.fullmatch(r"faq-base-[0-9a-f]{8}", found.adapter_name)
    assert ready.known.jobs[decision.id].out_dir == f"artifact:jobs/{decision.id}"


def test_the_command_wins_over_the_config_and_the_config_over_the_defaults(ready: Any) -> None:
    arguments = config(ready, "training_arguments", {"learning_rate": 1e-3, "weight_decay": 0.1})
    job = ready.accept(start(training_arguments=arguments, learning_rate=5e-4, num_epochs=3, lora={"r": 8}), Asked()).id
    found = FineTuningRecipe.model_validate(dict(ready.recipe(job)))
    training = found.training_arguments
    assert (training.learning_rate, training.weight_decay, training.num_train_epochs) == (5e-4, 0.1, 3.0)
    assert found.lora.r == 8
    assert {name: found.sources[name] for name in ("learning_rate", "weight_decay", "num_train_epochs", "r")} == {
        "learning_rate": "command",
        "weight_decay": "config",
        "num_train_epochs": "command",
        "r": "command",
    }
    assert found.sources["optim"] == "default"


def test_the_seed_of_training_is_the_seed_of_the_split(ready: Any) -> None:
    job = ready.accept(start(seed=7), Asked()).id
    assert ready.recipe(job)["dataset"]["split_seed"] == ready.recipe(job)["training_arguments"]["seed"] == 7


def test_unknown_ids_are_all_named_at_once(studio: Any, params: Any) -> None:
    problem = studio.refuse(
        start(base_model_id="m?", dataset_id="d?", prompt_id="p?", training_arguments="t?", lora="l?"), Asked()
    )
    assert params(problem) == dict.fromkeys(
        ("base_model_id", "dataset_id", "prompt_id", "training_arguments", "lora"), "not_found"
    )
    for name in ("m?", "d?", "p?", "t?", "l?"):
        assert f"'{name}'" in problem.message


def test_wrong_fields_and_unknown_ids_come_in_one_reply(studio: Any, params: Any) -> None:
    studio.model()
    wrong = [
        Problem(code=Code.INVALID, message="must be above 0", param="learning_rate"),
        Problem(code=Code.INVALID, message="is required", param="dataset_id"),
    ]
    problem = studio.refuse(start(dataset_id="-", prompt_id="p?"), Asked(wrong))
    assert params(problem) == {"learning_rate": "invalid", "dataset_id": "invalid", "prompt_id": "not_found"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"method": "soup"}, "method"),
        ({"num_gpu": 2}, "num_gpu"),
        ({"framework_type": "axolotl"}, "framework_type"),
        ({"num_workers": 2}, "num_workers"),
        ({"quantization": {"load_in_4bit": True}}, "quantization"),
        ({"quantization": "some-config"}, "quantization"),
    ],
)
def test_what_this_version_cannot_do_is_refused(ready: Any, fields: dict[str, Any], param: str, params: Any) -> None:
    assert params(ready.refuse(start(**fields), Asked())) == {param: "not_supported"}


@pytest.mark.parametrize(
    ("field", "key", "near"),
    [("training_arguments", "learning_rat", "learning_rate"), ("lora", "lora_alfa", "lora_alpha")],
)
def test_an_unknown_key_is_refused_with_a_near_match(ready: Any, field: str, key: str, near: str, params: Any) -> None:
    problem = ready.refuse(start(**{field: {key: 1}}), Asked())
    assert params(problem) == {f"{field}.{key}": "unknown_field"}
    assert near in str(problem.hint)


def test_wrong_values_in_both_objects_are_all_named(ready: Any, params: Any) -> None:
    problem = ready.refuse(start(training_arguments={"learning_rate": -1, "optim": "x"}, lora={"r": 0}), Asked())
    assert set(params(problem)) == {"training_arguments.learning_rate", "training_arguments.optim", "lora.r"}


def test_a_config_of_another_type_is_refused_naming_both(ready: Any, params: Any) -> None:
    problem = ready.refuse(start(training_arguments=config(ready, "lora", {"r": 4})), Asked())
    assert params(problem) == {"training_arguments": "invalid"}
    assert "lora" in problem.message
    assert "training_arguments" in problem.message


def test_an_adapter_name_of_a_job_or_an_adapter_is_refused(ready: Any, params: Any) -> None:
    first = ready.accept(start(adapter_name="mine"), Asked()).id
    assert params(ready.refuse(start(adapter_name="mine"), Asked())) == {"adapter_name": "duplicate_name"}
    ready.finish(first, ready.start(first))
    assert params(ready.refuse(start(adapter_name="mine"), Asked())) == {"adapter_name": "duplicate_name"}


def test_a_named_prompt_is_used_and_recorded(ready: Any) -> None:
    prompt = ready.accept(
        ask.AddPrompt(
            name="p",
            dataset_id="faq",
            prompt_template="Q: {input} A: {completion}",
            input_template="{question}",
            completion_template="{answer}",
        )
    ).id
    job = ready.accept(start(prompt_id="p"), Asked()).id
    assert ready.recipe(job)["dataset"]["prompt_id"] == prompt
    assert ready.recipe(job)["dataset"]["prompt"]["prompt_template"] == "Q: {input} A: {completion}"
    assert ready.recipe(job)["sources"]["prompt"] == "command"


def test_the_only_prompt_of_a_dataset_is_used_unasked_but_of_two_none(ready: Any) -> None:
    texts = {"prompt_template": "{input} {completion}", "completion_template": "{answer}"}
    first = ready.accept(ask.AddPrompt(name="a", dataset_id="faq", input_template="Q: {question}", **texts)).id
    job = ready.accept(start(), Asked()).id
    assert ready.recipe(job)["dataset"]["prompt_id"] == first
    assert ready.recipe(job)["sources"]["prompt"] == "default"
    ready.accept(ask.AddPrompt(name="b", dataset_id="faq", input_template="{question}?", **texts))
    job = ready.accept(start(), Asked()).id
    assert ready.recipe(job)["dataset"]["prompt_id"] is None
    assert ready.recipe(job)["dataset"]["prompt"]["input_template"] == "{question}"


def test_a_prompt_of_other_columns_is_refused(ready: Any, params: Any) -> None:
    ready.dataset("other", features=["text", "label"])
    ready.accept(
        ask.AddPrompt(
            name="p",
            dataset_id="other",
            prompt_template="{input}{completion}",
            input_template="{text}",
            completion_template="{label}",
        )
    )
    problem = ready.refuse(start(prompt_id="p"), Asked())
    assert params(problem) == {"prompt_id": "invalid"}
    assert "{text}" in problem.message


@pytest.mark.parametrize(
    ("format", "features"), [("messages", ["messages"]), ("prompt_completion", ["prompt", "completion"])]
)
def test_chats_and_pairs_need_no_prompt(studio: Any, format: str, features: list[str]) -> None:
    studio.dataset("chat", features=features, format=format)
    studio.model()
    job = studio.accept(start(dataset_id="chat"), Asked()).id
    assert studio.recipe(job)["dataset"]["format"] == format
    assert studio.recipe(job)["dataset"]["prompt"] is None


def test_chats_are_refused_for_a_model_without_chat_template(studio: Any, params: Any) -> None:
    studio.dataset("chat", features=["messages"], format="messages")
    studio.model(has_chat_template=False)
    assert params(studio.refuse(start(dataset_id="chat"), Asked())) == {"base_model_id": "not_supported"}


def test_a_model_without_chat_template_reads_plain_text(studio: Any, params: Any) -> None:
    studio.dataset()
    studio.model(has_chat_template=False)
    assert studio.recipe(studio.accept(start(), Asked()).id)["text_format"] == "plain"
    assert params(studio.refuse(start(text_format="chat"), Asked())) == {"text_format": "invalid"}


def test_a_length_beyond_the_context_is_refused(ready: Any, params: Any) -> None:
    problem = ready.refuse(start(max_length=513), Asked())
    assert params(problem) == {"max_length": "invalid"}
    assert "512" in problem.message


def test_epochs_of_more_steps_than_can_be_counted_are_refused(studio: Any) -> None:
    studio.model()
    studio.dataset(rows=10_000)
    problem = studio.refuse(start(num_epochs=1e6, batch_size=2), Asked())
    assert (problem.code, problem.param) == (Code.INVALID, "num_epochs")
    assert problem.message == "1e+06 epochs are 4,750,000,000 steps, more than a training can have"
    studio.accept(start(num_epochs=1e6, batch_size=2, max_steps=10), Asked())


def test_resources_that_no_worker_has_are_no_reason_to_refuse(ready: Any) -> None:
    job = ready.accept(start(num_gpu=1, num_memory=500.0), Asked()).id
    assert ready.state(job) == "queued"


def test_a_finished_job_registers_its_adapter(ready: Any) -> None:
    job = ready.accept(start(adapter_name="mine"), Asked()).id
    decision = ready.finish(job, ready.start(job))
    assert ready.types(decision) == ["JobSucceeded", "AdapterAdded"]
    succeeded, added = decision.events
    assert succeeded.data["adapter_id"] == added.entity_id
    assert (added.data["name"], added.data["fine_tuning_job_id"]) == ("mine", job)
    assert ready.known.adapters.get("mine").model_id == ready.known.models.get("base").id


def test_told_not_to_it_registers_none(ready: Any) -> None:
    job = ready.accept(start(register_adapter=False), Asked()).id
    assert ready.types(ready.finish(job, ready.start(job))) == ["JobSucceeded"]


def test_a_result_outside_the_attempts_own_folder_is_refused(ready: Any, params: Any) -> None:
    job = ready.accept(start(), Asked()).id
    attempt = ready.start(job)
    for uri in ("artifact:jobs/other/attempt-1/adapter", f"artifact:jobs/{job}/attempt-1/../adapter"):
        problem = ready.refuse(
            ask.CompleteAttempt(job_id=job, attempt=attempt, outcome="finished", result_uri=uri, result_sha256="0" * 64)
        )
        assert params(problem) == {"result_uri": "invalid"}


@pytest.mark.parametrize(
    ("dataset", "model", "expected"),
    [
        ("faq", "base", "faq-base-89abcdef"),
        ("My data (v2)!", "org/Model 1.5", "My-data-v2-org-Model-1-5-89abcdef"),
        ("日本語", "模型", "adapter-89abcdef"),
        ("d" * 90, "m" * 90, "d" * 90 + "-89abcdef"),
    ],
)
def test_generated_adapter_names_are_safe_and_short(dataset: str, model: str, expected: str) -> None:
    found = recipe.adapter_name(dataset, model, "00000000-0000-7000-8000-000089abcdef")
    assert found == expected
    assert len(found) <= 100


def test_an_equal_config_returns_the_one_that_is_there_and_writes_nothing(studio: Any) -> None:
    body = read("lora", {"r": 8, "lora_alpha": 16})
    first = studio.accept(ask.AddConfig(type="lora", config={"r": 8}), body)
    again = studio.accept(ask.AddConfig(type="lora", config={"r": 8}), read("lora", '{"lora_alpha":16,  "r":8}'))
    assert again.id == first.id
    assert again.events == ()
    assert len(studio.accept(ask.AddConfig(type="custom", config={"r": 8}), read("custom", {"r": 8})).events) == 1


def test_a_config_body_is_found_by_type_and_hash() -> None:
    assert ConfigBody("lora", {}, "ab").name == "lora:ab"
