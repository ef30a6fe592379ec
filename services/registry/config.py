"""Decides about configs, which their content addresses: an equal body of the same type is the config that is there."""

from __future__ import annotations

from tunebus.contracts.commands import AddConfig, DescribeConfig, RemoveConfig
from tunebus.contracts.errors import Code
from tunebus.contracts.events import ConfigAdded, ConfigDescribed, ConfigRemoved
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.subjects import CONFIG
from tunebus.services.platform.decisions import Accepted, Decision, Rejected
from tunebus.services.registry import users
from tunebus.services.registry.config_body import ConfigBody
from tunebus.services.registry.decision import happened, missing, refused
from tunebus.services.registry.known import Known
from tunebus.services.registry.wanted import Wanted


def refer_add(wanted: Wanted, body: ConfigBody, _command: AddConfig) -> None:
    wanted.configs.add(body.sha256)


def add(known: Known, body: ConfigBody, command: AddConfig) -> Decision:
    there = known.configs.named(body.name)
    if there:
        return Accepted(id=there.id)
    config_id = new_id()
    event = ConfigAdded(
        type=body.type,
        config=body.config,
        sha256=body.sha256,
        description=command.description,
        model_family=command.model_family or None,
        is_default=command.is_default,
    )
    return Accepted((happened(CONFIG, config_id, event),), id=config_id)


def refer_describe(wanted: Wanted, _facts: object, command: DescribeConfig) -> None:
    wanted.configs.add(command.id)


def describe(known: Known, _facts: None, command: DescribeConfig) -> Decision:
    config = known.configs.get(command.id)
    if config is None:
        return Rejected(missing("config", command.id, "id"))
    if not command.model_fields_set - {"id"}:
        return refused(Code.INVALID, "says nothing new", hint="give a description, a model_family or is_default")
    family = config.model_family if command.model_family is None else command.model_family or None
    event = ConfigDescribed(
        description=config.description if command.description is None else command.description,
        model_family=family,
        is_default=config.is_default if command.is_default is None else command.is_default,
    )
    if (event.description, event.model_family, event.is_default) == (
        config.description,
        config.model_family,
        config.is_default,
    ):
        return Accepted(id=config.id)
    return Accepted((happened(CONFIG, config.id, event),), id=config.id)


def refer_remove(wanted: Wanted, _facts: object, command: RemoveConfig) -> None:
    wanted.configs.add(command.id)
    wanted.leaves(CONFIG, command.id)


def remove(known: Known, _facts: None, command: RemoveConfig) -> Decision:
    config = known.configs.get(command.id)
    if config is None:
        return Rejected(missing("config", command.id, "id"))
    if found := users.of_config(known, config):
        return users.in_use(f"this {config.type} config", found, "stop these or let them end first")
    name = f"{config.type}: {config.description}" if config.description else config.type
    return Accepted((happened(CONFIG, config.id, ConfigRemoved(name=name)),), id=config.id)
