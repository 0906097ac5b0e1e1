"""Markdown that describes one threat class -> a class."""

from __future__ import annotations

import re

from ..errors import LimitError
from ..opening import Stream
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
