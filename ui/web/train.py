"""Train: choose a dataset, a model and a prompt, adjust what matters, start. `/train?dataset=…` chooses beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import gradio as gr
from tunebus.contracts.errors import Code, Problem, TunebusError, combine, fail
from tunebus.contracts.recipes import LoraSettings, TrainingArguments
from tunebus.ui.web.markup import Markup, empty, join, link, tag
from tunebus.ui.web.page import Arguments, Page, Pressed, at_load, html, part, press, when_changed
from tunebus.ui.web.studio import Studio

STARTER_MODEL, STARTER_DATASET = "artifact:starter/model", "artifact:starter/questions.jsonl"
_OWN_SHAPE = ""  # the prompt's choice when none is named

_ARGUMENTS = TrainingArguments()
_LORA = LoraSettings()


@dataclass(frozen=True)
class Setting:
    """One number of the form. `place` is where the command takes it; an empty field leaves the default in force."""

    name: str
    label: str
    place: Literal["command", "training_arguments", "lora"]
    kind: type[int] | type[float]
    default: str

    def parse(self, words: str | None) -> int | float | None:
        """The number typed, None for an empty field. Errors: `invalid`, naming the field."""
        words = (words or "").strip()
        if not words:
            return None
        try:
            value = self.kind(words.replace("_", ""))
        except ValueError:
            wanted = "a whole number" if self.kind is int else "a number"
            raise fail(Code.INVALID, f"must be {wanted}, not {words[:40]!r}", param=self.name) from None
        if not math.isfinite(value):
            raise fail(Code.INVALID, f"must be a finite number, not {words[:40]!r}", param=self.name)
        return value


MAIN = (
    Setting("num_epochs", "Epochs", "command", float, f"{_ARGUMENTS.num_train_epochs:g}"),
    Setting("learning_rate", "Learning rate", "command", float, f"{_ARGUMENTS.learning_rate:g}"),
    Setting("batch_size", "Batch size", "command", int, str(_ARGUMENTS.per_device_train_batch_size)),
    Setting("max_steps", "Maximum steps", "command", int, "no limit"),
)
ADVANCED = (
    Setting("max_length", "Maximum length in tokens", "command", int, "chosen from the data"),
    Setting("train_test_split", "Share trained on", "command", float, "0.95"),
    Setting("dataset_fraction", "Share of the rows used", "command", float, "1"),
    Setting("seed", "Seed", "command", int, str(_ARGUMENTS.seed)),
    Setting("r", "LoRA rank r", "lora", int, str(_LORA.r)),
    Setting("lora_alpha", "LoRA alpha", "lora", int, str(_LORA.lora_alpha)),
    Setting("lora_dropout", "LoRA dropout", "lora", float, f"{_LORA.lora_dropout:g}"),
    Setting("warmup_ratio", "Warm-up share", "training_arguments", float, f"{_ARGUMENTS.warmup_ratio:g}"),
    Setting("weight_decay", "Weight decay", "training_arguments", float, f"{_ARGUMENTS.weight_decay:g}"),
    Setting(
        "gradient_accumulation_steps",
        "Gradient accumulation",
        "training_arguments",
        int,
        str(_ARGUMENTS.gradient_accumulation_steps),
    ),
    Setting("eval_steps", "Score held-out rows every … steps", "command", int, "chosen"),
    Setting("save_steps", "Checkpoint every … steps", "command", int, "chosen"),
)
SETTINGS = MAIN + ADVANCED
SCHEDULES = get_args(TrainingArguments.model_fields["lr_scheduler_type"].annotation)


def build(studio: Studio, blocks: Any) -> None:
    html(tag("h1", "Train"))
    html(tag("p", "A dataset and a model are enough; an empty field takes the default shown in it.", kind="tb-lead"))
    part("hint")
    notice = html(elem_id="tb-notice")
    with gr.Column(elem_classes="tb-panel"):
        with gr.Row():
            dataset = gr.Dropdown([], label="Dataset", elem_id="tb-dataset-choice", min_width=220)
            model = gr.Dropdown([], label="Base model", elem_id="tb-model-choice", min_width=220)
            prompt = gr.Dropdown([], label="Prompt", elem_id="tb-prompt-choice", min_width=220)
        with gr.Row():
            fields = [_field(setting) for setting in MAIN]
        with gr.Accordion("Advanced settings", open=False, elem_id="tb-advanced"):
            with gr.Row():
                fields += [_field(setting) for setting in ADVANCED]
            with gr.Row():
                schedule = gr.Dropdown(
                    list(SCHEDULES), value=_ARGUMENTS.lr_scheduler_type, label="Schedule", min_width=220
                )
                adapter = gr.Textbox(
                    label="Adapter name", placeholder="chosen", elem_id="tb-adapter-name", min_width=220
                )
        start = gr.Button("Start training", variant="primary", size="lg", elem_id="tb-start")

    async def fill(arguments: Arguments) -> Sequence[Any]:
        datasets = await studio.items("ListDatasets")
        models = await studio.items("ListModels")
        chosen = _chosen(datasets, arguments.get("dataset"))
        base = _chosen(models, arguments.get("model"))
        numbers: Mapping[str, Any] = {}
        if chosen and base and (base["location"], chosen["location"]) == (STARTER_MODEL, STARTER_DATASET):
            numbers = studio.recommended()
        return [
            gr.update(choices=_choices(datasets), value=chosen and chosen["id"]),
            gr.update(choices=_choices(models), value=base and base["id"]),
            await prompts_of(chosen["id"] if chosen else None),
            *(f"{numbers[setting.name]:g}" if setting.name in numbers else "" for setting in SETTINGS),
        ]

    async def prompts_of(dataset_id: str | None) -> Any:
        found = await studio.items("ListPrompts", dataset_id=dataset_id) if dataset_id else []
        own = ("From the columns, automatically", _OWN_SHAPE)
        return gr.update(choices=[*_choices(found), own], value=found[0]["id"] if found else _OWN_SHAPE)

    async def dataset_changed(dataset_id: str | None) -> Sequence[Any]:
        return [await prompts_of(dataset_id)]

    async def starts(
        arguments: Arguments,
        dataset_id: str | None,
        model_id: str | None,
        prompt_id: str | None,
        schedule_name: str | None,
        name: str,
        *typed: str,
    ) -> Pressed:
        command = command_of(dataset_id, model_id, prompt_id, schedule_name, name, typed)
        outcome = await studio.send("StartFineTuningJob", command)
        return Pressed(goto=f"/jobs?id={outcome.id}")

    at_load(blocks, fill, [dataset, model, prompt, *fields])
    when_changed(dataset, dataset_changed, [dataset], [prompt])
    press(start, starts, notice=notice, inputs=[dataset, model, prompt, schedule, adapter, *fields])


def command_of(
    dataset_id: str | None,
    model_id: str | None,
    prompt_id: str | None,
    schedule: str | None,
    adapter_name: str | None,
    typed: Sequence[str | None],
) -> dict[str, Any]:
    """The data of a `StartFineTuningJob` from what was typed. Errors: `invalid`, every wrong field in `details`."""
    problems = []
    for param, value in (("dataset_id", dataset_id), ("base_model_id", model_id)):
        if not value:
            problems.append(Problem(code=Code.INVALID, message="is required", param=param))
    command: dict[str, Any] = {"dataset_id": dataset_id, "base_model_id": model_id}
    if prompt_id:
        command["prompt_id"] = prompt_id
    if adapter_name and adapter_name.strip():
        command["adapter_name"] = adapter_name.strip()
    for setting, words in zip(SETTINGS, typed, strict=True):
        try:
            number = setting.parse(words)
        except TunebusError as error:
            problems.append(error.problem)
            continue
        if number is not None:
            place = command if setting.place == "command" else command.setdefault(setting.place, {})
            place[setting.name] = number
    if schedule and schedule != _ARGUMENTS.lr_scheduler_type:
        command.setdefault("training_arguments", {})["lr_scheduler_type"] = schedule
    if problems:
        raise TunebusError(combine(problems))
    return command


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    """What is missing before anything can be trained."""
    missing = []
    for query, words, path in (("ListDatasets", "a dataset", "/datasets"), ("ListModels", "a model", None)):
        if not (await studio.ask(query, limit=1))["items"]:
            missing.append(link(f"Add {words}", path) if path else tag("code", "tunebus model add PATH --name NAME"))
    return {"hint": tag("div", empty("Before you can train:"), join(missing, " · ")) if missing else Markup("")}


def _field(setting: Setting) -> Any:
    return gr.Textbox(
        label=setting.label,
        placeholder=setting.default,
        elem_id=f"tb-{setting.name.replace('_', '-')}",
        min_width=150,
        max_lines=1,
    )


def _choices(items: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(item["name"], item["id"]) for item in items]


def _chosen(items: Sequence[Mapping[str, Any]], wanted: str | None) -> Mapping[str, Any] | None:
    """The one that the address names, else the newest."""
    return next((item for item in items if wanted in (item["id"], item["name"])), items[-1] if items else None)


PAGE = Page("train", "train.title", build, read)
