"""The HTML report: one file that opens from disk, asks for no network and trusts no evidence.

A strict content security policy allows this page's own style sheet and script by their SHA-256
and nothing else; evidence is only ever text. Cards are written to a temporary file as findings
come, so memory does not grow with their number, and the page appears whole or not at all.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import secrets
import shutil
import tempfile
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import IO

from ..errors import UsageError
from ..records import Counts, Finding, Rejected
from .card import bar, card, esc, rich

CARDS = 2_000  # findings shown in detail; all are counted
REJECTS = 200  # rejected records listed; all are counted

Classes = Counter[tuple[str, str]]  # (verdict, name) -> findings


@dataclass(frozen=True, slots=True)
class Meta:
    """What the page says about the run. ``created`` is the caller's date: no clock in here."""

    title: str
    source: str
    bundle: str
    digest: str
    intel_version: str
    created: str
    command: str


def write_html(
    findings: Iterable[Finding], counts: Counts, meta: Meta, path: str | Path, *, limit: int = CARDS
) -> None:
    """Write the report on all ``findings`` to ``path``; see :func:`tee_html`."""
    deque(tee_html(findings, counts, meta, path, limit=limit), maxlen=0)


def tee_html(
    findings: Iterable[Finding], counts: Counts, meta: Meta, path: str | Path, *, limit: int = CARDS
) -> Iterator[Finding]:
    """Pass ``findings`` on; when the last one has passed, the report stands at ``path``.

    ``counts`` is read after the last finding. The first ``limit`` findings get a card each.

    Raises:
        UsageError: the file cannot be written.
    """
    classes: Classes = Counter()
    with (
        _replacing(Path(path)) as file,
        tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as cards,
    ):
        for number, finding in enumerate(findings, 1):
            classes[finding.verdict, finding.name] += 1
            if number <= limit:
                cards.write(card(number, finding))
            yield finding
        cards.seek(0)
        _page(file, cards, classes, counts, meta, limit)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """A new file that takes the place of ``path`` when all of it is written, and only then."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        file = part.open("x", encoding="utf-8", newline="\n")
    except OSError as err:
        hint = "choose a place where files can be written"
        raise UsageError(f"cannot write: {err.strerror}", where=str(path), hint=hint) from err
    try:
        with file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _page(
    file: IO[str], cards: IO[str], classes: Classes, counts: Counts, meta: Meta, limit: int
) -> None:
    style, script = _asset("report.css"), _asset("report.js")
    file.write(_head(meta, style, script))
    file.write(_counts(counts))
    file.write(_classes(classes))
    file.write(_tools(classes, min(limit, classes.total())))
    file.write('<ol class="cards" id="cards">\n')
    shutil.copyfileobj(cards, file)
    file.write("</ol>\n")
    more = classes.total() - limit
    if more > 0:
        file.write(
            f'<p class="plain">These are the first {limit:,} findings. {more:,} more are counted '
            "above and are in the JSON lines output of the same scan (<code>--json</code>).</p>\n"
        )
    file.write("</section>\n")
    file.write(_rejects(counts))
    file.write(_about(meta))
    file.write(f"</main>\n<script>{script}</script>\n</body>\n</html>\n")


def _asset(name: str) -> str:
    text = (files(__package__) / name).read_text("utf-8")
    return text.replace("\r\n", "\n")  # what a browser hashes, however the file was checked out


def _sha256(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _head(meta: Meta, style: str, script: str) -> str:
    policy = (
        f"default-src 'none'; style-src {_sha256(style)}; script-src {_sha256(script)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{esc(meta.title)}</title>
<style>{style}</style>
</head>
<body>
<main>
<header>
<p class="brand"><svg viewBox="0 0 40 24" aria-hidden="true"><circle cx="13" cy="12" r="11"/>\
<circle cx="27" cy="12" r="11"/></svg>Dragoman</p>
<h1>{esc(meta.title)}</h1>
<p class="sub"><span>{esc(meta.source)}</span><span>{esc(meta.created)}</span></p>
</header>
"""


