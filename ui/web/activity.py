"""Activity: the event log, the studio as of any moment (`?at=…`), and dead letters (`?letters=all`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.events import EVENTS
from tunebus.contracts.rpc import RESEND_DEAD_LETTER
from tunebus.contracts.subjects import (
    ADAPTER,
    AGGREGATES,
    CONFIG,
    DATABASE,
    DATASET,
    EVALUATION_JOB,
    EXPORT_JOB,
    FINE_TUNING_JOB,
    MODEL,
    PROMPT,
)
from tunebus.ui.web.acting import Asking, Done
from tunebus.ui.web.forms import labelled
from tunebus.ui.web.job.names import sender, state_badge
from tunebus.ui.web.listing import option
from tunebus.ui.web.markup import (
    Markup,
    act,
    banner,
    bytes_text,
    empty,
    icon,
    join,
    link,
    moment,
    pairs,
    problem_box,
    section,
    short_id,
    table,
    tag,
    text,
)
from tunebus.ui.web.page import Arguments, Page, html, part
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.words import phrase, say

ROWS = 50
FOLLOWING = 10
CHANGES = 50
NAMES = 12
SHORT = 160
TEXT = 200

_PLACES = {
    DATASET: "/datasets",
    MODEL: "/models",
    ADAPTER: "/adapters",
    PROMPT: "/prompts",
    CONFIG: "/configs",
    FINE_TUNING_JOB: "/jobs",
    EVALUATION_JOB: "/jobs",
    EXPORT_JOB: "/jobs",
}
_LISTS = {
    DATASET: "ListDatasets",
    MODEL: "ListModels",
    ADAPTER: "ListAdapters",
    PROMPT: "ListPrompts",
    CONFIG: "ListConfigs",
}
_COUNTED = {DATASET: "datasets", MODEL: "models", ADAPTER: "adapters", PROMPT: "prompts", CONFIG: "configs"}
_JOBS = {FINE_TUNING_JOB: "fine_tuning_jobs", EVALUATION_JOB: "evaluation_jobs", EXPORT_JOB: "export_jobs"}
_FILTERS = {
    "search": "search",
    "aggregate": "aggregate",
    "entity": "entity_id",
    "type": "type",
    "actor": "actor",
    "since": "since",
    "until": "as_of",
    "correlation": "correlation_id",
    "causation": "causation_id",
}
"""The page's arguments and the query's."""
_SHOWN = ("search", "aggregate", "entity", "type", "actor", "since", "until")
"""Those with a field to fill in."""


def build(studio: Studio, blocks: Any) -> None:
    html(join([tag("h1", say("activity.title")), tag("p", say("activity.lead"), kind="tb-lead")]))
    for name in ("views", "event", "events", "past", "letter", "letters"):
        part(name)


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    view = "past" if "at" in arguments else "letters" if "letters" in arguments else "events"
    overview = await studio.ask("GetDatabase")
    letters = await studio.ask("ListDeadLetters", limit=ROWS, **_after(arguments, view == "letters"))
    shown: dict[str, Markup] = dict.fromkeys(("event", "events", "past", "letter", "letters"), Markup(""))
    shown["views"] = _views(view, sum(one["resent_at"] is None for one in letters["items"]))
    if view == "past":
        shown["past"] = await _past(studio, arguments["at"][:TEXT], overview["position"])
    elif view == "letters":
        shown["letters"] = _letters(letters, arguments)
        if arguments["letters"].isdecimal():
            shown["letter"] = _loaded("dead_letter", id=arguments["letters"][:18])
    else:
        shown["events"] = await _events(studio, arguments)
        if "event" in arguments:
            shown["event"] = _loaded("event", position=arguments["event"][:18], back=_address(arguments, event=None))
    return shown


def _after(arguments: Arguments, wanted: bool) -> dict[str, str]:
    after = arguments.get("after", "") if wanted else ""
    return {"after": after[:18]} if after.isdecimal() else {}


def _loaded(fragment: str, **arguments: str) -> Markup:
    """Room for what comes from an address of its own."""
    return tag("div", data_load=f"/fragment/{fragment}?{urlencode(arguments)}", data_key=fragment)


def _address(arguments: Arguments, **changes: str | None) -> str:
    """This page's address with other arguments; None takes one away."""
    wanted = {name: value for name, value in {**arguments, **changes}.items() if value}
    return f"/activity?{urlencode(wanted)}" if wanted else "/activity"


