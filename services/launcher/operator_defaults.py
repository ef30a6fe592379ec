"""What an operator adds to a studio's defaults: a file of entries, and a folder of adapters. It sends nothing.

The file is YAML or JSON with lists `datasets`, `models`, `adapters`, `prompts` and `configs`, whose entries are the
fields of `AddDataset`, `AddModel` and so on. See docs/defaults.md.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from tunebus.contracts import strictjson
from tunebus.contracts.client import Client
from tunebus.contracts.commands import command_type, validate
from tunebus.contracts.errors import Code, Problem, TunebusError, combine, fail, nearest
from tunebus.services.launcher.shipped_defaults import Default

MAX_BYTES = 10 * 1024**2
SECTIONS = {  # in this order: prompts need datasets, adapters need models
    "datasets": "AddDataset",
    "models": "AddModel",
    "prompts": "AddPrompt",
    "configs": "AddConfig",
    "adapters": "AddAdapter",
}
_SETTING = "TUNEBUS_DEFAULTS_FILE"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")
_MOST_LETTERS = 100

_log = logging.getLogger(__name__)


def read(file: Path) -> list[Default]:
    """The entries of the file, in the order they can be added in.

    Errors: `not_found` or `invalid`, naming every wrong field as `datasets.0.name`, counted from 0.
    """
    document = _parsed(file)
    if not isinstance(document, dict):
        raise fail(Code.INVALID, f"{file} holds no lists", param=_SETTING, hint=f"lists: {', '.join(SECTIONS)}")
    problems = [_unknown_section(str(name)) for name in document if name not in SECTIONS]
    found = []
    for section, command in SECTIONS.items():
        entries = document.get(section)
        if entries is None:
            continue
        if not isinstance(entries, list):
            problems.append(Problem(code=Code.INVALID, message="is no list", param=section))
            continue
        for number, entry in enumerate(entries):
            try:
                found.append(_default(command, entry, file.parent))
            except TunebusError as error:
                problems += _placed(error.problem, f"{section}.{number}")
    if problems:
        raise TunebusError(combine(problems))
    return found


def adapters(folder: Path, client: Client) -> list[Default]:
    """An adapter for each folder in `folder`, named after it, of the studio's model that its config names.

    One whose model is not there is left out with a warning: the next start looks again. Errors: `not_found`.
    """
    if not folder.is_dir():
        raise fail(Code.NOT_FOUND, f"{folder} is no folder", param="TUNEBUS_ADAPTERS_DIR")
    found = []
    for config in sorted(folder.glob("*/adapter_config.json")):
        base = _base_model(config)
        model = next((model for model in _models(client) if _means(base, model)), None) if base else None
        if model is None:
            extra = {"folder": str(config.parent), "base_model": base}
            _log.warning("an adapter's base model is not in the studio", extra=extra)
            continue
        name = _NOT_IN_NAMES.sub("-", config.parent.name).strip("-")[:_MOST_LETTERS]
        entry = {"name": name, "path": str(config.parent), "model_id": model["id"]}
        found.append(_default("AddAdapter", entry, folder))
    return found


def _parsed(file: Path) -> Any:
    try:
        with file.open("rb") as opened:
            body = opened.read(MAX_BYTES + 1)
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}"
        raise fail(Code.NOT_FOUND, message, param=_SETTING, hint="name a YAML or JSON file") from None
    if len(body) > MAX_BYTES:
        raise fail(Code.TOO_LARGE, f"{file} is larger than {MAX_BYTES // 1024**2} MiB", param=_SETTING)
    if file.suffix.lower() == ".json":
        return strictjson.loads(body, max_bytes=MAX_BYTES)
    try:
        return yaml.safe_load(body)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark else ""
        message = f"{file} is not YAML{place}: {getattr(error, 'problem', None) or error}"
        raise fail(Code.INVALID, message, param=_SETTING) from None


def _default(command: str, entry: Any, folder: Path) -> Default:
    """The command of an entry; its content makes its id. A relative path starts at the file's folder."""
    if not isinstance(entry, dict):
        raise fail(Code.INVALID, "is no entry of fields", hint='for example {"name": "faq", "path": "faq.jsonl"}')
    data = {str(name): value for name, value in entry.items()}
    path = data.get("path")
    if isinstance(path, str) and not path.startswith("artifact:"):
        data["path"] = str((folder / Path(path).expanduser()).absolute())
    kind = command_type(command)
    validate(kind, data)
    try:
        body = json.dumps(data, sort_keys=True, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise fail(Code.INVALID, f"cannot be kept as JSON: {error}", hint="put dates in quotes") from None
    return Default(command, f"{command}/operator/{hashlib.sha256(body).hexdigest()}", data)


def _placed(problem: Problem, place: str) -> Iterator[Problem]:
    for one in problem.details or [problem]:
        yield one.model_copy(update={"param": f"{place}.{one.param}" if one.param else place})


def _unknown_section(name: str) -> Problem:
    near = nearest(name, SECTIONS)
    hint = f"did you mean {near!r}?" if near else f"lists: {', '.join(SECTIONS)}"
    return Problem(code=Code.UNKNOWN_FIELD, message=f"unknown list {name!r}", param=name, hint=hint)


def _base_model(config: Path) -> str | None:
    try:
        found = json.loads(config.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) and found else None


def _models(client: Client) -> Iterator[Mapping[str, Any]]:
    after = None
    while True:
        page = client.query("ListModels", {"limit": 200, "after": after} if after else {"limit": 200})
        yield from page["items"]
        after = page["next"]
        if after is None:
            return


def _means(base: str, model: Mapping[str, Any]) -> bool:
    """Whether an adapter's word for its base model can mean this one: its name, its folder or its name on the Hub."""
    location = str(model["location"])
    given = base.rstrip("/").lower()
    if given == location.rstrip("/").lower():
        return True
    names = {str(model["name"]).lower(), location.rstrip("/").rpartition("/")[2].lower()}
    if model.get("huggingface_name"):
        names |= {str(model["huggingface_name"]).lower()}
    return given in names or given.rpartition("/")[2] in names
