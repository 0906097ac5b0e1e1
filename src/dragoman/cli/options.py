"""What the commands share: their common options, and the engine those options describe.

The environment is read here and nowhere else: ``DRAGOMAN_INTEL`` names the user's intelligence.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from ..config import Config
from ..errors import UsageError

if TYPE_CHECKING:
    from ..engine import Engine


@dataclass(slots=True)
class Setup:
    """What was said before the command's name; ``json_errors`` once ``--json`` was seen."""

    bundle: Path | None = None
    intel: Path | None = None
    config: Path | None = None
    json_errors: bool = False


def _errors_as_json(ctx: typer.Context, value: bool) -> bool:
    setup(ctx).json_errors |= value
    return value


Bundle = Annotated[
    Path | None,
    typer.Option("--bundle", metavar="DIR", help="Model bundle instead of the shipped one."),
]
Intel = Annotated[
    Path | None,
    typer.Option(
        "--intel",
        metavar="DIR",
        help="Your own intelligence. Default: $DRAGOMAN_INTEL, else the user's data directory.",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings in TOML: [limits] and [scan]."),
]
Json = Annotated[
    bool, typer.Option("--json", callback=_errors_as_json, help="JSON on standard output.")
]


def setup(ctx: typer.Context) -> Setup:
    """The run's one :class:`Setup`."""
    return ctx.find_root().ensure_object(Setup)


def settings(ctx: typer.Context, config: Path | None, threshold: float | None = None) -> Config:
    """The settings in force: the file's, then ``--threshold``."""
    path = config or setup(ctx).config
    out = Config.load(path) if path else Config()
    if threshold is not None:
        out = replace(out, scan=replace(out.scan, threshold=threshold))
    return out


def engine(
    ctx: typer.Context,
    bundle: Path | None,
    intel: Path | None,
    config: Path | None,
    *,
    threshold: float | None = None,
) -> Engine:
    """The engine; an option after the command's name wins over the same one before it."""
    where, own = places(ctx, bundle, intel)
    chosen = settings(ctx, config, threshold)
    from ..engine import Engine

    return Engine.load(where, intel=own, config=chosen)


def places(ctx: typer.Context, bundle: Path | None, intel: Path | None) -> tuple[Path | None, Path]:
    """The directories of the bundle (None: the shipped one) and of the user's intelligence."""
    said = setup(ctx)
    return bundle or said.bundle, intel or said.intel or default_intel()


def default_intel() -> Path:
    """``$DRAGOMAN_INTEL``, else ``dragoman/intel`` in the platform's directory for user data."""
    if named := os.environ.get("DRAGOMAN_INTEL"):
        return Path(named)
    home = Path.home()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_DATA_HOME") or home / ".local" / "share"
    return Path(base) / "dragoman" / "intel"


@contextmanager
def output(path: Path) -> Iterator[IO[str]]:
    """Open ``path`` for writing, ``-`` being standard output, every line written at once.

    Raises:
        UsageError: the file cannot be opened.
    """
    if str(path) == "-":
        with_lines(sys.stdout)
        yield sys.stdout
        return
    try:
        file = path.open("w", encoding="utf-8", newline="", buffering=1)
    except OSError as err:
        raise UsageError(f"cannot write: {err.strerror}", where=str(path)) from err
    with file:
        yield file


def with_lines(stream: IO[str]) -> None:
    """Make ``stream`` hand on each line as it is written, with the line ends it was given."""
    if reconfigure := getattr(stream, "reconfigure", None):
        reconfigure(line_buffering=True, newline="")
