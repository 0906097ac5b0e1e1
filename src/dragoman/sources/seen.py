"""What an input looked like, for people who wonder why nothing came out of it."""

from __future__ import annotations

from dataclasses import dataclass


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
