"""Evaluations: one job a combination, on held-out rows of the training that made the adapter."""

from __future__ import annotations

from typing import Any

import pytest
from tunebus.contracts import commands as ask
from tunebus.contracts.errors import Code, Problem
from tunebus.contracts.recipes import EvaluationRecipe
from tunebus.services.registry.config_body import read
from tunebus.services.registry.fine_tuning_job import Asked


def start(*combinations: dict[str, Any], **fields: Any) -> ask.StartEvaluationJob:
    listed = [{"base_model_id": "base", "dataset_id": "faq", **combination} for combination in combinations]
    return ask.StartEvaluationJob(combinations=listed, **fields)


def recipes(studio: Any, decision: Any) -> list[EvaluationRecipe]:
    return [EvaluationRecipe.model_validate(dict(studio.recipe(job))) for job in decision.ids]


@pytest.fixture
def ready(studio: Any) -> Any:
    studio.dataset()
    studio.model()
    return studio


def test_a_base_model_alone_is_evaluated(ready: Any) -> None:
    decision = ready.accept(start({}), Asked())
    assert ready.types(decision) == ["EvaluationJobAdded", "JobQueued"]
    assert decision.ids == [decision.id]
    (recipe,) = recipes(ready, decision)
    assert recipe.adapter is None
    assert recipe.dataset.train_test_split == 0.95
    assert recipe.generation.temperature == 0.0


def test_combinations_make_as_many_jobs_under_one_parent(ready: Any) -> None:
    adapter = ready.trained_adapter()
    decision = ready.accept(start({}, {"adapter_id": adapter}, {"adapter_id": adapter}), Asked())
    assert len(decision.ids) == len(set(decision.ids)) == 3
    parents = {e.data["parent_id"] for e in decision.events if e.type == "EvaluationJobAdded"}
    assert parents == {decision.id}
    assert decision.id not in decision.ids


def test_the_split_prompt_and_layout_are_those_of_the_training(ready: Any) -> None:
    adapter = ready.trained_adapter(
        seed=7, dataset_fraction=0.5, train_test_split=0.9, text_format="plain", max_length=128
    )
    decision = ready.accept(start({"adapter_id": adapter}), Asked())
    (recipe,) = recipes(ready, decision)
    source = recipe.dataset
    assert (source.split_seed, source.dataset_fraction, source.train_test_split) == (7, 0.5, 0.9)
    assert source.prompt is not None
    assert (recipe.text_format, recipe.max_length) == ("plain", 128)
    assert decision.events[0].data["warnings"] == []


def test_the_base_is_scored_on_the_rows_of_the_adapter_it_is_compared_with(ready: Any) -> None:
    adapter = ready.trained_adapter(seed=7)
    base, tuned = recipes(ready, ready.accept(start({}, {"adapter_id": adapter}), Asked()))
    assert base.dataset == tuned.dataset
    assert base.dataset.split_seed == 7


def test_adapters_of_other_splits_are_warned_about(ready: Any) -> None:
    first, second = ready.trained_adapter(seed=1), ready.trained_adapter(seed=2)
    decision = ready.accept(start({"adapter_id": first}, {"adapter_id": second}), Asked())
    warnings = [e.data["warnings"] for e in decision.events if e.type == "EvaluationJobAdded"]
    assert [len(found) for found in warnings] == [1, 1]
    assert second in warnings[0][0]
    assert first in warnings[1][0]


def test_rows_asked_for_otherwise_are_warned_about(ready: Any) -> None:
    adapter = ready.trained_adapter(seed=1)
    decision = ready.accept(start({"adapter_id": adapter}, seed=9), Asked())
    assert recipes(ready, decision)[0].dataset.split_seed == 9
    assert adapter in decision.events[0].data["warnings"][0]


