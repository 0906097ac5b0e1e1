"""Events in the Elastic Common Schema: auditbeat (6 and later), Elastic Agent and Endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...opening.stream import Stream
from ...records import Event, Object, ObjectKind, Process, Rejected, Verb, Where
from .build import (
    Bounded,
    Records,
    Skipped,
    at,
    endpoint,
    host,
    json_rows,
    number,
    plain,
)
from .linux import Call, Descriptors, call_event, record_event
from .times import ns

_NONE = frozenset[str]()
_ACTIONS: dict[str, tuple[Verb, str]] = {  # a word of event.action or event.type: verb and meaning
    "process_started": ("start", "a process was created"),
    "process_stopped": ("end", "a process ended"),
    "existing_process": ("other", "a process was found running"),
    "exec": ("start", "a program was run"),
    "fork": ("fork", "a process was forked"),
    "start": ("start", "it was started"),
    "end": ("end", "it ended"),
    "creation": ("create", "it was created"),
    "created": ("create", "it was created"),
    "deletion": ("delete", "it was deleted"),
    "deleted": ("delete", "it was deleted"),
    "rename": ("rename", "it was renamed"),
    "moved": ("rename", "it was moved"),
    "updated": ("modify", "it was changed"),
    "attributes_modified": ("modify", "its attributes were changed"),
    "modification": ("modify", "it was changed"),
    "change": ("modify", "it was changed"),
    "overwrite": ("write", "it was overwritten"),
    "access": ("read", "it was read"),
    "load": ("load", "a library was loaded"),
    "user_login": ("logon", "a user logged in"),
    "user_logout": ("logoff", "a user logged out"),
    "connection": ("connect", "a network connection was made"),
    "network_flow": ("connect", "a network connection was made"),
    "lookup": ("query", "a host name was looked up"),
}
_OBJECTS: tuple[tuple[str, ObjectKind, tuple[str, ...], tuple[str, ...]], ...] = (
    # the category or dataset, the kind, where its name stands, and its value
    ("registry", "registry", ("registry.path",), ("registry.data.strings",)),
    ("library", "module", ("dll.path", "file.path"), ("dll.hash.sha256",)),
    ("driver", "module", ("dll.path", "file.path"), ()),
    ("dns", "dns", ("dns.question.name",), ("dns.answers",)),
    ("file", "file", ("file.path", "file.target_path"), ("file.Ext.original.path",)),
    ("network", "socket", (), ()),
    ("authentication", "session", ("user.target.name", "user.name"), ("source.ip",)),
    ("package", "file", ("package.name",), ("package.version",)),
    ("process", "process", ("process.executable", "process.name"), ("process.command_line",)),
)


def read(stream: Stream, skipped: Skipped) -> Records:
    """Every event of a file of JSON rows."""
    bounded = Bounded(stream.limits, skipped)
    descriptors = Descriptors(stream.limits.log_entities)
    for row in json_rows(stream):
        if isinstance(row, Rejected):
            yield row
            continue
        time = ns(row.value.get("@timestamp"))
        if time is None:
            yield Rejected(row.where, "an event without @timestamp", row.raw)
        elif isinstance(row.value.get("auditd"), dict):
            made = _audited(row.value, time, descriptors, bounded, row.id, row.where)
            if made is not None:
                yield made
        else:
            yield _general(row.value, time, bounded, row.id, row.where)


def is_ecs(row: Mapping[str, Any]) -> bool:
    """Whether a JSON object has the shape of an event of this schema."""
    if "@timestamp" not in row:
        return False
    parts = sum(isinstance(row.get(key), dict) for key in ("process", "event", "agent", "host"))
    return isinstance(row.get("auditd"), dict) or parts >= 2


def _first(row: Mapping[str, Any], places: tuple[str, ...]) -> Any:
    return next((value for place in places if (value := at(row, place)) not in (None, "")), None)


def _host(row: Mapping[str, Any]) -> str:
    return host(_first(row, ("host.name", "host.hostname", "beat.hostname", "agent.hostname")))


def _user(row: Mapping[str, Any]) -> str:
    names = ("user.name_map.uid", "user.name", "user.uid", "user.id")
    return plain(_first(row, names))


def _audited(
    row: dict[str, Any],
    time: int,
    descriptors: Descriptors,
    bounded: Bounded,
    id: str,
    where: Where,
) -> Event | None:
    """An event that auditbeat put together from the records of the kernel."""
    audit = row["auditd"]
    data = audit["data"] if isinstance(audit.get("data"), dict) else {}
    place = Where(where.path, where.line, where.byte, (plain(audit.get("sequence")),))
    name = data.get("syscall")
    if not isinstance(name, str):
        type = plain(audit.get("message_type") or at(row, "event.action") or "unknown").upper()
        told = {**data, "pid": at(row, "process.pid"), "exe": at(row, "process.executable")}
        told["res"] = audit.get("result")
        return record_event(type, time, _host(row), told, bounded, id, place)
    process = row["process"] if isinstance(row.get("process"), dict) else {}
    failed = audit.get("result") in ("fail", "failure")
    argv = process.get("args")
    found = audit.get("paths")
    paths = [
        (plain(path.get("name")), plain(path.get("nametype")))
        for path in (found if isinstance(found, list) else [])
        if isinstance(path, dict) and path.get("name")
    ]
    if not paths and (path := plain(at(row, "file.path"))):
        paths = [(path, "")]
    arguments = (plain(data.get(key)) for key in ("a0", "a1", "a2", "a3"))
    call = Call(
        name[:64],
        time,
        number(process.get("pid")),
        number(process.get("ppid", at(process, "parent.pid"))),
        _host(row),
        tuple(int(a, 16) for a in arguments if a and len(a) <= 16 and _is_hex(a)),
        number(data.get("exit")),
        failed,
        _user(row),
        plain(process.get("executable") or process.get("exe") or process.get("name")),
        plain(process.get("title")),
        " ".join(plain(arg) for arg in argv) if isinstance(argv, list) else plain(argv),
        plain(process.get("working_directory") or process.get("cwd")),
        paths,
        _address(row),
        fields={**{k: data[k] for k in ("exit", "tty") if k in data}, **_rest(row)},
    )
    return call_event(call, descriptors, bounded, id, place)


def _is_hex(text: str) -> bool:
    return all(char in "0123456789abcdefABCDEF" for char in text)


def _address(row: Mapping[str, Any]) -> str:
    """The far end of a socket: where it goes to, else where it comes from; or a path."""
    for side in ("destination", "source"):
        end = row.get(side)
        if isinstance(end, dict):
            address = end.get("ip") or end.get("address") or end.get("path")
            if address:
                return endpoint(address, end.get("port"))
    return ""


def _rest(row: Mapping[str, Any]) -> dict[str, Any]:
    """Who was logged in and how, and the rule that made the kernel log this."""
    names = {
        "auid": ("user.auid", "user.audit.id"),
        "euid": ("user.euid", "user.effective.id"),
        "ses": ("auditd.session",),
        "key": ("tags",),
        "comm": ("process.name",),
    }
    return {name: value for name, at in names.items() if (value := _first(row, at)) is not None}


def _general(row: dict[str, Any], time: int, bounded: Bounded, id: str, where: Where) -> Event:
    """An event told by its categories and types."""
    words = _words(row)
    verb, what = next((_ACTIONS[word] for word in words if word in _ACTIONS), ("other", ""))
    entry = next((entry for entry in _OBJECTS if entry[0] in words), None)
    kind: ObjectKind = entry[1] if entry else "other"
    name = bounded.text(_first(row, entry[2])) if entry else ""
    value = bounded.text(_first(row, entry[3])) if entry else ""
    actor = _process(row, "process", bounded)
    thing = Object(kind, name, value)
    if kind == "process":
        subject, actor = (
            actor,
            _process(row, "process.parent", bounded) if verb == "start" else actor,
        )
        thing = Object(kind, name, value, process=subject)
    elif kind == "socket":
        source, far = row.get("source"), _address(row)
        near = endpoint(at(row, "source.ip"), at(row, "source.port")) if source else ""
        if "ingress" in plain(at(row, "network.direction")) and verb == "connect":
            verb, far, near = "accept", near, far
        thing = Object(kind, far or near, "", far, near)
    code = plain(at(row, "event.dataset") or at(row, "event.module") or "ecs")
    outcome = at(row, "event.outcome")
    native = plain(at(row, "event.id"))
    return Event(
        id,
        time,
        _host(row),
        verb,
        thing,
        actor,
        f"{code}/{plain(at(row, 'event.action'))}"[:128],
        what if kind == "other" or what[:3] != "it " else f"{kind}: {what}",
        Where(where.path, where.line, where.byte, (native,) if native else ()),
        _user(row),
        outcome if outcome in ("success", "failure") else "",
        bounded.fields(_flattened(row), _NONE),
    )


def _words(row: Mapping[str, Any]) -> list[str]:
    """What the event says of itself, the most particular first."""
    out: list[str] = []
    for place in ("event.action", "event.type", "event.category", "event.dataset", "event.module"):
        value = at(row, place)
        for one in value if isinstance(value, list) else [value]:
            text = plain(one).lower()
            out += [text, *text.split(".")] if text else []
    if "file_integrity" in out:
        out.append("file")
    return out


def _process(row: Mapping[str, Any], place: str, bounded: Bounded) -> Process | None:
    found = at(row, place)
    if not isinstance(found, dict):
        return None
    pid = number(found.get("pid"))
    key = plain(found.get("entity_id"))[:128] or ("" if pid is None else str(pid))
    line = found.get("command_line") or found.get("args")
    made = Process(
        key,
        pid,
        bounded.text(found.get("executable") or found.get("name")),
        bounded.text(" ".join(map(plain, line)) if isinstance(line, list) else line),
        _user(row) if place == "process" else "",
        plain(at(found, "parent.entity_id") or at(found, "parent.pid") or found.get("ppid"))[:128],
    )
    return made if made.id or made.image else None


def _flattened(row: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """The leaves of nested objects under dotted names, four levels deep."""
    out: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and depth < 4:
            out.update(_flattened(value, f"{name}.", depth + 1))
        elif not prefix and key in ("@timestamp", "@metadata", "ecs", "agent", "message"):
            continue
        else:
            out[name] = value
    return out
