"""From a row to token ids and the labels that carry loss. The tokenizer comes in as an object; this imports none.

Loss is on the assistant's text alone (of plain text, on all of it), and always on the token that ends its turn: a model
that never sees that token scored never learns to stop.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from tunebus.contracts.errors import Code, fail
from tunebus.contracts.recipes import DatasetSource, TextFormat
from tunebus.services.platform.rows.formats import CHATS, Pair, converted, is_learnt
from tunebus.services.platform.rows.templates import Renderer

IGNORED = -100

_GENERATION_MARKER = re.compile(r"{%-?\s*generation\b")
_PAD_NAMES = ("<pad>", "[PAD]", "<|pad|>", "<|finetune_right_pad_id|>", "<|fim_pad|>", "<|vision_pad|>")
_RESERVED_NAME = re.compile(r"reserved|unused|extra_id|dummy|placeholder", re.IGNORECASE)

Message = Mapping[str, Any]


class TokenizerLike(Protocol):
    """What is asked of a tokenizer; transformers' `PreTrainedTokenizerBase` has it."""

    chat_template: Any
    eos_token_id: int | None
    pad_token_id: int | None
    pad_token: Any
    all_special_ids: list[int]
    unk_token_id: int | None
    bos_token_id: int | None

    @property
    def added_tokens_decoder(self) -> Mapping[int, Any]: ...

    def __call__(self, text: str, *, add_special_tokens: bool = ...) -> Any: ...

    def apply_chat_template(self, conversation: list[dict[str, Any]], **options: Any) -> Any: ...

    def get_vocab(self) -> dict[str, int]: ...


@dataclass(frozen=True)
class Encoded:
    """One row. `labels` equals `input_ids` where the token carries loss and is `IGNORED` elsewhere."""

    input_ids: array[int]
    labels: array[int]

    @property
    def answer_tokens(self) -> int:
        """Tokens that carry loss, as a causal model counts them: the first token of a row is never predicted."""
        return sum(label != IGNORED for label in self.labels[1:])


@dataclass(frozen=True)
class Question:
    """What a model is given to answer, as tokens and as text that people read, and the answer that the row holds."""

    input_ids: list[int]
    prompt: str
    reference: str


@dataclass(frozen=True)
class Counts:
    """What became of the rows: `truncated` lost tokens at their end, `without_answer` lost all that carried loss and
    were left out.
    """

    rows: int = 0
    kept: int = 0
    truncated: int = 0
    without_answer: int = 0
    longest: int = 0
    tokens: int = 0
    answer_tokens: int = 0


