"""Models: what there is, and one by its address (`/models?id=…`): what it is, to try, to take, and its lineage."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.identifiers import utc_now
from tunebus.ui.web import exporting, lineage, taking, trying
from tunebus.ui.web.acting import Asking, Done
from tunebus.ui.web.forms import dialog, labelled, opener, rename_dialog, text_field
from tunebus.ui.web.listing import Choice, Column, Listing, address, tab_of, tabs
from tunebus.ui.web.markup import Markup, ago, bytes_text, join, link, pairs, section, tag, text
from tunebus.ui.web.page import Arguments, Page, part
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.ways import back
from tunebus.ui.web.words import phrase, say

TABS = ("overview", "try", "take")
ADAPTERS = 10


def build(studio: Studio, blocks: Any) -> None:
    for name in (
        "models-head",
        "models-filter",
        "models",
        "model",
        "try",
        "tries",
        "take",
        "exports",
        "lineage",
        "approvals",
    ):
        part(name)


def _listing(adapters: Mapping[str, int]) -> Listing:
    return Listing(
        "/models",
        say("models.title"),
        columns=(
            Column("name", say("models.name"), _name, lambda one: one["name"].casefold()),
            Column("family", say("models.family"), lambda one: one["model_family"], lambda one: one["model_family"]),
            Column(
                "parameters",
                say("models.parameters"),
                lambda one: parameters(one["parameters"]),
                lambda one: one["parameters"],
                "tb-number-cell",
            ),
            Column("dtype", say("models.dtype"), lambda one: one["dtype"], lambda one: one["dtype"]),
            Column(
                "context",
                say("models.context"),
                lambda one: _thousands(one["context_length"]),
                lambda one: one["context_length"],
                "tb-number-cell",
            ),
            Column(
                "size",
                say("models.size"),
                lambda one: bytes_text(one["bytes"]),
                lambda one: one["bytes"],
                "tb-number-cell",
            ),
            Column("licence", say("models.licence"), lambda one: one["licence"], lambda one: one["licence"]),
            Column(
                "adapters",
                say("models.adapters"),
                lambda one: adapters.get(one["id"], 0),
                lambda one: adapters.get(one["id"], 0),
                "tb-number-cell",
            ),
            Column(
                "added", say("models.added"), lambda one: ago(one["added_at"], utc_now()), lambda one: one["added_at"]
            ),
        ),
        searched=lambda one: (
            f"{one['name']} {one['huggingface_name'] or ''} {one['architecture']} {one['description']}"
        ),
        choices=(
            Choice("family", say("models.family"), lambda one: one["model_family"]),
            Choice("type", say("models.type"), _type),
        ),
        first="-added",
    )


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    if arguments.get("id"):
        return await _one(studio, arguments)
    items = await studio.items("ListModels")
    adapters = Counter(one["model_id"] for one in await studio.items("ListAdapters"))
    listing = _listing(adapters)
    approvals = (await studio.ask("ListRemoteCodeApprovals", limit=100))["items"]
    return {
        "models-head": _head(),
        "models-filter": listing.filters(items, arguments) if items else Markup(""),
        "models": listing.table(items, arguments, say("models.nothing")),
        "approvals": _approvals(approvals),
    }


async def _one(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    model = await studio.ask("GetModel", id=arguments["id"][:200])
    adapters = list(reversed(await studio.items("ListAdapters", model_id=model["id"])))
    names = [(key, say(f"models.tab.{key}")) for key in TABS]
    tab = tab_of(arguments, TABS)
    shown = {"model": join([_title(model, adapters), tabs("/models", arguments, names, model["name"])])}
    if tab == "try":
        again = await trying.earlier(studio, arguments)
        shown["try"] = trying.form(adapter=None, model=model, others=(), again=again)
        shown["tries"] = await trying.tries(studio, "/models", arguments, model_id=model["id"])
    elif tab == "take":
        shown["take"] = join([_take(studio, model), exporting.form(None, model)])
        shown["exports"] = join(
            [
                await exporting.exports(studio, "/models", arguments, model_id=model["id"]),
                await exporting.card(studio, arguments),
            ]
        )
    else:
        shown["take"] = join([_facts(model), _adapters(model, adapters)])
        shown["lineage"] = section(say("lineage.label"), lineage.shown(await lineage.of_model(studio, model)))
    return shown


async def approve_and_add(asking: Asking) -> Done:
    """Let the code of one commit run, as the operator says, and add the model at that commit. Errors: the commands'."""
    data = dict(asking.data)
    approval: Document = {name: data[name] for name in ("huggingface_name", "revision") if name in data}
    if data.get("reason"):
        approval["reason"] = data.pop("reason")
    await asking.send("ApproveRemoteCode", approval)
    outcome = await asking.send("AddModel", data)
    return Done(id=outcome.id)


