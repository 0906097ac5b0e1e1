"""Provenance in the Common Data Model of DARPA Transparent Computing, versions 18 and 20, as JSON.

Records define entities (subjects, files, connections, principals), which later events refer to;
``limits.log_entities`` of each kind are remembered, the last definition of an id counts, and an
entity that was never defined stands as its id. Definitions are no events: they are counted apart.
"""

from __future__ import annotations

from typing import Any

from ...opening.jsonio import Row
from ...opening.stream import Stream
from ...records import Event, Object, ObjectKind, Process, Rejected, Verb, Where
from .build import (
    ZERO_GUID,
    Bounded,
    Records,
    Remembered,
    Skipped,
    endpoint,
    host,
    json_rows,
    number,
    plain,
)

VERSIONS = ("18", "20")
_NONE = frozenset[str]()
_TYPES: dict[str, tuple[Verb, str]] = {  # type of event: verb and meaning
    "ACCEPT": ("accept", "a connection was accepted"),
    "ADD_OBJECT_ATTRIBUTE": ("modify", "an attribute was added to an object"),
    "BIND": ("listen", "a socket was bound to an address"),
    "BLIND": ("other", "the recorder lost sight of a process"),
    "BOOT": ("start", "the system was booted"),
    "CHANGE_PRINCIPAL": ("grant", "a process changed its user"),
    "CHECK_FILE_ATTRIBUTES": ("access", "the attributes of a file were looked at"),
    "CLONE": ("fork", "a process or thread was forked"),
    "CONNECT": ("connect", "a connection was made"),
    "CORRELATION": ("other", "two objects were found to be related"),
    "CREATE_OBJECT": ("create", "an object was created"),
    "CREATE_THREAD": ("fork", "a thread was created"),
    "EXECUTE": ("start", "a program was run"),
    "EXIT": ("end", "a process ended"),
    "FINIT_MODULE": ("load", "a kernel module was loaded"),
    "FLOWS_TO": ("other", "data flowed from one object to another"),
    "FORK": ("fork", "a process was forked"),
    "INIT_MODULE": ("load", "a kernel module was loaded"),
    "LINK": ("link", "a link to a file was made"),
    "LOADLIBRARY": ("load", "a library was loaded"),
    "LOGCLEAR": ("clear", "a log was cleared"),
    "LOGIN": ("logon", "a user logged in"),
    "LOGOUT": ("logoff", "a user logged out"),
    "MMAP": ("load", "a file was mapped into memory"),
    "MODIFY_FILE_ATTRIBUTES": ("modify", "the attributes of a file were changed"),
    "MODIFY_PROCESS": ("modify", "a process was changed"),
    "MOUNT": ("modify", "a file system was mounted"),
    "MPROTECT": ("modify", "the protection of memory was changed"),
    "OPEN": ("open", "an object was opened"),
    "READ": ("read", "data was read"),
    "READ_SOCKET_PARAMS": ("query", "the parameters of a socket were read"),
    "RECVFROM": ("receive", "data was received"),
    "RECVMSG": ("receive", "data was received"),
    "RENAME": ("rename", "a file was renamed"),
    "SENDMSG": ("send", "data was sent"),
    "SENDTO": ("send", "data was sent"),
    "SERVICEINSTALL": ("install", "a service was installed"),
    "SHM": ("access", "shared memory was used"),
    "SIGNAL": ("signal", "a signal was sent to a process"),
    "SPLICE": ("write", "data was moved between descriptors"),
    "STARTSERVICE": ("start", "a service was started"),
    "TEE": ("write", "data was copied between descriptors"),
    "TRUNCATE": ("write", "a file was cut to a length"),
    "UMOUNT": ("modify", "a file system was unmounted"),
    "UNLINK": ("delete", "a file was deleted"),
    "UPDATE": ("other", "an object took a new version"),
    "VMSPLICE": ("write", "memory was moved into a pipe"),
    "WRITE": ("write", "data was written"),
    "WRITE_SOCKET_PARAMS": ("modify", "the parameters of a socket were changed"),
}
_DESCRIPTORS = ("CLOSE", "DUP", "FCNTL", "LSEEK", "UNIT", "WAIT")  # say nothing of what was done
_KINDS: dict[str, ObjectKind] = {
    "FileObject": "file",
    "RegistryKeyObject": "registry",
    "NetFlowObject": "socket",
    "UnnamedPipeObject": "pipe",
    "IpcObject": "pipe",
    "MemoryObject": "memory",
    "SrcSinkObject": "device",
    "PacketSocketObject": "socket",
}
_PATHS = ("path", "filename", "name", "partial_path", "address")
_BARE = {"string", "int", "long", "map", "array", "bytes", "boolean", "double", "float"}
_NOT_KNOWN = ("", "N/A", "NA", "<unknown>", "LOCAL")


