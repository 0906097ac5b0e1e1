"""Files of intelligence -> Text. The first bytes of a file decide what it holds, not its name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from ..config import Limits
from ..opening import Paths, Stream, document, open_streams, rows
from ..records import Rejected, Text
from .cwe import read_cwe
from .prose import read_class, read_document
from .vuln import to_text

HEAD = 4096
XML = re.compile(rb"\s*<(\?xml|Weakness_Catalog)\b")
JSON = re.compile(rb'\s*(\{\s*["}]|\[\s*[{\]])')
# A feed: an object whose first non-scalar member is the array of records.
FEED = re.compile(
    rb'\s*\{(?:\s*"[^"]*"\s*:\s*(?:"[^"]*"|[\w.+-]+)\s*,)*\s*"(vulnerabilities|CVE_Items|objects)"\s*:\s*\['
)


def read_texts(
    paths: Paths, *, limits: Limits | None = None, as_class: bool = False
) -> Iterator[Text | Rejected]:
    """Read intelligence from files, directories, globs or ``-``; plain, gzip or zip.

    Known: NVD JSON (API 2.0 and 1.1 feeds), CVE JSON 5 records (one, a list, or the layout of
    cvelistV5), CWE XML, CAPEC as a STIX bundle, JSON lines of CVE, CWE or CAPEC entries, and prose
    (Markdown, plain text), whose pieces get the ids ``doc:<file stem>#n``. With ``as_class`` each
    file is Markdown that describes one threat class.

    Raises:
        SourceError: a named path that does not exist or cannot be opened.
    """
    return _read(open_streams(paths, limits or Limits()), as_class=as_class)


def _read(streams: Iterator[Stream | Rejected], *, as_class: bool) -> Iterator[Text | Rejected]:
    seen: Counter[str] = Counter()
    for stream in streams:
        if isinstance(stream, Rejected):
            yield stream
            continue
        name = PurePosixPath(stream.name.replace("!", "/")).name
        stem = re.sub(r"(\.(md|markdown|txt|gz))+$", "", name) or "text"
        seen[stem] += 1
        key = stem if seen[stem] == 1 else f"{stem}~{seen[stem]}"
        if as_class:
            text = read_class(stream, name, stem)
            yield stream.fault or text
            continue
        yield from _sniffed(stream, name, key)
        if stream.fault:
            yield stream.fault


def _sniffed(stream: Stream, name: str, key: str) -> Iterator[Text | Rejected]:
    head = stream.peek(HEAD)[:HEAD].removeprefix(b"\xef\xbb\xbf")
    if XML.match(head):
        yield from read_cwe(stream)
    elif JSON.match(head):
        yield from _read_json(stream, head)
    else:
        yield from read_document(stream, name, key)


def _read_json(stream: Stream, head: bytes) -> Iterator[Text | Rejected]:
    feed = FEED.match(head)
    if feed:
        found = document(stream, re.compile(rf'"{feed[1].decode()}"\s*:\s*\['))
    else:
        found = rows(stream)
    for row in found:
        if isinstance(row, Rejected):
            yield row
            continue
        for record in _records(row.value):
            try:
                text = to_text(record, stream.limits)
            except ValueError as err:
                yield Rejected(row.where, str(err), row.raw)
                continue
            if text:
                yield text


def _records(value: Any) -> Iterator[Any]:
    """A record, or the records of a feed whose keys came in an unusual order."""
    if isinstance(value, dict):
        for key in ("vulnerabilities", "CVE_Items", "objects"):
            if isinstance(value.get(key), list):
                yield from value[key]
                return
    yield value
