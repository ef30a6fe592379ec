"""Files over the bus: the object bucket that carries what exceeds a message, in NATS's own object-store layout.

Objects live for a day. Any NATS client reads and writes them as well; this one needs nats-py alone.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import nats.errors
from nats.aio.client import Client as NatsClient
from nats.js import JetStreamContext
from nats.js.errors import APIError, NotFoundError
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.identifiers import new_id, timestamp
from tunebus.contracts.subjects import Subjects

CHUNK_BYTES = 128 * 1024
_WINDOW = 16  # chunks on their way at a time
_SECONDS = 15.0
_STREAM_FULL = (10077, 10047, 10023)  # maximum bytes, insufficient storage, insufficient resources

Progress = Callable[[int, int], None]
"""`progress(done, total)` in bytes."""


@dataclass(frozen=True)
class StoredFile:
    """An object as its metadata says."""

    name: str
    bytes: int
    chunks: int
    sha256: str
    nuid: str


class FileBucket:
    """The bucket of one namespace. Errors: `not_found`, `unavailable`, `conflict` for content that is damaged."""

    def __init__(self, connection: NatsClient, subjects: Subjects) -> None:
        self._js: JetStreamContext = connection.jetstream(timeout=_SECONDS)
        self._new_nuid = connection._nuid.next
        self._bucket = subjects.files_bucket
        self._stream = f"OBJ_{self._bucket}"

    async def upload(self, file: Path, name: str | None = None, progress: Progress | None = None) -> StoredFile:
        """Store a file under `name` (by default an id of its own and the file's name).

        Errors: also `not_found` and `not_permitted` for the file itself.
        """
        try:
            with file.open("rb") as opened:
                total = opened.seek(0, 2)
                opened.seek(0)
                return await self.write(opened, name or object_name(file), total, progress)
        except FileNotFoundError:
            raise fail(Code.NOT_FOUND, f"there is no file {file}", param="path") from None
        except OSError as error:
            raise fail(Code.NOT_PERMITTED, f"{file} cannot be read: {error.strerror}", param="path") from None

    async def write(self, source: IO[bytes], name: str, total: int = 0, progress: Progress | None = None) -> StoredFile:
        """Store what `source` holds, from where it stands. It shows only when it is whole."""
        nuid = self._new_nuid().decode()
        subject = f"$O.{self._bucket}.C.{nuid}"
        sha256 = hashlib.sha256()
        chunks = size = 0
        waiting: list[asyncio.Task[Any]] = []
        try:
            while chunk := source.read(CHUNK_BYTES):
                sha256.update(chunk)
                # Tasks begin in the order they are made, and each writes before it waits: chunks keep their order.
                waiting.append(asyncio.create_task(self._publish(subject, chunk)))
                chunks += 1
                size += len(chunk)
                if chunks == 1 or len(waiting) == _WINDOW:
                    await waiting.pop(0)
                if progress is not None:
                    progress(size - len(waiting) * CHUNK_BYTES, total)
            for task in waiting:
                await task
            meta = {
                "name": name,
                "bucket": self._bucket,
                "nuid": nuid,
                "size": size,
                "mtime": timestamp(),
                "chunks": chunks,
                "digest": f"SHA-256={base64.urlsafe_b64encode(sha256.digest()).decode()}",
                "options": {"max_chunk_size": CHUNK_BYTES},
            }
            await self._publish(self._meta(name), json.dumps(meta).encode(), {"Nats-Rollup": "sub"})
        except BaseException:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            await self._purge(subject)
            raise
        if progress is not None:
            progress(size, total or size)
        return StoredFile(name, size, chunks, sha256.hexdigest(), nuid)

    async def find(self, name: str) -> StoredFile:
        """What is known of an object. Errors: `not_found`, also for one that has expired."""
        try:
            found = await self._js.get_msg(self._stream, subject=self._meta(name), direct=True)
            meta = json.loads(found.data or b"")
            if meta.get("deleted"):
                raise NotFoundError
            digest = base64.urlsafe_b64decode(str(meta["digest"]).split("=", 1)[1])
            return StoredFile(name, int(meta["size"]), int(meta["chunks"]), digest.hex(), str(meta["nuid"]))
        except NotFoundError:
            raise fail(
                Code.NOT_FOUND,
                f"there is no uploaded file {name!r}",
                param="upload",
                hint="uploads are kept for a day: upload it again",
            ) from None
        except (ValueError, KeyError, IndexError, TypeError):
            raise fail(
                Code.CONFLICT, f"the metadata of {name!r} cannot be read", param="upload", hint="upload it again"
            ) from None
        except nats.errors.Error as error:
            raise _unavailable(error) from None

    async def read(
        self, name: str, target: IO[bytes], progress: Progress | None = None, *, limit: int | None = None
    ) -> StoredFile:
        """Write an object's content to `target`, in a thread; with `limit` little more than so many bytes, unverified.

        Errors: also what `target` raises.
        """
        stored = await self.find(name)
        subject = f"$O.{self._bucket}.C.{stored.nuid}"
        sha256 = hashlib.sha256()
        sequence = done = 0
        try:
            for _ in range(stored.chunks):
                chunk = await self._js.get_msg(self._stream, seq=sequence + 1, subject=subject, direct=True, next=True)
                data = chunk.data or b""
                sequence = chunk.seq or 0
                sha256.update(data)
                done += len(data)
                await asyncio.to_thread(target.write, data)
                if progress is not None:
                    progress(done, stored.bytes)
                if limit is not None and limit <= done < stored.bytes:
                    return stored
        except nats.errors.Error as error:
            if not isinstance(error, NotFoundError):
                raise _unavailable(error) from None
        if done != stored.bytes or sha256.hexdigest() != stored.sha256:
            raise fail(Code.CONFLICT, f"the uploaded file {name!r} is damaged", param="upload", hint="upload it again")
        return stored

    async def remove(self, name: str) -> None:
        """Free what an object takes. One that is not there is no error."""
        try:
            stored = await self.find(name)
        except TunebusError as error:
            if error.problem.code is Code.NOT_FOUND:
                return
            raise
        meta = {"name": name, "bucket": self._bucket, "nuid": stored.nuid, "size": 0, "chunks": 0, "deleted": True}
        await self._publish(
            self._meta(name), json.dumps({**meta, "mtime": timestamp()}).encode(), {"Nats-Rollup": "sub"}
        )
        await self._purge(f"$O.{self._bucket}.C.{stored.nuid}")

    def _meta(self, name: str) -> str:
        return f"$O.{self._bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"

    async def _publish(self, subject: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Never tried again: a chunk that was stored after all would be there twice."""
        try:
            await self._js.publish(subject, body, timeout=_SECONDS, stream=self._stream, headers=headers)
        except nats.errors.Error as error:
            raise _unavailable(error) from None

    async def _purge(self, subject: str) -> None:
        try:
            await self._js.purge_stream(self._stream, subject=subject)
        except nats.errors.Error:
            return  # it expires by itself


def object_name(file: Path) -> str:
    """A name of its own for a file, which ends in the file's suffix."""
    return f"{new_id()}-{re.sub(r'[^A-Za-z0-9._-]+', '-', file.name)[-100:].lstrip('-.')}"


def _unavailable(error: nats.errors.Error) -> TunebusError:
    if isinstance(error, APIError) and error.err_code in _STREAM_FULL:
        return fail(
            Code.UNAVAILABLE,
            "the file bucket is full",
            hint="uploads go after a day; put the file on the machine itself",
        )
    return fail(
        Code.UNAVAILABLE,
        f"the file bucket did not answer: {str(error) or type(error).__name__}",
        hint="is the studio up? `tunebus status`",
    )