def _head() -> Markup:
    add = opener(say("models.add"), "tb-add-model", "tb-primary")
    return join([tag("div", tag("h1", say("models.title")), add, kind="tb-title-row tb-apart"), _adding()])


def _adding() -> Markup:
    """The dialog that adds a model. `models.js` offers to approve its code where it is refused for that."""
    fields = [
        text_field("models", "name", required="", maxlength="200"),
        text_field("models", "path", maxlength="4096"),
        text_field("models", "huggingface_name", placeholder="owner/name", maxlength="200"),
        text_field("models", "revision", placeholder="main", maxlength="200"),
        text_field("models", "description"),
    ]
    approving = tag(
        "form",
        tag("h3", say("models.code_title")),
        tag("p", say("models.code_words")),
        tag("p", tag("strong", data_code=""), kind="tb-code-files"),
        tag("input", type="hidden", name="name"),
        tag("input", type="hidden", name="description"),
        labelled("tb-code-name", say("models.code_of"), _line("huggingface_name", "tb-code-name", readonly="")),
        labelled("tb-code-revision", say("models.code_commit"), _line("revision", "tb-code-revision", readonly="")),
        labelled("tb-code-reason", say("models.code_reason"), _line("reason", "tb-code-reason", required="")),
        tag(
            "div",
            tag("button", say("models.code_approve"), type="submit", kind="tb-button tb-danger"),
            kind="tb-actions",
        ),
        kind="tb-form tb-panel tb-code-approval",
        id="tb-approve-form",
        hidden="",
        data_act="approve_and_add_model",
        data_done=say("models.added_words"),
        data_goto="/models?id={id}",
    )
    return dialog(
        "tb-add-model",
        say("models.add"),
        fields,
        "AddModel",
        {},
        say("models.add_now"),
        done=say("models.added_words"),
        goto="/models?id={id}",
        more=approving,
    )


def _line(name: str, at: str, **attributes: str) -> Markup:
    return tag("input", type="text", name=name, id=at, **attributes)


def _approvals(found: Sequence[Document]) -> Markup:
    if not found:
        return Markup("")
    rows = [
        tag(
            "li",
            tag("code", f"{one['huggingface_name']}@{one['revision'][:12]}"),
            " ",
            one["reason"],
            " ",
            ago(one["added_at"], utc_now()),
        )
        for one in found
    ]
    return tag("details", tag("summary", say("models.approvals", count=len(found))), tag("ul", *rows), kind="tb-fold")


def _title(model: Document, adapters: Sequence[Document]) -> Markup:
    renaming = rename_dialog("RenameModel", model["id"], model["name"])
    names = join((link(one["name"], "/adapters", id=one["id"]) for one in adapters[:ADAPTERS]), ", ")
    depends = tag("p", say("models.remove_adapters", count=len(adapters)), " ", names) if adapters else Markup("")
    box = tag("label", tag("input", type="checkbox", name="cascade"), " ", say("models.cascade"), kind="tb-check")
    removing = dialog(
        "tb-remove",
        say("models.remove_title", name=model["name"]),
        [tag("p", say("models.remove_words")), depends, box if adapters else Markup("")],
        "RemoveModel",
        {"id": model["id"]},
        say("models.remove_now"),
        done=say("models.removed"),
        goto="/models",
    )
    ways = tag(
        "div",
        tag("a", say("models.train"), href=f"/train?model={model['id']}", kind="tb-button tb-primary"),
        tag("a", say("models.evaluate"), href=f"/evaluate?model={model['id']}", kind="tb-button"),
        opener(say("forms.rename"), "tb-rename"),
        opener(say("models.remove"), "tb-remove", "tb-danger"),
        kind="tb-actions",
    )
    lead = [
        model["model_family"],
        say("models.lead_parameters", parameters=parameters(model["parameters"])),
        model["dtype"],
    ]
    if model["context_length"]:
        lead.append(say("models.lead_context", context=_thousands(model["context_length"])))
    return join(
        [
            back(say("models.title"), "/models"),
            tag("div", tag("h1", model["name"]), ways, kind="tb-title-row tb-apart"),
            tag("p", " · ".join(lead), kind="tb-lead"),
            tag("p", model["description"]) if model["description"] else Markup(""),
            renaming,
            removing,
        ]
    )


