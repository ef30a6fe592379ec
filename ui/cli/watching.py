"""Following jobs until they end: progress bars with loss, rate and time left. It asks the studio twice a second.

A studio that does not answer for a while is waited for; only the person at the keyboard gives up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from tunebus.contracts.errors import Code, TunebusError
from tunebus.ui.cli.sparkline import sparkline
from tunebus.ui.cli.terminal import STATE_COLOURS, duration

INTERVAL = 0.5
ENDED = frozenset({"succeeded", "failed", "stopped"})
_PASSING = (Code.UNAVAILABLE, Code.NOT_CONFIRMED)

Ask = Callable[..., dict[str, Any]]
wait = time.sleep


class Curve:
    """A job's training loss so far, fetched piece by piece."""

    def __init__(self) -> None:
        self._points: dict[int, float] = {}
        self._last_step = -1

    def fetch(self, ask: Ask, job_id: str) -> None:
        answer = ask("GetMetrics", job_id=job_id, names=["loss"], since_step=self._last_step)
        series = answer["series"].get("loss")
        if series is None:
            return
        self._points.update(zip(series["steps"], map(float, series["values"]), strict=True))
        self._last_step = max(self._points, default=-1)

    @property
    def values(self) -> list[float]:
        return [value for _, value in sorted(self._points.items())]


def follow(
    ask: Ask,
    kind: str,
    job_ids: Sequence[str],
    *,
    console: Console,
    machine: bool = False,
    on_change: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Watch jobs of one kind (for example `ExportJob`) until all have ended, and return them as they ended.

    On a terminal the bars move; elsewhere a line is printed per state and every ten seconds.
    """
    jobs: dict[str, dict[str, Any]] = {}
    curves = {job_id: Curve() for job_id in job_ids}
    gone: str | None = None
    quiet = _Lines(console) if not console.is_terminal and not machine else None
    live = Live(console=console, auto_refresh=False, transient=False) if console.is_terminal and not machine else None
    if live is not None:
        live.start()
    try:
        while True:
            try:
                for job_id in job_ids:
                    if jobs.get(job_id, {}).get("state") in ENDED:
                        continue
                    job = ask(f"Get{kind}", id=job_id)
                    if kind == "FineTuningJob":
                        curves[job_id].fetch(ask, job_id)
                    if on_change is not None and _news(job) != _news(jobs.get(job_id)):
                        on_change(job)
                    jobs[job_id] = job
                gone = None
            except TunebusError as error:
                if error.problem.code not in _PASSING:
                    raise
                gone = error.problem.message
            shown = [(job, curves[job_id].values) for job_id, job in jobs.items()]
            if live is not None:
                live.update(_bars(shown, gone), refresh=True)
            if quiet is not None:
                quiet.show(shown, gone)
            if len(jobs) == len(job_ids) and all(job["state"] in ENDED for job in jobs.values()):
                return [jobs[job_id] for job_id in job_ids]
            wait(INTERVAL)
    finally:
        if live is not None:
            live.stop()


def title(job: Mapping[str, Any]) -> str:
    """What a person calls the job."""
    if job.get("kind") == "evaluation_job" or "parent_id" in job:
        name = job.get("adapter_name") or job.get("base_model_name") or job["base_model_id"]
        return f"evaluate {name}"
    if job.get("kind") == "export_job":
        return f"export {job.get('adapter_name') or job.get('base_model_name') or job['base_model_id']}"
    return f"train {job['adapter_name']}"


def _news(job: Mapping[str, Any] | None) -> tuple[Any, ...]:
    if job is None:
        return ()
    progress = job.get("progress") or {}
    return job["state"], job["attempt"], job.get("cause"), progress.get("phase"), progress.get("step")


def _facts(job: Mapping[str, Any], loss: Sequence[float]) -> tuple[int, int, list[str]]:
    """Step, total and what is said beside them."""
    progress = job.get("progress") or {}
    step, total = int(progress.get("step") or 0), int(progress.get("total") or job.get("total_steps") or 0)
    if job["state"] == "succeeded" and total:
        step = total
    words = []
    if loss:
        words.append(f"loss {loss[-1]:.4f}")
    if job["state"] not in ENDED:
        if progress.get("rate"):
            words.append(f"{progress['rate']:.1f}/s")
        if progress.get("eta") is not None:
            words.append(f"ETA {duration(progress['eta'])}")
    if job["attempt"] > 1:
        words.append(f"attempt {job['attempt']}")
    return step, total, words


def _phase(job: Mapping[str, Any]) -> str:
    state = str(job["state"])
    phase = (job.get("progress") or {}).get("phase")
    return str(phase) if state == "running" and phase else state


def _bars(jobs: Sequence[tuple[Mapping[str, Any], Sequence[float]]], gone: str | None) -> Group:
    made = Table.grid(padding=(0, 1))
    notes = []
    for job, loss in jobs:
        step, total, words = _facts(job, loss)
        colour = STATE_COLOURS.get(str(job["state"]), "default")
        bar = ProgressBar(
            total=total or None, completed=step, width=24, pulse=not total and job["state"] not in ENDED
        )  # fmt: skip
        made.add_row(
            escape(title(job)),
            f"[{colour}]{escape(_phase(job))}[/]",
            bar,
            f"{step}/{total}" if total else "",
            "  ".join(words),
            f"[cyan]{sparkline(loss)}[/]",
        )
        if job["state"] == "queued" and job.get("waiting_reason"):
            notes.append(Text(f"waiting: {job['waiting_reason']}", style="yellow"))
    if gone is not None:
        notes.append(Text(f"the studio does not answer; waiting for it ({gone})", style="yellow"))
    return Group(made, *notes)


class _Lines:
    """Progress where there is no terminal: a line when something changes that matters, and now and then."""

    EVERY = 10.0

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, tuple[str, float]] = {}

    def show(self, jobs: Sequence[tuple[Mapping[str, Any], Sequence[float]]], gone: str | None) -> None:
        now = time.monotonic()
        for job, loss in jobs:
            phase, at = self._said.get(job["id"], ("", 0.0))
            due = job["state"] not in ENDED and now - at > self.EVERY
            if phase == _phase(job) and not due:
                continue
            self._said[job["id"]] = (_phase(job), now)
            step, total, words = _facts(job, loss)
            where = [f"{step}/{total}"] if total else []
            if job["state"] == "queued" and job.get("waiting_reason"):
                words = [*words, str(job["waiting_reason"])]
            line = "  ".join([title(job), _phase(job), *where, *words])
            self._console.print(escape(line), soft_wrap=True)
        if gone is not None and self._said.get("", ("", 0.0))[1] < now - self.EVERY:
            self._said[""] = ("", now)
            self._console.print("the studio does not answer; waiting for it", soft_wrap=True)
