"""Jobs in the browser: from the big button to answers side by side; reloads, a second browser, and stopping."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.browser import Browsing
from tests.fixtures.studio import Studio, eventually

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

TRAINING_SECONDS = 600.0


def state(page: Page) -> str:
    return page.locator("#tb-job .tb-badge").first.inner_text()


def step(page: Page) -> int:
    found = re.search(r"^(\d+) of \d+", page.locator("#tb-job").inner_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def training_curve(page: Page) -> str:
    return page.locator("#tb-loss path.tb-path-0").first.get_attribute("d") or ""


def points(page: Page) -> int:
    return len(re.findall("[ML]", training_curve(page)))


def reach(page: Page, wanted: int, deadline: float = TRAINING_SECONDS) -> int:
    page.locator("#tb-job .tb-badge").first.wait_for()

    def probe() -> int | None:
        if state(page) == "failed":
            pytest.fail(page.locator("#tb-job").inner_text())
        warning = page.locator("#tb-warning")
        assert "defect" not in (warning.text_content() or "")
        return found if (found := step(page)) >= wanted else None

    return eventually(probe, f"step {wanted} is shown", deadline, 0.2)


def expect_state(page: Page, wanted: str, deadline: float) -> None:
    def probe() -> bool:
        shown = state(page)
        if shown == "failed" != wanted:
            pytest.fail(page.locator("#tb-job").inner_text())
        return shown == wanted

    eventually(probe, f"the job is {wanted}", deadline, 0.2)


def start_long_job(served: Studio, **fields: Any) -> str:
    with served.client() as client:
        outcome = client.send(
            "StartFineTuningJob",
            base_model_id="starter",
            dataset_id="starter-questions",
            prompt_id="starter-prompt",
            max_steps=5000,
            save_steps=20,
            eval_steps=1000,
            batch_size=4,
            max_length=64,
            train_test_split=0.99,
            **fields,
        )
        assert outcome.error is None
        return str(outcome.id)


def test_stop_works_from_a_second_browser(browsing: Browsing, served: Studio) -> None:
    job = start_long_job(served)
    first = browsing.open(f"/jobs?id={job}")
    reach(first, 5)
    second = browsing.open(f"/jobs?id={job}")
    reach(second, 5)
    second.locator("#tb-stop").click()
    expect(second.locator("#tb-stop-words")).to_contain_text("saves a checkpoint")
    second.locator("#tb-stop-gracefully").click()
    expect(second.locator("#tb-notice")).to_contain_text("It stops after the step it is at")
    for page in (first, second):
        expect_state(page, "stopped", 90)
        expect(page.locator("#tb-timeline")).to_contain_text("StopRequested")
        expect(page.locator("#tb-timeline")).to_contain_text("JobStopped")
        expect(page.locator("#tb-stop")).to_be_hidden()
    assert points(first) == points(second) == step(first)
    home = browsing.open("/")
    expect(home.locator("#tb-recent")).to_contain_text("stopped")


def test_stop_now_and_a_change_of_mind(browsing: Browsing, served: Studio) -> None:
    job = start_long_job(served, adapter_name="changed-mind")
    page = browsing.open(f"/jobs?id={job}")
    reach(page, 1)
    page.locator("#tb-stop").click()
    page.locator("#tb-keep").click()
    expect(page.locator("#tb-stop-now")).to_be_hidden()
    queued = start_long_job(served, adapter_name="next-in-line")
    home = browsing.open("/")
    expect(home.locator("#tb-waiting tr", has_text="next-in-line")).to_contain_text("waiting for a free trainer")
    waiting = browsing.open(f"/jobs?id={queued}")
    expect(waiting.locator("#tb-job [role=status]")).to_contain_text("Waiting for a free trainer")
    for one in (waiting, page):
        one.locator("#tb-stop").click()
        one.locator("#tb-stop-now").click()
        expect_state(one, "stopped", 60)


def test_a_failed_job_says_why_and_what_to_do(browsing: Browsing, served: Studio) -> None:
    job = start_long_job(served, adapter_name="hopeless", lora={"target_modules": ["no_such_layer"]})
    page = browsing.open(f"/jobs?id={job}")
    page.locator("#tb-job .tb-badge").wait_for()
    expect_state(page, "failed", 90)
    cause = page.locator("#tb-job .tb-banner-error")
    expect(cause).to_contain_text("Bad configuration")
    expect(cause).to_contain_text("no_such_layer")
    home = browsing.open("/")
    expect(home.locator("#tb-failed tr", has_text="hopeless")).to_contain_text("no_such_layer")
    expect(home.locator("#tb-failed")).not_to_contain_text("Traceback")


def test_the_big_button_leads_to_an_adapter_that_beats_its_base(browsing: Browsing, served: Studio) -> None:
    first = browsing.open("/")
    first.locator("#tb-first").click()
    first.wait_for_url("**/jobs?id=*")
    seen = reach(first, 10)

    first.reload()
    after_reload = reach(first, seen)
    assert points(first) >= after_reload - 2 >= 8
    second = browsing.open(first.url.removeprefix(browsing.url))
    reach(second, after_reload)

    def same() -> bool:
        return step(first) == step(second) and training_curve(first) == training_curve(second) != ""

    eventually(same, "both browsers show the same step and the same curve", 30, 0.02)
    assert points(second) >= after_reload
    home = browsing.open("/")
    expect(home.locator("#tb-running .tb-card")).to_have_count(1)

    for page in (first, second):
        expect_state(page, "succeeded", TRAINING_SECONDS)
        expect(page.locator("#tb-compare")).to_be_visible()
        expect(page.locator("#tb-timeline")).to_contain_text("JobSucceeded")
    with served.client() as client:
        job = client.get_fine_tuning_job(id=first.url.split("id=")[1])
        curve = client.query("GetMetrics", job_id=job["id"], names=["loss"])["series"]["loss"]["steps"]
    assert curve == list(range(1, job["total_steps"] + 1))
    eventually(lambda: points(first) == points(second) == len(curve), "both show the whole curve", 30)
    expect(first.locator("#tb-log pre")).to_contain_text("held-out loss")
    first.locator("#tb-settings summary").click()
    learning_rate = first.locator("#tb-settings tr", has_text="learning_rate")
    expect(learning_rate).to_contain_text("0.002")
    expect(learning_rate).to_contain_text("command")

    first.locator("#tb-compare").click()
    first.wait_for_url("**/evaluate?id=*")
    other = browsing.open(first.url.removeprefix(browsing.url))
    for page in (first, other):
        table = page.locator("#tb-comparison .tb-compare")
        expect(table.locator(".tb-succeeded")).to_have_count(2, timeout=300_000)
        expect(table.locator("tr", has_text="Held-out loss").locator(".tb-gain")).to_have_count(1)
        expect(table.locator("tr", has_text="Exact match").locator(".tb-gain")).to_have_count(1)
        expect(page.locator("#tb-comparison .tb-bars")).not_to_have_count(0)
        expect(page.locator("#tb-answers tbody tr")).to_have_count(10)
        expect(page.locator("#tb-answers .tb-right").first).to_be_visible()
    other.get_by_text("Show more rows").click()
    expect(other.locator("#tb-answers tbody tr")).to_have_count(50)


def test_an_unknown_job_says_so(browsing: Browsing) -> None:
    page = browsing.open("/jobs?id=no-such-job")
    expect(page.locator("#tb-warning")).to_contain_text("no-such-job")


def test_a_page_outlives_the_process_that_served_it(browsing: Browsing, served: Studio) -> None:
    page = browsing.open("/jobs")
    page.evaluate("window.servedBefore = true")
    before = served.pid("ui")
    browsing.expected += ["ERR_CONNECTION", "ERR_INCOMPLETE", "ERR_EMPTY_RESPONSE", "Failed to fetch", "NetworkError"]
    os.kill(before, signal.SIGKILL)
    eventually(lambda: served.pid("ui") not in (0, before) and served.is_ready("ui"), "the pages are back", 60)
    page.wait_for_function("() => !window.servedBefore")
    expect(page.locator("#tb-jobs h1")).to_be_visible()
    expect(page.get_by_text("Connection to the server was lost")).to_have_count(0)
    home = browsing.open("/")
    expect(home.locator("#tb-counts")).to_contain_text("Datasets")
