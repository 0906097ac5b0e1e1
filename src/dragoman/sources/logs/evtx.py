"""Binary Windows event logs (`.evtx`), parsed by the package evtx, a chunk at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from ...errors import LimitError
from ...opening.jsonio import loads
from ...opening.stream import RAW, Stream
from ...records import Rejected, Where
from .build import Bounded, Records, Skipped
from .windows import event
from .winjson import nested

MAGIC = b"ElfFile\0"
_HEADER, _CHUNK = 4_096, 65_536  # bytes of the file header, and of each chunk after it
_MOST_FAULTS = 1_000  # of chunks and records; what follows so many is unread
_Parsed = dict[str, Any]


def read(stream: Stream, skipped: Skipped) -> Records:
    """Every event of a log; a damaged record or chunk is one ``Rejected``, the rest is read."""
    from evtx import PyEvtxParser

    bounded = Bounded(stream.limits, skipped)
    try:
        source, size = _opened(stream)
        records = PyEvtxParser(source, 1).records_json()
    except LimitError as err:
        yield Rejected(Where(stream.name), err.what)
        return
    except (OSError, RuntimeError, ValueError) as err:
        yield Rejected(Where(stream.name), f"broken event log: {err}"[:300], stream.peek(RAW))
        return
    for item in _without_faults(records):
        if isinstance(item, str):
            yield Rejected(Where(stream.name), item)
            continue
        yield _event(stream, item, bounded)
    if size % _CHUNK != _HEADER:
        yield Rejected(Where(stream.name), "truncated event log: its last chunk is cut short")


def _opened(stream: Stream) -> tuple[str | io.BytesIO, int]:
    """What the parser reads, a path or bytes, and its size."""
    if stream.path is not None:
        return str(stream.path), stream.path.stat().st_size
    data = stream.read_all()
    return io.BytesIO(data), len(data)


def _without_faults(records: Iterator[Any]) -> Iterator[_Parsed | str]:
    """The records; of each that cannot be parsed, the reason."""
    faults = 0
    while faults < _MOST_FAULTS:
        try:
            yield next(records)
        except StopIteration:
            return
        except Exception as err:  # the parser raises RuntimeError, and whatever Rust may panic with
            faults += 1
            yield f"broken event log: {err}"[:300]
    yield "more broken records than can be told; the rest is unread"


def _event(stream: Stream, item: _Parsed, bounded: Bounded) -> Any:
    key = item.get("event_record_id", 0)
    text = str(item.get("data", "")).encode("utf-8", "surrogatepass")
    try:
        value = loads(text, stream.limits)
        record = nested(value.get("Event", {}) if isinstance(value, dict) else {})
    except ValueError as err:
        return Rejected(Where(stream.name), str(err), text[:RAW])
    if record is None or not record.time:
        reason = "an event without an id" if record is None else "an event without a time"
        return Rejected(Where(stream.name), reason, text[:RAW])
    where = Where(stream.name, event_ids=(f"{record.channel}/{record.number}"[:128],))
    return event(record, bounded, f"{stream.name}#{key}", where)
