"""Bytes -> events: open any input, guess its format, read what happened on a host out of it.

    source = open_events(["logs/", "Security.evtx", "-"])
    for event in identified(ordered(source)):
        ...  # Event or Rejected

Files are read one after another, one record at a time, in memory that does not grow with them. What
cannot be read becomes ``Rejected``; what is knowingly not made an event is counted in ``skipped``.
An input without a single event is an error that names what was seen instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from ...config import Limits
from ...errors import SourceError
from ...opening.files import Paths, open_streams
from ...opening.stream import RAW, Stream
from ...records import Event, Rejected, Where
from ..seen import Seen, check_format
from . import auditd, cdm, ecar, ecs, eql, evtx, viewer, winjson, winxml
from .build import Skipped
from .order import Ordered, identified, merged, ordered
from .sniff import sniff
from .utf16 import as_utf8

Reader = Callable[[Stream, Skipped], Iterator[Event | Rejected]]

READERS: dict[str, Reader] = {
    "windows": winjson.read,
    "evtx": evtx.read,
    "xml": winxml.read,
    "auditd": auditd.read,
    "ecs": ecs.read,
    "cdm": cdm.read,
    "ecar": ecar.read,
    "eql": eql.read,
    "viewer": viewer.read,
}
_LIMITS = Limits()
_SEEN = 20  # inputs remembered for ``EventSource.seen``


class EventSource(Iterator[Event | Rejected]):
    """The events of an input, with counts that are up to date while it is read.

    ``events`` and ``rejected`` count what was yielded; ``skipped`` counts by reason what was read
    and knowingly not made an event, or cut; ``seen`` tells what the first inputs were.
    """

    def __init__(self) -> None:
        self.events = self.rejected = 0
        self.skipped: Skipped = Skipped()
        self.seen: list[Seen] = []
        self._records: Iterator[Event | Rejected] = iter(())

    def __next__(self) -> Event | Rejected:
        record = next(self._records)
        if isinstance(record, Event):
            self.events += 1
        else:
            self.rejected += 1
        return record

    def summary(self) -> str:
        """What was seen, one line for each of the first inputs."""
        lines = [*map(str, self.seen)] or ["no file was found"]
        lines += [f"skipped: {count} x {reason}" for reason, count in self.skipped.most_common(5)]
        return "\n  ".join(lines)


def open_events(
    paths: Paths,
    *,
    format: str | None = None,
    limits: Limits = _LIMITS,
    strict: bool = False,
    stdin: BinaryIO | None = None,
) -> EventSource:
    """Read events from files, directories, globs or ``-``; each plain, gzip, tar or zip.

    Args:
        paths: one path or many, read in this order; directories and globs in sorted order.
        format: a key of ``READERS``; None sniffs each file.
        limits: bounds on what is read; a record beyond one is ``Rejected`` and names it.
        strict: raise at the first ``Rejected``.
        stdin: what ``-`` reads; None is the process's standard input.

    Raises:
        UsageError: at once, for an unknown format.
        SourceError: at once, for a path that does not exist; while reading, for a named file that
            cannot be opened, in strict mode for anything rejected, and at the end for no event.
    """
    check_format(format, READERS, "log format")
    source = EventSource()
    source._records = _read(open_streams(paths, limits, stdin), format, strict, source)
    return source


def _read(
    streams: Iterator[Stream | Rejected], format: str | None, strict: bool, source: EventSource
) -> Iterator[Event | Rejected]:
    for stream in streams:
        for record in [stream] if isinstance(stream, Rejected) else _one(stream, format, source):
            if strict and isinstance(record, Rejected):
                hint = "strict mode stops here"
                raise SourceError(record.reason, where=str(record.where), hint=hint)
            yield record
    if not source.events:
        what = f"no event could be read ({source.rejected} rejected)"
        raise SourceError(what, hint=f"{source.summary()}\n  name the format if it is a log")


def _one(stream: Stream, format: str | None, source: EventSource) -> Iterator[Event | Rejected]:
    """The events of one stream; an unnamed file's error is a record."""
    stream = as_utf8(stream)
    name = format or sniff(stream)
    head = stream.peek(RAW)
    if len(source.seen) < _SEEN:
        source.seen.append(Seen(stream.name, name, head))
    if name is not None and head:
        try:
            yield from READERS[name](stream, source.skipped)
        except SourceError as err:
            if stream.named:
                raise
            yield Rejected(Where(stream.name), err.what)
    elif stream.fault is None:
        reason = "of no known log format; name one if it is" if head else "empty"
        yield Rejected(Where(stream.name), reason, head)
    if stream.fault is not None:
        yield stream.fault


__all__ = [
    "READERS",
    "EventSource",
    "Ordered",
    "Paths",
    "Reader",
    "Seen",
    "identified",
    "merged",
    "open_events",
    "ordered",
]
