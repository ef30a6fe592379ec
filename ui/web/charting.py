"""Charts and logs: elements that their scripts fill (`static/charts.js`, `static/log.js`), and what these ask for.

A page that shows a chart or a log of a job has to watch `telemetry`: its scripts ask anew when the page is told that
something changed.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response, StreamingResponse
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.identifiers import is_id
from tunebus.projections import freshness
from tunebus.projections.telemetry import points
from tunebus.projections.telemetry.tables import METRICS, SYSTEM
from tunebus.ui.web.job.names import ACTIVE
from tunebus.ui.web.markup import Markup, tag
from tunebus.ui.web.studio import Document, Studio, digest
from tunebus.ui.web.words import say

POINTS = 1_500  # drawn of one series
LOG_BYTES = 200_000
FOUND_LINES = 200
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
DOWNLOAD_BYTES = 1_000_000
NAMES = 40  # of series in one question
JOBS = 10  # in one table
CSV_ROWS = 5_000  # read at a time
MARKS = 400
_BEFORE_TRAINING = ("loading", "preparing")
_ENDED_BADLY = ("lost", "failed")
_NAME_CHARACTERS = 100

Read = Callable[[Studio, Mapping[str, str]], Awaitable[Document]]


@dataclass(frozen=True)
class Line:
    """One line of a chart: a series of its source by name, where `*` stands for what several have, such as `gpu*_watt`
    (`label` then names each by `{n}`). `dots` marks every point. `src` where it is not the chart's own;
    `color` is a number, from 0, where its place in the chart does not say it.
    """

    name: str
    label: str
    dots: bool = False
    src: str = ""
    color: int | None = None


def chart(
    title: str,
    src: str,
    series: Sequence[Line],
    *,
    key: str = "",
    unit: str = "",
    by: str = "step",
    optional: bool = False,
    csv: str = "",
) -> Markup:
    """A chart of series that `src` answers with, such as `metrics_of(job_id)`.

    `unit` is one of `""`, `bytes`, `percent`, `share`, `rate`, `celsius`, `watt`. `by` is `step`, where a person
    chooses what the x axis counts, or `time`. An `optional` chart is not there while it has no point. `csv` is where
    its points are as a table.
    """
    given = {
        "title": title,
        "src": src,
        "series": [
            {
                "name": line.name,
                "label": line.label,
                "dots": line.dots,
                "src": line.src or src,
                "color": number if line.color is None else line.color,
            }
            for number, line in enumerate(series)
        ],
        "unit": unit,
        "by": by,
        "optional": optional,
        "csv": csv,
    }
    return tag("tb-chart", id=f"tb-chart-{key or series[0].name}", data_keep="", data_chart=json.dumps(given))


def controls(by: str = "step") -> Markup:
    """What a person chooses for all charts of a page: the x axis, smoothing, a logarithmic axis, clipping."""
    return tag("tb-chart-controls", data_keep="", data_by=by)


def metrics_of(job_id: str) -> str:
    """The address of a job's metrics."""
    return f"/data/metrics?{urlencode({'job': job_id})}"


def training_charts(job_id: str) -> Markup:
    """Every chart of a fine-tuning by steps, with their controls."""
    src = metrics_of(job_id)

    def one(key: str, *lines: Line, unit: str = "", optional: bool = False) -> Markup:
        names = ",".join(line.name for line in lines)
        table = f"/download/metrics?{urlencode({'job': job_id, 'names': names})}"
        return chart(say(f"charting.{key}"), src, lines, key=key, unit=unit, optional=optional, csv=table)

    training, held_out = say("charting.training"), say("charting.held_out")
    charts = [
        one("loss", Line("loss", training), Line("eval_loss", held_out, dots=True)),
        one(
            "token_accuracy",
            Line("token_accuracy", training),
            Line("eval_token_accuracy", held_out, dots=True),
            unit="share",
            optional=True,
        ),
        one("learning_rate", Line("learning_rate", say("charting.learning_rate"))),
        one("grad_norm", Line("grad_norm", say("charting.grad_norm"))),
        one(
            "tokens_per_second",
            Line("tokens_per_second", say("charting.tokens_per_second")),
            unit="rate",
            optional=True,
        ),
    ]
    return tag("div", controls(), tag("div", *charts, kind="tb-charts"))


def system_charts(job_id: str) -> Markup:
    """How busy the machine of a job was, by time; what a machine does not tell has no chart."""
    src = f"/data/system?{urlencode({'job': job_id})}"
    charts = []
    for key, unit, names in _MACHINE:
        lines = [
            Line(name, say(f"charting.machine.{name}", n="{n}") if "*" in name else say(f"charting.machine.{name}"))
            for name in names
        ]
        table = f"/download/system?{urlencode({'job': job_id, 'names': ','.join(names)})}"
        title = say(f"charting.machine.{key}")
        made = chart(title, src, lines, key=f"machine-{key}", unit=unit, by="time", optional=key != "cpu", csv=table)
        charts.append(made)
    return tag("div", controls("time"), tag("div", *charts, kind="tb-charts"))