def read(stream: Stream, skipped: Skipped) -> Records:
    """Every event of a file of CDM records."""
    told = _Told(stream, skipped)
    for row in json_rows(stream):
        if isinstance(row, Rejected):
            yield row
        elif (made := told.record(row)) is not None:
            yield made


def is_cdm(row: dict[str, Any]) -> bool:
    """Whether a JSON object is a CDM record."""
    return isinstance(row.get("datum"), dict) and "CDMVersion" in row


def bare(value: Any) -> Any:
    """A value of Avro JSON without the one-key object that names the branch of its union."""
    if isinstance(value, dict) and len(value) == 1:
        key = next(iter(value))
        if key in _BARE or key.startswith("com.bbn."):
            return value[key]
    return value


class _Told:
    """What the records so far have told of hosts, users, processes and objects."""

    def __init__(self, stream: Stream, skipped: Skipped) -> None:
        most = stream.limits.log_entities
        self.skipped, self.bounded = skipped, Bounded(stream.limits, skipped)
        self.hosts: Remembered[str] = Remembered(most)
        self.users: Remembered[str] = Remembered(most)
        self.subjects: Remembered[Process] = Remembered(most)
        self.objects: Remembered[Object] = Remembered(most)

    def record(self, row: Row) -> Event | Rejected | None:
        """The event of a record; None for one that defines an entity."""
        datum, version = row.value.get("datum"), plain(row.value.get("CDMVersion"))
        if not isinstance(datum, dict) or len(datum) != 1:
            return Rejected(row.where, "not a CDM record: no datum of one type", row.raw)
        if version not in VERSIONS:
            reason = f"CDM version {version[:16] or 'unknown'}; {' and '.join(VERSIONS)} are read"
            return Rejected(row.where, reason, row.raw)
        name, value = next(iter(datum.items()))
        kind = name.rpartition(".")[2]
        if not isinstance(value, dict):
            return Rejected(row.where, f"broken CDM record: {kind[:40]} is no object", row.raw)
        if kind == "Event":
            return self._event(row, value)
        self.skipped[f"definition of a {kind[:40]}"] += 1
        key = _key(value.get("uuid"))
        if kind == "Subject":
            self.subjects.store(key, self._process(key, value))
        elif kind == "Principal":
            user = plain(bare(value.get("username"))) or plain(bare(value.get("userId")))
            self.users.store(key, user[:256])
        elif kind == "Host":
            self.hosts.store(key, host(bare(value.get("hostName"))))
        elif kind in _KINDS:
            self.objects.store(key, self._object(_KINDS[kind], key, value))
        return None

    def _process(self, key: str, value: dict[str, Any]) -> Process:
        told = _properties(value)
        line = self.bounded.text(bare(value.get("cmdLine")))
        image = plain(told.get("path")) or plain(told.get("name"))
        if not image and line:
            image = line.split(" ", 1)[0].strip('"')
        user = self.users.get(_key(bare(value.get("localPrincipal"))), "")
        parent = _key(bare(value.get("parentSubject")))
        return Process(key, number(value.get("cid")), self.bounded.text(image), line, user, parent)

    def _object(self, kind: ObjectKind, key: str, value: dict[str, Any]) -> Object:
        if kind == "socket":
            far = _end(value.get("remoteAddress"), value.get("remotePort"))
            near = _end(value.get("localAddress"), value.get("localPort"))
            return Object("socket", far or near or key, "", far, near)
        if kind == "registry":
            return Object("registry", self.bounded.text(bare(value.get("key"))) or key)
        base = value.get("baseObject")
        told = _properties(base if isinstance(base, dict) else {})
        name = next((text for part in _PATHS if (text := _known(told.get(part)))), "")
        subtype = plain(value.get("type"))
        if subtype.endswith("_SOCKET") or "SOCKET_" in subtype:
            kind = "socket"
        elif subtype.endswith("NAMED_PIPE"):
            kind = "pipe"
        return Object(kind, self.bounded.text(name) or key)

    def _event(self, row: Row, value: dict[str, Any]) -> Event | Rejected | None:
        type = plain(value.get("type")).removeprefix("EVENT_")
        if type in _DESCRIPTORS:
            self.skipped[f"event of type {type}"] += 1
            return None
        time = number(value.get("timestampNanos"))
        if not time:
            return Rejected(row.where, "an event without a time", row.raw)
        verb, what = _TYPES.get(type, ("other", ""))
        told = _properties(value)
        actor = self._actor(_key(bare(value.get("subject"))), told)
        thing = self._thing(value, verb, told, actor)
        if thing.kind == "socket":
            verb = {"read": "receive", "write": "send"}.get(verb, verb)  # type: ignore[assignment]
        elif verb == "start" and type == "EXECUTE" and actor is not None:
            actor, thing = self._ran(actor, thing)
        elif verb == "end":
            thing = Object("process", actor.image if actor else "", process=actor)
        for part in ("size", "name", "names"):
            if (found := bare(value.get(part))) is not None:
                told[part] = found
        place = plain(bare(row.value.get("hostId")) or bare(value.get("hostId")))
        key = _key(value.get("uuid"))
        return Event(
            row.id,
            time,
            self.hosts.get(_key(place)) or host(place),
            verb,
            thing,
            actor,
            f"cdm/{type}"[:128],
            what,
            Where(row.where.path, row.where.line, row.where.byte, (key,) if key else ()),
            actor.user if actor else "",
            "",
            self.bounded.fields(told, _NONE),
        )

    def _actor(self, key: str, told: dict[str, Any]) -> Process | None:
        if not key:
            return None
        known = self.subjects.get(key) or Process(key)
        image = plain(told.get("exec"))
        if not image or image == known.image:
            return known
        return Process(
            key, known.pid, self.bounded.text(image), known.command_line, known.user, known.parent
        )

    def _thing(
        self, value: dict[str, Any], verb: Verb, told: dict[str, Any], actor: Process | None
    ) -> Object:
        """What an event was done to: the first object, and the second as what it became."""
        first = self._one(value, "predicateObject", verb, told, actor)
        second = self._one(value, "predicateObject2", verb, {}, actor)
        if second is None:
            return first or Object("other")
        if first is None:
            return second
        return Object(first.kind, first.name, second.name, first.remote, first.local, first.process)

    def _one(
        self,
        value: dict[str, Any],
        part: str,
        verb: Verb,
        told: dict[str, Any],
        actor: Process | None,
    ) -> Object | None:
        key = _key(bare(value.get(part)))
        process = actor if actor and key == actor.id else self.subjects.get(key)
        if process is not None or (key and verb in ("fork", "signal")):
            process = process or Process(key)
            return Object("process", process.image or process.id, process=process)
        known = self.objects.get(key)
        if known is not None and known.kind == "socket":
            return known
        if told.get("port") and (far := _end(told.get("address"), told.get("port"))):
            return Object("socket", far, "", far)
        path = _known(bare(value.get(f"{part}Path")))
        path = path or _known(told.get("partial_path")) or _known(told.get("address"))
        if path:
            return Object(known.kind if known else "file", self.bounded.text(path))
        return known or (Object("other", key) if key else None)

    def _ran(self, actor: Process, thing: Object) -> tuple[Process | None, Object]:
        """The parent, and the process that now runs the file."""
        parent = self.subjects.get(actor.parent) if actor.parent else None
        if parent is None and actor.parent:
            parent = Process(actor.parent)
        named = thing.kind == "file" and thing.name
        image = thing.name if named else actor.image
        process = Process(actor.id, actor.pid, image, actor.command_line, actor.user, actor.parent)
        return parent, Object("process", image, actor.command_line, process=process)


def _key(value: Any) -> str:
    """A UUID as text in lower case; empty for none and for the zero UUID."""
    if not isinstance(value, str) or len(value) > 64:
        return ""
    if len(value) == 16:  # stock Avro JSON: the bytes, each as a character
        value = value.encode("latin-1", "replace").hex()
    text = value.lower()
    return "" if text in (ZERO_GUID, "0" * 32) else plain(text)


def _properties(value: dict[str, Any]) -> dict[str, Any]:
    found = bare(value.get("properties"))
    return dict(found) if isinstance(found, dict) else {}


def _known(value: Any) -> str:
    text = plain(value)
    return "" if text in _NOT_KNOWN else text


def _end(address: Any, port: Any) -> str:
    text = _known(bare(address))
    return "" if text.startswith("<UNNAMED") else endpoint(text, bare(port))
