"""The list of jobs of every kind: what its address asks for, one page of it, and the queue in its order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from tunebus.contracts.errors import Code, TunebusError
from tunebus.contracts.identifiers import utc_now
from tunebus.ui.web.charting import sparkline
from tunebus.ui.web.forms import labelled, opener
from tunebus.ui.web.job import progress
from tunebus.ui.web.job.names import (
    ACTIVE,
    ENDED,
    KINDS,
    STATES,
    WAITING,
    job_link,
    job_name,
    kind_name,
    seconds_between,
    state_badge,
    subject,
)
from tunebus.ui.web.listing import option
from tunebus.ui.web.markup import Markup, act, ago, duration, icon, join, link, tag
from tunebus.ui.web.page import Arguments
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.words import phrase, say

PER_PAGE = 50
DEEPEST = 10_000_000
LABEL_CHARACTERS = 50
GROUPS = {"active": ACTIVE, "waiting": WAITING, "ended": ENDED}
SORTS = ("created", "updated", "name", "state", "duration", "loss")


@dataclass(frozen=True)
class Wanted:
    """What an address asks of the list. Whatever nobody understands is as if it were not there."""

    search: str = ""
    kind: str = ""
    state: str = ""
    label: str = ""
    model: str = ""
    dataset: str = ""
    sort: str = "created"
    order: str = ""
    offset: int = 0
    view: str = ""

    @classmethod
    def of(cls, arguments: Arguments) -> Wanted:
        given = {one.name: str(arguments.get(one.name, ""))[:200].strip() for one in fields(cls)}
        offset = given.pop("offset")
        found = cls(**given)  # type: ignore[arg-type]  # all that is left is text
        return replace(
            found,
            label=found.label[:LABEL_CHARACTERS],
            kind=found.kind if found.kind in KINDS else "",
            state=found.state if found.state in (*STATES, *GROUPS) else "",
            sort=found.sort if found.sort in SORTS else "created",
            order=found.order if found.order in ("up", "down") else "",
            view="queue" if found.view == "queue" else "",
            offset=min(int(offset), DEEPEST) if offset.isascii() and offset.isdigit() and len(offset) < 9 else 0,
        )

    @property
    def descending(self) -> bool:
        """Newest and longest first, names and losses from the least, until an address says otherwise."""
        return self.order == "down" if self.order else self.sort in ("created", "updated", "duration")

    @property
    def states(self) -> Sequence[str]:
        return GROUPS.get(self.state, (self.state,) if self.state else ())

    @property
    def filters(self) -> bool:
        return bool(self.search or self.kind or self.state or self.label or self.model or self.dataset)

    def address(self, **changes: object) -> str:
        """The address of this list with changes; what is as it always is stays unsaid."""
        usual = Wanted()
        there = {**{one.name: getattr(self, one.name) for one in fields(self)}, **changes}
        said = {name: value for name, value in there.items() if value != getattr(usual, name)}
        return f"/jobs?{urlencode(said)}" if said else "/jobs"


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    wanted = Wanted.of(arguments)
    if wanted.view == "queue":
        return {"jobs-head": _head(wanted), "jobs": await _queue(studio, wanted), "jobs-pages": Markup("")}
    found = await page_of_jobs(studio, wanted)
    models = await studio.ask("ListModels", limit=200)
    datasets = await studio.ask("ListDatasets", limit=200)
    return {
        "jobs-head": join([_head(wanted), _filter(wanted, models["items"], datasets["items"])]),
        "jobs-bulk": _bulk(),
        "jobs": _table(wanted, found) if found["items"] else _nothing(wanted),
        "jobs-pages": _pages(wanted, len(found["items"]), found["total"]),
    }


async def page_of_jobs(studio: Studio, wanted: Wanted) -> Document:
    """`{"items", "total"}`: one page of the jobs of all kinds. A model or dataset that is not there has none."""
    try:
        return await studio.ask(
            "ListAllJobs",
            kinds=[wanted.kind] if wanted.kind else None,
            states=list(wanted.states) or None,
            search=wanted.search or None,
            label=wanted.label or None,
            model_id=wanted.model or None,
            dataset_id=wanted.dataset or None,
            sort=wanted.sort,
            descending=wanted.descending,
            limit=PER_PAGE,
            after=str(wanted.offset) if wanted.offset else None,
        )
    except TunebusError as error:
        if error.problem.code != Code.NOT_FOUND:
            raise
        return {"items": [], "total": 0}


def _head(wanted: Wanted) -> Markup:
    views = [
        ("all", Wanted()),
        ("active", Wanted(state="active")),
        ("queue", Wanted(view="queue")),
        ("failed", Wanted(state="failed")),
    ]
    links = [
        tag(
            "a",
            say(f"jobs.view.{name}"),
            href=one.address(),
            data_partial="",
            **({"aria_current": "page"} if (one.view, one.state) == (wanted.view, wanted.state) else {}),
        )
        for name, one in views
    ]
    return tag(
        "div",
        tag("h1", say("jobs.title")),
        tag("nav", *links, kind="tb-pills", aria_label=say("jobs.views")),
        kind="tb-title-row",
    )


def _filter(wanted: Wanted, models: Sequence[Document], datasets: Sequence[Document]) -> Markup:
    states = [(group, say(f"jobs.group.{group}")) for group in GROUPS]
    states += [(state, say(f"jobs.state.{state}")) for state in STATES]
    return tag(
        "form",
        _field("search", _input("search", wanted.search, type="search"), "tb-grow"),
        _field("kind", _select("kind", wanted.kind, [(kind, kind_name(kind)) for kind in KINDS])),
        _field("state", _select("state", wanted.state, states)),
        _field("label", _input("label", wanted.label)),
        _field("model", _select("model", wanted.model, [(one["name"], one["name"]) for one in models])),
        _field("dataset", _select("dataset", wanted.dataset, [(one["name"], one["name"]) for one in datasets])),
        _field("sort", _select("sort", wanted.sort, [(sort, say(f"jobs.sort.{sort}")) for sort in SORTS], none=False)),
        *([tag("input", type="hidden", name="order", value=wanted.order)] if wanted.order else []),
        kind="tb-filter tb-jobs-filter",
        action="/jobs",
        data_partial="",
        role="search",
        aria_label=say("jobs.filter.name"),
    )


def _field(name: str, control: Markup, kind: str = "") -> Markup:
    return labelled(f"tb-filter-{name}", say(f"jobs.filter.{name}"), control, kind=kind)


def _input(name: str, value: str, *, type: str = "text") -> Markup:
    return tag("input", type=type, name=name, value=value, id=f"tb-filter-{name}", maxlength="200", autocomplete="off")


def _select(name: str, value: str, choices: Sequence[tuple[str, str]], *, none: bool = True) -> Markup:
    options = [("", say("jobs.filter.any")), *choices] if none else choices
    made = [option(key, words, value) for key, words in options]
    return tag("select", *made, name=name, id=f"tb-filter-{name}")


def _bulk() -> Markup:
    """What may be done to the chosen jobs; `jobs.js` shows it while any is chosen, and says which."""
    again = {"data_bulk": ""}

    def where(*states: str) -> dict[str, str]:
        """Of use to jobs in these states alone."""
        return {**again, "data_where": " ".join(states)}

    return tag(
        "div",
        tag("strong", data_keep="", data_chosen=""),
        tag("a", say("jobs.bulk.compare"), href="/compare", kind="tb-button", data_compare=""),
        act(say("jobs.bulk.stop"), "stop_jobs", {}, confirm=say("jobs.bulk.stop_sure"), **where(*ACTIVE, *WAITING)),
        act(say("jobs.bulk.hold"), "hold_jobs", {}, **where("queued", "interrupted")),
        act(say("jobs.bulk.release"), "release_jobs", {}, **where("held")),
        opener(say("jobs.bulk.label"), "tb-labelling"),
        act(
            say("jobs.bulk.remove"),
            "remove_jobs",
            {},
            kind="tb-danger",
            confirm=say("jobs.bulk.remove_sure"),
            **where(*ENDED),
        ),
        tag("button", say("jobs.bulk.none"), type="button", kind="tb-button tb-quiet", data_choose_none=""),
        tag(
            "dialog",
            tag(
                "form",
                tag("h2", say("jobs.bulk.label_title")),
                _labels_field("add"),
                _labels_field("remove"),
                tag("input", type="hidden", name="ids", data_as="lines", data_chosen_ids=""),
                tag(
                    "div",
                    tag("button", say("jobs.bulk.label_do"), kind="tb-button tb-primary"),
                    tag("button", say("frame.cancel"), type="button", kind="tb-button", data_close=""),
                    kind="tb-actions",
                ),
                kind="tb-form",
                data_act="label_jobs",
                data_reset="",
            ),
            id="tb-labelling",
            kind="tb-dialog",
            aria_label=say("jobs.bulk.label_title"),
        ),
        kind="tb-bulk",
        role="region",
        aria_label=say("jobs.bulk.name"),
    )


def _labels_field(name: str) -> Markup:
    at = f"tb-labels-{name}"
    control = tag("input", name=name, id=at, data_as="lines", placeholder=say("jobs.labels_hint"))
    return labelled(at, say(f"jobs.bulk.label_{name}"), control)


def _table(wanted: Wanted, found: Document) -> Markup:
    now = utc_now()
    every = tag("input", type="checkbox", aria_label=say("jobs.choose_all"), data_choose_all="", autocomplete="off")
    heads = [
        tag("th", every, scope="col"),
        *(_sorted_head(wanted, name, sort) for name, sort in _COLUMNS),
    ]
    rows = [_row(job, now) for job in found["items"]]
    return _wrapped(heads, rows, "tb-jobs")


def _wrapped(heads: Sequence[Markup], rows: Sequence[Markup], kind: str) -> Markup:
    head, body = tag("thead", tag("tr", *heads)), tag("tbody", *rows)
    return tag("div", tag("table", head, body), kind=f"tb-table tb-stack {kind}")


_COLUMNS = (
    ("state", "state"),
    ("job", "name"),
    ("progress", ""),
    ("curve", "loss"),
    ("took", "duration"),
    ("created", "created"),
)


def _sorted_head(wanted: Wanted, name: str, sort: str) -> Markup:
    words = say(f"jobs.column.{name}")
    if not sort:
        return tag("th", words, scope="col")
    current = wanted.sort == sort
    turned = ("up" if wanted.descending else "down") if current else ""
    arrow = tag("span", "↓" if wanted.descending else "↑", aria_hidden="true") if current else Markup("")
    to = wanted.address(sort=sort, order=turned, offset=0)
    said = {"aria_sort": "descending" if wanted.descending else "ascending"} if current else {}
    return tag("th", tag("a", words, " ", arrow, href=to, data_partial=""), scope="col", **said)


def _row(job: Document, now: Any) -> Markup:
    pick = tag(
        "input",
        type="checkbox",
        kind="tb-pick",
        value=str(job["id"]),
        aria_label=say("jobs.choose", job=job_name(job)),
        data_kind=str(job["kind"]),
        data_state=str(job["state"]),
        autocomplete="off",
    )
    about = tag("div", kind_name(job["kind"]), " · ", subject(job), kind="tb-small tb-about")
    took = seconds_between(job["started_at"], job["finished_at"])
    running = job["state"] in ACTIVE and job["started_at"]
    time = tag("span", data_since=str(job["started_at"])) if running else duration(took) if took is not None else ""
    return tag(
        "tr",
        tag("td", pick, kind="tb-choice"),
        tag("td", state_badge(job["state"])),
        tag("td", tag("strong", job_link(job)), about, labels(job)),
        tag("td", progress.outcome(job), kind="tb-outcome"),
        tag("td", _curve(job)),
        tag("td", time, kind="tb-job-numbers"),
        tag("td", ago(job["created_at"], now)),
        data_key=str(job["id"]),
    )


def _curve(job: Document) -> Markup:
    return sparkline(job.get("losses") or (), say("jobs.curve", job=job_name(job)))


def labels(job: Document) -> Markup:
    """A job's labels, each a link to all jobs that bear it."""
    found = [link(label, "/jobs", label=label) for label in job.get("labels") or ()]
    return tag("div", *found, kind="tb-labels") if found else Markup("")


