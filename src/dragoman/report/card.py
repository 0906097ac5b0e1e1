"""One finding as an HTML card. Every string of a finding passes through ``esc`` or ``rich``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from ..records import Evidence, Excerpt, Finding, Hit, Span
from .visible import ODD, shorten, sign, visible

SEVERITIES = ("critical", "high", "medium", "low", "info")
TEXT = 2_000  # characters shown of one decoded text
AROUND = 500  # bytes shown before and after the deciding span
MARKED = 1_000  # bytes shown of the deciding span


def esc(text: str, limit: int | None = 300) -> str:
    """``text`` on one line, odd characters visible, escaped for element and attribute content."""
    return escape(visible(text, limit))


def rich(text: str, limit: int | None = None) -> str:
    """As :func:`esc`, but for element content only: escapes are tinted, line feeds break lines."""
    return ODD.sub(_tinted, escape(shorten(text, limit)))


def _tinted(match: re.Match[str]) -> str:
    shown = sign(match)
    if shown == match[0]:
        return shown
    return f"<i>{shown}</i>" + ("\n" if match[0] == "\n" else "")


def card(number: int, finding: Finding) -> str:
    """The card of the ``number``-th finding (1-based): a summary line that opens to everything."""
    f = finding
    first = f.evidence[0] if f.evidence else Evidence("", "")
    severity = f.severity if f.severity in SEVERITIES else "medium"
    rank = SEVERITIES.index(severity)
    about = [("Place", str(f.where)), ("Record", f.record)]
    about += [(k, v) for k, v in (("Time", f.time), ("Host", f.host)) if v is not None]
    about += [("Tactics", ", ".join(f.tactics))] if f.tactics else []
    about += [("Severity", f.severity)]
    return f"""<li class="card {severity}" data-n="{number}" data-class="{esc(f.verdict)}"\
 data-score="{f.score:.6f}" data-rank="{rank}">
<details>
<summary>
<span class="what"><span class="dot"></span><span class="name">{esc(f.name)}</span>\
<span class="where"><span class="tone">{esc(f.severity, 20)}</span> ·\
 {esc(str(f.where).rpartition("/")[2])}</span></span>
<span class="peek"><span class="field">{esc(first.field, 80)}</span>\
<code>{rich(first.text, 140)}</code></span>
<span class="how">{_score(f.score, f.threshold)}</span>
</summary>
<div class="more">
{_received(f.excerpt, first)}{"".join(map(_reading, f.evidence))}
<div class="pair">
<section><h3>Nearest intelligence</h3>{_hits(f.nearest)}</section>
<section><h3>Runner-up classes</h3>{_hits(f.runner_ups)}</section>
</div>
<dl>{"".join(f"<div><dt>{k}</dt><dd>{rich(v, 300)}</dd></div>" for k, v in about)}</dl>
</div>
</details>
</li>
"""


def _score(score: float, threshold: float) -> str:
    at, bar = _percent(threshold), _percent(score)
    return (
        f'<span class="score">{score:.3f}</span>'
        f'<svg class="scale" viewBox="0 0 100 12" preserveAspectRatio="none" role="img" '
        f'aria-label="score {score:.3f}, threshold {threshold:.3f}">'
        f'<rect class="rail" y="4" width="100" height="4"/>'
        f'<rect class="fill" y="4" width="{bar:.2f}" height="4"/>'
        f'<rect class="tick" x="{max(at - 0.5, 0):.2f}" width="1" height="12"/></svg>'
        f'<span class="limit">threshold {threshold:.3f}</span>'
    )


def _received(excerpt: Excerpt | None, first: Evidence) -> str:
    if excerpt is None:
        return ""
    start, end = first.span or (excerpt.start, excerpt.start)
    note = f"bytes {start:,} to {end:,} decided" if first.span else "the record begins like this"
    body = marked(excerpt, (start, end))
    return f'<h3>As received <span class="note">{note}</span></h3><pre>{body}</pre>'


def marked(excerpt: Excerpt, span: Span) -> str:
    """The excerpt around ``span`` (byte offsets in the record) as HTML, the span in ``<mark>``."""
    data = excerpt.data
    start = min(max(span[0] - excerpt.start, 0), len(data))
    end = min(max(span[1] - excerpt.start, start), len(data))
    left = start - AROUND if start > AROUND * 2 else 0  # a short head is shown whole
    stop = min(end, start + MARKED)
    right = min(end + AROUND, len(data))
    out = [_skipped(left), _bytes(data[left:start])]
    if end > start:
        out.append(f"<mark>{_bytes(data[start:stop])}{_skipped(end - stop)}</mark>")
    out += [_bytes(data[end:right]), _skipped(len(data) - right)]
    return "".join(out).rstrip("\n")


def _skipped(n: int) -> str:
    return f'<span class="cut">… {n:,} bytes …</span>' if n else ""


def _bytes(data: bytes) -> str:
    parts = data.decode("utf-8", "backslashreplace").split("\r\n")
    return "\n".join(map(rich, parts))


def _reading(evidence: Evidence) -> str:
    arrow = '<span class="arrow" aria-hidden="true">→</span>'
    chips = arrow.join(f'<span class="chip">{esc(step, 60)}</span>' for step in evidence.chain)
    how = f"decoded by {chips}" if chips else "as it stands"
    more = len(evidence.text) - TEXT
    note = f'<span class="cut"> … {more:,} more characters</span>' if more > 0 else ""
    body = rich(evidence.text, TEXT)
    return (
        f'<h3>Read from <span class="field">{esc(evidence.field, 80)}</span> '
        f'<span class="note">{how}</span></h3><pre>{body}{note}</pre>'
    )


def _hits(hits: Iterable[Hit]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{esc(hit.id, 80)}</th><td>{esc(hit.title, 160)}'
        f' <span class="note">{esc(hit.source, 60)}</span></td>'
        f'<td class="num">{hit.score:.3f}{bar(_percent(hit.score))}</td></tr>'
        for hit in hits
    )
    return f"<table>{rows}</table>" if rows else '<p class="note">None.</p>'


def bar(percent: float) -> str:
    """A plain bar, decoration beside a number that says the same."""
    return (
        '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="rail" width="100" height="4"/>'
        f'<rect class="fill" width="{percent:.2f}" height="4"/></svg>'
    )


def _percent(share: float) -> float:
    return 100 * min(max(share, 0.0), 1.0)
