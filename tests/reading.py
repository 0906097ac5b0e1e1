"""What the source tests share: read everything, and sort it into payloads and rejects."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from dragoman.config import Limits
from dragoman.opening.stream import Stream
from dragoman.records import Payload, Rejected
from dragoman.sources import open_source


def read(paths: Any, **options: Any) -> tuple[list[Payload], list[Rejected]]:
    """The payloads and the rejects of ``open_source``."""
    records = list(open_source(paths, **options))
    assert all(isinstance(r, (Payload, Rejected)) for r in records)
    assert all(len(r.raw) <= 200 for r in records if isinstance(r, Rejected))
    return (
        [r for r in records if isinstance(r, Payload)],
        [r for r in records if isinstance(r, Rejected)],
    )


def read_bytes(data: bytes, **options: Any) -> tuple[list[Payload], list[Rejected]]:
    """As ``read``, from standard input."""
    return read("-", stdin=io.BytesIO(data), **options)


def stream_of(data: bytes, limits: Limits = Limits(), step: int = 7) -> Stream:  # noqa: B008
    """A stream that arrives in small pieces."""
    return Stream("s", (data[at : at + step] for at in range(0, len(data), step)), limits)


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of the members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()