def _partial(words: object, address: str, **attributes: str) -> Markup:
    return tag("a", words, href=address, data_partial="", **attributes)


def _views(current: str, letters: int) -> Markup:
    named = say("activity.letters_waiting", count=letters) if letters else say("activity.letters")
    places = {
        "events": (say("activity.events"), "/activity"),
        "past": (say("activity.past"), "/activity?at=now"),
        "letters": (named, "/activity?letters=all"),
    }
    links = [
        _partial(words, address, **({"aria_current": "page"} if view == current else {}))
        for view, (words, address) in places.items()
    ]
    return tag("nav", *links, kind="tb-views", aria_label=say("activity.views"))


async def _events(studio: Studio, arguments: Arguments) -> Markup:
    asked = {
        query: arguments[name][:TEXT].strip() for name, query in _FILTERS.items() if arguments.get(name, "").strip()
    }
    parts = [_filters(arguments), _standing_filters(arguments)]
    try:
        page = await studio.ask("ListEvents", limit=ROWS, newest=True, named=True, **asked, **_after(arguments, True))
    except TunebusError as error:
        return join([*parts, problem_box(error.problem, _named())])
    if not page["items"]:
        parts.append(empty(say("activity.none_found" if asked else "activity.none")))
    else:
        parts.append(_event_table(page["items"], arguments))
    pages = []
    if arguments.get("after"):
        pages.append(_partial(say("activity.newest"), _address(arguments, after=None), kind="tb-button"))
    if page["next"]:
        pages.append(_partial(say("activity.older"), _address(arguments, after=page["next"]), kind="tb-button"))
    if pages:
        parts.append(tag("nav", *pages, kind="tb-actions", aria_label=say("activity.pages")))
    return join(parts)


def _filters(arguments: Arguments) -> Markup:
    aggregates = {name: say(f"activity.aggregate.{name}") for name in AGGREGATES}
    hidden = [
        tag("input", type="hidden", name=name, value=arguments[name][:TEXT])
        for name in ("correlation", "causation")
        if arguments.get(name)
    ]
    fields = [
        _field("search", arguments, placeholder=say("activity.filter.search_hint"), type="search"),
        _choice("aggregate", arguments, aggregates),
        _field("entity", arguments, placeholder=say("activity.filter.entity_hint")),
        _choice("type", arguments, {name: name for name in sorted(EVENTS)}),
        _field("actor", arguments),
        _field("since", arguments, type="datetime-local"),
        _field("until", arguments, type="datetime-local"),
    ]
    clear = _partial(say("activity.clear"), "/activity", kind="tb-button tb-quiet")
    look = {"kind": "tb-filter tb-activity-filter", "role": "search"}
    return tag("form", *fields, *hidden, clear, data_partial="", action="/activity", **look)


def _field(name: str, arguments: Arguments, **attributes: str) -> Markup:
    value = arguments.get(name, "")[:TEXT]
    entry = tag("input", name=name, id=f"tb-filter-{name}", value=value, **{"type": "text", **attributes})
    return labelled(f"tb-filter-{name}", say(f"activity.filter.{name}"), entry)


def _choice(name: str, arguments: Arguments, options: Mapping[str, str]) -> Markup:
    chosen = arguments.get(name, "")
    listed = [option(value, words, chosen) for value, words in {"": say("activity.filter.any"), **options}.items()]
    entry = tag("select", *listed, name=name, id=f"tb-filter-{name}")
    return labelled(f"tb-filter-{name}", say(f"activity.filter.{name}"), entry)


def _named() -> dict[str, str]:
    """What the page calls the query's arguments."""
    return {asked: say(f"activity.filter.{name}") for name, asked in _FILTERS.items() if name in _SHOWN}


def _standing_filters(arguments: Arguments) -> Markup:
    """What came from a link and has no field of its own, with a way to drop it."""
    found = []
    for name in ("causation", "correlation"):
        if arguments.get(name):
            words = phrase(f"activity.filter.{name}", id=tag("code", arguments[name][:TEXT]))
            drop = _partial(say("activity.clear"), _address(arguments, **{name: None, "after": None}))
            found.append(banner(join([words, Markup(" "), drop]), "info"))
    return join(found)


