"""Train: from a file to a queued fine-tuning. `/train?dataset=…&model=…` chooses beforehand, `/train?clone=JOB` begins
with what another job asked for.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from tunebus.contracts.errors import Code, Problem, TunebusError
from tunebus.ui.web.acting import Asking, Done
from tunebus.ui.web.markup import Markup, banner, join, tag
from tunebus.ui.web.page import Arguments, Page, html, part
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.training import estimate, spelling
from tunebus.ui.web.training.choices import choices
from tunebus.ui.web.training.composing import CLONE, as_clone, chosen_configs, compose, refuse_wrong
from tunebus.ui.web.training.form import ACTION, CHECK, form
from tunebus.ui.web.words import say

_FIXED = {"dataset": "dataset_id", "prompt": "prompt_id", "model": "base_model_id"}


def build(studio: Studio, blocks: Any) -> None:
    html(join([tag("h1", say("train.title")), tag("p", say("train.lead"), kind="tb-lead")]))
    part("training")


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    """The form as it begins, which its script then keeps, and what there is to choose from now."""
    found = await choices(studio, arguments)
    fixed = [field for name, field in _FIXED.items() if arguments.get(name) and found.clone_of is None]
    made = form(found, fixed=fixed, upload_limit_mb=studio.settings.ui_upload_limit_mb)
    options = tag("div", id="tb-train-choices", hidden="", data_choices=json.dumps(found.document()))
    return {"training": join([made, options])}


async def check(studio: Studio, typed: Mapping[str, Any]) -> Document:
    """What a form comes to: `errors` by field, the command in its `spellings`, what it would need, and what empty
    fields take. Nothing is started."""
    command = await composed(studio, typed)
    answer: Document = {"errors": [], "spellings": {}, "estimate": "", "wait_memory": None, "takes": {}}
    try:
        sent = await as_sent(studio, typed, command)
    except TunebusError as error:
        if error.problem.code != Code.NOT_FOUND:
            raise
        gone = Problem(code=Code.NOT_FOUND, message=say("train.clone_gone"), hint=say("train.clone_gone_hint"))
        return answer | {"errors": [gone.document()]}
    answer["spellings"] = {
        "cli": spelling.command_line(*sent),
        "python": spelling.python(*sent),
        "json": spelling.message(*sent),
    }
    try:
        refuse_wrong(command)
        found = await studio.over_bus("EstimateFineTuningJob", **command)
    except TunebusError as error:
        problem = error.problem
        if _only_unknown(problem):
            answer["estimate"] = _no_estimate(problem)
        else:
            answer["errors"] = [one.document() for one in problem.details or [problem]]
        return answer
    waits = estimate.wait_memory(found)
    answer["wait_memory"] = waits
    answer["wait_words"] = say("train.wait", memory=waits) if waits else ""
    answer["estimate"] = estimate.panel(found, await _context_length(studio, command))
    answer["takes"] = estimate.taken(found.get("resolved") or {"sources": {}})
    return answer


async def _context_length(studio: Studio, command: Mapping[str, Any]) -> int | None:
    with contextlib.suppress(TunebusError):
        model = await studio.ask("GetModel", id=str(command["base_model_id"])[:200])
        return int(model["context_length"]) if model["context_length"] else None
    return None


async def composed(studio: Studio, typed: Mapping[str, Any]) -> Document:
    """The command that a form asks for. A config that is not there is named as it stands; the registry refuses it."""
    configs: dict[str, Mapping[str, Any]] = {}
    for reference in chosen_configs(typed):
        try:
            configs[reference] = (await studio.ask("GetConfig", id=reference[:200]))["config"]
        except TunebusError as error:
            if error.problem.code != Code.NOT_FOUND:
                raise
    return compose(typed, configs)


async def as_sent(studio: Studio, typed: Mapping[str, Any], command: Document) -> tuple[str, Document]:
    """The name and the data of what is sent: a clone says what it was made from, and what is different."""
    if not typed.get(CLONE):
        return spelling.START, command
    job = await studio.ask("GetFineTuningJob", id=str(typed[CLONE])[:200])
    return spelling.CLONE, as_clone(job, command)


async def start(asking: Asking) -> Done:
    """Queue what the form asks for. Errors: all that is wrong with it."""
    command = await composed(asking.studio, asking.data)
    refuse_wrong(command)
    try:
        outcome = await asking.send(*await as_sent(asking.studio, asking.data, command))
    except TunebusError as error:
        raise TunebusError(_in_the_form(error.problem)) from None
    return Done(id=outcome.id, words=say("train.queued"), goto=f"/jobs?id={outcome.id}")


async def example(studio: Studio, arguments: Arguments) -> Markup:
    """A row of the dataset as the model will see it, with what is learnt set apart."""
    dataset = await studio.ask("GetDataset", id=arguments.get("dataset", "")[:200])
    prompt = arguments.get("prompt", "")[:200]
    seed = arguments.get("seed", "")
    number = int(seed) if seed.isascii() and seed.isdigit() and len(seed) < 9 else 0
    asked = {"prompt_id": prompt} if prompt else {}
    if prompt or dataset["format"] == "prompt":
        seen = await studio.over_bus("RenderPrompt", dataset_id=dataset["id"], seed=number, **asked)
        shown, row = seen, seen["row_number"] - 1
    else:
        seen = await studio.over_bus("PreviewDataset", id=dataset["id"], limit=20, **asked)
        if not seen["rendered"]:
            return Markup("")
        row = number % len(seen["rendered"])
        shown = seen["rendered"][row]
    return tag(
        "figure",
        tag(
            "figcaption",
            say("train.example.title", row=f"{row + 1:,}", rows=f"{dataset['rows']:,}"),
            " ",
            say("train.example.learnt"),
            " ",
            tag("button", say("train.example.another"), type="button", kind="tb-link", id="tb-another-row"),
            kind="tb-small",
        ),
        tag("pre", tag("span", shown["prompt"]), tag("mark", shown["completion"])),
        kind="tb-figure-example",
    )


def _in_the_form(problem: Problem) -> Problem:
    """A problem by the names of the form's fields."""
    details = [_in_the_form(one) for one in problem.details or ()] or None
    return problem.model_copy(
        update={"param": (problem.param or "").removeprefix("changes.") or None, "details": details}
    )


def _no_estimate(problem: Problem) -> Markup:
    """Why nothing is said of memory and time, and what would help."""
    hint = tag("div", problem.hint, kind="tb-small") if problem.hint else ""
    return banner(join([tag("strong", say("train.estimate.none")), " ", problem.message, hint]), "info")


def _only_unknown(problem: Problem) -> bool:
    """Whether no estimate can be made of what may well be started."""
    if problem.details:
        return False
    unknown = problem.code == Code.NOT_SUPPORTED and problem.param in ("user_script", "base_model_id")
    return unknown or problem.code == Code.UNAVAILABLE


PAGE = Page(
    "train",
    "train.title",
    build,
    read,
    checks={CHECK: check},
    fragments={"training-example": example},
    actions={ACTION: start},
    names=("clone",),
    keeps=True,
)
