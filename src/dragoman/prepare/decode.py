"""Bounded decoding: what a web application would read behind the bytes of a field.

``views(value)`` undoes, in rounds, the encodings attackers nest: percent (RFC 3986, also
``%uXXXX`` and doubled), plus for space, HTML entities, ``\\u``/``\\x`` escapes, overlong UTF-8,
UTF-7, full-width characters, and base64 or gzip where plausible. Every step is linear and bounded
by ``Limits``; a chain names the decoders in the order applied. All views of a field share the
field's byte span in the record.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
import zlib
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from ..config import Limits
from ..records import View

_ENCODED = re.compile(rb"%|\+|&[#a-zA-Z]|\\[uxnrt0-7]|[\xc0-\xfe]|[A-Za-z0-9+/_-]{16}")
_PERCENT_U = re.compile(rb"%[uU]([0-9a-fA-F]{4})")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,24});?")
_ESCAPE = re.compile(
    rb"\\(?:u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([nrt/\"'\\0]))"
)
_HARD_ESCAPE = re.compile(rb"\\u\{?[0-9a-fA-F]{2}|\\x[0-9a-fA-F]{2}")
_UTF7 = re.compile(rb"\+A([A-Za-z0-9+/]{2,64})-")
_OVERLONG = re.compile(
    rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|\xf0[\x80-\x8f][\x80-\xbf]{2}"
)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
# Words joined by plus signs are of that alphabet too; they do not mix capitals and digits in.
_MIXED_BASE64 = re.compile(rb"(?=.*[0-9])(?=.*[a-z])(?=.*[A-Z])[A-Za-z0-9+/]{16,}={0,2}")
_SIMPLE = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0"}
_PRINTABLE = bytes(range(32, 127)) + b"\t\r\n"
_SLICE = 1024  # characters normalised at once: runs of combining marks cost their square
_MEMBERS = 16  # of one gzip body

_DEFAULT = Limits()


def _utf8(code: int) -> bytes:
    return chr(code).encode("utf-8", "surrogatepass") if code <= 0x10FFFF else b"?"


def percent(data: bytes) -> bytes:
    """One round of percent decoding, ``%uXXXX`` included; broken escapes stay as they are."""
    if b"%u" in data or b"%U" in data:
        data = _PERCENT_U.sub(lambda m: _utf8(int(m[1], 16)), data)
    return unquote_to_bytes(data)


def plus(data: bytes) -> bytes:
    """Form encoding's ``+`` for space, unless a real space or base64 shows that it is not meant."""
    if b" " in data or (len(data) % 4 == 0 and _MIXED_BASE64.fullmatch(data)):
        return data
    return data.replace(b"+", b" ")


def entities(data: bytes) -> bytes:
    """HTML character references, with or without the closing semicolon (HTML standard, 13.5)."""
    text = data.decode("latin-1")
    if not _ENTITY.search(text):
        return data

    def one(match: re.Match[str]) -> str:
        out = html.unescape(match[0])
        return out.encode("utf-8", "replace").decode("latin-1") if out != match[0] else out

    return _ENTITY.sub(one, text).encode("latin-1")


def escapes(data: bytes) -> bytes:
    """``\\uXXXX``, ``\\xXX`` and, beside those, the short escapes of JSON and JavaScript."""

    def one(match: re.Match[bytes]) -> bytes:
        code = match[1] or match[2]
        if code:
            return _utf8(int(code, 16))
        return bytes([int(match[3], 16)]) if match[3] else _SIMPLE.get(match[4], match[4])

    return _ESCAPE.sub(one, data) if _HARD_ESCAPE.search(data) else data


def overlong(data: bytes) -> bytes:
    """Overlong UTF-8, as in ``C0 AE`` for a dot, which lenient decoders accept (CWE-176)."""

    def one(match: re.Match[bytes]) -> bytes:
        code = 0
        for byte in match[0][1:]:
            code = code << 6 | byte & 0x3F
        lead = match[0][0]
        code |= (lead & (0x1F if lead < 0xE0 else 0)) << 6
        return bytes([code]) if code < 128 else match[0]

    return _OVERLONG.sub(one, data)


