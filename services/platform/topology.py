"""The streams, consumers and the file bucket of one namespace, as code: applied once, verified by every service.

The only place that creates any of them; settings an operator added (replicas, placement) are left as they are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError
from tunebus.contracts import subjects as names
from tunebus.contracts.errors import Code, Problem, TunebusError, combine
from tunebus.contracts.subjects import Subjects

MiB = 1024 * 1024
GiB = 1024 * MiB
DAY = 86_400.0

MAX_DELIVER = 5
REGISTRY = "registry"
PROJECTOR = "projector"
ADVISORIES = "advisories"
MLFLOW = "mlflow"
TENSORBOARD = "tensorboard"
DOORBELLS = {
    "trainer": (names.FINE_TUNING_JOB,),
    "evaluator": (names.EVALUATION_JOB, names.EXPORT_JOB),
}
"""The consumer of each kind of worker, and the kinds of jobs it rings for."""

_APPLY = "run `tunebus topology apply`"
_log = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Stream:
    """A stream and what we insist on of its configuration."""

    name: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Consumer:
    """A durable pull consumer and what we insist on of its configuration."""

    stream: str
    name: str
    settings: dict[str, Any]


def streams(subjects: Subjects) -> list[Stream]:
    """Every stream of the namespace, the file bucket's among them."""
    ours = (subjects.commands_stream, subjects.events_stream, subjects.telemetry_stream)
    limits = {"retention": api.RetentionPolicy.LIMITS, "storage": api.StorageType.FILE, "max_msgs": -1}
    return [
        Stream(
            subjects.commands_stream,
            {
                **limits,
                "subjects": [subjects.all_commands],
                "discard": api.DiscardPolicy.NEW,
                "max_age": 0.0,
                "max_bytes": 1 * GiB,
                # The shortest the server takes: a sender's own Nats-Msg-Id must not swallow a retry and its reply.
                "duplicate_window": 0.1,
            },
        ),
        Stream(
            subjects.events_stream,
            {
                **limits,
                "subjects": [subjects.all_events],
                "discard": api.DiscardPolicy.NEW,
                "max_age": 0.0,
                "max_bytes": -1,
                "duplicate_window": 120.0,
            },
        ),
        Stream(
            subjects.telemetry_stream,
            {
                **limits,
                "subjects": [subjects.all_telemetry],
                "discard": api.DiscardPolicy.OLD,
                "max_age": 7 * DAY,
                "max_bytes": 4 * GiB,
                "duplicate_window": 120.0,
            },
        ),
        Stream(
            subjects.advisories_stream,
            {
                **limits,
                "subjects": [
                    f"$JS.EVENT.ADVISORY.CONSUMER.{kind}.{stream}.*"
                    for kind in ("MAX_DELIVERIES", "MSG_TERMINATED")
                    for stream in ours
                ],
                "discard": api.DiscardPolicy.OLD,
                "max_age": 30 * DAY,
                "max_bytes": 256 * MiB,
            },
        ),
        Stream(
            f"OBJ_{subjects.files_bucket}",
            {
                **limits,
                "subjects": [f"$O.{subjects.files_bucket}.C.>", f"$O.{subjects.files_bucket}.M.>"],
                "discard": api.DiscardPolicy.NEW,
                "max_age": 1 * DAY,
                "max_bytes": 16 * GiB,
                "allow_rollup_hdrs": True,
                "allow_direct": True,
            },
        ),
    ]


def consumers(subjects: Subjects) -> list[Consumer]:
    """Every durable consumer that our services bind to."""
    durable = {
        "ack_policy": api.AckPolicy.EXPLICIT,
        "deliver_policy": api.DeliverPolicy.ALL,
        "replay_policy": api.ReplayPolicy.INSTANT,
        "max_deliver": MAX_DELIVER,
        "ack_wait": 30.0,
        "max_ack_pending": 1_000,
    }
    return [
        # A command in preparation is kept alive by +WPI; many may be in preparation while others pass them.
        Consumer(subjects.commands_stream, REGISTRY, {**durable, "max_ack_pending": 10_000}),
        *(
            Consumer(subjects.events_stream, name, {**durable, **_filter([subjects.queued(kind) for kind in kinds])})
            for name, kinds in DOORBELLS.items()
        ),
        Consumer(subjects.telemetry_stream, PROJECTOR, {**durable, "ack_wait": 20.0}),
        Consumer(subjects.advisories_stream, ADVISORIES, durable),
        # Mirrors may be away for days and want what came meanwhile; a message waits in hand while they are.
        Consumer(subjects.events_stream, MLFLOW, durable),
        Consumer(subjects.telemetry_stream, MLFLOW, durable),
        Consumer(subjects.telemetry_stream, TENSORBOARD, durable),
    ]


