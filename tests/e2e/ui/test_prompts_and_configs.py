"""Prompts and configs in the browser: what is typed is shown at once, form and JSON in step, two beside each other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.browser import Browsing
from tests.fixtures.studio import Studio

pytestmark = pytest.mark.browser

# The first look at a file starts a child, which takes its time on a busy machine.
expect.set_options(timeout=30_000)


def id_of(page: Page) -> str:
    return parse_qs(urlsplit(page.url).query)["id"][0]


def test_a_prompt_is_written_with_its_columns_at_hand(browsing: Browsing, served: Studio, data: Path) -> None:
    file = data / "capitals.jsonl"
    pairs = (("France", "Paris"), ("Italy", "Rome"), ("Peru", "Lima"))
    file.write_text("".join(json.dumps({"land": land, "city": city}) + "\n" for land, city in pairs))
    with served.client() as client:
        dataset = client.send("AddDataset", name="capitals", path=str(file)).id
        made = client.generate_prompt(dataset_id="capitals", output_column="land")
    browsing.expected += ["400 (Bad Request)"]
    page = browsing.open("/prompts?new=1")
    page.get_by_label("Dataset").select_option(label="capitals")
    example = page.locator("[data-example-place]")
    expect(example.locator("mark").nth(1)).to_have_text(re.compile("Paris|Rome|Lima"))
    page.get_by_label("Answer column").select_option("land")
    page.get_by_role("button", name="Generate templates").click()
    expect(page.get_by_label("Answer", exact=True)).to_have_value(made["completion_template"])
    written = page.get_by_label("Input", exact=True)
    written.fill("Which land has the capital ?")
    written.press("ArrowLeft")
    page.get_by_role("button", name="{city}").click()
    expect(written).to_have_value("Which land has the capital {city}?")
    expect(example.locator("pre")).to_contain_text("Which land has the capital")
    page.get_by_label("Whole text").fill("{input} {nothing}\n{completion}")
    wrong = page.locator(".tb-field", has=page.get_by_label("Whole text")).locator(".tb-field-error")
    expect(wrong).to_contain_text("{nothing} at position 9")
    page.get_by_label("Whole text").fill("{input}\n{completion}")
    expect(wrong).to_have_count(0)
    page.get_by_label("Shown as").select_option("starter")
    expect(example.locator("pre")).to_contain_text("<|user|>")
    page.reload()  # a draft survives
    expect(written).to_have_value("Which land has the capital {city}?")
    page.get_by_label("Name").fill("which-land")
    page.get_by_role("button", name="Save as a new prompt").click()
    page.wait_for_url("**/prompts?id=*")
    with served.client() as client:
        prompt = client.get_prompt(id=id_of(page))
        shown = client.render_prompt(prompt_id=prompt["id"], seed=1)
    assert (prompt["name"], prompt["dataset_id"]) == ("which-land", dataset)
    assert prompt["input_template"] == "Which land has the capital {city}?"
    page.get_by_role("link", name="Another row").click()
    expect(page.locator("#tb-prompt pre").last).to_have_text(shown["text"])
    page.get_by_role("link", name="Change a copy").click()
    expect(page.get_by_label("Name")).to_have_value("which-land (copy)")
    expect(page.get_by_label("Input", exact=True)).to_have_value(prompt["input_template"])
    page.goto(browsing.url + f"/prompts?id={prompt['id']}")
    page.get_by_role("button", name="Remove").click()
    page.locator("#tb-remove").get_by_role("button", name="Remove", exact=True).click()
    page.wait_for_url("**/prompts")
    with served.client() as client:
        assert "which-land" not in [one["name"] for one in client.list_prompts(limit=1000).items]


def test_a_config_is_edited_as_form_and_as_json_in_step(browsing: Browsing, served: Studio) -> None:
    browsing.expected += ["400 (Bad Request)"]
    page = browsing.open("/configs?new=1&type=lora")
    document = page.get_by_label("Document")
    page.get_by_label("Rank", exact=True).fill("24")
    expect(document).to_have_value(json.dumps({"r": 24}, indent=2))
    page.get_by_label("DoRA").select_option("true")
    page.get_by_label("Adapted layers").fill("q_proj, v_proj")
    document.fill('{"r": 12, "target_modules": ["o_proj"], "lora_alhpa": 3, "lora_dropout": 2}')
    expect(page.get_by_label("Rank", exact=True)).to_have_value("12")
    expect(page.get_by_label("Adapted layers")).to_have_value("o_proj")
    expect(page.get_by_label("DoRA")).to_have_value("")
    dropout = page.locator(".tb-field", has=page.get_by_label("Dropout"))
    expect(dropout.locator(".tb-field-error")).to_contain_text("less than 1")
    wrong = page.locator(".tb-field", has=document).locator(".tb-field-error")
    expect(wrong).to_contain_text("did you mean 'lora_alpha'")
    document.fill('{"r": 12, "target_modules": ["o_proj"]}')
    expect(page.locator(".tb-field-error")).to_have_count(0)
    page.get_by_label("What it is for").fill("narrow, output only")
    page.reload()
    expect(page.get_by_label("Rank", exact=True)).to_have_value("12")
    page.get_by_role("button", name="Save as a new config").click()
    page.wait_for_url("**/configs?id=*")
    expect(page.locator("h1")).to_have_text("narrow, output only")
    with served.client() as client:
        config = client.get_config(id=id_of(page))
        assert config["config"] == {"r": 12, "target_modules": ["o_proj"]}
        other = client.send("AddConfig", type="lora", config={"r": 12, "use_dora": True}, description="with DoRA").id
        held = client.send(
            "StartFineTuningJob",
            base_model_id="starter",
            dataset_id=client.list_datasets().items[0]["id"],
            adapter_name="uses-a-config",
            lora=config["id"],
            hold=True,
        )
        assert held.error is None
    page.goto(f"{browsing.url}/configs?id={config['id']}")
    expect(page.locator("#tb-config")).to_contain_text("uses-a-config")
    page.get_by_label("Other config of this type").select_option(label="with DoRA")
    rows = page.locator("#tb-difference tbody tr")
    expect(rows).to_have_count(3)
    expect(page.locator("#tb-difference .tb-differs")).to_have_count(2)
    assert parse_qs(urlsplit(page.url).query)["with"] == [other]
    page.get_by_role("button", name="Rename or describe").click()
    page.locator("#tb-describe").get_by_label("What it is for").fill("narrow")
    page.locator("#tb-describe").get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("narrow")
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#tb-remove")).to_contain_text("uses-a-config")
    expect(page.locator("#tb-remove").get_by_role("button", name="Remove", exact=True)).to_be_disabled()
    with served.client() as client:
        assert client.send("StopFineTuningJob", id=held.id).error is None


def test_what_anyone_asks_of_the_pages_is_refused_in_words(browsing: Browsing) -> None:
    page = browsing.open("/configs")
    browsing.expected += ["Failed to load resource"]
    for method, path, body in (
        ("GET", "/fragment/uses?aggregate=zzz", None),
        ("GET", "/fragment/removal", None),
        ("GET", "/fragment/dataset-tokens?id=starter-questions", None),
        ("GET", "/fragment/dataset-rows?from=9", None),
        ("GET", "/fragment/dataset-findings?id=starter-questions&kind=%3Cscript%3E", None),
        ("GET", "/fragment/dataset-look?path=/etc/passwd", None),
        ("GET", "/fragment/dataset-look?upload=../../x.csv&format=%00", None),
        ("GET", "/fragment/prompt-example?id=%3Cimg%3E&seed=1e9", None),
        ("GET", "/download/dataset?id=nope&file=../../run.json", None),
        ("GET", "/data/progress?id=../..", None),
        ("POST", "/check/prompt", {"dataset_id": ["x"], "seed": 10**30}),
        ("POST", "/check/config", {"type": ["lora"], "config": "[" * 2000}),
        (
            "POST",
            "/act/keep_dataset_upload",
            {"id": "6f9619ff-8b86-4d01-b42d-00c04fc964ff", "data": {"path": "/etc/x"}},
        ),
        ("POST", "/act/map_dataset", {"id": "6f9619ff-8b86-4d01-b42d-00c04fc964fe", "data": {"id": {"a": 1}}}),
    ):
        answer = page.request.fetch(browsing.url + path, method=method, data=body)
        error = answer.json()["error"]
        assert 400 <= answer.status < 500, (path, error)
        assert error["message"], path
        assert "Traceback" not in answer.text()
