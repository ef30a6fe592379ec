"""The folder a studio lives in: its files, its lock and the run file by which other programs find it.

Files of ours are `artifact:` URIs relative to the artifact root, so that a home can move.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path
from typing import IO, Any

from tunebus.contracts.errors import Code, fail
from tunebus.contracts.identifiers import new_id

SCHEME = "artifact:"
STARTER_PACK = Path(__file__).parent.parent / "trainer" / "starter" / "pack"


class Home:
    """Paths inside one home. Creating it makes the folders; errors name the path and what is in the way.

    `roots` are the folders outside the artifacts that `resolve` reads; None for any.
    """

    def __init__(self, folder: Path, artifacts: Path | None = None, roots: tuple[Path, ...] | None = None) -> None:
        self.folder = folder
        self.artifacts = artifacts or folder / "artifacts"
        self.roots = roots

    def create(self) -> Home:
        for path in (self.folder, self.artifacts, self.logs, self.nats_store):
            try:
                path.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError):
                raise fail(
                    Code.INVALID,
                    f"{path} cannot be made: a regular file is in the way",
                    param="TUNEBUS_HOME",
                    hint="name a folder that does not lie below a file",
                ) from None
            except OSError as error:
                raise fail(
                    Code.NOT_PERMITTED, f"{path} cannot be made: {error.strerror}", param="TUNEBUS_HOME"
                ) from None
        self.folder.chmod(0o700)
        return self

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def nats_store(self) -> Path:
        return self.folder / "nats"

    @property
    def password_file(self) -> Path:
        return self.folder / "nats.password"

    @property
    def run_file(self) -> Path:
        return self.folder / "run.json"

    def artifact_root_id(self) -> str:
        """The identity of the artifact root, made on first use: a worker that sees another root cannot do the job."""
        marker = self.artifacts / ".artifact-root"
        if not marker.exists():
            draft = self.artifacts / f".artifact-root-{new_id()}"
            draft.write_text(new_id())
            with contextlib.suppress(FileExistsError):  # another was first: its identity counts
                os.link(draft, marker)
            draft.unlink()
        return marker.read_text()

    def uri(self, path: Path) -> str:
        """The `artifact:` URI of a path under the artifact root; raises ValueError for any other path."""
        return SCHEME + path.absolute().relative_to(self.artifacts.absolute()).as_posix()

    def path(self, uri: str) -> Path:
        """The path of an `artifact:` URI; `not_permitted` for one that points out of the artifact root."""
        if not uri.startswith(SCHEME):
            raise fail(Code.INVALID, f"{uri!r} is no {SCHEME} URI")
        root = self.artifacts.resolve()
        found = (root / uri.removeprefix(SCHEME)).resolve()
        if found != root and root not in found.parents:
            raise fail(Code.NOT_PERMITTED, f"{uri!r} points out of the artifact root")
        return found

    def resolve(self, location: str) -> Path:
        """The path of a location as events keep it: an `artifact:` URI or an absolute path.

        Errors: `not_permitted` outside the roots, where an imported event or a narrowed setting may point.
        """
        if location.startswith(SCHEME):
            return self.path(location)
        path = Path(location)
        if self.roots is not None:
            real = Path(os.path.realpath(path))
            if not any(root in (real, *real.parents) for root in map(Path, map(os.path.realpath, self.roots))):
                raise fail(
                    Code.NOT_PERMITTED,
                    f"{location} is outside the folders that this studio reads",
                    hint="start the studio with TUNEBUS_DATASET_ROOTS naming its folder",
                )
        return path

    def write_run_file(self, document: dict[str, Any]) -> None:
        """Replace the run file atomically; readable by its owner alone, since the bus URL holds a password."""
        draft = self.run_file.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.run_file)

    def read_run_file(self) -> dict[str, Any] | None:
        """The run file of the studio of this home, or None when none runs or it cannot be read."""
        try:
            document = json.loads(self.run_file.read_text())
        except (OSError, ValueError):
            return None
        return document if _is_run_file(document) else None


def _is_run_file(document: object) -> bool:
    """Whether a document has the shape of a run file, as far as it goes: older launchers wrote fewer fields."""
    if not isinstance(document, dict):
        return False
    texts = ("home", "namespace", "state", "started_at", "nats_url", "database_url", "ui_url")
    services = document.get("services", {})
    return (
        all(isinstance(document.get(name), str | None) for name in texts)
        and isinstance(services, dict)
        and all(isinstance(one, dict) for one in (*services.values(), document.get("defaults", {})))
    )


class HomeLock:
    """One studio a home: an advisory lock that dies with its process.
    A second holder is refused, naming the first's pid.
    """

    def __init__(self, home: Home) -> None:
        self._path = home.folder / "lock"
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            pid = file.read().strip() or "unknown"
            file.close()
            raise fail(
                Code.CONFLICT,
                f"a studio already runs on {self._path.parent} (pid {pid})",
                param="TUNEBUS_HOME",
                hint="stop it, or use another --home",
            ) from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
