"""Binary event logs. What is read from them is made here: a log with one chunk and one record."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from events import read
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.records import Event
from dragoman.sources.logs import open_events


def _name(text: str) -> bytes:
    """A name string of binary XML [MS-EVEN6 2.2.12]: next offset, hash, length, text, NUL."""
    hashed = 0
    for char in text:
        hashed = (hashed * 65_599 + ord(char)) & 0xFFFF_FFFF
    return struct.pack("<IHH", 0, hashed & 0xFFFF, len(text)) + text.encode("utf-16-le") + b"\0\0"


class _Xml:
    """Writes an element tree as binary XML without templates, at an offset of its chunk."""

    def __init__(self, offset: int) -> None:
        self.data, self.offset = bytearray(b"\x0f\x01\x01\x00"), offset

    def _named(self, text: str) -> None:
        self.data += struct.pack("<I", self.offset + len(self.data) + 4)
        self.data += _name(text)

    def value(self, text: str) -> None:
        self.data += struct.pack("<BBH", 0x05, 0x01, len(text)) + text.encode("utf-16-le")

    def element(self, name: str, attributes: dict[str, str], children: list[object]) -> None:
        self.data.append(0x41 if attributes else 0x01)
        size_at = len(self.data)
        self.data += b"\0\0\0\0"
        self._named(name)
        if attributes:
            list_at = len(self.data)
            self.data += b"\0\0\0\0"
            for at, (key, text) in enumerate(attributes.items(), 1):
                self.data.append(0x06 if at == len(attributes) else 0x46)
                self._named(key)
                self.value(text)
            struct.pack_into("<I", self.data, list_at, len(self.data) - list_at - 4)
        self.data.append(0x02)
        for child in children:
            self.value(child) if isinstance(child, str) else self.element(*child)  # type: ignore[misc]
        self.data.append(0x04)
        struct.pack_into("<I", self.data, size_at, len(self.data) - size_at - 4)


def evtx(data: dict[str, str], event: int = 1) -> bytes:
    """An event log [MS-EVEN6, and the open description of the format] with one record."""
    system = [
        ("Provider", {"Name": "Microsoft-Windows-Sysmon"}, []),
        ("EventID", {}, [str(event)]),
        ("TimeCreated", {"SystemTime": "2024-05-02T10:00:00.1234567Z"}, []),
        ("EventRecordID", {}, ["7"]),
        ("Channel", {}, ["Microsoft-Windows-Sysmon/Operational"]),
        ("Computer", {}, ["PC1"]),
    ]
    fields = [("Data", {"Name": key}, [text]) for key, text in data.items()]
    writer = _Xml(512 + 24)
    writer.element("Event", {}, [("System", {}, system), ("EventData", {}, fields)])
    body = bytes(writer.data) + b"\0"
    size = 24 + len(body) + 4
    size += -size % 8
    filetime = 133_591_176_000_000_000
    record = struct.pack("<4sIQQ", b"\x2a\x2a\0\0", size, 1, filetime) + body
    record = record.ljust(size - 4, b"\0") + struct.pack("<I", size)
    chunk = bytearray(65_536)
    chunk[512 : 512 + len(record)] = record
    head = struct.pack("<8sQQQQIII", b"ElfChnk\0", 1, 1, 1, 1, 128, 512, 512 + len(record))
    head += struct.pack("<I", zlib.crc32(record))
    chunk[: len(head)] = head
    chunk[124:128] = struct.pack("<I", zlib.crc32(bytes(chunk[:120] + chunk[128:512])))
    file = struct.pack("<8sQQQIHHHH", b"ElfFile\0", 0, 0, 2, 128, 1, 3, 4096, 1)
    file = file.ljust(120, b"\0") + struct.pack("<I", 0)
    file += struct.pack("<I", zlib.crc32(file[:120]))
    return file.ljust(4096, b"\0") + bytes(chunk)


LOG = evtx({"UtcTime": "2024-05-02 10:00:00.5", "Image": "C:\\x.exe", "ProcessId": "12"}, 5)


def test_a_log_from_a_pipe_and_from_a_file(tmp_path: Path) -> None:
    events, rejects, _ = read(LOG)
    assert rejects == []
    assert (events[0].verb, events[0].object.name) == ("end", "C:\\x.exe")
    assert events[0].time == 1_714_644_000_500_000_000
    assert events[0].where.event_ids == ("Microsoft-Windows-Sysmon/Operational/7",)
    path = tmp_path / "a.evtx"
    path.write_bytes(LOG)
    same = list(open_events(path))
    assert isinstance(same[0], Event)
    assert (same[0].object, same[0].id) == (events[0].object, f"{path}#1")


def test_damage_is_told() -> None:
    events, rejects, _ = read(LOG + b"\1" * 65_536 + LOG[4096:])
    assert (len(events), len(rejects)) == (2, 1)
    assert "ElfChnk" in rejects[0].reason
    events, rejects, _ = read(LOG[:4096])
    assert events == []
    events, rejects, _ = read(LOG[:5000])
    assert events == []
    assert "truncated" in rejects[0].reason
    events, rejects, _ = read(b"ElfFile\0 and nothing that follows from it")
    assert "broken event log" in rejects[0].reason


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5_500), st.integers(0, 255)), max_size=8))
def test_any_byte_may_be_wrong(changes: list[tuple[int, int]]) -> None:
    data = bytearray(LOG)
    for at, byte in changes:
        data[at] = byte
    read(bytes(data), format="evtx")
