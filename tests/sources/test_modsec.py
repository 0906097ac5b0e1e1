from __future__ import annotations

import json

from reading import read_bytes

V3 = {
    "transaction": {
        "client_ip": "203.0.113.9",
        "time_stamp": "Thu Mar  2 22:37:43 2023",
        "server_id": "5c1f",
        "unique_id": "167779666343.094724",
        "request": {
            "method": "POST",
            "http_version": 1.1,
            "uri": "/search?q=a b",
            "body": "id=1' or 1=1",
            "headers": {"Host": "shop.example.com", "Content-Length": "12"},
        },
        "response": {"http_code": 403},
        "messages": [],
    }
}
V2 = {
    "transaction": {
        "time": "02/Mar/2023:22:37:43.094724 +0000",
        "transaction_id": "ZAElN3Bg",
        "remote_address": "203.0.113.9",
    },
    "request": {
        "request_line": "GET /?f=/etc/x HTTP/1.1",
        "headers": {"Host": "a.example.com:7087", "Accept": "*/*"},
        "body": ["part one, ", "part two"],
    },
    "audit_data": {"messages": []},
}


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_version_3() -> None:
    found, rejected = read_bytes(lines(V3, V3))
    assert rejected == []
    assert found[0].data == (
        b"POST /search?q=a b HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 12\r\n\r\n"
        b"id=1' or 1=1"
    )
    assert (found[0].id, found[0].time) == ("167779666343.094724", "2023-03-02T22:37:43Z")
    assert (found[1].host, str(found[1].where)) == ("shop.example.com", "-:2")


def test_version_2() -> None:
    found, rejected = read_bytes(lines(V2))
    assert rejected == []
    assert found[0].data == (
        b"GET /?f=/etc/x HTTP/1.1\r\nHost: a.example.com:7087\r\nAccept: */*\r\n\r\n"
        b"part one, part two"
    )
    assert (found[0].id, found[0].time, found[0].host) == (
        *("ZAElN3Bg", "2023-03-02T22:37:43.094724Z", "a.example.com"),
    )


def test_a_document_over_lines_and_lists_of_header_values() -> None:
    coraza = {
        "transaction": {
            "id": "tx1",
            "request": {"protocol": "HTTP/1.0", "uri": "/", "headers": {"x": ["1", "2"]}},
        }
    }
    found, _ = read_bytes(json.dumps(coraza, indent=1).encode())
    assert found[0].data == b"GET / HTTP/1.0\r\nx: 1\r\nx: 2\r\n\r\n"
    assert (found[0].id, found[0].where.byte) == ("tx1", 0)


def test_a_header_sent_twice_is_kept_twice() -> None:
    data = lines(V3).replace(b'"Host": ', b'"Host": "first.test", "Host": ')
    found, _ = read_bytes(data)
    assert b"\r\nHost: first.test\r\nHost: shop.example.com\r\n" in found[0].data


def test_entries_without_a_request_are_rejected() -> None:
    bare = {"transaction": {"unique_id": "1"}}
    odd = {"transaction": {"request": [1]}, "request": {"uri": "/"}}
    found, rejected = read_bytes(lines(V3, bare, odd, [], {"transaction": 7}) + b"{\n")
    assert len(found) == 1
    assert [r.where.line for r in rejected] == [2, 3, 4, 5, 6]
    assert "audit part B" in rejected[0].reason