def _nothing(wanted: Wanted) -> Markup:
    if wanted.filters:
        clear = tag("a", say("jobs.filter.clear"), href="/jobs", data_partial="")
        return tag("p", phrase("jobs.none_found", clear=clear), kind="tb-empty")
    return tag("p", phrase("jobs.none", train=link(say("jobs.none_train"), "/train")), kind="tb-empty")


def _pages(wanted: Wanted, shown: int, total: int) -> Markup:
    if not total:
        return Markup("")
    begin = wanted.offset + 1 if shown else wanted.offset
    words = say("jobs.pages", first=f"{begin:,}", last=f"{wanted.offset + shown:,}", count=total, total=f"{total:,}")
    on = wanted.offset + PER_PAGE if wanted.offset + shown < total else None
    return _paging(wanted, on, tag("span", words, kind="tb-small"))


def _paging(wanted: Wanted, on: object, *before: Markup) -> Markup:
    """The ways to the page before, and to the one that begins at `on` where there is one."""
    links = []
    if wanted.offset:
        back = wanted.address(offset=max(0, wanted.offset - PER_PAGE))
        links.append(tag("a", say("jobs.earlier"), href=back, kind="tb-button", data_partial=""))
    if on:
        links.append(tag("a", say("jobs.later"), href=wanted.address(offset=on), kind="tb-button", data_partial=""))
    found = [*before, *links]
    return tag("nav", *found, kind="tb-actions", aria_label=say("jobs.paging")) if found else Markup("")


