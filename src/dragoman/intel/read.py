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
from .attack import Attack, is_attack
from .cwe import read_cwe
from .prose import read_class
from .reports import is_html, read_report
from .sigma import is_rule, is_rules, read_rules, to_rule
from .vuln import to_text

HEAD = 4096
XML = re.compile(rb"\s*<(\?xml|Weakness_Catalog)\b")
JSON = re.compile(rb'\s*(\{\s*["}]|\[\s*[{\]])')
ENDINGS = re.compile(r"(\.(md|markdown|txt|html?|pdf|gz))+$")
# A feed: an object whose first non-scalar member is the array of records.
FEED = re.compile(
    rb'\s*\{(?:\s*"[^"]*"\s*:\s*(?:"[^"]*"|[\w.+-]+)\s*,)*\s*"(vulnerabilities|CVE_Items|objects)"\s*:\s*\['
)


def read_texts(
    paths: Paths, *, limits: Limits | None = None, as_class: bool = False
) -> Iterator[Text | Rejected]:
    """Read intelligence from files, directories, globs or ``-``; plain, gzip, tar or zip.

    Known: NVD JSON (API 2.0 and 1.1 feeds), CVE JSON 5 records (one, a list, or the layout of
    cvelistV5), CWE XML, CAPEC and ATT&CK as STIX bundles, JSON lines of CVE, CWE or CAPEC entries,
    Sigma rules, and prose (text, Markdown, HTML, PDF), whose pieces get the ids
    ``doc:<file stem>#n``. With ``as_class`` each file is Markdown that describes one threat class.

    Raises:
        SourceError: a named path that does not exist or cannot be opened.
    """
    limits = limits or Limits()
    return _read(open_streams(paths, limits), limits, as_class=as_class)


def _read(
    streams: Iterator[Stream | Rejected], limits: Limits, *, as_class: bool
) -> Iterator[Text | Rejected]:
    seen: Counter[str] = Counter()
    attack = Attack(limits)
    for stream in streams:
        if isinstance(stream, Rejected):
            yield stream
            continue
        name = PurePosixPath(stream.name.replace("!", "/")).name
        stem = ENDINGS.sub("", name) or "text"
        seen[stem] += 1
        key = stem if seen[stem] == 1 else f"{stem}~{seen[stem]}"
        if as_class:
            text = read_class(stream, name, stem)
            yield stream.fault or text
            continue
        yield from _sniffed(stream, name, key, attack)
        if stream.fault:
            yield stream.fault
    yield from attack.texts()


def _sniffed(stream: Stream, name: str, key: str, attack: Attack) -> Iterator[Text | Rejected]:
    head = stream.peek(HEAD)[:HEAD].removeprefix(b"\xef\xbb\xbf")
    if XML.match(head) and not is_html(head):
        yield from read_cwe(stream)
    elif JSON.match(head):
        yield from _read_json(stream, head, attack)
    elif is_rules(stream):
        yield from read_rules(stream)
    else:
        yield from read_report(stream, name, key)


def _read_json(stream: Stream, head: bytes, attack: Attack) -> Iterator[Text | Rejected]:
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
                if is_attack(record):
                    attack.add(record, row.where)
                elif is_rule(record):
                    yield to_rule(record)
                else:
                    yield to_text(record, stream.limits)
            except ValueError as err:
                yield Rejected(row.where, str(err), row.raw)


def _records(value: Any) -> Iterator[Any]:
    """A record, or the records of a feed whose keys came in an unusual order."""
    if isinstance(value, dict):
        for key in ("vulnerabilities", "CVE_Items", "objects"):
            if isinstance(value.get(key), list):
                yield from value[key]
                return
    yield value
