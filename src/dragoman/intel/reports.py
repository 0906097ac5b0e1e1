"""Prose (text, Markdown, HTML, PDF) -> documents of some paragraphs, and the sentences in them.

Every format becomes blocks: a paragraph, list item, table cell or line of code, with the bytes it
was read from. Blocks are cut into sentences, neighbouring sentences joined into documents.
"""

from __future__ import annotations

import io
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

from ..errors import LimitError
from ..opening import Stream, too_long
from ..records import Rejected, Span, Text, Where
from .attack import TECHNIQUE
from .page import blocks as page_blocks
from .pieces import Block, Piece, pieces
from .vuln import clean

HEADING = re.compile(r"#{1,6}\s+(.*)")
ITEM = re.compile(r"\s*(?:[-*+]|\d{1,3}[.)])\s+|\s*\|")
FENCE = re.compile(r"\s*(?:```|~~~)")
HTML = re.compile(
    rb"\s*(?:<!--(?:(?!-->).)*-->\s*)*<(?:!doctype html|html|head|body|article|div|p|h1)\b",
    re.I | re.S,
)
XHTML = re.compile(rb"\s*<\?xml\b[^>]*>.{0,2048}<html\b", re.I | re.S)
LINK = re.compile(r"!?\[([^\[\]]{0,300})\]\([^\s()]{0,500}\)")
HYPHEN = re.compile(r"(?<=\w)-\s*\n\s*(?=[a-z])")  # a word cut at the end of a line
END = re.compile(r"[.!?][\"'”’)\]]{0,3}\s+(?=[\"'“‘(\[`]{0,3}[^\W_a-zß-öø-ÿ])")
ABBREVIATED = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|al|approx|Fig|No|Mr|Mrs|Dr|St|v)|\b[A-Z])\.$")
WORD = re.compile(r"\w")
CUT = re.compile(r"\S.{0,398}(?=\s|\Z)|\S.{0,398}", re.S)
SHORT = 20  # characters of a sentence too short to stand alone
BLOCK = 8192  # characters of a paragraph, after which the next line begins a new one
CHARS = 1200  # of one document
PAGES = 2000


class Sentence(NamedTuple):
    title: str  # the nearest heading
    text: str
    start: int
    end: int


def is_html(head: bytes) -> bool:
    """Whether a file that begins so is an HTML page."""
    return (HTML.match(head) or XHTML.match(head)) is not None


def read_report(stream: Stream, name: str, stem: str) -> Iterator[Text | Rejected]:
    """Documents ``doc:<stem>#n``, each followed by its sentences ``doc:<stem>#n.k``, if several.

    ``span`` holds bytes of the file; of a PDF, of the text of the page that ``source`` names.
    """
    head = stream.peek(4096)
    if head.lstrip().startswith(b"%PDF-"):
        found = _pages(stream, name)
    elif is_html(head.removeprefix(b"\xef\xbb\xbf")):
        found = _read(stream, name, page_blocks)
    elif b"\0" in head:
        reason = "binary data: no text, JSON, XML, HTML or PDF"
        yield Rejected(Where(stream.name), reason, stream.peek(64))
        return
    else:
        found = _lines(stream, name)
    number = 0
    for part in _joined(found):
        if isinstance(part, Rejected):
            yield part
        else:
            number += 1
            yield from _texts(f"doc:{stem}#{number}", stem, *part)


def _texts(id_: str, stem: str, source: str, held: list[Sentence]) -> Iterator[Text]:
    body = " ".join(s.text for s in held)
    span = (held[0].start, held[-1].end)
    yield _text(id_, "", held[0].title or stem, body, source, span)
    for number, one in enumerate(held if len(held) > 1 else (), 1):
        span = (one.start, one.end)
        yield _text(f"{id_}.{number}", id_, one.title or stem, one.text, source, span)


def _text(id_: str, parent: str, title: str, body: str, source: str, span: Span) -> Text:
    return Text(
        id=id_,
        title=title,
        body=body,
        source=source,
        kind="sentence" if parent else "document",
        techniques=tuple(dict.fromkeys(TECHNIQUE.findall(body))),
        parent=parent,
        span=span,
    )


def _joined(
    blocks: Iterable[tuple[str, Block] | Rejected],
) -> Iterator[tuple[str, list[Sentence]] | Rejected]:
    """Neighbouring sentences under one heading, together at most ``CHARS`` characters."""
    source, held, size = "", list[Sentence](), 0
    for item in blocks:
        if isinstance(item, Rejected):
            yield item
            continue
        for one in sentences(item[1]):
            apart = (source, held[0].title) != (item[0], one.title) if held else False
            if held and (apart or size + len(one.text) >= CHARS):
                yield source, held
                held, size = [], 0
            source = item[0]
            held.append(one)
            size += len(one.text) + 1
    if held:
        yield source, held


