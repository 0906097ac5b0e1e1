"""Subgraphs -> log sequences: plain words and generalised tokens, each element with its events.

    for sequence in sequences(events, background=background):
        print(sequence.ancestry, [element.sentence for element in sequence.elements])

A subgraph is reduced (`reduce.py`): what is of one behaviour is told once, what a process did to
many files or registry values of one place is told by the first of them. Its tree is cut from the
leaves up: a branch of eight elements or more is a sequence of its own, a smaller one is told with
the process that started it; what is longer than ``limits.graph_elements`` is cut into consecutive
pieces. Each carries the ancestry of its root. Subgraphs as log sequences: CLIProv (arXiv
2507.09133); saying events in words instead of by their codes is ours.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from operator import itemgetter
from typing import NamedTuple

from ..config import Limits
from ..records import Element, Event, Link, Process, Rejected, Sequence
from .background import Background
from .commands import decoded
from .generalise import image, text
from .graph import Graph, Subgraph
from .reduce import Kept, reduced
from .wording import sentence

_DEFAULT = Limits()
_BRANCH = 8  # elements that make a branch a sequence of its own
_VIEW = 2_048  # characters of a command line or script kept as a view
_FAN = 8  # things of one family that one process may do the same to, each told
_WHOLE = 1_024  # of a value up to which its generalised form tells all of it
_LINE = 160  # characters of one ancestor's command line
_TOLD = 5  # nearest ancestors in the line
_COMMANDS = frozenset(("start", "run", "schedule", "install", "set", "create"))


class Sequences(Iterator[Sequence]):
    """The sequences of a stream. ``events`` were read, ``dropped`` of them left out, by reason."""

    def __init__(
        self, events: Iterable[Event | Rejected], limits: Limits, background: Background | None
    ) -> None:
        self.events = self.rejected = 0
        self.dropped: Counter[str] = Counter()
        self._limits, self._background = limits, background
        self._run = self._sequences(events)

    def __next__(self) -> Sequence:
        return next(self._run)

    def _sequences(self, events: Iterable[Event | Rejected]) -> Iterator[Sequence]:
        graph = Graph(self._limits)
        for event in events:
            if isinstance(event, Rejected):
                self.rejected += 1
                continue
            self.events += 1
            for subgraph in graph.add(event):
                yield from self._told(subgraph)
        for subgraph in graph.close():
            yield from self._told(subgraph)

    def _told(self, subgraph: Subgraph) -> Iterator[Sequence]:
        kept, dropped = reduced(subgraph, self._background)
        self.dropped["common background"] += dropped
        yield from told(subgraph, kept, dropped, self._limits)


def sequences(
    events: Iterable[Event | Rejected],
    *,
    limits: Limits = _DEFAULT,
    background: Background | None = None,
) -> Sequences:
    """The sequences of ordered events (`sources.logs.identified`), as soon as each is complete.

    Every event is counted in exactly one element of one sequence, or in ``dropped``. Without
    ``background`` nothing is dropped.
    """
    return Sequences(events, limits, background)


class _Told(NamedTuple):
    member: int
    element: Element


def told(
    subgraph: Subgraph, kept: list[Kept], dropped: int, limits: Limits = _DEFAULT
) -> Iterator[Sequence]:
    """The sequences of one reduced subgraph; what was dropped is counted with the first."""
    elements = _elements(subgraph, kept, limits)
    heads = _branches(subgraph, elements)
    begun = _begun(elements)
    parts: dict[int, list[tuple[int, int, Element]]] = {}
    for member, element in elements:
        start = element.verb == "start"
        time = begun[member] if start else element.first
        parts.setdefault(heads[member], []).append((time, not start, element))
    links: dict[int, list[Link]] = {}
    for member, link in subgraph.links.values():
        links.setdefault(heads[member], []).append(link)
    most = max(1, limits.graph_elements)
    for head, part in parts.items():
        part.sort(key=itemgetter(0, 1))
        cross = tuple(links.get(head, ()))
        for place in range(0, len(part), most):
            piece = [element for _, _, element in part[place : place + most]]
            yield _sequence(subgraph, head, piece, cross, dropped, place // most)
            cross, dropped = (), 0


def _begun(elements: list[_Told]) -> dict[int, int]:
    """When each member first did anything: its start comes before, however clocks differ."""
    begun: dict[int, int] = {}
    for member, element in elements:
        begun[member] = min(begun.get(member, element.first), element.first)
    return begun


def _elements(subgraph: Subgraph, kept: list[Kept], limits: Limits) -> list[_Told]:
    """One element for each behaviour of each member, and one for what it did to many alike."""
    groups: dict[tuple[int, Hashable, str], list[Kept]] = {}
    for one in kept:
        edge = one.edge
        value = edge.event.object.value
        name: Hashable = one.behaviour
        if one.transient:
            name = f"transient {one.behaviour.object}"
        more = value if len(value) > _WHOLE else ""  # long ones are of one behaviour if equal
        groups.setdefault((edge.member, name, more), []).append(one)
    alike: dict[tuple[int, Hashable], list[list[Kept]]] = {}
    for (member, name, _), group in groups.items():
        first = group[0]
        many = name if first.protected or first.transient else first.behaviour.family()
        alike.setdefault((member, many or name), []).append(group)
    return [
        _Told(member, _element(subgraph, group, others, limits))
        for (member, _), same in alike.items()
        for group, others in _fans(same)
    ]


def _fans(groups: list[list[Kept]]) -> Iterator[tuple[list[Kept], int]]:
    """Groups of one family as they are, or as one with the number of others, if they are many."""
    if len(groups) > _FAN:
        yield [one for group in groups for one in group], len(groups) - 1
    else:
        yield from ((group, 0) for group in groups)


def _element(subgraph: Subgraph, group: list[Kept], others: int, limits: Limits) -> Element:
    """Edges of one behaviour or family as one element, told after the first of them."""
    most = limits.graph_event_ids
    edge, kind_of, _, transient = group[0]
    event, actor = edge.event, subgraph.actor(edge)
    edges = [one.edge for one in group]
    ids = edge.ids if len(group) == 1 else [name for one in edges for name in one.ids]
    count = sum([one.count for one in edges])
    views = _views(event, limits) if event.verb in _COMMANDS else ()
    hidden = text(views[-1]) if len(views) > 1 else ""
    return Element(
        sentence(event, kind_of, count, others, hidden, transient),
        kind_of.tokens(),
        tuple(ids if len(ids) <= most else [*ids[: most - 1], ids[-1]]),
        count,
        min([one.first for one in edges]),
        max([one.last for one in edges]),
        event.verb,
        event.object.kind,
        event.object.name,
        actor,
        event.object.process,
        views,
        any(one.protected for one in group),
        transient,
    )


def _views(event: Event, limits: Limits) -> tuple[str, ...]:
    """The command line or script as written, and as it reads once decoded."""
    value = event.object.value
    if not value or event.object.kind == "file":
        return ()
    return (value[:_VIEW], *(reading[:_VIEW] for reading, _ in decoded(value, limits)))


def _branches(subgraph: Subgraph, elements: list[_Told]) -> list[int]:
    """For each member the member whose sequence tells it.

    Members stand after those that started them, so one pass from the last to the first sums up the
    branches, and one from the first to the last finds the heads.
    """
    members = subgraph.members
    size = [0] * len(members)
    for member, _ in elements:
        size[member] += 1
    heads = list(range(len(members)))
    for number in range(len(members) - 1, 0, -1):
        if size[number] < _BRANCH:
            parent = members[number].parent
            size[parent] += size[number]
            heads[number] = parent
    for number in range(1, len(members)):
        heads[number] = heads[heads[number]] if heads[number] != number else number
    return heads


def _sequence(
    subgraph: Subgraph,
    head: int,
    part: list[Element],
    links: tuple[Link, ...],
    dropped: int,
    place: int,
) -> Sequence:
    node = subgraph.members[head].node
    first = part[0].events[0]
    name = f"{subgraph.host}\n{node.process.id}\n{first}\n{subgraph.piece}\n{place}"
    ancestors = tuple(reversed(node.lineage))
    return Sequence(
        hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).hexdigest(),
        subgraph.host,
        node.process,
        ancestors,
        ancestry(ancestors, node.process),
        min(element.first for element in part),
        max(element.last for element in part),
        tuple(part),
        links,
        subgraph.piece + place,
        dropped,
    )


def ancestry(ancestors: tuple[Process, ...], root: Process) -> str:
    """``explorer.exe > winword.exe > powershell.exe -enc ...``: the nearest five, the root last."""
    line = [*ancestors[-_TOLD:], root]
    names = [image(process.image) or "unknown process" for process in line]
    if command := text(root.command_line).replace('"', "").strip():
        names[-1] = command[:_LINE]
        if readings := decoded(root.command_line):
            names[-1] += f", which decodes to {text(readings[-1][0])[:_LINE]}"
    elif not root.image:
        names[-1] = "a logon session" if root.id.startswith("session ") else "the host"
    return " > ".join(names)
