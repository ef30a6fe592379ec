"""Activity, workers, database and settings: what they show is what the ledger's queries answer."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nats
import psutil
import pytest
from playwright.sync_api import expect
from tunebus.contracts import strictjson
from tunebus.contracts.identifiers import new_id, timestamp
from tunebus.services.registry.document import FORMAT, VERSION, Chain

from tests.fixtures.browser import Browsing
from tests.fixtures.studio import Studio, eventually

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SOON = 60_000
COUNTED = {"dataset": "datasets", "model": "models", "adapter": "adapters", "prompt": "prompts", "config": "configs"}


def test_an_event_with_its_cause_and_the_studio_as_of_then(browsing: Browsing, served: Studio) -> None:
    with served.client() as client:
        made = client.send("AddConfig", type="lora", config={"r": 3}, description="<i>first</i>")
        client.send("RemoveConfig", id=str(made.id))
        newest = client.query("ListEvents", newest=True, limit=2)["items"]
    removed, added = newest
    page = browsing.open("/activity?search=first&aggregate=config")
    rows = page.locator("#tb-events tbody tr")
    expect(rows.first).to_contain_text("<i>first</i>")
    page.goto(f"{browsing.url}/activity")
    expect(rows.first).to_contain_text("ConfigRemoved")
    rows.nth(1).get_by_role("link", name=str(added["position"]), exact=True).click()
    event = page.locator("#tb-one-event")
    expect(event).to_contain_text(added["causation_id"])
    expect(event.locator(".tb-document").first).to_contain_text("<i>first</i>")
    expect(event).to_contain_text("Later, to the same entity")
    expect(event.get_by_role("link", name=f"{removed['position']} ConfigRemoved")).to_be_visible()
    expect(event.locator(".tb-changes")).to_contain_text("first", timeout=SOON)

    event.get_by_role("link", name="The studio as of then").click()
    expect(page.locator(".tb-past")).to_contain_text(
        f"This is the past: the studio as it was after position {added['position']}"
    )
    with served.client() as client:
        then = client.query("GetOverview", as_of=added["position"])["counts"]
        now = client.query("GetOverview")["counts"]
    assert then["configs"] == now["configs"] + 1
    for aggregate, counted in COUNTED.items():
        tile = page.locator(f"[data-aggregate={aggregate}] .tb-number")
        expect(tile).to_have_text(str(then[counted]), timeout=SOON)
    expect(page.locator("#tb-past")).to_contain_text("What changed since")
    expect(page.locator("#tb-past .tb-events")).to_contain_text("ConfigRemoved", timeout=SOON)
    page.locator("#tb-slider").fill("1")
    expect(page.locator(".tb-past")).to_contain_text("after position 1,")
    expect(page.locator("[data-aggregate=config] .tb-number")).to_have_text("0", timeout=SOON)
    assert page.url.endswith("/activity?at=1")
    page.locator("#tb-moment").fill("yesterday")
    page.get_by_role("button", name="Go there").click()
    expect(page.locator("#tb-past [role=alert]")).to_contain_text("a moment is a position")
    page.goto(f"{browsing.url}/activity?at=2020-01-01")
    expect(page.locator(".tb-past")).to_contain_text("before the first event")


def test_a_dead_letter_is_shown_as_text_and_sent_again(browsing: Browsing, served: Studio) -> None:
    body = b"no json <script>document.title = 'owned'</script>"

    async def publish() -> None:
        bus = await nats.connect(served.status()["nats_url"])
        await bus.jetstream().publish("tunebus.cmd.dataset.AddDataset", body)
        await bus.close()

    with ThreadPoolExecutor(1) as thread:  # Playwright has a loop running in this one
        thread.submit(lambda: asyncio.run(publish())).result()

    def letters() -> list[dict[str, object]]:
        with served.client() as client:
            return list(client.query("ListDeadLetters", limit=1000)["items"])

    letter = eventually(lambda: letters()[-1:], "the message is a dead letter", 30)[0]
    page = browsing.open("/activity?letters=all")
    row = page.locator("#tb-letters tbody tr", has_text=str(letter["subject"])).last
    expect(row).to_contain_text(str(letter["reason"]))
    row.get_by_role("link").first.click()
    expect(page.locator("#tb-one-letter .tb-document").last).to_have_text(body.decode())
    page.locator("#tb-one-letter").get_by_role("button", name="Send it again").click()
    page.locator("dialog[open]").get_by_role("button", name="Send it again").click()
    expect(page.locator("#tb-notices")).to_contain_text("It was sent again.")
    assert next(one for one in letters() if one["id"] == letter["id"])["resent_at"]
    assert "owned" not in page.title()


def test_workers_and_the_jobs_that_none_of_them_can_take(browsing: Browsing, served: Studio) -> None:
    with served.client() as client:
        workers = client.query("ListWorkers")["items"]
        job = client.send(
            "StartFineTuningJob", base_model_id="starter", dataset_id="starter-questions", prompt_id="starter-prompt",
            adapter_name="too-large", num_memory=99_999,
        )  # fmt: skip
        assert job.error is None, job.error
    page = browsing.open("/workers")
    expect(page.locator(".tb-worker")).to_have_count(len(workers))
    for worker in workers:
        card = page.locator(".tb-worker", has_text=worker["worker_id"])
        expect(card).to_contain_text(worker["host"])
        expect(card).to_contain_text(f"{worker['capabilities']['memory_gb']:.1f} GiB")
    stuck = page.locator("#tb-stuck tr", has_text="too-large")
    expect(stuck).to_contain_text("needs 99999 GiB of memory")
    with served.client() as client:
        client.send("StopFineTuningJob", id=str(job.id))
    expect(stuck).to_have_count(0)


def test_the_record_leaves_comes_back_is_verified_and_backed_up(
    browsing: Browsing, served: Studio, tmp_path: Path
) -> None:
    page = browsing.open("/database")
    with served.client() as client:
        outcome = client.send("ExportDatabase")
        found = client.query("GetDatabaseExport", id=str(outcome.id))
    link = page.locator("#tb-export tbody tr").first.get_by_role("link", name="Download")
    expect(link).to_have_attribute("href", f"/download/record?id={outcome.id}")
    with page.expect_download() as downloading:
        link.click()
    document = tmp_path / "studio.json"
    downloading.value.save_as(document)
    assert document.stat().st_size == found["bytes"]

    page.locator("#tb-import-file").set_input_files(document)
    page.locator("#tb-import-form").get_by_role("button", name="Import the document").click()
    page.wait_for_url("**/database?import=*")
    with served.client() as client:
        taken = client.query("GetDatabaseImport", id=page.url.split("import=")[1])
    assert taken["skipped"] == found["events"]
    expect(page.locator("#tb-imported")).to_contain_text("Here already")
    expect(page.locator("#tb-imported")).to_contain_text(f"{taken['skipped']:,}")

    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"<b>no</b>": "document"}))
    page.locator("#tb-import-file").set_input_files(wrong)
    page.locator("#tb-import-form").get_by_role("button", name="Import the document").click()
    browsing.expected.append("Failed to load resource")
    expect(page.locator("#tb-notices [role=alert]")).to_be_visible(timeout=SOON)

    page.get_by_role("button", name="Verify now").click()
    expect(page.locator("#tb-verify")).to_contain_text("Every projection is what the record says", timeout=SOON)
    page.get_by_role("button", name="Rebuild now").click()
    expect(page.locator("#tb-rebuild .tb-banner-success")).to_contain_text("was built anew", timeout=SOON)
    expect(page.locator("#tb-record")).to_contain_text("live, built at position")
    page.get_by_role("button", name="Back up now").click()
    expect(page.locator("#tb-backup .tb-banner-success")).to_contain_text("events, up to position", timeout=SOON)
    with page.expect_download() as downloading:
        page.locator("#tb-backup tbody tr").first.get_by_role("link", name="Download").click()
    backup = tmp_path / "backup.db"
    downloading.value.save_as(backup)
    with sqlite3.connect(backup) as opened:
        events = opened.execute("SELECT count(*) FROM events").fetchone()[0]
    assert events >= found["events"]


def test_a_long_document_says_how_far_its_import_is(browsing: Browsing, served: Studio, tmp_path: Path) -> None:
    document = tmp_path / "long.json"
    document.write_bytes(long_document(1_500))
    page = browsing.open("/database")
    browsing.expected.append("Failed to load resource")
    page.locator("#tb-import-file").set_input_files(document)
    with page.expect_request("**/act/import_document") as asked:
        page.get_by_role("button", name="Import the document").click()
    progress = f"{browsing.url}/data/progress?id={asked.value.post_data_json['id']}"
    eventually(lambda: page.request.get(progress).json().get("phase") == "checking", "it is being checked", 60, 0.01)
    children = eventually(psutil.Process(served.pid("registry")).children, "somebody checks it", 10, 0.01)
    for child in children:  # halted, however quick it is, until the page has told how far it is
        child.suspend()
    try:
        expect(page.locator("#tb-notices")).to_contain_text("Checking")
        expect(page.locator("#tb-notices")).to_contain_text("this page may be left")
    finally:
        for child in children:
            child.resume()
    expect(page.locator("#tb-notices [role=alert]")).to_contain_text("the document")
    expect(page.locator("#tb-notices")).not_to_contain_text("Checking")


def long_document(count: int) -> bytes:
    """A well-formed document of many events whose last hash is wrong, so that nothing of it is taken in."""
    header = {
        "format": FORMAT, "version": VERSION, "exported_at": timestamp(), "studio": "elsewhere",
        "position": count, "count": count,
    }  # fmt: skip
    config, chain, lines = new_id(), Chain(), []
    added = {"type": "lora", "config": {"r": 3}, "sha256": "0" * 64}
    for number in range(1, count + 1):
        event = {
            "position": number, "event_id": new_id(), "aggregate": "config", "entity_id": config, "version": number,
            "type": "ConfigAdded" if number == 1 else "ConfigDescribed", "schema_version": 1,
            "data": added if number == 1 else {"description": f"for the {number}th time"},
            "recorded_at": timestamp(), "correlation_id": None, "causation_id": None, "actor": None, "meta": {},
        }  # fmt: skip
        line = strictjson.canonical(event)
        lines.append(b'%s,"hash":"%s"}' % (line[:-1], chain.add(line).encode()))
    head = strictjson.dumps(header)[:-1]
    return head + b',"events":[' + b",\n".join(lines) + b'],"hash":"%s"}' % (b"0" * 64)


def test_settings_show_how_things_stand_and_no_secret(browsing: Browsing, served: Studio) -> None:
    page = browsing.open("/settings")
    expect(page.locator(".tb-findings li").nth(5)).to_be_visible(timeout=SOON)
    expect(page.locator("#tb-storage tbody tr", has_text="Together")).to_be_visible(timeout=SOON)
    expect(page.locator("#tb-effective tr", has_text="TUNEBUS_UI_UPLOAD_LIMIT_MB")).to_contain_text("the environment")
    secret = (served.home / "nats.password").read_text().strip()
    assert secret not in page.content()
    page.get_by_role("link", name="Check again").click()
    expect(page.locator(".tb-findings li").nth(5)).to_be_visible(timeout=SOON)