def sentences(block: Block) -> Iterator[Sentence]:
    """The sentences of a block, at most 400 characters each; too short ones go with the next."""
    text = "".join(piece.text for piece in block.pieces)
    starts = [0, *accumulate(len(piece.text) for piece in block.pieces)]

    def byte(at: int, *, end: bool = False) -> int:
        number = bisect_right(starts, at - end) - 1
        piece, inside = block.pieces[number], at - starts[number]
        if inside == len(piece.text):
            return piece.at + piece.size
        return piece.at + len(piece.text[:inside].encode(block.codec, "surrogateescape"))

    for start, end in _cuts(text):
        words = HYPHEN.sub("-", LINK.sub(r"\1", text[start:end])).replace("**", "")
        if WORD.search(shown := clean(words)):
            yield Sentence(block.title, shown, byte(start), byte(end, end=True))


def _cuts(text: str) -> Iterator[Span]:
    """Where sentences begin and end in ``text``, white space around them left out."""
    begin = 0
    ends = [m.end() for m in END.finditer(text) if not _abbreviated(text, m.start())]
    for end in [*ends, len(text)]:
        if (
            end < len(text)
            and len(text[begin : begin + 200 + SHORT][: end - begin].strip()) < SHORT
        ):
            continue
        for piece in CUT.finditer(text, begin, end):
            yield piece.start(), piece.start() + len(piece[0].rstrip())
        begin = end


def _abbreviated(text: str, dot: int) -> bool:
    return ABBREVIATED.search(text[max(dot - 8, 0) : dot + 1]) is not None


# --- formats


def _read(
    stream: Stream, name: str, blocks: Callable[[bytes], Iterator[Block]]
) -> Iterator[tuple[str, Block] | Rejected]:
    """The blocks of a format that is read whole."""
    try:
        data = whole(stream)
    except LimitError as err:
        yield Rejected(Where(stream.name), err.what)
        return
    yield from ((name, block) for block in blocks(data))


def whole(stream: Stream) -> bytes:
    """All bytes of a stream. Raises LimitError beyond ``limits.report_bytes``."""
    parts, size, most = [], 0, stream.limits.report_bytes
    for chunk in stream.chunks():
        size += len(chunk)
        if size > most:
            raise LimitError(f"longer than limits.report_bytes = {most}", where=stream.name)
        parts.append(chunk)
    return b"".join(parts)


def _lines(stream: Stream, name: str) -> Iterator[tuple[str, Block] | Rejected]:
    """Paragraphs, list items, table rows and lines of code of plain text or Markdown."""
    title, held, size, fenced = "", list[Piece](), 0, False
    for line in stream.lines():
        if line.cut:
            yield too_long(stream, line)
            continue
        try:
            text = line.data.decode("utf-8")
        except UnicodeDecodeError:
            where = Where(stream.name, line=line.number)
            yield Rejected(where, "not UTF-8 text", line.data[:200])
            continue
        fence, heading = FENCE.match(text), None if fenced else HEADING.fullmatch(text.rstrip())
        alone = fenced or fence or heading or not text.strip() or ITEM.match(text)
        if held and (alone or size > BLOCK):
            yield name, Block(title, held)
            held, size = [], 0
        if fence:
            fenced = not fenced
        elif heading:
            title = clean(heading[1].rstrip("# "))
        elif text.strip():
            item = None if fenced else ITEM.match(text)
            skip = item.end() if item else 0
            held += pieces(text[skip:] + "\n", line.byte + skip)
            size += len(text)
    if held:
        yield name, Block(title, held)


def _pages(stream: Stream, name: str) -> Iterator[tuple[str, Block] | Rejected]:
    """The pages of a PDF, through pypdf; paragraphs where blank lines show them."""
    where = Where(stream.name)
    try:
        import pypdf
    except ImportError:
        yield Rejected(where, "PDF needs the package pypdf: pip install 'dragoman[pdf]'")
        return
    found = False
    try:
        pages = pypdf.PdfReader(io.BytesIO(whole(stream))).pages
        count = len(pages)
    except LimitError as err:
        yield Rejected(where, err.what)
        return
    except Exception as err:  # pypdf raises many kinds on hostile bytes
        yield Rejected(where, f"broken or encrypted PDF: {err}")
        return
    if count > PAGES:
        yield Rejected(where, f"{count} pages; those after {PAGES} are unread")
    for number in range(min(count, PAGES)):
        try:
            text = pages[number].extract_text()
        except Exception as err:
            yield Rejected(where, f"page {number + 1} cannot be read: {err}")
            continue
        for block in _paragraphs(text):
            found = True
            yield f"{name}#page={number + 1}", block
    if not found:
        yield Rejected(where, "no text in this PDF: pictures of pages?")


def _paragraphs(text: str) -> Iterator[Block]:
    at = 0
    for part in re.split(r"(\n[ \t]*\n\s*)", text):
        size = len(part.encode("utf-8", "surrogatepass"))
        if part.strip():
            yield Block("", pieces(part, at))
        at += size