def _filter(wanted: list[str]) -> dict[str, Any]:
    """The server keeps one subject in another field than several; changing one into the other needs both."""
    single, several = (wanted[0], None) if len(wanted) == 1 else (None, wanted)
    return {"filter_subject": single, "filter_subjects": several}


async def apply(client: Client, subjects: Subjects, *, wait: float = 30.0) -> list[str]:
    """Create what is missing and change what drifted; returns what was done, in words. Running it twice does nothing.

    Errors: `unavailable` when JetStream does not answer within `wait` seconds, `not_supported` when the server refuses
    a change (a stream's storage or retention cannot be changed).
    """
    js = client.jetstream(timeout=min(wait, 5.0))
    done = []
    for stream in streams(subjects):
        found = await _patiently(lambda name=stream.name: _stream(js, name), wait)  # type: ignore[misc]
        if found is None:
            await _accepted(js.add_stream(api.StreamConfig(name=stream.name, **stream.settings)), stream.name)
            done.append(f"stream {stream.name} was created")
        elif drift := _drift(found, stream.settings):
            await _accepted(js.update_stream(found.evolve(**stream.settings)), stream.name)
            done.append(f"stream {stream.name} was changed: {'; '.join(drift)}")
    for consumer in consumers(subjects):
        config = await _patiently(lambda it=consumer: _consumer(js, it.stream, it.name), wait)  # type: ignore[misc]
        label = f"consumer {consumer.name} of {consumer.stream}"
        if config is None:
            made = api.ConsumerConfig(name=consumer.name, durable_name=consumer.name, **consumer.settings)
            await _accepted(js.add_consumer(consumer.stream, made), label)
            done.append(f"{label} was created")
        elif drift := _drift(config, consumer.settings):
            await _accepted(js.add_consumer(consumer.stream, config.evolve(**consumer.settings)), label)
            done.append(f"{label} was changed: {'; '.join(drift)}")
    for line in done:
        _log.info(line)
    return done


async def verify(client: Client, subjects: Subjects, *, wait: float = 30.0) -> list[Problem]:
    """What is missing or drifted, field by field; an empty list when all is as the code says.

    Errors: `unavailable` when JetStream does not answer within `wait` seconds.
    """
    js = client.jetstream(timeout=min(wait, 5.0))
    problems = []
    for stream in streams(subjects):
        found = await _patiently(lambda name=stream.name: _stream(js, name), wait)  # type: ignore[misc]
        problems += _problems(f"stream {stream.name}", found, stream.settings)
    for consumer in consumers(subjects):
        config = await _patiently(lambda it=consumer: _consumer(js, it.stream, it.name), wait)  # type: ignore[misc]
        problems += _problems(f"consumer {consumer.name} of {consumer.stream}", config, consumer.settings)
    return problems


async def require(client: Client, subjects: Subjects, *, wait: float = 30.0) -> None:
    """What a service calls at its start: raises `conflict` naming everything that is missing or drifted."""
    if problems := await verify(client, subjects, wait=wait):
        raise TunebusError(combine(problems))


async def purge_handled(js: JetStreamContext, subjects: Subjects) -> int:
    """Remove the commands that the registry is done with, all below its ack floor; returns how many.

    Under a work queue each ack would cost the server as much as a publish; one purge every few seconds costs nothing.
    The floor also passes messages that ran out of deliveries, so nothing is removed while an advisory, whose handler
    reads the message it tells of, is still to be handled.
    """
    advisories: api.ConsumerInfo = await js.consumer_info(subjects.advisories_stream, ADVISORIES)
    if advisories.num_pending or advisories.num_ack_pending:
        return 0
    info: api.ConsumerInfo = await js.consumer_info(subjects.commands_stream, REGISTRY)
    floor = info.ack_floor.stream_seq if info.ack_floor else 0
    state = (await js.stream_info(subjects.commands_stream)).state
    if state.messages == 0 or floor < state.first_seq:
        return 0
    await js.purge_stream(subjects.commands_stream, seq=floor + 1)
    return min(floor, state.last_seq) - state.first_seq + 1


