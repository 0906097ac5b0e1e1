"""Rows with named columns -> payloads: what JSON lines, CSV and Parquet have in common."""

from __future__ import annotations

import base64
import binascii
import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..errors import SourceError
from ..opening.jsonio import text_bytes
from ..records import Kind, Payload, Where
from .build import host_text, request, split_url, utc
from .http import host_of, looks_like_request

COLUMNS = (
    *("payload", "payload_b64", "request", "http_request", "raw_request", "raw", "value"),
    *("query", "uri", "request_uri", "url", "message", "body"),
)
_URLS = frozenset({"url", "uri", "request_uri", "target", "path", "href", "link"})
_TIMES = ("time", "timestamp", "@timestamp", "datetime")
ABOUT = ("id", "kind", "encoding", "host", *_TIMES)  # columns read beside the payload


def find_column(names: Collection[str], column: str | None) -> str | None:
    """The column that holds the payload: ``column``, or the first of ``COLUMNS`` that exists."""
    for name in COLUMNS if column is None else (column,):
        if name in names:
            return name
    return None


def no_column(names: Iterable[str], column: str | None) -> str:
    """What to say when ``find_column`` finds none: the columns that exist."""
    wanted = f"no column {column!r}" if column else "no column that is known to hold a payload"
    listed = ", ".join(sorted(names)[:40])[:600]
    return f"{wanted}; columns: {listed or 'none'}"


def column_error(names: Iterable[str], column: str | None, where: str) -> SourceError:
    """The error for a whole input without the column."""
    have = sorted(names)
    near = difflib.get_close_matches(column or "", have, n=1)
    hint = f"did you mean {near[0]}?" if near else "name the column that holds the payload"
    return SourceError(no_column(have, column), where=where, hint=hint)


def payload_bytes(row: Mapping[str, Any], column: str) -> bytes:
    """The payload of a row: base64 where the column's name ends in ``_b64``, else its text.

    Text is UTF-8, or Latin-1 where the row says ``"encoding": "latin-1"`` and all of it fits.

    Raises:
        ValueError: the value is missing, of another type, or not base64.
    """
    value = row.get(column)
    if isinstance(value, bytes):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"{column} is {type(value).__name__}, not text")
    if column.endswith("_b64"):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as err:
            raise ValueError(f"{column} is not base64: {err}") from None
    if row.get("encoding") in ("latin-1", "latin1", "iso-8859-1"):
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            pass  # more than Latin-1 in it: UTF-8 after all
    return text_bytes(value)


def to_payload(row: Mapping[str, Any], column: str, where: Where, fallback_id: str) -> Payload:
    """One row as a payload; a URL or path in a column of URLs becomes a request for it.

    Raises:
        ValueError: why the row is none.
    """
    data = payload_bytes(row, column)
    host = _text(row.get("host"))
    given = row.get("kind")
    kind: Kind
    if given in ("http", "value"):
        kind = given
    elif given:
        raise ValueError(f"kind must be http or value, not {str(given)[:40]!r}")
    elif looks_like_request(data):
        kind, host = "http", host or host_of(data)
    elif column in _URLS and (data.startswith(b"/") or split_url(data)[0]):
        authority, target = split_url(data)
        authority = authority or text_bytes(host or "")
        headers = [(b"Host", authority)] if authority else []
        data, kind = request(b"GET", target, b"HTTP/1.1", headers, b""), "http"
        host = host or host_text(authority)
    else:
        kind = "value"
    times = (utc(row[key]) for key in _TIMES if key in row)
    time = next((time for time in times if time), None)
    return Payload(_id(row.get("id")) or fallback_id, data, kind, where, time, host)


def _id(value: Any) -> str | None:
    return str(value) if isinstance(value, int) else _text(value)


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if not isinstance(value, str) or not value:
        return None
    return value.encode("utf-8", "backslashreplace").decode("utf-8")[:255]
