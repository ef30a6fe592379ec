"""`tunebus password`: what the pages ask for before they show anything. Nothing of it goes over the bus."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer
from tunebus.contracts.errors import Code, fail
from tunebus.services.platform import password as kept
from tunebus.ui.cli.call import Call, command, typed_path

password = typer.Typer(no_args_is_help=True, help="The password of the pages.")


@command(password, "set", epilog="Example: tunebus password set --file password.txt")
def set_password(
    call: Call,
    file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="a file whose first line it is; asked for when not given", show_default=False
        ),
    ] = None,
) -> None:
    """Let the pages ask for a password from now on. All who are signed in have to sign in again."""
    kept.set_password(call.settings.home, _read(None if file is None else typed_path(file, "file")))
    call.terminal.data({"set": True}, "the pages ask for this password from now on; all sessions have ended")
    if call.settings.ui_password_file is not None:
        call.terminal.note(
            f"but while TUNEBUS_UI_PASSWORD_FILE is set, that of {call.settings.ui_password_file} counts"
        )


@command(password, "remove", epilog="Example: tunebus password remove")
def remove_password(call: Call) -> None:
    """Let the pages ask for none. Pages that others reach are not served without one."""
    removed = kept.remove_password(call.settings.home)
    call.terminal.data({"removed": removed}, "the pages ask for no password" if removed else "there was none")


def _read(file: Path | None) -> str:
    if file is not None:
        try:
            return file.read_text().partition("\n")[0].rstrip("\r")
        except (OSError, ValueError):
            raise fail(Code.NOT_FOUND, f"{file} cannot be read", param="file") from None
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise fail(Code.INVALID, "the two are not the same", param="password")
    return first
