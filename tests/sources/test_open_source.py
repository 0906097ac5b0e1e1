from __future__ import annotations

import gzip
import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.errors import SourceError, UsageError
from dragoman.records import Payload, Rejected
from dragoman.sources import READERS, open_source
from dragoman.sources.sniff import sniff
from reading import read_bytes, stream_of, zipped

SEEDS = [
    b"GET /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n",
    b'{"log": {"entries": [{"request": {"url": "https://example.com/", "headers": []}}]}}',
    b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /\\x22 HTTP/1.1" 200 1 "-" "a\\"b"\n',
    b'{"remote_addr": "192.0.2.1", "request": "GET / HTTP/1.1"}\n',
    b'{"transaction": {"request": {"uri": "/", "headers": {"a": 1}}}}\n',
    b'{"id": 1, "payload": "x", "kind": "value"}\n{"payload_b64": "eA=="}\n',
    b'[{"payload": "x"}, {"payload": "y"}]',
    b'id,payload\n1,"a\nb"\n',
    b"id\tpayload\n1\tx\n",
    b"PAR1\x15\x04\x15\x10PAR1",
    b"\xef\xbb\xbf' or 1=1\n",
]
FORMATS = [
    "http",
    "http",
    "har",
    "access",
    "access",
    "modsec",
    "jsonl",
    "jsonl",
    "csv",
    "tsv",
    "parquet",
    "lines",
]  # of SEEDS
ARCHIVES = [gzip.compress(b"".join(SEEDS)), zipped(dict(zip("abcde", SEEDS, strict=False)))]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Seeds of every format, joined, cut, repeated and overwritten, or plain noise."""
    data = b"".join(draw(st.lists(st.sampled_from(SEEDS) | st.binary(max_size=40), max_size=4)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        upto = draw(st.integers(at, len(data)))
        data = data[:at] + draw(st.binary(max_size=8)) + data[upto:]
    return data


def outcome(data: bytes, **options: Any) -> object:
    """All records, or the one error a whole input may raise: that it lacks the column."""
    try:
        return read_bytes(data, **options)
    except SourceError as err:
        return err.what if "column" in err.what else pytest.fail(str(err))


TIGHT = Limits(record_bytes=64, line_bytes=48, document_bytes=128, json_depth=3)


@settings(max_examples=150, deadline=None)
@given(damaged(), st.none() | st.sampled_from(sorted(READERS)), st.sampled_from([Limits(), TIGHT]))
def test_no_bytes_crash_a_reader(data: bytes, format: str | None, limits: Limits) -> None:
    first = outcome(data, format=format, limits=limits)
    assert first == outcome(data, format=format, limits=limits)


@settings(max_examples=60, deadline=None)
@given(damaged(), st.sampled_from(["payload", "x"]))
def test_no_bytes_crash_a_reader_with_a_column(data: bytes, column: str) -> None:
    assert outcome(data, column=column) == outcome(data, column=column)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=6), st.sampled_from(ARCHIVES))
def test_no_damage_to_an_archive_crashes(at: int, noise: bytes, archive: bytes) -> None:
    at %= len(archive)
    outcome(archive[:at] + noise + archive[at + len(noise) :])
    outcome(archive[:at])


@pytest.mark.parametrize(
    ("data", "format"),
    [
        *zip(
            SEEDS,
            ["http", "http", "har", "access", "access", "modsec", "jsonl", "jsonl", "csv", "tsv"],
            strict=False,
        ),
        (b"PAR1xxxx", "parquet"),
        (b"GET /a\nGET /b\n", "http"),
        (b"' or 1=1\n<script>\n", "lines"),
        (b"{{7*7}}\n${7*7}\n", "lines"),
        (b"[[7*7]]\n", "lines"),
        (b"payload\nx\n", "lines"),
        (b'{"payload": "' + b"x" * 80_000 + b'"}\n', "jsonl"),
        (b'{"broken\n{"payload": "x"}\n', "jsonl"),
        (b'{"payload": "x", "request": "y", "status": 1}\n', "jsonl"),
        (b"\x7fELF\x02\x01\x01\0\0", None),
        (b"\x01\x02\x03\x04abc", None),
        (b"", None),
        (b"\n \n", None),
    ],
)
def test_sniffing(data: bytes, format: str | None) -> None:
    assert sniff(stream_of(data, step=1000)) == format


def test_a_named_column_makes_a_table_of_json_and_csv() -> None:
    assert sniff(stream_of(b'{"status": 1, "request": "x"}\n'), "request") == "jsonl"
    assert sniff(stream_of(b"a;sql\n1;2\n"), "sql") == "csv"
    assert sniff(stream_of(b"sql\n1\n"), "sql") == "csv"


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean parquet"):
        open_source("-", format="parket")
    with pytest.raises(UsageError, match="the format har has no columns"):
        open_source("-", format="har", column="x")


def test_strict_stops_at_the_first_rejected() -> None:
    source = open_source("-", strict=True, stdin=io.BytesIO(b'{"payload": "x"}\n{\n'))
    assert isinstance(next(source), Payload)
    with pytest.raises(SourceError, match="-:2: not JSON"):
        next(source)


def test_what_was_seen_can_be_told(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\0\1\2")
    (tmp_path / "b.txt").write_bytes(b"value\n")
    (tmp_path / "c.txt").write_bytes(b"")
    source = open_source(tmp_path)
    assert source.summary() == "no file was found"
    list(source)
    assert source.summary().splitlines() == [
        f"{tmp_path}/a.bin: of no known format, begins with b'\\x00\\x01\\x02'",
        f"{tmp_path}/b.txt: read as lines, begins with b'value\\n'",
        f"{tmp_path}/c.txt: of no known format, empty",
    ]


class _Endless(io.RawIOBase):
    """A readable that makes its bytes on the fly."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, size: int = -1) -> bytes:
        return next(self._pieces, b"")


def test_memory_does_not_grow_with_the_input() -> None:
    lines = (SEEDS[3] * 800 for _ in range(400))
    tracemalloc.start()
    source = open_source("-", stdin=_Endless(lines))  # type: ignore[arg-type]
    first = next(source)
    for _ in range(3_000):
        record = next(source)
    early = tracemalloc.get_traced_memory()[1]
    for _ in range(9_000):
        record = next(source)
    late = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(first, Payload)
    assert isinstance(record, Payload)
    assert late < early + (1 << 18)


@pytest.mark.parametrize("format", ["http", "access", "modsec", "jsonl", "csv", "tsv", "lines"])
def test_a_hundred_megabyte_line_is_rejected_in_bounded_memory(format: str) -> None:
    head = b"payload\n" if format in ("csv", "tsv") else b""
    pieces = iter([head + b'{"a": "', *([b"A" * (1 << 18)] * 400), b"\n"])
    tracemalloc.start()
    source = open_source("-", format=format, stdin=_Endless(pieces))  # type: ignore[arg-type]
    records = list(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(record) for record in records] == [Rejected]
    assert len(records[0].raw) <= 200  # type: ignore[union-attr]
    assert peak < 24 << 20
