"""Assembles what the starter pack ships around the model: question set, cards, licence and recommended settings.

Needs the standard library only; pretraining calls it last.
"""

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

from tunebus.services.trainer.starter.corpus import standard_library
from tunebus.services.trainer.starter.questions import build_questions, write_questions

PACK = Path(__file__).parent / "pack"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the model card states of a pretraining run; the loss is in nats a token on held-out documents."""

    parameters: int
    vocabulary_size: int
    context_length: int
    steps: int
    batch_size: int
    learning_rate: float
    training_tokens: int
    validation_loss: float
    minutes: float
    seed: int


@dataclass(frozen=True, slots=True)
class RecommendedSettings:
    """LoRA settings for the model on its question set, found by trial: about a minute on two cores."""

    num_epochs: int = 3
    learning_rate: float = 2e-3
    batch_size: int = 16
    max_length: int = 128
    train_test_split: float = 0.9
    seed: int = 42


def write_pack(folder: Path, facts: ModelFacts) -> None:
    """Write everything but the model's own files below `folder`."""
    rows = build_questions()
    write_questions(folder / "questions.jsonl", rows)
    (folder / "model" / "README.md").write_text(model_card(facts), encoding="utf-8")
    (folder / "README.md").write_text(pack_card(len(rows)), encoding="utf-8")
    (folder / "LICENSE-PYTHON.txt").write_text(python_licence(), encoding="utf-8")
    recommended = json.dumps(asdict(RecommendedSettings()), indent=2)
    (folder / "recommended.json").write_text(recommended + "\n", encoding="utf-8")


def python_licence() -> str:
    """The licence of the installed Python: the text shipped with it, else what `license()` shows."""
    path = standard_library() / "LICENSE.txt"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    raise FileNotFoundError(f"no licence text at {path}: derived text cannot be shipped without it")


def model_card(facts: ModelFacts) -> str:
    millions, python = facts.training_tokens / 1e6, platform.python_version()
    return f"""\
---
language: en
library_name: transformers
license: psf-2.0
pipeline_tag: text-generation
---
# Tunebus starter model

A Llama-shaped model of {facts.parameters:,} parameters, made for Tunebus so that the first fine-tuning run needs no
network. It writes text that looks like Python's documentation; it knows nothing else and is no assistant.

| | |
|---|---|
| text | docstrings, language topics and source of the library of Python {python}, without its tests |
| context | {facts.context_length:,} tokens |
| vocabulary | {facts.vocabulary_size:,} byte-level BPE tokens, learnt from the same text |
| training | {facts.steps:,} steps of {facts.batch_size} x {facts.context_length} tokens ({millions:.1f} million) |
| optimizer | Muon and AdamW, peak learning rate {facts.learning_rate:g}, seed {facts.seed} |
| time | {facts.minutes:.0f} minutes on two CPU cores; about 25 when they do nothing else |
| loss on held-out documents | {facts.validation_loss:.3f} nats a token; many of their docstrings are elsewhere too |

Made by `python -m tunebus.services.trainer.starter.pretrain --out DIR`, which makes it again (another machine's
arithmetic differs in the last digits, so the weights are alike, not equal).

**Chat.** Roles are `system`, `user` and `assistant`; `<|end|>` ends each turn and is the end-of-sequence token; padding
has a token of its own. A small part of the training text has this form: writing a docstring for a signature, and going
on with a text. The questions of `questions.jsonl` and their answers were not in it. The docstrings that those
questions quote were, as they are part of the library.

**Licence.** Derived from the standard library of Python, copyright Python Software Foundation and others; the licence
is in `LICENSE-PYTHON.txt` beside this folder.
"""


def pack_card(rows: int) -> str:
    python = platform.python_version()
    return f"""\
# Starter pack

- `model/`: a small language model, see its card.
- `questions.jsonl`: {rows:,} questions with columns `question`, `answer` and `object`. Each quotes the opening of one
  docstring of the library of Python {python} and asks which package it is from, or what kind of object (class,
  exception, function, module, property) it describes. Each object, and each text, comes in one row only, and texts
  that are nearly the same were left out, so that any split keeps its test objects out of its training part. A text
  that contains its own answer was left out too.
- `recommended.json`: LoRA settings that were tried on the two together.
- `LICENSE-PYTHON.txt`: the licence of Python, which the texts and the model derive from.

All of it is made again by `python -m tunebus.services.trainer.starter.pretrain --out DIR`; the questions alone by
`python -m tunebus.services.trainer.starter.questions --out questions.jsonl`.
"""
