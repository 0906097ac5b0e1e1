"""Dragoman reads attack evidence in the language of threat intelligence.

Three verbs::

    from dragoman import Engine

    engine = Engine.load()                       # the shipped model; no torch, no network
    for finding in engine.scan("access.log"):    # any supported file, directory or glob
        print(finding.where, finding.verdict, finding.score)
    engine.explain("id=1' OR '1'='1")            # one payload, everything about it

and two more for intelligence: ``engine.search(text)`` and ``engine.add_intel(paths)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .config import Config, Limits
from .errors import BundleError, DragomanError, IntelError, LimitError, SourceError, UsageError
from .records import Explanation, Finding, Hit, Payload, Text

if TYPE_CHECKING:
    from .engine import Engine

__version__ = "0.1.0"

__all__ = [
    "BundleError",
    "Config",
    "DragomanError",
    "Engine",
    "Explanation",
    "Finding",
    "Hit",
    "IntelError",
    "LimitError",
    "Limits",
    "Payload",
    "SourceError",
    "Text",
    "UsageError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import the engine, and NumPy with it, on first use: ``import dragoman`` stays quick."""
    if name == "Engine":
        from .engine import Engine

        return Engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
