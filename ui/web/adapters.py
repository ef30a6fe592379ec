"""Adapters: what there is, and one by its address (`/adapters?id=…`): what it is, to try, to take, and its lineage."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.identifiers import utc_now
from tunebus.ui.web import exporting, lineage, taking, trying
from tunebus.ui.web.forms import dialog, opener, rename_dialog, select_field, text_field
from tunebus.ui.web.job.names import job_link
from tunebus.ui.web.listing import Choice, Column, Listing, option, tab_of, tabs
from tunebus.ui.web.markup import Markup, act, ago, join, link, pairs, section, tag, text
from tunebus.ui.web.page import Arguments, Page, part
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.ways import back
from tunebus.ui.web.words import phrase, say

NAME = "[A-Za-z0-9_\\-]+"
TABS = ("overview", "try", "take")


def build(studio: Studio, blocks: Any) -> None:
    for name in (
        "adapters-head",
        "adapters-filter",
        "adapters",
        "adapter",
        "try",
        "tries",
        "take",
        "exports",
        "lineage",
    ):
        part(name)


def _listing(jobs: Mapping[str, Document]) -> Listing:
    def job_of(adapter: Document) -> Document:
        return jobs.get(adapter["fine_tuning_job_id"] or "", {})

    return Listing(
        "/adapters",
        say("adapters.title"),
        columns=(
            Column("name", say("adapters.name"), _name, lambda one: one["name"].casefold()),
            Column("model", say("adapters.model"), _model, lambda one: (one["model_name"] or "").casefold()),
            Column("from", say("adapters.from"), lambda one: _origin(one, job_of(one))),
            Column(
                "loss",
                say("adapters.loss"),
                lambda one: text((job_of(one).get("metrics") or {}).get("eval_loss")),
                kind="tb-number-cell",
            ),
            Column(
                "added", say("adapters.added"), lambda one: ago(one["added_at"], utc_now()), lambda one: one["added_at"]
            ),
        ),
        searched=lambda one: f"{one['name']} {one['model_name']} {one['huggingface_name'] or ''}",
        choices=(
            Choice("model", say("adapters.model"), lambda one: one["model_name"] or ""),
            Choice("type", say("adapters.type"), _type),
        ),
        first="-added",
    )


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    if arguments.get("id"):
        return await _one(studio, arguments)
    items = await studio.items("ListAdapters")
    listing = _listing({})
    jobs: dict[str, Document] = {}
    for adapter in listing.shown(items, arguments):
        if (job := await lineage.made_by(studio, adapter)) is not None:
            jobs[job["id"]] = job
    listing = _listing(jobs)
    models = await studio.items("ListModels")
    empty = phrase("adapters.nothing", train=link(say("adapters.train"), "/train"))
    return {
        "adapters-head": _head(models),
        "adapters-filter": listing.filters(items, arguments) if items else Markup(""),
        "adapters": listing.table(items, arguments, empty),
    }


async def _one(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    adapter = await studio.ask("GetAdapter", id=arguments["id"][:200])
    model = await studio.ask("GetModel", id=adapter["model_id"])
    job = await lineage.made_by(studio, adapter)
    names = [(key, say(f"adapters.tab.{key}")) for key in TABS]
    tab = tab_of(arguments, TABS)
    shown = {"adapter": join([_title(adapter, model), tabs("/adapters", arguments, names, adapter["name"])])}
    if tab == "try":
        others = [one for one in await studio.items("ListAdapters", model_id=model["id"]) if one["id"] != adapter["id"]]
        again = await trying.earlier(studio, arguments)
        shown["try"] = trying.form(adapter=adapter, model=model, others=list(reversed(others)), again=again)
        shown["tries"] = await trying.tries(studio, "/adapters", arguments, adapter_id=adapter["id"])
    elif tab == "take":
        shown["take"] = join([_take(studio, adapter, model), exporting.form(adapter, model)])
        shown["exports"] = join(
            [
                await exporting.exports(studio, "/adapters", arguments, adapter_id=adapter["id"]),
                await exporting.card(studio, arguments),
            ]
        )
    else:
        shown["take"] = _facts(adapter, model, job)
        shown["lineage"] = section(say("lineage.label"), lineage.shown(await lineage.of_adapter(studio, adapter)))
    return shown


def _head(models: Sequence[Document]) -> Markup:
    add = opener(say("adapters.add"), "tb-add-adapter", "tb-primary")
    return join(
        [
            tag("div", tag("h1", say("adapters.title")), add if models else Markup(""), kind="tb-title-row tb-apart"),
            _adding(models) if models else Markup(""),
        ]
    )


def _adding(models: Sequence[Document]) -> Markup:
    """The dialog that adds an adapter of a folder or of the Hub."""
    bases = [option(one["id"], one["name"]) for one in models]
    fields = [
        text_field("adapters", "name", required="", pattern=NAME),
        select_field("adapters", "model_id", bases, required=""),
        text_field("adapters", "path"),
        text_field("adapters", "huggingface_name", placeholder="owner/name"),
        text_field("adapters", "revision", placeholder="main"),
    ]
    return dialog(
        "tb-add-adapter",
        say("adapters.add"),
        fields,
        "AddAdapter",
        {},
        say("adapters.add_now"),
        done=say("adapters.added_words"),
        goto="/adapters?id={id}",
    )


def _title(adapter: Document, model: Document) -> Markup:
    renaming = rename_dialog("RenameAdapter", adapter["id"], adapter["name"], pattern=NAME)
    removing = tag(
        "dialog",
        tag("h2", say("adapters.remove_title", name=adapter["name"])),
        tag("p", say("adapters.remove_words")),
        tag(
            "div",
            act(
                say("adapters.remove_now"),
                "RemoveAdapter",
                {"id": adapter["id"]},
                kind="tb-danger",
                done=say("adapters.removed"),
                goto="/adapters",
            ),
            tag("button", say("adapters.keep"), type="button", kind="tb-button", data_close=""),
            kind="tb-actions",
        ),
        id="tb-remove",
        kind="tb-dialog",
        aria_label=say("adapters.remove"),
    )
    ways = tag(
        "div",
        tag("a", say("adapters.evaluate"), href=f"/evaluate?adapter={adapter['id']}", kind="tb-button"),
        opener(say("forms.rename"), "tb-rename"),
        opener(say("adapters.remove"), "tb-remove", "tb-danger"),
        kind="tb-actions",
    )
    return join(
        [
            back(say("adapters.title"), "/adapters"),
            tag("div", tag("h1", adapter["name"]), ways, kind="tb-title-row tb-apart"),
            tag("p", phrase("adapters.lead", model=link(model["name"], "/models", id=model["id"])), kind="tb-lead"),
            renaming,
            removing,
        ]
    )


def _facts(adapter: Document, model: Document, job: Document | None) -> Markup:
    recipe = job["recipe"] if job else {}
    lora = recipe.get("lora") or {}
    known: list[tuple[str, object]] = [
        (say("adapters.model"), link(model["name"], "/models", id=model["id"])),
        (say("adapters.from"), _origin(adapter, job or {})),
        (say("adapters.type"), _type(adapter)),
        (say("adapters.added"), ago(adapter["added_at"], utc_now())),
    ]
    if adapter.get("prompt_name"):
        known.append((say("adapters.prompt"), link(adapter["prompt_name"], "/prompts", id=adapter["prompt_id"])))
    if lora:
        known.append((say("adapters.lora"), say("adapters.lora_words", r=lora["r"], alpha=lora["lora_alpha"])))
    if job and job["train_test_split"]:
        split = recipe["dataset"]
        known.append(
            (
                say("adapters.split"),
                say(
                    "adapters.split_words",
                    fraction=split["dataset_fraction"],
                    share=split["train_test_split"],
                    seed=split["split_seed"],
                ),
            )
        )
    if adapter["revision"]:
        known.append((say("adapters.revision"), tag("code", adapter["revision"])))
    known += [
        (say("adapters.location"), tag("code", adapter["location"])),
        ("SHA-256", tag("code", adapter["sha256"])),
    ]
    tiles = []
    for name in ("eval_loss_before", "eval_loss", "loss"):
        if job and job["metrics"].get(name) is not None:
            tiles.append(_tile(say(f"adapters.metric.{name}"), text(float(job["metrics"][name]))))
    return join([tag("div", *tiles, kind="tb-facts") if tiles else Markup(""), pairs(known)])


def _tile(words: str, value: object) -> Markup:
    return tag("div", tag("span", words, kind="tb-small"), tag("span", value, kind="tb-figure"), kind="tb-fact")


def _take(studio: Studio, adapter: Document, model: Document) -> Markup:
    """Download, how to load it, and what it says of itself."""
    loading = taking.snippet(model, adapter, f"./{adapter['name']}", base=_base_place(studio, model))
    parts: list[object] = []
    try:
        folder = taking.folder_of(studio.home, adapter["location"])
    except TunebusError as error:
        parts.append(
            tag("p", error.problem.message.capitalize(), ". ", tag("code", adapter["location"]), kind="tb-small")
        )
        folder = None
    else:
        href = f"/download/adapter?id={adapter['id']}"
        parts.append(
            tag(
                "div",
                tag(
                    "a", say("adapters.download"), href=href, kind="tb-button tb-primary", download="", id="tb-download"
                ),
                tag("span", say("adapters.download_words"), kind="tb-small"),
                kind="tb-actions",
            )
        )
    copy = tag("button", say("adapters.copy"), type="button", kind="tb-button", data_copy=loading)
    parts.append(
        section(
            say("adapters.load"),
            tag("pre", loading, kind="tb-code", tabindex="0", aria_label=say("adapters.load")),
            tag("div", copy, kind="tb-actions"),
        )
    )
    return join(
        [
            *parts,
            tag(
                "details",
                tag("summary", say("exporting.card")),
                tag("div", data_load=f"/fragment/adapter-card?id={adapter['id']}"),
                kind="tb-fold",
            )
            if folder
            else Markup(""),
        ]
    )


def _base_place(studio: Studio, model: Document) -> str | None:
    """Where the base model is found from this machine, where the Hub does not have it."""
    if model["huggingface_name"]:
        return None
    with contextlib.suppress(TunebusError):
        return str(studio.home.resolve(model["location"]))
    return None


async def download(studio: Studio, arguments: Arguments) -> Response:
    """Errors: `not_found`, `not_permitted`, `unavailable`."""
    adapter, model, job = await _whole(studio, arguments)
    folder = taking.folder_of(studio.home, adapter["location"])
    texts = taking.texts_of(folder, taking.base_name(model), taking.written_card(adapter, model, job))
    return taking.download(studio.home, folder, adapter["name"], texts)


async def card(studio: Studio, arguments: Arguments) -> Markup:
    """The card that lies beside the weights, else one that is written from what the record says."""
    adapter, model, job = await _whole(studio, arguments)
    own = taking.card_of(taking.folder_of(studio.home, adapter["location"]))
    return exporting.shown_card(own or taking.written_card(adapter, model, job))


async def _whole(studio: Studio, arguments: Arguments) -> tuple[Document, Document, Document | None]:
    adapter = await studio.ask("GetAdapter", id=arguments.get("id", "")[:200] or " ")
    model = await studio.ask("GetModel", id=adapter["model_id"])
    return adapter, model, await lineage.made_by(studio, adapter)


def _name(adapter: Document) -> Markup:
    return link(adapter["name"], "/adapters", id=adapter["id"])


def _model(adapter: Document) -> Markup:
    return link(adapter["model_name"] or adapter["model_id"], "/models", id=adapter["model_id"])


def _origin(adapter: Document, job: Document) -> Markup:
    if job:
        return phrase("adapters.made_by", job=job_link(job), dataset=job["dataset_name"])
    if adapter["huggingface_name"]:
        return text(say("adapters.hub", name=adapter["huggingface_name"]))
    return text(say("adapters.folder"))


def _type(adapter: Document) -> str:
    if adapter["fine_tuning_job_id"]:
        return say("adapters.type_made")
    return say("adapters.type_hub") if adapter["huggingface_name"] else say("adapters.type_local")


PAGE = Page(
    "adapters",
    "adapters.title",
    build,
    read,
    frozenset({"ledger", "telemetry"}),
    fragments={"adapter-card": card},
    downloads={"adapter": download, "export": exporting.download},
    actions={"try_it": trying.try_it, "remove_try": trying.remove_try},
    group="library",
)
