"""The settings that each type of config knows, as the contract has them: kind, choices, range and default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import ValidationError
from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, TunebusError, fail, from_validation
from tunebus.contracts.recipes import CONFIG_BODIES
from tunebus.ui.web.words import catalogue, say

TYPES = tuple(CONFIG_BODIES)
MAX_DEPTH = 32

Kind = Literal["integer", "number", "flag", "choice", "names"]


@dataclass(frozen=True)
class Setting:
    """One setting; `default` is what holds where a config does not say."""

    name: str
    kind: Kind
    choices: tuple[str, ...]
    least: float | None
    most: float | None
    default: Any

    @property
    def label(self) -> str:
        return _words(self.name, "label") or self.name

    @property
    def help(self) -> str:
        return _words(self.name, "help")

    @property
    def default_words(self) -> str:
        if self.default is not None:
            return shown(self.default)
        return _words(self.name, "default") or say("configs.decided")


@cache
def of(kind: str) -> Mapping[str, Setting]:
    """The settings of a type by name; none for a custom one, which may hold anything."""
    model = CONFIG_BODIES.get(kind)
    if model is None:
        return {}
    found = {}
    for name, schema in model.model_json_schema()["properties"].items():
        own = next((one for one in schema.get("anyOf", ()) if one.get("type") not in ("null", "array")), schema)
        default = model.model_fields[name].get_default(call_default_factory=True)
        least, most = own.get("minimum", own.get("exclusiveMinimum")), own.get("maximum", own.get("exclusiveMaximum"))
        found[name] = Setting(
            name,
            _kind(schema, own),
            tuple(own.get("enum", ())),
            least,
            most if most is not None and most < 2**31 else None,
            default,
        )
    return found


def _kind(schema: Mapping[str, Any], own: Mapping[str, Any]) -> Kind:
    if any(one.get("type") == "array" for one in schema.get("anyOf", ())):
        return "names"
    if "enum" in own:
        return "choice"
    kinds: Mapping[str, Kind] = {"integer": "integer", "number": "number", "boolean": "flag"}
    return kinds[own["type"]]


def shown(value: Any) -> str:
    """A setting's value as people write it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return say("configs.yes" if value else "configs.no")
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def check(kind: str, document: str) -> dict[str, Any]:
    """A document of settings as it would be kept. Errors: `invalid` and `unknown_field`, naming every wrong key."""
    try:
        body = strictjson.loads(document.encode(), max_depth=MAX_DEPTH)
    except TunebusError as error:
        raise fail(Code.INVALID, error.problem.message, param="config", hint=say("configs.yaml")) from None
    if not isinstance(body, dict):
        raise fail(Code.INVALID, say("configs.no_object"), param="config", hint='{"r": 8}')
    model = CONFIG_BODIES[kind]
    if model is None:
        return body
    try:
        return model.model_validate(body).model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        raise TunebusError(from_validation(error, model.model_fields, prefix="config")) from None


def _words(name: str, part: str) -> str:
    key = f"configs.field.{name}.{part}"
    return say(key) if key in catalogue() else ""
