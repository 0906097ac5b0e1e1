"""Bounded opening of hostile files, shared by ``sources`` and ``intel``: streams of paths,
JSON of streams.
"""

from .files import Paths, open_streams
from .jsonio import Row, document, loads, rows
from .stream import Stream, too_long

__all__ = ["Paths", "Row", "Stream", "document", "loads", "open_streams", "rows", "too_long"]
