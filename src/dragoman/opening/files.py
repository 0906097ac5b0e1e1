"""Paths -> streams: files, directories, globs, standard input; gzip, tar and zip looked through."""

from __future__ import annotations

import glob
import io
import os
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

from ..config import Limits
from ..errors import LimitError, SourceError
from ..records import Rejected, Where
from .stream import STEP, Budget, Fault, Stream, gunzip
from .tar import BLOCK, is_tar, untar

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
GZIP = b"\x1f\x8b"
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_ENTRY_BYTES = 512  # of a zip's central directory allowed for each of limits.zip_members


def open_streams(
    paths: Paths, limits: Limits, stdin: BinaryIO | None = None
) -> Iterator[Stream | Rejected]:
    """Open every file that ``paths`` stand for, in the order given (directories and globs sorted).

    A stream must be read before the next one is asked for. What is found in a directory, glob or
    archive but cannot be opened becomes ``Rejected``.

    Raises:
        SourceError: at once, for a path that does not exist or a glob that matches nothing; later,
            for a named file that cannot be opened.
    """
    many = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if not many:
        raise SourceError("no input was named", hint="name a file, a directory, a glob or -")
    roots = [root for path in many for root in _roots(os.fspath(path))]
    return _open_roots(roots, limits, stdin)


def _roots(path: str) -> list[tuple[str, bool]]:
    """The existing paths that a user's path stands for, each with whether it was named itself."""
    if path == "-" or os.path.lexists(path):
        return [(path, True)]
    magic = glob.has_magic(path)
    found = sorted(glob.glob(path, recursive=True)) if magic else []  # noqa: PTH207 (any path)
    if not found:
        what = "matches no file" if magic else "no such file or directory"
        raise SourceError(what, where=_shown(path), hint="check the path; - reads standard input")
    return [(match, False) for match in found]


def _open_roots(
    roots: list[tuple[str, bool]], limits: Limits, stdin: BinaryIO | None
) -> Iterator[Stream | Rejected]:
    for root, named in roots:
        if root == "-":
            raw = stdin if stdin is not None else sys.stdin.buffer
            yield from _open(Stream("-", _chunks(raw), limits, named=True), None)
        elif Path(root).is_dir():
            for found in _walk(Path(root)):
                if isinstance(found, Rejected):
                    yield found
                else:
                    yield from _open_path(found, limits, named=False)
        else:
            yield from _open_path(Path(root), limits, named=named)


def _walk(root: Path) -> Iterator[Path | Rejected]:
    """All that lies below ``root`` in sorted order; links to directories are not followed."""
    waiting = [root]
    while waiting:
        path = waiting.pop()
        if path != root and (path.is_symlink() or not path.is_dir()):
            yield path
            continue
        try:
            waiting.extend(sorted(path.iterdir(), reverse=True))
        except OSError as err:
            yield Rejected(Where(_shown(path)), f"cannot be read: {err.strerror or err}")


def _open_path(path: Path, limits: Limits, *, named: bool) -> Iterator[Stream | Rejected]:
    name = _shown(path)
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
        if not regular and not named:
            yield Rejected(Where(name), "not a regular file")
            return
        file = path.open("rb")
    except OSError as err:
        reason = f"cannot be read: {err.strerror or err}"
        if named:
            raise SourceError(reason, where=name) from err
        yield Rejected(Where(name), reason)
        return
    with file:
        plain = path if regular else None
        stream = Stream(name, _chunks(file), limits, path=plain, named=named)
        yield from _open(stream, file if regular else None)


def _open(stream: Stream, file: IO[bytes] | None) -> Iterator[Stream | Rejected]:
    """Look through gzip, tar and zip. ``file`` is what the stream reads, if it can be sought."""
    magic = stream.peek(4)
    if magic.startswith(ZIP):
        yield from _unzip(stream, file)
    elif magic.startswith(GZIP):
        budget = Budget(stream.limits)
        inner = _gunzipped(stream, budget, named=stream.named, outer=True)
        yield from _members(inner, budget) if is_tar(inner.peek(BLOCK)) else [_plain(inner)]
    elif is_tar(stream.peek(BLOCK)):
        yield from _members(stream, Budget(stream.limits))
    elif stream.name.endswith(".gz") and magic:
        yield Rejected(Where(stream.name), "named .gz, but holds no gzip data", magic)
    else:
        yield stream


def _gunzipped(stream: Stream, budget: Budget, *, named: bool, outer: bool) -> Stream:
    chunks = gunzip(_or_fault(stream), budget, count_packed=outer)
    return Stream(stream.name, chunks, stream.limits, named=named)


def _or_fault(stream: Stream) -> Iterator[bytes]:
    """The chunks of a stream; its fault is raised again, for the stream around it."""
    yield from stream.chunks()
    if stream.fault:
        raise Fault(stream.fault.reason)


def _members(stream: Stream, budget: Budget) -> Iterator[Stream | Rejected]:
    """The files of a tar archive; one that is gzip is looked through."""
    for member in untar(stream):
        if isinstance(member, Rejected):
            yield member
        elif member.peek(2) == GZIP:
            yield _plain(_gunzipped(member, budget, named=False, outer=True))
        else:
            yield _plain(member)


def _plain(stream: Stream) -> Stream | Rejected:
    """The stream, unless it is an archive again."""
    if stream.peek(4).startswith((GZIP, *ZIP)):
        return Rejected(Where(stream.name), "an archive inside an archive; unpack it first")
    return stream


def _unzip(stream: Stream, file: IO[bytes] | None) -> Iterator[Stream | Rejected]:
    name, limits = stream.name, stream.limits
    try:
        file = file or io.BytesIO(stream.read_all())
        size = file.seek(0, io.SEEK_END)
        guarded = _Guarded(file, limits.zip_members * _ENTRY_BYTES)
        archive = zipfile.ZipFile(cast("IO[bytes]", guarded))
    except LimitError as err:
        yield Rejected(Where(name), err.what)
        return
    except Exception as err:  # zipfile raises many kinds on hostile bytes
        yield Rejected(Where(name), f"broken zip: {err}")
        return
    members = [info for info in archive.infolist() if not info.is_dir()]
    if len(members) > limits.zip_members:
        count = f"{len(members)} members, more than limits.zip_members = {limits.zip_members}"
        yield Rejected(Where(name), count)
        return
    budget = Budget(limits, packed=size)
    for info in members:
        inner = f"{name}!{_shown(info.filename)}"
        if reason := _unreadable(info):
            yield Rejected(Where(inner), reason)
            continue
        member = Stream(inner, _member(archive, info, budget), limits)
        if member.peek(2) == GZIP:
            member = _gunzipped(member, budget, named=False, outer=False)
        yield _plain(member)
        if budget.over:
            return


def _unreadable(info: zipfile.ZipInfo) -> str | None:
    if info.flag_bits & 0x1:
        return "encrypted zip member"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"zip compression method {info.compress_type}; stored and deflate are read"
    return None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> Iterator[bytes]:
    try:
        with archive.open(info) as member:
            while chunk := member.read(STEP):
                budget.spend(len(chunk))
                yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as err:
        raise Fault(f"broken zip member: {err}") from err


class _Guarded:
    """A seekable file for ``ZipFile`` that refuses to hold a huge central directory in memory."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._most = file, max(most, STEP)
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > self._most:
            raise LimitError("its directory holds more members than limits.zip_members allows")
        return self._file.read(size)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    read = getattr(file, "read1", file.read)  # what a pipe has, rather than wait for more
    while chunk := read(STEP):
        yield chunk


def _shown(path: str | Path) -> str:
    """A path as text that can always be printed and encoded."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")
