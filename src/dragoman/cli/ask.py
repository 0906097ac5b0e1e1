"""``explain``, ``search`` and ``info``: questions about one payload, a text, the model."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..errors import LimitError, SourceError, UsageError
from . import options
from .options import Bundle, ConfigFile, Intel, Json


class PayloadKind(StrEnum):
    """How a payload is read: a whole request, or one field value."""

    http = "http"
    value = "value"


def explain(
    ctx: typer.Context,
    payload: Annotated[
        str | None,
        typer.Argument(metavar="[PAYLOAD]", help="One payload; - reads it from standard input."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Read the payload from a file.")
    ] = None,
    kind: Annotated[
        PayloadKind | None,
        typer.Option("--kind", help="A whole request or one field value. Default: as it looks."),
    ] = None,
    json: Json = False,
    bundle: Bundle = None,
    intel: Intel = None,
    config: ConfigFile = None,
) -> None:
    """Say everything about one payload."""
    from . import show

    if (payload is None) == (file is None):
        raise UsageError(
            "give one payload, or --file FILE", hint='dragoman explain "id=1\' OR 1=1"'
        )
    most = options.settings(ctx, config).limits.record_bytes
    data = os.fsencode(payload) if payload not in (None, "-") else _read(file, most)
    engine = options.engine(ctx, bundle, intel, config)
    found = engine.explain(data, kind=kind.value if kind else None)
    if json:
        show.write_json(found.to_dict())
    else:
        show.explanation(found)


def _read(file: Path | None, most: int) -> bytes:
    """All of ``file``, or of standard input; more than ``most`` bytes is an error."""
    try:
        if file is None or str(file) == "-":
            data = sys.stdin.buffer.read(most + 1)
        else:
            with file.open("rb") as stream:
                data = stream.read(most + 1)
    except OSError as err:
        raise SourceError(f"cannot read: {err.strerror}", where=str(file)) from err
    if len(data) > most:
        raise LimitError(
            f"a payload longer than {most:,} bytes",
            where=str(file or "-"),
            hint="raise limits.record_bytes in the file given to --config",
        )
    return data


def search(
    ctx: typer.Context,
    text: Annotated[
        str,
        typer.Argument(metavar="TEXT", help="Plain words: a weakness, a product, a CVE's text."),
    ],
    k: Annotated[int, typer.Option("-k", min=1, help="How many texts.")] = 10,
    json: Json = False,
    bundle: Bundle = None,
    intel: Intel = None,
    config: ConfigFile = None,
) -> None:
    """Find the intelligence nearest in meaning to a text."""
    from . import show

    hits = options.engine(ctx, bundle, intel, config).search(text, k=k)
    if json:
        show.write_json([hit.to_dict() for hit in hits])
    else:
        show.stdout().print(show.hits(hits))


def info(
    ctx: typer.Context,
    json: Json = False,
    bundle: Bundle = None,
    intel: Intel = None,
    config: ConfigFile = None,
) -> None:
    """Show the bundle, its figures, the intelligence and the limits."""
    from . import show

    known = options.engine(ctx, bundle, intel, config).info()
    known["limits"] = asdict(options.settings(ctx, config).limits)
    if json:
        show.write_json(known)
    else:
        show.pairs(known)
