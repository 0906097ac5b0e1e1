"""JSON rows out of a stream: JSON lines, one array, or values one after another; bounded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..config import Limits
from ..errors import LimitError
from ..records import Rejected, Where
from .stream import BOM, RAW, Stream, too_long

Pairs = Callable[[list[tuple[str, Any]]], Any] | None  # json's object_pairs_hook
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}'))
_STRING = re.compile(rb'"[^"]*"?')
_GAP = re.compile(r"[\s,]*")
_DOCUMENT = re.compile(
    rb"\s*(?:\[\s*(?:\{|\"|\]|$)|\{\s*[\r\n])"
)  # an array, or a value over lines


class Row(NamedTuple):
    """One JSON value, where it was, a stable id for it, and the first bytes of it."""

    where: Where
    id: str
    value: Any
    raw: bytes


def too_deep(data: bytes, limits: Limits) -> bool:
    """Whether the JSON text nests deeper than ``limits.json_depth``; linear, without recursion."""
    if data.count(b"[") + data.count(b"{") <= limits.json_depth:
        return False
    bare = data.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NOT_STRUCTURE)
    level = 0
    for char in _STRING.sub(b"", bare):
        level += 1 if char in b"[{" else -1
        if level > limits.json_depth:
            return True
    return False


def loads(data: bytes, limits: Limits, pairs: Pairs = None) -> Any:
    """Parse one JSON value. Bytes that are not UTF-8 come back from ``text_bytes`` unchanged.

    Raises:
        ValueError: not JSON, or nested deeper than ``limits.json_depth``.
    """
    if too_deep(data, limits):
        raise ValueError(f"JSON nested deeper than limits.json_depth = {limits.json_depth}")
    try:
        return json.loads(data.decode("utf-8", "surrogateescape"), object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None
    except ValueError as err:
        raise ValueError(f"not JSON: {err}") from None


def text_bytes(text: str) -> bytes:
    """Text from JSON or CSV as the bytes it was: UTF-8, undecodable bytes restored."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate written as \\uD800
        return text.encode("utf-8", "surrogatepass")


def rows(stream: Stream, pairs: Pairs = None) -> Iterator[Row | Rejected]:
    """Every JSON value of a stream: one a line, or else the elements of one array or document."""
    if is_document(stream.peek(1024)):
        yield from document(stream, pairs=pairs)
        return
    for line in stream.lines():
        if line.cut:
            yield too_long(stream, line)
            continue
        if not line.data.strip():
            continue
        where = Where(stream.name, line=line.number)
        try:
            value = loads(line.data, stream.limits, pairs)
        except ValueError as err:
            yield Rejected(where, str(err), line.data[:RAW])
            continue
        yield Row(where, f"{stream.name}#{line.number}", value, line.data[:RAW])


def is_document(head: bytes) -> bool:
    """Whether JSON beginning with ``head`` is one document rather than one value a line."""
    return _DOCUMENT.match(head.removeprefix(BOM)) is not None


def document(
    stream: Stream, opening: re.Pattern[str] | None = None, pairs: Pairs = None
) -> Iterator[Row | Rejected]:
    """The elements of an array, or values one after another, of a document read whole.

    ``opening`` finds the array to read (its match ends after the ``[``). Values are decoded one at
    a time: those before a fault in the document are kept.
    """
    try:
        data = stream.read_all()
    except LimitError as err:
        yield Rejected(Where(stream.name), err.what)
        return
    if too_deep(data, stream.limits):
        reason = f"JSON nested deeper than limits.json_depth = {stream.limits.json_depth}"
        yield Rejected(Where(stream.name), reason, data[:RAW])
        return
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    found = (opening or re.compile(r"\s*(?:\[|(?=[^\s\[]))")).search(text)
    if found is None:
        yield Rejected(Where(stream.name), "broken JSON: no array of records in it", data[:RAW])
        return
    yield from _elements(
        stream, text, found.end(), text[found.end() - 1 : found.end()] == "[", pairs
    )


def _elements(
    stream: Stream, text: str, pos: int, array: bool, pairs: Pairs
) -> Iterator[Row | Rejected]:
    decoder = json.JSONDecoder(object_pairs_hook=pairs)
    number, byte, seen = 0, 0, 0  # ``byte`` is the byte offset of character ``seen``
    while True:
        pos = _gap(text, pos)
        byte, seen = byte + len(text_bytes(text[seen:pos])), pos
        where = Where(stream.name, byte=byte)
        if pos == len(text):
            if array and stream.fault is None:
                yield Rejected(where, "broken JSON: it ends inside the array of records")
            return
        if array and text[pos] == "]":
            return
        try:
            value, end = decoder.raw_decode(text, pos)
        except (ValueError, RecursionError) as err:
            reason = f"broken JSON: {err}; the rest is unread"
            yield Rejected(where, reason, text_bytes(text[pos : pos + RAW])[:RAW])
            return
        number += 1
        raw = text_bytes(text[pos : min(end, pos + RAW)])[:RAW]
        yield Row(where, f"{stream.name}#{number}", value, raw)
        pos = end


def _gap(text: str, pos: int) -> int:
    found = _GAP.match(text, pos)
    return found.end() if found else pos
