"""The prepare child: looks into files for commands and queries, one JSON request a line, one JSON reply a line.

    python -m tunebus.services.registry.prepare

It has no database and no bus, ends with its stdin, and may use only so much memory and time. `STEPS` is its table of
contents. Nothing it reads is ever executed.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.contracts.recipes import DatasetFile, DatasetSource
from tunebus.services.platform.process import die_with_parent
from tunebus.services.platform.rows.files import check_unchanged as check
from tunebus.services.registry import (
    adapter_folder,
    config_body,
    dataset_files,
    dataset_look,
    example,
    export_destination,
    findings,
    import_document,
    kept_files,
    lengths,
    model_folder,
    preview,
    run_folder,
    user_scripts,
)
from tunebus.services.registry.locations import Place, Roots, locate

MEMORY_BYTES = 6 * 1024**3

Document = dict[str, Any]


def inspect_dataset(request: Document) -> Document:
    """The suffix is judged before the place, so that a wrong name never depends on what is there."""
    return dataset_files.inspect(request, lambda: _place(request), report)


def inspect_model(request: Document) -> Document:
    place = _place(request)
    found = model_folder.inspect(
        place.path,
        place.location,
        str(request.get("shown") or request["path"]),
        code=request.get("code"),
        approved=bool(request.get("approved")),
    )
    return asdict(found)


def inspect_adapter(request: Document) -> Document:
    place = _place(request)
    model = adapter_folder.BaseModel(
        request["model_name"], Path(request["model_folder"]), request.get("model_hub_name")
    )
    return asdict(
        adapter_folder.inspect(place.path, place.location, str(request.get("shown") or request["path"]), model)
    )


def read_config(request: Document) -> Document:
    return asdict(config_body.read(request["type"], request["document"]))


def check_unchanged(request: Document) -> Document:
    """Whether a dataset's files still are what was added."""
    files = [DatasetFile.model_validate(file) for file in request["files"] or ()]
    try:
        check(Path(request["path"]), request["sha256"], None if files else request["bytes"], files)
    except TunebusError as error:
        problem = error.problem
        raise fail(
            Code.CONFLICT if problem.code is Code.CONFLICT else Code.NOT_FOUND,
            f"the file of dataset {request['name']!r} {problem.message}",
            param=request["param"],
            hint="add the file again as a new dataset",
        ) from None
    return {}


def find_kept(request: Document) -> Document:
    """Which of these files and folders are there; of a checkpoint, each file that its manifest names, in its size."""
    return {"there": [name for name, place in request["places"].items() if kept_files.is_there(Path(place))]}


def find_weights(request: Document) -> Document:
    """Which of these folders hold weights."""
    return {"there": [name for name, place in request["places"].items() if kept_files.has_weights(Path(place))]}


def size_of_folder(request: Document) -> Document:
    """The bytes of the files below a folder; a folder that is not there has none. Links are not followed."""
    total = 0
    for folder, _, names in os.walk(request["path"]):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(folder) / name).lstat().st_size
    return {"bytes": total}


def preview_dataset(request: Document) -> Document:
    return preview.preview(
        DatasetSource.model_validate(request["source"]), limit=request["limit"], offset=request["offset"]
    )


def look_at_dataset(request: Document) -> Document:
    """An upload's draft lies where no path of a sender leads; `draft` names it."""
    if request["draft"]:
        return dataset_look.look(request, Path(request["draft"]))
    return dataset_look.look(request, _place(request).path)


def find_in_dataset(request: Document) -> Document:
    source = DatasetSource.model_validate(request["source"])
    return findings.find(source, kind=request["kind"], limit=request["limit"], after=request["after"])


def read_run(request: Document) -> Document:
    """What was uploaded lies in a folder of the studio's own; anything else in an allowed one."""
    shown = str(request["path"])
    place = Path(request["fetched"]) if "fetched" in request else _place(request).path
    return asdict(run_folder.inspect(place, shown, Path(request["spool"]), report))


def count_tokens(request: Document) -> Document:
    source = DatasetSource.model_validate(request["source"])
    return lengths.count(source, Path(request["model"]), request["rows"], request["bytes"], request["chat"])


def stage_import(request: Document) -> Document:
    return import_document.stage(Path(request["document"]), Path(request["staged"]), _roots(request), report)


def find_script(request: Document) -> Document:
    return user_scripts.find(request["root"], str(request["name"]))


def check_destination(request: Document) -> Document:
    return {"location": export_destination.destination(str(request["path"]), _roots(request))}


def render_example(request: Document) -> Document:
    return example.render(
        DatasetSource.model_validate(request["source"]),
        rows=request["rows"],
        seed=request["seed"],
        model_folder=Path(request["model_folder"]) if request["model_folder"] else None,
    )


STEPS: dict[str, Callable[[Document], Document]] = {
    "dataset": inspect_dataset,
    "model": inspect_model,
    "adapter": inspect_adapter,
    "config": read_config,
    "destination": check_destination,
    "kept": find_kept,
    "lengths": count_tokens,
    "script": find_script,
    "unchanged": check_unchanged,
    "weights": find_weights,
    "run": read_run,
    "size": size_of_folder,
    "preview": preview_dataset,
    "look": look_at_dataset,
    "findings": find_in_dataset,
    "example": render_example,
    "import": stage_import,
}


def answer(request: Document, steps: Mapping[str, Callable[[Document], Document]] = STEPS) -> Document:
    """`{"facts": …}`, or `{"error": …}`: never an exception's own text to a user."""
    try:
        return {"facts": steps[request["step"]](request)}
    except TunebusError as error:
        return {"error": error.problem.document()}
    except MemoryError:
        problem = Problem(
            code=Code.TOO_LARGE, message="it takes more memory to look at than is allowed", param="path",
            hint="split it, or write it as JSONL or CSV, which are read row by row",
        )  # fmt: skip
        return {"error": problem.document()}
    except OSError as error:
        hint = "let the user that the studio runs as read it"
        message = f"it cannot be read: {error.strerror}"
        problem = Problem(code=Code.NOT_PERMITTED, message=message, param="path", hint=hint)
        return {"error": problem.document()}


def report(done: int, total: int | None = None) -> None:
    """Tell the parent how far a long step is."""
    sys.stdout.buffer.write(json.dumps({"done": done, "total": total}).encode() + b"\n")
    sys.stdout.buffer.flush()


def _place(request: Document) -> Place:
    return locate(str(request["path"]), _roots(request))


def _roots(request: Document) -> Roots:
    return Roots(tuple(map(Path, request["roots"])), Path(request["artifacts"]), Path(request["home"]))


def serve(steps: Mapping[str, Callable[[Document], Document]], memory_bytes: int) -> None:
    """Answer requests until stdin ends."""
    die_with_parent()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes if hard < 0 else min(memory_bytes, hard), hard))
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _limit_cpu(float(request["seconds"]))
        sys.stdout.buffer.write(json.dumps(answer(request, steps), ensure_ascii=False).encode() + b"\n")
        sys.stdout.buffer.flush()


def _limit_cpu(seconds: float) -> None:
    """The kernel ends this process should it count longer than the parent waits."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    limit = int(used.ru_utime + used.ru_stime + seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard < 0 else min(limit, hard), hard))


if __name__ == "__main__":
    serve(STEPS, MEMORY_BYTES)
