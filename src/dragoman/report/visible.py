"""Hostile text made safe to look at: what is invisible or steers a terminal becomes visible."""

from __future__ import annotations

import re
import unicodedata

ODD = re.compile(r"[^\x20-\x7e]")
_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def visible(text: str, limit: int | None = None) -> str:
    """``text`` on one line, at most ``limit`` characters of it, every odd character visible.

    Control, format (bidirectional, zero width), private, unassigned and separator characters and
    lone surrogates become escapes, such as ``\\n``, ``\\x00`` or ``\\u202e``; all else stays.
    The result can always be encoded as UTF-8.
    """
    return ODD.sub(sign, shorten(text, limit))


def sign(match: re.Match[str]) -> str:
    """The escape for an odd character, or the character itself when it is an ordinary one."""
    char = match[0]
    code = ord(char)
    if unicodedata.category(char)[0] not in "CZ":
        return char
    if code < 0x100:
        return _SHORT.get(char, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shorten(text: str, limit: int | None) -> str:
    """The first ``limit`` characters, the last of them an ellipsis when something was cut."""
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"
