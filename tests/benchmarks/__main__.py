"""Every benchmark, one after the other, in one table: `python -m tests.benchmarks [NAME …]` (make bench).

Each script measures its baseline in the same run, interleaved. A goal is for a quiet machine: nothing is asserted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parent
NAMES = (
    "ledger",
    "commands",
    "rebuild",
    "telemetry",
    "pages",
    "painting",
    "startup",
    "bare_training",
    "recipe",
    "evaluation",
    "viewers",
)


def rows_of(name: str, console: Console) -> list[dict[str, Any]]:
    """One script's rows; its own words go to the console, and a failure is a row that says so."""
    with console.status(f"measuring {name} …"):
        done = subprocess.run(
            [sys.executable, str(FOLDER / f"{name}.py"), "--json"], stdout=subprocess.PIPE, text=True, check=False
        )
    if done.returncode:
        return [{"what": f"{name} failed with exit code {done.returncode}"}]
    found: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])["rows"]
    return found


def main() -> None:
    console = Console(stderr=True)
    names = sys.argv[1:] or NAMES
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise SystemExit(f"no benchmark {', '.join(unknown)}; there are: {', '.join(NAMES)}")
    table = Table("what", "baseline", "ours", "ratio", "goal", title="Tunebus beside its baselines")
    for name in names:
        for row in rows_of(name, console):
            table.add_row(
                *(
                    "–" if row.get(key) is None else str(row[key])
                    for key in ("what", "baseline", "ours", "ratio", "goal")
                )
            )
        table.add_section()
    Console().print(table)


if __name__ == "__main__":
    main()
