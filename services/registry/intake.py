"""From a message's bytes to a command that may be decided, or to its rejection. It touches no file and no database."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from tunebus.contracts import commands as ask
from tunebus.contracts import strictjson
from tunebus.contracts.commands import Command
from tunebus.contracts.envelope import CommandEnvelope, parse_command
from tunebus.contracts.errors import Code, Problem, TunebusError, from_validation
from tunebus.contracts.subjects import Subjects
from tunebus.services.platform.decisions import PreparedCommand
from tunebus.services.registry.fine_tuning_job import Asked

# What stands for a required field that is wrong, so that the rest of the command can be judged in the same reply.
_STAND_INS: dict[str, Any] = {
    "base_model_id": "-",
    "dataset_id": "-",
    "combinations": [{"base_model_id": "-", "dataset_id": "-"}],
}
_JUDGED_WHOLE = (ask.StartFineTuningJob, ask.StartEvaluationJob)


def receive(body: bytes, subject: str, subjects: Subjects, meta: Mapping[str, Any]) -> PreparedCommand:
    """The command with checked fields, or with its rejection.

    Raises the `TunebusError` of a message that nobody can be answered about: it has no usable id.
    """
    try:
        envelope = parse_command(body)
    except TunebusError as error:
        envelope = _salvaged(body, error)
        return PreparedCommand(envelope=envelope, rejection=error.problem, meta=meta)
    try:
        kind = ask.command_type(envelope.type)
        _check_subject(kind, subject, subjects)
        command, asked = validated(kind, envelope.data)
    except TunebusError as error:
        return PreparedCommand(envelope=envelope, rejection=error.problem, meta=meta)
    return PreparedCommand(envelope=envelope, command=command, facts=asked, meta=meta)


def validated(kind: type[Command], data: dict[str, Any]) -> tuple[Command, Asked | None]:
    """Checked fields. Of a command that starts a job, those that are wrong become `Asked.problems`, so that unknown
    ids among the others are named in the same reply."""
    judged_whole = kind in _JUDGED_WHOLE
    try:
        return kind.model_validate(data), Asked() if judged_whole else None
    except ValidationError as error:
        problem = from_validation(error, kind.model_fields)
        if not judged_whole:
            raise TunebusError(problem) from None
        wrong = {str(item["loc"][0]) for item in error.errors(include_url=False) if item["loc"]}
    rest = {name: value for name, value in data.items() if name not in wrong}
    rest |= {name: value for name, value in _STAND_INS.items() if name in kind.model_fields and name not in rest}
    return kind.model_validate(rest), Asked(problem.details or [problem])


def _check_subject(kind: type[Command], subject: str, subjects: Subjects) -> None:
    """A command counts only where it belongs: who may publish what is granted by subject."""
    allowed = [subjects.command(context, kind.__name__) for context in kind.contexts]
    if subject not in allowed:
        raise TunebusError(
            Problem(
                code=Code.INVALID,
                message=f"{kind.__name__} came on {subject}",
                param="type",
                hint=f"publish it on {' or '.join(allowed)}",
            )
        )


def _salvaged(body: bytes, error: TunebusError) -> CommandEnvelope:
    """An envelope for the rejection of a message that has an id and is wrong elsewhere; else raises `error`.

    Of a document that is not strict JSON nothing but its id is used.
    """
    kind: Any = None
    try:
        document = strictjson.loads(body)
        command_id = str(UUID(document["id"]))
        kind = document.get("type")
    except TunebusError:
        found = _id_in_sight(body)
        if found is None:
            raise error from None
        command_id = found
    except (ValueError, TypeError, KeyError, AttributeError):
        raise error from None
    return CommandEnvelope(
        id=command_id,
        type=kind[:256] if isinstance(kind, str) and kind else "unknown",
        data={"sha256_of_malformed": hashlib.sha256(body).hexdigest()},
    )


# A text without an end goes to the end: looked for again from each of its quotes, a message would take hours.
_TOKEN = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)(?:"|\\?\Z)|[\[{]|[\]}]|[:,]', re.DOTALL)


def _id_in_sight(body: bytes) -> str | None:
    """The one UUID that the outermost object of something like JSON gives as its `id`; None where it is in doubt."""
    found: set[str] = set()
    depth, key, is_value = 0, None, False
    within = body[: strictjson.MAX_BYTES]
    for token in _TOKEN.finditer(within) if b'"id"' in within and within.lstrip()[:1] == b"{" else ():
        text = token.group(1)
        match token.group()[:1]:
            case b"{" | b"[":
                depth += 1
            case b"}" | b"]":
                depth -= 1
                if depth == 0:
                    break
            case b":" if depth == 1:
                is_value = True
            case b"," if depth == 1:
                key, is_value = None, False
            case b'"' if depth == 1 and not is_value:
                key = text
            case b'"' if depth == 1 and key == b"id":
                try:
                    found.add(str(UUID(text.decode("ascii"))))
                except ValueError:
                    return None
    return found.pop() if len(found) == 1 else None
