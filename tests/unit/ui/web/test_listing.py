"""Lists by their address: what is found, in which order, on which page; rubbish in the address does no harm."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tunebus.ui.web.listing import ROWS, Choice, Column, Listing, address, page_of

LISTING = Listing(
    "/things",
    "Things",
    columns=(
        Column("name", "Name", lambda one: one["name"], lambda one: one["name"]),
        Column("size", "Size", lambda one: one["size"], lambda one: one["size"]),
        Column("note", "Note", lambda one: "-"),
    ),
    searched=lambda one: one["name"],
    choices=(Choice("kind", "Kind", lambda one: one["kind"]),),
    first="-size",
)


def thing(name: str, size: int | None, kind: str = "a") -> dict[str, Any]:
    return {"id": name, "name": name, "size": size, "kind": kind}


THINGS = [thing("beta", 2), thing("Alpha", None, "b"), thing("gamma", 3)]


def names(items: Any) -> list[str]:
    return [one["name"] for one in items]


def test_order_puts_what_has_no_value_last() -> None:
    assert names(LISTING.shown(THINGS, {})) == ["gamma", "beta", "Alpha"]
    assert names(LISTING.shown(THINGS, {"sort": "size"})) == ["beta", "gamma", "Alpha"]
    assert names(LISTING.shown(THINGS, {"sort": "-name"})) == ["gamma", "beta", "Alpha"]


@pytest.mark.parametrize("sort", ["note", "-", "nothing", "<script>"])
def test_an_order_that_nobody_knows_is_the_first_one(sort: str) -> None:
    assert names(LISTING.shown(THINGS, {"sort": sort})) == ["gamma", "beta", "Alpha"]


def test_search_and_choice_narrow_the_list() -> None:
    assert names(LISTING.shown(THINGS, {"search": "ALPH"})) == ["Alpha"]
    assert names(LISTING.shown(THINGS, {"kind": "a", "search": "a"})) == ["gamma", "beta"]
    assert "/things" in LISTING.table(THINGS, {"search": "zz"})
    assert LISTING.table([], {}, "none at all").startswith("<div")


def test_pages_follow_each_other_and_keep_what_was_asked() -> None:
    many = [thing(f"t{number:03}", number) for number in range(2 * ROWS + 1)]
    assert names(LISTING.shown(many, {"page": "1", "sort": "size"}))[0] == f"t{ROWS:03}"
    assert names(LISTING.shown(many, {"page": "999", "sort": "size"})) == [f"t{2 * ROWS:03}"]
    shown = LISTING.table(many, {"page": "1", "sort": "size", "other": "x"})
    ways = re.findall(r'href="([^"]+)"[^>]*class="tb-button"|class="tb-button"[^>]*href="([^"]+)"', shown)
    assert ["".join(way) for way in ways] == ["/things?sort=size", "/things?page=2&amp;sort=size"] or [
        "".join(way) for way in ways
    ] == ["/things?sort=size", "/things?sort=size&amp;page=2"]


@pytest.mark.parametrize("page", ["-1", "x", "٣", "9" * 40, ""])
def test_a_page_that_is_no_number_is_the_first(page: str) -> None:
    assert page_of({"page": page}) == 0


def test_text_of_the_address_is_escaped_wherever_it_comes_back() -> None:
    hostile = '"><script>alert(1)</script>'
    given = {"search": hostile, "kind": hostile, "sort": hostile}
    assert "<script" not in LISTING.filters(THINGS, given) + LISTING.table(THINGS, given)
    assert "<" not in address("/things", {"search": hostile})
