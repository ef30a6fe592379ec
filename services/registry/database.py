"""The operator's hand on the database: `python -m tunebus.services.registry.database rebuild|verify|upgrade [--json]`.

`verify` works on a live studio and writes nothing of it; `rebuild` goes on beside it. Exit codes: those of the errors;
`verify` ends with 5 when a projection is not what the record says.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Engine
from tunebus.contracts.errors import Code, Problem, TunebusError
from tunebus.projections import rebuild as projections_rebuild
from tunebus.projections.verify import verify as verify_projections
from tunebus.services.platform import database
from tunebus.services.platform.settings import load_settings
from tunebus.services.platform.upcasters import UPCASTERS
from tunebus.services.registry.upgrading import record_of, set_up

Document = dict[str, Any]


def upgrade(engine: Engine) -> Document:
    """Bring the ledger and the projections to this version; does nothing when they are."""
    set_up(engine)
    return {"upgraded": True}


def rebuild(engine: Engine) -> Document:
    """Build every projection anew beside the live one and put it in its place."""
    database.check_schema(engine)
    return asdict(projections_rebuild.rebuild(record_of(engine)))


def verify(engine: Engine) -> Document:
    """Compare every projection with a rebuild at the same moment. Errors: `conflict`, naming the rows that differ."""
    database.check_schema(engine)
    with database.read(engine) as connection:
        found = verify_projections(connection, UPCASTERS.upcast)
    if not found.ok:
        details = [
            Problem(code=Code.CONFLICT, message=str(difference), param=difference.table)
            for difference in found.differences
        ]
        raise TunebusError(
            Problem(
                code=Code.CONFLICT,
                message=f"{found.differing_rows} rows of the projections are not what the record says",
                hint="run `tunebus db rebuild`; the record itself is whole",
                details=details,
            )
        )
    return {"ok": True, "position": found.position, "rows": dict(found.rows), "hashes": dict(found.hashes)}


ACTIONS: dict[str, Callable[[Engine], Document]] = {"rebuild": rebuild, "verify": verify, "upgrade": upgrade}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tunebus db", description=__doc__)
    parser.add_argument("action", choices=sorted(ACTIONS))
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args(arguments)
    engine: Engine | None = None
    try:
        engine = database.open_engine(load_settings().ledger_url)
        document = ACTIONS[given.action](engine)
    except TunebusError as error:
        _print_problem(error.problem, as_json=given.json)
        return error.problem.exit_code
    finally:
        if engine is not None:
            engine.dispose()
    if given.json:
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        sys.stdout.write(_words(given.action, document) + "\n")
    return 0


def _words(action: str, document: Document) -> str:
    if action == "upgrade":
        return "the database is of this version"
    rows = ", ".join(f"{count} {table}" for table, count in document["rows"].items() if count) or "no rows"
    done = "equals a rebuild" if action == "verify" else "was rebuilt"
    return f"every projection {done} at position {document['position']}: {rows}"


def _print_problem(problem: Problem, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"error": problem.document()}) + "\n")
        return
    lines = [f"error: {problem.message}", *(f"  {detail.message}" for detail in problem.details or ())]
    if problem.hint:
        lines.append(f"hint: {problem.hint}")
    sys.stderr.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
