"""Events -> provenance graph -> subgraphs: who started whom, who did what to what, when.

    graph = Graph()
    for event in events:                 # in order, as `sources.logs.identified` gives them
        for subgraph in graph.add(event):
            ...
    for subgraph in graph.close():
        ...

Nodes are processes, edges what one did, merged where it was repeated; both carry times. A subgraph
is what a process and those it started did within ``limits.graph_seconds``: a process that lives
longer heads the next one, with its ancestry. Every event is in one edge of one subgraph. State is
bounded (``limits.graph_*``) and plain data; the cost of an event does not grow with the stream.

The way from logs over a reduced graph to subgraphs is that of CLIProv (arXiv 2507.09133); merging
repeated edges into one with an interval follows "High Fidelity Data Reduction for Big Data Security
Dependency Analyses" (CCS 2016). What reduction may do is in `docs/provenance.md`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..config import Limits
from ..records import Event, Link, Process, Rejected
from .joins import JOINED, SECOND, Joins, Recent, session

_DEFAULT = Limits()
_ANCESTORS = 16  # told of a process
_READS = frozenset(("open", "read", "load", "access"))
_WRITES = frozenset(("write", "create", "delete", "rename", "modify", "link"))
_FILES = frozenset(("file", "module"))
Key = tuple[str, str]  # host and id of a process
Name = tuple[object, ...]


class Edge:
    """What one process did to one thing, and how often. ``event`` is the first of its events."""

    __slots__ = ("count", "event", "first", "ids", "last", "linked", "member")

    def __init__(self, event: Event, member: int) -> None:
        self.event, self.member = event, member
        self.first = self.last = event.time
        self.count = 1
        self.ids = [event.id]
        self.linked = False

    def repeat(self, event: Event, most: int) -> None:
        """One more of the same; of the ids the first ones and the last are kept."""
        self.count += 1
        if event.time > self.last:
            self.last = event.time
        elif event.time < self.first:
            self.first = event.time
        if len(self.ids) < most:
            self.ids.append(event.id)
        else:
            self.ids[-1] = event.id


class Node:
    """A process: what is known of it, who its ancestors are (nearest first), where it is told."""

    __slots__ = ("ended", "lineage", "member", "piece", "process", "started", "tree")

    def __init__(self, process: Process, lineage: tuple[Process, ...]) -> None:
        self.process, self.lineage = process, lineage
        self.started = self.ended = False
        self.tree: Tree | None = None
        self.piece = self.member = 0


class Member(NamedTuple):
    """A process of a subgraph and the number of the member that started it; -1 for the head."""

    node: Node
    parent: int


class Subgraph:
    """A head process and what it and those it started did; ``edges`` by their first events.

    ``links`` holds each link with the number of its member, ``transient`` the files (in lower case)
    that lived and died within one member. ``piece`` counts from 0 where a tree was too large.
    """

    __slots__ = ("edges", "host", "links", "members", "piece", "transient")

    def __init__(self, host: str, head: Node, piece: int) -> None:
        self.host, self.piece = host, piece
        self.members = [Member(head, -1)]
        self.edges: dict[Name, Edge] = {}
        self.links: dict[tuple[str, ...], tuple[int, Link]] = {}
        self.transient: set[tuple[int, str]] = set()

    def actor(self, edge: Edge) -> Process:
        """Who did it: of a start the one that started, else the member that the edge is told of."""
        event = edge.event
        return event.actor or (
            Process("") if event.verb == "start" else self.members[edge.member].node.process
        )


class Tree:
    """The subgraph that is being told of a head process, piece after piece; None once it closed."""

    __slots__ = ("number", "opened", "subgraph")

    def __init__(self, number: int, opened: int, subgraph: Subgraph) -> None:
        self.number, self.opened = number, opened
        self.subgraph: Subgraph | None = subgraph


class _File(NamedTuple):
    """Who wrote a file last, how often the writer changed, whether others had to do with it."""

    writer: Node
    version: int
    shared: bool


class Graph:
    """The graph so far: processes remembered, trees still open. One for one stream of events."""

    def __init__(self, limits: Limits = _DEFAULT) -> None:
        self.limits = limits
        self._nodes: Recent[Key, Node] = Recent(limits.graph_processes)
        self._files: Recent[Key, _File] = Recent(limits.graph_objects)
        self._joins = Joins(limits.graph_objects, limits.graph_seconds)
        self._open: OrderedDict[str, OrderedDict[int, Tree]] = OrderedDict()
        self._held = self._trees = 0
        self._span = limits.graph_seconds * SECOND

    def add(self, event: Event) -> list[Subgraph]:
        """Take in one event; returns the subgraphs that are complete with it, mostly none."""
        closed = self._aged(event.host, event.time)
        node, target = self._subject(event)
        tree, subgraph = self._told_in(node, event)
        kind, verb = event.object.kind, event.verb
        version = self._file(event, node, subgraph) if kind in _FILES or verb == "start" else 0
        edge = self._edge(event, node, target, subgraph, version)
        if verb in JOINED:
            for link in self._joins.seen(event, node.process.id):
                edge.linked |= self._linked(subgraph, node.member, link)
        most = self.limits.graph_edges
        if len(subgraph.edges) >= most or len(subgraph.links) >= most:
            closed.append(self._cut(tree, subgraph))
        while self._held > self.limits.graph_held:
            closed.append(self._close(*self._oldest()))
        return closed

    def close(self) -> Iterator[Subgraph]:
        """Everything that is still open, oldest first of each host."""
        while self._open:
            yield self._close(*self._oldest())

    def _subject(self, event: Event) -> tuple[Node, str]:
        """The process an event is told of, and the id of the one it is done to."""
        thing = event.object
        actor = self._node(event, event.actor) if event.actor is not None else None
        target = thing.process
        if target is not None:
            if thing.kind == "process" and event.verb == "start":
                return self._begun(event, target, actor), target.id
            if thing.kind == "process" and event.verb == "fork":
                self._begun(event, target, actor)
                return actor or self._node(event, target), ""
            node = self._node(event, target)
            if event.verb == "end" and thing.kind == "process":
                node.ended = True
                return node, target.id
            return actor or node, target.id
        return actor or self._node(event, Process(_nobody(event), user=event.user)), ""

    def _node(self, event: Event, process: Process) -> Node:
        """The node of a process, with the most that is known of it."""
        key = (event.host, process.id or _unnamed(process))
        node = self._nodes.get(key)
        if node is None:
            node = Node(process, self._lineage(event.host, process.parent))
            self._nodes.store(key, node)
            return node
        self._nodes.move_to_end(key)
        known = node.process
        if process is not known and (
            (process.command_line and not known.command_line)
            or (process.image and not known.image)
            or (process.user and not known.user)
            or (process.parent and not known.parent)
        ):
            node.process = _fuller(known, process)
        if not node.lineage and process.parent:
            node.lineage = self._lineage(event.host, process.parent)
        return node

    def _begun(self, event: Event, process: Process, actor: Node | None) -> Node:
        """The node of a process that starts: another one if its pid was used before."""
        key = (event.host, process.id or _unnamed(process))
        node = self._nodes.get(key)
        parent = actor.process if actor else None
        if node is not None and (node.ended or _another(node, process)):
            del self._nodes[key]
            node = None
        if node is None:
            node = self._node(event, process)
        elif process.image:
            node.process = _fuller(process, node.process)  # it runs another program now
        if actor is node:  # a forged record: its own parent
            parent = actor = None
        if not node.started:
            node.started = True
            if parent is not None and actor is not None:
                node.lineage = _cut(parent, actor.lineage, node.process.id)
            if actor is not None and (node.tree is None or node.tree.subgraph is None):
                self._join(node, actor, event)
        return node

    def _join(self, node: Node, actor: Node, event: Event) -> None:
        """A new process is told with the one that started it."""
        node.tree, subgraph = self._told_in(actor, event)
        _enrol(node, actor.member, subgraph)

    def _lineage(self, host: str, parent: str) -> tuple[Process, ...]:
        """The ancestors by the parent's id; an unknown parent is a placeholder with an id alone."""
        if not parent:
            return ()
        node = self._nodes.get((host, parent))
        return _cut(node.process, node.lineage, "") if node else (Process(parent),)

    def _told_in(self, node: Node, event: Event) -> tuple[Tree, Subgraph]:
        """The open tree of a process; a new one, headed by it, where the last is too old."""
        tree = node.tree
        near = tree is not None and -self._span <= event.time - tree.opened <= self._span
        if tree is not None and tree.subgraph is not None and near:
            if node.piece != tree.subgraph.piece:
                _enrol(node, 0, tree.subgraph)
            return tree, tree.subgraph
        subgraph = Subgraph(event.host, node, 0)
        self._trees += 1
        node.tree = tree = Tree(self._trees, event.time, subgraph)
        node.piece = node.member = 0
        self._open.setdefault(event.host, OrderedDict())[tree.number] = tree
        return tree, subgraph

    def _edge(
        self, event: Event, node: Node, target: str, subgraph: Subgraph, version: int
    ) -> Edge:
        thing = event.object
        name = (node.member, event.verb, thing.name, thing.value, target,
                event.what or event.code, event.outcome, version)  # fmt: skip
        edge = subgraph.edges.get(name)
        if edge is None:
            edge = subgraph.edges[name] = Edge(event, node.member)
            self._held += 1
        else:
            edge.repeat(event, self.limits.graph_event_ids)
        return edge

    def _file(self, event: Event, node: Node, subgraph: Subgraph) -> int:
        """Keep who wrote a file last; the version of it that this event is about.

        A version is what one process wrote: reading after another wrote is another edge, so that no
        flow of data is lost by merging.
        """
        verb, name = event.verb, event.object.name
        if not name:
            return 0
        key = (event.host, name.lower())
        known = self._files.get(key)
        if verb in _WRITES:
            if known is None:
                self._files.store(key, _File(node, 0, verb not in ("create", "write")))
                return 0
            if known.writer is not node:
                known = _File(node, known.version + 1, True)
                self._files.store(key, known)
            elif verb == "delete" and not known.shared:
                subgraph.transient.add((node.member, key[1]))
            elif verb in ("rename", "link"):
                self._files.store(key, known._replace(shared=True))
            return known.version
        if known is None:
            return 0
        if known.writer is not node or verb not in _READS:
            self._files.store(key, known._replace(shared=True))
            if known.writer.tree is node.tree:
                subgraph.transient.discard((known.writer.member, key[1]))
        if verb in ("load", "start") and known.writer is not node:
            self._wrote(event, node, subgraph, known)
        return known.version

    def _wrote(self, event: Event, node: Node, subgraph: Subgraph, file: _File) -> None:
        """A file that one process wrote is loaded or run by another."""
        writer = file.writer
        if writer.tree is None or writer.tree.subgraph is not subgraph:
            link = Link("file", event.time, event.host, node.process.id, event.host,
                        writer.process.id, event.id, event.object.name)  # fmt: skip
            self._linked(subgraph, node.member, link)

    def _linked(self, subgraph: Subgraph, member: int, link: Link) -> bool:
        """Keep the first link of a kind between two processes; whether it was the first."""
        name = (link.kind, link.host, link.process, link.from_host, link.from_process)
        if name in subgraph.links:
            return False
        subgraph.links[name] = (member, link)
        return True

    def _aged(self, host: str, now: int) -> list[Subgraph]:
        """The subgraphs of a host whose time has passed."""
        waiting = self._open.get(host)
        closed = []
        while waiting:
            first = next(iter(waiting.values()))
            if -self._span <= now - first.opened <= self._span:
                break
            closed.append(self._close(host, first))
        return closed

    def _oldest(self) -> tuple[str, Tree]:
        host, waiting = next(iter(self._open.items()))
        return host, next(iter(waiting.values()))

    def _cut(self, tree: Tree, subgraph: Subgraph) -> Subgraph:
        """A piece of a tree that has become too large; the next has the same head."""
        head = subgraph.members[0].node
        tree.subgraph = Subgraph(subgraph.host, head, subgraph.piece + 1)
        if head.tree is tree:
            head.piece, head.member = tree.subgraph.piece, 0
        self._held -= len(subgraph.edges)
        return subgraph

    def _close(self, host: str, tree: Tree) -> Subgraph:
        waiting = self._open[host]
        del waiting[tree.number]
        if not waiting:
            del self._open[host]
        subgraph, tree.subgraph = tree.subgraph, None
        if subgraph is None:
            raise AssertionError("an open tree has a subgraph")
        self._held -= len(subgraph.edges)
        return subgraph


