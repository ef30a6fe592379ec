"""Every aggregate: names are trimmed and unique, and none reads as an id."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from tunebus.contracts import commands as ask
from tunebus.contracts.identifiers import new_id
from tunebus.services.registry.adapter_folder import AdapterFolder
from tunebus.services.registry.dataset import PreparedDataset
from tunebus.services.registry.model_folder import ModelFolder

FILE = PreparedDataset("/data/x.csv", "csv", "prompt", ["question", "answer"], 1, 1, "0" * 64)
FOLDER = ModelFolder("/m", "LlamaForCausalLM", "llama", 1, "bfloat16", 512, 4096, True, 1, "0" * 64)
ADAPTER = AdapterFolder("/a", "base", 8, "0" * 64)
TEMPLATES = {
    "prompt_template": "{input}{completion}",
    "input_template": "{question}",
    "completion_template": "{answer}",
}

ADD = {
    "dataset": lambda name: (ask.AddDataset(name=name, path="x"), FILE),
    "model": lambda name: (ask.AddModel(name=name, path="x"), FOLDER),
    "adapter": lambda name: (ask.AddAdapter(name=name, path="x", model_id="base"), ADAPTER),
    "prompt": lambda name: (ask.AddPrompt(name=name, dataset_id="faq", **TEMPLATES), None),
}


@pytest.fixture
def with_base(studio: Any) -> Any:
    studio.dataset()
    studio.model()
    return studio


@pytest.mark.parametrize("kind", ADD)
def test_a_name_in_use_is_refused_compared_trimmed(with_base: Any, kind: str) -> None:
    with_base.accept(*ADD[kind]("mine"))
    problem = with_base.refuse(*ADD[kind]("  mine "))
    assert (problem.code, problem.param) == ("duplicate_name", "name")
    assert "'mine'" in problem.message


@pytest.mark.parametrize("kind", ADD)
def test_a_blank_name_is_refused(kind: str) -> None:
    with pytest.raises(ValidationError):
        ADD[kind]("   ")


@pytest.mark.parametrize("kind", ADD)
def test_a_name_that_reads_as_an_id_is_refused(with_base: Any, kind: str) -> None:
    problem = with_base.refuse(*ADD[kind](new_id()))
    assert (problem.code, problem.param) == ("invalid", "name")


@pytest.mark.parametrize("kind", ADD)
def test_names_differ_by_case(with_base: Any, kind: str) -> None:
    with_base.accept(*ADD[kind]("mine"))
    with_base.accept(*ADD[kind]("Mine"))


def test_a_thing_added_in_the_same_batch_is_known_by_name_and_id(with_base: Any) -> None:
    added = with_base.accept(*ADD["dataset"]("later"))
    for reference in ("later", " later ", added.id):
        assert with_base.known.datasets.get(reference).id == added.id
