"""Events normalised by the Endgame event query library: one flat object for each."""

from __future__ import annotations

from typing import Any

from ...opening.jsonio import Row
from ...opening.stream import Stream
from ...records import Event, Object, ObjectKind, Process, Rejected, Verb
from .build import Bounded, Records, Skipped, endpoint, guid, host, json_rows, number, plain
from .times import filetime

_Known = tuple[Verb, ObjectKind, str, tuple[str, ...], tuple[str, ...]]
_PROGRAM = ("process_path", "process_name")
_KEY = ("registry_path", "registry_key")
_EVENTS: dict[str, _Known] = {
    # type, or type with subtype: verb, kind, meaning, the fields of the name and of the value
    "process": ("start", "process", "a process was created", _PROGRAM, ("command_line",)),
    "process fork": ("fork", "process", "a process was forked", _PROGRAM, ()),
    "process terminate": ("end", "process", "a process ended", _PROGRAM, ()),
    "file": ("write", "file", "a file was created or changed", ("file_path",), ()),
    "file create": ("create", "file", "a file was created", ("file_path",), ()),
    "file modify": ("write", "file", "a file was changed", ("file_path",), ()),
    "file delete": ("delete", "file", "a file was deleted", ("file_path",), ()),
    "file rename": ("rename", "file", "a file was renamed", ("old_file_path",), ("file_path",)),
    "registry": ("set", "registry", "a registry key or value changed", _KEY, ("registry_data",)),
    "network": ("connect", "socket", "a network connection was made", (), ()),
    "network incoming": ("accept", "socket", "a network connection was accepted", (), ()),
    "network disconnect": ("other", "socket", "a network connection ended", (), ()),
    "image_load": ("load", "module", "a library was loaded", ("image_path", "image_name"), ()),
    "driver": ("load", "module", "a driver was loaded into the kernel", ("image_path",), ()),
    "dns": ("query", "dns", "a host name was looked up", ("query_name",), ()),
    "security": ("logon", "session", "an account logged on", ("user",), ()),
    "powershell": ("run", "script", "a PowerShell command ran", ("script_name",), ("command",)),
    "wmi": ("create", "wmi", "a WMI object was registered", ("name",), ("query",)),
}
_OTHER: _Known = ("other", "other", "", (), ())
_PROCESS_WORDS = """
event_type subtype pid ppid process_name process_path parent_process_name parent_process_path
unique_pid unique_ppid timestamp command_line user
"""
_PROCESS = frozenset(_PROCESS_WORDS.split())


def read(stream: Stream, skipped: Skipped) -> Records:
    """Every event of a file of normalised events."""
    bounded = Bounded(stream.limits, skipped)
    for row in json_rows(stream):
        yield row if isinstance(row, Rejected) else _event(row, bounded)


def is_eql(row: dict[str, Any]) -> bool:
    """Whether a JSON object is a normalised event."""
    return isinstance(row.get("event_type"), str) and number(row.get("timestamp")) is not None


def _event(row: Row, bounded: Bounded) -> Event | Rejected:
    value = row.value
    if not is_eql(value):
        return Rejected(row.where, "not a normalised event: no event_type and timestamp", row.raw)
    time = filetime(number(value["timestamp"]) or 0)
    if time is None:
        return Rejected(row.where, "an event without a time", row.raw)
    type = value["event_type"].lower()
    subtype = plain(value.get("subtype")).lower()
    known = _EVENTS.get(f"{type} {subtype}") or _EVENTS.get(type, _OTHER)
    verb, kind, what, names, values = known

    def first(fields: tuple[str, ...]) -> str:
        return next((text for name in fields if (text := bounded.text(value.get(name)))), "")

    process = _process(value, first)
    actor: Process | None = process
    thing = Object(kind, first(names), first(values))
    if kind == "process":
        actor = _parent(value, first) if verb in ("start", "fork") else process
        thing = Object(kind, thing.name, thing.value, process=process)
    elif kind == "socket":
        far = endpoint(value.get("destination_address"), value.get("destination_port"))
        near = endpoint(value.get("source_address"), value.get("source_port"))
        far, near = (near, far) if verb == "accept" else (far, near)
        thing = Object(kind, far or near, "", far, near)
    told = _PROCESS.union(names, values)
    return Event(
        row.id,
        time,
        host(value.get("hostname") or value.get("host")),
        verb,
        thing,
        actor,
        f"eql/{type}{'_' + subtype if subtype else ''}"[:128],
        what,
        row.where,
        first(("user", "user_name")),
        "",
        bounded.fields(value, told),
    )


def _process(value: dict[str, Any], first: Any) -> Process | None:
    pid = number(value.get("pid"))
    key = guid(value.get("unique_pid")) or ("" if pid is None else str(pid))
    image = first(("process_path", "process_name"))
    if not key and not image:
        return None
    user = first(("user", "user_name"))
    parent = guid(value.get("unique_ppid")) or plain(value.get("ppid"))
    return Process(key, pid, image, first(("command_line",)), user, parent)


def _parent(value: dict[str, Any], first: Any) -> Process | None:
    pid = number(value.get("ppid"))
    key = guid(value.get("unique_ppid")) or ("" if pid is None else str(pid))
    image = first(("parent_process_path", "parent_process_name"))
    return Process(key, pid, image) if key or image else None
