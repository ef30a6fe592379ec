"""Charts, logs and comparisons in the browser hold what the queries answer, and keep what a person sees and chose."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nats
import pytest
from playwright.sync_api import Page, Response, Route, expect
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform import database
from tunebus.services.platform.settings import load_settings
from tunebus.services.projector.parsing import AttemptRow, Rows
from tunebus.services.projector.store import Store

from tests.fixtures.browser import Browsing
from tests.fixtures.studio import Studio, eventually

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

LOSS = "#tb-chart-loss"
SMALL_REFRESH = 20_000  # bytes


def start(served: Studio, **fields: Any) -> str:
    given = {
        "base_model_id": "starter",
        "dataset_id": "starter-questions",
        "prompt_id": "starter-prompt",
        "max_steps": 5000,
        "save_steps": 5,
        "eval_steps": 10,
        "batch_size": 4,
        "max_length": 64,
        "train_test_split": 0.99,
    }
    with served.client() as client:
        outcome = client.send("StartFineTuningJob", **(given | fields))
        assert outcome.error is None
        return str(outcome.id)


def stop(served: Studio, job: str) -> None:
    with served.client() as client:
        client.send("StopFineTuningJob", id=job, force=True)
        eventually(lambda: client.get_fine_tuning_job(id=job)["state"] == "stopped", "the job is stopped", 60)


def asked(served: Studio, query: str, **arguments: Any) -> Any:
    with served.client() as client:
        return client.query(query, **arguments)


def told(served: Studio, job: str, records: list[dict[str, Any]]) -> None:
    """Telemetry as a supervisor sends it."""

    async def send() -> None:
        bus = await nats.connect(served.status()["nats_url"])
        try:
            for begin in range(0, len(records), 500):
                batch = {"v": 1, "job_id": job, "attempt": 1, "records": records[begin : begin + 500]}
                await bus.jetstream().publish(Subjects().telemetry(job, 1), json.dumps(batch).encode())
        finally:
            await bus.close()

    with ThreadPoolExecutor(1) as elsewhere:  # Playwright's own loop runs on this thread
        elsewhere.submit(asyncio.run, send()).result()


def plotted(page: Page, chart: str = LOSS) -> dict[str, Any]:
    """What Plotly holds of a chart: the lines by name, the ranges, and the words of its marks."""
    script = """(chart) => {
      const plot = document.querySelector(`${chart} .tb-plot-area`);
      if (!plot?.data) return null;
      const lines = {};
      for (const { uid, x, y } of plot.data) lines[uid] = { x: [...x], y: [...y] };
      const words = plot.data.filter(({ yaxis }) => yaxis === "y2").flatMap(({ text }) => text);
      const { xaxis, yaxis, annotations } = plot._fullLayout;
      const labels = annotations.map(({ text }) => text);
      return { lines, words, labels, x: xaxis.range, y: yaxis.range, log: yaxis.type };
    }"""
    found: dict[str, Any] = page.evaluate(script, chart)
    return found


def drawn(page: Page, line: str, least: int, chart: str = LOSS) -> dict[str, Any]:
    def probe() -> dict[str, Any] | None:
        found = plotted(page, chart)
        return found if found and len(found["lines"].get(line, {}).get("x", ())) >= least else None

    return eventually(probe, f"{least} points of {line} are drawn", 120, 0.2)


@pytest.fixture(scope="module")
def trained(served: Studio) -> Iterator[str]:
    """A job whose training process was killed and which goes on in a second attempt."""
    job = start(served, adapter_name="charted")
    with served.client() as client:
        eventually(lambda: (client.get_fine_tuning_job(id=job)["checkpoint_step"] or 0) >= 10, "a checkpoint", 120)
    child = next(
        process
        for process in served.processes()
        if "tunebus.services.trainer.run" in process.cmdline() and job in " ".join(process.cmdline())
    )
    os.kill(child.pid, signal.SIGKILL)
    yield job
    stop(served, job)


def test_a_curve_is_that_of_the_query_shows_its_seam_and_keeps_what_one_did(
    browsing: Browsing, served: Studio, trained: str
) -> None:
    page = browsing.open(f"/jobs?id={trained}&tab=charts", viewport={"width": 1280, "height": 1000})
    eventually(lambda: (found := plotted(page)) and any("attempt 2" in one for one in found["words"]), "the seam", 120)
    found = plotted(page)
    assert any("attempt 1" in words for words in found["words"])
    assert "attempt 2" in found["labels"]
    drawn(page, "training", len(found["lines"]["training"]["x"]) + 3)

    # A zoom and a hidden series outlive what comes; what comes is little.
    legend = page.locator(f"{LOSS} .tb-plot-legend button")
    legend.filter(has_text="held out").click()
    page.locator(LOSS).scroll_into_view_if_needed()
    box = page.locator(f"{LOSS} .nsewdrag").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 120, steps=4)
    page.mouse.up()
    expect(page.locator(f"{LOSS} .tb-plot-tools button", has_text="Reset zoom")).to_be_visible()
    zoomed = plotted(page)
    sizes: list[int] = []

    def heard(response: Response) -> None:
        if "/data/metrics" in response.url:
            sizes.append(int(response.headers["content-length"]))

    page.on("response", heard)
    later = drawn(page, "training", len(zoomed["lines"]["training"]["x"]) + 5)
    assert (later["x"], later["y"]) == (zoomed["x"], zoomed["y"])
    assert "held out" not in later["lines"]
    eventually(lambda: page.evaluate("true") and sizes, "points have been fetched")
    assert max(sizes) < SMALL_REFRESH
    page.locator(f"{LOSS} .tb-plot-tools button", has_text="Reset zoom").click()
    eventually(lambda: plotted(page)["x"] != zoomed["x"], "the whole curve is back")

    stop(served, trained)
    loss = asked(served, "GetMetrics", job_id=trained, names=["loss"])["series"]["loss"]

    def same() -> bool:
        now = plotted(page)["lines"]["training"]
        return bool(now["x"] == loss["steps"] and now["y"] == loss["values"])

    eventually(same, "the curve is that of the query", 30)
    assert len(loss["steps"]) == len(set(loss["steps"]))

    # What is chosen holds for all charts, after a reload too, and a copied link shows the same.
    page.get_by_label("x axis").select_option("tokens")
    page.get_by_label("Log scale").check()
    eventually(lambda: plotted(page)["log"] == "log", "the axis is logarithmic")
    tokens = asked(served, "GetMetrics", job_id=trained, names=["tokens"])["series"]["tokens"]["values"]
    eventually(lambda: plotted(page)["lines"]["training"]["x"] == tokens, "points stand at their tokens")
    assert "charts=tokens" in page.url
    copied = browsing.open(page.url.removeprefix(browsing.url))
    drawn(copied, "training", len(tokens))
    assert plotted(copied)["lines"]["training"]["x"] == tokens
    words = page.locator(f"{LOSS} .tb-plot-area").get_attribute("aria-label") or ""
    assert f"{loss['values'][-1]:.4g}" in words
    with page.expect_download() as picture:
        page.locator(f"{LOSS} .tb-plot-tools button", has_text="PNG").click()
    assert Path(picture.value.path()).read_bytes().startswith(b"\x89PNG")
    with page.expect_download() as table:
        page.locator(f"{LOSS} .tb-plot-tools a").click()
    rows = list(csv.reader(Path(table.value.path()).read_text().splitlines()))
    assert [float(row[1]) for row in rows[1:] if row[1]] == loss["values"]


STEPS = 6_000


@pytest.fixture(scope="module")
def measured(served: Studio, trained: str) -> str:
    """A job that failed at once, with the telemetry of a long run on two GPUs."""
    stop(served, trained)
    job = start(served, adapter_name="measured", lora={"target_modules": ["word_embeddings"]})
    with served.client() as client:
        eventually(lambda: client.get_fine_tuning_job(id=job)["state"] == "failed", "the job has failed", 120)
    begin, offset = time.time(), asked(served, "GetLog", job_id=job, tail=1000)["next_offset"]
    records: list[dict[str, Any]] = []

    def add(**record: Any) -> None:
        records.append({"n": 100_000 + len(records), "t": begin + len(records) / 10, **record})

    for step in range(1, STEPS + 1):
        loss: Any = {3_000: 77.0, 4_000: "NaN"}.get(step, 2.0 + step % 7 / 10)
        add(k="metric", step=step, values={"loss": loss})
        if step % 10 == 0:
            text = f"12:00:00 {'ERROR' if step % 1000 == 0 else 'INFO'} step {step} <b>of</b> many\n"
            add(k="log", offset=offset, text=text)
            offset += len(text)
            add(k="system", values={"cpu_percent": 90.0, "gpu0_percent": 80.0, "gpu1_percent": 70.0})
    told(served, job, records)
    eventually(
        lambda: (
            asked(served, "GetMetrics", job_id=job, points=2)["last_step"] == STEPS
            and asked(served, "GetLog", job_id=job, tail=10)["next_offset"] == offset
        ),
        "the telemetry is written",
        60,
    )
    return job


def test_a_long_run_is_thinned_keeps_its_extremes_and_marks_what_is_no_number(
    browsing: Browsing, served: Studio, measured: str
) -> None:
    page = browsing.open(f"/jobs?id={measured}&tab=charts")
    found = drawn(page, "training", 100)["lines"]
    assert len(found["training"]["x"]) <= 1500
    assert found["training"]["x"][-1] == STEPS
    assert 77.0 in found["training"]["y"]
    assert found["training odd"]["x"] == [4_000]
    page.get_by_label("Clip outliers").check()
    eventually(lambda: plotted(page)["y"][1] < 10, "the outlier is out of the picture")

    page.goto(f"{browsing.url}/jobs?id={measured}&tab=system")
    gpus = drawn(page, "GPU 1", 100, "#tb-chart-machine-gpu")["lines"]
    assert set(gpus["GPU 0"]["y"]) == {80.0}
    assert set(gpus["GPU 1"]["y"]) == {70.0}
    expect(page.locator("#tb-chart-machine-gpu_power figure")).to_be_hidden()


def test_a_log_shows_its_end_and_is_searched_whole(browsing: Browsing, served: Studio, measured: str) -> None:
    page = browsing.open(f"/jobs?id={measured}&tab=logs")
    lines = page.locator(".tb-log-lines > div")
    expect(lines.last).to_have_text(f"12:00:00 ERROR step {STEPS} <b>of</b> many")
    page.get_by_label("Level").select_option("ERROR")
    wanted = asked(served, "SearchLog", job_id=measured, level="ERROR", limit=1000)["items"]
    expect(lines).to_have_count(len(wanted))
    assert lines.all_inner_texts() == [line["text"] for line in wanted]
    page.get_by_label("Level").select_option("")
    page.get_by_label("Search all of it").fill("STEP 120")
    expect(lines).to_have_count(2)
    expect(lines.first.locator("mark")).to_have_text("step 120")
    page.get_by_label("Search all of it").fill("")

    # What is printed comes at the end; who has scrolled up stays there.
    page.locator(".tb-log-lines").hover()
    page.mouse.wheel(0, -400)
    expect(page.get_by_label("Follow")).not_to_be_checked()
    there = page.locator(".tb-log-lines").evaluate("(box) => box.scrollTop")
    end = asked(served, "GetLog", job_id=measured, tail=10)["next_offset"]
    told(served, measured, [{"k": "log", "n": 900_000, "t": time.time(), "offset": end, "text": "one more line\n"}])
    expect(lines.last).to_have_text("one more line")
    assert page.locator(".tb-log-lines").evaluate("(box) => box.scrollTop") == there
    with page.expect_download() as whole:
        page.locator(".tb-log-bar a").click()
    text = asked(served, "GetLog", job_id=measured, limit=1_000_000)["text"]
    assert Path(whole.value.path()).read_text() == text


LOG_BYTES = 100_000_000


@pytest.fixture
def talkative(served: Studio) -> str:
    """A job with a log of 100 MB, written by the projector's own store."""
    job = start(served, adapter_name="talkative", lora={"target_modules": ["word_embeddings"]})
    with served.client() as client:
        eventually(lambda: client.get_fine_tuning_job(id=job)["state"] == "failed", "the job has failed", 120)
    line = "12:00:00 INFO " + "all is well " * 8
    first = "12:00:00 WARNING the needle in the haystack\n"
    piece = first + f"{line}\n" * 800
    logs, begin = [], int(asked(served, "GetLog", job_id=job, tail=1000)["next_offset"])
    offset = begin
    while offset < begin + LOG_BYTES:
        logs.append((job, 1, offset, 100_000 + len(logs), piece, time.time()))
        offset += len(piece)
        piece = f"{line}\n" * 800
    engine = database.open_engine(load_settings({}, home=served.home).telemetry_url, synchronous="NORMAL")
    Store(engine).write(Rows(logs=logs, attempts={(job, 1): AttemptRow(100_000 + len(logs), time.time())}))
    engine.dispose()
    assert asked(served, "GetLog", job_id=job, attempt=1, tail=10)["next_offset"] == offset
    return job


