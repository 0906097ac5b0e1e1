"""Events of DARPA OpTC in the eCAR format: JSON lines of object, action, actor and properties."""

from __future__ import annotations

from typing import Any

from ...opening.jsonio import Row
from ...opening.stream import Stream
from ...records import Event, Object, ObjectKind, Process, Rejected, Verb, Where
from .build import Bounded, Records, Skipped, endpoint, guid, host, json_rows, number, plain
from .times import ns

_KINDS: dict[str, tuple[ObjectKind, tuple[str, ...], tuple[str, ...]]] = {
    # object: kind, the properties that may name it, and those of its value
    "PROCESS": ("process", ("image_path",), ("command_line",)),
    "FILE": ("file", ("file_path",), ("new_path",)),
    "FLOW": ("socket", (), ()),
    "MODULE": ("module", ("module_path",), ()),
    "REGISTRY": ("registry", ("key",), ("data", "value")),
    "SERVICE": ("service", ("name", "service_name"), ("path", "image_path")),
    "SHELL": ("script", ("context_info",), ("payload",)),
    "TASK": ("task", ("task_name",), ("path",)),
    "THREAD": ("thread", ("start_address",), ()),
    "USER_SESSION": ("session", ("user",), ("requesting_user",)),
    "HOST": ("other", (), ()),
}
_ACTIONS: dict[tuple[str, str], tuple[Verb, str]] = {
    ("PROCESS", "CREATE"): ("start", "a process was created"),
    ("PROCESS", "OPEN"): ("access", "a process opened another process"),
    ("PROCESS", "TERMINATE"): ("end", "a process ended"),
    ("FILE", "CREATE"): ("create", "a file was created"),
    ("FILE", "DELETE"): ("delete", "a file was deleted"),
    ("FILE", "MODIFY"): ("write", "a file was changed"),
    ("FILE", "READ"): ("read", "a file was read"),
    ("FILE", "RENAME"): ("rename", "a file was renamed"),
    ("FILE", "WRITE"): ("write", "a file was written"),
    ("FLOW", "START"): ("connect", "a network flow began"),
    ("FLOW", "OPEN"): ("listen", "a socket was opened"),
    ("FLOW", "MESSAGE"): ("send", "data passed through a network flow"),
    ("MODULE", "LOAD"): ("load", "a process loaded a library"),
    ("REGISTRY", "ADD"): ("create", "a registry key or value was added"),
    ("REGISTRY", "EDIT"): ("set", "a registry value was set"),
    ("REGISTRY", "REMOVE"): ("delete", "a registry key or value was removed"),
    ("SERVICE", "CREATE"): ("install", "a service was installed"),
    ("SERVICE", "DELETE"): ("delete", "a service was deleted"),
    ("SERVICE", "MODIFY"): ("modify", "a service was changed"),
    ("SERVICE", "START"): ("start", "a service was started"),
    ("SERVICE", "STOP"): ("end", "a service was stopped"),
    ("SHELL", "COMMAND"): ("run", "a shell command ran"),
    ("TASK", "CREATE"): ("schedule", "a scheduled task was created"),
    ("TASK", "DELETE"): ("delete", "a scheduled task was deleted"),
    ("TASK", "MODIFY"): ("modify", "a scheduled task was changed"),
    ("TASK", "START"): ("start", "a scheduled task was started"),
    ("THREAD", "CREATE"): ("fork", "a thread was created"),
    ("THREAD", "REMOTE_CREATE"): ("inject", "a process created a thread in another process"),
    ("THREAD", "TERMINATE"): ("end", "a thread ended"),
    ("USER_SESSION", "GRANT"): ("grant", "privileges were given to a session"),
    ("USER_SESSION", "INTERACTIVE"): ("logon", "a user logged on at the console"),
    ("USER_SESSION", "LOGIN"): ("logon", "a user logged on"),
    ("USER_SESSION", "LOGOUT"): ("logoff", "a user logged off"),
    ("USER_SESSION", "RDP"): ("logon", "a user logged on by remote desktop"),
    ("USER_SESSION", "REMOTE"): ("logon", "a user logged on over the network"),
    ("USER_SESSION", "UNLOCK"): ("logon", "the workstation was unlocked"),
    ("HOST", "START"): ("start", "the system was booted"),
}
_TOLD_WORDS = """
image_path command_line parent_image_path file_path new_path module_path key data src_ip
src_port dest_ip dest_port payload task_name user
"""
_TOLD = frozenset(_TOLD_WORDS.split())


