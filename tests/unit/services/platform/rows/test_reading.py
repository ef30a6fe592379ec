"""Dataset files: what is read, what is refused, and in which words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tunebus.contracts.errors import Code, Problem, TunebusError
from tunebus.contracts.recipes import DatasetSource
from tunebus.services.platform.rows import reading
from tunebus.services.platform.rows.inspection import inspect
from tunebus.services.platform.rows.source import rows_of

characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
names = st.text(characters, min_size=1).filter(str.strip)
CHAT = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}


def write(folder: Path, name: str, body: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return path


def read_rows(path: Path, sha256: str | None = None) -> Iterator[dict[str, Any]]:
    """The rows as a training reads them."""
    facts = inspect(path) if sha256 is None else None
    source = DatasetSource(
        dataset_id="d",
        location=str(path),
        type=path.suffix.lower()[1:],
        sha256=sha256 or (facts.sha256 if facts else ""),
        features=[],
        format="prompt",
    )
    return rows_of(source)


def refusal(path: Path | str, type: str | None = None, **options: str) -> Problem:
    with pytest.raises(TunebusError) as caught:
        inspect(path, type, **options)
    problem = caught.value.problem
    last = (problem.details or [problem])[-1]
    assert last.hint, f"{problem.message}: no way out"
    return problem


class TestCsv:
    def test_features_are_the_header_in_order(self, tmp_path: Path) -> None:
        facts = inspect(write(tmp_path, "a.csv", "question,answer\nx,y\nz,w\n"))
        assert (facts.type, facts.features, facts.rows) == ("csv", ["question", "answer"], 2)

    def test_byte_order_mark_is_not_part_of_the_first_name(self, tmp_path: Path) -> None:
        assert inspect(write(tmp_path, "a.csv", "\ufeffquestion,answer\nx,y\n")).features == ["question", "answer"]

    def test_quoted_commas_quotes_and_newlines_are_values(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a.csv", 'q,a\n"one, two","line 1\nline ""2"""\n')
        assert list(read_rows(path)) == [{"q": "one, two", "a": 'line 1\nline "2"'}]

    def test_windows_line_ends_and_blank_lines(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a.csv", "q,a\r\n1,2\r\n\r\n3,4\r\n")
        assert list(read_rows(path)) == [{"q": "1", "a": "2"}, {"q": "3", "a": "4"}]

    def test_missing_columns_are_added_with_a_count(self, tmp_path: Path) -> None:
        facts = inspect(write(tmp_path, "a.csv", "q,a,b\n1\n2,3\n4,5,6\n"))
        assert facts.rows == 3
        assert facts.warnings == ["column 'a' is missing in 1 of 3 rows", "column 'b' is missing in 2 of 3 rows"]

    def test_column_absent_from_every_row_stays_a_feature(self, tmp_path: Path) -> None:
        assert inspect(write(tmp_path, "a.csv", "q,a\n1\n")).features == ["q", "a"]

    def test_semicolons_are_pointed_out(self, tmp_path: Path) -> None:
        assert "not semicolons" in inspect(write(tmp_path, "a.csv", "q;a\n1;2\n")).warnings[0]

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ("", "is empty"),
            ("\n \n", "is empty"),
            ("\ufeff", "is empty"),
            ("q,a\n", "has a header but no rows"),
            ("q,q\n1,2\n", "duplicate column name 'q'"),
            ("q, q \n1,2\n", "duplicate column name 'q'"),
            ("q,,a,\n1,2,3,4\n", "blank column name at column 2, 4"),
            ("q,a\n1,2,3\n", "line 2: 3 fields, but the header has 2"),
            ('q,a\n1,"x"y\n', "line 2: not CSV"),
            ('q,a\n1,2\n3,"open\n', "line 3: not CSV"),
            (b"q,a\n1,2\n\xff,4\n", "line 3: not UTF-8: bad byte at offset 0"),
            (b"\xff\xfeq\x00", "not UTF-8"),
            (b"q,a\n1,\x00\n", "line 2: a text holds the NUL character"),
        ],
    )
    def test_refused_in_words(self, tmp_path: Path, body: str | bytes, words: str) -> None:
        problem = refusal(write(tmp_path, "a.csv", body))
        assert words in problem.message
        assert (problem.code, problem.param) == (Code.INVALID, "path")

    def test_a_header_with_two_faults_names_both(self, tmp_path: Path) -> None:
        problem = refusal(write(tmp_path, "a.csv", "q,,q\n1,2,3\n"))
        assert problem.details is not None
        assert len(problem.details) == 2

    def test_too_many_columns(self, tmp_path: Path) -> None:
        header = ",".join(f"c{number}" for number in range(reading.MAX_COLUMNS + 1))
        assert "2001 columns" in refusal(write(tmp_path, "a.csv", header + "\n1\n")).message

    def test_broken_row_after_a_multi_line_one_is_named_by_its_first_line(self, tmp_path: Path) -> None:
        problem = refusal(write(tmp_path, "a.csv", 'q,a\n"1\n2\n3",x\n4,5,6\n'))
        assert "line 5: 3 fields" in problem.message


