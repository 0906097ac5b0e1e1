from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.records import Payload
from dragoman.sources.http import looks_like_request, read
from reading import read_bytes, stream_of

GET = b"GET /shop?id=7 HTTP/1.1\r\nHost: shop.example.com:8080\r\nAccept: */*\r\n\r\n"
BODY = b"user=a&note=GET%20/x\r\nGET /inside HTTP/1.1\r\n\r\nend"
POST = b"POST /form HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
CHUNKED = (
    b"POST /up HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    b"5;x=y\r\nhello\r\n16\r\nGET /not HTTP/1.1\r\n\r\na\r\n0\r\nTrailer: v\r\n\r\n"
)
ALL = [GET, POST, CHUNKED, GET]


def data_of(data: bytes, **options: object) -> list[bytes]:
    found, rejected = read_bytes(data, format="http", **options)
    assert rejected == []
    return [p.data for p in found]


@pytest.mark.parametrize("one", ALL)
def test_one_request_is_kept_as_received(one: bytes) -> None:
    assert data_of(one) == [one]


@pytest.mark.parametrize("between", [b"", b"\n", b"\r\n", b"\r\n\r\n\n"])
def test_requests_after_each_other_are_told_apart(between: bytes) -> None:
    assert data_of(between.join(ALL)) == ALL


def test_ids_places_and_hosts() -> None:
    found, _ = read_bytes(GET + b"\n" + POST)
    assert [(p.id, p.where.byte, p.host, p.kind) for p in found] == [
        ("-#1", 0, "shop.example.com", "http"),
        ("-#2", len(GET) + 1, None, "http"),
    ]


def test_bare_lf_and_bodies_without_length() -> None:
    first = b"POST /a HTTP/1.1\nHost: example.com\n\na=1\nb=2"
    second = b"PUT /b HTTP/1.0\n\n<x>\n\n</x>"
    assert data_of(first + b"\n\n" + second + b"\n" + first) == [first, second, first]


def test_request_lines_without_version_or_blank_lines() -> None:
    assert data_of(b"GET /a\nGET /b?x=1\n\nPOST /c\r\n\r\nHEAD /d") == [
        *(b"GET /a\n", b"GET /b?x=1\n\n", b"POST /c\r\n\r\n", b"HEAD /d")
    ]
    assert data_of(b"GET /a HTTP/1.1\nHost: a.test\nGET /b HTTP/1.1\nHost: b.test\n") == [
        b"GET /a HTTP/1.1\nHost: a.test\n",
        b"GET /b HTTP/1.1\nHost: b.test\n",
    ]


@pytest.mark.parametrize("length", [b"0", b"3", b"9999", b"999999999999999999"])
def test_a_wrong_length_hides_nothing(length: bytes) -> None:
    wrong = b"POST /a HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\nid=1;drop"
    assert data_of(wrong + b"\r\n" + GET + GET) == [wrong, GET, GET]


def test_broken_chunks_end_at_the_next_request_line() -> None:
    broken = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nbody"
    assert data_of(broken + b"\r\n\r\n" + GET) == [broken, GET]


def test_odd_targets_are_requests() -> None:
    for line in (b"GET ../../etc/passwd HTTP/1.1", b"get /a b c HTTP/1.0", b"X-M * HTTP/2"):
        assert looks_like_request(line + b"\r\n\r\n")
    for line in (b"GET", b"GET it done", b"HTTP/1.1 200 OK", b"see GET / HTTP/1.1", b"select 1"):
        assert not looks_like_request(line)


def test_what_belongs_to_no_request_is_rejected_and_reading_goes_on() -> None:
    found, rejected = read_bytes(b"### my notes\nmore\n" + GET, format="http")
    assert [p.data for p in found] == [GET]
    assert [(r.reason, r.where.byte, r.raw[:9]) for r in rejected] == [
        ("no request line", 0, b"### my no")
    ]


def test_a_request_beyond_the_limit_is_rejected_and_the_next_is_read() -> None:
    long = b"POST /long HTTP/1.1\r\n\r\n" + b"A" * 300_000 + b"\r\n"
    found, rejected = read_bytes(long + GET, limits=Limits(record_bytes=1000))
    assert [p.data for p in found] == [GET]
    assert [r.reason for r in rejected] == ["request longer than limits.record_bytes = 1000"]
    assert rejected[0].raw.startswith(b"POST /long")
    assert found[0].where.byte == len(long)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([*ALL, b"GET /x\n\n", b"junk\n", b"A" * 90_000 + b"\n"]), max_size=12),
    st.integers(50, 5000),
)
def test_requests_do_not_depend_on_how_the_bytes_arrive(parts: list[bytes], step: int) -> None:
    data = b"".join(parts)
    limits = Limits(record_bytes=500)
    first = list(read(stream_of(data, limits, step)))
    assert first == list(read(stream_of(data, limits, len(data) + 1)))
    for record in first:
        if isinstance(record, Payload):
            assert record.where.byte is not None
            assert data[record.where.byte :].startswith(record.data)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_every_byte_received_is_in_a_request_or_accounted_for(tail: bytes) -> None:
    records = list(read(stream_of(GET + tail)))
    assert isinstance(records[0], Payload)
    assert len(records) >= 1


@pytest.mark.parametrize(
    "piece",
    [
        b"GET /a\n",
        b"GET / HTTP/1.1\n\n",
        b" HTTP/1.1 HTTP/1.1",
        b"POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n1\n",
        b"POST / HTTP/1.1\nContent-Length: 900000\n\n",
        b"\r\n",
        b"\nA ",
        b"5\r\nhello\r\n",
    ],
)
def test_hostile_repetition_takes_linear_time(piece: bytes) -> None:
    start = b"POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n"
    for data in (piece * (300_000 // len(piece)), start + piece * (300_000 // len(piece))):
        assert len(list(read(stream_of(data, step=65536)))) <= 50_000
