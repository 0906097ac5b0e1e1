"""The records that travel through Dragoman. Frozen, without behaviour beyond ``to_dict``.

Spans are half-open byte offsets ``(start, end)`` into ``Payload.data``, the record as received.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Kind = Literal["http", "value"]
Span = tuple[int, int]


class Where(NamedTuple):
    """Where a record came from: the path (``a.zip!b.log`` inside an archive), line (1-based)
    or byte.
    """

    path: str
    line: int | None = None
    byte: int | None = None
    event_ids: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.line is not None:
            return f"{self.path}:{self.line}"
        return self.path if self.byte is None else f"{self.path}@{self.byte}"

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"path": self.path}
        if self.line is not None:
            out["line"] = self.line
        if self.byte is not None:
            out["byte"] = self.byte
        if self.event_ids:
            out["event_ids"] = list(self.event_ids)
        return out


class Payload(NamedTuple):
    """One piece of web evidence: a whole HTTP request (``http``) or one field value (``value``)."""

    id: str
    data: bytes
    kind: Kind
    where: Where
    time: str | None = None
    host: str | None = None


# fmt: off
Verb = Literal[
    "start", "fork", "end", "load", "inject", "signal",
    "open", "read", "write", "create", "delete", "rename", "link", "modify", "access", "set",
    "connect", "accept", "listen", "send", "receive", "query",
    "logon", "logoff", "grant", "install", "schedule", "run", "clear", "detect", "other",
]
ObjectKind = Literal[
    "process", "thread", "module", "memory", "file", "pipe", "registry", "device", "socket",
    "dns", "share", "user", "group", "session", "privilege", "credential", "ticket", "policy",
    "directory", "service", "task", "job", "script", "wmi", "log", "rule", "threat",
    "other",
]
# fmt: on


@dataclass(frozen=True, slots=True)
class Process:
    """A process as one record tells of it; what the record does not tell is empty.

    ``id`` is stable within its host: a GUID where the log has one, ``pid@start`` (time in ns) once
    the start was seen (`sources.logs.identified`), else the bare pid. ``parent`` is such an id.
    """

    id: str
    pid: int | None = None
    image: str = ""
    command_line: str = ""
    user: str = ""
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Object:
    """What an event was done to.

    ``name`` identifies it within its kind: a path, a registry key with its value, ``address:port``
    of a socket's far end, a domain and account, a host name. ``value`` is what it became: the data
    set, the new name, the program of a service or task, the text of a script. ``remote`` and
    ``local`` are the far and near end of a socket, session or share, as far as they are known;
    ``process`` is the process or thread that a verb is done to.
    """

    kind: ObjectKind
    name: str = ""
    value: str = ""
    remote: str = ""
    local: str = ""
    process: Process | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened on a host: ``actor`` did ``verb`` to ``object``.

    ``time`` is in nanoseconds since 1970, UTC. ``start`` means that the process in ``object`` began
    to run a program, by its parent the ``actor``, in every format; ``end`` names one process twice.
    ``code`` is the source and its own name for this kind of event (``security/4688``,
    ``syscall/execve``), ``what`` its documented meaning in plain words. ``id`` is unique within the
    input; the log's own record ids stand in ``where.event_ids``. ``fields`` is all else that was
    logged, under the log's own names, bounded by ``limits.event_fields`` and ``event_field``.
    """

    id: str
    time: int
    host: str
    verb: Verb
    object: Object
    actor: Process | None
    code: str
    what: str
    where: Where
    user: str = ""
    outcome: Literal["success", "failure", ""] = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The JSON-ready form: empty parts are left out, ``time`` stays nanoseconds."""
        out: dict[str, Any] = {"id": self.id, "time": self.time, "host": self.host}
        out["verb"], out["object"] = self.verb, _filled(self.object)
        if self.actor is not None:
            out["actor"] = _filled(self.actor)
        for name in ("code", "what", "user", "outcome"):
            if getattr(self, name):
                out[name] = getattr(self, name)
        return {**out, "where": self.where.to_dict(), "fields": dict(self.fields)}


def _filled(part: Process | Object) -> dict[str, Any]:
    """The non-empty attributes of a process or object."""
    out = {name: getattr(part, name) for name in part.__slots__}
    if isinstance(out.get("process"), Process):
        out["process"] = _filled(out["process"])
    return {name: value for name, value in out.items() if value not in ("", None)}


@dataclass(frozen=True, slots=True)
class Element:
    """One thing done by one process, as often as it was repeated: a merged edge of the graph.

    ``sentence`` says it in plain words, ``tokens`` generalise it (roles instead of names).
    ``count`` events from ``first`` to ``last`` (ns, UTC) are in it; ``events`` holds the ids of the
    first of them and of the last, at most ``limits.graph_event_ids``. ``views`` are the command
    line or script as written (cut) and as it reads once decoded; ``process`` is what a ``start``
    began.
    """

    sentence: str
    tokens: tuple[str, ...]
    events: tuple[str, ...]
    count: int
    first: int
    last: int
    verb: Verb
    kind: ObjectKind
    object: str
    actor: Process | None = None
    process: Process | None = None
    views: tuple[str, ...] = ()
    protected: bool = False  # of a kind that reduction may never drop
    transient: bool = False  # a file that lived and died within one process, never executed


class Link(NamedTuple):
    """A join between two processes that do not stand in one tree, or on one host.

    ``kind``: ``network`` (both ends of a connection), ``logon`` (a session opened from the other
    host), ``credential`` (explicit credentials used there, a logon here), ``file`` (written there,
    run here). The effect is at ``host``/``process``; ``process`` ids are empty if not known.
    """

    kind: Literal["network", "logon", "credential", "file"]
    time: int
    host: str
    process: str
    from_host: str
    from_process: str
    event: str
    via: str = ""


@dataclass(frozen=True, slots=True)
class Sequence:
    """A subgraph told in order: what the tree below one process did within a span of time.

    ``ancestors`` lead from the oldest known one to the parent of ``root``, ``ancestry`` is the same
    as one line. ``piece`` counts from 0 where a tree was too large for one sequence. ``dropped``
    events were left out as common background.
    """

    id: str
    host: str
    root: Process
    ancestors: tuple[Process, ...]
    ancestry: str
    start: int
    end: int
    elements: tuple[Element, ...]
    links: tuple[Link, ...] = ()
    piece: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that could not be parsed: counted, kept aside, reported, never dropped."""

    where: Where
    reason: str
    raw: bytes = b""

    def to_dict(self) -> dict[str, Any]:
        return {
            "where": self.where.to_dict(),
            "reason": self.reason,
            "raw": self.raw.decode("utf-8", "backslashreplace"),
        }