def _facts(model: Document) -> Markup:
    shape = model["shape"] or {}
    known: list[tuple[str, object]] = [
        (say("models.architecture"), model["architecture"]),
        (say("models.family"), model["model_family"]),
        (say("models.parameters"), f"{model['parameters']:,}"),
        (say("models.dtype"), model["dtype"]),
        (say("models.context"), _thousands(model["context_length"])),
        (say("models.vocabulary"), _thousands(model["vocabulary_size"])),
        (say("models.size"), bytes_text(model["bytes"])),
        (say("models.licence"), model["licence"]),
        (say("models.gated"), bool(model["gated"])),
        (say("models.template"), bool(model["has_chat_template"])),
        (say("models.code"), ", ".join(model["remote_code"]) or say("models.code_none")),
        (say("models.type"), _origin(model)),
        (say("models.added"), ago(model["added_at"], utc_now())),
    ]
    if shape:
        words = say(
            "models.shape_words", layers=shape["layers"], hidden=shape["hidden_size"], heads=shape["attention_heads"]
        )
        known.insert(6, (say("models.shape"), words))
    if model["revision"]:
        known.append((say("models.revision"), tag("code", model["revision"])))
    known += [(say("models.location"), tag("code", model["location"])), ("SHA-256", tag("code", model["sha256"]))]
    return pairs(known)


def _adapters(model: Document, adapters: Sequence[Document]) -> Markup:
    if not adapters:
        return section(say("models.adapters"), tag("p", say("models.no_adapters"), kind="tb-empty"))
    rows = [
        tag(
            "li", link(one["name"], "/adapters", id=one["id"]), " ", ago(one["added_at"], utc_now()), data_key=one["id"]
        )
        for one in adapters[:ADAPTERS]
    ]
    more = Markup("")
    if len(adapters) > ADAPTERS:
        words = say("models.all_adapters", count=len(adapters))
        more = tag("p", tag("a", words, href=address("/adapters", {"model": model["name"]})))
    return section(say("models.adapters"), tag("ul", *rows, kind="tb-plain"), more)


def _take(studio: Studio, model: Document) -> Markup:
    """How to load it from where it is."""
    place = model["huggingface_name"]
    with contextlib.suppress(TunebusError):
        place = place or str(studio.home.resolve(model["location"]))
    loading = taking.snippet(model, None, place or model["location"])
    copy = tag("button", say("models.copy"), type="button", kind="tb-button", data_copy=loading)
    shown = tag("pre", loading, kind="tb-code", tabindex="0", aria_label=say("models.load"))
    parts = [section(say("models.load"), shown, tag("div", copy, kind="tb-actions"))]
    if model["location"].startswith("artifact:"):
        href = f"/download/model?id={model['id']}"
        size = say("models.download_words", size=bytes_text(model["bytes"]))
        parts.insert(
            0,
            tag(
                "div",
                tag("a", say("models.download"), href=href, kind="tb-button", download=""),
                tag("span", size, kind="tb-small"),
                kind="tb-actions",
            ),
        )
    return join(parts)


async def download(studio: Studio, arguments: Arguments) -> Response:
    """Errors: `not_found`, `not_permitted`, `unavailable`."""
    model = await studio.ask("GetModel", id=arguments.get("id", "")[:200] or " ")
    return taking.download(studio.home, taking.folder_of(studio.home, model["location"]), model["name"], {})


def parameters(count: int) -> str:
    """A number of weights as people say it: 3.8 M, 7.2 B."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def _thousands(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"


def _name(model: Document) -> Markup:
    return link(model["name"], "/models", id=model["id"])


def _origin(model: Document) -> Markup:
    if model["fine_tuning_job_id"]:
        return phrase("models.made_by", job=link(say("models.job"), "/jobs", id=model["fine_tuning_job_id"]))
    if model["huggingface_name"]:
        return text(say("models.hub", name=model["huggingface_name"]))
    return text(say("models.folder"))


def _type(model: Document) -> str:
    if model["fine_tuning_job_id"]:
        return say("models.type_made")
    return say("models.type_hub") if model["huggingface_name"] else say("models.type_local")


PAGE = Page(
    "models",
    "models.title",
    build,
    read,
    frozenset({"ledger", "telemetry"}),
    downloads={"model": download},
    actions={"approve_and_add_model": approve_and_add},
    group="library",
)
