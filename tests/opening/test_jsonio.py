from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.opening.jsonio import Row, loads, rows, text_bytes, too_deep
from dragoman.records import Rejected
from reading import stream_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=40,
)


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@settings(deadline=None)
@given(JSON, st.integers(1, 6), st.booleans())
def test_depth_is_measured_as_nesting_outside_strings(
    value: object, limit: int, ascii: bool
) -> None:
    data = json.dumps(value, ensure_ascii=ascii).encode("utf-8", "surrogatepass")
    assert too_deep(data, Limits(json_depth=limit)) == (depth(value) > limit)


@pytest.mark.parametrize("data", [b"[" * 200_000, b'{"a":' * 200_000, b'["' + b"[\\" * 200_000])
def test_deep_or_endless_nesting_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"limits\.json_depth = 64|not JSON"):
        loads(data, Limits())
    with pytest.raises(ValueError, match=r"nested too deep|not JSON"):
        loads(data, Limits(json_depth=1 << 30))


@settings(deadline=None)
@given(st.binary(max_size=100).filter(lambda b: not set(b) & set(b'"\\')))
def test_bytes_in_a_string_come_back_as_they_were(raw: bytes) -> None:
    raw = bytes(byte for byte in raw if byte >= 32)
    assert text_bytes(loads(b'"' + raw + b'"', Limits())) == raw


def test_lone_surrogates_have_bytes_too() -> None:
    assert text_bytes(loads(rb'"a\ud800"', Limits())) == b"a\xed\xa0\x80"


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": 1}\n\n{"a": 2}\n',
        b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}',
        b'[{"a": 1}, {"a": 2}]',
        b' [\n  {"a": 1},\n  {"a": 2}\n]\n',
        b'{\n "a": 1\n}\n{\n "a": 2\n}\n',
    ],
)
def test_rows_of_lines_arrays_and_documents(data: bytes) -> None:
    found = [row for row in rows(stream_of(data)) if isinstance(row, Row)]
    assert [row.value for row in found] == [{"a": 1}, {"a": 2}]
    assert [row.raw[:2] for row in found] in ([b'{"'] * 2, [b"{\n"] * 2)
    assert len({row.id for row in found}) == 2


def test_places_in_a_document_are_bytes() -> None:
    data = '[{"a": "é"},\n {"a": "b"}]'.encode()
    found = [row for row in rows(stream_of(data)) if isinstance(row, Row)]
    assert [data[row.where.byte :][:2] for row in found if row.where.byte] == [b'{"', b'{"']


def test_a_bad_line_is_rejected_and_the_next_is_read() -> None:
    first, second, third = rows(stream_of(b'{"a": \n[1]\n{"a": 3}\n'))
    assert isinstance(first, Rejected)
    assert (str(first.where), first.raw) == ("s:1", b'{"a": ')
    assert isinstance(second, Row)
    assert isinstance(third, Row)
    assert third.value == {"a": 3}


def test_a_document_is_kept_up_to_its_fault() -> None:
    for data, reason in (
        (b'[{"a": 1}, {"a": ', "broken JSON: Expecting value"),
        (b'[{"a": 1},', "broken JSON: it ends inside the array"),
    ):
        first, second = rows(stream_of(data))
        assert isinstance(first, Row)
        assert isinstance(second, Rejected)
        assert second.reason.startswith(reason)


def test_limits_name_their_keys() -> None:
    deep = b"[" * 10 + b"1" + b"]" * 10
    for data, limits, key in (
        (deep + b"\n", Limits(json_depth=9), "limits.json_depth = 9"),
        (b'[{"a": ' + deep + b"}]", Limits(json_depth=9), "limits.json_depth = 9"),
        (b'[{"a": 1}]', Limits(document_bytes=5), "limits.document_bytes = 5"),
        (b'{"a": 1}', Limits(line_bytes=5), "limits.line_bytes = 5"),
    ):
        (only,) = rows(stream_of(data, limits))
        assert isinstance(only, Rejected)
        assert key in only.reason
