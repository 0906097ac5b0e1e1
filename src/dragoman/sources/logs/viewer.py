"""Text that Event Viewer exports (comma-separated), as in the ATLAS data set's audit logs.

One event begins with ``Audit Success,11/3/2018 12:33:53 PM,source,id,category`` and its message
goes on over lines. The file names no host and no zone: the host is empty, the time taken as UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from ...opening.stream import RAW, Stream, too_long
from ...records import Rejected, Where
from .build import Bounded, Records, Skipped
from .message import message_data
from .times import SECOND, ns
from .windows import Record, event

_START = re.compile(
    rb"(Audit Success|Audit Failure|Information|Warning|Error|Critical|Verbose),"
    rb"(\d[\d/. :T-]{8,24}(?: ?[AP]M)?),([^,\n]{1,200}),(\d{1,6}),([^,\n]{0,200}),?"
)
_HEADER = re.compile(rb"(Keywords|Level),Date and Time,Source,Event ID,Task Category")
_US = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4}) (\d{1,2}):(\d\d):(\d\d)(?: ?([AP]M))?")
_LINES = 20  # at the start of a file that are searched for an event


def is_export(head: bytes) -> bool:
    """Whether a file begins like such an export."""
    lines = head.split(b"\n")[:_LINES]
    return any(_HEADER.match(line) or _START.match(line) for line in lines)


def read(stream: Stream, skipped: Skipped) -> Records:
    """Every event of an export."""
    bounded = Bounded(stream.limits, skipped)
    for number, parts in _blocks(stream):
        where = Where(stream.name, line=number)
        if isinstance(parts, Rejected):
            yield parts
            continue
        start = _START.match(parts)
        if start is None:
            if not _HEADER.match(parts) and parts.strip():
                yield Rejected(where, "not an event of an Event Viewer export", parts[:RAW])
            continue
        level, stamp, source, code, _ = (part.decode("utf-8", "replace") for part in start.groups())
        time = clock(stamp)
        if time is None:
            yield Rejected(where, f"an event without a time that is known: {stamp}", parts[:RAW])
            continue
        text = parts[start.end() :].decode("utf-8", "replace").strip().strip('"')
        message = text.replace('""', '"')
        data = message_data(message)
        if level == "Audit Failure":
            data["EventType"] = "AUDIT_FAILURE"
        channel = "Security" if level.startswith("Audit") else ""
        record = Record(source, channel, int(code), time, "", "", data, message=message)
        yield event(record, bounded, f"{stream.name}#{number}", where)


def _blocks(stream: Stream) -> Iterator[tuple[int, bytes | Rejected]]:
    """The lines of one event together, and the number of the first."""
    held: list[bytes] = []
    first, size, most = 1, 0, stream.limits.record_bytes
    for line in stream.lines():
        if line.cut:
            yield line.number, too_long(stream, line)
            continue
        if _START.match(line.data):
            if held:
                yield first, b"\n".join(held)
            held, first, size = [], line.number, 0
        size += len(line.data) + 1
        if size <= most:
            held.append(line.data)
        elif held:
            reason = f"record longer than limits.record_bytes = {most}"
            yield first, Rejected(Where(stream.name, line=first), reason, held[0][:RAW])
            held = []
    if held:
        yield first, b"\n".join(held)


def clock(text: str) -> int | None:
    """``11/3/2018 12:33:53 PM`` (month first, unless that cannot be) or ISO 8601 -> ns."""
    found = _US.fullmatch(text.strip())
    if found is None:
        return ns(text)
    month, day, year, hour, minute, second = map(int, found.groups()[:6])
    if month > 12:
        month, day = day, month
    if found.group(7):
        hour = hour % 12 + (12 if found.group(7) == "PM" else 0)
    try:
        time = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    whole = int(time.timestamp()) * SECOND
    return whole if whole > 0 else None
