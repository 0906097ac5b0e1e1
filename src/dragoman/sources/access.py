"""Access logs of Apache and nginx: combined and common (with or without a virtual host first), and
JSON lines with the usual variable names. Each line becomes the request it stands for.

The log's own escaping (``\\xNN``, ``\\"``, ``\\n``) is undone: the bytes are those received.
Method and version are those logged; Host, Referer and User-Agent are added where they are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..opening.jsonio import Row, rows, text_bytes
from ..opening.stream import BOM, RAW, Line, Stream, too_long
from ..records import Payload, Rejected, Where
from .build import host_text, request, split_url, utc
from .http import looks_like_request

_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|[\"\\bnrtvf])")
_PLAIN = {b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"f": b"\f"}
_STATUS = re.compile(rb'" (?:\d{3}|-)(?: |$)')

_REQUEST = ("request", "request_line")
_METHOD = ("request_method", "method", "verb", "http_method")
_TARGET = ("request_uri", "uri", "url", "target", "request_url", "path")
_QUERY = ("args", "query_string", "query")
_VERSION = ("server_protocol", "protocol", "http_version", "request_protocol")
_HOST = ("http_host", "host", "vhost", "virtual_host", "server_name", "domain")
_TIME = (
    "time_iso8601",
    "@timestamp",
    "time_local",
    "timestamp",
    "time",
    "msec",
    "datetime",
    "date",
)
_ID = ("request_id", "id")
_BODY = ("request_body", "body")
_SENT = {  # header: the keys it is logged under
    b"Referer": ("http_referer", "referer", "referrer", "http_referrer"),
    b"User-Agent": ("http_user_agent", "user_agent", "agent", "useragent", "user-agent"),
    b"Cookie": ("http_cookie", "cookie"),
    b"X-Forwarded-For": ("http_x_forwarded_for", "x_forwarded_for"),
}
_ABOUT = ("status", "status_code", "remote_addr", "remote_ip", "client_ip", "clientip", "bytes")


class Entry(NamedTuple):
    """The parts of one text line, escapes undone."""

    host: bytes | None
    time: bytes
    request: bytes
    headers: list[tuple[bytes, bytes]]


def read(stream: Stream, column: str | None = None) -> Iterator[Payload | Rejected]:
    """Every line of an access log, text or JSON."""
    if stream.peek(64).removeprefix(BOM).lstrip()[:1] in (b"{", b"["):
        for row in rows(stream):
            yield row if isinstance(row, Rejected) else _from_json(row)
        return
    for line in stream.lines():
        if line.cut:
            yield too_long(stream, line)
        elif line.data.strip():
            yield _from_text(stream.name, line)


def _from_text(name: str, line: Line) -> Payload | Rejected:
    where = Where(name, line=line.number)
    entry = split_line(line.data)
    if entry is None:
        return Rejected(where, "not an access log line (common or combined)", line.data[:RAW])
    if entry.request in (b"", b"-"):
        return Rejected(where, "the line logs no request", line.data[:RAW])
    return _payload(
        f"{name}#{line.number}",
        where,
        entry.request,
        entry.headers,
        entry.host,
        utc(entry.time.decode("ascii", "replace")),
    )


def split_line(line: bytes) -> Entry | None:
    """Split a common or combined log line; None if it is neither. Linear in its length."""
    opened = line.find(b" [")
    closed = line.find(b'] "', opened)
    if opened < 0 or closed < 0:
        return None
    quoted = _quoted(line[closed + 2 :].rstrip(b"\r"))
    if quoted is None:
        return None
    head = line[:opened].split(b" ")
    host = head[0] if len(head) == 4 and head[2] == b"-" else None
    names = (b"Referer", b"User-Agent")
    headers = [(n, v) for n, v in zip(names, quoted[1:], strict=False) if v not in (b"", b"-")]
    return Entry(host, line[opened + 2 : closed], quoted[0], headers)


def _quoted(rest: bytes) -> list[bytes] | None:
    """The first three quoted parts of ``"request" status size "referer" "agent"``, unescaped."""
    masked = rest
    if b"\\" in rest:  # an escaped quote ends nothing
        masked = rest.replace(b"\\\\", b"..").replace(b'\\"', b"..")
    end = masked.find(b'"', 1)
    if end < 0 or not _STATUS.match(masked, end):  # a quote left unescaped
        found = _STATUS.search(masked)
        if found is None:
            return None
        end = found.start()
    parts, begin = [rest[1:end]], end + 1
    while len(parts) < 3:
        begin = masked.find(b'"', begin) + 1
        end = masked.find(b'"', begin)
        if begin == 0 or end < 0:
            break
        parts.append(rest[begin:end])
        begin = end + 1
    return [_unescaped(part) for part in parts] if b"\\" in rest else parts


def _unescaped(part: bytes) -> bytes:
    return _ESCAPE.sub(_escape, part)


def _escape(found: re.Match[bytes]) -> bytes:
    code = found.group(1)
    return bytes((int(code[1:], 16),)) if len(code) == 3 else _PLAIN.get(code, code)


def is_access(row: dict[str, Any]) -> bool:
    """Whether a JSON object has the keys of an access log entry."""
    about = any(key in row for key in _ABOUT)
    return about and _first(row, (*_REQUEST, *_TARGET)) is not None


def _first(row: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    for key in keys:
        value = row.get(key)
        if isinstance(value, str) and value not in ("", "-"):
            return value
    return None


def _from_json(row: Row) -> Payload | Rejected:
    entry = row.value
    if not isinstance(entry, dict):
        return Rejected(row.where, "not an access log entry: not a JSON object", row.raw)
    line = _json_request(entry)
    if line is None:
        keys = ", ".join(sorted(entry)[:20])[:RAW]
        return Rejected(row.where, f"the entry logs no request; its keys: {keys}", row.raw)
    headers = [
        (name, text_bytes(value)) for name, keys in _SENT.items() if (value := _first(entry, keys))
    ]
    times = (utc(entry[key]) for key in _TIME if key in entry)
    return _payload(
        _first(entry, _ID) or row.id,
        row.where,
        line,
        headers,
        text_bytes(_first(entry, _HOST) or ""),
        next((time for time in times if time), None),
        text_bytes(_first(entry, _BODY) or ""),
    )


def _json_request(entry: dict[str, Any]) -> bytes | None:
    """The request line, whole or put together from method, target, query and version."""
    line = _first(entry, _REQUEST)
    if line is not None:
        return text_bytes(line)
    target = _first(entry, _TARGET)
    if target is None:
        return None
    query = _first(entry, _QUERY)
    if query is not None and "?" not in target:
        target = f"{target}?{query.removeprefix('?')}"
    method = _first(entry, _METHOD) or "GET"
    version = _first(entry, _VERSION) or "HTTP/1.1"
    version = version if version.upper().startswith("HTTP/") else f"HTTP/{version}"
    return text_bytes(f"{method} {target} {version}")


def _payload(
    id: str,
    where: Where,
    line: bytes,
    headers: list[tuple[bytes, bytes]],
    host: bytes | None,
    time: str | None,
    body: bytes = b"",
) -> Payload:
    """A request from its logged line; a line that is none (TLS bytes, garbage) stays a value."""
    if not looks_like_request(line):
        return Payload(id, line, "value", where, time, host_text(host))
    method, _, rest = line.partition(b" ")
    target, _, version = rest.rpartition(b" ")
    if not version.upper().startswith(b"HTTP/"):
        target, version = rest, b"HTTP/1.1"
    authority, target = split_url(target)
    host = authority or host
    named = [(b"Host", host), *headers] if host else headers
    return Payload(
        id, request(method, target, version, named, body), "http", where, time, host_text(host)
    )
