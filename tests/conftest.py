"""Fixtures that every kind of test shares; each lives in the module of `tests/fixtures` named after it."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

pytest.register_assert_rewrite("tests.fixtures", "tests.torture")
pytest_plugins = [f"tests.fixtures.{module.stem}" for module in sorted((ROOT / "tests" / "fixtures").glob("[a-z]*.py"))]
