"""Every text that the pages ask for is there, each that is there is asked for, and their placeholders fit."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import tunebus.ui.web
from tunebus.ui.web.words import CLIENT, catalogue, client_words, phrase, say

FOLDER = Path(tunebus.ui.web.__file__).parent
SAYING = {"say", "phrase"}


@dataclass(frozen=True)
class Saying:
    """One call that asks for words: `pattern` matches its keys, of which there is one where it is `plain`. `given`
    names its values; None where they cannot be told."""

    where: str
    pattern: str
    plain: bool
    given: frozenset[str] | None


@cache
def sayings() -> tuple[Saying, ...]:
    return tuple(one for file in sorted(FOLDER.rglob("*.py")) for one in _in_python(file))


def _in_python(file: Path) -> Iterator[Saying]:
    for node in ast.walk(ast.parse(file.read_text())):
        if not (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SAYING and node.args
        ):
            continue
        for pattern in _patterns(node.args[0]):
            told = all(keyword.arg is not None for keyword in node.keywords)
            given = frozenset(str(keyword.arg) for keyword in node.keywords) if told else None
            yield Saying(f"{file.name}:{node.lineno}", pattern, ".+?" not in pattern, given)


def _patterns(key: ast.expr) -> Iterator[str]:
    """What a key may be, as regular expressions; nothing for one that is handed in from elsewhere."""
    if isinstance(key, ast.Constant):
        yield re.escape(str(key.value))
    elif isinstance(key, ast.IfExp):
        yield from _patterns(key.body)
        yield from _patterns(key.orelse)
    elif isinstance(key, ast.JoinedStr):
        parts = [re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+?" for part in key.values]
        yield "".join(parts)


@cache
def _keys(saying: Saying) -> list[str]:
    counted = r"(\.one|\.other)?" if saying.given is None or "count" in saying.given else ""
    return [key for key in catalogue() if re.fullmatch(saying.pattern + counted, key)]


def _in_scripts() -> dict[str, str]:
    """What scripts ask for, as regular expressions, by where."""
    found = {}
    for file in sorted((FOLDER / "static").glob("*.js")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            for plain in re.findall(r'\bsay\("([^"]+)"', line):
                found[f"{file.name}:{number} {plain}"] = re.escape(plain)
            for template in re.findall(r"`([a-z_.]+\.\$\{[^`]*)`", line):
                found[f"{file.name}:{number} {template}"] = ".+?".join(
                    map(re.escape, re.split(r"\$\{[^}]*\}", template))
                )
    return found


def test_every_key_that_is_asked_for_is_there() -> None:
    assert len(sayings()) > 100
    assert not [f"{one.where} {one.pattern}" for one in sayings() if not _keys(one)]
    scripts = _in_scripts()
    assert scripts
    assert not [
        where for where, pattern in scripts.items() if not any(re.fullmatch(pattern, key) for key in client_words())
    ]


def _made() -> Iterator[str]:
    """Every text in the code that may be a key, or the part of one that is put together elsewhere."""
    for file in sorted(FOLDER.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                yield from (pattern for pattern in _patterns(node) if re.search(r"[a-z]{3,}", pattern))


def test_every_key_that_is_there_is_asked_for() -> None:
    asked = {key for one in sayings() for key in _keys(one)}
    made = re.compile("|".join(f"(?:{pattern})" for pattern in sorted(set(_made()))))
    scripts = "\n".join(file.read_text() for file in sorted((FOLDER / "static").glob("*.js")))
    in_scripts = re.compile("|".join(_in_scripts().values()))
    unused = []
    for key in catalogue().keys() - asked:
        name = key.removeprefix(f"{CLIENT}.")
        if key != name and (in_scripts.fullmatch(name) or f'"{name}"' in scripts):
            continue
        if not made.fullmatch(key.removesuffix(".one").removesuffix(".other")):
            unused.append(key)
    assert sorted(unused) == []


def test_values_and_placeholders_fit() -> None:
    wrong = []
    for one in sayings():
        for key in _keys(one):
            wanted = {name for _, name, _, _ in string.Formatter().parse(catalogue()[key]) if name}
            if one.plain and one.given is not None and not wanted <= one.given:
                wrong.append(f"{one.where} {key}: wants {sorted(wanted)}, is given {sorted(one.given)}")
    assert not wrong


def test_one_and_many() -> None:
    forms = {key.rpartition(".")[0] for key in catalogue() if key.endswith(".one")}
    assert forms
    for key in forms:
        assert f"{key}.other" in catalogue(), key
    assert say("settings.doctor.problems", count=1) != say("settings.doctor.problems", count=2).replace("2", "1")


def test_words_around_a_link_escape_what_is_no_markup() -> None:
    assert phrase("activity.filter.causation", id="<b>") == "Only what the command &lt;b&gt; decided."
