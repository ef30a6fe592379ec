"""Charts, logs and comparisons in the browser hold what the queries answer, and keep what a person sees and chose."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import psutil
import pytest
from playwright.sync_api import Page, Response, expect
from tunebus.contracts.subjects import Subjects

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

    asyncio.run(send())


def plotted(page: Page, chart: str = LOSS) -> dict[str, Any]:
    """What Plotly holds of a chart: the lines by name, the ranges, and the words of its marks."""
    script = """(chart) => {
      const plot = document.querySelector(`${chart} .tb-plot-area`);
      if (!plot?.data) return null;
      const lines = {};
      for (const { uid, x, y } of plot.data) lines[uid] = { x: [...x], y: [...y] };
      const words = plot.data.filter(({ yaxis }) => yaxis === "y2").flatMap(({ text }) => text);
      const { xaxis, yaxis, annotations } = plot._fullLayout;
      return { lines, words, x: xaxis.range, y: yaxis.range, log: yaxis.type, labels: annotations.map(({ text }) => text) };
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
    page = browsing.open(f"/jobs?id={trained}&tab=charts")
    eventually(lambda: (found := plotted(page)) and any("attempt 2" in one for one in found["words"]), "the seam", 120)
    found = plotted(page)
    assert any("attempt 1" in words for words in found["words"])
    assert "attempt 2" in found["labels"]
    drawn(page, "training", len(found["lines"]["training"]["x"]) + 3)

    # A zoom and a hidden series outlive what comes; what comes is little.
    legend = page.locator(f"{LOSS} .tb-plot-legend button")
    legend.filter(has_text="held out").click()
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
            sizes.append(len(response.body()))

    page.on("response", heard)
    later = drawn(page, "training", len(zoomed["lines"]["training"]["x"]) + 5)
    assert (later["x"], later["y"]) == (zoomed["x"], zoomed["y"])
    assert "held out" not in later["lines"]
    assert sizes
    assert max(sizes) < SMALL_REFRESH
    page.locator(f"{LOSS} .tb-plot-tools button", has_text="Reset zoom").click()
    eventually(lambda: plotted(page)["x"] != zoomed["x"], "the whole curve is back")

    stop(served, trained)
    loss = asked(served, "GetMetrics", job_id=trained, names=["loss"])["series"]["loss"]
    same = lambda: (now := plotted(page)["lines"]["training"])["x"] == loss["steps"] and now["y"] == loss["values"]  # noqa: E731
    eventually(same, "the curve is that of the query", 30)
    assert len(loss["steps"]) == len(set(loss["steps"]))
    expect(page.locator(f"{LOSS} .tb-plot-area")).to_have_attribute("aria-label", __import__("re").compile("training"))