_MACHINE: Sequence[tuple[str, str, Sequence[str]]] = (
    ("gpu", "percent", ("gpu*_percent",)),
    ("gpu_memory", "bytes", ("gpu*_memory_bytes",)),
    ("gpu_temperature", "celsius", ("gpu*_temperature_celsius",)),
    ("gpu_power", "watt", ("gpu*_power_watts",)),
    ("cpu", "percent", ("cpu_percent", "machine_cpu_percent")),
    ("memory", "bytes", ("rss_bytes", "memory_bytes")),
    ("disk", "percent", ("disk_percent",)),
)


def sparkline(values: Sequence[float | str | None], label: str) -> Markup:
    """A small curve without axes; values that are no number leave a gap. `label` says what it shows."""
    numbers = [value if isinstance(value, int | float) else None for value in values]
    finite = [value for value in numbers if value is not None]
    if len(numbers) < 2 or not finite:
        return Markup("")  # one value is no curve
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    width, height, edge = 100, 24, 2
    wide = (width - 2 * edge) / max(1, len(numbers) - 1)
    path, drawing = [], False
    for number, value in enumerate(numbers):
        if value is not None:
            y = edge + (height - 2 * edge) * (1 - (value - low) / span)
            path.append(f"{'L' if drawing else 'M'}{edge + number * wide:.1f} {y:.1f}")
        drawing = value is not None
    if len(finite) == 1:
        path.append("h0.1")
    words = say("charting.sparkline", label=label, first=f"{finite[0]:.4g}", last=f"{finite[-1]:.4g}")
    return tag(
        "svg",
        tag("path", d="".join(path)),
        kind="tb-sparkline",
        viewBox=f"0 0 {width} {height}",
        preserveAspectRatio="none",
        role="img",
        aria_label=words,
    )


def log_view(job_id: str, attempt: int | None = None) -> Markup:
    """A job's output as it is printed, with search, levels, attempts and a download; the newest attempt if none is
    named."""
    given = {"job": job_id, "attempt": attempt}
    return tag("tb-log", id="tb-log", data_keep="", data_log=json.dumps(given))


async def _while_there(read: Read, studio: Studio, arguments: Mapping[str, str]) -> Document:
    """What `read` answers, or `{"gone": words}` once there is no such job: a page that shows one goes on asking when
    somebody else has removed it, which is nothing that failed."""
    try:
        return await read(studio, arguments)
    except TunebusError as error:
        if error.problem.code != Code.NOT_FOUND:
            raise
        return {"gone": error.problem.message}


async def metrics(studio: Studio, arguments: Mapping[str, str]) -> Document:
    """`{"version", "state", "next", "begin", "series": {name: {"steps", "values", "times"}}, "marks"}` of a job, or
    `{"version"}` alone where the asker's `version` is the newest.

    With `since` only points of later steps, which replace all that the asker has of them. `next` is what to ask from
    the next time: a resumed attempt does steps anew. `marks` are `{"kind", "step", "t", "words"}`; they stay out where
    the asker's `marked` is theirs.
    """
    version = await _version(studio, arguments)
    if arguments.get("version") == version:
        return {"version": version}
    since = number(arguments, "since", -1)
    names = _names(arguments)
    most = min(max(number(arguments, "points", POINTS), 2), POINTS)
    found = await studio.ask("GetMetrics", job_id=job_in(arguments), names=names or None, since_step=since, points=most)
    job = await studio.ask("GetFineTuningJob", id=found["job_id"]) if found["kind"] == "fine_tuning_job" else None
    marks = marks_of(job, found["reached"]) if job else []
    answer = {
        "version": version,
        "state": found["state"],
        "next": _reached(found, job, since),
        "series": found["series"],
        "begin": _begin(job),
    }
    return answer | _unless_known(marks, arguments)


async def _version(studio: Studio, arguments: Mapping[str, str]) -> str:
    """Differs when anything of the named job does: its own telemetry, or the ledger."""
    job_id = job_in(arguments)
    measured = await studio.measure(partial(freshness.of_telemetry, job_id=job_id if is_id(job_id) else None))
    return digest(await studio.stamp({"ledger"}), measured)


def _begin(job: Document | None) -> float | None:
    """When a job's first attempt began, in Unix seconds."""
    started = job["attempts_made"][0]["started_at"] if job and job["attempts_made"] else None
    return datetime.fromisoformat(started).timestamp() if started else None


