"""Tar archives (POSIX ustar and pax, GNU long names) as streams, read in one pass."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator

from ..records import Rejected, Where
from .stream import STEP, Fault, Stream

BLOCK = 512
_MAGIC = slice(257, 262)
_HEADER_BYTES = 1 << 16  # of a long name or a pax header
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE)
_SILENT = (tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE)


def is_tar(head: bytes) -> bool:
    """Whether the first ``BLOCK`` bytes begin a tar archive."""
    return len(head) == BLOCK and head[_MAGIC] == b"ustar"


def untar(stream: Stream) -> Iterator[Stream | Rejected]:
    """The files of an archive, each to be read before the next one is asked for.

    Links and directories are passed over; special and sparse files become ``Rejected``, as does
    what follows damage or ``limits.zip_members``.
    """
    data, limits = _Bytes(stream), stream.limits
    count, name, size = 0, "", None
    while (block := data.take(BLOCK)) and block.strip(b"\0"):
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "backslashreplace")
        except tarfile.HeaderError as err:
            yield Rejected(Where(stream.name), f"broken tar archive: {err}; the rest is unread")
            return
        if member.type in _LONG:
            name, size = _long(member, data, name, size)
            continue
        count += 1
        if count > limits.zip_members:
            reason = f"more members than limits.zip_members = {limits.zip_members}"
            yield Rejected(Where(stream.name), f"{reason}; the rest is unread")
            return
        inner = f"{stream.name}!{_shown(name or member.name)}"
        length = member.size if size is None else size
        name, size = "", None
        if member.type in _FILES:
            data.left = length
            yield Stream(inner, data.member(), limits)
        elif member.type not in _SILENT:
            yield Rejected(Where(inner), "a special or sparse file of a tar archive")
            data.left = length
        data.skip((-length) % BLOCK if member.type not in _SILENT else 0)
    if data.told:
        return
    if stream.fault is not None:
        yield stream.fault
    elif not block:
        yield Rejected(Where(stream.name), "truncated tar archive: it ends before its end mark")


def _long(
    member: tarfile.TarInfo, data: _Bytes, name: str, size: int | None
) -> tuple[str, int | None]:
    """Name and size of the next member as a header before it tells; a huge one is passed over."""
    data.left = member.size
    text = data.take_left(_HEADER_BYTES)
    data.skip((-member.size) % BLOCK)
    if member.type == tarfile.GNUTYPE_LONGNAME:
        return text.rstrip(b"\0").decode("utf-8", "backslashreplace"), size
    if member.type == tarfile.XHDTYPE:
        for line in text.split(b"\n"):
            key, _, value = line.partition(b" ")[2].partition(b"=")
            if key == b"path":
                name = value.decode("utf-8", "backslashreplace")
            elif key == b"size" and value.isdigit() and len(value) < 19:
                size = int(value)
    return name, size


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


class _Bytes:
    """Takes what it is asked for from the chunks of a stream.

    ``left``: bytes of this member. ``told``: whoever read a member knows that the archive is cut.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream, self._chunks = stream, stream.chunks()
        self._held, self._at = b"", 0  # a chunk, and how much of it was taken
        self.left = 0
        self.told = False

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes (a small number), or nothing at the end of the stream."""
        self.skip(0)
        out = self._some(size)
        while len(out) < size and (more := self._some(size - len(out))):
            out += more
        return out if len(out) == size else b""

    def _some(self, most: int) -> bytes:
        """At least one byte, unless the stream has ended, and at most so many."""
        if self._at == len(self._held):
            self._held, self._at = next(self._chunks, b""), 0
        piece = self._held[self._at : self._at + most]
        self._at += len(piece)
        return piece

    def member(self) -> Iterator[bytes]:
        """The bytes of the member, in pieces."""
        while self.left:
            piece = self._some(min(self.left, STEP))
            if not piece:
                fault, self.told = self._stream.fault, True
                raise Fault(fault.reason if fault else "truncated tar archive")
            self.left -= len(piece)
            yield piece

    def take_left(self, most: int) -> bytes:
        """The member's bytes, at most so many; the others are passed over."""
        out = b""
        for piece in self._pieces():
            if len(out) < most:
                out += piece[: most - len(out)]
        return out

    def skip(self, padding: int) -> None:
        """Pass over what is left of the member, and its padding."""
        self.left += padding
        for _ in self._pieces():
            pass

    def _pieces(self) -> Iterator[bytes]:
        """The member's bytes as far as there are any."""
        told = self.told
        try:
            yield from self.member()
        except Fault:
            self.left, self.told = 0, told
