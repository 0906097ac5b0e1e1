"""Events in plain English: ``powershell.exe was started by winword.exe with ...``.

Sentences come from `wording.toml`, filled with generalised names (`generalise.py`) and what is
known of them: the place a file lies in, the service behind a port, the rights in a mask. Events
without a sentence of their own are told by their documented meaning, ``Event.what``.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

from ..records import Event
from . import generalise as g
from .behaviour import Behaviour

_VALUE = 320  # characters of a value told in a sentence
_OBJECT = 160
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_OPTIONAL = re.compile(r"\[([^\]]*)\]")
_FULL = 0x1F0FFF


class _Segment(NamedTuple):
    """Part of a sentence: a format, what must be filled for it, whether it may be left out."""

    form: str
    needs: tuple[str, ...]
    optional: bool


class _Table(NamedTuple):
    sentences: dict[str, tuple[_Segment, ...]]
    rights: dict[int, str]
    logons: dict[str, str]
    tickets: dict[str, str]
    addresses: dict[str, str]


@cache
def _table() -> _Table:
    parts: dict[str, Any] = tomllib.loads((files(__package__) / "wording.toml").read_text("utf-8"))
    sentences = {name: _compiled(text) for name, text in parts["sentences"].items()}
    rights = {int(bit, 16): words for bit, words in parts["rights"].items()}
    return _Table(sentences, rights, parts["logons"], parts["tickets"], parts["addresses"])


def _compiled(text: str) -> tuple[_Segment, ...]:
    parts = _OPTIONAL.split(text)
    return tuple(
        _Segment(part, tuple(_PLACEHOLDER.findall(part)), bool(place % 2))
        for place, part in enumerate(parts)
        if part
    )


def sentence(
    event: Event,
    kind_of: Behaviour,
    count: int = 1,
    others: int = 0,
    decoded: str = "",
    transient: bool = False,
) -> str:
    """What happened, in one sentence of at most some 1,200 characters.

    ``others`` were done the same; ``decoded`` is what the command line or script hides;
    ``transient`` tells a passing file.
    """
    user = g.account(event.user) if event.user else ""
    remote = g.endpoint(event.object.remote)[0] if event.object.remote else ""
    what = event.what or _unknown(event)
    known = event.code.startswith("security/")
    verb = "transient" if transient else event.verb
    out = _said(verb, kind_of, user, remote, what, decoded[:_VALUE], known)
    if others:
        out = f"{out}, and the same to {others} others there"
    return f"{out}, {count} times" if count > 1 else out


@lru_cache(1 << 13)
def _said(
    verb: str, kind_of: Behaviour, user: str, remote: str, what: str, decoded: str, known: bool
) -> str:
    table = _table().sentences
    parts = {
        "actor": _who(kind_of.actor),
        "object": _thing(kind_of.kind, kind_of.object[:_OBJECT]),
        "value": _value(kind_of, known),
        "remote": _address(remote, "") if remote else "",
        "user": user,
        "what": what,
        "decoded": decoded,
    }
    form = table.get(f"{verb} {kind_of.kind}") or table["* *"]
    out = _filled(form, parts) or _filled(table["* *"], parts) or what
    return f"{out}, which failed" if kind_of.outcome == "failure" else out


def _filled(form: tuple[_Segment, ...], parts: dict[str, str]) -> str | None:
    out = []
    for text, needs, optional in form:
        if all(map(parts.__getitem__, needs)):
            out.append(text.format_map(parts))
        elif not optional:
            return None
    return "".join(out)


def _unknown(event: Event) -> str:
    """An event that no table knows: its code and its message."""
    message = g.text(event.fields.get("Message", "")[:_VALUE])
    return f"event {event.code}: {message}" if message else f"event {event.code}"


@lru_cache(1 << 12)
def _who(role: str) -> str:
    """A program by its generalised path: its name, and its place where that tells something."""
    place = g.area(role)
    return (
        f"{g.basename(role)} from {place}" if place and "process" not in place else g.basename(role)
    )


@lru_cache(1 << 15)
def _thing(kind: str, role: str) -> str:
    """A thing by its role, with what is known about its place and kind."""
    if not role:
        return ""
    if kind == "process":
        return _who(role) if "lsass" not in role else f"{g.basename(role)} ({g.area(role)})"
    if kind in ("file", "module", "share"):
        words, place = g.kind_of_file(role), g.area(role)
        name = f"{words} {role}" if words and kind != "module" else role
        return f"{name} ({place})" if place else name
    if kind == "registry":
        place = g.area(role)
        return f"the registry value {role} ({place})" if place else f"the registry value {role}"
    if kind == "socket":
        return _address(*role.partition(" ")[::2])
    return role


def _address(where: str, port: str) -> str:
    words = _table().addresses.get(where, where)
    known = g.port_words(port)
    if known:
        return f"{words} on port {port} ({known})"
    return f"{words} on a high port" if port == "high" else words


def _value(kind_of: Behaviour, known: bool) -> str:
    """The value of an event: numbers of ``known`` meaning in words, the rest generalised."""
    detail = kind_of.detail
    if not detail:
        return ""
    if kind_of.verb == "access" and kind_of.kind == "process":
        return _rights(detail)
    if kind_of.kind == "session":
        return _table().logons.get(detail, "") if known else ""
    if kind_of.kind == "ticket":
        return _table().tickets.get(detail, detail[:_VALUE])
    return detail[:_VALUE]


@lru_cache(1 << 10)
def _rights(mask: str) -> str:
    try:
        bits = int(mask, 16)
    except ValueError:
        return ""
    if bits & _FULL == _FULL:
        return "do anything with it"
    return ", ".join(words for bit, words in _table().rights.items() if bits & bit)
