"""Checks an exported document (see `document`) from end to end and sets its events out in a file of its own.

Runs in a prepare child: it has no database of the studio's, executes nothing of what it reads and follows no path but
to see whether a file is there, in the folders that the studio reads anyway. A document is staged whole or not at all.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, NoReturn
from uuid import UUID

from pydantic import ValidationError
from tunebus import projections
from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, TunebusError, fail, from_validation, nearest
from tunebus.contracts.events import EVENTS, RecordedEvent
from tunebus.contracts.identifiers import timestamp
from tunebus.contracts.subjects import ADAPTER, CONFIG, DATASET, FINE_TUNING_JOB, JOB_KINDS, MODEL, PROMPT
from tunebus.projections.tables import PROJECTIONS, name_key
from tunebus.services.platform.home import SCHEME
from tunebus.services.platform.ledger import stream_id
from tunebus.services.platform.upcasters import UPCASTERS
from tunebus.services.registry.document import EVENT, FORMAT, HEADER, MAX_VALUE, VERSION, Chain, Reader
from tunebus.services.registry.locations import Roots, locate
from tunebus.services.registry.users import folder_of

EVENT_BYTES = MAX_VALUE
META_BYTES = 4096
REPORT_EVERY = 500

# Fields by which an entity says what it is made of.
NEEDS = {
    "dataset_id": DATASET,
    "model_id": MODEL,
    "base_model_id": MODEL,
    "prompt_id": PROMPT,
    "adapter_id": ADAPTER,
    "fine_tuning_job_id": FINE_TUNING_JOB,
}
_OF_NAMES = (DATASET, MODEL, ADAPTER, PROMPT)
_OWN_FILES = ("uri", "result_uri")

_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SCHEMA = """
CREATE TABLE events (
    n INTEGER PRIMARY KEY, stream TEXT NOT NULL, version INTEGER NOT NULL, event_id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL, schema_version INTEGER NOT NULL, data TEXT NOT NULL, correlation_id TEXT, causation_id TEXT,
    actor TEXT, meta TEXT NOT NULL, recorded_at TEXT NOT NULL, UNIQUE (stream, version)
);
CREATE TABLE names (stream TEXT NOT NULL, space TEXT NOT NULL, key TEXT NOT NULL, shown TEXT NOT NULL,
    PRIMARY KEY (space, key, stream)) WITHOUT ROWID;
