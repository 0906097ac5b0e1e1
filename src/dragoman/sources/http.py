"""Raw HTTP requests, one or many in a file, kept as received (RFC 9112; HTTP/0.9 lines too).

A request ends where its Content-Length or chunked body ends, if a request line, or nothing, follows
there; otherwise (no length, or a wrong one) at the next line that is a request line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..opening.stream import BOM, RAW, STEP, Stream
from ..records import Payload, Rejected, Where
from .build import host_text

_TAIL = 1 << 16  # bytes kept beyond a request to see whether a request line follows
_CHUNKS = 1000  # chunks followed in one chunked body; after them the next request line is sought
_VERSION = rb"[ \t]HTTP/\d(?:\.\d{1,3})?[ \t]*\r?$"
_BARE = rb"(?:GET|POST|HEAD|PUT|DELETE|PATCH|OPTIONS|TRACE) (?:/|https?://)\S*[ \t]*\r?$"
_FULL = rb"[A-Z][A-Z0-9_-]{0,31} [^\r\n]*" + _VERSION
_METHOD = rb"(?:[A-Z][A-Z0-9_-]{0,31}|(?i:get|post|head|put|delete|patch|options))"
_START = re.compile(rb"(?m)(?:" + _METHOD + rb"[ \t]+[^\r\n]*" + _VERSION + rb"|" + _BARE + rb")")
_HEAD_END = re.compile(rb"(?m)(\r?\n\r?\n)|^(?:" + _FULL + rb"|" + _BARE + rb")")
_NEXT = re.compile(rb"(?m)^(?:" + _FULL + rb"|(?:(?<=\n\n)|(?<=\n\r\n))" + _BARE + rb")")
_LENGTH = re.compile(rb"(?im)^content-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?$")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding[ \t]*:[^\r\n]*chunked")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n]*)?\r?\n")
_TRAILER_END = re.compile(rb"(?:[^\s:]+:[^\r\n]*\r?\n)*+\r?\n")
_HOST = re.compile(rb"(?im)^host[ \t]*:[ \t]*([^\r\n]*)")
_BLANK = re.compile(rb"[\r\n]*")


def looks_like_request(data: bytes) -> bool:
    """Whether ``data`` begins with a request line: ``GET /x HTTP/1.1``, or ``GET /x`` alone."""
    return _START.match(data[:_TAIL] if len(data) > _TAIL else data) is not None


def host_of(data: bytes) -> str | None:
    """The host that a request names in its Host header, without the port."""
    found = _HOST.search(data, 0, _TAIL)
    return host_text(found.group(1)) if found else None


def read(stream: Stream, column: str | None = None) -> Iterator[Payload | Rejected]:
    """Every request of a stream; bytes that belong to none are ``Rejected``."""
    limit, window, number = stream.limits.record_bytes, _Window(stream), 0
    while window.fill():
        data, pos = window.data, window.pos
        where = Where(stream.name, byte=window.base + pos)
        if not _START.match(data, pos):
            yield Rejected(where, "no request line", data[pos : pos + RAW])
            window.skip()
            continue
        end, after = _extent(data, pos)
        if end - pos > limit:
            reason = f"request longer than limits.record_bytes = {limit}"
            yield Rejected(where, reason, data[pos : pos + RAW])
            window.skip()
            continue
        number += 1
        received = data[pos:end]
        yield Payload(f"{stream.name}#{number}", received, "http", where, host=host_of(received))
        window.pos = after


def _extent(data: bytes, pos: int) -> tuple[int, int]:
    """Where the request at ``pos`` ends, and where what follows it begins."""
    line_end = data.find(b"\n", pos)
    if line_end < 0:
        return len(data), len(data)
    found = _HEAD_END.search(data, line_end - (data[line_end - 1 : line_end] == b"\r"))
    if found is None:
        return len(data), len(data)
    if found.group(1) is None:  # the next request line, without a blank line before it
        return found.start(), found.start()
    body = found.end()
    end = _framed_end(data, pos, body)
    if end is not None and _followed(data, end):
        return end, end
    following = _NEXT.search(data, body)
    if following is None:
        return len(data), len(data)
    after = following.start()
    end = after
    while end > body and data[end - 1] in b"\r\n":  # blank lines between requests
        end -= 1
    return end, after


def _framed_end(data: bytes, pos: int, body: int) -> int | None:
    """Where the body ends by its own account, or None where it gives none that can be."""
    if _CHUNKED.search(data, pos, body):
        for _ in range(_CHUNKS):
            size = _CHUNK.match(data, body)
            if size is None:
                break
            length = int(size.group(1), 16)
            if length == 0:
                trailer = _TRAILER_END.match(data, size.end())
                return trailer.end() if trailer else size.end()
            body = size.end() + length
            body += 2 if data[body : body + 2] == b"\r\n" else 1
        return None
    found = _LENGTH.search(data, pos, body)
    return body + int(found.group(1)) if found else None


def _followed(data: bytes, end: int) -> bool:
    """Whether a request line, or nothing, follows at ``end``."""
    if end >= len(data):
        return end == len(data)
    blank = _BLANK.match(data, end)
    begin = blank.end() if blank else end
    return begin == len(data) or _START.match(data, begin) is not None


class _Window:
    """A part of the stream that always holds one whole permitted request from ``pos`` on."""

    def __init__(self, stream: Stream) -> None:
        self._chunks = stream.chunks()
        self._want = stream.limits.record_bytes + _TAIL
        self.data, self.pos, self.base = b"", 0, 0

    def fill(self) -> bool:
        """Move over blank lines and read on; False at the end of the stream."""
        while True:
            if self.base == self.pos == 0 and self.data.startswith(BOM):
                self.pos = len(BOM)
            blank = _BLANK.match(self.data, self.pos)
            self.pos = blank.end() if blank else self.pos
            if len(self.data) - self.pos >= self._want:
                return True
            if not self._read():
                return self.pos < len(self.data)

    def _read(self) -> bool:
        rest = self.data[self.pos :]
        parts, size = [rest], len(rest)
        while size < self._want + 4 * STEP and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
            size += len(chunk)
        grown = size > len(rest)
        if grown:
            self.base += self.pos
            self.data, self.pos = b"".join(parts), 0
        return grown

    def skip(self) -> None:
        """Move to the next request line after ``pos``, or to the end; keeps one partial line."""
        start = self.pos + 1
        while True:
            found = _NEXT.search(self.data, start)
            if found is not None:
                self.pos = found.start()
                return
            tail = self.data.rfind(b"\n", max(self.pos, len(self.data) - _TAIL)) - 1
            self.pos = tail if tail >= self.pos else len(self.data) - 1
            if not self._read():
                self.pos = len(self.data)
                return
            start = self.pos + 1
