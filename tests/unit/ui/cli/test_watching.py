"""Following jobs to their end: what is shown, what a silent studio means, and what the end says."""

import io
import json
from typing import Any

import pytest
from rich.console import Console
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.ui.cli import watching
from tunebus.ui.cli.sparkline import sparkline

from tests.unit.ui.cli.conftest import FakeBus, Run


def job(state: str, step: int = 0, **more: Any) -> dict[str, Any]:
    progress = {"phase": "training", "step": step, "total": 10, "rate": 2.0, "eta": 5.0, "attempt": 1}
    return {
        "id": "job", "kind": "fine_tuning_job", "adapter_name": "faq", "state": state, "attempt": 1, "step": step,
        "total_steps": 10, "progress": progress, "metrics": {}, "cause": None, "message": None, "hint": None,
        "adapter_id": None, **more,
    }  # fmt: skip


def curve(*points: tuple[int, float | str]) -> dict[str, Any]:
    steps, values = [step for step, _ in points], [value for _, value in points]
    return {"series": {"loss": {"steps": steps, "values": values, "sampled": False}} if points else {}}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "INTERVAL", 0.0)


def test_a_job_that_succeeds_ends_with_0(run: Run, bus: FakeBus) -> None:
    bus.answer("GetFineTuningJob", job("queued"), job("running", 5), job("succeeded", 10, metrics={"loss": 0.5}))
    bus.answer("GetMetrics", curve(), curve((1, 2.5)), curve((10, 0.5)))
    ended = run("train", "watch", "faq")
    assert ended.code == 0
    assert "train faq  training  5/10" in ended.err
    assert "ETA 0:05" in ended.err
    assert "succeeded" in ended.err
    assert "loss 0.5" in ended.err


@pytest.mark.parametrize(
    ("end", "code", "words"),
    [
        (
            job("failed", 3, cause="nan_loss", message="the loss is NaN", hint="lower the learning rate"),
            3,
            "the loss is NaN",
        ),
        (job("failed", 3, cause="crashed", message="it fell over"), 1, "it fell over"),
        (job("stopped", 3, cause="requested"), 5, "stopped at step 3"),
    ],
)
def test_any_other_end_is_an_error_with_its_cause(
    run: Run, bus: FakeBus, end: dict[str, Any], code: int, words: str
) -> None:
    bus.answer("GetFineTuningJob", job("running", 1), end)
    bus.answer("GetMetrics", curve())
    ended = run("train", "watch", "faq")
    assert ended.code == code
    assert words in ended.err
    assert end["cause"] in ended.err


def test_a_studio_that_falls_silent_is_waited_for(run: Run, bus: FakeBus) -> None:
    silent = fail(Code.UNAVAILABLE, "nobody answered")
    bus.answer("GetFineTuningJob", job("running", 1), silent, silent, job("succeeded", 10))
    bus.answer("GetMetrics", curve())
    ended = run("train", "watch", "faq")
    assert ended.code == 0
    assert "the studio does not answer; waiting for it" in ended.err


def test_a_job_that_is_not_there_is_not_waited_for(run: Run, bus: FakeBus) -> None:
    bus.answer("GetFineTuningJob", fail(Code.NOT_FOUND, "no job 'faq'", param="id"))
    assert run("train", "watch", "faq").code == 4


