"""The training form: sensible defaults, every wrong field named, and a start that leads to the job's page."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.browser import Browsing
from tests.fixtures.studio import Studio

pytestmark = pytest.mark.browser


def fill(page: Page, field: str, words: str) -> None:
    page.locator(f"#tb-{field} textarea, #tb-{field} input").fill(words)


def open_form(browsing: Browsing) -> Page:
    page = browsing.open("/train?dataset=starter-questions&model=starter")
    expect(page.locator("#tb-dataset-choice input")).to_have_value("starter-questions")
    expect(page.locator("#tb-model-choice input")).to_have_value("starter")
    expect(page.locator("#tb-prompt-choice input")).to_have_value("starter-prompt")
    expect(page.locator("#tb-learning-rate textarea, #tb-learning-rate input")).to_have_value("0.002")
    return page


def test_every_wrong_field_is_named_at_once(browsing: Browsing, served: Studio) -> None:
    page = open_form(browsing)
    fill(page, "learning-rate", "nan")
    fill(page, "batch-size", "a few")
    page.locator("#tb-start").click()
    notice = page.locator("#tb-notice [role=alert]")
    expect(notice).to_contain_text("learning_rate: must be a finite number")
    expect(notice).to_contain_text("batch_size: must be a whole number, not 'a few'")
    fill(page, "learning-rate", "-1")
    fill(page, "batch-size", "0")
    page.locator("#tb-start").click()
    expect(notice).to_contain_text("learning_rate: Input should be greater than 0")
    expect(notice).to_contain_text("batch_size: Input should be greater than 0")
    with served.client() as client:
        assert client.query("ListFineTuningJobs", limit=1000)["items"] == [] or "/jobs" not in page.url


def test_labels_belong_to_their_fields_and_the_form_is_reachable_by_keyboard(browsing: Browsing) -> None:
    page = open_form(browsing)
    for label in ("Dataset", "Base model", "Prompt", "Epochs", "Learning rate", "Batch size", "Maximum steps"):
        assert page.get_by_label(label, exact=True).count() == 1, label
    page.get_by_label("Maximum steps", exact=True).focus()
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "tb-start":
            break
    assert page.evaluate("document.activeElement.id") == "tb-start"


@pytest.mark.parametrize("path", ["/", "/datasets", "/train", "/jobs", "/evaluate"])
def test_a_phone_needs_no_sideways_scrolling(browsing: Browsing, path: str) -> None:
    page = browsing.open(path, viewport={"width": 390, "height": 844})
    page.locator(".tb-panel, .tb-hero, #tb-jobs h1").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
