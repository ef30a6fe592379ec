"""What the events that every kind of job shares change: the job's row, its attempts and its checkpoints.

The states: queued, held, starting, running, stopping, stopped, interrupted, succeeded, failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tunebus.contracts.events import RecordedEvent, uses_up_a_retry
from tunebus.projections import removal
from tunebus.projections.changes import Change, Delete, Insert, Update
from tunebus.projections.tables import JOB_TABLES, job_attempts, job_checkpoints, job_dependencies, labels_key


def new_row(event: RecordedEvent) -> dict[str, Any]:
    """The shared columns of a job just added: held until its `JobQueued` follows."""
    data = event.data
    recipe: Mapping[str, Any] = data["recipe"]
    dataset: Mapping[str, Any] = recipe.get("dataset") or {}
    return {
        "id": event.entity_id,
        "position": event.position,
        "version": event.version,
        "state": "held",
        "cause": None,
        "message": None,
        "hint": None,
        "suggestion": None,
        "attempt": 0,
        "attempts": 0,
        "crashes": 0,
        "priority": data.get("priority", 0),
        "rank": first_rank(event.position),
        "depends_on": data.get("depends_on", []),
        "waiting_for": data.get("waiting_for", []),
        "unmet": len(data.get("waiting_for", ())),
        "labels": data.get("labels", []),
        "labels_key": labels_key(data.get("labels", ())),
        "notes": data.get("notes", ""),
        "gpus": [],
        "worker_id": None,
        "host": None,
        "stop": "none",
        "step": 0,
        "total_steps": None,
        "checkpoint_attempt": None,
        "checkpoint_step": None,
        "checkpoint_uri": None,
        "checkpoint_sha256": None,
        "base_model_id": data.get("base_model_id"),
        "dataset_id": data.get("dataset_id"),
        "prompt_id": data.get("prompt_id"),
        "adapter_id": data.get("adapter_id"),
        "num_cpu": recipe.get("num_cpu"),
        "num_gpu": recipe.get("num_gpu", 0),
        "num_memory": recipe.get("num_memory_gb"),
        "dataset_fraction": dataset.get("dataset_fraction"),
        "train_test_split": dataset.get("train_test_split"),
        "quantization": data["asked"].get("quantization"),
        "asked": data["asked"],
        "recipe": recipe,
        "warnings": data.get("warnings", []),
        "out_dir": data["out_dir"],
        "result_uri": None,
        "result_sha256": None,
        "metrics": {},
        "created_at": event.recorded_at,
        "queued_at": None,
        "started_at": None,
        "finished_at": None,
        "updated_at": event.recorded_at,
    }


def first_rank(position: int) -> str:
    """The rank of a job until it is moved: that of the event that added it. See `rank_between` for what ranks are."""
    return f"{position:018d}5"


def new_dependencies(event: RecordedEvent) -> list[Change]:
    """The rows that a job just added needs beside its own."""
    return [_depends(event, other) for other in event.data.get("depends_on", ())]


def _depends(event: RecordedEvent, dependency_id: str) -> Insert:
    row = {"job_id": event.entity_id, "dependency_id": dependency_id, "kind": event.aggregate}
    return Insert(job_dependencies, row)


def _job(event: RecordedEvent, **values: Any) -> Update:
    values["version"], values["updated_at"] = event.version, event.recorded_at
    return Update(JOB_TABLES[event.aggregate], {"id": event.entity_id}, values)


def _attempt(event: RecordedEvent, **values: Any) -> Update:
    return Update(job_attempts, {"job_id": event.entity_id, "attempt": event.data["attempt"]}, values)


# Words about what went before, in a job that waits again because somebody or something freed it, are out of date.
_FREED = ("released", "dependencies_met")
_AGAIN = ("retried", "resumed")


def _queued(event: RecordedEvent) -> list[Change]:
    cause = event.data["cause"]
    return [
        _job(
            event,
            state="queued",
            cause=cause,
            attempts=event.data.get("attempts", 0),
            queued_at=event.recorded_at,
            worker_id=None,
            host=None,
            gpus=[],
            **({"message": None, "hint": None} if cause in (*_FREED, *_AGAIN) else {}),
            **({"suggestion": None, "stop": "none", "crashes": 0, "finished_at": None} if cause in _AGAIN else {}),
        )
    ]


def _held(event: RecordedEvent) -> list[Change]:
    data = event.data
    values = {"cause": data["cause"], "message": data.get("message") or None, "hint": None}
    return [_job(event, state="held", worker_id=None, host=None, gpus=[], **values)]


def _prioritized(event: RecordedEvent) -> list[Change]:
    return [_job(event, priority=event.data["priority"])]


def _moved(event: RecordedEvent) -> list[Change]:
    return [_job(event, rank=event.data["rank"])]


def _labeled(event: RecordedEvent) -> list[Change]:
    labels = event.data["labels"]
    return [_job(event, labels=labels, labels_key=labels_key(labels))]


def _noted(event: RecordedEvent) -> list[Change]:
    return [_job(event, notes=event.data["notes"])]


def _dependencies_set(event: RecordedEvent) -> list[Change]:
    data = event.data
    waiting_for = data.get("waiting_for", [])
    return [
        _job(event, depends_on=data["depends_on"], waiting_for=waiting_for, unmet=len(waiting_for)),
        *(
            Delete(job_dependencies, {"job_id": event.entity_id, "dependency_id": other})
            for other in data.get("removed", ())
        ),
        *(_depends(event, other) for other in data.get("added", ())),
    ]


def _dependency_met(event: RecordedEvent) -> list[Change]:
    waiting_for = event.data.get("waiting_for", [])
    return [_job(event, waiting_for=waiting_for, unmet=len(waiting_for))]


def subject_made(event: RecordedEvent, **own: Any) -> list[Change]:
    """What the job is about is there; `fine_tuning_job_id` names its maker only as long as it has still to be made.

    `own` are values of the kind's own columns.
    """
    data = event.data
    made = {name: data.get(name) for name in ("base_model_id", "adapter_id", "recipe")}
    return [_job(event, fine_tuning_job_id=None, **made, **own)]


def _attempt_started(event: RecordedEvent) -> list[Change]:
    data = event.data
    values: dict[str, Any] = {"started_at": event.recorded_at} if data["attempt"] == 1 else {}
    row = {
        "job_id": event.entity_id,
        "attempt": data["attempt"],
        "kind": event.aggregate,
        "worker_id": data["worker_id"],
        "host": data["host"],
        "state": "starting",
        "cause": None,
        "message": None,
        "detail": None,
        "hint": None,
        "suggestion": None,
        "signal": None,
        "exit_code": None,
        "resume_from": data.get("resume_from"),
        "resumed_from_step": None,
        "total_steps": None,
        "resolved": None,
        "versions": None,
        "started_at": event.recorded_at,
        "running_at": None,
        "ended_at": None,
    }
    job = _job(
        event,
        state="starting",
        attempt=data["attempt"],
        attempts=data["attempt"],
        worker_id=data["worker_id"],
        host=data["host"],
        gpus=data.get("gpus", []),
        **values,
    )
    return [job, Insert(job_attempts, row)]


def _attempt_running(event: RecordedEvent) -> list[Change]:
    data = event.data
    table = JOB_TABLES[event.aggregate]
    resumed = data.get("resumed_from_step", 0)
    return [
        _job(event, total_steps=data["total_steps"], step=resumed),
        # A stop that was asked for while the child loaded its model stays in sight.
        Update(table, {"id": event.entity_id, "state": "starting"}, {"state": "running"}),
        _attempt(
            event,
            state="running",
            total_steps=data["total_steps"],
            resumed_from_step=resumed,
            resolved=data.get("resolved", {}),
            versions=data.get("versions", {}),
            running_at=event.recorded_at,
        ),
    ]


def _checkpoint_recorded(event: RecordedEvent) -> list[Change]:
    data = event.data
    row = {
        "position": event.position,
        "job_id": event.entity_id,
        "kind": event.aggregate,
        "attempt": data["attempt"],
        "step": data["step"],
        "uri": data["uri"],
        "manifest_sha256": data["manifest_sha256"],
        "loss": data.get("loss"),
        "eval_loss": data.get("eval_loss"),
        "best": data.get("best", False),
        "recorded_at": event.recorded_at,
    }
    job = _job(
        event,
        step=data["step"],
        checkpoint_attempt=data["attempt"],
        checkpoint_step=data["step"],
        checkpoint_uri=data["uri"],
        checkpoint_sha256=data["manifest_sha256"],
    )
    return [job, Insert(job_checkpoints, row)]


def _attempt_lost(event: RecordedEvent) -> list[Change]:
    cause = "attempt_lost"
    message = f"nobody heard of worker {event.data['worker_id']} for a whole lease"
    return [
        _job(
            event,
            state="interrupted",
            cause=cause,
            message=message,
            hint=None,
            suggestion=None,
            worker_id=None,
            host=None,
        ),
        _attempt(event, state="lost", cause=cause, message=message, ended_at=event.recorded_at),
    ]


def _attempt_failed(event: RecordedEvent) -> list[Change]:
    data = event.data
    job = _job(
        event,
        state="interrupted",
        cause=data["cause"],
        message=data["message"],
        hint=data.get("hint"),
        suggestion=data.get("suggestion"),
        worker_id=None,
        host=None,
    )
    if uses_up_a_retry(data["cause"], data.get("signal")):
        job = replace(job, adds={"crashes": 1})
    return [
        job,
        _attempt(
            event,
            state="failed",
            cause=data["cause"],
            message=data["message"],
            detail=data.get("detail", ""),
            hint=data.get("hint"),
            suggestion=data.get("suggestion"),
            signal=data.get("signal"),
            exit_code=data.get("exit_code"),
            ended_at=event.recorded_at,
        ),
    ]


def _stop_requested(event: RecordedEvent) -> list[Change]:
    return [_job(event, state="stopping", stop="force" if event.data.get("force") else "graceful")]


def _stopped(event: RecordedEvent) -> list[Change]:
    data = event.data
    job = _job(
        event,
        state="stopped",
        cause=data["cause"],
        message=None,
        hint=None,
        suggestion=None,
        step=data.get("step", 0),
        worker_id=None,
        host=None,
        finished_at=event.recorded_at,
    )
    return [job, *_end_of_attempt(event, "stopped", data["cause"])]


def _failed(event: RecordedEvent) -> list[Change]:
    data = event.data
    return [
        _job(
            event,
            state="failed",
            cause=data["cause"],
            message=data["message"],
            hint=data.get("hint"),
            suggestion=data.get("suggestion"),
            worker_id=None,
            host=None,
            finished_at=event.recorded_at,
        )
    ]


def _succeeded(event: RecordedEvent) -> list[Change]:
    data = event.data
    # An evaluation's adapter is the one it scores, which stays; a fine-tuning's is the one it made.
    made: dict[str, Any] = {name: data[name] for name in ("adapter_id", "model_id") if data.get(name)}
    job = _job(
        event,
        state="succeeded",
        cause="early_stopping" if data.get("early_stopping") else "finished",
        message=data.get("early_stopping"),
        hint=None,
        suggestion=None,
        step=data.get("step", 0),
        result_uri=data.get("result_uri"),
        result_sha256=data.get("result_sha256"),
        metrics=data.get("metrics", {}),
        worker_id=None,
        host=None,
        finished_at=event.recorded_at,
        **made,
    )
    return [job, *_end_of_attempt(event, "finished", "finished")]


def _end_of_attempt(event: RecordedEvent, state: str, cause: str) -> list[Change]:
    if not event.data.get("attempt"):
        return []
    where = {"job_id": event.entity_id, "attempt": event.data["attempt"], "ended_at": None}
    return [Update(job_attempts, where, {"state": state, "cause": cause, "ended_at": event.recorded_at})]


def _removed(event: RecordedEvent) -> list[Change]:
    return removal.remove(JOB_TABLES[event.aggregate], event)


HANDLERS: dict[str, Callable[[RecordedEvent], list[Change]]] = {
    "JobQueued": _queued,
    "JobHeld": _held,
    "JobPrioritized": _prioritized,
    "JobMoved": _moved,
    "JobLabeled": _labeled,
    "JobNoted": _noted,
    "JobDependenciesSet": _dependencies_set,
    "DependencyMet": _dependency_met,
    "AttemptStarted": _attempt_started,
    "AttemptRunning": _attempt_running,
    "CheckpointRecorded": _checkpoint_recorded,
    "AttemptLost": _attempt_lost,
    "AttemptFailed": _attempt_failed,
    "StopRequested": _stop_requested,
    "JobStopped": _stopped,
    "JobFailed": _failed,
    "JobSucceeded": _succeeded,
    "JobRemoved": _removed,
    "JobFilesDeleted": removal.files_deleted,
}
