"""Which tokens carry loss: always the answer and the token that ends it, never anything else."""

from __future__ import annotations

from array import array
from typing import Any

import pytest
from tunebus.contracts.errors import Code, TunebusError
from tunebus.contracts.recipes import DatasetSource, PromptTemplates
from tunebus.services.platform.rows.encoding import IGNORED, Encoded, Encoder, encode_rows, fit, set_pad_token

from tests.fixtures.tiny_models import MARKED_TEMPLATE, PLAIN_TEMPLATE, make_tokenizer

OUTSIDE_TEMPLATE = MARKED_TEMPLATE.replace(
    "{{ message['content'] + eos_token }}{% endgeneration %}",
    "{{ message['content'] }}{% endgeneration %}{{ eos_token }}",
)
# Drops the reasoning of earlier turns, as templates of reasoning models do.
FORGETFUL_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>"
    "{% if message['role'] == 'assistant' and loop.last %}thinking {% endif %}{{ message['content'] + eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ENDLESS_TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
CHAT = [
    {"role": "system", "content": "be a river"},
    {"role": "user", "content": "what colour"},
    {"role": "assistant", "content": "red"},
    {"role": "user", "content": "how many"},
    {"role": "assistant", "content": "two dog"},
]
TEMPLATES = PromptTemplates(prompt_template="{input}\n{completion}", input_template="{q}", completion_template="{a}")


def source(format: str = "prompt", **changes: Any) -> DatasetSource:
    return DatasetSource.model_validate(
        {
            "dataset_id": "d",
            "location": "/rows.jsonl",
            "type": "jsonl",
            "sha256": "0" * 64,
            "features": ["q", "a"] if format == "prompt" else ["messages"],
            "format": format,
            "prompt": TEMPLATES if format == "prompt" else None,
            **changes,
        }
    )


def weighted(*weights: int) -> list[dict[str, Any]]:
    """The chat, with weights on its answers."""
    left = list(weights)
    return [{**message, "weight": left.pop(0)} if message["role"] == "assistant" else message for message in CHAT]


def scored(tokenizer: Any, encoded: Encoded) -> str:
    """The text that carries loss, with `|` where it is interrupted."""
    text, runs = [], True
    for label in encoded.labels:
        if label == IGNORED:
            runs = False
            continue
        text.append(("" if runs or not text else "|") + tokenizer.decode([label]))
        runs = True
    return "".join(text)


def whole(tokenizer: Any, encoded: Encoded) -> str:
    return str(tokenizer.decode(list(encoded.input_ids)))