def subgraphs(events: Iterable[Event | Rejected], limits: Limits = _DEFAULT) -> Iterator[Subgraph]:
    """The subgraphs of ordered events; what was rejected is not in the graph."""
    graph = Graph(limits)
    for event in events:
        if isinstance(event, Event):
            yield from graph.add(event)
    yield from graph.close()


def _enrol(node: Node, parent: int, subgraph: Subgraph) -> None:
    """Make a process a member of a piece."""
    subgraph.members.append(Member(node, parent))
    node.piece, node.member = subgraph.piece, len(subgraph.members) - 1


def _unnamed(process: Process) -> str:
    """An id for a process that the log gives none."""
    return f"?{process.image}\n{process.command_line}"


def _nobody(event: Event) -> str:
    """Where events of no process are told: in their logon session, else with their host."""
    name = session(event)
    return f"session {name}" if name else ""


def _another(node: Node, process: Process) -> bool:
    """Whether a start is of another process than the one that had this bare pid."""
    known = node.process
    if not node.started or "-" in process.id or "@" in process.id:
        return False
    return bool(process.parent and known.parent and process.parent != known.parent)


def _fuller(process: Process, known: Process) -> Process:
    """What the new record tells, and what the earlier ones told where it is silent."""
    return Process(
        process.id,
        process.pid if process.pid is not None else known.pid,
        process.image or known.image,
        process.command_line or known.command_line,
        process.user or known.user,
        process.parent or known.parent,
    )


def _cut(parent: Process, lineage: tuple[Process, ...], child: str) -> tuple[Process, ...]:
    """A lineage one longer, without the child itself and what lies behind it in a cycle."""
    line = (parent, *lineage[: _ANCESTORS - 1])
    for place, process in enumerate(line):
        if child and process.id == child:
            return line[:place]
    return line
