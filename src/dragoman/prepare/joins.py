"""Joins across hosts: who stands behind a connection, a logon, a session. Bounded tables.

Both ends of a connection join by their two addresses and ports; a logon joins the connection it
came by (by the far end's address and port), or explicit credentials just used elsewhere for the
same account and host, or the host whose address it came from. What is then done in that session (a
process, a service, a task, WMI, remote PowerShell, a shared file) is joined to where it came from
by the session's id.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

from ..records import Event, Link

SECOND = 1_000_000_000
_SESSION = ("TargetLogonId", "LogonId", "SubjectLogonId", "ses")
_NO_SESSION = frozenset(("", "0x0", "0", "4294967295", "-1", "unset"))
_SYSTEM_SESSION = frozenset(("0x3e7", "0x3e4", "0x3e5"))  # of the system and its services
# addresses that name no one host: this one, loopback, link-local, multicast
_LOCAL = ("127.", "[::", "::", "0.", "localhost", "[fe80", "[ff", "224.", "239.", "255.",
          "[0:0:0:0:0:0:0:")  # fmt: skip
_CARRIED = frozenset(("start", "install", "schedule", "create", "set", "run", "access", "write"))
_CARRIED_KINDS = frozenset(("process", "service", "task", "wmi", "share", "script"))
JOINED = frozenset(("connect", "accept", "logon")) | _CARRIED

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(OrderedDict[K, V], Generic[K, V]):
    """A table of the entries stored last, at most ``most``."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = max(most, 1)

    def store(self, key: K, value: V) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > self.most:
            self.popitem(last=False)


class Origin(NamedTuple):
    """Who did what may be the cause of something elsewhere."""

    host: str
    process: str
    time: int
    event: str
    via: str = ""


def session(event: Event) -> str:
    """The id of the logon session that an event belongs to, or opens; empty if not logged."""
    fields = event.fields
    for name in _SESSION:
        if (value := fields.get(name, "")) not in _NO_SESSION:
            return value
    return ""


class Joins:
    """What is remembered of connections, logons and sessions to join them; state of plain data."""

    def __init__(self, most: int, seconds: int) -> None:
        self._window = seconds * SECOND
        self._pairs: Recent[tuple[str, str], tuple[str, Origin]] = Recent(most)
        self._near: Recent[str, Origin] = Recent(most)  # by the near end of a connection made
        # logons with their sessions, by the far end they came from
        self._waiting: Recent[str, tuple[Origin, str]] = Recent(most)
        self._credentials: Recent[tuple[str, str], Origin] = Recent(most)
        self._addresses: Recent[str, str] = Recent(most)  # address -> host
        self._sessions: Recent[tuple[str, str], Origin] = Recent(most)

    def seen(self, event: Event, process: str) -> list[Link]:
        """The links that this event of ``process`` completes, mostly none."""
        verb, kind = event.verb, event.object.kind
        if verb in ("connect", "accept"):
            return self._connection(event, process) if kind == "socket" else []
        if verb == "logon":
            if kind == "credential":
                return self._credential(event, process)
            return self._logon(event, process) if kind == "session" else []
        return self._within(event, process) if kind in _CARRIED_KINDS else []

    def _connection(self, event: Event, process: str) -> list[Link]:
        near, far = event.object.local, event.object.remote
        if not near or not far or near.startswith(_LOCAL) or far.startswith(_LOCAL):
            return []
        me = Origin(event.host, process, event.time, event.id, far)
        self._addresses.store(_address(near), event.host)
        links = []
        pair = (near, far) if near < far else (far, near)
        verb, other = self._pairs.get(pair, ("", me))
        if verb and verb != event.verb and self._apart(me, other):
            there, here = (me, other) if event.verb == "connect" else (other, me)
            links.append(_link("network", here, there, event.id, far))
        else:
            self._pairs.store(pair, (event.verb, me))
        if event.verb == "connect":
            self._near.store(near, me)
            logon, opened = self._waiting.pop(near, (me, ""))
            if self._apart(me, logon):
                links.append(_link("logon", logon, me, event.id, logon.via))
                self._sessions.store((logon.host, opened), me._replace(via=logon.via))
        return links

    def _logon(self, event: Event, process: str) -> list[Link]:
        far, user = event.object.remote, event.object.name
        if event.outcome == "failure" or far.startswith(_LOCAL):
            return []
        me = Origin(event.host, process, event.time, event.id, user)
        origin, kind = self._near.get(far), "logon"
        if origin is None or not self._apart(me, origin):
            origin = self._credentials.get((_short(event.host), _name(user)))
            kind = "credential"
        if origin is None or not self._apart(me, origin):
            if not far:
                return []
            self._waiting.store(far, (me, session(event)))
            host = self._addresses.get(_address(far), "")
            if not host or host == event.host:
                return []
            origin, kind = Origin(host, "", event.time, "", far), "logon"
        self._sessions.store((event.host, session(event)), origin._replace(via=user))
        return [_link(kind, me, origin, event.id, user)]

    def _credential(self, event: Event, process: str) -> list[Link]:
        server, user = event.object.value, event.object.name
        if server and server.lower() != "localhost":
            me = Origin(event.host, process, event.time, event.id, user)
            self._credentials.store((_short(server), _name(user)), me)
        return []

    def _within(self, event: Event, process: str) -> list[Link]:
        """What is done in a session that was opened from another host."""
        name = session(event)
        if not name or name in _SYSTEM_SESSION:
            return []
        origin = self._sessions.get((event.host, name))
        if origin is None or not origin.host:
            return []
        me = Origin(event.host, process, event.time, event.id)
        return [_link("logon", me, origin, event.id, origin.via)]

    def _apart(self, one: Origin, other: Origin) -> bool:
        """Whether two ends are on two hosts, at about one time."""
        return one.host != other.host and abs(one.time - other.time) <= self._window


def _link(kind: str, here: Origin, there: Origin, event: str, via: str) -> Link:
    return Link(kind, here.time, here.host, here.process, there.host, there.process, event, via)  # type: ignore[arg-type]


def _address(endpoint: str) -> str:
    return endpoint.rpartition(":")[0] if "]" in endpoint or endpoint.count(":") == 1 else endpoint


def _short(host: str) -> str:
    return host.lower().partition(".")[0]


def _name(user: str) -> str:
    return user.rpartition("\\")[2].lower()
