"""Attacks cut out of labelled rows: the value that attacks, and how to put another in its place.

No model is asked where the attack sits: a value attacks when it shows a sign of the row's class
(``label.SHOWS``), and only rows in which exactly one value does are used. Composite fields (a whole
query, a whole body) count only where none of their parts shows a sign.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote_from_bytes, unquote_to_bytes

from baselines import Row
from data import _stays
from judges import payload_of
from label import CLASSES, SHOWS, decoded

from dragoman.prepare.fields import split
from dragoman.records import Field, Kind
from dragoman.synth import generate

_WHOLE = {"query", "form", "body"}
_NAMES = re.compile(r"(?:query|form|json|header)-name")
_SAFE = {  # what hand-written requests leave unescaped, by place
    "query": "!'()*,:/?@;$=[]{}|\"<>\\^`-._~",
    "form": "!'()*,:/?@$=[]{}|-._~",
    "path": "/!'()*,:@;$=-._~",
    "cookie": "!#$&'()*+-./:<=>?@[]^_`{|}~",
}
_BARE = re.compile(r"(?:[a-z][a-z0-9+.-]{1,11}:|[/\\]{2}|/\\)(?!.*\.\.)[^'\"<>;|`{}()]*")
_LENGTH = re.compile(rb"(\r?\ncontent-length:[ \t]*)[0-9]+", re.I)


@dataclass(frozen=True)
class Attack:
    """An attack value of known class. ``record[start:end]`` carries it, encoded for ``place``.

    ``place``: ``value``, ``query``, ``form``, ``path``, ``cookie``, ``header``, ``json``, ``xml``,
    ``part``, ``file`` or ``body``; ``name`` is that of the parameter, header or key, if any.
    """

    id: str
    slug: str
    value: bytes
    place: str
    name: str
    record: bytes
    start: int
    end: int

    @property
    def kind(self) -> Kind:
        return "value" if self.place == "value" else "http"

    @property
    def bare(self) -> bool:
        """Whether it is nothing but a URL: then only the place tells a redirect from a fetch."""
        return _BARE.fullmatch(re.sub(r"\s", "", decoded(self.value))) is not None

    def encoded(self, value: bytes) -> bytes:
        """``value`` as its place needs it."""
        return encoded(value, self.place)

    def carrying(self, raw: bytes) -> bytes:
        """The record with ``raw``, already encoded, in the value's place, and the right length."""
        record = self.record[: self.start] + raw + self.record[self.end :]
        head, gap, body = record.partition(b"\r\n\r\n")
        if self.place in ("value", "query", "path", "cookie", "header") or not gap:
            return record
        return _LENGTH.sub(rb"\g<1>%d" % len(body), head) + gap + body

    def with_value(self, value: bytes) -> bytes:
        """The record with another value in the same place."""
        return self.carrying(self.encoded(value))


def encoded(value: bytes, place: str) -> bytes:
    """``value`` as a client writes it at ``place``."""
    if place in _SAFE:
        return quote_from_bytes(value, safe=_SAFE[place]).encode()
    if place == "json":
        return json.dumps(_text(value), ensure_ascii=False)[1:-1].encode()
    if place == "xml":
        return html.escape(_text(value)).encode()
    return value


def plain(raw: bytes, place: str) -> bytes:
    """What an application reads at ``place``: the inverse of :func:`encoded`."""
    if place in ("query", "form"):
        return unquote_to_bytes(raw.replace(b"+", b" "))
    if place in ("path", "cookie"):
        return unquote_to_bytes(raw)
    if place == "json":
        try:
            return str(json.loads(b'"' + raw + b'"', strict=False)).encode("utf-8", "replace")
        except ValueError:
            return raw
    return html.unescape(_text(raw)).encode() if place == "xml" else raw


def cut(row: Row) -> Attack | None:
    """The attack of a row, or ``None`` where no single value shows the row's class."""
    slug = row["label"]
    if slug not in CLASSES:
        return None
    record = payload_of(row)
    if record.kind == "value":
        size = len(record.data)
        return Attack(record.id, slug, record.data, "value", "", record.data, 0, size)
    fields = [f for f in split(record).fields if _may_attack(f)]
    signs = [f for f in fields if _shows(f, slug)]
    parts = [f for f in signs if f.name not in _WHOLE]
    found = {(f.start, f.end): f for f in parts or signs}
    if len(found) != 1:
        return None
    field = next(iter(found.values()))
    if record.data[field.start : field.end] != field.value or _NAMES.fullmatch(field.name):
        return None
    place, _, name = field.name.partition(":")
    value = plain(field.value, place)
    return Attack(record.id, slug, value, place, name, record.data, field.start, field.end)


def cuts(rows: Iterable[Row]) -> list[Attack]:
    """The attacks of those rows that have one that can be cut out."""
    return [attack for attack in map(cut, rows) if attack is not None]


def made(seed: int, per_class: int, templates: Collection[str] | None = None) -> Iterator[Attack]:
    """Generated attack values, ``per_class`` each.

    ``templates`` (``slug/template``) restricts them to templates that training never saw; without
    it they come from the very grammar that training draws on, and say nothing of other sources.
    """
    for slug in CLASSES:
        mine = None
        if templates is not None:
            mine = {t.partition("/")[2] for t in templates if t.startswith(f"{slug}/")}
        number = 0
        for sample in generate(slug, 4 * per_class, seed, templates=mine):
            if sample.kind == "value" and number < per_class:
                number += 1
                value, name = sample.payload, (sample.params or ("",))[0]
                yield Attack(
                    f"synth/{slug}/{sample.template}/{number}", slug, value, "value", name, value,
                    0, len(value),
                )  # fmt: skip


def _may_attack(field: Field) -> bool:
    """Not a segment of the path (the path is there as a whole), not what browsers send."""
    kind, _, name = field.name.partition(":")
    if kind == "path":
        return not name
    return kind != "header" or _stays(f"{name}: {_text(field.value)}")


def _shows(field: Field, slug: str) -> bool:
    """A path begins with a slash by nature: that much shows nothing."""
    place = field.name.partition(":")[0]
    before = "path" if place == "path" else "="
    return SHOWS[slug].search(before + decoded(plain(field.value, place))) is not None


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
