"""MLflow runs, one an attempt: parameters, metrics, system metrics, the adapter; evaluations linked to what they score.

Everything may come twice: runs are found by their tags, and MLflow keeps a metric of the same step, time and value
once. MLflow is imported when the first job is seen; it costs two seconds and 200 MB.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nats.aio.msg import Msg
from pydantic import ValidationError
from tunebus.contracts import strictjson
from tunebus.contracts.envelope import EventEnvelope
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.subjects import EVALUATION_JOB, JOB_KINDS
from tunebus.services.platform import telemetry
from tunebus.services.platform.home import Home
from tunebus.services.platform.logs import redact
from tunebus.services.tracking.flat import flat

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

Ask = Callable[[str, dict[str, Any]], dict[str, Any]]
Point = tuple[str, float | None, int, int]
"""Name, value, Unix milliseconds, step."""

METRICS_AT_ONCE = 1000  # MLflow's own limits of one call
PARAMS_AT_ONCE = 100
VALUE_CHARACTERS = 6000
TAG_CHARACTERS = 5000
RUNS_REMEMBERED = 1000

JOB, ATTEMPT, KIND = "tunebus.job_id", "tunebus.attempt", "tunebus.kind"
_PERMANENT = frozenset({"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST"})
_log = logging.getLogger(__name__)


class MLflowRuns:
    """Mirrors events and telemetry of jobs into one experiment. `ask(query, arguments)` is the registry's answer.

    Errors of all methods: `unavailable` while MLflow, or the registry, cannot be reached.
    """

    def __init__(self, uri: str, experiment: str, home: Home, ask: Ask, *, artifacts: Path | None = None) -> None:
        self._uri = uri
        self._experiment = experiment
        self._home = home
        self._ask = ask
        self._artifacts = artifacts
        self._client: MlflowClient | None = None
        self._experiment_id = ""
        self._runs: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._on: dict[str, Callable[[EventEnvelope], None]] = {
            "ImportedJobAdded": self._imported,
            "AttemptStarted": self._started,
            "AttemptRunning": self._running,
            "AttemptFailed": self._failed,
            "AttemptLost": self._lost,
            "JobStopped": self._stopped,
            "JobSucceeded": self._succeeded,
        }

    def take_events(self, messages: Sequence[Msg]) -> None:
        for message in messages:
            event = _envelope(message)
            handle = self._on.get(event.type)
            if handle is not None and event.aggregate in JOB_KINDS:
                self._safely(lambda event=event, handle=handle: handle(event))  # type: ignore[misc]

    def take_telemetry(self, messages: Sequence[Msg]) -> None:
        by_attempt: dict[tuple[str, int], list[Point]] = {}
        for message in messages:
            job_id, attempt, found = points(message.data)
            if found:
                by_attempt.setdefault((job_id, attempt), []).extend(found)
        for (job_id, attempt), measured in by_attempt.items():
            self._safely(partial(self._measured, job_id, attempt, measured))

    def _measured(self, job_id: str, attempt: int, measured: Sequence[Point]) -> None:
        self._metrics(self._run(job_id, attempt), measured)

    # what happens to attempts

    def _started(self, event: EventEnvelope) -> None:
        """Events come in order, so that the run of the adapter which an evaluation scores is there by now."""
        run_id = self._run(event.entity_id, event.data["attempt"], event)
        if event.aggregate == EVALUATION_JOB and (parent := self._scored(event.entity_id)):
            self._tags(run_id, {"mlflow.parentRunId": parent})

    def _imported(self, event: EventEnvelope) -> None:
        """A run from elsewhere; its curves are telemetry like any other's."""
        run, times = event.data["imported"], ("started_at", "finished_at")
        began, ended = (event.model_copy(update={"time": run.get(name) or event.time}) for name in times)
        run_id = self._run(event.entity_id, event.data["attempt"], began)
        self._tags(run_id, {"tunebus.source": run["source"], "tunebus.cause": "imported"})
        self._end(run_id, "FINISHED", ended)

    def _running(self, event: EventEnvelope) -> None:
        run_id = self._run(event.entity_id, event.data["attempt"])
        self._params(run_id, flat(event.data.get("resolved") or {}, "resolved."))
        versions = {f"tunebus.version.{name}": text for name, text in (event.data.get("versions") or {}).items()}
        self._tags(run_id, versions | {"tunebus.total_steps": str(event.data.get("total_steps"))})

    def _failed(self, event: EventEnvelope) -> None:
        run_id = self._run(event.entity_id, event.data["attempt"])
        said = {f"tunebus.{name}": event.data.get(name) for name in ("cause", "message", "hint", "signal", "exit_code")}
        self._tags(run_id, {name: str(value) for name, value in said.items() if value is not None})
        self._end(run_id, "FAILED", event)

    def _lost(self, event: EventEnvelope) -> None:
        run_id = self._run(event.entity_id, event.data["attempt"])
        self._tags(run_id, {"tunebus.cause": "attempt_lost"})
        self._end(run_id, "KILLED", event)

    def _stopped(self, event: EventEnvelope) -> None:
        if event.data.get("attempt"):
            run_id = self._run(event.entity_id, event.data["attempt"])
            self._tags(run_id, {"tunebus.cause": str(event.data.get("cause"))})
            self._end(run_id, "KILLED", event)

    def _succeeded(self, event: EventEnvelope) -> None:
        run_id = self._run(event.entity_id, event.data["attempt"])
        time, step = _milliseconds(event.time), int(event.data.get("step") or 0)
        metrics = event.data.get("metrics") or {}
        self._metrics(run_id, [(f"final/{name}", value, time, step) for name, value in metrics.items()])
        if event.data.get("adapter_id"):
            self._tags(run_id, {"tunebus.adapter_id": event.data["adapter_id"]})
        self._keep_result(run_id, event)
        self._end(run_id, "FINISHED", event)

    def _keep_result(self, run_id: str, event: EventEnvelope) -> None:
        """The adapter, or the table of scored rows; what is gone meanwhile cannot be kept."""
        uri = event.data.get("result_uri")
        path = self._home.resolve(uri) if uri else None
        if path is None or not path.exists():
            return
        if path.is_dir():
            self._mlflow.log_artifacts(run_id, str(path), path.name)
        else:
            self._mlflow.log_artifact(run_id, str(path))

    # runs

    def _run(self, job_id: str, attempt: int, started: EventEnvelope | None = None) -> str:
        """The run of an attempt, made when there is none."""
        key = (job_id, attempt)
        run_id = self._runs.get(key) or self._found(job_id, attempt) or self._made(job_id, attempt, started)
        self._runs[key] = run_id
        self._runs.move_to_end(key)
        if len(self._runs) > RUNS_REMEMBERED:
            self._runs.popitem(last=False)
        return run_id

    def _found(self, job_id: str, attempt: int | None = None, status: str | None = None) -> str | None:
        wanted = [f"tags.`{JOB}` = '{job_id}'"]
        if attempt is not None:
            wanted.append(f"tags.`{ATTEMPT}` = '{attempt}'")
        if status is not None:
            wanted.append(f"attributes.status = '{status}'")
        runs = self._mlflow.search_runs([self._experiment_id], " and ".join(wanted), max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def _made(self, job_id: str, attempt: int, started: EventEnvelope | None) -> str:
        added = self._event(job_id, _adds)
        start = None if started else self._event(job_id, _starts(attempt))
        began, worker = (
            (started.time, started.data) if started else (start["recorded_at"], start["data"]) if start else (None, {})
        )
        data = added["data"] if added else {}
        kind = str(added["aggregate"]) if added else "unknown"
        tags = {JOB: job_id, ATTEMPT: str(attempt), KIND: kind}
        tags |= {f"tunebus.{name}": worker[name] for name in ("worker_id", "host") if name in worker}
        made = self._mlflow.create_run(
            self._experiment_id,
            start_time=_milliseconds(began) if began else None,
            tags=tags,
            run_name=f"{data.get('adapter_name') or kind.replace('_job', '')} {job_id[-8:]} attempt {attempt}",
        )
        run_id = str(made.info.run_id)
        self._params(run_id, flat(data.get("recipe") or {}))
        return run_id

    def _scored(self, evaluation_id: str) -> str | None:
        """The run that made the adapter which an evaluation scores."""
        added = self._event(evaluation_id, _adds)
        if added is None:
            return None
        if maker := added["data"].get("fine_tuning_job_id"):
            return self._found(maker, status="FINISHED")
        adapter_id = added["data"].get("adapter_id")
        if adapter_id is None:
            return None
        try:
            job_id = self._ask("GetAdapter", {"id": adapter_id}).get("fine_tuning_job_id")
        except TunebusError as error:
            if error.problem.code == Code.NOT_FOUND:
                return None
            raise
        return self._found(job_id, status="FINISHED") if job_id else None

    def _event(self, job_id: str, wanted: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any] | None:
        """The first event of a job that is wanted, from the record."""
        after = None
        while True:
            page = self._ask("ListEvents", {"entity_id": job_id, "limit": 200, "after": after})
            for item in page["items"]:
                if wanted(item):
                    return dict(item)
            after = page["next"]
            if after is None:
                return None

    # MLflow itself

    @property
    def _mlflow(self) -> MlflowClient:
        if self._client is None:
            self._client = self._connected()
        return self._client

    def _connected(self) -> MlflowClient:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # waiting and trying again is our affair
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        from mlflow.tracking import MlflowClient

        if self._uri.startswith("sqlite:///"):
            Path(self._uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        found = client.get_experiment_by_name(self._experiment)
        if found is None:
            where = self._artifacts.as_uri() if self._artifacts else None
            self._experiment_id = str(client.create_experiment(self._experiment, artifact_location=where))
        else:
            self._experiment_id = str(found.experiment_id)
        return client

    def _params(self, run_id: str, params: Iterable[tuple[str, str]]) -> None:
        from mlflow.entities import Param

        items = [Param(name, value[:VALUE_CHARACTERS]) for name, value in params]
        for begin in range(0, len(items), PARAMS_AT_ONCE):
            self._mlflow.log_batch(run_id, params=items[begin : begin + PARAMS_AT_ONCE])

    def _metrics(self, run_id: str, measured: Sequence[Point]) -> None:
        from mlflow.entities import Metric

        items: list[Metric] = [Metric(name, value, t, step) for name, value, t, step in measured if value is not None]
        for begin in range(0, len(items), METRICS_AT_ONCE):
            self._mlflow.log_batch(run_id, metrics=items[begin : begin + METRICS_AT_ONCE])

    def _tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self._mlflow.log_batch(run_id, tags=[RunTag(name, value[:TAG_CHARACTERS]) for name, value in tags.items()])

    def _end(self, run_id: str, status: str, event: EventEnvelope) -> None:
        self._mlflow.set_terminated(run_id, status, end_time=_milliseconds(event.time))

    def _safely(self, work: Callable[[], None]) -> None:
        """Do some work; what MLflow refuses for good is logged and left out. Errors: `unavailable` for its others."""
        from mlflow.exceptions import MlflowException

        try:
            work()
        except (MlflowException, OSError, TimeoutError) as error:
            code = str(getattr(error, "error_code", ""))
            reason = redact(str(error))[:500]
            if code not in _PERMANENT:
                raise fail(Code.UNAVAILABLE, f"{type(error).__name__}: {reason}") from None
            self._runs.clear()  # a run may have been deleted by hand
            _log.warning("MLflow refused something, which is left out", extra={"code": code, "reason": reason})


def points(body: bytes) -> tuple[str, int, list[Point]]:
    """Job, attempt and points of a telemetry message. What is left out of it is what the projector leaves out, which
    records it as a dead letter. Errors: `malformed`, when nothing can be taken from the message.
    """
    job_id, attempt, records = telemetry.read_batch(body)
    found: list[Point] = []
    for record in records:
        with contextlib.suppress(telemetry.BadRecord):
            found += _points(record)
    return job_id, attempt, found


def _points(record: Any) -> list[Point]:
    kind = record.get("k") if isinstance(record, dict) else None
    if kind not in ("metric", "system"):
        return []
    n, t = telemetry.whole(record, "n"), round(telemetry.number(record, "t") * 1000)
    prefix, step = ("", telemetry.whole(record, "step")) if kind == "metric" else ("system/", n)
    return [(prefix + name, float(value), t, step) for name, value in telemetry.values(record).items()]


def _envelope(message: Msg) -> EventEnvelope:
    try:
        return EventEnvelope.model_validate(strictjson.loads(message.data))
    except ValidationError as error:
        raise fail(Code.MALFORMED, f"no {EventEnvelope.__name__}: {error.error_count()} errors") from None


def _adds(item: Mapping[str, Any]) -> bool:
    return str(item["type"]).endswith("JobAdded")


def _starts(attempt: int) -> Callable[[Mapping[str, Any]], bool]:
    return lambda item: item["type"] == "AttemptStarted" and item["data"]["attempt"] == attempt


def _milliseconds(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)
