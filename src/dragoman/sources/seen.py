"""The format an input was named as, and what it looked like where nothing came out of it."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass

from ..errors import UsageError


@dataclass(frozen=True, slots=True)
class Seen:
    """What one input looked like: its path, the format it was read as (if any), its first bytes."""

    path: str
    format: str | None
    head: bytes

    def __str__(self) -> str:
        what = f"read as {self.format}" if self.format else "of no known format"
        begins = f"begins with {self.head[:40]!r}" if self.head else "empty"
        return f"{self.path}: {what}, {begins}"


def check_format(format: str | None, known: Collection[str], what: str = "format") -> None:
    """Raise UsageError, with the nearest name, for a format that is none of ``known``."""
    if format is not None and format not in known:
        near = difflib.get_close_matches(format, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        raise UsageError(f"unknown {what} {format!r}", hint=hint)
