"""Rows of a dataset as HTML: raw, as a model is given them, and as tokens with the part that carries loss marked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from tunebus.contracts.errors import Code, fail
from tunebus.ui.web.forms import control_id
from tunebus.ui.web.listing import address, option
from tunebus.ui.web.markup import Markup, empty, icon, join, tag, text
from tunebus.ui.web.page import Arguments
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.words import phrase, say

ROWS = 20
TOKENIZED = 10
CHOICES = 500

_BAR, _GAP, _HEIGHT, _MARGIN = 46, 6, 150, 22


def number_of(arguments: Arguments, name: str, most: int = 2**53 - 1) -> int:
    """A whole number of an address; 0 for whatever is none."""
    given = arguments.get(name, "")
    return min(int(given), most) if given.isascii() and given.isdigit() and len(given) < 17 else 0


def raw_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], first: int = 0) -> Markup:
    """Rows with their numbers, from 1."""
    head = tag("tr", tag("th", "#", scope="col"), *(tag("th", name, scope="col") for name in columns))
    body = [
        tag(
            "tr",
            tag("td", f"{number:,}", kind="tb-row-number"),
            *(tag("td", tag("div", _cell(row, name), kind="tb-clip")) for name in columns),
            data_key=f"row-{number}",
        )
        for number, row in enumerate(rows, start=first + 1)
    ]
    return tag(
        "div", tag("table", tag("thead", head), tag("tbody", *body)), kind="tb-table tb-wrap tb-raw", tabindex="0"
    )


def _cell(row: Mapping[str, Any], name: str) -> Markup:
    if name not in row:
        return tag("span", say("datasets.rows.missing"), kind="tb-small")
    value = row[name]
    if value is None:
        return tag("span", say("datasets.rows.null"), kind="tb-small")
    if value == "":
        return tag("span", say("datasets.rows.empty"), kind="tb-small")
    return text(
        value if isinstance(value, str | int | float | bool) else json.dumps(value, ensure_ascii=False, indent=1)
    )


async def raw(studio: Studio, arguments: Arguments) -> Markup:
    first = number_of(arguments, "from")
    seen = await studio.over_bus("PreviewDataset", id=arguments.get("id", ""), limit=ROWS, offset=first)
    if not seen["rows"]:
        return empty(say("datasets.rows.beyond", count=seen["row_count"]))
    return join([raw_table(seen["features"], seen["rows"], first), _pager(arguments, seen, "rows", ROWS)])


async def rendered(studio: Studio, arguments: Arguments) -> Markup:
    """Through a prompt and, where one is chosen, as a model's own chat template lays it out."""
    first = number_of(arguments, "from")
    asked = _asked(arguments, first, ROWS)
    seen = await studio.over_bus("PreviewDataset", **asked, lengths=False)
    if "tokenized" in seen:
        shown = [_as_text(row) for row in seen["tokenized"]]
    else:
        shown = [join([tag("span", row["prompt"]), _learnt(row["completion"])]) for row in seen["rendered"]]
    if not shown:
        return empty(
            say("datasets.rows.not_rendered" if seen["rows"] else "datasets.rows.beyond", count=seen["row_count"])
        )
    parts: list[object] = [_legend()]
    if seen["generated_prompt"]:
        parts.append(tag("p", say("datasets.rows.generated"), kind="tb-small"))
    parts += [
        tag(
            "div",
            tag("div", say("datasets.rows.number", number=f"{number:,}"), kind="tb-small"),
            tag("pre", row, kind="tb-text", tabindex="0"),
            kind="tb-example",
            data_key=f"row-{number}",
        )
        for number, row in enumerate(shown, start=first + 1)
    ]
    return join([*parts, _pager(arguments, seen, "rendered", len(shown) if len(shown) < ROWS else ROWS)])


