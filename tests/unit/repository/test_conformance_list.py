"""Every numbered behaviour of the domain has a test that is named after it. Whether it is a good one is not told."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

CONFORMANCE = Path(__file__).parents[2] / "conformance"
NUMBERS = [*(f"{number:02}" for number in range(1, 32)), "30a"]
"""The behaviours' own: 30a came later than 31 and belongs behind 30."""

_NAME = re.compile(r"test_conformance_((?:\d\da?_)+)[a-z]")


def numbers_of(name: str) -> list[str]:
    """The numbers that a test's name begins with; a test may be of several."""
    found = _NAME.match(name)
    return found[1].rstrip("_").split("_") if found else []


@cache
def by_file() -> dict[str, list[str]]:
    """The names of the tests by file."""
    return {
        path.name: [
            node.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_conformance")
        ]
        for path in sorted(CONFORMANCE.glob("test_*.py"))
    }


@pytest.mark.parametrize("number", NUMBERS)
def test_each_behaviour_has_a_test_that_bears_its_number(number: str) -> None:
    named = [name for names in by_file().values() for name in names if number in numbers_of(name)]
    assert named, f"no test under {CONFORMANCE.name} is named test_conformance_{number}_…"


def test_each_test_of_a_behaviour_bears_a_number_of_the_list() -> None:
    astray = [
        f"{file}: {name}"
        for file, names in by_file().items()
        for name in names
        if not numbers_of(name) or set(numbers_of(name)) - set(NUMBERS)
    ]
    assert not astray, astray
