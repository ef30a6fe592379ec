"""A job's events in words. An event that nobody has words for yet is shown by its type alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Data = Mapping[str, Any]

_WHY_QUEUED = {
    "submitted": "Waits for a worker.",
    "attempt_lost": "Waits again, to go on from its last checkpoint: its worker was lost.",
    "crashed": "Waits again, to go on from its last checkpoint: the attempt crashed.",
    "worker_shutdown": "Waits again, to go on from its last checkpoint: its worker was shut down.",
}


def happened(kind: str, data: Data) -> str:
    """What one event says, as a sentence; empty when there is nothing to add to its name."""
    words = _WORDS.get(kind)
    return words(data) if words else ""


def _changed(data: Data) -> str:
    changes = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in data["changes"].items())
    return f"Its settings are changed: {changes}." + (" It begins anew." if data.get("restart") else "")


def _started(data: Data) -> str:
    resumed = data.get("resume_from")
    where = f", from the checkpoint of step {resumed['step']}" if resumed and resumed.get("step") else ""
    return f"Attempt {data['attempt']} on {data['host']}{where}."


def _running(data: Data) -> str:
    begin = f"goes on after step {data['resumed_from_step']}" if data.get("resumed_from_step") else "begins"
    total = f" of {data['total_steps']} steps" if data["total_steps"] else ""
    return f"Everything is loaded; attempt {data['attempt']}{total} {begin}."


def _checkpoint(data: Data) -> str:
    losses = [
        f"{name} {data[key]:.4g}"
        for key, name in (("loss", "loss"), ("eval_loss", "held-out loss"))
        if data.get(key) is not None
    ]
    return f"Step {data['step']} is safe on disk{': ' + ', '.join(losses) if losses else ''}."


def _attempt_failed(data: Data) -> str:
    retry = " It will be tried again." if data.get("will_retry") else ""
    return f"Attempt {data['attempt']}, {_cause(data)}: {data['message']}{retry}"


def _failed(data: Data) -> str:
    hint = f" {data['hint']}" if data.get("hint") else ""
    return f"{_cause(data).capitalize()}: {data['message']}{hint}"


def _cause(data: Data) -> str:
    return str(data["cause"]).replace("_", " ")


_WORDS: dict[str, Callable[[Data], str]] = {
    "FineTuningJobAdded": lambda data: f"Asked for; the adapter will be called {data['adapter_name']}.",
    "FineTuningJobChanged": _changed,
    "EvaluationJobAdded": lambda data: "Asked for.",
    "JobQueued": lambda data: _WHY_QUEUED.get(data["cause"], f"Waits: {_cause(data)}."),
    "AttemptStarted": _started,
    "AttemptRunning": _running,
    "CheckpointRecorded": _checkpoint,
    "AttemptLost": lambda data: f"Nobody heard of {data['worker_id']} any more; attempt {data['attempt']} is given up.",
    "AttemptFailed": _attempt_failed,
    "StopRequested": lambda data: "At once." if data.get("force") else "After the step it is at, with a checkpoint.",
    "JobStopped": lambda data: f"Stopped at step {data['step']}." if data.get("step") else "Stopped.",
    "JobFailed": _failed,
    "JobSucceeded": lambda data: f"Done after {data['step']} steps." if data.get("step") else "Done.",
    "JobHeld": lambda data: f"Held: {data.get('message') or data['cause'].replace('_', ' ')}.",
    "JobPrioritized": lambda data: f"Priority is now {data['priority']}.",
    "JobMoved": lambda data: f"Moved {data['to']} in the queue.",
    "JobLabeled": lambda data: f"Labels: {', '.join(data['labels']) or 'none'}.",
    "JobNoted": lambda _: "Notes were written.",
    "JobDependenciesSet": lambda data: f"Depends on {len(data['depends_on'])} jobs.",
    "DependencyMet": lambda data: f"A job it waited for succeeded; {len(data.get('waiting_for', ()))} are left.",
    "JobRemoved": lambda data: f"Removed; its files, {data.get('bytes', 0):,} bytes, stay.",
    "JobFilesDeleted": lambda data: f"Its files were deleted: {data.get('bytes', 0):,} bytes.",
}
