"""CWE XML (MITRE's cwec_*.xml) -> Text, as a stream: one element in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, iterparse

from ..errors import LimitError
from ..opening import Stream
from ..records import Rejected, Text, Where
from .vuln import clean, weakness

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


class _Reader:
    """A stream as the file ``iterparse`` wants; ``held`` counts the bytes read since its reset."""

    def __init__(self, stream: Stream) -> None:
        self._chunks, self._most, self._rest = stream.chunks(), stream.limits.record_bytes, b""
        self.held = 0

    def read(self, size: int) -> bytes:
        self._rest = self._rest or next(self._chunks, b"")
        piece, self._rest = self._rest[:size], self._rest[size:]
        self.held += len(piece)
        if self.held > max(self._most, size):
            raise LimitError(f"an element longer than limits.record_bytes = {self._most}")
        return piece


def read_cwe(stream: Stream) -> Iterator[Text | Rejected]:
    """The weaknesses of a CWE catalogue. A document type, and so any entity, is refused."""
    where = Where(stream.name)
    found = False
    try:
        for element in _weaknesses(stream):
            found = True
            try:
                yield _text(element)
            except ValueError as err:
                yield Rejected(where, str(err))
    except LimitError as err:
        yield Rejected(where, err.what)
    except DefusedXmlException:
        yield Rejected(where, "XML with a document type or entity is not read")
    except (ParseError, ValueError, LookupError) as err:  # LookupError: an unknown encoding
        yield Rejected(where, f"broken XML: {err}")
    else:
        if not found and not stream.fault:
            yield Rejected(where, "no CWE weakness in this XML")


def _weaknesses(stream: Stream) -> Iterator[Element]:
    path: list[Element] = []
    most, reader = stream.limits.xml_depth, _Reader(stream)
    for event, element in iterparse(reader, events=("start", "end"), forbid_dtd=True):
        if event == "start":
            path.append(element)
            if len(path) > most:
                raise LimitError(f"XML nested deeper than limits.xml_depth = {most}")
            continue
        path.pop()
        if _name(element) == "Weakness":
            yield element
        if len(path) <= 2 and path:  # catalogue, list of weaknesses: forget what was read
            path[-1].remove(element)
            reader.held = 0


def _text(element: Element) -> Text:
    parts = {_name(child): clean("".join(child.itertext())) for child in element}
    body = f"{parts.get('Description', '')} {parts.get('Extended_Description', '')}".strip()
    id, name = f"CWE-{element.get('ID', '')[:12]}", clean(element.get("Name"))
    return weakness(id, name, body, clean(element.get("Status")))


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]
