"""The one argument of a worker process: a name by which several of a kind on one machine can be told apart."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence


def service_name(kind: str, arguments: Sequence[str] | None = None) -> str:
    """`--name`, or the kind. Exits with code 2 for a name that no state file can have."""
    parser = argparse.ArgumentParser(prog=f"python -m tunebus.services.{kind}")
    parser.add_argument("--name", type=_name, default=kind, help=f"for example {kind}-2")
    return str(parser.parse_args(arguments).name)


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        raise argparse.ArgumentTypeError("use 1-64 letters, digits, - and _")
    return text
