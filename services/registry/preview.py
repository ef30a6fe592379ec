"""What a dataset looks like: some of its rows, as they are and as they are trained on.

Runs in a prepare child and reads those rows alone. Long values are cut, for an answer must fit a message of the bus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Any

from tunebus.contracts import strictjson
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.recipes import DatasetSource, PromptTemplates
from tunebus.services.platform.rows import formats, templates
from tunebus.services.platform.rows.formats import Pair
from tunebus.services.platform.rows.reading import text_of
from tunebus.services.platform.rows.source import rows_of
from tunebus.services.registry import prompt_generation

MAX_VALUE_CHARACTERS = 4000
MAX_ANSWER_BYTES = 500_000


def preview(source: DatasetSource, *, limit: int, offset: int = 0) -> dict[str, Any]:
    """`rendered` holds the same rows as text: through the source's prompt, a generated one, or as their format says."""
    with closing(rows_of(source)) as rows:
        first = list(islice(rows, offset, offset + limit))
    prompt = source.prompt
    generated = None
    if prompt is None and source.format == "prompt":
        try:
            prompt = generated = prompt_generation.generate(source.features)
        except TunebusError:
            generated = None
    shown = [{name: shortened(value) for name, value in row.items()} for row in first]
    rendered = _through(first, source.features, prompt) if prompt else _as_format(first, source)
    room = _that_fit(shown, rendered)
    return {
        "features": source.features,
        "rows": shown[:room],
        "generated_prompt": generated.model_dump() if generated else None,
        "rendered": rendered[:room],
    }


def _that_fit(rows: Sequence[object], rendered: Sequence[object]) -> int:
    """How many rows, with what becomes of them, fit an answer."""
    size = 0
    for number, row in enumerate(rows):
        size += len(strictjson.dumps([row, rendered[number : number + 1]]))
        if size > MAX_ANSWER_BYTES:
            return number
    return len(rows)


def _through(
    rows: Sequence[Mapping[str, Any]], features: Sequence[str], prompt: PromptTemplates
) -> list[dict[str, str]]:
    renderer = templates.Renderer(prompt, features)
    inputs = templates.parse(prompt.input_template)
    shown = []
    for row in rows:
        text = renderer.render(row)
        part = "".join(p if isinstance(p, str) else text_of(row.get(p.name)) for p in inputs)
        shown.append(
            {"prompt": shortened(text.prompt), "input": shortened(part), "completion": shortened(text.completion)}
        )
    return shown


def _as_format(rows: Sequence[Mapping[str, Any]], source: DatasetSource) -> list[dict[str, str]]:
    if source.format == "prompt":
        return []
    shown = []
    for row in rows:
        example = formats.converted(row, source.format)
        if isinstance(example, Pair):
            prompt, completion = example.prompt, example.completion
        else:
            last = max(number for number, turn in enumerate(example) if formats.is_learnt(turn))
            prompt = "".join(f"{turn['role']}: {turn['content']}\n" for turn in example[:last])
            completion = example[last]["content"]
        shown.append({"prompt": shortened(prompt), "input": shortened(prompt), "completion": shortened(completion)})
    return shown


def shortened(value: Any) -> Any:
    """A value that is not too long for an answer."""
    text = text_of(value)
    if len(text) <= MAX_VALUE_CHARACTERS:
        return value
    return text[:MAX_VALUE_CHARACTERS] + f"… ({len(text) - MAX_VALUE_CHARACTERS} more characters)"
