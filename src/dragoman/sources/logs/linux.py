"""One Linux system call or audit record -> ``Event``, by the tables in `linux.toml`."""

from __future__ import annotations

import posixpath
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from ...records import Event, Object, ObjectKind, Process, Verb, Where
from .build import Bounded, Remembered, host, number, plain

_NONE = frozenset[str]()
_CREATED, _DELETED, _PARENT = "CREATE", "DELETE", "PARENT"
_THREAD = 0x10000  # CLONE_THREAD
_MADE_FD = ("open", "openat", "openat2", "creat", "accept", "accept4", "memfd_create")
_SILENT = ("close", "dup", "dup2", "dup3", "fcntl")
_HOPS = 8  # forks that a descriptor is followed back through


class Rule(NamedTuple):
    """A line of the table."""

    verb: Verb
    kind: ObjectKind
    what: str
    object: str = "none"
    name: tuple[str, ...] = ()
    value: Any = None  # of a call: the number of the argument; of a record: names of fields
    flags: int | None = None  # the argument that holds the flags of open(2)


class Tables(NamedTuple):
    """Rules by system call and by record type; names of calls by architecture and number."""

    calls: Mapping[str, Rule]
    types: Mapping[str, Rule]
    numbers: Mapping[str, Mapping[str, str]]


@cache
def tables() -> Tables:
    """The tables, read once."""
    parts = tomllib.loads((files(__package__) / "linux.toml").read_text("utf-8"))
    return Tables(
        {name: Rule(**line) for name, line in parts["calls"].items()},
        {name: Rule(**line) for name, line in parts["types"].items()},
        {
            arch: {str(code): name for name, code in names.items()}
            for arch, names in parts["numbers"].items()
        },
    )


@dataclass(slots=True)
class Call:
    """A system call as its records tell it. ``args``: the first four, as numbers."""

    name: str
    time: int
    pid: int | None
    ppid: int | None
    host: str = ""
    args: tuple[int, ...] = ()
    exit: int | None = None
    failed: bool = False
    user: str = ""
    image: str = ""
    title: str = ""  # the command line of the caller, after the call
    argv: str = ""  # what was run
    cwd: str = ""
    paths: list[tuple[str, str]] = field(default_factory=list)  # name, and its role in the call
    address: str = ""
    target: Process | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


class Descriptors:
    """What open file descriptors stand for, by process; inherited over fork, bounded."""

    def __init__(self, most: int) -> None:
        self._open: Remembered[Object] = Remembered(most)
        self._parents: Remembered[int] = Remembered(most)

    def follow(self, call: Call, thing: Object) -> None:
        """Take note of what a successful call opened, closed, copied or forked."""
        if call.failed or call.pid is None:
            return
        key, name = f"{call.host} {call.pid}", call.name
        first = call.args[0] if call.args else None
        if name in _MADE_FD and call.exit is not None and thing.name:
            self._open.store(f"{key} {call.exit}", thing)
        elif name in ("connect", "bind") and first is not None and thing.name:
            self._open.store(f"{key} {first}", thing)
        elif name in ("dup", "dup2", "dup3", "fcntl") and call.exit is not None:
            found = self.get(call, first) if first is not None else None
            if found is not None and (name != "fcntl" or call.args[1:2] in ((0,), (1030,))):
                self._open.store(f"{key} {call.exit}", found)
        elif name == "close" and first is not None:
            self._open.pop(f"{key} {first}", None)
        elif name in ("fork", "vfork", "clone", "clone3") and call.exit:
            self._parents.store(f"{call.host} {call.exit}", call.pid)

    def get(self, call: Call, fd: int) -> Object | None:
        """What a descriptor of the calling process stands for, if that was seen."""
        pid: int | None = call.pid
        for _ in range(_HOPS):
            found = self._open.get(f"{call.host} {pid} {fd}")
            if found is not None or pid is None:
                return found
            pid = self._parents.get(f"{call.host} {pid}")
        return None


def call_event(
    call: Call, descriptors: Descriptors, bounded: Bounded, id: str, where: Where
) -> Event | None:
    """The event of a system call; one without a rule becomes verb ``other``.

    None for calls that only close or copy a descriptor: they are followed, and counted as skipped.
    """
    if call.name in _SILENT:
        descriptors.follow(call, Object("other"))
        bounded.skipped[f"system call {call.name}"] += 1
        return None
    rule = tables().calls.get(call.name)
    pid = "" if call.pid is None else str(call.pid)
    parent = "" if call.ppid is None else str(call.ppid)
    actor: Process | None = Process(
        pid, call.pid, bounded.text(call.image), bounded.text(call.title), call.user, parent
    )
    verb: Verb = "other"
    if rule is None:
        thing = Object("other", call.paths[0][0][:4096] if call.paths else "")
    else:
        verb = _verb(rule, call)
        thing = _thing(rule, call, descriptors, bounded)
        if thing.process is not None and rule.object == "program":
            actor = Process(parent, call.ppid) if call.ppid is not None else None
    descriptors.follow(call, thing)
    fields = bounded.fields(call.fields, _NONE)
    if call.cwd:
        fields["cwd"] = call.cwd[: bounded.limits.event_field]
    return Event(
        id,
        call.time,
        host(call.host),
        verb,
        thing,
        actor if call.pid is not None else None,
        f"syscall/{call.name}"[:128],
        rule.what if rule else "",
        where,
        call.user,
        "failure" if call.failed else "success",
        fields,
    )


