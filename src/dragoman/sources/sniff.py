"""Guess the format of a stream from its first bytes, and its name where these leave it open."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

from ..config import Limits
from ..opening.jsonio import is_document, loads
from ..opening.stream import BOM, Stream
from . import csv
from .access import is_access, split_line
from .http import looks_like_request
from .table import COLUMNS

HEAD = 1 << 16  # bytes looked at
_LINES = 5  # lines looked at
_HAR = re.compile(rb'\s*\{\s*"log"\s*:\s*\{')
_OBJECT = re.compile(rb'\{\s*"[^"]{1,64}"\s*:')  # begins like one, though cut off or broken
_TEXT = bytes({7, 8, 9, 10, 11, 12, 13, 27} | set(range(32, 256)))
_JSON_NAMES = (".jsonl", ".ndjson", ".json")
_NAMES = {".har": "har", ".csv": "csv", ".tsv": "tsv"}


def sniff(stream: Stream, column: str | None = None) -> str | None:
    """The name of the stream's format, or None if it is none that is known (or empty)."""
    whole = stream.peek(HEAD)
    head = whole.removeprefix(BOM).lstrip()
    if head.startswith(b"PAR1"):
        return "parquet"
    if not head or is_binary(head):
        return None
    if _HAR.match(head):
        return "har"
    suffix = PurePath(stream.name.lower().removesuffix(".gz")).suffix
    if suffix in _NAMES:
        return _NAMES[suffix]
    if looks_like_request(head):
        return "http"
    ended = len(whole) < HEAD
    lines = head.split(b"\n")[: _LINES if ended else -1][:_LINES] or [head]
    found = _json(head, lines, stream.limits, column)
    if found is None and suffix in _JSON_NAMES:
        return "jsonl"
    return found or _text(lines, column)


def is_binary(head: bytes) -> bool:
    """Whether bytes are no text: NULs, or more than a tenth of control bytes."""
    odd = len(head.translate(None, _TEXT))
    return b"\0" in head[:1024] or odd * 10 > len(head)


def _json(head: bytes, lines: list[bytes], limits: Limits, column: str | None) -> str | None:
    """Which format of JSON it is, if it is JSON."""
    if head[:1] not in b"{[":
        return None
    if is_document(head):
        return "modsec" if b'"transaction"' in head and column is None else "jsonl"
    for line in lines:
        try:
            row = loads(line, limits)
        except ValueError:
            continue
        if isinstance(row, dict):
            return _json_row(row, column)
    if _OBJECT.match(head):
        return "modsec" if b'"transaction"' in head and column is None else "jsonl"
    return None


def _json_row(row: dict[str, Any], column: str | None) -> str:
    if column is not None or "payload" in row or "payload_b64" in row:
        return "jsonl"
    if isinstance(row.get("transaction"), dict):
        return "modsec"
    return "access" if is_access(row) else "jsonl"


def _text(lines: list[bytes], column: str | None) -> str:
    if any(split_line(line) for line in lines):
        return "access"
    header = lines[0].decode("utf-8", "replace").strip()
    delimiter = csv.delimiter(header)
    names = {name.strip(' "') for name in header.split(delimiter)}
    known = {column} if column is not None else set(COLUMNS)
    if names & known and (len(names) > 1 or column is not None):
        return "tsv" if delimiter == "\t" and delimiter in header else "csv"
    return "lines"
