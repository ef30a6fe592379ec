"""What a studio's pages refuse, asked of a running one: another host, another origin, too large an upload."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest
from tunebus.services.platform.settings import load_settings
from tunebus.ui.web.studio import Studio as Pages

from tests.fixtures.browser import UPLOAD_LIMIT_MB, Browsing
from tests.fixtures.endpoints import endpoints, functions
from tests.fixtures.studio import Studio, eventually

if TYPE_CHECKING:
    from tunebus.ui.web.page import Page

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


# What anyone may send: each is tried for every part of every address, as argument and as body.
SCRIPT = "\"'><script>alert(1)</script>"
NONSENSE = (SCRIPT, "../../../../../../etc/passwd", "-1", "9" * 30, "\N{PILE OF POO}\u202e", "x" * 600, "a\0b")
ARGUMENTS = (
    "id", "ids", "name", "position", "event", "at", "after", "since", "to", "until", "letters", "import",
    "job", "job_id", "attempt", "offset", "limit", "dataset", "model", "prompt", "config", "with", "kind",
    "state", "sort", "page", "tab", "step", "search", "aggregate", "entity", "actor", "type", "causation",
    "again", "view", "rows", "names", "points",
)  # fmt: skip
BODIES = (
    b"", b"null", b"[]", b"7", b'"x"', b"\xff\xfe\x00", b"[" * 20_000, b'{"id": 1, "data": 2}',
    b'{"id": "0197a3f2-7c00-7000-8000-0000000000ff", "data": {"id": {"a": []}, "name": "<script>alert(1)</script>"}}',
    b'{"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}], "fn_index": 1, "session_hash": "x"}',
    b'{"event_id": "x", "fn_name": "ls", "component_id": 1, "data": {"path": "/etc/passwd"}, "session_hash": "../x"}',
)  # fmt: skip
ENDLESS = ("/gradio_api/heartbeat/", "/gradio_api/queue/data")


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tunebus.ui.web.app import pages

        return pages(Pages(load_settings({}, home=tmp_path_factory.mktemp("home"))), 7860)


class Trying:
    """Sends requests, and keeps those whose answer is a defect, a traceback, a file of the machine, or a script."""

    def __init__(self, client: httpx.Client) -> None:
        self.harm: list[str] = []
        self.count = 0
        self._client = client

    def __call__(self, method: str, address: str, **options: Any) -> None:
        self.count += 1
        try:
            with self._client.stream(method, address, **options) as answer:
                if address.startswith(ENDLESS) and answer.status_code == 200:
                    return
                body = answer.read().decode(errors="replace")
        except httpx.TransportError as error:
            self.harm.append(f"{error}: {method} {address[:120]} {str(options.get('content', ''))[:80]}")
            return
        parts = address.startswith("/live") and answer.status_code == 200
        as_markup = parts or "text/html" in answer.headers.get("content-type", "")
        harm = [
            *([f"{answer.status_code}"] if answer.status_code >= 500 else []),
            *(["a traceback"] if "Traceback (most recent" in body else []),
            *(["a file"] if "root:x:" in body else []),
            *(["a script"] if as_markup and "<script>alert(1)" in body else []),
        ]
        if harm:
            sent = str({name: value for name, value in options.items() if name != "headers"})[:300]
            self.harm.append(f"{', '.join(harm)}: {method} {address[:120]} {sent} -> {body[:200]}")


def test_nothing_that_anyone_sends_does_harm(url: str, application: Any, served: Studio) -> None:
    """Every address and every function of Gradio's, as raw HTTP. What is new is tried as well, or fails by its name."""
    log = served.home / "logs" / "ui.log"
    begin = log.stat().st_size
    before = {job["id"] for job in unfinished(served)}
    query = {name: NONSENSE[number % len(NONSENSE)] for number, name in enumerate(ARGUMENTS)}
    with httpx.Client(base_url=url, timeout=30) as client:
        trying = Trying(client)
        for one in endpoints(application):
            for value in NONSENSE if "{" in one.path else ("",):
                for content in BODIES[:1] if one.method in ("GET", "HEAD") else BODIES:
                    headers = {"content-type": "application/json"}
                    trying(one.method, one.at(value), content=content, headers=headers)
        for kind in ("fragments", "data", "downloads"):
            for name in names(kind):
                for value in NONSENSE:
                    given = dict.fromkeys(ARGUMENTS, value)
                    trying("GET", f"/{kind.rstrip('s')}/{name}", params=given)
        for page in every_page():
            for turn in range(len(NONSENSE)):
                shifted = dict(zip(query, [*list(query.values())[turn:], *list(query.values())[:turn]], strict=True))
                trying("GET", f"/live/{page.path}", params=shifted)
                for name in ("id", "at", "event", "letters", "after", "import"):
                    trying("GET", f"/live/{page.path}", params={name: NONSENSE[turn]})
        for name in names("actions"):
            for value in (*NONSENSE, 7, None, {"a": []}, [[]]):
                data = dict.fromkeys(ARGUMENTS, value) | {"path": value}
                trying("POST", f"/act/{name}", json={"id": str(uuid4()), "data": data})
        for number, inputs in functions(application).items():
            for values in ([], [SCRIPT] * inputs, [None] * inputs, [{"path": "/etc/passwd"}] * inputs, [[7]] * inputs):
                asked = {"fn_index": number, "data": values, "session_hash": "x"}
                for path in ("run/predict", "queue/join"):
                    trying("POST", f"/gradio_api/{path}", json=asked)
    stop_what_was_started(served, before)
    assert trying.count > 1000
    assert not trying.harm, "\n".join(trying.harm)
    defects = [line for line in log.read_bytes()[begin:].decode().splitlines() if '"level": "error"' in line]
    assert defects == []


def unfinished(served: Studio) -> list[dict[str, Any]]:
    with served.client() as client:
        return list(client.query("ListQueue", limit=1000)["items"])


def stop_what_was_started(served: Studio, before: set[str]) -> None:
    """The button of a first fine-tune does what it says whatever is sent along: its jobs are not for other tests."""
    stops = {
        "fine_tuning_job": "StopFineTuningJob",
        "evaluation_job": "StopEvaluationJob",
        "export_job": "StopExportJob",
    }
    with served.client() as client:
        for job in unfinished(served):
            if job["id"] not in before:
                force = {} if job["kind"] == "evaluation_job" else {"force": True}
                client.send(stops[job["kind"]], {"id": job["id"], **force})
    eventually(lambda: {job["id"] for job in unfinished(served)} <= before, "what was started has stopped", 60)


def every_page() -> tuple[Page, ...]:
    from tunebus.ui.web.app import PAGES

    return PAGES


def names(kind: str) -> list[str]:
    """Of all fragments, data, downloads or actions there are."""
    return sorted(name for page in every_page() for name in getattr(page, kind))
