"""Logged times -> nanoseconds since 1970, UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

SECOND = 1_000_000_000
_FILETIME_EPOCH = 116_444_736_000_000_000  # 1970 in units of 100 ns since 1601 [MS-DTYP 2.3.3]
_LATEST = 4_102_444_800 * SECOND  # 2100; what lies beyond is no time of a log


def ns(value: Any) -> int | None:
    """ISO 8601 text, or a number since 1970 in s, ms, us or ns by its size; None for all else.

    Up to nine digits of a second are kept. Text without a zone is taken as UTC.
    """
    if isinstance(value, str):
        return _from_text(value.strip())
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return epoch(value)
    return None


def epoch(value: float) -> int | None:
    """A number since 1970: seconds, or thousandths, millionths or billionths of one."""
    if not 0 < value < _LATEST:
        return None
    unit = SECOND if value < 1e11 else 1_000_000 if value < 1e14 else 1_000 if value < 1e17 else 1
    time = value * unit if isinstance(value, int) else int(value) * unit + int(value % 1 * unit)
    return time if time < _LATEST else None


def filetime(value: int) -> int | None:
    """A Windows FILETIME: units of 100 ns since 1601."""
    time = (value - _FILETIME_EPOCH) * 100
    return time if 0 < time < _LATEST else None


def seconds_text(text: str) -> int | None:
    """``1795284706.712`` -> ns, without the rounding of a float."""
    whole, _, fraction = text.partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) < 12):
        return None
    if fraction and not (fraction.isascii() and fraction.isdigit()):
        return None
    time = int(whole) * SECOND + int(fraction[:9].ljust(9, "0"))
    return time if time < _LATEST else None


def _from_text(text: str) -> int | None:
    if not 19 <= len(text) <= 48:
        return None
    start = _second(text[:19])
    if start is None:
        return None
    rest = text[19:]
    fraction = 0
    if len(rest) == 4 and rest[0] == "." and rest[1:].isdecimal():  # the most usual form
        return start + int(rest[1:]) * 1_000_000
    if rest[:1] in (".", ","):
        digits = 1
        while digits < len(rest) and rest[digits] in "0123456789":
            digits += 1
        fraction = int(rest[1:digits][:9].ljust(9, "0"))
        rest = rest[digits:]
    offset = _offset(rest.strip())
    return None if offset is None else start + fraction - offset


@lru_cache(maxsize=4096)
def _second(text: str) -> int | None:
    """``2020-06-10 02:50:54`` -> ns, as if in UTC."""
    try:
        time = datetime.fromisoformat(text.replace("/", "-")).replace(tzinfo=UTC)
    except ValueError:
        return None
    whole = int(time.timestamp()) * SECOND
    return whole if 0 <= whole < _LATEST else None


@lru_cache(maxsize=256)
def _offset(zone: str) -> int | None:
    """``Z``, `` UTC``, ``+02:00`` or ``-0400`` -> ns east of UTC."""
    if zone in ("", "Z", "z", "UTC", "GMT"):
        return 0
    digits = zone[1:].replace(":", "")
    if zone[0] not in "+-" or len(digits) not in (2, 4) or not digits.isdecimal():
        return None
    seconds = int(digits[:2]) * 3600 + int(digits[2:] or 0) * 60
    return (seconds if zone[0] == "+" else -seconds) * SECOND
