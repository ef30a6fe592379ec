"""What a studio's pages refuse, asked of a running one: another host, another origin, too large an upload."""

from __future__ import annotations

import httpx
import pytest

from tests.fixtures.browser import UPLOAD_LIMIT_MB, Browsing
from tests.fixtures.studio import Studio

pytestmark = pytest.mark.browser


@pytest.fixture
def url(served: Studio) -> str:
    return str(served.status()["ui_url"])


def test_a_forged_host_is_refused(url: str) -> None:
    answer = httpx.get(url, headers={"host": "evil.example"})
    assert answer.status_code == 421
    assert answer.json()["error"]["param"] == "Host"
    assert "gradio" not in answer.text.lower()


@pytest.mark.parametrize("path", ["/gradio_api/run/predict", "/gradio_api/queue/join", "/gradio_api/upload"])
def test_a_foreign_origin_is_refused(url: str, path: str) -> None:
    answer = httpx.post(url + path, headers={"origin": "https://evil.example"}, json={})
    assert answer.status_code == 403
    assert answer.json()["error"]["param"] == "Origin"


def test_a_page_of_another_site_can_neither_read_nor_post(browsing: Browsing, url: str) -> None:
    """Served under another name of the same machine, which is another origin to a browser."""
    elsewhere = url.replace("127.0.0.1", "localhost")
    page = browsing.open("/")
    browsing.expected += ["CORS policy", "Failed to load resource", "Content Security Policy", "Refused to connect"]
    for method in ("GET", "POST"):
        outcome = page.evaluate(
            "([url, method]) => fetch(url, {method}).then(answer => answer.status, error => 'blocked')",
            [f"{elsewhere}/gradio_api/startup-events", method],
        )
        assert outcome == "blocked"
    browsing.complaints = [words for words in browsing.complaints if "asked another host" not in words]


def test_an_oversize_upload_is_refused_with_and_without_its_length(url: str) -> None:
    body = b"x" * (UPLOAD_LIMIT_MB * 1_000_000 + 200_000)
    by_length = httpx.post(f"{url}/gradio_api/upload", files={"files": ("big.jsonl", body)})
    assert by_length.status_code == 413
    assert "TUNEBUS_UI_UPLOAD_LIMIT_MB" in by_length.json()["error"]["hint"]

    def pieces() -> object:
        yield b'--frontier\r\ncontent-disposition: form-data; name="files"; filename="big.jsonl"\r\n\r\n'
        for start in range(0, len(body), 50_000):
            yield body[start : start + 50_000]

    headers = {"content-type": "multipart/form-data; boundary=frontier"}
    with httpx.stream("POST", f"{url}/gradio_api/upload", content=pieces(), headers=headers) as streamed:  # type: ignore[arg-type]
        assert streamed.status_code == 413


def test_pages_carry_the_security_headers(url: str) -> None:
    answer = httpx.get(url)
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/docs", "/openapi.json", "/redoc", "/gradio_api/file=/etc/passwd", "/tunebus/%2e%2e/app.py"]
)
def test_nothing_else_is_served(url: str, path: str) -> None:
    answer = httpx.get(url + path)
    assert "root:" not in answer.text
    assert answer.status_code in (403, 404) or "text/html" in answer.headers["content-type"]


def test_no_command_of_the_pages_is_offered_as_an_api(url: str) -> None:
    assert httpx.get(f"{url}/gradio_api/info").json()["named_endpoints"] == {}
