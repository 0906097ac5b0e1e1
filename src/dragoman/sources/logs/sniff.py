"""Guess the format of a host log from its first bytes."""

from __future__ import annotations

import json
import re
from typing import Any

from ...config import Limits
from ...opening.jsonio import is_document, loads
from ...opening.stream import BOM, Stream
from . import auditd, evtx, viewer
from .cdm import is_cdm
from .ecar import is_ecar
from .ecs import is_ecs
from .eql import is_eql
from .winjson import is_windows

HEAD = 1 << 18  # bytes looked at
_LINES = 20  # lines looked at
_XML = re.compile(rb"<Event[\s>]")
_SCHEMA = b"schemas.microsoft.com/win/2004/08/events"
_TESTS = {  # in this order: the most particular first
    "cdm": is_cdm,
    "ecar": is_ecar,
    "windows": is_windows,
    "ecs": is_ecs,
    "eql": is_eql,
}


def sniff(stream: Stream) -> str | None:
    """The name of the stream's format, or None if it is none that is known (or empty)."""
    whole = stream.peek(HEAD)
    head = whole.removeprefix(BOM).lstrip()
    if head.startswith(evtx.MAGIC):
        return "evtx"
    if head[:1] in (b"{", b"["):
        return _json(head, len(whole) < HEAD, stream.limits)
    if _XML.search(head[:65_536]) and (_SCHEMA in head or b"<System>" in head):
        return "xml"
    if any(auditd.HEAD.search(line) for line in head.split(b"\n")[:_LINES]):
        return "auditd"
    return "viewer" if viewer.is_export(head) else None


def _json(head: bytes, ended: bool, limits: Limits) -> str | None:
    """Which of the formats that are JSON it is, by the first row that is whole."""
    if is_document(head):
        row = _first_row(head)
        return _kind(row) if row is not None else None
    for line in head.split(b"\n")[: _LINES if ended else -1][:_LINES] or [head]:
        try:
            row = loads(line, limits)
        except ValueError:
            continue
        if found := _kind(row):
            return found
    return None


def _first_row(head: bytes) -> Any:
    """The first value of a document that may be cut off."""
    text = head.decode("utf-8", "replace")
    start = text.find("{")
    try:
        return json.JSONDecoder().raw_decode(text, start)[0] if start >= 0 else None
    except (ValueError, RecursionError):
        return None


def _kind(row: Any) -> str | None:
    if isinstance(row, list):
        row = next((item for item in row if isinstance(item, dict)), None)
    if isinstance(row, dict) and isinstance(row.get("_source"), dict):
        row = row["_source"]
    if not isinstance(row, dict):
        return None
    return next((name for name, test in _TESTS.items() if test(row)), None)
