"""When two payloads count as the same: decoded, lower case, digits masked, white space folded."""

from __future__ import annotations

import html
import re
from urllib.parse import unquote_to_bytes


def decoded(payload: bytes | str, rounds: int = 4) -> str:
    """``payload`` percent-decoded till it stands still, ``+`` a space, entities undone, lowered."""
    data = payload.encode("utf-8", "surrogateescape") if isinstance(payload, str) else payload
    for _ in range(rounds):
        plain = unquote_to_bytes(data)
        if plain == data:
            break
        data = plain
    return html.unescape(data.decode("utf-8", "replace").replace("+", " ")).lower()


def core(request: bytes) -> bytes:
    """Method, target (without scheme and host) and body: a request without place and browser."""
    head, _, body = request.replace(b"\r\n", b"\n").partition(b"\n\n")
    parts = head.split(b"\n", 1)[0].split(b" ")
    target = re.sub(rb"^https?://[^/?#]*", b"", b" ".join(parts[1:-1] or parts[1:]))
    return b" ".join((parts[0], target, body))


def fold_key(payload: bytes | str, kind: str = "value") -> str:
    """The near-duplicate key: decoded repeatedly, lower case, digits masked, white space folded.

    Of a request (``kind`` is ``http``) only method, target and body count, not host or headers.
    """
    data = payload.encode("utf-8", "surrogateescape") if isinstance(payload, str) else payload
    text = re.sub(r"\d+", "0", decoded(core(data) if kind == "http" else data))
    return re.sub(r"\s+", " ", text).strip()
