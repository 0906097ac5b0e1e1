"""Command lines and scripts as they read once their wrapping is undone. Bounded, nothing is run.

Undone in rounds: base64 of PowerShell's ``-EncodedCommand`` (UTF-16LE) and of ``FromBase64String``,
``base64 -d`` and the like (with gzip inside), carets and empty quotes of cmd, backticks and joined
strings of PowerShell, characters by number, ``${IFS}`` of shells, and well-known variables.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

from ..config import Limits
from .decode import from_base64

_DEFAULT = Limits()
_CHARS = 16_384  # of a command line or script that are looked at
_ENCODED = re.compile(
    r"[-/\u2013\u2014\u2015]e(?:nc?|nco\w{0,12}|c)?[\s:]+[\"']?([A-Za-z0-9+/]{16,}={0,2})",
    re.IGNORECASE,
)
_BASE64 = re.compile(r"[\"'\s(,=]([A-Za-z0-9+/]{24,}={0,2})(?=[\"'\s),;|]|$)")
_BASE64_NEAR = re.compile(r"base64|\bcertutil\b.{0,40}-decode", re.IGNORECASE)
_CARET = re.compile(r"\^(.)")
_EMPTY = re.compile(r"(?<=\w)(?:\"\"|'')(?=\w)")
_BACKTICK = re.compile(r"`([^\s0abfnrtv]|(?<=\w`)[a-zA-Z](?=\w))")
_JOINED = re.compile(r"(?<=[\w.\\:/-])(?:'\s*\+\s*'|\"\s*\+\s*\")(?=[\w.\\:/-])")
_CHAR = re.compile(r"\[char\]\s*\(?\s*(0x[0-9a-f]{1,4}|\d{1,5})\s*\)?", re.IGNORECASE)
_HEX = re.compile(r"\\x([0-9a-fA-F]{2})")
_IFS = re.compile(r"\$\{?IFS\}?(?:\$9)?")
_VARIABLE = re.compile(r"%(\w{3,20})%|\$\{?env:(\w{3,20})\}?", re.IGNORECASE)
_VALUES = {
    "comspec": "cmd.exe",
    "systemroot": r"C:\Windows",
    "windir": r"C:\Windows",
    "systemdrive": "C:",
    "programdata": r"C:\ProgramData",
    "allusersprofile": r"C:\ProgramData",
    "programfiles": r"C:\Program Files",
    "public": r"C:\Users\Public",
}
_MARKS = re.compile(r"[\^`%$]|\"\"|''|\+|\[char\]|\\x|base64|[A-Za-z0-9+/]{16}", re.IGNORECASE)


def decoded(line: str, limits: Limits = _DEFAULT) -> list[tuple[str, tuple[str, ...]]]:
    """Distinct readings as (text, decoders in order), without the line as it stands.

    At most ``limits.decode_views`` readings of ``limits.decode_depth`` rounds.
    """
    out: list[tuple[str, tuple[str, ...]]] = []
    text = line[:_CHARS]
    chain: tuple[str, ...] = ()
    if not _MARKS.search(text):
        return out
    for _ in range(limits.decode_depth):
        plain, names = _plain(text)
        chain = (*chain, *names)
        if names:
            out.append((plain, chain))
        inner = _inner(plain, limits)
        if inner is None:
            break
        text, chain = inner[0][:_CHARS], (*chain, inner[1])
        out.append((text, chain))
    return out[: limits.decode_views]


def _plain(text: str) -> tuple[str, tuple[str, ...]]:
    """The line without the marks that shells read over, and the names of what was undone."""
    names = []
    for name, mark, step in _STEPS:
        if mark in text:
            after = step(text)
            if after != text:
                names.append(name)
                text = after
    return text, tuple(names)


def _inner(text: str, limits: Limits) -> tuple[str, str] | None:
    """What base64 in the line hides, and which kind of base64 it was."""
    if (found := _ENCODED.search(text)) is not None:
        data = _base64(found[1])
        read = _utf16(data) or _readable(data)
        if read:
            return read, "encoded-command"
    if _BASE64_NEAR.search(text):
        for found in _BASE64.finditer(text):
            out = from_base64(found[1].encode("ascii"), limits.inflate_bytes)
            read = _utf16(_base64(found[1])) or (out.decode("utf-8", "replace") if out else "")
            if read:
                return read, "base64"
    return None


def _base64(text: str) -> bytes:
    body = text.rstrip("=")
    body = body[: len(body) - (len(body) % 4 == 1)]
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4))
    except (binascii.Error, ValueError):
        return b""


def _utf16(data: bytes) -> str:
    """The text of little-endian UTF-16, if it is mostly plain; else nothing."""
    if len(data) < 4 or data[1::2].count(0) < 0.7 * (len(data) // 2):
        return ""
    return _readable(data[: len(data) & ~1].decode("utf-16-le", "replace").encode("utf-8"))


def _readable(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    plain = sum(map(str.isprintable, text)) + text.count("\n") + text.count("\r") + text.count("\t")
    return text if text and plain >= 0.9 * len(text) and "\ufffd" not in text[:64] else ""


def _number(match: re.Match[str]) -> str:
    code = int(match[1], 0) if match[1][:2].lower() == "0x" else int(match[1])
    return f"'{chr(code)}'" if 32 <= code < 0x10000 and not 0xD800 <= code < 0xE000 else match[0]


def _variable(match: re.Match[str]) -> str:
    return _VALUES.get((match[1] or match[2]).lower(), match[0])


_STEPS: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    ("caret", "^", lambda text: _CARET.sub(r"\1", text)),
    ("empty-quotes", '""', lambda text: _EMPTY.sub("", text)),
    ("empty-quotes", "''", lambda text: _EMPTY.sub("", text)),
    ("backtick", "`", lambda text: _BACKTICK.sub(r"\1", text)),
    ("characters", "]", lambda text: _CHAR.sub(_number, text)),
    ("joined", "+", lambda text: _JOINED.sub("", text)),
    ("hex", "\\x", lambda text: _HEX.sub(lambda m: chr(int(m[1], 16)), text)),
    ("ifs", "IFS", lambda text: _IFS.sub(" ", text)),
    ("variable", "%", lambda text: _VARIABLE.sub(_variable, text)),
    ("variable", ":", lambda text: _VARIABLE.sub(_variable, text)),
)
