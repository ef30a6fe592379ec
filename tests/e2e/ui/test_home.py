"""Home: what it shows is what the ledger's queries answer, and a failure's way out is one press."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.fixtures.browser import Browsing
from tests.fixtures.studio import Studio, eventually

pytestmark = pytest.mark.browser

HOPELESS = {"max_length": 2, "max_steps": 3, "eval_samples": 0, "train_test_split": 0.99}


def test_what_waits_failed_and_works_is_shown_as_the_ledger_has_it(browsing: Browsing, served: Studio) -> None:
    things = {"base_model_id": "starter", "dataset_id": "starter-questions"}
    with served.client() as client:
        held = client.send("StartFineTuningJob", things, adapter_name="for-the-night", hold=True, notes="later")
        failing = client.send("StartFineTuningJob", things, adapter_name="much-too-short", **HOPELESS)
        assert held.error is None
        assert failing.error is None

        def of(job: str | None) -> dict[str, object]:
            return client.get_fine_tuning_job(id=str(job))

        page = browsing.open("/")
        expect(page.locator(".tb-lesson")).to_have_count(0)  # of a studio in which nothing has run
        waits = page.locator("#tb-waiting tbody tr", has_text="for-the-night")
        expect(waits).to_contain_text(str(of(held.id)["waiting_reason"]))
        eventually(lambda: of(failing.id)["state"] == "failed", "the job has failed", 120)
        failed = page.locator("#tb-failed tbody tr", has_text="much-too-short")
        expect(failed).to_contain_text(str(of(failing.id)["message"]))
        suggestion = of(failing.id)["suggestion"]
        assert isinstance(suggestion, dict)
        way_out = failed.get_by_role("button", name=f"Retry with max_length {suggestion['max_length']}")
        expect(way_out).to_be_visible()

        overview, workers = client.query("GetOverview"), client.query("ListWorkers")["items"]
        for name in ("datasets", "models", "adapters"):
            tile = page.locator(f"#tb-counts a[href='/{name}'] .tb-number")
            expect(tile).to_have_text(f"{overview['counts'][name]:,}")
        expect(page.locator("#tb-home-workers tbody tr")).to_have_count(len(workers))

        way_out.click()
        eventually(lambda: of(failing.id)["state"] != "failed", "it is tried again", 60)
        expect(page.locator("#tb-failed tbody tr", has_text="much-too-short")).to_have_count(0)
        for job in (held.id, failing.id):
            client.send("StopFineTuningJob", id=job, force=True)
        eventually(lambda: of(failing.id)["state"] in ("stopped", "succeeded"), "it has ended", 120)
    expect(page.locator("#tb-recent tbody tr", has_text="much-too-short")).to_be_visible()
    expect(page.locator("#tb-waiting", has_text="for-the-night")).to_have_count(0)
