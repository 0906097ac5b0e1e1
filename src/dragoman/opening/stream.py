"""A named stream of bytes: chunks, lines or a whole document, each bounded, each read once.

Damage (a truncated gzip file, a broken zip member, a bomb) ends the stream early: what came before
it is kept, and ``Stream.fault`` holds the one :class:`Rejected` that stands for the rest.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..config import Limits
from ..errors import LimitError
from ..records import Rejected, Where

STEP = 1 << 18  # bytes read, or unpacked, at a time
RAW = 200  # bytes of a rejected record that are kept
BOM = b"\xef\xbb\xbf"
_RATIO_FROM = 1 << 20  # the unpack ratio counts once this much has been unpacked


class Fault(Exception):  # noqa: N818 (an end of data, not a bug)
    """The bytes end here for the given reason. Raised by chunk iterators, caught by ``Stream``."""


class Line(NamedTuple):
    """One line without its LF; ``cut``: longer than ``limits.line_bytes``, ``data`` its start."""

    number: int
    byte: int
    data: bytes
    cut: bool


class Stream:
    """Bytes with a name.

    ``path`` is the regular file the bytes are read from unchanged, if there is one. ``named``: the
    user named this very input, rather than a directory, glob or archive it was found in.
    """

    def __init__(
        self,
        name: str,
        chunks: Iterable[bytes],
        limits: Limits,
        *,
        path: Path | None = None,
        named: bool = False,
    ) -> None:
        self.name, self.limits, self.path, self.named = name, limits, path, named
        self.fault: Rejected | None = None
        self._chunks = iter(chunks)
        self._head = b""

    def _pull(self) -> bytes:
        try:
            return next(self._chunks, b"")
        except (Fault, OSError) as err:
            self._chunks = iter(())
            self.fault = Rejected(Where(self.name), str(err))
            return b""

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes (fewer at the end), not consumed."""
        parts, have = [self._head], len(self._head)
        while have < size and (chunk := self._pull()):
            parts.append(chunk)
            have += len(chunk)
        self._head = b"".join(parts)
        return self._head[:size]

    def chunks(self) -> Iterator[bytes]:
        """The rest of the bytes, in non-empty pieces."""
        head, self._head = self._head, b""
        if head:
            yield head
        while chunk := self._pull():
            yield chunk

    def read_all(self) -> bytes:
        """The rest of the bytes at once.

        Raises:
            LimitError: there are more than ``limits.document_bytes``.
        """
        parts, size, limit = [], 0, self.limits.document_bytes
        for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                raise LimitError(
                    f"longer than limits.document_bytes = {limit}",
                    where=self.name,
                    hint="raise limits.document_bytes in the settings",
                )
            parts.append(chunk)
        return b"".join(parts)

    def lines(self) -> Iterator[Line]:
        """Lines, split at LF. One longer than ``limits.line_bytes`` is skipped over, not held."""
        limit = self.limits.line_bytes
        number, byte = 1, 0  # of the line being read
        parts: list[bytes] = []  # its pieces from earlier chunks; once too long, only its start
        size = 0  # bytes of it seen in earlier chunks
        for chunk in self.chunks():
            pieces = (chunk if byte or size else chunk.removeprefix(BOM)).split(b"\n")
            tail = pieces.pop()
            for piece in pieces:
                length = size + len(piece)
                data = b"".join((*parts, piece)) if parts else piece
                cut = length > limit
                yield Line(number, byte, data[:RAW] if cut else data, cut)
                number, byte, size = number + 1, byte + length + 1, 0
                parts.clear()
            size += len(tail)
            if size <= limit:
                parts.append(tail)
            else:
                parts = [b"".join((*parts, tail[:RAW]))[:RAW]]
        if self.fault and size:
            self.fault = Rejected(self.fault.where, self.fault.reason, b"".join(parts)[:RAW])
        elif size:
            yield Line(number, byte, b"".join(parts), size > limit)


def too_long(stream: Stream, line: Line) -> Rejected:
    """The rejection of a cut line."""
    reason = f"line longer than limits.line_bytes = {stream.limits.line_bytes}"
    return Rejected(Where(stream.name, line=line.number), reason, line.data[:RAW])


class Budget:
    """What one archive may unpack to: ``limits.unpacked_bytes`` and ``limits.unpack_ratio``."""

    def __init__(self, limits: Limits, packed: int = 0) -> None:
        self.limits, self.packed, self.unpacked, self.over = limits, packed, 0, False

    def spend(self, size: int) -> None:
        """Count ``size`` unpacked bytes; raises ``Fault`` once a limit is passed."""
        self.unpacked += size
        most, ratio = self.limits.unpacked_bytes, self.limits.unpack_ratio
        if self.unpacked > most:
            self.over = True
            raise Fault(f"unpacks to more than limits.unpacked_bytes = {most}; the rest is unread")
        if self.unpacked > _RATIO_FROM and self.unpacked > self.packed * ratio:
            self.over = True
            raise Fault(f"unpacks by more than limits.unpack_ratio = {ratio}; the rest is unread")


def gunzip(chunks: Iterable[bytes], budget: Budget, *, count_packed: bool) -> Iterator[bytes]:
    """Unpack gzip data (RFC 1952, any number of members); raises ``Fault`` where it is damaged.

    ``count_packed`` adds the packed bytes to the budget as they are read.
    """
    inflater, started, unpacked_any = zlib.decompressobj(31), False, False
    for chunk in chunks:
        if count_packed:
            budget.packed += len(chunk)
        rest, out = chunk, b""
        while rest or len(out) == STEP:
            if inflater.eof:
                rest = rest.lstrip(b"\0") if unpacked_any else rest  # padding between members
                if not rest:
                    break
                inflater, started = zlib.decompressobj(31), False
            started = started or bool(rest)
            try:
                out = inflater.decompress(rest, STEP)
            except zlib.error as err:
                raise Fault(f"broken gzip data: {err}") from err
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            unpacked_any = True
            budget.spend(len(out))
            if out:
                yield out
    if started and not inflater.eof:
        raise Fault("truncated gzip data: it ends before its last member does")