async def _queue(studio: Studio, wanted: Wanted) -> Markup:
    page = await studio.ask("ListQueue", limit=PER_PAGE, after=str(wanted.offset) if wanted.offset else None)
    if not page["items"]:
        return tag("p", say("jobs.queue.none"), kind="tb-empty")
    heads = [tag("th", say(f"jobs.column.{name}"), scope="col") for name in _QUEUE_COLUMNS]
    rows = [_queue_row(job) for job in page["items"]]
    order = tag("p", say("jobs.queue.order"), kind="tb-small")
    return join([order, _wrapped(heads, rows, "tb-queue"), _paging(wanted, page["next"])])


_QUEUE_COLUMNS = ("place", "state", "job", "why", "priority", "order")


def _queue_row(job: Document) -> Markup:
    waits = job["state"] in ("queued", "held", "interrupted")
    return tag(
        "tr",
        tag("td", str(job["queue_position"] or ""), kind="tb-figure"),
        tag("td", state_badge(job["state"])),
        tag(
            "td",
            tag("strong", job_link(job)),
            tag("div", kind_name(job["kind"]), " · ", subject(job), kind="tb-small tb-about"),
            labels(job),
        ),
        tag("td", progress.outcome(job) if not waits else job["waiting_reason"] or "", kind="tb-outcome"),
        tag("td", priority_form(job) if waits else str(job["priority"])),
        tag("td", order_buttons(job) if waits else Markup("")),
        data_key=str(job["id"]),
    )


