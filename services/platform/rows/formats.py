"""What rows mean: the formats of training data, how each is recognised, and how a row of it becomes text or a chat.

The one place of this: inspection, preview, training and evaluation all call `converted`. It reads no file.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunebus.contracts.errors import Code, Problem, fail, nearest
from tunebus.contracts.recipes import DataFormat
from tunebus.services.platform.rows.reading import kind_of, text_of

ROLES = ("system", "developer", "user", "assistant", "tool")
_SHAREGPT_ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant",
    "model": "assistant", "bot": "assistant", "function_call": "assistant", "system": "system",
    "developer": "developer", "tool": "tool", "function": "tool", "observation": "tool",
}  # fmt: skip
_PAIR = [str, str]
_NOT_READ = ("tools",)  # what a conversation may come with, and no chat is rendered with yet

Row = Mapping[str, Any]
Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class Pair:
    """A row as plain text: what is given, and what is to be learnt. `earlier` are the messages that a chat begins with
    before the two, which `asked` alone is a turn of; in plain text they are a part of what is given.
    """

    prompt: str
    completion: str
    asked: str | None = None
    earlier: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Format:
    """A format: the columns it needs, and others that it knows. `title` is its name for people."""

    title: str
    needs: tuple[str, ...]
    knows: tuple[str, ...] = ()


FORMATS: dict[DataFormat, Format] = {
    "messages": Format("messages", ("messages",), ("conversations",)),
    "sharegpt": Format("ShareGPT", ("conversations",), ("messages",)),
    "preference": Format("preference", ("prompt", "chosen", "rejected")),
    "alpaca": Format("Alpaca", ("instruction", "output"), ("input", "system", "history")),
    "prompt_completion": Format("prompt/completion", ("prompt", "completion")),
    "text": Format("plain text", ("text",)),
    "prompt": Format("plain columns", ()),
}
STANDARD_NAMES = tuple(dict.fromkeys(name for known in FORMATS.values() for name in (*known.needs, *known.knows)))
CHATS: tuple[DataFormat, ...] = ("messages", "sharegpt")


def recognised(rows: Sequence[Row], columns: Collection[str]) -> DataFormat:
    """The format of rows, judged by the names of their columns and by the first of them."""
    first = rows[0] if rows else {}
    for name in ("messages", "conversations"):
        if isinstance(first.get(name), list):
            turns = [turn for turn in first[name] if isinstance(turn, dict)]
            return "sharegpt" if turns and "from" in turns[0] else "messages"
    candidates: tuple[DataFormat, ...] = ("preference", "alpaca", "prompt_completion")
    for name in candidates:
        if set(FORMATS[name].needs) <= set(columns) and not any(misfit(row, name) for row in rows):
            return name
    if set(columns) == {"text"} and not any(misfit(row, "text") for row in rows):
        return "text"
    return "prompt"


def lacking(columns: Collection[str], format: DataFormat) -> list[str]:
    """The columns that a format needs and that are not there. A conversation may be in either of two columns."""
    if format in CHATS:
        known = FORMATS[format]
        return [] if set(columns) & {*known.needs, *known.knows} else list(known.needs)
    return [name for name in FORMATS[format].needs if name not in columns]


def nearly(columns: Collection[str]) -> list[str]:
    """What keeps columns from being each of the formats of which they have some: one clause a format."""
    found = []
    for name, known in FORMATS.items():
        missing = lacking(columns, name)
        if missing and len(missing) < len(known.needs):
            found.append(f"for {known.title} it lacks {' and '.join(map(repr, missing))}")
    return found


def not_read(columns: Collection[str], format: DataFormat) -> list[str]:
    """Columns that mean something beside a format, which is left out of what is trained on."""
    return [name for name in _NOT_READ if name in columns and format in (*CHATS, "alpaca")]


def misfit(row: Row, format: DataFormat) -> str | None:
    """What keeps a row from being of a format, or None. A column that is missing or null is empty, and fits."""
    if format in CHATS:
        wrong = conversation_error(_conversation(row), column=_conversation_column(row))
        return wrong or _no_text(row, "system")
    for name in (*FORMATS[format].needs, *FORMATS[format].knows):
        value = row.get(name)
        if name == "history":
            if wrong := _no_history(value):
                return wrong
            continue
        if format in ("prompt_completion", "preference") and isinstance(value, list):
            wrong = conversation_error(value, answer=False, column=name)
            if wrong is not None:
                return wrong
        elif wrong := _no_text(row, name):
            return wrong
    return None


def _no_text(row: Row, name: str) -> str | None:
    value = row.get(name)
    return f"{name!r} is {kind_of(value)}, not text" if isinstance(value, list | dict) else None


def _turns(value: object) -> list[Any]:
    """Alpaca's `history`, also where a CSV file has it as JSON. Raises ValueError for what is no pairs of texts."""
    if isinstance(value, str):
        value = json.loads(value) if value.strip() else None
    turns = value or []
    if not isinstance(turns, list) or not all(
        isinstance(turn, list) and list(map(type, turn)) == _PAIR for turn in turns
    ):
        raise ValueError
    return turns