def test_a_long_log_costs_each_update_its_new_bytes_and_is_searched_whole(
    browsing: Browsing, served: Studio, talkative: str
) -> None:
    sizes: list[int] = []

    def heard(response: Response) -> None:
        if "/data/log?" in response.url:
            sizes.append(int(response.headers["content-length"]))

    page = browsing.open("/jobs")
    page.on("response", heard)
    page.goto(f"{browsing.url}/jobs?id={talkative}&tab=logs")
    lines = page.locator(".tb-log-lines > div")
    expect(lines.last).to_contain_text("all is well")
    expect(page.get_by_role("button", name="Earlier lines")).to_be_visible()
    assert lines.count() <= 2_000
    assert sum(sizes) < 400_000

    for number in range(3):
        sizes.clear()
        end = asked(served, "GetLog", job_id=talkative, attempt=1, tail=10)["next_offset"]
        text = f"12:00:01 INFO news {number}\n"
        told(served, talkative, [{"k": "log", "n": 900_000 + number, "t": time.time(), "offset": end, "text": text}])
        expect(lines.last).to_have_text(text.strip())
        assert 0 < sum(sizes) < 5_000

    page.get_by_label("Search all of it").fill("needle in the")
    expect(lines).to_have_count(1)
    expect(lines.first.locator("mark")).to_have_text("needle in the")
    page.get_by_label("Search all of it").fill("")
    expect(lines.last).to_have_text("12:00:01 INFO news 2")


