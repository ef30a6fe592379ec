"""What a training would need, for people: memory term by term against the workers that are there, and time."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from tunebus.ui.web.markup import Markup, banner, bytes_text, duration, join, memory_text, tag
from tunebus.ui.web.training.fields import INLINE, LONGER
from tunebus.ui.web.words import say

TERMS = ("weights", "adapter", "gradients", "optimizer", "activations", "logits", "overhead")
GIB = 1024**3
ROOM = 1.1  # what an estimate may be too low by

Document = Mapping[str, Any]


def panel(found: Document, context_length: int | None = None) -> Markup:
    """The whole estimate: key figures, whether it fits, memory term by term, and ways to need less. `context_length` is
    what the model reads at most."""
    memory = found["memory"]
    figures = [
        (say("train.estimate.memory"), memory_text(memory["total"])),
        (say("train.estimate.time"), _time(found["time"])),
        (say("train.estimate.steps"), f"{found['steps']:,}"),
        (say("train.estimate.trainable"), _short(found["trainable_parameters"])),
    ]
    tiles = [
        tag("div", tag("span", words, kind="tb-small"), tag("span", value, kind="tb-figure"))
        for words, value in figures
    ]
    facts = tag(
        "dl",
        *(join([tag("dt", words), tag("dd", value)]) for words, value in _details(found)),
        kind="tb-pairs tb-small",
    )
    terms = tag("details", tag("summary", say("train.estimate.terms")), _terms(memory), facts, id="tb-terms")
    # A registry of before there were warnings gives none.
    warnings = [banner(words) for words in (*found.get("warnings", ()), *_too_long(found, context_length))]
    return join([tag("div", *tiles, kind="tb-estimate"), *warnings, fit(found), terms])


def _too_long(found: Document, context_length: int | None) -> list[str]:
    """That the usual row does not go into what is trained on; rows that lose their answers teach nothing."""
    lengths = found["lengths"]
    asked = ((found.get("resolved") or {}).get("training_arguments") or {}).get("max_length")
    limits = [limit for limit in (asked, context_length) if limit]
    if not limits or not lengths["counted"] or lengths.get("median", 0) <= min(limits):
        return []
    return [say("train.estimate.too_long", limit=f"{min(limits):,}", median=f"{lengths['median']:,}")]


def _details(found: Document) -> list[tuple[str, str]]:
    rows, disk, lengths = found["rows"], found["disk"], found["lengths"]
    counted = say("train.estimate.uncounted")
    if lengths["counted"]:
        counted = say("train.estimate.counted", count=lengths["counted"])
    values = {
        "rows": {"train": f"{rows['train']:,}", "held": f"{rows['held_out']:,}"},
        "tokens": {
            "tokens": f"{found['tokens']:,}",
            "mean": f"{lengths['mean']:g}",
            "longest": lengths["longest"],
            "counted": counted,
        },
        "disk": {
            "total": bytes_text(disk["total"]),
            "count": disk["checkpoints"],
            "each": bytes_text(disk["checkpoint"]),
        },
        "basis": {"basis": found["time"]["basis"]},
    }
    return [
        (say(f"train.estimate.{name}"), say(f"train.estimate.{name}_are", **given)) for name, given in values.items()
    ]


def fit(found: Document) -> Markup:
    """Whether a worker that is there has the memory; where none has, what would make it fit."""
    if found["fits"] is None:
        return banner(say("train.estimate.no_worker"))
    workers = found["workers"]
    most = max(workers, key=lambda worker: worker["memory"])
    where = {"host": most["host"], "has": memory_text(most["memory"]), "needs": memory_text(found["memory"]["total"])}
    if found["fits"]:
        return tag("p", tag("span", "✓ ", aria_hidden="true"), say("train.estimate.fits", **where), kind="tb-good")
    gpu_missing = found["device"] == "gpu" and not most["memory"]
    ways = [_way(say("train.estimate.on_cpu"), {"num_gpu": "0"}, "")] if gpu_missing else []
    ways += [_way(way["words"], flat(way["change"]), _says(way)) for way in found["smaller"]]
    words = say("train.estimate.no_gpu" if gpu_missing else "train.estimate.too_large", **where)
    return banner(
        join(
            [
                tag("strong", words),
                tag("p", say("train.estimate.shrink")) if ways else "",
                tag("div", *ways, kind="tb-ways"),
            ]
        )
    )


def wait_memory(found: Document) -> int | None:
    """GiB to ask for, so that the job waits for a worker that has them; None where one is there, or GPUs decide."""
    if found["fits"] is not False or found["device"] == "gpu":
        return None
    return math.ceil(int(found["memory"]["total"]) * ROOM / GIB)


def taken(resolved: Document) -> dict[str, str]:
    """What each empty field of the form comes to, by the field's name; what is only known later is left out."""
    shorter = {longer: name for name, longer in LONGER.items()}
    found = {}
    for kind in INLINE:
        for name, value in (resolved.get(kind) or {}).items():
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                words = f"{value:g}" if isinstance(value, float) else str(value)
                if resolved["sources"].get(name) == "config":
                    words = say("train.default.config", value=words)
                found[shorter.get(name, name) if kind == "training_arguments" else f"{kind}.{name}"] = words
    return {**found, **{f"training_arguments.{name}": words for name, words in found.items() if "." not in name}}


def flat(change: Document) -> dict[str, str]:
    """A change of the command as the form's fields."""
    found: dict[str, str] = {}
    for name, value in change.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": str(setting) for inner, setting in value.items()}
        else:
            found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def _way(words: str, change: Document, says: str) -> Markup:
    shown = ", ".join(f"{name} {value}" for name, value in change.items())
    return tag(
        "button",
        tag("strong", words[:1].upper() + words[1:]),
        tag("span", f"{shown}{says}", kind="tb-small"),
        type="button",
        kind="tb-choice",
        data_fill=json.dumps(change),
    )


def _says(way: Document) -> str:
    fits = {True: say("train.estimate.way_fits"), False: say("train.estimate.way_still"), None: ""}[way["fits"]]
    return f": {memory_text(way['memory'])}{fits}"


def _terms(memory: Document) -> Markup:
    total = max(1, memory["total"])
    rows = []
    for term in TERMS:
        if not memory[term]:
            continue
        bar = tag(
            "div", tag("div", kind="tb-bar-fill", style=f"width:{100 * memory[term] / total:.1f}%"), kind="tb-bar"
        )
        rows.append(
            tag(
                "div",
                tag("span", say(f"train.term.{term}")),
                bar,
                tag("span", memory_text(memory[term])),
                kind="tb-term",
            )
        )
    return tag("div", *rows, kind="tb-terms")


def _time(time: Document) -> str:
    return (
        say("train.estimate.about", time=duration(time["seconds"]))
        if time["seconds"]
        else say("train.estimate.unknown")
    )


def _short(count: int) -> str:
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)
