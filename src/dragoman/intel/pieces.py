"""Blocks of prose that remember which bytes of their file they were read from."""

from __future__ import annotations

from typing import NamedTuple

PIECE = 4096  # characters, so that finding a byte within one stays cheap


class Piece(NamedTuple):
    """Text that was read from ``size`` bytes beginning at byte ``at``."""

    text: str
    at: int
    size: int


class Block(NamedTuple):
    """A paragraph, list item, cell or line under its nearest heading; its pieces in order."""

    title: str
    pieces: list[Piece]
    codec: str = "utf-8"


def pieces(text: str, at: int, codec: str = "utf-8") -> list[Piece]:
    """``text``, found at byte ``at`` in the encoding ``codec``, in pieces of bounded length."""
    out = []
    for start in range(0, len(text), PIECE):
        part = text[start : start + PIECE]
        size = len(part.encode(codec, "surrogateescape"))
        out.append(Piece(part, at, size))
        at += size
    return out
