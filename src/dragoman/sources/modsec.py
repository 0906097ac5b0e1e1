"""ModSecurity audit logs written as JSON (``SecAuditLogFormat JSON``), version 3 and 2, serial.

Version 3 (and Coraza) keeps the request under ``transaction.request`` as method, uri, headers and
body; version 2 keeps ``request.request_line``, headers and a list of body parts beside
``transaction``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..opening.jsonio import Row, rows, text_bytes
from ..opening.stream import Stream
from ..records import Payload, Rejected
from .build import host_text, request, utc

_IDS = ("unique_id", "transaction_id", "id")
_TIMES = ("time_stamp", "time", "timestamp")


def read(stream: Stream, column: str | None = None) -> Iterator[Payload | Rejected]:
    """Every audited transaction as the request that was received."""
    for row in rows(stream, keep_repeated):
        yield row if isinstance(row, Rejected) else _transaction(row)


def keep_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose repeated keys (a header sent twice) become one list."""
    out: dict[str, Any] = {}
    for key, value in pairs:
        out[key] = _listed(out[key]) + _listed(value) if key in out else value
    return out


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _transaction(row: Row) -> Payload | Rejected:
    entry = row.value if isinstance(row.value, dict) else {}
    about = entry.get("transaction")
    if not isinstance(about, dict):
        return Rejected(row.where, "not a ModSecurity audit entry: no transaction", row.raw)
    found = about.get("request", entry.get("request"))
    sent: dict[str, Any] = found if isinstance(found, dict) else {}
    line = _request_line(sent)
    if line is None:
        return Rejected(row.where, "audit entry without a request (audit part B)", row.raw)
    headers = list(_headers(sent.get("headers")))
    method, _, rest = line.partition(b" ")
    target, _, version = rest.rpartition(b" ") if b" " in rest else (rest, b"", b"HTTP/0.9")
    data = request(method, target, version, headers, _body(sent))
    host = next((value for name, value in headers if name.lower() == b"host"), None)
    return Payload(
        next((str(about[k]) for k in _IDS if isinstance(about.get(k), (str, int))), row.id),
        data,
        "http",
        row.where,
        next((time for k in _TIMES if (time := utc(about.get(k)))), None),
        host_text(host),
    )


def _request_line(sent: dict[str, Any]) -> bytes | None:
    if isinstance(sent.get("request_line"), str):
        return text_bytes(sent["request_line"])
    if not isinstance(sent.get("uri"), str):
        return None
    method = sent.get("method")
    version = str(sent.get("http_version") or sent.get("protocol") or "1.1")
    version = version if version.upper().startswith("HTTP/") else f"HTTP/{version}"
    name = method if isinstance(method, str) and method else "GET"
    return text_bytes(f"{name} {sent['uri']} {version}")


def _headers(headers: Any) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers.items() if isinstance(headers, dict) else ():
        for one in _listed(value):
            yield text_bytes(name), text_bytes(one if isinstance(one, str) else str(one))


def _body(sent: dict[str, Any]) -> bytes:
    body = sent.get("body") or sent.get("fake_body") or ""
    return b"".join(text_bytes(part) for part in _listed(body) if isinstance(part, str))
