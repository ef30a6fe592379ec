"""What `doctor` looks at. Every check stands alone: one that fails, or is slow, never hides another."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from tunebus.contracts.errors import TunebusError
from tunebus.services.platform.logs import redact
from tunebus.ui.cli.call import Call
from tunebus.ui.cli.condition import studio_document
from tunebus.ui.cli.terminal import byte_size

State = Literal["ok", "note", "warning", "problem"]
Finding = dict[str, Any]
Check = Callable[[Call], Iterator[Finding]]

_QUICK = 3.0
_GiB = 1024**3
_LOG_TAIL = 65_536


def examine(call: Call) -> list[Finding]:
    """Every finding in the order of `CHECKS`. Settings that cannot be read are a finding too, and the only one then."""
    findings = list(_python(call))
    try:
        call.settings  # noqa: B018  reading them is the check
    except TunebusError as error:
        for problem in error.problem.details or [error.problem]:
            findings.append(_finding("settings", "problem", f"{problem.param}: {problem.message}", problem.hint))
        return findings
    for check in CHECKS:
        try:
            findings += check(call)
        except TunebusError as error:
            findings.append(_finding(_name(check), "problem", error.problem.message, error.problem.hint))
        except OSError as error:
            findings.append(_finding(_name(check), "problem", str(error)))
    return findings


def _finding(name: str, state: State, message: str, hint: str | None = None) -> Finding:
    return {"name": name, "state": state, "message": redact(message), "hint": hint}


def _name(check: Check) -> str:
    return check.__name__.strip("_").replace("_", " ")


def _python(call: Call) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield _finding("python", "ok" if supported else "problem", version, None if supported else "use 3.11, 3.12 or 3.13")


def _packages(call: Call) -> Iterator[Finding]:
    """What each role needs; found without importing it, for torch alone takes seconds."""
    for role, module in (("trainer", "trl"), ("evaluator", "torch"), ("ui", "gradio"), ("registry", "sqlalchemy")):
        if importlib.util.find_spec(module) is None:
            yield _finding(
                "packages", "warning", f"{module} is not installed: no {role} here", f"pip install 'tunebus[{role}]'"
            )


def _nats_server(call: Call) -> Iterator[Finding]:
    if call.settings.nats_url is not None:
        yield _finding("nats server", "ok", f"not ours: {call.settings.nats_url.get_secret_value()}")
        return
    from tunebus.services.platform.server import find_binary

    binary = find_binary(call.settings.nats_server)
    said = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=10, check=False)
    yield _finding(
        "nats server", "problem" if said.returncode else "ok", said.stdout.strip() or f"{binary} does not run"
    )


def _home(call: Call) -> Iterator[Finding]:
    folder = _existing(call.settings.home)
    if not folder.is_dir():
        hint = "name a folder with --home or TUNEBUS_HOME"
        yield _finding("home", "problem", f"{call.settings.home}: {folder} is a regular file", hint)
        return
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        yield _finding("home", "problem", f"{folder} cannot be written: {error.strerror}")
        return
    new = "" if folder == call.settings.home else " (made at the first start)"
    yield _finding("home", "ok", f"{call.settings.home}{new}")


def _dataset_roots(call: Call) -> Iterator[Finding]:
    for root in call.settings.missing_roots:
        hint = "make or mount it, or correct TUNEBUS_DATASET_ROOTS"
        yield _finding("dataset roots", "warning", f"there is no folder {root}", hint)


def _disk(call: Call) -> Iterator[Finding]:
    for path in dict.fromkeys((_existing(call.settings.home), _existing(call.settings.artifacts))):
        free = shutil.disk_usage(path).free
        state: State = "problem" if free < _GiB // 4 else "warning" if free < 5 * _GiB else "ok"
        hint = None if state == "ok" else "checkpoints of a large model take gigabytes"
        yield _finding("disk", state, f"{byte_size(free)} free at {path}", hint)


def _existing(path: Path) -> Path:
    """The path, or the nearest of its parents that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _processor(call: Call) -> Iterator[Finding]:
    yield _finding(
        "processor",
        "ok",
        f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores",
    )