def test_ten_runs_are_compared_and_no_more(browsing: Browsing, served: Studio) -> None:
    rates = [round(0.0001 * number, 4) for number in range(1, 12)]
    jobs = [start(served, adapter_name=f"rate-{at:02}", learning_rate=one, hold=True) for at, one in enumerate(rates)]
    for at, job in enumerate(jobs):
        losses = [{"step": step, "values": {"loss": 3.0 - at / 10 - step / 100}} for step in range(1, 41)]
        told(served, job, [{"k": "metric", "n": one["step"], "t": time.time(), **one} for one in losses])
    eventually(lambda: asked(served, "GetMetrics", job_id=jobs[-1], points=2)["last_step"] == 40, "all is written", 60)
    page = browsing.open(f"/compare?ids={','.join(jobs)}")
    expect(page.locator("#tb-compare-runs tbody tr")).to_have_count(10)
    expect(page.locator("#tb-compare-runs")).not_to_contain_text("rate-10")
    page.locator("#tb-chart-compare-loss").scroll_into_view_if_needed()
    for at, job in enumerate(jobs[:10]):
        line = drawn(page, f"rate-{at:02}", 40, "#tb-chart-compare-loss")["lines"][f"rate-{at:02}"]
        loss = asked(served, "GetMetrics", job_id=job, names=["loss"])["series"]["loss"]
        assert (line["x"], line["y"]) == (loss["steps"], loss["values"])
    settings = page.locator("#tb-compare table", has_text="learning_rate")
    expect(settings.locator("tbody tr")).to_have_count(1)
    assert settings.locator("tbody td").all_inner_texts()[1:] == [f"{rate:g}" for rate in rates[:10]]
    expect(page.get_by_text("as many as are shown side by side")).to_be_attached()
    page.get_by_role("link", name="Take rate-03 out of the comparison").click()
    expect(page.locator("#tb-compare-runs tbody tr")).to_have_count(9)
    for job in jobs:
        with served.client() as client:
            client.send("StopFineTuningJob", id=job)
            client.send("RemoveFineTuningJob", id=job)


