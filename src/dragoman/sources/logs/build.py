"""What the log readers share: bounded text, numbers and ids from fields that anyone may forge."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from ...config import Limits
from ...errors import LimitError
from ...opening.jsonio import Row, rows
from ...opening.stream import Stream
from ...records import Event, Rejected

Skipped = Counter[str]  # what was knowingly not made an event, by reason
Records = Iterator[Event | Rejected]
ZERO_GUID = "00000000-0000-0000-0000-000000000000"
_EMPTY = ("", "-", "N/A", "(null)", "?", None)
_NOT_UTF8 = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")  # surrogates, which nothing can encode


class Bounded:
    """Cuts text at the limits of log events; ``skipped`` counts each cut."""

    def __init__(self, limits: Limits, skipped: Skipped) -> None:
        self.limits, self.skipped = limits, skipped
        self._text = limits.event_text

    def text(self, value: Any) -> str:
        """A command line, script, path or name, at most ``limits.event_text`` characters."""
        text: str = value if value.__class__ is str and value.isascii() else plain(value)
        if text in _EMPTY:
            return ""
        return text if len(text) <= self._text else self._cut(text, self._text, "event_text")

    def fields(
        self, items: Mapping[str, Any], without: frozenset[str], nor: frozenset[str] = frozenset()
    ) -> dict[str, str]:
        """The filled fields, but those named, within ``limits.event_fields``/``event_field``."""
        most, size = self.limits.event_fields, self.limits.event_field
        out: dict[str, str] = {}
        for name, value in items.items():
            if name in without or name in nor or value in _EMPTY:
                continue
            if len(out) == most:
                self.skipped["fields beyond limits.event_fields"] += 1
                break
            text = value if isinstance(value, str) and value.isascii() else plain(value)
            if len(text) > size:
                text = self._cut(text, size, "event_field")
            if text:
                out[name[:64]] = text
        return out

    def _cut(self, text: str, most: int, limit: str) -> str:
        if len(text) <= most:
            return text
        self.skipped[f"text cut at limits.{limit}"] += 1
        return text[:most]


def plain(value: Any) -> str:
    """A JSON value as text that can be encoded: nothing for what stands for nothing."""
    if isinstance(value, str):
        if value in _EMPTY:
            return ""
        return value if value.isascii() else _encodable(value)
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return "\n".join(filter(None, map(plain, value)))
    if isinstance(value, dict):
        return "\n".join(f"{key}: {text}" for key, item in value.items() if (text := plain(item)))
    return str(value)


def _encodable(text: str) -> str:
    """The text without surrogates, which stand for bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.translate(_NOT_UTF8)
    return text


def number(value: Any) -> int | None:
    """A process id or the like: an int, or decimal or ``0x`` hexadecimal text; None if neither."""
    if isinstance(value, str):
        text = value.strip()
        if not text.isascii() or len(text) > 20:
            return None
        try:
            found = int(text, 16) if text[:2] in ("0x", "0X") else int(text)
        except ValueError:
            return None
        return found if found >= 0 else None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64:
        return value
    return None


def guid(value: Any) -> str:
    """A GUID in lower case without braces; empty if it is none, or all zero."""
    if not isinstance(value, str):
        return ""
    text = value.strip("{} ").lower()
    return "" if text == ZERO_GUID or len(text) > 64 or not text.isascii() else text


def host(value: Any) -> str:
    """A host name as it is compared: lower case, at most 255 characters."""
    return plain(value).strip().lower()[:255]


def endpoint(address: Any, port: Any = None) -> str:
    """``address:port`` (IPv6 in brackets), the address alone, or nothing."""
    text = plain(address).strip().removeprefix("::ffff:")[:255]
    known = number(port)
    if not text or known is None or known > 65_535:
        return text
    return f"[{text}]:{known}" if ":" in text else f"{text}:{known}"


def json_rows(stream: Stream) -> Iterator[Row | Rejected]:
    """The JSON objects of a stream; documents of Elasticsearch exports are looked through."""
    for row in rows(stream):
        if isinstance(row, Rejected):
            yield row
        elif not isinstance(row.value, dict):
            yield Rejected(row.where, "not a log event: not a JSON object", row.raw)
        elif isinstance(source := row.value.get("_source"), dict):
            yield row._replace(value=source)
        else:
            yield row


def at(row: Mapping[str, Any], place: str) -> Any:
    """The value at a dotted place of nested objects."""
    value: Any = row
    for key in place.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


V = TypeVar("V")


class Remembered(OrderedDict[str, V], Generic[V]):
    """The most recently stored entries of a table, ``most`` at a time; the oldest is forgotten."""

    def __init__(self, most: int) -> None:
        if most < 1:
            raise LimitError("limits.log_entities must be 1 or more")
        super().__init__()
        self._most = most

    def store(self, key: str, value: V) -> None:
        """Store an entry as the most recent."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)
