"""The figures of rows: what counts as double, as empty, as shared by two splits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tunebus.services.platform.rows import inspection
from tunebus.services.platform.rows.folders import parts_of
from tunebus.services.platform.rows.inspection import Wish, inspect, inspect_parts

rows = st.lists(st.fixed_dictionaries({"q": st.sampled_from("abc"), "a": st.sampled_from(["", " ", "x", None])}))


def write(path: Path, found: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


def key(row: dict[str, object]) -> str:
    return json.dumps(row, sort_keys=True)


@settings(max_examples=40, deadline=None)
@given(rows.filter(bool), rows.filter(bool))
def test_doubles_and_rows_that_splits_share_are_counted(
    tmp_path_factory: pytest.TempPathFactory, train: list[dict[str, object]], test: list[dict[str, object]]
) -> None:
    folder = tmp_path_factory.mktemp("set")
    write(folder / "train.jsonl", train)
    write(folder / "test.jsonl", test)
    facts = inspect_parts(parts_of(folder, "set"), "set")
    doubles = sum(len(part) - len(set(map(key, part))) for part in (train, test))
    known = set(map(key, train))
    assert facts.statistics.duplicate_rows == doubles
    assert facts.statistics.overlaps == {"test": sum(key(row) in known for row in test)}
    assert facts.rows == len(train) + len(test)
    nulls = {column.name: column.nulls for column in facts.statistics.columns}
    assert nulls["a"] == sum(row["a"] in ("", " ", None) for row in train + test)


def test_the_order_of_keys_makes_no_other_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"q": 1, "a": [2]}, {"a": [2], "q": 1}])
    assert inspect(path).statistics.duplicate_rows == 1


def test_doubles_beyond_the_limit_are_not_counted_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "MAX_FINGERPRINTS", 2)
    facts = inspect(write(tmp_path / "a.jsonl", [{"q": 1}] * 4))
    assert facts.statistics.duplicate_rows == 1
    assert "among the first 2 rows" in facts.warnings[-1]


def test_many_missing_columns_are_named_up_to_a_number(tmp_path: Path) -> None:
    found: list[dict[str, object]] = [{f"c{n}": 1 for n in range(50)}, {"c0": 1}]
    warnings = inspect(write(tmp_path / "a.jsonl", found)).warnings
    assert warnings[-1] == "29 more columns are missing in some rows"
    assert len(warnings) == inspection.NAMED_COLUMNS + 1


def test_rows_left_out_are_counted_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x"}\n{"text": ["y"]}\nbroken\n{"text": ""}\n')
    facts = inspect(path, wish=Wish(format="text", skip_broken=True))
    assert (facts.rows, facts.skipped) == (2, 2)
    assert facts.statistics.empty_answers == 1
    assert facts.warnings == [
        "2 rows are broken and left out: line 2: 'text' is an array, not text; line 3: not JSON: Expecting value at "
        "column 1",
        "the answer is empty in 1 of 2 rows",
    ]


def test_progress_ends_with_all_bytes(tmp_path: Path) -> None:
    seen: list[int] = []
    path = write(tmp_path / "a.jsonl", [{"q": n} for n in range(2000)])
    inspect(path, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == path.stat().st_size