def utf7(data: bytes) -> bytes:
    """UTF-7 runs such as ``+ADw-`` (RFC 2152), once a vector for script injection."""

    def one(match: re.Match[bytes]) -> bytes:
        try:
            return match[0].decode("utf-7").encode("utf-8")
        except ValueError:
            return match[0]

    return _UTF7.sub(one, data)


def width(data: bytes) -> bytes:
    """Full-width and other compatibility characters folded to plain ones (Unicode NFKC)."""
    if data.isascii():
        return data
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return data
    slices = (text[at : at + _SLICE] for at in range(0, len(text), _SLICE))
    return "".join(unicodedata.normalize("NFKC", part) for part in slices).encode("utf-8")


def inflate(data: bytes, limit: int) -> bytes | None:
    """Unpack gzip or zlib data up to ``limit`` bytes; None if it is neither or has many members.

    All members of a gzip file count (RFC 1952, 2.2): an attack may hide behind an empty first one.
    """
    out = b""
    for number in range(_MEMBERS):
        stream = zlib.decompressobj(wbits=47)
        try:
            out += stream.decompress(data, max(limit - len(out), 1))
        except zlib.error:
            return out if number else None
        data = stream.unused_data
        if not data or len(out) >= limit:
            return out
    return None


def from_base64(data: bytes, limit: int) -> bytes | None:
    """Base64 (RFC 4648, either alphabet) where the result is readable text, else None.

    A gzip member inside is unpacked up to ``limit`` bytes.
    """
    match = _BASE64.search(data)
    if not match or len(match[0]) * 2 < len(data) or (len(match[0]) < 24 and match[0].isalpha()):
        return None
    body = match[0].rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    body = body[: len(body) - (len(body) % 4 == 1)]
    try:
        out = base64.b64decode(body + b"=" * (-len(body) % 4))
    except (binascii.Error, ValueError):
        return None
    if out[:2] == b"\x1f\x8b":
        out = inflate(out, limit) or out
    readable = len(out) - len(out.translate(None, _PRINTABLE))
    return out if readable >= 0.9 * len(out) else None


_STEPS: tuple[tuple[str, bytes, Callable[[bytes], bytes]], ...] = (
    ("utf-7", b"+A", utf7),
    ("plus", b"+", plus),
    ("percent", b"%", percent),
    ("entity", b"&", entities),
    ("escape", b"\\", escapes),
)


def canonical(value: bytes, limits: Limits = _DEFAULT) -> tuple[bytes, tuple[str, ...]]:
    """The innermost reading of ``value`` and the chain of decoders that led to it."""
    chain: list[str] = []
    data = value
    for turn in range(limits.decode_depth):
        before = data
        for name, mark, step in _STEPS:
            if mark in data and (name != "plus" or turn == 0):  # a later + was written %2B
                out = step(data)
                if out != data:
                    chain.append(name)
                    data = out
        if data == before:
            break
    if not data.isascii():
        for name, step in (("overlong", overlong), ("full-width", width)):
            out = step(data)
            if out != data:
                chain.append(name)
                data = out
    return data, tuple(chain)


def is_plain(value: bytes) -> bool:
    """True if nothing in ``value`` could be an encoding, so that it is its own only view."""
    return _ENCODED.search(value) is None


def readings(value: bytes, limits: Limits = _DEFAULT) -> list[tuple[bytes, tuple[str, ...]]]:
    """Distinct decoded readings as (bytes, chain): the canonical one first, then what base64 hid.

    At most ``limits.decode_views``; the raw value itself is not repeated.
    """
    if is_plain(value):
        return [(value, ())]
    data, chain = canonical(value, limits)
    out = [(data, chain)]
    while len(out) < limits.decode_views:
        inner = from_base64(out[-1][0], limits.inflate_bytes)
        if inner is None:
            break
        data, more = canonical(inner[: limits.field_bytes], limits)
        out.append((data, (*out[-1][1], "base64", *more)))
    return out


def views(value: bytes, start: int, end: int, limits: Limits = _DEFAULT) -> tuple[View, ...]:
    """The readings of a field as text (invalid UTF-8 as ``\\xNN``) with its span in the record."""
    return tuple(
        View(data.decode("utf-8", "backslashreplace"), chain, start, end)
        for data, chain in readings(value, limits)
    )
