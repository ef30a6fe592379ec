"""What a dataset looks like: its first rows, what its columns hold, and rows rendered through a prompt.

Runs in a prepare child. Long values are cut, for an answer must fit a message of the bus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunebus.contracts import strictjson
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.recipes import PromptTemplates
from tunebus.services.platform.rows import reading, templates
from tunebus.services.registry import prompt_generation

MAX_VALUE_CHARACTERS = 4000
MAX_ANSWER_BYTES = 600_000


@dataclass
class _Column:
    """Counts of one column while the rows go by; lengths in characters of the values as text."""

    present: int = 0
    nulls: int = 0
    shortest: int | None = None
    longest: int = 0
    characters: int = 0

    def see(self, value: object) -> None:
        self.present += 1
        if value is None or value == "":
            self.nulls += 1
            return
        length = len(reading.text_of(value))
        self.shortest = length if self.shortest is None else min(self.shortest, length)
        self.longest = max(self.longest, length)
        self.characters += length

    def document(self, name: str, rows: int) -> dict[str, Any]:
        """A column that a row lacks counts as null in it."""
        filled = self.present - self.nulls
        return {
            "name": name,
            "nulls": rows - filled,
            "min_length": self.shortest,
            "max_length": self.longest if filled else None,
            "mean_length": round(self.characters / filled, 1) if filled else None,
        }


def preview(
    path: Path, kind: str, features: Sequence[str], *, limit: int, prompt: PromptTemplates | None
) -> dict[str, Any]:
    """Reads the whole file. `rendered` holds the same rows as the prompt (a given or a generated one) shows them."""
    columns = {name: _Column() for name in features}
    first: list[dict[str, Any]] = []
    rows = 0
    for row in reading.read_rows(path, kind):
        rows += 1
        for name, value in row.items():
            columns.setdefault(name, _Column()).see(value)
        if len(first) < limit:
            first.append(row)
    generated = None
    if prompt is None:
        try:
            prompt = generated = prompt_generation.generate(features)
        except TunebusError:
            generated = None
    rows_shown = [{name: _cut(value) for name, value in row.items()} for row in first]
    rendered = _rendered(first, features, prompt) if prompt else []
    room = _that_fit(rows_shown, rendered)
    return {
        "features": list(features),
        "rows": rows_shown[:room],
        "row_count": rows,
        "columns": [column.document(name, rows) for name, column in columns.items()],
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


def _rendered(
    rows: Sequence[Mapping[str, Any]], features: Sequence[str], prompt: PromptTemplates
) -> list[dict[str, str]]:
    renderer = templates.Renderer(prompt, features)
    inputs = templates.parse(prompt.input_template)
    shown = []
    for row in rows:
        text = renderer.render(row)
        part = "".join(p if isinstance(p, str) else reading.text_of(row.get(p.name)) for p in inputs)
        shown.append({"prompt": _cut(text.prompt), "input": _cut(part), "completion": _cut(text.completion)})
    return shown


def _cut(value: Any) -> Any:
    text = reading.text_of(value)
    if len(text) <= MAX_VALUE_CHARACTERS:
        return value
    return text[:MAX_VALUE_CHARACTERS] + f"… ({len(text) - MAX_VALUE_CHARACTERS} more characters)"
