"""The raw log of the Linux audit daemon: the records of one event joined, hex text decoded.

An event's records share host, time and serial number and may be mixed with those of others. It is
complete at its end record, or once so many later events have begun that none of its own can follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ...opening.stream import RAW, Stream, too_long
from ...records import Event, Process, Rejected, Where
from .build import Bounded, Records, Skipped, endpoint, number, plain
from .linux import Call, Descriptors, call_event, record_event, tables
from .times import SECOND, seconds_text

HEAD = re.compile(
    rb"(?:node=(\S{1,255}) )?type=([A-Za-z0-9_]{1,64}(?:\[\d+\])?),? "
    rb"msg=audit\((\d{1,11}(?:\.\d{1,9})?):(\d{1,20})\):"
)
_FIELD = re.compile(
    r"([A-Za-z0-9_-]{1,32}(?:\[\d{1,9}\])?)=(\"[^\"]*\"|'[^']*'|\{[^}]{0,200}\}|\S*)"
)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_ENCODED_WORDS = """
name cwd proctitle comm exe cmd acct data path dir vm grp new_group old ocomm key
"""
_ENCODED = frozenset(_ENCODED_WORDS.split())
_NOTHING = ("(null)", "(none)", "?")
_PATH = re.compile(rb' name=("[^"]*"|\S+)(?:.*? nametype="?([A-Z]+))?')
_ENRICHED = "\x1d"  # begins what auditd adds to a record: names for its numbers
_ARGUMENT = re.compile(r"a(\d{1,6})(?:\[\d+\])?")
_LEFT_OUT = frozenset(
    [
        "arch",
        "syscall",
        "items",
        "success",
        "a0",
        "a1",
        "a2",
        "a3",
        "a4",
        "exe",
        "pid",
        "ppid",
        "suid",
        "fsuid",
        "sgid",
        "fsgid",
        "SYSCALL",
        "ARCH",
        "SUID",
        "FSUID",
        "SGID",
        "FSGID",
        "EGID",
        "GID",
        "subj",
    ]
)
_WAIT = 2 * SECOND  # records of one event lie within this time
_RECORDS = 2_000  # of one event; more are left out


class _Line(NamedTuple):
    """One record: its type, what it says, and the line it stood on."""

    type: str
    data: bytes
    line: int


class _Open:
    """An event whose records are being gathered."""

    __slots__ = ("lines", "node", "serial", "size", "time")

    def __init__(self, node: str, time: int, serial: str) -> None:
        self.node, self.time, self.serial = node, time, serial
        self.lines: list[_Line] = []
        self.size = 0  # bytes held

    def add(self, line: _Line, skipped: Skipped) -> int:
        """Hold one more record; the bytes it takes."""
        if len(self.lines) == _RECORDS:
            skipped["audit record beyond the most of one event"] += 1
            return 0
        self.lines.append(line)
        self.size += len(line.data)
        return len(line.data)


def read(stream: Stream, skipped: Skipped) -> Records:
    """Every event of an audit log, those without an end record too."""
    bounded = Bounded(stream.limits, skipped)
    descriptors = Descriptors(stream.limits.log_entities)
    for item in _joined(stream, skipped):
        if isinstance(item, Rejected):
            yield item
        elif (made := _event(item, stream, bounded, descriptors)) is not None:
            yield made


def _joined(stream: Stream, skipped: Skipped) -> Iterator[_Open | Rejected]:
    limits = stream.limits
    waiting: dict[bytes, _Open] = {}
    held = 0  # bytes of all that wait
    for line in stream.lines():
        if line.cut:
            yield too_long(stream, line)
            continue
        head = HEAD.search(line.data)
        if head is None:
            if line.data.strip():
                where = Where(stream.name, line=line.number)
                yield Rejected(where, "not an audit record", line.data[:RAW])
            continue
        type = head.group(2).decode("ascii")
        key = line.data[head.start(3) : head.end(4)] + (head.group(1) or b"")
        item = waiting.get(key)
        if type == "EOE":
            if item is not None:
                held -= item.size
                yield waiting.pop(key)
            else:
                skipped["end of an audit event that is not there"] += 1
            continue
        if item is None:
            item = _begun(head)
            if item is None:
                where = Where(stream.name, line=line.number)
                yield Rejected(where, "an audit record without a time", line.data[:RAW])
                continue
            waiting[key] = item
            for old in _ended(waiting, item.time, limits.log_open, held > limits.document_bytes):
                held -= old.size
                yield old
        held += item.add(_Line(type, line.data[head.end() :], line.number), skipped)
    yield from waiting.values()


def _begun(head: re.Match[bytes]) -> _Open | None:
    """The event whose first record begins so; None without a time."""
    node, _, stamp, serial = head.groups()
    time = seconds_text(stamp.decode("ascii"))
    return (
        _Open(plain((node or b"").decode("utf-8", "replace")), time, serial.decode())
        if time
        else None
    )


def _ended(waiting: dict[bytes, _Open], now: int, most: int, full: bool) -> Iterator[_Open]:
    """The oldest events, as far as they are complete or there is no room for more."""
    while len(waiting) > 1:
        key = next(iter(waiting))
        if not full and len(waiting) <= most and waiting[key].time >= now - _WAIT:
            return
        yield waiting.pop(key)


def _fields(data: bytes) -> dict[str, str]:
    """The fields of a record; quotes taken off, those of a user message among them."""
    text, _, enriched = data.decode("utf-8", "replace").partition(_ENRICHED)
    out: dict[str, str] = {}
    for key, value in _FIELD.findall(text):
        first = value[:1]
        if first == '"':
            out[key] = value[1:-1]
        elif first == "'":
            for inner, told in _FIELD.findall(value[1:-1]):
                out.setdefault(inner, _text(inner, told))
        elif value not in _NOTHING:
            out[key] = _decoded(value) if key in _ENCODED else value
    for key, value in _FIELD.findall(enriched):
        out[key] = value.strip('"')
    return out


def _text(key: str, value: str) -> str:
    """A value without quotes, decoded where the kernel writes untrusted text as hexadecimal."""
    if value[:1] == '"':
        return value[1:-1]
    if value in _NOTHING:
        return ""
    return _decoded(value) if key in _ENCODED else value


def _decoded(value: str) -> str:
    if _HEX.fullmatch(value) is None:
        return value
    return bytes.fromhex(value).decode("utf-8", "replace")


def _event(item: _Open, stream: Stream, bounded: Bounded, descriptors: Descriptors) -> Event | None:
    first = item.lines[0].line
    native = f"{item.time // SECOND}.{item.time % SECOND // 1_000_000:03}:{item.serial}"
    where = Where(stream.name, line=first, event_ids=(native,))
    id = f"{stream.name}#{first}"
    types = {line.type: line for line in reversed(item.lines)}
    if "SYSCALL" in types:
        made = call_event(_call(item, types), descriptors, bounded, id, where)
        also = [line for line in item.lines if line.type in tables().types]
        return _told(made, item, also, bounded) if also and made is not None else made
    lead = next((line for line in item.lines if line.type in tables().types), item.lines[0])
    told: dict[str, str] = {}
    for line in item.lines:
        told = {**_fields(line.data), **told}
    return record_event(lead.type, item.time, item.node, told, bounded, id, where)


def _told(made: Event, item: _Open, also: list[_Line], bounded: Bounded) -> Event:
    """An event with a call and a record that means more: a service started, access denied."""
    lead = also[0]
    told = record_event(
        lead.type, item.time, item.node, _fields(lead.data), bounded, made.id, made.where
    )
    return Event(
        *(told.id, told.time, told.host, told.verb, told.object, told.actor or made.actor),
        *(told.code, told.what, told.where, told.user or made.user, told.outcome or made.outcome),
        {**told.fields, "call": made.code},
    )


def _call(item: _Open, types: dict[str, _Line]) -> Call:
    told = _fields(types["SYSCALL"].data)
    arch, code = told.get("arch", ""), told.get("syscall", "")
    name = told.get("SYSCALL") or tables().numbers.get(arch, {}).get(code) or code
    title = _fields_of(types, "PROCTITLE").get("proctitle", "")
    address = _fields_of(types, "SOCKADDR").get("saddr", "")
    args = (_hexadecimal(told.get(key)) for key in ("a0", "a1", "a2", "a3"))
    return Call(
        name,
        item.time,
        number(told.get("pid")),
        number(told.get("ppid")),
        item.node,
        tuple(arg for arg in args if arg is not None),
        number(told.get("exit")),
        told.get("success") == "no",
        told.get("UID") or told.get("uid", ""),
        told.get("exe") or told.get("comm", ""),
        _line_of(title.split("\0")),
        _argv(item.lines),
        _fields_of(types, "CWD").get("cwd", ""),
        [path for line in item.lines if line.type == "PATH" and (path := _path(line.data))[0]],
        socket_address(address),
        _target(_fields_of(types, "OBJ_PID")),
        {key: value for key, value in told.items() if key not in _LEFT_OUT},
    )


def _fields_of(types: dict[str, _Line], type: str) -> dict[str, str]:
    return _fields(types[type].data) if type in types else {}


def _path(data: bytes) -> tuple[str, str]:
    """Name and role of a PATH record; two empty texts if it has none."""
    found = _PATH.search(data)
    if found is None:
        return "", ""
    return _text("name", found.group(1).decode("utf-8", "replace")), (
        found.group(2) or b""
    ).decode()


def _hexadecimal(text: str | None) -> int | None:
    try:
        return int(text, 16) if text and len(text) <= 16 else None
    except ValueError:
        return None


def _argv(lines: list[_Line]) -> str:
    """The command line that EXECVE records tell, arguments in pieces put together."""
    parts: dict[int, list[str]] = {}
    for line in lines:
        if line.type != "EXECVE":
            continue
        for key, value in _FIELD.findall(line.data.decode("utf-8", "replace")):
            if found := _ARGUMENT.fullmatch(key):
                text = value[1:-1] if value[:1] == '"' else _decoded(value)
                parts.setdefault(int(found.group(1)), []).append(text)
    return _line_of(["".join(parts[at]) for at in sorted(parts)])


def _line_of(argv: list[str]) -> str:
    """Arguments as one line; those with blanks in quotes."""
    return " ".join(f'"{arg}"' if not arg or " " in arg else arg for arg in argv).strip()


def _target(told: dict[str, Any]) -> Process | None:
    pid = number(told.get("opid"))
    return None if pid is None else Process(str(pid), pid, plain(told.get("ocomm")))


def socket_address(text: str) -> str:
    """``saddr`` (a struct sockaddr in hexadecimal) as ``address:port`` or the path of a socket."""
    if len(text) < 4 or _HEX.fullmatch(text) is None:
        return ""
    data = bytes.fromhex(text[:512])
    family = data[0] or data[1]  # little or big endian
    if family == 2 and len(data) >= 8:
        return endpoint(".".join(map(str, data[4:8])), int.from_bytes(data[2:4], "big"))
    if family == 10 and len(data) >= 24:
        return endpoint(_ipv6(data[8:24]), int.from_bytes(data[2:4], "big"))
    if family == 1:
        path = data[2:]
        abstract = path[:1] == b"\0"
        name = path[1:] if abstract else path
        return ("@" if abstract else "") + name.split(b"\0")[0].decode("utf-8", "replace")
    return ""


def _ipv6(data: bytes) -> str:
    from ipaddress import IPv6Address

    address = IPv6Address(data)
    return str(address.ipv4_mapped or address)
