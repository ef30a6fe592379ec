"""One row of a dataset as a prompt, or a model's chat template, shows it. Runs in a prepare child.

Templates come from users: each is rendered within limits, and one that loops or explodes is an error in words.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from tunebus.contracts.errors import Code, TunebusError, combine, fail
from tunebus.contracts.recipes import DatasetSource, PromptTemplates
from tunebus.services.platform import limited
from tunebus.services.platform.limited import ExceededError, Limits
from tunebus.services.platform.rows import templates
from tunebus.services.platform.rows.reading import text_of
from tunebus.services.platform.rows.source import rows_of
from tunebus.services.platform.rows.templates import Renderer
from tunebus.services.registry import chat_template

# With the way there and back an error is said within two seconds; what is sound takes some milliseconds.
LIMITS = Limits(seconds=0.8, memory_bytes=256 * 1024**2, output_bytes=256 * 1024)
MAX_VALUE_CHARACTERS = 4000


def render(source: DatasetSource, *, rows: int, seed: int, model_folder: Path | None) -> dict[str, Any]:
    """`row_number` counts from 1. Errors: `invalid` for templates that do not fit, `too_large` past a limit."""
    assert source.prompt is not None
    prompt = source.prompt
    if problems := templates.check(prompt, source.features):
        raise TunebusError(combine(problems))
    number = random.Random(seed).randrange(max(rows, 1))  # noqa: S311  no secret: the same seed takes the same row
    with closing(rows_of(source)) as found:
        row = next(islice(found, number, None))
    try:
        shown: dict[str, Any] = limited.run(lambda: _rendered(prompt, source, row), LIMITS)
    except ExceededError as error:
        raise fail(
            Code.TOO_LARGE,
            f"rendering row {number + 1} {error}",
            param="prompt_template",
            hint="use each column once, or a dataset with shorter values",
        ) from None
    document = {"row_number": number + 1, "row": {name: _cut(value) for name, value in row.items()}, **shown}
    return document | {"chat": _chat(model_folder, shown) if model_folder else None}


def _rendered(prompt: PromptTemplates, source: DatasetSource, row: Mapping[str, Any]) -> dict[str, str]:
    rendered = Renderer(prompt, source.features).render(row)
    inputs = templates.parse(prompt.input_template)
    part = "".join(piece if isinstance(piece, str) else text_of(row.get(piece.name)) for piece in inputs)
    return {"input": part, "prompt": rendered.prompt, "completion": rendered.completion, "text": rendered.text}


def _chat(model_folder: Path, shown: Mapping[str, str]) -> str:
    """As training lays it out: the turns' own marks stand between prompt and answer, in place of white space."""
    template = chat_template.find(model_folder)
    if template is None:
        raise fail(Code.INVALID, "the model has no chat template", param="model_id", hint="leave model_id out")
    messages = [
        {"role": "user", "content": shown["prompt"].strip()},
        {"role": "assistant", "content": shown["completion"].strip()},
    ]
    return chat_template.render(template, messages, chat_template.special_tokens(model_folder))


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= MAX_VALUE_CHARACTERS else value[:MAX_VALUE_CHARACTERS] + "…"
    if isinstance(value, list | dict) and len(text_of(value)) > MAX_VALUE_CHARACTERS:
        return text_of(value)[:MAX_VALUE_CHARACTERS] + "…"
    return value
