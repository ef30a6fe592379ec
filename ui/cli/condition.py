"""`status` and `doctor`: where the studio is and how it is. Both read the run file first and work with the bus down."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.services.platform.logs import redact
from tunebus.ui.cli.call import Call
from tunebus.ui.cli.terminal import cell, local_time, record, table

_QUICK = 3.0  # seconds that a question to a bus that may be down may take


def status(call: Call) -> None:
    """Say where the studio is, what runs in it and what its jobs do."""
    document = studio_document(call)
    if document["state"] != "down":
        with contextlib.suppress(TunebusError):
            document["overview"] = call.ask_quickly("GetOverview", seconds=_QUICK)
    call.terminal.data(document, None if call.machine else _status(document))
    if document["state"] == "down":
        if not call.machine:
            raise fail(Code.UNAVAILABLE, f"no studio runs on {document['home']}", hint="start one with `tunebus up`")
        raise typer.Exit(6)


def doctor(call: Call) -> None:
    """Check everything a studio stands on, and say what to do about what is wrong."""
    from tunebus.ui.cli.checks import examine

    findings = examine(call)
    document = {"ok": not any(one["state"] == "problem" for one in findings), "checks": findings}
    call.terminal.data(document, None if call.machine else _findings(findings))
    if not document["ok"]:
        raise typer.Exit(6)


def studio_document(call: Call) -> dict[str, Any]:
    """The run file, corrected by which of its processes are alive; `state` is `down` when no studio runs."""
    settings = call.settings
    found = call.home.read_run_file()
    document: dict[str, Any] = {
        "home": str(settings.home),
        "namespace": settings.namespace,
        "state": "down",
        "pid": None,
        "nats_url": settings.nats_url.get_secret_value() if settings.nats_url else None,
        "database_url": settings.ledger_url,
        "ui_url": None,
        "services": {},
        "overview": None,
    }
    if found is None:
        return document
    document.update(found)
    if not _alive(found.get("pid")):
        document["state"] = "down"
    for service in document["services"].values():
        if service.get("pid") and not _alive(service["pid"]):
            service["state"], service["pid"] = "dead", None
    return document


def _alive(pid: object) -> bool:
    if not isinstance(pid, int):
        return False
    with contextlib.suppress(OSError):
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _status(document: Mapping[str, Any]) -> Group:
    head = {
        "home": document["home"],
        "state": document["state"],
        "pages": document["ui_url"],
        "bus": redact(str(document["nats_url"])) if document["nats_url"] else None,
        "database": redact(str(document["database_url"])),
        "since": local_time(document.get("started_at")),
    }
    parts: list[RenderableType] = [record(head)]
    if document["services"]:
        rows = [{"name": name, **service} for name, service in document["services"].items()]
        columns = {"service": "name", "state": "state", "pid": "pid", "restarts": "restarts", "last error": "error"}
        parts.append(table(rows, columns))
    overview = document.get("overview")
    if overview:
        parts.append(_jobs(overview))
    elif document["state"] not in ("down", "starting"):
        parts.append(Text("the registry does not answer right now", style="yellow"))
    return Group(*parts)


def _jobs(overview: Mapping[str, Any]) -> Group:
    counts = overview["counts"]
    said = [f"{counts[name]} {name}" for name in ("datasets", "models", "adapters", "prompts", "configs")]
    if counts.get("dead_letters"):
        said.append(f"[yellow]{counts['dead_letters']} dead letters[/]")
    parts: list[RenderableType] = [Text.from_markup("; ".join(said))]
    shown: dict[str, dict[str, Any]] = {}
    for part in ("running", "waiting", "failed", "recent"):
        for job in overview[part]:
            name = job.get("adapter_name") or job.get("base_model_name")
            verb = {"fine_tuning_job": "train", "evaluation_job": "evaluate"}.get(job["kind"], "export")
            why = job.get("waiting_reason") or (job.get("message") if job["state"] == "failed" else None)
            shown.setdefault(job["id"], {**job, "job": f"{verb} {name}", "why": why})
    if shown:
        columns = {
            "job": "job",
            "state": "state",
            "step": "progress.step",
            "of": "progress.total",
            "why": "why",
            "id": "id",
        }
        parts.append(table(list(shown.values()), columns))
    return Group(*parts)


_MARKS = {"ok": "[green]ok[/]", "note": "[blue]note[/]", "warning": "[yellow]warning[/]", "problem": "[red]problem[/]"}


def _findings(findings: list[dict[str, Any]]) -> Table:
    made = Table.grid(padding=(0, 2))
    made.add_column(no_wrap=True)
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for one in findings:
        hint = f"\n[dim]{escape(one['hint'])}[/]" if one.get("hint") else ""
        made.add_row(_MARKS[one["state"]], escape(one["name"]), cell(one["message"]) + hint)
    return made
