"""Makes the question set: one question about one documented object of the standard library in each row.

    python -m tunebus.services.trainer.starter.questions --out questions.jsonl

Reads nothing but the running Python's own library, and must give the same rows each time. It must not import torch.
"""

import argparse
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from tunebus.services.trainer.starter.corpus import DocumentedObject, documented_objects

SEED = 42
PACKAGE_COUNT = 24
ROWS_PER_PACKAGE = 60
ROWS_PER_KIND = 200
TEXT_LENGTH = (25, 240)
MIN_WORDS = 5
# Two texts that share this part of their words count as the same text.
SAME_TEXT = 0.7

PACKAGE_QUESTION = "Which part of Python's library is this from?"
KIND_QUESTION = "What kind of object is this?"
# The kinds asked about, with the words that would give each away: a text that has those of its own kind is left out.
# Methods are left to the other question, because a text seldom tells a method from a function.
KIND_WORDS = {
    "class": r"class(es)?|subclass(es)?",
    "exception": r"exceptions?",
    "function": r"functions?",
    "module": r"modules?",
    "property": r"propert(y|ies)",
}


@dataclass(frozen=True, slots=True)
class Question:
    """A row of the question set; `object` is the name of the object that the text describes."""

    question: str
    answer: str
    object: str


@dataclass(frozen=True, slots=True)
class Description:
    """An object and the first sentences of its docstring."""

    subject: DocumentedObject
    text: str

    @property
    def suits_package(self) -> bool:
        return self.subject.package.lower() not in self.text.lower()

    @property
    def suits_kind(self) -> bool:
        words = KIND_WORDS.get(self.subject.kind)
        return words is not None and re.search(rf"\b({words})\b", self.text, re.IGNORECASE) is None


def build_questions(objects: Iterable[DocumentedObject] | None = None) -> list[Question]:
    """All rows, shuffled by a fixed seed; no object, text or question comes twice."""
    descriptions = list(distinct_descriptions(documented_objects() if objects is None else objects))
    shuffle = random.Random(SEED).shuffle  # noqa: S311
    shuffle(descriptions)

    # Rare kinds choose first: packages have texts to spare, kinds such as exception have not.
    by_kind: dict[str, list[Description]] = defaultdict(list)
    for description in descriptions:
        if description.suits_kind:
            by_kind[description.subject.kind].append(description)
    about_kind = [item for kind in sorted(by_kind) for item in by_kind[kind][:ROWS_PER_KIND]]
    taken = {item.subject.name for item in about_kind}

    by_package: dict[str, list[Description]] = defaultdict(list)
    for description in descriptions:
        if description.subject.name not in taken and description.suits_package:
            by_package[description.subject.package].append(description)
    sizes = Counter({package: len(items) for package, items in by_package.items()})
    chosen = sorted(sizes, key=lambda package: (-sizes[package], package))[:PACKAGE_COUNT]
    about_package = [item for package in sorted(chosen) for item in by_package[package][:ROWS_PER_PACKAGE]]

    rows = [_row(KIND_QUESTION, item, item.subject.kind) for item in about_kind]
    rows += [_row(PACKAGE_QUESTION, item, item.subject.package) for item in about_package]
    shuffle(rows)
    return rows


def distinct_descriptions(objects: Iterable[DocumentedObject]) -> Iterator[Description]:
    """Public objects whose description says something, without aliases and without texts that are nearly the same."""
    kept: list[frozenset[str]] = []
    kept_by_word: dict[str, list[int]] = defaultdict(list)
    for subject in objects:
        text = opening(subject.docstring)
        words = frozenset(re.findall(r"\w+", text.lower()))
        if not subject.is_public or len(text) < TEXT_LENGTH[0] or len(text.split()) < MIN_WORDS or not words:
            continue
        shared = Counter(chain.from_iterable(kept_by_word[word] for word in words))
        enough = SAME_TEXT * len(words)  # a union is no smaller than either, so most candidates fail this at once
        if any(count >= enough and count >= SAME_TEXT * len(words | kept[index]) for index, count in shared.items()):
            continue
        for word in words:
            kept_by_word[word].append(len(kept))
        kept.append(words)
        yield Description(subject, text)


def opening(docstring: str) -> str:
    """The first paragraph on one line, cut after the last sentence that fits; empty when the first one does not."""
    paragraph = " ".join(re.split(r"\n\s*\n", docstring.strip(), maxsplit=1)[0].split())
    if len(paragraph) <= TEXT_LENGTH[1]:
        return paragraph
    text = ""
    for sentence in re.split(r"(?<=[.!?:;]) ", paragraph):
        longer = f"{text} {sentence}".strip()
        if len(longer) > TEXT_LENGTH[1]:
            break
        text = longer
    return text


def write_questions(path: Path, rows: Iterable[Question]) -> None:
    lines = (json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")


def _row(question: str, description: Description, answer: str) -> Question:
    return Question(f"{question}\n{description.text}", answer, description.subject.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the jsonl file to write")
    arguments = parser.parse_args()
    rows = build_questions()
    write_questions(arguments.out, rows)
    print(f"{len(rows):,} rows, {len({row.answer for row in rows})} answers -> {arguments.out}")


if __name__ == "__main__":
    main()
