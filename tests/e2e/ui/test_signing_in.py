"""Pages behind a password: signing in, a wrong password, signing out, and what is kept over it."""

from __future__ import annotations

import asyncio
import socket
import threading
import warnings
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect
from tunebus.services.platform.settings import load_settings
from tunebus.ui.web.studio import Studio as Pages

from tests.fixtures.studio import Studio, eventually

pytestmark = pytest.mark.browser

WORDS = "correct horse battery"


@pytest.fixture(scope="module")
def url(served: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The pages of the running studio once more, on a port of their own and behind a password."""
    import uvicorn

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tunebus.ui.web.app import build
    file = tmp_path_factory.mktemp("password") / "password"
    file.write_text(WORDS + "\n")
    file.chmod(0o600)
    settings = load_settings({"TUNEBUS_UI_PASSWORD_FILE": str(file)}, home=served.home)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    studio = Pages(settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = uvicorn.Server(
            uvicorn.Config(build(studio, port), log_config=None, ws="none", timeout_graceful_shutdown=1)
        )

    async def serve() -> None:
        connecting = asyncio.create_task(studio.keep_connecting())
        await server.serve([listener])
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        await studio.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    eventually(lambda: server.started or not thread.is_alive(), "the pages are served", 60)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


def sign_in(page: Page, words: str) -> None:
    page.get_by_label("Password").fill(words)
    page.get_by_role("button", name="Sign in").click()


def arguments(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_an_address_is_kept_over_signing_in_and_what_is_typed_over_signing_out(chromium: Browser, url: str) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{url}/jobs?state=failed")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.locator(".tb-header")).to_have_count(0)
    sign_in(page, "wrong horse battery")
    expect(page.get_by_role("alert")).to_have_text("That is not the password.")
    assert context.cookies() == []
    sign_in(page, WORDS)
    page.wait_for_url(f"{url}/jobs?state=failed")
    expect(page.get_by_label("State")).to_have_value("failed")
    (cookie,) = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")

    other = context.new_page()
    other.goto(f"{url}/train?dataset=starter-questions&model=starter")
    expect(other.locator("[data-step-state=review]")).to_contain_text("ready")
    other.locator("[name=learning_rate]").fill("0.00123")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("alert")).to_have_text("You are signed out.")
    assert context.cookies() == []
    page.goto(f"{url}/jobs")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

    # The other tab finds out by itself, and is as it was once somebody has signed in there.
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    sign_in(other, WORDS)
    expect(other.locator("[name=learning_rate]")).to_have_value("0.00123")
    assert arguments(other) == {"dataset": ["starter-questions"], "model": ["starter"]}
    context.close()


def test_another_browser_is_another_session_and_an_old_cookie_opens_nothing(chromium: Browser, url: str) -> None:
    mine, theirs = chromium.new_context(), chromium.new_context()
    pages = [context.new_page() for context in (mine, theirs)]
    for page in pages:
        page.goto(url)
        sign_in(page, WORDS)
        expect(page.locator(".tb-header")).to_be_visible()
    old = mine.cookies()
    pages[0].get_by_role("button", name="Sign out").click()
    expect(pages[0].get_by_role("alert")).to_have_text("You are signed out.")
    mine.add_cookies(old)  # type: ignore[arg-type]
    pages[0].goto(url)
    expect(pages[0].get_by_role("heading", name="Sign in")).to_be_visible()
    pages[1].goto(f"{url}/models")
    expect(pages[1].locator(".tb-header")).to_be_visible()
    for context in (mine, theirs):
        context.close()
