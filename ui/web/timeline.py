"""A job's events in words. An event that nobody has words for yet is shown by its type alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tunebus.ui.web.job.names import cause_name, sentence
from tunebus.ui.web.markup import bytes_text
from tunebus.ui.web.words import catalogue, say

Data = Mapping[str, Any]


def happened(kind: str, data: Data) -> str:
    """What one event says, as a sentence; empty when there is nothing to add to its name."""
    words = _WORDS.get(kind)
    return words(data) if words else ""


def _say(name: str, /, **values: object) -> str:
    return say(f"timeline.event.{name}", **values)


def _changed(data: Data) -> str:
    changes = ", ".join(f"{name} {old} → {new}" for name, (old, new) in data["changes"].items())
    return _say("FineTuningJobChanged", changes=changes) + (say("timeline.restart") if data.get("restart") else "")


def _queued(data: Data) -> str:
    if data.get("resume_step") is not None:
        return say("timeline.queued.from_step", step=data["resume_step"])
    key = f"timeline.queued.{data['cause']}"
    return say(key) if key in catalogue() else say("timeline.queued.otherwise", cause=cause_name(data["cause"]))


def _started(data: Data) -> str:
    step = (data.get("resume_from") or {}).get("step")
    name = "AttemptResumed" if step else "AttemptStarted"
    return _say(name, attempt=data["attempt"], host=data["host"], step=step)


def _running(data: Data) -> str:
    name = "AttemptRunningOf" if data["total_steps"] else "AttemptRunning"
    if data.get("resumed_from_step"):
        name = "AttemptGoesOn"
    return _say(name, attempt=data["attempt"], total=data["total_steps"], step=data.get("resumed_from_step"))


def _checkpoint(data: Data) -> str:
    losses = ", ".join(
        say(f"timeline.loss.{name}", value=f"{data[name]:.4g}")
        for name in ("loss", "eval_loss")
        if data.get(name) is not None
    )
    return _say("CheckpointMeasured" if losses else "CheckpointRecorded", step=data["step"], losses=losses)


def _attempt_failed(data: Data) -> str:
    message = sentence(data["message"])
    words = _say("AttemptFailed", attempt=data["attempt"], cause=cause_name(data["cause"]), message=message)
    return words + (say("timeline.again") if data.get("will_retry") else "")


def _failed(data: Data) -> str:
    words = _say("JobFailed", cause=cause_name(data["cause"]), message=sentence(data["message"]))
    hint = say("timeline.hint", hint=sentence(data["hint"])) if data.get("hint") else ""
    return sentence(words) + hint


def _held(data: Data) -> str:
    return _say("JobHeld", why=data.get("message") or cause_name(data["cause"]))


def _by_step(name: str, with_step: str) -> Callable[[Data], str]:
    return lambda data: _say(with_step if data.get("step") else name, step=data.get("step"))


_WORDS: dict[str, Callable[[Data], str]] = {
    "FineTuningJobAdded": lambda data: _say("FineTuningJobAdded", name=data["adapter_name"]),
    "FineTuningJobChanged": _changed,
    "ImportedJobAdded": lambda data: _say("ImportedJobAdded", source=data["imported"]["source"]),
    "EvaluationJobAdded": lambda _: _say("JobAdded"),
    "ExportJobAdded": lambda _: _say("JobAdded"),
    "JobQueued": _queued,
    "AttemptStarted": _started,
    "AttemptRunning": _running,
    "CheckpointRecorded": _checkpoint,
    "AttemptLost": lambda data: _say("AttemptLost", worker=data["worker_id"], attempt=data["attempt"]),
    "AttemptFailed": _attempt_failed,
    "StopRequested": lambda data: _say("StopAtOnce" if data.get("force") else "StopGracefully"),
    "JobStopped": _by_step("JobStopped", "JobStoppedAt"),
    "JobFailed": _failed,
    "JobSucceeded": _by_step("JobSucceeded", "JobSucceededAfter"),
    "JobHeld": _held,
    "JobPrioritized": lambda data: _say("JobPrioritized", priority=data["priority"]),
    "JobMoved": lambda data: _say("JobMoved", to=data["to"]),
    "JobLabeled": lambda data: _say(
        "JobLabeled" if data["labels"] else "JobUnlabeled", labels=", ".join(data["labels"])
    ),
    "JobNoted": lambda _: _say("JobNoted"),
    "JobDependenciesSet": lambda data: _say("JobDependenciesSet", count=len(data["depends_on"])),
    "DependencyMet": lambda data: _say("DependencyMet", count=len(data.get("waiting_for", ()))),
    "SubjectMade": lambda _: _say("SubjectMade"),
    "JobRemoved": lambda data: _say("JobRemoved", bytes=bytes_text(data.get("bytes", 0))),
    "JobFilesDeleted": lambda data: _say("JobFilesDeleted", bytes=bytes_text(data.get("bytes", 0))),
}
