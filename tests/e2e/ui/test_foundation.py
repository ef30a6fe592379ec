"""What every page stands on: hidden tabs rest, many tabs work, Back goes back, and what is asked for is never lost."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter

import pytest
from playwright.sync_api import Page, Route, expect

from tests.fixtures.browser import Browsing
from tests.fixtures.studio import Studio, eventually

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

TABS = 8


def counted(*pages: Page) -> Counter[Page]:
    """How often each page has asked whether anything changed, from now on."""
    asked: Counter[Page] = Counter()
    for page in pages:
        page.on("request", lambda request, page=page: asked.update([page] if "/live/" in request.url else []))
    return asked


def test_a_hidden_tab_rests_and_eight_open_ones_work(browsing: Browsing) -> None:
    first = browsing.open("/workers")
    tabs = [first, *(first.context.new_page() for _ in range(TABS - 1))]
    for page in tabs[1:]:
        page.goto(f"{browsing.url}/workers")
    for page in tabs:
        expect(page.locator("#tb-workers .tb-worker").first).to_be_visible()
    asked = counted(*tabs)
    eventually(lambda: _turn(first) and all(asked[page] >= 3 for page in tabs), "every tab goes on asking", 60)

    first.evaluate("Object.defineProperty(document, 'hidden', { configurable: true, get: () => true })")
    before = asked[first]
    others = asked[tabs[1]]
    eventually(lambda: _turn(tabs[1]) and asked[tabs[1]] >= others + 4, "the others go on", 60)
    assert asked[first] <= before + 1, "the request that was on its way at most"
    first.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    eventually(lambda: _turn(first) and asked[first] >= before + 2, "seen again, it asks again", 30)


def _turn(page: Page) -> bool:
    """Let Playwright hear what happened meanwhile."""
    page.evaluate("1")
    return True


def test_back_forward_and_a_copied_link_show_the_same(browsing: Browsing) -> None:
    page = browsing.open("/activity")
    rows = page.locator("#tb-events tbody tr")
    expect(rows.nth(3)).to_be_visible()
    page.evaluate("window.neverLeft = true")
    kinds = page.locator("#tb-filter-aggregate")
    kinds.select_option("model")
    expect(page).to_have_url(f"{browsing.url}/activity?aggregate=model")
    expect(rows.first).to_contain_text("ModelAdded")
    models = rows.count()
    rows.first.get_by_role("link").first.click()
    expect(page.locator("#tb-one-event h2").first).to_contain_text("ModelAdded")
    opened = page.url
    page.go_back()
    expect(page.locator("#tb-one-event")).to_have_count(0)
    expect(kinds).to_have_value("model")
    page.evaluate("history.go(1)")
    expect(page.locator("#tb-one-event h2").first).to_contain_text("ModelAdded")
    assert page.url == opened
    assert page.evaluate("window.neverLeft")
    other = browsing.open(opened.removeprefix(browsing.url))
    expect(other.locator("#tb-one-event h2").first).to_contain_text("ModelAdded")
    expect(other.locator("#tb-events tbody tr")).to_have_count(models)
    expect(other.locator("#tb-filter-aggregate")).to_have_value("model")


def test_a_sorting_takes_along_what_was_typed_a_moment_before(browsing: Browsing) -> None:
    page = browsing.open("/models")
    heads = page.locator("#tb-models thead th a")
    expect(heads.first).to_be_visible()
    page.evaluate(
        """() => {
            const field = document.querySelector('form[data-partial] [type=search]');
            field.value = 'start';
            field.dispatchEvent(new Event('input', { bubbles: true }));
            document.querySelector('#tb-models thead th a').click();
        }"""
    )
    expect(page).to_have_url(re.compile(r"/models\?(?=.*search=start)(?=.*sort=)"))
    expect(page.get_by_role("searchbox").first).to_have_value("start")
    expect(page.locator("#tb-models tbody tr").first).to_contain_text("starter")


def test_a_page_waits_for_a_script_that_comes_late(browsing: Browsing) -> None:
    page = browsing.open("/")
    held: list[Route] = []
    page.route("**/training.js", lambda route: held.append(route))
    with page.expect_response("**/live/train*"):
        page.goto(f"{browsing.url}/train?dataset=starter-questions&model=starter", wait_until="commit")
    expect(page.locator("#tb-train")).to_have_count(0)
    eventually(lambda: page.evaluate("true") and held, "the script was asked for")
    held[0].continue_()
    expect(page.locator("[data-step-state=review]")).to_contain_text("ready")


def test_what_a_paused_registry_did_not_confirm_is_learnt_later_also_after_a_reload(
    browsing: Browsing, served: Studio
) -> None:
    page = browsing.open("/database")
    button = page.get_by_role("button", name="Export the record")
    expect(button).to_be_visible()

    def exports() -> int:
        with served.client() as client:
            return len(client.query("ListEvents", aggregate="database", type="DatabaseExported", limit=1000)["items"])

    before = exports()
    registry = served.pid("registry")
    os.kill(registry, signal.SIGSTOP)
    try:
        button.click()
        notices = page.locator("#tb-notices")
        expect(notices).to_contain_text("Not confirmed yet")
        page.reload()
        expect(notices).to_contain_text("Not confirmed yet")
    finally:
        os.kill(registry, signal.SIGCONT)
    expect(notices).to_contain_text("The document is ready below.", timeout=60_000)
    expect(notices).not_to_contain_text("Not confirmed yet")
    expect(page.locator("#tb-export").get_by_role("link", name="Download").first).to_be_visible()
    assert exports() == before + 1


def test_a_page_of_another_build_loads_anew_and_one_of_the_same_does_not(browsing: Browsing) -> None:
    page = browsing.open("/workers")
    expect(page.locator("#tb-workers .tb-worker").first).to_be_visible()
    page.evaluate("window.loadedOnce = true")
    asked = counted(page)
    eventually(lambda: _turn(page) and asked[page] >= 3, "it goes on asking", 30)
    assert page.evaluate("window.loadedOnce")

    def from_another_build(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, headers={**answer.headers, "x-tunebus-build": "another"})

    page.route("**/live/**", from_another_build)
    page.wait_for_function("() => !window.loadedOnce")
    page.unroute("**/live/**")
    expect(page.locator("#tb-workers .tb-worker").first).to_be_visible()


def test_a_proxy_that_answers_in_place_of_the_studio_is_no_answer(browsing: Browsing) -> None:
    page = browsing.open("/workers")
    browsing.expected.append("status of 502")
    expect(page.locator("#tb-workers .tb-worker").first).to_be_visible()
    notices = page.locator("#tb-notices")

    def answer_instead(status: int) -> None:
        page.route("**/live/**", lambda route: route.fulfill(status=status, content_type="text/html", body="<p>"))

    for status in (502, 200):
        answer_instead(status)
        expect(notices).to_contain_text("does not answer")
        page.unroute("**/live/**")
        expect(notices).not_to_contain_text("does not answer")