class TestChat:
    @pytest.mark.parametrize("template", [MARKED_TEMPLATE, OUTSIDE_TEMPLATE, PLAIN_TEMPLATE])
    def test_the_answer_and_its_end_carry_loss(self, template: str) -> None:
        tokenizer = make_tokenizer(template)
        encoded = Encoder(tokenizer, source()).encode({"q": "what colour", "a": "red"})
        assert scored(tokenizer, encoded) == "red<|end|>"
        assert "<|user|>what colour<|end|>" in whole(tokenizer, encoded)

    @pytest.mark.parametrize("template", [MARKED_TEMPLATE, OUTSIDE_TEMPLATE, PLAIN_TEMPLATE])
    def test_every_turn_of_the_assistant_carries_loss(self, template: str) -> None:
        tokenizer = make_tokenizer(template)
        encoded = Encoder(tokenizer, source("messages")).encode({"messages": CHAT})
        assert scored(tokenizer, encoded) == "red<|end|>|two dog<|end|>"

    @pytest.mark.parametrize("template", [MARKED_TEMPLATE, OUTSIDE_TEMPLATE, PLAIN_TEMPLATE])
    def test_an_answer_of_weight_0_carries_none_and_is_not_asked_for(self, template: str) -> None:
        tokenizer = make_tokenizer(template)
        encoder = Encoder(tokenizer, source("messages"))
        assert scored(tokenizer, encoder.encode({"messages": weighted(0, 1)})) == "two dog<|end|>"
        row = {"messages": weighted(1, 0)}
        assert scored(tokenizer, encoder.encode(row)) == "red<|end|>"
        assert encoder.question(row).reference == encoder.reference(row) == "red"

    def test_a_weight_where_answers_cannot_be_told_apart_is_refused(self) -> None:
        template = MARKED_TEMPLATE.replace("message['role'] == 'assistant'", "loop.last")
        encoder = Encoder(make_tokenizer(template), source("messages"))
        with pytest.raises(TunebusError, match="weight 0"):
            encoder.encode({"messages": weighted(0, 1)})

    @pytest.mark.parametrize("template", [MARKED_TEMPLATE, PLAIN_TEMPLATE])
    def test_alpacas_system_and_history_are_turns(self, template: str) -> None:
        tokenizer = make_tokenizer(template)
        row = {
            "instruction": "how many",
            "output": "two dog",
            "system": "be a river",
            "history": [["what colour", "red"]],
        }
        encoder = Encoder(tokenizer, source("alpaca", features=list(row)))
        assert encoder.encode(row) == Encoder(tokenizer, source("messages")).encode({"messages": CHAT})
        plain = Encoder(tokenizer, source("alpaca", features=list(row)), "plain").encode(row)
        assert whole(tokenizer, plain).startswith("be a river\n\nwhat colour\n\nred\n\nhow many\n")
        assert scored(tokenizer, plain) == "two dog<|end|>"

    def test_with_and_without_markers_the_same_tokens(self) -> None:
        marked, plain = make_tokenizer(MARKED_TEMPLATE), make_tokenizer(PLAIN_TEMPLATE.replace("\n", ""))
        rows = [{"messages": CHAT}, {"messages": CHAT[1:3]}]
        for row in rows:
            one = Encoder(marked, source("messages")).encode(row)
            other = Encoder(plain, source("messages")).encode(row)
            assert (one.input_ids, one.labels) == (other.input_ids, other.labels)

    def test_one_answer_works_with_a_template_that_forgets(self) -> None:
        tokenizer = make_tokenizer(FORGETFUL_TEMPLATE)
        encoded = Encoder(tokenizer, source("messages")).encode({"messages": CHAT[1:3]})
        assert scored(tokenizer, encoded) == "thinking red<|end|>"

    def test_two_answers_with_a_template_that_forgets_are_refused_with_the_reason(self) -> None:
        encoder = Encoder(make_tokenizer(FORGETFUL_TEMPLATE), source("messages"))
        with pytest.raises(TunebusError) as caught:
            encoder.encode({"messages": CHAT})
        assert caught.value.problem.code is Code.NOT_SUPPORTED
        assert "message 3 differently when more follows" in caught.value.problem.message

    def test_a_template_without_an_end_gets_the_tokenizers(self) -> None:
        tokenizer = make_tokenizer(ENDLESS_TEMPLATE)
        encoded = Encoder(tokenizer, source("messages")).encode({"messages": CHAT[1:3]})
        assert scored(tokenizer, encoded).endswith("<|end|>")

    def test_what_a_template_raises_is_said(self) -> None:
        strict = make_tokenizer("{{ raise_exception('no system role') }}")
        with pytest.raises(TunebusError, match="no system role"):
            Encoder(strict, source("messages"))

    def test_a_tokenizer_without_template_cannot_take_messages(self) -> None:
        with pytest.raises(TunebusError, match="no chat template"):
            Encoder(make_tokenizer(None), source("messages"))
        with pytest.raises(TunebusError, match="no chat template"):
            Encoder(make_tokenizer(None), source(), "chat")

    def test_the_end_of_turn_is_a_stop_token_beside_the_end_of_sequence(self) -> None:
        tokenizer = make_tokenizer(PLAIN_TEMPLATE.replace("eos_token", "'<|reserved_0|>'"))
        names = tokenizer.convert_ids_to_tokens(Encoder(tokenizer, source()).stop_ids)
        assert names == ["<|end|>", "<|reserved_0|>"]


