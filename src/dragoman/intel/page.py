"""The text of a hostile HTML page in blocks, in one pass and linear time.

The parser of the standard library takes quadratic time on broken pages before Python 3.13.6, so
tags are found here: what is no text (scripts, styles, pictures) is passed over, nothing is run or
fetched, and a comment or script that never ends takes the rest of the page with it, as in browsers.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from .pieces import Block, Piece, pieces
from .vuln import clean

TAG = re.compile(rb"<(?:(!--)|([!?])|(/?)([a-zA-Z][a-zA-Z0-9]{0,20}))")
ENTITY = re.compile(r"(&#?\w{1,32};?)")
NO_TEXT = frozenset(("script", "style", "template", "svg", "math", "select", "iframe", "object"))
NAVIGATION = frozenset(("nav", "footer", "button"))
_INLINE = (
    "a abbr b bdi bdo big cite code del dfn em font i img ins kbd label mark q s samp small span"
    " strong strike sub sup time tt u var wbr"
)
INLINE = frozenset(_INLINE.split())
HEADINGS = frozenset(("title", "h1", "h2", "h3", "h4", "h5", "h6"))
TITLE = 200
PIECES = 4096  # of one block


def blocks(data: bytes) -> Iterator[Block]:
    """The blocks of a page in order, each under its nearest heading or the page's title."""
    codec = _codec(data)
    title, within, held = "", "", list[Piece]()
    for start, end, tag in _texts(data):
        if start < end:
            held += _pieces(data[start:end], start, codec)
        name = tag.removeprefix("/")
        if name in INLINE and len(held) < PIECES:
            continue
        if within in HEADINGS:
            title = clean("".join(piece.text for piece in held))[:TITLE] or title
        elif within == "pre":
            yield from (Block(title, [line], codec) for line in _lines(held, codec))
        elif any(piece.text.strip() for piece in held):
            yield Block(title, held, codec)
        held, within = [], "" if tag.startswith("/") else name


def _texts(data: bytes) -> Iterator[tuple[int, int, str]]:
    """Start and end of each stretch of text, and the tag after it: ``p``, ``/p``; at last ``/``."""
    at, begin, endless = 0, 0, set[str]()
    while tag := TAG.search(data, at):
        end = data.find(b"-->" if tag[1] else b">", tag.end())
        name = (tag[4] or b"").decode().lower()
        if tag[1] or tag[2]:
            yield begin, tag.start(), "b"  # a comment divides no paragraph
        else:
            yield begin, tag.start(), f"{tag[3].decode()}{name}"
        if end < 0:
            return
        at = end + (3 if tag[1] else 1)
        if not tag[3] and name in NO_TEXT | NAVIGATION and name not in endless:
            close = re.compile(rb"</%b\b" % name.encode(), re.I).search(data, at)
            if close:
                at = close.start()
            elif name in NAVIGATION:
                endless.add(name)
            else:
                return
        begin = at
    yield begin, len(data), "/"


def _pieces(data: bytes, at: int, codec: str) -> Iterator[Piece]:
    """Text from ``data`` at byte ``at``, entities replaced."""
    for number, part in enumerate(ENTITY.split(data.decode(codec, "surrogateescape"))):
        size = len(part.encode(codec, "surrogateescape"))
        if number % 2:
            yield Piece(html.unescape(part), at, size)
        else:
            yield from pieces(part, at, codec)
        at += size


def _lines(held: list[Piece], codec: str) -> Iterator[Piece]:
    """Lines of code: each line of each piece by itself."""
    for piece in held:
        at = piece.at
        for line in piece.text.splitlines(keepends=True):
            size = len(line.encode(codec, "surrogateescape"))
            if line.strip():
                yield Piece(line, at, size)
            at += size


def _codec(data: bytes) -> str:
    """UTF-8, or else Windows-1252, which browsers take for Latin-1 too."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "windows-1252"
    return "utf-8"
