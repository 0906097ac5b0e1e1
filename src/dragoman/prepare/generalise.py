"""Names -> roles: what a path, address, account or command stands for, whoever's machine it is on.

``path`` puts well-known folders and registry roots in the place of paths, ``address`` tells private
from public, ``text`` masks ids, numbers and random names in anything else. What nobody knows from
elsewhere (users, hosts, random names) is masked, so that a model cannot learn it by heart. The
tables are in `roles.toml`. All is linear in the length, which is bounded, and cached.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

_CHARS = 1_024  # of a name that are looked at
_TEXT = 2_048  # of a command line or script
_CACHED = 1 << 14  # names remembered by each function
_GUID = r"\{?\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b\}?"
_IPV4 = r"\b(?:\d{1,3}\.){3}\d{1,3}\b"
_MASKS = re.compile(
    rf"(?P<guid>{_GUID})|(?P<sid>\bs-1-\d+(?:-\d+)+\b)|(?P<ip>{_IPV4})"
    r"|(?P<hex>(?<![a-z\d])(?:0x[0-9a-f]+|[0-9a-f]{8,})(?![a-z\d]))|(?P<version>(?<![\d.])\d+(?:\.\d+){2,})"
    r"|(?P<n>(?<![\d%<])\d{3,}(?![\d%>])|(?<![a-z\d%<])\d+(?![a-z\d%>]))"
)
_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}\.[\w.]{1,64}")
_WORD = re.compile(r"[A-Za-z0-9]{8,}(?:={1,2}(?!=))?")
_PATH = re.compile(
    r"(?:[A-Za-z]:\\|\\\\|/(?:tmp|home|usr|etc|var|root|bin|opt|proc)/)[^\s\"'|<>;,)&]+"
)
_DEVICE = re.compile(r"^(?:\\\\[?.]\\|\\\?\?\\|\\device\\harddiskvolume\d+(?=\\))")
_UNC = re.compile(r"^\\\\[^\\]+\\")
_SWITCH = re.compile(r"[a-z][0-9]|[0-9][a-z]")
_CASES = re.compile(r"[a-z][A-Z]")
_HUMP = re.compile(r"[A-Z]?[a-z]{3,}")
_VOWEL = re.compile(r"[aeiouy]")


class _Words(NamedTuple):
    """One pattern with a group for each row, and what the rows stand for."""

    pattern: re.Pattern[str]
    words: tuple[str, ...]

    def of(self, match: re.Match[str]) -> str:
        """What the row that matched stands for."""
        return self.words[(match.lastindex or 1) - 1]


class _Places:
    """Patterns of places with what they are; one quick search tells whether any is there."""

    def __init__(self, rows: list[list[str]]) -> None:
        self._rows = [(re.compile(pattern), words) for pattern, words in rows]
        anchored = [pattern[1:] for pattern, _ in rows if pattern[0] == "^"]
        self._start = re.compile("|".join(anchored))
        self._search = re.compile("|".join(pattern for pattern, _ in rows if pattern[0] != "^"))

    def of(self, name: str) -> str:
        """What the first pattern that is found says; empty if none is."""
        if not self._start.match(name) and not self._search.search(name):
            return ""
        return next((words for pattern, words in self._rows if pattern.search(name)), "")


class _Table(NamedTuple):
    windows: _Words
    posix: _Words
    autostart: _Places
    told: _Places
    kinds: dict[str, str]
    ports: dict[int, str]
    services: frozenset[str]


@cache
def _table() -> _Table:
    """`roles.toml`, read once."""
    parts: dict[str, Any] = tomllib.loads((files(__package__) / "roles.toml").read_text("utf-8"))
    prefixes, areas = parts["prefixes"], parts["areas"]
    return _Table(
        _rows(prefixes["windows"], r"(?=\\|$)"),
        _rows(prefixes["posix"], r"(?=/|$)"),
        _Places(areas["autostart"]),
        _Places(areas["told"]),
        {ending: kind for kind, endings in parts["extensions"].items() for ending in endings},
        {int(port): name for port, name in parts["ports"].items()},
        frozenset(parts["services"]["names"]),
    )


def _rows(rows: list[list[str]], end: str) -> _Words:
    """The rows in order; a prefix ends where a name does, unless its role ends with a backslash."""
    parts = [f"({pattern}){'' if words.endswith(chr(92)) else end}" for pattern, words in rows]
    return _Words(re.compile("|".join(parts)), tuple(words for _, words in rows))


def path(name: str) -> str:
    r"""The generalised path or registry key, in lower case: ``%temp%\<random>.exe``."""
    return _path(name[:_CHARS])


@lru_cache(_CACHED)
def _path(name: str) -> str:
    raw = name.strip().strip("\"'")
    text = raw.lower()
    if (cut := _DEVICE.match(text)) is not None:
        rest = raw[cut.end() :]
        raw = f"C:{rest}" if rest.startswith("\\") else rest
        text = raw.lower()
    if text.startswith("\\systemroot\\"):
        raw, text = f"C:\\Windows{raw[11:]}", f"c:\\windows{text[11:]}"
    role, rest = "", raw
    if text.startswith("\\\\"):
        host = _UNC.match(text)
        role, rest = ("\\\\<host>\\", raw[host.end() :]) if host else ("", raw)
    else:
        table = _table().posix if text[:1] == "/" else _table().windows
        found = table.pattern.match(text)
        if found is not None:
            role, rest = table.of(found), raw[found.end() :]
    return role + _masked(rest)


def image(name: str) -> str:
    r"""The last part of a program's path, masked: ``powershell.exe``; empty for none."""
    return basename(path(name)) if name else ""


