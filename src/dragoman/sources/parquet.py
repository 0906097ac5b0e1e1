"""Parquet with a payload column; read in small batches with pyarrow (extra ``parquet``).

Dictionary pages stay encoded, so that a value repeated a million times is held once. What the rows
unpack to counts against ``limits.unpacked_bytes`` and ``limits.unpack_ratio``. One page, at most
2 GiB by the format, is the smallest thing pyarrow unpacks at once.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from ..errors import LimitError, UsageError
from ..opening.stream import Budget, Fault, Stream
from ..records import Payload, Rejected, Where
from .table import ABOUT, column_error, find_column, to_payload

_BATCH = 256  # rows decoded together
_BUFFER = 1 << 20  # bytes read at once
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
    except Fault as err:
        yield Rejected(Where(stream.name), str(err))
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as err:
        yield Rejected(Where(stream.name), f"broken Parquet: {str(err)[:300]}")


def _rows(stream: Stream, column: str | None) -> Iterator[Payload | Rejected]:
    import pyarrow.parquet as parquet

    source: Any = stream.path or io.BytesIO(stream.read_all())
    size = stream.path.stat().st_size if stream.path else source.seek(0, io.SEEK_END)
    options = {"thrift_string_size_limit": _THRIFT, "thrift_container_size_limit": _THRIFT}
    with parquet.ParquetFile(source, buffer_size=_BUFFER, **options) as file:
        names = file.schema_arrow.names
        name = find_column(names, column)
    if name is None:
        raise column_error(names, column, stream.name)
    columns = [name, *(about for about in ABOUT if about in names and about != name)]
    budget, number = Budget(stream.limits, packed=size), 0
    with parquet.ParquetFile(
        source, buffer_size=_BUFFER, read_dictionary=[name], **options
    ) as file:
        for batch in file.iter_batches(_BATCH, columns=columns, use_threads=False):
            arrays = {at: _raw(batch.column(at)) for at in batch.schema.names}
            for index in range(batch.num_rows):
                number += 1
                row = {at: array[index].as_py() for at, array in arrays.items()}
                where = Where(stream.name, line=number)
                try:
                    payload = to_payload(row, name, where, f"{stream.name}#{number}")
                except ValueError as err:
                    budget.spend(1)
                    yield Rejected(where, str(err))
                    continue
                budget.spend(1 + len(payload.data))
                yield payload


def _raw(array: Any) -> Any:
    """An array with its text as the bytes stored, which need not be UTF-8."""
    import pyarrow

    types = pyarrow.types
    if types.is_dictionary(array.type):
        return pyarrow.DictionaryArray.from_arrays(array.indices, _raw(array.dictionary))
    if types.is_string(array.type):
        return array.cast("binary")
    return array.cast("large_binary") if types.is_large_string(array.type) else array
