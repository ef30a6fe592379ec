"""A dataset's rows as a child needs them: read and checked, split as recorded, and the encoder that fits the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from tunebus.contracts.errors import TunebusError
from tunebus.contracts.recipes import DatasetSource, TextFormat
from tunebus.services.platform.child.failures import ChildFailure, configuration, not_readable
from tunebus.services.platform.rows.encoding import Encoded, Encoder, TokenizerLike, encode_rows
from tunebus.services.platform.rows.overtime import limited
from tunebus.services.platform.rows.source import own_splits, rows_of
from tunebus.services.platform.rows.split import Split, sample_and_split

# Far above what the longest row takes, far below what anybody waits for.
ROW_SECONDS = 60.0


def load_rows(source: DatasetSource) -> tuple[list[dict[str, Any]], Split]:
    """All rows of the dataset as it was added, and which are held out. Errors: `bad_data`."""
    try:
        rows = list(rows_of(source))
    except TunebusError as error:
        raise not_readable(error) from None
    return rows, split_rows(source, len(rows))


def split_rows(source: DatasetSource, rows: int) -> Split:
    """Which of so many rows a training on this source sees, and which are held out."""
    return sample_and_split(
        rows,
        fraction=source.dataset_fraction,
        train_share=source.train_test_split,
        seed=source.split_seed,
        splits=own_splits(source.files),
    )


def make_encoder(tokenizer: TokenizerLike, source: DatasetSource, text_format: TextFormat | None) -> Encoder:
    """Errors: `bad_configuration` for templates and formats that do not fit the data or the model."""
    try:
        with limited(ROW_SECONDS):
            return Encoder(tokenizer, source, text_format)
    except TunebusError as error:
        raise configuration(error) from None


def encode(
    encoder: Encoder,
    rows: Sequence[Mapping[str, Any]],
    numbers: Iterable[int],
    progress: Callable[[int], None] | None = None,
    seconds: float = ROW_SECONDS,
) -> list[Encoded]:
    """The rows of these numbers, encoded, none in more than some seconds. Errors: `bad_data`, naming the row."""
    numbered = ((number, rows[number]) for number in numbers)
    try:
        return encode_rows(encoder, numbered, progress, partial(limited, seconds))
    except TunebusError as error:
        raise not_readable(error) from None


def longest_allowed(asked: int | None, context: int | None, longest: int) -> int:
    """The longest row's length within the model's context and what was asked for. Errors: `bad_configuration`."""
    if asked is not None and context is not None and asked > context:
        raise ChildFailure(
            "bad_configuration",
            f"max_length {asked} is over the model's context of {context} tokens",
            f"take at most {context}, or leave max_length out: it is then chosen from the data",
        )
    return min(limit for limit in (asked, context, max(longest, 2)) if limit is not None)