class TestJson:
    def test_array_of_objects(self, tmp_path: Path) -> None:
        facts = inspect(write(tmp_path, "a.json", '[{"q": 1, "a": "x"}, {"a": "y", "b": null}]'))
        assert (facts.features, facts.rows) == (["q", "a", "b"], 2)
        assert facts.warnings == ["column 'q' is missing in 1 of 2 rows", "column 'b' is missing in 1 of 2 rows"]

    def test_one_object_is_one_row(self, tmp_path: Path) -> None:
        assert list(read_rows(write(tmp_path, "a.json", '\ufeff{"q": "é"}'))) == [{"q": "é"}]

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ("", "is empty"),
            ("  \n", "is empty"),
            ("[]", "is an empty array"),
            ("3", "is a number, not an array of objects"),
            ("[1]", "row 1: a number, not an object"),
            ('[{"a": 1}, null]', "row 2: null, not an object"),
            ("[{}]", "has rows but no columns"),
            ('[{"a": 1},]', "not JSON"),
            ('{"a": NaN}', "NaN is no JSON number"),
            ('{"a": 1e999}', "beyond every JSON reader's range"),
            ('{"a": "\\u0000"}', "the NUL character"),
            ('{"a": 1, "a": 2}', "duplicate key 'a'"),
            ('{" ": 1}', "blank column name"),
            ('{"a": {"b": "\\ud800"}}', "surrogate"),
            ("[" * 1000, "nested deeper"),
            (b'{"a": "\xff"}', "not UTF-8"),
        ],
    )
    def test_refused_in_words(self, tmp_path: Path, body: str | bytes, words: str) -> None:
        problem = refusal(write(tmp_path, "a.json", body))
        assert words in problem.message
        assert problem.code is Code.INVALID

    @pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.json", "a.jsonl"])
    @pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
    def test_another_encoding_gets_a_hint(self, tmp_path: Path, name: str, encoding: str) -> None:
        text = "é,b\n1,2\n" if name[-3:] in ("csv", "tsv") else '[{"a": "é"}]' if name == "a.json" else '{"a": "é"}\n'
        problem = refusal(write(tmp_path, name, text.encode(encoding)))
        assert "UTF-8" in problem.message
        assert "save it as UTF-8" in str(problem.hint)

    def test_jsonl_under_the_wrong_name_gets_a_hint(self, tmp_path: Path) -> None:
        assert "JSONL" in (refusal(write(tmp_path, "a.json", '{"a": 1}\n{"a": 2}\n')).hint or "")

    def test_a_file_over_the_limit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "MAX_JSON_BYTES", 10)
        assert refusal(write(tmp_path, "a.json", '{"a": "0123456789"}')).code is Code.TOO_LARGE


