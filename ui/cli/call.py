"""One invocation of the command line: its settings, its terminal and, once it needs one, its client of the bus."""

from __future__ import annotations

import contextlib
import functools
import getpass
import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer
from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.contracts.texts import storable
from tunebus.services.platform.home import Home
from tunebus.services.platform.settings import Settings, load_settings
from tunebus.ui.cli.options import Parameters
from tunebus.ui.cli.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunebus.contracts.envelope import EventEnvelope, Outcome


class Bus(Protocol):
    """What the command line needs of a client; `tunebus.contracts.client.Client` is one."""

    def send(
        self, command: str, data: Mapping[str, Any], /, *, command_id: str | None = None, actor: str | None = None
    ) -> Outcome: ...

    def upload(self, file: Path, *, progress: Callable[[int, int], None] | None = None) -> str: ...

    def download(self, name: str, file: Path, *, progress: Callable[[int, int], None] | None = None) -> int: ...

    def remove_upload(self, name: str) -> None: ...

    def query(self, name: str, data: Mapping[str, Any], /) -> dict[str, Any]: ...

    def request(self, subject: str, data: Mapping[str, Any], *, timeout: float = 15.0) -> dict[str, Any]: ...

    def events(
        self, from_position: Any = "beginning", *, aggregate: str | None = None, entity_id: str | None = None
    ) -> Iterator[EventEnvelope]: ...

    def close(self) -> None: ...


def open_bus(settings: Settings, *, seconds: float = 5.0) -> Bus:
    """Connect to the server that is set, else to the studio that runs on the home. Errors: `unavailable`."""
    from tunebus.contracts.client import Client

    url = settings.nats_url.get_secret_value() if settings.nats_url else None
    home = None if url else settings.home
    return Client.connect(url, settings.namespace, home=home, name="tunebus-cli", connect_timeout=seconds)


class Call:
    """What a command's function is given."""

    def __init__(self, *, home: Path | str | None, machine: bool) -> None:
        self.terminal = Terminal(machine=machine)
        self.home_given = home

    @functools.cached_property
    def settings(self) -> Settings:
        return load_settings(home=self.home_given)

    @functools.cached_property
    def home(self) -> Home:
        return Home(self.settings.home, self.settings.artifacts)

    @functools.cached_property
    def bus(self) -> Bus:
        return open_bus(self.settings)

    @property
    def machine(self) -> bool:
        return self.terminal.machine

    def ask(self, query: str, **fields: Any) -> dict[str, Any]:
        """The answer to a query. Errors: those of the answer, `unavailable`."""
        return self.bus.query(query, fields)

    def ask_quickly(self, query: str, *, seconds: float, **fields: Any) -> dict[str, Any]:
        """The answer to a query of a studio that may be down: gives up soon. Errors: `unavailable`."""
        if "bus" not in self.__dict__:
            self.__dict__["bus"] = open_bus(self.settings, seconds=seconds)
        return self.bus.request(self.settings.subjects.query(query), fields, timeout=seconds)

    def call(self, name: str, **fields: Any) -> dict[str, Any]:
        """The reply of the registry to a call that is no command. Errors: the reply's, `unavailable`."""
        return self.bus.request(self.settings.subjects.rpc(name), fields)

    def send(self, command: str, **fields: Any) -> Outcome:
        """The outcome of an accepted command. Errors: the rejection's, `not_confirmed`, `unavailable`.

        Fields are judged by the registry alone, so that one answer names every wrong one.
        """
        return self.send_as(None, command, fields)

    def send_as(self, command_id: str | None, command: str, fields: Mapping[str, Any]) -> Outcome:
        """The same under an id of the caller's, who asks for its progress or sends it again."""
        outcome = self.bus.send(command, fields, command_id=command_id, actor=_actor())
        if outcome.error is not None:
            raise TunebusError(outcome.error)
        return outcome

    def close(self) -> None:
        """Let go of the bus, if it was used."""
        bus = self.__dict__.pop("bus", None)
        if bus is not None:
            with contextlib.suppress(TunebusError):
                bus.close()


_HOME = Annotated[
    str | None, typer.Option("--home", metavar="DIR", help="the studio's folder (TUNEBUS_HOME)", show_default=False)
]
_JSON = Annotated[bool, typer.Option("--json", help="print JSON, errors as well", show_default=False)]


def command(
    group: typer.Typer, name: str, *, fields: Parameters | None = None, **settings: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a command of `group`, with `--home` and `--json` added to its options.

    The function's first parameter is the `Call`; `fields` are handed to it as keyword arguments.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        declared = inspect.signature(function, eval_str=True)
        own = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in list(declared.parameters.values())[1:]
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        common = [
            inspect.Parameter("_context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
            inspect.Parameter("_home", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_HOME),
            inspect.Parameter("_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_JSON),
        ]

        def run(_context: typer.Context, _home: str | None, _json: bool, **values: Any) -> None:
            root = _context.find_root().params
            home = root.get("home") if _home is None else _home
            call = Call(home=home, machine=_json or bool(root.get("json")))
            try:
                _check_text({"home": home, **values})
                function(call, **values)
            finally:
                call.close()

        parameters = [*own, *(fields or []), *common]
        parameters.sort(key=lambda parameter: parameter.default is not inspect.Parameter.empty)
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run.__name__, run.__doc__ = function.__name__, function.__doc__
        group.command(name, **settings)(run)
        return function

    return register


def typed_path(text: str, param: str = "path") -> Path:
    """A path that was typed. Errors: `invalid` for an empty one, which would stand for the current folder."""
    if not text.strip():
        raise fail(Code.INVALID, "names no file or folder", param=param, hint="write one, or . for the current folder")
    return Path(text).expanduser()


def absolute(text: str, param: str = "path") -> str:
    """A path as it is sent: absolute, since the studio's working folder is not ours; URIs are left alone.

    Errors: `invalid` for an empty one.
    """
    path = typed_path(text, param)
    return text if "://" in text or text.startswith("artifact:") else str(path.absolute())


def _check_text(values: Mapping[str, Any]) -> None:
    """Refuse bytes that are no UTF-8, which Python hands over as halves of surrogate pairs: no message can hold them.

    Errors: `invalid`, naming the option or the argument.
    """
    for name, value in values.items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and (shown := storable(text)) != text:
                hint = "write it in UTF-8, and rename a file whose name is in another encoding"
                raise fail(Code.INVALID, f"is not UTF-8: {shown}", param=name, hint=hint)


def _actor() -> str | None:
    try:
        return f"{getpass.getuser()}@{os.uname().nodename}"[:200]
    except (KeyError, OSError):
        return None
