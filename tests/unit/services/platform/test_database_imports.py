"""An idle process carries neither Alembic nor a driver that it does not use."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from tunebus.services.platform import cursors, database, deadletters, leases, ledger
database.open_engine("sqlite:///never-opened.db")
print(*(name for name in ("alembic", "psycopg", "nats", "faststream", "torch") if name in sys.modules))
"""


def test_the_ledger_imports_nothing_heavy() -> None:
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.split() == []
