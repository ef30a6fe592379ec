"""The training form as HTML: five steps on one page, with the review beside them. It knows no values but the first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tunebus.ui.web.markup import Markup, join, link, tag
from tunebus.ui.web.studio import DATASET_SUFFIXES, Document
from tunebus.ui.web.training.choices import PRESETS, Choice, Choices
from tunebus.ui.web.training.composing import CLONE, CONFIGS, WAIT
from tunebus.ui.web.training.fields import GROUPS, MAIN, Field, field
from tunebus.ui.web.words import phrase, say

STEPS = ("data", "model", "method", "settings", "review")
ACTION = "start_training"
CHECK = "training"
SPELLINGS = ("cli", "python", "json")


def form(choices: Choices, *, fixed: Iterable[str], upload_limit_mb: int) -> Markup:
    """The whole form. `fixed` are the fields that the address has chosen."""
    steps = (
        _step("data", _data(choices, upload_limit_mb)),
        _step("model", _model(choices)),
        _step("method", _method(choices)),
        _step("settings", _settings(choices)),
    )
    began = choices.clone_of
    inside = [
        _began(began) if began else "",
        tag("div", *steps, kind="tb-train-steps"),
        tag("div", _step("review", _review(choices)), kind="tb-train-review"),
    ]
    return tag(
        "form",
        *inside,
        id="tb-train",
        kind="tb-train",
        novalidate="",
        data_act=ACTION,
        data_check=CHECK,
        data_draft=f"train-{began['id']}" if began else "train",
        data_draft_fixed=" ".join(fixed),
        data_keep="",
    )


def _began(job: Document) -> Markup:
    words = phrase("train.clone", job=link(job["adapter_name"], "/jobs", id=job["id"]))
    return join([tag("p", words, kind="tb-clone"), tag("input", type="hidden", name=CLONE, value=job["id"])])


def _step(name: str, *children: object) -> Markup:
    number = STEPS.index(name) + 1
    head = tag(
        "h2",
        tag("span", number, kind="tb-step-number", aria_hidden="true"),
        say(f"train.step.{name}"),
        tag("span", "", kind="tb-step-state", data_step_state=name),
        id=f"tb-step-{name}",
    )
    return tag("section", head, *children, kind="tb-panel tb-step", data_step=name, aria_labelledby=f"tb-step-{name}")


def _data(choices: Choices, upload_limit_mb: int) -> Markup:
    upload = tag(
        "label",
        say("train.upload"),
        tag(
            "input",
            type="file",
            id="tb-train-file",
            kind="tb-file",
            accept=",".join(DATASET_SUFFIXES),
            data_limit_mb=str(upload_limit_mb),
            aria_describedby="tb-h-upload",
        ),
        kind="tb-button tb-upload",
    )
    help_words = say("train.upload_help", suffixes=", ".join(DATASET_SUFFIXES), limit=upload_limit_mb)
    automatic = say("train.prompt_automatic")
    return join(
        [
            tag(
                "div",
                _select("dataset_id", choices.datasets, choices.initial, missing=say("train.no_dataset")),
                tag(
                    "div",
                    tag("span", say("train.or"), kind="tb-label"),
                    tag("div", upload, tag("span", "", id="tb-upload-state", role="status")),
                    tag("div", help_words, kind="tb-small", id="tb-h-upload"),
                    kind="tb-field",
                ),
                kind="tb-grid",
            ),
            tag("div", "", id="tb-upload-problem"),
            tag("div", _select("prompt_id", choices.prompts, choices.initial, empty=automatic), kind="tb-grid"),
            tag("div", "", id="tb-train-example", aria_live="polite"),
            _more("rows", choices),
        ]
    )


def _model(choices: Choices) -> Markup:
    missing = say("train.no_model")
    return join(
        [
            tag("div", _select("base_model_id", choices.models, choices.initial, missing=missing), kind="tb-grid"),
            tag("p", link(say("train.add_model"), "/models"), kind="tb-small"),
        ]
    )


def _method(choices: Choices) -> Markup:
    chosen = choices.initial.get("method", "lora")
    cards = [_card(name, name == chosen) for name in ("lora", "full")]
    cards.append(_card("qlora", False, built=False))
    config = _select(f"{CONFIGS}.lora", choices.configs["lora"], choices.initial, empty=say("train.config.none"))
    fields = tag(
        "fieldset",
        tag("legend", say("train.adapter"), kind="tb-label"),
        _grid(GROUPS["adapter"], choices),
        _details("adapter_more", config, _grid(GROUPS["adapter_more"], choices)),
        kind="tb-fieldset",
        data_when_method="lora",
    )
    group = tag("div", *cards, kind="tb-method", role="radiogroup", aria_label=say("train.step.method"))
    return join([tag("div", group, kind="tb-field"), fields])


def _card(name: str, chosen: bool, *, built: bool = True) -> Markup:
    options = {"checked": ""} if chosen else {} if built else {"disabled": ""}
    return tag(
        "label",
        tag("input", type="radio", name="method", value=name, **options),
        tag(
            "span",
            tag("strong", say(f"train.method.{name}")),
            tag("span", say(f"train.method.{name}_help"), kind="tb-small"),
        ),
        kind="tb-choice" if built else "tb-choice tb-not-built",
    )


def _settings(choices: Choices) -> Markup:
    presets = [
        tag(
            "button",
            tag("strong", say(f"train.preset.{name}")),
            tag("span", say(f"train.preset.{name}_help"), kind="tb-small"),
            type="button",
            kind="tb-choice",
            data_preset=json.dumps(_preset(name)),
            aria_pressed="false",
        )
        for name in PRESETS
    ]
    config = _select(
        f"{CONFIGS}.training_arguments",
        choices.configs["training_arguments"],
        choices.initial,
        empty=say("train.config.none"),
    )
    return join(
        [
            tag("div", *presets, kind="tb-method", role="group", aria_label=say("train.presets")),
            tag("div", config, kind="tb-grid"),
            _grid(MAIN, choices),
            *(_more(name, choices) for name in ("optimizer", "evaluation", "machine", "queue", "rest")),
        ]
    )


def _preset(name: str) -> Mapping[str, Any]:
    every = {field: "" for preset in PRESETS.values() for field in preset}
    return every | dict(PRESETS[name])


def _review(choices: Choices) -> Markup:
    wait = tag(
        "label",
        tag("input", type="checkbox", id="tb-wait", checked="", data_draft_key="wait"),
        tag("span", "", id="tb-wait-words"),
        kind="tb-check",
        id="tb-wait-label",
        hidden="",
    )
    start = tag("button", say("train.start"), type="submit", kind="tb-button tb-primary tb-large", id="tb-start")
    tabs = [
        tag(
            "button",
            say(f"train.spelling.{name}"),
            type="button",
            role="tab",
            id=f"tb-spelling-{name}",
            kind="tb-button tb-quiet",
            aria_selected="true" if name == SPELLINGS[0] else "false",
            aria_controls="tb-spelling",
            data_spelling=name,
        )
        for name in SPELLINGS
    ]
    name = tag(
        "div",
        tag("label", say("train.name"), **{"for": "tb-f-adapter_name"}),
        tag(
            "input",
            type="text",
            name="adapter_name",
            id="tb-f-adapter_name",
            placeholder=say("train.name_chosen"),
            maxlength="100",
            autocomplete="off",
            aria_describedby="tb-h-adapter_name",
        ),
        tag("div", say("train.name_help"), kind="tb-small", id="tb-h-adapter_name"),
        kind="tb-field",
    )
    over = tag("button", say("train.start_over"), type="button", kind="tb-link", data_draft_clear="")
    return join(
        [
            name,
            tag("div", "", id="tb-estimate", aria_live="polite"),
            wait,
            tag("input", type="hidden", name=WAIT, data_as="integer"),
            tag("div", "", id="tb-problems", role="alert"),
            start,
            tag("p", say("train.draft"), " ", over, kind="tb-small", data_draft_note="", hidden=""),
            tag(
                "details",
                tag("summary", say("train.command")),
                tag("div", *tabs, role="tablist", aria_label=say("train.command")),
                tag(
                    "pre",
                    "",
                    id="tb-spelling",
                    role="tabpanel",
                    tabindex="0",
                    aria_labelledby=f"tb-spelling-{SPELLINGS[0]}",
                ),
                tag("button", say("train.copy"), type="button", kind="tb-button", id="tb-copy", data_copy=""),
                id="tb-command",
            ),
        ]
    )


def _more(group: str, choices: Choices) -> Markup:
    return _details(group, _grid(GROUPS[group], choices))


def _details(group: str, *children: object) -> Markup:
    summary = tag("summary", say(f"train.group.{group}"), " ", tag("span", "", kind="tb-small", data_changed=""))
    return tag("details", summary, *children, kind="tb-more", data_group=group)


def _grid(names: Sequence[str], choices: Choices) -> Markup:
    return tag("div", *(_field(field(name), choices) for name in names), kind="tb-grid")


def _field(one: Field, choices: Choices) -> Markup:
    value = choices.initial.get(one.name)
    name, element = one.name, f"tb-f-{one.name}"
    given = {"name": name, "id": element, "aria_describedby": f"tb-h-{name}"}
    label = tag("label", say(f"{one.key}.label"), **{"for": element})
    control: Markup
    if one.name == "depends_on":
        control = _options(choices.jobs, value or (), {**given, "multiple": "", "size": "3"})
    elif one.kind == "flag":
        words = {"true": say("train.yes"), "false": say("train.no")}
        found = [Choice(key, words[key]) for key in words]
        shown = "" if value is None else "true" if value in (True, "true") else "false"
        control = _options(found, shown, {**given, "data_as": "flag"}, say("train.default.is", default=one.default))
    elif one.kind == "choice":
        found = [Choice(key, key) for key in one.choices]
        control = _options(found, value or "", given, say("train.default.is", default=one.default))
    elif name in ("notes", "user_config"):
        control = tag("textarea", _written(value), rows="3", **given, **_as(one))
    else:
        numeric = {"inputmode": "decimal" if one.kind == "number" else "numeric"} if one.kind != "text" else {}
        options = {**given, **_as(one), **(numeric if one.kind in ("integer", "number") else {})}
        control = tag(
            "input", type="text", value=_written(value), placeholder=one.default, autocomplete="off", **options
        )
    said = [say(f"{one.key}.help"), *([one.range] if one.range else [])]
    return tag("div", label, control, tag("div", " ".join(said), kind="tb-small", id=f"tb-h-{name}"), kind="tb-field")


def _as(one: Field) -> dict[str, str]:
    return {"data_as": one.kind} if one.kind in ("integer", "number", "lines", "json") else {}


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(value) if isinstance(value, Mapping) else f"{value:g}" if isinstance(value, float) else str(value)


def _select(
    name: str, choices: Sequence[Choice], initial: Mapping[str, Any], *, empty: str = "", missing: str = ""
) -> Markup:
    element = f"tb-f-{name}"
    words = empty or ("" if choices else missing)
    given = {"name": name, "id": element, "aria_describedby": f"tb-h-{name}"}
    return tag(
        "div",
        tag("label", say(f"train.field.{name}.label"), **{"for": element}),
        _options(choices, initial.get(name) or "", given, words),
        tag("div", say(f"train.field.{name}.help"), kind="tb-small", id=f"tb-h-{name}"),
        kind="tb-field",
    )


def _options(choices: Sequence[Choice], value: Any, given: Mapping[str, str], empty: str = "") -> Markup:
    chosen = value if isinstance(value, list | tuple) else (value,)
    options = [tag("option", empty, value="")] if empty else []
    for one in choices:
        marks = {"selected": ""} if one.value in chosen else {}
        options.append(tag("option", one.words, value=one.value, data_of=one.of, **marks))
    return tag("select", *options, **given)