CREATE TABLE needs (stream TEXT NOT NULL, other TEXT NOT NULL, PRIMARY KEY (stream, other)) WITHOUT ROWID;
CREATE TABLE mentions (stream TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (stream, id)) WITHOUT ROWID;
CREATE TABLE missing (stream TEXT PRIMARY KEY) WITHOUT ROWID;
"""

Report = Callable[[int, int | None], None]
Document = dict[str, Any]


def stage(document: Path, staged: Path, roots: Roots, report: Report) -> Document:
    """Check a document and write its events to the SQLite file `staged`; returns what its header says, and its hash.

    Errors, all with `upload` as their field: `malformed`, `unknown_type`, `not_supported`, `invalid`, `conflict` (a
    broken hash). Nothing is left of the file then.
    """
    staged.unlink(missing_ok=True)
    try:
        with document.open("rb") as file, closing(sqlite3.connect(staged, isolation_level=None)) as connection:
            connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA + "BEGIN")
            hashed = _Hashed(file)
            header = _read(Reader(hashed), _Stage(connection, roots), report)  # type: ignore[arg-type]
            connection.execute("COMMIT")
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    return {
        "sha256": hashed.digest.hexdigest(),
        "studio": header["studio"],
        "exported_at": header["exported_at"],
        "events": header["count"],
    }


class _Hashed:
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def _read(reader: Reader, stage: _Stage, report: Report) -> Document:
    """Go through the document once; its header."""
    reader.take("{")
    header = _header(reader)
    chain = Chain()
    count = header["count"]
    taken = 0
    for event in _items(reader):
        if not isinstance(event, dict):
            raise reader.broken("an event is a JSON object")
        said = event.pop("hash", None)
        if _hash(chain, event, reader) != said:
            raise _broken_hash(f"event {taken + 1} or one before it")
        stage.add(event)
        taken += 1
        if taken > count:
            raise reader.broken(f"it holds more than the {count} events that its header announces")
        if taken % REPORT_EVERY == 0:
            report(taken, count)
    if taken != count:
        raise reader.broken(f"it holds {taken} events, but its header announces {count}")
    reader.take(",")
    key = reader.key()
    if key == "projections":
        _projections(reader, chain)
        reader.take(",")
        key = reader.key()
    if key != "hash":
        raise reader.broken(f"it has an unknown member {key[:40]!r}")
    if reader.value() != _hash(chain, header, reader):
        raise _broken_hash("the document")
    reader.take("}")
    if reader.peek():
        raise reader.broken("something follows its end")
    stage.finish()
    report(taken, count)
    return header


def _header(reader: Reader) -> Document:
    header: Document = {}
    for name in HEADER:
        if header:
            reader.take(",")
        key = reader.key()
        if key != name:
            raise reader.broken(f"{name!r} was expected, not {key[:40]!r}")
        header[name] = reader.value()
        if name == "format" and header[name] != FORMAT:
            raise fail(
                Code.INVALID,
                f"this is no {FORMAT} document",
                param="upload",
                hint="`tunebus db export` writes one; a dataset is added with `tunebus dataset add`",
            )
        if name == "version" and header[name] != VERSION:
            raise fail(
                Code.NOT_SUPPORTED,
                f"the document is of format version {str(header[name])[:20]}; this studio reads version {VERSION}",
                param="upload",
                hint="use the version of Tunebus that wrote it, or a newer one",
            )
    texts_right = all(isinstance(header[name], str) and len(header[name]) <= 200 for name in ("exported_at", "studio"))
    if not texts_right or not all(type(header[name]) is int and header[name] >= 0 for name in ("position", "count")):
        raise reader.broken("its header has a wrong value")
    reader.take(",")
    if (key := reader.key()) != "events":
        raise reader.broken(f"'events' was expected, not {key[:40]!r}")
    return header


def _items(reader: Reader) -> Iterator[Any]:
    """The items of the array that comes next."""
    reader.take("[")
    first = True
    while reader.peek() != "]":
        if not first:
            reader.take(",")
        first = False
        yield reader.value()
    reader.take("]")


def _projections(reader: Reader, chain: Chain) -> None:
    """Go past the projections: they follow from the events, so that only their hash and their tables' names count."""
    known = {table.name for table in PROJECTIONS}
    reader.take("{")
    first = True
    while reader.peek() != "}":
        if not first:
            reader.take(",")
        first = False
        name = reader.key()
        if name not in known:
            near = nearest(name, known)
            raise fail(
                Code.INVALID,
                f"the document holds an unknown table {name[:80]!r}",
                param="upload",
                hint=f"did you mean {near!r}?" if near else f"known tables: {', '.join(sorted(known))}",
            )
        for row in _items(reader):
            _hash(chain, {"row": row, "table": name}, reader)
    reader.take("}")


def _hash(chain: Chain, value: Document, reader: Reader) -> str:
    try:
        return chain.add(strictjson.canonical(value))
    except UnicodeEncodeError:
        raise reader.broken("a text holds half a surrogate pair, which no UTF-8 can carry") from None


def _broken_hash(where: str) -> TunebusError:
    return fail(
        Code.CONFLICT,
        f"the hash of {where} is broken: the document is not what was exported",
        param="upload",
        hint="nothing of it was taken in; copy it again, or export it again",
    )