def test_a_run_that_is_removed_while_its_points_are_asked_for_is_no_fault(browsing: Browsing, served: Studio) -> None:
    kept, gone = (start(served, adapter_name=name, hold=True) for name in ("stays", "goes"))

    def one_more(job: str, step: int) -> None:
        told(served, job, [{"k": "metric", "n": step, "t": time.time(), "step": step, "values": {"loss": 2.0}}])

    for job in (kept, gone):
        one_more(job, 1)
    page = browsing.open(f"/compare?ids={kept},{gone}")
    page.locator("#tb-chart-compare-loss").scroll_into_view_if_needed()
    drawn(page, "goes", 1, "#tb-chart-compare-loss")
    asking: list[Route] = []
    page.route(f"**/data/metrics?job={gone}*", lambda route: route.continue_() if asking else asking.append(route))
    one_more(gone, 2)
    eventually(lambda: page.wait_for_timeout(20) or asking, "the page asks for the new point", 60)
    with served.client() as client:
        client.send("StopFineTuningJob", id=gone)
        assert client.send("RemoveFineTuningJob", id=gone).error is None
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer) if f"job={gone}" in answer.url else None)
    asking[0].continue_()
    expect(page.locator("#tb-compare")).to_contain_text("one more run")
    eventually(lambda: page.wait_for_timeout(20) or answers, "the held question is answered", 60)
    assert "gone" in answers[0].json()
    with served.client() as client:
        client.send("StopFineTuningJob", id=kept)
        client.send("RemoveFineTuningJob", id=kept)


