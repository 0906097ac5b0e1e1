"""Small builders shared by the readers: synthetic requests and times."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

_URL = re.compile(rb"(?i)[a-z][a-z0-9+.-]{0,15}://([^/?#\s]*)")
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


def request(
    method: bytes,
    target: bytes,
    version: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
) -> bytes:
    """A request in wire form (RFC 9112) from its logged parts, bytes unchanged.

    CR and LF inside a part, which would move its borders, are percent-encoded.
    """
    lines = [b"%b %b %b" % (method, target, version)]
    lines += [b"%b: %b" % header for header in headers]
    head = b"\n".join(lines)
    if b"\r" in head or head.count(b"\n") >= len(lines):
        lines = [line.replace(b"\r", b"%0D").replace(b"\n", b"%0A") for line in lines]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def split_url(url: bytes) -> tuple[bytes | None, bytes]:
    """``(host, target)`` of an absolute URL; ``(None, url)`` for anything else."""
    if url.startswith(b"/"):
        return None, url
    found = _URL.match(url)
    if found is None:
        return None, url
    target = url[found.end() :]
    if not target.startswith(b"/"):
        target = b"/" + target
    return found.group(1), target


def host_text(host: bytes | None) -> str | None:
    """A host as text that can be printed: without the port, at most 255 characters."""
    if not host:
        return None
    text = host.strip().decode("utf-8", "backslashreplace")[:255]
    name, colon, port = text.rpartition(":")
    return (name if colon and port.isdigit() else text) or None


def utc(value: Any) -> str | None:
    """A logged time as ISO 8601 in UTC, or None if it is none that is known.

    Known: ISO 8601; ``17/May/2015:10:05:03 +0000`` (Apache, nginx, ModSecurity 2); ``Thu Mar  2
    22:37:43 2023`` (ModSecurity 3); seconds or milliseconds since 1970. Without a zone it is UTC.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str, datetime)):
        return None
    try:
        if isinstance(value, str):
            return _from_text(value.strip()) if 5 < len(value) < 64 else None
        return _iso(value if isinstance(value, datetime) else _epoch(float(value)))
    except (ValueError, OverflowError, OSError):
        return None


@lru_cache(maxsize=4096)
def _from_text(text: str) -> str:
    if text[2:3] == "/" and text[6:7] == "/":
        return _iso(_clf(text))
    if text[:3].isalpha():
        _, month, day, time, year = text.split()
        return _iso(datetime.fromisoformat(f"{year}-{_month(month)}-{int(day):02}T{time}"))
    try:
        return _iso(_epoch(float(text)))
    except ValueError:
        return _iso(datetime.fromisoformat(text.replace("/", "-")))


def _clf(text: str) -> datetime:
    clock, _, zone = text.partition(" ")
    day, month, rest = clock.split("/", 2)
    year, _, time = rest.partition(":")
    return datetime.fromisoformat(f"{year}-{_month(month)}-{day}T{time}{zone}")


def _month(name: str) -> str:
    """``Mar`` -> ``03``, whatever the locale."""
    return f"{_MONTHS.index(name.title()) // 3 + 1:02}"


def _epoch(seconds: float) -> datetime:
    if not 1e8 < seconds < 1e14:  # 1973 to 5138; smaller numbers are durations, not times
        raise ValueError("not a time")
    return datetime.fromtimestamp(seconds if seconds < 1e11 else seconds / 1000, UTC)


def _iso(time: datetime) -> str:
    zoned = time if time.tzinfo else time.replace(tzinfo=UTC)
    return zoned.astimezone(UTC).isoformat().replace("+00:00", "Z")
