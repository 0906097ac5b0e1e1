"""HAR 1.2 (browser and proxy archives): every ``log.entries[].request`` as a request.

Entries before a fault (a HAR cut off by a crash) are kept. HTTP/2 pseudo headers are left out; the
target and the host come from the entry's URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

from ..opening.jsonio import Row, document, text_bytes
from ..opening.stream import Stream
from ..records import Payload, Rejected
from .build import host_text, request, split_url, utc

_ENTRIES = re.compile(r'"entries"\s*:\s*\[')
_VERSION = re.compile(r"HTTP/\d(?:\.\d)?")


def read(stream: Stream, column: str | None = None) -> Iterator[Payload | Rejected]:
    """Every request of a HAR file (at most ``limits.document_bytes`` long)."""
    for row in document(stream, _ENTRIES):
        yield row if isinstance(row, Rejected) else _entry(row)


def _entry(row: Row) -> Payload | Rejected:
    sent = row.value.get("request") if isinstance(row.value, dict) else None
    if not isinstance(sent, dict) or not isinstance(sent.get("url"), str):
        return Rejected(row.where, "HAR entry without a request and its url", row.raw)
    authority, target = split_url(text_bytes(sent["url"]))
    headers = [
        (text_bytes(item["name"]), text_bytes(item["value"]))
        for item in _items(sent.get("headers"))
        if not item["name"].startswith(":")
    ]
    named = [value for name, value in headers if name.lower() == b"host"]
    if not named and authority:
        headers.insert(0, (b"Host", authority))
    method = sent.get("method")
    version = sent.get("httpVersion")
    known = _VERSION.fullmatch(version.upper()) if isinstance(version, str) else None
    data = request(
        text_bytes(method) if isinstance(method, str) and method else b"GET",
        target,
        known.group().encode() if known else b"HTTP/1.1",
        headers,
        _body(sent.get("postData"), headers),
    )
    host = host_text(named[0] if named else authority)
    return Payload(row.id, data, "http", row.where, utc(row.value.get("startedDateTime")), host)


def _items(value: Any) -> Iterator[dict[str, str]]:
    """The well-formed ``{"name", "value"}`` items of a HAR list."""
    for item in value if isinstance(value, list) else []:
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            yield {"name": item["name"], "value": str(item.get("value") or "")}


def _body(post: Any, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The posted text, or a form written again from ``params``."""
    if not isinstance(post, dict):
        return b""
    if isinstance(post.get("text"), str) and post["text"]:
        return text_bytes(post["text"])
    params = list(_items(post.get("params")))
    kind = next((value for name, value in headers if name.lower() == b"content-type"), b"")
    _, found, boundary = kind.partition(b"boundary=")
    if found and kind.lower().startswith(b"multipart/"):
        return _multipart(params, boundary.strip(b'" '))
    pairs = (f"{_quoted(p['name'])}={_quoted(p['value'])}" for p in params)
    return "&".join(pairs).encode("ascii")


def _quoted(text: str) -> str:
    return quote_plus(text_bytes(text))


def _multipart(params: list[dict[str, str]], boundary: bytes) -> bytes:
    out = bytearray()
    for param in params:
        name = text_bytes(param["name"]).replace(b'"', b"%22")
        head = b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n' % (boundary, name)
        out += head + text_bytes(param["value"]) + b"\r\n"
    return bytes(out) + (b"--" + boundary + b"--\r\n" if params else b"")
