"""How many tokens a dataset's rows have, counted on some of them with the model's own tokenizer.

Runs in a prepare child, quickly: the tokenizer's file alone is read, no chat template is run. What a template adds to
a message is taken to be a few tokens, so short rows come out a little off; training counts exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from tunebus.contracts.recipes import DatasetSource
from tunebus.services.platform.rows.formats import Pair, converted
from tunebus.services.platform.rows.source import rows_of
from tunebus.services.platform.rows.templates import Renderer

COUNTED_ROWS = 256
SPREAD_BYTES = 16 * 1024 * 1024  # files up to this size are counted from all over, larger ones from their beginning
LONGEST_TEXT = 200_000  # characters of a row that are counted; the rest is taken to be like them
CHARACTERS_A_TOKEN = 3.5  # where the tokenizer cannot be read: English text and common vocabularies
CHAT_TOKENS = 4  # what chat templates put around one message
END_TOKENS = 2  # a beginning and an end

Document = dict[str, Any]


def count(source: DatasetSource, model: Path, rows: int, size: int, chat: bool) -> Document:
    """`counted` rows of the dataset, their `mean`, `median`, `p95` and `max` tokens, and what they were `counted_with`.

    Errors: those of reading the rows.
    """
    step = max(1, rows // COUNTED_ROWS) if size <= SPREAD_BYTES else 1
    texts = list(islice(_texts(source, step), COUNTED_ROWS))
    if not texts:
        return {"counted": 0, "mean": None, "median": None, "p95": None, "max": None, "counted_with": None}
    lengths, counted_with = _tokens([text for text, _ in texts], model)
    extra = [END_TOKENS + (CHAT_TOKENS * messages if chat else 0) for _, messages in texts]
    ordered = sorted(round(found) + more for found, more in zip(lengths, extra, strict=True))
    return {
        "counted": len(ordered),
        "mean": round(sum(ordered) / len(ordered), 1),
        "median": ordered[len(ordered) // 2],
        "p95": ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)],
        "max": ordered[-1],
        "counted_with": counted_with,
    }


def _texts(source: DatasetSource, step: int) -> Iterator[tuple[str, int]]:
    """The text of every so many rows, and of how many messages it would be in a chat."""
    renderer = Renderer(source.prompt, source.features) if source.prompt is not None else None
    with closing(rows_of(source)) as rows:
        for row in islice(rows, 0, None, step):
            if renderer is not None:
                yield renderer.render(row).text, 2
                continue
            example = converted(row, source.format)
            if isinstance(example, Pair):
                yield f"{example.prompt} {example.completion}", 2
            else:
                yield " ".join(_content(turn) for turn in example), len(example)


def _content(turn: Mapping[str, Any]) -> str:
    return str(turn.get("content") or "")


def _tokens(texts: list[str], model: Path) -> tuple[list[float], str]:
    shares = [max(1.0, len(text) / LONGEST_TEXT) for text in texts]
    try:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    except Exception:  # the library raises Exception itself, and it may not be installed
        return [len(text) / CHARACTERS_A_TOKEN for text in texts], "characters"
    encoded = tokenizer.encode_batch([text[:LONGEST_TEXT] for text in texts], add_special_tokens=False)
    return [len(one.ids) * share for one, share in zip(encoded, shares, strict=True)], "tokenizer"
