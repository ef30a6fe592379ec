"""Brings a job's own training script into the attempt's folder, exactly as it was when the job was started."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from tunebus.services.platform.worker.inputs import Refused


def take(script: dict[str, Any] | None, root: Path | None, target: Path) -> Path | None:
    """Copy the script to `target`; returns the folder it came from, or None for a job that has none. Errors: Refused,
    also where this worker's own operator has switched user scripts off.
    """
    if script is None:
        return None
    name = str(script.get("name"))
    if root is None:
        raise Refused(
            "bad_configuration",
            f"this worker runs no user scripts, so not {name}",
            "start it with TUNEBUS_USER_SCRIPTS naming the folder of the scripts",
        )
    path = (root / name).resolve()
    if root.resolve() not in path.parents:
        raise Refused("bad_configuration", f"the script {name} points out of the folder of user scripts")
    try:
        body = path.read_bytes()
    except OSError as error:
        raise Refused("bad_configuration", f"the script {name} cannot be read: {error.strerror}") from None
    if hashlib.sha256(body).hexdigest() != script.get("sha256"):
        raise Refused(
            "bad_configuration", f"the script {name} has changed since the job was started", "start the job again"
        )
    target.write_bytes(body)
    return path.parent
