"""Models and adapters in the browser: found, added, renamed, removed, tried, taken, exported, and what came of what."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Page, expect
from tunebus.services.platform.home import STARTER_PACK

from tests.fixtures.browser import Browsing
from tests.fixtures.hub import Hub
from tests.fixtures.populated import Contents
from tests.fixtures.studio import Studio, eventually

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

MODEL = STARTER_PACK / "model"
ANSWER_MS = 240_000
HOSTILE = "<img src=x onerror=alert(1)>"


def names(page: Page, of: str) -> list[str]:
    return page.locator(f"#tb-{of} tbody tr td:first-child").all_inner_texts()


def test_models_are_found_added_renamed_and_removed(
    browsing: Browsing, served: Studio, served_hub: Hub, contents: Contents
) -> None:
    files = {path.name: path.read_bytes() for path in MODEL.iterdir() if path.is_file()}
    config = json.loads(files["config.json"]) | {
        "model_type": "acme",
        "auto_map": {"AutoModelForCausalLM": "modeling_acme.AcmeForCausalLM"},
    }
    files |= {"config.json": json.dumps(config).encode(), "modeling_acme.py": b"raise SystemExit\n"}
    repository = served_hub.put("models", "acme/own-code", files, card={"license": "mit"})

    page = browsing.open("/models")
    browsing.expected += ["status of 400", "status of 403", "status of 404", "status of 409"]
    page.get_by_role("button", name="Add a model").click()
    form = page.locator("#tb-add-model-form")
    form.get_by_label("Name", exact=True).fill(HOSTILE)
    form.get_by_label("Folder on this machine").fill("/no/such/folder")
    form.get_by_role("button", name="Add").click()
    expect(form.locator(".tb-field-error")).to_be_visible()
    form.get_by_label("Folder on this machine").fill("")
    form.get_by_label("or name on the Hub").fill("acme/own-code")
    form.get_by_role("button", name="Add").click()
    approval = page.locator("#tb-approve-form")
    expect(approval.locator("[data-code]")).to_have_text("modeling_acme.py")
    expect(approval.locator("[name=revision]")).to_have_value(repository.commit)
    approval.get_by_label("Why you trust it").fill("read it")
    approval.get_by_role("button").click()
    page.wait_for_url("**/models?id=*")
    expect(page.locator("#tb-model h1")).to_have_text(HOSTILE)
    facts = page.locator("#tb-take .tb-pairs")
    for words in ("modeling_acme.py", "mit", repository.commit, "3,803,392"):
        expect(facts).to_contain_text(words)

    page.get_by_role("button", name="Rename").first.click()
    page.locator("#tb-rename-form [name=name]").fill("starter")
    page.locator("#tb-rename-form button[type=submit]").click()
    expect(page.locator("#tb-rename-form .tb-field-error")).to_be_visible()
    page.locator("#tb-rename-form [name=name]").fill("own-code")
    page.locator("#tb-rename-form button[type=submit]").click()
    expect(page.locator("#tb-model h1")).to_have_text("own-code")

    page.goto(browsing.url + "/models?sort=name")
    expect(page.locator("#tb-models tbody tr")).not_to_have_count(0)
    with served.client() as client:
        known = sorted(one["name"] for one in client.query("ListModels", limit=1000)["items"])
    assert names(page, "models") == known
    page.get_by_label("Search").fill("own-c")
    expect(page.locator("#tb-models tbody tr")).to_have_count(1)
    page.get_by_label("Search").fill("")
    expect(page.locator("#tb-models tbody tr")).to_have_count(len(known))
    page.get_by_role("link", name="Name").click()
    eventually(lambda: names(page, "models") == known[::-1], "the order is turned", 20)
    page.go_back()
    eventually(lambda: names(page, "models") == known, "Back brings the order back", 20)

    page.get_by_role("link", name="own-code").click()
    page.get_by_role("button", name="Remove").first.click()
    page.locator("#tb-remove-form button[type=submit]").click()
    page.wait_for_url("**/models")
    expect(page.locator("#tb-models")).not_to_contain_text("own-code")
    with served.client() as client:
        adapters = client.query("ListAdapters", model_id="starter")["items"]
    assert contents.adapter in {one["id"] for one in adapters}
    page.goto(browsing.url + "/models?id=starter")
    page.get_by_role("button", name="Remove").first.click()
    expect(page.locator("#tb-remove")).to_contain_text(adapters[-1]["name"])
    page.locator("#tb-remove-form button[type=submit]").click()
    expect(page.locator("#tb-notices")).to_contain_text("is in use by")


def test_an_adapter_is_tried_exported_and_taken_along(
    browsing: Browsing, served: Studio, contents: Contents, tmp_path: Path
) -> None:
    page = browsing.open(f"/adapters?id={contents.adapter}&tab=take")
    page.get_by_label("As what").select_option("adapter")
    page.locator("#tb-export-start").click()
    export = page.locator("#tb-exports .tb-export").first
    expect(export).to_be_visible()

    asking = browsing.open(f"/adapters?id={contents.adapter}&tab=try")
    asking.locator("#tb-try-prompts").fill(f"Which part has OrderedDict?\n---\n{HOSTILE}")
    asking.get_by_text("Sampling").click()
    asking.get_by_label("New tokens at most").fill("24")
    asking.locator("#tb-try-ask").click()
    tried = asking.locator("#tb-tries .tb-try").first
    expect(tried.locator(".tb-try-prompt").nth(1)).to_have_text(HOSTILE)
    other = browsing.open(f"/adapters?id={contents.adapter}&tab=try")
    for one in (tried, other.locator("#tb-tries .tb-try").first):
        expect(one.locator(".tb-try-answer .tb-badge")).to_have_count(0, timeout=ANSWER_MS)
    with served.client() as client:
        jobs = client.query("ListEvaluationJobs", adapter_id=contents.adapter, typed=True, order="newest")["items"]
        asked = client.query("GetEvaluationJob", id=jobs[0]["id"])
        answers = client.query("GetEvaluationRows", job_id=jobs[0]["id"])["items"]
        samples = client.query("GetSamples", job_id=jobs[0]["id"])["rows"]
    assert asked["generation"]["max_new_tokens"] == 24
    told = {row["row"]: row["answers"][-1]["answer"] for row in samples}
    assert told == {row["index"]: row["answer"] for row in answers}
    for number, row in enumerate(answers):
        block = tried.locator(".tb-try-block").nth(number)
        expect(block.locator(".tb-try-answer")).to_have_count(2)
        said = block.locator(".tb-try-answer").nth(1).locator(".tb-try-text")
        if row["answer"]:
            assert said.text_content() == row["answer"]
    asking.get_by_role("link", name="Ask again").first.click()
    expect(asking.locator("#tb-try-prompts")).to_have_value(f"Which part has OrderedDict?\n---\n{HOSTILE}")
    expect(asking.get_by_label("New tokens at most")).to_have_value("24")
    asking.locator(".tb-tabs").get_by_role("link", name="Take it").click()
    expect(asking.locator("#tb-download")).to_be_visible()
    expect(asking.locator("#tb-try-form, .tb-try")).to_have_count(0)

    expect(export).to_contain_text("it gave the same answer to 20 of 20", timeout=ANSWER_MS)
    with served.client() as client:
        done = client.query("ListExportJobs", adapter_id=contents.adapter)["items"][-1]
    expect(export).to_contain_text(done["destination"])
    export.get_by_role("link", name="Model card").click()
    expect(page.locator("#tb-exports .tb-card-text")).to_contain_text("## Verified")
    of_job = browsing.open(f"/jobs?id={done['id']}").locator(".tb-doing").get_by_role("link", name="Download")
    ways = ((page.locator("#tb-download"), "modules-r16/"), (export.get_by_text("Download"), ""), (of_job, ""))
    for way, inside in ways:
        with way.page.expect_download() as taken:
            way.click()
        taken.value.save_as(tmp_path / "taken.zip")
        with zipfile.ZipFile(tmp_path / "taken.zip") as archive:
            assert archive.testzip() is None
            found = archive.namelist()
            config = json.loads(archive.read(next(name for name in found if name.endswith("adapter_config.json"))))
        assert all(name.startswith(inside) for name in found)
        assert {name.rpartition("/")[2] for name in found} >= {"adapter_model.safetensors", "README.md"}
        assert config["base_model_name_or_path"] == "starter"
    snippet = page.locator("#tb-take .tb-code").first.inner_text()
    compile(snippet, "snippet", "exec")
    assert "PeftModel.from_pretrained" in snippet


def test_lineage_leads_to_what_made_it(browsing: Browsing, served: Studio, contents: Contents) -> None:
    page = browsing.open(f"/adapters?id={contents.adapter}")
    graph = page.locator("#tb-lineage .tb-lineage-wide svg")
    with served.client() as client:
        job = client.get_fine_tuning_job(id=contents.tuned)
    for kind in ("model", "dataset", "job", "checkpoint", "adapter", "evaluation"):
        expect(graph.locator(f".tb-lineage-{kind}").first).to_be_visible()
    expect(graph.locator(".tb-lineage-current")).to_have_attribute("aria-label", f"adapter: {job['adapter_name']}")
    narrow = browsing.open(f"/adapters?id={contents.adapter}", viewport={"width": 390, "height": 844})
    expect(narrow.locator("#tb-lineage .tb-lineage-narrow svg")).to_be_visible()
    expect(narrow.locator("#tb-lineage .tb-lineage-wide svg")).to_be_hidden()
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390
    graph.locator(".tb-lineage-job").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/jobs?id={contents.tuned}")


@pytest.mark.parametrize("given", ["", "../../etc/passwd", HOSTILE, "9" * 5000, "\x00", "artifact:/etc"])
def test_whatever_is_asked_for_by_raw_requests_is_refused_or_harmless(
    served: Studio, contents: Contents, given: str
) -> None:
    with httpx.Client(base_url=served.status()["ui_url"], timeout=60) as raw:
        for path in (
            *(f"/download/{name}?id=" for name in ("adapter", "model", "export", "evaluation")),
            *(f"/fragment/{name}?id=" for name in ("adapter-card", "evaluation-rows")),
        ):
            answer = raw.get(path + quote(given))
            assert answer.status_code in (400, 403, 404, 409), path
            assert set(answer.json()["error"]) >= {"code", "message"}
        for name in ("page", "sort", "search", "tab", "tries", "again", "card", "order", "by", "after", "adapters"):
            for page in (
                "/live/models?id=starter&",
                f"/live/evaluate?id={contents.comparison}&",
                "/live/evaluate?",
                "/live/adapters?",
            ):
                answer = raw.get(f"{page}{name}={quote(given)}")
                assert answer.status_code == 200
                assert "<img src=x" not in "".join(answer.json()["parts"].values())
        for action in ("try_it", "remove_try", "start_evaluation", "remove_evaluations", "approve_and_add_model"):
            for data in (
                {},
                {"id": given, "parent_id": given, "prompts": given, "adapters": given},
                {"adapters": {given: True}},
            ):
                answer = raw.post(f"/act/{action}", json={"id": str(uuid4()), "data": data})
                assert answer.status_code < 500, (action, data, answer.text)
