"""Evaluation jobs, conformance 27-29, through the bus; those that are evaluated are evaluated for real."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import pytest
from tunebus.contracts.errors import Problem, TunebusError
from tunebus.services.platform.rows.split import sample_and_split

from tests.fixtures.evaluating import Evaluator, Trained
from tests.fixtures.registry import Running

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
on_one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ROW_FIGURES = {
    "loss", "perplexity", "exact_match", "rouge_1", "rouge_2", "rouge_l", "bleu", "answer_tokens", "prompt_tokens",
    "tokens", "seconds",
}  # fmt: skip
ALL_FIGURES = {
    "loss", "perplexity", "exact_match", "rouge_1", "rouge_2", "rouge_l", "bleu", "answer_tokens", "prompt_tokens",
    "generated_tokens", "seconds", "seconds_per_row", "seconds_p95", "tokens_per_second", "rows",
}  # fmt: skip
SHORT = {"max_new_tokens": 4}


def by_field(problem: Problem) -> dict[str, str]:
    return {str(each.param): each.code.value for each in problem.details or [problem]}


def one(**changes: Any) -> dict[str, Any]:
    return {"base_model_id": "tiny", "dataset_id": "questions", **changes}


async def start(running: Running, *combinations: dict[str, Any], **asked: Any) -> tuple[str, list[str]]:
    outcome = await running.client.send("StartEvaluationJob", {"combinations": list(combinations), **asked})
    assert outcome.error is None, outcome.error
    assert outcome.id is not None
    assert outcome.ids is not None
    return outcome.id, outcome.ids


async def ask(running: Running, query: str, **arguments: Any) -> Any:
    return await running.client.query(query, arguments)


async def rows(running: Running, job_id: str, **arguments: Any) -> list[dict[str, Any]]:
    found = await ask(running, "GetEvaluationRows", job_id=job_id, limit=1000, **arguments)
    assert found["next"] is None
    items: list[dict[str, Any]] = found["items"]
    return items


async def test_conformance_27_an_unknown_id_in_any_combination_is_refused_before_anything_starts(
    running: Running, trained: Trained
) -> None:
    problem = await running.refused(
        "StartEvaluationJob",
        combinations=[
            one(),
            one(adapter_id="nobody"),
            one(base_model_id="no model", dataset_id="no data"),
            one(prompt_id="no prompt"),
            {"base_model_id": "tiny"},
        ],
    )
    assert by_field(problem) == {
        "combinations.1.adapter_id": "not_found",
        "combinations.2.base_model_id": "not_found",
        "combinations.2.dataset_id": "not_found",
        "combinations.3.prompt_id": "not_found",
        "combinations.4.dataset_id": "invalid",
    }
    assert "'nobody'" in str([each.message for each in problem.details or []])
    assert (await ask(running, "ListEvaluationJobs"))["items"] == []


async def test_conformance_27_combinations_are_required(running: Running) -> None:
    assert by_field(await running.refused("StartEvaluationJob", combinations=[])) == {"combinations": "invalid"}


async def test_conformance_27_every_combination_is_a_job_and_the_reply_lists_all(
    running: Running, trained: Trained
) -> None:
    adapter = await trained("first")
    parent, jobs = await start(running, one(), one(adapter_id=adapter), one(adapter_id="first"))
    listed = (await ask(running, "ListEvaluationJobs", parent_id=parent))["items"]
    assert [job["id"] for job in listed] == jobs
    assert [job["adapter_id"] for job in listed] == [None, adapter, adapter]
    assert {job["state"] for job in listed} == {"queued"}
    alone, [job] = await start(running, one())
    assert alone == job


async def test_conformance_27_what_has_no_effect_or_no_recipe_is_refused(running: Running, trained: Trained) -> None:
    problem = await running.refused(
        "StartEvaluationJob",
        combinations=[one()],
        quantization={"load_in_4bit": True},
        generation={"top_p": 0.5, "top_k": 3, "seed": 1},
        selected_features=["answr"],
    )
    assert by_field(problem) == {
        "quantization": "not_supported",
        "generation.top_p": "invalid",
        "generation.top_k": "invalid",
        "generation.seed": "invalid",
        "selected_features": "invalid",
    }
    hints = {str(each.param): each.hint for each in problem.details or []}
    assert hints["selected_features"] == "did you mean 'answer'?"


@on_one_database
async def test_conformance_28_rows_are_those_held_out_by_the_training(
    running: Running, trained: Trained, evaluator: Evaluator
) -> None:
    adapter = await trained("first", train_test_split=0.9, dataset_fraction=0.5, seed=7)
    parent, jobs = await start(running, one(), one(adapter_id=adapter), generation=SHORT)
    await evaluator.all()
    held_out = sorted(sample_and_split(60, fraction=0.5, train_share=0.9, seed=7).test)
    for job in jobs:
        assert [row["index"] for row in await rows(running, job)] == held_out
    assert all(job["warnings"] == [] for job in (await ask(running, "ListEvaluationJobs", parent_id=parent))["items"])


@on_one_database
async def test_conformance_28_a_fine_tuned_model_keeps_the_split_of_its_job(running: Running, trained: Trained) -> None:
    made = await trained("whole", method="full", train_test_split=0.8, seed=5)
    _, [job] = await start(running, one(base_model_id=made))
    recipe = (await ask(running, "GetEvaluationJob", id=job))["recipe"]
    assert (recipe["dataset"]["split_seed"], recipe["dataset"]["train_test_split"]) == (5, 0.8)


@on_one_database
async def test_conformance_28_rows_that_another_adapter_was_trained_on_are_warned_about_or_left_out(
    running: Running, trained: Trained, evaluator: Evaluator
) -> None:
    for name, seed in (("first", 1), ("second", 2)):
        await trained(name, train_test_split=0.5, seed=seed)
    combinations = [one(adapter_id="first"), one(adapter_id="second")]
    warned, _ = await start(running, *combinations, generation=SHORT, max_rows=1)
    warnings = [job["warnings"] for job in (await ask(running, "ListEvaluationJobs", parent_id=warned))["items"]]
    assert ["'second'" in found[0] for found in warnings] == [True, False]
    assert ["'first'" in found[0] for found in warnings] == [False, True]
    await evaluator.all()

    _, jobs = await start(running, one(), *combinations, generation=SHORT, leakage="exclude")
    await evaluator.all()
    first, second = (sample_and_split(60, train_share=0.5, seed=seed) for seed in (1, 2))
    unseen = sorted(set(first.test) - set(second.train))
    assert 0 < len(unseen) < len(first.test)
    for job in jobs:
        assert [row["index"] for row in await rows(running, job)] == unseen
    attempt = (await ask(running, "GetEvaluationJob", id=jobs[0]))["attempts_made"][0]
    assert attempt["resolved"]["left_out"] == len(first.test) - len(unseen)


@on_one_database
async def test_conformance_28_a_branch_has_seen_the_rows_of_all_that_it_goes_on_from(
    running: Running, trained: Trained, evaluator: Evaluator
) -> None:
    first = await trained("first", train_test_split=0.9)
    made_by = (await ask(running, "GetAdapter", id=first))["fine_tuning_job_id"]
    second = await trained.further(made_by, "second", train_test_split=0.5, seed=1)
    third = await trained.further(second, "third")
    await running.accepted("RemoveAdapter", id=first)
    await running.accepted("RemoveFineTuningJob", id=made_by)

    for which in ({"adapter_id": "third"}, {"job_id": third}):
        warned, _ = await start(running, one(**which))
        [found] = (await ask(running, "ListEvaluationJobs", parent_id=warned))["items"]
        assert "'third' goes on from a training on another split" in str(found["warnings"])
        assert "training share 0.9, seed 42" in str(found["warnings"])
        await running.accepted("StopEvaluationJob", id=warned)

    _, [job] = await start(running, one(adapter_id="third"), generation=SHORT, leakage="exclude")
    await evaluator.all()
    held_out = set(sample_and_split(60, train_share=0.5, seed=1).test)
    unseen = held_out - set(sample_and_split(60, train_share=0.9).train)
    assert 0 < len(unseen) < len(held_out)
    assert [row["index"] for row in await rows(running, job)] == sorted(unseen)

    # A model is made of its base's training, too, though that model is gone.
    base = await trained("base", method="full", train_test_split=0.8, seed=5)
    whole = await trained("whole", method="full", train_test_split=0.7, seed=6, base_model_id=base)
    await running.accepted("RemoveModel", id=base)
    warned, _ = await start(running, one(base_model_id=whole))
    [found] = (await ask(running, "ListEvaluationJobs", parent_id=warned))["items"]
    assert "training share 0.8, seed 5" in str(found["warnings"])


@on_one_database
async def test_conformance_29_every_metric_is_there_by_row_and_in_all(
    running: Running, trained: Trained, evaluator: Evaluator
) -> None:
    adapter = await trained("first", train_test_split=0.8)
    parent, jobs = await start(
        running, one(), one(adapter_id=adapter), generation=SHORT, selected_features=["question"], batch_size=5
    )
    await evaluator.all()
    document = await ask(running, "GetEvaluationJob", id=jobs[0])
    assert document["state"] == "succeeded", document["message"]
    metrics, table = document["metrics"], await rows(running, jobs[0])
    assert metrics.keys() >= ALL_FIGURES
    assert all(value is None or math.isfinite(value) for value in metrics.values())
    assert len(table) == metrics["rows"] == 12
    for row in table:
        assert row.keys() >= ROW_FIGURES | {"prompt", "reference", "answer", "features"}
        assert row["features"] == {"question": row["prompt"]}
        assert row["perplexity"] == pytest.approx(math.exp(row["loss"]))
    tokens = sum(row["answer_tokens"] for row in table)
    assert metrics["answer_tokens"] == tokens
    assert metrics["loss"] == pytest.approx(sum(row["loss"] * row["answer_tokens"] for row in table) / tokens)
    assert metrics["perplexity"] == pytest.approx(math.exp(metrics["loss"]))
    assert metrics["generated_tokens"] == sum(row["tokens"] for row in table)
    assert metrics["rouge_l"] == pytest.approx(sum(row["rouge_l"] for row in table) / len(table))

    found = await ask(running, "CompareEvaluations", parent_id=parent, limit=3)
    assert [each["job_id"] for each in found["combinations"]] == jobs
    loss = next(metric for metric in found["metrics"] if metric["name"] == "loss")
    other = (await ask(running, "GetEvaluationJob", id=jobs[1]))["metrics"]["loss"]
    assert loss["values"] == [metrics["loss"], other]
    assert loss["differences"] == [0, pytest.approx(other - metrics["loss"])]
    assert loss["lower_is_better"] is True
    assert loss["best"] == [0 if metrics["loss"] < other else 1]
    assert found["next"] == "3"
    by_index = {row["index"]: row for row in table}
    for item in found["items"]:
        assert item["prompt"] == by_index[item["index"]]["prompt"]
        assert item["answers"][0]["answer"] == by_index[item["index"]]["answer"]
    assert any(item["answers"][0]["answer"] != item["answers"][1]["answer"] for item in found["items"])


@on_one_database
async def test_conformance_29_rows_come_best_worst_or_at_random(
    running: Running, trained: Trained, evaluator: Evaluator
) -> None:
    _, [job] = await start(running, one(), generation=SHORT, train_test_split=0.5)
    await evaluator.all()
    table = await rows(running, job)
    losses = sorted(row["loss"] for row in table)
    assert [row["loss"] for row in await rows(running, job, order="best", metric="loss")] == losses
    assert [row["loss"] for row in await rows(running, job, order="worst", metric="loss")] == losses[::-1]
    matches = [row["rouge_1"] for row in await rows(running, job, order="best", metric="rouge_1")]
    assert matches == sorted(matches, reverse=True)
    drawn = [row["index"] for row in await rows(running, job, order="random", seed=3)]
    assert drawn == [row["index"] for row in await rows(running, job, order="random", seed=3)]
    assert drawn != [row["index"] for row in await rows(running, job, order="random", seed=4)]
    assert sorted(drawn) == [row["index"] for row in table]
    pages, after = [], None
    while True:
        page = await ask(running, "GetEvaluationRows", job_id=job, order="worst", metric="loss", limit=7, after=after)
        pages += page["items"]
        after = page["next"]
        if after is None:
            break
    assert [row["loss"] for row in pages] == losses[::-1]
    with pytest.raises(TunebusError) as caught:
        await ask(running, "GetEvaluationRows", job_id=job, order="best", metric="rouge_3")
    assert (caught.value.problem.param, caught.value.problem.code) == ("metric", "invalid")


@on_one_database
async def test_conformance_29_metrics_and_rows_are_exported_safe_for_spreadsheets(
    running: Running, trained: Trained, evaluator: Evaluator
) -> None:
    dangerous = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\tx", "\rx", 'plain, "quoted"']
    path = running.write(
        "odd.jsonl", "".join(json.dumps({"question": text, "answer": f"{text} a"}) + "\n" for text in dangerous * 2)
    )
    await running.accepted("AddDataset", name="odd", path=str(path))
    combination = one(dataset_id="odd")
    parent, _ = await start(
        running, combination, generation=SHORT, train_test_split=0.1, selected_features=["question"]
    )
    await evaluator.all()

    async def text(**arguments: Any) -> str:
        pieces, after = [], None
        while True:
            piece = await ask(running, "ExportEvaluations", parent_id=parent, after=after, **arguments)
            pieces.append(piece["text"])
            after = piece["next"]
            if after is None:
                return "".join(pieces)

    [job] = (await ask(running, "ListEvaluationJobs", parent_id=parent))["items"]
    table = await rows(running, job["id"])
    lines = list(csv.DictReader(io.StringIO(await text(part="rows", format="csv"), newline="")))
    assert len(lines) == len(table) == 13
    for line, row in zip(lines, table, strict=True):
        cell = line["features.question"]
        original = row["features"]["question"]
        assert cell == (original if original.startswith("plain") else "'" + original)
        for value in line.values():
            try:
                float(value)
            except ValueError:
                assert not value.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert float(line["loss"]) == row["loss"]
    exported = json.loads(await text(part="rows", format="json"))
    assert [{name: each[name] for name in row} for each, row in zip(exported, table, strict=True)] == table
    [line] = list(csv.DictReader(io.StringIO(await text(part="metrics", format="csv"), newline="")))
    assert (line["model"], line["dataset"], float(line["loss"])) == ("tiny", "odd", job["metrics"]["loss"])
    [document] = json.loads(await text(part="metrics", format="json"))
    assert document["metrics"] == job["metrics"]


@on_one_database
async def test_conformance_29_generation_settings_reach_the_model(
    running: Running, trained: Trained, evaluator: Evaluator
) -> None:
    async def answers(**generation: Any) -> list[str]:
        _, [job] = await start(running, one(), generation={"max_new_tokens": 6, **generation}, max_rows=3)
        await evaluator.all()
        return [row["answer"] for row in await rows(running, job)]

    hot = {"temperature": 5.0, "top_p": 1.0}
    greedy = await answers()
    assert greedy == await answers()
    assert await answers(**hot, seed=1) == await answers(**hot, seed=1) != await answers(**hot, seed=2)
    assert await answers(**hot, top_k=1, seed=1) == greedy
    assert await answers(repetition_penalty=50.0) != greedy


@on_one_database
async def test_typed_prompts_are_answered_by_base_and_tuned_side_by_side(
    running: Running, trained: Trained, evaluator: Evaluator
) -> None:
    await trained("first")
    asked = ["what colour is the red cat", [{"role": "user", "content": "what number is two"}]]
    parent, jobs = await start(
        running,
        {"base_model_id": "tiny"},
        {"base_model_id": "tiny", "adapter_id": "first"},
        prompts=asked,
        generation=SHORT,
    )
    await evaluator.all()
    found = await ask(running, "CompareEvaluations", parent_id=parent)
    assert [item["prompt"] for item in found["items"]] == ["what colour is the red cat", "what number is two"]
    assert [each["state"] for each in found["combinations"]] == ["succeeded", "succeeded"]
    for item in found["items"]:
        base, tuned = item["answers"]
        assert base["answer"] != tuned["answer"]
    assert "loss" not in (await ask(running, "GetEvaluationJob", id=jobs[0]))["metrics"]
    problem = await running.refused("StartEvaluationJob", combinations=[one()], prompts=asked, max_rows=3)
    assert by_field(problem) == {"combinations.0.dataset_id": "invalid", "max_rows": "invalid"}