def _event_table(events: Sequence[Document], arguments: Arguments) -> Markup:
    heads = [say(f"activity.column.{name}") for name in ("position", "time", "type", "entity", "actor", "data")]
    rows = []
    for event in events:
        position = str(event["position"])
        opened = {"aria_current": "true"} if arguments.get("event") == position else {}
        cells = (
            _partial(position, _address(arguments, event=position), **opened),
            _time(event["recorded_at"]),
            event["type"],
            _entity(event),
            sender(event["actor"]),
            tag("span", _in_short(event["data"]), kind="tb-small"),
        )
        rows.append(tag("tr", *(tag("td", cell) for cell in cells), data_key=position))
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in heads)))
    return tag("div", tag("table", head, tag("tbody", *rows)), kind="tb-table tb-stack tb-events")


def _time(stamp: str) -> Markup:
    return tag("time", stamp[:19].replace("T", " "), datetime=stamp)


def _entity(event: Mapping[str, Any]) -> Markup:
    """What an event is about, in words, as a link where there is a page of it."""
    aggregate, entity_id = str(event["aggregate"]), str(event["entity_id"])
    kind = tag("span", say(f"activity.aggregate.{aggregate}"), kind="tb-small")
    name = event.get("entity_name") or short_id(entity_id)
    if aggregate == DATABASE:
        return join([kind, Markup(" "), link(name, "/database")])
    return join([kind, Markup(" "), link(name, _PLACES[aggregate], id=entity_id)])


def _in_short(data: Any) -> str:
    """The first of an event's data, on one line."""
    told = {name: value for name, value in data.items() if value not in (None, "", [], {}) and "sha256" not in name}
    words = ", ".join(f"{name}: {_value(value)}" for name, value in told.items())
    return words if len(words) <= SHORT else f"{words[: SHORT - 1]}…"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)[:SHORT]


def _position(given: str) -> int:
    if not (given.isascii() and given.isdecimal() and len(given) <= 18):
        raise fail(Code.INVALID, "must be a position, for example 120", param="position")
    return int(given)


async def event(studio: Studio, arguments: Arguments) -> Markup:
    """One event with its data, what it came of and what came of it."""
    position = _position(arguments.get("position", ""))
    found = (await studio.ask("ListEvents", from_position=position, limit=1, named=True))["items"]
    if not found or found[0]["position"] != position:
        raise fail(Code.NOT_FOUND, say("activity.event.unknown", position=position))
    one = found[0]
    back = arguments.get("back", "")
    close = back if back.startswith("/activity") else "/activity"
    written = {name: one[name] for name in one if name not in ("entity_name",)}
    whole = json.dumps(written, indent=2, ensure_ascii=False)
    head = tag(
        "div",
        tag("h2", say("activity.event.title", type=one["type"], position=position)),
        _partial(say("activity.event.as_of"), f"/activity?at={position}", kind="tb-button"),
        tag("button", icon("copy"), say("activity.event.copy"), type="button", kind="tb-button", data_copy=whole),
        _partial(say("activity.event.close"), close, kind="tb-button tb-quiet"),
        kind="tb-title-row",
    )
    facts = pairs(
        [
            (say("activity.event.entity"), _entity(one)),
            (say("activity.event.recorded"), moment(one["recorded_at"])),
            (say("activity.event.actor"), sender(one["actor"])),
            (say("activity.event.version"), one["version"]),
            (say("activity.event.schema"), one["schema_version"]),
            (say("activity.event.id"), tag("code", one["event_id"])),
            *(((say("activity.event.meta"), tag("code", json.dumps(one["meta"]))),) if one["meta"] else ()),
        ]
    )
    data = tag("pre", json.dumps(one["data"], indent=2, ensure_ascii=False), kind="tb-document", tabindex="0")
    parts = [
        head,
        facts,
        section(say("activity.event.data"), data),
        section(say("activity.event.cause"), await _cause(studio, one)),
        section(say("activity.event.changed"), _loaded("event_change", position=str(position))),
        section(say("activity.event.consequences"), await _consequences(studio, one)),
    ]
    return tag("section", *parts, kind="tb-panel", id="tb-one-event")


