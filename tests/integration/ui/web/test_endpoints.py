"""The door and the guard before every address there is: forged hosts, foreign origins, no session, bodies too large."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tunebus.services.platform import password
from tunebus.services.platform.settings import Settings, load_settings
from tunebus.ui.web.login import LOGIN, LOGOUT, Door
from tunebus.ui.web.security import Guard
from tunebus.ui.web.sessions import FREE_TRIES
from tunebus.ui.web.studio import Studio

from tests.fixtures.endpoints import Endpoint, endpoints

WORDS = "correct horse"
BODY_LIMIT = 10_000
OURS = "http://127.0.0.1:7860"
PERSON = {"accept": "text/html,application/xhtml+xml"}


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The pages themselves, built as they are served; no studio runs behind them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tunebus.ui.web.app import pages

        yield pages(Studio(load_settings({}, home=tmp_path_factory.mktemp("home"))), 7860)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    password.set_password(tmp_path, WORDS)
    return load_settings({}, home=tmp_path)


@pytest.fixture
async def browser(application: Any, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    guarded = Guard(Door(application, settings), body_limit=BODY_LIMIT)
    transport = httpx.ASGITransport(guarded)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=OURS) as client:
        yield client


def every(application: Any) -> tuple[Endpoint, ...]:
    found = endpoints(application)
    assert len(found) > 60
    for known in ("/live/{path:path}", "/act/{name}", "/fragment/{name}", "/gradio_api/upload", "/assets/{path:path}"):
        assert known in {one.path for one in found}
    return found


async def test_nothing_is_served_without_a_session(browser: httpx.AsyncClient, application: Any) -> None:
    for one in every(application):
        if one.path in (LOGIN, LOGOUT):
            continue
        for headers in (PERSON, {"accept": "*/*", "cookie": "tunebus_session=1.2.3.4; x=y"}):
            answer = await browser.request(one.method, one.at("x"), headers=headers)
            offered = answer.status_code != 404 or one.method == "HEAD" or "do not offer" in answer.text
            assert answer.status_code in (401, 404), one
            assert offered, one
            if answer.status_code == 401 and one.method == "GET":
                is_page = headers is PERSON
                assert ("<form" in answer.text) == is_page, one
                assert "gradio_config" not in answer.text, one


async def test_no_address_is_served_to_another_host_or_origin(browser: httpx.AsyncClient, application: Any) -> None:
    await sign_in(browser)
    for one in every(application):
        forged = await browser.request(one.method, one.at("x"), headers={"host": "evil.example"})
        assert forged.status_code == 421, one
        foreign = await browser.request(one.method, one.at("x"), headers={"origin": "https://evil.example"})
        assert foreign.status_code == 403, one
        if one.method not in ("GET", "HEAD"):
            sideways = await browser.request(one.method, one.at("x"), headers={"sec-fetch-site": "cross-site"})
            assert sideways.status_code in (403, 404), one


async def test_no_address_takes_a_body_that_is_too_large(browser: httpx.AsyncClient, application: Any) -> None:
    await sign_in(browser)
    for one in every(application):
        if one.method in ("GET", "HEAD"):
            continue
        answer = await browser.request(one.method, one.at("x"), content=bytes(BODY_LIMIT + 1))
        assert answer.status_code in (404, 413), one


async def test_gradio_offers_no_more_than_the_pages_use(browser: httpx.AsyncClient, application: Any) -> None:
    await sign_in(browser)
    for path in (
        "vibe-edit",
        "vibe-code",
        "dev/reload",
        "proxy=http://evil.example/",
        "openapi.json",
        "call/load",
        "run/predict",
        "run/x",
        "runs",
    ):
        assert (await browser.get(f"/gradio_api/{path}")).status_code == 404, path
        assert (await browser.post(f"/gradio_api/{path}", json={})).status_code == 404, path
    assert (await browser.get("/monitoring")).status_code == 404


async def test_whoever_knows_the_password_comes_in_and_goes_out(browser: httpx.AsyncClient, settings: Settings) -> None:
    wrong = await browser.post(LOGIN, data={"password": "incorrect horse", "next": "/jobs"})
    assert wrong.status_code == 401
    assert "not the password" in wrong.text
    assert not browser.cookies
    right = await browser.post(LOGIN, data={"password": WORDS, "next": "/jobs?state=failed"})
    assert (right.status_code, right.headers["location"]) == (303, "/jobs?state=failed")
    cookie = right.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert WORDS not in cookie
    from tunebus.ui.web.theme import BUILD

    answer = await browser.get("/live/settings")
    assert (answer.status_code, answer.headers["x-tunebus-build"]) == (200, BUILD)
    kept = dict(browser.cookies)
    out = await browser.post(LOGOUT)
    assert "signed out" in out.text
    assert (await browser.get("/live/settings")).status_code == 401
    for name, value in kept.items():
        browser.cookies.set(name, value)
    assert (await browser.get("/live/settings")).status_code == 401, "a copied cookie ends with the session"


async def test_a_change_of_the_password_ends_every_session(browser: httpx.AsyncClient, settings: Settings) -> None:
    await sign_in(browser)
    assert (await browser.get("/live/settings")).status_code == 200
    password.set_password(settings.home, "another horse")
    assert (await browser.get("/live/settings")).status_code == 401


async def test_behind_tls_the_cookie_never_leaves_it(browser: httpx.AsyncClient) -> None:
    headers = {"origin": "https://127.0.0.1:7860"}
    right = await browser.post(LOGIN, data={"password": WORDS}, headers=headers)
    assert "Secure" in right.headers["set-cookie"].split("; ")


async def test_who_guesses_waits(browser: httpx.AsyncClient) -> None:
    for _ in range(FREE_TRIES):
        assert (await browser.post(LOGIN, data={"password": "guess"})).status_code == 401
    slowed = await browser.post(LOGIN, data={"password": WORDS})
    assert slowed.status_code == 429
    assert int(slowed.headers["retry-after"]) >= 1
    assert "set-cookie" not in slowed.headers


@pytest.mark.parametrize(
    "address",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb", "\\\\evil", LOGOUT],
)
async def test_signing_in_leads_nowhere_else(browser: httpx.AsyncClient, address: str) -> None:
    right = await browser.post(LOGIN, data={"password": WORDS, "next": address})
    assert right.headers["location"] == "/"


async def test_script_text_in_an_address_is_text_on_the_login_page(browser: httpx.AsyncClient) -> None:
    for path in ('/jobs?id="><script>alert(1)</script>', '/login?next=/"><script>alert(1)</script>'):
        answer = await browser.get(path, headers=PERSON)
        assert "<script" not in answer.text
    assert (await browser.post(LOGIN, content=b"\xff" * 500)).status_code == 401
    assert (await browser.post(LOGIN, content=b"x" * 9000)).status_code == 413


async def test_a_link_from_elsewhere_asks_again_with_the_cookie(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/jobs", headers={**PERSON, "sec-fetch-site": "cross-site"})
    assert answer.status_code == 401
    assert 'http-equiv="refresh"' in answer.text
    assert "<form" not in answer.text


async def test_without_a_password_there_is_no_door(application: Any, tmp_path: Path) -> None:
    open_pages = Guard(Door(application, load_settings({}, home=tmp_path / "open")), body_limit=BODY_LIMIT)
    transport = httpx.ASGITransport(open_pages)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=OURS) as client:
        assert (await client.get("/live/settings")).status_code == 200
        assert (await client.get(LOGIN)).headers["location"] == "/"


async def sign_in(browser: httpx.AsyncClient) -> None:
    right = await browser.post(LOGIN, data={"password": WORDS})
    assert right.status_code == 303
    assert browser.cookies


async def test_a_person_at_an_address_where_nothing_is_gets_a_page_and_a_script_json(application: Any) -> None:
    from tunebus.ui.web.app import PAGES
    from tunebus.ui.web.unknown import Unknown

    transport = httpx.ASGITransport(Unknown(application, PAGES, guarded=False))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=OURS) as client:
        answer = await client.get("/nothing/<b>here</b>", headers=PERSON)
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
        assert "Nothing is shown at /nothing/&lt;b&gt;here&lt;/b&gt;." in answer.text
        assert all(f'href="/{page.path}"' in answer.text for page in PAGES if not page.beside)
        backup = await client.get("/download/backup?name=x", headers=PERSON)
        assert (backup.status_code, "there is no such backup" in backup.text) == (404, True)
        script = await client.get("/nothing", headers={"accept": "*/*"})
        assert (script.status_code, script.json()) == (404, {"detail": "Not Found"})
        there = await client.get("/jobs", headers=PERSON)
        assert (there.status_code, "gradio_config" in there.text) == (200, True)
