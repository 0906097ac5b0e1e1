from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.sources.build import host_text, request, split_url, utc


@pytest.mark.parametrize(
    ("logged", "want"),
    [
        ("17/May/2015:10:05:03 +0200", "2015-05-17T08:05:03Z"),
        ("02/Mar/2023:22:37:43.094724 +0000", "2023-03-02T22:37:43.094724Z"),
        ("02/Mar/2023:22:37:43.094724 --0500", None),
        ("Thu Mar  2 22:37:43 2023", "2023-03-02T22:37:43Z"),
        ("2024-02-29T12:00:00.5+01:00", "2024-02-29T11:00:00.500000Z"),
        ("2024-02-29T12:00:00Z", "2024-02-29T12:00:00Z"),
        ("2024/02/29 12:00:00", "2024-02-29T12:00:00Z"),
        (1700000000, "2023-11-14T22:13:20Z"),
        ("1700000000.25", "2023-11-14T22:13:20.250000Z"),
        (1700000000123, "2023-11-14T22:13:20.123000Z"),
        (0.031, None),
        (True, None),
        ("31/Feb/2015:10:05:03 +0000", None),
        ("nan", None),
        ("infinity", None),
        (float("inf"), None),
        ([], None),
    ],
)
def test_times_of_the_known_kinds_are_utc(logged: object, want: str | None) -> None:
    assert utc(logged) == want


@settings(deadline=None)
@given(st.text(max_size=40) | st.floats() | st.integers() | st.datetimes())
def test_any_other_time_is_none(value: object) -> None:
    found = utc(value)
    assert found is None or datetime.fromisoformat(found)


def test_urls_split_into_host_and_target() -> None:
    assert split_url(b"https://a.example.com:8443/p?q=1") == (b"a.example.com:8443", b"/p?q=1")
    assert split_url(b"http://example.com?q=//x") == (b"example.com", b"/?q=//x")
    assert split_url(b"/p?u=http://example.com/") == (None, b"/p?u=http://example.com/")
    assert split_url(b"HTTP://example.com") == (b"example.com", b"/")


def test_hosts_are_shown_without_port() -> None:
    assert host_text(b" example.com:8080 ") == "example.com"
    assert host_text(b"[2001:db8::1]:80") == "[2001:db8::1]"
    assert host_text(b"\xff.test") == "\\xff.test"
    assert host_text(b"") is host_text(None) is host_text(b":80") is None


def test_a_part_cannot_move_the_borders_of_a_request() -> None:
    data = request(b"GET", b"/a\r\nX: 1", b"HTTP/1.1", [(b"Referer", b"r\ns")], b"b\r\nb")
    assert data == b"GET /a%0D%0AX: 1 HTTP/1.1\r\nReferer: r%0As\r\n\r\nb\r\nb"