def read(stream: Stream, skipped: Skipped) -> Records:
    """Every event of a file of eCAR records."""
    bounded = Bounded(stream.limits, skipped)
    for row in json_rows(stream):
        yield row if isinstance(row, Rejected) else _event(row, bounded)


def is_ecar(row: dict[str, Any]) -> bool:
    """Whether a JSON object is an eCAR record."""
    return all(isinstance(row.get(key), str) for key in ("object", "action", "actorID"))


def _event(row: Row, bounded: Bounded) -> Event | Rejected:
    value = row.value
    if not is_ecar(value):
        return Rejected(row.where, "not an eCAR record: no object, action and actorID", row.raw)
    time = ns(value.get("timestamp")) or ns(value.get("timestamp_ms"))
    if time is None:
        return Rejected(row.where, "an event without a time", row.raw)
    told = value["properties"] if isinstance(value.get("properties"), dict) else {}
    what, action = value["object"].upper(), value["action"].upper()
    kind, names, values = _KINDS.get(what, ("other", (), ()))
    verb, meaning = _ACTIONS.get((what, action), ("other", ""))
    first = _first(bounded, told)
    user = plain(value.get("principal"))[:256]
    actor = _actor(value, told, first, user, what, action)
    thing = Object(kind, first(names), first(values))
    if kind == "registry" and thing.name and (told_value := first(("value",))):
        thing = Object(kind, f"{thing.name}\\{told_value}", first(("data",)))
    elif kind == "socket":
        verb, thing = _flow(told, verb)
    elif kind in ("process", "thread"):
        process = _target(value, told, first, kind)
        thing = Object(kind, thing.name, thing.value, process=actor if verb == "end" else process)
    elif kind == "session":
        thing = Object(
            kind, thing.name, thing.value, endpoint(told.get("src_ip"), told.get("src_port"))
        )
    native = plain(value.get("id"))[:128]
    return Event(
        row.id,
        time,
        host(value.get("hostname")),
        verb,
        thing,
        actor,
        f"ecar/{what}_{action}"[:128],
        meaning,
        Where(row.where.path, row.where.line, row.where.byte, (native,) if native else ()),
        user,
        "",
        bounded.fields(told, _TOLD),
    )


def _first(bounded: Bounded, told: dict[str, Any]) -> Any:
    def first(names: tuple[str, ...]) -> str:
        return next((text for name in names if (text := bounded.text(told.get(name)))), "")

    return first


def _actor(
    value: dict[str, Any], told: dict[str, Any], first: Any, user: str, what: str, action: str
) -> Process | None:
    """Who acts: the process itself, but for one that begins its parent."""
    key = guid(value["actorID"])
    if not key:
        return None
    if (what, action) == ("PROCESS", "CREATE"):
        return Process(key, number(value.get("ppid")), first(("parent_image_path",)))
    pid = number(told.get("src_pid")) if what == "THREAD" else number(value.get("pid"))
    own = "" if what in ("SERVICE",) else first(("image_path",))
    line = first(("command_line",)) if what == "PROCESS" and action == "TERMINATE" else ""
    return Process(key, pid, own, line, user)


def _target(value: dict[str, Any], told: dict[str, Any], first: Any, kind: str) -> Process | None:
    if kind == "thread":
        key, pid = guid(told.get("tgt_pid_uuid")), number(told.get("tgt_pid"))
        return Process(key or str(pid or ""), pid) if key or pid is not None else None
    key = guid(value.get("objectID"))
    user = first(("user",)) or plain(value.get("principal"))[:256]
    return Process(
        key, number(value.get("pid")), first(("image_path",)), first(("command_line",)), user,
        guid(value["actorID"]),
    )  # fmt: skip


def _flow(told: dict[str, Any], verb: Verb) -> tuple[Verb, Object]:
    """A connection seen from this host: ``direction`` tells who began it."""
    source = endpoint(told.get("src_ip"), told.get("src_port"))
    goal = endpoint(told.get("dest_ip"), told.get("dest_port"))
    inbound = plain(told.get("direction")).lower() == "inbound"
    far, near = (source, goal) if inbound else (goal, source)
    turned: dict[str, Verb] = {"connect": "accept", "send": "receive"}
    if inbound:
        verb = turned.get(verb, verb)
    return verb, Object("socket", far or near, "", far, near)