class Field(NamedTuple):
    """A named part of a request as received, e.g. ``query:id``, ``header:referer``, ``body:/a/0``.

    ``script`` is the extension of the script a parameter goes to (``php``), empty if there is none:
    it names the technology, not the place.
    """

    name: str
    value: bytes
    start: int
    end: int
    script: str = ""


class View(NamedTuple):
    """One decoded reading of a field: the text, the decoders applied in order, its span in
    the record.
    """

    text: str
    chain: tuple[str, ...]
    start: int
    end: int


# fmt: off
TextKind = Literal[
    "class", "weakness", "pattern", "cve", "document",
    "technique", "procedure", "tactic", "group", "software", "campaign", "rule", "sentence",
]
# fmt: on


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of intelligence.

    ``kind``: ``class`` (a threat class a finding may be named after; ``slug`` is the verdict),
    ``weakness`` (CWE), ``pattern`` (CAPEC), ``cve``, ``document`` (a paragraph of prose) or
    ``sentence`` of one; of ATT&CK ``technique``, ``procedure`` (who did it, and how), ``tactic``
    (``slug``; ``order`` is its place in the matrix), ``group``, ``software``, ``campaign``;
    ``rule`` (Sigma). ``looks`` holds short descriptions or examples of how an attack looks.
    """

    id: str
    title: str
    body: str
    source: str
    kind: TextKind
    slug: str | None = None
    cwe: tuple[str, ...] = ()
    severity: str = "medium"
    looks: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()  # ATT&CK ids it describes, or names
    tactics: tuple[str, ...] = ()  # slugs, in the order of the matrix
    platforms: tuple[str, ...] = ()
    parent: str = ""  # the technique of a sub-technique, the document of a sentence
    who: str = ""  # the group, software or campaign of a procedure
    aliases: tuple[str, ...] = ()  # other names; of a technique, the ids it took the place of
    order: int = 0
    span: tuple[int, ...] = ()  # first byte and end of a sentence or document in its file


@dataclass(frozen=True, slots=True)
class Matrix:
    """The tactics and techniques of one ATT&CK domain, as the intelligence at hand has them.

    ``version`` is the release, or the day of the last change where the bundle names none.
    """

    domain: str  # enterprise-attack, mobile-attack, ics-attack
    version: str
    tactics: tuple[str, ...]  # slugs, in order
    techniques: Mapping[str, tuple[str, ...]]  # id -> tactics in order
    parents: Mapping[str, str]  # sub-technique -> technique
    names: Mapping[str, str]  # of techniques by id, of tactics by slug
    successors: Mapping[str, str]  # revoked id -> the id that took its place


@dataclass(frozen=True, slots=True)
class Hit:
    """A text found near a query. ``score`` is a cosine similarity in [-1, 1].

    Among the ``nearest`` of a payload it is half that plus half the score of `places.py`.
    """

    id: str
    title: str
    source: str
    score: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "title": self.title,
            "source": self.source,
            "score": round(self.score, 4),
        }


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a finding rests on: a field, the span it was read from, the decoded text and how."""

    field: str
    text: str
    span: Span | None = None
    chain: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"field": self.field, "text": self.text}
        if self.span is not None:
            out["span"] = list(self.span)
        if self.chain:
            out["decoded"] = list(self.chain)
        return out


