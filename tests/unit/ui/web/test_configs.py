"""Settings as fields: what the contract says of each, what is wrong with a document, and how two differ."""

from __future__ import annotations

import pytest
from tunebus.contracts.errors import Code, TunebusError
from tunebus.contracts.recipes import CONFIG_BODIES
from tunebus.ui.web.config import settings
from tunebus.ui.web.configs import difference


@pytest.mark.parametrize("kind", [kind for kind, model in CONFIG_BODIES.items() if model])
def test_every_setting_of_the_contract_is_a_field_with_words(kind: str) -> None:
    model = CONFIG_BODIES[kind]
    assert model is not None
    found = settings.of(kind)
    assert list(found) == list(model.model_fields)
    for setting in found.values():
        assert setting.help, f"{setting.name} has no line of help"
        assert setting.label != setting.name
        assert setting.choices or setting.kind != "choice"


def test_kinds_ranges_and_defaults_come_from_the_contract() -> None:
    lora = settings.of("lora")
    assert (lora["r"].kind, lora["r"].least, lora["r"].default_words) == ("integer", 0, "16")
    assert (lora["target_modules"].kind, lora["target_modules"].default_words) == ("names", "all-linear")
    assert lora["use_dora"].kind == "flag"
    assert settings.of("training_arguments")["max_steps"].default is None
    assert settings.of("custom") == {}
    assert settings.of("nothing-like-it") == {}


def test_a_document_is_judged_as_it_would_be_kept() -> None:
    assert settings.check("lora", '{"r": 8}') == {"r": 8}
    assert settings.check("custom", '{"any": [1]}') == {"any": [1]}
    with pytest.raises(TunebusError) as caught:
        settings.check("lora", '{"r": 0, "alhpa": 1, "lora_dropout": 2}')
    wrong = {one.param for one in caught.value.problem.details or ()}
    assert wrong == {"config.r", "config.alhpa", "config.lora_dropout"}
    for text in ("r: 8", "[1]", "{", '{"a": ' * 40 + "1" + "}" * 40):
        with pytest.raises(TunebusError) as caught:
            settings.check("lora", text)
        assert (caught.value.problem.code, caught.value.problem.param) == (Code.INVALID, "config")


def test_two_configs_differ_in_what_comes_of_them() -> None:
    assert difference("lora", {"r": 16, "use_dora": True}, {"lora_alpha": 8}) == [
        ("use_dora", True),
        ("lora_alpha", True),
        ("r", False),
    ]
    assert difference("custom", {"a": 1}, {"b": None}) == [("a", True), ("b", True)]