def basename(name: str) -> str:
    """What follows the last slash or backslash."""
    return name[max(name.rfind("\\"), name.rfind("/")) + 1 :] or name


def _masked(text: str) -> str:
    """Lower case; random names, ids and numbers masked."""
    if len(text) > 7:
        text = _WORD.sub(_unless_random, text)
    text = _MASKS.sub(_mask, text.lower())
    return _MAIL.sub("<mail>", text) if "@" in text else text


def _mask(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    if kind == "ip":
        role = address_role(match[0])
        return f"<{role}>" if role != "host" else "<version>"
    return match[0] if kind == "hex" and match[0].isalpha() else f"<{kind}>"


def _unless_random(match: re.Match[str]) -> str:
    return "<random>" if is_random(match[0].rstrip("=")) else match[0]


@lru_cache(_CACHED)
def is_random(word: str) -> bool:
    """Whether a word of 8 characters or more looks drawn by chance, not named by a person."""
    lower = word.lower()
    if len(word) > 64:
        return True
    if lower.isdigit() or lower[:2] == "0x":
        return False
    if len(_SWITCH.findall(lower)) >= 3:
        return True
    letters = sum(map(str.isalpha, word))
    humps = sum(map(len, _HUMP.findall(word)))
    if len(_CASES.findall(word)) >= 3 and humps < 0.6 * len(word):
        return True
    return letters >= 8 and len(_VOWEL.findall(lower)) < 0.1 * letters


def text(line: str) -> str:
    """A command line or script, generalised: roles for paths, the rest masked, in one line."""
    return _text(line) if len(line) <= _CHARS else _text.__wrapped__(line[:_TEXT])


@lru_cache(_CACHED)
def _text(line: str) -> str:
    return " ".join(_masked(_PATH.sub(lambda found: path(found[0]), line)).split())


@lru_cache(_CACHED)
def address_role(address: str) -> str:
    """``loopback``, ``private``, ``multicast``, ``any``, ``public``, or ``host`` for a name."""
    try:
        ip = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return "host"
    if ip.is_loopback:
        return "loopback"
    if ip.is_unspecified:
        return "any"
    if ip.is_multicast or address.endswith(".255"):
        return "multicast"
    return "private" if ip.is_private else "public"


def split(endpoint: str) -> tuple[str, int | None]:
    """``address:port`` -> its parts; the port is None where there is none."""
    head, colon, tail = endpoint.rpartition(":")
    if (
        colon
        and tail.isascii()
        and tail.isdigit()
        and len(tail) < 6
        and (":" not in head or "]" in head)
    ):
        return head.strip("[]"), int(tail)
    return endpoint.strip("[]"), None


@lru_cache(_CACHED)
def endpoint(name: str) -> tuple[str, str]:
    """(role of the address, role of the port): ``("public", "443")``; high ports are ``high``."""
    where, port = split(name)
    if port is None:
        return address_role(where), ""
    return address_role(where), "high" if port >= 49_152 else str(
        port
    ) if port in _table().ports else "other"


def port_words(role: str) -> str:
    """What a port is known for: ``SMB file sharing``."""
    return _table().ports.get(int(role), "") if role.isdigit() else ""


@lru_cache(_CACHED)
def domain(name: str) -> str:
    """A host name, masked but for its last label, or the last two of well-known public services."""
    labels = name.lower().strip(". ").split(".")
    last = ".".join(labels[-2:])
    if last in _table().services:
        return last
    if name and address_role(name) != "host":
        return f"<{address_role(name)}>"
    return f"<host>.{labels[-1]}" if len(labels) > 1 and labels[-1].isalpha() else "<host>"


@lru_cache(_CACHED)
def account(name: str) -> str:
    """An account: built-in ones by name, computers ``machine account``, people ``user``."""
    last = basename(name).lower()
    if last.endswith("$"):
        return "machine account"
    if last in ("system", "s-1-5-18", "root", "0"):
        return "root" if last in ("root", "0") else "system"
    known = (
        "local service",
        "network service",
        "administrator",
        "guest",
        "anonymous logon",
        "krbtgt",
    )
    return last if last in known else "user" if last else ""


@lru_cache(_CACHED)
def area(name: str) -> str:
    """What place a generalised name lies in, in plain words; empty for no special one."""
    return _autostart(name) or _table().told.of(name)


@lru_cache(_CACHED)
def _autostart(name: str) -> str:
    return _table().autostart.of(name)


def is_autostart(name: str) -> bool:
    """Whether what is written to this generalised name decides what runs later by itself."""
    return _autostart(name) != ""


def kind_of_file(name: str) -> str:
    """``an executable``, ``a script`` and the like, by the ending; empty if it tells nothing."""
    return _table().kinds.get(name.rpartition(".")[2], "") if "." in name else ""
