"""Jobs in the browser: found, chosen and ordered in the list; one with all that is known of it; stopped, resumed, tried
again; the same for a second browser and after a reload."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from tunebus.contracts.client import Client

from tests.fixtures.browser import Browsing
from tests.fixtures.populated import Contents
from tests.fixtures.studio import Studio, eventually

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

SOON = 60_000
START = {
    "base_model_id": "starter",
    "dataset_id": "starter-questions",
    "prompt_id": "starter-prompt",
    "batch_size": 4,
    "max_length": 64,
    "train_test_split": 0.99,
}


def state(page: Page) -> Locator:
    return page.locator("#tb-job .tb-badge").first


def step(page: Page) -> int:
    words = page.locator("#tb-figures [data-key=step] .tb-figure").inner_text()
    return int(words.split()[0].replace(",", ""))


def reach(page: Page, wanted: int) -> int:
    page.locator("#tb-figures [data-key=step]").wait_for()

    def probe() -> int | None:
        assert "defect" not in (page.locator("#tb-warning").text_content() or "")
        assert state(page).inner_text() != "failed", page.locator("#tb-job").inner_text()
        return found if (found := step(page)) >= wanted else None

    return eventually(probe, f"step {wanted} is shown", 300, 0.2)


def figure(page: Page, name: str) -> str:
    return page.locator(f"#tb-figures [data-key={name}] .tb-figure").inner_text()


def start(served: Studio, **fields: Any) -> str:
    with served.client() as client:
        outcome = client.send("StartFineTuningJob", **{**START, "max_steps": 5000, "save_steps": 20, **fields})
        assert outcome.error is None, outcome.error
        return str(outcome.id)


def rows(page: Page) -> list[str]:
    found: list[str] = page.locator("#tb-jobs tbody tr").evaluate_all("rows => rows.map((row) => row.dataset.key)")
    return found


def every_job(client: Client, **fields: Any) -> list[dict[str, Any]]:
    """The newest first."""
    found: list[dict[str, Any]] = client.query("ListAllJobs", limit=1000, **fields)["items"]
    return found


def ids(jobs: list[dict[str, Any]]) -> list[str]:
    return [job["id"] for job in jobs[:50]]


def test_the_list_is_found_in_sorted_and_labelled(browsing: Browsing, served: Studio, contents: Contents) -> None:
    page = browsing.open("/jobs")
    page.locator("#tb-jobs tbody tr").first.wait_for()
    with served.client() as client:
        known, named = every_job(client), every_job(client, search="careful")
    assert rows(page) == ids(known)
    failed = page.locator(f"[data-key='{contents.failed}']")
    expect(failed.locator(".tb-badge")).to_have_text("failed")
    expect(failed.locator(".tb-badge svg")).to_have_count(1)
    expect(failed).to_contain_text("word_embeddings")
    expect(page.locator(f"[data-key='{contents.tuned}'] .tb-sparkline path")).to_have_count(1)

    assert contents.resumed in ids(named)
    page.get_by_label("Search").fill("careful")
    eventually(lambda: rows(page) == ids(named), "only those called careful are listed", 30)
    assert "search=careful" in page.url
    page.reload()
    eventually(lambda: rows(page) == ids(named), "they are after a reload", 30)
    page.get_by_label("Search").fill("")
    page.get_by_label("State").select_option("failed")
    wanted = ids([job for job in known if job["state"] == "failed"])
    eventually(lambda: rows(page) == wanted, "only failed jobs are listed", 30)
    page.get_by_role("link", name="All", exact=True).click()
    eventually(lambda: rows(page) == ids(known), "all jobs are listed", 30)
    assert page.get_by_label("State").input_value() == ""
    page.get_by_label("Kind").select_option("fine_tuning_job")
    page.locator("#tb-jobs thead").get_by_role("link", name="Job").click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Job")
    trained = [job for job in known if job["kind"] == "fine_tuning_job"]
    with served.client() as client:
        by_name = every_job(client, kinds=["fine_tuning_job"], sort="name", descending=False)
    eventually(lambda: rows(page) == ids(by_name), "they are in the order of their names", 30)
    page.go_back()
    eventually(lambda: rows(page) == ids(trained), "Back shows the newest first", 30)
    page.get_by_role("link", name="All", exact=True).click()
    eventually(lambda: rows(page) == ids(known), "all jobs are listed again", 30)

    for job in (contents.tuned, contents.resumed):
        page.locator(f"[data-key='{job}'] .tb-pick").check()
    bar = page.locator(".tb-bulk")
    expect(bar).to_contain_text("2 chosen")
    expect(bar.get_by_role("button", name="Remove")).to_be_visible()
    expect(bar.get_by_role("button", name=re.compile("^(Stop|Hold|Release)$"))).to_have_count(0)  # they have ended
    page.get_by_label("Kind").select_option("evaluation_job")
    expect(page.locator(f"[data-key='{contents.tuned}']")).to_have_count(0)
    expect(bar).to_contain_text("2 chosen")
    address = bar.get_by_role("link", name="Compare").get_attribute("href") or ""
    assert set(address.removeprefix("/compare?ids=").split(",")) == {contents.tuned, contents.resumed}
    bar.get_by_role("button", name="Label…").click()
    page.get_by_label("Add these labels").fill("kept, second look")
    page.locator("#tb-labelling").get_by_role("button", name="Label").click()
    expect(page.locator("#tb-notices")).to_contain_text("2 jobs labelled.")
    with served.client() as client:
        assert client.get_fine_tuning_job(id=contents.tuned)["labels"] == ["baseline", "kept", "second look"]
    bar.get_by_role("button", name="Choose none").click()
    expect(bar).to_be_hidden()
    page.goto(f"{browsing.url}/jobs?label=second+look&sort=nonsense&offset=-1&order=<script>")
    expect(page.locator("#tb-jobs tbody tr")).to_have_count(2)


def test_a_finished_job_shows_all_that_is_known_of_it(browsing: Browsing, served: Studio, contents: Contents) -> None:
    with served.client() as client:
        job = client.get_fine_tuning_job(id=contents.tuned)
        samples = client.query("GetSamples", job_id=contents.tuned)
        events = client.query("ListEvents", entity_id=contents.tuned, limit=1000)["items"]
    page = browsing.open(f"/jobs?id={contents.tuned}")
    expect(state(page)).to_have_text("succeeded")
    assert figure(page, "step") == f"{job['step']} of {job['total_steps']}"
    assert float(figure(page, "eval_loss")) == pytest.approx(job["metrics"]["eval_loss"], rel=1e-3)
    assert figure(page, "parameters") == f"{job['metrics']['parameters']:,.0f}"
    assert figure(page, "trainable_parameters") == f"{job['metrics']['trainable_parameters']:,.0f}"
    assert int(figure(page, "layers")) > 0
    for name in ("speed", "tokens_per_second", "elapsed", "step_seconds", "eval_seconds", "memory", "grad_norm"):
        assert re.match(r"[\d.,]+", figure(page, name)), name
    expect(page.locator("#tb-chart-loss svg").first).to_be_visible()

    def open_tab(name: str) -> Locator:
        page.locator("#tb-tabs").get_by_role("link", name=name, exact=True).click()
        expect(page.locator("#tb-tabs [aria-current]")).to_have_text(name)
        return page.locator("#tb-tab")

    shown = open_tab("Samples")
    expect(shown.locator(".tb-sample")).to_have_count(len(samples["rows"]))
    first = samples["rows"][0]
    expect(shown.locator(".tb-sample").first).to_contain_text(first["base"].strip()[:20])
    shown.get_by_role("link", name=str(samples["steps"][0]), exact=True).click()
    expect(shown.locator(".tb-sample").first).to_contain_text(f"After step {samples['steps'][0]}")
    shown = open_tab("Checkpoints")
    expect(shown.locator("tbody tr")).to_have_count(len(job["checkpoints"]))
    expect(shown.get_by_text("best", exact=True)).to_have_count(1)
    expect(shown.get_by_role("button", name="Branch from here")).not_to_have_count(0)
    expect(open_tab("Log")).to_contain_text("held-out loss")
    expect(open_tab("System")).to_contain_text(job["attempts_made"][0]["worker_id"])
    expect(open_tab("Data")).to_contain_text(job["recipe"]["dataset"]["sha256"])
    rate = open_tab("Settings").locator("tr", has_text="learning_rate")
    expect(rate).to_contain_text("0.002")
    expect(rate).to_contain_text("as asked")
    shown = open_tab("Events")
    expect(shown.locator(".tb-timeline li")).to_have_count(len(events))
    expect(shown.locator("li", has_text="CheckpointRecorded").first).to_contain_text("is safe on disk")
    page.go_back()
    expect(page.locator("#tb-tabs [aria-current]")).to_have_text("Settings")

    page.get_by_role("button", name="Labels and notes…").click()
    page.get_by_label("Notes", exact=True).fill("Keep <b>this</b> one.")
    page.locator("#tb-noting").get_by_role("button", name="Save").click()
    expect(page.locator("#tb-job .tb-notes")).to_have_text("Keep <b>this</b> one.")
    with served.client() as client:
        assert client.get_fine_tuning_job(id=contents.tuned)["notes"] == "Keep <b>this</b> one."

    page.goto(f"{browsing.url}/jobs?id={contents.resumed}&tab=events")
    expect(page.locator("#tb-job .tb-banner-warning")).to_contain_text("Attempt 1 ended")
    expect(page.locator("#tb-tab")).to_contain_text(re.compile("AttemptLost|AttemptFailed"))
    with served.client() as client:
        scored = client.query("ListEvaluationJobs", parent_id=contents.comparison)["items"][0]
    page.goto(f"{browsing.url}/jobs?id={scored['id']}")
    expect(page.locator("#tb-actions").get_by_role("link", name="See it side by side")).to_be_visible()
    assert float(figure(page, "loss")) == pytest.approx(scored["metrics"]["loss"], rel=1e-3)
    page.goto(f"{browsing.url}/jobs?id=no-such-job")
    expect(page.locator("#tb-gone h1")).to_contain_text("no-such-job")


def test_a_job_is_watched_stopped_and_resumed_from_two_browsers(browsing: Browsing, served: Studio) -> None:
    job = start(served, adapter_name="watched")
    first = browsing.open(f"/jobs?id={job}")
    seen = reach(first, 5)
    first.reload()
    assert reach(first, seen) >= seen
    second = browsing.open(f"/jobs?id={job}")
    reach(second, seen)

    waiting = [start(served, adapter_name=name) for name in ("next-in-line", "after-it")]
    queue = browsing.open("/jobs?view=queue")
    last = queue.locator(f"[data-key='{waiting[1]}']")
    expect(last).to_contain_text("waiting for a free trainer, 1 job ahead")
    last.get_by_role("button", name="Move after-it up").click()
    expect(last).not_to_contain_text("ahead")
    before = queue.locator(f"[data-key='{waiting[0]}']")
    before.get_by_label("Priority of next-in-line").fill("7")
    before.get_by_role("button", name="Set").click()
    expect(last).to_contain_text("1 job ahead")
    before.get_by_role("button", name="Hold").click()
    expect(before.locator(".tb-badge")).to_have_text("held")
    with served.client() as client:
        found = client.get_fine_tuning_job(id=waiting[0])
        assert (found["state"], found["priority"]) == ("held", 7)

    second.locator("#tb-stop").click()
    second.locator("#tb-keep").click()
    expect(second.locator("#tb-stopping")).to_be_hidden()
    second.locator("#tb-stop").click()
    expect(second.locator("#tb-stop-words")).to_contain_text("saves a checkpoint")
    second.locator("#tb-stop-gracefully").click()
    for page in (first, second):
        expect(state(page)).to_have_text("stopped", timeout=SOON)
        expect(page.locator("#tb-stop")).to_have_count(0)
    stopped = step(first)
    assert stopped == step(second) >= seen
    with served.client() as client:
        curve = client.query("GetMetrics", job_id=job, names=["loss"])["series"]["loss"]["steps"]
    assert curve == list(range(1, stopped + 1))

    first.goto(f"{browsing.url}/jobs?search=after-it")
    first.locator(f"[data-key='{waiting[1]}'] .tb-pick").check()
    first.locator(".tb-bulk").get_by_role("button", name="Stop").click()
    first.locator("dialog[open]").get_by_role("button", name="Stop").click()
    expect(first.locator(f"[data-key='{waiting[1]}'] .tb-badge")).to_have_text("stopped", timeout=SOON)
    second.get_by_role("button", name=f"Resume from step {stopped}").click()
    reach(second, stopped + 1)
    expect(second.locator("#tb-job")).to_contain_text("attempt 2")
    second.locator("#tb-stop").click()
    second.locator("#tb-stop-now").click()
    expect(state(second)).to_have_text("stopped", timeout=SOON)


def test_a_failed_job_is_tried_again_as_suggested_and_cloned(browsing: Browsing, served: Studio) -> None:
    job = start(served, adapter_name="too-short", max_length=2, max_steps=3, eval_samples=0)
    page = browsing.open(f"/jobs?id={job}")
    expect(state(page)).to_have_text("failed", timeout=SOON)
    card = page.locator("#tb-cause")
    expect(card).to_contain_text("the data does not fit")
    expect(card).to_contain_text("Raise max_length")
    expect(card.locator(".tb-differences")).to_contain_text("max_length 2 →")
    expect(page.locator("#tb-tabs [aria-current]")).to_have_text("Log")
    expect(page.locator("#tb-job")).not_to_contain_text("Traceback")
    page.locator("#tb-retry-suggested").click()
    expect(state(page)).to_have_text("succeeded", timeout=3 * SOON)

    browsing.expected.append("400 (Bad Request)")
    page.get_by_role("button", name="Clone…").click()
    dialog = page.locator("#tb-cloning")
    dialog.get_by_label("Learning rate").fill("none")
    dialog.get_by_role("button", name="Queue the clone").click()
    expect(dialog.locator("[aria-invalid=true]")).to_have_attribute("name", "changes.learning_rate")
    dialog.get_by_label("Learning rate").fill("0.001")
    expect(dialog.locator("[data-difference]")).to_contain_text("learning_rate 0.0002 → 0.001")
    dialog.get_by_label("Name of what it makes").fill("short-clone")
    dialog.get_by_role("button", name="Queue the clone").click()
    page.wait_for_url(lambda address: job not in address)
    expect(page.locator("#tb-job")).to_contain_text("cloned from too-short")
    differences = page.locator("#tb-job .tb-differences").first
    expect(differences).to_have_text("learning_rate – → 0.001")  # the retry's max_length is the job's own by now
    with served.client() as client:
        clone = client.get_fine_tuning_job(id="short-clone")
        changed = client.get_fine_tuning_job(id=job)["recipe"]["training_arguments"]
    assert clone["origin"]["job_id"] == job
    assert clone["recipe"]["training_arguments"] == {**changed, "learning_rate": 0.001}
    expect(state(page)).to_have_text("succeeded", timeout=3 * SOON)


def test_the_big_button_leads_to_a_job_that_learns(browsing: Browsing) -> None:
    page = browsing.open("/")
    page.locator("#tb-first").first.click()
    page.wait_for_url("**/jobs?id=*")
    reach(page, 3)
    page.locator("#tb-stop").click()
    page.locator("#tb-stop-now").click()
    expect(state(page)).to_have_text("stopped", timeout=SOON)
    page.get_by_role("button", name="Remove…").click()
    page.get_by_label("Delete its files too").check()
    page.locator("#tb-removing").get_by_role("button", name="Remove").click()
    page.wait_for_url("**/jobs")
    expect(page.locator("#tb-notices")).to_contain_text("Removed.")


def test_a_page_outlives_the_process_that_served_it(browsing: Browsing, served: Studio) -> None:
    page = browsing.open("/jobs")
    page.evaluate("window.servedBefore = true")
    before = served.pid("ui")
    browsing.expected += ["net::ERR_", "Failed to fetch", "NetworkError"]
    os.kill(before, signal.SIGKILL)
    eventually(lambda: served.pid("ui") not in (0, before) and served.is_ready("ui"), "the pages are back", 60)
    expect(page.locator("#tb-standing-offline")).to_have_count(0, timeout=SOON)
    page.get_by_label("Search").fill("nothing is called like this")
    expect(page.locator("#tb-jobs .tb-empty")).to_be_visible()
    assert page.evaluate("window.servedBefore")