async def system(studio: Studio, arguments: Mapping[str, str]) -> Document:
    """As `metrics`, of the machine: series by time, all there are; `since` and `next` are Unix seconds."""
    job_id = job_in(arguments)
    version = await _version(studio, arguments)
    if arguments.get("version") == version:
        return {"version": version}
    since = seconds_in(arguments, "since")
    most = min(max(number(arguments, "points", POINTS), 2), POINTS)
    found = await studio.ask("GetSystemMetrics", job_id=job_id, since_time=since, points=most)
    job = await studio.ask("GetFineTuningJob", id=found["job_id"]) if found["kind"] == "fine_tuning_job" else None
    first = min((series["times"][0] for series in found["series"].values() if series["times"]), default=None)
    return {
        "version": version,
        "state": found["state"],
        "next": max((series["times"][-1] for series in found["series"].values()), default=since),
        "series": found["series"],
        "begin": _begin(job) if job else first,
        **_unless_known(marks_of(job) if job else [], arguments),
    }


def _unless_known(marks: Sequence[Document], arguments: Mapping[str, str]) -> Document:
    """Marks with a fingerprint of them, or the fingerprint alone where the asker has named it."""
    known = digest(json.dumps(marks))
    return {"marked": known} | ({} if arguments.get("marked") == known else {"marks": marks})