def record_event(
    type: str,
    time: int,
    node: str,
    told: Mapping[str, Any],
    bounded: Bounded,
    id: str,
    where: Where,
) -> Event:
    """The event of a record that stands by itself, such as a login."""
    rule = tables().types.get(type, Rule("other", "other", ""))
    pid = number(told.get("pid"))
    image = bounded.text(told.get("exe") or told.get("comm"))
    user = plain(told.get("UID") or told.get("uid"))
    actor = None
    if pid is not None:
        actor = Process(str(pid), pid, image, "", user, plain(told.get("ppid")))
    name = next((text for key in rule.name if (text := bounded.text(told.get(key)))), "")
    value = next((text for key in rule.value or () if (text := bounded.text(told.get(key)))), "")
    result = plain(told.get("res") or told.get("result") or told.get("success")).lower()
    good, bad = ("success", "yes", "1"), ("failed", "fail", "no", "0")
    remote = plain(told.get("addr"))
    return Event(
        id,
        time,
        host(node),
        rule.verb,
        Object(rule.kind, name, value, remote, "", actor if rule.kind == "process" else None),
        actor,
        f"audit/{type}"[:128],
        rule.what,
        where,
        user,
        "success" if result in good else "failure" if result in bad else "",
        bounded.fields(told, _NONE),
    )


def _verb(rule: Rule, call: Call) -> Verb:
    """Opening for reading reads, for writing writes; what was not there before is created."""
    if rule.verb != "open" or call.name == "chdir":
        return rule.verb
    if any(role == _CREATED for _, role in call.paths):
        return "create"
    if rule.flags is None or len(call.args) <= rule.flags:
        return "open"
    return "write" if call.args[rule.flags] & 3 else "read"


def _thing(rule: Rule, call: Call, descriptors: Descriptors, bounded: Bounded) -> Object:
    kind, how = rule.kind, rule.object
    value = ""
    if isinstance(rule.value, int) and len(call.args) > rule.value:
        value = f"{call.args[rule.value]:o}"
    if how == "program":
        return _program(call, bounded)
    if how == "child":
        return _child(call)
    if how == "self":
        pid = str(call.pid or "")
        return Object(kind, call.image, process=Process(pid, call.pid, bounded.text(call.image)))
    if how in ("pid0", "pid1"):
        return _other_process(call, int(how[-1]))
    if how == "ids":
        return Object(kind, str(call.args[0]) if call.args else "")
    if how == "pair":
        old, new = _pair(call)
        return Object(kind, bounded.text(old), bounded.text(new))
    if how == "socket" and call.address:
        address = bounded.text(call.address)
        near = rule.verb == "listen"
        return Object(kind, address, value, "" if near else address, address if near else "")
    if how == "path" and call.paths:
        return Object(kind, bounded.text(_path(call)), value)
    if how in ("fd", "path", "socket") and call.args:
        found = descriptors.get(call, call.args[0])
        return found or Object(kind, f"fd:{call.args[0]}" if call.args[0] < 1 << 31 else "", value)
    return Object(kind, "", value)


def _program(call: Call, bounded: Bounded) -> Object:
    """What execve ran: the calling process from then on. One that failed left it as it was."""
    path = _full(call.paths[0][0], call.cwd) if call.paths else call.image
    command = bounded.text(call.argv or call.title)
    if call.failed:
        return Object("file", bounded.text(path), command)
    image = bounded.text(call.image or path)
    parent = "" if call.ppid is None else str(call.ppid)
    process = Process(str(call.pid or ""), call.pid, image, command, call.user, parent)
    return Object("process", image, command, process=process)


def _child(call: Call) -> Object:
    if not call.exit or call.failed:
        return Object("process")
    thread = call.name == "clone" and bool(call.args and call.args[0] & _THREAD)
    if thread:
        return Object("thread", str(call.exit))
    child = Process(str(call.exit), call.exit, call.image, call.title, call.user, str(call.pid))
    return Object("process", call.image, process=child)


def _other_process(call: Call, argument: int) -> Object:
    process = call.target
    if process is None and len(call.args) > argument and 0 < call.args[argument] < 1 << 31:
        pid = call.args[argument]
        process = Process(str(pid), pid)
    name = (process.image or process.id) if process else ""
    return Object("process", name, process=process)


def _path(call: Call) -> str:
    """The path acted on: that created or deleted, else the last that is not a directory above."""
    for wanted in (_CREATED, _DELETED):
        for name, role in call.paths:
            if role == wanted:
                return _full(name, call.cwd)
    own = [name for name, role in call.paths if role != _PARENT]
    return _full(own[0] if own else call.paths[-1][0], call.cwd)


def _pair(call: Call) -> tuple[str, str]:
    """Old and new name of a rename; target and name of a link."""
    old = [name for name, role in call.paths if role in (_DELETED, "NORMAL", "UNKNOWN")]
    new = [name for name, role in call.paths if role == _CREATED]
    if call.name.startswith("rename"):
        old = [name for name, role in call.paths if role == _DELETED] or old
    first, last = old[0] if old else "", new[-1] if new else ""
    return _full(first, call.cwd), _full(last, call.cwd)


def _full(name: str, cwd: str) -> str:
    """A path made absolute, if the working directory is known, and without ``.`` and ``..``."""
    if not name or len(name) > 8192:
        return name
    path = name if name.startswith("/") or not cwd else f"{cwd}/{name}"
    return posixpath.normpath(path) if "/." in path or "//" in path else path