def _counts(counts: Counts) -> str:
    records = "1 record" if counts.parsed == 1 else f"{counts.parsed:,} records"
    look = "looks" if counts.found == 1 else "look"
    if counts.found:
        said = f"<strong>{counts.found:,}</strong> of {records} {look} like an attack"
    else:
        said = f"No attack found in {records}"
    if counts.rejected or counts.not_covered:
        said += "; not everything could be read"
    tiles = (
        ("found", counts.found, "findings above the threshold"),
        ("parsed", counts.parsed, "records read"),
        ("rejected", counts.rejected, "records that could not be read"),
        ("not covered", counts.not_covered, "records read in part"),
    )
    body = "".join(
        f'<div class="{"zero" if not n else name.replace(" ", "-")}"><dt>{name}</dt>'
        f"<dd><b>{n:,}</b> <span>{what}</span></dd></div>"
        for name, n, what in tiles
    )
    return f'<section>\n<p class="lead">{said}.</p>\n<dl class="tiles">{body}</dl>\n</section>\n'


def _classes(classes: Classes) -> str:
    if not classes:
        return ""
    top = max(classes.values())
    rows = "".join(
        f'<tr><th scope="row">{esc(name, 80)}</th><td>{bar(100 * n / top)}</td>'
        f'<td class="num">{n:,}</td></tr>'
        for (_, name), n in _ranked(classes)
    )
    return (
        "<section>\n<h2>Threat classes</h2>\n"
        f'<table class="classes"><caption>Findings by threat class</caption>{rows}</table>\n'
        "</section>\n"
    )


def _ranked(classes: Classes) -> list[tuple[tuple[str, str], int]]:
    return sorted(classes.items(), key=lambda item: (-item[1], item[0]))


def _tools(classes: Classes, shown: int) -> str:
    options = "".join(
        f'<option value="{esc(verdict)}">{esc(name, 80)} ({n:,})</option>'
        for (verdict, name), n in _ranked(classes)
    )
    if not shown:
        return '<section>\n<h2>Findings</h2>\n<p class="plain">None to show.</p>\n'
    return f"""<section>
<h2>Findings</h2>
<div class="tools" id="tools" role="search" hidden>
<div class="wide"><label for="words">Search</label><input id="words" type="search"\
 autocomplete="off" spellcheck="false" placeholder="text, field, place, id"></div>
<div><label for="class">Class</label><select id="class"><option value="">All classes</option>\
{options}</select></div>
<div><label for="sort">Sort by</label><select id="sort">\
<option value="n">order in the source</option><option value="score">score</option>\
<option value="rank">severity</option><option value="class">class</option></select></div>
<button id="open" type="button" aria-pressed="false">Open all</button>
<p id="shown" role="status">{shown:,} shown</p>
</div>
"""


def _rejects(counts: Counts) -> str:
    if not counts.rejected:
        return ""
    listed = counts.rejects[:REJECTS]
    rows = "".join(map(_reject, listed))
    more = counts.rejected - len(listed)
    rest = f'<p class="plain">{more:,} more were rejected and are not listed.</p>' if more else ""
    return (
        '<section>\n<h2>Rejected records</h2>\n<div class="scroll"><table class="rejects">'
        '<tr><th scope="col">Place</th><th scope="col">Reason</th><th scope="col">Begins with</th>'
        f"</tr>{rows}</table></div>\n{rest}</section>\n"
    )


def _reject(reject: Rejected) -> str:
    raw = reject.raw[:120].decode("utf-8", "backslashreplace")
    return (
        f"<tr><td>{esc(str(reject.where))}</td><td>{esc(reject.reason)}</td>"
        f"<td><code>{rich(raw)}</code></td></tr>"
    )


def _about(meta: Meta) -> str:
    facts = (
        ("Source", meta.source),
        ("Command", meta.command),
        ("Bundle", meta.bundle),
        ("Digest", meta.digest),
        ("Intelligence", meta.intel_version),
        ("Created", meta.created),
    )
    rows = "".join(f"<div><dt>{name}</dt><dd>{esc(value)}</dd></div>" for name, value in facts)
    return f"""<section class="about">
<h2>About this report</h2>
<dl>{rows}</dl>
<p>Every field of a record is read, also through the encodings it may be wrapped in, and placed in
one space with descriptions of threats and vulnerabilities. The <em>score</em> says how much the
strongest field looks like an attack; a record becomes a finding when its score passes the
<em>threshold</em>, which was set on benign traffic. The verdict is the nearest threat class;
<em>unknown</em> means attack-like, but near no class. Nearest intelligence shows what the evidence
resembles, not what was exploited.</p>
<p>Invisible and control characters are shown as tinted escapes, such as <i>\\n</i> for a line
feed.</p>
</section>
"""
