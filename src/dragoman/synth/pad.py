"""A value among harmless text, as long fields, logs and evasions by padding have it."""

from __future__ import annotations

from random import Random

from . import company

_MOST = 160  # bytes of text on either side
_JOINTS = (b" ", b" ", b"\n", b", ", b"\r\n", b" - ", b"; ", b": ")


def pad(value: bytes, rng: Random) -> bytes:
    """``value`` with a benign value before it, behind it or on both sides."""
    before, behind = rng.choice(((True, False), (False, True), (True, True)))
    joint = rng.choice(_JOINTS)
    parts = [_text(rng)] if before else []
    parts.append(value)
    if behind:
        parts.append(_text(rng))
    return joint.join(parts)


def _text(rng: Random) -> bytes:
    if rng.random() < 0.3:
        lines = [line for line in company.client(rng, "query") if line[:11] == b"User-Agent:"]
        if lines:
            return lines[0][11:].strip()
    return company.benign(rng).payload[:_MOST]
