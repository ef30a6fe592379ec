"""JSON from strangers is read or refused with a reason; no parser's exception gets out."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, TunebusError


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"", Code.MALFORMED, "empty message"),
        (b"  \n", Code.MALFORMED, "empty message"),
        (b"{", Code.MALFORMED, "not JSON"),
        (b'{"a": NaN}', Code.MALFORMED, "NaN is no JSON number"),
        (b'{"a": -Infinity}', Code.MALFORMED, "-Infinity is no JSON number"),
        (b'{"a": 1, "b": 2, "a": 3}', Code.MALFORMED, "duplicate key 'a'"),
        (b'{"x": {"a": 1, "a": 1}}', Code.MALFORMED, "duplicate key 'a'"),
        (b"\xff\xfe{}", Code.MALFORMED, "not UTF-8: bad byte at offset 0"),
        (b'{"a": "\xc3\x28"}', Code.MALFORMED, "not UTF-8"),
        (b"[" * 100_000, Code.MALFORMED, "nested deeper than 64"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, Code.MALFORMED, "nested deeper than 64"),
        (b'{"a": ["b\\u0000"]}', Code.MALFORMED, "NUL"),
        (b'{"a\\u0000": 1}', Code.MALFORMED, "NUL"),
        (b'"' + b"x" * strictjson.MAX_BYTES + b'"', Code.TOO_LARGE, "over the limit"),
        (b'{"name": "\\ud800"}', Code.MALFORMED, "half a surrogate pair"),
        (b'{"\\uDFFF": 1}', Code.MALFORMED, "half a surrogate pair"),
        (b'{"a": -1e999}', Code.MALFORMED, "-1e999 is beyond"),
        (b'{"a": "x\\u0000y"}', Code.MALFORMED, "NUL character"),
        (b"9" * 5000, Code.MALFORMED, "is beyond every JSON reader's range"),
        (b'{"a": -1%s}' % (b"0" * 400), Code.MALFORMED, "is beyond every JSON reader's range"),
    ],
)
def test_what_is_no_proper_json_is_refused(body: bytes, code: Code, words: str) -> None:
    with pytest.raises(TunebusError) as refused:
        strictjson.loads(body)
    assert refused.value.problem.code is code
    assert words in refused.value.problem.message


@pytest.mark.timeout(10)
def test_a_text_without_an_end_is_refused_at_once() -> None:
    for end in (b"", b"\\"):
        with pytest.raises(TunebusError):
            strictjson.loads(b'{"a": "' + b'\\"' * 490_000 + b"[" * 65 + end)


def test_brackets_in_texts_are_no_nesting() -> None:
    assert strictjson.loads(json.dumps(["[" * 500, '\\"' + "{" * 500]).encode()) == ["[" * 500, '\\"' + "{" * 500]


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert strictjson.loads(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_a_number_that_fields_may_refuse_by_name_is_read() -> None:
    assert strictjson.loads(b'{"id": 999999999999999999999999}') == {"id": 10**24 - 1}


def test_64_levels_are_allowed() -> None:
    assert strictjson.loads(b"[" * 64 + b"]" * 64)


def test_non_finite_numbers_are_never_written() -> None:
    for write in (strictjson.dumps, strictjson.canonical):
        with pytest.raises(ValueError, match="JSON"):
            write({"loss": float("nan")})


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(TunebusError):
        strictjson.dumps(strictjson.loads(body))


# Lone surrogates have no UTF-8 and no database stores NUL: both are refused, see above.
_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=20,
)


@given(_values)
@example({"\\u0000": "\\ud800"})  # six characters each, not the escapes
def test_what_is_written_is_read_back(value: object) -> None:
    assert strictjson.loads(strictjson.dumps(value)) == value


@given(st.dictionaries(_texts, _values))
@example({"\\u0000": None, "a": 1})
def test_the_canonical_form_does_not_depend_on_order(value: dict[str, object]) -> None:
    assert strictjson.canonical(dict(reversed(value.items()))) == strictjson.canonical(value)
