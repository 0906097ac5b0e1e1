from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from dragoman.config import Limits
from dragoman.errors import SourceError
from reading import read, read_bytes


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_the_labelled_format_is_a_source_as_it_is() -> None:
    rows = lines(
        {"id": "a-1", "payload": "GET / HTTP/1.1\r\n\r\n", "kind": "http", "label": "benign"},
        {"id": 7, "payload": "GET / HTTP/1.1", "kind": "value"},
        {"payload_b64": base64.b64encode(b"\x00\xff").decode(), "time": 1700000000},
        {"id": "l", "payload": "é", "encoding": "latin-1", "host": "a.example.com"},
        {"id": "u", "payload": "é"},
        {"id": "w", "payload": "é€", "encoding": "latin-1"},
    )
    found, rejected = read_bytes(rows)
    assert rejected == []
    assert [(p.id, p.kind, p.data) for p in found] == [
        ("a-1", "http", b"GET / HTTP/1.1\r\n\r\n"),
        ("7", "value", b"GET / HTTP/1.1"),
        ("-#3", "value", b"\x00\xff"),
        ("l", "value", b"\xe9"),
        ("u", "value", b"\xc3\xa9"),
        ("w", "value", "é€".encode()),
    ]
    assert (found[2].time, found[3].host) == ("2023-11-14T22:13:20Z", "a.example.com")


def test_common_names_are_tried_in_order_and_requests_are_known() -> None:
    whole = "GET /a HTTP/1.1\r\nHost: a.example.com\r\n\r\n"
    found, _ = read_bytes(lines({"message": "m", "request": whole}, {"message": "m", "host": "h"}))
    assert [(p.kind, p.host, p.data) for p in found] == [
        ("http", "a.example.com", whole.encode()),
        ("value", "h", b"m"),
    ]


def test_urls_become_requests() -> None:
    found, _ = read_bytes(
        lines({"url": "https://a.example.com/x?y=1"}, {"url": "/p?q"}, {"url": "id=1"})
    )
    assert [p.data for p in found] == [
        b"GET /x?y=1 HTTP/1.1\r\nHost: a.example.com\r\n\r\n",
        b"GET /p?q HTTP/1.1\r\n\r\n",
        b"id=1",
    ]
    assert [p.host for p in found] == ["a.example.com", None, None]


def test_a_named_column_wins() -> None:
    found, _ = read_bytes(lines({"payload": "p", "sql": "s"}), column="sql")
    assert [p.data for p in found] == [b"s"]
    numbers, _ = read_bytes(lines({"n": 7}, {"n": 1.5}), column="n")
    assert [p.data for p in numbers] == [b"7", b"1.5"]


def test_an_absent_column_is_an_error_that_lists_the_columns() -> None:
    with pytest.raises(SourceError, match=r"no column 'reqest'; columns: request, when") as caught:
        read_bytes(lines({"request": "x", "when": 1}), column="reqest")
    assert caught.value.hint == "did you mean request?"
    with pytest.raises(SourceError, match=r"columns: a, b"):
        read_bytes(lines({"b": 1, "a": 2}))


def test_a_file_without_the_column_in_a_directory_is_one_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines({"b": 1}, {"b": 2}))
    (tmp_path / "b.jsonl").write_bytes(lines({"payload": "x"}))
    found, rejected = read(tmp_path)
    assert (len(found), len(rejected)) == (1, 1)
    assert rejected[0].reason.endswith("columns: b")


def test_rows_that_do_not_fit_are_rejected_one_by_one() -> None:
    bad: list[object] = [
        {"payload": None, "other": 1},
        {"payload": ["x"]},
        {"payload": True},
        {"payload": "x", "kind": "packet"},
        {"payload_b64": "###"},
        {"other": 1},
        17,
    ]
    found, rejected = read_bytes(lines({"payload": "ok"}, *bad, "bare string"))
    assert [p.data for p in found] == [b"ok", b"bare string"]
    assert [r.where.line for r in rejected] == [2, 3, 4, 5, 6, 7, 8]
    assert [r.reason.split(":")[0][:30] for r in rejected] == [
        "payload is NoneType, not text",
        "payload is list, not text",
        "payload is bool, not text",
        "kind must be http or value, no",
        "payload_b64 is not base64",
        "no column that is known to hol",
        "neither a JSON object nor a st",
    ]


def test_long_records_name_the_limit() -> None:
    found, rejected = read_bytes(
        lines({"payload": "x" * 50}, {"payload": "y"}), limits=Limits(record_bytes=20)
    )
    assert [p.data for p in found] == [b"y"]
    assert rejected[0].reason == "record longer than limits.record_bytes = 20"
