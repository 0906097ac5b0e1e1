"""The parts of a finding: what it cites, the part of the record to show, the classes near it."""

from __future__ import annotations

import numpy as np

from .config import Limits
from .detect import Scored, Verdict
from .knowledge import Knowledge
from .prepare.decode import readings
from .records import Evidence, Excerpt, Hit, Span

UNKNOWN = "unknown"
EXCERPT = 4096  # bytes of a record kept with a finding
_SHOWN = 400  # characters of evidence quoted in a finding
_CITED = 4  # fields cited


def evidence(scored: Scored, threshold: float, limits: Limits) -> tuple[Evidence, ...]:
    """The deciding field, then others that would be a finding on their own."""
    cut = np.log(threshold / (1 - threshold)) if 0 < threshold < 1 else 0.0
    out: dict[Span, Evidence] = {}
    for field, logit in zip(scored.fields, scored.logits, strict=True):
        if out and logit < cut:
            break
        data, chain = readings(field.value, limits)[-1]
        text = data[:_SHOWN].decode("utf-8", "backslashreplace")
        span = (field.start, field.end)
        out.setdefault(span, Evidence(field.name, text, span, chain))
    return tuple(out.values())[:_CITED]


def excerpt(data: bytes, span: Span | None) -> Excerpt:
    """The whole record if it is short, else ``EXCERPT`` bytes around the span."""
    start, end = span or (0, 0)
    spare = EXCERPT - min(end - start, EXCERPT)
    first = max(0, min(start - spare // 2, len(data) - EXCERPT))
    return Excerpt(data[first : first + EXCERPT], first)


def class_hits(knowledge: Knowledge, verdict: Verdict, k: int | None = None) -> tuple[Hit, ...]:
    """The ``k`` nearest classes, or all, the named one first."""
    texts = knowledge.classes
    return tuple(
        Hit(texts[i].id, texts[i].title, texts[i].source, float(verdict.similarity[i]))
        for i in verdict.order[:k]
    )