def priority_form(job: Document, *, named: bool = False) -> Markup:
    """A field for the priority of a job that waits, with its name where no column's head says it."""
    return tag(
        "form",
        tag(
            "div",
            tag("span", say("jobs.column.priority"), aria_hidden="true") if named else Markup(""),
            tag(
                "input",
                type="number",
                name="priority",
                value=str(job["priority"]),
                min="-1000",
                max="1000",
                step="1",
                data_as="integer",
                aria_label=say("jobs.queue.priority_of", job=job_name(job)),
                id=f"tb-priority-{job['id']}",
            ),
            tag("button", say("jobs.queue.set"), kind="tb-button"),
            kind="tb-field tb-priority",
        ),
        data_act="PrioritizeJob",
        data_values=f'{{"job_id": "{job["id"]}"}}',
        data_done=say("jobs.queue.prioritized"),
    )


def order_buttons(job: Document, *, hold: bool = True) -> Markup:
    """Up, down and to the top among those of its kind and priority; release, or `hold`."""
    same = {"job_id": job["id"]}
    made: list[object] = []
    if job["state"] != "held":
        for to in ("up", "down", "top"):
            words = say(f"jobs.queue.{to}_of", job=job_name(job))
            moved = {"aria_label": words, "title": words, "done": say("jobs.queue.moved")}
            made.append(
                act(
                    icon(to),
                    "MoveJob",
                    {**same, "to": to},
                    kind="tb-icon-button",
                    **moved,
                )
            )
        if hold:
            made.append(act(say("jobs.do.hold"), "HoldJob", same, done=say("jobs.done.held")))
    else:
        made.append(act(say("jobs.do.release"), "ReleaseJob", same, done=say("jobs.done.released")))
    return tag("div", *made, kind="tb-actions tb-order")
