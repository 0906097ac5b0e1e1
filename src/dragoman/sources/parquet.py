"""Parquet with a payload column; read in small batches with pyarrow (extra ``parquet``)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from ..errors import LimitError, UsageError
from ..records import Payload, Rejected, Where
from .stream import Stream
from .table import ABOUT, column_error, find_column, to_payload

_BATCH = 512  # rows decoded together
_THRIFT = 16 << 20  # bytes or items of metadata


def read(stream: Stream, column: str | None = None) -> Iterator[Payload | Rejected]:
    """Every row of a Parquet file as a payload. A damaged file is kept up to the damage.

    Raises:
        SourceError: no payload column.
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow
    except ImportError as err:
        hint = "pip install 'dragoman[parquet]'"
        raise UsageError("reading Parquet needs pyarrow", where=stream.name, hint=hint) from err
    try:
        yield from _rows(stream, column)
    except LimitError as err:
        yield Rejected(Where(stream.name), err.what)
    except (pyarrow.ArrowException, OSError, ValueError) as err:
        yield Rejected(Where(stream.name), f"broken Parquet: {str(err)[:300]}")


def _rows(stream: Stream, column: str | None) -> Iterator[Payload | Rejected]:
    import pyarrow.parquet

    source: Any = stream.path or io.BytesIO(stream.read_all())
    with pyarrow.parquet.ParquetFile(
        source, thrift_string_size_limit=_THRIFT, thrift_container_size_limit=_THRIFT
    ) as file:
        names = file.schema_arrow.names
        name = find_column(names, column)
        if name is None:
            raise column_error(names, column, stream.name)
        _check_size(file.metadata, stream)
        columns = [name, *(about for about in ABOUT if about in names and about != name)]
        number = 0
        for batch in file.iter_batches(_BATCH, columns=columns, use_threads=False):
            cells = [_cells(batch.column(at)) for at in range(batch.num_columns)]
            for values in zip(*cells, strict=True):
                number += 1
                row = dict(zip(batch.schema.names, values, strict=True))
                where = Where(stream.name, line=number)
                try:
                    yield to_payload(row, name, where, f"{stream.name}#{number}")
                except ValueError as err:
                    yield Rejected(where, str(err))


def _check_size(metadata: Any, stream: Stream) -> None:
    """Refuse a column chunk, which may be one page, that unpacks to more than a document may."""
    limit = stream.limits.document_bytes
    for group in range(metadata.num_row_groups):
        about = metadata.row_group(group)
        for at in range(about.num_columns):
            if about.column(at).total_uncompressed_size > limit:
                raise LimitError(f"a column chunk unpacks beyond limits.document_bytes = {limit}")


def _cells(array: Any) -> list[Any]:
    """Values of one column; text as the bytes stored, which need not be UTF-8."""
    import pyarrow.types as types

    if types.is_string(array.type) or types.is_large_string(array.type):
        array = array.cast("binary" if types.is_string(array.type) else "large_binary")
    cells: list[Any] = array.to_pylist()
    return cells