async def _stream(js: JetStreamContext, name: str) -> api.StreamConfig | None:
    try:
        return (await js.stream_info(name)).config
    except NotFoundError:
        return None


async def _consumer(js: JetStreamContext, stream: str, name: str) -> api.ConsumerConfig | None:
    try:
        found: api.ConsumerInfo = await js.consumer_info(stream, name)
    except NotFoundError:
        return None
    return found.config


async def _act(action: str) -> list[str]:
    """What the command line asks for, in words. Errors: `conflict` for drift found, `unavailable`."""
    from tunebus.services.platform.connection import connect
    from tunebus.services.platform.settings import load_settings

    settings = load_settings()
    client = await connect(settings, "topology", wait=10.0)
    try:
        if action == "apply":
            return await apply(client, settings.subjects)
        await require(client, settings.subjects)
        return []
    finally:
        await client.close()


def main(arguments: list[str] | None = None) -> int:
    """`python -m tunebus.services.platform.topology apply|verify [--json]`"""
    parser = argparse.ArgumentParser(prog="tunebus topology", description=__doc__)
    parser.add_argument("action", choices=("apply", "verify"))
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args(arguments)
    try:
        done = asyncio.run(_act(given.action))
    except TunebusError as error:
        problem = error.problem
        if given.json:
            sys.stderr.write(json.dumps(problem.document()) + "\n")
        else:
            lines = [each.message for each in problem.details or (problem,)]
            sys.stderr.write("\n".join([*lines, *([f"hint: {problem.hint}"] if problem.hint else [])]) + "\n")
        return problem.exit_code
    if given.json:
        sys.stdout.write(json.dumps({"ok": True, "done": done}) + "\n")
    else:
        sys.stdout.write("\n".join(done or ["streams and consumers are as they should be"]) + "\n")
    return 0


def _problems(label: str, found: object, wanted: dict[str, Any]) -> list[Problem]:
    if found is None:
        return [Problem(code=Code.CONFLICT, message=f"{label} is missing", hint=_APPLY)]
    return [Problem(code=Code.CONFLICT, message=f"{label}: {line}", hint=_APPLY) for line in _drift(found, wanted)]


def _drift(found: object, wanted: dict[str, Any]) -> list[str]:
    """Each field that differs, in words."""
    lines = []
    for field, value in wanted.items():
        actual = getattr(found, field)
        if _comparable(actual) != _comparable(value):
            lines.append(f"{field} is {_shown(actual)}, should be {_shown(value)}")
    return lines


def _comparable(value: Any) -> object:
    if isinstance(value, list):
        return sorted(value)
    if isinstance(value, float):
        return round(value, 6)
    return value or 0 if value is None or isinstance(value, bool) else value


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(getattr(value, "value", value))


async def _patiently(ask: Callable[[], Awaitable[_T]], wait: float) -> _T:
    """Ask JetStream, which answers a while later than the server itself after a start."""
    deadline = asyncio.get_running_loop().time() + wait
    while True:
        try:
            return await ask()
        except (nats.errors.NoRespondersError, nats.errors.TimeoutError, ServiceUnavailableError):
            if asyncio.get_running_loop().time() >= deadline:
                raise TunebusError(
                    Problem(
                        code=Code.UNAVAILABLE,
                        message=f"JetStream did not answer within {wait:g} s",
                        hint="the server at TUNEBUS_NATS_URL needs JetStream enabled",
                    )
                ) from None
            await asyncio.sleep(0.1)


async def _accepted(change: Awaitable[object], label: str) -> None:
    try:
        await change
    except APIError as error:
        raise TunebusError(
            Problem(
                code=Code.NOT_SUPPORTED,
                message=f"the server refused {label}: {error.description}",
                hint="what cannot be changed in place must be removed first, by hand",
            )
        ) from None


if __name__ == "__main__":
    sys.exit(main())