class _Stage:
    """Checks one event after another and writes them down, with the names they claim and the ids they speak of."""

    def __init__(self, connection: sqlite3.Connection, roots: Roots) -> None:
        self._connection = connection
        self._roots = roots
        self._position = 0
        self._events: list[tuple[Any, ...]] = []
        self._names: list[tuple[str, str, str, str]] = []
        self._needs: list[tuple[str, str]] = []
        self._mentions: list[tuple[str, str]] = []
        self._missing: list[tuple[str]] = []

    def add(self, event: Document) -> None:
        data = self._checked(event)
        stream = stream_id(event["aggregate"], event["entity_id"])
        text = strictjson.dumps(event["data"])
        if len(text) > EVENT_BYTES:
            self._refuse(event, Code.TOO_LARGE, f"it is larger than {EVENT_BYTES} bytes")
        self._events.append(
            (
                event["position"], stream, event["version"], event["event_id"], event["type"], event["schema_version"],
                text.decode(), event["correlation_id"], event["causation_id"], event["actor"],
                strictjson.dumps(event["meta"]).decode(), event["recorded_at"],
            )
        )  # fmt: skip
        self._names += [(stream, space, name_key(name), name) for space, name in _names(event, data)]
        if event["type"].endswith("Added"):
            self._needs += [
                (stream, stream_id(aggregate, data[field])) for field, aggregate in NEEDS.items() if data.get(field)
            ]
            if isinstance(data.get("location"), str) and not self._is_here(data["location"]):
                self._missing.append((stream,))
        own = event["entity_id"].encode()
        self._mentions += [(stream, found.decode()) for found in set(_ID.findall(text)) if found != own]
        if len(self._events) >= REPORT_EVERY:
            self._write()

    def finish(self) -> None:
        """What can only be said of all events together."""
        self._write()
        gap = self._connection.execute(
            "SELECT stream, version FROM (SELECT stream, version, version - lag(version, 1, 0) OVER"
            " (PARTITION BY stream ORDER BY n) AS step FROM events) WHERE step <> 1 LIMIT 1"
        ).fetchone()
        if gap:
            raise fail(
                Code.INVALID,
                f"the versions of {gap[0]} have a gap before {gap[1]}",
                param="upload",
                hint="nothing of the document was taken in",
            )

    def _write(self) -> None:
        try:
            self._connection.executemany(f"INSERT INTO events VALUES ({','.join('?' * 12)})", self._events)
        except sqlite3.IntegrityError:
            raise fail(
                Code.INVALID,
                "the document holds an event, or a version of an entity, twice",
                param="upload",
                hint="nothing of it was taken in",
            ) from None
        for table, rows in (
            ("names", self._names),
            ("needs", self._needs),
            ("mentions", self._mentions),
            ("missing", self._missing),
        ):
            if rows:
                marks = ",".join("?" * len(rows[0]))
                self._connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", rows)
        for done in (self._events, self._names, self._needs, self._mentions, self._missing):
            done.clear()

    def _checked(self, event: Document) -> Mapping[str, Any]:
        """The data of an event in today's form. Errors: whatever keeps it from being one of ours."""
        if event.keys() != set(EVENT):
            wrong = sorted(event.keys() ^ set(EVENT))
            self._refuse(event, Code.INVALID, f"its members are not those of an event: {', '.join(wrong)[:200]}")
        kind = EVENTS.get(event["type"]) if isinstance(event["type"], str) else None
        if kind is None:
            near = nearest(str(event["type"]), EVENTS)
            hint = f"did you mean {near!r}?" if near else "use the version of Tunebus that exported it, or a newer one"
            self._refuse(event, Code.UNKNOWN_TYPE, f"there is no event type {str(event['type'])[:80]!r}", hint)
        written_as = event["schema_version"]
        if type(written_as) is not int or written_as < 1:
            self._refuse(event, Code.INVALID, "its schema_version is no version")
        if written_as > kind.schema_version:
            self._refuse(
                event, Code.NOT_SUPPORTED, f"{kind.__name__} of version {written_as} is newer than this studio"
            )
        if event["aggregate"] not in kind.aggregates:
            self._refuse(event, Code.INVALID, f"{kind.__name__} does not happen to {str(event['aggregate'])[:40]!r}")
        for name in ("event_id", "entity_id"):
            if not _is_uuid(event[name]):
                self._refuse(event, Code.INVALID, f"its {name} is no UUID")
        for name in ("version", "position"):
            if type(event[name]) is not int or not 0 < event[name] < 2**31 * (2**31 if name == "position" else 1):
                self._refuse(event, Code.INVALID, f"its {name} is no whole number above 0")
        if event["position"] <= self._position:
            self._refuse(event, Code.INVALID, "it is out of order")
        self._position = event["position"]
        for name in ("correlation_id", "causation_id", "actor"):
            if event[name] is not None and not (isinstance(event[name], str) and len(event[name]) <= 256):
                self._refuse(event, Code.INVALID, f"its {name} is no text of up to 256 characters")
        if not _is_timestamp(event["recorded_at"]):
            self._refuse(event, Code.INVALID, "its recorded_at is no time as an export writes it")
        if not isinstance(event["meta"], dict) or len(strictjson.dumps(event["meta"])) > META_BYTES:
            self._refuse(event, Code.INVALID, f"its meta is no object of up to {META_BYTES} bytes")
        if not isinstance(event["data"], dict):
            self._refuse(event, Code.INVALID, "its data is no object")
        try:
            newest, data = UPCASTERS.upcast(event["type"], written_as, event["data"])
            kind.model_validate_json(strictjson.dumps(data), strict=True)
            self._check_places(event, data)
            projections.apply(_recorded(event, newest, data))
        except ValidationError as error:
            problem = from_validation(error, kind.model_fields, prefix="data")
            self._refuse(event, Code.INVALID, f"{problem.param}: {problem.message}"[:300])
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            self._refuse(event, Code.INVALID, f"its data does not hold together: {type(error).__name__}")
        return data

    def _check_places(self, event: Document, data: Mapping[str, Any]) -> None:
        """Files of ours lie where ours lie: what an event names is later opened, and sometimes deleted."""
        if event["aggregate"] in JOB_KINDS and data.get("out_dir", folder_of(event["entity_id"])) != folder_of(
            event["entity_id"]
        ):
            self._refuse(event, Code.NOT_PERMITTED, "its out_dir is not the job's own folder")
        for name in (*_OWN_FILES, "location"):
            place = data.get(name)
            if not isinstance(place, str):
                continue
            climbs = _climbs(place)
            if climbs or (name in _OWN_FILES and not place.startswith(SCHEME)):
                self._refuse(event, Code.NOT_PERMITTED, f"its {name} {place[:80]!r} is not within the artifacts")
        for file in data.get("files") or ():
            if _climbs(file["path"]) or file["path"].startswith("/"):
                self._refuse(event, Code.NOT_PERMITTED, f"its file {file['path'][:80]!r} is not within the dataset")

    def _is_here(self, location: str) -> bool:
        try:
            locate(location, self._roots)
        except (TunebusError, OSError, ValueError):
            return False
        return True

    def _refuse(self, event: Document, code: Code, reason: str, hint: str | None = None) -> NoReturn:
        at = event.get("position")
        shown = f"event {at}" if type(at) is int else "an event"
        raise fail(
            code, f"{shown} of the document: {reason}", param="upload", hint=hint or "nothing of it was taken in"
        ) from None


def _climbs(place: str) -> bool:
    return ".." in place.split("/") or "\0" in place


def _names(event: Document, data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The names that an event claims, each with the space in which it is unique: an adapter's are also its job's."""
    match event["type"]:
        case "FineTuningJobAdded" | "ImportedJobAdded":
            return [(ADAPTER, data["adapter_name"])]
        case "ConfigAdded":
            return [(CONFIG, f"{data['type']} {data['sha256']}")]
    if event["aggregate"] in _OF_NAMES and event["type"].endswith(("Added", "Renamed")):
        return [(event["aggregate"], data["name"])]
    return []


def _recorded(event: Document, schema_version: int, data: Mapping[str, Any]) -> RecordedEvent:
    return RecordedEvent(**{**event, "schema_version": schema_version, "data": data})


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value
    except ValueError:
        return False


def _is_timestamp(value: Any) -> bool:
    try:
        return isinstance(value, str) and timestamp(datetime.fromisoformat(value)) == value
    except (ValueError, OverflowError):
        return False
