"""Decides about configs, which their content addresses: an equal body of the same type is the config that is there."""

from __future__ import annotations

from tunebus.contracts.commands import AddConfig
from tunebus.contracts.events import ConfigAdded
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.subjects import CONFIG
from tunebus.services.platform.decisions import Accepted, Decision
from tunebus.services.registry.config_body import ConfigBody
from tunebus.services.registry.decision import happened
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
