"""The files of a dataset as downloads, as they are on disk now."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.responses import FileResponse, Response
from tunebus.contracts.errors import Code, fail
from tunebus.ui.web.page import Arguments
from tunebus.ui.web.studio import Studio


async def download(studio: Studio, arguments: Arguments) -> Response:
    """A dataset's file; one of several is named by `file`. Errors: `not_found`, `not_permitted`, `conflict`."""
    dataset = await studio.ask("GetDataset", id=arguments.get("id", "") or "-")
    files = {one["path"]: one for one in dataset["files"]}
    wanted = arguments.get("file", "")
    if files and wanted not in files:
        raise fail(
            Code.NOT_FOUND, "the dataset has no such file", param="file", hint=f"files: {', '.join(files)[:500]}"
        )
    base = studio.home.resolve(dataset["location"])
    path = base / wanted if files else base
    size = files[wanted]["bytes"] if files else dataset["bytes"]
    _check(studio, path, size)
    name = wanted.rpartition("/")[2] if files else f"{dataset['name']}{path.suffix}"
    return FileResponse(path, media_type="application/octet-stream", filename=name)


def _check(studio: Studio, path: Path, size: int) -> None:
    """Errors: as `download`. A link may have come into its place since it was added."""
    real = Path(os.path.realpath(path))
    roots = [Path(os.path.realpath(root)) for root in (*studio.settings.roots, studio.home.artifacts)]
    if not any(real.is_relative_to(root) for root in roots):
        raise fail(Code.NOT_PERMITTED, "its file is outside the folders that this studio reads")
    if not real.is_file():
        raise fail(Code.NOT_FOUND, "its file is no longer there", hint="put it back, or remove the dataset")
    if real.stat().st_size != size:
        raise fail(Code.CONFLICT, "its file is no longer what was added", hint="add the changed file as a new dataset")
