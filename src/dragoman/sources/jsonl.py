"""JSON lines (or one JSON array) of objects with a payload column, or of bare strings."""

from __future__ import annotations

from collections.abc import Iterator

from ..opening.jsonio import Row, rows
from ..opening.stream import Stream
from ..records import Payload, Rejected
from .table import column_error, find_column, no_column, to_payload


def read(stream: Stream, column: str | None = None) -> Iterator[Payload | Rejected]:
    """Every row as a payload; the labelled format works as it is.

    Raises:
        SourceError: the first object has no payload column.
    """
    first = True
    for row in rows(stream):
        if isinstance(row, Rejected):
            yield row
            continue
        if first and isinstance(row.value, dict) and find_column(row.value, column) is None:
            raise column_error(row.value, column, str(row.where))
        first = first and not isinstance(row.value, dict)
        yield _payload(row, column)


def _payload(row: Row, column: str | None) -> Payload | Rejected:
    value = {"value": row.value} if isinstance(row.value, str) else row.value
    if not isinstance(value, dict):
        return Rejected(row.where, "neither a JSON object nor a string", row.raw)
    name = "value" if isinstance(row.value, str) else find_column(value, column)
    if name is None:
        return Rejected(row.where, no_column(value, column), row.raw)
    try:
        return to_payload(value, name, row.where, row.id)
    except ValueError as err:
        return Rejected(row.where, str(err), row.raw)