def test_runs_side_by_side_show_what_differs(browsing: Browsing, served: Studio, trained: str, measured: str) -> None:
    page = browsing.open("/compare")
    for name in ("charted", "measured"):
        page.get_by_role("link", name=f"Add {name} to the comparison").click()
    page.wait_for_url("**/compare?ids=*,*")
    settings = page.locator("#tb-compare table", has_text="target_modules")
    expect(settings.locator("tbody tr")).to_have_count(1)
    expect(settings.locator("tbody tr")).to_contain_text("word_embeddings")
    drawn(page, "measured", 100, "#tb-chart-compare-loss")
    charted = asked(served, "GetMetrics", job_id=trained, names=["loss"])["series"]["loss"]
    assert plotted(page, "#tb-chart-compare-loss")["lines"]["charted"]["y"] == charted["values"]
    page.reload()
    drawn(page, "charted", 1, "#tb-chart-compare-loss")
    page.get_by_role("link", name="Take measured out of the comparison").click()
    expect(page.locator("#tb-compare")).to_contain_text("one more run")
    page.go_back()
    expect(settings).to_be_visible()
    unknown = browsing.open("/compare?ids=no-such-run,%3Cscript%3E")
    expect(unknown.locator("#tb-compare-runs")).to_contain_text("no-such-run")
