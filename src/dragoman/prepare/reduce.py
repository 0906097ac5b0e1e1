"""Which edges a sequence tells: what must be kept, what is common, what was a passing file.

What may never be dropped, and why, is in `docs/provenance.md`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .background import Background
from .behaviour import Behaviour, behaviour
from .generalise import basename, is_autostart
from .graph import Edge, Subgraph

_VERBS = frozenset(("start", "inject", "logon", "install", "schedule", "run", "clear", "detect"))
_KINDS = frozenset(
    ("service", "task", "job", "wmi", "user", "group", "policy", "rule", "threat", "script",
     "credential", "directory", "log")
)  # fmt: skip
_LOOKING = frozenset(("open", "read", "query", "access", "end", "other", "load"))
_FILE_VERBS = frozenset(("create", "write", "modify", "open", "read", "delete"))
_WORD = re.compile(r"[^\s\"'=,;|<>&()]+")
_CHARS = 4_096  # of a command line searched for names of files


class Kept(NamedTuple):
    """An edge that is told; whether it may never be dropped; whether it is of a passing file."""

    edge: Edge
    behaviour: Behaviour
    protected: bool
    transient: bool


def protected(edge: Edge, kind_of: Behaviour) -> bool:
    """Whether an edge is of a kind that is never dropped, however common it is."""
    verb = edge.event.verb
    if verb in _VERBS or edge.linked:
        return True
    if verb in _LOOKING:
        return False
    return kind_of.kind in _KINDS or (
        kind_of.kind in ("registry", "file") and is_autostart(kind_of.object)
    )


def reduced(subgraph: Subgraph, background: Background | None) -> tuple[list[Kept], int]:
    """The edges that are told, in order, and the number of events dropped as common background."""
    passing = _passing(subgraph)
    kept: list[Kept] = []
    dropped = 0
    for edge in subgraph.edges.values():
        event = edge.event
        kind_of = behaviour(event, subgraph.actor(edge).image)
        must = protected(edge, kind_of)
        if background is not None and not must and background.common(kind_of):
            dropped += edge.count
            continue
        passed = (
            bool(passing)
            and event.verb in _FILE_VERBS
            and (edge.member, event.object.name.lower()) in passing
        )
        kept.append(Kept(edge, kind_of, must, passed and not must))
    return kept, dropped


def _passing(subgraph: Subgraph) -> set[tuple[int, str]]:
    """The files that lived and died within one process and that no command line names."""
    if not subgraph.transient:
        return subgraph.transient
    named: set[str] = set()
    for edge in subgraph.edges.values():
        if edge.event.verb == "start":
            words = _WORD.findall(edge.event.object.value[:_CHARS].lower())
            named.update(map(basename, words))
    return {file for file in subgraph.transient if basename(file[1]) not in named}
