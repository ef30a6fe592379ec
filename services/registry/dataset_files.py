"""Looks into the file or folder of a dataset that is to be added. Runs in a prepare child; it keeps no row."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tunebus.contracts.errors import Code, TunebusError, combine, fail
from tunebus.contracts.events import DatasetStatistics
from tunebus.services.platform.rows import formats, inspection, templates
from tunebus.services.platform.rows.files import checked_type
from tunebus.services.platform.rows.folders import parts_of
from tunebus.services.platform.rows.inspection import DatasetFacts, Wish
from tunebus.services.registry import prompt_generation
from tunebus.services.registry.locations import Place

REPORT_SECONDS = 0.25

Document = dict[str, Any]


def inspect(request: Document, place_of: Callable[[], Place], report: Callable[[int, int | None], None]) -> Document:
    """The facts of a dataset. The suffix is judged before the place, so that a wrong name never depends on what is
    there."""
    given, kind = str(request["shown"]), request["type"]
    wish = Wish(request["column_mapping"], request["format"], request["skip_broken"])
    problems = formats.mapping_problems(wish.column_mapping)
    if problems:
        raise TunebusError(combine(problems))
    may_be_folder = kind == "folder" or (kind is None and not Path(given).suffix)
    if not may_be_folder:
        checked_type(Path(given), kind, given)
    place = place_of()
    if place.path.is_dir() and (may_be_folder or kind is None):
        parts = parts_of(place.path, given)
        total = sum(part.path.stat().st_size for part in parts)
        facts = inspection.inspect_parts(parts, given, wish=wish, progress=_reporting(report, total))
    elif kind == "folder":
        raise fail(Code.INVALID, f"{given} is a file, not a folder", param="type", hint="leave the type out")
    else:
        kind = checked_type(Path(given), kind, given)
        size = place.path.stat().st_size
        facts = inspection.inspect(place.path, kind, shown=given, wish=wish, progress=_reporting(report, size))
    return {"location": place.location, **_document(_with_empty_answers(facts))}


def _with_empty_answers(facts: DatasetFacts) -> DatasetFacts:
    """Of plain columns the answer is the one that a generated prompt would take."""
    if facts.statistics.empty_answers is not None:
        return facts
    try:
        completion = templates.parse(prompt_generation.generate(facts.features).completion_template)
    except TunebusError:
        return facts
    names = [part.name for part in completion if isinstance(part, templates.Column)]
    empty = next((column.nulls for column in facts.statistics.columns if [column.name] == names), None)
    return replace(facts, statistics=facts.statistics.model_copy(update={"empty_answers": empty}))


def _document(facts: DatasetFacts) -> Document:
    statistics: DatasetStatistics = facts.statistics
    shallow = {name: value for name, value in asdict(facts).items() if name not in ("files", "statistics")}
    files = [file.model_dump() for file in facts.files]
    return {**shallow, "files": files, "statistics": statistics.model_dump()}


def _reporting(report: Callable[[int, int | None], None], total: int) -> Callable[[int], None]:
    """Say a few times a second how far the reading is."""
    last = time.monotonic()

    def tell(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= REPORT_SECONDS:
            last = now
            report(done, total)

    return tell