class Encoder:
    """Encodes rows of one dataset for one tokenizer.

    Errors: `invalid` where templates, rows and tokenizer do not fit; `not_supported` where a chat template does not
    render prefixes of a conversation as prefixes of its text, so that nobody could tell which tokens are the answer.
    """

    def __init__(self, tokenizer: TokenizerLike, source: DatasetSource, text_format: TextFormat | None = None) -> None:
        self._tokenizer = tokenizer
        self._special = set(tokenizer.all_special_ids) | {
            number for number, token in tokenizer.added_tokens_decoder.items() if token.special
        }
        template = tokenizer.chat_template
        self._marked = isinstance(template, str) and _GENERATION_MARKER.search(template) is not None
        self._format = source.format
        self._renderer: Renderer | None = None
        if source.format == "prompt":
            if source.prompt is None:
                raise fail(
                    Code.INVALID,
                    f"a dataset with the columns {', '.join(source.features)} needs a prompt",
                    param="prompt_id",
                    hint="add a prompt with templates for these columns",
                )
            self._renderer = Renderer(source.prompt, source.features)
        usual: TextFormat = "chat" if template and source.format != "text" else "plain"
        self.text_format: TextFormat = text_format or usual
        is_chat = source.format in CHATS
        if not template and (self.text_format == "chat" or is_chat):
            raise fail(
                Code.INVALID,
                "the model's tokenizer has no chat template",
                param="text_format",
                hint="take a model with a chat template" + ("" if is_chat else ", or text_format 'plain'"),
            )
        if self.text_format == "plain" and is_chat:
            raise _no_chat()
        if self.text_format == "chat" and source.format == "text":
            raise fail(
                Code.INVALID,
                "plain text is no chat",
                param="text_format",
                hint="leave it out, or use plain",
            )
        if tokenizer.eos_token_id is None and self.text_format == "plain":
            raise fail(
                Code.INVALID,
                "the model's tokenizer has no end-of-sequence token: the model could not learn to stop",
                param="base_model_id",
                hint="take a model whose tokenizer has one",
            )
        self.stop_ids = self._find_stop_ids()

    def encode(self, row: Mapping[str, Any]) -> Encoded:
        """The whole row with its answers."""
        part = self._parts(row)
        if isinstance(part, Pair):
            return self._plain(part)
        return self._marked_chat(part) if self._marked else self._prefix_chat(part)

    def question(self, row: Mapping[str, Any]) -> Question:
        """Everything before the row's last answer, as the model is given it when it is to write that answer."""
        part = self._parts(row)
        if isinstance(part, Pair):
            given_text, rest = _halves(part.completion) if self._format == "text" else (part.prompt, part.completion)
            return Question(self._ids(given_text, first=True), given_text, rest)
        last = max(index for index, message in enumerate(part) if is_learnt(message))
        given = part[:last]
        text = self._render(given, generation=True)
        if len(given) == 1:
            readable = str(given[0]["content"])
        else:
            readable = "\n".join(f"{message['role']}: {message['content']}" for message in given)
        return Question(self._ids(text), readable, str(part[last]["content"]))

    def reference(self, row: Mapping[str, Any]) -> str:
        """The row's last answer alone."""
        part = self._parts(row)
        if isinstance(part, Pair):
            return _halves(part.completion)[1] if self._format == "text" else part.completion
        return str(next(message["content"] for message in reversed(part) if is_learnt(message)))

    def _parts(self, row: Mapping[str, Any]) -> Pair | list[dict[str, Any]]:
        """The row as plain text, or as the messages of a chat."""
        if self._renderer is not None:
            rendered = self._renderer.render(row)
            part: Pair | list[dict[str, Any]] = Pair(rendered.prompt, rendered.completion)
        else:
            part = converted(row, self._format)
        if isinstance(part, list):
            if self.text_format != "chat":
                raise _no_chat()
            return part
        if self.text_format == "plain":
            return part
        # The turns' own marks separate them; white space of a template would only be one more thing to get right.
        asked = part.prompt if part.asked is None else part.asked
        earlier = [dict(message) for message in part.earlier]
        return [*earlier, _message("user", asked.strip()), _message("assistant", part.completion.strip())]

    def _plain(self, pair: Pair) -> Encoded:
        end = self._tokenizer.eos_token_id
        assert end is not None
        ids, mask = self._join([(pair.prompt, False), (pair.completion, True)], first=True)
        return _encoded([*ids, end], [*mask, True])

    def _marked_chat(self, messages: list[dict[str, Any]]) -> Encoded:
        """By the template's own `{% generation %}` markers."""
        try:
            rendered = self._tokenizer.apply_chat_template(
                messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
            )
        except Exception as error:
            raise _template_failed(error) from None
        ids = list(rendered["input_ids"])
        mask = [bool(bit) for bit in rendered["assistant_masks"]]
        self._leave_out(mask, messages)
        for at in range(len(ids)):
            ends = mask[at] and (at + 1 == len(ids) or not mask[at + 1])
            if ends and ids[at] not in self._special:
                # The template writes the end of turn outside its markers.
                if at + 1 < len(ids) and ids[at + 1] in self._special:
                    mask[at + 1] = True
                elif at + 1 == len(ids):
                    ids, mask = self._ended(ids, mask)
        return _encoded(ids, mask)

    def _leave_out(self, mask: list[bool], messages: list[dict[str, Any]]) -> None:
        """Take the loss off the answers that are only context. Errors: `not_supported` where they cannot be told."""
        answers = [is_learnt(message) for message in messages if message["role"] == "assistant"]
        if all(answers):
            return
        starts = [at for at, bit in enumerate(mask) if bit and not (at and mask[at - 1])]
        if len(starts) != len(answers):
            raise fail(
                Code.NOT_SUPPORTED,
                f"the chat template marks {len(starts)} answers of {len(answers)}, so it cannot be told which of them "
                "has the weight 0",
                param="text_format",
                hint="leave such messages out, or use a model with another chat template",
            )
        for start, learnt in zip(starts, answers, strict=True):
            at = start
            while not learnt and at < len(mask) and mask[at]:
                mask[at] = False
                at += 1

    def _prefix_chat(self, messages: list[dict[str, Any]]) -> Encoded:
        """By rendering the conversation up to each of the assistant's turns, before and after it."""
        full = self._render(messages)
        pieces: list[tuple[str, bool]] = []
        done = ""
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = self._render(messages[:index], generation=True) if index else ""
            after = self._render(messages[: index + 1])
            if not (before.startswith(done) and after.startswith(before) and full.startswith(after)):
                raise fail(
                    Code.NOT_SUPPORTED,
                    f"the chat template writes message {index + 1} differently when more follows, so it cannot be told "
                    "which tokens are the assistant's",
                    param="text_format",
                    hint="use a model whose chat template has {% generation %} markers, or conversations of one answer",
                )
            pieces += [(before[len(done) :], False), (after[len(before) :], is_learnt(message))]
            done = after
        if len(full) > len(done):
            pieces.append((full[len(done) :], False))
        ids, mask = self._join(pieces, first=False)
        self._end_at_stop(ids, mask)
        if mask[-1] and ids[-1] not in self._special:
            ids, mask = self._ended(ids, mask)
        return _encoded(ids, mask)

    def _end_at_stop(self, ids: list[int], mask: list[bool]) -> None:
        """Take the loss off what a template writes after the token that ends a turn, most often a line break."""
        at = len(ids)
        while at > 0:
            end = at
            while end > 0 and not mask[end - 1]:
                end -= 1
            start = end
            while start > 0 and mask[start - 1]:
                start -= 1
            stops = [number for number in range(start, end) if ids[number] in self._special]
            if stops:
                mask[stops[-1] + 1 : end] = [False] * (end - stops[-1] - 1)
            at = start

    def _ended(self, ids: list[int], mask: list[bool]) -> tuple[list[int], list[bool]]:
        end = self._tokenizer.eos_token_id
        if end is None:
            raise fail(
                Code.INVALID,
                "neither the chat template nor the tokenizer has a token that ends a turn: the model could not learn "
                "to stop",
                param="base_model_id",
                hint="take a model whose tokenizer has one",
            )
        return [*ids, end], [*mask, True]

    def _join(self, pieces: Sequence[tuple[str, bool]], *, first: bool) -> tuple[list[int], list[bool]]:
        """Token ids of consecutive texts and, for each, whether it carries loss.

        The text is tokenized as a whole where each boundary falls between two tokens; else piece by piece, so that
        a prompt's tokens are the same with and without its answer.
        """
        whole = self._ids("".join(text for text, _ in pieces), first=first)
        cuts = [0]
        text = ""
        for piece, _ in pieces[:-1]:
            text += piece
            prefix = self._ids(text, first=first)
            if whole[: len(prefix)] != prefix:
                break
            cuts.append(len(prefix))
        else:
            cuts.append(len(whole))
            mask: list[bool] = []
            for (_, loss), start, end in zip(pieces, cuts[:-1], cuts[1:], strict=True):
                mask += [loss] * (end - start)
            return whole, mask
        ids: list[int] = []
        mask = []
        for number, (piece, loss) in enumerate(pieces):
            part = self._ids(piece, first=first and number == 0)
            ids += part
            mask += [loss] * len(part)
        return ids, mask

    def _ids(self, text: str, *, first: bool = False) -> list[int]:
        """Token ids; `first` adds what the tokenizer opens a text with, but never an end."""
        ids = list(self._tokenizer(text, add_special_tokens=first)["input_ids"])
        while first and ids and ids[-1] == self._tokenizer.eos_token_id != self._tokenizer.bos_token_id:
            ids.pop()
        return ids

    def _render(self, messages: Sequence[Message], *, generation: bool = False) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    [dict(message) for message in messages], tokenize=False, add_generation_prompt=generation
                )
            )
        except Exception as error:
            raise _template_failed(error) from None

    def _find_stop_ids(self) -> list[int]:
        """Tokens that end an answer: end of sequence, and what the chat template ends a turn with."""
        found = [] if self._tokenizer.eos_token_id is None else [self._tokenizer.eos_token_id]
        if self.text_format == "chat":
            probe = [_message("user", "?"), _message("assistant", "!")]
            encoded = self._marked_chat(probe) if self._marked else self._prefix_chat(probe)
            scored = [label for label in encoded.labels if label != IGNORED]
            if scored and scored[-1] in self._special and scored[-1] not in found:
                found.append(scored[-1])
        return found


