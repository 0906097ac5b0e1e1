"""CSV (RFC 4180; comma, semicolon, bar or tab, as its header shows) and TSV (tabs, no quoting).

The first row names the columns.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Literal

from ..opening.stream import BOM, RAW, Stream, too_long
from ..records import Payload, Rejected, Where
from .table import column_error, find_column, to_payload

_DELIMITERS = ",;\t|"


def read(stream: Stream, column: str | None = None) -> Iterator[Payload | Rejected]:
    """Every row of a CSV file as a payload.

    Raises:
        SourceError: the header has no payload column.
    """
    head = stream.peek(4096).removeprefix(BOM).split(b"\n", 1)[0].decode("utf-8", "replace")
    return _read(stream, column, delimiter(head), csv.QUOTE_MINIMAL)


def read_tsv(stream: Stream, column: str | None = None) -> Iterator[Payload | Rejected]:
    """Every row of a TSV file; as ``read``, but quotes are data."""
    return _read(stream, column, "\t", csv.QUOTE_NONE)


def delimiter(header: str) -> str:
    """The delimiter that occurs most often in a header line."""
    return max(_DELIMITERS, key=header.count)


def _read(
    stream: Stream, column: str | None, delimiter: str, quoting: Literal[0, 3]
) -> Iterator[Payload | Rejected]:
    csv.field_size_limit(max(csv.field_size_limit(), stream.limits.record_bytes))
    feed = _Feed(stream)
    parser = csv.reader(feed, delimiter=delimiter, quoting=quoting)
    header: list[str] | None = None
    name = ""
    while True:
        feed.first, broken = None, None
        try:
            cells = next(parser, None)
        except csv.Error as err:
            cells, broken = [], f"broken CSV: {err}"
        yield from feed.take_rejected()
        if broken:
            yield Rejected(Where(stream.name, line=feed.first), broken, feed.raw)
        if cells is None:
            return
        if not cells:
            continue
        if header is None:
            header = [cell.strip() for cell in cells]
            found = find_column(header, column)
            if found is None:
                raise column_error(header, column, stream.name)
            name = found
            continue
        where = Where(stream.name, line=feed.first)
        row = dict(zip(header, cells, strict=False))
        try:
            yield to_payload(row, name, where, f"{stream.name}#{feed.first}")
        except ValueError as err:
            short = f"the row ends before the column {name!r}: {len(cells)} of {len(header)} cells"
            yield Rejected(where, str(err) if name in row else short, feed.raw)


class _Feed:
    """Text lines for ``csv.reader``; remembers where a row began, sets over-long lines aside."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._lines = stream, stream.lines()
        self.first: int | None = None
        self.raw = b""
        self._rejected: list[Rejected] = []

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        for line in self._lines:
            if line.cut:
                self._rejected.append(too_long(self._stream, line))
                continue
            if self.first is None:
                self.first, self.raw = line.number, line.data[:RAW]
            return line.data.decode("utf-8", "surrogateescape") + "\n"
        raise StopIteration

    def take_rejected(self) -> list[Rejected]:
        taken, self._rejected = self._rejected, []
        return taken