class Excerpt(NamedTuple):
    """Part of a record as received, around what decided: ``data`` begins at byte ``start``."""

    data: bytes
    start: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict on one record: a threat class slug, or ``unknown`` (attack-like, near no class)."""

    family: str
    record: str
    where: Where
    verdict: str
    name: str
    score: float
    threshold: float
    severity: str
    evidence: tuple[Evidence, ...]
    nearest: tuple[Hit, ...]
    runner_ups: tuple[Hit, ...]
    bundle: str
    intel_version: str
    time: str | None = None
    host: str | None = None
    tactics: tuple[str, ...] = ()
    excerpt: Excerpt | None = None  # for reports people read; not exported

    def to_dict(self) -> dict[str, Any]:
        """The JSON-ready form of the finding, as in the documented findings format."""
        out: dict[str, Any] = {
            "family": self.family,
            "record": self.record,
            "where": self.where.to_dict(),
        }
        for name in ("time", "host"):
            if getattr(self, name) is not None:
                out[name] = getattr(self, name)
        out["verdict"], out["name"] = self.verdict, self.name
        if self.tactics:
            out["tactics"] = list(self.tactics)
        out["score"], out["threshold"] = round(self.score, 4), round(self.threshold, 4)
        out["severity"] = self.severity
        out["evidence"] = [e.to_dict() for e in self.evidence]
        out["nearest"] = [h.to_dict() for h in self.nearest]
        out["runner_ups"] = [h.to_dict() for h in self.runner_ups]
        out["bundle"], out["intel_version"] = self.bundle, self.intel_version
        return out


@dataclass(frozen=True, slots=True)
class Reading:
    """One field as the model read it: ``score`` is the field's own attack score in [0, 1]."""

    field: str
    span: Span
    value: str
    views: tuple[View, ...]
    score: float

    def to_dict(self) -> dict[str, Any]:
        views = [{"text": v.text, "decoded": list(v.chain)} for v in self.views]
        return {
            "field": self.field,
            "span": list(self.span),
            "value": self.value,
            "score": round(self.score, 4),
            "views": views,
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything known about one payload: the finding if any, every field, every class, the
    nearest texts.
    """

    finding: Finding | None
    score: float
    threshold: float
    readings: tuple[Reading, ...]
    classes: tuple[Hit, ...]
    nearest: tuple[Hit, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "finding": self.finding.to_dict() if self.finding else None,
            "score": round(self.score, 4),
            "threshold": round(self.threshold, 4),
            "fields": [r.to_dict() for r in self.readings],
            "classes": [h.to_dict() for h in self.classes],
            "nearest": [h.to_dict() for h in self.nearest],
        }


@dataclass(frozen=True, slots=True)
class Labelled:
    """A payload with what is known about it, for training and evaluation (`docs/formats.md`)."""

    payload: Payload
    label: str | None = None
    cve: tuple[str, ...] = ()
    cwe: tuple[str, ...] = ()
    group: str | None = None
    year: int | None = None
    text: str | None = None


@dataclass(slots=True)
class Counts:
    """What a scan saw. ``not_covered``: parsed, but a part was left unread (limit or encoding)."""

    parsed: int = 0
    found: int = 0
    rejected: int = 0
    not_covered: int = 0
    rejects: list[Rejected] = field(default_factory=list)  # the first 1,000; all are counted

    def to_dict(self) -> dict[str, int]:
        return {
            "found": self.found,
            "parsed": self.parsed,
            "rejected": self.rejected,
            "not_covered": self.not_covered,
        }