async def _cause(studio: Studio, one: Document) -> Markup:
    if not one["causation_id"]:
        return tag("p", say("activity.event.no_command"))
    parts = [tag("p", phrase("activity.event.command", id=tag("code", one["causation_id"])))]
    try:
        outcome = await studio.ask("GetCommandOutcome", command_id=one["causation_id"])
    except TunebusError:
        outcome = None  # an event of an import names a command that another studio had
    if outcome is not None and outcome["outcome"] == "accepted":
        parts.append(tag("p", say("activity.event.accepted"), kind="tb-small"))
    elif outcome is not None:
        message = (outcome.get("error") or {}).get("message", "")
        parts.append(tag("p", say("activity.event.rejected", message=message), kind="tb-small"))
    stream = {"aggregate": one["aggregate"], "entity": one["entity_id"], "until": one["position"]}
    ways = [
        _partial(say("activity.event.same_command"), f"/activity?causation={quote(one['causation_id'])}"),
        _partial(say("activity.event.before"), f"/activity?{urlencode(stream)}"),
    ]
    if one["correlation_id"]:
        ways.append(
            _partial(say("activity.event.same_request"), f"/activity?correlation={quote(one['correlation_id'])}")
        )
    parts.append(tag("ul", *(tag("li", way) for way in ways)))
    return join(parts)


async def _consequences(studio: Studio, one: Document) -> Markup:
    """Each later event once, under the nearest tie it has to this one."""
    after = {"since": one["position"], "limit": FOLLOWING}
    stream = {"aggregate": one["aggregate"], "entity_id": one["entity_id"]}
    ties: dict[str, dict[str, Any]] = {"later": {**after, **stream}, "mentions": {**after, "search": one["entity_id"]}}
    if one["correlation_id"]:
        ties = {"followed": {**after, "correlation_id": one["correlation_id"]}, **ties}
    if one["causation_id"]:
        ties = {"siblings": {"limit": FOLLOWING, "causation_id": one["causation_id"]}, **ties}
    seen = {one["position"]}
    parts = []
    for name, asked in ties.items():
        found = [
            item
            for item in (await studio.ask("ListEvents", named=True, **asked))["items"]
            if item["position"] not in seen
        ]
        seen.update(item["position"] for item in found)
        if found:
            listed = [
                tag(
                    "li",
                    _partial(f"{item['position']} {item['type']}", f"/activity?event={item['position']}"),
                    Markup(" "),
                    _entity(item),
                )
                for item in found
            ]
            parts.append(join([tag("h3", say(f"activity.event.{name}")), tag("ul", *listed)]))
    return join(parts) if parts else tag("p", say("activity.event.none"), kind="tb-small")


async def event_change(studio: Studio, arguments: Arguments) -> Markup:
    """What an event changed of its entity, field by field; the registry folds the events up to it."""
    position = _position(arguments.get("position", ""))
    found = (await studio.ask("ListEvents", from_position=position, limit=1))["items"]
    if not found:
        raise fail(Code.NOT_FOUND, say("activity.event.unknown", position=position))
    one = found[0]
    asked = {"from": max(0, position - 1), "to": position, "aggregate": one["aggregate"], "entity_id": one["entity_id"]}
    changes = (await studio.over_bus("ListChanges", **asked))["items"]
    if not changes or not changes[0]["fields"]:
        return tag("p", say("activity.event.no_change"), kind="tb-small")
    return _fields(changes[0])


def _fields(change: Document) -> Markup:
    rows = [
        (tag("code", name), _in_cell(values["before"]), _in_cell(values["after"]))
        for name, values in change["fields"].items()
        if values["before"] not in (None, "", [], {}) or values["after"] not in (None, "", [], {})
    ]
    heads = [say("activity.change.fields"), say("activity.change.before"), say("activity.change.after")]
    return table(heads, rows, kind="tb-stack tb-changes")


def _in_cell(value: Any) -> Markup:
    if value is None or isinstance(value, bool | int | float):
        return text(value)
    words = _value(value)
    return text(words if len(words) <= SHORT else f"{words[: SHORT - 1]}…")


