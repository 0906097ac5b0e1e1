"""Labelled payloads (JSON lines, ``docs/formats.md``) for training and evaluation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from ..config import Limits
from ..opening.files import Paths, open_streams
from ..opening.jsonio import Row, rows
from ..records import Labelled, Rejected
from .table import to_payload

_LIMITS = Limits()
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def read_labelled(
    paths: Paths, limits: Limits = _LIMITS, *, stdin: BinaryIO | None = None
) -> Iterator[Labelled | Rejected]:
    """Every row of labelled JSON lines, in order; a row that does not fit is ``Rejected``.

    ``paths``: one or many of: file, directory, glob, ``-``; plain, gzip or zip.

    Raises:
        SourceError: a path does not exist (at once) or cannot be opened.
    """
    return _read(open_streams(paths, limits, stdin), limits)


def _read(streams: Iterator[Any], limits: Limits) -> Iterator[Labelled | Rejected]:
    for stream in streams:
        if isinstance(stream, Rejected):
            yield stream
            continue
        for row in rows(stream):
            yield row if isinstance(row, Rejected) else _labelled(row, limits)
        if stream.fault:
            yield stream.fault


def _labelled(row: Row, limits: Limits) -> Labelled | Rejected:
    value = row.value
    if not isinstance(value, dict):
        return Rejected(row.where, "not a JSON object", row.raw)
    column = "payload_b64" if value.get("payload") is None else "payload"
    try:
        if value.get(column) is None:
            raise ValueError("neither payload nor payload_b64")
        payload = to_payload(value, column, row.where, row.id)
        if len(payload.data) > limits.record_bytes:
            raise ValueError(f"payload longer than limits.record_bytes = {limits.record_bytes}")
        return Labelled(
            payload,
            _label(value.get("label")),
            _strings(value, "cve"),
            _strings(value, "cwe"),
            _typed(value, "group", str),
            _typed(value, "year", int),
            _typed(value, "text", str),
        )
    except ValueError as err:
        return Rejected(row.where, str(err), row.raw)


def _label(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and _SLUG.fullmatch(value)):
        return value
    raise ValueError("label must be a threat class slug, attack, benign or null")


def _strings(row: dict[str, Any], key: str) -> tuple[str, ...]:
    value = row.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{key} must be a list of strings")
    return tuple(value)


def _typed(row: dict[str, Any], key: str, want: type) -> Any:
    value = row.get(key)
    if value is not None and type(value) is not want:
        raise ValueError(f"{key} must be {want.__name__}")
    return value
