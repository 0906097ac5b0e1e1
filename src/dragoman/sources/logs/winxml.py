"""Windows events as XML: exports of Event Viewer and `wevtutil`, and Sysmon for Linux in syslog.

``<Event>`` elements are cut out of the stream one at a time and parsed each on its own, so that a
file needs no root element, memory does not grow with it, and a fault costs one event.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from ...opening.stream import RAW, Stream
from ...records import Rejected, Where
from .build import Bounded, Records, Skipped
from .windows import event
from .winjson import nested

_OPEN = re.compile(rb"<Event[\s>]")
_CLOSE = b"</Event>"
_TAIL = 7  # bytes of a tag that may be cut by the end of a chunk
_TAG = re.compile(rb"<(/?)[A-Za-z_][^<>]*?(/?)>")


class _Piece(NamedTuple):
    byte: int
    data: bytes
    fault: str | None = None


def read(stream: Stream, skipped: Skipped) -> Records:
    """Every ``<Event>`` of a stream."""
    bounded = Bounded(stream.limits, skipped)
    found = 0
    for piece in _pieces(stream):
        where = Where(stream.name, byte=piece.byte)
        value = piece.fault or _parsed(piece.data, stream.limits.xml_depth)
        if isinstance(value, str):
            yield Rejected(where, value, piece.data[:RAW])
            continue
        record = nested(value)
        if record is None or not record.time:
            reason = "an event without an id" if record is None else "an event without a time"
            yield Rejected(where, reason, piece.data[:RAW])
            continue
        found += 1
        native = (f"{record.channel}/{record.number}"[:128],)
        where = Where(stream.name, byte=piece.byte, event_ids=native)
        yield event(record, bounded, f"{stream.name}#{found}", where)


def _pieces(stream: Stream) -> Iterator[_Piece]:
    """The bytes of each element, at most ``limits.record_bytes``; longer ones are skipped over."""
    most, held, start = stream.limits.record_bytes, b"", 0
    skipping = False
    for chunk in stream.chunks():
        searched = max(0, len(held) - _TAIL)  # no end tag begins before this
        held += chunk
        at = 0
        while True:
            if skipping:
                end = held.find(_CLOSE, max(at, searched))
                if end < 0:
                    at = max(at, len(held) - _TAIL)
                    break
                at, skipping = end + len(_CLOSE), False
            opened = _OPEN.search(held, at)
            if opened is None:
                at = max(at, len(held) - _TAIL)
                break
            at = opened.start()
            end = held.find(_CLOSE, max(opened.end(), searched))
            if end < 0 and len(held) - at <= most:
                break
            if end < 0 or end + len(_CLOSE) - at > most:
                reason = f"record longer than limits.record_bytes = {most}"
                yield _Piece(start + at, held[at : at + RAW], reason)
                at, skipping = opened.end(), True
                continue
            yield _Piece(start + at, held[at : end + len(_CLOSE)])
            at = end + len(_CLOSE)
        start, held = start + at, held[at:]
    if not skipping and _OPEN.match(held) and stream.fault is None:
        yield _Piece(start, held[:RAW], "broken XML: the input ends inside an event")


def _parsed(data: bytes, depth: int) -> dict[str, Any] | str:
    """An element as nested fields, as evtx_dump writes them; or why it is none."""
    level = 0
    for tag in _TAG.finditer(data):
        level += -1 if tag.group(1) else 0 if tag.group(2) else 1
        if level > depth:
            return f"XML nested deeper than limits.xml_depth = {depth}"
    try:
        root = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as err:
        return f"broken XML: {err}"[:300]
    return {_name(part.tag): _part(part) for part in root}


def _part(element: Any) -> Any:
    """Text alone as text, named ``Data`` by its name, and all else as a dict."""
    if not len(element) and not element.attrib:
        return element.text
    out: dict[str, Any] = {}
    if element.attrib:
        out["#attributes"] = {_name(key): value for key, value in element.attrib.items()}
    if element.text and element.text.strip():
        out["#text"] = element.text
    loose: list[Any] = []
    for child in element:
        name = _name(child.tag)
        if name == "Data":
            key = child.get("Name")
            loose.append(child.text) if key is None else out.setdefault(key, child.text)
        else:
            out.setdefault(name, _part(child))
    if loose:
        out["Data"] = loose
    return out


def _name(tag: Any) -> str:
    """A tag without its namespace."""
    return str(tag).rpartition("}")[2]