def _gpu(call: Call) -> Iterator[Finding]:
    """Asked of the driver's own tool, for asking torch takes seconds and a context on the device."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield _finding("gpu", "note", "none: nvidia-smi is not there; small models train on the processor")
        return
    try:
        said = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        yield _finding("gpu", "warning", "nvidia-smi does not answer")
        return
    names = [line.split(" (UUID")[0] for line in said.stdout.splitlines() if line.startswith("GPU")]
    yield _finding("gpu", "ok" if names else "warning", "; ".join(names) or "nvidia-smi lists none")


def _studio(call: Call) -> Iterator[Finding]:
    document = studio_document(call)
    if document["state"] == "down":
        crashed = document["pid"] is not None
        yield _finding(
            "studio",
            "warning" if crashed else "note",
            f"its launcher (pid {document['pid']}) is gone without having stopped it" if crashed else "not running",
            "start it with `tunebus up`",
        )
        return
    bad = {name: one for name, one in document["services"].items() if one.get("state") != "ready"}
    if not bad:
        yield _finding("studio", "ok", f"{len(document['services'])} services are ready")
    for name, service in bad.items():
        problem = service.get("state") in ("failing", "dead", "failed")
        why = f": {service['error']}" if service.get("error") else ""
        yield _finding(
            f"service {name}",
            "problem" if problem else "warning",
            f"{service.get('state')}{why}",
            f"its log is {service.get('log')}",
        )
    restarted = {name: one["restarts"] for name, one in document["services"].items() if one.get("restarts")}
    if restarted:
        counts = ", ".join(f"{name} {count}" for name, count in restarted.items())
        yield _finding("restarts", "warning", counts)


def _ports(call: Call) -> Iterator[Finding]:
    """Ports that are set: whether the next start can have them."""
    document, settings = studio_document(call), call.settings
    if document["state"] != "down":
        if document["ui_url"] is None:
            yield _finding("pages", "note", "not served (--no-ui)")
        return
    wanted = [("TUNEBUS_UI_PORT", settings.ui_host, settings.ui_port)]
    if settings.nats_url is None:
        wanted.append(("TUNEBUS_NATS_PORT", "127.0.0.1", settings.nats_port))
    for name, host, port in wanted:
        if port:
            yield _port(name, host, port)


def _port(name: str, host: str, port: int) -> Finding:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            hint = f"set {name} to another, or to 0 for any free one"
            return _finding("port", "problem", f"{host}:{port} cannot be used: {error.strerror}", hint)
    return _finding("port", "ok", f"{host}:{port} is free")


def _database(call: Call) -> Iterator[Finding]:
    from tunebus.services.platform import database

    url = call.settings.ledger_url
    file = url.removeprefix("sqlite:///")
    if file != url and not Path(file).exists():
        yield _finding("database", "note", f"{file} is made at the first start")
        return
    engine = database.open_engine(url, read_only=True)
    try:
        with database.explained():
            database.check_schema(engine)
    finally:
        engine.dispose()
    yield _finding("database", "ok", url)


def _uploads(call: Call) -> Iterator[Finding]:
    """How much is taken by copies of uploads that no dataset names any more."""
    from sqlalchemy import select
    from tunebus.projections.tables import datasets
    from tunebus.services.platform import database
    from tunebus.services.platform.home import SCHEME
    from tunebus.ui.web import storage

    url = call.settings.ledger_url
    file = url.removeprefix("sqlite:///")
    if not (call.settings.artifacts / "uploads").is_dir() or (file != url and not Path(file).exists()):
        return
    engine = database.open_engine(url, read_only=True)
    try:
        with database.explained(), database.read(engine) as connection:
            named = {str(one).removeprefix(SCHEME) for one in connection.scalars(select(datasets.c.location))}
    finally:
        engine.dispose()
    left = [storage.size_of(path) for path in storage.unowned_uploads(call.settings.artifacts, named)]
    if not left:
        yield _finding("uploads", "ok", "every copy of an upload is a dataset's")
        return
    taken = byte_size(sum(one.bytes for one in left))
    message = f"{len(left)} {'copy' if len(left) == 1 else 'copies'} that no dataset names: {taken}"
    hint = (
        "of a removed dataset: `tunebus dataset remove ID --delete-files`, with the id that `tunebus events list` shows"
    )
    yield _finding("uploads", "note", message, hint)


def _bus(call: Call) -> Iterator[Finding]:
    if studio_document(call)["state"] == "down" and call.settings.nats_url is None:
        return
    problems = asyncio.run(_drift(call))
    if not problems:
        yield _finding("topology", "ok", "streams and consumers are as they should be")
    for message, hint in problems:
        yield _finding("topology", "problem", message, hint)


async def _drift(call: Call) -> list[tuple[str, str | None]]:
    from tunebus.services.platform import connection, topology

    client = await connection.connect(call.settings, "doctor", wait=_QUICK)
    try:
        found = await topology.verify(client, call.settings.subjects, wait=_QUICK)
        return [(problem.message, problem.hint) for problem in found]
    finally:
        await client.close()


def _work(call: Call) -> Iterator[Finding]:
    """Who is there to do jobs, and why those that wait do."""
    if studio_document(call)["state"] == "down" and call.settings.nats_url is None:
        return
    overview = call.ask_quickly("GetOverview", seconds=_QUICK)
    for kind, count in overview["counts"]["workers"].items():
        name = {"fine_tuning_job": "trainer", "evaluation_job": "evaluator"}.get(kind, kind)
        state: State = "ok" if count else "warning"
        yield _finding(
            "workers", state, f"{count} {name}", None if count else f"start one with `tunebus worker {name}`"
        )
    for job in overview["waiting"]:
        yield _finding(
            "waiting", "note", f"{job.get('adapter_name') or job['id']}: {job.get('waiting_reason') or job['state']}"
        )
    letters = overview["counts"].get("dead_letters")
    if letters:
        yield _finding(
            "dead letters", "warning", f"{letters} messages could not be handled", "see `tunebus deadletter list`"
        )


def _last_errors(call: Call) -> Iterator[Finding]:
    """The newest error in each service's log."""
    for file in sorted(call.home.logs.glob("*.log")):
        with file.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL))
            lines = log.read().decode(errors="replace").splitlines()
        for line in reversed(lines):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("level") in ("error", "critical"):
                yield _finding(
                    "last error", "note", f"{file.stem}, {entry.get('time')}: {entry.get('message')}", str(file)
                )
                break


CHECKS: tuple[Check, ...] = (
    _packages,
    _nats_server,
    _home,
    _dataset_roots,
    _disk,
    _processor,
    _gpu,
    _database,
    _uploads,
    _studio,
    _ports,
    _bus,
    _work,
    _last_errors,
)