class TestPlain:
    def test_the_completion_and_the_end_carry_loss(self) -> None:
        tokenizer = make_tokenizer(None)
        encoded = Encoder(tokenizer, source()).encode({"q": "what colour", "a": "red"})
        assert scored(tokenizer, encoded) == "red<|end|>"
        assert whole(tokenizer, encoded) == "what colour\nred<|end|>"

    def test_plain_text_on_request_though_there_is_a_template(self) -> None:
        tokenizer = make_tokenizer()
        encoded = Encoder(tokenizer, source(), "plain").encode({"q": "what", "a": "red"})
        assert "<|user|>" not in whole(tokenizer, encoded)

    def test_a_token_across_the_boundary_does_not_change_the_prompt(self) -> None:
        tokenizer = make_tokenizer(None)
        glued = source(prompt=TEMPLATES.model_copy(update={"prompt_template": "{input}{completion}"}))
        encoder = Encoder(tokenizer, glued)
        row = {"q": "what col", "a": "our red"}
        assert (
            tokenizer("what colour")["input_ids"][: len(tokenizer("what col")["input_ids"])]
            != (tokenizer("what col")["input_ids"])
        )
        encoded, question = encoder.encode(row), encoder.question(row)
        assert list(encoded.input_ids[: len(question.input_ids)]) == question.input_ids
        assert scored(tokenizer, encoded) == "our red<|end|>"

    def test_messages_cannot_be_plain(self) -> None:
        with pytest.raises(TunebusError, match="cannot be trained as plain text"):
            Encoder(make_tokenizer(), source("messages"), "plain")

    def test_without_an_end_the_model_could_not_learn_to_stop(self) -> None:
        tokenizer = make_tokenizer(None)
        tokenizer.eos_token = None
        with pytest.raises(TunebusError, match="could not learn to stop"):
            Encoder(tokenizer, source())


class TestPromptCompletion:
    @pytest.mark.parametrize(
        "row",
        [
            {"prompt": "what colour", "completion": "red"},
            {"prompt": CHAT[1:2], "completion": CHAT[2:3]},
            {"prompt": "what colour", "completion": CHAT[2:3]},
        ],
    )
    def test_text_and_messages_say_the_same(self, row: dict[str, Any]) -> None:
        tokenizer = make_tokenizer()
        encoded = Encoder(tokenizer, source("prompt_completion")).encode(row)
        assert scored(tokenizer, encoded) == "red<|end|>"
        assert "<|user|>what colour<|end|><|assistant|>" in whole(tokenizer, encoded)

    def test_a_missing_completion_teaches_to_stop(self) -> None:
        tokenizer = make_tokenizer()
        encoded = Encoder(tokenizer, source("prompt_completion")).encode({"prompt": "what"})
        assert scored(tokenizer, encoded) == "<|end|>"


class TestFormats:
    def test_all_of_plain_text_carries_loss(self) -> None:
        tokenizer = make_tokenizer(PLAIN_TEMPLATE)
        encoder = Encoder(tokenizer, source("text", features=["text"]))
        assert encoder.text_format == "plain"
        row = {"text": "red river two dog"}
        assert scored(tokenizer, encoder.encode(row)) == f"red river two dog{tokenizer.eos_token}"
        question = encoder.question(row)
        assert (question.prompt, question.reference) == ("red river", " two dog")
        assert encoder.reference(row) == question.reference

    def test_plain_text_is_no_chat(self) -> None:
        with pytest.raises(TunebusError) as caught:
            Encoder(make_tokenizer(PLAIN_TEMPLATE), source("text", features=["text"]), "chat")
        assert caught.value.problem.param == "text_format"

    @pytest.mark.parametrize(
        ("format", "row"),
        [
            ("alpaca", {"instruction": "what colour", "input": "", "output": "red"}),
            ("prompt_completion", {"prompt": "what colour", "completion": "red"}),
            ("preference", {"prompt": "what colour", "chosen": "red", "rejected": "dog"}),
            (
                "sharegpt",
                {"conversations": [{"from": "human", "value": "what colour"}, {"from": "gpt", "value": "red"}]},
            ),
        ],
    )
    def test_formats_that_say_the_same_are_the_same_tokens(self, format: str, row: dict[str, Any]) -> None:
        tokenizer = make_tokenizer(PLAIN_TEMPLATE)
        chat = {"messages": [{"role": "user", "content": "what colour"}, {"role": "assistant", "content": "red"}]}
        same = Encoder(tokenizer, source("messages")).encode(chat)
        assert Encoder(tokenizer, source(format, features=list(row))).encode(row) == same


