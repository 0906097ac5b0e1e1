"""What the log tests share: read everything, sort it, and build the records of each format."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

from dragoman.errors import SourceError
from dragoman.records import Event, Rejected
from dragoman.sources.logs import EventSource, open_events


def read(data: bytes, **options: Any) -> tuple[list[Event], list[Rejected], EventSource]:
    """The events and the rejects of bytes on standard input."""
    source = open_events("-", stdin=io.BytesIO(data), **options)
    events: list[Event] = []
    rejects: list[Rejected] = []
    done = False
    with contextlib.suppress(SourceError):
        for record in source:
            (events if isinstance(record, Event) else rejects).append(record)  # type: ignore[arg-type]
        done = True
    assert done == bool(events)  # no event at all is an error
    assert all(len(reject.raw) <= 200 and reject.reason for reject in rejects)
    assert (source.events, source.rejected) == (len(events), len(rejects))
    for event in events:
        json.dumps(event.to_dict()).encode()
        repr(event).encode()
    return events, rejects, source


def one(data: bytes, **options: Any) -> Event:
    """The only event of bytes that are all read."""
    events, rejects, _ = read(data, **options)
    assert rejects == []
    assert len(events) == 1
    return events[0]


def lines(*rows: Any) -> bytes:
    """JSON lines."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


GUID = "{A1B2C3D4-0001-0002-0003-0000000000%02X}"
START = {
    "UtcTime": "2024-05-02 10:00:00.123",
    "ProcessGuid": GUID % 2,
    "ProcessId": "4242",
    "Image": "C:\\Tools\\child.exe",
    "CommandLine": "child.exe --go",
    "User": "LAB\\alice",
    "ParentProcessGuid": GUID % 1,
    "ParentProcessId": "1000",
    "ParentImage": "C:\\Windows\\explorer.exe",
    "ParentCommandLine": "explorer.exe",
}


def flat(event: int, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A Sysmon event as NXLog writes it."""
    return {
        "EventID": event,
        "SourceName": "Microsoft-Windows-Sysmon",
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "Hostname": "PC1.example.test",
        "RecordNumber": 7,
        "@timestamp": "2024-05-02T10:00:01.000Z",
        **data,
        **more,
    }


def security(event: int, **data: Any) -> dict[str, Any]:
    """A Security event in the flat form."""
    return {
        "EventID": event,
        "SourceName": "Microsoft-Windows-Security-Auditing",
        "Channel": "Security",
        "Hostname": "PC1.example.test",
        "@timestamp": "2024-05-02T10:00:00Z",
        **data,
    }


def xml(event: int, data: dict[str, str], provider: str = "Microsoft-Windows-Sysmon") -> str:
    """An event as its XML."""
    fields = "".join(f'<Data Name="{key}">{value}</Data>' for key, value in data.items())
    return (
        '<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System>'
        f'<Provider Name="{provider}"/><EventID>{event}</EventID>'
        '<TimeCreated SystemTime="2024-05-02T10:00:00.1234567Z"/>'
        "<EventRecordID>7</EventRecordID><Execution ProcessID='99' ThreadID='1'/>"
        "<Channel>Microsoft-Windows-Sysmon/Operational</Channel><Computer>PC1</Computer>"
        f"</System><EventData>{fields}</EventData></Event>"
    )
