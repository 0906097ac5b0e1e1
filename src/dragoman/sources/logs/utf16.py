"""Text that PowerShell or `wevtutil` wrote as UTF-16, as UTF-8."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from ...opening.stream import Fault, Stream

_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def as_utf8(stream: Stream) -> Stream:
    """The stream, recoded if it begins with a UTF-16 byte order mark."""
    encoding = _MARKS.get(stream.peek(2))
    if encoding is None:
        return stream
    return Stream(stream.name, _recoded(stream, encoding), stream.limits, named=stream.named)


def _recoded(stream: Stream, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for chunk in stream.chunks():
        text = decoder.decode(chunk).removeprefix("\ufeff")
        if text:
            yield text.encode("utf-8", "replace")
    if stream.fault:
        raise Fault(stream.fault.reason)
