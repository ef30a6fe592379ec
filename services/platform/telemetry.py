"""Telemetry messages as they are read: the batch's head and the fields of its records, by the schema's rules without a
model a record. It accepts what `contracts.telemetry` describes; what a record is good for is its readers' affair.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pydantic_core
from tunebus.contracts.errors import Code, fail
from tunebus.contracts.identifiers import is_id
from tunebus.contracts.telemetry import SCHEMA_VERSION

LONGEST_NAME = 200
_SPECIAL = frozenset({"NaN", "Infinity", "-Infinity"})
_LARGEST = 2**63 - 1


class BadRecord(ValueError):
    """One record that is not what the schema says."""


class Batch(NamedTuple):
    job_id: str
    attempt: int
    records: list[Any]


def read_batch(body: bytes) -> Batch:
    """The batch that a message carries, its records unchecked. Unlike commands it may hold NULs: children print them.
    Errors: `malformed`.
    """
    try:
        document = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise fail(Code.MALFORMED, f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise fail(Code.MALFORMED, "a telemetry batch is a JSON object")
    version, job_id, attempt = document.get("v", SCHEMA_VERSION), document.get("job_id"), document.get("attempt")
    records = document.get("records")
    if type(version) is not int or version < 1:
        raise fail(Code.MALFORMED, "v is a whole number from 1", param="v")
    if not isinstance(job_id, str) or not is_id(job_id):
        raise fail(Code.MALFORMED, "job_id is a UUID", param="job_id")
    if type(attempt) is not int or not 0 < attempt < 2**31:
        raise fail(Code.MALFORMED, "attempt is a whole number from 1", param="attempt")
    if not isinstance(records, list):
        raise fail(Code.MALFORMED, "records is a list", param="records")
    return Batch(job_id, attempt, records)


def values(record: dict[str, Any]) -> dict[str, Any]:
    """A record's numbers by name; those that are not finite are texts. Errors: BadRecord, as of the others below."""
    found = record.get("values")
    if type(found) is not dict:
        raise BadRecord("values is an object")
    for name, value in found.items():
        if not name or len(name) > LONGEST_NAME or "\x00" in name:
            raise BadRecord("a name in values is empty, too long or holds a NUL")
        if type(value) is float:
            continue
        if type(value) is str:
            if value not in _SPECIAL:
                raise BadRecord(f"values.{name} is no number")
        elif type(value) is not int or not -_LARGEST <= value <= _LARGEST:
            raise BadRecord(f"values.{name} is no number")
    return found


def whole(record: dict[str, Any], name: str) -> int:
    value = record.get(name)
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise BadRecord(f"{name} is a whole number from 0")
    return value


def number(record: dict[str, Any], name: str) -> float:
    value = record.get(name)
    if type(value) is float:
        return value
    if type(value) is not int or not -_LARGEST <= value <= _LARGEST:
        raise BadRecord(f"{name} is a number")
    return float(value)
