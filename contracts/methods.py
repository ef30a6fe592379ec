"""Writes `client_methods.py`: a typed method for every command and query, for both clients.

    python -m tunebus.contracts.methods | ruff format - > contracts/client_methods.py

A test compares the file with what this prints, so that a new command cannot be forgotten.
"""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from tunebus.contracts.commands import COMMANDS, Command
from tunebus.contracts.queries import QUERIES, Query

_HEAD = '''"""A typed method for every command and query. Written by `python -m tunebus.contracts.methods`; do not edit.

Arguments left None are not sent: the registry's defaults hold. Ids may be names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from tunebus.contracts.commands import EvaluationCombination
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.queries import Page
from tunebus.contracts.recipes import ChatMessage, Checked, GenerationSettings
'''
_ASYNC_BASE = '''

class AsyncMethods(Protocol):
    """The commands and queries of the asynchronous client."""

    async def send(self, command: str, data: dict[str, Any], /) -> Outcome: ...

    async def query(self, name: str, data: dict[str, Any], /) -> dict[str, Any]: ...
'''
_SYNC_BASE = '''

class Methods(Protocol):
    """The commands and queries of the synchronous client."""

    def send(self, command: str, data: dict[str, Any], /) -> Outcome: ...

    def query(self, name: str, data: dict[str, Any], /) -> dict[str, Any]: ...
'''
_RETURNS = {"list": ("Page", "Page.model_validate({})"), "outcome": ("Outcome", "Outcome.model_validate({})")}


def source() -> str:
    """The text of `client_methods.py`."""
    parts = [_HEAD]
    for base, prefix, wait in ((_ASYNC_BASE, "async def", "await "), (_SYNC_BASE, "def", "")):
        parts.append(base)
        parts.extend(_command(kind, prefix, wait) for kind in COMMANDS.values())
        parts.extend(_query(kind, prefix, wait) for kind in QUERIES.values())
    return "".join(parts)


def method_name(message: str) -> str:
    """`AddDataset` -> `add_dataset`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", message).lower()


def _command(kind: type[Command], prefix: str, wait: str) -> str:
    body = f'return {wait}self.send("{kind.__name__}", {_data(kind)})'
    return _method(kind, prefix, "Outcome", body)


def _query(kind: type[Query], prefix: str, wait: str) -> str:
    call = f'{wait}self.query("{kind.__name__}", {_data(kind)})'
    returns, wrapped = _RETURNS.get(kind.answers, ("dict[str, Any]", "{}"))
    return _method(kind, prefix, returns, f"return {wrapped.format(call)}")


def _method(kind: type[BaseModel], prefix: str, returns: str, body: str) -> str:
    parameters = "".join(f"        {line},\n" for line in _parameters(kind))
    star = "        *,\n" if parameters else ""
    doc = " ".join((kind.__dict__.get("__doc__") or f"Ask `{kind.__name__}`.").split())
    return (
        f"\n    {prefix} {method_name(kind.__name__)}(\n        self,\n{star}{parameters}    ) -> {returns}:\n"
        f'        """{_folded(doc)}"""\n        {body}\n'
    )


def _folded(text: str, width: int = 104) -> str:
    """Docstring text in lines that fit."""
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines[0] if len(lines) == 1 else "\n        ".join(lines) + "\n        "


def _parameters(kind: type[BaseModel]) -> Iterator[str]:
    """Required ones first; every other may be None, which means: not given."""
    fields = sorted(kind.model_fields.items(), key=lambda item: not item[1].is_required())
    for name, field in fields:
        shown = _shown(field.annotation)
        if field.is_required():
            yield f"{name}: {shown}"
        else:
            yield f"{name}: {shown if 'None' in shown.split(' | ') else f'{shown} | None'} = None"


def _data(kind: type[BaseModel]) -> str:
    return "{" + ", ".join(f'"{_wire(name, field)}": {name}' for name, field in kind.model_fields.items()) + "}"


def _wire(name: str, field: FieldInfo) -> str:
    return field.alias or name


def _shown(annotation: Any) -> str:
    """A type as source text, without constraints."""
    if annotation is type(None):
        return "None"
    if annotation is Any:
        return "Any"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _shown(arguments[0])
    if origin is Literal:
        return f"Literal[{', '.join(repr(value) for value in arguments)}]".replace("'", '"')
    if origin in (Union, types.UnionType):
        shown: list[str] = []
        for argument in arguments:
            shown.extend(part for part in [_shown(argument)] if part not in shown)
        return " | ".join(sorted(shown, key=lambda part: part == "None"))
    if origin is not None:
        shown_arguments = ", ".join(_shown(argument) for argument in arguments)
        # A list of models or objects is taken as a Sequence: a list of either alone is no list of both.
        return f"{'Sequence' if origin is list and ' | ' in shown_arguments else origin.__name__}[{shown_arguments}]"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"{annotation.__name__} | dict[str, Any]"
    return str(annotation.__name__)


if __name__ == "__main__":
    sys.stdout.write(source())
