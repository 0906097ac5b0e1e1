from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.errors import SourceError
from reading import read_bytes


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_the_header_shows_the_delimiter(delimiter: str) -> None:
    rows = [["id", "payload", "host"], ["a", "1' or 1=1", "a.test"], ["b", "x, y; z", ""]]
    text = "\n".join(delimiter.join(f'"{c}"' for c in row) for row in rows)
    found, rejected = read_bytes(text.encode() + b"\n", format="csv")
    assert rejected == []
    assert [(p.id, p.data, p.host) for p in found] == [
        ("a", b"1' or 1=1", "a.test"),
        ("b", b"x, y; z", None),
    ]


def test_cells_may_span_lines_and_hold_any_bytes() -> None:
    data = b'payload\r\n"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"\r\n\xff\x00\xfe\r\n\r\nlast\r\n'
    found, rejected = read_bytes(data, format="csv")
    assert rejected == []
    assert [(p.data, p.where.line, p.kind) for p in found] == [
        (b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 2, "http"),
        (b"\xff\x00\xfe", 6, "value"),
        (b"last", 8, "value"),
    ]
    assert [p.id for p in found] == ["-#2", "-#6", "-#8"]


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1))
def test_what_csv_writes_is_read_back(values: list[str]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([["payload"], *([v] for v in values)])
    found, rejected = read_bytes(out.getvalue().encode(), format="csv")
    assert rejected == []
    assert [p.data.decode() for p in found] == values


def test_quotes_are_data_in_tsv() -> None:
    data = b'id\tquery\n1\t"><script>\n2\t" or "a"="a\n'
    for options in ({}, {"format": "tsv"}):
        found, _ = read_bytes(data, **options)
        assert [p.data for p in found] == [b'"><script>', b'" or "a"="a']


def test_an_absent_column_is_an_error_that_lists_the_columns() -> None:
    with pytest.raises(SourceError, match=r"columns: id, when"):
        read_bytes(b"id,when\n1,2\n", format="csv")
    with pytest.raises(SourceError, match=r"no column 'x'; columns: payload"):
        read_bytes(b"payload\n1\n", format="csv", column="x")


def test_short_rows_long_lines_and_endless_quotes_are_rejected() -> None:
    data = b"id,payload\n1\n2,b\n3," + b"x" * 400 + b"\n4,d\n"
    found, rejected = read_bytes(data, limits=Limits(line_bytes=300))
    assert [(p.id, p.data) for p in found] == [("2", b"b"), ("4", b"d")]
    assert [r.reason for r in rejected] == [
        "the row ends before the column 'payload': 1 of 2 cells",
        "line longer than limits.line_bytes = 300",
    ]
    endless = b'payload\na\n"' + b"no end " * 20 * 9000 + b"\n"
    found, rejected = read_bytes(endless, format="csv")
    assert [p.data for p in found] == [b"a"]
    assert [r.reason.split(":")[0] for r in rejected] == ["broken CSV"]


def test_cells_that_do_not_fit_say_why() -> None:
    found, rejected = read_bytes(b"payload_b64,kind\nAP8=,value\n###,value\neA==,packet\n")
    assert [p.data for p in found] == [b"\x00\xff"]
    assert [r.reason.split(":")[0] for r in rejected] == [
        "payload_b64 is not base64",
        "kind must be http or value, not 'packet'",
    ]
