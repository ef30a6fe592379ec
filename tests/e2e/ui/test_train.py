"""The training form: from a file to a queued job in few clicks, errors at once, ways to need less, drafts that stay;
and a job created, watched and stopped by the keyboard alone."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.browser import Browsing
from tests.fixtures.looking import outlined
from tests.fixtures.studio import Studio, eventually

pytestmark = pytest.mark.browser

CHOSEN = "/train?dataset=starter-questions&model=starter"


def open_form(browsing: Browsing, path: str = CHOSEN) -> Page:
    page = browsing.open(path)
    expect(page.locator("[data-step-state=review]")).to_contain_text("ready")
    return page


def fill(page: Page, name: str, words: str) -> None:
    page.locator(f"[name='{name}']").fill(words)


def opened(page: Page, group: str) -> None:
    page.locator(f"details[data-group={group}] > summary").click()


def test_from_a_file_to_a_queued_job_in_three_clicks(browsing: Browsing, served: Studio, tmp_path: Path) -> None:
    rows = [{"question": f"What is {number} and {number}?", "answer": str(2 * number)} for number in range(40)]
    file = tmp_path / "sums.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    browsing.expected.append("409 (Conflict)")  # the name may be taken by another test's: it gets a number then
    page = browsing.open("/")
    page.locator(".tb-header").get_by_role("link", name="Train").click()  # 1
    page.locator("#tb-train-file").set_input_files(file)  # 2: the button and the file
    expect(page.locator("#tb-upload-state")).to_contain_text("sums")
    expect(page.locator("#tb-train-example mark")).to_be_visible()
    expect(page.locator("[data-step-state=review]")).to_contain_text("ready")
    page.locator("[name=hold]").evaluate("field => { field.value = 'true' }")  # leaves the trainer to other tests
    page.evaluate(
        "window.addEventListener('pagehide', () => sessionStorage.setItem('left-busy',"
        " document.getElementById('tb-start').getAttribute('aria-busy')))"
    )
    page.locator("#tb-start").click()  # 3
    page.wait_for_url("**/jobs?id=*")
    assert page.evaluate("sessionStorage.getItem('left-busy')") == "true"  # until the next page was there
    with served.client() as client:
        job = client.get_fine_tuning_job(id=page.url.split("id=")[1])
        dataset = client.get_dataset(id=job["dataset_id"])
    assert (dataset["rows"], dataset["features"]) == (40, ["question", "answer"])
    assert job["base_model_name"] == "starter"
    assert job["state"] == "held"


def test_each_field_says_at_once_what_is_wrong_with_it(browsing: Browsing, served: Studio) -> None:
    page = open_form(browsing)
    fill(page, "learning_rate", "-1")
    fill(page, "batch_size", "a few")
    fill(page, "lora.r", "0")
    fill(page, "adapter_name", "no spaces")
    for name, words in {
        "learning_rate": "greater than 0, not -1",
        "batch_size": "must be a whole number, not 'a few'",
        "lora.r": "greater than 0",
        "adapter_name": "may hold letters, digits, - and _ only",
    }.items():
        one = page.locator(f"[name='{name}']")
        expect(one).to_have_attribute("aria-invalid", "true")
        expect(page.locator(".tb-field", has=one).locator(".tb-field-error")).to_contain_text(words)
    expect(page.locator("[data-step-state=settings]")).to_contain_text("needs")
    fill(page, "learning_rate", "2e-3")
    fill(page, "batch_size", "16")
    fill(page, "lora.r", "")
    fill(page, "adapter_name", "")
    expect(page.locator(".tb-field-error")).to_have_count(0)
    # What only the studio knows is said as well, beside its field, and leaves nothing behind.
    fill(page, "max_steps", "5")
    opened(page, "rows")
    fill(page, "max_length", "100000")
    expect(page.locator(".tb-field", has=page.locator("[name=max_length]"))).to_contain_text("context of 'starter'")
    with served.client() as client:
        assert not client.query("ListFineTuningJobs", search="no spaces")["items"]


def test_what_cannot_fit_says_how_it_would_and_is_queued_anyway(browsing: Browsing, served: Studio) -> None:
    page = open_form(browsing)
    fill(page, "batch_size", "400000")
    page.locator("[name=batch_size]").press("Enter")  # at once, before anybody has said what that needs
    page.wait_for_url("**/jobs?id=*")
    with served.client() as client:
        job = client.get_fine_tuning_job(id=page.url.split("id=")[1])
        assert job["state"] == "queued"
        assert "GiB of memory (has" in job["waiting_reason"]
        client.stop_fine_tuning_job(id=job["id"])

    again = open_form(browsing, f"/train?clone={job['id']}")
    expect(again.locator("[name=batch_size]")).to_have_value("400000")
    opened(again, "machine")
    fill(again, "num_memory", "")
    warning = again.locator("#tb-estimate .tb-banner-warning")
    expect(warning).to_contain_text("no trainer that is there has more")
    expect(warning.locator("[data-fill]")).to_have_count(3)
    expect(again.locator("#tb-wait-words")).to_contain_text("Wait for a trainer with")
    again.locator("#tb-command > summary").click()
    expect(again.locator("#tb-spelling")).to_have_text(f"tunebus train clone {job['id']}")  # waits as that one did
    again.locator("#tb-wait").uncheck()
    expect(again.locator("#tb-spelling")).to_contain_text("--set num_memory=null")
    way = again.locator("#tb-estimate [data-fill]").first
    change = json.loads(way.get_attribute("data-fill") or "")
    way.click()
    for name, value in change.items():
        expect(again.locator(f"[name='{name}']")).to_have_value(value)
    opened(again, "queue")
    again.locator("[name=hold]").select_option("true")
    again.locator("#tb-start").click()
    again.wait_for_url(lambda address: "/jobs?id=" in address)
    with served.client() as client:
        origin = client.get_fine_tuning_job(id=again.url.split("id=")[1])["origin"]
    assert (origin["kind"], origin["job_id"]) == ("clone", job["id"])
    assert set(change) <= set(origin["difference"])


def test_presets_and_the_address_set_the_fields_that_the_estimate_then_speaks_of(
    browsing: Browsing, served: Studio
) -> None:
    page = open_form(browsing)
    expect(page.locator("[name=learning_rate]")).to_have_value("0.002")
    page.get_by_role("button", name="Quick try").click()
    expect(page.locator("[name=max_steps]")).to_have_value("40")
    expect(page.locator("[name='lora.r']")).to_have_value("8")
    expect(page.locator("#tb-estimate")).to_contain_text("40")
    page.get_by_role("button", name="Best quality").click()
    expect(page.locator("[name=max_steps]")).to_have_value("")
    expect(page.locator("[name='lora.r']")).to_have_value("32")
    page.locator("#tb-command > summary").click()
    page.get_by_role("tab", name="JSON").click()
    expect(page.locator("#tb-spelling")).to_contain_text('"early_stopping_patience": 3')
    command = json.loads(page.locator("#tb-spelling").inner_text())["data"]
    with served.client() as client:
        needs = client.query("EstimateFineTuningJob", command)
    expect(page.locator("#tb-estimate")).to_contain_text(f"{needs['steps']:,}")
    page.get_by_text("Full", exact=True).click()
    expect(page.locator("[data-when-method=lora]")).to_be_hidden()
    expect(page.locator("#tb-spelling")).to_contain_text('"method": "full"')
    expect(page.locator("#tb-spelling")).not_to_contain_text("lora")
    page.locator("[name=learning_rate]").fill("1e9")
    expect(page.locator("#tb-estimate")).to_contain_text("most models break down")


def test_the_address_chooses_the_prompt_and_the_way_to_start_stays_in_sight(browsing: Browsing, served: Studio) -> None:
    with served.client() as client:
        templates = {"prompt_template": "{input}\n{completion}", "completion_template": "{answer}"}
        for name, asks in (("asks-politely", "Please: {question}"), ("asks-newer", "{question}")):
            made = client.send("AddPrompt", name=name, dataset_id="starter-questions", input_template=asks, **templates)
            assert made.error is None, made.error
    page = open_form(browsing, f"{CHOSEN}&prompt=asks-politely")
    expect(page.locator("[name=prompt_id] option:checked")).to_have_text("asks-politely")
    expect(page.locator("#tb-train-example")).to_contain_text("Please: ")
    page.locator("details[data-group=rest]").scroll_into_view_if_needed()
    expect(page.locator("#tb-start")).to_be_in_viewport(ratio=1)


def test_configs_made_for_the_chosen_model_come_first(browsing: Browsing, served: Studio) -> None:
    with served.client() as client:
        family = client.get_model(id="starter")["model_family"]
        for other in (None, family, "gpt2"):
            made = client.send(
                "AddConfig", type="lora", config={"r": 24 + len(other or "")}, description=f"for {other}",
                **({"model_family": other} if other else {}),
            )  # fmt: skip
            assert made.error is None, made.error
    page = open_form(browsing)
    configs = page.locator("[name='configs.lora']")
    groups = configs.locator("optgroup")
    expect(groups).to_have_count(3)
    assert [one.get_attribute("label") for one in groups.all()] == [
        "For models like this", "For any model", "For other models"
    ]  # fmt: skip
    expect(groups.nth(0)).to_contain_text(f"for {family}")
    expect(groups.nth(1)).to_contain_text("for None")
    expect(groups.nth(2)).to_contain_text("for gpt2")
    opened(page, "adapter_more")
    configs.select_option("for gpt2")
    expect(page.locator("[name='lora.r']")).to_have_attribute("placeholder", "28, from the config")
    expect(configs.locator("option:checked")).to_have_text("for gpt2")


def test_what_a_script_of_ones_own_needs_is_not_guessed_and_the_form_says_why(browsing: Browsing) -> None:
    page = open_form(browsing)
    opened(page, "rest")
    fill(page, "user_script", "mine.py")
    expect(page.locator("#tb-estimate")).to_contain_text("No estimate: nobody can tell what a script of your own needs")
    expect(page.locator("#tb-estimate")).to_contain_text("leave it out to see")
    fill(page, "adapter_name", "no spaces")
    expect(page.locator("[name=adapter_name]")).to_have_attribute("aria-invalid", "true")


def test_a_press_on_start_is_answered_and_kept_while_the_studio_hangs(browsing: Browsing, served: Studio) -> None:
    page = open_form(browsing)
    registry = served.pid("registry")
    os.kill(registry, signal.SIGSTOP)
    try:
        fill(page, "adapter_name", "pressed-while-it-hung")
        page.evaluate(
            """() => {
                const pressed = performance.now();
                new MutationObserver(() => {
                    if (document.querySelector('#tb-notices .tb-notice')) window.said ??= performance.now() - pressed;
                }).observe(document, { childList: true, subtree: true });
                document.getElementById('tb-start').click();
            }"""
        )
        notices = page.locator("#tb-notices")
        expect(notices).to_contain_text("Not confirmed yet")
        assert page.evaluate("window.said") < 2000, "long before the form's own questions are answered"
        page.reload()
        expect(notices).to_contain_text("Not confirmed yet")
    finally:
        os.kill(registry, signal.SIGCONT)
    expect(notices).not_to_contain_text("Not confirmed yet")
    with served.client() as client:
        (job,) = client.query("ListAllJobs", search="pressed-while-it-hung")["items"]
        client.stop_fine_tuning_job(id=job["id"])


def test_what_is_typed_outlives_reload_another_tab_and_the_pages_own_process(
    browsing: Browsing, served: Studio
) -> None:
    page = open_form(browsing, "/train")
    fill(page, "num_epochs", "7")
    opened(page, "queue")
    fill(page, "notes", "<b>not</b> lost")
    page.reload()
    expect(page.locator("[name=num_epochs]")).to_have_value("7")
    tab = page.context.new_page()
    tab.goto(browsing.url + CHOSEN)
    expect(tab.locator("[name=notes]")).to_have_value("<b>not</b> lost")
    expect(tab.locator("[name=num_epochs]")).to_have_value("7")
    tab.close()

    browsing.expected += ["ERR_CONNECTION", "ERR_INCOMPLETE", "ERR_EMPTY_RESPONSE", "Failed to fetch", "NetworkError"]
    opened(page, "queue")
    before = served.pid("ui")
    os.kill(before, signal.SIGKILL)
    fill(page, "labels", "while it was away")
    eventually(lambda: served.pid("ui") not in (0, before) and served.is_ready("ui"), "the pages are back", 60)
    page.reload()
    expect(page.locator("[name=labels]")).to_have_value("while it was away")
    page.get_by_role("button", name="Start over").click()
    expect(page.locator("[name=labels]")).to_have_value("")
    page.reload()
    expect(page.locator("[name=notes]")).to_have_value("")


def test_the_keyboard_alone_creates_watches_and_stops_a_job(browsing: Browsing, served: Studio) -> None:
    page = browsing.open("/")
    keys = page.keyboard

    def tab_to(selector: str, key: str = "Tab", limit: int = 150) -> None:
        page.locator(selector).first.wait_for()
        for _ in range(limit):
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            keys.press(key)
        pytest.fail(f"{selector} was not reached by {key}")

    tab_to(".tb-header nav a[href='/train']")
    keys.press("Enter")
    page.wait_for_url("**/train")
    expect(page.locator("[data-step-state=review]")).to_contain_text("ready")
    tab_to("[name=method]")
    assert outlined(page.locator("[name=method]:focus")), "a person sees where the keyboard is"
    tab_to("[name=max_steps]")
    keys.type("3000")
    tab_to("[name=adapter_name]")
    keys.type("keyboard-made")
    tab_to("#tb-start")
    expect(page.locator("#tb-estimate")).to_contain_text("3,000")
    keys.press("Enter")
    page.wait_for_url("**/jobs?id=*")
    with served.client() as client:
        job_id = page.url.split("id=")[1]

        def state() -> str:
            return str(client.get_fine_tuning_job(id=job_id)["state"])

        eventually(lambda: state() == "running", "it runs", 120)
        expect(page.locator("#tb-job .tb-badge").first).to_contain_text("running")
        card = browsing.open("/").locator("#tb-running .tb-card", has_text="keyboard-made")
        expect(card.locator(".tb-sparkline")).to_be_visible()
        expect(card.get_by_role("progressbar")).to_be_visible()
        tab_to("#tb-stop")
        keys.press("Enter")
        tab_to("#tb-stop-now")
        keys.press("Enter")
        eventually(lambda: state() == "stopped", "it is stopped", 60)
    expect(page.locator("#tb-job .tb-badge").first).to_contain_text("stopped")


@pytest.mark.parametrize("path", ["/", "/train"])
def test_a_phone_needs_no_sideways_scrolling(browsing: Browsing, path: str) -> None:
    page = browsing.open(path, viewport={"width": 390, "height": 844})
    page.locator("#tb-train, #tb-first, .tb-tiles").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_rubbish_posted_to_the_form_is_refused_or_harmless(served: Studio) -> None:
    url = served.status()["ui_url"]
    script = "<script>alert(1)</script>"
    for body, status in (
        (b"not json", 400),
        (b"[1]", 400),
        (b"[" * 100_000, 400),
        (b'"' + b"x" * 1_100_000 + b'"', 413),
        (json.dumps({"dataset_id": script, "base_model_id": 10**200, "lora": [], "configs": script}).encode(), 200),
        (json.dumps({"base_model_id": 10**400}).encode(), 400),
        (json.dumps({"clone": {"id": script}}).encode(), 200),
        (b'{"num_epochs": Infinity, "notes": NaN}', 400),
        (b'{"num_epochs": 1e400}', 400),
        (b'{"notes": "\\ud800"}', 400),
        (json.dumps({"configs": {"lora": {"a": script}}, "wait_memory": script, script: 1}).encode(), 200),
    ):
        answer = httpx.post(f"{url}/check/training", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == status, answer.text[:200]
        assert script not in (answer.json().get("estimate") or "")
    assert httpx.post(f"{url}/check/nothing", json={}).status_code == 404
    for query in ({"dataset": script}, {"dataset": "starter-questions", "seed": "9" * 400}, {"seed": "-1"}):
        answer = httpx.get(f"{url}/fragment/training-example", params=query)
        assert answer.status_code in (200, 400, 404)
        assert "text/html" not in answer.headers["content-type"] or script not in answer.text
