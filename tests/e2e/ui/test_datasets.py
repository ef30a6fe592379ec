"""Datasets in the browser: upload, path and roles of columns, a look inside, rename and removal, and hostile names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.browser import UPLOAD_LIMIT_MB, Browsing
from tests.fixtures.studio import Studio, eventually

pytestmark = pytest.mark.browser

# The first look at a file starts a child, which takes its time on a busy machine.
expect.set_options(timeout=30_000)

TRAP = "<img src=x onerror=\"document.title='broken'\">${document.title='broken'}{{constructor}}"


def rows(count: int) -> str:
    return "".join(json.dumps({"question": f"{n} + {n}?", "answer": str(2 * n)}) + "\n" for n in range(count))


def dataset_of(page: Page) -> str:
    return parse_qs(urlsplit(page.url).query)["id"][0]


def test_an_uploaded_file_is_looked_at_added_and_shown(browsing: Browsing, served: Studio, tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    file.write_text(rows(50))
    page = browsing.open("/datasets?add=upload")
    page.locator("#tb-datasets-file").set_input_files(file)
    look = page.locator("#tb-look")
    expect(look).to_contain_text("plain columns")
    expect(look).to_contain_text("All 50 rows")
    expect(look.locator("#tb-datasets-name")).to_have_value("sums")
    page.reload()  # the upload is part of the address: nothing is lost
    page.get_by_role("button", name="Add the dataset").click()
    page.wait_for_url("**/datasets?id=*")
    expect(page.locator("h1")).to_have_text("sums")
    with served.client() as client:
        dataset = client.get_dataset(id=dataset_of(page))
        seen = client.preview_dataset(id=dataset["id"], limit=20, offset=20)
        tokens = client.preview_dataset(id=dataset["id"], model_id="starter", limit=1)
    kept = served.home / "artifacts" / dataset["location"].removeprefix("artifact:")
    assert kept.read_text() == rows(50)
    shown = page.locator("#tb-dataset")
    expect(shown).to_contain_text("7 + 7?")
    page.get_by_role("link", name="Next", exact=True).click()
    expect(shown.locator("tbody tr").first).to_contain_text("21")
    expect(shown.locator("tbody tr").first).to_contain_text(seen["rows"][0]["question"])
    assert parse_qs(urlsplit(page.url).query)["from"] == ["20"]
    page.get_by_role("link", name="As a model sees them").click()
    expect(shown.locator("mark").nth(1)).to_have_text(tokens["rendered"][0]["completion"])
    page.get_by_role("link", name="Tokens").click()
    histogram = shown.locator(".tb-histogram svg")
    expect(histogram.locator("rect")).to_have_count(len(tokens["token_lengths"]["histogram"]))
    pieces = [piece["text"] for piece in tokens["tokenized"][0]["pieces"] if piece["loss"]]
    expect(shown.locator(".tb-tokens").first.locator(".tb-token-loss")).to_have_text(pieces)
    page.go_back()
    expect(shown.locator("mark").nth(1)).to_have_text(tokens["rendered"][0]["completion"])
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_text() == rows(50)
    assert download.value.suggested_filename == "sums.jsonl"
    other = browsing.open(page.url.removeprefix(browsing.url))
    expect(other.get_by_role("button", name="Remove")).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    page.locator("#tb-remove").get_by_label("Delete the studio's copy as well").check()
    page.locator("#tb-remove").get_by_role("button", name="Remove").click()
    page.wait_for_url("**/datasets")
    eventually(lambda: not kept.exists(), "the copy is deleted", 30)
    for _ in range(2):  # whoever looks at it, and whoever comes later
        expect(other.locator("h1")).to_have_text(re.compile("^sums was removed"))
        expect(other.locator("[data-act], dialog")).to_have_count(0)
        other.reload()
    other.get_by_role("link", name="What happened to it").click()
    expect(other.locator("#tb-events")).to_contain_text("DatasetRemoved")


def test_a_file_that_no_studio_takes_is_refused_before_it_travels(browsing: Browsing, tmp_path: Path) -> None:
    page = browsing.open("/datasets?add=upload")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    for name, body, words in (
        ("large.jsonl", b"x" * (UPLOAD_LIMIT_MB * 1_000_000 + 1), "an upload may have 1.0 MB"),
        ("picture.png", b"x", "no file of rows that can be read"),
        ("empty.csv", b"", "is empty"),
    ):
        file = tmp_path / name
        file.write_bytes(body)
        page.locator("#tb-datasets-file").set_input_files(file)
        expect(page.locator(".tb-uploading [role=alert]")).to_contain_text(words)
    assert not [url for url in sent if "upload" in url]


def test_columns_get_their_roles_and_broken_rows_are_named_by_line(
    browsing: Browsing, served: Studio, data: Path
) -> None:
    pairs = "".join(json.dumps({"frage": f"q{n % 15}", "antwort": f"a{n % 15}"}) + "\n" for n in range(16))
    file = data / "fragen.jsonl"
    file.write_text(pairs + "{broken\n" + json.dumps({"frage": "q", "antwort": ""}) + "\n")
    browsing.expected += ["403 (Forbidden)", "400 (Bad Request)"]
    page = browsing.open("/datasets?add=path")
    page.get_by_label("Path of a file").fill("/etc/passwd.csv")
    page.get_by_role("button", name="Look at it").click()
    expect(page.locator("#tb-look [role=alert]")).to_contain_text("outside the folders")
    (data / "other.csv").write_text("frage,antwort\nq,a\n")
    look = page.locator("#tb-look")
    for one in (data / "other.csv", file):
        page.get_by_label("Path of a file").fill(str(one))
        page.get_by_role("button", name="Look at it").click()
        expect(look.locator(".tb-recognised")).to_contain_text(one.name)
        expect(look.locator("#tb-datasets-name")).to_have_value(one.stem)
    expect(look).to_contain_text("line 17")
    look.get_by_label("Format").select_option("prompt_completion")
    expect(look).to_contain_text("there is no column for prompt, completion")
    look.get_by_label("Column for prompt").select_option("frage")
    expect(look).to_contain_text("there is no column for completion")
    look.get_by_label("Column for completion").select_option("antwort")
    expect(look.locator(".tb-recognised")).to_contain_text("prompt + completion")
    expect(look.get_by_text("there is no column for")).to_have_count(0)
    page.get_by_role("button", name="Add the dataset").click()
    expect(look.locator("#tb-add-form .tb-field-error").first).to_contain_text("line 17")
    expect(look).not_to_contain_text("Traceback")
    look.get_by_label("Leave broken rows out").check()
    page.get_by_role("button", name="Add the dataset").click()
    page.wait_for_url("**/datasets?id=*")
    with served.client() as client:
        dataset = client.get_dataset(id=dataset_of(page))
    assert dataset["format"] == "prompt_completion"
    assert dataset["column_mapping"] == {"prompt": "frage", "completion": "antwort"}
    page.locator(".tb-facts a").nth(0).click()  # duplicates
    found = page.locator("#tb-dataset tbody tr")
    expect(found).to_have_count(1)
    expect(found).to_contain_text("line 16")
    expect(found).to_contain_text("as row 1")
    page.get_by_role("link", name="Empty answers").click()
    expect(found).to_contain_text("line 18")
    page.get_by_role("link", name="Broken rows").click()
    expect(found).to_contain_text("line 17")
    page.get_by_role("link", name="Columns").click()
    page.get_by_text("Give columns other roles").click()
    again = page.locator(".tb-again")
    for role, column in (("prompt", ""), ("completion", ""), ("instruction", "frage"), ("output", "antwort")):
        again.get_by_label(f"Column for {role}").select_option(column)
    again.get_by_label("Remove this one").check()
    again.get_by_role("button", name="Add with these roles").click()
    expect(page.locator("h1")).to_have_text("fragen (mapped)")
    with served.client() as client:
        before, dataset = dataset, client.get_dataset(id="fragen (mapped)")
        assert (dataset["format"], dataset["sha256"]) == ("alpaca", before["sha256"])
        assert "fragen" not in [one["name"] for one in client.list_datasets(limit=1000).items]
    page.get_by_role("button", name="Rename").click()
    page.locator("#tb-rename-name").fill("questions")
    page.locator("#tb-rename").get_by_role("button", name="Rename").click()
    expect(page.locator("h1")).to_have_text("questions")
    with served.client() as client:
        client.send(
            "AddPrompt",
            name="with-them",
            dataset_id=dataset["id"],
            prompt_template="{input}\n{completion}",
            input_template="{instruction}",
            completion_template="{output}",
        )
    page.reload()
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#tb-remove")).to_contain_text("with-them")
    page.locator("#tb-remove").get_by_role("button", name="Remove it and its prompts").click()
    page.wait_for_url("**/datasets")
    with served.client() as client:
        assert "questions" not in [one["name"] for one in client.list_datasets(limit=1000).items]
        assert "with-them" not in [one["name"] for one in client.list_prompts(limit=1000).items]


def test_a_long_file_says_how_far_it_is_and_is_added(browsing: Browsing, served: Studio, data: Path) -> None:
    file = data / "long.jsonl"
    line = json.dumps({"question": "How long is it?" * 20, "answer": "Very long. " * 30}) + "\n"
    file.write_text(line * 180_000)
    page = browsing.open(f"/datasets?add=path&path={file}")
    expect(page.locator("#tb-look")).to_contain_text("the rest is when it is added")
    with page.expect_request("**/act/AddDataset") as asked:
        page.get_by_role("button", name="Add the dataset").click()
    progress = f"{browsing.url}/data/progress?id={asked.value.post_data_json['id']}"
    eventually(lambda: page.request.get(progress).json().get("done"), "the file is being read", 60, 0.01)
    readers = psutil.Process(served.pid("registry")).children(recursive=True)
    for reader in readers:  # halted, however quick it is, until the page has told how far it is
        reader.suspend()
    try:
        bar = page.locator("#tb-notices progress")
        expect(bar).to_have_attribute("max", str(file.stat().st_size))
        assert 0 < float(str(bar.get_attribute("value"))) <= file.stat().st_size
    finally:
        for reader in readers:
            reader.resume()
    page.wait_for_url("**/datasets?id=*")
    with served.client() as client:
        dataset = client.get_dataset(id=dataset_of(page))
        assert (dataset["rows"], dataset["statistics"]["duplicate_rows"]) == (180_000, 179_999)
        assert client.send("RemoveDataset", id=dataset["id"]).error is None
    file.unlink()
    asks = f"{browsing.url}/fragment/removal?aggregate=dataset&id={dataset['id']}"
    assert page.request.get(asks).status == 404
    shown = page.request.get(asks, headers={"x-tunebus-shown": "1"})  # as the page asks, which may still be loading
    assert shown.ok
    assert "was removed" in shown.text()


def test_names_and_rows_that_look_like_html_stay_text(browsing: Browsing, served: Studio, data: Path) -> None:
    file = data / "trap.jsonl"
    file.write_text(json.dumps({"question": TRAP, "answer": TRAP, "<b>x</b>": TRAP}) + "\n" + rows(5))
    with served.client() as client:
        outcome = client.send("AddDataset", name=TRAP, path=str(file), description=TRAP)
        assert outcome.error is None
        prompt = client.send(
            "AddPrompt",
            name=TRAP,
            dataset_id=outcome.id,
            prompt_template="{input}\n{completion}",
            input_template="{question}",
            completion_template="{answer}",
        )
    for path, place in (
        (f"/datasets?id={outcome.id}", "#tb-dataset"),
        (f"/datasets?id={outcome.id}&tab=tokens", "#tb-dataset"),
        (f"/datasets?id={outcome.id}&tab=uses", "#tb-dataset"),
        ("/datasets", "#tb-datasets"),
        (f"/prompts?id={prompt.id}", "h1"),
        (f"/datasets?id={'%3Cimg src=x onerror=1%3E'}", "#tb-gone"),
    ):
        page = browsing.open(path)
        expect(page.locator(place)).to_contain_text("<img src=x onerror=")
        assert page.locator("img[src=x]").count() == 0
        assert "Tunebus" in eventually(page.title, "the page has a title")
