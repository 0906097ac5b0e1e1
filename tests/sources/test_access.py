from __future__ import annotations

import json

import pytest

from dragoman.sources.access import split_line
from reading import read_bytes

COMBINED = (
    b'203.0.113.9 - - [17/May/2015:10:05:03 +0200] "GET /item?id=1%27 HTTP/1.1" 200 203 '
    b'"http://example.com/list" "Mozilla/5.0 (X11)"\n'
)


def only(line: bytes) -> bytes:
    found, rejected = read_bytes(line, format="access")
    assert rejected == []
    return found[0].data


def test_a_combined_line_becomes_its_request() -> None:
    found, rejected = read_bytes(COMBINED)
    assert rejected == []
    assert found[0].data == (
        b"GET /item?id=1%27 HTTP/1.1\r\nReferer: http://example.com/list\r\n"
        b"User-Agent: Mozilla/5.0 (X11)\r\n\r\n"
    )
    assert (found[0].id, str(found[0].where), found[0].kind) == ("-#1", "-:1", "http")
    assert (found[0].time, found[0].host) == ("2015-05-17T08:05:03Z", None)


def test_common_lines_virtual_hosts_and_spaces_in_user_names() -> None:
    common = b'192.0.2.1 - ann [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 304 -\r\n'
    assert only(common) == b"GET / HTTP/1.0\r\n\r\n"
    found, _ = read_bytes(b"shop.example.com:443 " + common)
    assert found[0].data == b"GET / HTTP/1.0\r\nHost: shop.example.com:443\r\n\r\n"
    assert found[0].host == "shop.example.com"
    named = b'192.0.2.1 - Ann Other [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 304 -\n'
    assert read_bytes(named)[0][0].host is None


@pytest.mark.parametrize(
    ("logged", "target"),
    [
        (rb"/a\"b", b'/a"b'),
        (rb"/a\x22b\x5Cc", b'/a"b\\c'),
        (rb"/\\\"\xff\xC3\xA9", b'/\\"\xff\xc3\xa9'),
        (rb"/a\r\nX: y", b"/a%0D%0AX: y"),
        (rb"/a\qb", rb"/a\qb"),
        (b"/\xff\xfe raw", b"/\xff\xfe raw"),
        (b'/an" unescaped" quote', b'/an" unescaped" quote'),
    ],
)
def test_the_log_s_escapes_are_undone(logged: bytes, target: bytes) -> None:
    line = b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET %b HTTP/1.1" 404 9 "-" "%b"\n'
    assert only(line % (logged, b"agent")) == (
        b"GET " + target + b" HTTP/1.1\r\nUser-Agent: agent\r\n\r\n"
    )


def test_absolute_targets_name_the_host_and_versions_may_lack() -> None:
    line = b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET %b" 404 9 "-" "-"\n'
    assert only(line % b"http://a.test/x HTTP/1.1") == b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"
    assert only(line % b"/x") == b"GET /x HTTP/1.1\r\n\r\n"


def test_bytes_that_are_no_request_stay_a_value() -> None:
    line = rb'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "\x16\x03\x01\x02" 400 226 "-" "-"'
    found, _ = read_bytes(line)
    assert (found[0].kind, found[0].data) == ("value", b"\x16\x03\x01\x02")


def test_lines_that_are_none_or_log_no_request_are_rejected() -> None:
    empty = b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "-" 408 - "-" "-"\n'
    found, rejected = read_bytes(COMBINED + b"\nnot a log line\n" + empty + COMBINED)
    assert [p.where.line for p in found] == [1, 5]
    assert [(r.where.line, r.reason) for r in rejected] == [
        (3, "not an access log line (common or combined)"),
        (4, "the line logs no request"),
    ]


def test_json_lines_with_the_usual_names() -> None:
    nginx = {
        "time_iso8601": "2024-02-29T12:00:00+00:00",
        "remote_addr": "192.0.2.1",
        "request": "POST /a?x=1 HTTP/2.0",
        "http_host": "a.example.com",
        "status": 200,
        "http_referer": "-",
        "http_user_agent": "é\x00",
        "request_body": "u=1",
        "request_id": "r-17",
    }
    apache = {
        "remote_ip": "192.0.2.1",
        "method": "GET",
        "uri": "/b",
        "query_string": "?y=2",
        "protocol": "1.1",
    }
    data = "\n".join(json.dumps(row, ensure_ascii=False) for row in (nginx, apache))
    found, rejected = read_bytes(data.encode().replace(b"\x00", b"") + b"\n")
    assert rejected == []
    assert found[0].data == (
        b"POST /a?x=1 HTTP/2.0\r\nHost: a.example.com\r\nUser-Agent: \xc3\xa9\\u0000\r\n\r\nu=1"
    ).replace(b"\\u0000", b"\0")
    assert (found[0].id, found[0].time) == ("r-17", "2024-02-29T12:00:00Z")
    assert found[1].data == b"GET /b?y=2 HTTP/1.1\r\n\r\n"
    assert found[1].id == "-#2"


def test_json_bytes_that_are_not_utf8_are_kept() -> None:
    found, _ = read_bytes(b'{"remote_addr": "192.0.2.1", "request": "GET /\xff\xfe HTTP/1.1"}\n')
    assert found[0].data == b"GET /\xff\xfe HTTP/1.1\r\n\r\n"


def test_json_rows_without_a_request_are_rejected() -> None:
    rows = b'{"status": 200, "request": "GET / HTTP/1.1"}\n{"status": 408}\n[1]\n{"status":\n'
    found, rejected = read_bytes(rows)
    assert len(found) == 1
    assert [r.reason.split(":")[0] for r in rejected] == [
        *("the entry logs no request; its keys", "not an access log entry", "not JSON")
    ]


@pytest.mark.parametrize("piece", [b'\\"', b'"', b'" ', b"\\", b"\\\\", b'] "', b" [", b'" 20'])
def test_hostile_lines_take_linear_time(piece: bytes) -> None:
    head = b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET '
    split_line(head + piece * (1_000_000 // len(piece)))
    split_line(piece * (1_000_000 // len(piece)))
