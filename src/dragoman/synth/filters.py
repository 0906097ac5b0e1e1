"""The built-in slots and the filters of the grammar language (:mod:`dragoman.synth.grammar`)."""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import Callable
from random import Random
from urllib.parse import quote_from_bytes

_ALNUM = "abcdefghijklmnopqrstuvwxyz0123456789"
_ONSETS = (
    *"bcdfghjklmnprstvwz",
    "br",
    "ch",
    "cl",
    "dr",
    "fl",
    "gr",
    "pl",
    "pr",
    "sh",
    "sl",
    "st",
    "tr",
)
_VOWELS = (*"aeiou", "ai", "ea", "io", "ou")
_CODAS = ("", "", "", *"lmnrstx", "nd", "rt", "st")
_SUFFIXES = ("example.com", "example.net", "example.org", "test", "example")
_EXTENSIONS = ("", "", "/", ".php", ".html", ".aspx", ".jsp", ".json", ".txt", ".js", ".png")
_NETS = ("192.0.2", "198.51.100", "203.0.113")


def _int(rng: Random) -> str:
    return str(rng.randrange(10 ** rng.randint(1, 6)))


def _word(rng: Random) -> str:
    syllables = rng.choices((1, 2, 3), (2, 5, 3))[0]
    parts = (
        rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(syllables)
    )
    return "".join(parts)


def _rand(rng: Random) -> str:
    return "".join(rng.choices(_ALNUM, k=rng.randint(4, 12)))


def _host(rng: Random) -> str:
    label = rng.choice((_word, _rand))(rng)
    prefix = rng.choice(("", "", "www.", "cdn.", "api."))
    return f"{prefix}{label}.{rng.choice(_SUFFIXES)}"


def _ip(rng: Random) -> str:
    return f"{rng.choice(_NETS)}.{rng.randint(1, 254)}"


def _path(rng: Random) -> str:
    names = (rng.choice((_word, _word, _rand))(rng) for _ in range(rng.randint(1, 3)))
    return "/" + "/".join(names) + rng.choice(_EXTENSIONS)


def percent_all(data: bytes) -> str:
    """Every byte percent-encoded."""
    return "".join(f"%{b:02x}" for b in data)


def percent(data: bytes) -> str:
    """Every reserved byte percent-encoded (RFC 3986)."""
    return quote_from_bytes(data, safe="")


def escapes(text: str, form: str) -> str:
    """Every UTF-16 code unit, as JavaScript and JSON see text, in a form such as ``\\u{:04x}``."""
    data = text.encode("utf-16-be", "surrogatepass")
    units = zip(data[::2], data[1::2], strict=True)
    return "".join(form.format(high << 8 | low) for high, low in units)


def _mixed(text: str, rng: Random) -> str:
    return "".join(c.upper() if rng.random() < 0.5 else c.lower() for c in text)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _chars(data: bytes, form: str, glue: str) -> str:
    return glue.join(form.format(b) for b in data)


BUILTINS: dict[str, Callable[[Random], str]] = {
    "int": _int,  # 0 ... 999999, short ones as likely as long ones
    "small": lambda rng: str(rng.randint(1, 9)),
    "word": _word,  # a pronounceable identifier
    "rand": _rand,  # 4-12 lower-case letters and digits
    "host": _host,  # RFC 2606
    "ip": _ip,  # RFC 5737
    "path": _path,
}

FILTERS: dict[str, Callable[[bytes, Random], str]] = {
    "b64": lambda d, _: base64.b64encode(d).decode(),
    "b64url": lambda d, _: base64.urlsafe_b64encode(d).decode().rstrip("="),
    "b64utf16": lambda d, _: base64.b64encode(_text(d).encode("utf-16-le")).decode(),
    "gzip64": lambda d, _: base64.b64encode(gzip.compress(d, mtime=0)).decode(),
    "zlib64": lambda d, _: base64.b64encode(zlib.compress(d)).decode(),
    "url": lambda d, _: percent(d),
    "url2": lambda d, _: percent(percent(d).encode()),
    "urlall": lambda d, _: percent_all(d),
    "hex": lambda d, _: d.hex(),
    "xesc": lambda d, _: _chars(d, "\\x{:02x}", ""),
    "oct": lambda d, _: _chars(d, "\\{:03o}", ""),
    "uesc": lambda d, _: escapes(_text(d), "\\u{:04x}"),
    "uperc": lambda d, _: escapes(_text(d), "%u{:04x}"),
    "ent": lambda d, _: "".join(f"&#{ord(c)};" for c in _text(d)),
    "entx": lambda d, _: "".join(f"&#x{ord(c):x};" for c in _text(d)),
    "codes": lambda d, _: _chars(d, "{}", ","),  # 97,108,101: String.fromCharCode, CHAR()
    "chrcat": lambda d, _: _chars(d, "CHR({})", "||"),
    "charplus": lambda d, _: _chars(d, "CHAR({})", "+"),
    "upper": lambda d, _: _text(d).upper(),
    "lower": lambda d, _: _text(d).lower(),
    "title": lambda d, _: _text(d).title(),
    "mixed": lambda d, rng: _mixed(_text(d), rng),
    "rev": lambda d, _: _text(d)[::-1],
}
