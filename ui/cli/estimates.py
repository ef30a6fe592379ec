"""How an estimate looks: memory term by term against what workers have, and later against what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from tunebus.ui.cli.options import as_options
from tunebus.ui.cli.terminal import byte_size, duration

_TERMS = {
    "weights": "the model's weights",
    "adapter": "the adapter's weights",
    "gradients": "gradients",
    "optimizer": "the optimizer's state",
    "activations": "activations of one batch",
    "logits": "the output head's results",
    "overhead": "libraries, or the GPU's context",
    "total": "in all",
}


def rendered(found: Mapping[str, Any]) -> Group:
    """An estimate for a person."""
    memory, rest = _grid(), _grid()
    for term, words in _TERMS.items():
        if found["memory"][term]:
            memory.add_row(words, byte_size(found["memory"][term]), style="bold" if term == "total" else "")
    for words, value in _rest(found):
        rest.add_row(words, value)
    where = "GPU" if found["device"] == "gpu" else "processor"
    title = Text(f"memory at the fullest moment, on the {where}", style="bold")
    parts: list[RenderableType] = [title, memory, Text(), rest, Text()]
    for worker in found.get("workers") or ():
        says = "[green]fits[/]" if worker["fits"] else "[red]does not fit[/]"
        parts.append(Text.from_markup(f"{escape(worker['worker_id'])} has {byte_size(worker['memory'])}: it {says}"))
    if found["fits"] is None:
        parts.append(Text("no trainer is present to compare with", style="yellow"))
    if found["smaller"]:
        parts.append(Text("to need less:"))
    for way in found["smaller"]:
        fits = {True: " (fits)", False: " (still too much)", None: ""}[way["fits"]]
        parts.append(Text(f"  {as_options(way['change'])}: {byte_size(way['memory'])}{fits}, {way['words']}"))
    parts += [Text(words, style="yellow") for words in found["warnings"]]
    return Group(*parts)


def against_measured(job: Mapping[str, Any]) -> Table | None:
    """What was estimated beside what was measured, for a job with an estimate; blanks where nothing was measured."""
    found: Mapping[str, Any] | None = job.get("estimate")
    if not found:
        return None
    metrics: Mapping[str, Any] = job.get("metrics") or {}
    on_gpu = found["device"] == "gpu"
    peak = metrics.get("peak_gpu_memory_bytes" if on_gpu else "peak_memory_bytes")
    steps_per_second = metrics.get("steps_per_second")
    measured_speed = steps_per_second * found["tokens"] / found["steps"] if steps_per_second else None
    training = found["steps"] / steps_per_second if steps_per_second else None
    speed, seconds = found["time"]["tokens_per_second"], found["time"]["seconds"]
    made = Table(title="estimated and measured", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "estimated", "measured"):
        made.add_column(heading, header_style="dim", justify="left" if not heading else "right")
    made.add_row("memory", byte_size(found["memory"]["total"]), byte_size(peak) if peak else "-")
    made.add_row(
        "trained parameters", f"{found['trainable_parameters']:,}", _count(metrics.get("trainable_parameters"))
    )
    made.add_row("steps", f"{found['steps']:,}", _count(job.get("total_steps")))
    made.add_row("tokens per second", _count(speed), _count(measured_speed))
    made.add_row("time of the steps", duration(seconds) if seconds else "-", duration(training) if training else "-")
    return made


def _rest(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    time, lengths, rows, disk = found["time"], found["lengths"], found["rows"], found["disk"]
    seconds = time["seconds"]
    checkpoints = f"{disk['checkpoints']} checkpoints of {byte_size(disk['checkpoint'])}"
    counted = f"{lengths['counted']} rows counted" if lengths["counted"] else "not counted, taken to be usual"
    return [
        ("trained parameters", f"{found['trainable_parameters']:,}"),
        ("rows", f"{rows['train']:,} to train on, {rows['held_out']:,} held out"),
        ("steps", f"{found['steps']:,}, {found['steps_per_epoch']:,} an epoch"),
        ("tokens", f"{found['tokens']:,}; a row has {lengths['mean']:g}, at most {lengths['longest']} ({counted})"),
        ("disk", f"{byte_size(disk['total'])}, with {checkpoints}"),
        ("time", f"{duration(seconds)} ({time['basis']})" if seconds else time["basis"]),
        ("operations", f"{found['flops']:.3g}"),
    ]


def _grid() -> Table:
    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    return made


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
