"""Sigma detection rules -> Text, through pySigma (extra ``[sigma]``).

Rules in YAML (one or several in a file) or as JSON objects of the same shape. What a rule is about
is its title, description and tags; what it looks for becomes its ``looks``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ..opening import Stream, too_long
from ..records import Rejected, Text, Where
from .vuln import clean

TITLE = re.compile(rb"(?:^|\n)title\s*:")
BODY = re.compile(rb"(?:^|\n)(?:logsource|detection|correlation|action)\s*:")
TAG = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)", re.I)
TACTIC = re.compile(r"attack\.([a-z][a-z_-]*)", re.I)
LEVELS = {"informational": "low", "low": "low", "high": "high", "critical": "critical"}
SYSTEMS = {"windows": "Windows", "linux": "Linux", "macos": "macOS"}
MISSING = "Sigma rules need the package pysigma: pip install 'dragoman[sigma]'"
LOOK = 400  # characters of what a rule looks for
DEPTH = 64  # brackets open at one time, and spaces that a line begins with, halved


def is_rules(stream: Stream) -> bool:
    """Whether a text holds Sigma rules: a ``title:`` and what to look for, at the margin."""
    head = stream.peek(4096)
    return TITLE.search(head) is not None and BODY.search(stream.peek(1 << 16)) is not None


def is_rule(record: Any) -> bool:
    """Whether a JSON object is a Sigma rule."""
    return isinstance(record, dict) and {"title", "logsource", "detection"} <= record.keys()


def read_rules(stream: Stream) -> Iterator[Text | Rejected]:
    """The rules of a YAML file. Aliases are refused: a few lines of them can mean gigabytes."""
    try:
        import yaml
    except ImportError:
        yield Rejected(Where(stream.name), MISSING)
        return

    class Loader(yaml.SafeLoader):
        """YAML without aliases."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("an alias")
            return super().compose_node(parent, index)

    for part in _documents(stream):
        if isinstance(part, Rejected):
            yield part
            continue
        where, data = part
        try:
            text = data.decode("utf-8")
            if _deep(text):
                raise ValueError("nested too deep")
            rule = yaml.load(text, Loader)  # noqa: S506 (a SafeLoader)
            if rule is not None:
                yield to_rule(rule)
        except (yaml.YAMLError, ValueError, RecursionError) as err:
            yield Rejected(where, f"not a Sigma rule: {clean(str(err))[:200]}", data[:200])


def _documents(stream: Stream) -> Iterator[tuple[Where, bytes] | Rejected]:
    """The YAML documents of a stream, none longer than ``limits.record_bytes``."""
    held, size, first, most = list[bytes](), 0, 1, stream.limits.record_bytes
    for line in stream.lines():
        if line.cut:
            yield too_long(stream, line)
            continue
        if line.data.rstrip() == b"---":
            if held:
                yield _document(stream, held, size, first, most)
            held, size, first = [], 0, line.number + 1
            continue
        size += len(line.data) + 1
        if size <= most:
            held.append(line.data)
    if held:
        yield _document(stream, held, size, first, most)


def _document(
    stream: Stream, held: list[bytes], size: int, first: int, most: int
) -> tuple[Where, bytes] | Rejected:
    where = Where(stream.name, line=first)
    if size > most:
        reason = f"a rule longer than limits.record_bytes = {most}"
        return Rejected(where, reason, held[0][:200] if held else b"")
    return where, b"\n".join(held)


def _deep(text: str) -> bool:
    """Whether YAML could nest deeper than ``DEPTH``, by brackets or by margin."""
    level = 0
    for char in re.findall(r"[\[\]{}]", text):
        level = max(level + (1 if char in "[{" else -1), 0)
        if level > DEPTH:
            return True
    return re.search(rf"^[ -]{{{DEPTH * 2},}}", text, re.M) is not None


def to_rule(record: Any) -> Text:
    """One rule, checked by pySigma.

    Raises:
        ValueError: not a Sigma rule, or pySigma is missing.
    """
    try:
        from sigma.correlations import SigmaCorrelationRule
        from sigma.exceptions import SigmaError
        from sigma.rule import SigmaRule
    except ImportError:
        raise ValueError(MISSING) from None
    if not isinstance(record, dict):
        raise ValueError("no mapping")
    known = {key: record[key] for key in record if isinstance(key, str)}
    kind = SigmaCorrelationRule if "correlation" in known else SigmaRule
    try:
        rule = kind.from_dict(known)
    except SigmaError as err:
        raise ValueError(str(err)) from None
    except Exception as err:  # pySigma meets types it does not expect in hostile rules
        raise ValueError(f"{type(err).__name__}: {err}") from None
    tags = [str(tag) for tag in rule.tags]
    product = getattr(getattr(rule, "logsource", None), "product", None)
    level = rule.level.name.lower() if rule.level else ""
    title = clean(rule.title)
    name = str(rule.id) if rule.id else "-".join(re.findall(r"[a-z0-9]+", title.lower()))
    if not title:
        raise ValueError("a rule without a title")
    return Text(
        id=f"sigma:{name}",
        title=title,
        body=clean(rule.description),
        source="sigma",
        kind="rule",
        severity=LEVELS.get(level, "medium"),
        looks=tuple(filter(None, [_look(known.get("detection"))])),
        techniques=_unique(m[1].upper() for t in tags if (m := TAG.fullmatch(t))),
        tactics=_unique(m[1].replace("_", "-") for t in tags if (m := TACTIC.fullmatch(t))),
        platforms=tuple(filter(None, [SYSTEMS.get(product or "", product)])),
    )


def _unique(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def _look(detection: Any) -> str:
    """What a rule looks for in words: ``Image ends with \\at.exe; CommandLine contains ...``."""
    parts, size = list[str](), 0
    for name, selection in detection.items() if isinstance(detection, dict) else ():
        if name in ("condition", "timeframe") or str(name).startswith("filter"):
            continue
        for item in selection if isinstance(selection, list) else [selection]:
            for part in _items(item):
                if size + len(part) > LOOK:
                    return "; ".join(parts) or part[:LOOK]
                parts.append(part)
                size += len(part) + 2
    return "; ".join(parts)


def _items(item: Any) -> Iterator[str]:
    if not isinstance(item, dict):
        yield clean(str(item))
        return
    for key, value in item.items():
        field, *modifiers = str(key).split("|")
        how = {"startswith": "starts with", "endswith": "ends with", "re": "matches"}
        verbs = [how.get(m, m) for m in modifiers if m in (*how, "contains")] or ["is"]
        values = value if isinstance(value, list) else [value]
        yield clean(f"{field} {verbs[0]} {', '.join(str(v) for v in values[:20])}")
