"""The tokenizer child: some of a dataset's rows as tokens, with what carries loss, and how many tokens rows have.

    python -m tunebus.services.registry.tokenizing

Started on demand, and limited in memory, in time and in seconds a row: a chat template is a program of somebody else's.
It answers as the prepare child does, one JSON request a line; it has no database and no bus.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any

from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.recipes import DatasetSource, ModelSource
from tunebus.services.platform.child import models
from tunebus.services.platform.child.failures import ChildFailure
from tunebus.services.platform.rows.encoding import IGNORED, Encoded, Encoder
from tunebus.services.platform.rows.overtime import limited
from tunebus.services.platform.rows.source import rows_of
from tunebus.services.registry import prepare

MEMORY_BYTES = 4 * 1024**3
ROW_SECONDS = 2.0
COUNTED_ROWS = 2000
COUNTING_SECONDS = 6.0
SPREAD_BYTES = 48 * 1024 * 1024  # files up to this size are counted from all over, larger ones from their beginning
SHOWN_TOKENS = 1500
_BINS = 12

Document = dict[str, Any]


def tokenize(request: Document) -> Document:
    """Errors: `invalid` and `not_supported` as training would meet them; `too_large` for a template that takes long."""
    source = DatasetSource.model_validate(request["source"])
    tokenizer = _tokenizer(request["model"])
    with _limited():
        encoder = Encoder(tokenizer, source, request["text_format"])
    length = request["max_length"]
    shown: list[Document] = []
    counted: list[tuple[int, int]] = []
    step = max(1, request["rows"] // COUNTED_ROWS) if request["bytes"] <= SPREAD_BYTES else 1
    wanted = range(request["offset"], request["offset"] + request["limit"])
    until = time.monotonic() + COUNTING_SECONDS
    counting = request["lengths"]
    with closing(rows_of(source)) as rows:
        for number, row in enumerate(rows):
            counting = counting and len(counted) < COUNTED_ROWS and time.monotonic() < until
            if number >= wanted.stop and not counting:
                break
            counts = counting and (number < request["limit"] or number % step == 0)
            if number not in wanted and not counts:
                continue
            with _limited(number):
                encoded = encoder.encode(row)
            if counts:
                counted.append((len(encoded.input_ids), encoded.answer_tokens))
            if number in wanted:
                shown.append(_tokens(tokenizer, encoded, length))
    return {
        "text_format": encoder.text_format,
        "tokenized": shown,
        "token_lengths": _lengths(counted, request["rows"], length, step) if request["lengths"] else None,
    }


def _lengths(counted: Sequence[tuple[int, int]], rows: int, length: int | None, step: int) -> Document:
    """Figures over the rows that were counted; `truncated` are those longer than `max_length`."""
    lengths = sorted(tokens for tokens, _ in counted)
    over = sum(tokens > length for tokens in lengths) if length else 0
    return {
        "rows": rows,
        "counted": len(lengths),
        "counted_from": "all rows" if len(lengths) == rows else "all over" if step > 1 else "the first rows",
        "min": lengths[0] if lengths else None,
        "median": lengths[len(lengths) // 2] if lengths else None,
        "p95": lengths[min(len(lengths) - 1, len(lengths) * 95 // 100)] if lengths else None,
        "max": lengths[-1] if lengths else None,
        "mean": round(sum(lengths) / len(lengths), 1) if lengths else None,
        "answer_mean": round(sum(answer for _, answer in counted) / len(counted), 1) if counted else None,
        "max_length": length,
        "truncated": over,
        "truncated_share": round(over / len(lengths), 6) if lengths else 0.0,
        "histogram": _histogram(lengths),
    }


def _histogram(lengths: Sequence[int]) -> list[Document]:
    """Equal bins from the shortest to the longest; `to` is inclusive."""
    if not lengths:
        return []
    low, high = lengths[0], lengths[-1]
    width = max(1, -(-(high - low + 1) // _BINS))
    bins = []
    for start in range(low, high + 1, width):
        end = min(start + width - 1, high)
        bins.append({"from": start, "to": end, "rows": sum(start <= length <= end for length in lengths)})
    return bins


def _tokens(tokenizer: Any, row: Encoded, length: int | None) -> Document:
    """A row's tokens as pieces of text; a character of several tokens is one piece."""
    cut = len(row.input_ids) if length is None else min(length, len(row.input_ids))
    pieces = list(islice(_pieces(tokenizer, row), SHOWN_TOKENS))
    return {
        "tokens": len(row.input_ids),
        "answer_tokens": row.answer_tokens,
        "truncated": cut < len(row.input_ids),
        "pieces": pieces,
        "cut_at": _cut_at(pieces, cut) if cut < len(row.input_ids) else None,
        "more": sum(piece["tokens"] for piece in pieces) < len(row.input_ids),
    }


def _cut_at(pieces: Sequence[Document], kept: int) -> int | None:
    """The first piece that is not wholly within the tokens that are kept; None where that is not shown."""
    tokens = 0
    for number, piece in enumerate(pieces):
        tokens += piece["tokens"]
        if tokens > kept:
            return number
    return None


def _pieces(tokenizer: Any, row: Encoded) -> Iterator[Document]:
    """Text between two decodings: a token alone may decode without its space, or to half a character."""

    def text(start: int, end: int) -> str:
        return str(tokenizer.decode(row.input_ids[start:end], skip_special_tokens=False))

    before = start = 0
    for end in range(1, len(row.input_ids) + 1):
        loss = row.labels[end - 1] != IGNORED
        last = end == len(row.input_ids) or (row.labels[end] != IGNORED) != loss
        known, longer = text(before, start), text(before, end)
        if longer.endswith("\N{REPLACEMENT CHARACTER}") and not last and end - start < 8:
            continue
        yield {"text": longer[len(known) :], "loss": loss, "tokens": end - start}
        before, start = start, end


_loaded: dict[tuple[str, str], Any] = {}


def _tokenizer(model: Document) -> Any:
    """The model's tokenizer, kept for the next question about the same files."""
    source = ModelSource.model_validate(model)
    key = (source.location, source.sha256)
    if key not in _loaded:
        # A tokenizer needs no torch: without it this child starts in a second and stays small.
        sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
        try:
            models.quiet()
            found = models.load_tokenizer(source)
        except ModuleNotFoundError as error:
            raise fail(
                Code.NOT_SUPPORTED,
                f"tokens cannot be counted on this machine: {error.name} is not installed",
                param="model_id",
                hint="install tunebus[registry] there",
            ) from None
        except ChildFailure as failure:
            raise fail(Code.INVALID, failure.message, param="model_id", hint=failure.hint) from None
        _loaded.clear()
        _loaded[key] = found
    return _loaded[key]


@contextmanager
def _limited(row: int | None = None) -> Iterator[None]:
    """End what a chat template does after two seconds; name the row in what is wrong."""
    where = "" if row is None else f"row {row + 1}: "
    try:
        with limited(ROW_SECONDS, "model_id"):
            yield
    except TunebusError as error:
        problem = error.problem
        raise TunebusError(problem.model_copy(update={"message": where + problem.message})) from None


STEPS: dict[str, Callable[[Document], Document]] = {"tokenize": tokenize}

if __name__ == "__main__":
    prepare.serve(STEPS, MEMORY_BYTES)