async def _past(studio: Studio, at: str, newest: int) -> Markup:
    """The slider, what moment it is at, and room for what was there."""
    wanted: int | str = newest if at in ("", "now") else at
    try:
        up_to = await studio.ask("ListEvents", as_of=wanted, newest=True, limit=1)
    except TunebusError as error:
        return join([_slider(newest, newest, at), problem_box(error.problem, {"as_of": say("activity.then.moment")})])
    last = up_to["items"][0] if up_to["items"] else None
    position = min(int(at), newest) if at.isdecimal() else last["position"] if last else 0
    parts = [_slider(position, newest, at)]
    if position >= newest:
        parts.append(banner(say("activity.then.now"), "info"))
    else:
        when = moment(last["recorded_at"]) if last else text(say("activity.then.before_all"))
        words = phrase("activity.then.banner", position=position, time=when)
        back = _partial(say("activity.then.back"), "/activity", kind="tb-button")
        parts.append(tag("div", icon("warning"), tag("strong", words), back, kind="tb-banner tb-past", role="status"))
    steps = []
    if last is not None:
        steps.append(_partial(say("activity.then.event"), f"/activity?event={last['position']}", kind="tb-button"))
        steps.append(_partial(say("activity.then.previous"), f"/activity?at={last['position'] - 1}", kind="tb-button"))
    later = (await studio.ask("ListEvents", since=position, limit=1))["items"]
    if later:
        steps.append(_partial(say("activity.then.next"), f"/activity?at={later[0]['position']}", kind="tb-button"))
    parts.append(tag("div", *steps, kind="tb-actions"))
    parts.append(_loaded("past", at=str(position)))
    if position < newest:
        parts.append(section(say("activity.then.changes"), _loaded("changes", since=str(position), to=str(newest))))
    return join(parts)


def _slider(position: int, newest: int, at: str) -> Markup:
    slider = tag(
        "input",
        type="range",
        name="at",
        id="tb-slider",
        min="0",
        max=str(newest),
        value=str(position),
        aria_valuetext=say("activity.then.banner", position=position, time=""),
    )
    by_slider = tag(
        "form",
        tag("label", say("activity.then.slider"), Markup(" "), tag("output", position), **{"for": "tb-slider"}),
        slider,
        kind="tb-field tb-slider",
        data_partial="",
        action="/activity",
    )
    named = tag(
        "input",
        type="text",
        name="at",
        id="tb-moment",
        value="" if at == "now" else at,
        placeholder=say("activity.then.moment_hint"),
        data_on_submit="",
    )
    by_name = tag(
        "form",
        tag("div", tag("label", say("activity.then.moment"), **{"for": "tb-moment"}), named, kind="tb-field"),
        tag("button", say("activity.then.go"), kind="tb-button"),
        kind="tb-filter",
        data_partial="",
        action="/activity",
    )
    return join([tag("p", say("activity.then.lead"), kind="tb-small"), by_slider, by_name])


async def past(studio: Studio, arguments: Arguments) -> Markup:
    """What was there after a position: counts, names, and jobs by state. The registry folds the events up to it."""
    at = _position(arguments.get("at", ""))
    counts = (await studio.over_bus("GetOverview", as_of=at))["counts"]
    tiles = []
    for aggregate, counted in _COUNTED.items():
        names: list[str] = []
        if counts[counted]:
            page = await studio.over_bus(_LISTS[aggregate], as_of=at, limit=NAMES)
            names = [one.get("name") or one.get("description") or one["id"] for one in page["items"]]
        more = counts[counted] - len(names)
        listed = [*(tag("li", name) for name in names), *([tag("li", f"+ {more}")] if more > 0 else [])]
        tiles.append(
            tag(
                "div",
                tag("span", counts[counted], kind="tb-number"),
                say(f"listing.counted.{counted}", count=counts[counted]),
                tag("ul", *listed, kind="tb-names") if listed else Markup(""),
                kind="tb-tile",
                data_aggregate=aggregate,
            )
        )
    rows = []
    for kind, counted in _JOBS.items():
        states = [join([state_badge(state), Markup(f" {count}")]) for state, count in counts[counted].items()]
        rows.append(
            (say(f"activity.aggregate.{kind}"), join(states, " ") if states else text(say("activity.then.no_jobs")))
        )
    parts = [tag("div", *tiles, kind="tb-tiles"), tag("h3", say("activity.then.jobs")), pairs(rows)]
    return section(say("activity.then.there"), *parts)


