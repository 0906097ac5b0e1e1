"""Plain lines: one field value a line, the bytes as they are."""

from __future__ import annotations

from collections.abc import Iterator

from ..opening.stream import Stream, too_long
from ..records import Payload, Rejected, Where


def read(stream: Stream, column: str | None = None) -> Iterator[Payload | Rejected]:
    """Every line that is not empty, without its line end."""
    name = stream.name
    for line in stream.lines():
        data = line.data.removesuffix(b"\r")
        if line.cut:
            yield too_long(stream, line)
        elif data:
            yield Payload(f"{name}#{line.number}", data, "value", Where(name, line=line.number))