def _no_history(value: object) -> str | None:
    try:
        _turns(value)
    except (ValueError, RecursionError):
        return f"'history' is {kind_of(value)}, not a list of pairs of what was asked and answered"
    return None


def converted(row: Row, format: DataFormat) -> Pair | Messages:
    """A row as the text or the chat that is trained on. Errors: `invalid` for a row that does not fit.

    Plain columns need a prompt's templates and are none of these. Of a preference, the chosen answer counts; of plain
    text, everything is to be learnt.
    """
    wrong = misfit(row, format)
    if wrong is not None:
        raise fail(Code.INVALID, wrong)
    match format:
        case "messages" | "sharegpt":
            conversation: Messages = _conversation(row)
            if conversation[0]["role"] in ("system", "developer"):
                return conversation
            return [*_system(row), *conversation]
        case "alpaca":
            return _alpaca(row)
        case "prompt_completion":
            return _joined(row.get("prompt"), row.get("completion"))
        case "preference":
            return _joined(row.get("prompt"), row.get("chosen"))
        case "text":
            return Pair("", text_of(row.get("text")))
        case "prompt":
            hint = "add a prompt with templates for these columns"
            raise fail(Code.INVALID, "plain columns need a prompt", param="prompt_id", hint=hint)


def answer(row: Row, format: DataFormat) -> str:
    """The text of a fitting row's last answer."""
    example = converted(row, format)
    if isinstance(example, Pair):
        return example.completion
    return next((str(turn["content"]) for turn in reversed(example) if is_learnt(turn)), "")


def is_learnt(message: Mapping[str, Any]) -> bool:
    """Whether a message is an answer to be learnt; OpenAI's weight 0 says of one that it is only context."""
    return message["role"] == "assistant" and message.get("weight") != 0


def renamed(row: Row, mapping: Mapping[str, str]) -> dict[str, Any]:
    """The row with its columns under their standard names; `mapping` is standard name -> column."""
    if not mapping:
        return dict(row)
    standard = {column: name for name, column in mapping.items()}
    return {standard.get(name, name): value for name, value in row.items()}


def mapping_problems(mapping: Mapping[str, str]) -> list[Problem]:
    """What is wrong with a mapping whatever the file holds."""
    problems = []
    for name, column in mapping.items():
        if name not in STANDARD_NAMES:
            near = nearest(name, STANDARD_NAMES)
            problems.append(
                Problem(
                    code=Code.INVALID,
                    message=f"{name!r} is no name that a format knows",
                    param=f"column_mapping.{name}",
                    hint=f"did you mean {near!r}?" if near else f"names are {', '.join(STANDARD_NAMES)}",
                )
            )
        elif list(mapping.values()).count(column) > 1:
            problems.append(
                Problem(
                    code=Code.INVALID,
                    message=f"column {column!r} is given for more than one name",
                    param=f"column_mapping.{name}",
                    hint="give each column for one name",
                )
            )
    return problems