async def changes(studio: Studio, arguments: Arguments) -> Markup:
    """Which entities differ between a position and the newest one."""
    since, to = _position(arguments.get("since", "")), _position(arguments.get("to", ""))
    found = await studio.over_bus("ListChanges", **{"from": since, "to": to, "limit": CHANGES})
    if not found["items"]:
        return empty(say("activity.then.changes_none"))
    rows = []
    for change in found["items"]:
        described = change["fields"].get("description", {})
        name = change["name"] or described.get("after") or described.get("before")
        about = {**change, "entity_id": change["id"], "entity_name": name}
        happened = ", ".join(f"{type} ×{count}" if count > 1 else type for type, count in change["events"].items())
        fields = Markup("")
        if change["change"] == "changed" and change["fields"]:
            fields = tag("details", tag("summary", ", ".join(change["fields"])), _fields(change))
        rows.append((_entity(about), say(f"activity.change.{change['change']}"), happened, fields))
    heads = [say(f"activity.change.{name}") for name in ("what", "change", "events", "fields")]
    parts = [table(heads, rows, kind="tb-stack tb-events")]
    if found.get("next"):
        parts.append(tag("p", say("activity.then.changes_more", count=len(rows)), kind="tb-small"))
    return join(parts)


def _letters(page: Document, arguments: Arguments) -> Markup:
    parts = [tag("p", say("activity.letter.lead"), kind="tb-small")]
    if not page["items"]:
        return join([*parts, empty(say("activity.letter.none"))])
    rows = [
        (
            _partial(one["id"], f"/activity?letters={one['id']}"),
            _time(one["seen_at"]),
            tag("code", one["subject"]),
            one["reason"],
            bytes_text(one["bytes"]),
            _time(one["resent_at"]) if one["resent_at"] else Markup("–"),
            _resend(one["id"]),
        )
        for one in page["items"]
    ]
    heads = [say(f"activity.letter.{name}") for name in ("id", "seen", "subject", "reason", "size", "resent")]
    parts.append(table([*heads, ""], rows, kind="tb-stack tb-events"))
    if page["next"]:
        parts.append(_partial(say("activity.letter.older"), _address(arguments, after=page["next"]), kind="tb-button"))
    return join(parts)


def _resend(number: int) -> Markup:
    return act(
        say("activity.letter.resend"),
        "resend_dead_letter",
        {"id": number},
        confirm=say("activity.letter.resend_confirm", id=number),
        done=say("activity.letter.resend_done"),
    )


async def dead_letter(studio: Studio, arguments: Arguments) -> Markup:
    """One message as it came, with why it ended here."""
    one = await studio.ask("GetDeadLetter", id=_position(arguments.get("id", "")))
    headers = "\n".join(f"{name}: {value}" for name, value in one["headers"].items())
    what = "activity.letter.message" if one["encoding"] == "utf-8" else "activity.letter.base64"
    head = tag(
        "div",
        tag("h2", say("activity.letter.title", id=one["id"])),
        _resend(one["id"]),
        _partial(say("activity.event.close"), "/activity?letters=all", kind="tb-button tb-quiet"),
        kind="tb-title-row",
    )
    facts = [
        (say("activity.letter.reason"), tag("strong", one["reason"])),
        (say("activity.letter.subject"), tag("code", one["subject"])),
        (say("activity.letter.stream"), f"{one['stream']}, {one['seq']}"),
        (say("activity.letter.consumer"), one["consumer"]),
        (say("activity.letter.seen"), moment(one["seen_at"])),
        (say("activity.letter.resent"), moment(one["resent_at"])),
        (say("activity.letter.size"), bytes_text(one["bytes"])),
    ]
    parts = [head, pairs(facts)]
    if headers:
        parts.append(section(say("activity.letter.headers"), tag("pre", headers, kind="tb-document", tabindex="0")))
    parts.append(section(say(what), tag("pre", one["data"], kind="tb-document", tabindex="0")))
    return tag("section", *parts, kind="tb-panel", id="tb-one-letter")


async def resend_dead_letter(asking: Asking) -> Done:
    """Put one message on the bus again, as it was. Errors: `invalid`, `not_found`, `unavailable`."""
    number = asking.data.get("id")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 2**63:
        raise fail(Code.INVALID, "must be the number of a dead letter", param="id")
    await asking.studio.call(RESEND_DEAD_LETTER, id=number)
    return Done(words=say("activity.letter.resend_done"))


PAGE = Page(
    "activity",
    "activity.title",
    build,
    read,
    group="studio",
    fragments={
        "event": event,
        "event_change": event_change,
        "past": past,
        "changes": changes,
        "dead_letter": dead_letter,
    },
    actions={"resend_dead_letter": resend_dead_letter},
)
