"""Exports of one adapter or model: asking for one, where it lies, what reloading it showed, its card and its files."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping

from starlette.responses import Response
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.identifiers import utc_now
from tunebus.contracts.recipes import EXPORT_TYPES
from tunebus.services.platform.home import SCHEME
from tunebus.ui.web import taking
from tunebus.ui.web.forms import labelled
from tunebus.ui.web.job.names import ENDED, state_badge
from tunebus.ui.web.job.progress import outcome
from tunebus.ui.web.listing import address, option
from tunebus.ui.web.markup import Markup, act, ago, join, section, tag
from tunebus.ui.web.page import Arguments
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.words import say

DTYPES = ("auto", "float32", "bfloat16", "float16")
NEWEST = 20


def form(adapter: Document | None, model: Document) -> Markup:
    """What to write, as what, and where to."""
    types = [kind for kind in EXPORT_TYPES if adapter is not None or kind != "adapter"]
    chosen = "merged"
    kinds = tag(
        "select",
        *(option(kind, say(f"exporting.type.{kind}"), chosen) for kind in types),
        name="type",
        id="tb-export-type",
    )
    dtypes = tag("select", *(option(name, name, "auto") for name in DTYPES), name="dtype", id="tb-export-dtype")
    where = tag(
        "input",
        type="text",
        name="destination",
        id="tb-export-destination",
        placeholder=say("exporting.anywhere"),
        maxlength="4096",
    )
    registered = tag("input", type="text", name="registered_model", id="tb-export-registered", maxlength="200")
    fields = [
        _field("type", kinds),
        _field("dtype", dtypes),
        _field("destination", where),
        _field("registered", registered),
    ]
    given = {"adapter_id": adapter["id"]} if adapter is not None else {"model_id": model["id"]}
    button = tag("button", say("exporting.start"), type="submit", kind="tb-button tb-primary", id="tb-export-start")
    return tag(
        "form",
        tag("h2", say("exporting.as")),
        tag("div", *fields, kind="tb-fields"),
        tag("p", say("exporting.help"), kind="tb-small"),
        tag("div", button, kind="tb-actions"),
        kind="tb-form tb-panel",
        id="tb-export-form",
        data_act="StartExportJob",
        data_values=json.dumps(given),
        data_done=say("exporting.started"),
    )


async def exports(studio: Studio, path: str, arguments: Arguments, **of: str) -> Markup:
    """The newest exports of an adapter or of a model."""
    page = await studio.ask("ListExportJobs", limit=NEWEST, order="newest", **of)
    jobs = [job for job in page["items"] if "adapter_id" in of or not job["adapter_id"]]
    if not jobs:
        return section(say("exporting.title"), tag("p", say("exporting.nothing"), kind="tb-empty"))
    return section(say("exporting.title"), *(_export(job, path, arguments) for job in jobs))


def _export(job: Document, path: str, arguments: Arguments) -> Markup:
    title = tag("h3", tag("a", say(f"exporting.type.{job['type']}"), href=address("/jobs", {"id": job["id"]})))
    parts: list[object] = [
        tag("div", title, state_badge(job["state"]), ago(job["created_at"], utc_now()), kind="tb-title-row")
    ]
    if job["state"] == "succeeded":
        parts += [_where(job), _checked(job["checked"])]
    else:
        parts.append(tag("div", outcome(job), kind="tb-small"))
    ways: list[object] = []
    if job["state"] == "succeeded" and _is_ours(job):
        href = f"/download/export?{address('', {'id': job['id']})[1:]}"
        ways.append(tag("a", say("exporting.download"), href=href, kind="tb-button", download=""))
    if job["state"] == "succeeded" and job["type"] != "registry":
        kept = {"id": arguments.get("id", "")[:200], "tab": "take"}
        ways.append(
            tag(
                "a",
                say("exporting.card"),
                href=address(path, kept, card=job["id"]),
                kind="tb-button tb-quiet",
                data_partial="",
            )
        )
    if job["state"] not in ENDED:
        ways.append(act(say("exporting.stop"), "StopExportJob", {"id": job["id"]}, done=say("exporting.stopping")))
    return tag("article", *parts, tag("div", *ways, kind="tb-actions"), kind="tb-panel tb-export", data_key=job["id"])


def _where(job: Document) -> Markup:
    if job["type"] == "registry":
        return tag("p", say("exporting.registered_as", name=job["registered_model"] or "–"))
    place = str(job["destination"])
    copy = tag("button", say("exporting.copy"), type="button", kind="tb-button tb-quiet", data_copy=place)
    return tag("p", say("exporting.lies"), " ", tag("code", place), " ", copy)


def _checked(checked: Mapping[str, object] | None) -> Markup:
    """What reloading the export showed."""
    if not checked:
        return Markup("")
    same = checked["prompts"] == checked["equal"]
    words = say("exporting.checked", equal=checked["equal"], prompts=checked["prompts"])
    more = []
    if isinstance(checked.get("max_difference"), float):
        more.append(say("exporting.difference", difference=f"{checked['max_difference']:.2g}"))
    if checked.get("dtype"):
        more.append(say("exporting.kept_as", dtype=checked["dtype"]))
    mark = tag("span", "✓ " if same else "≠ ", aria_hidden="true")
    return tag("p", mark, words, " ", tag("span", " ".join(more), kind="tb-small"), kind="tb-good" if same else "")


def _is_ours(job: Document) -> bool:
    return str(job["destination"] or "").startswith(SCHEME)


async def download(studio: Studio, arguments: Arguments) -> Response:
    """An export that lies in the artifact root. Errors: `not_found`, `wrong_state`, `not_permitted`, `unavailable`."""
    job = await studio.ask("GetExportJob", id=arguments.get("id", "")[:200] or " ")
    if job["state"] != "succeeded":
        raise fail(Code.WRONG_STATE, f"the export is {job['state']}")
    folder = taking.folder_of(studio.home, job["destination"])
    name = job.get("adapter_name") or job.get("base_model_name") or "export"
    return taking.download(studio.home, folder, f"{name}-{job['type']}", {})


async def card(studio: Studio, arguments: Arguments) -> Markup:
    """What an export says of itself."""
    job_id = arguments.get("card", "")[:200]
    if not job_id:
        return Markup("")
    words = None
    with contextlib.suppress(TunebusError):
        job = await studio.ask("GetExportJob", id=job_id)
        words = taking.card_of(taking.folder_of(studio.home, job["destination"]))
    if words is None:
        return section(say("exporting.card"), tag("p", say("exporting.no_card"), kind="tb-empty"))
    return section(say("exporting.card"), shown_card(words))


def shown_card(words: str) -> Markup:
    copy = tag("button", say("exporting.copy"), type="button", kind="tb-button tb-quiet", data_copy=words)
    return join([tag("pre", words, kind="tb-code tb-card-text", tabindex="0", aria_label=say("exporting.card")), copy])


def _field(name: str, field: Markup) -> Markup:
    return labelled(f"tb-export-{name}", say(f"exporting.field.{name}"), field)
