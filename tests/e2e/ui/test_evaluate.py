"""Evaluations in the browser: what is ticked is scored, and figures and rows are those of the ledger's own answers."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect
from tunebus.ui.web.comparison import METRICS, base_first

from tests.fixtures.browser import Browsing
from tests.fixtures.looking import outlined
from tests.fixtures.populated import Contents
from tests.fixtures.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

SCORING_MS = 300_000


def test_a_comparison_shows_what_the_ledger_says(
    browsing: Browsing, served: Studio, contents: Contents, tmp_path: Path
) -> None:
    page = browsing.open(f"/evaluate?id={contents.comparison}")
    figures = page.locator("#tb-comparison .tb-compare").first
    expect(figures.locator(".tb-succeeded")).to_have_count(3)
    with served.client() as client:
        jobs = base_first(client.query("ListEvaluationJobs", parent_id=contents.comparison)["items"])
        worst = client.query(
            "CompareEvaluations", parent_id=contents.comparison, order="worst", metric="loss", job_id=jobs[0]["id"]
        )["items"]
    for metric in METRICS:
        row = figures.locator("tr", has=page.get_by_text(metric.label, exact=True))
        values = [job["metrics"][metric.name] for job in jobs]
        for cell, value in zip(row.locator("td").all()[1:], values, strict=True):
            expect(cell.locator(".tb-figure")).to_contain_text(metric.show(value))
        best = (max if metric.higher_is_better else min)(values)
        marked = sum(value == best for value in values) if len(set(values)) > 1 else 0
        expect(row.locator(".tb-best-mark")).to_have_count(marked)
    rows = page.locator("#tb-answers .tb-rows tbody tr")
    expect(rows).to_have_count(8)
    expect(page.locator("#tb-answers .tb-pager")).to_contain_text("1 to 8 of 8")

    page.get_by_label("Order").select_option("worst")
    page.get_by_label("by", exact=True).select_option("loss")
    page.get_by_label("of", exact=True).select_option(jobs[0]["id"])
    expect(rows.first.locator("td").first).to_have_text(str(worst[0]["index"] + 1))
    assert parse_qs(urlsplit(page.url).query)["order"] == ["worst"]
    shown = rows.first.locator("td").nth(3).locator("div").first
    said = shown.evaluate(
        "div => [...div.childNodes].filter(n => n.nodeName !== 'DEL').map(n => n.textContent).join('')"
    )
    assert said == worst[0]["answers"][0]["answer"]
    copied = browsing.open(page.url.removeprefix(browsing.url))
    expect(copied.locator("#tb-answers .tb-rows tbody td").first).to_have_text(str(worst[0]["index"] + 1))

    with page.expect_download() as taken:
        page.get_by_text("Rows as CSV").click()
    taken.value.save_as(tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 3 * 8
    assert {line["job_id"] for line in lines} == {job["id"] for job in jobs}
    with page.expect_download() as taken:
        page.get_by_text("Figures as JSON").click()
    assert len(json.loads(Path(taken.value.path()).read_text())) == 3


def test_what_is_ticked_is_scored(browsing: Browsing, served: Studio, contents: Contents) -> None:
    page = browsing.open(f"/evaluate?adapter={contents.adapter}")
    browsing.expected.append("status of 400")
    form = page.locator("#tb-evaluate-form")
    expect(form.locator(f'[name="adapters.{contents.adapter}"]')).to_be_checked()
    expect(page.locator("#tb-evaluate-plan")).to_contain_text("2 jobs")
    expect(page.locator("#tb-evaluate-plan")).to_contain_text("10 % of these were held out")
    box = page.get_by_label("Score the base model of each adapter as well")
    box.press("Space")
    assert outlined(box), "a person sees where the keyboard is"
    expect(box).not_to_be_checked()
    expect(page.locator("#tb-evaluate-plan")).to_contain_text("1 job")
    page.get_by_label("Rows at most").fill("3")
    form.get_by_text("How answers are made").click()
    page.get_by_label("Temperature").fill("0.5")
    page.get_by_label("Top-k").fill("5")
    page.get_by_label("Repetition penalty").fill("1.2")
    form.get_by_text("Rows and split").click()
    page.get_by_label("Columns to show").fill("nothing-like-that")
    page.locator("#tb-evaluate-start").click()
    expect(form.locator(".tb-field-error")).to_contain_text("no column of dataset")
    page.get_by_label("Columns to show").fill("answer")
    page.locator("#tb-evaluate-start").click()
    page.wait_for_url("**/evaluate?id=*")
    expect(page.locator("#tb-comparison .tb-succeeded")).to_have_count(1, timeout=SCORING_MS)
    expect(page.locator("#tb-answers .tb-rows tbody tr")).to_have_count(3)
    expect(page.locator("#tb-answers .tb-rows tbody tr").first).to_contain_text("answer: ")
    parent = parse_qs(urlsplit(page.url).query)["id"][0]
    with served.client() as client:
        (job,) = client.query("ListEvaluationJobs", parent_id=parent)["items"]
        generation = client.query("GetEvaluationJob", id=job["id"])["generation"]
    assert (generation["top_k"], generation["repetition_penalty"]) == (5, 1.2)
    assert job["adapter_id"] == contents.adapter
    assert job["metrics"]["rows"] == 3.0
    page.goto(browsing.url + "/evaluate")
    expect(page.locator("#tb-comparisons tbody tr").first.locator("a")).to_have_attribute(
        "href", f"/evaluate?id={parent}"
    )
    page.goto(browsing.url + f"/evaluate?id={parent}")
    page.get_by_role("button", name="Remove").click()
    page.locator("dialog[open]").get_by_role("button", name="Remove").click()
    page.wait_for_url("**/evaluate")
    expect(page.locator("#tb-comparisons")).not_to_contain_text(parent)
    with served.client() as client:
        assert client.query("ListEvaluationJobs", parent_id=parent)["items"] == []


def test_what_a_training_is_to_make_is_queued_and_scored_when_it_is_done(
    browsing: Browsing, served: Studio, contents: Contents
) -> None:
    with served.client() as client:
        cloned = client.send(
            "CloneFineTuningJob",
            id=contents.held,
            adapter_name="modules-soon",
            changes={"max_steps": 4, "save_steps": 4, "eval_steps": 4},
        )
        assert cloned.error is None
        training = str(cloned.id)
        client.send("HoldJob", job_id=training)
    page = browsing.open(f"/evaluate?trainings={training}")
    form = page.locator("#tb-evaluate-form")
    expect(form.locator(f'[name="trainings.{training}"]')).to_be_checked()
    expect(page.locator("#tb-evaluate-plan")).to_contain_text("2 jobs")
    expect(page.locator("#tb-evaluate-plan")).to_contain_text("scored once it has succeeded")
    expect(page.locator("#tb-evaluate-plan")).to_contain_text("10 % of these were held out")
    page.get_by_label("Rows at most").fill("2")
    page.locator("#tb-evaluate-start").click()
    page.wait_for_url("**/evaluate?id=*")
    table = page.locator("#tb-comparison .tb-compare").first
    expect(table).to_contain_text("starter + modules-soon")
    expect(table).to_contain_text("modules-soon", timeout=SCORING_MS)
    page.goto(browsing.url + f"/jobs?id={training}")
    page.locator("#tb-compare-later").click()
    page.wait_for_url("**/evaluate?id=*")
    parent = parse_qs(urlsplit(page.url).query)["id"][0]
    with served.client() as client:
        jobs = base_first(client.query("ListEvaluationJobs", parent_id=parent)["items"])
        assert [job["fine_tuning_job_id"] for job in jobs] == [None, training]
        assert "modules-soon" in jobs[1]["waiting_reason"]
        client.send("ReleaseJob", job_id=training)
    expect(page.locator("#tb-comparison .tb-succeeded")).to_have_count(2, timeout=SCORING_MS)
    with served.client() as client:
        adapter = client.get_adapter(id="modules-soon")["id"]
        scored = client.query("ListEvaluationJobs", adapter_id=adapter)["items"]
    assert {job["parent_id"] for job in scored} >= {parent}
    assert len(scored) == 2


def test_an_evaluation_that_is_not_there_says_so(browsing: Browsing) -> None:
    page = browsing.open("/evaluate?id=<script>alert(1)</script>")
    expect(page.locator("#tb-gone h1")).to_contain_text("No evaluation <script>")
