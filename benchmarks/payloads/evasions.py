"""Evasions: what the evasion probe does to an attack.

``HELD_OUT``: tricks (``tricks.py``) and wrappers that training never saw. ``KNOWN``: the tricks of
`dragoman.synth.mutate`, which rewrite a share of the generated training rows, and the encodings
that its request builder and grammars use. A trick gets a decoded value, a wrapper the value as it
stands in the request, encoded, and the attack it belongs to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from attacks import Attack
from tricks import TRICKS as HELD
from tricks import Trick

from dragoman.synth.filters import BUILTINS
from dragoman.synth.mutate import TRICKS

Wrapper = Callable[[bytes, Attack, Random], bytes]


class Evasion(NamedTuple):
    """``kind``: case, comments, whitespace, encoding, concatenation, pollution, spelling, padding.

    A trick applies to the classes ``slugs``, a wrapper to every class at ``places``.
    """

    kind: str
    name: str
    trick: Trick | None = None
    wrapper: Wrapper | None = None
    slugs: tuple[str, ...] = ()
    places: tuple[str, ...] = ()

    def fits(self, attack: Attack) -> bool:
        return attack.slug in self.slugs if self.trick else attack.place in self.places


# --- wrappers


def _repeated(raw: bytes, attack: Attack, rng: Random) -> bytes:
    name, word = attack.name.encode("latin-1"), BUILTINS["word"](rng).encode()
    return rng.choice((word + b"&" + name + b"=" + raw, raw + b"&" + name + b"=" + word))


def _spread(raw: bytes, attack: Attack, rng: Random) -> bytes:
    """Over two parameters of one name, which some servers join with a comma, inside a comment."""
    gaps = [m.start() for m in re.finditer(rb"%20|\+", raw)]
    if attack.slug != "sql-injection" or not gaps:
        return raw
    at = rng.choice(gaps)
    size = 3 if raw[at : at + 1] == b"%" else 1
    return raw[:at] + b"/*&" + attack.name.encode("latin-1") + b"=*/" + raw[at + size :]


def _every(levels: int) -> Wrapper:
    def wrapper(raw: bytes, attack: Attack, rng: Random) -> bytes:
        for _ in range(levels):
            raw = quote_from_bytes(raw, safe="").encode()
        return raw

    return wrapper


def _some(raw: bytes, attack: Attack, rng: Random) -> bytes:
    """A part of the letters, in mixed hex case; escapes that are there already stay."""

    def one(m: re.Match[bytes]) -> bytes:
        form = rng.choice((b"%%%02x", b"%%%02X"))
        return form % m[0][0] if len(m[0]) == 1 and rng.random() < 0.4 else m[0]

    return re.sub(rb"%[0-9a-fA-F]{2}|[A-Za-z]", one, raw)


def _full_width(raw: bytes, attack: Attack, rng: Random) -> bytes:
    """Syntax as full-width forms, which servers with best-fit or NFKC conversion map back."""

    def one(m: re.Match[bytes]) -> bytes:
        byte = int(m[0][1:], 16) if len(m[0]) > 1 else m[0][0]
        wide = chr(byte + 0xFEE0).encode() if chr(byte) in "<>'\"(/;|" else None
        return quote_from_bytes(wide).encode() if wide else m[0]

    return re.sub(rb"%[0-9a-fA-F]{2}|[<>'\"(/;|]", one, raw)


def _json_escapes(raw: bytes, attack: Attack, rng: Random) -> bytes:
    text = attack.value.decode("latin-1")
    return "".join(f"\\u{ord(c):04x}" for c in text).encode()


_URLS = ("query", "form", "value")
_ESCAPED = (*_URLS, "path", "cookie")
_WRAPPERS = (
    ("known", "encoding", "percent, some", _some, _ESCAPED),
    ("known", "encoding", "percent once more", _every(1), _ESCAPED),
    ("known", "encoding", "JSON escapes", _json_escapes, ("json",)),
    ("held-out", "encoding", "percent twice more", _every(2), _ESCAPED),
    ("held-out", "encoding", "full-width", _full_width, _ESCAPED),
    ("held-out", "pollution", "repeated parameter", _repeated, ("query", "form")),
    ("held-out", "pollution", "spread over two", _spread, ("query", "form")),
)

# What each trick of dragoman.synth.mutate is, in its order.
_KINDS: dict[str, tuple[str, ...]] = {
    "sql-injection": (
        *("case", "whitespace", "whitespace", "whitespace", "comments"),
        *("spelling", "spelling", "concatenation", "spelling"),
    ),
    "cross-site-scripting": ("case", "case", "whitespace", "whitespace", "whitespace", "encoding"),
    "path-traversal": ("padding", "encoding", "spelling"),
    "command-injection": (
        *("concatenation", "concatenation", "concatenation", "concatenation", "spelling"),
        *("whitespace", "whitespace", "spelling"),
    ),
    "server-side-request-forgery": ("case", "padding", "spelling", "spelling", "spelling"),
    "open-redirect": ("case", "padding", "spelling", "spelling"),
    "code-injection": ("spelling", "whitespace"),
    "xml-external-entity": ("spelling", "whitespace"),
    "file-upload": ("case",),
    "crlf-injection": ("spelling",),
}


def _wrappers(pool: str) -> list[Evasion]:
    return [Evasion(k, n, wrapper=w, places=p) for of, k, n, w, p in _WRAPPERS if of == pool]


KNOWN: tuple[Evasion, ...] = (
    *(
        Evasion(kind, f"trick {number} of {slug}", trick=trick, slugs=(slug,))
        for slug, kinds in _KINDS.items()
        for number, (kind, trick) in enumerate(zip(kinds, TRICKS[slug], strict=True), 1)
    ),
    *_wrappers("known"),
)
HELD_OUT: tuple[Evasion, ...] = (
    *(Evasion(kind, name, trick=trick, slugs=slugs) for slugs, kind, name, trick in HELD),
    *_wrappers("held-out"),
)
POOLS = {"known": KNOWN, "held-out": HELD_OUT}
