from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.errors import LimitError
from dragoman.opening.stream import Budget, Fault, Stream, gunzip
from reading import stream_of


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(1, 50))
def test_lines_are_the_same_however_the_bytes_arrive(data: bytes, step: int) -> None:
    data = data.removeprefix(b"\xef\xbb\xbf")
    lines = list(stream_of(data, step=step).lines())
    want = data.split(b"\n")
    if want[-1] == b"":
        want.pop()
    assert [line.data for line in lines] == want
    assert [line.number for line in lines] == list(range(1, len(want) + 1))
    assert all(data[line.byte :].startswith(line.data) for line in lines)


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(1, 40), st.integers(1, 20))
def test_only_lines_beyond_the_limit_are_cut(data: bytes, step: int, limit: int) -> None:
    data = b"x" + data
    lines = list(stream_of(data, Limits(line_bytes=limit), step).lines())
    want = data.removesuffix(b"\n").split(b"\n")
    assert [line.cut for line in lines] == [len(line) > limit for line in want]
    assert all(w.startswith(line.data) for w, line in zip(want, lines, strict=True))


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert [line.data for line in Stream("s", [b"\xef\xbb\xbfa\n", b"b"], Limits()).lines()] == [
        b"a",
        b"b",
    ]


def test_peeking_consumes_nothing() -> None:
    stream = stream_of(b"one\ntwo\n")
    assert stream.peek(5) == b"one\nt"
    assert [line.data for line in stream.lines()] == [b"one", b"two"]


def test_a_hundred_megabyte_line_is_passed_over_in_little_memory() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"first\n"
        for _ in range(1600):
            yield b"A" * 65536
        yield b"\nlast\n"

    tracemalloc.start()
    lines = list(Stream("s", chunks(), Limits()).lines())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [line.cut for line in lines] == [False, True, False]
    assert lines[1].data == b"A" * 200
    assert lines[2] == (3, 6 + 1600 * 65536 + 1, b"last", False)
    assert peak < 12 << 20


def test_a_document_beyond_the_limit_names_the_limit() -> None:
    with pytest.raises(LimitError, match=r"limits\.document_bytes = 10"):
        stream_of(b"x" * 11, Limits(document_bytes=10)).read_all()
    assert stream_of(b"x" * 10, Limits(document_bytes=10)).read_all() == b"x" * 10


def test_a_fault_ends_the_stream_and_takes_the_cut_off_line_with_it() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"whole\nhal"
        raise Fault("the cable was pulled")

    stream = Stream("s", chunks(), Limits())
    assert [line.data for line in stream.lines()] == [b"whole"]
    assert stream.fault is not None
    assert (stream.fault.reason, stream.fault.raw) == ("the cable was pulled", b"hal")


def unpack(packed: bytes, limits: Limits = Limits(), step: int = 11) -> bytes:  # noqa: B008
    pieces = (packed[at : at + step] for at in range(0, len(packed), step))
    return b"".join(gunzip(pieces, Budget(limits), count_packed=True))


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4), st.integers(1, 60))
def test_gzip_members_are_joined(parts: list[bytes], step: int) -> None:
    packed = b"".join(gzip.compress(part) for part in parts)
    assert unpack(packed, step=step) == b"".join(parts)
    assert unpack(packed + b"\0" * 20, step=step) == b"".join(parts)


def test_every_truncation_of_gzip_is_a_fault() -> None:
    packed = gzip.compress(b"hello " * 20)
    for cut in range(1, len(packed)):
        with pytest.raises(Fault, match="truncated"):
            unpack(packed[:cut])


def test_damaged_gzip_is_a_fault() -> None:
    packed = bytearray(gzip.compress(b"hello " * 20))
    packed[-6] ^= 1  # in the checksum
    with pytest.raises(Fault, match="broken gzip"):
        unpack(bytes(packed))
    with pytest.raises(Fault, match="broken gzip"):
        unpack(gzip.compress(b"x") + b"trailing words")


def test_a_gzip_bomb_stops_at_the_ratio_and_at_the_size() -> None:
    packed = gzip.compress(zlib.compress(b"") + b"\0" * (8 << 20))
    with pytest.raises(Fault, match=r"limits\.unpack_ratio = 50"):
        unpack(packed, Limits(unpack_ratio=50), 1 << 16)
    with pytest.raises(Fault, match=r"limits\.unpacked_bytes = 2000000"):
        unpack(packed, Limits(unpacked_bytes=2_000_000), 1 << 16)
    assert len(unpack(packed, Limits(unpack_ratio=2000), 1 << 16)) > 8 << 20