async def tokens(studio: Studio, arguments: Arguments) -> Markup:
    """Rows as tokens; needs a model."""
    first = number_of(arguments, "from")
    asked = _with_model(_asked(arguments, first, TOKENIZED))
    seen = await studio.over_bus("PreviewDataset", **asked, lengths=False)
    if not seen["tokenized"]:
        return empty(say("datasets.rows.beyond", count=seen["row_count"]))
    shown = []
    for number, row in enumerate(seen["tokenized"], start=first + 1):
        words = [
            say("datasets.rows.tokens", count=row["tokens"]),
            say("datasets.rows.learnt", count=row["answer_tokens"]),
        ]
        if row["truncated"]:
            words.append(say("datasets.rows.cut"))
        pieces = [
            tag("span", piece["text"], kind=f"tb-token{' tb-token-loss' if piece['loss'] else ''}")
            for piece in row["pieces"]
        ]
        more = tag("span", say("datasets.rows.more"), kind="tb-small") if row["more"] else Markup("")
        head = tag("div", say("datasets.rows.number", number=f"{number:,}"), " · ", " · ".join(words), kind="tb-small")
        shown.append(
            tag("div", head, tag("pre", *pieces, more, kind="tb-text tb-tokens", tabindex="0"), kind="tb-example")
        )
    return join([_legend(), *shown, _pager(arguments, seen, "tokens", TOKENIZED)])


async def lengths(studio: Studio, arguments: Arguments) -> Markup:
    """How many tokens rows have, and which share would be cut."""
    asked = _with_model(_asked(arguments, 0, 1))
    found = (await studio.over_bus("PreviewDataset", **asked))["token_lengths"]
    if not found["histogram"]:
        return empty(say("datasets.lengths.none"))
    figures = [
        (say(f"datasets.lengths.{name}"), found[name])
        for name in ("min", "median", "mean", "p95", "max", "answer_mean")
    ]
    facts = [
        tag("div", tag("span", label), tag("span", text(value), kind="tb-figure"), kind="tb-fact")
        for label, value in figures
    ]
    return tag(
        "figure",
        tag("figcaption", say("datasets.lengths.title")),
        _truncated(found),
        histogram(found["histogram"], found["max_length"]),
        tag("div", *facts, kind="tb-facts"),
        kind="tb-panel tb-lengths",
    )


def _truncated(found: Document) -> Markup:
    counted = say(
        "datasets.lengths.counted_all" if found["counted"] == found["rows"] else "datasets.lengths.counted",
        counted=f"{found['counted']:,}",
        rows=f"{found['rows']:,}",
    )
    if not found["max_length"]:
        return tag("p", counted, kind="tb-small")
    words = say(
        "datasets.lengths.share" if found["truncated"] else "datasets.lengths.none_cut",
        share=f"{found['truncated_share']:.1%}",
        limit=f"{found['max_length']:,}",
    )
    mark = icon("warning" if found["truncated"] else "succeeded")
    return join([tag("p", mark, " ", words, kind="tb-recognised"), tag("p", counted, kind="tb-small")])


def _bound(tokens: int, at: int) -> Markup:
    """Where one bar ends and the next begins."""
    return tag("text", f"{tokens:,}", x=str(at), y=str(_HEIGHT + 38), kind="tb-tick tb-tick-x")


