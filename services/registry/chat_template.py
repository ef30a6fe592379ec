"""A model's chat template: a program that came with the model, run as transformers runs it, but limited.

Runs in a prepare child, each rendering in a process of its own. Nothing here needs transformers or the tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.services.platform import limited
from tunebus.services.platform.limited import ExceededError, Limits

# With the way there and back an error is said within two seconds; what is sound takes some milliseconds.
LIMITS = Limits(seconds=0.8, memory_bytes=256 * 1024**2, output_bytes=1024**2)
SPECIAL_TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token")
_PROBE = ({"role": "user", "content": "Is this a question?"}, {"role": "assistant", "content": "It is."})

Message = Mapping[str, Any]


def find(folder: Path) -> str | None:
    """The text of a model folder's chat template, from a file of its own or from the tokenizer's config."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    for name in ("chat_template.json", "tokenizer_config.json"):
        template = _read(folder / name).get("chat_template")
        if isinstance(template, list):  # several, by name
            named = {one.get("name"): one.get("template") for one in template if isinstance(one, dict)}
            template = named.get("default") or next(iter(named.values()), None)
        if isinstance(template, str):
            return template
    return None


def special_tokens(folder: Path) -> dict[str, str]:
    """The tokens that a template writes by name."""
    config = _read(folder / "tokenizer_config.json")
    found = {}
    for name in SPECIAL_TOKENS:
        token = config.get(name)
        if isinstance(token, dict):
            token = token.get("content")
        if isinstance(token, str):
            found[name] = token
    return found


def render(template: str, messages: Sequence[Message], tokens: Mapping[str, str], *, generation: bool = False) -> str:
    """The conversation as text. Errors: `too_large` past a limit, `invalid` with what the template itself says."""

    def work() -> str:
        return _compiled(template).render(
            messages=[dict(message) for message in messages], add_generation_prompt=generation, **tokens
        )

    try:
        return str(limited.run(work, LIMITS))
    except ExceededError as error:
        raise fail(
            Code.TOO_LARGE,
            f"the model's chat template {error}",
            param="model_id",
            hint="correct the template, or use another model",
        ) from None
    except TunebusError as error:
        message = f"the model's chat template refuses the conversation: {error.problem.message}"
        raise fail(Code.INVALID, message, param="model_id") from None


def check(folder: Path, shown: str) -> None:
    """Render one question and its answer. What a template says of a conversation is its own affair, as long as it ends.

    Errors: `invalid` for a template that loops or explodes.
    """
    template = find(folder)
    if template is None:
        return
    try:
        render(template, _PROBE, special_tokens(folder))
    except TunebusError as error:
        if error.problem.code is Code.TOO_LARGE:
            message = error.problem.message.replace("the model's chat template", "its chat template")
            raise fail(Code.INVALID, f"{shown}: {message}", param="path", hint="correct the template") from None


class _Generation(Extension):
    """`{% generation %}`, which marks the assistant's text for training and writes nothing."""

    tags = {"generation"}  # noqa: RUF012  as jinja2 has it

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _compiled(template: str) -> jinja2.Template:
    """With the settings, filters and functions that transformers gives its templates."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols], cache_size=0
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment.from_string(template)


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
    known = {name: options[name] for name in ("separators", "sort_keys") if name in options}
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **known)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