def mapping_misses(mapping: Mapping[str, str], columns: Collection[str]) -> list[Problem]:
    """What is wrong with a mapping for a file of these columns: those that are not there, and names that are taken."""
    there = f"columns: {', '.join(list(columns)[:50])}"
    problems = []
    for name, column in mapping.items():
        param = f"column_mapping.{name}"
        if column not in columns:
            problems.append(
                Problem(code=Code.INVALID, message=f"there is no column {column!r}", param=param, hint=there)
            )
        elif name in columns and name not in mapping.values():
            problems.append(
                Problem(
                    code=Code.INVALID,
                    message=f"the file has a column {name!r} of its own",
                    param=param,
                    hint="map that column to another name as well, or rename it in the file",
                )
            )
    return problems


def conversation_error(value: object, *, answer: bool = True, column: str = "messages") -> str | None:
    """What keeps a value from being a list of chat messages, or None. With `answer`, one must be the assistant's."""
    if not isinstance(value, list) or not value:
        return f"{column!r} is {kind_of(value)}, not a list of messages"
    for number, message in enumerate(value, start=1):
        if not isinstance(message, dict):
            return f"message {number} is {kind_of(message)}, not an object with 'role' and 'content'"
        if "role" not in message and "from" in message:
            return f"message {number} is from {message['from']!r}; those known are {', '.join(_SHAREGPT_ROLES)}"
        if message.get("role") not in ROLES:
            return f"message {number} has the role {message.get('role')!r}; roles are {', '.join(ROLES)}"
        if not isinstance(message.get("content"), str):
            return f"the content of message {number} is {kind_of(message.get('content'))}, not text"
        if message.get("weight") not in (None, 0, 1):
            return f"the weight of message {number} is {text_of(message['weight'])[:40]}; weights are 0 and 1"
    if answer and not any(map(is_learnt, value)):
        without = " without the weight 0" if any(message["role"] == "assistant" for message in value) else ""
        return f"no message of the assistant{without}: there is nothing to learn"
    return None


def _conversation_column(row: Row) -> str:
    return "conversations" if row.get("messages") is None and "conversations" in row else "messages"


def _conversation(row: Row) -> Any:
    """The row's messages with ShareGPT's turns as roles and contents; whatever else it is, as it is."""
    value = row.get(_conversation_column(row))
    return [_turn(turn) for turn in value] if isinstance(value, list) else value


def _turn(turn: Any) -> Any:
    if not isinstance(turn, dict) or "from" not in turn or "role" in turn or turn["from"] not in _SHAREGPT_ROLES:
        return turn
    return {"role": _SHAREGPT_ROLES[turn["from"]], "content": turn.get("value")}


def _system(row: Row) -> Messages:
    text = text_of(row.get("system"))
    return [{"role": "system", "content": text}] if text.strip() else []


def _alpaca(row: Row) -> Pair:
    """As LLaMA-Factory reads it: `system` comes first, `history` are turns before this one. In plain text they stand
    above it as paragraphs."""
    parts = [text_of(row.get("instruction")), text_of(row.get("input"))]
    asked = "\n\n".join(part for part in parts if part.strip()) + "\n"
    earlier = _system(row)
    for question, reply in _turns(row.get("history")):
        earlier += [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]
    above = "".join(f"{message['content'].strip()}\n\n" for message in earlier)
    return Pair(above + asked, text_of(row.get("output")), asked if earlier else None, tuple(earlier))


def _joined(prompt: object, completion: object) -> Pair | Messages:
    """Prompt and completion, either of which may be text or messages; a completion may repeat its prompt."""
    if not isinstance(prompt, list) and not isinstance(completion, list):
        return Pair(text_of(prompt), text_of(completion))
    before: Messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": text_of(prompt)}]
    after: Messages = (
        completion if isinstance(completion, list) else [{"role": "assistant", "content": text_of(completion)}]
    )
    if after[: len(before)] == before:
        after = after[len(before) :]
    wrong = conversation_error([*before, *after])
    if wrong is not None:
        raise fail(Code.INVALID, wrong)
    return [*before, *after]