class TestQuestion:
    @pytest.mark.parametrize("template", [MARKED_TEMPLATE, PLAIN_TEMPLATE])
    def test_a_question_is_the_beginning_of_its_row(self, template: str) -> None:
        encoder = Encoder(make_tokenizer(template), source())
        row = {"q": "what colour", "a": "red"}
        question, encoded = encoder.question(row), encoder.encode(row)
        assert list(encoded.input_ids[: len(question.input_ids)]) == question.input_ids
        assert (question.prompt, question.reference) == ("what colour", "red")
        assert encoder.reference(row) == "red"

    def test_the_last_answer_of_a_conversation_is_asked_for(self) -> None:
        encoder = Encoder(make_tokenizer(), source("messages"))
        question = encoder.question({"messages": CHAT})
        assert question.reference == "two dog"
        assert question.prompt.endswith("assistant: red\nuser: how many")
        assert encoder.reference({"messages": CHAT}) == "two dog"


class TestFit:
    def row(self, length: int, answer: int) -> Encoded:
        return Encoded(array("i", range(length)), array("i", [IGNORED] * (length - answer) + [1] * answer))

    def test_long_rows_are_cut_and_rows_without_answer_left_out(self) -> None:
        kept, counts = fit([self.row(5, 2), self.row(10, 6), self.row(10, 2)], 8)
        assert [len(row.input_ids) for row in kept] == [5, 8]
        assert (counts.rows, counts.kept, counts.truncated, counts.without_answer) == (3, 2, 2, 1)
        assert (counts.longest, counts.tokens, counts.answer_tokens) == (10, 13, 6)

    def test_the_first_token_of_a_row_is_never_predicted(self) -> None:
        kept, counts = fit([self.row(1, 1)], 8)
        assert (kept, counts.without_answer) == ([], 1)

    def test_an_error_names_the_row(self) -> None:
        encoder = Encoder(make_tokenizer(), source("messages"))
        with pytest.raises(TunebusError, match="row 8: "):
            encode_rows(encoder, [(7, {"messages": []})])


class TestPadToken:
    def test_a_usable_one_is_left_alone(self) -> None:
        assert set_pad_token(make_tokenizer(), 1000, [1]) == "<|pad|>"

    def test_a_reserved_token_is_taken_and_nothing_added(self) -> None:
        tokenizer = make_tokenizer(pad=False)
        size = len(tokenizer)
        assert set_pad_token(tokenizer, 1000, [1]) == "<|reserved_0|>"
        assert (len(tokenizer), tokenizer.pad_token) == (size, "<|reserved_0|>")

    def test_never_the_end_of_an_answer(self) -> None:
        tokenizer = make_tokenizer(pad=False)
        tokenizer.pad_token = tokenizer.eos_token
        stop = tokenizer.convert_tokens_to_ids(["<|end|>", "<|reserved_0|>"])
        assert set_pad_token(tokenizer, 1000, stop) == "<|user|>"

    def test_only_tokens_with_an_embedding(self) -> None:
        tokenizer = make_tokenizer(pad=False)
        assert set_pad_token(tokenizer, 3, [1]) == "<|user|>"

    def test_refused_when_there_is_none(self) -> None:
        tokenizer = make_tokenizer(pad=False)
        with pytest.raises(TunebusError, match="no token that could pad"):
            set_pad_token(tokenizer, 2, [0, 1])
