"""Datasets in the browser: upload, preview, field errors, and names that try to be HTML."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.fixtures.browser import UPLOAD_LIMIT_MB, Browsing
from tests.fixtures.studio import Studio, eventually

pytestmark = pytest.mark.browser

TRAP = "<img src=x onerror=\"document.title='broken'\">${document.title='broken'}{{constructor}}"


def rows(count: int) -> str:
    return "".join(json.dumps({"question": f"{n} + {n}?", "answer": str(2 * n)}) + "\n" for n in range(count))


def test_an_uploaded_file_becomes_a_dataset_with_a_preview(browsing: Browsing, served: Studio, tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    file.write_text(rows(20))
    page = browsing.open("/datasets")
    page.locator("#tb-upload input[type=file]").set_input_files(file)
    expect(page.locator("#tb-upload-name input, #tb-upload-name textarea")).to_have_value("sums")
    page.locator("#tb-add-upload").click()
    page.wait_for_url("**/datasets?id=*")
    preview = page.locator("#tb-dataset")
    expect(preview).to_contain_text("7 + 7?")
    expect(preview).to_contain_text("As the model sees it")
    expect(preview.locator(".tb-columns tbody tr")).to_have_count(2)
    with served.client() as client:
        dataset = client.get_dataset(id=page.url.split("id=")[1])
    assert dataset["location"] == f"artifact:uploads/{dataset['sha256']}.jsonl"
    assert (served.home / "artifacts" / "uploads" / f"{dataset['sha256']}.jsonl").read_text() == rows(20)
    assert dataset["name"] == "sums"
    page.reload()
    expect(preview).to_contain_text("7 + 7?")


def test_a_file_too_large_is_refused_in_words_before_it_travels(browsing: Browsing, tmp_path: Path) -> None:
    file = tmp_path / "large.jsonl"
    file.write_bytes(b"x" * (UPLOAD_LIMIT_MB * 1_000_000 + 1))
    # Gradio asks for the progress of an upload that it then does not make.
    browsing.expected += ["404 (Not Found)", "Response", "maximum allowed size"]
    page = browsing.open("/datasets")
    page.locator("#tb-upload input[type=file]").set_input_files(file)
    expect(page.get_by_text("exceed the maximum allowed size")).to_be_visible()


def test_wrong_fields_are_named_with_a_way_out(browsing: Browsing, data: Path) -> None:
    page = browsing.open("/datasets")
    page.get_by_role("tab", name="By path").click()
    page.locator("#tb-add-path").click()
    notice = page.locator("#tb-notice [role=alert]")
    expect(notice).to_contain_text("path: is required")
    expect(notice).to_contain_text("name: is required")
    (data / "broken.jsonl").write_text(rows(16) + "{broken\n" + rows(3))
    page.locator("#tb-path textarea, #tb-path input").fill(str(data / "broken.jsonl"))
    page.locator("#tb-name textarea, #tb-name input").fill("broken")
    page.locator("#tb-add-path").click()
    expect(notice).to_contain_text("17")
    expect(notice).not_to_contain_text("Traceback")
    page.locator("#tb-path textarea, #tb-path input").fill("/etc/passwd")
    page.locator("#tb-add-path").click()
    expect(notice).to_contain_text("path")


def test_names_and_rows_that_look_like_html_stay_text(browsing: Browsing, served: Studio, data: Path) -> None:
    file = data / "trap.jsonl"
    file.write_text(json.dumps({"question": TRAP, "answer": TRAP, "<b>x</b>": TRAP}) + "\n" + rows(5))
    with served.client() as client:
        outcome = client.send("AddDataset", name=TRAP, path=str(file), description=TRAP)
        assert outcome.error is None
        client.send(
            "AddPrompt",
            name=TRAP,
            dataset_id=outcome.id,
            prompt_template="{input}\n{completion}",
            input_template="{question}",
            completion_template="{answer}",
        )
    for path, place in (
        (f"/datasets?id={outcome.id}", "#tb-dataset"),
        ("/datasets", "#tb-datasets"),
        (f"/train?dataset={outcome.id}", "#tb-dataset-choice"),
        (f"/evaluate?id={'%3Cimg src=x onerror=1%3E'}", "#tb-warning"),
    ):
        page = browsing.open(path)
        if place == "#tb-dataset-choice":
            expect(page.locator(f"{place} input")).to_have_value(TRAP)
            page.locator(f"{place} input").click()
            page.locator(f"{place} input").fill("")
            page.get_by_role("option").first.wait_for()
        else:
            expect(page.locator(place)).to_contain_text("<img src=x onerror=")
        assert page.locator("img[src=x]").count() == 0
        assert "Tunebus" in eventually(page.title, "the page has a title")


def test_an_unknown_dataset_says_so(browsing: Browsing) -> None:
    page = browsing.open("/datasets?id=nothing-like-it")
    expect(page.locator("#tb-dataset [role=alert]")).to_contain_text("nothing-like-it")
