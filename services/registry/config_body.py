"""Reading a settings document, JSON or YAML: parsed, checked, normalised and hashed. It decides nothing."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError
from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, Problem, TunebusError, fail, from_validation
from tunebus.contracts.recipes import CONFIG_BODIES

MAX_DEPTH = 32
LARGEST = 2**63 - 1  # what every database and every reader of JSON that has whole numbers at all can hold
_HUB_TOKEN = re.compile(r"hf_[A-Za-z0-9]{16,}")


@dataclass(frozen=True)
class ConfigBody:
    """What the prepare step made of the command's document: normalised, with the hash it is found by."""

    type: str
    config: dict[str, Any]
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.type}:{self.sha256}"


def read(kind: str, document: Mapping[str, Any] | str) -> ConfigBody:
    """Parse and normalise. Errors: `invalid` or `unknown_field`, naming every wrong key."""
    config = normalised(kind, parse(document) if isinstance(document, str) else document)
    return ConfigBody(kind, config, hashlib.sha256(strictjson.canonical(config)).hexdigest())


def normalised(kind: str, body: Mapping[str, Any], param: str = "config") -> dict[str, Any]:
    """The body with checked values in one spelling, without what it does not say.
    Errors: `invalid` or `unknown_field` naming every wrong key, with the nearest name.
    """
    if wrong := _wrong_number(body):
        raise fail(Code.INVALID, wrong, param=param)
    try:
        text = strictjson.canonical(body).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise fail(Code.INVALID, f"cannot be kept as JSON: {error}", param=param) from None
    if _HUB_TOKEN.search(text):
        raise fail(
            Code.INVALID, "holds an access token", param=param, hint="set HF_TOKEN where the studio is started instead"
        )
    settings = CONFIG_BODIES[kind]
    if settings is None:
        return dict(body)
    try:
        checked = settings.model_validate(body)
    except ValidationError as error:
        raise TunebusError(from_validation(error, settings.model_fields, prefix=param)) from None
    return checked.model_dump(mode="json", exclude_unset=True)


def parse(text: str) -> dict[str, Any]:
    """Read a document, JSON or YAML. Errors: `invalid`. May take a second for the largest YAML."""
    try:
        found = strictjson.loads(text.encode(), max_depth=MAX_DEPTH)
    except TunebusError as error:
        if text.lstrip()[:1] in ("{", "["):
            json_problem: str | None = error.problem.message
        else:
            json_problem = None
        found = _yaml(text, json_problem)
    if not isinstance(found, dict):
        raise fail(Code.INVALID, "is no object of settings", param="config", hint='for example {"r": 8}')
    return found


class _PlainYaml(yaml.SafeLoader):
    """YAML as JSON could say it: no anchors (they can blow up), no duplicate keys, no dates."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(None, None, "aliases are not allowed", self.get_mark())
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(None, None, f"the key {key!r} is no text", node.start_mark)
            if keys.count(key) > 1:
                raise yaml.MarkedYAMLError(None, None, f"duplicate key {key!r}", node.start_mark)
        return super().construct_mapping(node, deep=deep)


_NOT_PLAIN = {"tag:yaml.org,2002:" + name for name in ("timestamp", "merge", "float")}
_PlainYaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NOT_PLAIN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# YAML 1.1 takes 2e-4 for text; everyone who writes a learning rate means the number.
_PlainYaml.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"
        r"|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


def _yaml(text: str, json_problem: str | None) -> Any:
    try:
        found = yaml.load(text, Loader=_PlainYaml)  # noqa: S506  a SafeLoader, made stricter
        wrong = _wrong_number(found)
        if not wrong:  # what YAML can write and no message can hold: deep nesting, NUL, half a surrogate pair
            strictjson.loads(strictjson.dumps(found), max_depth=MAX_DEPTH)
    except TunebusError as error:
        raise fail(Code.INVALID, json_problem or error.problem.message, param="config") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" at line {mark.line + 1} column {mark.column + 1}" if mark else ""
        raise fail(
            Code.INVALID, json_problem or f"neither JSON nor YAML: {error.problem}{place}", param="config"
        ) from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise fail(Code.INVALID, json_problem or f"neither JSON nor YAML: {error}", param="config") from None
    if wrong:
        raise fail(Code.INVALID, wrong, param="config")
    return found


def _wrong_number(value: Any, place: str = "") -> str | None:
    """What is wrong with the first number that cannot be kept, named by where it stands."""
    match value:
        case dict():
            parts = ((f"{place}.{key}" if place else str(key), part) for key, part in value.items())
        case list():
            parts = ((f"{place}.{number}", part) for number, part in enumerate(value))
        case float() if not math.isfinite(value):
            return f"{place} is {value}: JSON has finite numbers only"
        case int() if not -LARGEST <= value <= LARGEST:
            return f"{place} is {_shown(value)}: whole numbers go up to {LARGEST}"
        case _:
            return None
    return next((wrong for at, part in parts if (wrong := _wrong_number(part, at))), None)


def _shown(number: int) -> str:
    """Python writes no number of more than some thousand digits out."""
    return f"a number of {number.bit_length()} bits" if number.bit_length() > 128 else str(number)


def settings_problems(kind: str, body: Mapping[str, Any], param: str) -> list[Problem]:
    """Every wrong key of an inline object of settings, named below `param`."""
    try:
        normalised(kind, body, param)
    except TunebusError as error:
        return error.problem.details or [error.problem]
    return []
