"""Bytes -> records: open any input, guess its format, read payloads out of it.

    for record in open_source(["app.har", "logs/", "-"]):
        ...  # Payload or Rejected, in the order of the input

A directory may hold a mixture: each file is sniffed. Records are read one at a time, in memory that
does not grow with the input. What cannot be read becomes ``Rejected`` and the reading goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from ..config import Limits
from ..errors import SourceError, UsageError
from ..opening.files import Paths, open_streams
from ..opening.stream import RAW, Stream
from ..records import Payload, Rejected, Where
from . import access, csv, har, http, jsonl, lines, modsec, parquet
from .labelled import read_labelled
from .seen import Seen, check_format
from .sniff import sniff

Reader = Callable[[Stream, str | None], Iterator[Payload | Rejected]]

READERS: dict[str, Reader] = {
    "http": http.read,
    "har": har.read,
    "access": access.read,
    "modsec": modsec.read,
    "jsonl": jsonl.read,
    "csv": csv.read,
    "tsv": csv.read_tsv,
    "parquet": parquet.read,
    "lines": lines.read,
}
_WITH_COLUMN = ("jsonl", "csv", "tsv", "parquet")
_LIMITS = Limits()
_SEEN = 20  # inputs remembered for ``Source.seen``


class Source(Iterator[Payload | Rejected]):
    """The records of an input. ``seen`` tells, while and after reading, what the inputs were."""

    def __init__(self, records: Iterator[Payload | Rejected], seen: list[Seen]) -> None:
        self._records, self.seen = records, seen

    def __next__(self) -> Payload | Rejected:
        return next(self._records)

    def summary(self) -> str:
        """What was seen, one line for each of the first inputs: for the error on zero records."""
        return "\n".join(map(str, self.seen)) or "no file was found"


def open_source(
    paths: Paths,
    *,
    format: str | None = None,
    column: str | None = None,
    limits: Limits = _LIMITS,
    strict: bool = False,
    stdin: BinaryIO | None = None,
) -> Source:
    """Read payloads from files, directories, globs or ``-``; each plain, gzip or zip.

    Args:
        paths: one path or many, read in this order; directories and globs in sorted order.
        format: a key of ``READERS``; None sniffs each file.
        column: the column that holds the payload, for JSON lines, CSV, TSV and Parquet.
        limits: bounds on what is read; a record beyond one is ``Rejected`` and names it.
        strict: raise at the first ``Rejected``.
        stdin: what ``-`` reads; None is the process's standard input.

    Raises:
        UsageError: at once, for an unknown format or a column for a format without columns.
        SourceError: at once, for a path that does not exist; while reading, for a named file that
            cannot be opened or lacks the column, and in strict mode for anything rejected.
    """
    _check_format(format, column)
    seen: list[Seen] = []
    records = _read(open_streams(paths, limits, stdin), format, column, seen)
    return Source(_strict(records) if strict else records, seen)


def _check_format(format: str | None, column: str | None) -> None:
    check_format(format, READERS)
    if format is not None and column is not None and format not in _WITH_COLUMN:
        hint = f"a column goes with: {', '.join(_WITH_COLUMN)}"
        raise UsageError(f"the format {format} has no columns", hint=hint)


def _read(
    streams: Iterator[Stream | Rejected], format: str | None, column: str | None, seen: list[Seen]
) -> Iterator[Payload | Rejected]:
    for stream in streams:
        if isinstance(stream, Rejected):
            yield stream
            continue
        name = format or sniff(stream, column)
        head = stream.peek(RAW)
        if len(seen) < _SEEN:
            seen.append(Seen(stream.name, name, head))
        if name is not None and head:
            yield from _records(stream, name, column)
        elif stream.fault is None:
            reason = "of no known format; name one if it is" if head else "empty"
            yield Rejected(Where(stream.name), reason, head)
        if stream.fault is not None:
            yield stream.fault


def _records(stream: Stream, name: str, column: str | None) -> Iterator[Payload | Rejected]:
    """What a reader finds, within ``limits.record_bytes``; an unnamed file's error is a record."""
    most = stream.limits.record_bytes
    try:
        for record in READERS[name](stream, column):
            if isinstance(record, Payload) and len(record.data) > most:
                reason = f"record longer than limits.record_bytes = {most}"
                record = Rejected(record.where, reason, record.data[:RAW])
            yield record
    except SourceError as err:
        if stream.named:
            raise
        yield Rejected(Where(stream.name), err.what)


def _strict(records: Iterator[Payload | Rejected]) -> Iterator[Payload | Rejected]:
    for record in records:
        if isinstance(record, Rejected):
            raise SourceError(record.reason, where=str(record.where), hint="strict mode stops here")
        yield record


__all__ = [
    "READERS",
    "Paths",
    "Reader",
    "Seen",
    "Source",
    "open_source",
    "read_labelled",
]
