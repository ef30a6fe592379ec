"""What a dataset file would be recognised as, judged by its first rows. Runs in a prepare child; nothing is added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunebus.contracts.errors import TunebusError, combine
from tunebus.contracts.recipes import DataFormat
from tunebus.services.platform.rows import formats
from tunebus.services.platform.rows.files import checked_type
from tunebus.services.platform.rows.folders import Part, parts_of
from tunebus.services.platform.rows.formats import FORMATS
from tunebus.services.platform.rows.reading import FileRows, Item
from tunebus.services.registry.preview import shortened

LOOK_ROWS = 1000
LOOK_BYTES = 8 * 1024 * 1024
NAMED_FINDINGS = 20
_LINES = ("csv", "tsv", "jsonl")

Document = dict[str, Any]


def look(request: Document, path: Path) -> Document:
    """`complete` says whether all rows were looked at. Errors: those of the file as a whole, and of the mapping."""
    given, mapping = str(request["shown"]), request["column_mapping"]
    if problems := formats.mapping_problems(mapping):
        raise TunebusError(combine(problems))
    if path.is_dir() and request["type"] in (None, "folder"):
        kind, parts = "folder", parts_of(path, given)
    else:
        kind = checked_type(Path(given), request["type"], given)
        parts = [Part(path, given, kind)]
    items, columns, complete = _first(parts, cut=bool(request["cut"]))
    names = dict.fromkeys(columns) | dict.fromkeys(name for item in items for name in item.row or ())
    if problems := formats.mapping_misses(mapping, names):
        raise TunebusError(combine(problems))
    rows = [(item, formats.renamed(item.row, mapping)) for item in items if item.row is not None]
    standard = list(formats.renamed(names, mapping))
    recognised = formats.recognised([row for _, row in rows], standard)
    format: DataFormat = request["format"] or recognised
    missing = formats.lacking(standard, format)
    broken = [(item.place, item.error) for item in items if item.error is not None]
    if not missing:
        broken += [(item.place, wrong) for item, row in rows if (wrong := formats.misfit(row, format)) is not None]
    return {
        "type": kind,
        "recognised": recognised,
        "format": format,
        "title": FORMATS[format].title,
        "lacks": missing,
        "features": list(names),
        "rows": [
            {name: shortened(value) for name, value in item.row.items()}
            for item, _ in rows[: request["limit"]]
            if item.row
        ],
        "looked_at": len(items),
        "complete": complete and len(parts) == 1,
        "broken": len(broken),
        "findings": [{"place": place, "error": error} for place, error in broken[:NAMED_FINDINGS]],
        "formats": [
            {"name": name, **asdict(known), "lacks": formats.lacking(standard, name)} for name, known in FORMATS.items()
        ],
        "files": [{"path": part.name, "split": part.split} for part in parts] if kind == "folder" else [],
    }


def _first(parts: Sequence[Part], *, cut: bool) -> tuple[list[Item], list[str], bool]:
    """The first rows of the first file, its header, and whether those are all. Of a file that was cut off somewhere the
    last row counts for nothing."""
    part = parts[0]
    items: list[Item] = []
    whole = True
    with FileRows(part.path, part.type, name=part.name) as file:
        for item in file:
            if len(items) == LOOK_ROWS or (items and file.done > LOOK_BYTES):
                whole = False
                break
            items.append(item)
        if not items:
            raise file.no_rows(part.name)
        if whole and cut and part.type in _LINES:
            items.pop()
        return items, file.columns, whole and not cut
