"""Markdown and plain text -> documents; Markdown that describes one threat class -> a class."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from ..errors import LimitError
from ..opening import Stream, too_long
from ..records import Rejected, Text, Where
from .vuln import CWE, clean

HEADING = re.compile(r"#{1,6}\s+(.*)")
BULLET = re.compile(r"\s*[-*+]\s+(.*)")
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
KEYS = ("id", "name", "cwe", "severity")
SEVERITIES = ("low", "medium", "high", "critical")
RESERVED = (
    "attack",
    "benign",
    "unknown",
)  # already labels or verdicts
CHARS = 1200  # of one document: about as much as a text encoder reads

Paragraph = tuple[str, str]  # nearest heading, text


def read_document(stream: Stream, name: str, stem: str) -> Iterator[Text | Rejected]:
    """Paragraphs under their nearest heading, short ones joined, long ones cut."""
    if b"\0" in stream.peek(4096):
        reason = "binary data: no text, JSON or XML"
        yield Rejected(Where(stream.name), reason, stream.peek(64))
        return
    number = 0
    for part in _joined(_paragraphs(stream)):
        if isinstance(part, Rejected):
            yield part
            continue
        title, body = part
        number += 1
        yield Text(f"doc:{stem}#{number}", title or stem, body, name, "document")


def read_class(stream: Stream, name: str, stem: str) -> Text | Rejected:
    """One threat class from Markdown: the first heading is its title, list items are its looks.

    Lines ``id:``, ``name:``, ``cwe:`` and ``severity:`` may stand before it between two ``---``.
    """
    try:
        lines = stream.read_all().decode("utf-8-sig").splitlines()
        return _class(lines, name, stem)
    except LimitError as err:
        return Rejected(Where(stream.name), err.what)
    except ValueError as err:
        return Rejected(Where(stream.name), f"not a class: {err}")


def _class(lines: list[str], name: str, stem: str) -> Text:
    about, lines = _front_matter(lines)
    titles, body, looks = [], [], []
    for line in lines:
        if heading := HEADING.fullmatch(line):
            titles.append(clean(heading[1]))
        elif bullet := BULLET.fullmatch(line):
            looks.append(clean(bullet[1]))
        elif looks and line[:1].isspace() and line.strip():
            looks[-1] += f" {clean(line)}"  # a list item that goes on
        else:
            body.append(clean(line))
    slug = about.get("id", "").removeprefix("class:") or _slug(stem)
    title = about.get("name") or (titles[0] if titles else "")
    text = Text(
        id=f"class:{slug}",
        title=title,
        body=" ".join(filter(None, body)),
        source=name,
        kind="class",
        slug=slug,
        cwe=tuple(dict.fromkeys(CWE.findall(about.get("cwe", "").upper()))),
        severity=about.get("severity", "medium").lower(),
        looks=tuple(filter(None, looks)),
    )
    if fault := _fault(text):
        raise ValueError(fault)
    return text


def _fault(text: Text) -> str | None:
    if not SLUG.fullmatch(text.slug or ""):
        return f"the id {text.slug!r} must be lower-case words joined by hyphens"
    if text.slug in RESERVED:
        return f"the id {text.slug!r} has a meaning of its own"
    if text.severity not in SEVERITIES:
        return f"severity {text.severity!r} is none of {', '.join(SEVERITIES)}"
    if not text.title:
        return "it has neither a heading nor a name"
    if not text.body and not text.looks:
        return "it has no description"
    return None


def _front_matter(lines: list[str]) -> tuple[dict[str, str], list[str]]:
    if not lines or lines[0].strip() != "---":
        return {}, lines
    ends = [i for i, line in enumerate(lines) if i and line.strip() == "---"]
    if not ends:
        raise ValueError("the front matter has no closing ---")
    about = {}
    for line in filter(str.strip, lines[1 : ends[0]]):
        key, _, value = line.partition(":")
        if key.strip() not in KEYS:
            raise ValueError(f"unknown key {key.strip()[:40]!r}; known: {', '.join(KEYS)}")
        about[key.strip()] = clean(value).strip("\"'")
    return about, lines[ends[0] + 1 :]


def _slug(stem: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", stem.lower()))


def _joined(parts: Iterable[Paragraph | Rejected]) -> Iterator[Paragraph | Rejected]:
    """Neighbouring paragraphs under one heading as pieces of at most ``CHARS`` characters."""
    title = held = ""
    for part in parts:
        if isinstance(part, Rejected):
            yield part
            continue
        if held and (part[0] != title or len(held) + len(part[1]) >= CHARS):
            yield from _cut(title, held)
            held = ""
        title, held = part[0], f"{held} {part[1]}".strip()
    yield from _cut(title, held)


def _cut(title: str, text: str) -> Iterator[Paragraph]:
    for piece in textwrap.wrap(text, CHARS, break_on_hyphens=False):
        yield title, piece


def _paragraphs(stream: Stream) -> Iterator[Paragraph | Rejected]:
    title, lines, size = "", list[str](), 0
    for line in _lines(stream):
        if isinstance(line, Rejected):
            yield line
            continue
        heading, text = HEADING.fullmatch(line), clean(line)
        if lines and (heading or not text or size > CHARS):
            yield title, " ".join(lines)
            lines, size = [], 0
        if heading:
            title = clean(heading[1].rstrip("# "))
        elif text:
            lines.append(text)
            size += len(text)
    if lines:
        yield title, " ".join(lines)


def _lines(stream: Stream) -> Iterator[str | Rejected]:
    for line in stream.lines():
        if line.cut:
            yield too_long(stream, line)
            continue
        try:
            yield line.data.decode("utf-8").rstrip("\r")
        except UnicodeDecodeError:
            where = Where(stream.name, line=line.number)
            yield Rejected(where, "not UTF-8 text", line.data[:200])