def encode_rows(
    encoder: Encoder,
    rows: Iterable[tuple[int, Mapping[str, Any]]],
    progress: Callable[[int], None] | None = None,
    limit: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> list[Encoded]:
    """Encode numbered rows, each within its `limit`. Errors: the encoder's and the limit's, naming the row (from 1)."""
    encoded = []
    for done, (number, row) in enumerate(rows, start=1):
        try:
            with limit():
                encoded.append(encoder.encode(row))
        except Exception as error:
            problem = getattr(error, "problem", None)
            if problem is not None:
                raise fail(
                    problem.code, f"row {number + 1}: {problem.message}", param=problem.param, hint=problem.hint
                ) from None
            raise
        if progress is not None and done % 1000 == 0:
            progress(done)
    return encoded


def fit(encoded: Sequence[Encoded], max_length: int) -> tuple[list[Encoded], Counts]:
    """Cut rows at `max_length` tokens, at their end, and leave out those that then hold no answer."""
    kept = []
    truncated = 0
    for row in encoded:
        cut = row
        if len(row.input_ids) > max_length:
            truncated += 1
            cut = Encoded(row.input_ids[:max_length], row.labels[:max_length])
        if cut.answer_tokens:
            kept.append(cut)
    return kept, Counts(
        rows=len(encoded),
        kept=len(kept),
        truncated=truncated,
        without_answer=len(encoded) - len(kept),
        longest=max((len(row.input_ids) for row in encoded), default=0),
        tokens=sum(len(row.input_ids) for row in kept),
        answer_tokens=sum(row.answer_tokens for row in kept),
    )


def set_pad_token(tokenizer: TokenizerLike, embedding_rows: int, stop_ids: Sequence[int]) -> str:
    """Give the tokenizer a pad token that its vocabulary already has, never one that ends an answer; returns it.

    A usable one is left alone. Else: a token named for padding, a reserved or unused one, the unknown token, another
    special one. Nothing is added, so embeddings keep their size.
    """
    ends = {*stop_ids, tokenizer.eos_token_id}
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id not in ends:
        return str(tokenizer.pad_token)
    vocabulary = {
        token: number
        for token, number in tokenizer.get_vocab().items()
        if number < embedding_rows and number not in ends
    }
    special = set(tokenizer.all_special_ids) | {
        number for number, token in tokenizer.added_tokens_decoder.items() if token.special
    }
    by_number = sorted(vocabulary, key=vocabulary.__getitem__)
    candidates = [
        *(name for name in _PAD_NAMES if name in vocabulary),
        *(token for token in by_number if _RESERVED_NAME.search(token) and vocabulary[token] in special),
        *(token for token in by_number if vocabulary[token] == tokenizer.unk_token_id),
        *(token for token in by_number if vocabulary[token] in special and vocabulary[token] != tokenizer.bos_token_id),
        *(token for token in by_number if vocabulary[token] == tokenizer.bos_token_id),
    ]
    if not candidates:
        raise fail(
            Code.INVALID,
            "the model's tokenizer has no token that could pad: none for padding, none reserved, none special",
            param="base_model_id",
            hint="take a model whose tokenizer has one",
        )
    tokenizer.pad_token = candidates[0]
    return candidates[0]


def _encoded(ids: list[int], mask: list[bool]) -> Encoded:
    labels = (token if loss else IGNORED for token, loss in zip(ids, mask, strict=True))
    return Encoded(array("i", ids), array("i", labels))


def _halves(text: str) -> tuple[str, str]:
    """Plain text as something to go on from and what follows, cut between two words near its middle."""
    middle = len(text) // 2
    cut = text.find(" ", middle)
    cut = middle if cut < 0 else cut
    return text[:cut], text[cut:]


def _message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def _no_chat() -> Exception:
    hint = "leave it out, or use chat"
    return fail(Code.INVALID, "chat messages cannot be trained as plain text", param="text_format", hint=hint)


def _template_failed(error: Exception) -> Exception:
    """A chat template is a program of the model's author; what it raises is about the conversation."""
    return fail(Code.INVALID, f"the model's chat template refuses the conversation: {error}")
