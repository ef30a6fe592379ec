"""The prepare child: looks into files for commands and queries, one JSON request a line, one JSON reply a line.

    python -m tunebus.services.registry.prepare

It has no database and no bus, ends with its stdin, and may use only so much memory and time. `STEPS` is its table of
contents. Nothing it reads is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunebus.contracts.errors import Code, Problem, TunebusError, fail
from tunebus.contracts.recipes import PromptTemplates
from tunebus.services.platform.process import die_with_parent
from tunebus.services.platform.rows import reading
from tunebus.services.registry import adapter_folder, config_body, model_folder, preview
from tunebus.services.registry.locations import Place, Roots, locate

MEMORY_BYTES = 6 * 1024**3

Document = dict[str, Any]


def inspect_dataset(request: Document) -> Document:
    """The suffix is judged before the place, so that a wrong name never depends on what is there."""
    given = str(request["path"])
    kind = request["type"] or reading.type_of(Path(given))
    place = _place(request)
    facts = reading.inspect(place.path, kind, shown=given)
    return {"location": place.location, **asdict(facts)}


def inspect_model(request: Document) -> Document:
    place = _place(request)
    return asdict(model_folder.inspect(place.path, place.location, str(request["path"])))


def inspect_adapter(request: Document) -> Document:
    place = _place(request)
    model = adapter_folder.BaseModel(request["model_name"], Path(request["model_folder"]))
    return asdict(adapter_folder.inspect(place.path, place.location, str(request["path"]), model))


def read_config(request: Document) -> Document:
    return asdict(config_body.read(request["type"], request["document"]))


def check_unchanged(request: Document) -> Document:
    """Whether a dataset's file still is what was added."""
    path = Path(request["path"])
    hint = "add the file again as a new dataset"
    try:
        with path.open("rb") as file:
            same = os.fstat(file.fileno()).st_size == request["bytes"]
            same = same and hashlib.file_digest(file, "sha256").hexdigest() == request["sha256"]
    except OSError as error:
        reason = "is gone" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise fail(
            Code.NOT_FOUND, f"the file of dataset {request['name']!r} {reason}", param=request["param"], hint=hint
        ) from None
    if not same:
        raise fail(
            Code.CONFLICT,
            f"the file of dataset {request['name']!r} has changed since it was added",
            param=request["param"],
            hint=hint,
        )
    return {}


def preview_dataset(request: Document) -> Document:
    prompt = request["prompt"]
    return preview.preview(
        Path(request["path"]),
        request["type"],
        request["features"],
        limit=request["limit"],
        prompt=PromptTemplates.model_validate(prompt) if prompt else None,
    )


STEPS: dict[str, Callable[[Document], Document]] = {
    "dataset": inspect_dataset,
    "model": inspect_model,
    "adapter": inspect_adapter,
    "config": read_config,
    "unchanged": check_unchanged,
    "preview": preview_dataset,
}


def answer(request: Document) -> Document:
    """`{"facts": …}`, or `{"error": …}`: never an exception's own text to a user."""
    try:
        return {"facts": STEPS[request["step"]](request)}
    except TunebusError as error:
        return {"error": error.problem.document()}
    except MemoryError:
        problem = Problem(
            code=Code.TOO_LARGE, message="it takes more memory to look at than is allowed", param="path",
            hint="split it, or write it as JSONL or CSV, which are read row by row",
        )  # fmt: skip
        return {"error": problem.document()}
    except OSError as error:
        problem = Problem(code=Code.NOT_PERMITTED, message=f"it cannot be read: {error.strerror}", param="path")
        return {"error": problem.document()}


def _place(request: Document) -> Place:
    roots = Roots(tuple(map(Path, request["roots"])), Path(request["artifacts"]), Path(request["home"]))
    return locate(str(request["path"]), roots)


def main() -> None:
    """Serve until stdin ends."""
    die_with_parent()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES if hard < 0 else min(MEMORY_BYTES, hard), hard))
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _limit_cpu(float(request["seconds"]))
        sys.stdout.buffer.write(json.dumps(answer(request), ensure_ascii=False).encode() + b"\n")
        sys.stdout.buffer.flush()


def _limit_cpu(seconds: float) -> None:
    """The kernel ends this process should it count longer than the parent waits."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    limit = int(used.ru_utime + used.ru_stime + seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard < 0 else min(limit, hard), hard))


if __name__ == "__main__":
    main()
