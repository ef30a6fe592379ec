"""A table that people search, filter, sort and page by its address alone. For lists that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tunebus.ui.web.markup import Markup, join, tag
from tunebus.ui.web.page import Arguments
from tunebus.ui.web.studio import Document
from tunebus.ui.web.words import say

ROWS = 25
SEARCH_CHARACTERS = 200


@dataclass(frozen=True)
class Column:
    """`by` is what its rows are put in order by; without it nothing can be."""

    key: str
    title: str
    cell: Callable[[Document], object]
    by: Callable[[Document], Any] | None = None
    kind: str = ""


@dataclass(frozen=True)
class Choice:
    """A filter: items whose `of` is the value that the address names. With `values` these are what may be chosen, and
    the items come filtered already."""

    key: str
    title: str
    of: Callable[[Document], str] = lambda item: ""
    values: Sequence[str] = ()


@dataclass(frozen=True)
class Listing:
    """`path` is the page's, `searched` the text of an item that a search looks into, `first` the sorting at first: a
    column's key, with a minus the other way round."""

    path: str
    label: str
    columns: Sequence[Column]
    searched: Callable[[Document], str]
    choices: Sequence[Choice] = ()
    first: str = ""

    def filters(self, items: Sequence[Document], arguments: Arguments) -> Markup:
        """The form above the table. It never depends on what is typed into it, so that typing is not disturbed."""
        search = tag(
            "input",
            type="search",
            name="search",
            value=_search(arguments),
            placeholder=say("listing.search"),
            aria_label=say("listing.search"),
            maxlength=str(SEARCH_CHARACTERS),
        )
        fields = [tag("div", search, kind="tb-grow")]
        for choice in self.choices:
            found = choice.values or sorted({choice.of(item) for item in items} - {""})
            chosen = arguments.get(choice.key, "")
            options = [option(value, value, chosen) for value in found]
            everything = option("", say("listing.all", what=choice.title), chosen)
            fields.append(tag("select", everything, *options, name=choice.key, aria_label=choice.title))
        sortable = [column for column in self.columns if column.by]
        key, down = self._sorting(arguments)
        orders = [
            option(f"{sign}{column.key}", say(f"listing.{words}", what=column.title), f"{'-' if down else ''}{key}")
            for column in sortable
            for sign, words in (("", "up"), ("-", "down"))
        ]
        fields.append(tag("select", *orders, name="sort", aria_label=say("listing.sort")))
        return tag("form", *fields, kind="tb-filter", action=self.path, data_partial="", role="search")

    def table(self, items: Sequence[Document], arguments: Arguments, nothing: object = "") -> Markup:
        """The rows of the address's page, or `nothing` where there are none at all."""
        if not items:
            return tag("div", nothing, kind="tb-empty")
        found = self._found(items, arguments)
        if not found:
            return tag("p", say("listing.none"), " ", self._away(), kind="tb-empty")
        page = min(page_of(arguments), max(0, (len(found) - 1) // ROWS))
        shown = found[page * ROWS : (page + 1) * ROWS]
        heads = tag("tr", *(self._head(column, arguments) for column in self.columns))
        body = [
            tag(
                "tr",
                *(
                    tag(
                        "td",
                        column.cell(item),
                        data_label=column.title,
                        **({"class": column.kind} if column.kind else {}),
                    )
                    for column in self.columns
                ),
                data_key=str(item["id"]),
            )
            for item in shown
        ]
        made = tag("table", tag("thead", heads), tag("tbody", *body), aria_label=self.label)
        count = say("listing.count", count=len(found)) if len(found) == len(items) else self._of(found, items)
        return join([tag("div", made, kind="tb-table tb-list"), self._pager(page, len(found), arguments, count)])

    def shown(self, items: Sequence[Document], arguments: Arguments) -> Sequence[Document]:
        """The items of the address's page, for what is looked up of these alone."""
        found = self._found(items, arguments)
        page = min(page_of(arguments), max(0, (len(found) - 1) // ROWS))
        return found[page * ROWS : (page + 1) * ROWS]

    def _found(self, items: Sequence[Document], arguments: Arguments) -> list[Document]:
        words = _search(arguments).casefold().split()
        chosen = [(one, arguments[one.key]) for one in self.choices if arguments.get(one.key) and not one.values]
        found = [
            item
            for item in items
            if all(word in self.searched(item).casefold() for word in words)
            and all(choice.of(item) == value for choice, value in chosen)
        ]
        key, down = self._sorting(arguments)
        column = next(column for column in self.columns if column.key == key)
        assert column.by is not None
        valued = [(column.by(item), item) for item in found]
        known = sorted((one for one in valued if one[0] is not None), key=lambda one: one[0], reverse=down)
        return [item for _, item in known] + [item for value, item in valued if value is None]

    def _sorting(self, arguments: Arguments) -> tuple[str, bool]:
        asked = arguments.get("sort", "")
        known = [column.key for column in self.columns if column.by]
        if asked.removeprefix("-") not in known:
            asked = self.first or known[0]
        return asked.removeprefix("-"), asked.startswith("-")

    def _head(self, column: Column, arguments: Arguments) -> Markup:
        if column.by is None:
            return tag("th", column.title, scope="col")
        key, down = self._sorting(arguments)
        current = key == column.key
        arrow = (" ↓" if down else " ↑") if current else ""
        turned = column.key if current and down else f"-{column.key}" if current else column.key
        words = tag("a", column.title, arrow, href=self._address(arguments, sort=turned, page=""), data_partial="")
        sorting = {"aria_sort": "descending" if down else "ascending"} if current else {}
        return tag("th", words, scope="col", **sorting)

    def _pager(self, page: int, count: int, arguments: Arguments, words: str) -> Markup:
        return pager(
            page, (count - 1) // ROWS + 1, lambda to: self._address(arguments, page=str(to) if to else ""), words
        )

    def _of(self, found: Sequence[Document], items: Sequence[Document]) -> str:
        return say("listing.of", found=len(found), count=len(items))

    def _away(self) -> Markup:
        return tag("a", say("listing.clear"), href=self.path, data_partial="")

    def _address(self, arguments: Arguments, **changes: str) -> str:
        known = {"search", "sort", "page", *(choice.key for choice in self.choices)}
        return address(
            self.path,
            {name: value[:SEARCH_CHARACTERS] for name, value in arguments.items() if name in known},
            **changes,
        )


def address(path: str, arguments: Arguments, **changes: str) -> str:
    """A page's address with some arguments changed; an empty one is left out."""
    kept = {name: value for name, value in {**arguments, **changes}.items() if value != ""}
    return f"{path}?{urlencode(kept)}" if kept else path


def page_of(arguments: Arguments) -> int:
    """Which page the address asks for, from 0."""
    given = arguments.get("page", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 7 else 0


def pager(page: int, pages: int, to: Callable[[int], str], words: str) -> Markup:
    """Where one is in a list, with the ways back and on."""
    parts: list[object] = [tag("span", words, kind="tb-small")]
    if page:
        parts.append(tag("a", say("listing.back"), href=to(page - 1), kind="tb-button", data_partial=""))
    if page + 1 < pages:
        parts.append(tag("a", say("listing.on"), href=to(page + 1), kind="tb-button", data_partial=""))
    if pages > 1:
        parts.append(tag("span", say("listing.page", page=page + 1, pages=pages), kind="tb-small"))
    return tag("div", *parts, kind="tb-actions tb-pager")


def option(value: str, words: object, chosen: str = "") -> Markup:
    """One choice of a select."""
    return tag("option", words, value=value, **({"selected": ""} if value == chosen else {}))


def tabs(path: str, arguments: Arguments, names: Sequence[tuple[str, str]], label: str) -> Markup:
    """Ways to the parts of one thing; the first is shown when the address names none."""
    current = tab_of(arguments, [key for key, _ in names])
    kept = {"id": arguments.get("id", "")[:SEARCH_CHARACTERS]}
    links = [
        tag(
            "a",
            words,
            href=address(path, kept, tab="" if key == names[0][0] else key),
            data_partial="",
            **({"aria_current": "true"} if key == current else {}),
        )
        for key, words in names
    ]
    return tag("nav", *links, kind="tb-tabs", aria_label=label)


def tab_of(arguments: Arguments, keys: Sequence[str]) -> str:
    given = arguments.get("tab", "")
    return given if given in keys else keys[0]


def _search(arguments: Arguments) -> str:
    return arguments.get("search", "")[:SEARCH_CHARACTERS].strip()