def marks_of(job: Document, reached: Sequence[Document] = ()) -> list[Document]:
    """What happened to a job at a step: workers lost, attempts resumed, checkpoints. `reached` is how far its attempts
    came, as far as they told.
    """
    marks = []
    ends = {attempt["attempt"]: attempt for attempt in reached if attempt["phase"] not in (None, *_BEFORE_TRAINING)}
    for attempt in job["attempts_made"]:
        if attempt["attempt"] in ends and attempt["state"] in _ENDED_BADLY:
            step = ends[attempt["attempt"]]["step"]
            cause = str(attempt["cause"]).replace("_", " ")
            words = say(f"charting.mark.{attempt['state']}", attempt=attempt["attempt"], step=step, cause=cause)
            marks.append(_mark("lost", step, attempt["ended_at"], words))
        step = attempt["resumed_from_step"]
        if step is not None and attempt["attempt"] > 1:
            words = say("charting.mark.resumed", attempt=attempt["attempt"], step=step)
            label = say("charting.mark.attempt", attempt=attempt["attempt"])
            marks.append(_mark("resumed", step, attempt["running_at"], words) | {"label": label})
    checkpoints = job["checkpoints"]
    for checkpoint in checkpoints[:: max(1, -(-len(checkpoints) // MARKS))]:
        words = say("charting.mark.checkpoint", step=checkpoint["step"])
        marks.append(_mark("checkpoint", checkpoint["step"], checkpoint["recorded_at"], words))
    return marks


def _mark(kind: str, step: int, at: str | None, words: str) -> Document:
    seconds = datetime.fromisoformat(at).timestamp() if at else None
    return {"kind": kind, "step": step, "t": seconds, "words": words}


def _reached(found: Document, job: Document | None, since: int) -> int:
    """The step after which points may still come or change."""
    last = found["last_step"] if found["last_step"] is not None else since
    progress = found["progress"]
    if progress is None or found["state"] not in (*ACTIVE, "queued", "held"):
        return int(last)
    if progress["phase"] not in _BEFORE_TRAINING:
        return int(min(last, progress["step"] - 1))
    resumed = (job["attempts_made"][-1]["resume_from"] or {}).get("step") if job and job["attempts_made"] else None
    return int(min(last, resumed if resumed is not None else -1))


async def log(studio: Studio, arguments: Mapping[str, str]) -> Document:
    """A job's output from byte `offset` on, at most `limit` bytes, or its end where no offset is given:
    `{"job_id", "attempt", "attempts", "offset", "text", "next_offset", "ended"}`."""
    given: dict[str, Any] = {"job_id": job_in(arguments), "attempt": number(arguments, "attempt", 0) or None}
    offset = number(arguments, "offset", -1)
    if offset < 0:
        return await studio.ask("GetLog", tail=LOG_BYTES, **given)
    limit = min(max(number(arguments, "limit", LOG_BYTES), 1), LOG_BYTES)
    return await studio.ask("GetLog", offset=offset, limit=limit, **given)


async def log_search(studio: Studio, arguments: Mapping[str, str]) -> Document:
    """Lines of a job's whole output with a text or a level, from byte `after` on:
    `{"items": [{"offset", "level", "text"}], "next"}`."""
    level = arguments.get("level") or None
    if level not in (None, *LEVELS):
        raise fail(Code.INVALID, f"{str(level)[:50]!r} is no level", param="level")
    return await studio.ask(
        "SearchLog",
        job_id=job_in(arguments),
        attempt=number(arguments, "attempt", 0) or None,
        text=arguments.get("text", "")[:500] or None,
        level=level,
        after_offset=max(0, number(arguments, "after", 0)),
        limit=FOUND_LINES,
    )


async def log_file(studio: Studio, arguments: Mapping[str, str]) -> Response:
    """The whole output of an attempt as a text file, streamed."""
    job, attempt = job_in(arguments), number(arguments, "attempt", 0) or None
    first = await studio.ask("GetLog", job_id=job, attempt=attempt, limit=DOWNLOAD_BYTES)

    async def pieces() -> AsyncIterator[str]:
        found = first
        while found["text"]:
            yield found["text"]
            found = await studio.ask(
                "GetLog", job_id=job, attempt=attempt, offset=found["next_offset"], limit=DOWNLOAD_BYTES
            )

    name = f"{first['job_id']}-{first['attempt'] or 1}.log"
    return StreamingResponse(pieces(), media_type="text/plain; charset=utf-8", headers=_as_file(name))


async def metrics_file(studio: Studio, arguments: Mapping[str, str]) -> Response:
    """Series of jobs as CSV, every point of them: a row a step, a column a series of a job, streamed."""
    jobs = [await studio.ask("GetMetrics", job_id=one, points=2) for one in jobs_in(arguments)]
    names = _names(arguments)
    columns = [(job["job_id"], name) for job in jobs for name in (names or job["series"])]
    heads = [name if len(jobs) == 1 else f"{name} of {job_id}" for job_id, name in columns]
    return _csv_file(studio, columns, METRICS, ["step", *heads], f"{jobs[0]['job_id']}-{'-'.join(names)[:80]}.csv")


async def system_file(studio: Studio, arguments: Mapping[str, str]) -> Response:
    """What a machine told, as CSV: a row a reading, with its time in Unix seconds."""
    found = await studio.ask("GetSystemMetrics", job_id=job_in(arguments), points=2)
    patterns = _names(arguments) or ["*"]
    names = [name for name in found["series"] if any(fnmatchcase(name, pattern) for pattern in patterns)]
    columns = [(found["job_id"], name) for name in names]
    return _csv_file(studio, columns, SYSTEM, ["seconds", *names], f"{found['job_id']}-machine.csv")


def _csv_file(
    studio: Studio, columns: Sequence[tuple[str, str]], source: str, heads: Sequence[str], name: str
) -> Response:
    async def pieces() -> AsyncIterator[str]:
        yield _csv([heads])
        after: int | None = -1
        while after is not None:
            found = await studio.measure(partial(points.rows, source=source, of=columns, after=after, limit=CSV_ROWS))
            yield _csv([[at / 1000 if source == SYSTEM else at, *values] for at, values in found.rows])
            after = found.next

    return StreamingResponse(pieces(), media_type="text/csv; charset=utf-8", headers=_as_file(name))


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def jobs_in(arguments: Mapping[str, str]) -> list[str]:
    """The jobs that an address names, separated by commas. Errors: `invalid`."""
    named = [one for one in arguments.get("job", "")[:4000].split(",") if one][:JOBS]
    if not named:
        raise fail(Code.INVALID, "no job is named", param="job")
    return [one[:200] for one in named]


def job_in(arguments: Mapping[str, str]) -> str:
    """The job that an address names. Errors: `invalid`."""
    return jobs_in(arguments)[0]


def number(arguments: Mapping[str, str], name: str, otherwise: int) -> int:
    """A whole number of an address. Errors: `invalid`."""
    given = arguments.get(name, "")
    if not given:
        return otherwise
    try:
        found = int(given[:20])
    except ValueError:
        raise fail(Code.INVALID, f"{given[:50]!r} is no whole number", param=name) from None
    if abs(found) > 2**53:
        raise fail(Code.INVALID, "is too large", param=name)
    return found


def seconds_in(arguments: Mapping[str, str], name: str) -> float | None:
    """A time of an address in Unix seconds, if it has one. Errors: `invalid`."""
    given = arguments.get(name, "")
    if not given:
        return None
    try:
        found = float(given[:40])
    except ValueError:
        found = math.nan
    if not 0 <= found < 1e12:
        raise fail(Code.INVALID, f"{given[:50]!r} is no time", param=name)
    return found


def _names(arguments: Mapping[str, str]) -> list[str]:
    return [name[:_NAME_CHARACTERS] for name in arguments.get("names", "").split(",") if name][:NAMES]


def _as_file(name: str) -> dict[str, str]:
    kept = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "_" for letter in name)
    return {"content-disposition": f'attachment; filename="{kept}"'}


DATA = {
    name: partial(_while_there, read)
    for name, read in {"metrics": metrics, "system": system, "log": log, "log-search": log_search}.items()
}
DOWNLOADS = {"metrics": metrics_file, "system": system_file, "log": log_file}