def test_ctrl_c_only_stops_looking(run: Run, bus: FakeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    bus.answer("GetFineTuningJob", job("running", 1))
    bus.answer("GetMetrics", curve())
    monkeypatch.setattr(watching, "wait", interrupted)
    ended = run("train", "watch", "faq")
    assert ended.code == 130
    assert "the job goes on: tunebus train watch job" in ended.err
    assert bus.sent == []


def test_a_program_gets_a_line_per_change(run: Run, bus: FakeBus) -> None:
    bus.answer("GetFineTuningJob", job("queued"), job("queued"), job("running", 5), job("succeeded", 10))
    bus.answer("GetMetrics", curve())
    lines = [json.loads(line) for line in run("train", "watch", "faq", "--json").out.splitlines()]
    assert [line["state"] for line in lines] == ["queued", "running", "succeeded"]


def test_a_reason_to_wait_is_shown(run: Run, bus: FakeBus) -> None:
    waiting = job("queued", waiting_reason="no trainer is running")
    bus.answer("GetFineTuningJob", waiting, waiting, job("succeeded", 10))
    bus.answer("GetMetrics", curve())
    assert "no trainer is running" in run("train", "watch", "faq").err


def test_only_new_points_of_the_curve_are_asked_for(run: Run, bus: FakeBus) -> None:
    bus.answer("GetFineTuningJob", job("running", 1), job("running", 1), job("running", 4), job("succeeded", 10))
    bus.answer("GetMetrics", curve((1, 3.0), (4, 2.0)), curve((5, "NaN")), curve())
    run("train", "watch", "faq")
    asked = [data["since_step"] for name, data in bus.asked if name == "GetMetrics"]
    assert asked == [-1, 4, 5]


def test_a_terminal_shows_bar_rate_and_curve() -> None:
    answers = {"GetFineTuningJob": [job("running", 5), job("succeeded", 10)]}

    def ask(query: str, **_: Any) -> dict[str, Any]:
        if query == "GetMetrics":
            return curve((1, 3.0), (2, 2.0), (3, 1.0))
        found = answers[query]
        return found.pop(0) if len(found) > 1 else found[0]

    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    watching.follow(ask, "FineTuningJob", ["job"], console=console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "5/10" in shown
    assert "loss 1.0000" in shown
    assert "2.0/s" in shown
    assert "█▄▁" in shown or "█▅▁" in shown


def test_evaluations_are_watched_together_and_compared(run: Run, bus: FakeBus) -> None:
    def scored(id: str, adapter: str | None, loss: float) -> dict[str, Any]:
        return {
            "id": id, "kind": "evaluation_job", "parent_id": "parent", "state": "succeeded", "attempt": 1, "step": 9,
            "total_steps": 9, "adapter_id": adapter, "adapter_name": adapter, "base_model_name": "starter",
            "base_model_id": "m", "metrics": {"loss": loss, "exact_match": 0.5}, "progress": None, "warnings": [],
        }  # fmt: skip

    jobs = {"one": scored("one", None, 7.5), "two": scored("two", "faq", 0.25)}
    bus.answer("ListEvaluationJobs", {"items": list(jobs.values()), "next": None})
    bus.answer("GetEvaluationJob", jobs["one"], jobs["two"])
    rows = [[{"index": 1, "prompt": "why?", "reference": "because", "answer": text}] for text in ("dunno", "because")]
    bus.answer("GetEvaluationRows", *({"items": each, "next": None} for each in rows))
    ended = run("eval", "watch", "parent")
    assert ended.code == 0
    for word in ("7.5", "0.25", "exact match", "why?", "because", "dunno"):
        assert word in ended.out

    broken = {**jobs["one"], "state": "failed", "cause": "crashed", "message": "it broke", "hint": None}
    bus.answer("GetEvaluationJob", broken, broken)
    assert "see tunebus eval logs one" in run("eval", "watch", "parent").err

    bus.answer("GetEvaluationRows", *({"items": each, "next": None} for each in rows))
    document = json.loads(run("eval", "show", "parent", "--json").out)
    assert [one["id"] for one in document["jobs"]] == ["one", "two"]
    assert document["samples"] == rows


@pytest.mark.parametrize(
    ("values", "drawn"),
    [([], ""), ([1.0], "▁"), ([0.0, 1.0], "▁█"), ([2.0, 2.0], "▁▁"), ([1.0, float("nan"), 0.0], "█▁")],
)
def test_a_curve_in_a_line(values: list[float], drawn: str) -> None:
    assert sparkline(values) == drawn


def test_a_long_curve_is_drawn_in_its_width() -> None:
    assert len(sparkline([float(value) for value in range(1000)], width=30)) == 30


def test_not_even_a_passing_error_hides_another() -> None:
    def ask(query: str, **_: Any) -> dict[str, Any]:
        raise fail(Code.NOT_PERMITTED, "wrong password")

    with pytest.raises(TunebusError):
        watching.follow(ask, "FineTuningJob", ["job"], console=Console(file=io.StringIO()))