def test_a_dataset_the_adapter_never_saw_has_a_split_of_its_own(ready: Any) -> None:
    adapter = ready.trained_adapter(seed=7, train_test_split=0.5)
    ready.dataset("other", sha256="1" * 64)
    decision = ready.accept(start({"adapter_id": adapter, "dataset_id": "other"}), Asked())
    (recipe,) = recipes(ready, decision)
    assert (recipe.dataset.split_seed, recipe.dataset.train_test_split) == (42, 0.95)
    assert decision.events[0].data["warnings"] == []


def test_unknown_ids_in_any_combination_are_all_named_and_nothing_starts(ready: Any, params: Any) -> None:
    problem = ready.refuse(
        start({}, {"adapter_id": "a?"}, {"base_model_id": "m?", "dataset_id": "d?"}, {"prompt_id": "p?"}), Asked()
    )
    assert params(problem) == {
        "combinations.1.adapter_id": "not_found",
        "combinations.2.base_model_id": "not_found",
        "combinations.2.dataset_id": "not_found",
        "combinations.3.prompt_id": "not_found",
    }


def test_what_no_prompt_can_be_made_of_is_told_of_its_combination(ready: Any, params: Any) -> None:
    ready.dataset("braces", features=("a{b", "c"), sha256="1" * 64)
    prompt = ask.AddPrompt(
        name="short",
        dataset_id="faq",
        prompt_template="{input}{completion}",
        input_template="{question}",
        completion_template="{answer}",
    )
    ready.accept(prompt)
    odd = {"dataset_id": "braces"}
    problem = ready.refuse(start({}, odd, {**odd, "prompt_id": "short"}), Asked())
    assert params(problem) == {"combinations.1.dataset_id": "invalid", "combinations.2.prompt_id": "invalid"}


def test_an_adapter_of_another_model_is_refused_naming_both(ready: Any, params: Any) -> None:
    adapter = ready.trained_adapter()
    ready.model("other")
    problem = ready.refuse(start({"adapter_id": adapter, "base_model_id": "other"}), Asked())
    assert params(problem) == {"combinations.0.adapter_id": "invalid"}
    assert "'base'" in problem.message
    assert "'other'" in problem.message


def test_generation_is_an_object_or_a_config(ready: Any, params: Any) -> None:
    config = ready.accept(ask.AddConfig(type="generation", config="x"), read("generation", {"max_new_tokens": 5})).id
    assert recipes(ready, ready.accept(start({}, generation=config), Asked()))[0].generation.max_new_tokens == 5
    assert params(ready.refuse(start({}, generation="nope"), Asked())) == {"generation": "not_found"}


def test_wrong_fields_and_unknown_ids_come_in_one_reply(ready: Any, params: Any) -> None:
    wrong = [Problem(code=Code.INVALID, message="must be above 0", param="batch_size")]
    problem = ready.refuse(start({"adapter_id": "a?"}), Asked(wrong))
    assert params(problem) == {"batch_size": "invalid", "combinations.0.adapter_id": "not_found"}


def test_a_stop_kills(ready: Any) -> None:
    job = ready.accept(start({}), Asked()).id
    ready.start(job)
    ready.accept(ask.StopEvaluationJob(id=job))
    assert ready.known.jobs[job].stop == "force"


def test_a_finished_evaluation_keeps_its_rows_and_metrics(ready: Any, params: Any) -> None:
    job = ready.accept(start({}), Asked()).id
    report = {"job_id": job, "attempt": ready.start(job), "outcome": "finished"}
    assert params(ready.refuse(ask.CompleteAttempt(**report))) == {"result_uri": "invalid"}
    uri = f"artifact:jobs/{job}/attempt-1/rows.jsonl"
    decision = ready.accept(ask.CompleteAttempt(**report, result_uri=uri, metrics={"loss": 0.5}))
    assert ready.types(decision) == ["JobSucceeded"]
    assert decision.events[0].data["metrics"] == {"loss": 0.5}


def test_a_fine_tunings_id_is_no_evaluation(ready: Any) -> None:
    assert ready.refuse(ask.StopEvaluationJob(id=ready.job())).code == "not_found"
