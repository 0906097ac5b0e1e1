"""Bounded opening, shared by ``sources`` and ``intel``: streams of paths, JSON of streams."""

from .sources.files import Paths, open_streams
from .sources.jsonio import Row, document, loads, rows
from .sources.stream import Stream, too_long

__all__ = ["Paths", "Row", "Stream", "document", "loads", "open_streams", "rows", "too_long"]