class TestJsonl:
    def test_blank_lines_count_for_numbers_but_not_as_rows(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a.jsonl", '{"a": 1}\n\n{"a": }\n')
        assert "line 3: not JSON: Expecting value at column 7" in refusal(path).message

    def test_every_broken_line_is_counted_and_the_first_twenty_named(self, tmp_path: Path) -> None:
        lines = ["[1]" if number % 2 else '{"a": 1}' for number in range(1, 61)]
        problem = refusal(write(tmp_path, "a.jsonl", "\n".join(lines)))
        assert problem.message.endswith(
            "30 rows are broken: line 1: an array, not an object; line 3: an array, not "
            "an object; line 5: an array, not an object; and 27 more"
        )
        assert problem.details is not None
        assert [detail.message.split(":")[0] for detail in problem.details] == [
            f"line {number}" for number in range(1, 40, 2)
        ]

    def test_line_over_the_limit_is_one_finding(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "MAX_LINE_BYTES", 20)
        problem = refusal(write(tmp_path, "a.jsonl", '{"a": 1}\n{"a": "' + "x" * 99 + '"}\n{"a": 2}\n{"b\n'))
        assert "2 rows are broken: line 2: longer than 20 bytes; line 4: not JSON" in problem.message

    def test_columns_over_the_limit_stop_the_reading(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "MAX_COLUMNS", 3)
        rows = "\n".join(json.dumps({f"c{number}": 1}) for number in range(9))
        assert "line 4: more than 3 columns; reading stopped there" in refusal(write(tmp_path, "a.jsonl", rows)).message

    def test_rows_are_read_lazily(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a.jsonl", '{"a": 1}\n{"a": 2}\nbroken\n')
        assert list(islice(read_rows(path, "0"), 2)) == [{"a": 1}, {"a": 2}]
        with pytest.raises(TunebusError, match="line 3"):
            list(read_rows(path, "0"))

    @settings(deadline=None)
    @given(
        st.lists(
            st.dictionaries(names, st.text(characters) | st.integers() | st.none(), min_size=1, max_size=4),
            min_size=1,
            max_size=8,
        )
    )
    def test_whatever_json_can_say_comes_back(self, tmp_path_factory: pytest.TempPathFactory, rows: list[dict]) -> None:
        path = tmp_path_factory.mktemp("rows") / "a.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        assert list(read_rows(path)) == rows
        assert inspect(path).rows == len(rows)


class TestFile:
    def test_the_hash_and_size_are_the_files(self, tmp_path: Path) -> None:
        body = '{"a": 1}\n\n\n'
        facts = inspect(write(tmp_path, "a.jsonl", body))
        assert (facts.sha256, facts.bytes) == (hashlib.sha256(body.encode()).hexdigest(), len(body))

    def test_a_file_that_changed_is_told_after_its_last_row(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a.jsonl", '{"a": 1}\n')
        facts = inspect(path)
        assert list(read_rows(path, sha256=facts.sha256)) == [{"a": 1}]
        path.write_text('{"a": 2}\n')
        with pytest.raises(TunebusError, match="has changed since it was added"):
            list(read_rows(path, sha256=facts.sha256))

    def test_a_missing_file_is_named_as_given(self) -> None:
        problem = refusal("some/where.csv", shown="~/some/where.csv")
        assert (problem.code, problem.message) == (Code.NOT_FOUND, "there is no file ~/some/where.csv")

    @pytest.mark.parametrize(("name", "type"), [("a.CSV", "csv"), ("a.Json", None), ("a.JSONL", "jsonl")])
    def test_suffixes_of_any_case(self, tmp_path: Path, name: str, type: str | None) -> None:
        body = "a\n1\n" if name.lower().endswith("csv") else '{"a": 1}'
        assert inspect(write(tmp_path, name, body), type).rows == 1

    def test_suffix_and_type_must_match(self, tmp_path: Path) -> None:
        problem = refusal(write(tmp_path, "a.csv", "a\n1\n"), "jsonl")
        assert "'.csv', which is not of type 'jsonl'" in problem.message

    @pytest.mark.parametrize(("name", "type", "param"), [("a.txt", None, "path"), ("a.csv", "xml", "type")])
    def test_unknown_kinds(self, tmp_path: Path, name: str, type: str | None, param: str) -> None:
        assert refusal(write(tmp_path, name, "a\n1\n"), type).param == param

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").mkdir()
        assert "is a folder" in refusal(tmp_path / "a.csv").message

    def test_a_path_that_no_system_call_takes(self) -> None:
        assert refusal("a\0b.csv").param == "path"


class TestFormat:
    def of(self, folder: Path, *rows: dict) -> str:
        return inspect(write(folder, "a.jsonl", "\n".join(json.dumps(row) for row in rows))).format

    def test_plain_columns_need_a_prompt(self, tmp_path: Path) -> None:
        assert self.of(tmp_path, {"question": "x", "answer": "y"}) == "prompt"

    def test_conversations(self, tmp_path: Path) -> None:
        assert self.of(tmp_path, CHAT, CHAT) == "messages"

    def test_prompt_and_completion(self, tmp_path: Path) -> None:
        assert self.of(tmp_path, {"prompt": "x", "completion": "y"}, {"prompt": "z"}) == "prompt_completion"
        assert self.of(tmp_path, {"prompt": CHAT["messages"][:1], "completion": CHAT["messages"][1:]}) == (
            "prompt_completion"
        )

    def test_prompt_and_completion_of_neither_text_nor_messages_need_a_prompt(self, tmp_path: Path) -> None:
        assert self.of(tmp_path, {"prompt": {"x": 1}, "completion": "y"}) == "prompt"

    def test_a_text_column_called_messages_is_a_column(self, tmp_path: Path) -> None:
        assert self.of(tmp_path, {"messages": "x", "answer": "y"}) == "prompt"

    @pytest.mark.parametrize(
        ("messages", "words"),
        [
            ("text", "'messages' is text, not a list"),
            ([], "not a list of messages"),
            (["x"], "message 1 is text"),
            ([{"role": "bot", "content": "x"}], "role 'bot'"),
            ([{"role": "user", "content": None}], "content of message 1 is null"),
            ([{"role": "user", "content": "x"}], "no message of the assistant"),
        ],
    )
    def test_a_broken_conversation_among_whole_ones_is_named(
        self, tmp_path: Path, messages: object, words: str
    ) -> None:
        rows = "\n".join(json.dumps(row) for row in (CHAT, {"messages": messages}))
        problem = refusal(write(tmp_path, "a.jsonl", rows))
        assert words in problem.message
        assert "line 2" in problem.message
