"""Settings as typed dataclasses, read from TOML. An unknown key is an error naming the
nearest one.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from .errors import UsageError


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on hostile input. Sizes in bytes; every error raised for one names the key."""

    record_bytes: int = 1 << 20  # one request or value; a longer one is rejected
    line_bytes: int = 4 << 20  # one line of a line-based format
    document_bytes: int = 256 << 20  # a format that must be read whole (HAR, one raw request)
    report_bytes: int = 32 << 20  # a report in HTML or PDF
    unpacked_bytes: int = 16 << 30  # all that one .gz or .zip may unpack to
    unpack_ratio: int = 1000  # unpacked / packed size, once 1 MiB has been unpacked
    zip_members: int = 10_000
    json_depth: int = 64
    xml_depth: int = 64
    fields: int = 512  # fields read from one request
    field_bytes: int = 65_536  # bytes of one field that are looked at
    decode_depth: int = 4  # decoders in one chain
    decode_views: int = 6  # decoded readings of one field
    inflate_bytes: int = 1 << 20  # a compressed request body
    event_text: int = 32_768  # characters of a command line, script or name in a log event
    event_field: int = 1_024  # characters of any other field of a log event
    event_fields: int = 32  # such fields kept
    log_entities: int = 200_000  # processes, files and sockets a log reader remembers
    log_open: int = 1_000  # audit events whose records are still being gathered
    graph_processes: int = 100_000  # processes the provenance graph remembers
    graph_objects: int = 100_000  # files, connections and sessions remembered, of each kind
    graph_seconds: int = 600  # the time one subgraph spans
    graph_edges: int = 4_096  # edges of one subgraph; then it is told so far
    graph_held: int = 100_000  # edges of all open subgraphs; beyond, the oldest is told
    graph_event_ids: int = 32  # ids kept of the events merged into one edge
    graph_elements: int = 128  # elements of one sequence; a longer one is cut into pieces


@dataclass(frozen=True, slots=True)
class Scan:
    """How a scan decides. ``threshold`` overrides the bundle's own."""

    batch: int = 512  # records encoded together
    workers: int = 0  # processes; 0 = one per CPU for inputs above 500 records, else none
    threshold: float | None = None
    nearest: int = 3  # nearest texts reported with a finding
    runner_ups: int = 3


@dataclass(frozen=True, slots=True)
class Config:
    """All settings. ``Config.load`` reads a TOML file with the tables ``[limits]`` and
    ``[scan]``.
    """

    limits: Limits = field(default_factory=Limits)
    scan: Scan = field(default_factory=Scan)

    @classmethod
    def load(cls, path: str | Path) -> Config:
        return from_toml(cls, path)


T = TypeVar("T")


def from_toml(cls: type[T], path: str | Path) -> T:
    """Read dataclass ``cls`` from a TOML file; nested dataclasses are tables.

    Raises:
        UsageError: the file is missing or not TOML, or a key or a value's type does not fit.
    """
    try:
        data = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as err:
        raise UsageError(f"cannot read settings: {err}", where=str(path)) from err
    return _build(cls, data, str(path), "")


def _build(cls: type[T], data: dict[str, Any], where: str, prefix: str) -> T:
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(hints)}"
            raise UsageError(f"unknown setting {prefix}{key}", where=where, hint=hint)
        want = hints[key]
        if dataclasses.is_dataclass(want) and isinstance(want, type):
            if not isinstance(value, dict):
                raise UsageError(f"{prefix}{key} must be a table", where=where)
            values[key] = _build(want, value, where, f"{prefix}{key}.")
        else:
            values[key] = _checked(want, value, f"{prefix}{key}", where)
    return cls(**values)


def _checked(want: Any, value: Any, key: str, where: str) -> Any:
    allowed = get_args(want) or (want,)
    if float in allowed and type(value) is int:
        return float(value)
    origins = tuple(get_origin(a) or a for a in allowed)
    if get_origin(want) is tuple and isinstance(value, list):
        return tuple(value)
    if type(value) not in origins:
        names = " or ".join(getattr(a, "__name__", str(a)) for a in allowed)
        raise UsageError(f"{key} must be {names}, not {type(value).__name__}", where=where)
    return value
