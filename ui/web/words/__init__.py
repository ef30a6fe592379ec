"""What the pages say, by key: `say("jobs.title")`. The text itself lives in `en/*.toml`, one file a page.

A translation is another folder beside `en` with the same keys and the same {placeholders}.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tunebus.ui.web.markup import Markup, text

LANGUAGE = "en"
CLIENT = "client"
"""The file whose words the scripts of a page use."""


def say(key: str, **values: object) -> str:
    """The words of a key, with values in place of its {placeholders}. Unescaped: `tag` and its like escape it.

    With `count` the form `key.one` is taken for one, `key.other` for any other number, where there are such forms.
    """
    return _template(key, values).format(**values)


def phrase(key: str, **values: object) -> Markup:
    """As `say`, for words around links: escaped, except for values that are Markup already."""
    return Markup(str(text(_template(key, values))).format(**{name: text(value) for name, value in values.items()}))


def client_words() -> Mapping[str, str]:
    """What the scripts of a page say, by key without the file's name."""
    prefix = f"{CLIENT}."
    return {key.removeprefix(prefix): words for key, words in catalogue().items() if key.startswith(prefix)}


@cache
def catalogue(language: str = LANGUAGE) -> Mapping[str, str]:
    """Every text of a language by its key: file, tables and name, joined by dots."""
    found: dict[str, str] = {}
    for file in sorted((Path(__file__).parent / language).glob("*.toml")):
        found.update(_flat(file.stem, tomllib.loads(file.read_text(encoding="utf-8"))))
    return found


def _template(key: str, values: Mapping[str, object]) -> str:
    texts = catalogue()
    if "count" in values and key not in texts:
        key = f"{key}.{'one' if values['count'] == 1 else 'other'}"
    return texts[key]


def _flat(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        key = f"{prefix}.{name}"
        if isinstance(value, Mapping):
            yield from _flat(key, value)
        else:
            yield key, value
