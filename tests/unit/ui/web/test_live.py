"""What a page's timer is told: nothing while nothing changed, else only the parts that did, made once for all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from tunebus.contracts.errors import Code, fail
from tunebus.services.platform.settings import load_settings
from tunebus.ui.web.live import GONE, KEPT, SEEN, WARNING, Live
from tunebus.ui.web.markup import Markup, text
from tunebus.ui.web.page import Arguments, Page
from tunebus.ui.web.studio import Studio


class Watched(Studio):
    """A studio whose stamp the test sets."""

    def __init__(self, folder: Path) -> None:
        super().__init__(load_settings({}, home=folder))
        self.now = "1"
        self.events: list[dict[str, Any]] = []

    async def stamp(self, watches: Any) -> str:
        return self.now

    async def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        assert name == "ListEvents"
        wanted, parent = arguments.get("entity_id"), arguments.get("search")
        found = [
            one for one in self.events if wanted == one["entity_id"] or (parent and parent in one["data"].values())
        ]
        return {"items": found}


class Shown:
    """A page that counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0
        self.parts: dict[str, str] = {"a": "first", "b": "second"}
        self.trouble: Exception | None = None
        self.page = Page("shown", "home.title", lambda studio, blocks: None, self.read)

    async def read(self, studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
        self.reads += 1
        if self.trouble is not None:
            raise self.trouble
        return {name: text(words + arguments.get("id", "")) for name, words in self.parts.items()}


@pytest.fixture
def shown() -> Shown:
    return Shown()


@pytest.fixture
def studio(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


async def ask(live: Live, shown: Shown, query: str = "", seen: str = "") -> tuple[int, dict[str, Any]]:
    headers = [(SEEN.encode(), seen.encode("latin-1", "replace"))] if seen else []
    scope = {"type": "http", "method": "GET", "path": "/live/shown", "query_string": query.encode(), "headers": headers}
    answer = await live.answer(shown.page, Request(scope))
    return answer.status_code, json.loads(answer.body) if answer.body else {}


def as_seen(news: dict[str, Any], before: dict[str, str] | None = None) -> str:
    return json.dumps({"version": news["version"], "marks": {**(before or {}), **news["marks"]}})


async def test_nothing_is_sent_while_nothing_changed(studio: Watched, shown: Shown) -> None:
    live = Live(studio)
    status, news = await ask(live, shown)
    assert (status, {**news["parts"]}) == (200, {"a": "first", "b": "second", WARNING: ""})
    assert await ask(live, shown, seen=as_seen(news)) == (204, {})
    assert shown.reads == 1


async def test_only_what_changed_is_sent(studio: Watched, shown: Shown) -> None:
    live = Live(studio)
    _, news = await ask(live, shown)
    shown.parts["b"] = "third"
    assert (await ask(live, shown, seen=as_seen(news)))[0] == 204, "nobody looks before the stamp changes"
    studio.now = "2"
    status, later = await ask(live, shown, seen=as_seen(news))
    assert (status, later["parts"]) == (200, {"b": "third"})
    assert (await ask(live, shown, seen=as_seen(later, news["marks"])))[0] == 204


async def test_what_a_new_address_does_not_have_is_emptied_but_not_what_could_not_be_read(
    studio: Watched, shown: Shown
) -> None:
    live = Live(studio)
    _, news = await ask(live, shown)
    del shown.parts["b"]
    status, later = await ask(live, shown, "id=", as_seen({**news, "version": ""}))
    assert (status, later["parts"]) == (200, {"b": ""})
    seen = {**news["marks"], **later["marks"]}
    studio.now = "2"
    assert (await ask(live, shown, "id=", as_seen(later, seen)))[1]["parts"] == {}, "it is told once"
    shown.trouble = fail(Code.UNAVAILABLE, "the database is away")
    _, trouble = await ask(live, shown, "id=x", as_seen({**news, "version": ""}))
    assert set(trouble["parts"]) == {WARNING}


async def test_all_who_look_at_an_address_share_one_rendering(studio: Watched, shown: Shown) -> None:
    live = Live(studio)
    for _ in range(20):
        await ask(live, shown, "id=x")
    assert shown.reads == 1
    await ask(live, shown, "id=y")
    assert shown.reads == 2


async def test_renderings_of_long_ago_are_forgotten(studio: Watched, shown: Shown) -> None:
    live = Live(studio)
    for number in range(3 * KEPT):
        await ask(live, shown, f"id={number}")
    assert len(live._renderings) == KEPT


async def test_another_process_knows_what_a_page_shows(studio: Watched, shown: Shown, tmp_path: Path) -> None:
    """The marks are made of what is shown alone, so a page outlives the process that served it without a reload."""
    _, news = await ask(Live(studio), shown)
    assert await ask(Live(Watched(tmp_path)), shown, seen=as_seen(news)) == (204, {})


@pytest.mark.parametrize(
    "seen", ["", "x", "[]", "null", "{}", '{"version": 1, "marks": 7}', "[" * 9000, "é", '{"marks": {}}']
)
async def test_a_browser_that_says_nonsense_is_sent_everything(studio: Watched, shown: Shown, seen: str) -> None:
    status, news = await ask(Live(studio), shown, seen=seen)
    assert status == 200
    assert news["parts"].keys() == {"a", "b", WARNING}


async def test_trouble_is_said_above_the_page_and_looked_at_again(studio: Watched, shown: Shown) -> None:
    live = Live(studio)
    shown.trouble = fail(Code.INVALID, "no <b>job</b>", hint="list them")
    _, news = await ask(live, shown)
    assert news["parts"].keys() == {WARNING}
    assert "no &lt;b&gt;job&lt;/b&gt;" in news["parts"][WARNING]
    shown.trouble = ZeroDivisionError("a secret of the code")
    studio.now = "2"
    _, news = await ask(live, shown)
    assert "secret" not in news["parts"][WARNING]
    shown.trouble = None
    rendering = next(iter(live._renderings.values()))
    rendering.until = 0.0  # as if its time had passed
    _, news = await ask(live, shown)
    assert news["parts"]["a"] == "first"


PARENT = "01a1f962-8742-7dde-84fc-12a35196719d"


def event(kind: str, entity_id: str, **data: str) -> dict[str, Any]:
    stamp = "2026-01-01T00:00:00Z"
    return {"type": kind, "entity_id": entity_id, "aggregate": "dataset", "recorded_at": stamp, "data": data}


async def test_what_was_removed_meanwhile_leaves_nothing_to_press(studio: Watched, shown: Shown) -> None:
    live = Live(studio)
    _, news = await ask(live, shown, "id=x")
    shown.trouble = fail(Code.NOT_FOUND, "no dataset 'x'", hint="its events are still there")
    studio.events = [event("DatasetFilesDeleted", "x"), event("DatasetRemoved", "x", name="<b>mine</b>")]
    studio.now = "2"
    _, later = await ask(live, shown, "id=x", as_seen(news))
    said = later["parts"].pop(GONE)
    assert later["parts"] == {"a": "", "b": ""}, "they are emptied"
    assert "&lt;b&gt;mine&lt;/b&gt; was removed <time" in said
    assert 'href="/shown"' in said
    assert 'href="/activity?aggregate=dataset&amp;entity=x"' in said
    assert set((await ask(Live(studio), shown, "id=x"))[1]["parts"]) == {GONE, WARNING}, "also for who comes later"
    shown.trouble = None
    studio.now = "3"
    _, back = await ask(live, shown, "id=x", as_seen(later, {**news["marks"], **later["marks"]}))
    assert back["parts"] == {"a": "firstx", "b": "secondx", GONE: ""}


async def test_what_never_was_there_is_said_with_a_way_on(studio: Watched, shown: Shown) -> None:
    shown.trouble = fail(Code.NOT_FOUND, "no <b>job</b>", hint="did you mean 'job'?")
    _, news = await ask(Live(studio), shown, "id=x")
    assert "<h1>No &lt;b&gt;job&lt;/b&gt;</h1>" in news["parts"][GONE]
    assert "did you mean &#x27;job&#x27;?" in news["parts"][GONE]
    assert 'href="/shown"' in news["parts"][GONE]


async def test_evaluations_that_were_removed_together_say_so(studio: Watched, shown: Shown) -> None:
    shown.trouble = fail(Code.NOT_FOUND, "no evaluation")
    studio.events = [event("EvaluationJobAdded", "j", parent_id=PARENT), event("JobRemoved", "j", name="tiny")]
    _, news = await ask(Live(studio), shown, f"id={PARENT}")
    assert "tiny was removed" in news["parts"][GONE]
    assert f"search={PARENT}" in news["parts"][GONE]


async def test_what_somebody_types_stays_though_what_it_began_with_is_gone(studio: Watched, shown: Shown) -> None:
    shown.page = replace(shown.page, names=("clone",), keeps=True)
    live = Live(studio)
    _, news = await ask(live, shown, "clone=x")
    shown.trouble = fail(Code.NOT_FOUND, "no job")
    studio.now = "2"
    _, later = await ask(live, shown, "clone=x", as_seen(news))
    assert set(later["parts"]) == {GONE}