def histogram(bins: Sequence[Mapping[str, int]], limit: int | None = None) -> Markup:
    """Bars, each with its figures as words; those beyond the limit are hatched as well as coloured otherwise."""
    most = max(one["rows"] for one in bins) or 1
    width = len(bins) * (_BAR + _GAP) + 2 * _MARGIN - _GAP
    drawn: list[object] = []
    for number, one in enumerate(bins):
        height = max(2 if one["rows"] else 0, round(_HEIGHT * one["rows"] / most))
        at = _MARGIN + number * (_BAR + _GAP)
        over = limit is not None and one["to"] > limit
        said = say("datasets.lengths.bar", first=one["from"], last=one["to"], count=one["rows"])
        bar = tag(
            "rect",
            tag("title", said),
            x=str(at),
            y=str(20 + _HEIGHT - height),
            width=str(_BAR),
            height=str(height),
            rx="3",
            kind="tb-bin tb-bin-over" if over else "tb-bin",
        )
        middle = str(at + _BAR // 2)
        drawn += [
            bar,
            tag("text", f"{one['rows']:,}", x=middle, y=str(15 + _HEIGHT - height), kind="tb-tick tb-tick-x"),
            _bound(one["from"], at - _GAP // 2),
        ]
    drawn.append(_bound(bins[-1]["to"], width - _MARGIN + _GAP // 2))
    drawn.append(tag("line", x1="0", x2=str(width), y1=str(20 + _HEIGHT), y2=str(20 + _HEIGHT), kind="tb-rule"))
    said = "; ".join(say("datasets.lengths.bar", first=one["from"], last=one["to"], count=one["rows"]) for one in bins)
    picture = tag(
        "svg",
        *drawn,
        viewBox=f"0 0 {width} {_HEIGHT + 46}",
        role="img",
        aria_label=f"{say('datasets.lengths.title')}: {said}",
    )
    return tag("div", picture, kind="tb-histogram", tabindex="0")


def _as_text(row: Document) -> Markup:
    """A row's text with what is learnt marked as one piece."""
    parts: list[object] = []
    learnt = ""
    for piece in row["pieces"]:
        if piece["loss"]:
            learnt += piece["text"]
            continue
        if learnt:
            parts.append(_learnt(learnt))
            learnt = ""
        parts.append(tag("span", piece["text"]))
    if learnt:
        parts.append(_learnt(learnt))
    if row["more"]:
        parts.append(tag("span", say("datasets.rows.more"), kind="tb-small"))
    return join(parts)


def _learnt(words: str) -> Markup:
    return tag("mark", words, kind="tb-learnt")


def _legend() -> Markup:
    return tag(
        "p",
        phrase("datasets.rows.legend", learnt=tag("mark", say("datasets.rows.so"), kind="tb-learnt")),
        kind="tb-small",
    )


def _asked(arguments: Arguments, first: int, limit: int) -> dict[str, Any]:
    asked: dict[str, Any] = {"id": arguments.get("id", ""), "limit": limit, "offset": first}
    asked |= {f"{name}_id": arguments[name] for name in ("prompt", "model") if arguments.get(name)}
    if longest := number_of(arguments, "max", 2**31 - 1):
        asked["max_length"] = longest
    return asked


def _with_model(asked: dict[str, Any]) -> dict[str, Any]:
    if "model_id" not in asked:
        raise fail(Code.INVALID, "is required", param="model", hint="tokens are a model's")
    return asked


def _pager(arguments: Arguments, seen: Document, tab: str, step: int) -> Markup:
    """Ways to the rows before and after, and to any row."""
    first, count = seen["offset"], seen["row_count"]
    shown = len(seen["tokenized"]) if "tokenized" in seen else len(seen["rows"])
    kept = {name: arguments[name] for name in ("id", "prompt", "model", "max") if arguments.get(name)} | {"tab": tab}

    def to(at: int) -> str:
        return address("/datasets", kept, **{"from": str(at) if at else ""})

    words = say("datasets.rows.pages", first=f"{first + 1:,}", last=f"{first + shown:,}", count=f"{count:,}")
    parts: list[object] = [tag("span", words, kind="tb-small")]
    if first:
        parts.append(tag("a", say("listing.back"), href=to(max(0, first - step)), kind="tb-button", data_partial=""))
    if first + shown < count:
        parts.append(tag("a", say("listing.on"), href=to(first + shown), kind="tb-button", data_partial=""))
    return tag("nav", *parts, kind="tb-actions tb-pager", aria_label=say("datasets.rows.paging"))


async def chooser(studio: Studio, arguments: Arguments, tab: str) -> Markup:
    """Which prompt and which model rows are shown through."""
    wanted = arguments.get("id", "")
    prompts = (await studio.ask("ListPrompts", dataset_id=wanted, limit=CHOICES))["items"]
    models = (await studio.ask("ListModels", limit=CHOICES))["items"]
    none = (
        say("datasets.rows.no_prompt"),
        say("datasets.rows.no_model" if tab == "rendered" else "datasets.rows.choose_model"),
    )
    fields = [
        _choice("prompt", none[0], [one["name"] for one in prompts], arguments),
        _choice("model", none[1], [one["name"] for one in models], arguments),
    ]
    if tab == "tokens":
        at = control_id("datasets", "max")
        longest = number_of(arguments, "max", 2**31 - 1)
        given = tag(
            "input", type="number", name="max", id=at, min="1", step="1", value=str(longest) if longest else "",
            placeholder=say("datasets.rows.context"),
        )  # fmt: skip
        fields.append(tag("div", tag("label", say("datasets.rows.max"), **{"for": at}), given, kind="tb-field"))
    hidden = [tag("input", type="hidden", name=name, value=value) for name, value in (("id", wanted), ("tab", tab))]
    return tag(
        "form",
        *hidden,
        *fields,
        kind="tb-filter",
        action="/datasets",
        data_partial="",
        aria_label=say("datasets.rows.through"),
    )


def _choice(name: str, none: str, choices: Sequence[str], arguments: Arguments) -> Markup:
    at = control_id("datasets", name)
    chosen = arguments.get(name, "")
    options = [option("", none, chosen), *(option(one, one, chosen) for one in choices)]
    label = tag("label", say(f"datasets.rows.{name}"), **{"for": at})
    return tag("div", label, tag("select", *options, name=name, id=at), kind="tb-field")


def load(name: str, arguments: Arguments, *kept: str) -> Markup:
    """Room for a fragment about the dataset of an address."""
    wanted = {one: arguments[one] for one in ("id", *kept) if arguments.get(one)}
    return tag("div", data_load=f"/fragment/{name}?{urlencode(wanted)}", data_key=name, kind="tb-loading")


async def findings(studio: Studio, arguments: Arguments) -> Markup:
    """Rows of one kind that deserve a look."""
    kind = arguments.get("kind", "")
    asked: dict[str, Any] = {"id": arguments.get("id", ""), "kind": kind, "limit": 50}
    if arguments.get("after"):
        asked["after"] = arguments["after"]
    found = await studio.over_bus("ListDatasetFindings", **asked)
    looked = say(
        "datasets.findings.looked_all" if found["complete"] else "datasets.findings.looked",
        count=f"{found['looked_at']:,}",
    )
    if not found["items"]:
        return join([empty(say(f"datasets.findings.none.{kind}")), tag("p", looked, kind="tb-small")])
    heads = [say(f"datasets.findings.column.{name}") for name in ("row", "place", "split", "what", "text")]
    rows = [
        tag(
            "tr",
            tag("td", _row_link(arguments, one["row"])),
            tag("td", one["place"]),
            tag("td", one["split"]),
            tag("td", _said(arguments, one)),
            tag("td", tag("div", text(one["text"]), kind="tb-clip")),
        )
        for one in found["items"]
    ]
    head = tag("tr", *(tag("th", name, scope="col") for name in heads))
    table = tag(
        "div", tag("table", tag("thead", head), tag("tbody", *rows)), kind="tb-table tb-wrap tb-raw", tabindex="0"
    )
    more = Markup("")
    if found["next"]:
        to = address("/datasets", {"id": asked["id"], "tab": "findings", "kind": kind, "after": found["next"]})
        more = tag("a", say("listing.on"), href=to, kind="tb-button", data_partial="")
    return join([table, tag("div", tag("span", looked, kind="tb-small"), more, kind="tb-actions")])


def _row_link(arguments: Arguments, row: int | None) -> Markup:
    if row is None:
        return text(None)
    to = address("/datasets", {"id": arguments.get("id", ""), "from": str(row - 1) if row > 1 else ""})
    return tag("a", f"{row:,}", href=to, data_partial="")


def _said(arguments: Arguments, one: Document) -> Markup:
    if "same_as" in one:
        return phrase("datasets.findings.same", row=_row_link(arguments, one["same_as"]))
    return text(one.get("error") or say("datasets.findings.nothing"))
